"""Who reaches the server over HTTP, and as whom: by which name, from which page, with which token."""

from __future__ import annotations

import json
import re
import socket
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
import pytest
from mcp import MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from mem1_mcp.app import open_memory
from mem1_mcp.errors import SettingsError
from mem1_mcp.memory import Memory
from mem1_mcp.memory.tokens import NewToken
from mem1_mcp.server.identity import Caller, announce
from mem1_mcp.server.web import listening
from mem1_mcp.server.web.limits import Room
from mem1_mcp.settings import Settings
from tests.conftest import Host, words
from tests.serving import Served, create_token, http_client, mem1, over_http, served, served_to_many
from tests.test_forgotten_bytes import bytes_of
from tests.test_wire import ANSWERED

NO_SESSION = f"POST /messages/?session_id={'0' * 32}"
ERAS = ["legacy", "auto"]
WAYS = [(transport, era) for transport in ("http", "sse") for era in ERAS]
SECONDS = 20  # a hang ends here
MEBIBYTE = 1 << 20

JSON = "Content-Type", "application/json"
BOTH = ("Accept", "application/json, text/event-stream")
MODERN = ("Mcp-Protocol-Version", "2026-07-28")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
HANDSHAKE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}

Header = tuple[str, str | bytes]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Site:
    """A server that the tests here share, and tokens for it."""

    server: Served
    folder: Path
    alice: str
    bob: str
    service: str

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]


async def make_token(folder: Path, user: str | None, expires_at: int | None = None) -> str:
    """Make a token without waiting for a process to start; ``None`` makes one for a service."""
    async with open_memory(Settings(memory_dir=folder / "memory")) as memory:
        made = memory.new_token(NewToken(user, expires_at=expires_at))
        await memory.keep_token(made.token)
    return made.text


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Site]:
    folder = tmp_path_factory.mktemp("site")
    tokens = [await make_token(folder, user) for user in ("alice", "bob", None)]
    async with served_to_many(folder, MEM1_RATE_LIMIT="0") as server:
        yield Site(server, folder, *tokens)


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered to an HTTP request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """The words of a refusal in the protocol's form."""
        answer = json.loads(self.body)
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", None)
        return str(answer["error"]["message"])

    @property
    def same_for_all(self) -> tuple[int, dict[str, str], bytes]:
        """The reply without what differs from second to second."""
        return self.status, {n: v for n, v in self.headers.items() if n != "date"}, self.body


def bearer(token: str) -> Header:
    return "Authorization", f"Bearer {token}"


async def send(url: str, line: str, *headers: Header, body: bytes = b"", own_host: bool = True) -> Reply:
    """Send a request such as ``GET /sse`` to the letter, which HTTP clients would put in order."""
    address, _, port = url.removeprefix("http://").partition(":")
    names = {name.lower() for name, _ in headers}
    sent: list[Header] = [("Connection", "close"), *headers]
    if own_host and "host" not in names:
        sent.insert(0, ("Host", f"{address}:{port}"))
    if (body or line.startswith("POST")) and not names & {"content-length", "transfer-encoding"}:
        sent.append(("Content-Length", str(len(body))))
    head = f"{line} HTTP/1.1\r\n".encode()
    for name, value in sent:
        head += name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    with anyio.fail_after(SECONDS):
        async with await anyio.connect_tcp(address, int(port)) as stream:
            await stream.send(head + b"\r\n" + body)
            return await reply_on(stream, ends=not line.startswith("GET"))


async def reply_on(stream: anyio.abc.ByteStream, *, ends: bool) -> Reply:
    """Read a reply; of a stream of events that does not end, its head alone."""
    got = b""
    try:
        while ends or b"\r\n\r\n" not in got or b"text/event-stream" not in got:
            got += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        pass
    head, _, rest = got.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Reply(int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, rest)


