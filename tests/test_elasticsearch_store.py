"""What only the store on Elasticsearch has: shared indices, layouts that move, batches that come late."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from mem1_mcp.protocols import Store
from mem1_mcp.stores.elasticsearch import Cluster, ElasticsearchStore
from mem1_mcp.stores.elasticsearch.indices import MESSAGES, PROFILES, STATE, Indices
from mem1_mcp.types import Scope, Selection
from tests.conftest import HandClock, a_memory, host_of
from tests.serving import create_token, http_client, over_http, served
from tests.test_elasticsearch_failures import ask
from tests.test_store_contract import MING, found, keep, preview

pytestmark = pytest.mark.elasticsearch


@pytest.fixture
def engine() -> str:
    return "elasticsearch"


@pytest.fixture
def cluster(elasticsearch_url: str, index_prefix: str) -> Cluster:
    return Cluster(tuple(elasticsearch_url.split(",")), prefix=index_prefix)


@pytest.fixture
async def other(cluster: Cluster, clock: HandClock) -> AsyncGenerator[Store]:
    """The same memory in another process, as far as the store can tell."""
    opened = ElasticsearchStore(cluster, clock)
    yield opened
    await opened.close()


FORGED = [
    "*",
    "?",
    "m*",
    "m0.*",
    "m0.0 OR m1.0",
    "user:lan",
    "topic:*",
    "_all",
    "../lan",
    "lan/_doc/1",
    '"secret"',
    "{}",
    '{"match_all":{}}',
    "[0 TO *]",
    "/.*/",
    "~secret",
    "secret^9",
    "(secret)",
    "!secret",
    "-ming",
    "+lan",
    "lan\\*",
    "%2A",
    "lan?routing=x",
    "lan,ming",
    "<lan>",
    "la#n",
    "lan|ming",
    "&&lan",
    "l*n",
]


async def test_no_forged_id_topic_or_query_crosses_from_one_user_to_another(
    store: Store, clock: HandClock
) -> None:
    memory = a_memory(store, clock)
    async with host_of(memory, "lan") as lan:
        kept = await lan.done(
            "remember", messages=[{"role": "user", "content": "my secret is zqmarmalade"}], topic="private"
        )
        for number in range(70):  # so that some are in the index
            await lan.done("remember", messages=[{"role": "user", "content": f"zqmarmalade {number}"}])
    theirs = [
        *kept["message_ids"],
        "m0.1",
        "m1.0",
        "m2.0",
        "m3.0",
        "m00.0",
        "m0.00",
        "m-1.0",
        "m99.0",
        "M0.0",
    ]

    async with host_of(memory, "ming") as ming:
        await ming.done("remember", messages=[{"role": "user", "content": "I have no secret"}])
        tried = 0
        for forged in [*FORGED, *theirs]:
            for tool, arguments in (
                ("recall", {"query": forged}),
                ("recall", {"query": "zqmarmalade", "topic": forged}),
                ("recall", {"query": "zqmarmalade", "metadata": {forged[:30] or "x": forged}}),
                ("forget", {"ids": [forged]}),
                ("forget", {"topic": forged}),
            ):
                answer = await ming.call(tool, **arguments)
                assert "zqmarmalade" not in str(answer.structured_content)
                if confirm := (answer.structured_content or {}).get("confirm"):
                    await ming.done("forget", confirm=confirm)
                tried += 1

    assert tried >= 5 * 39
    assert await store.count(Scope("lan")) == 71
    assert await store.count(Scope("lan", "private")) == 1


async def test_five_thousand_metadata_keys_change_no_mapping(
    store: Store, elasticsearch_url: str, index_prefix: str
) -> None:
    await keep(store, "one")
    before = ask(elasticsearch_url, "GET", f"/{index_prefix}*/_mapping")

    for start in range(0, 5000, 50):
        labels = {f"key {number}": number for number in range(start, start + 50)}
        await keep(store, f"message {start}", metadata=labels)

    assert ask(elasticsearch_url, "GET", f"/{index_prefix}*/_mapping") == before
    assert await store.count(Scope("ming", metadata=(("key 60", "60"),))) == 1
    assert await store.count(Scope("ming", metadata=(("key 4999", "4999"),))) == 1


async def test_servers_that_start_at_once_make_one_set_of_indices(
    cluster: Cluster, clock: HandClock, elasticsearch_url: str, index_prefix: str
) -> None:
    stores = [ElasticsearchStore(cluster, clock) for _ in range(8)]

    async with anyio.create_task_group() as tasks:
        for number, each in enumerate(stores):
            tasks.start_soon(keep, each, f"parcel {number}")

    names = ask(elasticsearch_url, "GET", f"/{index_prefix}*")
    assert len(names) == 4
    assert all(len(about["aliases"]) == 1 for about in names.values())
    assert await stores[0].count(MING) == 8
    for each in stores:
        await each.close()


async def test_what_another_process_says_is_found_by_the_next_call(store: Store, other: Store) -> None:
    for number in range(150):
        writer, reader = (store, other) if number % 2 else (other, store)
        await keep(writer, f"parcel number{number}")

        assert await found(reader, f"number{number}") == {f"parcel number{number}"}


async def test_a_call_that_was_indexed_is_still_a_repeat(store: Store, other: Store) -> None:
    await keep(store, "first", request_id="r1")
    for number in range(140):
        await keep(store, f"parcel {number}")

    await keep(other, "first", request_id="r1")

    assert await store.count(MING) == 141


async def test_a_batch_that_arrives_after_its_messages_were_forgotten_is_never_seen(
    store: ElasticsearchStore, other: Store, elasticsearch_url: str, index_prefix: str
) -> None:
    for number in range(63):
        await keep(store, f"zqsecret {number}")
    held = Held(store._indices)
    store._indices.bulk = held.bulk  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, store, "zqsecret 63")
        await held.waits.wait()
        await preview(other, Selection(everything=True))
        await other.forget("ming", "t")
        held.go_on.set()

    hits = ask(elasticsearch_url, "GET", f"/{index_prefix}conversation_history/_count?routing=x")
    assert hits["count"] == 64  # it arrived
    assert await store.count(MING) == await other.count(MING) == 0
    assert await found(other, "zqsecret") == set()


class Held:
    """Holds the batch of messages back until it is told to go on."""

    def __init__(self, indices: Indices) -> None:
        self.waits, self.go_on = anyio.Event(), anyio.Event()
        self._indices, self._bulk = indices, indices.bulk

    async def bulk(self, index: str, *arguments: Any, **more: Any) -> int:
        if index == self._indices.messages:
            self.waits.set()
            await self.go_on.wait()
        return await self._bulk(index, *arguments, **more)


async def test_an_older_layout_is_moved_to_the_newest_and_no_call_is_lost(
    store: Store, cluster: Cluster, clock: HandClock, elasticsearch_url: str, index_prefix: str
) -> None:
    for number in range(200):
        await keep(store, f"parcel number{number}", topic=f"street {number % 3}", metadata={"n": number})
    properties = {**MESSAGES.mapping["properties"], "weight": {"type": "integer"}}
    newer = replace(
        MESSAGES,
        mapping={**MESSAGES.mapping, "properties": properties},
        moves=(lambda source: {**source, "weight": 1},),
    )
    names = {f"{index_prefix}conversation_history": newer}
    names |= {
        f"{index_prefix}mem1_user_{name}": each for name, each in (("state", STATE), ("profile", PROFILES))
    }
    updated = ElasticsearchStore(cluster, clock)
    updated._indices.__init__(updated._connection, names)  # type: ignore[misc]
    written = 200

    async with anyio.create_task_group() as tasks:

        async def write_on() -> None:
            nonlocal written
            for _ in range(100):
                await keep(store, f"parcel number{written}", topic="street 0")
                written += 1

        tasks.start_soon(write_on)
        tasks.start_soon(updated.count, MING)

    assert await updated.count(MING) == await store.count(MING) == 300
    assert await found(updated, "number199") == await found(store, "number199") == {"parcel number199"}
    assert await updated.count(Scope("ming", metadata=(("n", "7"),))) == 1
    indices = ask(elasticsearch_url, "GET", f"/{index_prefix}conversation*")
    assert list(indices) == [f"{index_prefix}conversation_history-v2"]
    weights = ask(
        elasticsearch_url, "GET", f"/{index_prefix}conversation_history/_search?q=weight:1&size=1"
    )
    assert weights["hits"]["hits"]
    assert json.dumps(weights)
    await updated.close()


async def test_servers_on_two_machines_let_the_same_tokens_in(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    environ = {"MEM1_ES_HOSTS": elasticsearch_url, "MEM1_ES_PREFIX": index_prefix}
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    token = create_token(here, "--user", "mei", **environ)

    async with served(here, **environ) as one, served(there, **environ) as other:
        async with over_http(one.url, token) as host:
            await host.done("remember", messages=[{"role": "user", "content": "I drink green tea."}])
        for transport, era in (("http", "auto"), ("http", "legacy"), ("sse", "legacy")):
            async with over_http(other.url, token, transport=transport, era=era) as host:
                assert "green tea" in await host.text("recall", query="tea")
        async with http_client("wrong") as http:
            assert (await http.post(f"{other.url}/mcp", json={})).status_code == 401
