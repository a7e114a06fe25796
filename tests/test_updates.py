"""Who subscribed to a resource is told when it changes, whoever changed it, and nobody else is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import MCPError
from mcp.server.subscriptions import ResourceUpdated
from mcp.types import ResourceUpdatedNotification

from mem1_mcp.memory import Memory
from mem1_mcp.stores.sqlite import SqliteStore
from tests.conftest import HandClock, Host, a_memory, host_of

ERAS = ["legacy", "auto"]
PROFILE = "memory://profile"
SECONDS = 20  # a hang ends here


class Told:
    """What a host was told, in the order in which it came."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self._more = anyio.Event()

    def add(self, uri: str) -> None:
        self.uris.append(uri)
        self._more.set()

    async def __call__(self, message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.add(str(message.params.uri))

    async def of(self, uri: str) -> None:
        """Wait until this resource is told of."""
        with anyio.fail_after(SECONDS):
            while uri not in self.uris:
                self._more = anyio.Event()
                await self._more.wait()


@asynccontextmanager
async def listening(
    memory: Memory, era: str, *uris: str, user: str = "ming"
) -> AsyncGenerator[tuple[Host, Told]]:
    """Connect a host that subscribed to these resources, in the way of its era."""
    told = Told()
    options = {"message_handler": told} if era == "legacy" else {}
    async with (
        host_of(memory, mode=era, user=user, options=options) as host,
        anyio.create_task_group() as tasks,
    ):
        if era == "legacy":
            for uri in uris:
                await host.subscribe(uri)
            yield host, told
            return
        async with host.client.listen(resource_subscriptions=list(uris)) as events:

            async def pass_on() -> None:
                async for event in events:
                    assert isinstance(event, ResourceUpdated)
                    told.add(event.uri)

            tasks.start_soon(pass_on)
            yield host, told
            tasks.cancel_scope.cancel()


async def tell_a_fact(host: Host, text: str) -> None:
    await host.done("remember", facts=[{"text": text}])


@pytest.mark.parametrize("era", ERAS)
async def test_a_changed_profile_is_told(memory: Memory, era: str) -> None:
    async with listening(memory, era, PROFILE) as (host, told):
        await tell_a_fact(host, "Lives in Hamburg")
        await told.of(PROFILE)
        told.uris.clear()
        preview = await host.done("forget", everything=True)
        await host.done("forget", confirm=preview["confirm"])
        await told.of(PROFILE)


@pytest.mark.parametrize("era", ERAS)
async def test_a_topic_that_grew_is_told_and_another_is_not(memory: Memory, era: str) -> None:
    uris = ("memory://topics", "memory://topics/work", "memory://topics/%E5%AE%B6", "memory://topics/other")

    async with listening(memory, era, *uris) as (host, told):
        for topic in ("work", "家"):
            await host.done("remember", messages=[{"role": "user", "content": "hello"}], topic=topic)
        for uri in uris[:3]:
            await told.of(uri)

    assert "memory://topics/other" not in told.uris


@pytest.mark.parametrize("era", [pytest.param("legacy", marks=pytest.mark.heavy), "auto"])
async def test_a_change_by_another_process_is_told(
    memory: Memory, clock: HandClock, folder: Any, era: str
) -> None:
    other = SqliteStore(folder, clock)

    async with listening(memory, era, PROFILE) as (_, told), host_of(a_memory(other, clock)) as elsewhere:
        await tell_a_fact(elsewhere, "Lives in Hamburg")
        await told.of(PROFILE)
    await other.close()


@pytest.mark.parametrize("era", ERAS)
async def test_a_change_of_another_users_profile_is_not_told(memory: Memory, era: str) -> None:
    async with (
        listening(memory, era, PROFILE, user="alice") as (alice, told_alice),
        listening(memory, era, PROFILE, user="bob") as (bob, told_bob),
    ):
        await tell_a_fact(bob, "Plans a party")
        await told_bob.of(PROFILE)
        told_before = list(told_alice.uris)
        await tell_a_fact(alice, "Likes parties")
        await told_alice.of(PROFILE)

    assert told_before == []


async def test_who_unsubscribed_is_told_no_more(memory: Memory) -> None:
    async with listening(memory, "legacy", PROFILE, "memory://topics") as (host, told):
        await host.unsubscribe(PROFILE)
        await host.unsubscribe("memory://topics/never")
        message = {"role": "user", "content": "I moved"}
        await host.done("remember", messages=[message], facts=[{"text": "Lives in Hamburg"}])
        await told.of("memory://topics")

    assert PROFILE not in told.uris


async def test_what_is_no_resource_can_not_be_subscribed_to(memory: Memory) -> None:
    async with host_of(memory, mode="legacy") as host:
        for uri in ("memory://profile/wei", "file:///etc/passwd"):
            with pytest.raises(MCPError, match="Unknown resource"):
                await host.subscribe(uri)


@pytest.mark.heavy
async def test_one_connection_has_a_bounded_number_of_subscriptions(memory: Memory) -> None:
    async with host_of(memory, mode="legacy") as host:
        for number in range(256):
            await host.subscribe(f"memory://topics/{number}")
        with pytest.raises(MCPError, match="256 subscriptions, the most there may be"):
            await host.subscribe("memory://topics/more")
        await host.unsubscribe("memory://topics/7")
        await host.subscribe("memory://topics/more")
