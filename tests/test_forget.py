"""Forgetting is shown first, and takes exactly what was shown."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from mem1_mcp.memory import Memory
from tests.conftest import HandClock, Host, host_of

ENGINES = ("sqlite", "elasticsearch")


async def tell(host: Host, *contents: str, **more: Any) -> list[str]:
    """Remember messages of the user in one call; return their ids."""
    messages = [{"role": "user", "content": text} for text in contents]
    saved = await host.done("remember", messages=messages, **more)
    return list(saved["message_ids"])


async def preview(host: Host, **selection: Any) -> str:
    """Ask what would go; return the token."""
    return str((await host.done("forget", **selection))["confirm"])


async def left(host: Host) -> list[str]:
    """Return what is stored, oldest first."""
    return [hit["text"] for hit in (await host.done("recall", limit=100, max_tokens=20000))["hits"]]


async def test_a_preview_deletes_nothing_and_shows_what_would_go(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work", timestamp="2026-05-01T09:00:00")
    await tell(host, "budget is 300 euros", topic="work", timestamp="2026-05-03T09:00:00")
    await host.done("remember", facts=[{"text": "Works at ACME"}], topic="work")
    await tell(host, "piano on Sunday", topic="home")

    text = await host.text("forget", topic="work")

    lines = text.splitlines()
    assert lines[0] == (
        "Nothing is forgotten yet. This would go for good (user ming): 2 messages, said 2026-05-01 to "
        "2026-05-03, 1 profile line."
    )
    assert lines[1] == "- [p1] Works at ACME (basic)"
    assert lines[2].startswith("[m0.0] 2026-05-01 Fri · 2 weeks ago · work · user: deadline on Friday")
    assert "budget is 300 euros" in lines[3]
    assert lines[4].startswith('Token: "')
    assert "piano" not in text
    assert len(await left(host)) == 3
    assert "Works at ACME" in await host.profile()


async def test_the_structured_preview_holds_what_its_text_says(host: Host) -> None:
    ids = await tell(host, "deadline on Friday", topic="work")

    shown = await host.done("forget", ids=ids)

    assert shown["forgotten"] is False
    assert (shown["messages"], shown["more"], shown["unknown"], shown["user"]) == (1, 0, [], "ming")
    assert [line["text"] for line in shown["lines"]] == ["deadline on Friday"]
    assert shown["confirm"]


async def test_a_long_preview_is_read_page_by_page_and_any_of_its_tokens_takes_all(host: Host) -> None:
    for number in range(50):
        await tell(host, f"parcel {number}", topic="post")

    shown = await host.done("forget", topic="post")
    pages = [shown]
    while "cursor" in pages[-1]:
        pages.append(await host.done("forget", topic="post", cursor=pages[-1]["cursor"]))

    seen = [line["text"] for page in pages for line in page["lines"]]
    assert seen == [f"parcel {number}" for number in range(50)]
    assert [page["more"] for page in pages] == [30, 10, 0]
    assert (await host.done("forget", confirm=shown["confirm"]))["messages"] == 50
    assert await left(host) == []


async def test_a_confirmed_token_takes_exactly_what_was_shown(host: Host) -> None:
    ids = await tell(host, "deadline on Friday", "piano on Sunday", "swam in the lake")
    token = await preview(host, ids=[ids[1]])

    done = await host.done("forget", confirm=token)

    assert done.pop("pending") in (True, False)  # how soon its bytes leave is the engine's
    assert done == {"forgotten": True, "messages": 1, "profile_items": 0, "user": "ming"}
    assert await left(host) == ["deadline on Friday", "swam in the lake"]


@pytest.mark.parametrize(
    "asked",
    [{"query": "piano"}, {"query": "钢琴"}, {"around": "m0.1"}, {}, {"query": "Sunday", "topic": "home"}],
)
async def test_what_is_forgotten_is_found_by_nothing(host: Host, asked: dict[str, Any]) -> None:
    ids = await tell(host, "deadline on Friday", "piano on Sunday 钢琴", topic="home")
    await host.done("forget", confirm=await preview(host, ids=[ids[1]]))

    answer = await host.call("recall", **asked)

    assert "Sunday" not in str(answer.content)
    assert "钢琴" not in str(answer.content)
    assert (await host.done("list_topics"))["topics"][0]["messages"] == 1


async def test_a_second_use_of_a_token_says_what_was_done(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work")
    token = await preview(host, topic="work")
    first = await host.done("forget", confirm=token)
    await tell(host, "a new deadline", topic="work")

    second = await host.done("forget", confirm=token)

    assert second == first
    assert await left(host) == ["a new deadline"]


async def test_two_confirmations_at_once_take_it_once(host: Host) -> None:
    await tell(host, *(f"parcel {number}" for number in range(10)))
    token = await preview(host, everything=True)
    answers = []

    async def confirm() -> None:
        answers.append(await host.done("forget", confirm=token))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(confirm)

    assert [answer["messages"] for answer in answers] == [10] * 4
    assert await left(host) == []


@pytest.mark.parametrize(("minutes", "refused"), [(9.9, False), (10.1, True)])
async def test_a_token_is_valid_for_ten_minutes(
    host: Host,
    clock: HandClock,
    minutes: float,
    refused: bool,  # noqa: FBT001
) -> None:
    await tell(host, "deadline on Friday")
    token = await preview(host, everything=True)
    clock.forward(minutes=minutes)

    answer = await host.call("forget", confirm=token)

    assert answer.is_error is refused
    assert len(await left(host)) == refused


async def test_an_expired_token_is_refused_in_words(host: Host, clock: HandClock) -> None:
    await tell(host, "deadline on Friday")
    token = await preview(host, everything=True)
    clock.forward(minutes=11)

    told = await host.refused("forget", confirm=token)

    assert "confirm" in told
    assert "older than ten minutes" in told
    assert "Nothing was forgotten" in told
    assert "without confirm" in told


@pytest.mark.parametrize("token", ["wrong", "", "'", "x" * 200])
async def test_a_wrong_token_is_refused(host: Host, token: str) -> None:
    await tell(host, "deadline on Friday")
    await preview(host, everything=True)

    assert "Nothing was forgotten" in await host.refused("forget", confirm=token)
    assert await left(host) == ["deadline on Friday"]


async def test_a_token_for_another_selection_is_refused(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work")
    await tell(host, "piano on Sunday", topic="home")
    token = await preview(host, topic="work")

    for other in ({"topic": "home"}, {"everything": True}, {"ids": ["m0.0"]}):
        told = await host.refused("forget", confirm=token, **other)
        assert "another selection" in told
        assert "Nothing was forgotten" in told
    assert len(await left(host)) == 2


async def test_a_token_with_its_own_selection_is_good(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work")
    token = await preview(host, topic="work")

    assert (await host.done("forget", topic="work", confirm=token))["messages"] == 1


@pytest.mark.parametrize("selection", [{"topic": "work"}, {"everything": True}])
async def test_what_arrived_after_the_preview_stays(host: Host, selection: dict[str, Any]) -> None:
    await tell(host, "deadline on Friday", topic="work")
    await host.done("remember", facts=[{"text": "Works at ACME"}], topic="work")
    token = await preview(host, **selection)
    await tell(host, "a new deadline", topic="work")
    await host.done("remember", facts=[{"text": "Has a new desk"}], topic="work")

    done = await host.done("forget", confirm=token)

    assert (done["messages"], done["profile_items"]) == (1, 1)
    assert await left(host) == ["a new deadline"]
    assert "Has a new desk" in await host.profile()
    assert "ACME" not in await host.profile()


async def test_ids_of_messages_and_of_profile_lines_go_together(host: Host) -> None:
    ids = await tell(host, "deadline on Friday", "piano on Sunday")
    await host.done("remember", facts=[{"text": "Works at ACME"}, {"text": "Plays the piano"}])

    done = await host.done("forget", confirm=await preview(host, ids=[ids[1], "p2"]))

    assert (done["messages"], done["profile_items"]) == (1, 1)
    assert await left(host) == ["deadline on Friday"]
    assert "Works at ACME" in await host.profile()
    assert "piano" not in await host.profile()


async def test_ids_are_taken_as_they_are_shown_in_brackets(host: Host) -> None:
    ids = await tell(host, "deadline on Friday")
    await host.done("remember", facts=[{"text": "Works at ACME"}])

    shown = await host.done("forget", ids=[f"[{ids[0]}]", " [p1] "])

    assert (shown["messages"], len(shown["profile_items"]), shown["unknown"]) == (1, 1, [])


async def test_one_id_named_twice_is_one_message(host: Host) -> None:
    ids = await tell(host, "deadline on Friday", "piano on Sunday")

    shown = await host.done("forget", ids=[ids[0], ids[0]])

    assert shown["messages"] == 1
    assert (await host.done("forget", confirm=shown["confirm"]))["messages"] == 1


async def test_forgetting_a_topic_leaves_other_topics_alone(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work")
    await tell(host, "piano on Friday", topic="home")

    await host.done("forget", confirm=await preview(host, topic="work"))

    assert await left(host) == ["piano on Friday"]
    assert [topic["topic"] for topic in (await host.done("list_topics"))["topics"]] == ["home"]


async def test_everything_leaves_nothing(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work", metadata={"state": "open"})
    await tell(host, "piano on Friday", topic="home")
    await host.done("remember", facts=[{"text": "Works at ACME"}])
    await host.done("remember", facts=[{"text": "Works at ABC", "replaces": "p1"}])

    done = await host.done("forget", confirm=await preview(host, everything=True))

    assert (done["messages"], done["profile_items"]) == (2, 2)
    assert "No messages are stored here yet." in await host.text("recall")
    assert (await host.done("list_topics"))["topics"] == []
    assert "Nothing is known yet." in await host.profile()


async def test_after_everything_the_memory_goes_on(host: Host) -> None:
    old = await tell(host, "deadline on Friday")
    await host.done("forget", confirm=await preview(host, everything=True))

    new = await tell(host, "piano on Sunday")

    assert await left(host) == ["piano on Sunday"]
    assert new != old


async def test_more_messages_than_one_slice_holds_all_go(host: Host) -> None:
    for part in range(3):
        await tell(host, *(f"parcel {part} {number}" for number in range(300)), topic="post")
    await tell(host, "piano on Sunday", topic="home")

    done = await host.done("forget", confirm=await preview(host, topic="post"))

    assert done["messages"] == 900
    assert await left(host) == ["piano on Sunday"]


async def test_unknown_ids_are_named_and_the_known_ones_go(host: Host) -> None:
    ids = await tell(host, "deadline on Friday")

    shown = await host.done("forget", ids=[*ids, "m7.7", "p9"])

    assert shown["unknown"] == ["m7.7", "p9"]
    assert (await host.done("forget", confirm=shown["confirm"]))["messages"] == 1


async def test_nothing_to_forget_gives_no_token(host: Host) -> None:
    shown = await host.done("forget", topic="work")

    assert "confirm" not in shown
    assert "nothing was forgotten" in await host.text("forget", topic="work")


async def test_another_users_token_is_unknown(memory: Memory) -> None:
    async with host_of(memory, "ming") as ming, host_of(memory, "wei") as wei:
        await tell(ming, "deadline on Friday")
        await tell(wei, "piano on Sunday")
        token = await preview(ming, everything=True)

        assert "unknown" in await wei.refused("forget", confirm=token)

        assert await left(ming) == ["deadline on Friday"]
        assert await left(wei) == ["piano on Sunday"]
        assert (await ming.done("forget", confirm=token))["messages"] == 1


async def test_another_users_ids_are_unknown(memory: Memory) -> None:
    async with host_of(memory, "ming") as ming, host_of(memory, "wei") as wei:
        ids = await tell(ming, "deadline on Friday")
        await ming.done("remember", facts=[{"text": "Works at ACME"}])

        shown = await wei.done("forget", ids=[*ids, "p1"])

        assert shown["unknown"] == [*ids, "p1"]
        assert "confirm" not in shown


async def test_a_forgotten_request_id_does_not_bring_the_old_answer_back(host: Host) -> None:
    await tell(host, "deadline on Friday", request_id="call-1")
    await host.done("forget", confirm=await preview(host, everything=True))

    again = await host.done(
        "remember", messages=[{"role": "user", "content": "deadline on Friday"}], request_id="call-1"
    )

    assert not again["duplicate"]
    assert await left(host) == ["deadline on Friday"]


async def test_saying_again_what_was_just_forgotten_is_no_repeat(host: Host) -> None:
    text = "The deadline for the tax return is Friday."
    await tell(host, text, "piano on Sunday")
    await host.done("forget", confirm=await preview(host, ids=["m0.0"]))

    await tell(host, text, "piano on Sunday")

    assert await left(host) == ["piano on Sunday", text, "piano on Sunday"]


async def test_forgetting_a_topic_of_facts_alone_leaves_the_lines_of_other_topics(host: Host) -> None:
    told = [{"role": "user", "content": "I moved to Hamburg."}]
    await host.done("remember", messages=told, facts=[{"text": "Lives in Hamburg"}], topic="home")
    await host.done("remember", facts=[{"text": "Is paid on the first"}], topic="work")

    shown = await host.done("forget", topic="work")
    done = await host.done("forget", confirm=shown["confirm"])

    assert (done["messages"], done["profile_items"]) == (0, 1)
    assert "Lives in Hamburg" in await host.profile()
    assert "Is paid" not in await host.profile()
