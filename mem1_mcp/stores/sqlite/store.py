"""The store protocol over a folder of user files."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import unicodedata
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
import apsw

from mem1_mcp.errors import StoreError
from mem1_mcp.stores.sqlite import appending, documents, forgetting, reading, schema
from mem1_mcp.stores.sqlite.connection import UserFile, empty, told_in_words
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import Forgotten, Health

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from mem1_mcp.protocols import Clock
    from mem1_mcp.types import (
        Appended,
        Call,
        Confirmation,
        Period,
        Profile,
        Scope,
        Selected,
        Selection,
        Statistics,
        Stored,
        Topic,
        Windows,
    )

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_OPEN_FILES = 64
_READING_THREADS = 6
_WRITING_THREADS = 2
_SLICE = 200  # messages forgotten in one transaction: the lock is held for about 100 ms
_REWRITABLE_BYTES = 256 * 1024 * 1024  # rewriting this much keeps others waiting for some seconds
_UNREADABLE = re.compile(r"[^a-z0-9]+")


class SqliteStore:
    """Keeps each user in a file of their own under ``folder``; see ``protocols.Store``."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder / "users"
        self._clock = clock
        self._files: OrderedDict[str, UserFile] = OrderedDict()
        self._lent: dict[str, int] = {}
        self._lock = threading.Lock()
        # Apart, so that readers go on while writers wait for another process's lock.
        self._reading = anyio.CapacityLimiter(_READING_THREADS)
        self._writing = anyio.CapacityLimiter(_WRITING_THREADS)

    async def append(self, user: str, call: Call) -> Appended:
        """See ``Store.append``."""
        return await self._write(user, lambda db: appending.append(db, call))

    async def statistics(self, user: str, terms: Sequence[str]) -> Statistics:
        """See ``Store.statistics``."""
        return await self._read(user, lambda db: reading.statistics(db, terms))

    async def vocabulary(self, user: str, letter: str) -> Mapping[str, int]:
        """See ``Store.vocabulary``."""
        return await self._read(user, lambda db: reading.vocabulary(db, letter))

    async def candidates(
        self,
        scope: Scope,
        weights: Mapping[str, float],
        days: Sequence[Period],
        limit: int,
    ) -> Mapping[int, float]:
        """See ``Store.candidates``."""
        return await self._read(scope.user, lambda db: reading.candidates(db, scope, weights, days, limit))

    async def windows(self, scope: Scope, places: Sequence[int], reach: int) -> Windows:
        """See ``Store.windows``."""
        return await self._read(scope.user, lambda db: reading.windows(db, scope, places, reach))

    async def messages(self, user: str, places: Sequence[int]) -> tuple[Stored, ...]:
        """See ``Store.messages``."""
        return await self._read(user, lambda db: reading.messages(db, places))

    async def latest(self, scope: Scope, limit: int, skip: int = 0) -> tuple[Stored, ...]:
        """See ``Store.latest``."""
        return await self._read(scope.user, lambda db: reading.latest(db, scope, limit, skip))

    async def count(self, scope: Scope) -> int:
        """See ``Store.count``."""
        return await self._read(scope.user, lambda db: reading.count(db, scope))

    async def topics(self, user: str) -> tuple[Topic, ...]:
        """See ``Store.topics``."""
        return await self._read(user, reading.topics)

    async def profile(self, user: str) -> Profile:
        """See ``Store.profile``."""
        return await self._read(user, documents.load_profile)

    async def save_profile(self, user: str, profile: Profile) -> bool:
        """See ``Store.save_profile``."""
        return await self._write(user, lambda db: documents.save_profile(db, profile))

    async def select(self, user: str, selection: Selection, limit: int, skip: int = 0) -> Selected:
        """See ``Store.select``."""
        return await self._read(user, lambda db: forgetting.select(db, selection, limit, skip))

    async def keep_confirmation(self, user: str, confirmation: Confirmation) -> None:
        """See ``Store.keep_confirmation``."""
        expired_at = self._clock()
        await self._write(user, lambda db: documents.keep_confirmation(db, confirmation, expired_at))

    async def confirmation(self, user: str, token_hash: str) -> Confirmation | None:
        """See ``Store.confirmation``."""
        return await self._read(user, lambda db: documents.load_confirmation(db, token_hash))

    async def forget(self, user: str, token_hash: str) -> Forgotten:
        """See ``Store.forget``; in slices, so that other writers get their turn."""
        return await _in_thread(lambda: self._forget(user, token_hash), self._writing)

    async def health(self, user: str) -> Health:
        """See ``Store.health``."""
        return await _in_thread(lambda: self._health(user), self._writing)

    async def close(self) -> None:
        """Close every file."""
        with self._lock:
            files = list(self._files.values())
            self._files.clear()
        for file in files:
            await _in_thread(file.close, self._writing)

    def _forget(self, user: str, token_hash: str) -> Forgotten:
        with self._lent_file(user) as file:
            noted = None
            while noted is None or not noted.done:
                try:
                    with file.writing() as db:
                        slice_noted = forgetting.forget_some(db, token_hash, _SLICE)
                except StoreError as error:
                    if noted is None:
                        raise
                    raise StoreError(
                        f"{noted.taken.messages} messages are forgotten, not all: {error.reason} Send "
                        "the same token again to go on."
                    ) from error
                if slice_noted is None:
                    return noted.taken if noted else Forgotten()
                noted = slice_noted
            return replace(noted.taken, pending=not self._erase(file))

    def _erase(self, file: UserFile) -> bool:
        """Take the last bytes of what was deleted out of the file and its log; say whether all went."""
        with file.maintaining() as db:
            small = file.path.stat().st_size <= _REWRITABLE_BYTES
            try:
                if small:
                    # Pages that were split hold copies that secure_delete has never seen.
                    db.execute("VACUUM")
                # Until it is emptied, the log holds what the file has lost.
                busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
            except (apsw.BusyError, apsw.FullError, apsw.IOError):
                log.exception("Forgotten words can't be found any more, but some bytes are still on disk")
                return False
            return small and not busy

    def _health(self, user: str) -> Health:
        path = self._path(user)
        facts = [
            ("store", "SQLite"),
            ("SQLite", f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"),
            ("memory file", str(path)),
        ]
        if not self._has_file(user):
            return Health((*facts, ("state", "nothing remembered yet")))
        problems = []
        with self._lent_file(user) as file, file.reading() as db:
            facts.append(("layout", f"{db.pragma('user_version')} of {len(schema.MIGRATIONS)}"))
            terms: int = db.execute("SELECT terms_version FROM state").get
            facts.append(("index", f"terms version {terms} of {TERMS_VERSION}"))
            messages, rounds = db.execute("SELECT messages, rounds FROM state").get
            facts += [("messages", str(messages)), ("rounds", str(rounds))]
            facts.append(("size", f"{path.stat().st_size / 1e6:.1f} MB"))
            checked: str = db.execute("PRAGMA quick_check(1)").get
            facts.append(("integrity", checked))
            if checked != "ok":
                problems.append(f"{path} is damaged: {checked}. Restore it from a backup.")
        with self._lent_file(user) as file, file.writing() as db:
            db.execute("UPDATE state SET rounds = rounds")
            facts.append(("writable", "yes"))
        return Health(tuple(facts), tuple(problems))

    async def _read(self, user: str, read: Callable[[apsw.Connection], _Result]) -> _Result:
        return await _in_thread(lambda: self._read_now(user, read), self._reading)

    async def _write(self, user: str, write: Callable[[apsw.Connection], _Result]) -> _Result:
        return await _in_thread(lambda: self._write_now(user, write), self._writing)

    def _read_now(self, user: str, read: Callable[[apsw.Connection], _Result]) -> _Result:
        # Looking must not make a file.
        if user not in self._files and not self._has_file(user):
            db = empty()
            try:
                return read(db)
            finally:
                db.close()
        with self._lent_file(user) as file, file.reading() as db:
            return read(db)

    def _write_now(self, user: str, write: Callable[[apsw.Connection], _Result]) -> _Result:
        with self._lent_file(user) as file, file.writing() as db:
            return write(db)

    @contextmanager
    def _lent_file(self, user: str) -> Generator[UserFile]:
        with self._lock:
            file = self._files.get(user)
            if file is None:
                path = self._path(user)
                with told_in_words(str(path)):
                    _make_private_folder(path.parent)
                file = self._files[user] = UserFile(path, user)
            self._files.move_to_end(user)
            self._lent[user] = self._lent.get(user, 0) + 1
            self._close_idle()
        try:
            yield file
        finally:
            with self._lock:
                self._lent[user] -= 1

    def _close_idle(self) -> None:
        for user in list(self._files):
            if len(self._files) <= _OPEN_FILES:
                return
            if not self._lent.get(user):
                self._lent.pop(user, None)
                self._files.pop(user).close()

    def _has_file(self, user: str) -> bool:
        path = self._path(user)
        with told_in_words(str(path)):
            try:
                path.stat()
            except FileNotFoundError:
                return False  # and only then: a folder that can't be read is not an empty memory
        return True

    def _path(self, user: str) -> Path:
        # Names are hashes: no user can choose a path, and no file system folds two users into one.
        digest = hashlib.sha256(unicodedata.normalize("NFC", user).encode()).hexdigest()[:24]
        readable = _UNREADABLE.sub("-", user.lower())[:24].strip("-")
        return self._folder / f"{readable or 'user'}-{digest}.db"


async def _in_thread(work: Callable[[], _Result], limiter: anyio.CapacityLimiter) -> _Result:
    # Not abandoned on cancellation: a write that began is whole when the caller goes on.
    return await anyio.to_thread.run_sync(work, limiter=limiter)


def _make_private_folder(folder: Path) -> None:
    # Modes of folders that were there before are the owner's business.
    for missing in (folder.parent, folder):
        if not missing.is_dir():
            missing.parent.mkdir(parents=True, exist_ok=True)
            missing.mkdir(mode=0o700, exist_ok=True)
