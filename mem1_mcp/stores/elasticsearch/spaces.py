"""Whose vectors a user's messages have: of one **space** at a time, the model that made them.

Another model gives a new number, under which they are made anew; those of an older number are never
compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mem1_mcp.stores.elasticsearch.ledger import Work
from mem1_mcp.types import Vectors

if TYPE_CHECKING:
    from mem1_mcp.stores.elasticsearch.ledger import Ledger

AGAIN = -1  # the number at a message whose vector was of other words than it has now


@dataclass(frozen=True, slots=True)
class Space:
    """What makes this store's vectors, and since when the program runs that says so."""

    name: str
    started_at: int


def asked(ledger: Ledger, space: Space | None, now: int) -> Ledger:
    """Ask for the job where messages have no vectors of the space; what waits after a failure waits on.

    The program that was started last chooses the space: two that took turns would never end.
    """
    if space is not None and ledger.space != space.name and space.started_at > ledger.space_since:
        ledger = replace(begun(ledger), space=space.name, space_since=space.started_at)
    if ledger.space is None or ledger.embedded_call >= ledger.calls:
        return ledger
    known = ledger.work.get("embedding")
    work = Work(1, now) if known is None else replace(known, revision=known.revision + 1)
    return replace(ledger, work={**ledger.work, "embedding": work})


def outworn(ledger: Ledger, call: int, now: int) -> Ledger:
    """Ask for the job since a message of this call has other words now."""
    return asked(replace(ledger, embedded_call=min(ledger.embedded_call, call - 1)), None, now)


def begun(ledger: Ledger) -> Ledger:
    """Begin the space anew: under another number, with no vectors yet."""
    return replace(ledger, space_number=ledger.space_number + 1, dimensions=0, embedded_call=0)


def standing(ledger: Ledger, space: Space) -> Vectors:
    """Say how the messages stand with vectors of the space."""
    current = ledger.space == space.name
    return Vectors(current, ledger.calls - (ledger.embedded_call if current else 0))


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """Describe the vectors for a person."""
    if ledger.space is None:
        return []
    waiting = ledger.calls - ledger.embedded_call
    yet = f"; {waiting} calls of remember wait for theirs" if waiting else ""
    return [("vectors", f"by {ledger.space}, {ledger.dimensions} dimensions{yet}")]
