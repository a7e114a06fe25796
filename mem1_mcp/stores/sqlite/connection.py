"""How a file is made and opened, what is asked of the engine, and its errors in words."""

from __future__ import annotations

import os
import random
import secrets
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import apsw

from mem1_mcp.errors import NotCertainError, StoreBusyError, StoreDamagedError, StoreError
from mem1_mcp.stores.sqlite.layout import PAGE_SIZE
from mem1_mcp.stores.sqlite.scrubbing import scrubbing_vfs

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from mem1_mcp.stores.sqlite.layout import Layout

_PRAGMAS = """
PRAGMA synchronous=FULL;
PRAGMA foreign_keys=ON;
PRAGMA secure_delete=ON;
PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-8000;
PRAGMA trusted_schema=OFF;
PRAGMA journal_size_limit=0;
PRAGMA wal_autocheckpoint=0;
"""  # never mmap_size: it turns a cut file into a crash

_UNFINISHED = ".new"
UNFINISHED = f".*{_UNFINISHED}*"  # files that are being made, and their journals

_NOTHING_SAVED = "Nothing of this call was saved."


@contextmanager
def told_in_words(where: str) -> Generator[None]:
    """Turn what the engine raises into what a person can act on."""
    try:
        yield
    except apsw.BusyError as error:
        raise busy(where) from error
    except apsw.NotADBError as error:
        raise damaged(where, f"is damaged or no database at all ({error})") from error
    except apsw.CorruptError as error:
        # SQLite says this too where the disk refuses to read.
        raise damaged(where, f"is damaged, or its disk can't be read ({error})") from error
    except apsw.FullError as error:
        raise StoreError(f"The disk is full. {_NOTHING_SAVED} Make room and try again.") from error
    except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError, OSError) as error:
        raise StoreError(
            f"{where} can't be opened or written ({error}). {_NOTHING_SAVED} Check that the folder "
            "exists and belongs to you."
        ) from error
    except apsw.IOError as error:
        if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:
            raise StoreError(
                f"The disk is full, or failed. {_NOTHING_SAVED} Make room and try again."
            ) from error
        raise StoreError(
            f"The disk failed while {where} was in use ({error}). {_NOTHING_SAVED} Check the disk."
        ) from error
    except apsw.Error as error:
        raise StoreError(f"The store refused the operation ({error}). {_NOTHING_SAVED}") from error


def busy(where: str) -> StoreBusyError:
    """Say that others kept the file locked."""
    return StoreBusyError(f"Another process keeps {where} locked. {_NOTHING_SAVED} Try again in a moment.")


def damaged(where: str, what: str) -> StoreDamagedError:
    """Say what is wrong with a file that is not touched for it."""
    return StoreDamagedError(
        f"{where} {what}. {_NOTHING_SAVED} The file was left as it is: restore it from a backup, or "
        "move it away to start anew."
    )


class Patience:
    """How long a connection waits for the locks of others. Shared with the thread that ends it.

    SQLite's own waiting sleeps longer and longer, so with several busy processes one of them can
    starve; and nothing can wake it when the process has to end.
    """

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self.until = 0.0  # on the monotonic clock

    def __call__(self, _attempts: int = 0) -> bool:
        """Wait a moment; false when it was long enough."""
        if time.monotonic() > self.until:
            return False
        return not self._closing.wait(random.uniform(0.001, 0.01))  # noqa: S311 - jitter, no secret


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
    except BaseException as error:
        with suppress(apsw.Error):  # the first one tells more
            _roll_back(db)
        if isinstance(error, apsw.IOError | apsw.FullError):
            overwritten = _overwrite_the_log(db)
            if not overwritten and getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_FSYNC:
                raise NotCertainError(
                    f"The disk failed ({error}). It is not certain whether this call was done. Check the "
                    "disk, then look what is there before it is sent again."
                ) from error
        raise


