"""What comes in as an image, on its way into the store: opened, checked, stripped, made a message."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.images import checking, opening
from mem1_mcp.types import Image, ImageFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_AT_ONCE = 3  # as many of the largest images as may come with one call
_FILENAME = 120  # characters


@dataclass(frozen=True, slots=True)
class Sent:
    """An image as it was handed in: a path, its bytes, or neither and then a description alone."""

    path: str | None = None
    data: bytes | None = None
    filename: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """From which folders images may be read, and how large one may be, in bytes."""

    roots: tuple[Path, ...] = field(default_factory=lambda: (Path.home(),))
    max_bytes: int = 10 * 1024 * 1024


async def received(
    images: Sequence[Sent], rules: Rules, limiter: anyio.CapacityLimiter, clean: Callable[[str], str]
) -> list[tuple[Image, ImageFile | None]]:
    """Open and check what was sent; ``clean`` masks secrets in what is said of it.

    ``limiter`` bounds how many are decoded at once, since each takes memory.

    Raises:
        InvalidRequestError: it names the image, what is wrong, and the cure. Nothing was saved.

    """
    known: list[tuple[Image, ImageFile | None]] = []
    size = 0
    for number, sent in enumerate(images):
        file = None
        if sent.path is not None or sent.data is not None:
            file = await anyio.to_thread.run_sync(_file, number, sent, rules, limiter=limiter)
            size += len(file.data)
        if size > _AT_ONCE * rules.max_bytes:
            raise InvalidRequestError(
                f"images: have {size / 1_048_576:.1f} MiB together, {_AT_ONCE} of the largest at most. "
                "Nothing was saved. Send several calls."
            )
        known.append((_image(sent, file, clean), file))
    return known


def _file(number: int, sent: Sent, rules: Rules) -> ImageFile:
    name = "data" if sent.path is None else "path"
    try:
        if sent.path is not None:
            data = opening.read_file(sent.path, rules.roots, rules.max_bytes)
        else:
            data = sent.data or b""
        checked = checking.check(data, rules.max_bytes)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"images[{number}].{name}: {error}. Nothing was saved.") from None
    digest = hashlib.sha256(checked.data).hexdigest()
    return ImageFile(
        digest, checked.data, checked.media_type, checked.width, checked.height, checked.thumbnail
    )


def _image(sent: Sent, file: ImageFile | None, clean: Callable[[str], str]) -> Image:
    filename = clean(_filename(sent.filename or sent.path or ""))
    description = clean(sent.description)
    if file is None:
        return Image(filename, description)
    return Image(
        filename, description, file.digest, file.media_type, file.width, file.height, len(file.data)
    )


def _filename(given: str) -> str:
    """Take the last part of a path, for people to read: it never names a file here."""
    name = "".join(each for each in given.replace("\\", "/").split("/")[-1] if each.isprintable()).strip()
    return name if len(name) <= _FILENAME else f"{name[:_FILENAME]}…"
