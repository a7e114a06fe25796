"""What is forgotten and still in the file: a condition that every read adds.

A forgotten topic, or everything, is hidden by one row; erasing its messages takes as long as it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw


def visible(db: apsw.Connection) -> str:
    """Write the condition on messages that leaves out what is hidden; empty when nothing is.

    Columns ``topic`` and ``call``; calls are looked at through ``visible_calls``.
    """
    return _without(db, "messages.topic", "messages.call")


def visible_calls(db: apsw.Connection) -> str:
    """Write the same as a condition on calls."""
    return _without(db, "calls.topic", "calls.id")


def _without(db: apsw.Connection, topic: str, call: str) -> str:
    # Numbers of our own, so they can stand in the text.
    return " AND ".join(
        f"NOT ({call} <= {upto:d}" + (")" if hidden is None else f" AND {topic} = {hidden:d})")
        for hidden, upto in db.execute("SELECT topic, call FROM hidden")
    )
