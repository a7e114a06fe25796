"""Several servers on one memory: nothing is lost, nothing is kept twice, nobody waits for long."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mem1_mcp.app import wall_clock
from mem1_mcp.memory import Jobs, Memory
from mem1_mcp.memory.remember import Remember, Said
from mem1_mcp.stores.sqlite import SqliteStore
from tests.conftest import Host
from tests.test_sqlite_store import another_process
from tests.test_stdio import Wire, call, connected, server_process
from tests.wholeness import assert_whole, connection_to, kept, users_file

USER = "default"  # whom a server serves that is told nothing else


def remember(number: int, text: str, **more: Any) -> dict[str, Any]:
    """Write the call that keeps this sentence as a message of its own."""
    return call(number, "remember", messages=[{"role": "user", "content": text}], **more)


async def answers(wire: Wire, calls: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Write all calls at once; return their structured results by their numbers."""

    async def write() -> None:
        for each in calls:
            await wire.write(each)

    answered = {}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        for _ in calls:
            answer = await wire.read()
            assert not answer["result"]["isError"], answer
            answered[answer["id"]] = answer["result"]["structuredContent"]
    return answered


@asynccontextmanager
async def servers(folder: Path, number: int) -> AsyncGenerator[list[Wire]]:
    """Run so many servers over one memory, all of them ready."""
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(server_process(folder)) for _ in range(number)]
        async with anyio.create_task_group() as tasks:
            for wire in wires:
                tasks.start_soon(wire.initialize)
        yield wires


def state_of(folder: Path) -> tuple[int, int]:
    """Return the file's own counts of messages and rounds."""
    db = connection_to(users_file(folder))
    try:
        messages, rounds = db.execute("SELECT messages, rounds FROM state").get
    finally:
        db.close()
    return messages, rounds


