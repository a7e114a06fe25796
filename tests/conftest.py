"""Fixtures: a clean environment, a clock that is set by hand, a store, a server, a client."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import settings as hypothesis_settings
from mcp import Client
from mcp.types import (
    CallToolResult,
    EmptyResult,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from mem1_mcp.memory import Jobs, Memory
from mem1_mcp.protocols import Store
from mem1_mcp.server.build import build_server
from mem1_mcp.server.identity import always
from mem1_mcp.server.updates import Updates
from mem1_mcp.settings import Settings
from mem1_mcp.stores.elasticsearch import Cluster, ElasticsearchStore
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.types import Rhythm


class Opening(Protocol):
    """Opens a store; ``space`` names the model whose vectors it keeps, ``rhythm`` when it refreshes."""

    def __call__(self, space: str | None = None, rhythm: Rhythm | None = None) -> Store: ...


pytest_plugins = ["tests.engines"]

ZONE = ZoneInfo("Asia/Shanghai")

hypothesis_settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis_settings.load_profile("ci")

for name in list(os.environ):
    if name.startswith("MEM1_") and not name.startswith("MEM1_TEST_"):
        del os.environ[name]


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    now: int = int(datetime(2026, 5, 20, 12, 0, tzinfo=ZONE).timestamp() * 1000)

    def __call__(self) -> int:
        return self.now

    def forward(self, *, minutes: float = 0, days: float = 0) -> None:
        """Let time pass."""
        self.now += int((minutes * 60 + days * 86_400) * 1000)


class Host:
    """A host's side of a connection: calls tools and reads their answers."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """Call a tool, whatever it answers."""
        return await self.client.call_tool(tool, arguments)

    async def done(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed; return its structured content."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, words(result)
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must refuse; return its words."""
        result = await self.call(tool, **arguments)
        assert result.is_error, words(result)
        return words(result)

    async def text(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must succeed; return the text that a model reads."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, words(result)
        return words(result)

    async def subscribe(self, uri: str) -> None:
        """Subscribe to a resource, in the way of the handshake era."""
        params = SubscribeRequestParams(uri=uri)
        await self.client.session.send_request(SubscribeRequest(params=params), EmptyResult)

    async def unsubscribe(self, uri: str) -> None:
        """Take a subscription back."""
        params = UnsubscribeRequestParams(uri=uri)
        await self.client.session.send_request(UnsubscribeRequest(params=params), EmptyResult)

    async def profile(self) -> str:
        """Read the profile resource."""
        contents = (await self.client.read_resource("memory://profile")).contents[0]
        return str(getattr(contents, "text", ""))


def words(result: CallToolResult) -> str:
    """Return all text of a result."""
    return "\n".join(getattr(part, "text", "") for part in result.content)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the fixture ``store`` keeps its files."""
    return tmp_path / "memory"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module that says ``ENGINES`` on each of these, and others on SQLite."""
    if "engine" in metafunc.fixturenames and hasattr(metafunc.module, "ENGINES"):
        metafunc.parametrize(
            "engine",
            [pytest.param(name, marks=_ENGINE_MARKS.get(name, ())) for name in metafunc.module.ENGINES],
        )


_ENGINE_MARKS = {"elasticsearch": pytest.mark.elasticsearch, "indexed": pytest.mark.elasticsearch}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what takes long on purpose more time before it counts as hanging."""
    for item in items:
        slow = item.get_closest_marker("heavy") or item.get_closest_marker("elasticsearch")
        if slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def engine() -> str:
    """The engine a test runs on."""
    return "sqlite"


@pytest.fixture
def another(engine: str, folder: Path, clock: HandClock, request: pytest.FixtureRequest) -> Opening:
    """Opens the store of ``store`` once more, as another process would."""
    if engine == "sqlite":
        return lambda space=None, rhythm=None: SqliteStore(folder, clock, space=space, rhythm=rhythm)
    hosts = tuple(str(request.getfixturevalue("elasticsearch_url")).split(","))
    # Otherwise a test's few calls would never leave the ledger.
    recent = 1 if engine == "indexed" else 64
    cluster = Cluster(hosts, prefix=request.getfixturevalue("index_prefix"), recent_calls=recent)
    return lambda space=None, rhythm=None: ElasticsearchStore(cluster, clock, space, rhythm)


@pytest.fixture
async def store(another: Opening) -> AsyncGenerator[Store]:
    opened = another()
    yield opened
    await opened.close()


def a_memory(store: Store, clock: HandClock, zone: tzinfo = ZONE) -> Memory:
    """Put a memory together; nobody works in its background."""
    return Memory(store, clock, zone, Jobs(store, clock))


@pytest.fixture
def memory(store: Store, clock: HandClock) -> Memory:
    return a_memory(store, clock)


@asynccontextmanager
async def host_of(memory: Memory, user: str = "ming", **settings: Any) -> AsyncGenerator[Host]:
    """Connect a host to a server over this memory, in this process; settings as fields of Settings.

    ``options`` are the SDK client's own, such as its callbacks.
    """
    mode, options = settings.pop("mode", "auto"), settings.pop("options", {})
    chosen = Settings(user_id=user, **settings)
    identify = always(user, chosen.topic_id)
    updates = Updates(memory, identify)
    server = build_server(memory, chosen, identify, updates)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(updates.run)
        async with Client(server, mode=mode, **options) as client:
            yield Host(client)
        tasks.cancel_scope.cancel()


@pytest.fixture
async def host(memory: Memory) -> AsyncGenerator[Host]:
    async with host_of(memory) as connected:
        yield connected
