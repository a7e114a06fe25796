"""What a selection finds, and how it leaves the file again.

An index entry can only be taken back with the terms it was made from, which is why they are kept
beside the text.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.sqlite.documents import (
    load_confirmation,
    load_profile,
    save_profile,
    write_confirmation,
)
from mem1_mcp.stores.sqlite.reading import messages
from mem1_mcp.types import Confirmation, Forgotten, Mark, Selected, Selection

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw


def select(db: apsw.Connection, selection: Selection, limit: int, skip: int) -> Selected:
    """Find what a selection takes as things stand."""
    mark = Mark(
        call=db.execute("SELECT coalesce(max(id), 0) FROM calls").get,
        item=load_profile(db).next_number - 1,
    )
    condition, values = _selected(selection, mark)
    counted, first_at, last_at = db.execute(
        f"SELECT count(*), min(said_at), max(said_at) FROM messages WHERE {condition}",
        values,
    ).get
    chosen: list[Any] = db.execute(
        f"SELECT place FROM messages WHERE {condition} ORDER BY said_at, place LIMIT ? OFFSET ?",
        (*values, limit, skip),
    ).fetchall()
    lines = messages(db, [place for (place,) in chosen])
    return Selected(counted, first_at or 0, last_at or 0, lines, mark)


def forget_some(db: apsw.Connection, token_hash: str, limit: int) -> Confirmation | None:
    """Take away up to ``limit`` messages of a preview, and note in it what went so far.

    The note is done when nothing is left. Another process may be taking slices of the same.
    """
    confirmation = load_confirmation(db, token_hash)
    if confirmation is None or confirmation.done:
        return confirmation
    condition, values = _selected(confirmation.selection, confirmation.mark)
    rows: list[Any] = db.execute(
        "SELECT place, call, topic, name, length, terms FROM messages"
        f" WHERE {condition} ORDER BY place LIMIT ?",
        (*values, limit),
    ).fetchall()
    _take(db, rows)
    items = _scrub_profile(db, confirmation, frozenset(row[0] for row in rows))
    before = confirmation.taken
    noted = replace(
        confirmation,
        taken=Forgotten(before.messages + len(rows), before.items + items),
        done=len(rows) < limit,
    )
    if noted.done:
        _clear_emptied(db, confirmation)
        # The note must not keep what it says is gone.
        noted = replace(noted, selection=Selection())
    write_confirmation(db, noted)
    return noted


def _take(db: apsw.Connection, rows: list[Any]) -> None:
    db.executemany(
        "INSERT INTO words(words, rowid, terms) VALUES ('delete', ?, ?)",
        [(row[0], row[5]) for row in rows],
    )
    db.executemany("DELETE FROM messages WHERE place = ?", [(row[0],) for row in rows])
    db.executemany(
        "UPDATE speakers SET messages = messages - 1 WHERE name = ?", [(r[3],) for r in rows if r[3]]
    )
    db.execute("DELETE FROM speakers WHERE messages <= 0")
    db.executemany("UPDATE topics SET messages = messages - 1 WHERE id = ?", [(row[2],) for row in rows])
    db.execute(
        "UPDATE state SET messages = messages - ?, total_length = total_length - ?",
        (len(rows), sum(row[4] for row in rows)),
    )
    _forget_calls(db, {row[1] for row in rows}, {row[0] for row in rows})


def _forget_calls(db: apsw.Connection, calls: Iterable[int], gone: set[int]) -> None:
    for call in calls:
        places: list[int] = json.loads(db.execute("SELECT places FROM calls WHERE id = ?", (call,)).get)
        left = [place for place in places if place not in gone]
        if left:
            # What is left is another call than the one that came; a repeat of that one is new.
            db.execute(
                "UPDATE calls SET places = ?, fingerprint = zeroblob(32), request_id = NULL WHERE id = ?",
                (json.dumps(left), call),
            )
        else:
            db.execute("DELETE FROM labels WHERE call = ?", (call,))
            db.execute("DELETE FROM calls WHERE id = ?", (call,))


def _scrub_profile(db: apsw.Connection, confirmation: Confirmation, gone: frozenset[int]) -> int:
    profile = load_profile(db)
    left = profile.forgetting(confirmation.selection, confirmation.mark, gone)
    if left is profile and not gone:
        return 0
    # Also where no line rests on it: whoever is deriving lines from it now must not save them.
    save_profile(db, replace(left, version=profile.version + 1))
    return len(profile.items) - len(left.items)


def _clear_emptied(db: apsw.Connection, confirmation: Confirmation) -> None:
    """Take away calls and topics that hold no message any more, as far as the selection goes."""
    selection = confirmation.selection
    if selection.everything:
        values: tuple[object, ...]
        emptied, values = "calls.id <= ? AND places = '[]'", (confirmation.mark.call,)
    elif selection.topic is not None:
        emptied = "calls.id <= ? AND places = '[]' AND topic = (SELECT id FROM topics WHERE name = ?)"
        values = (confirmation.mark.call, selection.topic)
    else:
        emptied, values = "0", ()
    db.execute(f"DELETE FROM labels WHERE call IN (SELECT id FROM calls WHERE {emptied})", values)
    db.execute(f"DELETE FROM calls WHERE {emptied}", values)
    # Other previews of the same name it too.
    db.execute(
        "DELETE FROM confirmations WHERE ? OR json_extract(content, '$.selection.topic') = ?",
        (selection.everything, selection.topic),
    )
    db.execute(
        "DELETE FROM topics WHERE messages <= 0"
        " AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.topic = topics.id)"
    )


def _selected(selection: Selection, mark: Mark) -> tuple[str, tuple[object, ...]]:
    """Write a selection as a condition on messages."""
    if selection.everything:
        return "call <= ?", (mark.call,)
    if selection.topic is not None:
        return (
            "topic = (SELECT id FROM topics WHERE name = ?) AND call <= ?",
            (selection.topic, mark.call),
        )
    return "place IN (SELECT value FROM json_each(?))", (json.dumps(selection.places),)