async def test_a_hundred_calls_at_once_of_one_host_are_all_kept(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        answered = await answers(wire, [remember(n, f"parcel {n} came") for n in range(100)])

    assert len({tuple(answer["message_ids"]) for answer in answered.values()}) == 100
    assert state_of(tmp_path) == (100, 100)
    assert_whole(users_file(tmp_path))


@pytest.mark.heavy
@pytest.mark.timeout(90)
async def test_eight_servers_that_write_at_once_lose_and_refuse_nothing(tmp_path: Path) -> None:
    ids: list[str] = []

    async def write(wire: Wire, name: int) -> None:
        answered = await answers(
            wire, [remember(n, f"sender {name} had parcel {n} brought") for n in range(250)]
        )
        for answer in answered.values():
            ids.extend(answer["message_ids"])

    async with servers(tmp_path, 8) as wires:
        async with anyio.create_task_group() as tasks:
            for name, wire in enumerate(wires):
                tasks.start_soon(write, wire, name)
        told = await wires[0].ask("tools/call", call(0, "recall", query="sender 7 parcel 249")["params"])

    assert len(ids) == len(set(ids)) == 2000
    assert state_of(tmp_path) == (2000, 2000)
    assert_whole(users_file(tmp_path))
    assert len(set(kept(users_file(tmp_path)).values())) == 2000
    assert "sender 7 had parcel 249 brought" in str(told)


def deliveries(how: str) -> list[dict[str, Any]]:
    """Write fifty calls, each of a topic of its own, with or without an id."""
    return [
        remember(
            number,
            f"The parcel with the number {number} has been delivered.",
            topic=f"street {number}",
            **({"request_id": f"delivery {number}"} if how == "with an id" else {}),
        )
        for number in range(50)
    ]


with_and_without = pytest.mark.parametrize("how", ["with an id", "without an id"])


@pytest.mark.heavy
@with_and_without
async def test_what_two_servers_are_given_at_once_is_kept_once(tmp_path: Path, how: str) -> None:
    duplicates = []

    async def deliver(wire: Wire) -> None:
        answered = await answers(wire, deliveries(how))
        duplicates.append({number for number, answer in answered.items() if answer["duplicate"]})

    async with servers(tmp_path, 2) as wires, anyio.create_task_group() as tasks:
        for wire in wires:
            tasks.start_soon(deliver, wire)

    first, second = duplicates
    assert first ^ second == set(range(50))
    assert state_of(tmp_path) == (50, 50)
    assert_whole(users_file(tmp_path))


@pytest.mark.heavy
@with_and_without
async def test_what_was_kept_before_a_kill_is_known_to_the_next_server(tmp_path: Path, how: str) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        first = await answers(wire, deliveries(how))
        wire.process.kill()
        await wire.process.wait()

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        second = await answers(wire, deliveries(how))

    assert [answer["duplicate"] for answer in first.values()] == [False] * 50
    assert [answer["duplicate"] for answer in second.values()] == [True] * 50
    assert {n: answer["message_ids"] for n, answer in first.items()} == {
        n: answer["message_ids"] for n, answer in second.items()
    }
    assert state_of(tmp_path) == (50, 50)
    assert_whole(users_file(tmp_path))


@pytest.mark.heavy
@with_and_without
async def test_what_a_killed_server_did_not_answer_is_kept_once_when_it_is_sent_again(
    tmp_path: Path, how: str
) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        for delivery in deliveries(how):
            await wire.write(delivery)
        for _ in range(10):
            await wire.read()
        wire.process.kill()
        await wire.process.wait()
    before, _ = state_of(tmp_path)

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        answered = await answers(wire, deliveries(how))

    assert before >= 10
    assert sum(answer["duplicate"] for answer in answered.values()) == before
    assert state_of(tmp_path) == (50, 50)
    assert_whole(users_file(tmp_path))


async def a_memory_of(folder: Path, topic: str, calls: int, text: str) -> None:
    """Fill the memory of the user whom servers serve: so many calls of 500 messages each."""
    store = SqliteStore(folder / "memory", wall_clock)
    memory = Memory(store, wall_clock, UTC, Jobs(store, wall_clock))
    for part in range(calls):
        spoken = tuple(Said("user", text.format(500 * part + n)) for n in range(500))
        await memory.remember(USER, Remember(topic, spoken))
    await store.close()


def are_in_files(marker: bytes, folder: Path) -> bool:
    """Whether these bytes are in any file of the memories in this folder."""
    return any(marker in path.read_bytes() for path in (folder / "memory").rglob("*") if path.is_file())


async def seconds_until_gone(folder: Path, marker: bytes) -> float:
    """Wait until no byte of the marker is in any file."""
    started = time.monotonic()
    while await anyio.to_thread.run_sync(are_in_files, marker, folder):  # noqa: ASYNC110 - bytes tell nobody
        await anyio.sleep(0.1)
    return time.monotonic() - started


async def longest_wait(host: Host, ended: anyio.Event) -> tuple[int, float]:
    """Write until the event, one call after the other; return how many and the longest wait."""
    longest = 0.0
    for number in count():
        if ended.is_set():
            return number, longest
        started = time.monotonic()
        message = {"role": "user", "content": f"Meanwhile parcel {number} came."}
        await host.done("remember", messages=[message], topic="post")
        longest = max(longest, time.monotonic() - started)
    raise AssertionError


@pytest.mark.heavy
@pytest.mark.timeout(180)
async def test_while_fifty_thousand_messages_are_forgotten_another_server_writes(tmp_path: Path) -> None:
    marker = b"zqmarker"
    await a_memory_of(tmp_path, "zqmarker", 100, "zqmarker {} is what was said of an ordinary day.")
    await a_memory_of(tmp_path, "home", 2, "Piano lesson {} is on Sunday.")
    written: list[tuple[int, float]] = []
    ended = anyio.Event()

    async def write(host: Host) -> None:
        written.append(await longest_wait(host, ended))

    async with connected(tmp_path) as one, connected(tmp_path) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(write, other)
        shown = await one.done("forget", topic="zqmarker")
        started = time.monotonic()
        done = await one.done("forget", confirm=shown["confirm"])
        answered = time.monotonic() - started
        found = await other.done("recall", query="zqmarker 4711", limit=50)
        seconds = answered + await seconds_until_gone(tmp_path, marker)
        ended.set()

    ((calls, wait),) = written
    print(  # noqa: T201 - figures for a person
        f"\nforgotten: answered after {answered:.2f} s, no byte left after {seconds:.1f} s; "
        f"meanwhile {calls} writes, the longest took {wait:.2f} s"
    )
    assert done["messages"] == 50_000
    assert marker.decode() not in str(found["hits"])
    assert state_of(tmp_path)[0] == 1000 + calls
    assert_whole(users_file(tmp_path))
    assert not are_in_files(marker, tmp_path)
    assert wait < 10


@pytest.mark.heavy
async def test_what_a_reader_kept_from_being_erased_is_gone_soon_after_it(tmp_path: Path) -> None:
    async with connected(tmp_path) as host:
        await host.done("remember", messages=[{"role": "user", "content": "zqmarker"}], topic="work")
        shown = await host.done("forget", topic="work")
        with another_process(tmp_path, "BEGIN; SELECT * FROM messages"):
            done = await host.done("forget", confirm=shown["confirm"])
        with anyio.fail_after(12):
            await seconds_until_gone(tmp_path, b"zqmarker")

    assert done["pending"]


@pytest.mark.heavy
async def test_what_a_killed_server_was_erasing_the_next_one_erases(tmp_path: Path) -> None:
    await a_memory_of(tmp_path, "zqmarker", 100, "zqmarker {} is what was said of an ordinary day.")
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        shown = (await answers(wire, [call(1, "forget", topic="zqmarker")]))[1]
        await wire.write(call(2, "forget", confirm=shown["confirm"]))
        while state_of(tmp_path)[0]:  # noqa: ASYNC110 - a file
            await anyio.sleep(0.01)
        wire.process.kill()
        await wire.process.wait()
    left = are_in_files(b"zqmarker", tmp_path)

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        with anyio.fail_after(40):  # a lease, and the pause between two looks
            seconds = await seconds_until_gone(tmp_path, b"zqmarker")

    print(f"\nerased {seconds:.1f} s after the next server began")  # noqa: T201 - a figure
    assert left
    assert_whole(users_file(tmp_path))


@pytest.mark.heavy
async def test_a_lock_of_three_seconds_is_waited_for(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await answers(wire, [remember(1, "before the lock")])
        with another_process(tmp_path, "BEGIN IMMEDIATE") as other:
            await wire.write(remember(2, "during the lock"))
            await anyio.sleep(3)
            other.execute("ROLLBACK")
            answer = await wire.read()

    assert not answer["result"]["isError"]
    assert list(kept(users_file(tmp_path)).values()) == ["before the lock", "during the lock"]


@pytest.mark.heavy
async def test_a_lock_that_lasts_is_declared_in_time_and_nothing_is_saved(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await answers(wire, [remember(1, "before the lock")])
        with another_process(tmp_path, "BEGIN IMMEDIATE"):
            with anyio.fail_after(12):
                for number in range(2, 10):
                    await wire.write(remember(number, f"during the lock {number}"))
                refused = [(await wire.read())["result"] for _ in range(2, 10)]
            kept_meanwhile = list(kept(users_file(tmp_path)).values())
        await answers(wire, [remember(11, "after the lock")])

    assert all(result["isError"] for result in refused)
    told = refused[0]["content"][0]["text"]
    assert "locked" in told
    assert "Nothing of this call was saved" in told
    assert kept_meanwhile == ["before the lock"]
    assert list(kept(users_file(tmp_path)).values()) == ["before the lock", "after the lock"]
    assert_whole(users_file(tmp_path))


@pytest.mark.heavy
@pytest.mark.parametrize("waiting", [1, 8])
@pytest.mark.parametrize("end", ["end of stdin", "SIGTERM"])
async def test_a_server_ends_though_writes_wait_for_a_lock(tmp_path: Path, end: str, waiting: int) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await answers(wire, [remember(1, "before the lock")])
        with another_process(tmp_path, "BEGIN IMMEDIATE"):
            for number in range(2, 2 + waiting):
                await wire.write(remember(number, f"during the lock {number}"))
            # Answered after the writes began to wait.
            await wire.ask("tools/call", {"name": "recall", "arguments": {"query": "lock"}})
            started = time.monotonic()
            with anyio.fail_after(5):
                if end == "SIGTERM":
                    wire.process.send_signal(signal.SIGTERM)
                else:
                    await wire.hang_up()
                code = await wire.process.wait()
            print(f"\nended after {time.monotonic() - started:.2f} s")  # noqa: T201
        told = wire.errors()

    assert code == 0
    assert "Traceback" not in told
    assert list(kept(users_file(tmp_path)).values()) == ["before the lock"]
    assert_whole(users_file(tmp_path))
