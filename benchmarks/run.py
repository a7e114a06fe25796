"""Latency, start, memory and size, beside a bare SDK server that echoes, in one run.

    python benchmarks/run.py                              the table, for 1,000 and 10,000 messages
    python benchmarks/run.py --sizes 1000,10000,100000,1000000 --users 1000 --out docs/benchmarks.md

One user's memory grows from size to size through `remember`; at each size calls go over stdio as a
host's do, turn and turn about with the echo server, so that a busy machine is busy for both. Read the
ratios: milliseconds are this machine's. A million messages take some minutes and 0.6 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import crowd
import life
from host import Host
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mem1_mcp.app import open_memory
from mem1_mcp.settings import Settings

_ECHO = [sys.executable, str(Path(__file__).with_name("echo_server.py"))]
_MEM1 = [sys.executable, "-m", "mem1_mcp"]
_BATCH = 500  # what one call of remember takes at most
_EACH, _ASKED = 1_000, 300  # messages of each of many users; questions to them
_WARM = 5  # calls of each kind that are not counted: the first ones open files and import


@dataclass(frozen=True)
class Figures:
    """What was measured with one user's memory of ``size`` messages; times in milliseconds."""

    size: int
    echo: list[float]
    remember: list[float]
    recall: list[float]
    per_second: float
    bytes_per_message: float
    memory_mb: float

    def row(self) -> str:
        """Write the figures as a row of the table."""
        base = median(self.echo)
        cells = [f"{self.size:,}", f"{base:.2f}", f"{percentile(self.echo, 0.95):.2f}"]
        for times in (self.remember, self.recall):
            cells.append(f"{median(times):.2f} ({median(times) / base:.1f}×)")
            cells.append(f"{percentile(times, 0.95):.2f}")
        cells += [f"{self.per_second:,.0f}", f"{self.bytes_per_message:,.0f}", f"{self.memory_mb:.0f}"]
        return "| " + " | ".join(cells) + " |"


HEAD = (
    "| messages | echo p50 ms | p95 | remember p50 (to echo) | p95 | recall p50 (to echo) | p95 "
    "| ingest/s | bytes/message | memory MB |\n|" + "---:|" * 10
)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def measure(sizes: list[int], rounds: int, progress: Progress) -> Iterator[Figures]:
    """Let one user's memory grow from size to size and time calls at each."""
    told = life.messages(sizes[-1])
    held = 0
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            per_second = fill(folder, islice(told, size - held), size - held, progress)
            per_message = size_of(folder) / size
            held = size
            # New processes, so that memory is what a host sees that only asks.
            with Host(_ECHO) as echo, Host(_MEM1, MEM1_MEMORY_DIR=folder) as memory:
                task = progress.add_task(f"calls at {size:,}", total=rounds)
                times: tuple[list[float], list[float], list[float]] = ([], [], [])
                said = life.messages(rounds + _WARM, seed=size)
                questions = life.questions(rounds + _WARM)
                for message, question in zip(said, questions, strict=True):
                    text = message["content"]
                    times[0].append(echo.timed("echo", text=text))
                    times[1].append(memory.timed("remember", messages=[{"role": "user", "content": text}]))
                    times[0].append(echo.timed("echo", text=question))
                    times[2].append(memory.timed("recall", query=question))
                    progress.advance(task)
                counted = (times[0][2 * _WARM :], times[1][_WARM:], times[2][_WARM:])
                yield Figures(size, *counted, per_second, per_message, memory.memory_mb())
            progress.remove_task(task)


def fill(folder: str, told: Iterator[dict[str, Any]], count: int, progress: Progress) -> float:
    """Remember messages through the tool; return how many it took a second, without making them up."""
    task = progress.add_task("remember", total=count)
    milliseconds = 0.0
    with Host(_MEM1, MEM1_MEMORY_DIR=folder) as memory:
        while batch := list(islice(told, _BATCH)):
            milliseconds += memory.timed("remember", messages=batch)
            progress.advance(task, len(batch))
    progress.remove_task(task)
    return count / milliseconds * 1000