def request(method: str, era: str = "legacy", number: int = 1, **params: Any) -> bytes:
    """Write a message of an era."""
    if era != "legacy":
        params["_meta"] = META
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def modern_call(tool: str, **arguments: Any) -> tuple[tuple[Header, ...], bytes]:
    """Write a call of a tool that needs no session: its headers and its body."""
    headers = (JSON, BOTH, MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", tool))
    return headers, request("tools/call", "auto", name=tool, arguments=arguments)


async def open_session(url: str, token: str, *headers: Header) -> str:
    """Shake hands at ``/mcp``; return the session's id."""
    opened = await send(
        url, "POST /mcp", bearer(token), JSON, BOTH, *headers, body=request("initialize", **HANDSHAKE)
    )
    assert opened.status == 200
    session = opened.headers["mcp-session-id"]
    told = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
    of_session = ("Mcp-Session-Id", session)
    await send(url, "POST /mcp", bearer(token), JSON, BOTH, of_session, *headers, body=told)
    return session


class Events:
    """The client's end of an SSE connection: what comes, and the door for what goes."""

    def __init__(self, client: httpx2.AsyncClient, url: str, response: httpx2.Response) -> None:
        self._client = client
        self._url = url
        self._lines = response.aiter_lines()
        self.door = ""

    async def next(self) -> str:
        """Wait for an event; return what it says."""
        said = ""
        async for line in self._lines:
            if line.startswith("data:"):
                said = line.removeprefix("data:").strip()
            elif not line and said:
                return said
        raise AssertionError("the stream has ended")

    async def post(self, body: bytes) -> httpx2.Response:
        """Send a message."""
        headers = {"content-type": "application/json"}
        return await self._client.post(self._url + self.door, content=body, headers=headers)

    async def answer_to(self, number: int) -> bool:
        """Wait for the answer to a request, whatever comes before it; false where none comes."""
        with anyio.move_on_after(SECONDS):
            while json.loads(await self.next()).get("id") != number:
                pass
            return True
        return False

    async def ask(self, body: bytes) -> Any:
        """Send a message and wait for what comes next."""
        assert (await self.post(body)).status_code == 202
        return json.loads(await self.next())


@asynccontextmanager
async def sse(url: str, token: str) -> AsyncGenerator[Events]:
    """Open an SSE connection."""
    async with http_client(token) as client, client.stream("GET", f"{url}/sse") as response:
        assert response.status_code == 200
        events = Events(client, url, response)
        events.door = await events.next()
        yield events


# By which name and from which page


def doors(token: str) -> dict[str, tuple[tuple[Header, ...], bytes]]:
    """Every way in, with a request that is served there."""
    posted = (bearer(token), JSON, BOTH)
    return {
        "POST /mcp": (posted, request("initialize", **HANDSHAKE)),
        "GET /sse": ((bearer(token),), b""),
        NO_SESSION: (posted, request("ping")),
        "GET /health": ((), b""),
    }


SERVED = {
    "POST /mcp": 200,
    "GET /sse": 200,
    NO_SESSION: 404,
    "GET /health": 200,
}


async def statuses(site: Site, *headers: Header, own_host: bool = True) -> dict[str, int]:
    """Send a request with these headers and a token that holds to every door."""
    return {
        door: (await send(site.url, door, *needed, *headers, body=body, own_host=own_host)).status
        for door, (needed, body) in doors(site.alice).items()
    }


FOREIGN_HOSTS = """
    evil.com evil.com:{port} evil.com:80 localhost 127.0.0.1 [::1] localhost:{other} 127.0.0.1:{other}
    localhost.:{port} 127.0.0.1.:{port} LOCALHOST.:{port} localhost:{port}. localhost:{port}.evil.com
    localhost.evil.com:{port} evil-localhost:{port} evil.localhost:{port} 127.0.0.1.evil.com:{port}
    127.0.0.1.nip.io:{port} localhost:{port}@evil.com evil.com@localhost:{port} user:pass@127.0.0.1:{port}
    localhost:{port},evil.com localhost:{port}/ localhost:{port}#evil.com http://localhost:{port}
    localhost:0{port} localhost:{port}0 localhost: :{port} 127.1:{port} 2130706433:{port} 0x7f000001:{port}
    127.0.0.2:{port} 0.0.0.0:{port} [::]:{port} ::1:{port} [::1]:{other}
    [0:0:0:0:0:0:0:1]:{port} [::1%25lo]:{port}
    [::ffff:127.0.0.1]:{port} [::1]:{port}.evil.com lоcalhost:{port} ⓛocalhost:{port} 127。0。0。1:{port}
""".split()
FOREIGN_ORIGINS = """
    null http://evil.com http://evil.com:{port} https://evil.com HTTP://EVIL.COM http://localhost
    http://127.0.0.1 http://localhost:{other} http://127.0.0.1:{other} http://[::1]:{other}
    http://localhost.:{port} http://127.0.0.1:{port}. http://localhost:{port}.evil.com
    http://localhost.evil.com:{port} http://evil.localhost:{port} http://localhost:{port}@evil.com
    http://evil.com@localhost:{port} http://localhost:{port}/ http://localhost:{port}/evil
    http://evil.com#http://localhost:{port} http://evil.com?http://localhost:{port} localhost:{port}
    //localhost:{port} ws://localhost:{port} file:// file://localhost:{port} chrome-extension://abcdef
    http://[::ffff:127.0.0.1]:{port} http://2130706433:{port} http://localhost:{port},http://evil.com *
""".split()


def filled(form: str, site: Site) -> str:
    return form.format(port=site.port, other=int(site.port) ^ 1)


async def test_a_name_that_is_not_the_servers_opens_no_door(site: Site) -> None:
    answered = {host: await statuses(site, ("Host", filled(host, site))) for host in FOREIGN_HOSTS}
    answered["an empty one"] = await statuses(site, ("Host", ""))

    assert len(answered) > 40
    assert {host: told for host, told in answered.items() if set(told.values()) != {421}} == {}


async def test_no_name_and_two_names_open_no_door(site: Site) -> None:
    own = ("Host", f"localhost:{site.port}")

    for told in (
        await statuses(site, own_host=False),
        await statuses(site, own, ("Host", "evil.com")),
        await statuses(site, ("Host", "evil.com"), own),
        await statuses(site, own, own),
    ):
        assert set(told.values()) <= {400, 421}


async def test_an_address_in_the_request_line_does_not_stand_in_for_the_name(site: Site) -> None:
    for line in (f"GET http://127.0.0.1:{site.port}/health", "GET http://evil.com/health"):
        assert (await send(site.url, line, ("Host", "evil.com"))).status == 421
    assert (await send(site.url, "GET http://evil.com/health")).status == 404


async def test_a_page_of_another_site_opens_no_door(site: Site) -> None:
    answered = {
        origin: await statuses(site, ("Origin", filled(origin, site))) for origin in FOREIGN_ORIGINS
    }
    own, evil = ("Origin", f"http://localhost:{site.port}"), ("Origin", "http://evil.com")
    answered["an empty one"] = await statuses(site, ("Origin", ""))
    answered["a second one"] = await statuses(site, own, evil)
    answered["a second one of its own"] = await statuses(site, evil, own)

    assert len(answered) > 30
    assert {origin: told for origin, told in answered.items() if set(told.values()) != {403}} == {}


async def test_the_servers_own_names_and_pages_open_every_door(site: Site) -> None:
    names = ["127.0.0.1", "localhost", "[::1]", "LocalHost"]

    answered = [await statuses(site)]
    for name in names:
        own = f"{name}:{site.port}"
        answered.append(await statuses(site, ("Host", own)))
        answered.extend(
            [
                await statuses(site, ("Host", own), ("Origin", f"{scheme}://{own}"))
                for scheme in ("http", "https")
            ]
        )

    assert answered == [SERVED] * len(answered)


async def test_names_and_pages_that_a_person_named_are_let_in_and_nothing_near_them(
    tmp_path: Path,
) -> None:
    token = await make_token(tmp_path, "alice")
    allowed = {
        "MEM1_ALLOWED_HOSTS": "Memory.example.com, other.example.com:8443",
        "MEM1_ALLOWED_ORIGINS": "https://Chat.example.com/,http://pages.example.com:81",
    }
    hosts = ["memory.example.com", "MEMORY.EXAMPLE.COM:{port}", "other.example.com:8443"]
    foreign_hosts = [
        *(
            "memory.example.com:1",
            "memory.example.com.",
            "memory.example.com.evil.com",
            "x.memory.example.com",
        ),
        *("evilmemory.example.com", "example.com", "other.example.com", "other.example.com:{port}"),
        "memory.example.com@evil.com",
    ]
    origins = ["https://chat.example.com", "HTTPS://CHAT.EXAMPLE.COM", "http://pages.example.com:81"]
    origins += ["https://memory.example.com", "http://127.0.0.1:{port}"]
    foreign_origins = [
        *("http://chat.example.com", "https://chat.example.com:444", "https://chat.example.com.evil.com"),
        *("https://x.chat.example.com", "https://chat.example.com@evil.com", "https://example.com", "null"),
        *("http://pages.example.com", "http://pages.example.com:810", "https://pages.example.com:81"),
    ]

    async with served(tmp_path, **allowed) as server:
        here = Site(server, tmp_path, token, "", "")
        by_host = [await statuses(here, ("Host", filled(host, here))) for host in hosts]
        by_origin = [await statuses(here, ("Origin", filled(origin, here))) for origin in origins]
        foreign = [await statuses(here, ("Host", filled(host, here))) for host in foreign_hosts]
        other = [await statuses(here, ("Origin", filled(origin, here))) for origin in foreign_origins]

    assert by_host + by_origin == [SERVED] * (len(hosts) + len(origins))
    assert {status for told in foreign for status in told.values()} == {421}
    assert {status for told in other for status in told.values()} == {403}


async def test_no_answer_lets_a_page_of_another_site_read_it(site: Site) -> None:
    own = ("Origin", f"http://localhost:{site.port}")
    asking = (
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization"),
    )
    answered = []

    for door, (headers, body) in doors(site.alice).items():
        for origin in (own, ("Origin", "http://evil.com"), ("Origin", "null")):
            path = door.partition(" ")[2]
            answered.append(await send(site.url, door, *headers, origin, body=body))
            answered.append(await send(site.url, f"OPTIONS {path}", origin, *asking))
            answered.append(await send(site.url, f"OPTIONS {path}", bearer(site.alice), origin, *asking))

    names = {name for reply in answered for name in reply.headers}
    preflights = {reply.status for number, reply in enumerate(answered) if number % 3}
    assert {
        name for name in names if name.startswith(("access-control", "timing-allow", "cross-origin"))
    } == set()
    assert min(preflights) >= 400


# With which token


def refused_credentials(site: Site, expired: str, revoked: str) -> dict[str, list[Header]]:
    """Every way to send no token that holds."""
    good, (_, token_id, secret) = site.alice, site.alice.split("_", 2)
    other = site.bob.split("_", 2)[2]
    sent = {
        "another's secret": f"Bearer mem1_{token_id}_{other}",
        "a secret of the right length": f"Bearer mem1_{token_id}_{'A' * len(secret)}",
        "another letter at the end": f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}",
        "another case": f"Bearer {good.swapcase()}",
        "an unknown id": f"Bearer mem1_ffffffff_{secret}",
        "cut short": f"Bearer {good[:-1]}",
        "one more": f"Bearer {good}A",
        "padding": f"Bearer {good}=",
        "quotes": f'Bearer "{good}"',
        "the id alone": f"Bearer {token_id}",
        "the secret alone": f"Bearer {secret}",
        "two in one": f"Bearer {good}, Bearer {good}",
        "a word behind": f"Bearer {good} x",
        "another scheme": f"Basic {good}",
        "a longer scheme": f"Bearerx {good}",
        "no scheme": good,
        "a scheme alone": "Bearer",
        "nothing": "",
        "a star": "Bearer *",
        "a hash": "Bearer mem1_" + "0" * 64,
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
    }
    headers: dict[str, list[Header]] = {name: [("Authorization", text)] for name, text in sent.items()}
    return headers | {
        "no header": [],
        "two headers": [bearer(good), bearer(good)],
        "another's as well": [bearer(good), bearer(site.bob)],
        "a cookie": [("Cookie", f"token={good}")],
        "another header": [("X-Api-Key", good)],
        "a proxy's header": [("Proxy-Authorization", f"Bearer {good}")],
    }


