"""Long messages and their summaries: the summary takes the message's place, its words lie compressed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from mem1_mcp.stores.slices import within
from mem1_mcp.stores.sqlite import erasing, jobs, reindexing
from mem1_mcp.stores.sqlite.scoping import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import apsw

    from mem1_mcp.types import Job, Summary

_CHARACTERS = 40_000  # of the messages of one step, or one message that is longer


def note(db: apsw.Connection, places: Iterable[int], now: int) -> None:
    """Have these messages summarised."""
    db.executemany("INSERT INTO long_messages(place) VALUES (?)", [(place,) for place in places])
    jobs.ask(db, "summary", now)


def unsummarised(db: apsw.Connection, limit: int) -> dict[int, str]:
    """Find the next messages that wait for a summary."""
    hidden = visible(db)
    rows = db.execute(
        "SELECT messages.place, content FROM long_messages CROSS JOIN messages"
        " ON messages.place = long_messages.place WHERE NOT summarised"
        f"{hidden and ' AND ' + hidden} ORDER BY messages.place LIMIT ?",
        (limit,),
    )
    return within(rows, _CHARACTERS)


def keep(db: apsw.Connection, job: Job, summaries: Mapping[int, Summary], now: int, lease_ms: int) -> None:
    """Put summaries in the place of messages that still wait for one.

    Raises:
        LeaseLostError: another owner has the job.

    """
    jobs.hold(db, job, now, lease_ms)
    for place, summary in summaries.items():
        said: str | None = db.execute(
            "SELECT content FROM messages JOIN long_messages USING (place)"
            " WHERE place = ? AND NOT summarised",
            (place,),
        ).get
        if said is None:
            continue
        words = None if summary.indexed else zlib.compress(said.encode())
        db.execute("UPDATE long_messages SET summarised = 1, words = ? WHERE place = ?", (words, place))
        db.execute("UPDATE messages SET content = ? WHERE place = ?", (summary.text, place))
        if summary.indexed is not None and reindexing.exchange(db, {place: summary.indexed}):
            erasing.ask_for_merge(db, now)
    if summaries:
        jobs.advance(db, "summary", 0)
