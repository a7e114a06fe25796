"""A change of a file that belongs to somebody else: shown first, made whole or not at all, undone.

The file as it was before this program first came stays beside it, with ``.before-mem1`` behind its name.
"""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Edit = Callable[[str], str]

_BACKUP = ".before-mem1"


class Part(Protocol):
    """Something of this program's in a file: put in, found, taken out, by the text of the file."""

    @property
    def file(self) -> Path:
        """Where it stands."""
        ...

    def put(self, text: str) -> str:
        """Put it in, or in the place of an earlier one."""
        ...

    def is_in(self, text: str) -> bool:
        """Whether it is there; false of a text that can't be read."""
        ...

    def drop(self, text: str) -> str:
        """Take it out."""
        ...

    def again(self, text: str) -> Edit:
        """Return what puts in exactly what this text has of it."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """What a file says and will say; ``None`` where it is not there.

    ``copies`` keeps the file as it was beside it; ``ends`` removes that copy, which has no use any more.
    """

    file: Path
    before: str | None
    after: str | None
    copies: bool = False
    ends: bool = False

    @property
    def is_none(self) -> bool:
        """Whether the file says already what it should."""
        return self.before == self.after

    @property
    def copy(self) -> Path:
        """Where the file as it was is kept."""
        return _copy(self.file)

    def diff(self) -> str:
        """Write it as a unified diff."""
        before, after = ((text or "").splitlines() for text in (self.before, self.after))
        name = str(self.file)
        return "\n".join(difflib.unified_diff(list(before), list(after), name, name, lineterm="", n=2))

    def make(self) -> None:
        """Write it, in one step, with the file's rights; a file that is left without a word is removed.

        Raises:
            InvalidRequestError: it was changed by somebody else meanwhile, or can't be written.

        """
        try:
            if _read(self.file) != self.before:
                raise InvalidRequestError(
                    f"{self.file} was changed by another program just now, and left as that wrote it. Run "
                    "this again."
                )
            if self.copies:
                _replace(self.copy, self.before or "")
            if self.is_none:
                pass
            elif self.after is None:
                self.file.unlink(missing_ok=True)
            else:
                _replace(self.file, self.after)
            if self.ends:
                self.copy.unlink(missing_ok=True)
        except OSError as error:
            raise InvalidRequestError(
                f"{self.file} can't be written: {error.strerror}. It is as it was. Let yourself write "
                "there, or see by --print what to put in."
            ) from error


def plan(file: Path, parts: Sequence[Part], known: Sequence[Part]) -> Change:
    """Plan to put parts into a file; ``known`` are all that this program may have put there before.

    Raises:
        InvalidRequestError: it can't be read, or is not what it should be.

    """
    real = _real(file)
    before = _read(real)
    after = before or ""
    for part in parts:
        after = _edited(real, after, part.put)
    return Change(real, before, after, copies=before != after and _is_first(real, before, known))


def _is_first(file: Path, before: str | None, known: Sequence[Part]) -> bool:
    """Whether what a file says is to be kept: it is nothing that this program has made or changed."""
    if before is None:
        return False
    there = [part for part in known if part.is_in(before)]
    return not there or not (_copy(file).exists() or _is_made_of(None, before, there))


def undo(file: Path, parts: Sequence[Part]) -> Change:
    """Plan to take parts out of a file.

    Where putting them into the file as it was would give the file as it is, it becomes byte for byte what
    it was; otherwise what else it says stays as it is.
    """
    real = _real(file)
    now = _read(real)
    if now is None:
        return Change(real, None, None)
    there = [part for part in parts if part.is_in(now)]
    after = now
    for part in parts:  # all of them: a text that can't be read is told of
        after = _edited(real, after, part.drop)
    kept = _read(_copy(real))
    if kept is not None and not any(part.is_in(kept) for part in parts) and _says_the_same(after, kept):
        # A host that adds and takes out by its own command may lay out the whole file anew.
        return Change(real, now, kept, ends=True)
    if after == now:
        return Change(real, now, now, ends=True)
    for before in (kept, None):
        if _is_made_of(before, now, there):
            return Change(real, now, before, ends=True)
    return Change(real, now, after)


def keep_copy(file: Path, known: Sequence[Part]) -> Path | None:
    """Keep a file as it is before a host's own command changes it; return where, if it is to be kept."""
    real = _real(file)
    before = _read(real)
    if before is None or not _is_first(real, before, known):
        return None
    Change(real, before, before, copies=True).make()
    return _copy(real)


def _says_the_same(text: str, other: str) -> bool:
    """Whether two JSON texts say the same, but for what is empty; never of one with comments."""
    try:
        said = [json.loads(each) for each in (text, other)]
    except ValueError:
        return False
    filled = [
        {key: each for key, each in one.items() if each not in ({}, [])} if isinstance(one, dict) else one
        for one in said
    ]
    return bool(filled[0] == filled[1])


def _is_made_of(before: str | None, now: str, parts: Sequence[Part]) -> bool:
    """Whether a file has become what it is by these parts alone."""
    text = before or ""
    if any(part.is_in(text) for part in parts):
        return False
    try:
        for part in parts:
            text = part.again(now)(text)
    except InvalidRequestError:
        return False
    return text == now


def _real(file: Path) -> Path:
    # Who keeps his settings in one folder and links to them wants the links to stay.
    try:
        return file.resolve() if file.is_symlink() else file
    except OSError:
        return file  # to be read or written it is no better


def _copy(file: Path) -> Path:
    return file.with_name(file.name + _BACKUP)


def _edited(file: Path, text: str, edit: Edit) -> str:
    try:
        return edit(text)
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"{file}: {error}. Nothing was changed. Mend the file, or see by --print what to put in."
        ) from None


def _read(file: Path) -> str | None:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise InvalidRequestError(
            f"{file} is not written in UTF-8. Nothing was changed. See by --print what to put in."
        ) from None
    except OSError as error:
        raise InvalidRequestError(
            f"{file} can't be read: {error.strerror}. Nothing was changed. See by --print what to put in."
        ) from error


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(text.encode())
        if file.exists():
            Path(unfinished).chmod(file.stat().st_mode & 0o777)
        elif file.suffix == ".md":
            Path(unfinished).chmod(0o644)  # rules of a project are read by others; settings may hold keys
        Path(unfinished).replace(file)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise
