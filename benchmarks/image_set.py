"""Sixty pictures to remember and 180 questions for them; 120 share a word with what was said of it.

``image_set.json`` has for each picture the name of the file as a user would have it, what an assistant that
sees it would say for the memory, and three questions. All descriptions were written before the first
question:

- ``shared``: has a content word of the description;
- ``in_picture``: has none of it, but one that stands in the picture;
- ``paraphrase``: has none of either, so only its meaning leads there.

What a content word is says the project's own tokenizer; of Chinese, pairs of characters count, single ones
don't. ``checked`` holds every question to this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from image_canvas import Canvas, Drawn, Ink, font
from image_charts import CHARTS
from image_notes import NOTES
from image_phones import PHONES
from image_photos import PHOTOS
from image_receipts import RECEIPTS
from image_screens import SCREENS
from image_slides import SLIDES
from image_tickets import TICKETS
from PIL import Image

from mem1_mcp.text.terms import split

Kind = Literal["shared", "in_picture", "paraphrase"]
KINDS: tuple[Kind, ...] = ("shared", "in_picture", "paraphrase")

_WRITTEN = Path(__file__).with_suffix(".json")
_DRAWN: dict[str, Callable[[], Drawn]] = {
    **SCREENS,
    **PHONES,
    **CHARTS,
    **RECEIPTS,
    **TICKETS,
    **SLIDES,
    **NOTES,
    **PHOTOS,
}
_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Query:
    """A question that one picture answers."""

    kind: Kind
    text: str

    @property
    def language(self) -> str:
        """The language it is asked in."""
        return "zh" if _HAN.search(self.text) else "en"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the set; ``lines`` is the text drawn in it, none for a photo."""

    name: str
    filename: str
    language: str
    description: str
    queries: tuple[Query, ...]
    path: Path
    lines: tuple[str, ...]


def rendered(folder: Path) -> Iterator[Picture]:
    """Draw the set into a folder, each under its file's name, and check it."""
    rows = json.loads(_WRITTEN.read_text(encoding="utf-8"))
    names = [row["name"] for row in rows]
    assert sorted(names) == sorted(_DRAWN), set(names) ^ set(_DRAWN)
    assert len({row["filename"] for row in rows}) == len(rows), "two files of one name"
    for row in rows:
        drawn = _DRAWN[row["name"]]()
        path = folder / row["filename"]
        if path.suffix.lower() == ".png":
            drawn.image.save(path, optimize=False)
        else:
            drawn.image.save(path, quality=88)
        queries = tuple(Query(each["kind"], each["text"]) for each in row["queries"])
        picture = Picture(
            row["name"], row["filename"], row["language"], row["description"], queries, path, drawn.lines
        )
        trouble = list(checked(picture))
        if trouble:
            raise SystemExit("\n".join(trouble))
        yield picture


def checked(picture: Picture) -> Iterator[str]:
    """Yield what is wrong with a picture's questions."""
    described = content_words(picture.description)
    named = content_words(picture.filename)
    shown = content_words("\n".join(picture.lines))
    kinds = [query.kind for query in picture.queries]
    if kinds.count("shared") != 2 or len(kinds) != 3:
        yield f"{picture.name}: two questions that share a word and one that does not, not {kinds}"
    for query in picture.queries:
        asked = content_words(query.text)
        where = f"{picture.name}: {query.text!r} is {query.kind!r}"
        if query.kind == "shared":
            if not asked & described:
                yield f"{where} but shares no word with the description"
            continue
        if asked & (described | named):
            yield f"{where} but shares {sorted(asked & (described | named))}"
        if query.kind == "in_picture" and not asked & shown:
            yield f"{where} but shares no word with the picture"
        if query.kind == "paraphrase" and asked & shown:
            yield f"{where} but {sorted(asked & shown)} stands in the picture"


def content_words(text: str) -> set[str]:
    """Return the content terms of a text, but for single characters."""
    return {term for term in split(text).content if len(term) > 1}


def sheet(pictures: Sequence[Picture], columns: int = 10) -> Image.Image:
    """Return all pictures as small ones with their names."""
    wide, high, gap = 300, 300, 14
    rows = -(-len(pictures) // columns)
    ink = Ink(15, "#333333", room=wide)
    canvas = Canvas(columns * (wide + gap) + gap, rows * (high + 44 + gap) + gap, "#dfe3e8")
    places = []
    for number, picture in enumerate(pictures):
        left = gap + (number % columns) * (wide + gap)
        top = gap + (number // columns) * (high + 44 + gap)
        name = picture.filename
        while font(ink.face, ink.size).getlength(name) > wide:
            name = f"{name[:-2].removesuffix('…')}…"
        canvas.text((left, top + high + 2), picture.name, ink.but(face="bold"))
        canvas.text((left, top + high + 22), name, ink)
        places.append((left, top))
    image = canvas.finished().image
    for picture, (left, top) in zip(pictures, places, strict=True):
        with Image.open(picture.path) as full:
            small = full.convert("RGB")
        small.thumbnail((wide, high), Image.Resampling.LANCZOS)
        image.paste(small, (left + (wide - small.width) // 2, top + (high - small.height) // 2))
    return image
