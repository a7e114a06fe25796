"""The folder of user files: their names, which are open, and which have work to do."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import unicodedata
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import apsw

from mem1_mcp.errors import StoreError
from mem1_mcp.stores.sqlite import jobs
from mem1_mcp.stores.sqlite.connection import UNFINISHED, peek, told_in_words
from mem1_mcp.stores.sqlite.database_file import DatabaseFile
from mem1_mcp.stores.sqlite.location import check_location
from mem1_mcp.stores.sqlite.schema import USER_LAYOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator
    from pathlib import Path

    from mem1_mcp.types import JobKind

log = logging.getLogger(__name__)

_OPEN_FILES = 64
_MAKING_MS = 3_600_000  # making a file takes some milliseconds
_UNREADABLE = re.compile(r"[^a-z0-9]+")


class UserFiles:
    """Opens files on demand, a bounded number at once. Safe to use from several threads.

    ``must_ask`` tells of a file whether claiming jobs of these kinds in it would ask for one first;
    ``None`` where that won't be so before somebody writes.
    """

    def __init__(
        self,
        folder: Path,
        busy_seconds: float,
        must_ask: Callable[
            [apsw.Connection, Collection[JobKind], int], bool | None
        ] = lambda _db, _kinds, _now: None,
    ) -> None:
        self.folder = folder
        self._must_ask = must_ask
        self._busy_seconds = busy_seconds
        self._open: OrderedDict[str, DatabaseFile] = OrderedDict()
        self._lent: dict[str, int] = {}
        self._lock = threading.Lock()
        self._checked = False
        # File to the state in which nobody found work in it.
        self._idle: dict[str, tuple[int, ...]] = {}
        self._users: dict[str, str] = {}
        self._warned: set[str] = set()
        self._turn = ""

    def check_folder(self) -> None:
        """Refuse a folder that other machines reach, as soon as something is read or written."""
        if not self._checked:
            with told_in_words(str(self.folder)):
                check_location(self.folder)
            self._checked = True

    @contextmanager
    def lent(self, user: str) -> Generator[DatabaseFile]:
        """Lend the user's file, which need not be there yet, and keep it open meanwhile."""
        self.check_folder()
        with self._lock:
            file = self._open.get(user)
            if file is None:
                file = self._open[user] = DatabaseFile(
                    self.path(user), user, USER_LAYOUT, self._busy_seconds
                )
            self._open.move_to_end(user)
            self._close_idle(user)
            self._lent[user] = self._lent.get(user, 0) + 1
        try:
            yield file
        finally:
            with self._lock:
                self._lent[user] -= 1

    def with_work(self, kinds: Collection[JobKind], now: int) -> Iterator[str]:
        """Yield the users who have a job that is due, whichever process asked for it."""
        with told_in_words(str(self.folder)):
            paths = sorted(self.folder.glob("*.db")) if self.folder.is_dir() else []
            self._clear_unfinished(now)
        # Begins behind the one whose turn it was, so that long work of one user keeps no other waiting.
        paths = [*(p for p in paths if p.name > self._turn), *(p for p in paths if p.name <= self._turn)]
        for path in paths:
            # Most memories are asleep: what did not change has no more work than at the last look.
            state = _state(path)
            if self._idle.get(path.name) == state:
                continue
            try:
                due = self._is_due(path, kinds, now)
            except (StoreError, apsw.Error, OSError) as error:
                if path.name not in self._warned:
                    log.warning("%s can't be looked through for work left undone: %s", path, error)
                self._warned.add(path.name)
                due = False
            if due:
                self._turn = path.name
                yield self._users[path.name]
            elif due is None:
                self._idle[path.name] = state

    def has_work(self, user: str, kinds: Collection[JobKind], now: int) -> bool:
        """Whether this user has a job that is due."""
        self.check_folder()
        path = self.path(user)
        return path.exists() and bool(self._is_due(path, kinds, now))

    def _clear_unfinished(self, now: int) -> None:
        """Take away what is left of files that were being made when their process was killed."""
        for path in self.folder.glob(UNFINISHED):
            with suppress(OSError):
                if path.stat().st_mtime * 1000 < now - _MAKING_MS:
                    path.unlink()

    def _is_due(self, path: Path, kinds: Collection[JobKind], now: int) -> bool | None:
        """Look into a file: ``None`` when there is no job at all."""
        with told_in_words(str(path)):
            db = peek(path, USER_LAYOUT)
            try:
                self._users[path.name] = db.execute("SELECT owner FROM state").get
                asked = self._must_ask(db, kinds, now)
                if asked or jobs.is_due(db, kinds, now):
                    return True
                return False if asked is not None or jobs.are_there(db) else None
            finally:
                db.close()

    def opened(self) -> list[DatabaseFile]:
        """Return the open files."""
        with self._lock:
            return list(self._open.values())

    def close(self) -> list[DatabaseFile]:
        """Forget the open files and return them, to be closed."""
        with self._lock:
            files = list(self._open.values())
            self._open.clear()
        return files

    def path(self, user: str) -> Path:
        """Name the user's file."""
        # Names are hashes: no user can choose a path, and no file system folds two users into one.
        digest = hashlib.sha256(unicodedata.normalize("NFC", user).encode()).hexdigest()[:24]
        readable = _UNREADABLE.sub("-", user.lower())[:24].strip("-")
        return self.folder / f"{readable or 'user'}-{digest}.db"

    def _close_idle(self, wanted: str) -> None:
        for user in list(self._open):
            if len(self._open) <= _OPEN_FILES:
                return
            if user != wanted and not self._lent.get(user):
                self._lent.pop(user, None)
                self._open.pop(user).close()


def _state(path: Path) -> tuple[int, ...]:
    """Return what differs whenever somebody wrote: times and sizes of the file and its log."""
    state: list[int] = []
    for part in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            found = part.stat()
            state += (found.st_mtime_ns, found.st_size)
    return tuple(state)
