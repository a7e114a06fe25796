"""Refreshes of several processes, killed ones, and ones that something is forgotten under."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mem1_mcp.app import wall_clock
from mem1_mcp.memory import InForce, Jobs, Memory, Model, Refreshing
from mem1_mcp.memory.profile.template import GENERAL
from mem1_mcp.models.chat import OpenAIChat
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.types import Rhythm
from tests.chat_endpoint import ChatEndpoint, chat_endpoint, fenced
from tests.conftest import ZONE, HandClock, Opening
from tests.test_kills import ROOT
from tests.with_model import Set, remembering

ENGINES = ("sqlite", "elasticsearch")

PROCESSES, ROUNDS, EVERY = 8, 50, 5

# Remembers rounds and does what is due after each, as a server does beside its host.
_SERVER = """
import sys, anyio
from pathlib import Path
from mem1_mcp.memory.remember import Remember, Said
from tests.test_refresh_races import a_memory, end

async def main(folder, url, name, rounds, every):
    memory = a_memory(Path(folder), url, int(every))
    for number in range(int(rounds)):
        said = Said("user", f"I visited town{name}x{number} today")
        await memory.remember("ming", Remember("home", (said,)))
        print("saved", flush=True)
        await memory.jobs.run_due()
    print("done", flush=True)
    await end(memory)

anyio.run(main, *sys.argv[1:])
"""


def a_memory(folder: Path, url: str, every: int) -> Memory:
    """Open a memory as a program of its own does; its lease is short, for the sake of the test."""
    store = SqliteStore(folder, wall_clock, rhythm=Rhythm(every, 3_600_000))
    model = Model(OpenAIChat("scripted", url, None, 0.2), store)
    in_force = InForce(store, GENERAL)
    worker = Refreshing(store, model, in_force, wall_clock, ZONE, 100_000)
    jobs = Jobs(store, wall_clock, [worker], lease_ms=1_500)
    return Memory(store, wall_clock, ZONE, jobs, in_force=in_force, model=model)


async def end(memory: Memory) -> None:
    """Release what ``a_memory`` opened."""
    await memory.store.close()
    assert memory.model is not None
    await memory.model.close()


def line_each(body: dict[str, Any]) -> str:
    """Make a line of each thing the user said."""
    said = [each for each in fenced(body)["messages"] if each["by"] == "user"]
    add = {"op": "add", "item": None, "section": "basic", "passing": None}
    return json.dumps({"operations": [{**add, "text": m["text"], "evidence": [m["n"]]} for m in said]})


def windows(served: ChatEndpoint) -> list[list[str]]:
    """Return what each question was about: the texts of its messages."""
    return [[message["text"] for message in fenced(body)["messages"]] for body in served.asked]


@pytest.fixture
def served() -> Iterator[ChatEndpoint]:
    with chat_endpoint(line_each) as running:
        yield running


async def read_all(memory: Memory) -> None:
    """Read what is left, as soon as the lease of whoever was killed has run out."""
    with anyio.fail_after(30):
        while (await memory.store.unread("ming", 1)).messages:
            await memory.store.ask_for_job("ming", "refresh")
            await memory.jobs.run_due()
            await anyio.lowlevel.checkpoint()


@pytest.mark.heavy
@pytest.mark.timeout(240)
async def test_eight_processes_read_four_hundred_rounds_once_each_in_eighty_calls_at_most(
    tmp_path: Path, served: ChatEndpoint
) -> None:
    async def run(name: str) -> None:
        command = [sys.executable, "-c", _SERVER, str(tmp_path), served.url, name, str(ROUNDS), str(EVERY)]
        done = await anyio.run_process(command, cwd=ROOT, stderr=None)
        assert done.stdout.decode().endswith("done\n")

    with anyio.fail_after(150):
        async with anyio.create_task_group() as tasks:
            for name in "abcdefgh":
                tasks.start_soon(run, name)

    calls = len(served.asked)
    memory = a_memory(tmp_path, served.url, EVERY)
    left = await memory.store.unread("ming", 99)
    assert len(left.messages) < EVERY
    await read_all(memory)
    read = [text for window in windows(served) for text in window]
    assert calls <= PROCESSES * ROUNDS / EVERY
    assert len(read) == len(set(read)) == PROCESSES * ROUNDS
    kept = [stored.content for stored in await memory.store.messages("ming", range(PROCESSES * ROUNDS))]
    assert read == kept
    assert sorted(item.text for item in (await memory.profile("ming")).items) == sorted(kept)
    print(f"\n{calls} calls for {len(read)} rounds of {PROCESSES} processes")  # noqa: T201 - a figure
    await end(memory)


@pytest.mark.parametrize("times", [5, pytest.param(50, marks=pytest.mark.heavy)])
async def test_what_is_forgotten_while_the_model_reads_it_never_comes_back(
    another: Opening, clock: HandClock, served: ChatEndpoint, times: int
) -> None:
    go_on = threading.Event()

    def holding(body: dict[str, Any]) -> str:
        answer = line_each(body)
        go_on.wait(20)
        return answer

    async with remembering(another, clock, Set(served.url, rhythm=None, max_chars=50_000)) as (
        host,
        memory,
    ):
        for number in range(times):
            go_on.clear()
            asked = len(served.asked)
            served.script = holding
            spoken = [("secret", f"My zqsecret{number} is green"), ("home", f"I like tea number {number}")]
            for topic, text in spoken:
                await host.done("remember", messages=[{"role": "user", "content": text}], topic=topic)
            await memory.store.ask_for_job("ming", "refresh")
            preview = await host.done("forget", topic="secret")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(memory.jobs.run_due)
                with anyio.fail_after(20):
                    while len(served.asked) == asked:
                        await anyio.lowlevel.checkpoint()
                assert (await host.done("forget", confirm=preview["confirm"]))["forgotten"]
                go_on.set()

            versions = await memory.profiles("ming")
            assert "zqsecret" not in str(versions)
            assert f"I like tea number {number}" in {item.text for item in versions[0].items}
            assert "zqsecret" not in await host.text("recall")


async def test_an_endpoint_that_dies_within_a_backlog_reads_on_where_it_stopped(
    another: Opening, clock: HandClock, served: ChatEndpoint
) -> None:
    def dying(body: dict[str, Any]) -> Any:
        return (500, {}, {}) if len(served.asked) == 2 else line_each(body)

    served.script = dying
    async with remembering(another, clock, Set(served.url, rhythm=None, max_chars=50_000)) as (
        host,
        memory,
    ):
        texts = [f"I visited town{number} today" for number in range(60)]
        for text in texts:
            await host.done("remember", messages=[{"role": "user", "content": text}])
        await memory.store.ask_for_job("ming", "refresh")
        await memory.jobs.run_due()
        assert memory.model is not None
        served.script = lambda body: "yes" if "there?" in str(body["messages"]) else line_each(body)
        await memory.model.check()
        clock.forward(minutes=11)
        await memory.jobs.run_due()

        assert [item.text for item in (await memory.profile("ming")).items] == texts
        assert (await memory.store.unread("ming", 1)).messages == ()
