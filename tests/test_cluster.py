"""A cluster of three real nodes that are killed, and servers that are killed over it.

What was acknowledged is there, once; of a call there is all or nothing; forgotten bytes leave every node.
``MEM1_TEST_SECONDS`` and ``MEM1_TEST_KILLS`` make the two long ones longer.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mem1_mcp.app import wall_clock
from mem1_mcp.stores.elasticsearch import Cluster as Address
from mem1_mcp.stores.elasticsearch import ElasticsearchStore
from mem1_mcp.types import Scope
from tests.conftest import Host
from tests.elasticsearch_node import Cluster
from tests.test_forgotten_bytes import a_message, markers_in, tell_everywhere
from tests.test_stdio import Wire, call, connected, server_process

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SECONDS = float(os.environ.get("MEM1_TEST_SECONDS", "20"))
KILLS = int(os.environ.get("MEM1_TEST_KILLS", "16"))
SERVERS = 8
ENDS = (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass
class Memoirs:
    """A memory on the cluster, and what was sent to it and answered, by user."""

    environ: dict[str, Any]
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    cut_off: list[tuple[str, str]] = field(default_factory=list)
    slowest: float = 0.0
    kills: int = 0

    def store(self) -> ElasticsearchStore:
        hosts = tuple(self.environ["MEM1_ES_HOSTS"].split(","))
        return ElasticsearchStore(Address(hosts, prefix=self.environ["MEM1_ES_PREFIX"]), wall_clock)

    @asynccontextmanager
    async def server(self, folder: Path, user: str) -> AsyncGenerator[Wire]:
        async with server_process(folder, seconds=900, **self.environ, MEM1_USER_ID=user) as wire:
            await wire.initialize()
            yield wire

    async def send(self, wire: Wire, user: str, text: str) -> None:
        """Have a call kept, and note what was answered."""
        messages = [
            {"role": "user", "content": f"{text} was sent"},
            {"role": "assistant", "content": f"{text} has been noted"},
        ]
        began = time.monotonic()
        await wire.write(
            call(1, "remember", messages=messages, topic=text.split(maxsplit=1)[0], request_id=text)
        )
        answer = await wire.read()
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer["result"]["isError"]:
            self.refused.append((user, text, answer["result"]["content"][0]["text"]))
        else:
            self.acknowledged.append((user, text))

    async def check(self) -> str:
        """Check what is there against what was answered; return the figures."""
        store = self.store()
        lost, twice, half, rounds = [], [], [], 0
        sent = [*self.acknowledged, *((user, text) for user, text, _ in self.refused), *self.cut_off]
        users = sorted({user for user, _ in sent})
        present = 0
        try:
            for user in users:
                there = Counter(each.content for each in await store.latest(Scope(user), 1_000_000))
                facts = dict((await store.health(user)).facts)
                asked = {text for name, text in sent if name == user}
                both = {
                    text: (there[f"{text} was sent"], there[f"{text} has been noted"]) for text in asked
                }
                answered = {text for name, text in self.acknowledged if name == user}
                lost += [text for text in answered if both[text] == (0, 0)]
                half += [text for text, counts in both.items() if counts[0] != counts[1]]
                twice += [text for text, counts in both.items() if max(counts) > 1]
                kept = sum(counts[0] for counts in both.values())
                assert there.total() == 2 * kept
                assert int(facts["rounds"]) == kept
                rounds += int(facts["rounds"])
                present += kept
                nothing = {
                    text for name, text, words in self.refused if name == user and "Nothing of" in words
                }
                untrue = [text for text in nothing - answered if both[text] != (0, 0)]
            assert not untrue, [each for each in self.refused if each[1] in untrue]
        finally:
            await store.close()
        assert (lost, half, twice) == ([], [], [])
        assert rounds == present
        return (
            f"acknowledged {len(self.acknowledged)}, present {present}, lost {len(lost)}, "
            f"half {len(half)}, twice {len(twice)}, refused {len(self.refused)}, "
            f"cut off {len(self.cut_off)}, slowest {self.slowest:.2f} s, rounds {rounds}"
            + "".join(f"\n  {words}" for _, _, words in self.refused[:5])
        )


@pytest.fixture
def memoirs(cluster: Cluster) -> Memoirs:
    hosts = ",".join(cluster.urls)
    prefix = f"t{secrets.token_hex(4)}-"
    return Memoirs({"MEM1_ES_HOSTS": hosts, "MEM1_ES_PREFIX": prefix, "MEM1_ES_SHARDS": "3"})


def user_of(number: int) -> str:
    """Two servers serve a user each."""
    return f"user {number % (SERVERS // 2)}"


async def test_nodes_that_are_killed_lose_nothing(
    memoirs: Memoirs, cluster: Cluster, tmp_path: Path
) -> None:
    over = anyio.Event()
    node_kills = 0

    async def write(wire: Wire, number: int) -> None:
        sent = 0
        while not over.is_set():
            sent += 1
            await memoirs.send(wire, user_of(number), f"{number} parcel-{sent}")

    async def kill_in_turn() -> None:
        nonlocal node_kills
        until = time.monotonic() + SECONDS
        while node_kills < 3 or time.monotonic() < until:
            node = node_kills % 3
            cluster.kill(node)
            await anyio.sleep(SECONDS / 20)  # it stays away for a while
            cluster.restart(node)
            await anyio.to_thread.run_sync(cluster.wait, node, 3, "green")
            node_kills += 1
        over.set()

    async with AsyncExitStack() as stack:
        servers = [memoirs.server(tmp_path, user_of(number)) for number in range(SERVERS)]
        wires = [await stack.enter_async_context(server) for server in servers]
        async with anyio.create_task_group() as tasks:
            for number, wire in enumerate(wires):
                tasks.start_soon(write, wire, number)
            tasks.start_soon(kill_in_turn)

    print(f"\n{node_kills} nodes killed: {await memoirs.check()}")
    assert len(memoirs.acknowledged) > 100


async def test_servers_that_are_killed_leave_whole_calls(memoirs: Memoirs, tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret

    async def write_until_killed(number: int) -> None:
        user, sent = user_of(number), 0
        again: str | None = None
        while memoirs.kills < KILLS:
            async with memoirs.server(tmp_path, user) as wire:
                left, on_its_way = chance.randrange(1, 60), ""
                try:
                    for _ in range(left):
                        if again is None:
                            sent += 1
                        on_its_way = again or f"{number} parcel-{sent}"
                        again = None
                        await memoirs.send(wire, user, on_its_way)
                    sent += 1
                    on_its_way = f"{number} parcel-{sent}"
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(memoirs.send, wire, user, on_its_way)
                        await anyio.sleep(chance.uniform(0, 0.02))
                        wire.process.kill()
                except* ENDS:
                    memoirs.cut_off.append((user, on_its_way))
                    again = on_its_way if chance.random() < 0.5 else None
                memoirs.kills += 1

    async with anyio.create_task_group() as tasks:
        for number in range(SERVERS):
            tasks.start_soon(write_until_killed, number)

    print(f"\n{memoirs.kills} servers killed: {await memoirs.check()}")
    assert len(memoirs.acknowledged) > 100


def left_on(cluster: Cluster) -> set[str]:
    """Return the markers that can be read in any data file of any node."""
    return {marker for folder in cluster.data_folders for marker in markers_in(folder)}


async def gone_after(cluster: Cluster) -> float:
    """Wait until no node holds a marker; return after how many seconds."""
    began = time.monotonic()
    with anyio.fail_after(400):
        while left_on(cluster):
            await anyio.sleep(1)
    return time.monotonic() - began


async def told_and_previewed(host: Host, cluster: Cluster) -> str:
    """Tell a marker everywhere, have it written to the disks of all nodes, and preview to forget it."""
    await tell_everywhere(host)
    for number in range(70):  # so that all of it moves into the index
        await host.done("remember", messages=[a_message(f"I have {number} cats.")], topic="home")
    await anyio.to_thread.run_sync(cluster.ask, "/_flush?force=true&wait_if_ongoing=true")
    there = [markers_in(folder) for folder in cluster.data_folders]
    assert sum("zqcity" in markers for markers in there) >= 2  # a shard and its copy
    # Here and there it is compressed.
    assert len(left_on(cluster) & {"zquser", "zqtopic", "zqvalue", "zqtown", "zqcity", "繁體", "麻辣"}) >= 5
    preview = await host.done("forget", topic="zqtopic")
    return str(preview["confirm"])


async def test_a_forgotten_marker_leaves_every_disk_of_every_node(
    memoirs: Memoirs, cluster: Cluster, tmp_path: Path
) -> None:
    async with connected(tmp_path, seconds=700, **memoirs.environ) as host:
        confirm = await told_and_previewed(host, cluster)
        before = left_on(cluster)

        done = await host.done("forget", confirm=confirm)

        assert (await host.done("recall", query="zquser zqcity 麻辣"))["hits"] == []
        seconds = await gone_after(cluster)
        while (await host.done("forget", confirm=confirm))["pending"]:
            await anyio.sleep(1)
        assert left_on(cluster) == set()
        assert (await host.done("recall", query="cats", topic="home"))["more"] > 0
    print(f"\n{len(before)} markers readable before, 0 after {seconds:.0f} s; messages: {done['messages']}")


async def test_a_server_killed_in_the_middle_of_forgetting_is_taken_over(
    memoirs: Memoirs, cluster: Cluster, tmp_path: Path
) -> None:
    async with memoirs.server(tmp_path, "ming") as wire:
        async with connected(tmp_path, seconds=700, **memoirs.environ, MEM1_USER_ID="ming") as host:
            confirm = await told_and_previewed(host, cluster)
        await wire.write(call(1, "forget", confirm=confirm))
        assert not (await wire.read())["result"]["isError"]
        wire.process.kill()
    assert left_on(cluster) != set()

    async with connected(tmp_path, seconds=700, **memoirs.environ, MEM1_USER_ID="ming") as host:
        assert (await host.done("recall", query="zquser zqcity 麻辣"))["hits"] == []
        seconds = await gone_after(cluster)
        while (await host.done("forget", confirm=confirm))["pending"]:
            await anyio.sleep(1)
    print(f"\nfinished by the next server after {seconds:.0f} s")
