"""How long does a host's user wait for a hook, at each turn? Beside a Python that does nothing, turn about.

    python benchmarks/hook_cost.py [--sizes 0,1000,20000] [--turns 40]

Runs `mem1-mcp hook` as a host does, a process for each event, over memories of so many messages of a
made-up life (life.py). A turn is three processes in a row: `python -c pass`, the event of a prompt, and
that of the reply. So what else the machine does falls on all, and the ratios hold where the times do not.
The prompts are questions about that life and work on programs by turns; each is of a session of its own,
which may be told all that was found.

Prints a table, and takes some 0.6 seconds a turn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from itertools import islice
from pathlib import Path
from statistics import median

import anyio
import life
from run import percentile, surroundings

from mem1_mcp import app
from mem1_mcp.memory.remember import Remember, Said
from mem1_mcp.settings import Settings

_NOTHING = [sys.executable, "-c", "pass"]
_HOOK = [sys.executable, "-m", "mem1_mcp", "hook"]
_BATCH = 500
_WARM = 2  # turns that are not counted: the first one makes files
_WORK = (
    "Refactor the parser so that it streams tokens.",
    "把日志级别改成可以用环境变量配置。",
    "Why does this test fail on Windows?",
)


async def fill(folder: Path, count: int) -> None:
    """Make a memory of so many messages."""
    settings = Settings(memory_dir=folder)
    told = life.messages(count)
    async with app.open_memory(settings) as memory:
        while batch := list(islice(told, _BATCH)):
            said = tuple(
                Said(each["role"], each["content"], said_at=_milliseconds(each["timestamp"]))
                for each in batch
            )
            await memory.remember(settings.user_id, Remember("default", said))


def _milliseconds(written: str) -> int:
    return int(datetime.fromisoformat(written).timestamp() * 1000)


def timed(command: list[str], folder: Path, told: dict[str, str] | None = None) -> tuple[float, bool]:
    """Run a program as hosts do; return its milliseconds, and whether it printed something."""
    given = json.dumps(told, ensure_ascii=False).encode() if told else b""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        env=environ | {"MEM1_MEMORY_DIR": str(folder)},
        check=True,
    )
    took = (time.perf_counter() - began) * 1000
    assert not done.stderr, done.stderr
    return took, bool(done.stdout)


def measure(folder: Path, turns: int) -> tuple[list[float], list[float], list[float], int]:
    """Go through so many turns; return what each kind of process took, and how many prompts got context."""
    nothing: list[float] = []
    prompts: list[float] = []
    replies: list[float] = []
    told = 0
    asked = life.questions(turns + _WARM)
    for number, question in enumerate(asked):
        turn = {"session_id": f"session {number}", "prompt_id": f"turn {number}"}
        text = question if number % 2 else _WORK[number % len(_WORK)]
        reply = f"Done with number {number}: two files changed, all tests pass. 已经改好了。"
        bare, _ = timed(_NOTHING, folder)
        prompt, shown = timed(_HOOK, folder, turn | {"hook_event_name": "UserPromptSubmit", "prompt": text})
        stop = turn | {"hook_event_name": "Stop", "last_assistant_message": reply}
        answered, _ = timed(_HOOK, folder, stop)
        if number >= _WARM:
            nothing.append(bare)
            prompts.append(prompt)
            replies.append(answered)
            told += shown
    return nothing, prompts, replies, told


HEAD = (
    "| messages | python -c pass, p50 ms | prompt p50 (to it) | p95 | reply p50 (to it) | p95 "
    "| prompts that got context |\n|" + "---:|" * 7
)


def row(size: int, turns: int, folder: Path) -> str:
    """Measure at one size and write the line of the table."""
    anyio.run(fill, folder, size)
    nothing, prompts, replies, told = measure(folder, turns)
    bare = median(nothing)
    cells = [f"{size:,}", f"{bare:.0f}"]
    for taken in (prompts, replies):
        cells += [f"{median(taken):.0f} ({median(taken) / bare:.1f}×)", f"{percentile(taken, 0.95):.0f}"]
    return "| " + " | ".join([*cells, f"{told} of {turns}"]) + " |"


def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    print(HEAD, flush=True)
    for size in sorted({int(part) for part in options.sizes.split(",")}):
        with tempfile.TemporaryDirectory() as folder:
            print(row(size, options.turns, Path(folder)), flush=True)
    print(f"\nMade with {surroundings()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="0,1000,20000", help="messages in the memory, comma separated")
    parser.add_argument("--turns", type=int, default=40, help="turns at each size")
    main(parser.parse_args())
