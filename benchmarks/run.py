"""Latency, start, memory and size, beside a bare SDK server that echoes, in one run.

    python benchmarks/run.py [--sizes 1000,10000] [--rounds 200] [--out docs/benchmarks.md]

Calls go over stdio as a host's do, turn and turn about with the echo, so that a busy machine is busy
for both. Read the ratios: milliseconds are this machine's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import life
from host import Host

_ECHO = [sys.executable, str(Path(__file__).with_name("echo_server.py"))]
_MEM1 = [sys.executable, "-m", "mem1_mcp"]
_BATCH = 100


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
        cells = [f"{self.size:,}", f"{base:.2f}"]
        for times in (self.remember, self.recall):
            cells.append(f"{median(times):.2f} ({median(times) / base:.1f}×)")
            cells.append(f"{percentile(times, 0.95):.2f}")
        cells += [f"{self.per_second:,.0f}", f"{self.bytes_per_message:,.0f}", f"{self.memory_mb:.0f}"]
        return "| " + " | ".join(cells) + " |"


HEAD = (
    "| messages | echo p50 ms | remember p50 (to echo) | p95 | recall p50 (to echo) | p95 "
    "| ingest/s | bytes/message | memory MB |\n|---|---|---|---|---|---|---|---|---|"
)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def measure(size: int, rounds: int) -> Figures:
    """Fill one user's memory and time calls on it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Host(_ECHO) as echo,
        Host(_MEM1, MEM1_MEMORY_DIR=folder) as memory,
    ):
        told = list(life.messages(size))
        started = time.perf_counter()
        for start in range(0, size, _BATCH):
            memory.call("remember", messages=told[start : start + _BATCH])
            progress(f"{size:,} messages", start + _BATCH, size)
        per_second = size / (time.perf_counter() - started)
        on_disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        figures = Figures(size, [], [], [], per_second, on_disk / size, 0.0)
        for number, question in enumerate(life.questions(rounds)):
            said = f"{told[number % size]['content']} {number}"
            figures.echo.append(echo.timed("echo", text=said))
            figures.remember.append(memory.timed("remember", messages=[{"role": "user", "content": said}]))
            figures.echo.append(echo.timed("echo", text=said))
            figures.recall.append(memory.timed("recall", query=question))
        return Figures(
            size,
            figures.echo,
            figures.remember,
            figures.recall,
            per_second,
            on_disk / size,
            memory.memory_mb(),
        )


def measure_start(rounds: int = 7) -> str:
    """Time from starting a process to its list of tools, in turns with the echo server."""
    echo, mem1, echo_mb, mem1_mb, tokens = [], [], 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            with Host(_ECHO) as bare, Host(_MEM1, MEM1_MEMORY_DIR=folder) as memory:
                if number:  # the first start compiles
                    echo.append(bare.start_seconds * 1000)
                    mem1.append(memory.start_seconds * 1000)
                echo_mb, mem1_mb = bare.memory_mb(), memory.memory_mb()
                tokens = tool_tokens(memory)
            progress("start", number, rounds)
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


def progress(what: str, done: int, whole: int) -> None:
    """Show how far a long step has come, for people only."""
    if sys.stderr.isatty():
        sys.stderr.write(
            f"\r{what}: {min(100 * done // whole, 100):3d} %{' ' if done < whole else chr(10)}"
        )


def main() -> None:
    """Measure and print; with ``--out`` write the page too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000", help="messages of one user, comma separated")
    parser.add_argument("--rounds", type=int, default=200, help="timed calls of each kind per size")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    lines = [measure_start(), "", HEAD]
    print("\n".join(lines), flush=True)
    for size in map(int, options.sizes.split(",")):
        lines.append(measure(size, options.rounds).row())
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("# Benchmarks\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
