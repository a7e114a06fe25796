"""What comes in as an image, on its way into the store: opened, checked, stripped, made a message."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
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


class Receiver:
    """Opens and checks images as they come, of these folders and of so many bytes at most each."""

    def __init__(self, roots: Sequence[Path] | None = None, max_bytes: int = 10 * 1024 * 1024) -> None:
        self._roots = (Path.home(),) if roots is None else roots
        self._max_bytes = max_bytes
        # An image may take as much memory while it is decoded as all the rest of the program.
        self._decoding = anyio.CapacityLimiter(1)

    async def receive(
        self, images: Sequence[Sent], clean: Callable[[str], str]
    ) -> list[tuple[Image, ImageFile | None]]:
        """Open and check what was sent; ``clean`` masks secrets in what is said of it.

        Raises:
            InvalidRequestError: it names the image, what is wrong, and the cure. Nothing was saved.

        """
        known: list[tuple[Image, ImageFile | None]] = []
        size = 0
        for number, sent in enumerate(images):
            file = None
            if sent.path is not None or sent.data is not None:
                file = await anyio.to_thread.run_sync(self._file, number, sent, limiter=self._decoding)
                size += len(file.data)
            if size > _AT_ONCE * self._max_bytes:
                raise InvalidRequestError(
                    f"images: have {size / 1_048_576:.1f} MiB together, {_AT_ONCE} of the largest at most. "
                    "Nothing was saved. Send several calls."
                )
            known.append((_image(sent, file, clean), file))
        return known

    def _file(self, number: int, sent: Sent) -> ImageFile:
        name = "data" if sent.path is None else "path"
        try:
            if sent.path is not None:
                data = opening.read_file(sent.path, self._roots, self._max_bytes)
            else:
                data = sent.data or b""
            checked = checking.check(data, self._max_bytes)
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
