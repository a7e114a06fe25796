"""Draws pictures with words in them, and keeps which words those are.

Shapes are drawn at twice the size and made smaller, so that their edges are smooth; words are drawn last,
at their own size, as a screen does. What was written is in ``lines``: the truth an OCR is measured by.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_FONTS = Path("/usr/share/fonts")
_SIMPLIFIED, _SIMPLIFIED_MONO = 2, 7  # places in Noto's collections
_FACES = {
    "sans": ("opentype/noto/NotoSansCJK-Regular.ttc", _SIMPLIFIED),
    "bold": ("opentype/noto/NotoSansCJK-Bold.ttc", _SIMPLIFIED),
    "serif": ("opentype/noto/NotoSerifCJK-Regular.ttc", _SIMPLIFIED),
    "serif-bold": ("opentype/noto/NotoSerifCJK-Bold.ttc", _SIMPLIFIED),
    "wide": ("opentype/noto/NotoSansCJK-Regular.ttc", _SIMPLIFIED_MONO),
    "dejavu": ("truetype/dejavu/DejaVuSans.ttf", 0),
    "dejavu-bold": ("truetype/dejavu/DejaVuSans-Bold.ttf", 0),
    "condensed": ("truetype/dejavu/DejaVuSansCondensed.ttf", 0),
    "book": ("truetype/dejavu/DejaVuSerif.ttf", 0),
    "book-bold": ("truetype/dejavu/DejaVuSerif-Bold.ttf", 0),
    "slanted": ("truetype/dejavu/DejaVuSansCondensed-Oblique.ttf", 0),
    "mono": ("truetype/dejavu/DejaVuSansMono.ttf", 0),
    "mono-bold": ("truetype/dejavu/DejaVuSansMono-Bold.ttf", 0),
}
_FINER = 2
_TOUCHING = 0.08  # of the smaller of two texts


@cache
def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font of Debian's fonts-noto-cjk or fonts-dejavu."""
    name, number = _FACES[face]
    try:
        return ImageFont.truetype(str(_FONTS / name), size, index=number)
    except OSError as error:
        message = f"{_FONTS / name} is missing: apt-get install fonts-noto-cjk fonts-dejavu"
        raise SystemExit(message) from error


@dataclass(frozen=True, slots=True)
class Ink:
    """How words are written; ``room`` is the width in pixels that they must not exceed."""

    size: int = 20
    fill: str = "#222222"
    face: str = "sans"
    anchor: str = "la"
    room: int | None = None

    def but(self, **changes: Any) -> Ink:
        """Return this ink, differing in ``changes``."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture and the lines of text in it."""

    image: Image.Image
    lines: tuple[str, ...] = ()


