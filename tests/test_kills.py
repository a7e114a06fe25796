"""Servers that are killed at any moment: what was answered is kept, and nothing is half done."""

from __future__ import annotations

import random
import shutil
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import Process

from mem1_mcp.app import wall_clock
from mem1_mcp.memory import Jobs, Memory
from mem1_mcp.memory.recall import Recall
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.types import Scope, Selection, parse_message_id
from tests.test_many_processes import USER, a_memory_of, answers, are_in_files, remember, state_of
from tests.test_stdio import Wire, call, server_process
from tests.wholeness import assert_whole, connection_to, kept, users_file

ROOT = Path(__file__).parents[1]

_IN_FLIGHT = 24  # calls of one host that are not answered yet
_KILLED_ENDS = (
    anyio.IncompleteRead,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)


@dataclass
class Memoirs:
    """One memory that several servers write and are killed over, and what they acknowledged."""

    folder: Path
    kills: int = 0
    acknowledged: dict[int, str] = field(default_factory=dict)

    def check(self) -> None:
        """Check that what was acknowledged until now is there, and the file whole."""
        expected = dict(self.acknowledged)
        if not expected:
            return  # there may be no file yet
        found = kept(users_file(self.folder))
        lost = {place: text for place, text in expected.items() if found.get(place) != text}
        assert lost == {}
        assert_whole(users_file(self.folder))


def two_messages(number: int, name: str) -> dict[str, Any]:
    """Write a call that would show if half of it were kept."""
    messages = [
        {"role": "user", "content": f"{name} sent parcel {number}.", "name": name},
        {"role": "assistant", "content": f"Parcel {number} of {name} 已经收到了。{'so ' * (number % 90)}"},
    ]
    more: dict[str, Any] = {"metadata": {"parcel": number}} if number % 3 == 0 else {}
    if number % 2:
        more["request_id"] = f"{name} {number}"
    return call(number, "remember", messages=messages, topic=f"street {number % 5}", **more)


async def write_until_killed(memoirs: Memoirs, name: str, chance: random.Random) -> None:
    """Run a server, write as fast as it takes it, and kill it at any moment after some answers."""
    sent: list[list[str]] = []
    free = anyio.Semaphore(_IN_FLIGHT)
    enough = anyio.Event()
    after_answers, seconds = chance.choice((0, 1, 10)), chance.uniform(0, 0.6)

    async def write(wire: Wire) -> None:
        for number in count():
            await free.acquire()
            line = two_messages(number, name)
            sent.append([message["content"] for message in line["params"]["arguments"]["messages"]])
            try:
                await wire.write(line)
            except _KILLED_ENDS:
                return

    async def kill(wire: Wire) -> None:
        await enough.wait()
        await anyio.sleep(seconds)
        wire.process.kill()

    async with server_process(memoirs.folder) as wire:
        await wire.initialize()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, wire)
            tasks.start_soon(kill, wire)
            for answered in count():
                if answered == after_answers:
                    enough.set()
                try:
                    answer = await wire.read()
                except _KILLED_ENDS:
                    break
                assert not answer["result"]["isError"], answer
                ids = answer["result"]["structuredContent"]["message_ids"]
                for message_id, text in zip(ids, sent[answer["id"]], strict=True):
                    place = parse_message_id(message_id)
                    assert place is not None
                    memoirs.acknowledged[place] = text
                free.release()
            tasks.cancel_scope.cancel()
        await wire.process.wait()


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
async def test_of_fifty_kills_while_three_servers_write_none_costs_an_answered_call(
    tmp_path: Path, seed: int
) -> None:
    memoirs = Memoirs(tmp_path)

    async def host(lane: int) -> None:
        chance = random.Random(f"{seed} {lane}")  # noqa: S311 - repeatable, no secret
        while memoirs.kills < 50:
            memoirs.kills += 1
            await write_until_killed(memoirs, f"host {lane} life {memoirs.kills}", chance)
            await anyio.to_thread.run_sync(memoirs.check)

    async with anyio.create_task_group() as tasks:
        for lane in range(3):
            tasks.start_soon(host, lane)

    memoirs.check()
    before, _ = state_of(tmp_path)
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await answers(wire, [remember(1, "and life goes on")])
    assert state_of(tmp_path)[0] == before + 1
    assert_whole(users_file(tmp_path))
    print(  # noqa: T201 - figures for a person
        f"\n{memoirs.kills} kills, {len(memoirs.acknowledged)} messages acknowledged, 0 lost, {before} kept"
    )


