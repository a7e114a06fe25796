"""The server over HTTP under load: many users at once, floods, and clients that hang or vanish."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psutil
import pytest
from anyio.abc import SocketStream
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from mem1_mcp.server.web.listening import listen
from mem1_mcp.types import parse_message_id
from tests.conftest import Host
from tests.serving import Served, create_token, http_client, over_http, served, served_to_many
from tests.test_stdio import INITIALIZE
from tests.wholeness import assert_whole, connection_to, kept

USERS = ["amber", "birch", "cedar", "dahlia", "elm", "fern", "ginkgo", "hazel"]
WAYS = [("http", "2026-07-28"), ("http", "legacy"), ("sse", "2026-07-28"), ("sse", "legacy")]
ROUNDS = 25  # of one client, each a remember and a recall
MARKER = re.compile(r"zq([a-z]+)q")

JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
OPENING = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
MEGABYTE = 1024 * 1024
MOST_BODY, MOST_SESSIONS, MOST_CONNECTIONS = 16 * MEGABYTE, 250, 2048
TOO_MANY = -32011

ways = pytest.mark.parametrize(("transport", "era"), WAYS)
counts_descriptors = pytest.mark.skipif(
    not hasattr(psutil.Process, "num_fds"), reason="Windows counts no descriptors"
)


def users_file(folder: Path, user: str) -> Path:
    """Return the file of one of several users."""
    (path,) = (folder / "memory" / "users").glob(f"{user}-*.db")
    return path


def counters_of(path: Path) -> tuple[int, int]:
    """Return the file's own counts of messages and rounds."""
    db = connection_to(path)
    try:
        messages, rounds = db.execute("SELECT messages, rounds FROM state").get
    finally:
        db.close()
    return messages, rounds


def megabytes(server: Served) -> float:
    """Return how much memory the server's process holds."""
    return float(psutil.Process(server.process.pid).memory_info().rss / 1e6)


def descriptors(server: Served) -> int:
    """Return how many files and sockets the server's process has open."""
    return int(psutil.Process(server.process.pid).num_fds())


class Peak:
    """The most memory a server held, above what it held at first; in megabytes."""

    def __init__(self, server: Served) -> None:
        self._server = server
        self._before = megabytes(server)
        self.rise = 0.0

    async def watch(self) -> None:
        """Look again and again; ended by cancellation."""
        while True:
            self.rise = max(self.rise, megabytes(self._server) - self._before)
            await anyio.sleep(0.02)


@asynccontextmanager
async def watched(server: Served) -> AsyncGenerator[Peak]:
    """Watch the server's memory while the block runs."""
    peak = Peak(server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peak.watch)
        yield peak
        tasks.cancel_scope.cancel()


async def is_served(server: Served, token: str, calls: int = 10) -> None:
    """Remember and recall over new connections; fails when that takes long."""
    with anyio.fail_after(15):
        for transport, era in WAYS:
            async with over_http(server.url, token, transport=transport, era=era) as host:
                for number in range(calls):
                    text = f"Meanwhile {transport} {era} parcel {number} came."
                    await host.done("remember", messages=[{"role": "user", "content": text}])
                    assert text in await host.text("recall", query=text)


async def remember_and_find(
    host: Host, user: str, name: int, rounds: int, keeping: dict[str, dict[int, str]]
) -> None:
    """Remember and recall in turns; what was acknowledged must be found, and nothing of anybody else."""
    other = USERS[(USERS.index(user) + 1 + name) % len(USERS)]
    for number in range(rounds):
        marker = f"zq{user}q{name}n{number}"
        text = f"{marker} Client {name} had parcel {number} brought."
        done = await host.done("remember", messages=[{"role": "user", "content": text}])
        place = parse_message_id(done["message_ids"][0])
        assert place is not None
        keeping[user][place] = text
        # Every fifth time by the words of another user's message too, which may well be there by now.
        asked = marker if number % 5 else f"{marker} {marker.replace(user, other)}"
        found = await host.done("recall", query=asked)
        assert done["user"] == found["user"] == user
        assert text in [hit["text"] for hit in found["hits"]]
        assert set(MARKER.findall(str(found["hits"]))) == {user}


