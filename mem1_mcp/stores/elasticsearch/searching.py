"""How candidates and the user's numbers are found: the index gives them, the ledger adds its own."""

from __future__ import annotations

import re
from collections import Counter
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.scoping import conditions, in_scope, visible
from mem1_mcp.types import Statistics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Row
    from mem1_mcp.types import Period, Scope

_NAMES = 10_000
_WORDS = 10_000


async def statistics(indices: Indices, ledger: Ledger, terms: Sequence[str]) -> Statistics:
    """Read this user's numbers."""
    rows = ledger.rows
    found_in = dict.fromkeys(terms, 0)
    names = {row.name for row in rows if row.name}
    messages, length = len(rows), sum(row.length for row in rows)
    times = [row.said_at for row in rows]
    for row in rows:
        for term in set(row.terms.split()) & found_in.keys():
            found_in[term] += 1
    if ledger.indexed:
        aggregations: dict[str, Any] = {
            "length": {"sum": {"field": "length"}},
            "first": {"min": {"field": "said_at"}},
            "last": {"max": {"field": "said_at"}},
            "names": {"terms": {"field": "name", "size": _NAMES, "exclude": [""]}},
        }
        if found_in:
            filters = [{"term": {"words": term}} for term in found_in]
            aggregations["found_in"] = {"filters": {"filters": filters}}
        body = {
            "query": visible(ledger),
            "size": 0,
            "track_total_hits": True,
            "aggs": aggregations,
        }
        answer = await indices.search(indices.messages, body, key_of(ledger.user))
        read = answer["aggregations"]
        indexed = answer["hits"]["total"]["value"]
        if indexed:
            messages += indexed
            length += int(read["length"]["value"])
            times += [int(read["first"]["value"]), int(read["last"]["value"])]
            names |= {each["key"] for each in read["names"]["buckets"]}
            for term, bucket in zip(found_in, read.get("found_in", {}).get("buckets", ()), strict=True):
                found_in[term] += bucket["doc_count"]
    return Statistics(
        messages=messages,
        total_length=length,
        found_in=found_in,
        names=tuple(sorted(names)),
        first_at=min(times, default=0),
        last_at=max(times, default=0),
    )


async def vocabulary(indices: Indices, ledger: Ledger, letter: str) -> Mapping[str, int]:
    """Read the indexed terms with one first letter."""
    found: Counter[str] = Counter()
    for row in ledger.rows:
        found.update({term for term in row.terms.split() if term.startswith(letter)})
    if ledger.indexed:
        of_letter = {"field": "words", "include": f"{_escaped(letter)}.*", "size": _WORDS}
        body = {"query": visible(ledger), "size": 0, "aggs": {"words": {"terms": of_letter}}}
        answer = await indices.search(indices.messages, body, key_of(ledger.user))
        for each in answer["aggregations"]["words"]["buckets"]:
            found[each["key"]] += each["doc_count"]
    return dict(found)


def _escaped(letter: str) -> str:
    # In Lucene's own syntax more characters mean something than in Python's.
    return re.sub(r'[.?+*|{}\[\]()"\\#@&<>~^$-]', r"\\\g<0>", letter)


async def candidates(
    indices: Indices,
    ledger: Ledger,
    scope: Scope,
    weights: Mapping[str, float],
    days: Sequence[Period],
    limit: int,
) -> dict[int, float]:
    """Find the messages with the best words: a message's score is the sum of the weights it holds."""
    recent = in_scope(scope, ledger, beside=True)
    own = {row.place: _sum(row, weights) for row in recent}
    scores = {place: score for place, score in own.items() if score}
    worth: dict[int, float] = {}
    within: dict[int, float] = {}
    for day in days:
        of_day = sorted((row.said_at, row.place) for row in recent if day.first <= row.said_at <= day.last)
        for _, place in of_day[:limit]:
            worth[place] = max(worth.get(place, 0.0), day.weight)
            within[place] = own[place]
    if ledger.indexed:
        searches = [_by_words(ledger, scope, weights, limit)] if weights else []
        searches += [_by_day(ledger, scope, weights, day, limit) for day in days]
        answers = await indices.searches(indices.messages, searches, key_of(ledger.user))
        if weights:
            scores |= {hit["sort"][1]: hit["_score"] for hit in answers.pop(0)}
        for day, hits in zip(days, answers, strict=True):
            for hit in hits[:limit]:
                place = hit["sort"][1]
                worth[place] = max(worth.get(place, 0.0), day.weight)
                within[place] = hit["_score"] or 0.0
    best = nlargest(limit, ((score, place) for place, score in scores.items()))
    found = {place: score for score, place in best}
    for place, day_worth in worth.items():
        found[place] = within[place] + day_worth
    return found


def _sum(row: Row, weights: Mapping[str, float]) -> float:
    return sum(weight for term, weight in weights.items() if f" {term} " in row.terms)


def _should(weights: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {"constant_score": {"filter": {"term": {"words": term}}, "boost": weight}}
        for term, weight in weights.items()
    ]


def _by_words(ledger: Ledger, scope: Scope, weights: Mapping[str, float], limit: int) -> dict[str, Any]:
    fitting = visible(ledger, *conditions(scope, beside=True))
    query = {"bool": {**fitting["bool"], "should": _should(weights), "minimum_should_match": 1}}
    # The newest of equals, and the place without the document.
    sort = [{"_score": "desc"}, {"place": "desc"}]
    return {"query": query, "size": limit, "sort": sort, "_source": False, "track_total_hits": False}


def _by_day(
    ledger: Ledger, scope: Scope, weights: Mapping[str, float], day: Period, limit: int
) -> dict[str, Any]:
    span = {"range": {"said_at": {"gte": day.first, "lte": day.last}}}
    fitting = visible(ledger, *conditions(scope, beside=True), span)
    query = {"bool": {**fitting["bool"], "should": _should(weights), "minimum_should_match": 0}}
    return {
        "query": query,
        "size": limit,
        "sort": [{"said_at": "asc"}, {"place": "asc"}],
        "track_scores": True,
        "_source": False,
        "track_total_hits": False,
    }
