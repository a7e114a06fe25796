"""Connections to one user's file: how they are opened, shared between threads, and closed.

One connection writes, a few read (WAL lets them go on beside the writer and beside other
processes). Every write is one ``BEGIN IMMEDIATE`` transaction in one synchronous function, so that
a cancelled call is whole or absent.
"""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import apsw

from mem1_mcp.errors import StoreBusyError, StoreDamagedError, StoreError
from mem1_mcp.stores.sqlite import schema

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_BUSY_WAIT_MS = 10_000
_KEPT_READERS = 4

_PRAGMAS = """
PRAGMA synchronous=FULL;
PRAGMA foreign_keys=ON;
PRAGMA secure_delete=ON;
PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-16000;
PRAGMA trusted_schema=OFF;
PRAGMA journal_size_limit=0;
"""  # never mmap_size: it turns a cut file into a crash

_NOTHING_SAVED = "Nothing of this call was saved."


@contextmanager
def told_in_words(where: str) -> Generator[None]:
    """Turn what the engine raises into what a person can act on."""
    try:
        yield
    except apsw.BusyError as error:
        raise StoreBusyError(
            f"Another process keeps {where} locked. {_NOTHING_SAVED} Try again in a moment."
        ) from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreDamagedError(
            f"{where} is damaged or no database at all ({error}). {_NOTHING_SAVED} The file was left "
            "as it is: restore it from a backup, or move it away to start anew."
        ) from error
    except apsw.FullError as error:
        raise StoreError(f"The disk is full. {_NOTHING_SAVED} Make room and try again.") from error
    except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError, OSError) as error:
        raise StoreError(
            f"{where} can't be opened or written ({error}). {_NOTHING_SAVED} Check that the folder "
            "exists and belongs to you."
        ) from error
    except apsw.IOError as error:
        raise StoreError(
            f"The disk failed while {where} was in use ({error}). {_NOTHING_SAVED} Check the disk."
        ) from error
    except apsw.Error as error:
        raise StoreError(f"The store refused the operation ({error}). {_NOTHING_SAVED}") from error


@contextmanager
def transaction(db: apsw.Connection) -> Generator[None]:
    """Run the block in one ``BEGIN IMMEDIATE`` transaction: all of it or nothing.

    Not apsw's own ``with``: that keeps every other thread of the process from running for as long as
    it waits for another process's lock.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def connect(path: Path, user: str) -> apsw.Connection:
    """Open the file, made if need be; only its owner can read it. Refuse what is not ours untouched."""
    # Made by ourselves, so that no moment exists in which others could open it. Never opened by
    # ourselves when it is there: on POSIX closing it would drop the locks that SQLite holds on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = apsw.Connection(str(path))
    # Before anything else: changing the journal mode already needs locks, and writes.
    db.set_busy_timeout(_BUSY_WAIT_MS)
    schema.check_owner(db, str(path))
    _use_wal(db)
    db.execute(_PRAGMAS)
    if not schema.is_current(db, user, str(path)):
        with transaction(db):
            schema.migrate(db, user)
    return db


def _use_wal(db: apsw.Connection) -> None:
    """Switch to the write-ahead log; SQLite gives up on this at once, whatever the busy timeout."""
    deadline = time.monotonic() + _BUSY_WAIT_MS / 1000
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - jitter, no secret
        else:
            return


class UserFile:
    """One user's open file. Safe to use from several threads; ``close`` waits for a write under way."""

    def __init__(self, path: Path, user: str) -> None:
        self.path = path
        self._user = user
        self._writer: apsw.Connection | None = None
        self._write_lock = threading.Lock()
        self._readers: list[apsw.Connection] = []

    @contextmanager
    def writing(self) -> Generator[apsw.Connection]:
        """Lend the one connection that writes, inside a transaction."""
        with told_in_words(str(self.path)), self._write_lock, transaction(self._open_writer()):
            yield self._open_writer()

    @contextmanager
    def maintaining(self) -> Generator[apsw.Connection]:
        """Lend the connection that writes, outside any transaction."""
        with told_in_words(str(self.path)), self._write_lock:
            yield self._open_writer()

    @contextmanager
    def reading(self) -> Generator[apsw.Connection]:
        """Lend a connection that can't write; what it reads is of one moment."""
        with told_in_words(str(self.path)):
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = self._open_reader()
            try:
                reader.execute("BEGIN DEFERRED")
                try:
                    yield reader
                finally:
                    if reader.in_transaction:
                        reader.execute("COMMIT")
            except BaseException:
                reader.close()
                raise
            if len(self._readers) < _KEPT_READERS:
                self._readers.append(reader)
            else:
                reader.close()

    def _open_writer(self) -> apsw.Connection:
        if self._writer is None:
            self._writer = connect(self.path, self._user)
        return self._writer

    def _open_reader(self) -> apsw.Connection:
        reader = connect(self.path, self._user)
        reader.pragma("query_only", "ON")
        return reader

    def close(self) -> None:
        """Close the connections that are not lent out."""
        with self._write_lock:
            while self._readers:
                self._readers.pop().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None


def empty() -> apsw.Connection:
    """Open a store without anything in it, for users who have no file yet."""
    db = apsw.Connection(":memory:")
    schema.migrate(db, "")
    return db
