"""How the index finds candidates: exact for a memory of usual size, and quick for a very large one.

Each function runs inside one read transaction of the caller's.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.sqlite.scoping import conditions, visible
from mem1_mcp.types import Period, Scope, Statistics, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import apsw

# Times the candidates asked for: among these, what only commoner terms would find is not the best.
_ENOUGH = 2
# A term in more messages than this is common, a scope with more is large: then not all of it is read.
_MANY = 5000
_JOINED = 3  # of the common terms are looked for together; more cost more than they find
# From this many messages on a count is an estimate from slices of the conversations, evenly spread,
# that hold about so many times as many. Weights go by the logarithm: an error of a third does no harm.
_COUNTED = 2000
_LARGE = 100  # times as many messages make a memory in which estimates pay
_SLICES = 5
_SAMPLE = 8
_IN_SLICE = "SELECT count(*) FROM words WHERE {} rowid BETWEEN ? AND ?"


def _phrase(term: str) -> str:
    doubled = term.replace('"', '""')
    return f'"{doubled}"'


def statistics(db: apsw.Connection, terms: Sequence[str], counted: int = _COUNTED) -> Statistics:
    """Read this user's numbers; in a large memory a count from ``counted`` on is an estimate."""
    messages, total_length, conversations = db.execute(
        "SELECT messages, total_length, conversations FROM state"
    ).get
    # An estimate costs as much as counting some ten thousand.
    most = counted if messages > _LARGE * counted else messages + 1
    hidden = visible(db)
    found_in = {term: _count_up_to(db, term, most, hidden) for term in terms}
    common = [term for term, found in found_in.items() if found >= most]
    if common:
        found_in |= _estimates(db, common, messages, conversations, counted, hidden)
    names: list[Any] = db.execute(
        f"SELECT DISTINCT name FROM messages WHERE name <> '' AND {hidden} ORDER BY name"
        if hidden
        else "SELECT name FROM speakers"
    ).fetchall()
    of_left = f"FROM messages{hidden and ' WHERE ' + hidden}"
    first_at, last_at = db.execute(
        f"SELECT (SELECT min(said_at) {of_left}), (SELECT max(said_at) {of_left})"
    ).get
    return Statistics(
        messages=messages,
        total_length=total_length,
        found_in=found_in,
        names=tuple(name for (name,) in names),
        first_at=first_at or 0,
        last_at=last_at or 0,
    )


def _count_up_to(db: apsw.Connection, term: str, most: int, hidden: str = "") -> int:
    # The index alone holds what is hidden too: counted with it, a term would weigh less than nothing.
    joined = f"CROSS JOIN messages ON place = words.rowid AND {hidden}" if hidden else ""
    counted: int = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM words {joined} WHERE words MATCH ? LIMIT ?)",
        (_phrase(term), most),
    ).get
    return counted


