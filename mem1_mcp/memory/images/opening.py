"""A path becomes the bytes of an image, unless whoever asks is being tricked into handing over a file.

A model asks, and may have been talked into it by what it read. So only images are opened, only under
folders that a person named, and a link, a device or a swap in between leads nowhere else.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.images.checking import NO_IMAGE, refuse_size
from mem1_mcp.memory.images.containers import media_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 80  # characters of a path in a refusal
_HEAD = 32  # bytes that tell what a file is
_URL = re.compile(r"\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # two letters at least: C: is a drive
_SHARE = re.compile(r"\s*[/\\]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Names that Windows gives devices, in any folder and with any ending.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\..*)?", re.IGNORECASE)

# A pipe must not be waited for, and a terminal not become ours.
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
    _FLAGS |= getattr(os, _name, 0)


def read_file(path: str, roots: Sequence[Path], max_bytes: int) -> bytes:
    """Read an image under one of these folders.

    A hard link can't be told from the file it names: who can make one here can copy the file as well.

    Raises:
        InvalidRequestError: why it is not read; the text goes on after the name of the argument.

    """
    _refuse_by_looks(path)
    resolved = _resolved(path, roots)
    try:
        seen = resolved.stat()
        if not stat.S_ISREG(seen.st_mode):
            raise InvalidRequestError(f"{_shown(path)} is no file; give the path of an image")
        descriptor = os.open(resolved, _FLAGS)
    except FileNotFoundError:
        raise InvalidRequestError(f"there is no file {_shown(path)}; check the path") from None
    except PermissionError:
        raise InvalidRequestError(
            f"{_shown(path)} can't be read by this program; copy it elsewhere"
        ) from None
    except OSError as error:
        raise InvalidRequestError(f"{_shown(path)} can't be opened ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as opened:
        try:
            return _read(opened, seen, path, max_bytes)
        except OSError as error:
            raise InvalidRequestError(f"{_shown(path)} can't be read ({error.strerror})") from None


def _refuse_by_looks(path: str) -> None:
    """Refuse what is no path of a file on this machine, before anything is looked at."""
    if not path.strip():
        raise InvalidRequestError("is empty; give the path of an image, or a description alone")
    if _CONTROL.search(path):
        raise InvalidRequestError("holds a control character; give the plain path")
    if path.lstrip()[:5].lower() == "file:":
        raise InvalidRequestError("is a file: address; give the plain path instead")
    if _URL.match(path):
        raise InvalidRequestError(
            "is an address; nothing is fetched. Save the image and give its path, or a description alone"
        )
    if _SHARE.match(path):
        raise InvalidRequestError(
            "names another machine or a device; give the path of a file on this machine"
        )


def _resolved(path: str, roots: Sequence[Path]) -> Path:
    """Follow links to the end, and see that it lies where images may be opened."""
    try:
        given = Path(path).expanduser()
        if not given.is_absolute():
            raise InvalidRequestError(f"{_shown(path)} is relative; give an absolute path")
        resolved = given.resolve()
    except (OSError, RuntimeError, ValueError):
        raise InvalidRequestError(f"{_shown(path)} can't be followed; check the path") from None
    for root in roots:
        inside = _below(resolved, root)
        if inside is None:
            continue
        if any(part.startswith(".") for part in inside.parts):
            raise InvalidRequestError(f"{_shown(path)} lies in a hidden folder; copy it elsewhere")
        if os.name == "nt" and any(_DEVICE.fullmatch(part) for part in inside.parts):
            raise InvalidRequestError(f"{_shown(path)} names a device; give the path of an image")
        return resolved
    raise InvalidRequestError(
        f"{_shown(path)} lies outside the folders of MEM1_IMAGE_ROOTS; copy it there, or send "
        "a description alone"
    )


def _below(resolved: Path, root: Path) -> Path | None:
    try:
        return resolved.relative_to(root.expanduser().resolve(strict=True))
    except (OSError, RuntimeError, ValueError):
        return None


def _read(opened: BinaryIO, seen: os.stat_result, path: str, max_bytes: int) -> bytes:
    found = os.fstat(opened.fileno())
    # Somebody may have put something else there since it was looked at.
    if not stat.S_ISREG(found.st_mode) or not os.path.samestat(found, seen):
        raise InvalidRequestError(f"{_shown(path)} changed while it was opened; try again")
    if found.st_size == 0:
        raise InvalidRequestError(f"{_shown(path)} is empty")
    refuse_size(found.st_size, max_bytes)
    head = opened.read(_HEAD)
    if media_type_of(head) is None:
        raise InvalidRequestError(NO_IMAGE)
    return head + opened.read(max_bytes + 1 - len(head))


def _shown(path: str) -> str:
    return repr(path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…")
