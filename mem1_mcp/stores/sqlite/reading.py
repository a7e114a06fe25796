"""What is read from a user's file. Each function runs inside one read transaction of the caller's."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.sqlite.hiding import visible
from mem1_mcp.types import (
    MAX_POSITION,
    ROLES,
    Period,
    Scope,
    Statistics,
    Stored,
    Topic,
    Windows,
    conversation_of,
    place_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import apsw

# Times the candidates asked for: what only the commoner terms left would find is not among the best.
_ENOUGH = 2


def _phrase(term: str) -> str:
    doubled = term.replace('"', '""')
    return f'"{doubled}"'


def statistics(db: apsw.Connection, terms: Sequence[str]) -> Statistics:
    """Read this user's numbers."""
    messages, total_length = db.execute("SELECT messages, total_length FROM state").get
    found_in = {
        term: db.execute("SELECT count(*) FROM words WHERE words MATCH ?", (_phrase(term),)).get
        for term in terms
    }
    names: list[Any] = db.execute("SELECT name FROM speakers").fetchall()
    first_at, last_at = db.execute(
        "SELECT (SELECT min(said_at) FROM messages), (SELECT max(said_at) FROM messages)"
    ).get
    return Statistics(
        messages=messages,
        total_length=total_length,
        found_in=found_in,
        names=tuple(name for (name,) in names),
        first_at=first_at or 0,
        last_at=last_at or 0,
    )


def vocabulary(db: apsw.Connection, letter: str) -> Mapping[str, int]:
    """Read the indexed terms with one first letter."""
    after = chr(ord(letter) + 1)
    return dict(
        db.execute("SELECT term, doc FROM vocabulary WHERE term >= ? AND term < ?", (letter, after))
    )


def candidates(
    db: apsw.Connection,
    scope: Scope,
    weights: Mapping[str, float],
    days: Sequence[Period],
    limit: int,
) -> dict[int, float]:
    """Find the messages with the best words, rare terms first."""
    condition, values = _conditions(db, scope)
    scores: dict[int, float] = defaultdict(float)
    for term, weight in sorted(weights.items(), key=lambda pair: -pair[1]):
        if not condition and len(scores) >= _ENOUGH * limit:
            break
        for (place,) in db.execute("SELECT rowid FROM words WHERE words MATCH ?", (_phrase(term),)):
            scores[place] += weight
    best = sorted(scores, key=lambda place: (scores[place], place), reverse=True)
    chosen = best[:limit] if not condition else list(_fitting(db, best, condition, values, limit))
    found = {place: scores[place] for place in chosen}
    for place, worth in _on_days(db, days, condition, values, limit).items():
        found[place] = scores.get(place, 0.0) + worth
    return found


def _on_days(
    db: apsw.Connection,
    days: Sequence[Period],
    condition: str,
    values: tuple[object, ...],
    limit: int,
) -> dict[int, float]:
    worth: dict[int, float] = {}
    for day in days:
        for (place,) in db.execute(
            f"SELECT place FROM messages WHERE said_at BETWEEN ? AND ? {condition and 'AND ' + condition}"
            " ORDER BY said_at LIMIT ?",
            (day.first, day.last, *values, limit),
        ):
            worth[place] = max(worth.get(place, 0.0), day.weight)
    return worth


def _fitting(
    db: apsw.Connection,
    places: Sequence[int],
    condition: str,
    values: tuple[object, ...],
    limit: int,
) -> Iterator[int]:
    """Yield the places that fit the condition, in their order, until there are enough."""
    found = 0
    for start in range(0, len(places), 2 * limit):
        part = places[start : start + 2 * limit]
        fitting = {
            place
            for (place,) in db.execute(
                f"SELECT place FROM json_each(?) CROSS JOIN messages ON place = value WHERE {condition}",
                (json.dumps(part), *values),
            )
        }
        for place in part:
            if place in fitting:
                yield place
                found += 1
                if found >= limit:
                    return


def _conditions(db: apsw.Connection, scope: Scope) -> tuple[str, tuple[object, ...]]:
    """Write a scope's filters as a condition on messages; empty when they leave nothing out."""
    hidden = visible(db)
    parts = [hidden] if hidden else []
    values: list[object] = []
    if scope.topic is not None:
        parts.append("topic = (SELECT id FROM topics WHERE name = ?)")
        values.append(scope.topic)
    if scope.since is not None:
        parts.append("said_at >= ?")
        values.append(scope.since)
    if scope.until is not None:
        latest = db.execute("SELECT max(said_at) FROM messages").get
        if latest is not None and latest > scope.until:
            parts.append("said_at <= ?")
            values.append(scope.until)
    for name, value in scope.metadata:
        parts.append("call IN (SELECT call FROM labels WHERE name = ? AND value = ?)")
        values += [name, value]
    return " AND ".join(parts), tuple(values)


def windows(db: apsw.Connection, scope: Scope, places: Sequence[int], reach: int) -> Windows:
    """Read the messages at and around the places."""
    condition, values = _conditions(db, scope)
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
    rows = db.execute(
        "SELECT place, topics.name, role, messages.name, messages.said_at, content, calls.metadata"
        " FROM json_each(?) CROSS JOIN messages ON messages.place = json_each.value"
        " JOIN topics ON topics.id = messages.topic JOIN calls ON calls.id = messages.call"
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
            content=content,
            metadata={} if metadata is None else json.loads(metadata),
        )
        for place, topic, role, name, said_at, content, metadata in rows
    )


def latest(db: apsw.Connection, scope: Scope, limit: int, skip: int) -> tuple[Stored, ...]:
    """Read what was said last in scope."""
    condition, values = _conditions(db, scope)
    chosen: list[Any] = db.execute(
        f"SELECT place FROM messages {condition and 'WHERE ' + condition}"
        " ORDER BY said_at DESC, place DESC LIMIT ? OFFSET ?",
        (*values, limit, skip),
    ).fetchall()
    return messages(db, [place for (place,) in chosen])


def count(db: apsw.Connection, scope: Scope) -> int:
    """Count what is in scope."""
    condition, values = _conditions(db, scope)
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
