"""Which bytes are let in as images, and what of them is kept."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import PngImagePlugin

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.images.checking import check, smaller
from tests.image_files import encoded

MOST = 10 * 1024 * 1024
NOISE = Pillow.frombytes("RGB", (80, 60), random.Random(1).randbytes(14_400))  # noqa: S311 - no secret
OTHER = NOISE.rotate(180)
PLACE = b"ZQPLACE"


def exif(orientation: int = 1) -> Pillow.Exif:
    """Tell the place, the camera and which side is up."""
    told = Pillow.Exif()
    told[0x0112] = orientation
    told[0x010F] = PLACE.decode()
    told.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.5), 0x1D: PLACE.decode()})
    return told


def with_texts() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", PLACE.decode())
    texts.add_itxt("XML:com.adobe.xmp", PLACE.decode(), zip=False)
    texts.add_text("Author", PLACE.decode() * 3, zip=True)
    return encoded(NOISE, "PNG", pnginfo=texts)


def in_every_way() -> Iterator[tuple[str, bytes]]:
    few = NOISE.quantize(16)
    for kind in ("PNG", "JPEG", "WEBP"):
        yield kind, encoded(NOISE, kind)
        yield f"{kind} of a place", encoded(NOISE, kind, exif=exif(), xmp=PLACE)
    yield "PNG with texts", with_texts()
    yield "GIF", encoded(few, "GIF")
    yield "GIF with a comment", encoded(few, "GIF", comment=PLACE)
    yield "moving GIF", encoded(few, "GIF", save_all=True, append_images=[OTHER.quantize(16)], loop=0)
    yield "moving WebP", encoded(NOISE, "WEBP", save_all=True, append_images=[OTHER], xmp=PLACE)
    yield "moving PNG", encoded(NOISE, "PNG", save_all=True, append_images=[OTHER])
    yield "lossless WebP", encoded(NOISE, "WEBP", lossless=True)
    yield "JPEG for printing", encoded(NOISE.convert("CMYK"), "JPEG", comment=PLACE)
    yield "progressive JPEG", encoded(NOISE, "JPEG", progressive=True)
    yield "grey JPEG", encoded(NOISE.convert("L"), "JPEG")
    yield "PNG of few colours, one clear", encoded(few, "PNG", transparency=0)
    yield "PNG, half clear", encoded(NOISE.convert("LA"), "PNG")
    yield "PNG of 16 bits", encoded(Pillow.frombytes("I;16", (40, 30), bytes(range(240)) * 10), "PNG")
    yield "PNG of one bit", encoded(NOISE.convert("1"), "PNG")


IMAGES = dict(in_every_way())


def opened(data: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(data))


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_keeps_its_pixels_and_nothing_that_tells_of_a_place(name: str) -> None:
    data = IMAGES[name]

    kept = check(data, MOST)

    assert opened(kept.data).convert("RGBA").tobytes() == opened(data).convert("RGBA").tobytes()
    assert getattr(opened(kept.data), "n_frames", 1) == getattr(opened(data), "n_frames", 1)
    assert PLACE not in kept.data + kept.thumbnail
    assert not opened(kept.data).getexif()
    assert check(kept.data, MOST).data == kept.data


def test_the_test_images_do_tell_of_a_place() -> None:
    telling = [name for name, data in IMAGES.items() if PLACE in data]
    assert len(telling) >= 7


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_side_that_is_up_stays_up(kind: str, orientation: int) -> None:
    kept = check(encoded(NOISE, kind, exif=exif(orientation)), MOST)

    lying = orientation > 4
    assert (kept.width, kept.height) == ((60, 80) if lying else (80, 60))
    assert opened(kept.thumbnail).size == (kept.width, kept.height)
    left = dict(opened(kept.data).getexif())
    assert left == ({} if orientation == 1 else {0x0112: orientation})
    assert PLACE not in kept.data


def test_a_thumbnail_is_small_however_large_and_busy_the_image_is() -> None:
    busy = Pillow.effect_noise((2400, 300), 120).convert("RGB")

    kept = check(encoded(busy, "JPEG", quality=90), MOST)

    assert opened(kept.thumbnail).size == (256, 32)
    colours = Pillow.frombytes("RGB", (256, 256), NOISE.tobytes() * 13 + NOISE.tobytes()[:9408])
    noisy = check(encoded(colours, "PNG"), MOST)
    assert len(noisy.thumbnail) <= 24_000


def test_what_is_clear_is_shown_on_white() -> None:
    clear = Pillow.new("RGBA", (20, 20), (255, 0, 0, 0))

    assert opened(check(encoded(clear, "PNG"), MOST).thumbnail).getpixel((10, 10)) == (255, 255, 255)


def test_a_smaller_copy_is_for_models_that_take_no_large_ones() -> None:
    copy = opened(smaller(encoded(NOISE.resize((2000, 1500)), "PNG"), 1568))

    assert (copy.format, copy.size) == ("JPEG", (1568, 1176))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"BM" + bytes(60),
    ],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="is no PNG, JPEG, GIF or WebP image"):
        check(data, MOST)


def test_the_size_is_judged_first() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"has 11\.0 MiB, 10\.0 MiB at most \(MEM1_MAX_IMAGE_BYTES\)"
    ):
        check(bytes(11 * 1024 * 1024), MOST)


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_cut_off_anywhere_is_refused(name: str) -> None:
    data = IMAGES[name]
    for length in {*range(1, len(data), max(len(data) // 40, 1)), len(data) - 1}:
        with pytest.raises(InvalidRequestError, match=r"cut off or damaged|is no PNG"):
            check(data[:length], MOST)


def a_zip() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("hello.html", "<script>1</script>")
    return written.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize(
    "behind",
    [a_zip(), b"Rar!\x1a\x07\x00", b"<html><script>1</script>", b"%PDF-1.4\n", b"\x7fELF", b"#!/bin/sh\n"],
)
def test_an_image_that_is_something_else_too_is_refused(kind: str, behind: bytes) -> None:
    image = NOISE if kind != "GIF" else NOISE.quantize(8)

    with pytest.raises(InvalidRequestError, match="holds something else behind the image"):
        check(encoded(image, kind) + behind, MOST)


def test_another_format_in_a_comment_goes_with_the_comment() -> None:
    for data in (
        encoded(NOISE, "JPEG", comment=b"%PDF-1.4 ZQPLACE"),
        encoded(NOISE.quantize(8), "GIF", comment=b"*/=1;alert(1)/* ZQPLACE"),
    ):
        assert b"PLACE" not in check(data, MOST).data


def test_what_phones_put_behind_a_photo_is_cut_off() -> None:
    photo = encoded(NOISE, "JPEG")

    for behind in (
        encoded(OTHER, "JPEG"),
        b"\0\0\0\x18ftypmp42" + PLACE,
        PLACE + b"\0\0SEFT",
        b"\0" * 40,
        b"\r\n",
    ):
        assert check(photo + behind, MOST).data == photo


def header_of(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def inflating(size: int) -> bytes:
    """Make a stream that becomes so many zeros: the same block again and again, without an end."""
    packer = zlib.compressobj(9)
    block = bytes(16 << 20)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (size // len(block) - 1)


@cache
def bombs() -> dict[str, bytes]:
    return dict(_bombs())


def _bombs() -> Iterator[tuple[str, bytes]]:
    end = chunk(b"IEND", b"")
    yield "a thousand million pixels", header_of(33_000, 33_000) + chunk(b"IDAT", zlib.compress(b"")) + end
    yield "4 GB for a small image", header_of(100, 100) + chunk(b"IDAT", inflating(1 << 32)) + end
    profile = b"p\0\0" + inflating(1 << 30)
    small = encoded(NOISE, "PNG")
    yield "a profile of 1 GB", small[:33] + chunk(b"iCCP", profile) + small[33:]
    yield "a GIF of 65535 squared", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b";"
    outside = bytearray(encoded(Pillow.new("P", (1, 1)), "GIF"))
    at = outside.index(b",")
    outside[at + 5 : at + 9] = struct.pack("<HH", 60_000, 60_000)
    yield "a frame larger than its screen", bytes(outside)
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16_382).to_bytes(3, "little") * 2
    yield "a WebP of 16383 squared", b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas
    jpeg = bytearray(encoded(NOISE, "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    yield "a JPEG of 65000 squared", bytes(jpeg)
    yield "half a million chunks", header_of(10, 10) + chunk(b"tEXt", b"") * 500_000 + end


@pytest.mark.parametrize(
    "name",
    [
        "a thousand million pixels",
        "4 GB for a small image",
        "a profile of 1 GB",
        "a GIF of 65535 squared",
        "a frame larger than its screen",
        "a WebP of 16383 squared",
        "a JPEG of 65000 squared",
        "half a million chunks",
    ],
)
def test_a_bomb_is_refused_and_takes_no_memory(name: str) -> None:
    data = bombs()[name]
    assert len(data) < MOST
    normal = peak_of(encoded(NOISE, "PNG"))

    assert peak_of(data, refused=True) < normal + 50_000  # KB


def peak_of(data: bytes, *, refused: bool = False) -> int:
    """Check an image in a process of its own; return the most memory it ever had, in KB."""
    program = (
        "import resource, sys\n"
        "from mem1_mcp.errors import InvalidRequestError\n"
        "from mem1_mcp.memory.images.checking import check\n"
        "data = sys.stdin.buffer.read()\n"
        "try:\n"
        "    check(data, 10 << 20)\n"
        "    print('kept')\n"
        "except InvalidRequestError as error:\n"
        "    print('refused', error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - len(data) // 1024)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)  # noqa: S603
    verdict, peak = ran.stdout.decode().splitlines()
    assert verdict.startswith("refused" if refused else "kept"), verdict
    return int(peak)


_MUTATIONS = st.lists(
    st.tuples(st.sampled_from("xdi"), st.floats(0, 1), st.binary(min_size=1, max_size=40)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(IMAGES)), mutations=_MUTATIONS)
def test_a_damaged_image_is_refused_or_whole_and_never_an_error(
    name: str, mutations: list[tuple[str, float, bytes]]
) -> None:
    data = bytearray(IMAGES[name])
    for how, where, put in mutations:
        at = int(where * len(data))
        if how == "x":
            data[at : at + len(put)] = put
        elif how == "d":
            del data[at : at + len(put)]
        else:
            data[at:at] = put
    try:
        kept = check(bytes(data), MOST)
    except InvalidRequestError:
        return
    opened(kept.data).load()
    assert set(dict(opened(kept.data).getexif())) <= {0x0112}
