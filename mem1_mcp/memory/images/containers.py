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
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_PIXELS = 40_000_000
DAMAGED = "is cut off or damaged; send the whole file"
_BEHIND = "holds something else behind the image; save it anew as an image alone"

_PARTS = 100_000  # a real file has some hundred
_FRAME_PARTS = 100  # of one frame, which has two
# Each pass over the pixels of a photo costs as much as the first, in however few bytes; ten are usual.
_PASSES = 50
_BLANK = b"\0\t\n\r "

_PNG = b"\x89PNG\r\n\x1a\n"
_ANY = 1 << 32
# How long each kind of chunk may be: what is longer has room for more than it is there for.
_PNG_PICTURE = {b"IHDR": 13, b"PLTE": 768, b"IDAT": _ANY, b"IEND": 0}
_PNG_HELPS = {
    b"tRNS": 256,
    b"gAMA": 4,
    b"cHRM": 32,
    b"sRGB": 1,
    b"iCCP": _ANY,
    b"sBIT": 4,
    b"pHYs": 9,
    b"bKGD": 6,
    b"cICP": 4,
    b"acTL": 8,
    b"fcTL": 26,
    b"fdAT": _ANY,
}
_PNG_OFTEN = frozenset({b"IDAT", b"fcTL", b"fdAT"})  # a profile that came again would be inflated again
# Where each pass of an interlaced image begins, and by how many pixels it goes on, across and down.
_INTERLACED = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)

_JPEG_ALONE = (0x01, *range(0xD0, 0xD8), 0xD9)  # markers without a length
_EOI, _SOS = 0xD9, 0xDA
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that say how large the image is
_JPEG_PICTURE = frozenset({*_FRAMES, 0xC4, 0xCC, 0xDB, 0xDD, _SOS, _EOI})
_EXIF = b"Exif\0\0"
_MARKER = re.compile(rb"\xff++([^\xff])", re.DOTALL)
# In the pixels, a marker's first byte is followed by 0; restarts belong to them.
_NEXT_MARKER = re.compile(rb"\xff(?=[^\x00\xd0-\xd7\xff])")

_GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_GIF_PROFILE = b"ICCRGBG1012"

_WEBP_HELPS = {b"ICCP": _ANY, b"ANIM": 6}  # how long each may be; in the order in which they stand
_WEBP_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")
_WEBP_ICC, _WEBP_EXIF, _WEBP_XMP = 0x20, 0x08, 0x04  # flags

_ORIENTATION, _SHORT = 0x0112, 3  # a tag of EXIF, and its type
_WHOLE = {1: "B", 3: "H", 4: "I"}  # types of whole numbers; some programs write others than they should


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
    raise InvalidRequestError(_BEHIND)


