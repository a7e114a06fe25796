"""All that the server offers, in both eras of the protocol, over all three transports.

Each test runs in every cell of that matrix, on real processes: one server for all cells over HTTP and
SSE, and one for each host over stdio. They share a store, in which each test has a user of its own.
"""

from __future__ import annotations

import base64
import itertools
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from anyio.abc import TaskStatus
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import Subscription
from mcp.server.subscriptions import ResourceUpdated

from tests.conftest import Host
from tests.image_files import a_png, a_png_of
from tests.serving import ALL_SECONDS, COMMAND, create_token, http_client, over_http, served, served_to_many
from tests.test_asking import Person, before, texts
from tests.test_resources import completed, prompt_text, read
from tests.test_stdio import server_process
from tests.test_under_way import ENVELOPE
from tests.test_updates import Told

VERSIONS = {"legacy": "2025-11-25", "auto": "2026-07-28"}  # of each era
TRANSPORTS = ["stdio", "sse", "http"]
PROFILE = "memory://profile"
END_SECONDS = 6  # three are promised, and two at most taken; a machine may have other things to do

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """Where the memory of all cells lies, and where and with which token it is served over HTTP."""

    folder: Path
    url: str
    token: str


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix, with a user of its own."""

    place: Place
    era: str
    transport: str
    user: str

    @asynccontextmanager
    async def connected(self, **options: Any) -> AsyncGenerator[Host]:
        """Connect a host of this user in the way of this cell; options are the SDK client's own."""
        with anyio.fail_after(ALL_SECONDS):
            async with self._by_its_transport(**options) as host:
                assert host.client.protocol_version == VERSIONS[self.era]
                yield host

    def _by_its_transport(self, **options: Any) -> AbstractAsyncContextManager[Host]:
        if self.transport == "stdio":
            return over_stdio(self.place.folder, self.era, {"MEM1_USER_ID": self.user}, **options)
        return over_http(
            self.place.url,
            self.place.token,
            transport=self.transport,
            era=self.era,
            headers={"X-Mem1-User": self.user},
            **options,
        )

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep all processes from writing to this user's file."""
        (path,) = (self.place.folder / "memory" / "users").glob(f"{self.user}-*.db")
        other = apsw.Connection(str(path))
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.close()


@asynccontextmanager
async def over_stdio(
    folder: Path, era: str, environ: dict[str, str], **options: Any
) -> AsyncGenerator[Host]:
    """Run a server over a memory in this folder and connect the SDK's client by its stdin and stdout."""
    environment = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")} | environ
    parameters = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=environment)
    with (folder / "stdio-stderr.txt").open("a", encoding="utf-8") as stderr:
        async with Client(stdio_client(parameters, errlog=stderr), mode=era, **options) as client:
            yield Host(client)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Return what conftest's does; the server of this module needs it as long as it lives."""
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Place]:
    folder = tmp_path_factory.mktemp("matrix")
    token = create_token(folder, "--service")
    async with served_to_many(folder) as server:
        yield Place(folder, server.url, token)
        told = server.errors() + (folder / "stdio-stderr.txt").read_text("utf-8")
        assert not any(word in told for word in ("Traceback", "ERROR")), told