async def test_only_a_token_that_holds_opens_a_door(site: Site) -> None:
    expired = await make_token(site.folder, "alice", expires_at=1)
    revoked = await make_token(site.folder, "alice")
    assert mem1(site.folder, "token", "revoke", revoked).returncode == 0
    session = ("Mcp-Session-Id", await open_session(site.url, site.alice))
    modern, call = modern_call("list_topics")
    answered: dict[str, list[Reply]] = {}

    async with sse(site.url, site.alice) as events:
        for name, sent in refused_credentials(site, expired, revoked).items():
            answered[name] = [
                await send(
                    site.url, "POST /mcp", *sent, JSON, BOTH, body=request("initialize", **HANDSHAKE)
                ),
                await send(site.url, "POST /mcp", *sent, JSON, BOTH, session, body=request("tools/list")),
                await send(site.url, "POST /mcp", *sent, *modern, body=call),
                await send(site.url, "GET /mcp", *sent, BOTH, session),
                await send(site.url, "DELETE /mcp", *sent, session),
                await send(site.url, "GET /sse", *sent),
                await send(site.url, f"POST {events.door}", *sent, JSON, body=request("ping")),
                await send(site.url, f"GET /mcp?access_token={site.alice}", *sent, BOTH, session),
            ]

    replies = [reply for each in answered.values() for reply in each]
    assert {
        name: [r.status for r in each]
        for name, each in answered.items()
        if {r.status for r in each} != {401}
    } == {}
    assert all(reply.headers["www-authenticate"].startswith("Bearer ") for reply in replies)
    assert all("Nothing was done. `mem1-mcp token create` makes one" in reply.message for reply in replies)
    assert {reply.message.partition(".")[0] for reply in answered["no header"]} == {
        "A token is missing: send it as `Authorization: Bearer mem1_…`"
    }
    assert {reply.message.partition(".")[0] for reply in answered["expired"] + answered["revoked"]} == {
        "This token is unknown, revoked, or ran out"
    }


async def test_the_name_of_the_scheme_may_be_written_in_any_case(site: Site) -> None:
    headers, body = modern_call("list_topics")

    for text in (f"bearer {site.alice}", f"BEARER   {site.alice}  "):
        assert (
            await send(site.url, "POST /mcp", ("Authorization", text), *headers, body=body)
        ).status == 200


@pytest.mark.parametrize(("transport", "era"), WAYS)
async def test_a_token_that_is_revoked_lets_in_no_more_while_the_server_runs(
    site: Site, transport: str, era: str
) -> None:
    token = await make_token(site.folder, "carol")
    headers, body = modern_call("list_topics")
    async with over_http(site.url, token, transport=transport, era=era) as host:
        await host.done("list_topics")
    assert (await send(site.url, "POST /mcp", bearer(token), *headers, body=body)).status == 200

    async with open_memory(Settings(memory_dir=site.folder / "memory")) as memory:
        assert await memory.revoke_token(token.split("_")[1])

    assert (await send(site.url, "POST /mcp", bearer(token), *headers, body=body)).status == 401
    with pytest.raises((MCPError, httpx2.HTTPStatusError, BaseExceptionGroup)) as refused:
        async with over_http(site.url, token, transport=transport, era=era):
            pass
    # The SDK's client shows no words of a refusal of /sse, but for its status.
    told = "This token is unknown, revoked, or ran out" if transport == "http" else "401 Unauthorized"
    assert told in "".join(map(str, leaves(refused.value)))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


# In whose session


async def test_a_session_of_another_is_as_good_as_none(site: Site) -> None:
    body = request("tools/call", name="list_topics", arguments={})
    session, unknown = await open_session(site.url, site.alice), "0" * 32
    others = {"bob": [bearer(site.bob)], "a service": [bearer(site.service), ("X-Mem1-User", "alice")]}
    lines = [("POST /mcp", body), ("GET /mcp", b""), ("DELETE /mcp", b"")]
    differing = []

    for who, headers in others.items():
        for line, sent in lines:
            foreign, missing = [
                await send(site.url, line, *headers, JSON, BOTH, ("Mcp-Session-Id", each), body=sent)
                for each in (session, unknown)
            ]
            if foreign.same_for_all != missing.same_for_all or foreign.status != 404:
                differing.append((who, line, foreign, missing))

    own = await send(
        site.url, "POST /mcp", bearer(site.alice), JSON, BOTH, ("Mcp-Session-Id", session), body=body
    )
    assert differing == []
    assert own.status == 200
    assert b"User alice: " in own.body