def assert_kept_apart(folder: Path, keeping: dict[str, dict[int, str]], each: int) -> None:
    """Check that every user's file holds what was acknowledged to that user, all of it and no more."""
    for user in USERS:
        path = users_file(folder, user)
        assert kept(path) == keeping[user]
        assert counters_of(path) == (each, each)
        assert_whole(path)


@pytest.mark.heavy
@pytest.mark.timeout(180)
@pytest.mark.parametrize("tokens", ["a token each", "one service token"])
async def test_32_clients_of_8_users_at_once_keep_everything_and_meet_nobody_else(
    tmp_path: Path, tokens: str
) -> None:
    service = create_token(tmp_path, "--service") if tokens == "one service token" else None
    sent = {user: service or create_token(tmp_path, "--user", user) for user in USERS}
    keeping: dict[str, dict[int, str]] = {user: {} for user in USERS}

    async def client(server: Served, name: int) -> None:
        user, (transport, era) = USERS[name % len(USERS)], WAYS[name // len(USERS)]
        headers = {"X-Mem1-User": user} if service else {}
        async with over_http(server.url, sent[user], transport=transport, era=era, headers=headers) as host:
            await remember_and_find(host, user, name, ROUNDS, keeping)

    async with served_to_many(tmp_path) as server, anyio.create_task_group() as tasks:
        for name in range(len(USERS) * len(WAYS)):
            tasks.start_soon(client, server, name)

    assert_kept_apart(tmp_path, keeping, len(WAYS) * ROUNDS)
    assert "Traceback" not in server.errors()


speaking: ContextVar[str | None] = ContextVar("speaking", default=None)


@asynccontextmanager
async def for_many_users(server: Served, service: str, transport: str, era: str) -> AsyncGenerator[Host]:
    """Connect once, and name in each request the user for whom the calling task is ``speaking``."""

    async def name_the_user(request: httpx2.Request) -> None:
        if user := speaking.get():
            request.headers["X-Mem1-User"] = user

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {service}"},
            timeout=None,
            event_hooks={"request": [name_the_user]},
        )

    async with AsyncExitStack() as stack:
        if transport == "sse":
            streams: Any = sse_client(f"{server.url}/sse", httpx_client_factory=client)
        else:
            http = await stack.enter_async_context(client())
            streams = streamable_http_client(f"{server.url}/mcp", http_client=http)
        yield Host(await stack.enter_async_context(Client(streams, mode=era)))


@pytest.mark.heavy
@ways
async def test_users_who_share_one_connection_of_a_service_at_once_meet_nobody_else(
    tmp_path: Path, transport: str, era: str
) -> None:
    service = create_token(tmp_path, "--service")
    keeping: dict[str, dict[int, str]] = {user: {} for user in USERS}

    async def speak(host: Host, user: str) -> None:
        speaking.set(user)
        await remember_and_find(host, user, 0, 8, keeping)

    async with (
        served(tmp_path) as server,
        for_many_users(server, service, transport, era) as host,
        anyio.create_task_group() as tasks,
    ):
        for user in USERS:
            tasks.start_soon(speak, host, user)

    assert_kept_apart(tmp_path, keeping, 8)


async def test_no_answer_waits_until_the_client_has_acknowledged_its_first_part() -> None:
    # Some 40 ms a call otherwise: asyncio asks for it only where a socket names its protocol.
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as accepted,
    ):
        assert client is not None
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def answers_to_a_flood(host: Host, calls: int) -> tuple[int, list[MCPError]]:
    """Send calls all at once; return how many were served, and the errors of the others.

    The SDK's client gives an answer to the call whose id it has: one with another id is waited for.
    """
    refused: list[MCPError] = []

    async def one() -> None:
        try:
            await host.done("list_topics")
        except MCPError as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(one)
    return calls - len(refused), refused


