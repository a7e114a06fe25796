"""What changes a user's file. Each function runs inside one transaction of the caller's."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.errors import RequestIdReusedError
from mem1_mcp.types import (
    ROLES,
    Appended,
    Confirmation,
    Forgotten,
    Item,
    Mark,
    Profile,
    Selection,
    Tail,
    label,
    place_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from mem1_mcp.types import Call


def append(db: apsw.Connection, call: Call) -> Appended:
    """Keep a call's messages with their index, or find that an earlier delivery did."""
    earlier = _earlier_delivery(db, call)
    if earlier is not None:
        return Appended(earlier, duplicate=True)
    topic, tail = _topic(db, call.topic)
    call_id: int = db.execute(
        "INSERT INTO calls(topic, arrived_at, fingerprint, request_id, metadata, places)"
        " VALUES (?, ?, ?, ?, ?, '[]') RETURNING id",
        (
            topic,
            call.arrived_at,
            call.fingerprint,
            call.request_id,
            json.dumps(dict(call.metadata), ensure_ascii=False) if call.metadata else None,
        ),
    ).get
    db.executemany(
        "INSERT OR IGNORE INTO labels(name, value, call) VALUES (?, ?, ?)",
        [(name, label(value), call_id) for name, value in call.metadata.items()],
    )
    if not call.messages:
        return Appended((), duplicate=False)
    places, tail = _add_messages(db, call, call_id, topic, tail)
    db.execute("UPDATE calls SET places = ? WHERE id = ?", (json.dumps(places), call_id))
    db.execute(
        "UPDATE topics SET messages = messages + ?, newest_call = ?, conversation = ?, position = ?,"
        " said_at = ? WHERE id = ?",
        (len(places), call_id, tail.conversation, tail.position, tail.said_at, topic),
    )
    _count(db, call)
    return Appended(tuple(places), duplicate=False)


def _earlier_delivery(db: apsw.Connection, call: Call) -> tuple[int, ...] | None:
    if call.request_id is not None:
        found = db.execute(
            "SELECT fingerprint, places FROM calls WHERE request_id = ?", (call.request_id,)
        ).get
        if found is None:
            return None
        fingerprint, places = found
        if fingerprint != call.fingerprint:
            raise RequestIdReusedError(
                f"request_id: {call.request_id!r} was used before for other content. Nothing was "
                "saved. Use a new request_id for a new call, the same one only to repeat a call."
            )
        return tuple(json.loads(places))
    if call.repeat_since is None:
        return None
    places = db.execute(
        "SELECT calls.places FROM topics JOIN calls ON calls.id = topics.newest_call"
        " WHERE topics.name = ? AND calls.fingerprint = ? AND calls.arrived_at >= ?",
        (call.topic, call.fingerprint, call.repeat_since),
    ).get
    return None if places is None else tuple(json.loads(places))


def _topic(db: apsw.Connection, name: str) -> tuple[int, Tail | None]:
    found = db.execute("SELECT id, conversation, position, said_at FROM topics WHERE name = ?", (name,)).get
    if found is None:
        topic: int = db.execute("INSERT INTO topics(name) VALUES (?) RETURNING id", (name,)).get
        return topic, None
    topic, conversation, position, said_at = found
    return topic, None if conversation is None else Tail(conversation, position, said_at)


def _add_messages(
    db: apsw.Connection, call: Call, call_id: int, topic: int, tail: Tail | None
) -> tuple[list[int], Tail]:
    fresh: int = db.execute("SELECT conversations FROM state").get
    rows = []
    for message, indexed in call.messages:
        before = tail
        tail = Tail(fresh, 0, message.said_at) if before is None else before.next(message.said_at, fresh)
        fresh += before is None or tail.conversation != before.conversation
        rows.append(
            (
                place_of(tail.conversation, tail.position),
                call_id,
                topic,
                message.said_at,
                ROLES.index(message.role),
                message.name,
                int(indexed.traits),
                indexed.length,
                indexed.terms,
                message.content,
            )
        )
    db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    db.executemany("INSERT INTO words(rowid, terms) VALUES (?, ?)", [(r[0], r[8]) for r in rows])
    db.execute("UPDATE state SET conversations = ?", (fresh,))
    assert tail is not None  # noqa: S101 - there is at least one message
    return [row[0] for row in rows], tail


def _count(db: apsw.Connection, call: Call) -> None:
    a_round = any(message.role == "user" for message, _ in call.messages)
    db.execute(
        "UPDATE state SET messages = messages + ?, total_length = total_length + ?, rounds = rounds + ?",
        (len(call.messages), sum(indexed.length for _, indexed in call.messages), a_round),
    )
    db.executemany(
        "INSERT INTO speakers(name, messages) VALUES (?, 1)"
        " ON CONFLICT(name) DO UPDATE SET messages = messages + 1",
        [(message.name,) for message, _ in call.messages if message.name],
    )


def load_profile(db: apsw.Connection) -> Profile:
    """Read the profile, empty when there is none."""
    found = db.execute("SELECT version, next_number, items FROM profile").get
    if found is None:
        return Profile()
    version, next_number, items = found
    return Profile(
        version=version,
        next_number=next_number,
        items=tuple(Item(**{**item, "evidence": tuple(item["evidence"])}) for item in json.loads(items)),
    )


