"""When a user's profile is due to be refreshed: told from the ledger, so that nobody has to keep a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mem1_mcp.stores.elasticsearch.ledger import Work

if TYPE_CHECKING:
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
    from mem1_mcp.stores.elasticsearch.scoping import Query
    from mem1_mcp.types import Rhythm


def asked(ledger: Ledger, rhythm: Rhythm, now: int) -> Ledger:
    """Ask for a refresh where one is due; one that is there stays as it is, also if it is parked."""
    if ledger.pending < 1 or "refresh" in ledger.work:
        return ledger
    # A time ahead was written by a clock that was wrong.
    waited = abs(now - ledger.refreshed_at) >= rhythm.pause_ms
    if ledger.refreshed_at and ledger.pending < rhythm.rounds and not waited:
        return ledger
    return replace(ledger, work={**ledger.work, "refresh": Work(1, now)})


def due(rhythm: Rhythm, now: int) -> Query:
    """Write the query of the users for whom ``asked`` would ask."""
    at = [{"lte": now - rhythm.pause_ms}, {"gte": now + rhythm.pause_ms}]
    return {
        "bool": {
            "filter": [{"range": {"pending": {"gte": 1}}}],
            "must_not": [{"term": {"work": "refresh"}}],
            "should": [
                {"bool": {"must_not": [{"exists": {"field": "refreshed_at"}}]}},
                {"range": {"pending": {"gte": rhythm.rounds}}},
                *({"range": {"refreshed_at": each}} for each in at),
            ],
            "minimum_should_match": 1,
        }
    }