def _png(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    kept: list[bytes] = [_PNG]
    size = 0, 0
    pixels = _Inflated()
    met: set[bytes] = set()
    for kind, body, end in _chunks(data):
        if (kind == b"IHDR") == any(size):
            raise _CutError
        if kind == b"IHDR":
            size = pixels.expect(body)
        elif kind == b"IDAT":
            pixels.read(body)
        elif kind == b"fcTL":
            wide, high, left, top = struct.unpack_from(">4I", body, 4)
            _see_that_it_lies_within(size, left + wide, top + high)
        elif kind == b"eXIf" and kind not in met and (orientation := _orientation(body)) > 1:
            kept.append(_chunk(b"eXIf", _minimal_exif(orientation)))
        if _is_of_png(kind, len(body)) and (kind in _PNG_OFTEN or kind not in met):
            kept.append(data[end - len(body) - 12 : end])
        met.add(kind)
        if kind == b"IEND":
            pixels.end()
            return b"".join(kept), end, size
    raise _CutError


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield the kind of each chunk, what it holds, and where it ends."""
    at = len(_PNG)
    for _ in range(_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        body = data[at + 8 : end - 4]
        # A slice that goes beyond the end is short, and then this is no CRC.
        if zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big") != data[end - 4 : end]:
            raise _CutError
        yield kind, body, end
        at = end


def _is_of_png(kind: bytes, length: int) -> bool:
    if kind in _PNG_PICTURE and length > _PNG_PICTURE[kind]:
        raise _CutError
    return kind in _PNG_PICTURE or length <= _PNG_HELPS.get(kind, -1)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _see_that_it_lies_within(size: tuple[int, int], right: int, bottom: int) -> None:
    if right > size[0] or bottom > size[1]:
        raise _CutError


class _Inflated:
    """Sees that a PNG holds as much as its header says: a few bytes can stand for gigabytes."""

    _STEP = 1 << 23
    _CHANNELS: ClassVar = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

    def __init__(self) -> None:
        self._left = 0
        self._is_looking = False
        self._stream = zlib.decompressobj()

    def expect(self, header: bytes) -> tuple[int, int]:
        """Take note of the header; what is too large anyway is not inflated at all."""
        width, height, depth, color, *_, interlaced = struct.unpack(">IIBBBBB", header)
        if not width or not height:
            raise _CutError
        bits = depth * self._CHANNELS.get(color, 4)
        for left, top, across, down in _INTERLACED if interlaced else ((0, 0, 1, 1),):
            wide, high = -((left - width) // across), -((top - height) // down)
            self._left += high * ((wide * bits + 7) // 8 + 1) if wide else 0
        self._is_looking = width * height <= MAX_PIXELS
        return width, height

    def read(self, packed: bytes) -> None:
        """Inflate a part, and keep nothing of it."""
        rest = packed if self._stream.eof else b""
        while packed and self._is_looking and not self._stream.eof:
            try:
                self._left -= len(self._stream.decompress(packed, self._STEP))
            except zlib.error:
                raise _CutError from None
            if self._left < 0:
                raise InvalidRequestError("holds far more than the image it says it is; save it anew")
            packed, rest = self._stream.unconsumed_tail, self._stream.unused_data
        if rest.strip(_BLANK):
            raise InvalidRequestError(_BEHIND)

    def end(self) -> None:
        """See that there was as much as the header says."""
        if self._is_looking and self._left:
            raise _CutError


def _jpeg(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    kept: list[bytes] = []
    orientation, size, passes = 1, (0, 0), 0
    for marker, segment, end in _segments(data):
        passes += marker == _SOS
        if passes > _PASSES:
            raise InvalidRequestError(f"is drawn in more than {_PASSES} passes; save it anew")
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", segment, 5)
            size = max(size[0], width), max(size[1], height)
        if marker == _APP1 and segment[4:10] == _EXIF:
            orientation = _orientation(segment[10:])
        kept.append(_of_jpeg(marker, segment))
        if marker == _EOI:
            if orientation > 1:
                kept.insert(0, _segment(_APP1, _EXIF + _minimal_exif(orientation)))
            return b"".join((data[:2], *kept)), end, size
    raise _CutError


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield each marker with its segment, the pixels with the scan that they follow, and where it ends."""
    at = 2
    for _ in range(_PARTS):
        found = _MARKER.match(data, at)
        if found is None:
            raise _CutError
        at, marker = found.start(1) - 1, found[1][0]
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


def _of_jpeg(marker: int, segment: bytes) -> bytes:
    """Return what of a segment is the picture; a JFIF header may hold another, smaller one."""
    body = segment[4:]
    if marker == _APP0 and body.startswith(b"JFIF\0"):
        return _segment(marker, body[:12] + bytes(2))
    if marker == _APP14 and body.startswith(b"Adobe"):
        return _segment(marker, body[:12])
    if marker in _JPEG_PICTURE or (marker == _APP2 and body.startswith(b"ICC_PROFILE\0")):
        return segment
    return b""


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


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
            kept.append(data[at:end])
        elif kind == 0x21:  # noqa: PLR2004 - an extension
            end = _behind_blocks(data, at + 2)
            kept.append(_of_gif(data[at:end]))
        else:
            raise _CutError
        at = end
    raise _CutError


def _of_gif(extension: bytes) -> bytes:
    """Return what of an extension is the picture: how long it is shown, how often, its colours."""
    if extension[1:3] == b"\xf9\4":
        return extension[:7] + b"\0"
    name = extension[3:14] if extension[1:3] == b"\xff\x0b" else b""
    if name in _GIF_LOOPS and extension[14:16] == b"\3\1":
        return extension[:18] + b"\0"
    return extension if name == _GIF_PROFILE else b""


def _colors(packed: int) -> int:
    """Return the bytes of a colour table, if these flags say that there is one."""
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    while length := data[at]:
        at += 1 + length
    return at + 1


def _webp(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _CutError
    chunks = list(_riff(data[12:end], _PARTS))
    first, header = chunks[0]
    if first != b"VP8X":
        # The simple form is this one chunk; nobody shows what comes behind it.
        return _riff_file([chunks[0]]), end, _webp_size(first, header)
    width, height = _webp_size(first, header)
    once: dict[bytes, bytes] = {}
    frames: list[tuple[bytes, bytes]] = []
    orientation = 1
    for kind, body in chunks[1:]:
        if kind == b"EXIF":
            orientation = _orientation(body.removeprefix(_EXIF))
        elif kind == b"ANMF":
            frames.append((kind, _webp_frame(body, (width, height))))
        elif kind in _WEBP_HELPS or kind in _WEBP_PIXELS:
            once.setdefault(kind, body[: _WEBP_HELPS.get(kind)])
            wide, high = _webp_size(kind, body) if kind in (b"VP8 ", b"VP8L") else (0, 0)
            width, height = max(width, wide), max(height, high)
    flags = header[0] & ~(_WEBP_ICC | _WEBP_EXIF | _WEBP_XMP)
    flags |= (_WEBP_ICC if b"ICCP" in once else 0) | (_WEBP_EXIF if orientation > 1 else 0)
    kept = [
        (first, bytes([flags]) + header[1:10]),
        *((kind, once[kind]) for kind in _WEBP_HELPS if kind in once),
        *frames,
        *((kind, once[kind]) for kind in _WEBP_PIXELS if kind in once),
        *([(b"EXIF", _minimal_exif(orientation))] if orientation > 1 else []),
    ]
    return _riff_file(kept), end, (width, height)


def _riff(data: bytes, most: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind of each chunk and what it holds."""
    at = 0
    for _ in range(most):
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if len(body) < length:
            raise _CutError
        yield kind, body
        at += 8 + length + (length & 1)
        if at >= len(data):
            return
    raise _CutError


def _riff_file(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    body = b"WEBP" + b"".join(_riff_chunk(kind, held) for kind, held in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


def _webp_frame(frame: bytes, canvas: tuple[int, int]) -> bytes:
    """Return a frame of a moving image without what else is packed into it."""
    left, top, wide, high = (int.from_bytes(frame[at : at + 3], "little") for at in (0, 3, 6, 9))
    _see_that_it_lies_within(canvas, 2 * left + wide + 1, 2 * top + high + 1)
    pixels: dict[bytes, bytes] = {}
    for kind, body in _riff(frame[16:], _FRAME_PARTS):
        if kind in _WEBP_PIXELS:
            pixels.setdefault(kind, body)
        if kind in (b"VP8 ", b"VP8L") and _webp_size(kind, body) != (wide + 1, high + 1):
            raise _CutError
    if pixels.keys() <= {b"ALPH"}:
        raise _CutError
    return frame[:16] + b"".join(_riff_chunk(kind, body) for kind, body in pixels.items())


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise _CutError


def _orientation(tiff: bytes) -> int:
    """Return which side is up, 1 to 8, from EXIF; 1 where it does not say."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        if order is None:
            return 1
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for number in range(entries):
            entry = at + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == _ORIENTATION and kind in _WHOLE:
                (value,) = struct.unpack_from(f"{order}{_WHOLE[kind]}", tiff, entry + 8)
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
