"""Is the picture found? Asks 180 questions for 60 pictures, through the MCP tools of a running server.

    python benchmarks/image_recall.py [--only description|ocr|both|reading] [--out FILE] [--sheet FILE.png]

The pictures are drawn into a temporary folder (image_set.py): screenshots, charts, receipts, slides, notes
and photos, half of them Chinese. A fresh server remembers each by its path, in one topic, as an assistant
would have it do; when the text in them is read, each question is asked with search_images(limit=5):

    description   what the assistant said, no OCR (MEM1_OCR=none)
    ocr           no descriptions, the text in the pictures (MEM1_OCR=auto)
    both          descriptions and text; and again between 400 messages of talk in the same topic
    reading       no server: how well the text is read, in how much time and memory

File names are told in every mode. Of each picture's questions two share a content word with its
description; the third shares none, and either has words that stand in the picture or none of either.

Needs fonts (apt-get install fonts-noto-cjk fonts-dejavu) and packages (pip install "mem1-mcp[ocr]"
scikit-image scikit-learn: photos are taken from the last two). The server takes its other settings from the
environment: with MEM1_EMBEDDINGS set, vectors are made before the first question. All of it takes some ten
minutes on one core, most of them to read the pictures four times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

import image_set
import image_talk
from host import Host
from image_reading import Reading, character_errors, read
from image_set import Picture, Query

_SERVER = [sys.executable, "-m", "mem1_mcp"]
_LIMIT = 5
_MISSED = 99
_MOST = 50  # messages a call


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, whose picture it is, and the place that had among the answers, from 0."""

    query: Query
    picture: Picture
    rank: int


