"""A change of a file that belongs to somebody else: shown first, made whole or not at all, undone.

The file as it was before this program first came stays beside it, with ``.before-mem1`` behind its name.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    Edit = Callable[[str], str]

_BACKUP = ".before-mem1"


@dataclass(frozen=True, slots=True)
class Change:
    """What a file says and will say; ``None`` where it is not there."""

    file: Path
    before: str | None
    after: str | None

    @property
    def is_none(self) -> bool:
        """Whether the file says already what it should."""
        return self.before == self.after

    @property
    def backup(self) -> Path:
        """Where the file as it was is kept."""
        return self.file.with_name(self.file.name + _BACKUP)

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
                    f"{self.file} was changed by another program just now. Nothing was changed. Run this again."
                )
            if self.after is None:
                self.file.unlink(missing_ok=True)
            else:
                _replace(self.file, self.after)
        except OSError as error:
            raise InvalidRequestError(
                f"{self.file} can't be written: {error.strerror}. Nothing was changed."
            ) from error


def plan(file: Path, edit: Edit, *, is_ours: Callable[[str], bool]) -> Change:
    """Plan to edit a file, which ``is_ours`` when it holds something of this program already.

    Raises:
        InvalidRequestError: it can't be read, or is not what it should be.

    """
    real = file.resolve() if file.is_symlink() else file
    before = _read(real)
    after = _edited(real, before or "", edit)
    change = Change(real, before, after)
    if before is not None and not is_ours(before) and not change.is_none:
        return _WithBackup(real, before, after)
    return change


class _WithBackup(Change):
    """The first change of a file: as it was, it is kept."""

    __slots__ = ()

    def make(self) -> None:
        """See ``Change.make``."""
        super().make()
        _replace(self.backup, self.before or "")


def undo(file: Path, edit: Edit, *, redo: Edit) -> Change:
    """Plan to take out of a file what this program put in.

    ``edit`` takes it out, and ``redo`` puts it in. Where that, done to the file as it was, gives the file as
    it is, it becomes byte for byte what it was; otherwise the rest of it stays as it is.
    """
    real = file.resolve() if file.is_symlink() else file
    now = _read(real)
    if now is None:
        return Change(real, None, None)
    change = Change(real, now, _edited(real, now, edit))
    if change.is_none:
        return change
    try:
        kept = _read(change.backup)
        if _edited(real, kept or "", redo) == now:
            return _Restored(real, now, kept)
    except InvalidRequestError:
        pass
    return change


class _Restored(Change):
    """The file as it was; the copy of it has no use any more."""

    __slots__ = ()

    def make(self) -> None:
        """See ``Change.make``."""
        super().make()
        self.backup.unlink(missing_ok=True)


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
            f"{file} can't be read: {error.strerror}. Nothing was changed."
        ) from error


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(text.encode())
        if file.exists():
            Path(unfinished).chmod(file.stat().st_mode & 0o777)
        Path(unfinished).replace(file)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise
