"""Calls under way: cancelled, too many of them, and what becomes of them when the server ends."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import apsw
import psutil
import pytest

from mem1_mcp.server.stdio import MAX_UNDER_WAY
from tests.test_stdio import Wire, call, connected, server_process

BUSY = -32010
END_SECONDS = 4  # twice what a server may take, for machines that are busy
ERAS = ("handshake", "stateless")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def parcel(number: int, era: str = "handshake", padding: str = "") -> dict[str, Any]:
    """Write a call that remembers two messages which only belong to this number."""
    said = [
        {"role": "user", "content": f"parcel{number} {part} {padding}".strip()}
        for part in ("sent", "arrived")
    ]
    message = call(number, "remember", messages=said)
    if era == "stateless":
        message["params"]["_meta"] = ENVELOPE
    return message


def cancel(number: int) -> dict[str, Any]:
    """Write the cancellation of a request."""
    return {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": number, "reason": "no longer wanted"},
    }


async def open_in(era: str, wire: Wire) -> None:
    """Connect in one of the protocol's eras; the stateless one has no handshake."""
    if era == "handshake":
        await wire.initialize()
    else:
        assert "result" in await wire.ask("tools/list", {"_meta": ENVELOPE})


def acknowledged(answers: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the calls that were done."""
    return sorted(a["id"] for a in answers if "result" in a and not a["result"]["isError"])


def busy(answers: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the calls that were refused because of the others."""
    return sorted(a["id"] for a in answers if a.get("error", {}).get("code") == BUSY)


async def kept_in(folder: Path) -> dict[int, int]:
    """Start the server anew; return how many messages it has of each parcel."""
    kept: Counter[int] = Counter()
    async with connected(folder) as host:
        topics = (await host.done("list_topics"))["topics"]
        page: dict[str, Any] = {}
        while True:
            found = await host.done("recall", limit=100, max_tokens=20_000, **page)
            kept.update(number_of(hit["text"]) for hit in found["hits"])
            if not found["more"]:
                break
            page = {"cursor": found["cursor"]}
    assert sum(topic["messages"] for topic in topics) == kept.total()
    return kept


def number_of(text: str) -> int:
    """Return which parcel a message is about."""
    return int(text.split(maxsplit=1)[0].removeprefix("parcel"))


async def bring_to_an_end(wire: Wire, end: signal.Signals | None) -> None:
    """Close the server's stdin, or send it a signal."""
    if end is None:
        await wire.hang_up()
    else:
        wire.process.send_signal(end)


async def ends_in_time(wire: Wire) -> list[dict[str, Any]]:
    """Wait until the process has ended; return the answers that were left."""
    with anyio.fail_after(END_SECONDS):
        code = await wire.process.wait()
    left = await wire.rest()
    assert code == 0
    assert "Traceback" not in wire.errors()
    return left


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Keep other processes from writing to the one memory in this folder."""
    (path,) = (folder / "memory" / "users").glob("*.db")
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@pytest.mark.heavy
@pytest.mark.parametrize("era", ERAS)
async def test_a_call_cancelled_at_any_moment_is_whole_or_absent(tmp_path: Path, era: str) -> None:
    moments = random.Random(7)  # noqa: S311 - for the same moments each time
    answers, late = [], []

    async with server_process(tmp_path) as wire:
        await open_in(era, wire)
        for first in range(0, 200, 5):
            numbers = range(first, first + 5)
            for number in numbers:
                await wire.write(parcel(number, era, "heron " * moments.choice([1, 1000, 5000])))
                if moments.random() < 0.5:  # a ping there and back is a moment
                    answers += await wire.answers_to(b"")
                await wire.write(cancel(moments.randint(first, number)))
            for number in moments.sample(numbers, 5):
                await wire.write(cancel(number))
            answers += await wire.answers_to(b"")
            late += [answer["id"] for answer in await wire.answers_to(b"")]
        listed = await wire.ask("tools/list", {"_meta": ENVELOPE} if era == "stateless" else {})
        await wire.hang_up()
        late += await ends_in_time(wire)
    kept = await kept_in(tmp_path)
    async with connected(tmp_path) as host:
        for number in range(200):
            found = await host.done("recall", query=f"parcel{number}", limit=4)
            hits = [hit for hit in found["hits"] if number_of(hit["text"]) == number]
            assert len(hits) == kept.get(number, 0)

    assert len(listed["result"]["tools"]) == 5
    assert late == []
    assert set(kept.values()) <= {2}
    assert set(acknowledged(answers)) <= set(kept)


@pytest.mark.heavy
@pytest.mark.parametrize("era", ERAS)
async def test_calls_cancelled_while_they_wait_for_their_turn_are_whole_or_absent(
    tmp_path: Path, era: str
) -> None:
    numbers = range(1, 21)

    async with server_process(tmp_path) as wire:
        await open_in(era, wire)
        await wire.write(parcel(0, era))
        answers = [await wire.read()]
        with locked(tmp_path):
            for number in numbers:
                await wire.write(parcel(number, era))
            answers += await wire.answers_to(b"")
            for number in numbers:
                await wire.write(cancel(number))
            answers += await wire.answers_to(b"")
        await wire.write(parcel(100, era))
        answers += [await wire.read()]
        await wire.hang_up()
        answers += await ends_in_time(wire)
    kept = await kept_in(tmp_path)

    assert acknowledged(answers) == [0, 100]
    assert set(kept.values()) == {2}
    assert {0, 100} <= set(kept)
    assert len(kept) < len(numbers)


@pytest.mark.heavy
@pytest.mark.parametrize("era", ERAS)
async def test_a_cancelled_call_is_not_waited_for(tmp_path: Path, era: str) -> None:
    async with server_process(tmp_path) as wire:
        await open_in(era, wire)
        for number in range(MAX_UNDER_WAY + 44):
            lines = [json.dumps(line).encode() for line in (parcel(number, era), cancel(number))]
            assert busy(await wire.answers_to(b"\n".join(lines))) == []
        await wire.hang_up()
        left = await ends_in_time(wire)
    kept = await kept_in(tmp_path)

    assert busy(left) == []
    assert set(kept.values()) <= {2}


@pytest.mark.parametrize("end", [None, *(pytest.param(each, marks=pytest.mark.heavy) for each in SIGNALS)])
async def test_the_end_loses_nothing_that_was_acknowledged(
    tmp_path: Path, end: signal.Signals | None
) -> None:
    numbers = range(1, 21)

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.write_raw(b"".join(json.dumps(parcel(n)).encode() + b"\n" for n in numbers))
        answers = [await wire.read()]
        await bring_to_an_end(wire, end)
        answers += await ends_in_time(wire)
    kept = await kept_in(tmp_path)

    assert set(kept.values()) == {2}
    assert set(acknowledged(answers)) <= set(kept)
    assert end is not None or acknowledged(answers) == sorted(kept) == list(numbers)


@pytest.mark.parametrize("end", [None, *(pytest.param(each, marks=pytest.mark.heavy) for each in SIGNALS)])
async def test_a_host_that_reads_no_answers_does_not_keep_the_server_alive(
    tmp_path: Path, end: signal.Signals | None
) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        for number in range(MAX_UNDER_WAY + 100):
            # Of less than 4,096 bytes: a pipe that is full takes such an answer whole or not at all.
            await wire.write({"jsonrpc": "2.0", "id": number, "method": "prompts/list"})
        await bring_to_an_end(wire, end)
        # Not by waiting for the process: that may wait for what it wrote to be read, too.
        with anyio.fail_after(END_SECONDS):
            while is_running(wire.process.pid):  # noqa: ASYNC110 - a process
                await anyio.sleep(0.01)
        await wire.rest()
        code = await wire.process.wait()

    assert code == 0


@pytest.mark.heavy
@pytest.mark.parametrize("end", [signal.SIGTERM, None, signal.SIGINT])
async def test_the_end_waits_for_no_lock_of_another_process(
    tmp_path: Path, end: signal.Signals | None
) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.ask("tools/call", parcel(0)["params"])
        with locked(tmp_path):
            for number in range(1, 21):
                await wire.write(parcel(number))
            answers = await wire.answers_to(b"")
            await bring_to_an_end(wire, end)
            answers += await ends_in_time(wire)
    kept = await kept_in(tmp_path)

    assert acknowledged(answers) == []
    assert kept == {0: 2}


@pytest.mark.heavy
@pytest.mark.parametrize("reading", ["meanwhile", "afterwards"])
async def test_a_flood_is_answered_call_by_call(tmp_path: Path, reading: str) -> None:
    numbers = range(2000)
    answers = []

    async def read() -> None:
        answers.extend([await wire.read() for _ in numbers])

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        async with anyio.create_task_group() as tasks:
            if reading == "meanwhile":
                tasks.start_soon(read)
            await wire.write_raw(b"".join(json.dumps(parcel(n)).encode() + b"\n" for n in numbers))
            if reading == "afterwards":
                tasks.start_soon(read)
        after = await wire.ask("tools/call", parcel(2000)["params"])
        await wire.hang_up()
        await ends_in_time(wire)
    kept = await kept_in(tmp_path)
    refused = next(a["error"]["message"] for a in answers if a.get("error"))

    assert after["result"]["isError"] is False
    assert sorted([*acknowledged(answers), *busy(answers)]) == list(numbers)
    assert len(acknowledged(answers)) >= MAX_UNDER_WAY
    assert kept == dict.fromkeys([*acknowledged(answers), 2000], 2)
    assert "busy" in refused
    assert "Nothing was done" in refused
    assert "send it again" in refused


async def test_one_call_too_many_is_refused_at_once_and_taken_when_there_is_room(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.ask("tools/call", parcel(0)["params"])
        with locked(tmp_path):
            for number in range(1, MAX_UNDER_WAY + 1):
                await wire.write(parcel(number))
            refused = await wire.answers_to(json.dumps(parcel(500)).encode())
        answers = [await wire.read() for _ in range(MAX_UNDER_WAY)]
        taken = await wire.ask("tools/call", parcel(500)["params"])

    assert busy(refused) == [500]
    assert acknowledged(answers) == list(range(1, MAX_UNDER_WAY + 1))
    assert taken["result"]["isError"] is False


async def test_few_long_calls_are_as_many_as_are_taken_at_a_time(tmp_path: Path) -> None:
    def long(number: int) -> dict[str, Any]:
        message = parcel(number)
        message["params"]["arguments"]["padding"] = "x" * 12_000_000
        return message

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.ask("tools/call", parcel(0)["params"])
        with locked(tmp_path):
            for number in (1, 2, 3):
                await wire.write(long(number))
            refused = await wire.read()
        answers = [await wire.read(), await wire.read()]

    assert busy([refused]) == [3]
    assert acknowledged(answers) == [1, 2]
