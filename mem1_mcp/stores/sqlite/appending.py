"""How a call comes into a user's file, inside one transaction of the caller's."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mem1_mcp.errors import RequestIdReusedError
from mem1_mcp.stores.sqlite import images, jobs, summaries
from mem1_mcp.stores.sqlite.scoping import visible_calls
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import ROLES, Appended, Tail, label, place_of

if TYPE_CHECKING:
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
            _digest(call.request_id),
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
    hidden = visible_calls(db)
    known = hidden and f" AND {hidden}"
    if call.request_id is not None:
        digest = _digest(call.request_id)
        found = db.execute(
            f"SELECT fingerprint, places FROM calls WHERE request_id = ?{known}", (digest,)
        ).get
        if found is None:
            # Of a call that is forgotten and not yet erased: its id is free again.
            db.execute("UPDATE calls SET request_id = NULL WHERE request_id = ?", (digest,))
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
        f" WHERE topics.name = ? AND calls.fingerprint = ? AND calls.arrived_at BETWEEN ? AND ?{known}",
        # As far ahead as back: what lies further ahead came before a clock was set back.
        (call.topic, call.fingerprint, call.repeat_since, 2 * call.arrived_at - call.repeat_since),
    ).get
    return None if places is None else tuple(json.loads(places))


def _digest(request_id: str | None) -> bytes | None:
    # Some programs put what was said into it; equality is all that is asked of it.
    return None if request_id is None else hashlib.sha256(request_id.encode()).digest()


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
                TERMS_VERSION,
                indexed.terms,
                message.content,
            )
        )
    db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    if long := [row[0] for row, (message, _) in zip(rows, call.messages, strict=True) if message.long]:
        summaries.note(db, long, call.arrived_at)
    if any(message.image for message, _ in call.messages):
        placed = ((row[0], message) for row, (message, _) in zip(rows, call.messages, strict=True))
        images.keep(db, placed, call.arrived_at)
    db.executemany("INSERT INTO words(rowid, terms) VALUES (?, ?)", [(r[0], r[9]) for r in rows])
    if db.execute("SELECT terms_version FROM state").get > TERMS_VERSION:
        # Beside a newer program; that one has to index these again.
        jobs.ask(db, "reindexing", call.arrived_at, back_to=min(row[0] for row in rows) - 1)
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