def size_of(folder: str) -> int:
    """Return how many bytes all files in a folder have."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


async def many_users(users: int, folder: str, progress: Progress) -> str:
    """Fill a thousand messages of each user in, then ask users at random, one after the other."""
    settings = Settings(memory_dir=Path(folder))
    chance = random.Random(5)
    asked = [f"user {chance.randrange(users)}" for _ in range(_ASKED + crowd.WARM)]
    task = progress.add_task("users", total=users)
    async with open_memory(settings) as memory:
        began = time.perf_counter()
        for number in range(users):
            await crowd.fill(memory, f"user {number}", _EACH, seed=number)
            progress.advance(task)
        seconds = time.perf_counter() - began
        times = await crowd.ask(memory, asked)
    progress.remove_task(task)
    size = size_of(folder)
    return (
        f"{users:,} users with {_EACH:,} messages each: recall p50 {median(times):.1f} ms, p95 "
        f"{percentile(times, 0.95):.1f} ms, without a host in between; "
        f"{users * _EACH / seconds:,.0f} messages written a second, {size / users / _EACH:,.0f} bytes each."
    )


def measure_start(progress: Progress, rounds: int = 7) -> str:
    """Time from starting a process to its list of tools, in turns with the echo server."""
    echo, mem1, echo_mb, mem1_mb, tokens = [], [], 0.0, 0.0, 0
    task = progress.add_task("start", total=rounds + 1)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            with Host(_ECHO) as bare, Host(_MEM1, MEM1_MEMORY_DIR=folder) as memory:
                if number:  # the first start compiles
                    echo.append(bare.start_seconds * 1000)
                    mem1.append(memory.start_seconds * 1000)
                echo_mb, mem1_mb = bare.memory_mb(), memory.memory_mb()
                tokens = tool_tokens(memory)
            progress.advance(task)
    progress.remove_task(task)
    return (
        f"Start to the list of tools: {median(mem1):.0f} ms, {median(mem1) / median(echo):.2f}× the echo "
        f"server's {median(echo):.0f} ms. Memory then: {mem1_mb:.0f} MB, {mem1_mb / echo_mb:.2f}× its "
        f"{echo_mb:.0f} MB. The tools cost a model {tokens} tokens."
    )


def tool_tokens(host: Host) -> int:
    """Estimate what names, descriptions and input schemas cost a model."""
    import json

    from mem1_mcp.text.budget import estimate_tokens

    seen = [
        {key: tool[key] for key in ("name", "description", "inputSchema")} for tool in host.listed["tools"]
    ]
    return estimate_tokens(json.dumps(seen, ensure_ascii=False, separators=(",", ":")))


def surroundings() -> str:
    """Name what the figures depend on."""
    import apsw

    return (
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, MCP SDK {version('mcp')}, mem1-mcp {version('mem1-mcp')}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores."
    )


def page(start: str, rows: list[str], options: argparse.Namespace) -> str:
    """Write the page around the table."""
    return f"""# Benchmarks

What a call costs a host, beside what any call costs: the echo server (`benchmarks/echo_server.py`) is the
least that can be written with the same SDK. All of it is one user's memory of made-up talk in English and
Chinese (`benchmarks/life.py`), and every call goes over stdio.

![What calls cost by the size of the memory]({options.out.with_suffix(".svg").name})

{HEAD}
{chr(10).join(rows)}

{start}

- p50 and p95 are of {options.rounds} calls of each kind, {2 * options.rounds} of the echo, turn and turn
  about. Read the ratios: the milliseconds are one machine's.
- Ingest is through `remember`, {_BATCH} messages a call, each call on the disk before it answers.
- Bytes are of all files in the memory's folder after ingest; memory is what the server process holds.

Made with {surroundings()}

```bash
make bench BENCH="--sizes {options.sizes} --users {options.users} --out {options.out}"
```
"""


def other_sections(path: Path) -> str:
    """Return what stands in the page behind what is written here: its sections, with figures of others."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    start = old.find("\n## ")
    return old[start:] if start >= 0 else ""


def sizes_of(text: str) -> list[int]:
    """Read the sizes, smallest first."""
    return sorted({int(part.replace("_", "")) for part in text.split(",")})


def main() -> None:
    """Measure and print; with ``--out`` write the page and its plot too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000", help="messages of one user, comma separated")
    parser.add_argument("--rounds", type=int, default=200, help="timed calls of each kind per size")
    parser.add_argument("--users", type=int, default=100, help="users with 1,000 messages each")
    parser.add_argument(
        "--out", type=Path, help="a Markdown file to write; the plot goes beside it, as SVG"
    )
    options = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    all_figures = []
    # Where nobody looks, rich draws nothing: the table alone goes to standard output.
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        start = measure_start(progress)
        print(f"{start}\n\n{HEAD}", flush=True)
        for figures in measure(sizes_of(options.sizes), options.rounds, progress):
            all_figures.append(figures)
            print(figures.row(), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            start += "\n\n" + anyio.run(many_users, options.users, folder, progress)
        print(start.rpartition("\n")[2], flush=True)
    if options.out:
        from plot import draw

        written = page(start, [each.row() for each in all_figures], options)
        options.out.write_text(written + other_sections(options.out), encoding="utf-8")
        draw(all_figures, options.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
