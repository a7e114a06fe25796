"""Programs of two versions, and of two settings, at one memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

import mem1_mcp
from mem1_mcp.text.terms import VERSION
from tests.conftest import Host
from tests.test_stdio import COMMAND, connected

Environment = dict[str, Any]
ENGINES = ("sqlite", "elasticsearch")
_UNDER_WAY = "yet to be indexed|job reindexing"


@pytest.fixture
def older(engine: str, request: pytest.FixtureRequest) -> Environment:
    """Say where the memory is."""
    if engine == "sqlite":
        return {}
    hosts = request.getfixturevalue("elasticsearch_url")
    return {"MEM1_ES_HOSTS": hosts, "MEM1_ES_PREFIX": request.getfixturevalue("index_prefix")}


@pytest.fixture
def newer(tmp_path: Path, older: Environment) -> Environment:
    """Make a newer version of this package, which reads "colour" as "color"; return how it is run."""
    package = tmp_path / "newer" / "mem1_mcp"
    shutil.copytree(Path(mem1_mcp.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    terms = package / "text" / "terms.py"
    text = terms.read_text(encoding="utf-8")
    text = text.replace(f"VERSION = {VERSION}\n", f"VERSION = {VERSION + 1}\n")
    text = text.replace(
        "    if text.isascii():\n",
        '    text = text.replace("colour", "color")\n    if text.isascii():\n',
        1,
    )
    terms.write_text(text, encoding="utf-8")
    return {**older, "PYTHONPATH": str(package.parent), "PYTHONSAFEPATH": "1", "MEM1_LOG_LEVEL": "INFO"}


async def tell(host: Host, *contents: str) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    await host.done("remember", messages=messages)


async def doctor(folder: Path, environment: Environment) -> tuple[int, str]:
    """Run ``doctor``; return its exit code and what it says on one line."""
    env = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory"), "COLUMNS": "1000"} | environment
    with anyio.fail_after(60):
        done = await anyio.run_process([*COMMAND, "doctor"], env=env, check=False, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode()


async def wait_until_indexed(folder: Path, environment: Environment) -> str:
    """Ask the doctor until nothing is left to be indexed anew; return what it says then."""
    renewed = f"terms version {VERSION + 1}, this program's is {VERSION + 1}"
    with anyio.fail_after(50):
        while True:
            _, told = await doctor(folder, environment)
            if renewed in told and not re.search(_UNDER_WAY, told):
                return told


@pytest.mark.heavy
async def test_a_newer_version_indexes_anew_while_an_older_goes_on(
    tmp_path: Path, older: Environment, newer: Environment
) -> None:
    async with connected(tmp_path, **older) as old:
        await tell(
            old, "My favourite colour is teal.", *(f"Tuesday {number} was fine." for number in range(300))
        )
        assert "favourite colour" in await old.text("recall", query="colour")

        async with connected(tmp_path, **newer) as new:
            await wait_until_indexed(tmp_path, newer)
            assert "favourite colour" in await new.text("recall", query="color")
            # The older one goes on reading and writing; what it writes is indexed by the newer one.
            await tell(old, "The colour of my bike is orange.")
            assert "teal" in await old.text("recall", query="favourite teal")
        async with connected(tmp_path, **newer) as new:
            await wait_until_indexed(tmp_path, newer)
            assert "bike is orange" in await new.text("recall", query="color bike")

    code, told = await doctor(tmp_path, older)
    assert code == 1
    assert f"terms version {VERSION + 1}, this program's is {VERSION}" in told
    assert "A newer mem1-mcp uses this memory too" in told
    code, told = await doctor(tmp_path, newer)
    assert code == 0


@pytest.mark.heavy
async def test_nothing_is_indexed_anew_twice(
    tmp_path: Path, older: Environment, newer: Environment
) -> None:
    async with connected(tmp_path, **older) as old:
        await tell(old, *(f"The colour of day {number}." for number in range(400)))

    async with connected(tmp_path, **newer), connected(tmp_path, **newer):
        await wait_until_indexed(tmp_path, newer)
    async with connected(tmp_path, **older), connected(tmp_path, **newer):
        await wait_until_indexed(tmp_path, newer)

    said = (tmp_path / "stderr.txt").read_text(encoding="utf-8")
    assert said.count("The job reindexing is done") == 1


@pytest.mark.heavy
async def test_two_hosts_of_different_settings_share_a_memory_each_in_its_own_way(tmp_path: Path) -> None:
    here: Environment = {"MEM1_TIMEZONE": "Asia/Shanghai", "MEM1_TOPIC_ID": "工作"}
    there: Environment = {"MEM1_TIMEZONE": "America/New_York", "MEM1_MASK_SECRETS": "false"}
    async with connected(tmp_path, **here) as one, connected(tmp_path, **there) as other:
        await tell(one, "password: Tr0ub4dor&3 is for the office")
        await other.done(
            "remember", messages=[{"role": "user", "content": "Tea", "timestamp": "2026-05-01T23:00"}]
        )

        at_one = await one.text("recall", topic="*")
        at_other = await other.text("recall")

        assert "topic 工作" in await one.text("recall")
        assert "all topics" in at_other
        assert "[REDACTED:password]" in at_other
        assert "2026-05-02" in at_one
        assert "2026-05-01" in at_other
