"""How an HTTP server ends, whatever is open and under way; and two of them over one memory or port."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psutil
import pytest
from anyio.abc import Process, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import MCPError
from mcp.types import ElicitRequestParams, ElicitResult

from tests.conftest import Host
from tests.serving import (
    ALL_SECONDS,
    COMMAND,
    Served,
    create_token,
    http_client,
    mem1,
    over_http,
    served,
)
from tests.test_asking import before, texts
from tests.test_stdio import INITIALIZE
from tests.test_under_way import ENVELOPE, is_running, kept_in, locked, parcel

END_SECONDS = 6  # three are promised, and two at most taken; a machine may have other things to do
ENOUGH = 12  # parcels that are acknowledged before the end begins
CLIENTS = [("auto", "http"), ("legacy", "http"), ("legacy", "sse")]
# Each signal takes the same way; the last: the parent is killed.
ENDS = [
    pytest.param(signal.SIGINT, marks=pytest.mark.heavy),
    signal.SIGTERM,
    pytest.param(signal.SIGHUP, marks=pytest.mark.heavy),
    None,
]
PROFILE = "memory://profile"
STREAMS = ("/mcp of a session", "/sse", "subscriptions/listen")
BOTH_KINDS = {"Accept": "application/json, text/event-stream"}


def told_of_end(end: signal.Signals | None) -> str:
    return "its parent killed" if end is None else end.name


def newer(method: str, meta: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    """Write a request of 2026-07-28 as what ``httpx2`` posts: its body, and the headers that repeat it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta or ENVELOPE}}
    headers = {**BOTH_KINDS, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return {"json": body, "headers": headers}


async def follow(
    http: httpx2.AsyncClient, ends: dict[str, str], asked: tuple[Any, ...], *, task_status: TaskStatus[None]
) -> None:
    """Read a stream until it ends; note whether it ended in order."""
    name, method, url, sent = asked
    async with http.stream(method, url, **sent) as response:
        assert response.status_code == 200
        task_status.started()
        try:
            async for _ in response.aiter_lines():
                pass
        except httpx2.HTTPError as error:
            ends[name] = repr(error)
        else:
            ends[name] = "in order"


@asynccontextmanager
async def streams_open(url: str) -> AsyncGenerator[dict[str, str]]:
    """Keep a stream of each kind open; yield how each ended, which is known after the block."""
    ends: dict[str, str] = {}
    async with http_client() as http, anyio.create_task_group() as tasks:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
        opened = await http.post(f"{url}/mcp", json=asked, headers=BOTH_KINDS)
        session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"], **BOTH_KINDS}
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await http.post(f"{url}/mcp", json=done, headers=session)
        subscriptions = newer("subscriptions/listen", notifications={"resourceSubscriptions": [PROFILE]})
        requests: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("GET", f"{url}/mcp", {"headers": session}),
            ("GET", f"{url}/sse", {}),
            ("POST", f"{url}/mcp", subscriptions),
        )
        for name, (method, where, sent) in zip(STREAMS, requests, strict=True):
            await tasks.start(follow, http, ends, (name, method, where, sent))
        yield ends


class Writers:
    """Hosts that remember parcel after parcel, until the server answers no more."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self._numbers = itertools.count()
        self._more = anyio.Event()

    async def write(self, url: str, era: str, transport: str) -> None:
        """Write as one host."""
        try:
            async with over_http(url, transport=transport, era=era) as host:
                for number in self._numbers:
                    if not await is_remembered(host, number):
                        break
                    self.acknowledged.append(number)
                    self._more.set()
        except* httpx2.TransportError:
            pass  # no answer is no acknowledgement

    async def wrote(self, count: int) -> None:
        """Wait until so many parcels are acknowledged."""
        while len(self.acknowledged) < count:
            self._more = anyio.Event()
            await self._more.wait()


async def is_remembered(host: Host, number: int) -> bool:
    """Have a parcel remembered; false where the server ended before it said so."""
    try:
        result = await host.call("remember", **parcel(number)["params"]["arguments"])
    except MCPError:
        return False
    return not result.is_error


@asynccontextmanager
async def busy(url: str) -> AsyncGenerator[tuple[Writers, dict[str, str]]]:
    """Keep a server busy by streams of each kind and hosts of each that write, until it ends."""
    writers = Writers()
    async with streams_open(url) as ends, anyio.create_task_group() as tasks:
        for era, transport in CLIENTS:
            tasks.start_soon(writers.write, url, era, transport)
        await writers.wrote(ENOUGH)
        yield writers, ends


async def is_all_there_after_a_restart(folder: Path, url: str, acknowledged: list[int]) -> None:
    """Serve on the same port again; all that was acknowledged must be there, and nothing half."""
    async with served(folder, "--no-auth", "--port", port_of(url)) as again:
        assert again.url == url
        async with over_http(url) as host:
            assert await is_remembered(host, 1_000_000)
    kept = await kept_in(folder)

    assert set(kept.values()) == {2}
    assert {*acknowledged, 1_000_000} <= set(kept)


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


def assert_in_order(server: Served) -> None:
    """Nothing went wrong, by what the process said."""
    told = server.errors()
    assert not any(word in told for word in ("Traceback", "ERROR", "WARNING", "Exception")), told


PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


@asynccontextmanager
async def served_by_a_parent(folder: Path) -> AsyncGenerator[tuple[Served, int]]:
    """Have a program serve by a child with a pipe on stdin; yield the program and the child's id."""
    errors = folder / "stderr.txt"
    errors.touch()
    command = [*COMMAND, "serve", "--http", "--port", "0", "--no-auth"]
    environment = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")}
    with anyio.fail_after(ALL_SECONDS), errors.open("ab") as stderr:
        async with await anyio.open_process(
            [sys.executable, "-c", PARENT, *command],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
        ) as parent:
            assert parent.stdout is not None
            child = psutil.Process(
                int(await BufferedByteReceiveStream(parent.stdout).receive_until(b"\n", 100))
            )
            try:
                server = Served(parent, errors)
                await server.begun()
                yield server, child.pid
            finally:
                if parent.returncode is None:
                    parent.kill()
                if child.is_running():
                    child.kill()


