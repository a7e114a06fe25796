"""What do calls cost over HTTP, by one client and by many? Beside a bare SDK server, turn about.

    python benchmarks/over_http.py [--clients 1,32] [--seconds 1.5] [--rounds 4]

Starts two servers on this machine's loopback: mem1-mcp over a new memory, and the echo server
(echo_server.py --http), the least that can be written with the same SDK, with uvicorn set alike. Each
client has one connection and sends its next call when it has the answer. The clients are of some
users; those who recall write nothing, so that what is searched stays as long as it is.

For both protocol eras and each number of clients the servers take turns: echo, remember, echo, recall,
and so on. So what else the machine does falls on both, and the ratios hold where the times do not.
mem1-mcp runs with MEM1_RATE_LIMIT=0: by default a token may send 1200 requests a minute.

Prints a table, and takes 8 x (numbers of clients) x (rounds) x (seconds), and some seconds more.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import life
from anyio.streams.buffered import BufferedByteStream
from rich.console import Console
from rich.progress import Progress
from run import percentile, surroundings

_ECHO = [sys.executable, str(Path(__file__).with_name("echo_server.py")), "--http"]
_MEM1 = [sys.executable, "-m", "mem1_mcp"]
_URL = re.compile(rb"Serving http://([^:]+):(\d+)/mcp")
_ERAS = ("2026-07-28", "2025-11-25")  # the newer one, and the last with a handshake
_WARM_SECONDS = 0.5  # that are not counted: the first calls open files
_START_SECONDS = 30
_MOST = 1 << 24  # bytes of an answer
_META = {
    "io.modelcontextprotocol/protocolVersion": _ERAS[0],
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Client:
    """One connection at a time, in one era: no library in between, so that servers are measured."""

    def __init__(self, host: str, port: int, era: str, headers: str) -> None:
        self._address = host, port
        self._is_newer = era == _ERAS[0]
        self._numbers = count(1)
        self._head = (
            f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}Content-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {era}\r\n"
        )

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Have a connection while the block runs; a session outlives it."""
        async with await anyio.connect_tcp(*self._address) as stream:
            self._stream = BufferedByteStream(stream)
            yield

    async def shake_hands(self) -> None:
        """Open a session, where the era has them."""
        if self._is_newer:
            return
        told = {
            "protocolVersion": _ERAS[1],
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        }
        head, _ = await self._post({"id": next(self._numbers), "method": "initialize", "params": told})
        session = re.search(rb"mcp-session-id: (\w+)", head)
        assert session, head
        self._head += f"Mcp-Session-Id: {session[1].decode()}\r\n"
        await self._post({"method": "notifications/initialized"})

    async def call(self, tool: str, arguments: dict[str, Any]) -> None:
        """Call a tool that must succeed."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        more = ""
        if self._is_newer:
            params["_meta"] = _META
            more = f"Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
        asked = {"id": next(self._numbers), "method": "tools/call", "params": params}
        _, body = await self._post(asked, more)
        answer = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
        assert answer["id"] == asked["id"], answer
        assert not answer["result"].get("isError"), answer

    async def _post(self, message: dict[str, Any], more: str = "") -> tuple[bytes, bytes]:
        body = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode()
        await self._stream.send(f"{self._head}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await self._stream.receive_until(b"\r\n\r\n", _MOST)).lower()
        assert head.startswith((b"http/1.1 200", b"http/1.1 202")), head
        length = re.search(rb"content-length: (\d+)", head)
        if length:
            return head, await self._stream.receive_exactly(int(length[1]))
        answer = b""
        while size := int(await self._stream.receive_until(b"\r\n", _MOST), 16):
            answer += await self._stream.receive_exactly(size)
            await self._stream.receive_exactly(2)
        await self._stream.receive_exactly(2)
        return head, answer


@dataclass
class Server:
    """A running server, and the token that lets a service in."""

    host: str
    port: int
    token: str

    async def clients(self, users: list[str], era: str) -> list[Client]:
        """Make a client for each user named."""
        made = []
        for user in users:
            headers = f"Authorization: Bearer {self.token}\r\nX-Mem1-User: {user}\r\n"
            made.append(Client(self.host, self.port, era, headers))
            async with made[-1].connected():
                await made[-1].shake_hands()
        return made


@asynccontextmanager
async def serving(command: list[str], token: str, **environ: str) -> AsyncGenerator[Server]:
    """Run a server until the block ends."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    async with await anyio.open_process(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**kept, **environ}
    ) as process:
        try:
            assert process.stderr is not None
            told = b""
            with anyio.fail_after(_START_SECONDS):
                while not (found := _URL.search(told)):
                    told += await process.stderr.receive()
            yield Server(found[1].decode(), int(found[2]), token)
        finally:
            if process.returncode is None:
                process.kill()


