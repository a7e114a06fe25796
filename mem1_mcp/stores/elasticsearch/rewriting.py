"""How kept messages are changed: in the ledger, and in the index without undoing what others did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mem1_mcp.errors import StoreBusyError
from mem1_mcp.stores.elasticsearch import batches
from mem1_mcp.stores.elasticsearch.connection import Put, Seen
from mem1_mcp.stores.elasticsearch.documents import document, row_of
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.scoping import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Row

_ATTEMPTS = 5


def in_ledger(ledger: Ledger, change: Callable[[Row], Row], now: int) -> Ledger:
    """Change the messages in the ledger; those on their way into the index are changed there, later."""
    moving = batches.on_its_way(ledger, now)
    recent = tuple(
        call if call.number <= moving else replace(call, rows=tuple(map(change, call.rows)))
        for call in ledger.recent
    )
    if recent == ledger.recent:
        return ledger
    ledger = replace(ledger, recent=recent)
    # A batch that nobody brings any more would bring them as they were.
    return ledger if moving else ledger.giving_up_the_batch()


async def in_index(
    indices: Indices, ledger: Ledger, places: Collection[int], change: Callable[[Row], Row]
) -> dict[int, Row]:
    """Change the messages at these places in the index, for every search; ones forgotten meanwhile stay so.

    Those that were changed come back as they are now.

    Raises:
        StoreBusyError: others change the same ones all the time.

    """
    key = key_of(ledger.user)
    body = {
        "query": visible(ledger, {"terms": {"place": list(places)}}),
        "size": len(places),
        "seq_no_primary_term": True,
    }
    rewritten: dict[int, Row] = {}
    for _ in range(_ATTEMPTS if places else 0):
        found = await indices.search(indices.messages, body, key)
        lines = []
        for hit in found["hits"]["hits"]:
            row = row_of(hit["_source"])
            changed = change(row)
            if changed != row:
                rewritten[row.place] = changed
                put = document(ledger.user, key, hit["_source"]["batch"], changed)
                # One that was changed or forgotten meanwhile is not as it was seen.
                lines.append(Put(hit["_id"], put.source, seen=Seen(hit["_seq_no"], hit["_primary_term"])))
        if not lines or not await indices.bulk(indices.messages, lines, key, refresh=True):
            return rewritten
        await indices.refresh(indices.messages)
    if places:
        raise StoreBusyError(
            "Others change the same messages all the time. What was changed stays. Try again."
        )
    return rewritten
