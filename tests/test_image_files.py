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
from PIL import ImageChops, ImageOps, ImageStat, PngImagePlugin

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


def header_of(width: int, height: int, color: int = 2, interlaced: int = 0) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def webp_of(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(held)) + held + bytes(len(held) & 1) for kind, held in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunks_of(webp: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at < len(webp):
        kind, length = struct.unpack_from("<4sI", webp, at)
        yield kind, webp[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)


def a_zip() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("hello.html", "<script>1</script>")
    return written.getvalue()


END = chunk(b"IEND", b"")
BLACK = chunk(b"IDAT", zlib.compress((b"\0" + bytes(30)) * 10))
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
    corner = Pillow.new("RGB", (800, 600), "white")
    corner.paste("red", (0, 0, 400, 150))
    data = encoded(corner, kind, exif=exif(orientation))

    kept = check(data, MOST)

    lying = orientation > 4
    assert (kept.width, kept.height) == ((600, 800) if lying else (800, 600))
    shown = opened(kept.thumbnail)
    assert shown.size == ((192, 256) if lying else (256, 192))
    upright = ImageOps.exif_transpose(opened(data)).convert("RGB").resize(shown.size)
    assert max(ImageStat.Stat(ImageChops.difference(shown, upright)).mean) < 4
    left = dict(opened(kept.data).getexif())
    assert left == ({} if orientation == 1 else {0x0112: orientation})
    assert PLACE not in kept.data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "value"), [(1, "B3x"), (3, "H2x"), (4, "I")])
def test_which_side_is_up_may_be_written_as_any_whole_number(order: str, kind: int, value: str) -> None:
    entry = struct.pack(f"{order}HHI{value}", 0x0112, kind, 1, 6)
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)
    photo = encoded(NOISE, "JPEG")

    kept = check(photo[:2] + segment(0xE1, b"Exif\0\0" + tiff) + photo[2:], MOST)

    assert (kept.width, kept.height) == (60, 80)
    assert dict(opened(kept.data).getexif()) == {0x0112: 6}


def test_a_large_image_of_16_bits_is_kept_and_made_smaller() -> None:
    deep = encoded(Pillow.new("I;16", (4000, 400), 0x8000), "PNG")

    kept = check(deep, MOST)

    assert opened(kept.thumbnail).getpixel((10, 10)) == (128, 128, 128)
    assert opened(smaller(kept.data, 1568)).size == (1568, 157)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 9), (7, 5), (33, 17)])
def test_an_interlaced_image_is_kept(size: tuple[int, int]) -> None:
    width, height = size
    grey = bytes(range(width))
    passes = [
        (0, 8, 0, 8),
        (4, 8, 0, 8),
        (0, 4, 4, 8),
        (2, 4, 0, 4),
        (0, 2, 2, 4),
        (1, 2, 0, 2),
        (0, 1, 1, 2),
    ]
    rows = [
        b"\0" + grey[left::across]
        for left, across, top, down in passes
        for _ in range(top, height, down)
        if grey[left::across]
    ]
    whole, short = (chunk(b"IDAT", zlib.compress(b"".join(rows)[:end])) for end in (None, -1))
    header = header_of(*size, color=0, interlaced=1)

    assert opened(check(header + whole + END, MOST).data).tobytes() == grey * height
    with pytest.raises(InvalidRequestError, match="cut off"):
        check(header + short + END, MOST)


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


def hiding() -> Iterator[tuple[str, bytes, bytes]]:
    """Yield images that hold more than they need, and the same without it."""
    photo = encoded(NOISE, "JPEG")
    for name, marker, body in (
        ("a segment nobody knows", 0xF0, PLACE),
        ("a reserved segment", 0x42, PLACE),
        ("a segment of some camera", 0xE7, PLACE),
        ("what looks like Adobe's", 0xEE, PLACE),
        ("more than Adobe's", 0xEE, b"Adobe\0\x64\0\0\0\0\1" + PLACE),
        ("a small image beside JFIF", 0xE0, b"JFXX\0\x10" + PLACE),
        ("IPTC", 0xED, b"Photoshop 3.0\0" + PLACE),
        ("a second view's index", 0xE2, b"MPF\0" + PLACE),
    ):
        yield name, photo[:20] + segment(marker, body) + photo[20:], photo
    small = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\3" + PLACE + b"ZZ")
    yield "a small image in JFIF", photo[:2] + small + photo[20:], photo
    image = encoded(NOISE.quantize(8), "GIF")
    at = 13 + 24
    for name, extension in (
        ("more than the loop", b"\xff\x0bNETSCAPE2.0\3\1\0\0\7" + PLACE + b"\0"),
        ("more than the pause", b"\xf9\4\0\0\0\0\7" + PLACE + b"\0"),
        ("XMP in a GIF", b"\xff\x0bXMP DataXMP\7" + PLACE + b"\0"),
        ("a text over the image", b"\1\x0c" + bytes(12) + b"\7" + PLACE + b"\0"),
    ):
        yield name, image[:at] + b"!" + extension + image[at:], image
    webp = encoded(NOISE, "WEBP", save_all=True, append_images=[OTHER])
    moving = list(chunks_of(webp))
    within = struct.pack("<4sI", b"XMP ", 8) + PLACE + b"\0"
    for name, kind, more in (("XMP in a frame", b"ANMF", within), ("more than a canvas", b"VP8X", PLACE)):
        yield name, webp_of(*((k, b + more if k == kind else b) for k, b in moving)), webp
    yield "a chunk nobody knows", webp_of(*moving, (b"ABCD", PLACE)), webp
    webp = encoded(NOISE, "WEBP")
    yield "a chunk behind a plain WebP", webp_of(*chunks_of(webp), (b"ABCD", PLACE)), webp
    png = encoded(NOISE, "PNG")
    for name, kind, body in (
        ("a chunk of some program", b"prIV", PLACE),
        ("the time", b"tIME", PLACE),
        ("more than the size in print", b"pHYs", bytes(9) + PLACE),
        ("more than a gamma", b"gAMA", bytes(4) + PLACE),
    ):
        yield name, png[:33] + chunk(kind, body) + png[33:], png


