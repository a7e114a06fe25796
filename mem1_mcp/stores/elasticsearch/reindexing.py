"""A new index for messages that an older ``text`` split into terms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mem1_mcp.stores.elasticsearch import jobs, rewriting
from mem1_mcp.stores.elasticsearch.reading import rows
from mem1_mcp.stores.elasticsearch.scoping import visible
from mem1_mcp.stores.slices import within
from mem1_mcp.text.terms import VERSION as TERMS_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Row, Work
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.types import Indexed, Job

_CHARACTERS = 20_000  # of the messages that are indexed in one step, or one message that is longer


async def outdated(indices: Indices, ledger: Ledger, after: int, limit: int) -> dict[int, str]:
    """Find the next messages with an older index."""
    old = [row for row in ledger.rows if row.place > after and row.terms_version < TERMS_VERSION]
    if ledger.indexed:
        older = {"range": {"terms_version": {"lt": TERMS_VERSION}}}
        query = visible(ledger, older, {"range": {"place": {"gt": after}}})
        old += await rows(indices, ledger, query, {"size": limit, "sort": [{"place": "asc"}]})
    next_ones = sorted(old, key=lambda row: row.place)[:limit]
    return within(((row.place, row.words) for row in next_ones), _CHARACTERS)


async def reindex(
    indices: Indices, ledgers: Ledgers, job: Job, indexed: Mapping[int, Indexed], until: int
) -> Job:
    """Exchange the terms of messages, in the ledger and in the index."""

    def renewed(row: Row) -> Row:
        new = indexed.get(row.place)
        if new is None or row.terms_version >= TERMS_VERSION:
            return row
        return replace(
            row,
            terms=new.terms,
            length=new.length,
            traits=int(new.traits),
            terms_version=TERMS_VERSION,
        )

    def renew(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
        recent = tuple(
            replace(call, rows=tuple(renewed(row) for row in call.rows)) for call in ledger.recent
        )
        if recent == ledger.recent:
            return ledger, work
        # What is on its way has the old terms.
        return replace(ledger, recent=recent).giving_up_the_batch(), work

    ledger, _ = await jobs.hold(ledgers, job, until, renew)
    await rewriting.in_index(indices, ledger, indexed, renewed)
    progress = max(indexed, default=job.progress)

    def advanced(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
        asked_again = work.revision != job.revision
        return ledger, work if asked_again else jobs.advanced(work, progress=progress)

    await jobs.hold(ledgers, job, until, advanced)
    return replace(job, progress=progress)
