"""What is read from a user's file. Each function runs inside one read transaction of the caller's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.sqlite import images
from mem1_mcp.stores.sqlite.scoping import conditions, visible
from mem1_mcp.stores.sqlite.words import SUMMED, WORDS, words_of
from mem1_mcp.types import (
    MAX_POSITION,
    ROLES,
    Scope,
    Stored,
    Topic,
    Windows,
    conversation_of,
    place_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw


def windows(db: apsw.Connection, scope: Scope, places: Sequence[int], reach: int) -> Windows:
    """Read the messages at and around the places."""
    condition, values = conditions(db, scope)
    until = scope.until if scope.until is not None else 1 << 62
    hidden = visible(db)
    sql = (
        "SELECT place, said_at, role, name, traits, length, terms,"
        f" {condition or '1'} FROM messages WHERE place BETWEEN ? AND ? AND said_at <= ?"
        f"{hidden and ' AND ' + hidden}"
    )
    rows: list[tuple[int, int, int, str, int, int, str, int]] = []
    for first, last in _ranges(places, reach):
        rows += db.execute(sql, (*values, first, last, until))
    if not rows:
        return Windows()
    at, said_at, roles, names, traits, lengths, terms, eligible = zip(*rows, strict=True)
    return Windows(
        places=at,
        said_at=said_at,
        roles=tuple(ROLES[role] for role in roles),
        names=names,
        traits=traits,
        lengths=lengths,
        terms=terms,
        eligible=eligible,
    )


def _ranges(places: Sequence[int], reach: int) -> list[tuple[int, int]]:
    """Join the windows around places that touch, each within its conversation."""
    joined: list[tuple[int, int]] = []
    for place in sorted(places):
        conversation = conversation_of(place)
        first = max(place - reach, place_of(conversation, 0))
        last = min(place + reach, place_of(conversation, MAX_POSITION))
        if joined and first <= joined[-1][1] + 1:
            first = joined.pop()[0]
        joined.append((first, last))
    return joined


def messages(db: apsw.Connection, places: Sequence[int]) -> tuple[Stored, ...]:
    """Read messages by place, in the order asked."""
    hidden = visible(db)
    known, beside = images.known(db, places), images.beside(db, places)
    rows = db.execute(
        f"SELECT messages.place, topics.name, role, messages.name, messages.said_at, {WORDS},"
        " iif(summarised, content, NULL), calls.metadata"
        " FROM json_each(?) CROSS JOIN messages ON messages.place = json_each.value"
        f" JOIN topics ON topics.id = messages.topic JOIN calls ON calls.id = messages.call {SUMMED}"
        f"{hidden and ' WHERE ' + hidden}",
        (json.dumps(list(dict.fromkeys(places))),),
    )
    return tuple(
        Stored(
            place=place,
            topic=topic,
            role=ROLES[role],
            name=name,
            said_at=said_at,
            content=words_of(words),
            metadata={} if metadata is None else json.loads(metadata),
            summary=summary,
            image=known.get(place),
            images=beside.get(place, ()),
        )
        for place, topic, role, name, said_at, words, summary, metadata in rows
    )


def latest(db: apsw.Connection, scope: Scope, limit: int, skip: int) -> tuple[Stored, ...]:
    """Read what was said last in scope."""
    condition, values = conditions(db, scope)
    chosen: list[Any] = db.execute(
        f"SELECT place FROM messages {condition and 'WHERE ' + condition}"
        " ORDER BY said_at DESC, place DESC LIMIT ? OFFSET ?",
        (*values, limit, skip),
    ).fetchall()
    return messages(db, [place for (place,) in chosen])


def count(db: apsw.Connection, scope: Scope) -> int:
    """Count what is in scope."""
    condition, values = conditions(db, scope)
    counted: int = (
        db.execute(f"SELECT count(*) FROM messages WHERE {condition}", values).get
        if condition
        else db.execute("SELECT messages FROM state").get
    )
    return counted


def topics(db: apsw.Connection) -> tuple[Topic, ...]:
    """Read the topics that hold messages, the one used last first."""
    hidden = visible(db)
    of_topic = f"FROM messages WHERE topic = topics.id{hidden and ' AND ' + hidden}"
    rows = db.execute(
        f"SELECT name, messages, (SELECT min(said_at) {of_topic}),"
        f" (SELECT max(said_at) {of_topic}) AS last_at"
        " FROM topics WHERE messages > 0 ORDER BY last_at DESC, name"
    )
    return tuple(Topic(*row) for row in rows)
