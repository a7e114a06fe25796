"""Whether bytes are an image that may be kept, without what tells of place and people; its thumbnail."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.images.containers import DAMAGED, MAX_PIXELS, media_type_of, without_metadata

if TYPE_CHECKING:
    from PIL.Image import Image

NO_IMAGE = "is no PNG, JPEG, GIF or WebP image; send one, or a description alone"

_SIDE = 256  # pixels of a thumbnail
_FIRST_SIDE = 4 * _SIDE
_THUMBNAIL_BYTES = 24_000
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_QUALITIES = (75, 60, 45, 30)
_ORIENTATION, _FIRST_LYING = 0x0112, 5  # in EXIF; from there on, width and height change places

# What Pillow raises on files that are not what they say.
PILLOWS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    OverflowError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    RuntimeError,
    Warning,  # where they are made errors
)


@dataclass(frozen=True, slots=True)
class Checked:
    """An image that may be kept; its size in pixels as it is shown, with the right side up."""

    data: bytes
    media_type: str
    width: int
    height: int
    thumbnail: bytes


def check(data: bytes, max_bytes: int) -> Checked:
    """Judge an image before it is decoded, strip it, decode it once, and make its thumbnail.

    Raises:
        InvalidRequestError: why it is not kept; the text goes on after the name of the argument.

    """
    refuse_size(len(data), max_bytes)
    media_type = media_type_of(data)
    if media_type is None:
        raise InvalidRequestError(NO_IMAGE)
    stripped = without_metadata(data, media_type)
    if stripped.width * stripped.height > MAX_PIXELS:
        raise InvalidRequestError(
            f"has {stripped.width} x {stripped.height} pixels, {MAX_PIXELS // 1_000_000} million at most; "
            "make it smaller"
        )
    try:
        size, thumbnail = _decoded(stripped.data, media_type.removeprefix("image/"))
    except PILLOWS:
        raise InvalidRequestError(DAMAGED) from None
    return Checked(stripped.data, media_type, *size, thumbnail)


def refuse_size(size: int, max_bytes: int) -> None:
    """Refuse what is larger than an image may be."""
    if size > max_bytes:
        raise InvalidRequestError(
            f"has {size / 1_048_576:.1f} MiB, {max_bytes / 1_048_576:.1f} MiB at most "
            "(MEM1_MAX_IMAGE_BYTES); make it smaller"
        )


def smaller(data: bytes, side: int) -> bytes:
    """Return an image that was checked as a JPEG whose longer side has so many pixels at most."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        opened.draft("RGB", (side, side))
        image = ImageOps.exif_transpose(opened)
        image.thumbnail((side, side), reducing_gap=None)
        return _jpeg(_on_white(image), 85)


def _decoded(data: bytes, kind: str) -> tuple[tuple[int, int], bytes]:
    from PIL import Image, ImageOps  # 50 ms that a start is spared

    try:
        with Image.open(io.BytesIO(data), formats=[kind.upper()]) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:  # it read the header in another way than we did
                raise ValueError
            # Of a JPEG, all of the file is read nevertheless, but fewer pixels are made of it.
            opened.draft(None, (_FIRST_SIDE, _FIRST_SIDE))
            opened.load()
            # In two steps, since a palette's colours can't be mixed. Pillow's quicker way knows no 16 bits.
            opened.thumbnail((_FIRST_SIDE, _FIRST_SIDE), reducing_gap=None)
            lies = opened.getexif().get(_ORIENTATION, 1) >= _FIRST_LYING
            image = _on_white(ImageOps.exif_transpose(opened))
    except Image.DecompressionBombError:  # to Pillow no more than an Exception
        raise ValueError from None
    image.thumbnail((_SIDE, _SIDE))
    return (height, width) if lies else (width, height), _thumbnail(image)


def _thumbnail(image: Image) -> bytes:
    for quality in _QUALITIES:
        if len(written := _jpeg(image, quality)) <= _THUMBNAIL_BYTES:
            return written
    return _thumbnail(image.resize((max(image.width // 2, 1), max(image.height // 2, 1))))


def _on_white(image: Image) -> Image:
    from PIL import Image as Pillow

    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", clear.size, "white"), clear).convert("RGB")
    if image.mode.startswith("I"):
        # Sixteen bits: the eye has eight.
        image = image.point(lambda value: value / 256).convert("L")
    return image.convert("RGB")


def _jpeg(image: Image, quality: int) -> bytes:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality)
    return written.getvalue()