@pytest.mark.heavy
@ways
async def test_a_token_that_sends_too_much_is_refused_in_words_and_others_are_served(
    tmp_path: Path, transport: str, era: str
) -> None:
    loud, quiet = (create_token(tmp_path, "--user", user) for user in ("amber", "birch"))
    others: list[dict[str, Any]] = []

    async def go_on(host: Host) -> None:
        for _ in range(40):
            others.append(await host.done("list_topics"))  # noqa: PERF401 - kept as they come

    async with (
        served(tmp_path, MEM1_RATE_LIMIT="120") as server,
        over_http(server.url, loud, transport=transport, era=era) as flooding,
        over_http(server.url, quiet, transport=transport, era=era) as other,
    ):
        await flooding.done("list_topics")  # the SDK's client asks for the list of tools after the first
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on, other)
            served_calls, refused = await answers_to_a_flood(flooding, 400)
        wait = max(error.error.data["retryAfterSeconds"] for error in refused)
        await anyio.sleep(wait)
        await flooding.done("list_topics")

    # A minute's worth, and two for each second that it took.
    assert 110 <= served_calls <= 200
    assert {error.error.code for error in refused} == {TOO_MANY}
    assert all("120 a minute" in error.error.message for error in refused)
    assert all("Nothing was done" in error.error.message for error in refused)
    assert all(f"in {e.error.data['retryAfterSeconds']} seconds" in e.error.message for e in refused)
    assert 1 <= wait <= 2
    assert len(others) == 40


async def statuses(posts: int, at_once: int, http: httpx2.AsyncClient, **request: Any) -> Counter[int]:
    """Send one request many times, some at once; return how often each status was the answer."""
    counted: Counter[int] = Counter()
    room = anyio.Semaphore(at_once)

    async def one() -> None:
        async with room:
            answer = await http.post(**request)
        counted[answer.status_code] += 1
        assert answer.is_success or "Nothing was done" in answer.json()["error"]["message"]

    async with anyio.create_task_group() as tasks:
        for _ in range(posts):
            tasks.start_soon(one)
    return counted


LONG_CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {
        "name": "remember",
        "arguments": {"messages": [{"role": "user", "content": "o" * 10 * MEGABYTE}]},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
CALL_HEADERS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "remember"}


@pytest.mark.heavy
async def test_a_flood_of_long_bodies_is_refused_in_words_and_memory_stays_bounded(tmp_path: Path) -> None:
    loud, quiet = (create_token(tmp_path, "--user", user) for user in ("amber", "birch"))
    content = json.dumps(LONG_CALL).encode()

    async with served(tmp_path) as server, http_client(loud, JSON | CALL_HEADERS) as http:
        url = f"{server.url}/mcp"
        async with watched(server) as peak:
            answered = await statuses(60, 30, http, url=url, content=content)
            too_long = await http.post(url, content=b"o" * (MOST_BODY + 1))
        alone = (await http.post(url, content=content)).json()["result"]
        await is_served(server, quiet)

    print(f"\n60 bodies of 10 MB: {dict(answered)}, {peak.rise:.0f} MB more")  # noqa: T201 - figures
    assert set(answered) == {200, 503}
    assert too_long.status_code == 413
    assert "Nothing was done" in too_long.json()["error"]["message"]
    assert alone["isError"]
    assert "200000 at most" in str(alone)
    assert peak.rise < 300


