"""Which engines a run of the tests uses: starts them once, and says at the end which ran and which not.

``MEM1_TEST_ES_URL`` names a running Elasticsearch on this machine; otherwise one is started, of
``MEM1_TEST_ES_VERSION``. ``MEM1_TEST_REQUIRE`` makes it an error when an engine it names did not run.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import urllib.request
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import apsw
import pytest

from tests.elasticsearch_node import VERSION, Cluster, NotHereError, distribution

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CURES = {
    "elasticsearch": "not asked for; `make test-elasticsearch` runs it",
    "cluster": "not asked for; `make test-cluster` runs it",
}
_ran: Counter[str] = Counter()
_NOT_RUN: dict[str, str] = {}
_VERSIONS = {"sqlite": apsw.sqlite_lib_version()}


def required() -> set[str]:
    return {name.strip() for name in os.environ.get("MEM1_TEST_REQUIRE", "").split(",")} & _CURES.keys()


def _missing(engine: str, reason: str) -> None:
    _NOT_RUN[engine] = reason
    if engine in required():
        pytest.fail(f"{engine} is required and did not run: {reason}", pytrace=False)
    pytest.skip(f"{engine}: {reason}")


def _is_real(url: str) -> str:
    """Return what a node says of itself that nothing but the real server knows."""
    with urllib.request.urlopen(f"{url}/_nodes/jvm", timeout=30) as answer:  # noqa: S310 - loopback
        nodes = list(json.load(answer)["nodes"].values())
    node = nodes[0]
    return (
        f"{node['version']} ({node['build_hash'][:8]}, JVM {node['jvm']['version']}), {len(nodes)} node(s)"
    )


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """A real node, as its URL."""
    given = os.environ.get("MEM1_TEST_ES_URL")
    if given:
        remote = [url for url in given.split(",") if urlsplit(url).hostname not in _LOOPBACK]
        if remote and os.environ.get("MEM1_TEST_ES_REMOTE") != "yes":
            pytest.fail(
                f"MEM1_TEST_ES_URL: {remote[0]} is another machine's, and tests make and delete indices "
                "there. MEM1_TEST_ES_REMOTE=yes allows it.",
                pytrace=False,
            )
        _VERSIONS["elasticsearch"] = _is_real(given.split(",", 1)[0])
        yield given
        return
    try:
        node = Cluster(os.environ.get("MEM1_TEST_ES_VERSION", VERSION))
    except NotHereError as error:
        _missing("elasticsearch", str(error))
    try:
        _VERSIONS["elasticsearch"] = _is_real(node.urls[0])
        yield node.urls[0]
    finally:
        node.stop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three real nodes, to be killed and restarted."""
    try:
        nodes = Cluster(os.environ.get("MEM1_TEST_ES_VERSION", VERSION), nodes=3)
    except NotHereError as error:
        _missing("cluster", str(error))
    try:
        _VERSIONS["cluster"] = _is_real(nodes.urls[0])
        yield nodes
    finally:
        nodes.stop()


@pytest.fixture
def index_prefix(elasticsearch_url: str) -> Iterator[str]:
    """What the names of a test's indices begin with; they are deleted with it."""
    prefix = f"t{secrets.token_hex(6)}-"
    yield prefix
    url = elasticsearch_url.split(",", 1)[0]
    with urllib.request.urlopen(f"{url}/{prefix}*", timeout=30) as answer:  # noqa: S310
        names = list(json.load(answer))
    if names:
        request = urllib.request.Request(f"{url}/{','.join(names)}", method="DELETE")  # noqa: S310
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def _engine(item: pytest.Item) -> str:
    return next((name for name in ("cluster", "elasticsearch") if item.get_closest_marker(name)), "sqlite")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    yield
    if call.when == "call" and call.excinfo is None:
        _ran[_engine(item)] += 1


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the server before the first test that needs it, whose time is limited."""
    if "MEM1_TEST_ES_URL" not in os.environ and any(_engine(item) != "sqlite" for item in session.items):
        with contextlib.suppress(NotHereError):  # said by the fixture
            distribution(os.environ.get("MEM1_TEST_ES_VERSION", VERSION))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == 0 and any(not _ran[engine] for engine in required()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("engines")
    for engine in ("sqlite", *_CURES):
        if _ran[engine]:
            terminalreporter.write_line(
                f"{engine} {_VERSIONS.get(engine, 'of its own')}: {_ran[engine]} passed", green=True
            )
            continue
        reason = _NOT_RUN.get(engine, _CURES.get(engine, "nothing was asked of it"))
        asked = ", and MEM1_TEST_REQUIRE names it" if engine in required() else ""
        terminalreporter.write_line(f"{engine} did NOT run: {reason}{asked}", red=True)
