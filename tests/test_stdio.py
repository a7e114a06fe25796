"""The server as a process of its own, the way hosts run it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.conftest import Host

COMMAND = [sys.executable, "-m", "mem1_mcp"]
ALL_SECONDS = 60  # a hang ends here
MAX_LINE = 16 * 1024 * 1024

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Wire:
    """The raw end of a host: writes lines to a server process and reads its lines."""

    def __init__(self, process: Process, errors: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._errors = errors
        self._number = 1000

    async def write(self, line: bytes | dict[str, Any]) -> None:
        """Write one line, a message or whatever else."""
        await self.write_raw((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")

    async def write_raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        await self._stdin.send(data)

    async def read(self) -> dict[str, Any]:
        """Read one line, which must be a message."""
        message = json.loads(await self._stdout.receive_until(b"\n", 2 * MAX_LINE))
        assert message["jsonrpc"] == "2.0"
        return dict(message)

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and read its answer."""
        self._number += 1
        await self.write({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}})
        answer = await self.read()
        assert answer["id"] == self._number
        return answer

    async def answers_to(self, line: bytes) -> list[dict[str, Any]]:
        """Write one line, then ping; return what came before the ping's answer."""
        self._number += 1
        await self.write(line)
        await self.write({"jsonrpc": "2.0", "id": self._number, "method": "ping"})
        answers = []
        while (message := await self.read()).get("id") != self._number:
            answers.append(message)
        return answers

    async def initialize(self) -> None:
        """Shake hands."""
        assert "result" in await self.ask("initialize", INITIALIZE)
        await self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def hang_up(self) -> None:
        """Close the server's stdin."""
        await self._stdin.aclose()

    async def rest(self) -> list[dict[str, Any]]:
        """Read to the end of stdout, which holds nothing but messages."""
        left = []
        while True:
            try:
                left.append(await self.read())
            except (anyio.IncompleteRead, anyio.EndOfStream):
                assert not self._stdout.buffer
                return left

    def errors(self) -> str:
        """Return what was written to stderr so far."""
        return self._errors.read_text(encoding="utf-8")


@asynccontextmanager
async def server_process(
    folder: Path, *, seconds: float = ALL_SECONDS, **environ: str
) -> AsyncGenerator[Wire]:
    """Run a server over a memory in this folder; ended with the block, or after so long."""
    errors = folder / "stderr.txt"
    environment = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")} | environ
    with anyio.fail_after(seconds), errors.open("ab") as stderr:
        async with await anyio.open_process(COMMAND, stderr=stderr, env=environment) as process:
            try:
                yield Wire(process, errors)
            finally:
                if process.returncode is None:
                    process.kill()


@asynccontextmanager
async def connected(
    folder: Path, mode: str = "auto", *, seconds: float = ALL_SECONDS, **environ: Any
) -> AsyncGenerator[Host]:
    """Run a server and connect the SDK's own client to it."""
    parameters = StdioServerParameters(
        command=COMMAND[0],
        args=COMMAND[1:],
        env=os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")} | environ,
    )
    with (
        anyio.fail_after(seconds),
        (folder / "stderr.txt").open("a", encoding="utf-8") as stderr,
    ):
        async with Client(stdio_client(parameters, errlog=stderr), mode=mode) as client:
            yield Host(client)


def call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    """Write a call of a tool as a message."""
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


@pytest.mark.parametrize("mode", [pytest.param("legacy", marks=pytest.mark.heavy), "auto"])
async def test_what_one_process_remembered_the_next_one_finds(tmp_path: Path, mode: str) -> None:
    said = {"role": "user", "content": "我对花生过敏 🥜"}

    async with connected(tmp_path, mode) as host:
        await host.done("remember", messages=[said], facts=[{"text": "对花生过敏"}])

    async with connected(tmp_path, mode) as host:
        found = await host.done("recall", query="花生")
        profile = await host.profile()
        instructions = host.client.instructions
    assert found["hits"][0]["text"] == "我对花生过敏 🥜"
    assert "对花生过敏" in profile
    assert "对花生过敏" in (instructions or "")


async def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "MEM1_USER_ID": "wei",
        "MEM1_TOPIC_ID": "工作",
        "MEM1_TIMEZONE": "Asia/Tokyo",
    }

    async with connected(tmp_path, **settings) as host:
        saved = await host.done("remember", facts=[{"text": "Works in Tokyo"}])
        found = await host.done("recall")

    assert (saved["user"], saved["topic"]) == ("wei", "工作")
    assert found["now"].endswith("+09:00")


async def test_names_that_are_no_settings_are_warned_about_with_the_nearest(tmp_path: Path) -> None:
    async with server_process(tmp_path, MEM1_USERID="wei", MEM1_NOTHING_LIKE_IT="1") as wire:
        await wire.initialize()
        told = wire.errors()

    assert "MEM1_USERID is not a setting of this version; did you mean MEM1_USER_ID?" in told
    assert "MEM1_NOTHING_LIKE_IT is not a setting of this version" in told


async def test_a_wrong_setting_ends_the_process_in_words_and_keeps_stdout_clean(tmp_path: Path) -> None:
    async with server_process(tmp_path, MEM1_TIMEZONE="Mars/Olympus") as wire:
        assert await wire.rest() == []
        code = await wire.process.wait()
        told = wire.errors()

    assert code == 1
    assert "MEM1_TIMEZONE" in told
    assert "Asia/Shanghai" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_in_order(tmp_path: Path, stop: signal.Signals) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.ask("tools/call", {"name": "recall", "arguments": {}})
        wire.process.send_signal(stop)
        code = await wire.process.wait()
        told = wire.errors()

    assert code == 0
    assert "Traceback" not in told


