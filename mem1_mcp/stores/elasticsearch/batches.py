"""How calls move from a ledger into the message index: in batches, each with a number of its own.

What a batch brings is visible when the ledger says so, and the ledger says so when every search sees
it. A batch that was overtaken, or whose messages were forgotten on the way, is void for ever: so it
does no harm when it arrives late.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from mem1_mcp.errors import StoreError
from mem1_mcp.stores.elasticsearch.connection import Put
from mem1_mcp.stores.elasticsearch.documents import document
from mem1_mcp.stores.elasticsearch.ledger import Batch
from mem1_mcp.stores.elasticsearch.ledgers import Ledgers, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, RecentCall

log = logging.getLogger(__name__)

# In a ledger, which every call writes anew. A write of 64 kB takes 2.6 ms, of 2 kB hardly less.
_CHARACTERS = 48_000
_TOO_MUCH = 8_000_000  # characters, where the message index can't be written
_OVERTAKEN_MS = 30_000


def _size(calls: Sequence[RecentCall]) -> int:
    rows = [row for call in calls for row in call.rows]
    kept = [
        (row.content, row.terms, row.vector, row.original, row.image, row.ocr, row.caption) for row in rows
    ]
    return sum(len(each) for each in chain.from_iterable(kept) if each)


def is_full(ledger: Ledger) -> bool:
    """Whether no further call should come in before some have moved."""
    return _size(ledger.recent) > _TOO_MUCH


def begun(ledger: Ledger, now: int, most: int) -> Ledger:
    """Send everything recent on its way where it is much, unless somebody is at it; ``most`` in calls."""
    if len(ledger.recent) < most and _size(ledger.recent) < _CHARACTERS:
        return ledger
    if ledger.batch is not None:
        if on_its_way(ledger, now):
            return ledger
        ledger = ledger.giving_up_the_batch()
    number = ledger.batches + 1
    return replace(ledger, batches=number, batch=Batch(number, ledger.calls, now))


def on_its_way(ledger: Ledger, now: int) -> int:
    """Return the newest call that is on its way into the index, 0 where none is or it was long ago."""
    batch = ledger.batch
    return batch.upto if batch is not None and abs(now - batch.since) < _OVERTAKEN_MS else 0


async def move(indices: Indices, ledgers: Ledgers, ledger: Ledger, key: str) -> None:
    """Bring a batch into the index. A failure loses nothing: the calls stay in the ledger."""
    batch = ledger.batch
    assert batch is not None  # noqa: S101 - the caller looked
    moved = [call for call in ledger.recent if call.number <= batch.upto]
    try:
        requests = [_request(ledger.user, batch.number, call) for call in moved if call.request]
        if requests:
            await indices.bulk(indices.state, requests)
        documents = [document(ledger.user, key, batch.number, row) for call in moved for row in call.rows]
        if documents:
            await indices.bulk(indices.messages, documents, key, refresh=True)
        await ledgers.change(ledger.user, _Arrived(batch))
    except StoreError as error:
        log.warning("Calls of user %s stay in the ledger for now: %s", ledger.user, error.reason)


class _Arrived:
    """A batch that every search sees."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    async def __call__(self, ledger: Ledger) -> tuple[Ledger, None]:
        if ledger.batch != self._batch:
            return ledger, None  # overtaken, or given up since something of it was forgotten
        upto = self._batch.upto
        left = tuple(call for call in ledger.recent if call.number > upto)
        return replace(ledger, indexed=upto, recent=left, batch=None), None


def request_id(user: str, request: str) -> str:
    """Return the id of the document that remembers a request id of an indexed call."""
    return f"request:{key_of(user)}:{request}"


def _request(user: str, batch: int, call: RecentCall) -> Put:
    source = {
        "kind": "request",
        "user": user,
        "topic": call.topic,
        "call": call.number,
        "batch": batch,
        "state": {"fingerprint": call.fingerprint, "places": call.places},
    }
    # A later batch goes over an earlier one, never the other way round.
    return Put(request_id(user, str(call.request)), source, version=batch)
