"""Conversational BM25: a message is understood from its neighbours.

In a conversation the words of a question stand in the question and not in its answer, and what
"it" is was said two messages ago. So the frequencies of the searched terms **flow between
neighbouring messages before BM25 saturates them**, and the length that normalises them is the
length of what they flowed from. A few priors follow: who is asked about, what kind of answer is
wanted, which day is named. BM25: Robertson and Zaragoza, "The Probabilistic Relevance Framework",
2009. The constants were found on development data and are flat: any 30 % change of all of them
costs less than a point of recall.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import log
from typing import TYPE_CHECKING

from mem1_mcp.types import Trait

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mem1_mcp.types import Role, Statistics, Windows

# A term of message i counts this much for message i + distance. The message right before is full
# context when it asks something, and little otherwise.
_FLOW = ((2, 0.35), (3, 0.15), (4, 0.15), (-1, 0.3), (-2, 0.2), (-3, 0.1))
_FROM_QUESTION = 1.0
_FROM_STATEMENT = 0.2
_LENGTH_FLOW = ((1, 0.6), *_FLOW)
LOOK_BACK, LOOK_AHEAD = 3, 4  # how far a candidate's words reach other messages
REACH = LOOK_BACK + LOOK_AHEAD  # and how far context must be known to score those
_GAP = max(LOOK_BACK, LOOK_AHEAD) + 1  # messages further apart do not touch

_SATURATION = 0.8
_LENGTH_SHARE = 0.4
_CONTEXT_LENGTH = 1 + sum(weight for _, weight in _LENGTH_FLOW)  # mean context over mean length

_SPEAKER = 1.3  # higher pays on development data, and costs where a question names the wrong person
_TIME = 1.4
_NAME = 1.2
_NUMBER = 1.1
_SHORT = 0.8
_NEXT_DAY = 0.5
_DATE_WORD = 0.5


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """A term to look for and what finding it is worth.

    ``share`` is below 1 for a word that only stands in for the one asked, such as another spelling.
    """

    term: str
    weight: float
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Period:
    """A time that the query names, as first and last millisecond, and what lying in it is worth."""

    first: int
    last: int
    weight: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query asks for, apart from where it may look."""

    terms: tuple[SearchTerm, ...]
    days: tuple[Period, ...] = ()
    months: tuple[Period, ...] = ()
    traits: int = 0  # of `Trait`
    speaker: str | None = None
    role: Role | None = None


def inverse_frequency(messages: int, found_in: int) -> float:
    """Weigh a term by its rarity among one user's messages."""
    return log(1 + (messages - found_in + 0.5) / (found_in + 0.5))


def rank(
    windows: Windows, candidates: Iterable[int], wanted: Wanted, statistics: Statistics
) -> list[tuple[float, int]]:
    """Order the candidates and what their words reach: (score, place), best first.

    Only eligible messages are returned; the others lend their context. Equal scores are ordered by
    time, the newest first.
    """
    if not windows.places:
        return []
    line = _Line(windows, statistics)
    near = line.near(candidates)
    scores: dict[int, float] = defaultdict(float)
    for term in wanted.terms:
        for row, frequency in line.frequencies(term.term).items():
            if near[row]:
                tf = frequency * term.share
                scores[row] += term.weight * tf / (tf + line.norm(row))
    _add_times(scores, windows, line, wanted)
    ranked = []
    for index, row in enumerate(line.rows):
        if row in scores and near[row] and windows.eligible[index]:
            score = scores[row] * _prior(windows, index, wanted)
            ranked.append((score, windows.said_at[index], windows.places[index]))
    ranked.sort(reverse=True)
    return [(score, place) for score, _, place in ranked]