async def test_an_sse_session_of_another_is_as_good_as_none(site: Site) -> None:
    others = {"bob": [bearer(site.bob)], "a service": [bearer(site.service), ("X-Mem1-User", "alice")]}
    differing = []

    async with sse(site.url, site.alice) as events:
        for who, headers in others.items():
            foreign, missing = [
                await send(site.url, door, *headers, JSON, body=request("ping"))
                for door in (f"POST {events.door}", NO_SESSION)
            ]
            if foreign.same_for_all != missing.same_for_all or foreign.status != 404:
                differing.append((who, foreign, missing))
        # Nothing of theirs came into the stream: the first thing there is the answer to this.
        answer = await events.ask(request("initialize", number=77, **HANDSHAKE))

    assert differing == []
    assert answer["id"] == 77


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_session_of_a_service_serves_whoever_each_request_names(site: Site, transport: str) -> None:
    call = request("tools/call", number=8, name="list_topics", arguments={})
    told = []

    if transport == "http":
        session = await open_session(site.url, site.service, ("X-Mem1-User", "erin"))
        for user in ("erin", "frank"):
            headers = (bearer(site.service), ("X-Mem1-User", user), ("Mcp-Session-Id", session), JSON, BOTH)
            told.append((await send(site.url, "POST /mcp", *headers, body=call)).body.decode())
    else:
        async with sse(site.url, site.service) as events:
            await events.ask(request("initialize", **HANDSHAKE))
            for user in ("erin", "frank"):
                named = (bearer(site.service), ("X-Mem1-User", user), JSON)
                await send(site.url, f"POST {events.door}", *named, body=call)
                told.append(await events.next())

    assert ["User erin: 0 topics" in told[0], "User frank: 0 topics" in told[1]] == [True, True]


# Two users


@dataclass(frozen=True, slots=True)
class Things:
    """What one user has, by what another could name it."""

    ids: list[str]
    topics: list[str]
    confirms: list[str]
    labels: list[str]
    requests: list[str]
    sayings: list[str]


ITEMS = [f"p{number}" for number in range(1, 9)]
TOPIC = ResourceTemplateReference(type="ref/resource", uri="memory://topics/{topic}")


async def tell(host: Host, marker: str) -> Things:
    """Have a user keep a marker in every place that holds one."""
    ids = []
    topics = [f"{marker} topic {number}" for number in range(len(ITEMS))]
    for number, topic in enumerate(topics):
        kept = await host.done(
            "remember",
            messages=[
                {"role": "user", "content": f"{marker} kept parcel {number}", "name": f"{marker}name"}
            ],
            facts=[{"text": f"{marker} is fond of parcel {number}"}],
            topic=topic,
            metadata={"colour": f"{marker}blue", f"{marker}key": number},
            request_id=f"{marker}request{number}",
        )
        ids += kept["message_ids"]
    selections: list[dict[str, Any]] = [{"ids": ids}, {"topic": topics[0]}, {"everything": True}]
    return Things(
        ids=ids,
        topics=topics,
        confirms=[(await host.done("forget", **each))["confirm"] for each in selections],
        labels=[f"{marker}blue", f"{marker}key"],
        requests=[f"{marker}request{number}" for number in range(len(ITEMS))],
        sayings=[f"{marker} kept parcel 3", f"{marker}name", f"{marker} is fond of parcel 4"],
    )


def of_nobody(things: Things) -> Things:
    """Make names that look the same and that nobody has."""
    return Things(
        ids=[f"m{4000 + number}.0" for number, _ in enumerate(things.ids)],
        topics=[f"zqlark topic {number}" for number, _ in enumerate(things.topics)],
        confirms=[each[::-1] for each in things.confirms],
        labels=["zqlarkblue", "zqlarkkey"],
        requests=[f"zqlarkrequest{number}" for number, _ in enumerate(things.requests)],
        sayings=["zqlark kept parcel 3", "zqlarkname", "zqlark is fond of parcel 4"],
    )


Probe = tuple[str, dict[str, Any]]


def probes(things: Things, items: list[str]) -> Iterator[tuple[str, Probe]]:
    """Yield every way to name another's thing, with the name that is in it."""
    for number, each in enumerate(things.ids):
        yield each, ("recall", {"around": each})
        yield each, ("forget", {"ids": [each]})
        yield each, ("forget", {"ids": [each, items[number]]})
        yield each, ("forget", {"confirm": things.confirms[0], "ids": [each]})
    for each in items:
        yield each, ("forget", {"ids": [each]})
    for each in things.topics:
        for tool, arguments in (("recall", {"query": "parcel"}), ("recall", {}), ("forget", {})):
            yield each, (tool, {"topic": each, **arguments})
        yield each, ("resources/read", {"uri": f"memory://topics/{quote(each, safe='')}"})
        yield each, ("prompts/get", {"name": "load_memory", "arguments": {"topic": each}})
        yield each, ("completion/complete", {"value": each})
    for each in things.confirms:
        yield each, ("forget", {"confirm": each})
        yield each, ("forget", {"confirm": each, "everything": True})
    for each in things.labels:
        yield each, ("recall", {"metadata": {"colour": each}})
        yield each, ("recall", {"metadata": {each: 3}, "query": "parcel"})
    for each in things.sayings:
        yield each, ("recall", {"query": each})
        yield each, ("recall", {"queries": [each, "parcel"], "max_tokens": 20_000})
        yield each, ("remember", {"facts": [{"text": "likes tea", "replaces": each}]})
    for each in things.requests:
        yield each, ("remember", {"facts": [{"text": "likes tea"}], "request_id": each})


async def answered(host: Host, asked: Probe) -> str:
    """Ask; return all that was answered, or the words of the refusal."""
    what, arguments = asked
    try:
        match what:
            case "resources/read":
                return str(await host.client.read_resource(arguments["uri"]))
            case "prompts/get":
                return str(await host.client.get_prompt(arguments["name"], arguments["arguments"]))
            case "completion/complete":
                return str(await host.client.complete(TOPIC, {"name": "topic", **arguments}))
            case tool:
                result = await host.call(tool, **arguments)
                return f"{result.is_error} {words(result)} {result.structured_content}"
    except MCPError as error:
        return f"{error.error.code} {error.error.message}"


def without_names(text: str, name: str) -> str:
    """Leave out what differs anyway: the name that was sent, ids of one's own, tokens, the time."""
    for form in (name, quote(name, safe="")):
        text = text.replace(form, "…")
    text = re.sub(r"\d{4}-\d\d-\d\d(T[\d:.+]+| \w{3} \d\d:\d\d)", "(a time)", text)
    return re.sub(r"\b[mp]\d+(\.\d+)?\b", "(an id)", text)


async def everything_of(host: Host) -> str:
    """Read all that a user can read."""
    asked: list[Probe] = [
        ("recall", {"topic": "*", "limit": 100, "max_tokens": 20_000}),
        ("recall", {"query": "Who kept which parcel? 谁", "limit": 100, "max_tokens": 20_000}),
        ("recall", {"metadata": {}, "since": "2000-01-01", "limit": 100, "max_tokens": 20_000}),
        ("list_topics", {"limit": 500}),
        ("resources/read", {"uri": "memory://profile"}),
        ("resources/read", {"uri": "memory://topics"}),
        ("prompts/get", {"name": "load_memory", "arguments": {}}),
        ("prompts/get", {"name": "save_conversation", "arguments": {}}),
        ("completion/complete", {"value": ""}),
        *[("recall", {"around": f"m{first}.{second}"}) for first in range(10) for second in range(2)],
    ]
    prompt = PromptReference(type="ref/prompt", name="load_memory")
    completed = await host.client.complete(prompt, {"name": "topic", "value": "zq"})
    told = [await answered(host, each) for each in asked]
    return without_names("\n".join([*told, str(completed), str(host.client.instructions)]), "\0")


