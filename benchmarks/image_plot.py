"""The frame of a chart: two axes, and places of values between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from image_canvas import Canvas, Ink

_GRID = "#e3e6ea"
Tick = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart's area: left, top, right, bottom on the canvas, and the values at its edges."""

    canvas: Canvas
    area: tuple[float, float, float, float]
    across: tuple[float, float]
    up: tuple[float, float]
    grid: str = _GRID

    def x(self, value: float) -> float:
        """Return where a value stands from left to right."""
        left, _, right, _ = self.area
        return left + (right - left) * (value - self.across[0]) / (self.across[1] - self.across[0])

    def y(self, value: float) -> float:
        """Return where a value stands from top to bottom."""
        _, top, _, bottom = self.area
        return bottom - (bottom - top) * (value - self.up[0]) / (self.up[1] - self.up[0])

    def levels(self, ticks: Sequence[Tick], ink: Ink) -> None:
        """Draw horizontal lines with their labels at the left."""
        for value, label in ticks:
            level = self.y(value)
            self.canvas.line([(self.area[0], level), (self.area[2], level)], self.grid, 1)
            self.canvas.text((self.area[0] - 10, level), label, ink.but(anchor="rm"))

    def below(self, ticks: Sequence[Tick], ink: Ink) -> None:
        """Write the labels under the chart."""
        for value, label in ticks:
            self.canvas.text((self.x(value), self.area[3] + 10), label, ink.but(anchor="ma"))

    def axes(self, colour: str = "#555555") -> None:
        """Draw both axes."""
        left, top, right, bottom = self.area
        self.canvas.line([(left, top), (left, bottom), (right, bottom)], colour, 1.5)

    def curve(
        self, points: Sequence[tuple[float, float]], colour: str, width: float = 3, dots: float = 0
    ) -> None:
        """Draw a line through values."""
        places = [(self.x(x), self.y(y)) for x, y in points]
        self.canvas.line(places, colour, width)
        for place in places if dots else ():
            self.canvas.disc(place, dots, "#ffffff", colour)

    def bar(
        self, centre: float, value: float, width: float, colour: str, base: float | None = None
    ) -> None:
        """Draw a bar ``width`` pixels wide, from ``base`` or the bottom to ``value``."""
        middle = self.x(centre)
        floor = self.up[0] if base is None else base
        high, low = sorted((self.y(value), self.y(floor)))
        self.canvas.box((middle - width / 2, high, middle + width / 2, low), colour)

    def band(
        self, lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]], colour: str
    ) -> None:
        """Fill between two lines."""
        there = [(self.x(x), self.y(y)) for x, y in upper]
        back = [(self.x(x), self.y(y)) for x, y in reversed(lower)]
        self.canvas.polygon([*there, *back], colour)


def legend(
    canvas: Canvas, at: tuple[float, float], entries: Sequence[tuple[str, str]], ink: Ink, gap: int = 34
) -> None:
    """Write names beside their colours, in a row."""
    left, top = at
    for name, colour in entries:
        canvas.box((left, top - 7, left + 22, top + 7), colour, radius=3)
        left = canvas.text((left + 30, top), name, ink.but(anchor="lm")) + gap