def _estimates(
    db: apsw.Connection,
    terms: Sequence[str],
    messages: int,
    conversations: int,
    least: int,
    hidden: str,
) -> dict[str, int]:
    """Count terms in slices of the conversations, and in all of them where the slices hold too little."""
    step = max(conversations // _SLICES, 1)
    sample = min(_SAMPLE * least, messages)
    width = max(step * sample // messages, 1)
    slices = [
        (place_of(first, 0), place_of(first + width, 0) - 1) for first in range(0, conversations, step)
    ]
    sampled = sum(db.execute(_IN_SLICE.format(""), each).get for each in slices)
    # Where a few conversations hold almost everything the slices may have missed them.
    if 4 * sampled < sample:
        return {term: _count_up_to(db, term, messages + 1, hidden) for term in terms}
    # One by one: a join with the slices takes four times as long.
    holding = _IN_SLICE.format("words MATCH ? AND")
    found = {
        term: sum(db.execute(holding, (_phrase(term), *each)).get for each in slices) for term in terms
    }
    return {term: max(least, found[term] * messages // sampled) for term in terms}


def vocabulary(db: apsw.Connection, letter: str) -> Mapping[str, int]:
    """Read the indexed terms with one first letter."""
    hidden = visible(db)
    after = chr(ord(letter) + 1)
    indexed: dict[str, int] = dict(
        db.execute("SELECT term, doc FROM vocabulary WHERE term >= ? AND term < ?", (letter, after))
    )
    if not hidden:
        return indexed
    return {term: left for term, most in indexed.items() if (left := _count_up_to(db, term, most, hidden))}


def candidates(
    db: apsw.Connection,
    scope: Scope,
    weights: Mapping[str, float],
    days: Sequence[Period],
    limit: int,
    many: int = _MANY,
) -> dict[int, float]:
    """Find the messages with the best words, rare terms first.

    A term that more than ``many`` messages hold adds to what the rarer ones find; by itself it finds
    the newest, and what holds the other common terms too.
    """
    condition, values = conditions(db, scope, beside=True)
    worth = _on_days(db, days, condition, values, limit)
    sums = partial(_sums, db, weights, condition, values)
    scores, left = _rare_first(db, weights, None if condition else limit, many)
    if condition:
        if left:
            _promising(db, scores, weights, left, limit)  # or rare words alone would tie
        scores = _best_fitting(scores, sums, limit) | sums(worth)
        newest = _newest_in(db, scope, many) if left else []
        scores |= sums(newest)
        if left and len(newest) >= many:
            scores |= _common_in_scope(db, left, sums, scores, limit)
    elif left:
        scores = sums({*_promising(db, scores, weights, left, limit), *worth})
        if _worst_of_best(scores, limit) < sum(weights[term] for term in left):
            recent = _holding(db, _phrase(left[0]), _ENOUGH * limit)
            scores |= sums({*recent, *_together(db, left, limit)})
    best = nlargest(limit, zip(scores.values(), scores, strict=True))
    found = {place: score for score, place in best if score}
    for place, day in worth.items():
        found[place] = scores.get(place, 0.0) + day
    return found


def _rare_first(
    db: apsw.Connection, weights: Mapping[str, float], limit: int | None, many: int
) -> tuple[dict[int, float], list[str]]:
    """Score what the rare terms find, the weightiest first; return also the terms that were not read.

    Those are the common ones, and what is left when it can no longer change the best ``limit``.
    """
    scores: dict[int, float] = defaultdict(float)
    left = sorted(weights, key=weights.__getitem__, reverse=True)
    common: list[str] = []
    while left:
        if limit is not None and len(scores) >= _ENOUGH * limit:
            unread = float(sum(weights[term] for term in (*common, *left)))
            if sum(map(unread.__le__, scores.values())) >= limit:
                break
        term = left.pop(0)
        # Once one is common most that follow are, and counting takes a quarter of reading.
        if common and _count_up_to(db, term, many + 1) > many:
            common.append(term)
            continue
        places = _holding(db, _phrase(term), many + 1)
        if len(places) > many:
            common.append(term)
            continue
        for place in places:
            scores[place] += weights[term]
    return scores, [*common, *left]


def _promising(
    db: apsw.Connection,
    scores: dict[int, float],
    weights: Mapping[str, float],
    left: Sequence[str],
    limit: int,
) -> list[int]:
    """Return the places whose other terms are worth reading; not all, since each lies on its own page."""
    if len(scores) > _ENOUGH * limit:
        rare = " OR ".join(_phrase(term) for term in weights if term not in left)
        for term in _apart(left)[:_JOINED]:
            for place in _holding(db, f"{_phrase(term)} AND ({rare})", len(scores)):
                scores[place] += weights[term]
    best = nlargest(_ENOUGH * limit, zip(scores.values(), scores, strict=True))
    return [place for _, place in best]


def _worst_of_best(scores: Mapping[int, float], limit: int) -> float:
    """Return the least score among the best; 0 where there are fewer."""
    return nlargest(limit, scores.values())[-1] if len(scores) >= limit else 0.0


def _apart(terms: Sequence[str]) -> list[str]:
    """Leave out terms within others: what holds 上海 holds 上 and 海 too."""
    return [term for term in terms if not any(term in other for other in terms if other != term)]


def _holding(db: apsw.Connection, match: str, limit: int, before: int = 1 << 62) -> list[int]:
    """Return the newest places whose terms match."""
    rows = db.execute(
        "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?",
        (match, before, limit),
    )
    return [place for (place,) in rows]


def _together(db: apsw.Connection, terms: Sequence[str], limit: int, before: int = 1 << 62) -> set[int]:
    """Return the newest places that hold the rarest of the terms together, or most of them."""
    joined = _apart(terms)[:_JOINED]
    found: set[int] = set()
    while len(joined) > 1 and len(found) < limit:
        found.update(_holding(db, " AND ".join(map(_phrase, joined)), _ENOUGH * limit, before))
        joined.pop()
    return found


def _sums(
    db: apsw.Connection,
    weights: Mapping[str, float],
    condition: str,
    values: tuple[object, ...],
    places: Iterable[int],
) -> dict[int, float]:
    """Score the places that fit the condition by their own terms."""
    needles = [(f" {term} ", weight) for term, weight in weights.items()]
    rows = db.execute(
        f"SELECT place, terms FROM json_each(?) CROSS JOIN messages ON place = value"
        f" WHERE {condition or '1'}",
        (json.dumps(sorted(places)), *values),
    )
    return {place: sum(weight for needle, weight in needles if needle in terms) for place, terms in rows}


def _best_fitting(
    scores: Mapping[int, float], sums: Callable[[Iterable[int]], dict[int, float]], limit: int
) -> dict[int, float]:
    """Return the best of the scored places that fit, until there are enough."""
    places = sorted(scores, key=lambda place: (scores[place], place), reverse=True)
    fitting: dict[int, float] = {}
    for start in range(0, len(places), 2 * limit):
        fitting |= sums(places[start : start + 2 * limit])
        if len(fitting) >= limit:
            break
    return fitting


def _newest_in(db: apsw.Connection, scope: Scope, many: int) -> list[int]:
    """Return the places in scope that were said last, at most ``many``."""
    condition, values = conditions(db, scope, beside=True)
    source = "messages"
    if scope.metadata:
        # No index leads from a label to its messages, but its calls do.
        source = (
            "(SELECT kept.value AS kept FROM labels JOIN calls ON calls.id = call, json_each(places) kept"
            " WHERE labels.name = ? AND labels.value = ?) CROSS JOIN messages ON place = kept"
        )
        values = (*scope.metadata[0], *values)
    rows = db.execute(
        f"SELECT place FROM {source} WHERE {condition} ORDER BY said_at DESC LIMIT ?", (*values, many)
    )
    return [place for (place,) in rows]


def _common_in_scope(
    db: apsw.Connection,
    common: Sequence[str],
    sums: Callable[[Iterable[int]], dict[int, float]],
    scores: Mapping[int, float],
    limit: int,
) -> dict[int, float]:
    """Add what common terms find before the newest in scope: together, and where too little one by one."""
    found = {**scores, **sums(_together(db, common, limit))}
    for term in common:
        before = 1 << 62  # from the newest on: what was said last need not have come last
        while sum(map(bool, found.values())) < limit:
            places = _holding(db, _phrase(term), _MANY, before)
            if not places:
                break
            found |= sums(places)
            before = places[-1]
    return found


def _on_days(
    db: apsw.Connection,
    days: Sequence[Period],
    condition: str,
    values: tuple[object, ...],
    limit: int,
) -> dict[int, float]:
    worth: dict[int, float] = {}
    for day in days:
        for (place,) in db.execute(
            f"SELECT place FROM messages WHERE said_at BETWEEN ? AND ? {condition and 'AND ' + condition}"
            " ORDER BY said_at LIMIT ?",
            (day.first, day.last, *values, limit),
        ):
            worth[place] = max(worth.get(place, 0.0), day.weight)
    return worth