@asynccontextmanager
async def served_to_its_end(
    folder: Path, end: signal.Signals | None
) -> AsyncGenerator[tuple[Served, Callable[[], Awaitable[None]]]]:
    """Serve; yield the server, and what ends it by a signal or, for ``None``, by killing its parent.

    That returns when the process is gone, in time and of its own will.
    """
    if end is None:
        async with served_by_a_parent(folder) as (server, child):
            yield server, partial(_kill_parent, server.process, child)
    else:
        async with served(folder, "--no-auth") as server:
            yield server, partial(_send, server.process, end)


async def _kill_parent(parent: Process, child: int) -> None:
    parent.kill()
    with anyio.fail_after(END_SECONDS):
        while is_running(child):  # noqa: ASYNC110 - a process that is nobody's any more
            await anyio.sleep(0.01)


async def _send(process: Process, end: signal.Signals) -> None:
    process.send_signal(end)
    with anyio.fail_after(END_SECONDS):
        assert await process.wait() == 0


@pytest.mark.heavy
@pytest.mark.parametrize("end", ENDS, ids=told_of_end)
async def test_a_busy_server_ends_in_order(tmp_path: Path, end: signal.Signals | None) -> None:
    with hanging_up(signal.SIG_DFL):
        async with served_to_its_end(tmp_path, end) as (server, bring_to_its_end):
            async with busy(server.url) as (writers, ends):
                await bring_to_its_end()

            assert_in_order(server)
            assert ends == dict.fromkeys(STREAMS, "in order")
    await is_all_there_after_a_restart(tmp_path, server.url, writers.acknowledged)


@contextmanager
def hanging_up(handled: signal.Handlers) -> Generator[None]:
    """Have processes that are started here ignore SIGHUP, as ``nohup`` does, or not, whatever we do."""
    before = signal.signal(signal.SIGHUP, handled)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_server_that_was_started_to_outlive_its_terminal_does(tmp_path: Path) -> None:
    with hanging_up(signal.SIG_IGN):
        async with served(tmp_path, "--no-auth") as server:
            async with busy(server.url) as (writers, ends):
                server.process.send_signal(signal.SIGHUP)
                await writers.wrote(len(writers.acknowledged) + ENOUGH)
                await _send(server.process, signal.SIGTERM)

            assert_in_order(server)
            assert ends == dict.fromkeys(STREAMS, "in order")


@pytest.mark.heavy
@pytest.mark.parametrize("end", [signal.SIGTERM, None], ids=told_of_end)
async def test_the_end_waits_for_no_lock_of_another_process(
    tmp_path: Path, end: signal.Signals | None
) -> None:
    remembered = []

    async def note(host: Host, number: int) -> None:
        if await is_remembered(host, number):
            remembered.append(number)

    async def write(
        url: str, era: str, transport: str, numbers: range, *, task_status: TaskStatus[None]
    ) -> None:
        try:
            async with (
                over_http(url, era=era, transport=transport) as host,
                anyio.create_task_group() as calls,
            ):
                for number in numbers:
                    calls.start_soon(note, host, number)
                await host.done("list_topics")
                task_status.started()
        except* httpx2.TransportError:
            pass  # no answer is no acknowledgement

    async with (
        served_to_its_end(tmp_path, end) as (server, bring_to_its_end),
        anyio.create_task_group() as tasks,
    ):
        async with over_http(server.url) as host:
            await note(host, 0)
        with locked(tmp_path):
            for index, (era, transport) in enumerate(CLIENTS):
                numbers = range(10 * index + 1, 10 * index + 11)
                await tasks.start(write, server.url, era, transport, numbers)
            await bring_to_its_end()
    kept = await kept_in(tmp_path)

    assert_in_order(server)
    assert remembered == [0]
    assert kept == {0: 2}