def _roll_back(db: apsw.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")


def _overwrite_the_log(db: apsw.Connection) -> bool:
    """Write over what a failed commit may have left at the end of the log; say whether that was done.

    It is complete there when only the last sync failed, and would come to life after a crash.
    """
    # Whether this one is synced does not matter: half of it makes the other one void as well.
    try:
        db.execute("BEGIN IMMEDIATE")
        write_a_page(db)
        db.execute("COMMIT")
    except apsw.IOError as error:
        return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_FSYNC
    except apsw.Error:
        return False
    finally:
        with suppress(apsw.Error):
            _roll_back(db)
    return True


def write_a_page(db: apsw.Connection) -> None:
    """Write without changing anything. An ``UPDATE`` to what is there already would write nothing."""
    db.execute(f"PRAGMA user_version = {db.pragma('user_version')}")


def close(db: apsw.Connection) -> None:
    """Close, whatever its disk says to it by now."""
    with suppress(apsw.Error):
        db.close()


@contextmanager
def closed_on_error(db: apsw.Connection) -> Generator[None]:
    """Close a connection when the block fails, so that it is not met again half open."""
    try:
        yield
    except BaseException:
        close(db)
        raise


def connect(
    path: Path, owner: str, layout: Layout, patience: Patience, vfs: str | None = None
) -> apsw.Connection:
    """Open a file that is there. What is not ours, damaged or too new is refused untouched."""
    # Not opened by ourselves, ever: on POSIX closing it would drop the locks that SQLite holds on it.
    _check_not_empty(path)
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    with closed_on_error(db):
        # Before anything else: already the first read may have to wait.
        db.set_busy_handler(patience)
        # The last one to close writes what is in the log into the file: it must be one that scrubs.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, vfs is None)
        layout.check_program(db, str(path))
        _check_not_cut(path)
        _use_wal(db, patience)
        db.execute(_PRAGMAS).fetchall()
        if not layout.is_current(db, owner, str(path)):
            with transaction(db):
                layout.migrate(db, owner)
    return db


def peek(path: Path, layout: Layout) -> apsw.Connection:
    """Open a file of any owner's for a look that changes nothing and waits for nobody."""
    _check_not_empty(path)
    # Scrubbing, since it may be the last one to close.
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=scrubbing_vfs())
    with closed_on_error(db):
        layout.check_program(db, str(path))
        db.execute("PRAGMA query_only=ON").fetchall()
    return db


def _check_not_empty(path: Path) -> None:
    # A file appears whole, see `create`; SQLite would take this one for new.
    if path.stat().st_size == 0:
        raise damaged(str(path), "is damaged: nothing is in it any more")


def _check_not_cut(path: Path) -> None:
    size = path.stat().st_size
    # SQLite would fill the rest of the page with zeros. With a log, the rest may be in there.
    if size % PAGE_SIZE and not _size(_log_of(path)):
        raise damaged(str(path), f"is damaged: its {size} bytes are no whole number of pages")


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _use_wal(db: apsw.Connection, patience: Patience) -> None:
    """Switch to the write-ahead log where somebody left it; SQLite itself never waits to do this."""
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL").fetchall()
        except apsw.BusyError:
            if not patience():
                raise
        else:
            return


def create(path: Path, owner: str, layout: Layout) -> None:
    """Make a file, unless another process is faster: it appears whole, or not at all.

    Only its owner can read it.
    """
    _make_private_folder(path.parent)
    # In this order: another process may be making it just now.
    if _size(_log_of(path)) and not path.exists():
        raise damaged(str(path), "is missing, though its log (-wal) is there")
    new = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{_UNFINISHED}")
    # Made by ourselves, so that no moment exists in which others could open it.
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        db = apsw.Connection(str(new), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.execute(f"PRAGMA page_size={PAGE_SIZE}; PRAGMA synchronous=FULL").fetchall()
            db.execute("BEGIN")  # nothing to take back: without a name it is no memory yet
            layout.migrate(db, owner)
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode=WAL").fetchall()
        finally:
            db.close()
        with suppress(FileExistsError):
            _publish(new, path)
    finally:
        # With the journal that is left where the disk failed.
        for part in (new, new.with_name(new.name + "-journal")):
            part.unlink(missing_ok=True)


def _make_private_folder(folder: Path) -> None:
    # Modes of folders that were there before are the owner's business.
    for missing in (folder.parent, folder):
        if not missing.is_dir():
            missing.parent.mkdir(parents=True, exist_ok=True)
            missing.mkdir(mode=0o700, exist_ok=True)


def _publish(new: Path, path: Path) -> None:
    """Give a whole file its name, durably; fails where the name is taken."""
    if sys.platform == "win32":
        new.rename(path)
        return
    try:
        path.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            return
        new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def empty(layout: Layout) -> apsw.Connection:
    """Open a database without anything in it, for reading where there is no file yet."""
    db = apsw.Connection(":memory:")
    layout.migrate(db, "")
    return db
