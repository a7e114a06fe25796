"""What holds in a user's file at every moment, whoever was killed or is writing just now."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import apsw

_BUSY_MS = 30_000

# What no hiding row leaves out, said anew: the package's own condition may be wrong.
_VISIBLE = """
CREATE TEMP VIEW visible AS SELECT * FROM messages WHERE NOT EXISTS (
    SELECT 1 FROM hidden WHERE messages.call <= hidden.call
    AND (hidden.topic IS NULL OR hidden.topic = messages.topic))
"""


def users_file(folder: Path) -> Path:
    """Return the only user's file in this folder."""
    (path,) = folder.rglob("*.db")
    return path


def connection_to(path: Path) -> apsw.Connection:
    """Open a user's file as another program would; closing it leaves the log where it is."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(_BUSY_MS)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return db


def kept(path: Path) -> dict[int, str]:
    """Return what every message says by its place, also of those that are hidden."""
    db = connection_to(path)
    try:
        return dict(db.execute("SELECT place, content FROM messages"))
    finally:
        db.close()


def assert_whole(path: Path) -> None:
    """Check all that must hold between calls, messages, index and counters, as of one moment.

    Others may go on writing meanwhile.
    """
    db = connection_to(path)
    try:
        db.execute("BEGIN")
        db.execute(_VISIBLE)
        # This has the index check itself too.
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        _assert_index_is_that_of_the_messages(db)
        _assert_calls_are_whole(db)
        _assert_counters_are_right(db)
        _assert_topics_go_on_behind_their_last_message(db)
    finally:
        db.close()


def _rows(db: apsw.Connection, query: str) -> list[Any]:
    return db.execute(query).fetchall()


def _assert_index_is_that_of_the_messages(db: apsw.Connection) -> None:
    db.execute("CREATE VIRTUAL TABLE temp.instances USING fts5vocab('main', 'words', 'instance')")
    indexed = defaultdict(set)
    for term, place in db.execute("SELECT term, doc FROM instances"):
        indexed[place].add(term)

    said = {place: set(terms.split()) for place, terms in db.execute("SELECT place, terms FROM messages")}
    assert indexed == {place: terms for place, terms in said.items() if terms}
    assert {place for (place,) in db.execute("SELECT id FROM words_docsize")} == set(said)


def _assert_calls_are_whole(db: apsw.Connection) -> None:
    places = defaultdict(set)
    for call, place in db.execute("SELECT call, place FROM visible"):
        places[call].add(place)

    named = {call: json.loads(text) for call, text in db.execute("SELECT id, places FROM calls")}
    for call, of_call in places.items():
        assert set(named[call]) == of_call
    assert _rows(db, "SELECT * FROM labels WHERE call NOT IN (SELECT id FROM calls)") == []
    assert _rows(db, "SELECT * FROM calls WHERE topic NOT IN (SELECT id FROM topics)") == []
    if _rows(db, "SELECT * FROM hidden"):
        assert _rows(db, "SELECT kind FROM jobs WHERE kind = 'erasure'") == [("erasure",)]
    else:
        assert {call for call, of_call in named.items() if of_call} == set(places)


def _assert_counters_are_right(db: apsw.Connection) -> None:
    messages, length, rounds, conversations = db.execute(
        "SELECT messages, total_length, rounds, conversations FROM state"
    ).get
    assert (messages, length) == db.execute("SELECT count(*), coalesce(sum(length), 0) FROM visible").get

    of_topic = Counter(dict(db.execute("SELECT topic, count(*) FROM visible GROUP BY 1")))
    assert of_topic == Counter(dict(db.execute("SELECT id, messages FROM topics")))
    # Speakers are counted as long as their messages are in the file.
    spoke = _rows(db, "SELECT name, count(*) FROM messages WHERE name <> '' GROUP BY 1")
    assert dict(spoke) == dict(db.execute("SELECT name, messages FROM speakers"))

    rounds_left = db.execute("SELECT count(DISTINCT call) FROM messages WHERE role = 0").get
    calls, calls_ever = db.execute(
        "SELECT count(*), (SELECT max(seq) FROM sqlite_sequence WHERE name = 'calls') FROM calls"
    ).get
    assert rounds == rounds_left if calls == calls_ever else rounds >= rounds_left
    assert db.execute("SELECT coalesce(max(place >> 20), -1) < ? FROM messages", (conversations,)).get


def _assert_topics_go_on_behind_their_last_message(db: apsw.Connection) -> None:
    behind = (
        "SELECT topics.name FROM messages JOIN topics ON topics.id = messages.topic"
        " WHERE place > topics.conversation << 20 | topics.position AND place >> 20 = topics.conversation"
    )
    assert _rows(db, behind) == []
    assert _rows(db, "SELECT * FROM messages WHERE topic NOT IN (SELECT id FROM topics)") == []
