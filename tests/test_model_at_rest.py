"""A language model's endpoint that fails is left alone, named, and found again; nothing is lost by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from mem1_mcp.errors import ModelError
from tests.chat_endpoint import ChatEndpoint, chat_endpoint, fenced
from tests.conftest import HandClock, Host, Opening
from tests.with_model import Set, remembering


def add_all(body: dict[str, Any]) -> str:
    """Make a line of each thing the user said."""
    if "Are you there?" in str(body["messages"]):
        return "yes"
    said = [each for each in fenced(body).get("messages", ()) if each["by"] == "user"]
    add = {"op": "add", "item": None, "section": "basic", "passing": None}
    return json.dumps({"operations": [{**add, "text": m["text"], "evidence": [m["n"]]} for m in said]})


@pytest.fixture
def served() -> Iterator[ChatEndpoint]:
    with chat_endpoint(add_all) as running:
        yield running


async def tell(host: Host, *texts: str) -> None:
    for text in texts:
        await host.done("remember", messages=[{"role": "user", "content": text}])


async def lines(host: Host) -> list[str]:
    return [item["text"] for item in (await host.done("recall"))["profile"]]


@pytest.mark.parametrize("mode", ["too many requests", "error", "no key", "no model", "page", "empty"])
async def test_a_failing_endpoint_is_named_and_its_rounds_wait(
    another: Opening, clock: HandClock, served: ChatEndpoint, mode: str
) -> None:
    served.mode = mode
    async with remembering(another, clock, Set(served.url)) as (host, memory):
        await tell(host, "I live in Hamburg")
        await memory.jobs.run_due()
        asked = len(served.asked)
        assert await lines(host) == []
        assert served.url in str((await memory.health("ming")).facts)

        await tell(host, "I play the cello")
        await memory.jobs.run_due()
        assert len(served.asked) == asked  # left alone
        assert (await memory.store.unread("ming", 9)).rounds_read == 0


async def test_an_endpoint_that_is_back_is_asked_for_all_that_waited(
    another: Opening, clock: HandClock, served: ChatEndpoint
) -> None:
    served.mode = "error"
    async with remembering(another, clock, Set(served.url)) as (host, memory):
        await tell(host, "I live in Hamburg")
        await memory.jobs.run_due()
        await tell(host, "I play the cello")

        served.mode = "good"
        assert memory.model is not None
        await memory.model.check()  # as the first one does that asks after the rest
        clock.forward(minutes=10)
        await memory.jobs.run_due()

        assert await lines(host) == ["I live in Hamburg", "I play the cello"]
        assert (await memory.health("ming")).problems == ()


async def test_an_endpoint_that_fails_never_has_a_window_given_up(
    another: Opening, clock: HandClock, served: ChatEndpoint
) -> None:
    served.mode = "too many requests"
    async with remembering(another, clock, Set(served.url)) as (host, memory):
        await tell(host, "I live in Hamburg")
        for _ in range(7):
            with pytest.raises(ModelError):
                await memory.refresh("ming")
            clock.forward(minutes=10)

        assert (await memory.health("ming")).problems == ()
        assert (await memory.store.unread("ming", 9)).rounds_read == 0


async def test_a_window_that_is_refused_by_an_endpoint_that_takes_others_is_given_up_after_five(
    another: Opening, clock: HandClock, served: ChatEndpoint
) -> None:
    def declines(body: dict[str, Any]) -> Any:
        if "unspeakable" in str(body["messages"]):
            return 400, {"error": {"message": "content policy"}}, {}
        return add_all(body)

    served.script = declines
    async with remembering(another, clock, Set(served.url)) as (host, memory):
        await tell(host, "something unspeakable")
        for _ in range(6):
            await memory.jobs.run_due()
            clock.forward(minutes=11)
        (problem,) = (await memory.health("ming")).problems
        assert "refused the request (400)" in problem

        await tell(host, "I live in Hamburg")
        clock.forward(minutes=11)
        await memory.jobs.run_due()
        assert await lines(host) == ["I live in Hamburg"]


async def test_an_endpoint_that_refuses_every_question_gives_up_none(
    another: Opening, clock: HandClock, served: ChatEndpoint
) -> None:
    served.script = lambda _: (400, {"error": {"message": "no"}}, {})
    async with remembering(another, clock, Set(served.url)) as (host, memory):
        await tell(host, "I live in Hamburg")
        await memory.jobs.run_due()
        asked = len(served.asked)
        clock.forward(minutes=11)
        await memory.jobs.run_due()

        assert len(served.asked) == asked
        assert (await memory.health("ming")).problems == ()


async def test_a_process_that_is_stopped_while_a_model_thinks_gives_its_job_back(
    another: Opening, clock: HandClock, served: ChatEndpoint
) -> None:
    served.mode = "slow"
    async with remembering(another, clock, Set(served.url)) as (host, memory):
        await tell(host, "I live in Hamburg")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.jobs.run_due)
            with anyio.fail_after(20):
                while not served.asked:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        served.mode = "good"
        served.end_waiting()
        async with remembering(another, clock, Set(served.url)) as (_, other):
            await other.jobs.run_due()

        assert await lines(host) == ["I live in Hamburg"]
