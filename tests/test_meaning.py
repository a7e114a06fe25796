"""Recall by meaning, beside an endpoint that works, and beside ones that do not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mem1_mcp.memory import Embedding, Jobs, Meaning, Memory
from mem1_mcp.models.embeddings import OpenAIEmbedder
from mem1_mcp.text.budget import estimate_tokens
from mem1_mcp.types import Selection
from tests.conftest import ZONE, HandClock, Host, Opening, host_of
from tests.embedding_endpoint import BAD, Endpoint, endpoint
from tests.test_remember_and_recall import found_by, tell
from tests.test_store_contract import keep, preview

BY_WORDS = "Searched by words only:"


@pytest.fixture
def served() -> Iterator[Endpoint]:
    with endpoint() as running:
        yield running


@asynccontextmanager
async def remembering(
    another: Opening, clock: HandClock, served: Endpoint, model: str = "small", **how: float
) -> AsyncGenerator[tuple[Host, Memory]]:
    """Connect a host to a memory with vectors; nobody works in its background."""
    embedder = OpenAIEmbedder(model, served.url, None, {"query": "", "passage": ""})
    meaning = Meaning(embedder, **how)
    store = another(meaning.space)
    memory = Memory(store, clock, ZONE, Jobs(store, clock, [Embedding(store, meaning)]), meaning=meaning)
    try:
        async with host_of(memory) as host:
            yield host, memory
    finally:
        await store.close()
        await meaning.close()


@pytest.fixture
async def told(another: Opening, clock: HandClock, served: Endpoint) -> AsyncGenerator[tuple[Host, Memory]]:
    """Tell some things; their vectors are made."""
    async with remembering(another, clock, served, rest=0.0, patience=5.0) as (host, memory):
        await tell(host, "My automobile is green.", topic="a")
        await tell(host, "The physician was late.", topic="b")
        await tell(host, "The sea was calm.", topic="c")
        await memory.jobs.run_due()
        yield host, memory


async def test_what_shares_no_word_is_found_by_what_it_means(told: tuple[Host, Memory]) -> None:
    host, _ = told

    assert (await found_by(host, "vehicle", topic="*"))[0] == "My automobile is green."
    assert (await found_by(host, "医生", topic="*"))[0] == "The physician was late."


async def test_what_says_the_words_still_comes_first(told: tuple[Host, Memory]) -> None:
    host, _ = told

    assert (await found_by(host, "Was the sea calm?", topic="*"))[0] == "The sea was calm."


async def test_a_scope_bounds_what_is_found_by_meaning(told: tuple[Host, Memory]) -> None:
    host, _ = told

    assert "My automobile is green." not in await found_by(host, "vehicle", topic="b")


async def test_remembering_waits_for_no_vector(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    served.mode = "slow"
    async with remembering(another, clock, served) as (host, _):
        await tell(host, "My automobile is green.")

        assert served.asked == []


async def test_what_was_just_said_is_found_by_its_words_before_it_has_a_vector(
    told: tuple[Host, Memory],
) -> None:
    host, _ = told
    await tell(host, "The lantern is broken.", topic="d")

    found = await host.done("recall", query="Is the lantern broken?", topic="*")

    assert found["hits"][0]["text"] == "The lantern is broken."
    assert "degraded" not in found


async def test_messages_that_wait_for_vectors_are_told_of(told: tuple[Host, Memory]) -> None:
    host, _ = told
    for number in range(5):
        await tell(host, f"lantern number {number}", topic="d")

    answer = await host.text("recall", query="lantern", topic="*")

    assert "By words only so far: messages of 5 calls" in answer


@pytest.mark.parametrize("mode", BAD)
async def test_an_endpoint_that_fails_is_named_and_words_go_on_finding(
    told: tuple[Host, Memory], served: Endpoint, mode: str
) -> None:
    host, _ = told
    served.mode = mode

    found = await host.done("recall", query="When was the sea calm?", topic="*")

    assert found["hits"][0]["text"] == "The sea was calm."
    assert found["degraded"].startswith(BY_WORDS)
    assert served.url in found["degraded"] or "the embedder answered" in found["degraded"]


@pytest.mark.heavy
@pytest.mark.parametrize("mode", BAD)
async def test_an_endpoint_that_fails_costs_no_message_its_vector_in_the_end(
    told: tuple[Host, Memory], served: Endpoint, clock: HandClock, mode: str
) -> None:
    host, memory = told
    served.mode = mode
    await tell(host, "Our flat has a balcony.", topic="d")
    await memory.jobs.run_due()
    assert (await memory.store.vectors("ming")).waiting == 1

    served.mode = "good"
    clock.forward(minutes=2)
    await memory.jobs.run_due()

    assert (await memory.store.vectors("ming")).waiting == 0
    assert (await found_by(host, "apartment", topic="*"))[0] == "Our flat has a balcony."


async def test_an_endpoint_that_is_not_there_is_named(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    served.url = "http://127.0.0.1:9/v1"
    async with remembering(another, clock, served) as (host, memory):
        await tell(host, "The sea was calm.")
        await memory.jobs.run_due()

        answer = await host.text("recall", query="calm sea")

    assert "The sea was calm." in answer
    assert BY_WORDS in answer


async def test_a_question_does_not_wait_for_a_slow_endpoint_and_the_next_not_at_all(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    async with remembering(another, clock, served, patience=0.3) as (host, memory):
        await tell(host, "The sea was calm.")
        await memory.jobs.run_due()
        served.mode = "slow"

        answer = await host.text("recall", query="calm sea")
        assert f"{BY_WORDS} the embedder did not answer within 0.3 s." in answer
        before = len(served.asked)

        assert BY_WORDS in await host.text("recall", query="calm sea")
        assert len(served.asked) == before


async def test_one_message_that_is_refused_keeps_the_others_from_nothing(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    served.mode = "refusing"
    async with remembering(another, clock, served) as (host, memory):
        messages = [{"role": "user", "content": text} for text in ("an unspeakable thing", "my automobile")]
        await host.done("remember", messages=messages)

        await memory.jobs.run_due()

        assert (await memory.store.vectors("ming")).waiting == 0
        assert "my automobile" in await found_by(host, "vehicle")
        assert "an unspeakable thing" in await found_by(host, "unspeakable")


async def test_an_endpoint_that_wants_nothing_unknown_gets_nothing_unknown(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    served.mode = "strict"
    async with remembering(another, clock, served) as (host, memory):
        await tell(host, "My automobile is green.")
        await memory.jobs.run_due()

        assert await found_by(host, "vehicle") == ["My automobile is green."]
        assert "input_type" not in served.asked[-1]


async def test_prefixes_stand_before_questions_and_messages(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    embedder = OpenAIEmbedder("small", served.url, "a key", {"query": "query: ", "passage": "passage: "})

    await embedder.embed(["one"], "query")
    await embedder.embed(["two"], "passage")
    await embedder.close()

    assert served.texts == ["query: one", "passage: two"]
    assert all("input_type" not in body for body in served.asked)


async def test_another_model_is_told_of_until_its_vectors_are_made(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    async with remembering(another, clock, served) as (host, memory):
        await tell(host, "My automobile is green.")
        await memory.jobs.run_due()
    clock.forward(minutes=1)

    async with remembering(another, clock, served, model="large") as (host, memory):
        before = await host.text("recall", query="Is my automobile green?")
        await memory.jobs.run_due()
        after = await host.text("recall", query="vehicle")

    assert "My automobile is green." in before
    assert f"{BY_WORDS} the vectors of this model are yet to be made." in before
    assert "My automobile is green." in after
    assert "words" not in after


async def test_the_names_of_those_who_speak_are_kept_from_the_model(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    async with remembering(another, clock, served) as (host, memory):
        message = {"role": "user", "content": "My automobile is green.", "name": "Theodora"}
        await host.done("remember", messages=[message])
        await memory.jobs.run_due()

        await found_by(host, "What colour is Theodora's vehicle?")

    assert served.texts[-1] == "What colour is vehicle?"


@pytest.mark.parametrize("max_tokens", [100, 200])
async def test_the_budget_holds_with_what_is_told_of_the_endpoint(
    told: tuple[Host, Memory], served: Endpoint, max_tokens: int
) -> None:
    host, _ = told
    served.mode = "error"
    for number in range(20):
        await tell(host, f"A long tale of lantern number {number} " + "and what it lit " * 6, topic="d")

    answer = await host.text("recall", query="lantern", topic="*", max_tokens=max_tokens, limit=20)

    assert BY_WORDS in answer
    assert estimate_tokens(answer) <= max_tokens


async def test_making_vectors_now_tells_how_far_it_is(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    seen: list[tuple[float, float | None]] = []

    async def told(progress: float, total: float | None = None, message: str | None = None) -> None:
        seen.append((progress, total))

    async with remembering(another, clock, served) as (host, memory):
        for number in range(4):
            await tell(host, f"lantern number {number}")

        await memory.make_vectors("ming", told)

    assert seen[-1] == (4, 4)


async def test_what_the_endpoint_is_told_is_nothing_but_words(
    told: tuple[Host, Memory], served: Endpoint
) -> None:
    host, _ = told
    await found_by(host, "vehicle")

    sent: list[dict[str, Any]] = served.asked

    assert all(set(body) <= {"input", "model", "encoding_format", "input_type"} for body in sent)
    assert "ming" not in str(sent)


@pytest.mark.heavy
async def test_an_endpoint_that_stalls_keeps_nothing_from_being_erased(
    another: Opening, clock: HandClock, served: Endpoint
) -> None:
    async with remembering(another, clock, served) as (host, memory):
        await tell(host, "My automobile is green.")
        places = await keep(memory.store, "forget this")
        await preview(memory.store, Selection(places=places))
        served.mode = "slow"
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(memory.jobs.run)
                while not served.asked:
                    await anyio.lowlevel.checkpoint()
                await memory.store.forget("ming", "t")
                memory.jobs.wake()
                while (await memory.store.forget("ming", "t")).pending:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

    assert "My automobile is green." not in served.texts