class _Line:
    """The windows laid out in one row, neighbours side by side, strangers ``_GAP`` apart."""

    def __init__(self, windows: Windows, statistics: Statistics) -> None:
        steps = (min(after - before, _GAP) for before, after in pairwise(windows.places))
        self.rows = list(accumulate(steps, initial=2 * _GAP))
        size = self.rows[-1] + 2 * _GAP + 1
        self._terms = windows.terms
        self._row_of = dict(zip(windows.places, self.rows, strict=True))
        self._lengths = [0] * size
        self._onward = [_FROM_STATEMENT] * size
        for row, length, traits in zip(self.rows, windows.lengths, windows.traits, strict=True):
            self._lengths[row] = length
            if traits & 1:  # Trait.ASKS; enum arithmetic is ten times dearer here
                self._onward[row] = _FROM_QUESTION
        mean = max(statistics.total_length / max(statistics.messages, 1), 1.0)
        self._scale = _SATURATION * _LENGTH_SHARE / (mean * _CONTEXT_LENGTH)

    def frequencies(self, term: str) -> dict[int, float]:
        """Return how often each row says the term, with what flows in from its neighbours."""
        needle = f" {term} "
        found: dict[int, float] = defaultdict(float)
        for index in [i for i, terms in enumerate(self._terms) if needle in terms]:
            row = self.rows[index]
            times = self._terms[index].split(" ").count(term)
            found[row] += times
            found[row + 1] += times * self._onward[row]
            for distance, weight in _FLOW:
                found[row + distance] += times * weight
        return found

    def norm(self, row: int) -> float:
        """Return the frequency that earns half of a term's weight: higher in long context."""
        lengths = self._lengths
        context = lengths[row] + sum(lengths[row - away] * share for away, share in _LENGTH_FLOW)
        return _SATURATION * (1 - _LENGTH_SHARE) + self._scale * context

    def near(self, candidates: Iterable[int]) -> bytearray:
        """Mark the rows that a candidate's words reach."""
        marks = bytearray(len(self._lengths))
        reach = b"\1" * (LOOK_BACK + 1 + LOOK_AHEAD)
        for place in candidates:
            row = self._row_of.get(place)
            if row is not None:
                marks[row - LOOK_BACK : row + LOOK_AHEAD + 1] = reach
        return marks


def _add_times(scores: dict[int, float], windows: Windows, line: _Line, wanted: Wanted) -> None:
    for index, said_at in enumerate(windows.said_at if wanted.days or wanted.months else ()):
        row = line.rows[index]
        worth = max((day.weight for day in wanted.days if day.first <= said_at <= day.last), default=0)
        if worth:
            scores[row] += worth
        for month in wanted.months:
            if month.first <= said_at <= month.last:
                scores[row] += month.weight * _DATE_WORD / (_DATE_WORD + line.norm(row))


def _prior(windows: Windows, index: int, wanted: Wanted) -> float:
    prior = 1.0
    if wanted.speaker is not None:
        if windows.names[index] == wanted.speaker:
            prior *= _SPEAKER
    elif wanted.role is not None and windows.roles[index] == wanted.role:
        prior *= _SPEAKER
    traits = windows.traits[index]
    fitting = traits & wanted.traits
    if fitting:
        prior *= _TIME if fitting & Trait.TIME.value else 1.0
        prior *= _NAME if fitting & Trait.NAME.value else 1.0
        prior *= _NUMBER if fitting & Trait.NUMBER.value else 1.0
    return prior * _SHORT if traits & Trait.SHORT.value else prior


def day_weight(messages: int) -> float:
    """Return what lying on a named day is worth: as much as a term that one message holds."""
    return log(1 + (messages + 0.5) / 0.5)


def fuse(rankings: Sequence[Sequence[tuple[float, int]]]) -> list[tuple[float, int]]:
    """Join the rankings of several queries: each scaled to its best hit, the higher score counts."""
    best: dict[int, float] = {}
    for ranking in rankings:
        top = ranking[0][0] if ranking and ranking[0][0] > 0 else 1.0
        for score, place in ranking:
            best[place] = max(best.get(place, 0.0), score / top if len(rankings) > 1 else score)
    return sorted(((score, place) for place, score in best.items()), reverse=True)


def stand_ins(term: str, vocabulary: Mapping[str, int], limit: int = 3) -> list[tuple[str, int]]:
    """Return the user's own words most like one that was never said: inflections and misspellings."""
    grams = _trigrams(term)
    alike = []
    for word, found_in in vocabulary.items():
        other = _trigrams(word)
        likeness = 2 * len(grams & other) / (len(grams) + len(other))
        if likeness >= 0.5:  # noqa: PLR2004
            alike.append((likeness, word, found_in))
    alike.sort(reverse=True)
    return [(word, found_in) for _, word, found_in in alike[:limit]]


def _trigrams(word: str) -> frozenset[str]:
    padded = f" {word} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))