@asynccontextmanager
async def two_users(site: Site, tokens: str, transport: str, era: str) -> AsyncGenerator[tuple[Host, Host]]:
    """Connect two users who are new: with a token each, or by a service that names them."""
    names = [f"{bird}{tokens[0]}{transport}{era}" for bird in ("grebe", "heron")]
    sent = [await make_token(site.folder, name) for name in names]
    headers: list[dict[str, str]] = [{}, {}]
    if tokens == "one service token":
        sent, headers = [site.service] * 2, [{"X-Mem1-User": name} for name in names]
    way = {"transport": transport, "era": era}
    async with (
        over_http(site.url, sent[0], headers=headers[0], **way) as one,
        over_http(site.url, sent[1], headers=headers[1], **way) as other,
    ):
        yield one, other


@pytest.mark.parametrize(
    ("tokens", "transport", "era"),
    [
        ("a token each", "http", "auto"),
        pytest.param("a token each", "sse", "legacy", marks=pytest.mark.heavy),
        pytest.param("one service token", "http", "legacy", marks=pytest.mark.heavy),
        ("one service token", "sse", "auto"),
    ],
)
async def test_nothing_of_one_user_reaches_another_and_what_is_anothers_is_unknown(
    site: Site, tokens: str, transport: str, era: str
) -> None:
    # Far from each other, so that no spelling mistake leads from one to the other.
    marker, other_marker = "zqkiwi", "zqdodo"
    async with two_users(site, tokens, transport, era) as (one, other):
        things = await tell(one, marker)
        said = {"role": "user", "content": f"{other_marker} is here"}
        await other.done("remember", messages=[said], facts=[{"text": "likes tea"}])
        before = await everything_of(one)
        things = replace(things, ids=things.ids[1:])  # the first of each is the other's own id too
        foreign = probes(things, ITEMS[1:])
        unknown = probes(of_nobody(things), [f"p{900 + number}" for number, _ in enumerate(ITEMS[1:])])
        crossed, differing, asked = [], [], 0

        for (name, probe), (stand_in, same) in zip(foreign, unknown, strict=True):
            told = without_names(await answered(other, probe), name)
            expected = without_names(await answered(other, same), stand_in)
            asked += 1
            if marker in told:
                crossed.append((probe, told))
            if told != expected:
                differing.append((probe, told, expected))

        seen_by_other, after = await everything_of(other), await everything_of(one)
        # The tokens of the previews, which the other sent too, are still the one's own.
        taken = await one.text("forget", confirm=things.confirms[0])

    assert asked > 100
    assert crossed == []
    assert differing == []
    assert marker not in seen_by_other
    assert after == before
    assert before.count(marker) > 30
    assert other_marker not in before
    assert "8 messages" in taken


async def test_a_forged_name_of_a_user_in_the_arguments_names_nobody(site: Site) -> None:
    names = ("user", "user_id", "userId", "owner", "subject", "_meta", "X-Mem1-User", "token")
    async with over_http(site.url, site.alice) as host, over_http(site.url, site.bob) as other:
        await host.done("remember", messages=[{"role": "user", "content": "zqsecret of alice"}])

        told = [await other.text("recall", **{name: "alice"}) for name in names if name != "_meta"]
        taken = [
            await other.done("remember", facts=[{"text": f"zqforged {n}"}], **{n: "alice"}) for n in names
        ]
        profile = await host.profile()

    assert not any("zqsecret" in each for each in told)
    assert {each["user"] for each in taken} == {"bob"}
    assert "zqforged" not in profile


# By which name of a user


@pytest.mark.parametrize(
    "header", [("X-Mem1-User", "alice"), ("X-Mem1-User", "bob"), ("X-Mem1-Topic", "x")]
)
async def test_a_token_of_one_user_names_no_other(site: Site, header: Header) -> None:
    posted = (bearer(site.alice), JSON, BOTH, header)
    headers, body = modern_call("list_topics")

    replies = [
        await send(site.url, "POST /mcp", *posted, body=request("initialize", **HANDSHAKE)),
        await send(site.url, "POST /mcp", bearer(site.alice), header, *headers, body=body),
        await send(site.url, "GET /sse", bearer(site.alice), header),
        await send(site.url, NO_SESSION, *posted, body=request("ping")),
    ]

    assert {reply.status for reply in replies} == {403}
    told = {reply.message for reply in replies}
    assert [each.partition(" Nothing was done. ")[0] for each in told] == [
        "X-Mem1-User and X-Mem1-Topic are for service tokens only: any other token is one user's."
    ]


@pytest.mark.parametrize(("transport", "era"), WAYS)
async def test_a_service_that_names_nobody_sees_what_there_is_and_reads_nothing(
    site: Site, transport: str, era: str
) -> None:
    async with over_http(site.url, site.service, transport=transport, era=era) as host:
        tools = (await host.client.list_tools()).tools
        prompts = (await host.client.list_prompts()).prompts
        resources = (await host.client.list_resources()).resources
        message = {"role": "user", "content": "hello"}
        calls: list[Probe] = [
            ("remember", {"messages": [message]}),
            ("recall", {}),
            ("list_topics", {}),
            ("forget", {"everything": True}),
            ("resources/read", {"uri": "memory://profile"}),
            ("resources/read", {"uri": "memory://topics"}),
            ("resources/read", {"uri": "memory://topics/x"}),
            ("prompts/get", {"name": "load_memory", "arguments": {}}),
            ("completion/complete", {"value": ""}),
        ]
        told = [await answered(host, each) for each in calls]
        refused = [await host.refused(tool, **arguments) for tool, arguments in calls[:4]]

    assert (len(tools), len(prompts), len(resources)) == (5, 2, 2)
    assert [
        each for each in told if "X-Mem1-User is missing: a service token says in this HTTP " not in each
    ] == []
    assert len(refused) == 4


async def test_users_of_a_service_are_named_in_any_script(site: Site) -> None:
    named: dict[str, Header] = {
        "小明": ("X-Mem1-User", "%E5%B0%8F%E6%98%8E"),
        "小红": ("X-Mem1-User", "小红".encode()),
        "Zoë": ("X-Mem1-User", "Zo%C3%AB"),
        "Andre\u0301": ("X-Mem1-User", "Andre%CC%81"),
        "a+b c%2": ("X-Mem1-User", "a+b%20c%2"),
        "x" * 128: ("x-MEM1-user", "x" * 128),
    }
    headers, body = modern_call("list_topics")
    told = {}

    for name, header in named.items():
        reply = await send(site.url, "POST /mcp", bearer(site.service), header, *headers, body=body)
        told[name] = json.loads(reply.body)["result"]["structuredContent"]["user"]

    assert told == {name: name for name in named if "\u0301" not in name} | {"Andre\u0301": "André"}


