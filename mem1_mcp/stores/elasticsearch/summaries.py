"""Long messages and their summaries: the summary takes the message's place, its words lie compressed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mem1_mcp.errors import StoreBusyError
from mem1_mcp.stores.elasticsearch import batches, jobs, rewriting
from mem1_mcp.stores.elasticsearch.ledger import packed
from mem1_mcp.stores.elasticsearch.reading import rows
from mem1_mcp.stores.elasticsearch.scoping import visible
from mem1_mcp.stores.slices import within
from mem1_mcp.text.terms import VERSION as TERMS_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Row, Work
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.types import Job, Summary

_CHARACTERS = 40_000  # of the messages of one step, or one message that is longer


async def unsummarised(indices: Indices, ledger: Ledger, limit: int, now: int) -> dict[int, str]:
    """Find the next messages that wait for a summary, call by call.

    Raises:
        StoreBusyError: only those wait that are on their way into the index.

    """
    moving = batches.on_its_way(ledger, now)
    waiting: list[Row] = []
    if ledger.indexed:
        query = visible(ledger, {"term": {"long": True}})
        order = [{"call": "asc"}, {"place": "asc"}]
        waiting = await rows(indices, ledger, query, {"size": limit, "sort": order})
    waiting += [row for row in ledger.rows if row.long]
    next_ones = [row for row in waiting if not ledger.indexed < row.call <= moving][:limit]
    if waiting and not next_ones:
        raise StoreBusyError("Messages are on their way into the index. Nothing was changed. Try again.")
    return within(((row.place, row.content) for row in next_ones), _CHARACTERS)


async def keep(
    indices: Indices, ledgers: Ledgers, job: Job, summaries: Mapping[int, Summary], times: tuple[int, int]
) -> None:
    """Put summaries in the place of messages that still wait for one, in the ledger and in the index.

    ``times`` are now and the end of the lease. Messages that went on their way into the index meanwhile
    go on waiting.

    Raises:
        LeaseLostError: another owner has the job.

    """
    now, until = times

    def summarised(row: Row) -> Row:
        summary = summaries.get(row.place)
        return row if summary is None or not row.long else _summarised(row, summary)

    def kept(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
        if not summaries:
            return ledger, work
        return rewriting.in_ledger(ledger, summarised, now), jobs.advanced(work)

    ledger, _ = await jobs.hold(ledgers, job, until, kept)
    await rewriting.in_index(indices, ledger, summaries, summarised)
    indexed = [place for place, summary in summaries.items() if summary.indexed is not None]
    if indexed and ledger.terms_version > TERMS_VERSION:

        def asked(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
            # Beside a newer program; that one has to index these again.
            return jobs.ask(ledger, "reindexing", now, back_to=min(indexed) - 1), work

        await jobs.hold(ledgers, job, until, asked)


def _summarised(row: Row, summary: Summary) -> Row:
    indexed = summary.indexed
    short = replace(row, content=summary.text, long=None, summarised=True)
    if indexed is None:
        return replace(short, original=packed(row.content))
    return replace(
        short,
        terms=indexed.terms,
        length=indexed.length,
        traits=int(indexed.traits),
        terms_version=TERMS_VERSION,
    )
