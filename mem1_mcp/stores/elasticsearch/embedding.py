"""Vectors of messages: kept with each message, searched as a ``dense_vector`` of its document."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from operator import mul
from typing import TYPE_CHECKING

from mem1_mcp.errors import LeaseLostError, StoreBusyError
from mem1_mcp.stores.elasticsearch import batches, jobs, rewriting
from mem1_mcp.stores.elasticsearch.documents import vector_field
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.reading import rows
from mem1_mcp.stores.elasticsearch.scoping import conditions, in_scope, visible
from mem1_mcp.stores.elasticsearch.spaces import AGAIN, begun
from mem1_mcp.stores.slices import within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Row, Work
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.stores.elasticsearch.spaces import Space
    from mem1_mcp.types import Job, Scope

_CHARACTERS = 40_000  # of the messages that are embedded in one step, or one message that is longer
_UNIT = 127 * 127  # what a cosine of 1 is of two vectors
_LOOKED_AT = 4  # times as many vectors as are wanted: the graph is walked that wide


async def unembedded(indices: Indices, ledger: Ledger, limit: int, now: int) -> dict[int, str]:
    """Find the next messages without a vector, call by call.

    Raises:
        StoreBusyError: only those have none that are on their way into the index.

    """
    moving = batches.on_its_way(ledger, now)
    left = await _without_vector(indices, ledger, limit + len(ledger.rows))
    next_ones = [row for row in left if not ledger.indexed < row.call <= moving][:limit]
    if left and not next_ones:
        raise StoreBusyError("Messages are on their way into the index. Nothing was changed. Try again.")
    return within(((row.place, row.words) for row in next_ones), _CHARACTERS)


async def _without_vector(indices: Indices, ledger: Ledger, limit: int) -> list[Row]:
    left = [row for row in ledger.rows if row.space != ledger.space_number]
    if ledger.indexed:
        ahead = [{"range": {"call": {"gt": ledger.embedded_call}}}, {"term": {"space": AGAIN}}]
        query = visible(ledger, {"bool": {"should": ahead, "minimum_should_match": 1}})
        query["bool"]["must_not"].append({"term": {"space": ledger.space_number}})
        order = [{"call": "asc"}, {"place": "asc"}]
        left = await rows(indices, ledger, query, {"size": limit, "sort": order}) + left
    return left[:limit]


async def keep(
    indices: Indices,
    ledgers: Ledgers,
    job: Job,
    space: Space,
    vectors: Mapping[int, bytes],
    times: tuple[int, int],
) -> None:
    """Keep vectors in the ledger and in the index, and note up to which call all have one.

    ``times`` are now and the end of the lease.

    Raises:
        LeaseLostError: another owner has the job, or another program chose another space meanwhile.

    """
    now, until = times
    dimensions = max(map(len, vectors.values()), default=0)
    if dimensions:
        await indices.add_vectors(dimensions)

    def kept(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
        if ledger.space != space.name:
            raise LeaseLostError(f"The vectors of user {job.user} are of another model by now.")
        if dimensions:
            if ledger.dimensions not in (0, dimensions):
                ledger = begun(ledger)
            ledger, work = replace(ledger, dimensions=dimensions), jobs.advanced(work)
        return rewriting.in_ledger(ledger, _with_vectors(vectors, ledger.space_number), now), work

    ledger, _ = await jobs.hold(ledgers, job, until, kept)
    await rewriting.in_index(indices, ledger, vectors, _with_vectors(vectors, ledger.space_number))
    first = [row.call for row in await _without_vector(indices, ledger, 1)]
    upto = min([ledger.calls + 1, *first]) - 1

    def advanced(ledger_now: Ledger, work: Work) -> tuple[Ledger, Work]:
        if ledger_now.space_number != ledger.space_number:
            return ledger_now, work
        return replace(ledger_now, embedded_call=max(upto, ledger_now.embedded_call)), work

    await jobs.hold(ledgers, job, until, advanced)


def _with_vectors(vectors: Mapping[int, bytes], number: int) -> Callable[[Row], Row]:
    def with_vector(row: Row) -> Row:
        vector = vectors.get(row.place)
        return row if vector is None else replace(row, space=number, vector=b64encode(vector).decode())

    return with_vector


async def nearest(
    indices: Indices, ledger: Ledger, space: Space, scope: Scope, vector: bytes, limit: int
) -> dict[int, float]:
    """Search the index for the nearest, and compare with all that lie in the ledger."""
    if not _comparable(ledger, space, vector):
        return {}
    found = {
        row.place: cosine
        for row in in_scope(scope, ledger)
        if (cosine := _cosine(ledger, row, vector)) is not None
    }
    if ledger.indexed:
        current = {"term": {"space": ledger.space_number}}
        knn = {
            "field": vector_field(len(vector)),
            "query_vector": list(memoryview(vector).cast("b")),
            "k": limit,
            "num_candidates": _LOOKED_AT * limit,
            "filter": visible(ledger, *conditions(scope), current),
        }
        body = {"knn": knn, "size": limit, "_source": False, "docvalue_fields": ["place"]}
        answer = await indices.search(indices.messages, body, key_of(ledger.user))
        for hit in answer["hits"]["hits"]:
            found[hit["fields"]["place"][0]] = 2 * hit["_score"] - 1
    best = sorted(found, key=found.__getitem__, reverse=True)[:limit]
    return {place: found[place] for place in best}


async def similarities(
    indices: Indices, ledger: Ledger, space: Space, vector: bytes, places: Collection[int]
) -> dict[int, float]:
    """Compare the vectors of these messages."""
    if not _comparable(ledger, space, vector):
        return {}
    wanted = set(places)
    found = [row for row in ledger.rows if row.place in wanted]
    asked_for = sorted(wanted - {row.place for row in found})
    if asked_for and ledger.indexed:
        query = visible(ledger, {"terms": {"place": asked_for}})
        body = {"query": query, "size": len(asked_for), "_source": ["place", "space", "vector"]}
        answer = await indices.search(indices.messages, body, key_of(ledger.user))
        sources = [hit["_source"] for hit in answer["hits"]["hits"]]
    else:
        sources = []
    known = {row.place: _cosine(ledger, row, vector) for row in found}
    for each in sources:
        if each.get("space") == ledger.space_number:
            known[each["place"]] = _compared(each["vector"], vector)
    return {place: cosine for place, cosine in known.items() if cosine is not None}


def _comparable(ledger: Ledger, space: Space, vector: bytes) -> bool:
    return ledger.space == space.name and ledger.dimensions == len(vector)


def _cosine(ledger: Ledger, row: Row, vector: bytes) -> float | None:
    if row.space != ledger.space_number or not row.vector:
        return None
    return _compared(row.vector, vector)


def _compared(written: str, vector: bytes) -> float | None:
    other = b64decode(written)
    if len(other) != len(vector):
        return None
    dot: int = sum(map(mul, memoryview(other).cast("b"), memoryview(vector).cast("b")))
    return dot / _UNIT
