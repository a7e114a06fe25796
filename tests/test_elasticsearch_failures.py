"""What can go wrong with a cluster is told in words, loses nothing, and is over when its cause is."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mem1_mcp.stores.elasticsearch import Cluster, ElasticsearchStore
from tests.conftest import HandClock, Host, a_memory, host_of
from tests.elasticsearch_node import free_port
from tests.front_door import Fault, FrontDoor, error, front_door
from tests.test_stdio import server_process

pytestmark = pytest.mark.elasticsearch

TEA = [{"role": "user", "content": "I drink green tea in the morning."}]
COFFEE = [{"role": "user", "content": "I drink coffee at noon."}]


@pytest.fixture
async def door(elasticsearch_url: str) -> AsyncGenerator[FrontDoor]:
    async with front_door(elasticsearch_url.split(",", maxsplit=1)[0]) as opened:
        yield opened


@asynccontextmanager
async def a_host(cluster: Cluster, clock: HandClock) -> AsyncGenerator[Host]:
    """Connect a host to a server over a cluster, which is not waited for long."""
    store = ElasticsearchStore(replace(cluster, patience_seconds=0.3), clock)
    try:
        async with host_of(a_memory(store, clock)) as host:
            yield host
    finally:
        await store.close()


@pytest.fixture
async def host(door: FrontDoor, index_prefix: str, clock: HandClock) -> AsyncGenerator[Host]:
    async with a_host(Cluster((door.url,), prefix=index_prefix), clock) as connected:
        yield connected


def ask(url: str, method: str, path: str, body: Any = None) -> Any:
    """Ask the node itself."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url.split(',', maxsplit=1)[0]}{path}", data, {"content-type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read() or b"{}")


FULL = "index [t-v1] blocked by: [FORBIDDEN/12/disk usage exceeded flood-stage watermark];"
DENIED = "action [indices:data/write/index] is unauthorized for API key id [x] of user [y]"
NO_SHARD = "no shard available"
FAULTS: dict[str, tuple[Fault, str]] = {
    "busy": (error(429, "circuit_breaking_exception", "too much"), "has too much to do"),
    "no master": (error(503, "master_not_discovered_exception", "none"), "can't do it at present"),
    "no state": (error(503, "cluster_block_exception", "state not recovered"), "can't do it at present"),
    "red": (error(503, "no_shard_available_action_exception", NO_SHARD), "can't do it at present"),
    "gateway": (Fault("", 502, "<html>Bad Gateway</html>", product=False), ""),
    "logged out": (
        error(401, "security_exception", "missing authentication"),
        "does not let this server in",
    ),
    "no rights": (error(403, "security_exception", DENIED), "does not allow it"),
    "read-only": (error(403, "cluster_block_exception", FULL), "does not write at present"),
    "too new": (
        error(400, "media_type_header_exception", "Invalid media-type"),
        "does not speak with this client",
    ),
    "a login page": (Fault("", 200, "<html>Please log in</html>"), "does not answer as Elasticsearch"),
    "another product": (Fault("", 200, {"version": "2.1"}, product=False), "is not Elasticsearch"),
    "hung up": (Fault(""), "can't be reached"),
    "cut in the middle": (Fault("", partly=True), "can't be reached"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_failure_is_told_loses_nothing_and_passes(name: str, host: Host, door: FrontDoor) -> None:
    fault, words = FAULTS[name]
    await host.done("remember", messages=TEA)
    door.faults = [fault]

    refused = await host.refused("remember", messages=COFFEE)
    unread = await host.refused("recall", query="What do I drink?")

    print(f"\n{name}\n  remember: {refused}\n  recall: {unread}")
    assert words in refused
    assert words in unread
    assert "Nothing of this call was saved." in refused or "It is not certain" in refused
    assert "Nothing was read or changed." in unread
    assert "No stored message" not in unread
    door.faults.clear()
    await host.done("remember", messages=COFFEE)
    told = await host.text("recall", query="drink")
    assert "green tea" in told
    assert told.count("coffee at noon") == 1


async def test_a_write_that_was_done_before_its_answer_got_lost_is_kept_once(
    host: Host, door: FrontDoor
) -> None:
    await host.done("remember", messages=TEA)
    door.faults, door.once = [Fault("PUT", handed_on=True)], True

    await host.done("remember", messages=COFFEE)

    assert not door.faults
    assert (await host.text("recall", query="drink")).count("coffee at noon") == 1


async def test_where_it_can_not_be_known_whether_a_call_was_kept_that_is_said(
    host: Host, door: FrontDoor
) -> None:
    await host.done("remember", messages=TEA)
    door.faults = [Fault("PUT", handed_on=True), Fault("GET")]

    told = await host.refused("remember", messages=COFFEE)

    assert "It is not certain whether this call was saved." in told
    door.faults.clear()
    assert (await host.text("recall", query="drink")).count("coffee at noon") == 1


async def test_a_server_that_is_too_old_is_refused_by_its_version(
    door: FrontDoor, index_prefix: str, clock: HandClock
) -> None:
    door.faults = [
        Fault("/_nodes", 200, {"nodes": {"a": {"version": "9.5.0"}, "b": {"version": "7.17.29"}}})
    ]

    async with a_host(Cluster((door.url,), prefix=index_prefix), clock) as host:
        told = await host.refused("remember", messages=TEA)

        print("\n" + told)
        assert "is 7.17.29; this mem1-mcp works with 8 and 9. Nothing was" in told
        door.faults.clear()
        await host.done("remember", messages=TEA)


async def test_an_index_made_read_only_takes_no_call_and_loses_none(
    host: Host, elasticsearch_url: str, index_prefix: str
) -> None:
    await host.done("remember", messages=TEA)
    block = f"/{index_prefix}*/_settings"
    ask(elasticsearch_url, "PUT", block, {"index.blocks.read_only_allow_delete": True})

    told = await host.refused("remember", messages=COFFEE)

    print("\n" + told)
    assert "Elasticsearch does not write at present" in told
    assert "Nothing of this call was saved." in told
    assert "green tea" in await host.text("recall", query="tea")
    ask(elasticsearch_url, "PUT", block, {"index.blocks.read_only_allow_delete": None})
    await host.done("remember", messages=COFFEE)


async def test_a_layout_of_a_newer_program_is_refused_by_name(
    elasticsearch_url: str, index_prefix: str, clock: HandClock
) -> None:
    name = f"{index_prefix}conversation_history"
    meta = {"made_by": "mem1-mcp", "layout": 9, "oldest_writer": 9}
    ask(elasticsearch_url, "PUT", f"/{name}-v9", {"aliases": {name: {}}, "mappings": {"_meta": meta}})

    async with a_host(Cluster((elasticsearch_url,), prefix=index_prefix), clock) as host:
        told = await host.refused("remember", messages=TEA)

    print("\n" + told)
    assert f"{name}-v9 was laid out by a newer mem1-mcp (layout 9, this program knows 1)" in told


async def test_an_index_of_mem1_is_refused_and_left_as_it_is(
    elasticsearch_url: str, index_prefix: str, clock: HandClock
) -> None:
    name = f"{index_prefix}conversation_history"
    ask(elasticsearch_url, "PUT", f"/{name}/_doc/1?refresh=true", {"user_id": "ming", "messages": []})
    before = (
        ask(elasticsearch_url, "GET", f"/{name}"),
        ask(elasticsearch_url, "GET", f"/{name}/_search")["hits"],
    )

    calls: dict[str, dict[str, Any]] = {
        "remember": {"messages": TEA},
        "recall": {"query": "tea"},
        "list_topics": {},
        "forget": {"everything": True},
    }
    async with a_host(Cluster((elasticsearch_url,), prefix=index_prefix), clock) as host:
        for tool, arguments in calls.items():
            told = await host.refused(tool, **arguments)
            assert f"has an index {name} that mem1-mcp did not make" in told
            assert "Set MEM1_ES_PREFIX" in told

    print("\n" + told)
    after = (
        ask(elasticsearch_url, "GET", f"/{name}"),
        ask(elasticsearch_url, "GET", f"/{name}/_search")["hits"],
    )
    assert after == before


async def test_tls_where_the_node_speaks_none_is_told(
    elasticsearch_url: str, index_prefix: str, clock: HandClock
) -> None:
    https = elasticsearch_url.split(",", maxsplit=1)[0].replace("http:", "https:")
    async with a_host(Cluster((https,), prefix=index_prefix), clock) as host:
        told = await host.refused("remember", messages=TEA)

    print("\n" + told)
    assert "TLS" in told
    assert "Nothing was read or changed." in told


async def test_a_server_starts_before_its_cluster_and_finds_it_when_it_is_there(
    tmp_path: Path, elasticsearch_url: str, index_prefix: str
) -> None:
    port = free_port()
    environ: dict[str, Any] = {"MEM1_ES_HOSTS": f"http://127.0.0.1:{port}", "MEM1_ES_PREFIX": index_prefix}
    remember = {"name": "remember", "arguments": {"messages": TEA}}
    async with server_process(tmp_path, **environ) as wire:
        began = anyio.current_time()
        await wire.initialize()
        print(f"\ninitialize answered after {anyio.current_time() - began:.2f} s, process start included")

        told = (await wire.ask("tools/call", remember))["result"]
        assert told["isError"]
        words = told["content"][0]["text"]
        print(words)
        assert f"Elasticsearch at http://127.0.0.1:{port} can't be reached" in words
        assert "Nothing was read or changed." in words

        async with front_door(elasticsearch_url.split(",", maxsplit=1)[0], port):
            kept = (await wire.ask("tools/call", remember))["result"]
            assert not kept["isError"], kept