async def test_every_piped_call_is_answered_before_the_end(tmp_path: Path) -> None:
    numbers = range(1, 21)

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        for number in numbers:
            message = {"role": "user", "content": f"parcel {number} arrived"}
            await wire.write(call(number, "remember", messages=[message]))
        await wire.hang_up()
        answers = await wire.rest()
        code = await wire.process.wait()

    assert code == 0
    assert sorted(answer["id"] for answer in answers) == list(numbers)
    assert not any(answer["result"]["isError"] for answer in answers)


async def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        message = {"role": "user", "content": "My locker code is behind the mirror."}
        await wire.write(call(1, "remember", messages=[message]))
        assert (await wire.read())["result"]["isError"] is False
        wire.process.kill()
        await wire.process.wait()

    async with connected(tmp_path) as host:
        assert "locker" in await host.text("recall", query="locker")


async def test_half_an_emoji_is_refused_by_its_id_and_a_whole_one_is_kept(tmp_path: Path) -> None:
    half = (
        b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"remember",'
        b'"arguments":{"messages":[{"role":"user","content":"thumbs \\ud83d"}]}}}'
    )

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        refused = await wire.answers_to(half)
        await wire.write(half.replace(b"\\ud83d", b"\\ud83d\\udc4d"))
        saved = await wire.read()
        await wire.write(call(8, "recall"))
        found = (await wire.read())["result"]["structuredContent"]

    assert [answer["id"] for answer in refused] == [7]
    assert "half a character" in refused[0]["error"]["message"]
    assert "Nothing was done" in refused[0]["error"]["message"]
    assert saved["result"]["isError"] is False
    assert [hit["text"] for hit in found["hits"]] == ["thumbs 👍"]


async def test_nothing_but_messages_comes_out_of_stdout(tmp_path: Path) -> None:
    async with server_process(tmp_path, MEM1_LOG_LEVEL="DEBUG", MEM1_USERID="noise") as wire:
        await wire.initialize()
        await wire.ask("tools/list")
        await wire.ask("tools/call", {"name": "recall", "arguments": {"query": "locker"}})
        await wire.ask("tools/call", {"name": "nope", "arguments": {}})
        await wire.ask("resources/read", {"uri": "memory://profile"})
        await wire.hang_up()
        left = await wire.rest()

    assert left == []


async def test_what_was_said_is_never_logged(tmp_path: Path) -> None:
    async with server_process(tmp_path, MEM1_LOG_LEVEL="INFO") as wire:
        await wire.initialize()
        message = {"role": "user", "content": "My locker code is behind the mirror."}
        fact = {"text": "Hides things behind the mirror"}
        await wire.ask("tools/call", call(1, "remember", messages=[message], facts=[fact])["params"])
        await wire.ask("tools/call", call(2, "recall", query="mirror")["params"])
        await wire.hang_up()
        await wire.rest()
        told = wire.errors()

    assert "mirror" not in told


HEAVY = ("openai", "elasticsearch", "numpy", "rich", "typer", "PIL")

# Runs the program with its stdin and stdout as they are, and lists its modules on stderr at the end.
LISTING = """
import os, sys
leave = os._exit
def listing(code):
    sys.stderr.write("MODULES " + " ".join(sorted({name.partition(".")[0] for name in sys.modules})))
    sys.stderr.flush()
    leave(code)
os._exit = listing
from mem1_mcp.cli import main
sys.argv = ["mem1-mcp"]
main()
"""


async def test_serving_a_host_imports_nothing_heavy(tmp_path: Path) -> None:
    message = {"role": "user", "content": "I am allergic to peanuts 我对花生过敏"}
    environment = os.environ | {"MEM1_MEMORY_DIR": str(tmp_path / "memory")}
    errors = tmp_path / "stderr.txt"

    with anyio.fail_after(ALL_SECONDS), errors.open("wb") as stderr:
        async with await anyio.open_process(
            [sys.executable, "-c", LISTING], stderr=stderr, env=environment
        ) as process:
            wire = Wire(process, errors)
            await wire.initialize()
            await wire.ask("tools/list")
            await wire.ask("tools/call", call(1, "remember", messages=[message])["params"])
            await wire.ask("tools/call", call(2, "recall", query="花生 peanut")["params"])
            await wire.hang_up()
            await wire.rest()
            await process.wait()

    imported = set(wire.errors().rpartition("MODULES ")[2].split())
    assert {"mem1_mcp", "mcp", "apsw"} <= imported
    assert sorted(imported.intersection(HEAVY)) == []


async def test_two_processes_share_one_memory(tmp_path: Path) -> None:
    async with connected(tmp_path) as one, connected(tmp_path) as other:
        await one.done("remember", messages=[{"role": "user", "content": "saw a heron"}])
        await other.done("remember", messages=[{"role": "user", "content": "saw a stork"}])
        seen_by_one = await one.done("recall")
        seen_by_other = await other.done("recall")

    assert [hit["text"] for hit in seen_by_one["hits"]] == ["saw a heron", "saw a stork"]
    assert seen_by_one["hits"] == seen_by_other["hits"]
