"""PNG, JPEG, GIF and WebP as they are packed: what they are, where they end, what of them is the picture.

Photos tell where and when they were taken, with what, and sometimes of whom. Here a file is written anew
without that; what is the picture itself stays byte for byte. Which side is up is kept, since without it a
photo would lie on its side.

Sources: PNG (W3C, third edition), JPEG (ITU-T T.81, appendix B), GIF89a, and the WebP container (RFC 9649).
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_PIXELS = 40_000_000
DAMAGED = "is cut off or damaged; send the whole file"

_PARTS = 100_000  # a real file has some hundred
_BLANK = b"\0\t\n\r "

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT pHYs bKGD cICP acTL fcTL fdAT".split()
)
_JPEG_ALONE = (0x01, *range(0xD0, 0xD8), 0xD9)  # markers without a length
_EOI, _SOS, _COM = 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_EXIF = b"Exif\0\0"
_GIF_KEPT = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
_WEBP_KEPT = frozenset(b"VP8X,VP8 ,VP8L,ALPH,ANIM,ANMF,ICCP".split(b","))
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04  # flags

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that say how large the image is
# In the pixels, a marker's first byte is followed by 0; restarts belong to them.
_NEXT_MARKER = re.compile(rb"\xff(?=[^\x00\xd0-\xd7\xff])")

_ORIENTATION, _SHORT = 0x0112, 3  # a tag of EXIF, and its type


class Container(NamedTuple):
    """An image without what is not the picture, and how large it would be decoded, in pixels."""

    data: bytes
    width: int
    height: int


class _CutError(Exception):
    """The file ends too early, or is not packed as it says."""


def media_type_of(data: bytes) -> str | None:
    """Tell what an image is by its first bytes, ``None`` for everything else."""
    if data.startswith(_PNG):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def without_metadata(data: bytes, media_type: str) -> Container:
    """Write an image anew without what tells of place, time, camera and people.

    Raises:
        InvalidRequestError: it is cut off, not what it says, or something else is packed behind it.

    """
    try:
        written, end, size = _WALKS[media_type](data)
    except (_CutError, struct.error, IndexError):
        raise InvalidRequestError(DAMAGED) from None
    _refuse_what_follows(data, end, media_type)
    return Container(written, *size)


def _refuse_what_follows(data: bytes, end: int, media_type: str) -> None:
    rest = data[end:].lstrip(_BLANK)
    if not rest:
        return
    if media_type == "image/jpeg":
        # Phones put a second view, a short video, or notes of their own behind a photo; those are cut off.
        is_photos = rest.startswith(b"\xff\xd8\xff") or b"ftyp" in rest[:8]
        if is_photos or rest.rstrip(_BLANK).endswith(b"SEFT"):
            return
    raise InvalidRequestError("holds something else behind the image; save it anew as an image alone")


def _png(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    kept: list[bytes] = [_PNG]
    size: tuple[int, int] | None = None
    inflated = _Inflated()
    at = len(_PNG)
    for _ in range(_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) != 12 + length or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise _CutError
        if (size is None) != (kind == b"IHDR"):
            raise _CutError
        at += len(chunk)
        body = chunk[8:-4]
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
            inflated.expect(body)
        elif kind == b"IDAT":
            inflated.read(body)
        elif kind == b"eXIf" and (orientation := _orientation(body)) > 1:
            kept.append(_chunk(b"eXIf", _minimal_exif(orientation)))
        if kind in _PNG_KEPT:
            kept.append(chunk)
        if kind == b"IEND":
            assert size is not None  # noqa: S101 - it began with it
            return b"".join(kept), at, size
    raise _CutError


class _Inflated:
    """Sees that a PNG holds no more than its header says: a few bytes can stand for gigabytes."""

    _STEP = 1 << 20
    _CHANNELS: ClassVar = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

    def __init__(self) -> None:
        self._left = 0
        self._stream = zlib.decompressobj()

    def expect(self, header: bytes) -> None:
        """Take note of the header; what is too large anyway is not inflated at all."""
        width, height, depth, color, *_, interlaced = struct.unpack(">IIBBBBB", header)
        bits = depth * self._CHANNELS.get(color, 4)
        if width * height <= MAX_PIXELS:
            # Seven passes of an interlaced one begin rows of their own.
            self._left = ((width * bits + 7) // 8 + 1) * height + (
                interlaced and 2 * width + 16 * height + 64
            )

    def read(self, packed: bytes) -> None:
        """Inflate a part, and keep nothing of it."""
        if not self._left:
            return
        while packed:
            try:
                self._left -= len(self._stream.decompress(packed, self._STEP))
            except zlib.error:
                raise _CutError from None
            if self._left < 0:
                raise InvalidRequestError("holds far more than the image it says it is; save it anew")
            if self._stream.eof:
                return
            packed = self._stream.unconsumed_tail


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _jpeg(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    kept: list[bytes] = []
    orientation, size = 1, (0, 0)
    for marker, segment, end in _segments(data):
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", segment, 5)
            size = max(size[0], width), max(size[1], height)
        if marker == _APP1 and segment[4:10] == _EXIF:
            orientation = _orientation(segment[10:])
        if _is_picture(marker, segment[4:]):
            kept.append(segment)
        if marker == _EOI:
            if orientation > 1:
                exif = _EXIF + _minimal_exif(orientation)
                kept.insert(0, b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)
            return b"".join((data[:2], *kept)), end, size
    raise _CutError


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield each marker with its segment, the pixels with the scan that they follow, and where it ends."""
    at = 2
    for _ in range(_PARTS):
        if data[at] != 0xFF:  # noqa: PLR2004 - what a marker begins with
            raise _CutError
        while data[at + 1] == 0xFF:  # noqa: PLR2004 - filled up
            at += 1
        marker = data[at + 1]
        (length,) = (0,) if marker in _JPEG_ALONE else struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if end > len(data):
            raise _CutError
        if marker == _SOS:
            found = _NEXT_MARKER.search(data, end)
            if found is None:
                raise _CutError
            end = found.start()
        yield marker, data[at:end], end
        at = end