def save_profile(db: apsw.Connection, profile: Profile) -> bool:
    """Keep the profile if it follows the kept one."""
    kept: int = db.execute("SELECT coalesce(max(version), 0) FROM profile").get
    if kept != profile.version - 1:
        return False
    db.execute(
        "INSERT INTO profile(id, version, next_number, items) VALUES (1, ?, ?, ?) ON CONFLICT(id) "
        "DO UPDATE SET version = excluded.version, next_number = excluded.next_number, "
        "items = excluded.items",
        (
            profile.version,
            profile.next_number,
            json.dumps([asdict(item) for item in profile.items], ensure_ascii=False),
        ),
    )
    return True


def keep_confirmation(db: apsw.Connection, confirmation: Confirmation, expired_at: int) -> None:
    """Keep a preview, and drop those that ran out."""
    db.execute("DELETE FROM confirmations WHERE expires_at < ?", (expired_at,))
    _write_confirmation(db, confirmation)


def _write_confirmation(db: apsw.Connection, confirmation: Confirmation) -> None:
    content = asdict(confirmation)
    del content["token_hash"], content["expires_at"]
    db.execute(
        "INSERT INTO confirmations(token_hash, expires_at, content) VALUES (?, ?, ?)"
        " ON CONFLICT(token_hash) DO UPDATE SET content = excluded.content",
        (
            confirmation.token_hash,
            confirmation.expires_at,
            json.dumps(content, ensure_ascii=False),
        ),
    )


def load_confirmation(db: apsw.Connection, token_hash: str) -> Confirmation | None:
    """Read a kept preview."""
    found = db.execute(
        "SELECT expires_at, content FROM confirmations WHERE token_hash = ?", (token_hash,)
    ).get
    if found is None:
        return None
    content = json.loads(found[1])
    selection = content["selection"]
    return Confirmation(
        token_hash=token_hash,
        expires_at=found[0],
        selection=Selection(
            places=tuple(selection["places"]),
            items=tuple(selection["items"]),
            topic=selection["topic"],
            everything=selection["everything"],
        ),
        mark=Mark(**content["mark"]),
        done=None if content["done"] is None else Forgotten(**content["done"]),
    )


def forget_some(db: apsw.Connection, confirmation: Confirmation, limit: int) -> int:
    """Take away up to ``limit`` messages of the selection; return how many there were."""
    condition, values = selected(confirmation.selection, confirmation.mark)
    rows: list[Any] = db.execute(
        "SELECT place, call, topic, name, length, terms FROM messages"
        f" WHERE {condition} ORDER BY place LIMIT ?",
        (*values, limit),
    ).fetchall()
    db.executemany(
        "INSERT INTO words(words, rowid, terms) VALUES ('delete', ?, ?)",
        [(row[0], row[5]) for row in rows],
    )
    db.executemany("DELETE FROM messages WHERE place = ?", [(row[0],) for row in rows])
    db.executemany(
        "UPDATE speakers SET messages = messages - 1 WHERE name = ?",
        [(r[3],) for r in rows if r[3]],
    )
    db.execute("DELETE FROM speakers WHERE messages <= 0")
    db.executemany("UPDATE topics SET messages = messages - 1 WHERE id = ?", [(row[2],) for row in rows])
    db.execute(
        "UPDATE state SET messages = messages - ?, total_length = total_length - ?",
        (len(rows), sum(row[4] for row in rows)),
    )
    _forget_calls(db, {row[1] for row in rows}, {row[0] for row in rows})
    _scrub_profile(db, confirmation, frozenset(row[0] for row in rows))
    return len(rows)


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
    if left is profile:
        return 0
    save_profile(db, left)
    return len(profile.items) - len(left.items)


def finish_forgetting(db: apsw.Connection, confirmation: Confirmation, done: Forgotten) -> None:
    """Take away what is left of emptied topics and calls, and note the preview as done."""
    if confirmation.selection.everything:
        emptied = "calls.id <= ? AND calls.places = '[]'"
        values: tuple[object, ...] = (confirmation.mark.call,)
    elif confirmation.selection.topic is not None:
        emptied = "calls.id <= ? AND calls.places = '[]' AND topic = (SELECT id FROM topics WHERE name = ?)"
        values = (confirmation.mark.call, confirmation.selection.topic)
    else:
        emptied, values = "0", ()
    db.execute(
        f"DELETE FROM labels WHERE call IN (SELECT id FROM calls WHERE {emptied})",
        values,
    )
    db.execute(f"DELETE FROM calls WHERE {emptied}", values)
    db.execute(
        "DELETE FROM topics WHERE messages <= 0"
        " AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.topic = topics.id)"
    )
    # The note must not keep what it says is gone.
    _write_confirmation(db, replace(confirmation, selection=Selection(), done=done))


def selected(selection: Selection, mark: Mark) -> tuple[str, tuple[object, ...]]:
    """Write a selection as a condition on messages."""
    if selection.everything:
        return "call <= ?", (mark.call,)
    if selection.topic is not None:
        return (
            "topic = (SELECT id FROM topics WHERE name = ?) AND call <= ?",
            (selection.topic, mark.call),
        )
    return "place IN (SELECT value FROM json_each(?))", (json.dumps(selection.places),)
