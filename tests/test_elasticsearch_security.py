"""A cluster that asks who is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mem1_mcp.stores.elasticsearch import Cluster
from tests.conftest import HandClock
from tests.elasticsearch_node import VERSION, NotHereError
from tests.elasticsearch_node import Cluster as Node
from tests.test_elasticsearch_failures import TEA, a_host

pytestmark = pytest.mark.elasticsearch

PASSWORD = "of-this-test-alone"  # noqa: S105 - the node lives as long as this module's tests


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    try:
        started = Node(os.environ.get("MEM1_TEST_ES_VERSION", VERSION), password=PASSWORD)
    except NotHereError as error:
        pytest.skip(f"elasticsearch: {error}")
    yield started
    started.stop()


async def test_who_is_not_let_in_is_told_and_gets_in_with_the_right_password(
    node: Node, clock: HandClock
) -> None:
    cluster = Cluster((node.urls[0],), user="elastic", password=PASSWORD, prefix="own-")

    for wrong in (replace(cluster, password="no"), replace(cluster, user=None, password=None)):  # noqa: S106
        async with a_host(wrong, clock) as host:
            told = await host.refused("remember", messages=TEA)
            print(f"\n{told}")
            assert "Elasticsearch does not let this server in (401 security_exception)" in told

    async with a_host(cluster, clock) as host:
        await host.done("remember", messages=TEA)