@pytest.mark.parametrize(("data", "plain"), [pytest.param(*rest, id=name) for name, *rest in hiding()])
def test_nothing_is_carried_in_parts_that_no_picture_needs(data: bytes, plain: bytes) -> None:
    assert PLACE in data

    kept = check(data, MOST).data

    assert PLACE not in kept
    assert opened(kept).convert("RGB").tobytes() == opened(plain).convert("RGB").tobytes()


def damaged() -> Iterator[tuple[str, bytes]]:
    half = chunk(b"IDAT", zlib.compress((b"\0" + bytes(30)) * 5))
    yield "half of the rows", header_of(10, 10) + half + END
    yield "no width", header_of(0, 10) + BLACK + END
    yield "a second header", header_of(10, 10) + header_of(10, 10)[8:] + BLACK + END
    yield "something in the end", header_of(10, 10) + BLACK + chunk(b"IEND", PLACE)
    moving = IMAGES["moving PNG"]
    at = moving.rindex(b"fcTL")
    control = moving[at + 4 : at + 12] + struct.pack(">I", 70_000) + moving[at + 12 : at + 26]
    yield (
        "a frame of a PNG beyond its image",
        moving[: at - 4] + chunk(b"fcTL", control) + moving[at + 34 :],
    )
    frames = chunks_of(IMAGES["moving WebP"])
    wide = ((k, b[:6] + b"\0\x40\0\0\x40\0" + b[12:] if k == b"ANMF" else b) for k, b in frames)
    yield "a frame of a WebP beyond its canvas", webp_of(*wide)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in damaged()])
def test_what_is_not_as_large_as_it_says_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="cut off or damaged"):
        check(data, MOST)


def test_an_archive_within_the_pixels_of_a_png_is_refused() -> None:
    first = header_of(10, 10) + BLACK

    for pixels in (chunk(b"IDAT", BLACK[8:-4] + a_zip()), BLACK + chunk(b"IDAT", a_zip())):
        with pytest.raises(InvalidRequestError, match="holds something else behind the image"):
            check(header_of(10, 10) + pixels + END, MOST)
    assert check(first + chunk(b"IDAT", bytes(9)) + END, MOST).width == 10


def test_what_may_stand_once_is_kept_once() -> None:
    png = encoded(NOISE, "PNG")
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(60_000)))

    assert check(png[:33] + profile * 2000 + png[33:], MOST).data == png[:33] + profile + png[33:]


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
    yield "a thousand million pixels", header_of(33_000, 33_000) + chunk(b"IDAT", zlib.compress(b"")) + END
    yield "4 GB for a small image", header_of(100, 100) + chunk(b"IDAT", inflating(1 << 32)) + END
    profile = b"p\0\0" + inflating(1 << 30)
    small = encoded(NOISE, "PNG")
    yield "a profile of 1 GB", small[:33] + chunk(b"iCCP", profile) + small[33:]
    text = chunk(b"zTXt", b"t\0\0" + inflating(1 << 30))
    yield "a text of 1 GB, for a size that is not so", header_of(9, 9) + text + chunk(b"IDAT", b"") + END
    photo = encoded(Pillow.new("L", (6000, 6000), 128), "JPEG", progressive=True)
    yield (
        "a photo in a thousand passes",
        photo[:-2] + photo[photo.rindex(b"\xff\xda") : -2] * 1000 + photo[-2:],
    )
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
    yield "half a million chunks", header_of(10, 10) + chunk(b"tEXt", b"") * 500_000 + END


@pytest.mark.parametrize(
    "name",
    [
        "a thousand million pixels",
        "4 GB for a small image",
        "a profile of 1 GB",
        "a text of 1 GB, for a size that is not so",
        "a photo in a thousand passes",
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

    assert peak_of(data, refused=True) < normal_peak() + 50_000  # KB


@cache
def normal_peak() -> int:
    return peak_of(encoded(NOISE, "PNG"))


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
    again = opened(kept.data)
    again.load()
    assert set(again.getexif()) <= {0x0112}
    assert not {"comment", "xmp", "XML:com.adobe.xmp", "Comment", "Author"} & set(again.info)
    assert check(kept.data, MOST).data == kept.data