@pytest.mark.parametrize("header", ["X-Mem1-User", "X-Mem1-Topic"])
async def test_what_is_no_name_is_refused_in_words(site: Site, header: str) -> None:
    wrong: dict[str | bytes, str] = {
        "*": '"*" means all topics',
        "%2A": '"*" means all topics',
        "x" * 300: "has 300 characters, 128 at most",
        "%E5%B0%8F" * 129: "has 129 characters, 128 at most",
        "": "is empty",
        "%20%09": "is empty",
        "a%00b": "holds the invisible character U+0000",
        "a%0D%0AX-Mem1-User:%20bob": "holds the invisible character U+000D",
        b"a\x01b": "holds the invisible character U+0001",
        "a%E2%80%8Bb": "holds the invisible character U+200B",
        "%E2%80%AEbob": "holds the invisible character U+202E",
        b"\xff\xfe": "is not UTF-8; percent-encode what is not ASCII",
        "小明".encode("gb18030"): "is not UTF-8; percent-encode what is not ASCII",
        "%FF": "is not UTF-8; percent-encode what is not ASCII",
        "%ED%A0%BD": "is not UTF-8; percent-encode what is not ASCII",
    }
    headers, body = modern_call("list_topics")
    named = [("X-Mem1-User", "grace")] if header == "X-Mem1-Topic" else []

    for value, told in wrong.items():
        reply = await send(
            site.url, "POST /mcp", bearer(site.service), *named, (header, value), *headers, body=body
        )
        assert reply.status == 400
        assert reply.message.startswith(f"{header}: {told}")
        assert reply.message.endswith(". Nothing was done.")
    for twice in ((header, "a"), (header, "b")), ((header, "a"), (header.lower(), "a")):
        reply = await send(site.url, "POST /mcp", bearer(site.service), *named, *twice, *headers, body=body)
        assert (reply.status, reply.message) == (
            400,
            f"{header}: is there twice; send it once. Nothing was done.",
        )
    nul = await send(site.url, "POST /mcp", bearer(site.service), (header, b"a\0b"), *headers, body=body)
    assert nul.status == 400


async def test_a_name_with_an_underscore_is_another_header(site: Site) -> None:
    headers, body = modern_call("list_topics")

    reply = await send(
        site.url, "POST /mcp", bearer(site.alice), ("X_Mem1_User", "bob"), *headers, body=body
    )

    assert json.loads(reply.body)["result"]["structuredContent"]["user"] == "alice"


async def test_a_service_names_the_topic_of_calls_that_name_none(site: Site) -> None:
    headers = {"X-Mem1-User": "hugo", "X-Mem1-Topic": "%E5%AE%B6%E9%87%8C"}
    async with over_http(site.url, site.service, headers=headers) as host:
        await host.done("remember", messages=[{"role": "user", "content": "tea is in the tin"}])
        await host.done("remember", messages=[{"role": "user", "content": "a meeting"}], topic="work")

        topics = (await host.done("list_topics"))["topics"]
        found = await host.done("recall")

    assert sorted(topic["topic"] for topic in topics) == ["work", "家里"]
    assert [hit["text"] for hit in found["hits"]] == ["tea is in the tin"]


# How it starts


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--http --host 0.0.0.0 --port 0", "Make one first: mem1-mcp token create --user NAME"),
        ("--http --host 0.0.0.0 --port 0 --no-auth", "Leave it out, or listen on 127.0.0.1."),
        ("--http --port {taken}", "127.0.0.1 port {taken} can't be listened on"),
        ("--http --host 192.0.2.1 --port 0", "192.0.2.1 port 0 can't be listened on"),
        ("--http --port 70000", "MEM1_HTTP_PORT"),
        ("--host 127.0.0.1", "--host, --port and --no-auth go with --http."),
        ("--port 8765", "--host, --port and --no-auth go with --http."),
        ("--no-auth", "--host, --port and --no-auth go with --http."),
    ],
)
async def test_a_server_that_can_not_start_says_why(
    site: Site, tmp_path: Path, arguments: str, told: str
) -> None:
    given = arguments.format(taken=site.port).split()

    done = mem1(tmp_path, "serve", *given)

    assert done.returncode == 1
    assert told.format(taken=site.port) in done.stderr
    assert "Traceback" not in done.stderr
    assert "Serving" not in done.stderr
    assert done.stdout == ""
    assert b"mem1_" not in bytes_of(tmp_path)


def test_an_answer_in_two_parts_does_not_wait_for_the_first_to_be_acknowledged() -> None:
    with listening.listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_other_machines_are_served_from_the_first_token_on(memory: Memory, folder: Path) -> None:
    settings = Settings(memory_dir=folder)
    # Bound, so that it has an address, and never listened on: no test is reached by other machines.
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104
        port = listener.getsockname()[1]
        with pytest.raises(SettingsError, match="there is no token yet"):
            await listening.rules(memory, settings, listener, asking_for_tokens=True)
        await memory.keep_token(memory.new_token(NewToken("ming", expires_at=1)).token)
        with pytest.raises(SettingsError, match="there is no token yet"):
            await listening.rules(memory, settings, listener, asking_for_tokens=True)
        await memory.keep_token(memory.new_token(NewToken("ming")).token)

        rules = await listening.rules(memory, settings, listener, asking_for_tokens=True)

        with pytest.raises(SettingsError, match="--no-auth is refused"):
            await listening.rules(memory, settings, listener, asking_for_tokens=False)
    assert rules.everybody is None
    assert {
        f"127.0.0.1:{port}",
        f"localhost:{port}",
        f"{socket.gethostname().lower()}:{port}",
    } <= rules.hosts
    assert not rules.hosts & {f"0.0.0.0:{port}", "localhost", f"evil.com:{port}"}
    assert b"mem1_" not in bytes_of(folder)


async def test_without_tokens_every_program_is_one_user_and_no_page_gets_in(tmp_path: Path) -> None:
    async with served(tmp_path, "--no-auth", MEM1_USER_ID="小明", MEM1_TOPIC_ID="家") as server:
        here = Site(server, tmp_path, "whatever", "", "")
        open_doors = await statuses(here)
        foreign = [await statuses(here, header) for header in (("Host", "evil.com"), ("Origin", "null"))]
        named = [
            await send(server.url, "GET /sse", header)
            for header in (("X-Mem1-User", "bob"), ("X-Mem1-Topic", "x"))
        ]
        told = []
        for transport, era in WAYS:
            async with over_http(server.url, transport=transport, era=era) as host:
                told.append((await host.done("remember", facts=[{"text": "likes tea"}]))["user"])
        held = bytes_of(tmp_path)

    assert open_doors == SERVED
    assert [set(each.values()) for each in foreign] == [{421}, {403}]
    assert [reply.status for reply in named] == [403, 403]
    assert told == ["小明"] * len(WAYS)
    assert "No token is asked for: every program on this machine is user 小明." in server.errors()
    assert b"mem1_" not in held


# How it is


