"""How forgotten messages leave the file: in steps, each one transaction of the caller's.

FTS5 can wipe a word from its index at once (its option ``secure-delete``), which costs a millisecond a
message: right for a few. For many, entries that cancel them are written instead, and merging the
index afterwards leaves both out; that rewrites the index and costs the same however many they are.
An entry can only be taken back with the terms it was made from, which is why they are kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.sqlite import jobs
from mem1_mcp.stores.sqlite.documents import load_profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

# What is wiped from the index within its own transaction, and what a step takes otherwise: messages,
# and words in them. Either holds the write lock for some 100 ms, but for a message that is longer.
_AT_ONCE, _WORDS_AT_ONCE = 100, 2_000
_SLICE, _WORDS_IN_SLICE = 500, 30_000
# An image's bytes are wiped too: so many of them take as long as a word.
_BYTES_A_WORD = 400
COST = (
    f"length + coalesce((SELECT size / {_BYTES_A_WORD} FROM images WHERE images.place = messages.place), 0)"
)
_MERGED_PAGES = 400  # of the index, a step: some 40 ms

# The progress of the job: the index has been cancelled in and must be merged; it is being merged.
_TO_MERGE, _MERGING = 1, 2


def is_little(messages: int, words: int) -> bool:
    """Whether so much is wiped from the index at once."""
    return messages <= _AT_ONCE and words <= _WORDS_AT_ONCE


def take_at_once(db: apsw.Connection, places: Sequence[int]) -> None:
    """Take few messages out, wiped from the index too."""
    rows: list[Any] = db.execute(
        "SELECT place, terms, name FROM messages WHERE place IN (SELECT value FROM json_each(?))",
        (json.dumps(places),),
    ).fetchall()
    wipe(db, [row[:2] for row in rows])
    _delete(db, rows)


def wipe(db: apsw.Connection, rows: Sequence[tuple[int, str]]) -> None:
    """Take few index entries out, every byte of them: (place, terms) each."""
    db.executemany("INSERT INTO words(words, rowid, terms) VALUES ('delete', ?, ?)", rows)


def cancel(db: apsw.Connection, rows: Sequence[tuple[int, str]]) -> None:
    """Cancel index entries: (place, terms) each. Until it is merged, the index still holds the words."""
    db.execute("INSERT INTO words(words, rank) VALUES ('secure-delete', 0)")
    db.executemany("INSERT INTO words(words, rowid, terms) VALUES ('delete', ?, ?)", rows)
    db.execute("INSERT INTO words(words, rank) VALUES ('secure-delete', 1)")


def _delete(db: apsw.Connection, rows: Sequence[Any]) -> None:
    db.executemany("DELETE FROM messages WHERE place = ?", [(row[0],) for row in rows])
    db.executemany(
        "UPDATE speakers SET messages = messages - 1 WHERE name = ?", [(row[2],) for row in rows if row[2]]
    )
    db.execute("DELETE FROM speakers WHERE messages <= 0")


def clear_topics(db: apsw.Connection, topics: Iterable[int]) -> None:
    """Take out the names of these topics where nothing is in them any more, wherever they stand.

    A call that held facts alone keeps a topic only as long as the profile has lines of it.
    """
    told = {item.topic for profile in load_profiles(db) for item in profile.items}
    found = db.execute(
        "SELECT id, name FROM topics WHERE messages <= 0 AND id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(topics)),),
    )
    emptied = [topic for topic, name in found if name not in told]
    for topic in emptied:
        held_facts = db.execute("SELECT id FROM calls WHERE topic = ? AND places = '[]'", (topic,))
        drop_calls(db, [call for (call,) in held_facts])
        name = db.execute(
            "DELETE FROM topics WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM calls WHERE topic = ?1)"
            " RETURNING name",
            (topic,),
        ).get
        db.execute(
            "DELETE FROM confirmations WHERE json_extract(content, '$.selection.topic') = ?", (name,)
        )


def ask_for_merge(db: apsw.Connection, now: int) -> None:
    """Have the index merged, since entries were cancelled in it whose messages stay."""
    jobs.ask(db, "erasure", now)
    note_merge(db)


def note_merge(db: apsw.Connection) -> None:
    """Have the job merge the index, from the start if it was merging already."""
    jobs.advance(db, "erasure", _TO_MERGE)


def step(db: apsw.Connection, progress: int) -> bool:
    """Erase a slice of what is hidden, or merge a part of the index; false when there is neither."""
    if db.execute("SELECT 1 FROM hidden_places LIMIT 1").get:
        _take_slice(db, "place IN (SELECT place FROM hidden_places)", ())
        db.execute("DELETE FROM hidden_places WHERE place NOT IN (SELECT place FROM messages)")
        note_merge(db)
        return True
    hidden = db.execute("SELECT id, topic, call FROM hidden ORDER BY id LIMIT 1").get
    if hidden is not None:
        if not _erase_slice(db, *hidden[1:]):
            db.execute("DELETE FROM hidden WHERE id = ?", (hidden[0],))
            note_merge(db)
        return True
    if progress not in (_TO_MERGE, _MERGING):
        return False
    before = db.total_changes()
    # A negative number begins to merge everything there is, a positive one goes on with it.
    pages = -_MERGED_PAGES if progress == _TO_MERGE else _MERGED_PAGES
    db.execute("INSERT INTO words(words, rank) VALUES ('merge', ?)", (pages,))
    # The command itself counts as one.
    merged = db.total_changes() - before > 1
    jobs.advance(db, "erasure", _MERGING if merged else 0)
    return True


def _erase_slice(db: apsw.Connection, topic: int | None, call: int) -> bool:
    """Take out the next messages of what is hidden; false when only what held them was left."""
    calls = _take_slice(db, *_of_hidden("call", topic, call))
    if calls:
        drop_calls(db, calls)
        return True
    # Calls that held facts alone.
    condition, values = _of_hidden("id", topic, call)
    drop_calls(db, [each for (each,) in db.execute(f"SELECT id FROM calls WHERE {condition}", values)])
    emptied = [topic] if topic else [each for (each,) in db.execute("SELECT id FROM topics")]
    clear_topics(db, emptied)
    return False


def _take_slice(db: apsw.Connection, condition: str, values: tuple[int, ...]) -> set[int]:
    """Take out the next messages that fit; return their calls."""
    rows: list[Any] = []
    words = 0
    for row in db.execute(
        f"SELECT place, terms, name, call, {COST} FROM messages WHERE {condition} LIMIT {_SLICE}", values
    ):
        rows.append(row[:4])
        words += row[4]
        if words >= _WORDS_IN_SLICE:
            break
    cancel(db, [row[:2] for row in rows])
    _delete(db, rows)
    return {row[3] for row in rows}


def _of_hidden(column: str, topic: int | None, call: int) -> tuple[str, tuple[int, ...]]:
    if topic is None:
        return f"{column} <= ?", (call,)
    return f"topic = ? AND {column} <= ?", (topic, call)


def drop_calls(db: apsw.Connection, calls: Iterable[int]) -> None:
    """Take calls out, with their labels."""
    chosen = [(call,) for call in calls]
    db.executemany("DELETE FROM labels WHERE call = ?", chosen)
    db.executemany("DELETE FROM calls WHERE id = ?", chosen)
