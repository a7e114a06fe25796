"""What ``doctor`` shows of a user's file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import apsw

from mem1_mcp.errors import StoreError
from mem1_mcp.stores.sqlite import embedding, images, jobs, refreshing, schema, shared
from mem1_mcp.stores.sqlite.connection import write_a_page
from mem1_mcp.stores.sqlite.reindexing import beside_a_newer_program
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import Health

if TYPE_CHECKING:
    from mem1_mcp.stores.sqlite.database_file import DatabaseFile


def health(file: DatabaseFile) -> Health:
    """Look the file over; it is written too, for a disk that can't be."""
    facts = [
        ("store", "SQLite"),
        ("SQLite", f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"),
        ("memory file", str(file.path)),
    ]
    if not file.exists():
        return Health((*facts, ("state", "nothing remembered yet")))
    facts.append(("size", f"{file.path.stat().st_size / 1e6:.1f} MB"))
    with file.reading() as db:
        damage = _damage(db)
        facts.append(("integrity", damage or "ok"))
        if damage:
            problem = f"{file.path} is damaged: {damage}. Restore it from a backup."
            return Health(tuple(facts), (problem,))
        facts.append(("layout", f"{db.pragma('user_version')} of {len(schema.MIGRATIONS)}"))
        facts.append(("index", _index(db)))
        newer = beside_a_newer_program(db)
        problems = [newer] if newer else []
        messages, rounds = db.execute("SELECT messages, rounds FROM state").get
        facts += [("messages", str(messages)), ("rounds", str(rounds))]
        facts += embedding.told(db)
        facts += images.told(db)
        facts += refreshing.told(db)
        facts += jobs.told(db)
        parked = db.execute("SELECT kind, error FROM jobs WHERE due_at IS NULL")
        problems += [f"The job {kind} was given up: {error}" for kind, error in parked]
        problems += refreshing.problems(db)
        problems += images.problems(db)
    with file.writing() as db:
        write_a_page(db)
        facts.append(("writable", "yes"))
    return Health(tuple(facts), tuple(problems))


def with_tokens(found: Health, file: DatabaseFile) -> Health:
    """Add what is no user's own: how many tokens there are."""
    try:
        number = len(file.read(shared.tokens))
    except StoreError as error:
        return replace(found, problems=(*found.problems, str(error)))
    return replace(found, facts=(*found.facts, ("tokens for HTTP", str(number))))


def _damage(db: apsw.Connection) -> str | None:
    try:
        # Reads the index anew: what a connection kept of it since another one merged looks damaged.
        db.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchall()
        checked: str = db.execute("PRAGMA quick_check(1)").get
    except apsw.CorruptError as error:
        return str(error)
    return None if checked == "ok" else checked


def _index(db: apsw.Connection) -> str:
    made_for: int = db.execute("SELECT terms_version FROM state").get
    left = db.execute("SELECT count(*) FROM messages WHERE terms_version < ?", (TERMS_VERSION,)).get
    told = f"terms version {made_for}, this program's is {TERMS_VERSION}"
    return told + (f"; {left} messages are yet to be indexed anew" if left else "")
