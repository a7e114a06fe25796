"""Find what was said: query → candidates and their neighbours → ranking → budget → lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory import profile as profiles
from mem1_mcp.memory import query as queries
from mem1_mcp.memory import ranking
from mem1_mcp.memory.lines import Line, at_local, choose, write_line
from mem1_mcp.text.budget import estimate_tokens, snippet
from mem1_mcp.types import MAX_POSITION, conversation_of, place_of

if TYPE_CHECKING:
    from datetime import tzinfo

    from mem1_mcp.protocols import Progress, Store
    from mem1_mcp.types import Item, Scope, Stored

# Per message shown, beyond a base: found by their own words, and read with their context. More of
# either found nothing more on development data.
_CANDIDATES = (180, 2)
_RANKED = (30, 2)
_AROUND = 8  # messages shown before and after one that is opened
_PROFILE_SHARE = 4  # of the budget, where a query is asked
_WEAK = 0.25  # of the best hit's score; what is below counts as no further match


@dataclass(frozen=True, slots=True)
class Recall:
    """What is asked: ``queries`` are other words for one question; without any, what is newest.

    ``around`` opens one message with its neighbours. ``skip`` passes over what was shown before.
    """

    scope: Scope
    queries: tuple[str, ...] = ()
    limit: int = 10
    max_tokens: int = 1500
    around: int | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was found. ``more`` counts further matches that were not shown."""

    profile: tuple[Item, ...]
    hits: tuple[Line, ...]
    more: int


async def recall(store: Store, asked: Recall, now: int, zone: tzinfo, progress: Progress) -> Recalled:
    """Answer a recall; reading only."""
    if asked.around is not None:
        return await _open(store, asked, asked.around, now, zone)
    if asked.queries:
        return await _search(store, asked, now, zone, progress)
    return await _latest(store, asked, now, zone)


async def _search(store: Store, asked: Recall, now: int, zone: tzinfo, progress: Progress) -> Recalled:
    profile = await store.profile(asked.scope.user)
    items = profiles.relevant(
        profile,
        " ".join(asked.queries),
        asked.max_tokens // _PROFILE_SHARE if not asked.skip else 0,
    )
    rankings = []
    weights: dict[str, float] = {}
    for number, text in enumerate(asked.queries, start=1):
        # What is asked about a past moment is asked as of that moment: 昨天 is the day before it.
        moment = now if asked.scope.until is None else min(now, asked.scope.until)
        query = await queries.prepare(store, asked.scope, text, at_local(moment, zone))
        weights |= query.weights
        rankings.append(await _rank(store, asked, query))
        await progress(number, len(asked.queries), "Searched")
    ranked = ranking.fuse(rankings)
    places = [place for _, place in ranked[asked.skip : asked.skip + asked.limit]]
    found = await store.messages(asked.scope.user, places)
    spent = _cost(items)
    hits = choose(found, weights, asked.max_tokens - spent, now, zone)
    floor = ranked[0][0] * _WEAK if ranked else 0.0
    matches = sum(score >= floor for score, _ in ranked)
    return Recalled(tuple(items), tuple(hits), max(matches - asked.skip - len(hits), 0))


async def _rank(store: Store, asked: Recall, query: queries.Query) -> list[tuple[float, int]]:
    days = (*query.wanted.days, *query.wanted.months)
    shown = asked.skip + asked.limit
    wide, narrow = (base + each * shown for base, each in (_CANDIDATES, _RANKED))
    candidates = await store.candidates(asked.scope, query.weights, days, wide)
    places = ranking.promising(candidates, narrow)
    windows = await store.windows(asked.scope, places, ranking.REACH)
    return ranking.rank(windows, places, query.wanted, query.statistics)


async def _latest(store: Store, asked: Recall, now: int, zone: tzinfo) -> Recalled:
    profile = await store.profile(asked.scope.user)
    items = profiles.whole(profile, asked.max_tokens // 2 if not asked.skip else 0)
    newest = await store.latest(asked.scope, asked.limit, asked.skip)
    hits = choose(newest, {}, asked.max_tokens - _cost(items), now, zone)
    total = await store.count(asked.scope)
    # Chosen from the newest back, shown in the order in which it was said.
    return Recalled(tuple(items), tuple(reversed(hits)), max(total - asked.skip - len(hits), 0))


async def _open(store: Store, asked: Recall, place: int, now: int, zone: tzinfo) -> Recalled:
    conversation = conversation_of(place)
    first = max(place - _AROUND, place_of(conversation, 0))
    last = min(place + _AROUND, place_of(conversation, MAX_POSITION))
    found = await store.messages(asked.scope.user, range(first, last + 1))
    if not any(stored.place == place for stored in found):
        raise InvalidRequestError(
            "around: there is no such memory (any more). Use an id as recall shows it in brackets, "
            "such as m3.7."
        )
    hits = _whole_messages(found, place, asked.max_tokens, now, zone)
    return Recalled((), tuple(hits), 0)


def _whole_messages(
    found: tuple[Stored, ...], place: int, max_tokens: int, now: int, zone: tzinfo
) -> list[Line]:
    """Choose the opened message, then its neighbours from near to far, uncut as far as they fit."""
    chosen: list[Line] = []
    for stored in sorted(found, key=lambda stored: abs(stored.place - place)):
        text = snippet(stored.content, {}, max(max_tokens - 40, 1))
        line = write_line(stored, text, now, zone)
        max_tokens -= estimate_tokens(line) + 1
        if max_tokens < 0 and chosen:
            break
        chosen.append(Line(stored, text, line))
    return sorted(chosen, key=lambda line: line.stored.place)


def _cost(items: list[Item]) -> int:
    return sum(estimate_tokens(profiles.profile_line(item)) + 1 for item in items)
