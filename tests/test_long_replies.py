"""A long reply of the assistant's is summarised; its words stay readable unless they are let go."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mem1_mcp.memory import Jobs, Keeping, Memory, Summarising
from mem1_mcp.types import Scope
from tests.chat_endpoint import fenced, prompt_of
from tests.conftest import ZONE, HandClock, Host, Opening, host_of
from tests.conversation import DELIVERY, PIANO
from tests.ruled_model import Scene, answer, scene, summary

ENGINES = ("sqlite", "elasticsearch")

SUMMED_UP = DELIVERY.partition(" Run it empty")[0]


async def reply(host: Host, text: str = DELIVERY, **more: Any) -> dict[str, Any]:
    """Remember a question and this reply; return the answer."""
    messages = [{"role": "user", "content": "What now?"}, {"role": "assistant", "content": text}]
    return await host.done("remember", messages=messages, **more)


async def replied(at: Scene, text: str = DELIVERY) -> str:
    """Remember a reply and have it summarised; return its id."""
    saved = await reply(at.host, text)
    await at.memory.jobs.run_due()
    return str(saved["message_ids"][1])


async def test_the_model_sums_a_long_reply_up_and_that_is_shown_as_a_summary(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock) as at:
        place = await replied(at)

        (hit,) = [hit for hit in (await at.host.done("recall"))["hits"] if hit["id"] == place]
        assert (hit["text"], hit["summary"]) == (SUMMED_UP, True)
        text = await at.host.text("recall")
        assert f"[{place}] 2026-05-20 Wed 12:00 · today · assistant · summary: {SUMMED_UP}" in text


async def test_a_chinese_reply_is_asked_for_and_summed_up_in_chinese(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock) as at:
        await replied(at, PIANO)

        asked = next(body for body in at.model.asked if "reply" in fenced(body))
        assert "不超过 500 个字" in prompt_of(asked)
        text = await at.host.text("recall")
        assert f"· summary: {summary(PIANO, 500)}"[:100] in text
        assert "预算上，入门的大约4500元" in text


async def test_a_reply_of_five_hundred_characters_is_not_long(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        await replied(at, DELIVERY[:500])

        assert not [body for body in at.model.asked if "reply" in fenced(body)]
        assert "· summary" not in await at.host.text("recall")


async def test_the_users_own_words_are_never_summed_up(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        await at.say(DELIVERY)
        await at.memory.jobs.run_due()

        assert not [body for body in at.model.asked if "reply" in fenced(body)]
        assert DELIVERY[:200] in await at.host.text("recall")


async def test_a_question_for_words_that_only_the_reply_has_shows_that_stretch_of_it(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock) as at:
        place = await replied(at)

        (hit, *_) = (await at.host.done("recall", query="warranty protocol heating"))["hits"]
        assert hit["id"] == place
        assert "the warranty asks for the protocol of the first heating" in hit["text"]
        assert "summary" not in hit


async def test_an_opened_reply_is_shown_whole(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock) as at:
        place = await replied(at)

        opened = await at.host.done("recall", around=place, max_tokens=2000)
        assert [hit["text"] for hit in opened["hits"]] == ["What now?", DELIVERY]
        assert "· summary" not in await at.host.text("recall", around=place, max_tokens=2000)


async def test_where_words_are_not_kept_only_the_summary_is_left(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock, keep_words=False) as at:
        place = await replied(at)

        opened = await at.host.done("recall", around=place, max_tokens=2000)
        assert [hit["text"] for hit in opened["hits"]] == ["What now?", SUMMED_UP]
        assert (await at.host.done("recall", query="warranty protocol heating"))["hits"] == []
        found = (await at.host.done("recall", query="pallet truck"))["hits"]
        assert [hit["id"] for hit in found][:1] == [place]


async def test_the_refresh_reads_the_summary_of_a_reply(another: Opening, clock: HandClock) -> None:
    async with scene(another, clock, rhythm=None) as at:
        await replied(at)
        await at.refreshed()

        (data,) = at.refreshes()
        assert [message["text"] for message in data["messages"]] == ["What now?", SUMMED_UP]


async def test_a_summary_with_another_figure_is_asked_for_again(another: Opening, clock: HandClock) -> None:
    said = ["A stone oven weighs 1,300 kg.", SUMMED_UP]

    def script(body: dict[str, Any]) -> str:
        return said.pop(0) if "reply" in fenced(body) else answer(body)

    async with scene(another, clock, script) as at:
        place = await replied(at)
        before = await at.host.text("recall", max_tokens=3000)
        clock.forward(minutes=1)
        await at.memory.jobs.run_due()

        assert f"[{place}]" in before
        assert "1,300 kg" not in before
        assert "· summary" not in before
        assert f"· summary: {SUMMED_UP}" in await at.host.text("recall", max_tokens=3000)


@asynccontextmanager
async def without_a_model(another: Opening, clock: HandClock) -> AsyncGenerator[tuple[Host, Memory]]:
    """Connect a host to a memory in which no model is set."""
    store = another()
    jobs = Jobs(store, clock, [Summarising(store, None, 500, keep_words=True)])
    memory = Memory(store, clock, ZONE, jobs)
    try:
        async with host_of(memory) as host:
            yield host, memory
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("text", "first", "figure", "last"),
    [
        (DELIVERY, "A stone oven is heavy", "105 cm of clear width", "the protocol of the first heating."),
        (PIANO, "选电钢琴先看键盘", "一定要买满88键的", "练琴的人一天里有一半时间是用它听自己的。"),
    ],
)
async def test_without_a_model_a_reply_is_cut_to_its_first_and_last_sentence_and_figures(
    another: Opening, clock: HandClock, text: str, first: str, figure: str, last: str
) -> None:
    async with without_a_model(another, clock) as (host, memory):
        saved = await reply(host, text)
        await memory.jobs.run_due()

        (_, hit) = (await memory.store.latest(Scope("ming"), 2))[::-1]
        assert hit.id == saved["message_ids"][1]
        assert hit.summary is not None
        assert hit.summary.startswith(first)
        assert figure in hit.summary
        assert hit.summary.endswith(last)
        assert len(hit.summary) <= 500


async def test_assistants_words_are_left_out_from_the_moment_that_is_set(
    another: Opening, clock: HandClock
) -> None:
    async with scene(another, clock) as at:
        await reply(at.host, "Measure the door.")
    async with scene(another, clock, keeping=Keeping(assistant=False)) as at:
        saved = await reply(at.host, "Measure the lift.", topic="more")
        text = await at.host.text(
            "remember", messages=[{"role": "assistant", "content": "Measure all."}], topic="more"
        )

        said = [hit["text"] for hit in (await at.host.done("recall"))["hits"]]
        assert said == ["What now?", "Measure the door.", "What now?"]
        assert (len(saved["message_ids"]), saved["left_out"]) == (1, 1)
        assert "Not saved: 1 message of the assistant; MEM1_SAVE_ASSISTANT_MESSAGES=false." in text