async def test_health_tells_whether_it_works_and_no_more(site: Site) -> None:
    health = await send(site.url, "GET /health")
    with_token = await send(site.url, "GET /health", bearer("mem1_nonsense"))
    others = [await send(site.url, f"{method} /health") for method in ("POST", "PUT", "DELETE", "OPTIONS")]

    assert (health.status, json.loads(health.body)["status"]) == (200, "ok")
    assert json.loads(health.body).keys() == {"status", "version"}
    assert health.headers["cache-control"] == "no-store"
    assert "server" not in health.headers
    assert with_token.body == health.body
    assert {reply.status for reply in others} == {405}
    assert (await send(site.url, "GET /")).status == 404


async def test_a_store_that_can_not_be_read_is_told_without_a_path_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    token = await make_token(tmp_path, "alice")
    store, aside = tmp_path / "memory" / "store.db", tmp_path / "aside.db"
    damaged = b"no database at all " * 500
    headers, body = modern_call("list_topics")

    async with served(tmp_path) as server:
        whole = await send(server.url, "GET /health")
        store.rename(aside)
        gone = [await send(server.url, "GET /health")]
        gone.append(await send(server.url, "POST /mcp", bearer(token), *headers, body=body))
        store.write_bytes(damaged)
        broken = [await send(server.url, "GET /health")]
        broken.append(await send(server.url, "POST /mcp", bearer(token), *headers, body=body))
        broken.append(await send(server.url, "GET /sse", bearer(token)))
        left = store.read_bytes()
        aside.replace(store)
        again = await send(server.url, "POST /mcp", bearer(token), *headers, body=body)

    assert whole.status == again.status == 200
    assert {reply.status for reply in gone + broken} == {503}
    assert gone[0].body == broken[0].body == b'{"status":"unavailable"}'
    assert all(reply.message.startswith("The token can't be checked") for reply in [gone[1], *broken[1:]])
    # Whoever is told this has shown no token that holds.
    assert not any(str(tmp_path).encode() in reply.body for reply in gone + broken)
    assert left == damaged


