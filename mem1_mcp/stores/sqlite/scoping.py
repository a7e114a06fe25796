"""Which messages a read may find, as conditions in SQL: the scope's filters, and what is hidden.

A forgotten topic, or everything, is hidden by one row; erasing its messages takes as long as it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

    from mem1_mcp.types import Scope


def visible(db: apsw.Connection) -> str:
    """Write the condition on messages that leaves out what is hidden; empty when nothing is.

    Columns ``topic`` and ``call``; calls are looked at through ``visible_calls``.
    """
    conditions = [_without(db, "messages.topic", "messages.call")]
    if db.execute("SELECT 1 FROM hidden_places LIMIT 1").get:
        conditions.append("messages.place NOT IN (SELECT place FROM hidden_places)")
    return " AND ".join(filter(None, conditions))


def visible_calls(db: apsw.Connection) -> str:
    """Write the same as a condition on calls."""
    return _without(db, "calls.topic", "calls.id")


def _without(db: apsw.Connection, topic: str, call: str) -> str:
    # Numbers of our own, so they can stand in the text.
    return " AND ".join(
        f"NOT ({call} <= {upto:d}" + (")" if hidden is None else f" AND {topic} = {hidden:d})")
        for hidden, upto in db.execute("SELECT topic, call FROM hidden")
    )


_IMAGES = "messages.place IN (SELECT place FROM images)"
_BESIDE = "messages.place IN (SELECT place FROM images UNION SELECT beside FROM images)"


def conditions(
    db: apsw.Connection, scope: Scope, *, beside: bool = False
) -> tuple[str, tuple[object, ...]]:
    """Write a scope's filters as a condition on messages; empty when they leave nothing out.

    Where it is images, ``beside`` lets the messages beside one in too.
    """
    hidden = visible(db)
    parts = [hidden] if hidden else []
    values: list[object] = []
    if scope.images:
        parts.append(_BESIDE if beside else _IMAGES)
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