@pytest.mark.heavy
async def test_a_flood_of_sessions_is_refused_in_words_and_others_can_open_theirs(tmp_path: Path) -> None:
    loud, quiet = (create_token(tmp_path, "--user", user) for user in ("amber", "birch"))

    async with served(tmp_path, MEM1_RATE_LIMIT="0") as server, http_client(loud, JSON) as http:
        async with watched(server) as peak:
            one = await http.post(f"{server.url}/mcp", json=OPENING)
            opened = await statuses(MOST_SESSIONS + 49, 20, http, url=f"{server.url}/mcp", json=OPENING)
        refused = await http.post(f"{server.url}/mcp", json=OPENING)
        await is_served(server, quiet)
        mine = {"mcp-session-id": one.headers["mcp-session-id"]}
        ended = await http.delete(f"{server.url}/mcp", headers=mine)
        again = await http.post(f"{server.url}/mcp", json=OPENING)

    print(f"\n{MOST_SESSIONS} sessions: {peak.rise:.0f} MB more")  # noqa: T201 - a figure
    assert opened == {200: MOST_SESSIONS - 1, 503: 50}
    assert refused.status_code == 503
    assert f"{MOST_SESSIONS} open sessions" in refused.json()["error"]["message"]
    assert peak.rise < 60
    assert (ended.status_code, again.status_code) == (200, 200)


@pytest.mark.heavy
async def test_requests_without_a_token_are_refused_each_and_leave_nothing_behind(tmp_path: Path) -> None:
    token = create_token(tmp_path, "--user", "amber")
    forged = f"mem1_{'0' * 8}_{'a' * 43}"

    async with served(tmp_path) as server, http_client(None, JSON) as http:
        call = {"url": f"{server.url}/mcp", "json": OPENING}
        await statuses(200, 40, http, **call)
        before = megabytes(server)
        without = await statuses(1500, 40, http, **call)
        unknown = await statuses(500, 40, http, **call, headers={"Authorization": f"Bearer {forged}"})
        grown = megabytes(server) - before
        await is_served(server, token)

    print(f"\n2000 refusals: {grown:.1f} MB more")  # noqa: T201 - a figure
    assert without == {401: 1500}
    assert unknown == {401: 500}
    assert grown < 10


def head_of(server: Served, token: str, length: int) -> bytes:
    """Write the head of a request whose body has this many bytes."""
    host = server.url.removeprefix("http://")
    lines = [
        "POST /mcp HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {token}",
        *(f"{name}: {value}" for name, value in JSON.items()),
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def left_waiting(stack: AsyncExitStack, server: Served, sent: bytes = b"") -> SocketStream:
    """Open a connection, send this much, and no more for as long as the stack is open."""
    host, port = server.url.removeprefix("http://").split(":")
    stream = await anyio.connect_tcp(host, int(port))
    await stack.enter_async_context(stream)
    if sent:
        await stream.send(sent)
    return stream


@pytest.mark.heavy
@counts_descriptors
async def test_300_connections_that_stop_half_way_keep_nobody_from_being_served(tmp_path: Path) -> None:
    silent, quiet = (create_token(tmp_path, "--user", user) for user in ("amber", "birch"))

    async with served(tmp_path) as server:
        await is_served(server, quiet, calls=1)
        before = descriptors(server)
        async with AsyncExitStack() as stack:
            begun = head_of(server, silent, 10_000)
            for sent in [b"", begun[:60], begun, begun + b'{"jsonrpc": '] * 75:
                await left_waiting(stack, server, sent)
            await is_served(server, quiet)
            held = descriptors(server)
        with anyio.fail_after(10):
            # The store keeps some of the connections to its files that it opened meanwhile.
            while descriptors(server) > before + 20:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.05)
        await is_served(server, quiet, calls=1)

    assert held >= before + 300


@pytest.mark.heavy
@pytest.mark.timeout(120)
async def test_two_long_bodies_that_never_come_keep_nobody_from_being_served(tmp_path: Path) -> None:
    silent, quiet = (create_token(tmp_path, "--user", user) for user in ("amber", "birch"))

    async with served_to_many(tmp_path) as server, AsyncExitStack() as stack:
        for _ in range(2):
            await left_waiting(stack, server, head_of(server, silent, MOST_BODY) + b'{"jsonrpc": ')
        await is_served(server, quiet)


