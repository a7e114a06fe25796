"""An open file: connections lent to threads, and the log kept short.

One connection writes, a few read (WAL lets them go on beside the writer and beside other processes),
one checkpoints. Every write is one ``BEGIN IMMEDIATE`` transaction in one synchronous function, so
that a cancelled call is whole or absent.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import apsw

from mem1_mcp.errors import NotCertainError, StoreError
from mem1_mcp.stores.sqlite.connection import (
    Patience,
    busy,
    close,
    closed_on_error,
    connect,
    create,
    empty,
    told_in_words,
    transaction,
)
from mem1_mcp.stores.sqlite.scrubbing import scrubbing_vfs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from mem1_mcp.stores.sqlite.layout import Layout

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_KEPT_READERS = 4
_LOG_PAGES = 1000  # of the log, from which on it is moved into the file
_LEAST_FREED = 1000  # pages, for which rewriting a file is worth it
_REWRITTEN = 4096  # pages at most, which takes some 100 ms
_EMPTYING_SECONDS = 0.2  # others can't write while the log is being emptied


class DatabaseFile:
    """Safe to use from several threads; ``close`` does not wait for another process's locks."""

    def __init__(self, path: Path, owner: str, layout: Layout, busy_seconds: float) -> None:
        self.path = path
        self._owner = owner
        self._layout = layout
        self._busy_seconds = busy_seconds
        self._closing = threading.Event()
        self._write_lock = threading.Lock()
        self._patience = Patience(self._closing)
        self._reading_patience = Patience(self._closing)
        self._checkpoint_patience = Patience(self._closing)
        self._writer: apsw.Connection | None = None
        self._checkpointer: apsw.Connection | None = None
        self._readers: list[apsw.Connection] = []
        self._log_pages = 0
        self._identity: tuple[int, int] | None = None

    def exists(self) -> bool:
        """Whether there is a file.

        Raises:
            StoreError: it was there and is not any more, or its folder can't be read.

        """
        with told_in_words(str(self.path)):
            identity = self._look()
            if self._identity not in (None, identity):
                with self._write_lock:
                    self._open_anew(identity)
        return identity is not None

    @contextmanager
    def writing(self, until: float | None = None) -> Generator[apsw.Connection]:
        """Lend the one connection that writes, inside a transaction; the file is made if need be.

        ``until`` is when waiting for others ends, on the monotonic clock.
        """
        with self._locked(until):
            identity = self._look()
            if identity is None:
                create(self.path, self._owner, self._layout)
            elif self._identity not in (None, identity):
                self._open_anew(identity)
            writer = self._open_writer()
            try:
                with transaction(writer):
                    yield writer
            except apsw.BusyError:
                raise
            except (apsw.Error, NotCertainError):
                # It would stay so: open for reading only, or with an index that takes no more words.
                close(writer)
                self._writer = None
                raise
            if self._log_pages >= _LOG_PAGES:
                self._checkpoint("PASSIVE")

    def _look(self) -> tuple[int, int] | None:
        """Return what tells this file from any other of its name; ``None`` where there never was one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            if self._identity is None:
                return None  # and only then: what can't be read is not an empty memory
            raise StoreError(
                f"{self.path} was there and is gone: moved, deleted, or its disk was taken away. Nothing "
                "was read or saved. Put it back; or, to begin a new memory, restart this server."
            ) from None
        return found.st_dev, found.st_ino

    def _open_anew(self, identity: tuple[int, int] | None) -> None:
        if self._identity != identity:
            log.warning("%s was replaced by another file; it is opened anew", self.path)
            self._give_log_back()
            self._drop_connections()
            self._identity = identity

    def _give_log_back(self) -> None:
        """Move the log into the file it is of, wherever that is: another would take it for its own."""
        for connection in (self._checkpointer, self._writer, *self._readers):
            if connection is not None:
                with suppress(apsw.IOError, apsw.FullError, apsw.ReadOnlyError):
                    blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
                    if blocked:
                        raise busy(str(self.path))
                    return

    def empty_log(self) -> bool:
        """Move all of the log into the file; false where others were reading or writing just then.

        A file that is mostly free is made smaller first.
        """
        with self._locked():
            writer = self._open_writer()
            pages, free = writer.pragma("page_count"), writer.pragma("freelist_count")
            if free > pages // 2 and free > _LEAST_FREED and pages - free <= _REWRITTEN:
                try:
                    writer.execute("VACUUM")
                except (apsw.FullError, apsw.IOError, apsw.BusyError):
                    log.warning(
                        "%s could not be made smaller; its free parts will be used again", self.path
                    )
            done = self._checkpoint("TRUNCATE")
            # Pages kept in memory hold what was scrubbed on its way into the file.
            writer.release_memory()
            return done

    @contextmanager
    def reading(self) -> Generator[apsw.Connection]:
        """Lend a connection that can't write; what it reads is of one moment."""
        readers = self._readers
        self._reading_patience.until = time.monotonic() + self._busy_seconds
        with told_in_words(str(self.path)):
            try:
                reader = readers.pop()
            except IndexError:
                reader = self._open_reader()
            with closed_on_error(reader):
                reader.execute("BEGIN DEFERRED")
                yield reader
                reader.execute("COMMIT")
            if readers is self._readers and len(readers) < _KEPT_READERS:
                readers.append(reader)
            else:
                close(reader)

    def read(self, read: Callable[[apsw.Connection], _Result]) -> _Result:
        """Read what is of one moment; nothing where there is no file yet, since looking makes none."""
        if self.exists():
            with self.reading() as reader:
                return read(reader)
        nothing = empty(self._layout)
        try:
            return read(nothing)
        finally:
            nothing.close()

    @contextmanager
    def _locked(self, until: float | None = None) -> Generator[None]:
        if until is None:
            until = time.monotonic() + self._busy_seconds
        if not self._write_lock.acquire(timeout=max(until - time.monotonic(), 0)):
            raise busy(str(self.path))
        try:
            self._patience.until = until
            with told_in_words(str(self.path)):
                yield
        finally:
            self._write_lock.release()

    def _open_writer(self) -> apsw.Connection:
        if self._writer is None:
            self._writer = connect(self.path, self._owner, self._layout, self._patience)
            self._writer.set_wal_hook(self._note_log)
            self._identity = self._look()
            if told := self._layout.warning(self._writer):
                log.warning("%s: %s", self.path, told)
        return self._writer

    def _note_log(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _open_reader(self) -> apsw.Connection:
        reader = connect(self.path, self._owner, self._layout, self._reading_patience)
        self._identity = self._identity or self._look()
        reader.pragma("query_only", "ON")
        return reader

    def _checkpoint(self, mode: str) -> bool:
        """Move what is in the log into the file, as far as others allow; never fails a write for it."""
        seconds = _EMPTYING_SECONDS if mode == "TRUNCATE" else 0.0
        self._checkpoint_patience.until = time.monotonic() + seconds
        try:
            if self._checkpointer is None:
                self._checkpointer = connect(
                    self.path, self._owner, self._layout, self._checkpoint_patience, scrubbing_vfs()
                )
            blocked, _, _ = self._checkpointer.execute(f"PRAGMA wal_checkpoint({mode})").get
        except (apsw.Error, StoreError, OSError) as error:
            log.warning(
                "The log of %s could not be moved into it; it stays for the next time: %s", self.path, error
            )
            if self._checkpointer is not None and not isinstance(error, apsw.BusyError):
                close(self._checkpointer)
                self._checkpointer = None
            return False
        if not blocked:
            self._log_pages = 0
        return not blocked

    def stop_waiting(self) -> None:
        """Have those who wait for other processes give up now."""
        self._closing.set()

    def close(self) -> None:
        """Close the connections that are not lent out, the log moved into the file where that is quick."""
        self.stop_waiting()
        with self._write_lock:
            if self._readers or self._writer is not None:
                self._checkpoint("TRUNCATE")
            self._drop_connections()

    def _drop_connections(self) -> None:
        readers, self._readers = self._readers, []
        # In this order: the last one removes the log.
        for connection in (*readers, self._writer, self._checkpointer):
            if connection is not None:
                close(connection)
        self._writer = self._checkpointer = None
