"""A path becomes the bytes of an image, unless whoever asks is being tricked into handing over a file.

A model asks, and may have been talked into it by what it read. So only images are opened, only under
folders that a person named, and a link, a device or a swap in between leads nowhere else.
"""

from __future__ import annotations

import functools
import operator
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.images.checking import NO_IMAGE, refuse_size
from mem1_mcp.memory.images.containers import media_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 80  # characters of a path in a refusal
_LONGEST = 4096  # characters; no system opens longer ones, and following links takes the square of it
_HEAD = 32  # bytes that tell what a file is
_URL = re.compile(r"\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # two letters at least: C: is a drive
_SHARE = re.compile(r"\s*[/\\]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What Windows takes for a device, in any folder and with any ending, or for a stream within a file.
_DEVICE = re.compile(
    r"(?:^|[/\\])\s*(?:con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|conin\$|conout\$)\s*(?:[.:/\\]|$)|..:",
    re.IGNORECASE,
)


def _flags(*names: str) -> int:
    """Return those of these flags that this system has."""
    return functools.reduce(operator.or_, (getattr(os, name, 0) for name in names), os.O_RDONLY)


# A pipe must not be waited for, and a terminal not become ours.
_FILE = _flags("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
# Where programs keep what is theirs, under the home folder; a desktop shows it to nobody.
_OF_PROGRAMS = {"darwin": "Library", "win32": "AppData"}.get(sys.platform)
_FOLDER = _flags("O_PATH", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC")


def read_file(path: str, roots: Sequence[Path], max_bytes: int) -> bytes:
    """Read an image under one of these folders.

    A hard link can't be told from the file it names: who can make one here can copy the file as well.

    Raises:
        InvalidRequestError: why it is not read; the text goes on after the name of the argument.

    """
    _refuse_by_looks(path)
    root, inside = _resolved(path, roots)
    try:
        seen = (root / inside).stat()
        if not stat.S_ISREG(seen.st_mode):
            raise InvalidRequestError(f"{_shown(path)} is no file; give the path of an image")
        descriptor = _descriptor(root, inside)
    except FileNotFoundError:
        raise InvalidRequestError(f"there is no file {_shown(path)}; check the path") from None
    except PermissionError:
        raise InvalidRequestError(
            f"{_shown(path)} can't be read by this program; copy it elsewhere"
        ) from None
    except OSError as error:
        raise InvalidRequestError(f"{_shown(path)} can't be opened ({error.strerror})") from None
    with os.fdopen(descriptor, "rb", buffering=_HEAD) as opened:  # so that no more than the head is read
        try:
            return _read(opened, seen, path, max_bytes)
        except OSError as error:
            raise InvalidRequestError(f"{_shown(path)} can't be read ({error.strerror})") from None


def _refuse_by_looks(path: str) -> None:
    """Refuse what is no path of a file on this machine, before anything is looked at."""
    if not path.strip():
        raise InvalidRequestError("is empty; give the path of an image, or a description alone")
    if len(path) > _LONGEST:
        raise InvalidRequestError(f"is longer than the {_LONGEST} characters of a path; check the path")
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
    if os.name == "nt" and _DEVICE.search(path):
        raise InvalidRequestError("names a device; give the path of an image")


def _resolved(path: str, roots: Sequence[Path]) -> tuple[Path, Path]:
    """Follow links to the end; return the folder that allows it, and what leads there from it."""
    try:
        given = Path(path).expanduser()
        if not given.is_absolute():
            raise InvalidRequestError(f"{_shown(path)} is relative; give an absolute path")
        resolved = given.resolve()
    except (OSError, RuntimeError, ValueError):
        raise InvalidRequestError(f"{_shown(path)} can't be followed; check the path") from None
    reason = "lies outside the folders of MEM1_IMAGE_ROOTS; copy it there, or send a description alone"
    for root in roots:
        found = _below(resolved, root)
        if found is None:
            continue
        if not any(part.startswith(".") or part == _OF_PROGRAMS for part in found[1].parts):
            return found
        reason = "lies in a hidden folder; copy it elsewhere"
    raise InvalidRequestError(f"{_shown(path)} {reason}")


def _below(resolved: Path, root: Path) -> tuple[Path, Path] | None:
    """Split a path where it comes through a folder, by whatever spelling of its name."""
    try:
        folder = root.expanduser().resolve(strict=True).stat()
    except (OSError, RuntimeError, ValueError):
        return None
    for above in (resolved, *resolved.parents):
        try:
            if os.path.samestat(above.stat(), folder):
                return above, resolved.relative_to(above)
        except OSError:
            continue
    return None


def _descriptor(root: Path, inside: Path) -> int:
    """Open a file by going down to it, so that no folder on the way can become a link meanwhile."""
    if os.open not in os.supports_dir_fd:  # Windows
        return os.open(root / inside, _FILE)
    folder = os.open(root, _FOLDER)
    try:
        for part in inside.parts[:-1]:
            outer, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
            os.close(outer)
        return os.open(inside.name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)


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
    data = head + opened.read(max(max_bytes + 1 - len(head), 0))
    refuse_size(len(data), max_bytes)  # it may have grown
    return data


def _shown(path: str) -> str:
    return repr(path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…")
