"""A cluster that asks who is there, and one whose certificate is to be checked."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
import trustme

from mem1_mcp.stores.elasticsearch import Cluster
from tests.conftest import HandClock
from tests.elasticsearch_node import VERSION, NotHereError
from tests.elasticsearch_node import Cluster as Node
from tests.front_door import front_door
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


@dataclass
class Certified:
    """A node behind TLS: where, whose certificate it has, and the authority behind that."""

    url: str
    fingerprint: str
    authority: str


@pytest.fixture
async def certified(elasticsearch_url: str, tmp_path: Path) -> AsyncGenerator[Certified]:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    async with front_door(elasticsearch_url.split(",", maxsplit=1)[0], tls=context) as door:
        yield Certified(door.url, sha256(der).hexdigest(), str(tmp_path / "ca.pem"))


async def test_a_certificate_nobody_vouches_for_is_refused(
    certified: Certified, index_prefix: str, clock: HandClock, tmp_path: Path
) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    cluster = Cluster((certified.url,), prefix=index_prefix)

    for wrong in (
        cluster,
        replace(cluster, ca_file=str(tmp_path / "other.pem")),
        replace(cluster, fingerprint="ab" * 32),
    ):
        async with a_host(wrong, clock) as host:
            told = await host.refused("remember", messages=TEA)
        print(f"\n{told}")
        assert f"The TLS connection to {certified.url} was refused" in told
        assert "Set MEM1_ES_CA_FILE to the certificate of its authority" in told


async def test_a_certificate_of_the_authority_or_of_the_fingerprint_is_accepted(
    certified: Certified, index_prefix: str, clock: HandClock
) -> None:
    cluster = Cluster((certified.url,), prefix=index_prefix)

    for right in (
        replace(cluster, ca_file=certified.authority),
        replace(cluster, fingerprint=certified.fingerprint),
    ):
        async with a_host(right, clock) as host:
            await host.done("remember", messages=TEA)
            assert "green tea" in await host.text("recall", query="tea")