@pytest.fixture(params=VERSIONS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cell(place: Place, era: str, transport: str) -> Cell:
    return Cell(place, era, transport, f"user{next(_numbers)}")


async def pass_on(events: Subscription, told: Told) -> None:
    async for event in events:
        assert isinstance(event, ResourceUpdated)
        told.add(event.uri)


@asynccontextmanager
async def told_of_the_profile(cell: Cell) -> AsyncGenerator[tuple[Host, Told]]:
    """Connect a host that subscribed to the profile, in the way of its era."""
    told = Told()
    if cell.era == "legacy":
        async with cell.connected(message_handler=told) as host:
            await host.subscribe(PROFILE)
            yield host, told
        return
    async with (
        cell.connected() as host,
        host.client.listen(resource_subscriptions=[PROFILE]) as events,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(pass_on, events, told)
        yield host, told
        tasks.cancel_scope.cancel()


def said(*contents: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content} for content in contents]


async def test_tools_remember_find_list_and_forget(cell: Cell) -> None:
    fact = {"text": "对花生过敏"}

    async with cell.connected() as host:
        tools = [tool.name for tool in (await host.client.list_tools()).tools]
        saved = await host.done("remember", messages=said("我对花生过敏 🥜"), facts=[fact], topic="health")
        found = await host.done("recall", query="花生")
        listed = await host.done("list_topics")
        preview = await host.done("forget", topic="health")
        kept = await texts(host)
        done = await host.done("forget", confirm=preview["confirm"])
        left = await texts(host)

    assert tools == ["remember", "recall", "search_images", "list_topics", "forget"]
    assert (saved["user"], saved["topic"]) == (cell.user, "health")
    assert [hit["text"] for hit in found["hits"]] == ["我对花生过敏 🥜"]
    assert [(topic["topic"], topic["messages"]) for topic in listed["topics"]] == [("health", 1)]
    assert kept == ["我对花生过敏 🥜"]
    assert (done["forgotten"], done["messages"]) == (True, 1)
    assert left == []


async def test_an_image_is_sent_found_and_read_in_full(cell: Cell, tmp_path: Path) -> None:
    data = a_png("green", (320, 200))
    sent = {
        "data": base64.b64encode(data).decode(),
        "filename": "meadow.png",
        "description": "A green meadow",
    }
    async with cell.connected() as host:
        (image,) = (await host.done("remember", images=[sent]))["image_ids"]
        found = await host.call("search_images", query="meadow")
        (content,) = (await host.client.read_resource(f"memory://images/{image}")).contents

        assert [part.type for part in found.content] == ["text", "image", "resource_link"]
        assert content.mime_type == "image/png"
        assert base64.b64decode(getattr(content, "blob", "")) == data
        (tmp_path / "x.png").write_bytes(data)
        refused = await host.refused("remember", images=[{"path": str(tmp_path / "x.png")}])
        # Over stdio it lies outside the home folder; over the network nothing is opened at all.
        assert ("MEM1_IMAGE_ROOTS" if cell.transport == "stdio" else "stdio") in refused


@pytest.mark.heavy
async def test_the_largest_image_that_may_be_kept_fits_a_request(cell: Cell) -> None:
    if cell.era == "legacy":
        pytest.skip("the size is the transport's, not the era's")
    data = a_png_of(10 * 1024 * 1024)
    async with cell.connected() as host:
        sent = {"data": base64.b64encode(data).decode(), "description": "noise"}
        (image,) = (await host.done("remember", images=[sent]))["image_ids"]
        assert [hit["id"] for hit in (await host.done("search_images", query="noise"))["hits"]] == [image]
        if cell.transport != "sse":  # of which the SDK's client takes no more than a megabyte at once
            (content,) = (await host.client.read_resource(f"memory://images/{image}")).contents
            assert base64.b64decode(getattr(content, "blob", "")) == data


async def test_resources_prompts_and_completions_bring_memory_into_a_chat(cell: Cell) -> None:
    fact = {"text": "Bakes bread for a living"}

    async with cell.connected() as host:
        await host.done("remember", messages=said("The oven costs 9,400 euros"), facts=[fact], topic="烘焙")
        profile = await read(host, PROFILE)
        topics = await read(host, "memory://topics")
        topic = await read(host, "memory://topics/%E7%83%98%E7%84%99")
        loading = await prompt_text(host, "load_memory", topic="烘焙")
        saving = await prompt_text(host, "save_conversation", topic="烘焙")
        names = await completed(host, "烘")

    assert "Bakes bread for a living" in profile
    assert "- 烘焙: 1 message" in topics
    assert "The oven costs 9,400 euros" in topic
    assert "Bakes bread for a living" in loading
    assert "The oven costs 9,400 euros" in loading
    assert 'with topic "烘焙"' in saving
    assert names == ["烘焙"]


async def test_a_changed_profile_is_told(cell: Cell) -> None:
    async with told_of_the_profile(cell) as (host, told):
        await host.done("remember", facts=[{"text": "Lives in Hamburg"}])
        await told.of(PROFILE)
        profile = await host.profile()

    assert "Lives in Hamburg" in profile


@pytest.mark.heavy
async def test_a_profile_that_another_process_changed_is_told_in_every_cell(place: Place) -> None:
    cells = [Cell(place, era, transport, "wanderer") for era in VERSIONS for transport in TRANSPORTS]
    profiles = {}
    changed = anyio.Event()

    async def hear(cell: Cell, *, task_status: TaskStatus[None]) -> None:
        async with told_of_the_profile(cell) as (host, told):
            task_status.started()
            await changed.wait()
            await told.of(PROFILE)
            profiles[cell.era, cell.transport] = await host.profile()

    async with (
        over_stdio(place.folder, "auto", {"MEM1_USER_ID": "wanderer"}) as elsewhere,
        anyio.create_task_group() as tasks,
    ):
        for cell in cells:
            await tasks.start(hear, cell)
        await elsewhere.done("remember", facts=[{"text": "Lives in Hamburg"}])
        changed.set()

    assert len(profiles) == len(cells)
    assert all("Lives in Hamburg" in profile for profile in profiles.values())


async def test_progress_only_rises_and_ends_at_its_total(cell: Cell) -> None:
    remembering: list[tuple[float, float | None]] = []
    forgetting: list[tuple[float, float | None]] = []

    async def note_remembering(progress: float, total: float | None, message: str | None) -> None:
        remembering.append((progress, total))

    async def note_forgetting(progress: float, total: float | None, message: str | None) -> None:
        forgetting.append((progress, total))

    async with cell.connected() as host:
        arguments = {"messages": said("I moved", "to Hamburg"), "facts": [{"text": "Lives in Hamburg"}]}
        await host.client.call_tool("remember", arguments, progress_callback=note_remembering)
        preview = await host.done("forget", everything=True)
        confirm = {"confirm": preview["confirm"]}
        await host.client.call_tool("forget", confirm, progress_callback=note_forgetting)

    for told in (remembering, forgetting):
        steps = [progress for progress, _ in told]
        assert len(steps) > 1
        assert steps == sorted(set(steps))
        assert {total for _, total in told} == {steps[-1]}


async def test_a_call_given_up_is_whole_or_absent_and_the_next_one_works(cell: Cell) -> None:
    def parcel(number: int) -> dict[str, Any]:
        return {
            "messages": said(f"parcel{number} sent", f"parcel{number} arrived"),
            "facts": [{"text": f"Waits for parcel{number}"}],
        }

    async with cell.connected() as host:
        await host.done("remember", **parcel(0))

        with cell.locked():  # given up while it waits
            async with anyio.create_task_group() as tasks:
                for number in range(1, 6):
                    tasks.start_soon(host.client.call_tool, "remember", parcel(number))
                await host.done("list_topics")
                tasks.cancel_scope.cancel()
            await host.done("list_topics")

        with anyio.CancelScope() as half_way:  # given up between its messages and its facts

            async def give_up(progress: float, total: float | None, message: str | None) -> None:
                half_way.cancel()

            await host.client.call_tool("remember", parcel(6), progress_callback=give_up)

        await host.done("remember", **parcel(7))
        found = await host.done("recall", limit=100)
        listed = await host.done("list_topics")

    kept = Counter(hit["text"].split()[0] for hit in found["hits"])
    assert half_way.cancel_called
    assert set(kept.values()) == {2}
    assert {"parcel0", "parcel6", "parcel7"} <= set(kept)
    assert [topic["messages"] for topic in listed["topics"]] == [kept.total()]


async def test_a_client_that_is_gone_before_its_call_has_arrived_is_no_error(tmp_path: Path) -> None:
    half_a_call = (
        "POST {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json, text/event-stream\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n{}\r\n{{"
    )

    async with served(tmp_path, "--no-auth") as server:
        host = server.url.removeprefix("http://")
        for path, header in (
            ("/mcp", ""),
            ("/mcp", "MCP-Protocol-Version: 2026-07-28\r\n"),
            ("/messages/", ""),
        ):
            async with await anyio.connect_tcp("127.0.0.1", int(host.rpartition(":")[2])) as connection:
                await connection.send(half_a_call.format(path, host, header).encode())
        async with over_http(server.url) as other:
            await other.done("remember", messages=said("saw a heron"))
        server.process.terminate()
        await server.process.wait()

    assert not any(word in server.errors() for word in ("Traceback", "ERROR")), server.errors()


async def test_a_yes_of_the_person_forgets_at_once(cell: Cell) -> None:
    person = Person("accept", {"forget": True})

    async with cell.connected(**before(person)) as host:
        await host.done("remember", messages=said("the deadline is on Friday"), topic="work")
        done = await host.done("forget", topic="work")
        left = await texts(host)

    assert "the deadline is on Friday" in person.asked[0].message
    assert (done["forgotten"], done["messages"]) == (True, 1)
    assert left == []


async def test_a_no_of_the_person_forgets_nothing_and_leaves_a_token(cell: Cell) -> None:
    person = Person("decline")

    async with cell.connected(**before(person)) as host:
        await host.done("remember", messages=said("the deadline is on Friday"), topic="work")
        answer = await host.done("forget", topic="work")
        kept = await texts(host)
        done = await host.done("forget", confirm=answer["confirm"])
        left = await texts(host)

    assert answer["declined"] is True
    assert kept == ["the deadline is on Friday"]
    assert done["forgotten"] is True
    assert left == []
    assert len(person.asked) == 1


@pytest.mark.heavy
async def test_sigterm_ends_a_process_with_a_stream_open(tmp_path: Path, era: str, transport: str) -> None:
    if transport == "stdio":
        code, told = await _ended_on_stdio(tmp_path, era)
    else:
        code, told = await _ended_over_http(tmp_path, era, transport)

    assert code == 0
    assert "Traceback" not in told
    assert "ERROR" not in told


async def _ended_on_stdio(folder: Path, era: str) -> tuple[int, str]:
    async with server_process(folder) as wire:
        if era == "legacy":
            await wire.initialize()
            assert "result" in await wire.ask("resources/subscribe", {"uri": PROFILE})
        else:
            asked = {"notifications": {"resourceSubscriptions": [PROFILE]}, "_meta": ENVELOPE}
            await wire.write(
                {"jsonrpc": "2.0", "id": "stream", "method": "subscriptions/listen", "params": asked}
            )
            acknowledged = await wire.read()
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        wire.process.terminate()
        with anyio.fail_after(END_SECONDS):
            code = await wire.process.wait()
        return code, wire.errors()


async def _ended_over_http(folder: Path, era: str, transport: str) -> tuple[int, str]:
    async with (
        served(folder, "--no-auth") as server,
        over_http(server.url, transport=transport, era=era) as host,
    ):
        if era == "legacy":
            await host.subscribe(PROFILE)
            server.process.send_signal(signal.SIGTERM)
        else:
            async with host.client.listen(resource_subscriptions=[PROFILE]) as events:
                server.process.send_signal(signal.SIGTERM)
                assert [event async for event in events] == []  # and the client is told that it ends
        with anyio.fail_after(END_SECONDS):
            code = await server.process.wait()
        return code, server.errors()


async def test_a_server_of_the_older_protocol_is_spoken_to_in_it(tmp_path: Path, transport: str) -> None:
    @asynccontextmanager
    async def connected() -> AsyncGenerator[Host]:
        if transport == "stdio":
            async with over_stdio(tmp_path, "auto", {"MEM1_PROTOCOL": "legacy"}) as host:
                yield host
            return
        async with (
            served(tmp_path, "--no-auth", "--protocol", "legacy") as server,
            over_http(server.url, transport=transport, era="auto") as host,
        ):
            yield host

    with anyio.fail_after(ALL_SECONDS):
        async with connected() as host:
            version = host.client.protocol_version
            await host.done("remember", messages=said("saw a heron"))
            found = await texts(host)

    assert version == "2025-11-25"
    assert found == ["saw a heron"]


async def test_a_session_of_a_service_is_of_whom_each_request_names(place: Place) -> None:
    async with over_stdio(place.folder, "auto", {"MEM1_USER_ID": "alice"}) as host:
        await host.done("remember", facts=[{"text": "Allergic to peanuts"}])

    with anyio.fail_after(ALL_SECONDS):
        async with (
            http_client(place.token, {"X-Mem1-User": "alice"}) as http,
            Client(streamable_http_client(f"{place.url}/mcp", http_client=http), mode="legacy") as client,
        ):
            host = Host(client)
            instructions = client.instructions or ""
            alice = await host.done("remember", messages=said("saw a heron"))
            http.headers["X-Mem1-User"] = "bob"
            before_bob = (await texts(host), await host.profile())
            bob = await host.done("remember", messages=said("saw a stork"))
            of_bob = await texts(host)
            http.headers["X-Mem1-User"] = "alice"
            of_alice = (await texts(host), await host.profile())
            del http.headers["X-Mem1-User"]
            of_nobody = await host.refused("recall")

    assert "remember" in instructions
    assert "peanuts" not in instructions
    assert (alice["user"], bob["user"]) == ("alice", "bob")
    assert before_bob[0] == []
    assert "peanuts" not in before_bob[1]
    assert of_bob == ["saw a stork"]
    assert of_alice[0] == ["saw a heron"]
    assert "peanuts" in of_alice[1]
    assert "X-Mem1-User is missing" in of_nobody
