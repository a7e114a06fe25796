"""Which paths are opened for images: what a model that was talked into it can't get at."""

# ruff: noqa: ASYNC240 - a test keeps nobody waiting

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory import Keeping, Memory, Receiver
from mem1_mcp.memory.images.opening import read_file
from mem1_mcp.protocols import Store
from tests.conftest import HandClock, a_memory, host_of
from tests.image_files import a_png

MOST = 200_000
SECRET = b"ZQSECRET"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that images may be read from; beside it lies one that they may not."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "door.png").write_bytes(a_png())
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "secret.png").write_bytes(a_png("blue"))
    (outside / "secret.txt").write_bytes(SECRET)
    return folder


def refused(path: str | Path, *roots: Path, most: int = MOST) -> str:
    with pytest.raises(InvalidRequestError) as raised:
        read_file(str(path), roots, most)
    words = str(raised.value)
    assert SECRET.decode() not in words
    assert "root:" not in words
    return words


def test_an_image_under_a_root_is_read_byte_for_byte(root: Path) -> None:
    assert read_file(str(root / "door.png"), [root], MOST) == a_png()
    deep = root / "2026" / "五月 trip"
    deep.mkdir(parents=True)
    (deep / "图 1.PNG").write_bytes(a_png("green"))
    assert read_file(str(deep / ".." / "五月 trip" / "图 1.PNG"), [root], MOST) == a_png("green")


def test_several_folders_may_be_named_and_some_may_not_be_there(root: Path, tmp_path: Path) -> None:
    roots = [tmp_path / "gone", root, tmp_path / "elsewhere"]

    assert read_file(str(tmp_path / "elsewhere" / "secret.png"), roots, MOST) == a_png("blue")


def test_without_folders_nothing_is_opened(root: Path) -> None:
    assert "MEM1_IMAGE_ROOTS" in refused(root / "door.png")


def test_the_home_folder_may_be_written_short(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("USERPROFILE", str(root))

    assert read_file("~/door.png", [root], MOST) == a_png()
    assert "outside" in refused("~/../elsewhere/secret.png", root)


def test_a_hidden_folder_may_be_read_where_it_is_named_itself(root: Path) -> None:
    path = in_a_hidden_folder(root)

    assert read_file(str(path), [root, root / ".ssh"], MOST) == a_png()


def test_capitals_matter_where_the_system_says_so(root: Path) -> None:
    path = Path(str(root / "door.png").upper())

    if path.exists():
        assert read_file(str(path), [root], MOST) == a_png()
    else:
        assert "outside" in refused(path, root)


def test_a_link_inside_is_followed(root: Path) -> None:
    (root / "link.png").symlink_to(root / "door.png")

    assert read_file(str(root / "link.png"), [root], MOST) == a_png()


def test_a_hard_link_is_a_file_like_any_other(root: Path, tmp_path: Path) -> None:
    os.link(tmp_path / "elsewhere" / "secret.png", root / "hard.png")

    assert read_file(str(root / "hard.png"), [root], MOST) == a_png("blue")


URLS = [
    "http://127.0.0.1:9/x.png",
    "HTTP://127.0.0.1:9/x.png",
    " https://example.com/x.png",
    "https:/example.com/x.png",
    "ftp://example.com/x.png",
    "data:image/png;base64,AAAA",
    "gopher://127.0.0.1:70/x",
    "\thttp://127.0.0.1/x.png",
    "//example.com/share/x.png",
    "\\\\example.com\\share\\x.png",
    "\\\\?\\C:\\x.png",
    "\\\\.\\pipe\\x",
    "smb://example.com/x.png",
    "jar:file:///x.png",
]


_SOCKETS: list[str] = []
# Python tells of every socket that is made and every name that is looked up.
sys.addaudithook(lambda event, _: _SOCKETS.append(event) if event.startswith("socket.") else None)


@pytest.mark.parametrize("url", URLS)
def test_no_address_is_fetched(root: Path, url: str) -> None:
    _SOCKETS.clear()

    assert any(word in refused(url, root, Path("/")) for word in ("address", "machine", "control"))
    assert _SOCKETS == []


def test_the_trap_for_sockets_does_catch_one() -> None:
    _SOCKETS.clear()
    socket.socket().close()
    assert _SOCKETS


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE:/etc/passwd", " file://localhost/etc/passwd"])
def test_a_file_address_is_refused_with_the_cure(root: Path, url: str) -> None:
    assert "give the plain path" in refused(url, root)


def through_a_folder(root: Path) -> Path:
    (root / "way").symlink_to(root.parent / "elsewhere")
    return root / "way" / "secret.png"


def by_a_link(root: Path) -> Path:
    (root / "link.png").symlink_to(root.parent / "elsewhere" / "secret.png")
    return root / "link.png"


def by_links_to_links(root: Path) -> Path:
    (root / "once.png").symlink_to(root.parent / "elsewhere" / "secret.png")
    (root / "twice.png").symlink_to("once.png")
    return root / "twice.png"


def in_a_circle(root: Path) -> Path:
    (root / "a.png").symlink_to("b.png")
    (root / "b.png").symlink_to("a.png")
    return root / "a.png"


def a_pipe(root: Path) -> Path:
    os.mkfifo(root / "pipe.png")
    return root / "pipe.png"


def a_socket(root: Path) -> Path:
    path = root / "s.png"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))  # a whole one would be too long
    return path


