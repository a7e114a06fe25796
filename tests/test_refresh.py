"""When a profile is refreshed, what a refresh reads, and who wins where others change it meanwhile."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio.from_thread import BlockingPortal

from mem1_mcp.text.budget import estimate_tokens
from tests.conftest import HandClock, Opening
from tests.ruled_model import in_turn, meanwhile, operation, scene

ENGINES = ("sqlite", "elasticsearch")

FOUR = ("Good morning.", "What rhymes with orange?", "How far is the moon?", "Thanks!")


async def test_the_first_round_is_read_at_once(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        await at.say("I live in Hamburg.")
        await at.memory.jobs.run_due()

        assert (
            await at.host.profile() == "# User profile\n\n## Basic information\n\n- Lives in Hamburg [p1]\n"
        )


async def test_then_every_five_rounds_are_read_together(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        for text in ("Hello!", *FOUR, "I live in Hamburg.", *FOUR):
            await at.say(text)
            await at.memory.jobs.run_due()

        assert at.windows() == [["Hello!"], [*FOUR, "I live in Hamburg."]]


async def test_what_waits_is_read_after_three_minutes(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        await at.say("Hello!")
        await at.memory.jobs.run_due()
        await at.say("I live in Hamburg.")
        clock.forward(minutes=2)
        await at.memory.jobs.run_due()
        before = at.windows()
        clock.forward(minutes=1)
        await at.memory.jobs.run_due()

        assert before == [["Hello!"]]
        assert at.windows() == [["Hello!"], ["I live in Hamburg."]]


async def test_where_nothing_waits_no_time_asks_the_model(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        await at.say("Hello!")
        await at.memory.jobs.run_due()
        for _ in range(5):
            clock.forward(days=1)
            await at.memory.jobs.run_due()

        assert len(at.model.asked) == 1


async def test_with_updates_off_the_model_is_asked_only_by_name(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock, rhythm=None) as at:
        await at.say("I live in Hamburg.", *FOUR, *FOUR)
        await at.memory.jobs.run_due()
        clock.forward(days=1)
        await at.memory.jobs.run_due()
        assert at.model.asked == []

        assert await at.refreshed() == ["Lives in Hamburg"]


async def test_a_round_without_the_user_is_no_reason_to_ask(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        await at.host.done("remember", messages=[{"role": "assistant", "content": "You live in Rome."}])
        await at.refreshed()

        assert at.model.asked == []


async def test_a_hosts_fact_told_while_the_model_thinks_wins(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock, rhythm=None) as at, BlockingPortal() as portal:
        await at.say("I live in Hamburg.")
        await at.refreshed()
        facts = [{"text": "Lives in Kiel", "replaces": "p1"}]
        at.model.script = meanwhile(portal, partial(at.host.done, "remember", facts=facts))
        await at.say("I moved to Bremen. I like rye bread.")

        assert await at.refreshed() == ["Lives in Kiel", "Likes rye bread"]
        assert at.refreshes()[1]["lines"][0]["text"] == "Lives in Hamburg"


async def test_an_edit_by_the_user_while_the_model_thinks_wins(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock, rhythm=None) as at, BlockingPortal() as portal:
        await at.say("I live in Hamburg.")
        await at.refreshed()
        at.model.script = meanwhile(
            portal, partial(at.memory.edit_profile, "ming", "p1", "Lives in Hamburg-Altona")
        )
        await at.say("I moved to Bremen. I like rye bread.")

        assert await at.refreshed() == ["Lives in Hamburg-Altona", "Likes rye bread"]


async def test_a_pin_set_while_the_model_thinks_holds(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock, rhythm=None) as at, BlockingPortal() as portal:
        await at.say("I live in Hamburg.")
        await at.refreshed()
        at.model.script = meanwhile(portal, partial(at.memory.pin, "ming", "p1", pinned=True))
        await at.say("I moved to Bremen.")

        assert await at.refreshed() == ["Lives in Hamburg"]


async def test_a_pinned_line_is_never_touched(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock, rhythm=None) as at:
        await at.say("I live in Hamburg.")
        await at.refreshed()
        await at.memory.pin("ming", "p1", pinned=True)
        await at.say("I moved to Bremen. I like rye bread.")

        assert await at.refreshed() == ["Lives in Hamburg", "Likes rye bread"]
        (newest, *_) = await at.memory.profiles("ming")
        assert "1 refused: it is about a line that the user pinned" in newest.why


async def test_a_message_that_comes_while_the_model_thinks_is_read_next(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock) as at, BlockingPortal() as portal:
        at.model.script = meanwhile(portal, partial(at.say, "I like rye bread."))
        await at.say("I live in Hamburg.")
        await at.memory.jobs.run_due()
        clock.forward(minutes=3)
        await at.memory.jobs.run_due()

        assert at.windows() == [["I live in Hamburg."], ["I like rye bread."]]
        assert await at.lines() == ["Lives in Hamburg", "Likes rye bread"]


async def test_what_is_forgotten_while_the_model_thinks_does_not_come_back(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock, rhythm=None) as at, BlockingPortal() as portal:
        at.model.script = meanwhile(portal, partial(at.forget, topic="work"))
        await at.say("I live in Hamburg.")
        await at.say("I prefer a job without night shifts.", topic="work")
        await at.say("I like rye bread.")

        assert await at.refreshed() == ["Lives in Hamburg", "Likes rye bread"]
        assert at.windows() == [
            ["I live in Hamburg.", "I prefer a job without night shifts.", "I like rye bread."],
            ["I live in Hamburg.", "I like rye bread."],
        ]
        assert "night shifts" not in str(await at.memory.profiles("ming"))


async def test_a_line_forgotten_while_the_model_thinks_does_not_come_back(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock, rhythm=None) as at, BlockingPortal() as portal:
        said = await at.say("I live in Hamburg.")
        await at.refreshed()
        at.model.script = meanwhile(portal, partial(at.forget, ids=said))
        await at.say("I moved to Bremen.")

        assert await at.refreshed() == ["Lives in Bremen"]
        assert "Hamburg" not in str(await at.memory.profiles("ming"))


def sent(data: dict[str, Any]) -> int:
    return sum(estimate_tokens(message["text"]) for message in data["messages"])


async def test_a_backlog_is_read_oldest_first_twenty_rounds_at_a_time(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock, rhythm=None) as at:
        said = [f"Is {number} a prime number?" for number in range(60)]
        await at.say(*said)
        await at.refreshed()

        assert at.windows() == [said[:20], said[20:40], said[40:]]


async def test_a_backlog_of_long_rounds_is_read_by_six_thousand_tokens(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock, rhythm=None) as at:
        said = [f"{number}. {'Rye rises slowly. ' * 200}" for number in range(60)]
        await at.say(*said)
        await at.refreshed()

        windows = at.windows()
        assert [text.strip() for window in windows for text in window] == [text.strip() for text in said]
        assert max(map(len, windows)) == min(map(len, windows)) == 6
        assert max(map(sent, at.refreshes())) <= 6_000


async def test_one_call_with_a_hundred_messages_is_read_in_several_windows(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock, rhythm=None) as at:
        said = [f"{number}. {'黑麦面包发酵要慢一点。' * 20}" for number in range(99)]
        said.append("I live in Hamburg.")
        await at.host.done("remember", messages=[{"role": "user", "content": text} for text in said])

        assert await at.refreshed() == ["Lives in Hamburg"]
        assert len(at.windows()) > 1
        assert [text for window in at.windows() for text in window] == said
        assert max(map(sent, at.refreshes())) <= 6_000


async def test_a_window_whose_answers_are_all_bad_is_given_up_and_the_next_is_read(
    another: Opening, clock: HandClock
) -> None:
    bad = [operation("add", section="basic", text="Owns a castle", evidence=[1])]
    async with scene(another, clock, in_turn(*[bad] * 5)) as at:
        await at.say("Hello!")
        for _ in range(5):
            await at.memory.jobs.run_due()
            clock.forward(minutes=1)
        assert at.windows() == [["Hello!"]] * 5

        await at.say(*FOUR, "I live in Hamburg.")
        await at.memory.jobs.run_due()

        assert at.windows()[5:] == [[*FOUR, "I live in Hamburg."]]
        (problem,) = (await at.memory.health("ming")).problems
        assert "shares no word with the messages it rests on" in problem
