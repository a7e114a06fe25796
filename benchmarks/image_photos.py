"""Ten pictures without words: seven photos that ship in wheels, three drawn landscapes.

===================  ==================================================================================
coffee, chelsea,     scikit-image, ``skimage/data``: CC0 by Rachel Michetti, Stefan van der Walt and
camera               Lav Varshney
rocket               scikit-image: SpaceX, released into the public domain
coins                scikit-image: Brooklyn Museum, no known copyright restrictions
china, flower        scikit-learn, ``sklearn/datasets/images``: CC BY 2.0, Flickr users danielbuechele and
                     vultilion
===================  ==================================================================================
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from image_canvas import Drawn
from PIL import Image, ImageDraw, ImageFilter

_SIZE = (1200, 800)
_FINE = 2


def _shipped(package: str, name: str) -> Drawn:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(
            f"{package} is missing, a photo is taken from it: pip install scikit-image scikit-learn"
        )
    with Image.open(Path(found.origin).parent / name) as image:
        return Drawn(image.convert("RGB"))


def evening_lake() -> Drawn:
    """Draw mountains over a lake while the sun goes down, with a boat."""
    width, height = (each * _FINE for each in _SIZE)
    shore = round(height * 0.58)
    image = _sky((width, height), ((44, 52, 96), (214, 112, 92), (250, 196, 120)), shore)
    draw = ImageDraw.Draw(image)
    draw.ellipse(_round(width * 0.64, shore - 150, 64), fill=(255, 232, 170))
    for depth, colour in enumerate(((126, 88, 118), (92, 66, 102), (58, 46, 78))):
        _ridge(draw, (width, shore), (170 + 90 * depth, 260 - 90 * depth), colour, 5 + depth)
    water = image.crop((0, 0, width, shore)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    water = water.resize((width, height - shore)).point(lambda value: value * 0.72)
    image.paste(water, (0, shore))
    draw = ImageDraw.Draw(image)
    chance = random.Random(3)
    for _ in range(420):
        level = shore + int((height - shore) * chance.random() ** 1.4)
        left, long = chance.randint(0, width), chance.randint(30, 220)
        draw.line(
            [(left, level), (left + long, level)],
            fill=(238, 170, 128) if chance.random() < 0.4 else (70, 58, 92),
            width=2,
        )
    boat = (width * 0.3, shore + 210)
    draw.polygon(
        [
            (boat[0] - 130, boat[1]),
            (boat[0] + 130, boat[1]),
            (boat[0] + 90, boat[1] + 40),
            (boat[0] - 100, boat[1] + 40),
        ],
        fill=(34, 24, 34),
    )
    draw.ellipse(_round(boat[0] - 10, boat[1] - 74, 18), fill=(34, 24, 34))
    draw.polygon(
        [
            (boat[0] - 34, boat[1]),
            (boat[0] + 14, boat[1]),
            (boat[0] + 4, boat[1] - 60),
            (boat[0] - 24, boat[1] - 60),
        ],
        fill=(34, 24, 34),
    )
    draw.line([(boat[0] - 60, boat[1] + 60), (boat[0] + 40, boat[1] - 40)], fill=(34, 24, 34), width=7)
    return _grainy(image, 51)


def stormy_lighthouse() -> Drawn:
    """Draw a lighthouse on a rock at night in a storm."""
    width, height = (each * _FINE for each in _SIZE)
    sea = round(height * 0.66)
    image = _sky((width, height), ((14, 20, 34), (34, 46, 66), (62, 78, 94)), sea)
    beam = Image.new("L", image.size)
    top = (width * 0.68, height * 0.2)
    ImageDraw.Draw(beam).polygon([top, (0, height * 0.02), (0, height * 0.34)], fill=120)
    image.paste((250, 240, 190), mask=beam.filter(ImageFilter.GaussianBlur(26)))
    draw = ImageDraw.Draw(image)
    chance = random.Random(4)
    for row in range(18):
        level = sea + row * (height - sea) // 16
        points = [
            (x, level + 14 * np.sin(x / 90 + row * 1.7) + chance.uniform(-5, 5))
            for x in range(0, width + 60, 60)
        ]
        shade = 22 + 3 * row
        draw.polygon([*points, (width, height), (0, height)], fill=(shade, shade + 18, shade + 34))
        for x, y in points[:: 2 + row % 3]:
            draw.line([(x, y), (x + 34, y - 3)], fill=(150, 168, 182), width=4)
    rock = [
        (width * 0.5, height * 0.86),
        (width * 0.56, height * 0.68),
        (width * 0.64, height * 0.6),
        (width * 0.74, height * 0.6),
    ]
    draw.polygon([*rock, (width * 0.84, height * 0.72), (width * 0.9, height * 0.88)], fill=(24, 24, 28))
    left, right, foot, head = width * 0.655, width * 0.715, height * 0.61, height * 0.24
    for band in range(6):
        a, b = (foot + (head - foot) * share / 6 for share in (band, band + 1))
        inset = [(right - left) * 0.1 * (band + more) / 6 for more in (0, 1)]
        draw.polygon(
            [(left + inset[0], a), (right - inset[0], a), (right - inset[1], b), (left + inset[1], b)],
            fill=(196, 52, 46) if band % 2 else (226, 224, 218),
        )
    draw.rectangle([left - 6, head - 14, right + 6, head], fill=(30, 30, 34))
    draw.rectangle([left + 26, head - 86, right - 26, head - 14], fill=(255, 242, 180))
    draw.polygon(
        [(left + 10, head - 86), (right - 10, head - 86), ((left + right) / 2, head - 140)],
        fill=(120, 30, 28),
    )
    spray = Image.new("L", image.size)
    drops = ImageDraw.Draw(spray)
    for _ in range(900):
        spot = (chance.gauss(width * 0.56, 110), chance.gauss(height * 0.72, 80))
        drops.ellipse(_round(*spot, chance.uniform(2, 9)), fill=190)
    for _ in range(700):
        start = (chance.randint(0, width), chance.randint(0, height))
        drops.line([start, (start[0] - 16, start[1] + 46)], fill=70, width=2)
    image.paste((222, 230, 236), mask=spray.filter(ImageFilter.GaussianBlur(2)))
    return _grainy(image, 52)


def snowy_cabin() -> Drawn:
    """Draw a hut under snow between firs, a lit window, the moon."""
    width, height = (each * _FINE for each in _SIZE)
    ground = round(height * 0.62)
    image = _sky((width, height), ((20, 28, 62), (50, 70, 122), (112, 132, 176)), ground)
    draw = ImageDraw.Draw(image)
    chance = random.Random(6)
    for _ in range(160):
        draw.ellipse(
            _round(chance.randint(0, width), chance.randint(0, ground // 2), chance.uniform(1, 3)),
            fill=(220, 226, 244),
        )
    draw.ellipse(_round(width * 0.2, height * 0.16, 74), fill=(246, 242, 220))
    _ridge(draw, (width, ground), (110, 120), (84, 104, 150), 9)
    draw.rectangle([0, ground, width, height], fill=(206, 216, 234))
    for x in sorted(chance.sample(range(0, width, 70), 24), key=lambda x: (x * 7) % 13):
        if not width * 0.36 < x < width * 0.7:
            _fir(draw, (x, ground + chance.randint(-10, 190)), chance.randint(190, 420))
    left, right, top, foot = width * 0.42, width * 0.62, ground - 60, ground + 190
    for beam in range(8):
        y = top + (foot - top) * beam / 8
        draw.rectangle([left, y, right, y + (foot - top) / 8 - 5], fill=(94 + 6 * (beam % 2), 62, 42))
    draw.polygon(
        [(left - 60, top), (right + 60, top), ((left + right) / 2, top - 190)], fill=(238, 243, 250)
    )
    draw.rectangle([right - 110, top - 190, right - 66, top - 60], fill=(92, 70, 62))
    draw.rectangle([left + 60, top + 60, left + 170, top + 150], fill=(255, 206, 110))
    draw.line([(left + 113, top + 60), (left + 113, top + 150)], fill=(70, 44, 30), width=8)
    draw.line([(left + 60, top + 105), (left + 170, top + 105)], fill=(70, 44, 30), width=8)
    draw.rectangle([right - 140, top + 70, right - 60, foot], fill=(62, 40, 28))
    smoke = Image.new("L", image.size)
    puffs = ImageDraw.Draw(smoke)
    for puff in range(9):
        puffs.ellipse(
            _round(right - 88 + 26 * puff, top - 220 - 52 * puff, 26 + 9 * puff), fill=130 - 10 * puff
        )
    image.paste((226, 228, 236), mask=smoke.filter(ImageFilter.GaussianBlur(22)))
    glow = Image.new("L", image.size)
    ImageDraw.Draw(glow).polygon(
        [(left + 60, foot), (left + 170, foot), (left + 260, foot + 210), (left - 60, foot + 210)], fill=120
    )
    image.paste((255, 214, 140), mask=glow.filter(ImageFilter.GaussianBlur(34)))
    return _grainy(image, 53)


def _sky(size: tuple[int, int], colours: tuple[tuple[int, int, int], ...], horizon: int) -> Image.Image:
    width, height = size
    levels = np.linspace(0, horizon, len(colours))
    column = np.stack(
        [np.interp(np.arange(height), levels, [c[part] for c in colours]) for part in range(3)], axis=-1
    )
    return Image.fromarray(np.repeat(column[:, None], width, axis=1).astype(np.uint8))


def _ridge(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    heights: tuple[int, int],
    colour: tuple[int, int, int],
    seed: int,
) -> None:
    width, floor = size
    chance = random.Random(seed)
    waves = [(chance.uniform(0.6, 6), chance.uniform(0, 6.3)) for _ in range(9)]
    points: list[tuple[float, float]] = []
    for x in range(0, width + 12, 12):
        rise = sum(np.sin(x / width * 6.3 * wave + shift) / wave for wave, shift in waves)
        points.append((x, floor - heights[1] - heights[0] * 0.28 * (rise + 2) - chance.uniform(0, 12)))
    draw.polygon([*points, (width, floor), (0, floor)], fill=colour)


def _fir(draw: ImageDraw.ImageDraw, foot: tuple[int, int], tall: int) -> None:
    x, y = foot
    draw.rectangle([x - 10, y - 40, x + 10, y], fill=(52, 38, 34))
    for layer in range(5):
        level = y - 30 - tall * layer / 5.6
        half = tall * 0.3 * (1 - layer / 6)
        draw.polygon(
            [(x - half, level), (x + half, level), (x, level - tall * 0.34)], fill=(30, 58 + 4 * layer, 56)
        )
        draw.polygon(
            [
                (x - half * 0.7, level - tall * 0.09),
                (x + half * 0.5, level - tall * 0.13),
                (x, level - tall * 0.34),
            ],
            fill=(224, 232, 244),
        )


def _round(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (x - radius, y - radius, x + radius, y + radius)


def _grainy(image: Image.Image, seed: int) -> Drawn:
    small = image.resize(_SIZE, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.8))
    noise = np.random.default_rng(seed).normal(0, 5, (_SIZE[1], _SIZE[0], 1))
    return Drawn(Image.fromarray((np.asarray(small, float) + noise).clip(0, 255).astype(np.uint8)))


PHOTOS: dict[str, Callable[[], Drawn]] = {
    "coffee_cup": partial(_shipped, "skimage.data", "coffee.png"),
    "tabby_cat": partial(_shipped, "skimage.data", "chelsea.png"),
    "film_maker": partial(_shipped, "skimage.data", "camera.png"),
    "rocket_pad": partial(_shipped, "skimage.data", "rocket.jpg"),
    "old_coins": partial(_shipped, "skimage.data", "coins.png"),
    "lake_pagoda": partial(_shipped, "sklearn.datasets.images", "china.jpg"),
    "orange_dahlia": partial(_shipped, "sklearn.datasets.images", "flower.jpg"),
    "evening_lake": evening_lake,
    "stormy_lighthouse": stormy_lighthouse,
    "snowy_cabin": snowy_cabin,
}