def asked(pictures: Sequence[Picture], talk: Sequence[str], *, described: bool, ocr: str) -> list[Asked]:
    """Let a fresh server remember the pictures between the talk, and ask it everything."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "MEM1_MEMORY_DIR": folder,
            "MEM1_USER_ID": "asked",
            "MEM1_OCR": ocr,
            "MEM1_IMAGE_ROOTS": str(pictures[0].path.parent),
        }
        with Host(_SERVER, **environment) as host:
            ids = list(_remembered(host, pictures, talk, described=described))
        commands = []
        if ocr != "none" or os.environ.get("MEM1_VL_MODEL"):
            commands.append(["images", "read"])
        if os.environ.get("MEM1_EMBEDDINGS", "none") != "none":
            commands.append(["embed"])
        for command in commands:
            sys.stderr.write(f"{' '.join(command)} …\n")
            subprocess.run(
                [*_SERVER, *command],
                env={**os.environ, **environment},
                check=True,
                stdout=subprocess.DEVNULL,
            )
        with Host(_SERVER, **environment) as host:
            return list(_answers(host, pictures, ids))


def _remembered(
    host: Host, pictures: Sequence[Picture], talk: Sequence[str], *, described: bool
) -> Iterator[str]:
    every = len(talk) / len(pictures)
    for number, picture in enumerate(pictures):
        part = talk[round(number * every) : round((number + 1) * every)]
        for start in range(0, len(part), _MOST):
            said = [
                {"role": "assistant" if place % 2 else "user", "content": text}
                for place, text in enumerate(part[start : start + _MOST])
            ]
            host.call("remember", messages=said)
        image = {"path": str(picture.path), "filename": picture.filename}
        if described:
            image["description"] = picture.description
        saved: dict[str, Any] = host.call("remember", images=[image])["structuredContent"]
        (saved_id,) = saved["image_ids"]
        yield saved_id
        sys.stderr.write(f"\rremembered {number + 1}/{len(pictures)} ")
    sys.stderr.write("\n")


def _answers(host: Host, pictures: Sequence[Picture], ids: Sequence[str]) -> Iterator[Asked]:
    for number, (picture, wanted) in enumerate(zip(pictures, ids, strict=True), 1):
        for query in picture.queries:
            found = host.call("search_images", query=query.text, limit=_LIMIT)["structuredContent"]["hits"]
            hits = [hit["id"] for hit in found]
            yield Asked(query, picture, hits.index(wanted) if wanted in hits else _MISSED)
        sys.stderr.write(f"\rasked for {number}/{len(pictures)} ")
    sys.stderr.write("\n")


def found_table(rows: dict[str, list[Asked]]) -> Iterator[str]:
    """Yield the lines of the table of what was found."""
    columns: dict[str, Callable[[Asked], bool]] = {
        f"{kind.replace('_', ' ')}, {language}": partial(_is, kind, language)
        for kind in image_set.KINDS
        for language in ("zh", "en")
    }
    columns["no shared word"] = lambda each: each.query.kind != "shared"
    columns["all"] = lambda _each: True
    yield f"| R@1 / R@5 in % | {' | '.join(columns)} |"
    yield "|---" + "|---:" * len(columns) + "|"
    sizes = [sum(map(chosen, next(iter(rows.values())))) for chosen in columns.values()]
    yield f"| questions | {' | '.join(map(str, sizes))} |"
    for name, answers in rows.items():
        cells = [_recall([each.rank for each in answers if chosen(each)]) for chosen in columns.values()]
        yield f"| {name} | {' | '.join(cells)} |"


def _is(kind: str, language: str, each: Asked) -> bool:
    return (each.query.kind, each.query.language) == (kind, language)


def _recall(ranks: Sequence[int]) -> str:
    return " / ".join(f"{100 * mean(rank < k for rank in ranks):.0f}" for k in (1, _LIMIT))


def error_table(pictures: Sequence[Picture], reading: Reading) -> Iterator[str]:
    """Yield the lines of the table of how well the text was read."""
    errors: dict[str, list[tuple[int, int]]] = {}
    for picture, told in zip(pictures, reading.reads, strict=True):
        if picture.lines:
            found = character_errors(picture.lines, told.lines)
            errors.setdefault(picture.language, []).append(found)
    head = (
        "text in",
        "pictures",
        "characters",
        "median CER %",
        "mean",
        "worst",
        "of all",
        "without an error",
    )
    yield f"| {' | '.join(head)} |"
    yield "|---" + "|---:" * (len(head) - 1) + "|"
    for language, counted in {**errors, "all": [each for part in errors.values() for each in part]}.items():
        rates = [100 * wrong / length for wrong, length in counted]
        wrong, length = (sum(part) for part in zip(*counted, strict=True))
        shown = f"{median(rates):.1f} | {mean(rates):.1f} | {max(rates):.1f} | {100 * wrong / length:.1f}"
        yield f"| {language} | {len(counted)} | {length:,} | {shown} | {rates.count(0)} |"


def costs(pictures: Sequence[Picture], reading: Reading) -> str:
    """Say what reading took, and what was read where nothing is written."""
    seconds = [told.seconds for told in reading.reads]
    peaks = [told.peak_mb for told in reading.reads]
    photos = [told for picture, told in zip(pictures, reading.reads, strict=True) if not picture.lines]
    extra = sum(len(line) for told in photos for line in told.lines)
    used = ", ".join(f"{name} {version(name)}" for name in ("rapidocr", "onnxruntime"))
    return (
        f"CPU seconds a picture: median {median(seconds):.2f}, mean {mean(seconds):.2f}, at most "
        f"{max(seconds):.2f}, after {reading.load_seconds:.1f} to load. Memory of the process: "
        f"{reading.idle_mb:.0f} MB loaded, while reading {median(peaks):.0f} MB (median), at most "
        f"{max(peaks):.0f} MB. In {len(photos)} photos without text {extra} characters were read. "
        f"One thread; {used}."
    )


def measured(pictures: Sequence[Picture], only: str | None, distractors: int) -> Iterator[str]:
    """Yield the lines of the report."""
    rows: dict[str, list[Asked]] = {}
    talk = list(image_talk.messages(distractors))
    if only in (None, "description"):
        rows["description only"] = asked(pictures, (), described=True, ocr="none")
    if only in (None, "ocr"):
        rows["OCR only"] = asked(pictures, (), described=False, ocr="auto")
    if only in (None, "both"):
        rows["both"] = asked(pictures, (), described=True, ocr="auto")
        rows[f"both, between {distractors} messages"] = asked(pictures, talk, described=True, ocr="auto")
    if rows:
        yield from found_table(rows)
        yield from ("", "Without the photos, which hold no text:", "")
        with_text = {
            name: [each for each in answers if each.picture.lines] for name, answers in rows.items()
        }
        yield from found_table(with_text)
        yield ""
    if only in (None, "reading"):
        reading = read([picture.path for picture in pictures])
        yield from error_table(pictures, reading)
        yield from ("", costs(pictures, reading))


def main() -> None:
    """Draw the pictures, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    modes = ("description", "ocr", "both", "reading")
    parser.add_argument("--only", choices=modes, help="measure this alone")
    parser.add_argument("--distractors", type=int, default=400, help="messages of talk (400)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the tables here too, as Markdown")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="draw all pictures small on one, and end"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for picture in image_set.rendered(Path(folder).resolve()):
            pictures.append(picture)
            sys.stderr.write(f"\rdrawn {len(pictures)} ")
        sys.stderr.write("\n")
        if options.sheet:
            image_set.sheet(pictures).save(options.sheet)
            return
        lines = []
        for line in measured(pictures, options.only, options.distractors):
            lines.append(line)
            print(line, flush=True)
        if options.out:
            options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