class Canvas:
    """A picture being drawn."""

    def __init__(self, width: int, height: int, ground: str = "#ffffff") -> None:
        self.width, self.height = width, height
        self.lines: list[str] = []
        self._shapes = Image.new("RGB", (width * _FINER, height * _FINER), ground)
        self._draw = ImageDraw.Draw(self._shapes)
        self._words: list[tuple[Point, str, Ink]] = []
        self._tiles: list[tuple[tuple[int, int], Image.Image]] = []
        self._boxes: list[tuple[str, Box]] = []
        self._hand = random.Random(width * height)

    def box(
        self, box: Box, fill: str | None, radius: int = 0, edge: str | None = None, width: int = 1
    ) -> None:
        """Draw a rectangle from left, top to right, bottom."""
        scaled = [value * _FINER for value in box]
        width = width * _FINER if edge else 0
        self._draw.rounded_rectangle(scaled, radius * _FINER, fill=fill, outline=edge, width=width)

    def line(self, points: Sequence[Point], fill: str, width: float = 2) -> None:
        """Draw a line through all points."""
        scaled = [(x * _FINER, y * _FINER) for x, y in points]
        self._draw.line(scaled, fill=fill, width=round(width * _FINER), joint="curve")

    def dashes(self, start: Point, end: Point, fill: str, width: float = 2) -> None:
        """Draw a dashed line."""
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        steps = max(1, round(length / 14))
        for step in range(steps):
            ends = [
                tuple(a + (b - a) * share / steps for a, b in zip(start, end, strict=True))
                for share in (step, step + 0.55)
            ]
            self.line([(x, y) for x, y in ends], fill, width)

    def arrow(self, start: Point, end: Point, fill: str, width: float = 3) -> None:
        """Draw a line with a head."""
        self.line([start, end], fill, width)
        along = np.array(end, float) - np.array(start, float)
        along /= np.hypot(*along)
        across = np.array([-along[1], along[0]])
        tip = np.array(end, float)
        head = 5 + 3 * width
        self.polygon(
            [
                tuple(tip),
                tuple(tip - head * (along + across / 2)),
                tuple(tip - head * (along - across / 2)),
            ],
            fill,
        )

    def polygon(self, points: Sequence[Any], fill: str) -> None:
        """Fill a polygon."""
        self._draw.polygon([(float(x) * _FINER, float(y) * _FINER) for x, y in points], fill=fill)

    def disc(
        self, centre: Point, radius: float, fill: str | None, edge: str | None = None, width: int = 2
    ) -> None:
        """Draw a circle."""
        self.oval(
            (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius),
            fill,
            edge,
            width,
        )

    def oval(self, box: Box, fill: str | None, edge: str | None = None, width: int = 2) -> None:
        """Draw an ellipse."""
        width = width * _FINER if edge else 0
        self._draw.ellipse([value * _FINER for value in box], fill=fill, outline=edge, width=width)

    def slice(self, centre: Point, radius: float, degrees: tuple[float, float], fill: str) -> None:
        """Draw a slice of a pie, from and to so many degrees from the top, clockwise."""
        box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
        start, end = (each - 90 for each in degrees)
        self._draw.pieslice([value * _FINER for value in box], start, end, fill, outline="#ffffff", width=3)

    def text(self, at: Point, text: str, ink: Ink) -> float:
        """Write one line; return where it ends, to the right."""
        box = font(ink.face, ink.size).getbbox(text, anchor=ink.anchor)
        placed = (at[0] + box[0], at[1] + box[1], at[0] + box[2], at[1] + box[3])
        assert ink.room is None or box[2] - box[0] <= ink.room, (
            f"{text!r}: {box[2] - box[0]} px, not {ink.room}"
        )
        self._words.append((at, text, ink))
        self._keep(text, placed)
        return placed[2]

    def texts(self, at: Point, texts: Sequence[str], ink: Ink, step: float) -> float:
        """Write lines one below the other; return where the next would be."""
        for number, text in enumerate(texts):
            if text:
                self.text((at[0], at[1] + number * step), text, ink)
        return at[1] + len(texts) * step

    def table(
        self,
        columns: Sequence[tuple[float, str]],
        top: float,
        rows: Sequence[Sequence[str]],
        ink: Ink,
        step: float,
    ) -> float:
        """Write rows in columns, each given by its place and anchor; return where the next row would be."""
        for number, row in enumerate(rows):
            for (left, anchor), cell in zip(columns, row, strict=True):
                if cell:
                    self.text((left, top + number * step), cell, ink.but(anchor=anchor))
        return top + len(rows) * step

    def paragraph(self, at: Point, text: str, ink: Ink, width: int, step: float) -> float:
        """Write a text in lines of a width; return where the next line would be."""
        return self.texts(at, broken(text, ink, width), ink, step)

    def upright(self, centre: Point, text: str, ink: Ink) -> None:
        """Write a line from below to above."""
        box = font(ink.face, ink.size).getbbox(text, anchor="la")
        tile = Image.new("RGBA", (int(box[2]) + 4, int(box[3]) + 4))
        ImageDraw.Draw(tile).text((2, 2), text, font=font(ink.face, ink.size), fill=ink.fill, anchor="la")
        tile = tile.rotate(90, expand=True)
        corner = (round(centre[0] - tile.width / 2), round(centre[1] - tile.height / 2))
        self._tiles.append((corner, tile))
        self._keep(text, (*corner, corner[0] + tile.width, corner[1] + tile.height))

    def written(self, at: Point, text: str, ink: Ink) -> float:
        """Write one line as by hand: no two letters stand quite alike. Return where it ends."""
        left, top = at
        for letter in text:
            chosen = font(ink.face, ink.size + self._hand.choice((-1, 0, 0, 1)))
            box = chosen.getbbox(letter, anchor="la")
            if letter.strip():
                tile = Image.new("RGBA", (int(box[2]) + 12, int(box[3]) + 12))
                ImageDraw.Draw(tile).text((6, 6), letter, font=chosen, fill=ink.fill, anchor="la")
                tile = tile.rotate(self._hand.uniform(-5, 5), Image.Resampling.BICUBIC)
                corner = (round(left - 6), round(top - 6 + self._hand.uniform(-1.6, 1.6)))
                self._tiles.append((corner, tile))
            left += chosen.getlength(letter) + self._hand.uniform(-0.6, 0.8)
        self._keep(text, (at[0], at[1] + ink.size * 0.3, left, at[1] + ink.size * 1.2))
        return left

    def finished(self) -> Drawn:
        """Return the picture; fails where words touch each other or the edge."""
        image = self._shapes.resize((self.width, self.height), Image.Resampling.BOX)
        draw = ImageDraw.Draw(image)
        for at, text, ink in self._words:
            draw.text(at, text, font=font(ink.face, ink.size), fill=ink.fill, anchor=ink.anchor)
        for corner, tile in self._tiles:
            image.paste(tile, corner, tile)
        for text, (left, top, right, bottom) in self._boxes:
            inside = min(left, top) >= 0 and right <= self.width and bottom <= self.height
            assert inside, f"{text!r} is cut off"
        for (one, a), (other, b) in combinations(self._boxes, 2):
            shared = _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
            assert shared <= _TOUCHING * min(_area(a), _area(b)), f"{one!r} and {other!r} overlap"
        return Drawn(image, tuple(self.lines))

    def _keep(self, text: str, box: Box) -> None:
        self.lines.append(text)
        self._boxes.append((text, box))


def broken(text: str, ink: Ink, width: int) -> list[str]:
    """Break a text into lines: between words, and between Chinese characters but before no punctuation."""
    lines = [""]
    for piece in re.findall(
        r"[\u2e80-\uffef][，。；：！？、）》”]*|\s+|[^\s\u2e80-\uffef]+[，。；：！？、）》”]*", text
    ):
        if font(ink.face, ink.size).getlength((lines[-1] + piece).rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines]


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