def make_token(folder: str) -> str:
    """Make the token of a service, which says in each request whose memory it is about."""
    made = subprocess.run(
        [*_MEM1, "token", "create", "--service"],
        env={**os.environ, "MEM1_MEMORY_DIR": folder},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def users_of(kind: str, users: int, clients: int) -> list[str]:
    """Say whose each client is."""
    return [f"{kind}-{number % users}" for number in range(clients)]


async def fill(server: Server, users: int, messages: int) -> None:
    """Give those who recall something to find."""
    for seed, client in enumerate(await server.clients(users_of("reader", users, users), _ERAS[0])):
        told = life.messages(messages, seed)
        async with client.connected():
            while batch := list(islice(told, 500)):
                await client.call("remember", {"messages": batch})


@dataclass
class Taken:
    """What calls of one kind took: milliseconds each, and seconds for all of them."""

    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """How many were answered a second."""
        return len(self.milliseconds) / self.seconds

    def cells(self, base: Taken | None) -> list[str]:
        """Write calls a second, p50 (with its ratio) and p95."""
        p50 = median(self.milliseconds)
        ratio = f" ({p50 / median(base.milliseconds):.1f}×)" if base else ""
        return [
            f"{self.per_second:,.0f}",
            f"{p50:.1f}{ratio}",
            f"{percentile(self.milliseconds, 0.95):.1f}",
        ]


Next = Callable[[], tuple[str, dict[str, Any]]]


async def load(clients: list[Client], seconds: float, each: Next, taken: Taken) -> None:
    """Let all clients call at once, as fast as they are answered, and add what it took."""

    async def go_on(client: Client) -> None:
        while time.perf_counter() < until:
            tool, arguments = each()
            began = time.perf_counter()
            await client.call(tool, arguments)
            taken.milliseconds.append((time.perf_counter() - began) * 1000)

    # Connected for each turn: servers hang up on who is silent for the others' turns.
    async with AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client.connected())
        began = time.perf_counter()
        until = began + seconds
        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(go_on, client)
        taken.seconds += time.perf_counter() - began


def kinds() -> tuple[Next, Next, Next]:
    """Return what writes the next call of echo, remember and recall, all with the same words."""
    said: Iterator[str] = (message["content"] for message in life.messages(10_000_000, seed=99))
    asked = cycle(life.questions(2000))
    return (
        lambda: ("echo", {"text": next(said)}),
        lambda: ("remember", {"messages": [{"role": "user", "content": next(said)}]}),
        lambda: ("recall", {"query": next(asked)}),
    )


async def measure(echo: Server, mem1: Server, number: int, era: str, options: argparse.Namespace) -> str:
    """Let so many clients of one era call, the servers in turns; return the row of the table."""
    next_echo, next_remember, next_recall = kinds()
    base, remembered, recalled = Taken(), Taken(), Taken()
    readers, writers = (users_of(kind, options.users, number) for kind in ("reader", "writer"))
    bare, reading = await echo.clients(readers, era), await mem1.clients(readers, era)
    turns = [
        (bare, next_echo, base),
        (await mem1.clients(writers, era), next_remember, remembered),
        (bare, next_echo, base),
        (reading, next_recall, recalled),
    ]
    for clients, each, _ in turns[1:]:
        await load(clients, _WARM_SECONDS, each, Taken())
    for _ in range(options.rounds):
        for clients, each, taken in turns:
            await load(clients, options.seconds, each, taken)
    cells = [str(number), era, *base.cells(None), *remembered.cells(base), *recalled.cells(base)]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| clients | protocol | echo/s | p50 ms | p95 | remember/s | p50 (to echo) | p95 "
    "| recall/s | p50 (to echo) | p95 |\n|" + "---:|" * 11
)


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    numbers = sorted({int(part) for part in options.clients.split(",")})
    with tempfile.TemporaryDirectory() as folder:
        token = make_token(folder)
        mem1 = [*_MEM1, "serve", "--http", "--port", "0"]
        async with (
            serving(mem1, token, MEM1_MEMORY_DIR=folder, MEM1_RATE_LIMIT="0") as memory,
            serving(_ECHO, "") as echo,
        ):
            await fill(memory, options.users, options.messages)
            print(HEAD, flush=True)
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("calls", total=len(numbers) * len(_ERAS))
                for number in numbers:
                    for era in _ERAS:
                        row = await measure(echo, memory, number, era, options)
                        print(row, flush=True)
                        progress.advance(task)
    print(f"\nMade with {surroundings()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clients", default="1,32", help="how many at once, comma separated; up to 100")
    parser.add_argument("--users", type=int, default=8, help="who recall, and as many who remember")
    parser.add_argument("--messages", type=int, default=1000, help="in the memory of each who recalls")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one turn of one server")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of four turns for each row")
    anyio.run(main, parser.parse_args())
