"""Images: their bytes, and what tells what they show.

An image is a message of its conversation: it has a place, a topic and a time, and is found, shown and
forgotten as one. Its words are what is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The bytes of an image, without what tells of the place and the camera; see ``images.checking``.

    ``digest`` is the SHA-256 of ``data`` in hexadecimal: equal ones are kept once. ``thumbnail`` is a JPEG.
    """

    digest: str
    data: bytes
    media_type: str
    width: int
    height: int
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an image, each kept apart: what the host said, what stands in it, what a model saw.

    ``digest`` is ``None`` where there is a description alone; then there are no bytes. ``text`` and
    ``caption`` are ``None`` as long as nobody looked.
    """

    filename: str = ""
    description: str = ""
    digest: str | None = None
    media_type: str = ""
    width: int = 0
    height: int = 0
    size: int = 0  # bytes
    text: str | None = None
    caption: str | None = None

    @property
    def words(self) -> str:
        """All of it as one text, what stands in it in quotes: by this it is found, and shown in a line."""
        # Whoever wrote it must not end the quotation.
        lines = (self.text or "").replace("“", '"').replace("”", '"').splitlines()
        read = f"“{' / '.join(lines)}”" if lines else ""
        return "\n".join(filter(None, (self.filename, self.description, self.caption, read)))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at an image told: the text in it, or a caption, as the job's kind is.

    ``trouble`` says why nothing did, when it is not to be tried again.
    """

    words: str
    trouble: str | None = None
