"""Draws the chart that the demo remembers: bars with labels in English and Chinese.

Few machines have a font with Chinese characters, so those labels lie beside this file, already drawn (in
Noto Sans CJK, SIL Open Font License): rows of one height in ``labels.png``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

LABELS = Path(__file__).with_name("labels.png")
ROW = 36  # pixels
BAKERY, REVENUE, UNIT, FIRST_QUARTER, BEST = 0, 1, 2, 3, 7  # rows; a quarter a row

WIDTH, HEIGHT = 900, 600
LEFT, BASE, TOP = 110, 450, 150
QUARTERS = (("Q1", 41.2), ("Q2", 52.8), ("Q3", 49.5), ("Q4", 63.1))  # thousand euros
INK, BAR, GRID = "#2b2b2b", "#c8763a", "#d9d4cc"


def draw(path: Path) -> None:
    """Draw the chart into a file."""
    chart = Image.new("RGB", (WIDTH, HEIGHT), "#fffdf8")
    pen = ImageDraw.Draw(chart)
    large, small = ImageFont.load_default(30), ImageFont.load_default(22)
    with Image.open(LABELS) as labels:
        pen.text((40, 28), "Hearth Lane", font=large, fill=INK)
        _label(chart, labels, BAKERY, (215, 26))
        pen.text((40, 76), "Revenue by quarter", font=small, fill=INK)
        _label(chart, labels, REVENUE, (250, 70))
        for amount in range(0, 80, 20):
            y = BASE - amount * 4
            pen.line((LEFT - 10, y, WIDTH - 40, y), fill=GRID, width=2)
            pen.text((LEFT - 50, y - 13), str(amount), font=small, fill=INK)
        _label(chart, labels, UNIT, (40, 128))
        for number, (name, amount) in enumerate(QUARTERS):
            x = LEFT + 30 + number * 180
            pen.rectangle((x, BASE - amount * 4, x + 100, BASE), fill=BAR)
            pen.text((x + 22, BASE - amount * 4 - 30), f"{amount}", font=small, fill=INK)
            pen.text((x + 34, BASE + 8), name, font=small, fill=INK)
            _label(chart, labels, FIRST_QUARTER + number, (x - 6, BASE + 34))
        pen.text((40, HEIGHT - 44), "Best seller: hazelnut baguette", font=small, fill=INK)
        _label(chart, labels, BEST, (380, HEIGHT - 50))
    chart.save(path)


def _label(chart: Image.Image, labels: Image.Image, row: int, at: tuple[int, int]) -> None:
    drawn = labels.convert("L").crop((0, row * ROW, labels.width, (row + 1) * ROW))
    chart.paste(INK, at, ImageOps.invert(drawn))
