"""What the same memory costs on Elasticsearch, beside SQLite and a bare client, in one run.

    MEM1_ES_HOSTS=http://127.0.0.1:9200 python benchmarks/on_elasticsearch.py [--pairs 1000] [--users 1000]

First a message is remembered and recalled at once, over stdio, from the same process and from another,
again and again; the bare client creates and searches a document in between. Then many users, and one
with many messages, are filled in and asked. The indices have the prefix ``bench-``, and stay.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import life
from crowd import WARM as _WARM
from crowd import ask, fill
from elasticsearch import Elasticsearch
from host import Host
from rich.progress import Progress
from run import percentile

from mem1_mcp.app import open_memory
from mem1_mcp.memory import Memory
from mem1_mcp.settings import Settings

_MEM1 = [sys.executable, "-m", "mem1_mcp"]
_PREFIX = "bench-"
_ASKED = 300


def environment(engine: str, folder: str) -> dict[str, str]:
    return {
        "MEM1_MEMORY_DIR": folder,
        "MEM1_STORAGE_BACKEND": engine,
        "MEM1_ES_PREFIX": _PREFIX,
        "MEM1_USER_ID": "pairs",
        "MEM1_TOPIC_ID": "pairs",
    }


def pairs(number: int, hosts: str, folder: str, progress: Progress) -> list[str]:
    """Remember and recall in turns on both engines and with a bare client."""
    client = Elasticsearch(hosts.split(","))
    client.options(ignore_status=404).indices.delete(index=f"{_PREFIX}bare")
    client.indices.create(index=f"{_PREFIX}bare", mappings={"properties": {"content": {"type": "text"}}})
    times: dict[str, list[float]] = {}
    found: dict[str, int] = {}
    task = progress.add_task("remember, then recall", total=number + _WARM)
    engines = ("sqlite", "elasticsearch")
    said = life.messages(number + _WARM, seed=11)
    opened = {
        (engine, which): Host(_MEM1, **environment(engine, folder))
        for engine in engines
        for which in ("same", "other")
    }

    def note(name: str, began: float, *, hit: bool | None = None) -> None:
        times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        if hit is not None:
            found[name] = found.get(name, 0) + hit

    for count, message in enumerate(said):
        text = f"{message['content']} parcel{count:06}"
        for engine in engines:
            began = time.perf_counter()
            opened[engine, "same"].call("remember", messages=[{"role": "user", "content": text}])
            note(f"{engine} remember", began)
            for which in ("same", "other"):
                began = time.perf_counter()
                answer = opened[engine, which].call("recall", query=f"parcel{count:06}", limit=1)
                hit = f"parcel{count:06}" in str(answer["structuredContent"]["hits"])
                note(f"{engine} recall, {which} process", began, hit=hit or count < _WARM)
        began = time.perf_counter()
        client.create(index=f"{_PREFIX}bare", id=f"{count}", document={"content": text})
        note("bare client create", began)
        began = time.perf_counter()
        answer = client.search(
            index=f"{_PREFIX}bare", query={"match": {"content": f"parcel{count:06}"}}, size=1
        )
        note("bare client search", began, hit=bool(answer["hits"]["hits"]) or count < _WARM)
        progress.advance(task)
    for host in opened.values():
        host.__exit__(None, None, None)
    rows = ["| call | found at once | p50 ms | p95 ms |", "|---|---:|---:|---:|"]
    for name, measured in times.items():
        told = f"{found[name] - _WARM:,} of {number:,}" if name in found else ""
        kept = measured[_WARM:]
        rows.append(f"| {name} | {told} | {percentile(kept, 0.5):.1f} | {percentile(kept, 0.95):.1f} |")
    return rows


@asynccontextmanager
async def memory_on(engine: str, hosts: str, folder: str) -> AsyncGenerator[Memory]:
    settings = Settings(
        memory_dir=Path(folder),
        storage_backend="sqlite" if engine == "sqlite" else "elasticsearch",
        es_hosts=tuple(hosts.split(",")),
        es_prefix=_PREFIX,
    )
    async with open_memory(settings) as memory:
        yield memory


def size_on_disk(engine: str, hosts: str, folder: str) -> int:
    if engine == "sqlite":
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    client = Elasticsearch(hosts.split(","))
    client.indices.flush(index=f"{_PREFIX}*")
    stats = client.indices.stats(index=f"{_PREFIX}conv*,{_PREFIX}mem1*", metric="store")
    return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])


async def crowd(options: argparse.Namespace, hosts: str, folder: str, progress: Progress) -> list[str]:
    """Fill many users in and one large, on both engines, and ask them."""
    rows = [
        "| engine | messages | written/s | bytes each | recall, a user p50 | p95 | of the large | p95 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    chance = random.Random(5)
    some = [f"user {chance.randrange(options.users)}" for _ in range(_ASKED + _WARM)]
    total = options.users * options.messages + options.large
    for engine in ("sqlite", "elasticsearch"):
        before = size_on_disk(engine, hosts, folder)
        task = progress.add_task(f"fill {engine}", total=total)
        async with memory_on(engine, hosts, folder) as memory:
            seconds = 0.0
            plan = [
                ("large", options.large),
                *((f"user {n}", options.messages) for n in range(options.users)),
            ]
            for number, (user, count) in enumerate(plan):
                began = time.perf_counter()
                await fill(memory, user, count, seed=number)
                seconds += time.perf_counter() - began
                progress.advance(task, count)
            of_users = await ask(memory, some)
            of_large = await ask(memory, ["large"] * (_ASKED + _WARM))
        each = (size_on_disk(engine, hosts, folder) - before) / total
        figures = [
            f"{percentile(times, share):.1f}" for times in (of_users, of_large) for share in (0.5, 0.95)
        ]
        rows.append(
            f"| {engine} | {total:,} | {total / seconds:,.0f} | {each:.0f} | {' | '.join(figures)} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=1000, help="of each of these")
    parser.add_argument("--large", type=int, default=100_000, help="messages of one more user")
    options = parser.parse_args()
    hosts = os.environ.get("MEM1_ES_HOSTS") or sys.exit("MEM1_ES_HOSTS is not set.")
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        for row in pairs(options.pairs, hosts, folder, progress):
            print(row, flush=True)
        print(flush=True)
        for row in anyio.run(crowd, options, hosts, folder, progress):
            print(row, flush=True)


if __name__ == "__main__":
    main()
