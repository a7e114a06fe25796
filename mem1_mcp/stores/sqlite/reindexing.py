"""A new index for messages that an older ``text`` split into terms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from mem1_mcp.stores.slices import within
from mem1_mcp.stores.sqlite import erasing, jobs
from mem1_mcp.stores.sqlite.scoping import visible
from mem1_mcp.stores.sqlite.words import SUMMED, WORDS, words_of
from mem1_mcp.text.terms import VERSION as TERMS_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    import apsw

    from mem1_mcp.types import Indexed, Job

_CHARACTERS = 20_000  # of the messages that are indexed in one transaction, or one message that is longer


def beside_a_newer_program(db: apsw.Connection) -> str | None:
    """Say so where the index is made by terms that this program does not know."""
    if db.execute("SELECT terms_version FROM state").get <= TERMS_VERSION:
        return None
    return (
        "A newer mem1-mcp uses this memory too, and its index is the newer one's: this one finds less "
        "until it is updated."
    )


def outdated(db: apsw.Connection, after: int, limit: int) -> dict[int, str]:
    """Find the next messages with an older index."""
    hidden = visible(db)
    rows = db.execute(
        f"SELECT messages.place, {WORDS} FROM messages {SUMMED}"
        " WHERE messages.place > ? AND terms_version < ?"
        f"{hidden and ' AND ' + hidden} ORDER BY messages.place LIMIT ?",
        (after, TERMS_VERSION, limit),
    )
    return within(((place, words_of(words)) for place, words in rows), _CHARACTERS)


def exchange(db: apsw.Connection, indexed: Mapping[int, Indexed], older_than: int | None = None) -> bool:
    """Exchange the terms of messages that are still there; only older ones, if a version is given.

    Returns whether the index holds the old ones until it is merged.
    """
    hidden = visible(db)
    old = {
        place: (terms, length)
        for place, terms, length in db.execute(
            "SELECT place, terms, length FROM messages WHERE terms_version < coalesce(?, 1 << 62)"
            f" AND place IN (SELECT value FROM json_each(?)){hidden and ' AND ' + hidden}",
            (older_than, json.dumps(list(indexed))),
        )
    }
    entries = [(place, terms) for place, (terms, _) in old.items()]
    little = older_than is None and erasing.is_little(len(old), sum(length for _, length in old.values()))
    (erasing.wipe if little else erasing.cancel)(db, entries)
    for place, (_, length) in old.items():
        new = indexed[place]
        db.execute("INSERT INTO words(rowid, terms) VALUES (?, ?)", (place, new.terms))
        db.execute(
            "UPDATE messages SET terms = ?, length = ?, traits = ?, terms_version = ? WHERE place = ?",
            (new.terms, new.length, int(new.traits), TERMS_VERSION, place),
        )
        db.execute("UPDATE state SET total_length = total_length + ?", (new.length - length,))
    return bool(entries) and not little


def reindex(db: apsw.Connection, job: Job, indexed: Mapping[int, Indexed], now: int, lease_ms: int) -> Job:
    """Exchange the terms of messages, if nobody did it before."""
    jobs.hold(db, job, now, lease_ms)
    exchange(db, indexed, older_than=TERMS_VERSION)
    progress = max(indexed, default=job.progress)
    jobs.advance(db, "reindexing", progress, job.revision)
    return replace(job, progress=progress)


def finish(db: apsw.Connection, job: Job, now: int) -> bool:
    """Finish a job; where it made an index anew, have the old words leave it too."""
    finished = jobs.finish(db, job)
    if finished and job.kind == "reindexing":
        erasing.ask_for_merge(db, now)
    return finished
