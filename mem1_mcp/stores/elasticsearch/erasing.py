"""How forgotten messages leave the disks: documents first, then the segments that still hold them.

A deleted document stays in its segment until that is merged, and a merge keeps it until all copies of
the shard agree that no one needs it for recovery, some seconds later. So the job notes which segments
hold deleted documents, has them merged, and looks until each of them is gone from every copy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.elasticsearch import images, jobs
from mem1_mcp.stores.elasticsearch.connection import Delete, Seen
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.profiles import load_all
from mem1_mcp.stores.elasticsearch.reading import topics
from mem1_mcp.stores.elasticsearch.scoping import hiding

if TYPE_CHECKING:
    from collections.abc import Callable

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Work
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.types import Job

_DELETING, _TO_MERGE, _MERGING = 0, 1, 2  # the progress of the job
_AT_ONCE = 1000
_LOOK_MS = 1_000
# Merging rewrites what it touches: on large indices it is for all who forgot meanwhile.
_LARGE_BYTES, _PAUSE_MS = 2_000_000_000, 180_000
_MERGE = "merge"


async def step(indices: Indices, ledgers: Ledgers, job: Job, now: int, lease_ms: int) -> int | None:
    """Do a step; return how many milliseconds the next one can wait, ``None`` when all is erased."""
    ledger, work = await jobs.hold(ledgers, job, now + lease_ms)
    if work.progress == _DELETING:
        if await _delete_some(indices, ledger) or await images.delete_unnamed(indices, ledgers, job.user):
            return 0
        await jobs.hold(ledgers, job, now + lease_ms, _marks_dropped(ledger, await _empty(indices, ledger)))
        return 0
    if work.progress == _TO_MERGE:
        await _each(indices, "_flush", {"force": True, "wait_if_ongoing": True})
        await _each(indices, "_refresh", {})
        segments = tuple(sorted(await _with_deleted(indices)))
        await jobs.hold(ledgers, job, now + lease_ms, _noted(segments))
        return 0
    left = set(work.segments) & set(await _with_deleted(indices))
    if not left:
        return None
    pause = await _merge(indices, now)
    return pause or _LOOK_MS


def _noted(segments: tuple[str, ...]) -> Callable[[Ledger, Work], tuple[Ledger, Work]]:
    def noted(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
        return ledger, replace(work, progress=_MERGING, segments=segments)

    return noted


def _forgotten(ledger: Ledger) -> dict[str, Any] | None:
    """Write the query of what is hidden, in the index of messages; ``None`` where nothing is."""
    parts = [hiding(each.topic, each.call) for each in ledger.hidden]
    if ledger.hidden_places:
        parts.append({"terms": {"place": ledger.hidden_places}})
    if ledger.void:
        parts.append({"terms": {"batch": ledger.void}})
    if not parts:
        return None
    user = {"term": {"user": ledger.user}}
    return {"bool": {"filter": [user], "should": parts, "minimum_should_match": 1}}


async def _delete_some(indices: Indices, ledger: Ledger) -> bool:
    """Delete the next documents of what is hidden; false where there are none."""
    key = key_of(ledger.user)
    query = _forgotten(ledger)
    if query is not None:
        await indices.refresh(indices.messages)
        found = await _hits(indices, indices.messages, query, key)
        if found:
            await indices.bulk(indices.messages, [Delete(hit["_id"]) for hit in found], key, refresh=True)
            return True
    parts = [hiding(each.topic, each.call) for each in ledger.hidden]
    if ledger.hidden_calls:
        parts.append({"terms": {"call": ledger.hidden_calls}})
    if parts:
        await indices.refresh(indices.state)
        of_user = [{"term": {"kind": "request"}}, {"term": {"user": ledger.user}}]
        query = {"bool": {"filter": of_user, "should": parts, "minimum_should_match": 1}}
        found = await _hits(indices, indices.state, query)
        if found:
            lines = [Delete(hit["_id"], Seen(hit["_seq_no"], hit["_primary_term"])) for hit in found]
            await indices.bulk(indices.state, lines, refresh=True)
            return True
    return await _delete_profiles(indices, ledger)


async def _delete_profiles(indices: Indices, ledger: Ledger) -> bool:
    """Delete profiles that the ledger does not name, and that none which follows it can."""
    await indices.refresh(indices.profiles)
    current = ledger.profile
    query: dict[str, Any] = {
        "bool": {
            "filter": [
                {"term": {"user": ledger.user}},
                {"range": {"version": {"lte": 0 if current is None else current.version}}},
            ],
            "must_not": [{"ids": {"values": [each.document for each in ledger.profiles]}}],
        }
    }
    found = await _hits(indices, indices.profiles, query)
    if found:
        await indices.bulk(indices.profiles, [Delete(hit["_id"]) for hit in found], refresh=True)
    return bool(found)


async def _hits(
    indices: Indices, index: str, query: dict[str, Any], routing: str | None = None
) -> list[dict[str, Any]]:
    body = {"query": query, "size": _AT_ONCE, "_source": False, "seq_no_primary_term": True}
    found = await indices.search(index, body, routing)
    hits: list[dict[str, Any]] = found["hits"]["hits"]
    return hits


async def _empty(indices: Indices, ledger: Ledger) -> dict[str, int]:
    """Return the topics whose end is known and in which nothing is any more, and their newest calls."""
    profiles = await load_all(indices, ledger)
    if profiles is None:
        return {}
    held = {topic.name for topic in await topics(indices, ledger)}
    held |= {item.topic for profile in profiles for item in profile.items}
    return {name: end.call for name, end in ledger.topics.items() if name not in held}


def _marks_dropped(seen: Ledger, empty: dict[str, int]) -> Callable[[Ledger, Work], tuple[Ledger, Work]]:
    """Drop what hid documents that are gone; what was hidden since stays."""

    def dropped(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
        left = replace(
            ledger,
            hidden=tuple(each for each in ledger.hidden if each not in seen.hidden),
            hidden_places=tuple(sorted({*ledger.hidden_places} - {*seen.hidden_places})),
            hidden_calls=tuple(sorted({*ledger.hidden_calls} - {*seen.hidden_calls})),
            topics={name: end for name, end in ledger.topics.items() if empty.get(name) != end.call},
        )
        return left, jobs.advanced(work, progress=_TO_MERGE)

    return dropped


async def _each(indices: Indices, action: str, params: dict[str, object]) -> None:
    await indices.connection.request("POST", f"/{','.join(indices.all)}/{action}", None, params)


async def _with_deleted(indices: Indices) -> list[str]:
    """Return the segments that hold deleted documents: index, shard, copy and name each."""
    _, body = await indices.connection.request("GET", f"/{','.join(indices.all)}/_segments")
    found = []
    for index, described in body["indices"].items():
        for shard, copies in described["shards"].items():
            for copy in copies:
                where = f"{index}/{shard}/{copy['routing']['node']}"
                found += [
                    f"{where}/{name}"
                    for name, segment in copy["segments"].items()
                    if segment["deleted_docs"]
                ]
    return found


async def _merge(indices: Indices, now: int) -> int:
    """Have segments with deleted documents merged; return how long to wait where others did lately."""
    _, stats = await indices.connection.request("GET", f"/{','.join(indices.all)}/_stats/store")
    if stats["_all"]["total"]["store"]["size_in_bytes"] > _LARGE_BYTES:
        found = await indices.get(indices.state, _MERGE)
        last = found.source["state"]["at"] if found else 0
        if 0 <= now - last < _PAUSE_MS:
            return _PAUSE_MS - (now - last)
        source = {"kind": _MERGE, "state": {"at": now}}
        if await indices.put(indices.state, _MERGE, source, found.seen if found else None) is None:
            return _PAUSE_MS
    await _each(indices, "_forcemerge", {"only_expunge_deletes": True, "wait_for_completion": False})
    await _each(indices, "_flush", {"force": True, "wait_if_ongoing": True})
    return 0
