"""Does a server stay as small as it began? Mixed calls for some minutes, memory and descriptors watched.

    python benchmarks/soak.py [--minutes 10]

Remembers, recalls, lists, forgets one message and whole topics, sends lines that are no messages and
cancels calls, as fast as answers come. The memory of the user is held at some thousand messages, so
that what grows is the server. Ends with 1 when it grew.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from itertools import count, islice
from statistics import median
from typing import Any

import life
import psutil
from host import Host
from rich.console import Console
from rich.progress import track
from rich.table import Table

_SAMPLES = 60
_GROWN_MB = 15.0  # the allocator's play; a leak of a kilobyte a call would be some hundred


class Load:
    """Everything a host does, one call at a time, in an order drawn by chance."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._chance = random.Random(3)
        self._told = life.messages(10_000_000)
        self._asked = life.questions(500)
        self._numbers = count(1)
        self.calls = 0

    def one(self) -> None:
        """Make one call, or write one line that is none."""
        self.calls += 1
        draw = self._chance.random()
        if draw < 0.55:
            self._remember()
        elif draw < 0.85:
            self._host.call("recall", query=self._chance.choice(self._asked))
        elif draw < 0.9:
            self._host.call("list_topics")
        elif draw < 0.94:
            self._host.write(b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}')
            self._host.write(b"no message at all " * 50)
        elif draw < 0.97:
            self._host.cancelled("recall", query=self._chance.choice(self._asked))
        elif draw < 0.995:
            saved = self._remember()
            self._forget(ids=saved["structuredContent"]["message_ids"][:1])
        else:
            self._forget(topic=f"topic {self._chance.randrange(8)}")

    def _remember(self) -> dict[str, Any]:
        number = next(self._numbers)
        facts = [{"text": f"Fact {number % 40} is {number}"}] if number % 20 == 0 else []
        return self._host.call(
            "remember",
            messages=list(islice(self._told, self._chance.randint(1, 6))),
            facts=facts,
            topic=f"topic {number % 8}",
            metadata={"number": number},
        )

    def _forget(self, **selection: Any) -> None:
        shown = self._host.call("forget", **selection)["structuredContent"]
        if "confirm" in shown:
            self._host.call("forget", confirm=shown["confirm"])


def soak(minutes: float) -> list[tuple[float, int, float, int]]:
    """Load a server; return samples of (minutes, calls, memory in MB, descriptors)."""
    samples = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Host([sys.executable, "-m", "mem1_mcp"], MEM1_MEMORY_DIR=folder) as host,
    ):
        process = psutil.Process(host.pid)
        load = Load(host)
        started = time.monotonic()
        for sample in track(range(1, _SAMPLES + 1), description="soaking"):
            while time.monotonic() < started + sample * minutes * 60 / _SAMPLES:
                load.one()
            descriptors = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
            memory_mb = process.memory_info().rss / 1e6
            samples.append(((time.monotonic() - started) / 60, load.calls, memory_mb, descriptors))
    return samples


def main() -> None:
    """Soak, show, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    samples = soak(parser.parse_args().minutes)
    table = Table("minutes", "calls", "memory MB", "descriptors")
    for minutes, calls, memory_mb, descriptors in samples[:: _SAMPLES // 12]:
        table.add_row(f"{minutes:.1f}", f"{calls:,}", f"{memory_mb:.1f}", str(descriptors))
    Console().print(table)
    # The first fifth fills caches and pools.
    settled, last = samples[_SAMPLES // 5 : 2 * _SAMPLES // 5], samples[-_SAMPLES // 5 :]
    grown = median(s[2] for s in last) - median(s[2] for s in settled)
    opened = max(s[3] for s in last) - max(s[3] for s in settled)
    print(f"From the second fifth to the last: memory {grown:+.1f} MB, descriptors {opened:+d}")
    sys.exit(grown > _GROWN_MB or opened > 2)


if __name__ == "__main__":
    main()
