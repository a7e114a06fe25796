"""Small real images, and images as messages."""

from __future__ import annotations

import io
import random
import zlib
from hashlib import sha256
from typing import Any

from PIL import Image as Pillow

from mem1_mcp.text.terms import index
from mem1_mcp.types import Image, ImageFile, Indexed, Message


def a_png(color: str = "red", size: tuple[int, int] = (64, 48), **more: Any) -> bytes:
    """Return the bytes of a PNG of one colour."""
    return encoded(Pillow.new("RGB", size, color), "PNG", **more)


def a_png_of(size: int) -> bytes:
    """Return a PNG of just so many bytes: noise, with pixels that are not packed."""
    width = 1500
    height = (size - 4000) // (3 * width + 1)
    noise = random.Random(3).randbytes(3 * width * height)  # noqa: S311 - no secret
    data = encoded(Pillow.frombytes("RGB", (width, height), noise), "PNG", compress_level=0)
    profile = b"x\0\0" + zlib.compress(bytes(random.Random(4).randbytes(size - len(data) - 12 - 3 - 11)), 0)  # noqa: S311
    chunk = b"iCCP" + profile
    packed = len(profile).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return data[:33] + packed + data[33:]


def encoded(image: Pillow.Image, kind: str, **more: Any) -> bytes:
    """Return an image's bytes."""
    written = io.BytesIO()
    image.save(written, kind, **more)
    return written.getvalue()


def a_file(color: str = "red") -> ImageFile:
    """Return a small image as it is handed to a store; its thumbnail is marked by its colour."""
    data = a_png(color)
    return ImageFile(sha256(data).hexdigest(), data, "image/png", 64, 48, b"thumb-" + color.encode())


def shown(
    description: str, at: int, file: ImageFile | None = None, filename: str = ""
) -> tuple[Message, Indexed]:
    """Make an image a message; without a file it is a description alone."""
    of_file = (
        {}
        if file is None
        else {
            "digest": file.digest,
            "media_type": file.media_type,
            "width": file.width,
            "height": file.height,
            "size": len(file.data),
        }
    )
    image = Image(filename, description, **of_file)  # type: ignore[arg-type]
    return Message("tool", image.words, "", at, image=image, file=file), index(image.words)