# Confirms a preview and works the job off; what it says is true from then on.
_FORGETTER = """
import sys, anyio
from datetime import UTC
from pathlib import Path
from mem1_mcp.app import wall_clock
from mem1_mcp.memory import Jobs, Memory
from mem1_mcp.stores.sqlite import SqliteStore

async def main(folder, user, token):
    store = SqliteStore(Path(folder) / "memory", wall_clock)
    jobs = Jobs(store, wall_clock, lease_ms=300)
    memory = Memory(store, wall_clock, UTC, jobs)
    print("ready", flush=True)
    done = await memory.forget(user, token, None)
    print("hidden", flush=True)
    while done.pending:
        await jobs.run_due()
        await anyio.sleep(0.02)
        done = await memory.forget(user, token, None)
    print("erased", flush=True)

anyio.run(main, *sys.argv[1:])
"""

GONE, STAYS = 50_000, 1_000
MARKER = "zqmarker"
_LATE = "while merging", "while emptying the log"


async def a_previewed_memory(folder: Path) -> str:
    """Fill a memory whose larger topic is about to be forgotten; return the token."""
    await a_memory_of(folder, "diary", GONE // 1000, f"{MARKER}: what was said on day {{}} of them all.")
    await a_memory_of(folder, "home", STAYS // 500, "Piano lesson {} is on Sunday.")
    await a_memory_of(folder, "diary", GONE // 1000, f"{MARKER} again, on evening {{}} of them all.")
    store = SqliteStore(folder / "memory", wall_clock)
    memory = Memory(store, wall_clock, UTC, Jobs(store, wall_clock))
    shown = await memory.preview_forgetting(USER, Selection(topic="diary"), 0)
    await store.close()
    assert shown.token is not None
    return shown.token


async def said_until_killed(
    script: str, folder: Path, *arguments: str, moment: Callable[[Process], Awaitable[None]]
) -> list[str]:
    """Run a script over a memory, kill it when the moment has come; return what it had said."""
    command = [sys.executable, "-c", script, str(folder), USER, *arguments]
    text = b""
    ready = anyio.Event()

    async def listen(process: Process) -> None:
        nonlocal text
        assert process.stdout is not None
        async for part in process.stdout:
            text += part
            if b"ready" in text:
                ready.set()

    with anyio.fail_after(60):
        async with (
            await anyio.open_process(command, stderr=None, cwd=ROOT) as process,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listen, process)
            await ready.wait()
            await moment(process)
            if process.returncode is None:
                process.kill()
    return text.decode().rpartition("\n")[0].split("\n")


async def said_by_a_killed_forgetter(folder: Path, token: str, chance: random.Random) -> list[str]:
    """Let a process forget and kill it at any moment, half of them late in its work."""
    late, seconds = chance.choice((True, False)), chance.uniform(0, 0.3)

    async def moment(process: Process) -> None:
        if late:
            while process.returncode is None and stage_of(folder) not in _LATE:  # noqa: ASYNC110 - a file
                await anyio.sleep(0.002)
        await anyio.sleep(seconds / 4 if late else seconds)

    return await said_until_killed(_FORGETTER, folder, token, moment=moment)


async def left_to_read(folder: Path) -> int:
    """Return how many messages of the topic can be read, which must be all or none, by any read."""
    store = SqliteStore(folder / "memory", wall_clock)
    memory = Memory(store, wall_clock, UTC, Jobs(store, wall_clock))
    left = await store.count(Scope(USER, "diary"))
    found = await memory.recall(Recall(Scope(USER), (f"{MARKER} evening 77",), limit=50))
    topics = {topic.name: topic.messages for topic in await store.topics(USER)}
    latest = await store.latest(Scope(USER), GONE + STAYS)
    statistics = await store.statistics(USER, [MARKER])
    listed = (MARKER in repr(found), topics.get("diary", 0), len(latest) - STAYS)
    await store.close()
    assert left in {0, GONE}
    assert listed == (left > 0, left, left)
    assert (statistics.messages, statistics.found_in) == (STAYS + left, {MARKER: left})
    assert topics["home"] == STAYS
    return left


def stage_of(folder: Path) -> str:
    """Say how far the forgetting in this memory has come."""
    db = connection_to(users_file(folder))
    try:
        if db.execute("SELECT 1 FROM hidden").get:
            return "while erasing"
        progress = db.execute("SELECT progress FROM jobs WHERE kind = 'erasure'").get
        return {None: "before or after", 0: _LATE[1]}.get(progress, _LATE[0])
    finally:
        db.close()


async def copied(folder: Path, to: Path) -> Path:
    """Copy a memory that nobody has open."""
    await anyio.to_thread.run_sync(lambda: shutil.copytree(folder / "memory", to / "memory"))
    return to


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_of_fifty_kills_while_a_topic_is_forgotten_none_brings_a_word_back(tmp_path: Path) -> None:
    chance = random.Random("forgotten")  # noqa: S311 - repeatable, no secret
    token = await a_previewed_memory(tmp_path / "first")
    kills = erased = 0
    stages: Counter[str] = Counter()

    while kills < 50:
        folder = await copied(tmp_path / "first", tmp_path / f"memory {erased}")
        left = GONE
        while "erased" not in (said := await said_by_a_killed_forgetter(folder, token, chance)):
            kills += 1
            stages[stage_of(folder)] += 1
            assert_whole(users_file(folder))
            # Looked at in a copy, so that the next process finds what the killed one left.
            looked_at = await copied(folder, tmp_path / f"kill {kills}")
            now_left = await left_to_read(looked_at)
            shutil.rmtree(looked_at)
            assert now_left in ({0} if "hidden" in said else {0, left})
            left = now_left
        erased += 1
        assert not are_in_files(MARKER.encode(), folder)
        assert await left_to_read(folder) == 0
        assert_whole(users_file(folder))
        assert len(kept(users_file(folder))) == STAYS
        shutil.rmtree(folder)

    told = ", ".join(f"{times} {stage}" for stage, times in stages.items())
    print(f"\n{kills} kills ({told}), {erased} memories erased")  # noqa: T201 - figures for a person


# Writes so much a call that moving the log into the file takes a good part of its time.
_BULK_WRITER = """
import sys, anyio
from pathlib import Path
from mem1_mcp.app import wall_clock
from mem1_mcp.stores.sqlite import SqliteStore
from tests.test_store_contract import keep

async def main(folder, user, life):
    store = SqliteStore(Path(folder) / "memory", wall_clock)
    print("ready", flush=True)
    for number in range(10_000):
        text = f"{life} {number} " + "a long story " * 40
        places = await keep(store, *(text for _ in range(60)), user=user)
        print(places[0], places[-1], flush=True)

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.heavy
@pytest.mark.timeout(180)
async def test_of_thirty_kills_while_the_log_keeps_being_moved_into_the_file_none_does_harm(
    tmp_path: Path,
) -> None:
    chance = random.Random("checkpoint")  # noqa: S311 - repeatable, no secret
    total = 0

    async def any_moment(_: Process) -> None:
        await anyio.sleep(chance.uniform(0, 0.5))

    for memory in range(3):
        folder = tmp_path / str(memory)
        acknowledged: dict[int, str] = {}
        for life in range(10):
            said = await said_until_killed(_BULK_WRITER, folder, str(life), moment=any_moment)
            for number, places in enumerate(said[1:]):
                first, last = map(int, places.split())
                acknowledged |= dict.fromkeys(range(first, last + 1), f"{life} {number} ")
            if acknowledged:
                found = kept(users_file(folder))
                assert all(found[place].startswith(text) for place, text in acknowledged.items())
                assert_whole(users_file(folder))
        total += len(acknowledged)

    print(f"\n30 kills, {total} messages acknowledged, 0 lost")  # noqa: T201 - figures for a person