def a_link_to_a_device(root: Path) -> Path:
    (root / "zero.png").symlink_to("/dev/zero")
    return root / "zero.png"


def a_renamed_text(root: Path) -> Path:
    (root / "text.png").write_bytes(SECRET * 9)
    return root / "text.png"


def a_renamed_archive(root: Path) -> Path:
    (root / "zip.png").write_bytes(b"PK\x03\x04" + SECRET)
    return root / "zip.png"


def a_vector_image(root: Path) -> Path:
    (root / "x.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    )
    return root / "x.svg"


def an_empty_file(root: Path) -> Path:
    (root / "empty.png").touch()
    return root / "empty.png"


def a_large_one_with_holes(root: Path) -> Path:
    with (root / "large.png").open("wb") as written:
        written.write(a_png()[:8])
        written.truncate(1 << 40)
    return root / "large.png"


def in_a_hidden_folder(root: Path) -> Path:
    (root / ".ssh").mkdir()
    (root / ".ssh" / "door.png").write_bytes(a_png())
    return root / ".ssh" / "door.png"


def a_hidden_file(root: Path) -> Path:
    (root / ".door.png").write_bytes(a_png())
    return root / ".door.png"


def an_endless_path(root: Path) -> str:
    return f"{root}/{'d/' * 200_000}x.png"


PROBES: list[tuple[str | Callable[[Path], str | Path], str]] = [
    ("/etc/passwd", "outside"),
    ("/etc/../etc/./passwd", "outside"),
    ("/dev/zero", "outside"),
    ("/dev/urandom", "outside"),
    ("/proc/self/environ", "outside"),
    ("/proc/self/root/etc/passwd", "outside"),
    ("{root}/../elsewhere/secret.png", "outside"),
    ("{root}/../elsewhere/secret.txt", "outside"),
    ("{root}-not/door.png", "outside"),
    ("{root}/door.png\0", "control character"),
    ("{root}/door\0.png", "control character"),
    ("{root}/door.png\n", "control character"),
    ("{root}/door.png\x85", "control character"),
    ("{root}/door.png\u2028", "control character"),
    ("{root}/\ud800.png", "can't be followed"),
    ("{root}/door.png/x.png", "can't be opened"),
    ("%66ile:///etc/passwd", "relative"),
    ("door.png", "relative"),
    ("../../../../etc/passwd", "relative"),
    ("~root/x.png", "outside"),
    ("~nobody-of-this-name/x.png", "can't be followed"),
    ("", "empty"),
    ("   ", "empty"),
    ("{root}", "no file"),
    ("{root}/", "no file"),
    ("{root}/none.png", "there is no file"),
    ("{root}/" + "n" * 300, "can't be"),
    ("{root}/" + "d/" * 200 + "x.png", "there is no file"),
    (an_endless_path, "longer"),
    (through_a_folder, "outside"),
    (by_a_link, "outside"),
    (by_links_to_links, "outside"),
    (in_a_circle, "can't be"),
    (a_link_to_a_device, "outside"),
    (a_pipe, "no file"),
    (a_socket, "no file"),
    (a_renamed_text, "is no PNG"),
    (a_renamed_archive, "is no PNG"),
    (a_vector_image, "is no PNG"),
    (an_empty_file, "empty"),
    (a_large_one_with_holes, "1048576.0 MiB"),
    (in_a_hidden_folder, "hidden folder"),
    (a_hidden_file, "hidden folder"),
]


@pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links of Unix")
@pytest.mark.parametrize(("probe", "words"), PROBES)
def test_a_path_that_is_no_image_of_the_user_is_refused(
    root: Path, probe: str | Callable[[Path], str | Path], words: str
) -> None:
    path = probe.format(root=root) if isinstance(probe, str) else probe(root)

    assert words in refused(path, root)


_SWAPS: dict[str, Callable[[], None]] = {}


def _swap(event: str, arguments: tuple[object, ...]) -> None:
    """Do what is to be done just before something of this name is opened, once."""
    if event == "open" and _SWAPS and (swap := _SWAPS.pop(Path(str(arguments[0])).name, None)) is not None:
        swap()


sys.addaudithook(_swap)


def to_a_link(path: Path, target: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(target)


def to_another(path: Path, other: Path) -> None:
    other.replace(path)


def to_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.skipif(os.name == "nt", reason="pipes and links of Unix")
@pytest.mark.parametrize("just_before", ["pictures", "trip", "secret.png"])
@pytest.mark.parametrize("what", ["the folder", "the file", "a file like it", "a pipe"])
def test_a_swap_after_the_check_leads_nowhere_else(root: Path, just_before: str, what: str) -> None:
    trip, outside = root / "trip", root.parent / "elsewhere"
    trip.mkdir()
    image = trip / "secret.png"
    image.write_bytes(a_png("green"))
    (trip / "another.png").write_bytes(a_png("black"))
    _SWAPS[just_before] = {
        "the folder": lambda: to_a_link(trip, outside),
        "the file": lambda: to_a_link(image, outside / "secret.png"),
        "a file like it": lambda: to_another(image, trip / "another.png"),
        "a pipe": lambda: to_a_pipe(image),
    }[what]

    if (what, just_before) == ("the folder", "secret.png"):
        # It held the folder already when that was moved away.
        assert read_file(str(image), [root], MOST) == a_png("green")
    else:
        assert re.search("can't be opened|changed while", refused(image, root))
    assert _SWAPS == {}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is kept from root")
def test_what_this_program_may_not_read_is_refused_as_that(root: Path) -> None:
    (root / "door.png").chmod(0)
    (root / "closed").mkdir(0)

    assert "can't be read by this program" in refused(root / "door.png", root)
    assert "can't be read by this program" in refused(root / "closed" / "x.png", root)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is kept from root")
def test_a_folder_that_can_be_gone_through_need_not_be_listed(root: Path) -> None:
    (root / "way").mkdir()
    (root / "way" / "x.png").write_bytes(a_png())
    (root / "way").chmod(0o100)

    assert read_file(str(root / "way" / "x.png"), [root], MOST) == a_png()


@pytest.mark.skipif(os.name != "nt", reason="only Windows has names for devices")
@pytest.mark.parametrize("name", ["CON", "nul.png", "com1", "LPT¹.png", "aux .png", "door.png:more"])
def test_names_of_devices_are_refused(root: Path, name: str) -> None:
    assert "device" in refused(root / name, root)


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices of Unix")
@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/etc/hostname", "/dev/zero", "/dev/urandom", "/dev/stdin", "/proc/self/environ"],
)
def test_also_where_everything_may_be_opened_only_images_are(path: str) -> None:
    refused(path, Path("/"))


def test_one_byte_more_than_may_be_is_refused(root: Path) -> None:
    (root / "large.png").write_bytes(a_png().ljust(MOST + 1, b"\0"))
    (root / "just.png").write_bytes(a_png().ljust(MOST, b"\0"))

    assert "MEM1_MAX_IMAGE_BYTES" in refused(root / "large.png", root)
    assert len(read_file(str(root / "just.png"), [root], MOST)) == MOST


@pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links of Unix")
async def test_no_probe_stores_a_byte_or_opens_a_socket_through_the_tool(
    store: Store, clock: HandClock, folder: Path, root: Path
) -> None:
    plain = a_memory(store, clock)
    memory = Memory(store, clock, plain.zone, plain.jobs, Keeping(images=Receiver((root,), MOST)))
    paths = [*URLS, "file:///etc/passwd"]
    for probe, _ in PROBES:
        paths.append(probe.format(root=root) if isinstance(probe, str) else str(probe(root)))
    async with host_of(memory) as host:
        await host.done("remember", messages=[{"role": "user", "content": "the only thing"}])
        before = sum(path.stat().st_size for path in folder.rglob("*"))
        _SOCKETS.clear()
        for path in paths:
            refused_words = await host.refused("remember", images=[{"path": path, "description": "x"}])
            assert "images[0].path: " in refused_words
            assert "Nothing was saved" in refused_words

        assert _SOCKETS == []
        assert sum(path.stat().st_size for path in folder.rglob("*")) == before
        assert (await host.done("search_images"))["hits"] == []
        kept = await host.done("remember", images=[{"path": str(root / "door.png")}])
        assert kept["image_ids"]
