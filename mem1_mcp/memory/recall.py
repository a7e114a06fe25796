"""Find what was said: query → candidates and neighbours → score → budget → lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.lines import Line, at_local, choose, common_topic, write_line
from mem1_mcp.memory.search import query as queries
from mem1_mcp.memory.search import ranking
from mem1_mcp.text.budget import estimate_tokens, snippet
from mem1_mcp.text.terms import index
from mem1_mcp.text.traits import only_asks
from mem1_mcp.types import MAX_POSITION, Profile, conversation_of, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from mem1_mcp.memory.profile.portrait import Known, View
    from mem1_mcp.memory.search.meaning import Meaning
    from mem1_mcp.memory.search.query import Query
    from mem1_mcp.protocols import Progress, Store
    from mem1_mcp.types import Scope, Stored

# Per message shown, beyond a base: found by their own words, and read with their context. More of
# either found nothing more on development data.
_CANDIDATES = (180, 2)
_RANKED = (30, 2)
_AMONG = 4  # as many, where most of what is ranked are messages around the images
_AROUND = 8  # messages shown before and after one that is opened
_PROFILE_SHARE = 4  # of the budget, where a query is asked
_BY_WORDS = "Searched by words only:"
_JUST_SAID = 3  # calls whose messages may still wait for vectors without a word about it
_FURTHER = 0.25  # of the best hit's score; what is below counts as no further match


@dataclass(frozen=True, slots=True)
class Recall:
    """What is asked: ``queries`` are other words for one question; without any, what is newest.

    ``around`` opens one message with its neighbours. ``skip`` passes over what was shown before. Mere
    questions of the user from ``unanswered_since`` on match nothing: they may be what is asked.
    """

    scope: Scope
    queries: tuple[str, ...] = ()
    limit: int = 10
    max_tokens: int = 1500
    around: int | None = None
    skip: int = 0
    unanswered_since: int | None = None


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was found. ``more`` counts further matches that were not shown.

    ``topic`` is the one that all lines are of, which then do not name it. ``trouble`` says why it was not,
    or not everywhere, searched by meaning.
    """

    profile: tuple[Known, ...]
    hits: tuple[Line, ...]
    more: int
    topic: str | None = None
    trouble: str | None = None


async def recall(
    store: Store,
    meaning: Meaning | None,
    asked: Recall,
    now: int,
    view: View,
    progress: Progress,
) -> Recalled:
    """Answer a recall as of now, as ``view`` shows the profile and times; reading only.

    Without ``meaning``, or where it fails, by words alone.
    """
    if asked.around is not None:
        return await _open(store, asked, asked.around, (now, view.zone))
    if asked.queries:
        return await _search(store, meaning, asked, now, view, progress)
    return await _latest(store, asked, now, view)


async def _search(
    store: Store,
    meaning: Meaning | None,
    asked: Recall,
    now: int,
    view: View,
    progress: Progress,
) -> Recalled:
    items = view.relevant(
        await _profile(store, asked),
        " ".join(text[: queries.MAX_CHARACTERS] for text in asked.queries),
        asked.max_tokens // _PROFILE_SHARE if not asked.skip else 0,
    )
    # What is asked about a past moment is asked as of that moment: 昨天 is the day before it.
    as_of = at_local(now if asked.scope.until is None else min(now, asked.scope.until), view.zone)
    prepared = [await queries.prepare(store, asked.scope, text, as_of) for text in asked.queries]
    vectors, trouble = await _vectors(store, meaning, asked.scope.user, prepared)
    rankings = []
    for number, (query, vector) in enumerate(zip(prepared, vectors, strict=True), start=1):
        rankings.append(await _rank(store, asked, query, vector))
        await progress(number, len(asked.queries), "Searched")
    ranked = ranking.fuse(rankings)
    shown = ranked[asked.skip : asked.skip + asked.limit]
    found = await store.messages(asked.scope.user, [each.place for each in shown])
    found = tuple(each for each in found if not _is_asked_now(each, asked.unanswered_since))
    weights = {term: weight for query in prepared for term, weight in query.weights.items()}
    spent = _cost(items) + (estimate_tokens(trouble) + 1 if trouble else 0)
    weak = frozenset(each.place for each in shown if each.weak)
    hits = choose(found, weights, asked.max_tokens - spent, (now, view.zone), weak)
    floor = ranked[0].score * _FURTHER if ranked else 0.0
    matches = sum(each.score >= floor for each in ranked)
    return Recalled(
        tuple(items), tuple(hits), max(matches - asked.skip - len(hits), 0), common_topic(found), trouble
    )