@pytest.mark.heavy
@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_the_end_waits_for_no_answer_of_a_person(tmp_path: Path, transport: str) -> None:
    asked = anyio.Event()

    async def never(_context: Any, _params: ElicitRequestParams) -> ElicitResult:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def forget_everything(host: Host) -> None:
        with pytest.raises(MCPError):
            await host.call("forget", everything=True)

    async with served(tmp_path, "--no-auth") as server:
        try:
            async with (
                over_http(server.url, era="legacy", transport=transport, **before(never)) as host,
                anyio.create_task_group() as tasks,
            ):
                assert await is_remembered(host, 0)
                tasks.start_soon(forget_everything, host)
                await asked.wait()
                await _send(server.process, signal.SIGTERM)
        except* httpx2.TransportError:
            pass  # the client tried once more
    kept = await kept_in(tmp_path)

    assert_in_order(server)
    assert kept == {0: 2}


@pytest.mark.heavy
async def test_a_second_server_on_one_port_is_refused_in_words(tmp_path: Path) -> None:
    async with served(tmp_path, "--no-auth") as server:
        port = port_of(server.url)
        second = mem1(tmp_path, "serve", "--http", "--no-auth", "--port", port)
        async with over_http(server.url) as host:
            assert await is_remembered(host, 0)

    assert second.returncode == 1
    assert f"port {port} can't be listened on" in second.stderr
    assert "another port" in second.stderr
    assert "Traceback" not in second.stderr


@asynccontextmanager
async def two_servers(folder: Path) -> AsyncGenerator[tuple[str, str]]:
    """Serve one memory by two processes; yield where."""
    async with served(folder) as one, served(folder) as other:
        yield one.url, other.url


@pytest.mark.heavy
async def test_two_servers_share_one_memory(tmp_path: Path) -> None:
    token = create_token(tmp_path, "--user", "alice")

    async with (
        two_servers(tmp_path) as (one_url, other_url),
        over_http(one_url, token) as one,
        over_http(other_url, token) as other,
    ):
        await one.done("remember", messages=[{"role": "user", "content": "saw a heron"}])
        await other.done("remember", messages=[{"role": "user", "content": "saw a stork"}])
        seen_by_one = await texts(one)
        seen_by_other = await texts(other)

    assert seen_by_one == seen_by_other == ["saw a heron", "saw a stork"]


CAN_ASK = {**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
YES = {"action": "accept", "content": {"forget": True}}


async def forget(url: str, sender: dict[str, str], **answer: Any) -> dict[str, Any]:
    """Call forget as a host that can ask; return the message that comes back."""
    call = newer("tools/call", CAN_ASK, name="forget", arguments={"topic": "work"}, **answer)
    async with http_client(headers=sender) as http:
        response = await http.post(f"{url}/mcp", **call)
    return dict(response.json())


def two_senders(folder: Path, kind: str) -> Iterator[dict[str, str]]:
    """Yield the headers of two users: of a token each, or of one service that speaks for both."""
    service = create_token(folder, "--service") if kind == "service" else ""
    for user in ("alice", "bob"):
        if service:
            yield {"Authorization": f"Bearer {service}", "X-Mem1-User": user}
        else:
            yield {"Authorization": f"Bearer {create_token(folder, '--user', user)}"}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", [pytest.param("a token each", marks=pytest.mark.heavy), "service"])
async def test_a_question_of_one_server_is_answered_at_another_by_nobody_else(
    tmp_path: Path, kind: str
) -> None:
    alice, bob = two_senders(tmp_path, kind)

    async with (
        two_servers(tmp_path) as (one, other),
        over_http(one, headers=alice) as of_alice,
        over_http(one, headers=bob) as of_bob,
    ):
        for host in (of_alice, of_bob):
            message = {"role": "user", "content": "the deadline is on Friday"}
            await host.done("remember", messages=[message], topic="work")
        asked = (await forget(one, alice))["result"]
        (question,) = asked["inputRequests"]
        answer = {"inputResponses": {question: YES}, "requestState": asked["requestState"]}
        refused = [await forget(url, bob, **answer) for url in (one, other)]
        kept = [await texts(host) for host in (of_alice, of_bob)]
        done = (await forget(other, alice, **answer))["result"]
        left = [await texts(host) for host in (of_alice, of_bob)]

    assert asked["resultType"] == "input_required"
    assert [message["error"]["code"] for message in refused] == [-32602, -32602]
    assert all("requestState" in message["error"]["message"] for message in refused)
    assert kept == [["the deadline is on Friday"], ["the deadline is on Friday"]]
    assert done["structuredContent"]["forgotten"] is True
    assert left == [[], ["the deadline is on Friday"]]
