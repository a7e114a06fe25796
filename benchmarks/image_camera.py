"""What a camera makes of paper: askew, badly lit, a little soft and grainy, made smaller by a messenger."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
from image_canvas import Drawn
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Corners = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Shot:
    """What the paper lies on and how it was taken: turned by ``degrees``, seen from aside (``askew``).

    ``curl``, ``motion`` and ``blur`` are in pixels; ``fade`` takes the print away towards the bottom, as of
    thermal paper; ``shrink`` and ``quality`` are what a messenger does to the file.
    """

    table: tuple[int, int, int] = (122, 92, 66)
    degrees: float = 1.2
    margin: int = 46
    askew: float = 0.3
    curl: float = 0.0
    fade: float = 0.0
    shade: float = 0.22
    glare: float = 0.0
    blur: float = 0.5
    motion: int = 0
    grain: float = 5.0
    shrink: float = 1.0
    quality: int = 92


def photographed(paper: Drawn, seed: int, shot: Shot) -> Drawn:
    """Return the paper as a photo; what stands in it stays the same."""
    chance = random.Random(seed)
    noise = np.random.default_rng(seed)
    width, height = size = (paper.image.width + 2 * shot.margin, paper.image.height + 2 * shot.margin)
    sheet = Image.new("RGBA", size)
    sheet.paste(_faded(paper.image, shot.fade), (shot.margin, shot.margin))
    sheet = _curled(sheet, shot.curl).transform(
        size,
        Image.Transform.PERSPECTIVE,
        _perspective(_corners(size, shot.margin * shot.askew, chance), width, height),
        Image.Resampling.BICUBIC,
    )
    sheet = sheet.rotate(shot.degrees, Image.Resampling.BICUBIC)
    image = _wood(size, shot.table, noise)
    shadow = Image.new("L", size)
    shadow.paste(sheet.getchannel("A").point(lambda value: value * 0.55), (7, 9))
    image.paste((20, 16, 12), mask=shadow.filter(ImageFilter.GaussianBlur(9)))
    image.paste(sheet, mask=sheet)
    image = image.filter(ImageFilter.GaussianBlur(shot.blur))
    for step in range(1, shot.motion):
        image = Image.blend(image, ImageChops.offset(image, 1, step % 2), 1 / (step + 1))
    pixels = np.asarray(image, float) * _light(size, shot.shade, chance)[..., None]
    pixels += 255 * shot.glare * _spot(size, chance)[..., None]
    pixels += noise.normal(0, shot.grain, (height, width, 1))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    sent = io.BytesIO()
    image.resize((round(width * shot.shrink), round(height * shot.shrink)), Image.Resampling.LANCZOS).save(
        sent, "JPEG", quality=shot.quality
    )
    return Drawn(Image.open(sent).convert("RGB"), paper.lines)


def crumpled(paper: Drawn, seed: int) -> Drawn:
    """Return a paper with folds in it."""
    chance = random.Random(seed)
    folds = Image.new("L", paper.image.size, 255)
    draw = ImageDraw.Draw(folds)
    for _ in range(4):
        level = chance.randint(0, paper.image.height)
        draw.line([(0, level), (paper.image.width, level + chance.randint(-40, 40))], fill=205, width=6)
    soft = folds.filter(ImageFilter.GaussianBlur(4)).convert("RGB")
    return Drawn(ImageChops.multiply(paper.image, soft), paper.lines)


def _faded(image: Image.Image, fade: float) -> Image.Image:
    white = Image.new("RGB", image.size, image.getpixel((2, 2)))
    share = Image.linear_gradient("L").resize(image.size).point(lambda value: value * fade)
    return Image.composite(white, image, share)


def _curled(sheet: Image.Image, curl: float) -> Image.Image:
    if not curl:
        return sheet
    width, height = sheet.size
    strips = 40
    edges = [round(width * number / strips) for number in range(strips + 1)]
    lifted = [curl * np.sin(6.3 * x / width) for x in edges]
    mesh = [
        ((left, 0, right, height), (left, a, left, height + a, right, height + b, right, b))
        for left, right, a, b in zip(edges, edges[1:], lifted, lifted[1:], strict=False)
    ]
    return sheet.transform(sheet.size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)


def _wood(size: tuple[int, int], colour: tuple[int, int, int], noise: np.random.Generator) -> Image.Image:
    width, height = size
    grain = noise.normal(0, 1, (height, 1)).cumsum(axis=0)
    grain = (grain - grain.mean()) / (grain.std() + 1e-9) * 7 + noise.normal(0, 3, (height, width))
    pixels = np.asarray(colour, float)[None, None] + grain[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _light(size: tuple[int, int], shade: float, chance: random.Random) -> np.ndarray:
    width, height = size
    across = np.linspace(0, 1, width)[None] * chance.uniform(-1, 1)
    down = np.linspace(0, 1, height)[:, None] * chance.uniform(0.2, 1)
    falling = across + down
    falling -= falling.min()
    return np.asarray(1.04 - shade * falling / falling.max())


def _spot(size: tuple[int, int], chance: random.Random) -> np.ndarray:
    width, height = size
    across = (np.linspace(0, 1, width)[None] - chance.uniform(0.3, 0.7)) * width / height
    down = np.linspace(0, 1, height)[:, None] - chance.uniform(0.3, 0.7)
    return np.asarray(np.exp(-(across**2 + down**2) / 0.03))


def _corners(size: tuple[int, int], give: float, chance: random.Random) -> Corners:
    width, height = size
    places = [(0, 0), (width, 0), (width, height), (0, height)]
    return [(x + chance.uniform(-give, give), y + chance.uniform(-give, give)) for x, y in places]


def _perspective(corners: Corners, width: int, height: int) -> list[float]:
    """Return the coefficients that take the places of ``corners`` for those of the whole picture."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(corners, [(0, 0), (width, 0), (width, height), (0, height)], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return [float(each) for each in np.linalg.solve(np.array(rows, float), np.array(wanted, float))]