def _is_asked_now(stored: Stored, since: int | None) -> bool:
    if since is None or stored.said_at < since or stored.role != "user":
        return False
    return only_asks(index(stored.content).traits)


async def _profile(store: Store, asked: Recall) -> Profile:
    """Return what is known of the user; nothing where images are asked for."""
    return Profile() if asked.scope.images else await store.profile(asked.scope.user)


async def _vectors(
    store: Store, meaning: Meaning | None, user: str, prepared: Sequence[Query]
) -> tuple[Sequence[bytes | None], str | None]:
    """Return the questions' vectors, or none and why; also what is not searched by vectors yet."""
    without: list[bytes | None] = [None] * len(prepared)
    if meaning is None:
        return without, None
    standing = await store.vectors(user)
    if not standing.current:
        return without, f"{_BY_WORDS} the vectors of this model are yet to be made."
    questions = await meaning.of_questions([query.unnamed for query in prepared])
    if questions.trouble is not None:
        return without, f"{_BY_WORDS} {questions.trouble}."
    if standing.waiting > _JUST_SAID:
        return questions.vectors, (
            f"By words only so far: messages of {standing.waiting} calls, whose vectors are being made."
        )
    return questions.vectors, None


async def _rank(store: Store, asked: Recall, query: Query, vector: bytes | None) -> list[ranking.Ranked]:
    days = (*query.wanted.days, *query.wanted.months)
    shown = (asked.skip + asked.limit) * (_AMONG if asked.scope.images else 1)
    wide, narrow = (base + each * shown for base, each in (_CANDIDATES, _RANKED))
    candidates = await store.candidates(asked.scope, query.weights, days, wide)
    places = ranking.promising(candidates, narrow)
    if vector is None:
        windows = await store.windows(asked.scope, places, ranking.REACH)
        return ranking.rank(windows, places, query.wanted, query.statistics, apart=asked.scope.images)
    near = await store.nearest(asked.scope, vector, narrow)
    places = list({*places, *(place + step for place in near for step in (-1, 0, 1))})
    windows = await store.windows(asked.scope, places, ranking.REACH)
    similarities = await store.similarities(asked.scope.user, vector, windows.places)
    return ranking.rank(
        windows, places, query.wanted, query.statistics, similarities, apart=asked.scope.images
    )


async def _latest(store: Store, asked: Recall, now: int, view: View) -> Recalled:
    items = view.whole(await _profile(store, asked), asked.max_tokens // 2 if not asked.skip else 0)
    newest = await store.latest(asked.scope, asked.limit, asked.skip)
    hits = choose(newest, {}, asked.max_tokens - _cost(items), (now, view.zone))
    total = await store.count(asked.scope)
    more = max(total - asked.skip - len(hits), 0)
    if not asked.scope.images:
        # Chosen from the newest back, shown in the order in which it was said.
        hits.reverse()
    return Recalled(tuple(items), tuple(hits), more, common_topic(newest))


async def _open(store: Store, asked: Recall, place: int, moment: tuple[int, tzinfo]) -> Recalled:
    conversation = conversation_of(place)
    first = max(place - _AROUND, place_of(conversation, 0))
    last = min(place + _AROUND, place_of(conversation, MAX_POSITION))
    found = await store.messages(asked.scope.user, range(first, last + 1))
    if not any(stored.place == place for stored in found):
        raise InvalidRequestError(
            "around: there is no such memory (any more). Use an id as recall shows it in brackets, "
            "such as m3.7."
        )
    hits = _whole_messages(found, place, asked.max_tokens, moment)
    return Recalled((), tuple(hits), 0)


def _whole_messages(
    found: tuple[Stored, ...], place: int, max_tokens: int, moment: tuple[int, tzinfo]
) -> list[Line]:
    """Choose the opened message, then its neighbours from near to far, uncut as far as they fit."""
    chosen: list[Line] = []
    for stored in sorted(found, key=lambda stored: abs(stored.place - place)):
        text = snippet(stored.content, {}, max(max_tokens - 40, 1))
        line = write_line(stored, text, *moment)
        max_tokens -= estimate_tokens(line) + 1
        if max_tokens < 0 and chosen:
            break
        chosen.append(Line(stored, text, line))
    return sorted(chosen, key=lambda line: line.stored.place)


def _cost(items: list[Known]) -> int:
    return sum(estimate_tokens(known.line) + 1 for known in items)
