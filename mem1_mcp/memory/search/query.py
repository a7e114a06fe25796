"""From a question to what is searched: its terms and their weights, who and when it asks about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from mem1_mcp.memory.lines import at_local
from mem1_mcp.memory.search.ranking import (
    SearchTerm,
    Wanted,
    day_weight,
    inverse_frequency,
    stand_ins,
)
from mem1_mcp.text.dates import days_in_years, named_times
from mem1_mcp.text.english import FUNCTION_WORDS
from mem1_mcp.text.terms import normalise, query_terms, split
from mem1_mcp.text.traits import wanted_traits
from mem1_mcp.types import Period

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from datetime import tzinfo

    from mem1_mcp.protocols import Store
    from mem1_mcp.text.dates import NamedTimes
    from mem1_mcp.types import Role, Scope, Statistics

MAX_CHARACTERS = 2000  # a query is a sentence, not a document: what is beyond adds nothing but work
_MAX_TERMS = 64
_MAX_UNKNOWN = 5  # words that are looked up by their likeness
_DAY = 2.0  # lying on a day that is named: as much as two terms that one message holds
_MONTH, _YEAR = 2.0, 1.0  # lying in a month or a year that is named: as much as a common word
_FIRST_YEAR, _LAST_YEAR = 1900, 2200  # the calendar has no room for zones at its ends
_FUZZY_LETTERS = 4  # shorter words have too many look-alikes

_WORD = re.compile(r"[a-z0-9]+")
_FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself|we|our|us)\b|[我俺咱]", re.IGNORECASE)
_SECOND_PERSON = re.compile(r"\b(?:you|your|yours)\b|[你您]", re.IGNORECASE)
_ASSISTANT_TOLD = re.compile(
    r"\byou (?:(?:ever|just|also|already|once) )?"
    r"(?:tell|told|recommend|suggest|sa[iy]|advise|g[ai]ve|mention|explain|propose|wr[io]te|offer"
    r"|teach|taught|answer|call)"
    r"|[你您](?:曾经?|之前|上次|以前|刚才|昨天|还|又|都|在[^，,。]{1,8})?(?:给|告诉|推荐|建议|说|提|讲|介绍|教|回[答复]|写|向)",
    re.IGNORECASE,
)
_CAPITALISED = re.compile(r"\b[A-Z][a-z]{2,}\b")
_JOINABLE_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Query:
    """A question ready to be searched.

    ``weights`` are its terms for candidates and snippets, ``unnamed`` is its text without the speakers it
    names, whose names would draw its vector to all they said.
    """

    wanted: Wanted
    statistics: Statistics
    weights: dict[str, float]
    unnamed: str


async def prepare(store: Store, scope: Scope, text: str, now: datetime) -> Query:
    """Weigh a question by this user's own statistics; ``now`` carries the user's time zone."""
    text = text[:MAX_CHARACTERS]
    times = named_times(text, now.date())
    terms = query_terms(times.rest)[:_MAX_TERMS] or query_terms(text)[:_MAX_TERMS]
    compounds = _compounds(terms)
    statistics = await store.statistics(scope.user, (*terms, *compounds))
    named, called, unnamed = _speakers(text, statistics.names)
    about = tuple(term for term in terms if term not in called) or terms
    known = tuple(term for term in compounds if statistics.found_in[term])
    search = tuple([term async for term in _search_terms(store, scope.user, (*about, *known), statistics)])
    days, months = _periods(times, now, statistics)
    wanted = Wanted(
        terms=search,
        whole=sum(inverse_frequency(statistics.messages, statistics.found_in[term]) for term in about),
        days=days,
        months=months,
        traits=int(wanted_traits(text)),
        speaker=named[0] if len(named) == 1 else None,
        role=None if named else _role(text),
    )
    weights = {term.term: term.weight * term.share for term in search}
    return Query(wanted, statistics, weights, unnamed)


async def _search_terms(
    store: Store, user: str, terms: tuple[str, ...], statistics: Statistics
) -> AsyncIterator[SearchTerm]:
    vocabularies: dict[str, Mapping[str, int]] = {}
    unknown = 0
    for term in terms:
        found_in = statistics.found_in[term]
        if found_in:
            yield SearchTerm(term, inverse_frequency(statistics.messages, found_in))
        elif len(term) >= _FUZZY_LETTERS and term.isascii() and term.isalpha() and unknown < _MAX_UNKNOWN:
            unknown += 1
            if term[0] not in vocabularies:
                vocabularies[term[0]] = await store.vocabulary(user, term[0])
            for word, times in stand_ins(term, vocabularies[term[0]]):
                yield SearchTerm(word, inverse_frequency(statistics.messages, times), share=0.6)


def _compounds(terms: tuple[str, ...]) -> tuple[str, ...]:
    """Join words that stand side by side: what one writes "road trip" another writes "roadtrip"."""
    return tuple(
        first + second
        for first, second in pairwise(terms)
        if all(
            len(word) >= _JOINABLE_LETTERS and word.isascii() and word.isalpha() for word in (first, second)
        )
    )


def _speakers(text: str, names: tuple[str, ...]) -> tuple[list[str], set[str], str]:
    """Return the speakers that a question names, the terms it names them by, and the rest of it.

    Those terms say nothing else: everything in a conversation is about its speakers.
    """
    searched = normalise(text)
    words = frozenset(_WORD.findall(searched))
    short = {found[0].lower() for found in _CAPITALISED.finditer(text) if found.start()} - FUNCTION_WORDS
    named: list[str] = []
    called: set[str] = set()
    for name in names:
        folded = normalise(name)
        if folded.isascii():
            parts = [part for part in _WORD.findall(folded) if len(part) > 1]
            # Mel is Melanie: the beginning of a name, written as one.
            said = {word for part in parts for word in (words & {part}) | _beginnings(part, short)}
        else:
            said = {folded} if folded in searched else set()
        if said:
            named.append(name)
            called |= {folded, *said}
    terms = {term for each in called for term in split(each).content}
    return named, terms, _without(text, called)


def _beginnings(word: str, of: set[str]) -> set[str]:
    return {each for each in of if word.startswith(each)}


def _without(text: str, words: set[str]) -> str:
    """Take words out of a text, unless nothing is left then."""
    if not words:
        return text
    longest_first = sorted(words, key=len, reverse=True)
    # Chinese does not end a word; English may go on with 's.
    pattern = "|".join(
        rf"\b{re.escape(word)}(?:['’]s)?\b" if word.isascii() else re.escape(word) for word in longest_first
    )
    left = " ".join(re.sub(pattern, " ", text, flags=re.IGNORECASE).split())
    return left if re.search(r"\w", left) else text


def _role(text: str) -> Role | None:
    """Tell whose words are asked for where nobody is named: "I" is the user, "you" the assistant.

    Who asks what the assistant told them asks for its words; where both are in it otherwise, for
    their own, as in "Do you remember my birthday?"
    """
    if _ASSISTANT_TOLD.search(text):
        return "assistant"
    if _FIRST_PERSON.search(text):
        return "user"
    return "assistant" if _SECOND_PERSON.search(text) else None


def _periods(
    times: NamedTimes, now: datetime, statistics: Statistics
) -> tuple[tuple[Period, ...], tuple[Period, ...]]:
    zone = now.tzinfo
    known = [
        named for named in times.days if named.first.year >= _FIRST_YEAR and named.last.year <= _LAST_YEAR
    ]
    words = [word for word in times.words if _is_known(word)]
    known_from, known_to = (
        at_local(at, now.tzinfo or UTC).year for at in (statistics.first_at, statistics.last_at)
    )
    years = range(known_from, known_to + 1)
    worth = _DAY * day_weight(statistics.messages)
    days = []
    for named in known:
        nearest = sorted(days_in_years(named, years), key=lambda span: abs(span[0] - now.date()))
        for nearness, (first, last) in enumerate(nearest):
            length = (last - first).days + 1
            share = (1.0 if length == 1 else 0.5) / (1 + 0.2 * nearness)
            days.append(Period(*_span(first, last, zone), worth * share))
            if length == 1:
                near = timedelta(days=1)
                days.append(Period(*_span(first - near, last + near, zone), worth * share / 2))
    months = tuple(
        Period(*_span(*span, zone), _YEAR if word.lstrip("@").isdigit() else _MONTH)
        for word in words
        for span in _months(word, years)
    )
    return tuple(days), months


def _is_known(word: str) -> bool:
    year = word.removeprefix("@").partition("-")[0]
    return not year.isdigit() or _FIRST_YEAR <= int(year) <= _LAST_YEAR


def _span(first: date, last: date, zone: tzinfo | None) -> tuple[int, int]:
    start = datetime.combine(first, time.min, zone)
    end = datetime.combine(last, time.max, zone)
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000)


def _months(word: str, years: range) -> Iterator[tuple[date, date]]:
    """Write a date word as the stretches of time it stands for."""
    year, _, month = word.removeprefix("@").partition("-")
    if year.startswith("m"):
        for each in years:
            yield from _months(f"@{each}-{year[1:]}", years)
        return
    first = date(int(year), int(month or 1), 1)
    last = date(int(year), 12, 31)
    if month:
        last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    yield first, last