@pytest.mark.parametrize("arguments", [(), ("--no-auth",)])
def test_a_server_does_not_start_on_a_store_that_is_damaged(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    store = tmp_path / "memory" / "store.db"
    store.parent.mkdir(mode=0o700)
    damaged = b"no database at all " * 500
    store.write_bytes(damaged)

    done = mem1(tmp_path, "serve", "--http", "--port", "0", *arguments)

    assert done.returncode == 1
    assert f"{store} is damaged or no database at all" in done.stderr
    assert "restore it from a backup" in done.stderr
    assert "Traceback" not in done.stderr
    assert store.read_bytes() == damaged
    assert [path.name for path in store.parent.iterdir()] == ["store.db"]


# How much at once


@pytest.mark.parametrize("era", ERAS)
async def test_a_body_that_is_too_long_is_refused_in_words_and_the_server_goes_on(
    site: Site, era: str
) -> None:
    async with over_http(site.url, site.alice, era=era) as host:
        with pytest.raises(MCPError, match=r"bytes, 16777216 at most\. Nothing was done\. Send less\."):
            await host.call("remember", messages=[{"role": "user", "content": "x" * 17 * MEBIBYTE}])
        await host.done("list_topics")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_body_has_a_length_that_is_told_before_it_comes(site: Site, method: str) -> None:
    posted = (bearer(site.alice), JSON, BOTH)
    chunked = ("Transfer-Encoding", "chunked")
    doors_of = ["/mcp", f"/messages/?session_id={'0' * 32}"]

    for path in doors_of:
        line = f"{method} {path}"
        for length in ("17825792", "9" * 18):
            # Only the head is sent, so the refusal comes before the body does.
            refused = await send(site.url, line, *posted, ("Content-Length", length))
            assert refused.status == 413
        body = b"4\r\nping\r\n0\r\n\r\n"
        assert (await send(site.url, line, *posted, chunked, body=body)).status == 411
        # What is longer than it says is read as chunks.
        assert (
            await send(site.url, line, *posted, ("Content-Length", "4"), chunked, body=body)
        ).status == 411
        for wrong in (b"-1", b"1.5", b"0x10", b"\xb2", b"4, 5", b""):
            reply = await send(site.url, line, *posted, ("Content-Length", wrong))
            assert reply.status in (400, 411)
    assert (await send(site.url, "GET /health")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_bodies_under_way_take_no_more_room_than_there_is_whatever_the_method(method: str) -> None:
    going_on = anyio.Event()
    statuses_sent: list[int] = []

    async def slow(_scope: Any, _receive: Any, send_on: Any) -> None:
        await going_on.wait()
        await send_on({"type": "http.response.start", "status": 200, "headers": []})

    async def note(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses_sent.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    room = Room(slow)
    headers = [(b"content-length", str(16 * MEBIBYTE).encode())]
    scope = {"type": "http", "method": method, "path": "/mcp", "headers": headers}
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for token in ("one", "other"):
                announce(Caller(token, "alice", None))
                tasks.start_soon(room, scope, receive, note)
                await anyio.wait_all_tasks_blocked()
                await room(scope, receive, note)  # a token's share is one long body
            announce(Caller("third", "alice", None))
            await room(scope, receive, note)
            while_full = list(statuses_sent)
            going_on.set()
        await room(scope, receive, note)

    assert while_full == [503, 503, 503]
    assert statuses_sent == [503, 503, 503, 200, 200, 200]


async def test_no_header_that_is_sent_twice_opens_more_sessions_than_a_token_may_have(site: Site) -> None:
    token = await make_token(site.folder, "ivan")
    twice = (("Mcp-Protocol-Version", "2025-11-25"), MODERN)
    opening = (bearer(token), JSON, BOTH, *twice)

    told = [
        await send(site.url, "POST /mcp", *opening, body=request("initialize", **HANDSHAKE))
        for _ in range(251)
    ]

    assert {reply.status for reply in told[:-1]} <= {200, 400}
    assert told[-1].status in (400, 503)


def with_meta(body: bytes) -> bytes:
    """Give a call what every message of the newer era carries."""
    return body.replace(b'"arguments":', b'"_meta":%s,"arguments":' % json.dumps(META).encode())


SMALL = {name: body for name, (body, _) in ANSWERED.items() if len(body) < MEBIBYTE}


@pytest.mark.parametrize("era", ERAS)
async def test_whatever_body_comes_is_answered_and_the_server_goes_on(site: Site, era: str) -> None:
    async with http_client(site.alice) as client:
        headers: dict[str, str] = dict([JSON, BOTH])
        if era == "legacy":
            headers["Mcp-Session-Id"] = await open_session(site.url, site.alice)
        else:
            headers |= dict([MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", "recall")])
        told = {}
        for name, body in SMALL.items():
            sent = body if era == "legacy" else with_meta(body)
            reply = await client.post(f"{site.url}/mcp", content=sent, headers=headers)
            told[name] = (reply.status_code, reply.text)
    again, call = modern_call("recall")

    assert len(told) > 60
    assert {name: status for name, (status, _) in told.items() if status not in (200, 202, 400, 404)} == {}
    assert [
        name for name, (status, text) in told.items() if status == 200 and '"jsonrpc"' not in text
    ] == []
    assert [name for name, (status, text) in told.items() if status == 400 and '"error"' not in text] == []
    assert told["no JSON"][0] == told["a batch"][0] == told["lists 100,000 deep"][0] == 400
    assert "must be a whole number" in told["NaN"][1]
    half = told["half a character in an argument"]
    assert half[0] == 400 if era == "legacy" else "half a character" in half[1]
    assert (await send(site.url, "POST /mcp", bearer(site.alice), *again, body=call)).status == 200


@pytest.mark.parametrize("era", ERAS)
async def test_whatever_body_comes_over_sse_is_answered_and_the_stream_goes_on(
    site: Site, era: str
) -> None:
    hello = request("initialize", **HANDSHAKE) if era == "legacy" else request("server/discover", era)
    told: dict[str, int] = {}
    unanswered = []

    async with sse(site.url, site.alice) as events:
        await events.ask(hello)
        for number, (name, body) in enumerate(SMALL.items(), start=1000):
            sent = body if era == "legacy" else with_meta(body)
            reply = await events.post(sent.replace(b'"id":7', b'"id":%d' % number))
            told[name] = reply.status_code
            has_id = ANSWERED[name][1][0] == 7
            if has_id and reply.status_code == 202 and not await events.answer_to(number):
                unanswered.append(name)
        await events.post(request("tools/list", era, number=99))
        assert await events.answer_to(99)

    assert {name: status for name, status in told.items() if status not in (202, 400)} == {}
    assert unanswered == []
    assert told["no JSON"] == told["a batch"] == told["lists 100,000 deep"] == 400
    assert told["half a character in an argument"] == 400
    assert told["NaN"] == told["an unknown tool"] == 202


# What is left behind


@pytest.mark.heavy
@pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
async def test_neither_a_secret_nor_what_was_said_is_in_a_log(tmp_path: Path, level: str) -> None:
    tokens = [create_token(tmp_path, "--user", "alice"), create_token(tmp_path, "--service")]
    named: list[dict[str, str]] = [{}, {"X-Mem1-User": "bob"}]

    async with served(tmp_path, MEM1_LOG_LEVEL=level) as server:
        for token, headers in zip(tokens, named, strict=True):
            for transport, era in WAYS:
                async with over_http(
                    server.url, token, transport=transport, era=era, headers=headers
                ) as host:
                    await say_everywhere(host)
        for token in (tokens[0], f"{tokens[0]}x", f"{tokens[0][:-1]}~"):
            await send(server.url, "GET /sse", bearer(token), ("Host", "zqevil.com"))
            await send(server.url, "GET /sse", bearer(token), ("Origin", "http://zqevil.com"))
            await send_what_can_not_be_read(server.url, token)
        told = server.errors()

    secrets = [token.split("_", 2)[2][:-1] for token in tokens]
    assert [line for line in told.splitlines() if "zq" in line] == []
    assert [secret for secret in secrets if secret in told] == []
    assert [secret for secret in secrets if secret.encode() in bytes_of(tmp_path)] == []
    assert level == "WARNING" or "mem1-mcp DEBUG" in told


async def say_everywhere(host: Host) -> None:
    """Say a marker in every argument, in what is refused and in what is not found too."""
    message = {"role": "user", "content": "zqcontent", "name": "zqname"}
    calls: list[Probe] = [
        ("remember", {"messages": [message], "facts": [{"text": "zqfact"}], "topic": "zqtopic"}),
        ("remember", {"messages": [message], "metadata": {"zqkey": "zqvalue"}, "request_id": "zqrequest"}),
        ("remember", {"messages": [{**message, "role": "zqrole"}]}),
        ("remember", {"messages": [{**message, "timestamp": "zqtime"}]}),
        ("recall", {"query": "zqquery", "queries": ["zqqueries"], "metadata": {"zqkey": "zqvalue"}}),
        ("recall", {"around": "zqid", "zqargument": "zq"}),
        ("recall", {"limit": "zqlimit"}),
        ("forget", {"ids": ["zqid"]}),
        ("forget", {"topic": "zqtopic"}),
        ("forget", {"confirm": "zqtoken"}),
        ("zqtool", {"zqargument": "zq"}),
        ("resources/read", {"uri": "memory://profile"}),
        ("resources/read", {"uri": "memory://topics/zqtopic"}),
        ("resources/read", {"uri": "memory://topics/zqnowhere"}),
        ("resources/read", {"uri": "zq://zq"}),
        ("prompts/get", {"name": "load_memory", "arguments": {"topic": "zqtopic"}}),
        ("prompts/get", {"name": "zqprompt", "arguments": {}}),
        ("prompts/get", {"name": "load_memory", "arguments": {"zqargument": "zq"}}),
        ("completion/complete", {"value": "zqtop"}),
    ]
    for each in calls:
        await answered(host, each)


async def send_what_can_not_be_read(url: str, token: str) -> None:
    """Say a marker in bodies that are no message, to every door."""
    bodies = [
        b'{"zqbroken": "zqbroken',
        b'{"jsonrpc":"2.0","id":1,"method":"zqmethod \\ud83d","params":{"zqparam":"zqvalue"}}',
        b'{"jsonrpc":"2.0","id":1,"method":["zqmethod"],"params":"zqparams"}',
        b'[{"jsonrpc":"2.0","id":1,"method":"zqmethod"}]',
        b'{"jsonrpc":"2.0","method":"notifications/zq","params":{"zq":"zq"}}',
        b'{"jsonrpc":"2.0","id":5,"result":{"zq":"zq"}}',
        request("zqmethod", zqparam="zqvalue"),
    ]
    for body in bodies:
        posted = (bearer(token), JSON, BOTH)
        await send(url, "POST /mcp", *posted, body=body)
        await send(url, "POST /mcp", *posted, MODERN, body=body)
        await send(url, "POST /messages/?session_id=none", *posted, body=body)
        await send(url, "POST /mcp", *posted, ("Mcp-Session-Id", "none"), body=body)
    with_token = http_client(token)
    async with with_token as client, client.stream("GET", f"{url}/sse") as response:
        if response.status_code == 200:
            events = Events(client, url, response)
            events.door = await events.next()
            for body in bodies:
                await events.post(body)


async def test_the_first_token_is_in_one_file_that_its_owner_alone_reads(tmp_path: Path) -> None:
    async with served(tmp_path, MEM1_LOG_LEVEL="DEBUG") as server:
        path = tmp_path / "memory" / "first-token.txt"
        assert (await send(server.url, "GET /health")).status == 200
        token = path.read_text(encoding="utf-8").strip()
        async with over_http(server.url, token) as host:
            await host.done("remember", messages=[{"role": "user", "content": "hello"}])
        told = server.errors()

    secret = token.split("_", 2)[2]
    holding = [name for name, held in contents_of(tmp_path).items() if secret.encode() in held]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert holding == [path.name]
    assert str(path) in told
    assert secret not in told


def contents_of(folder: Path) -> dict[str, bytes]:
    """Read every file in a folder, by its name."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