def _is_picture(marker: int, body: bytes) -> bool:
    if marker == _APP0:
        return body.startswith((b"JFIF\0", b"JFXX\0"))
    if marker == _APP2:
        return body.startswith(b"ICC_PROFILE\0")
    return marker == _APP14 or not (_APP0 <= marker <= _APP15 or marker == _COM)


def _gif(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    at = 13 + _colors(packed)
    kept = [data[:at]]
    for _ in range(_PARTS):
        kind = data[at]
        if kind == 0x3B:  # noqa: PLR2004 - the trailer
            return b"".join((*kept, b";")), at + 1, (width, height)
        if kind == 0x2C:  # noqa: PLR2004 - an image
            left, top, wide, high, packed = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            end = _behind_blocks(data, at + 11 + _colors(packed))
            keep = True
        elif kind == 0x21:  # noqa: PLR2004 - an extension
            label = data[at + 1]
            end = _behind_blocks(data, at + 2)
            # How long a frame is shown, and whether the images come again.
            keep = label == 0xF9 or (label == 0xFF and data[at + 3 : at + 14] in _GIF_KEPT)  # noqa: PLR2004
        else:
            raise _CutError
        if keep:
            kept.append(data[at:end])
        at = end
    raise _CutError


def _colors(packed: int) -> int:
    """Return the bytes of a colour table, if these flags say that there is one."""
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    while length := data[at]:
        at += 1 + length
    return at + 1


def _webp(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    (length,) = struct.unpack_from("<I", data, 4)
    end = 8 + length
    if end > len(data) + (length & 1):
        raise _CutError
    kept: list[bytes] = []
    orientation, size, at = 1, (0, 0), 12
    for _ in range(_PARTS):
        if at + 8 > min(end, len(data)):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + length + (length & 1)]
        if len(chunk) < 8 + length:
            raise _CutError
        at += len(chunk)
        size = tuple(map(max, size, _webp_size(kind, chunk[8:])))  # type: ignore[assignment]
        if kind == b"EXIF":
            orientation = _orientation(chunk[8:].removeprefix(_EXIF))
        elif kind in _WEBP_KEPT:
            kept.append(chunk)
    else:
        raise _CutError
    if not any(size):
        raise _CutError
    if kept[0][:4] == b"VP8X":
        flags = kept[0][8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if orientation > 1 else 0)
        kept[0] = kept[0][:8] + bytes([flags]) + kept[0][9:]
        if orientation > 1:
            exif = _minimal_exif(orientation)
            kept.append(struct.pack("<4sI", b"EXIF", len(exif)) + exif)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body, end, size


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _orientation(tiff: bytes) -> int:
    """Return which side is up, 1 to 8, from EXIF; 1 where it does not say."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        if order is None:
            return 1
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for number in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * number)
            if tag == _ORIENTATION and kind == _SHORT:
                return value if 1 <= value <= 8 else 1  # noqa: PLR2004 - as many ways to turn an image
    except struct.error:
        pass
    return 1


def _minimal_exif(orientation: int) -> bytes:
    """Write EXIF that says which side is up, and nothing else."""
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)


_WALKS: Mapping[str, Callable[[bytes], tuple[bytes, int, tuple[int, int]]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
}
