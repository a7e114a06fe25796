"""A disk that fails on demand, below SQLite: the engine gets what a broken or full disk answers.

SQLite's own system calls are replaced (``xSetSystemCall``), so a failure has a real ``errno`` and SQLite
decides itself what it means. They are put back when one has failed: what apsw raises for it in a file
layer of the package's own is pending from then on, and no other Python may run below. What lasts, and
syncing, which is no such call, fails in a file layer instead. One-time failures do not, since apsw raises
whatever a layer raised, also where SQLite goes on without it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apsw

EIO, FULL = errno.EIO, errno.ENOSPC

_SIZE, _INT, _POINTER, _LENGTH = ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t
_TEXT, _OFFSET = ctypes.c_char_p, ctypes.c_int64

# Name of the system call: what it is for us, its result, its arguments.
_CALLS: dict[str, tuple[str, Any, tuple[Any, ...]]] = {
    "read": ("read", _SIZE, (_INT, _POINTER, _LENGTH)),
    "pread": ("read", _SIZE, (_INT, _POINTER, _LENGTH, _OFFSET)),
    "pread64": ("read", _SIZE, (_INT, _POINTER, _LENGTH, _OFFSET)),
    "write": ("write", _SIZE, (_INT, _POINTER, _LENGTH)),
    "pwrite": ("write", _SIZE, (_INT, _POINTER, _LENGTH, _OFFSET)),
    "pwrite64": ("write", _SIZE, (_INT, _POINTER, _LENGTH, _OFFSET)),
    "ftruncate": ("truncate", _INT, (_INT, _OFFSET)),
    "open": ("open", _INT, (_TEXT, _INT, _INT)),
    "unlink": ("delete", _INT, (_TEXT,)),
    "fstat": ("size", _INT, (_INT, _POINTER)),
    "fcntl": ("lock", _INT, (_INT, _INT, _POINTER)),
}
OPERATIONS = ("read", "write", "sync", "truncate", "open", "delete", "size", "lock")


def _takes_a_lock(_file: int, command: int, told: int) -> bool:
    """Whether ``fcntl`` is asked for a lock; giving one back does not fail on any disk."""
    kind = ctypes.c_short.from_address(told).value
    return command == fcntl.F_SETLK and kind != fcntl.F_UNLCK


@dataclass(frozen=True, slots=True)
class Fault:
    """From the ``at``-th of these operations on the disk answers ``error``; once, or from then on."""

    operations: tuple[str, ...]
    error: int
    at: int = 1
    lasting: bool = False


class FailingDisk:
    """Answers as the real disk does, until it is told otherwise. One at a time in a process."""

    def __init__(self) -> None:
        self._base = apsw.vfs_names()[0]
        self._layer = _Layer(self, self._base)
        self._replacements = {name: self._replacement(name, *call) for name, call in _CALLS.items()}
        # Collecting garbage may close a file in the middle of counting.
        self._lock = threading.RLock()
        self._fault: Fault | None = None
        self._seen = 0
        self.failed = 0

    @contextmanager
    def below(self, fault: Fault) -> Generator[None]:
        """Stand below all that is opened here, so that this fault can reach it."""
        if fault.lasting or "sync" in fault.operations:
            apsw.set_default_vfs(_LAYER)
        else:
            self._replace_calls()
        try:
            yield
        finally:
            apsw.set_default_vfs(self._base)
            self._restore_calls()

    def _replace_calls(self) -> None:
        for name, replacement in self._replacements.items():
            if replacement is not None:
                self._layer.xSetSystemCall(name, ctypes.cast(replacement, _POINTER).value or 0)

    def _restore_calls(self) -> None:
        for name in self._replacements:
            self._layer.xSetSystemCall(name, 0)

    @contextmanager
    def failing(self, fault: Fault) -> Generator[None]:
        """Fail; ``failed`` counts how often."""
        self._seen = self.failed = 0
        self._fault = fault
        try:
            yield
        finally:
            self._fault = None

    def error(self, operation: str) -> int | None:
        """Count an operation and say how it fails, if it does."""
        with self._lock:
            fault = self._fault
            if fault is None or operation not in fault.operations:
                return None
            self._seen += 1
            if self._seen == fault.at or (fault.lasting and self._seen > fault.at):
                self.failed += 1
                return fault.error
            return None

    def _replacement(self, name: str, operation: str, result: Any, arguments: tuple[Any, ...]) -> Any:
        original = self._layer.xGetSystemCall(name)
        if not original:
            return None
        prototype = ctypes.CFUNCTYPE(result, *arguments, use_errno=True)
        real = prototype(original)

        def call(*values: Any) -> Any:
            error = None if operation == "lock" and not _takes_a_lock(*values) else self.error(operation)
            if error is None:
                return real(*values)
            self._restore_calls()
            ctypes.set_errno(error)
            return -1

        return prototype(call)


_LAYER = "failing-sync"
_RAISED: dict[tuple[str, int], tuple[type[apsw.Error], int]] = {
    ("read", EIO): (apsw.IOError, apsw.SQLITE_IOERR_READ),
    ("write", EIO): (apsw.IOError, apsw.SQLITE_IOERR_WRITE),
    ("write", FULL): (apsw.FullError, apsw.SQLITE_FULL),
    # SQLite does not tell why a disk could not be synced.
    ("sync", EIO): (apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
    ("sync", FULL): (apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
}


class _File(apsw.VFSFile):
    disk: FailingDisk

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._fail("sync")
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._fail("write")
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._fail("read")
        return super().xRead(amount, offset)

    def _fail(self, operation: str) -> None:
        error = self.disk.error(operation)
        if error is not None:
            kind, code = _RAISED[operation, error]
            raised = kind("disk I/O error")
            raised.extendedresult = code  # type: ignore[attr-defined]
            raise raised


class _Layer(apsw.VFS):
    def __init__(self, disk: FailingDisk, base: str) -> None:
        super().__init__(_LAYER, base)
        self._disk, self._base = disk, base

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        file = _File(self._base, name, flags)
        file.disk = self._disk
        return file