@pytest.mark.heavy
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("asked", "begun"),
    [("", "POST /mcp HTTP/1.1\r\nHost: "), ("GET", "POST /mcp HTTP"), ("POST", "a body's first bytes")],
    ids=["a first request", "a second request", "the body of a refused request"],
)
async def test_as_many_connections_as_there_may_be_hold_the_server_up_for_some_seconds_only(
    tmp_path: Path, asked: str, begun: str
) -> None:
    quiet = create_token(tmp_path, "--user", "birch")

    async with served_to_many(tmp_path) as server, AsyncExitStack() as stack:
        whole = f"{asked} /mcp HTTP/1.1\r\nHost: {server.url[7:]}\r\n"
        whole += "Content-Length: 1000\r\n\r\n" if asked == "POST" else "\r\n"
        for _ in range(MOST_CONNECTIONS + 20):
            stream = await left_waiting(stack, server, whole.encode() if asked else b"")
            if asked:
                assert (await stream.receive())[9:12] in (b"401", b"503")  # the last ones are too many
            await stream.send(begun.encode())
        async with http_client(quiet, JSON) as http:
            answer = await http.post(f"{server.url}/mcp", json=OPENING)
            with anyio.fail_after(60):
                while answer.status_code == 503:
                    await anyio.sleep(0.5)
                    answer = await http.post(f"{server.url}/mcp", json=OPENING)

    assert answer.status_code == 200


@pytest.mark.heavy
async def test_where_few_files_may_be_open_many_connections_keep_nobody_from_being_served(
    tmp_path: Path,
) -> None:
    resource = pytest.importorskip("resource")
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    quiet = create_token(tmp_path, "--user", "birch")

    async with AsyncExitStack() as stack:
        # What a shell on macOS allows; a process may raise it up to the other limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
        try:
            server = await stack.enter_async_context(served(tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
        for _ in range(300):
            await left_waiting(stack, server)
        await is_served(server, quiet)

    assert "Too many open files" not in server.errors()


@pytest.mark.heavy
async def test_sessions_that_are_opened_all_at_the_same_moment_are_counted(tmp_path: Path) -> None:
    token = create_token(tmp_path, "--user", "amber")
    body = json.dumps(OPENING).encode()

    async with served(tmp_path, MEM1_RATE_LIMIT="0") as server, AsyncExitStack() as stack:
        streams = [
            await left_waiting(stack, server, head_of(server, token, len(body)) + body[:-1])
            for _ in range(MOST_SESSIONS + 50)
        ]
        for stream in streams:
            await stream.send(body[-1:])
        answered = Counter([(await stream.receive(12))[-3:] for stream in streams])

    assert answered == {b"200": MOST_SESSIONS, b"503": 50}


@pytest.mark.heavy
@pytest.mark.timeout(180)
@counts_descriptors
async def test_300_connections_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    token = create_token(tmp_path, "--user", "amber")

    async def come_and_go(server: Served, times: int) -> None:
        for number in range(times):
            transport, era = WAYS[number % len(WAYS)]
            async with over_http(server.url, token, transport=transport, era=era) as host:
                await host.done("list_topics")

    async def vanish(server: Served, times: int) -> None:
        for _ in range(times):
            async with (
                http_client(token) as http,
                http.stream("GET", f"{server.url}/sse") as stream,
            ):
                assert stream.status_code == 200

    async with served_to_many(tmp_path, MEM1_RATE_LIMIT="0") as server:
        await come_and_go(server, 60)
        await vanish(server, 20)
        memory, files = megabytes(server), descriptors(server)
        await come_and_go(server, 200)
        await vanish(server, 100)
        with anyio.fail_after(10):
            while descriptors(server) > files + 5:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.05)
        grown = megabytes(server) - memory

    print(f"\n300 connections: {grown:+.1f} MB")  # noqa: T201 - figures
    assert grown < 8
    assert "Traceback" not in server.errors()
