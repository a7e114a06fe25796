"""How well, how fast and in how much memory the text in the pictures is read.

The reader, as the server uses it (rapidocr, one thread), runs in a process of its own: this file, given
paths line by line.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

_MEMORY, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_ALIKE = str.maketrans(
    {"—": "-", "–": "-", "−": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "・": "·", "•": "·"}
)
_RULE = re.compile(r"([^\w\s])\1{2,}|_{3,}")  # lines drawn with signs: =====, ....
_EDIT, _NEXT_LINE, _TAKEN = 100, 1, 10**6  # what a step of the alignment costs
_GONE = "\0"


@dataclass(frozen=True, slots=True)
class Read:
    """What was read in one picture, in seconds of CPU and megabytes at most."""

    lines: tuple[str, ...]
    seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Reading:
    """All pictures' readings; ``idle_mb`` is the memory before the first, with the models loaded."""

    reads: tuple[Read, ...]
    load_seconds: float
    idle_mb: float


def read(paths: Sequence[Path]) -> Reading:
    """Read all pictures in one process, one after the other."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**kept, "OMP_NUM_THREADS": "1"},
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        loaded = json.loads(process.stdout.readline())
        reads = []
        for number, path in enumerate(paths, 1):
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
            reads.append(Read(tuple(told["lines"]), told["seconds"], told["peak_mb"]))
            sys.stderr.write(f"\rread {number}/{len(paths)} ")
        sys.stderr.write("\n")
        process.stdin.close()
    return Reading(tuple(reads), loaded["seconds"], loaded["peak_mb"])


def character_errors(truth: Sequence[str], lines: Sequence[str]) -> tuple[int, int]:
    """Return how many characters are wrong, missing or too many, and how many there are.

    Spaces, the order of the lines and where they break are not held against the reader, nor is width, the
    kind of a dash or quotation mark, or a rule made of signs (``=====``). Case is. Each true line, the
    longest first, is laid on the stretch of the read text, not yet taken, that differs least from it
    (Levenshtein). If more than half of it is different, it is all missing, and takes nothing. What no line
    took is too many.
    """
    left = "\n".join(filter(None, map(_plain, lines)))
    wanted = sorted(filter(None, map(_plain, truth)), key=len, reverse=True)
    wrong = 0
    for line in wanted:
        cost, start, end = _best_stretch(line, left)
        if cost > len(line) / 2:
            wrong += len(line)
            continue
        wrong += cost
        left = left[:start] + _GONE + left[end:]
    return wrong + len(left.replace("\n", "").replace(_GONE, "")), sum(map(len, wanted))


def _plain(line: str) -> str:
    text = _RULE.sub("", unicodedata.normalize("NFKC", line).translate(_ALIKE))
    return "".join(text.split())


def _best_stretch(line: str, text: str) -> tuple[int, int, int]:
    """Return the edits that make ``line`` of the best stretch of ``text``, and its start and end."""
    # One column after the other through ``text``; a stretch may begin anywhere at no cost.
    column = [(_EDIT * row, 0) for row in range(len(line) + 1)]
    best = (column[-1][0], 0, 0)
    for place, sign in enumerate(text, 1):
        skip = {"\n": _NEXT_LINE, _GONE: _TAKEN}.get(sign, _EDIT)
        before, column = column, [(0, place)]
        for row, wanted in enumerate(line, 1):
            same = 0 if wanted == sign else _EDIT if skip == _EDIT else _TAKEN
            column.append(
                min(
                    (before[row - 1][0] + same, before[row - 1][1]),
                    (before[row][0] + skip, before[row][1]),
                    (column[row - 1][0] + _EDIT, column[row - 1][1]),
                )
            )
        best = min(best, (column[-1][0], column[-1][1], place))
    return best[0] // _EDIT, best[1], best[2]


def _reader() -> Iterator[dict[str, Any]]:
    started = time.process_time()
    import cv2  # heavy, and only here

    from mem1_mcp.models.ocr_engine import Engine

    cv2.setNumThreads(1)
    engine = Engine()
    blank = io.BytesIO()
    Image.new("RGB", (64, 64)).save(blank, "PNG")
    engine.answer(blank.getvalue())  # the models load at the first call
    yield {"seconds": time.process_time() - started, "peak_mb": _peak_mb()}
    for line in sys.stdin:
        data = Path(line.rstrip("\n")).read_bytes()
        _forget_peak()
        started = time.process_time()
        answer = engine.answer(data)
        seconds = time.process_time() - started
        if "error" in answer:
            raise SystemExit(f"{line.strip()}: {answer['error']}")
        yield {"lines": answer["text"].split("\n"), "seconds": seconds, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    if _MEMORY.exists():
        row = next(row for row in _MEMORY.read_text().splitlines() if row.startswith("VmHWM"))
        return int(row.split()[1]) / 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )


def _forget_peak() -> None:
    if _FORGET.exists():
        _FORGET.write_text("5")


if __name__ == "__main__":
    for answer in _reader():
        print(json.dumps(answer, ensure_ascii=False), flush=True)
