"""What a selection finds, and how it is forgotten: gone from every read in one transaction.

Few messages named by id leave at once. More, a topic, or everything, are hidden; see ``erasing``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.sqlite import erasing, jobs
from mem1_mcp.stores.sqlite.documents import (
    load_confirmation,
    load_profile,
    load_profiles,
    rewrite_profile,
    save_profile,
    write_confirmation,
)
from mem1_mcp.stores.sqlite.reading import messages
from mem1_mcp.stores.sqlite.scoping import visible
from mem1_mcp.types import Confirmation, Forgotten, Item, Mark, Profile, Selected, Selection
from mem1_mcp.types.profile import forgetting

if TYPE_CHECKING:
    import apsw


def select(db: apsw.Connection, selection: Selection, limit: int, skip: int) -> Selected:
    """Find what a selection takes as things stand."""
    mark = Mark(
        call=db.execute("SELECT coalesce(max(id), 0) FROM calls").get,
        item=load_profile(db).next_number - 1,
    )
    condition, values = _selected(db, selection, mark)
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


def forget(db: apsw.Connection, token_hash: str, now: int) -> Forgotten:
    """Forget what a preview names and note it there; pending until the job it asks for is done."""
    confirmation = load_confirmation(db, token_hash)
    if confirmation is None:
        return Forgotten()
    if confirmation.done:
        erasing_still = db.execute("SELECT count(*) FROM jobs WHERE kind = 'erasure'").get
        return replace(confirmation.taken, pending=bool(erasing_still))
    selection, mark = confirmation.selection, confirmation.mark
    gone = _evidence_taken(db, selection, mark)
    topics = _topics_named(db, selection)
    jobs.ask(db, "erasure", now)
    taken = _take_places(db, selection) if selection.places else _hide(db, selection, mark)
    items = _scrub_profiles(db, confirmation, gone, now, changed=taken > 0)
    erasing.clear_topics(db, topics)
    if selection.everything:
        db.execute("DELETE FROM parked")
    done = Forgotten(taken, items)
    # The note must not keep what it says is gone, nor may other previews of the same.
    db.execute(
        "DELETE FROM confirmations WHERE NOT json_extract(content, '$.done')"
        " AND (? OR json_extract(content, '$.selection.topic') = ?)",
        (selection.everything, selection.topic),
    )
    write_confirmation(db, replace(confirmation, selection=Selection(), taken=done, done=True))
    return replace(done, pending=True)


def _items(db: apsw.Connection) -> list[Item]:
    """Return the items of all versions of the profile."""
    return [item for profile in load_profiles(db) for item in profile.items]


def _topics_named(db: apsw.Connection, selection: Selection) -> list[int]:
    """Return the topics that what is named by id lies in."""
    told = [item.topic for item in _items(db) if item.id in selection.items]
    rows = db.execute(
        "SELECT topic FROM messages WHERE place IN (SELECT value FROM json_each(?))"
        " UNION SELECT id FROM topics WHERE name IN (SELECT value FROM json_each(?))",
        (json.dumps(selection.places), json.dumps(told)),
    )
    return [topic for (topic,) in rows]


def _evidence_taken(db: apsw.Connection, selection: Selection, mark: Mark) -> frozenset[int]:
    """Return the messages the profile rests on that the selection takes, or that are gone already."""
    evidence = {place for item in _items(db) for place in item.evidence}
    condition, values = _selected(db, selection, mark)
    hidden = visible(db)
    kept = {
        place
        for (place,) in db.execute(
            "SELECT place FROM json_each(?) CROSS JOIN messages ON place = json_each.value"
            # Not `NOT`: of a topic that holds facts alone there is no number, and the condition is NULL.
            f" WHERE ({condition}) IS NOT TRUE{hidden and ' AND ' + hidden}",
            (json.dumps(sorted(evidence)), *values),
        )
    }
    return frozenset(evidence - kept)


def _take_places(db: apsw.Connection, selection: Selection) -> int:
    condition, values = _selected(db, selection, Mark(0, 0))
    rows: list[Any] = db.execute(
        f"SELECT place, call, topic, length, {erasing.COST} FROM messages WHERE {condition}", values
    ).fetchall()
    places = [row[0] for row in rows]
    if erasing.is_little(len(rows), sum(row[4] for row in rows)):
        erasing.take_at_once(db, places)
    else:
        db.executemany("INSERT INTO hidden_places(place) VALUES (?)", [(place,) for place in places])
    db.executemany("UPDATE topics SET messages = messages - 1 WHERE id = ?", [(row[2],) for row in rows])
    _count_off(db, len(rows), sum(row[3] for row in rows))
    _forget_calls(db, {row[1] for row in rows}, set(places))
    return len(rows)


def _forget_calls(db: apsw.Connection, calls: set[int], gone: set[int]) -> None:
    emptied = []
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
            emptied.append(call)
    erasing.drop_calls(db, emptied)


def _hide(db: apsw.Connection, selection: Selection, mark: Mark) -> int:
    """Hide a topic, or everything; what is counted is right from now on."""
    if selection.topic is None and not selection.everything:
        return 0
    condition, values = _selected(db, selection, mark)
    found: list[Any] = db.execute(
        f"SELECT topic, count(*), sum(length) FROM messages WHERE {condition} GROUP BY topic", values
    ).fetchall()
    db.executemany(
        "UPDATE topics SET messages = messages - ? WHERE id = ?", [(counted, t) for t, counted, _ in found]
    )
    taken: int = sum(counted for _, counted, _ in found)
    _count_off(db, taken, sum(length for _, _, length in found))
    if selection.everything:
        # One row hides what they hid, but for what a preview after this one showed.
        db.execute("DELETE FROM hidden WHERE call <= ?", (mark.call,))
        db.execute("INSERT INTO hidden(topic, call) VALUES (NULL, ?)", (mark.call,))
    else:
        topic = "SELECT id FROM topics WHERE name = ?"
        db.execute(
            f"DELETE FROM hidden WHERE topic = ({topic}) AND call <= ?", (selection.topic, mark.call)
        )
        db.execute(
            f"INSERT INTO hidden(topic, call) SELECT id, ? FROM ({topic})", (mark.call, selection.topic)
        )
    return taken


def _count_off(db: apsw.Connection, messages_gone: int, length_gone: int) -> None:
    db.execute(
        "UPDATE state SET messages = messages - ?, total_length = total_length - ?",
        (messages_gone, length_gone),
    )


def _scrub_profiles(
    db: apsw.Connection, confirmation: Confirmation, gone: frozenset[int], now: int, *, changed: bool
) -> int:
    versions = load_profiles(db)
    left, items = forgetting(versions, confirmation.selection, confirmation.mark, gone)
    for before, after in zip(versions, left, strict=True):
        if after is not before:
            rewrite_profile(db, after)
            changed = True
    if changed:
        # Also where no line rests on it: whoever is deriving lines from it now must not save them.
        present = left[0] if left else Profile()
        save_profile(db, present.after_forgetting(now))
    return len(items)


def _selected(db: apsw.Connection, selection: Selection, mark: Mark) -> tuple[str, tuple[object, ...]]:
    """Write a selection as a condition on messages."""
    values: list[object]
    if selection.everything:
        condition, values = "call <= ?", [mark.call]
    elif selection.topic is not None:
        condition = "topic = (SELECT id FROM topics WHERE name = ?) AND call <= ?"
        values = [selection.topic, mark.call]
    else:
        condition, values = "place IN (SELECT value FROM json_each(?))", [json.dumps(selection.places)]
    hidden = visible(db)
    return condition + (hidden and f" AND {hidden}"), tuple(values)
