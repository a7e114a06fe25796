"""What is read of a user's messages: from the index what it shows, from the ledger the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.elasticsearch.documents import row_of
from mem1_mcp.stores.elasticsearch.ledger import stored
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.scoping import conditions, fits, in_scope, visible
from mem1_mcp.types import MAX_POSITION, Scope, Stored, Topic, Windows, conversation_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Row
    from mem1_mcp.stores.elasticsearch.scoping import Query

_PLACES_AT_ONCE = 1000
_PAGE = 10_000  # the most that one search returns
_BESIDE_AT_ONCE = 200  # messages with images: no call brings more than some ten


async def rows_at(indices: Indices, ledger: Ledger, places: Iterable[int]) -> dict[int, Row]:
    """Return the messages at these places."""
    wanted = set(places)
    found = {row.place: row for row in ledger.rows if row.place in wanted}
    # A whole conversation may be asked for; what was never given needs no looking.
    most = place_of(ledger.conversations, 0)
    asked = sorted(place for place in wanted - found.keys() if place < most)
    for start in range(0, len(asked) if ledger.indexed else 0, _PLACES_AT_ONCE):
        chosen = asked[start : start + _PLACES_AT_ONCE]
        query = visible(ledger, {"terms": {"place": chosen}})
        for row in await rows(indices, ledger, query, {"size": len(chosen)}):
            found[row.place] = row
    return found


async def rows(indices: Indices, ledger: Ledger, query: Query, more: dict[str, Any]) -> list[Row]:
    """Search for messages in the index, without their vectors."""
    body = {"query": query, "track_total_hits": False, "_source": {"excludes": ["vector"]}, **more}
    found = await indices.search(indices.messages, body, key_of(ledger.user))
    return [row_of(hit["_source"]) for hit in found["hits"]["hits"]]


async def messages(indices: Indices, ledger: Ledger, places: Sequence[int]) -> tuple[Stored, ...]:
    """Read messages by place, in the order asked."""
    found = await rows_at(indices, ledger, places)
    return await as_stored(
        indices, ledger, [found[each] for each in dict.fromkeys(places) if each in found]
    )


async def as_stored(indices: Indices, ledger: Ledger, chosen: Sequence[Row]) -> tuple[Stored, ...]:
    """Read messages as they were kept, each with the places of the images that were sent with it."""
    wanted = {row.place for row in chosen if row.images}
    sent = [
        (row.beside, row.place) for row in ledger.rows if row.beside is not None and row.beside in wanted
    ]
    places = sorted(wanted)
    for start in range(0, len(places) if ledger.indexed else 0, _BESIDE_AT_ONCE):
        query = visible(ledger, {"terms": {"beside": places[start : start + _BESIDE_AT_ONCE]}})
        both = {"_source": False, "docvalue_fields": ["beside", "place"]}
        body = {"query": query, "size": _PAGE, "track_total_hits": False, **both}
        answer = await indices.search(indices.messages, body, key_of(ledger.user))
        sent += [(hit["fields"]["beside"][0], hit["fields"]["place"][0]) for hit in answer["hits"]["hits"]]
    images: dict[int, tuple[int, ...]] = {}
    for beside, place in sorted(sent):
        images[beside] = (*images.get(beside, ()), place)
    return tuple(stored(row, images.get(row.place, ())) for row in chosen)


async def windows(
    indices: Indices, ledger: Ledger, scope: Scope, places: Sequence[int], reach: int
) -> Windows:
    """Read the messages at and around the places."""
    around: set[int] = set()
    for place in places:
        conversation = conversation_of(place)
        first = max(place - reach, place_of(conversation, 0))
        around.update(range(first, min(place + reach, place_of(conversation, MAX_POSITION)) + 1))
    found = await rows_at(indices, ledger, around)
    shown = [
        found[place]
        for place in sorted(found)
        if scope.until is None or found[place].said_at <= scope.until
    ]
    return Windows(
        places=tuple(row.place for row in shown),
        said_at=tuple(row.said_at for row in shown),
        roles=tuple(row.role for row in shown),
        names=tuple(row.name for row in shown),
        traits=tuple(row.traits for row in shown),
        lengths=tuple(row.length for row in shown),
        terms=tuple(row.terms for row in shown),
        eligible=tuple(fits(scope, row) for row in shown),
    )


async def latest(
    indices: Indices, ledger: Ledger, scope: Scope, limit: int, skip: int
) -> tuple[Stored, ...]:
    """Read what was said last in scope."""
    query = visible(ledger, *conditions(scope))
    recent = in_scope(scope, ledger)
    return await _in_order(indices, ledger, query, recent, (limit, skip, "desc"))


async def earliest(
    indices: Indices, ledger: Ledger, query: Query, recent: Sequence[Row], page: tuple[int, int]
) -> tuple[Stored, ...]:
    """Read a page of (limit, skip) of what fits the query, with what is recent, in the order said."""
    return await _in_order(indices, ledger, query, recent, (*page, "asc"))


async def _in_order(
    indices: Indices, ledger: Ledger, query: Query, recent: Sequence[Row], page: tuple[int, int, str]
) -> tuple[Stored, ...]:
    limit, skip, order = page
    wanted = limit + skip
    found = list(recent)
    after: list[int] | None = None
    while ledger.indexed and wanted > 0:
        size = min(wanted, _PAGE)
        more: dict[str, Any] = {"size": size, "sort": [{"said_at": order}, {"place": order}]}
        if after is not None:
            more["search_after"] = after
        read = await rows(indices, ledger, query, more)
        found += read
        wanted -= size
        if len(read) < size:
            break
        after = [read[-1].said_at, read[-1].place]
    by_time: Callable[[Row], tuple[int, int]] = lambda row: (row.said_at, row.place)  # noqa: E731
    found.sort(key=by_time, reverse=order == "desc")
    return await as_stored(indices, ledger, found[skip : skip + limit])


async def count(indices: Indices, ledger: Ledger, scope: Scope) -> int:
    """Count what is in scope."""
    query = visible(ledger, *conditions(scope))
    return await counted(indices, ledger, query) + len(in_scope(scope, ledger))


async def counted(indices: Indices, ledger: Ledger, query: Query) -> int:
    """Count what fits in the index."""
    if not ledger.indexed:
        return 0
    body = {"query": query, "size": 0, "track_total_hits": True}
    found = await indices.search(indices.messages, body, key_of(ledger.user))
    number: int = found["hits"]["total"]["value"]
    return number


async def topics(indices: Indices, ledger: Ledger) -> tuple[Topic, ...]:
    """Read the topics that hold messages, the one used last first."""
    spans: dict[str, list[int]] = {}  # messages, first, last
    for name, (number, first, last) in (await _indexed_topics(indices, ledger)).items():
        spans[name] = [number, first, last]
    for row in ledger.rows:
        number, first, last = spans.get(row.topic, (0, row.said_at, row.said_at))
        spans[row.topic] = [number + 1, min(first, row.said_at), max(last, row.said_at)]
    found = [Topic(name, *span) for name, span in spans.items()]
    return tuple(sorted(found, key=lambda topic: (-topic.last_at, topic.name)))


async def _indexed_topics(indices: Indices, ledger: Ledger) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    after: dict[str, str] | None = None
    while ledger.indexed:
        by_topic: dict[str, Any] = {"size": 1000, "sources": [{"topic": {"terms": {"field": "topic"}}}]}
        if after is not None:
            by_topic["after"] = after
        span = {"first": {"min": {"field": "said_at"}}, "last": {"max": {"field": "said_at"}}}
        body = {
            "query": visible(ledger),
            "size": 0,
            "aggs": {"topics": {"composite": by_topic, "aggs": span}},
        }
        answer = await indices.search(indices.messages, body, key_of(ledger.user))
        read = answer["aggregations"]["topics"]
        for each in read["buckets"]:
            times = int(each["first"]["value"]), int(each["last"]["value"])
            found[each["key"]["topic"]] = each["doc_count"], *times
        after = read.get("after_key")
        if after is None or not read["buckets"]:
            break
    return found
