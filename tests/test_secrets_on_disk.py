"""No secret comes into a file or a log, whichever argument it is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mem1_mcp.memory import Memory
from tests.conftest import Host, host_of
from tests.test_forgotten_bytes import bytes_of
from tests.test_secrets import SECRETS
from tests.test_stdio import connected

# Shorter ones stand in ordinary numbers too.
LONG_ENOUGH = [(words, secret) for _, words, secret in SECRETS if len(secret) >= 8]


async def tell(host: Host, words: str) -> None:
    """Give a server this text in every argument that takes one; some refuse it."""
    message = {"role": "user", "content": words}
    deep = {"note": words, words[:60]: "kept", "deep": {"list": [words], words[:60]: words}}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("remember", {"messages": [message], "metadata": deep, "request_id": words[:200]}),
        ("remember", {"messages": [{**message, "name": words}]}),
        ("remember", {"messages": [message, message], "topic": words}),
        ("remember", {"facts": [{"text": words}]}),
        ("recall", {"query": words}),
        ("recall", {"topic": words, "metadata": {"note": words}}),
        ("forget", {"topic": words}),
        ("forget", {"confirm": words}),
    ]
    for tool, arguments in calls:
        await host.call(tool, **arguments)


@pytest.mark.heavy
async def test_no_secret_is_in_a_file_or_a_log_at_its_most_talkative(tmp_path: Path) -> None:
    async with connected(tmp_path, MEM1_LOG_LEVEL="DEBUG") as host:
        for words, secret in LONG_ENOUGH:
            await tell(host, words.format(secret))

        held = bytes_of(tmp_path)
        assert [secret for _, secret in LONG_ENOUGH if secret.encode() in held] == []
        assert "REDACTED" in await host.text("recall")

    held = bytes_of(tmp_path)
    assert [secret for _, secret in LONG_ENOUGH if secret.encode() in held] == []
    assert (tmp_path / "stderr.txt").stat().st_size


async def test_a_topic_that_holds_a_secret_is_refused_without_repeating_it(host: Host) -> None:
    words, secret = LONG_ENOUGH[0]

    told = await host.refused(
        "remember", messages=[{"role": "user", "content": "hello"}], topic=words.format(secret)
    )

    assert told.startswith("topic: holds a secret")
    assert "Nothing was saved" in told
    assert secret not in told
    assert (await host.done("recall", topic="*"))["hits"] == []


async def test_a_name_in_the_metadata_that_is_a_secret_is_masked(memory: Memory) -> None:
    _, secret = LONG_ENOUGH[0]
    async with host_of(memory) as host:
        message = {"role": "user", "content": "hello"}
        await host.done("remember", messages=[message], metadata={secret: 1, "deep": {secret: 2}})

        found = await host.done("recall")

    assert secret not in str(found)
    assert "REDACTED" in str(found)
