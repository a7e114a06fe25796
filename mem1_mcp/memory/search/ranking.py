"""Conversational BM25: a message is understood from its neighbours.

In a conversation the words of a question stand in the question and not in its answer, and what
"it" is was said two messages ago. So the frequencies of the searched terms **flow between
neighbouring messages before BM25 saturates them**, and the length that normalises them is the
length of what they flowed from. A few priors follow: who is asked about, what kind of answer is
wanted, which day is named. BM25: Robertson and Zaragoza, "The Probabilistic Relevance Framework",
2009. The constants were found on development data and are flat: changed by up to 30 % all at once,
eight times at random, they cost 1.4 points of recall among the first ten at worst.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from math import fsum, log, sqrt
from operator import mul
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mem1_mcp.types import Period, Trait

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mem1_mcp.types import Role, Statistics, Windows

    Counted = Sequence[tuple["SearchTerm", list[int]]]

# What a term counts in a message where it was said 4, 3, 2, 1 messages before, in the message
# itself, 1, 2, 3 messages after. The message right before is full context when it asks something.
_AFTER_QUESTION = (0.15, 0.15, 0.35, 1.0, 1.0, 0.3, 0.2, 0.1)
_AFTER_STATEMENT = (0.15, 0.15, 0.35, 0.2, 1.0, 0.3, 0.2, 0.1)
_LENGTH_SHARES = (0.15, 0.15, 0.35, 0.6, 1.0, 0.3, 0.2, 0.1)
_BEFORE, _AFTER = 4, 3
_EXPECTED = ((0, 1.0), (1, 0.6), (2, 0.35), (3, 0.15), (4, 0.15), (-1, 0.3), (-2, 0.2), (-3, 0.1))
REACH = max(_BEFORE, _AFTER)  # how far around a message its context goes
_GAP = REACH + 1  # messages further apart do not touch

_SATURATION = 0.8
_LENGTH_SHARE = 0.5
# A document in a message is not so far from its words that its short neighbours would be nearer.
_LONG = 2.0 * _SATURATION * _LENGTH_SHARE
_RARITY = 1.15  # exponent: rare terms count for somewhat more than the logarithm of their rarity

_SPEAKER = 1.5  # more pays until a question names the wrong person
_TIME = 1.6
_NAME = 1.3
_NUMBER = 1.1
_SHORT = 0.8
_ADDRESSES = 0.85
# Meaning beside words: a standard deviation of similarity, of the most that words give; who said it; and
# how much of the question the best must say for that to be the most.
_MEANING, _SAID_BY, _COVERED = 0.18, 0.2, 0.3
# Where the best says less of the question than this, the nearest get these places, counted from 0.
_LITTLE, _KEPT_PLACES = 0.35, (2, 4)
# A match is weak that says less of the question than this, unless it stands out so far by meaning.
_WEAK, _STANDS_OUT = 0.2, 2.5
_NEAR_SHARES = (0.2, 0.3, 1.0, 0.3)  # what similarity counts 2 and 1 before, itself, 1 after
# Longer messages say more, beyond what their terms say: length in terms, from and up to, and exponent.
_SHORTEST, _USUAL, _LONGEST, _SAYS_MORE = 8, 15, 60, 0.1


_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """A term to look for and what finding it is worth.

    ``share`` is below 1 for a word that only stands in for the one asked, such as another spelling.
    """

    term: str
    weight: float
    share: float = 1.0


class Ranked(NamedTuple):
    """A message with its score. ``weak`` where little speaks for it: few of the words, nothing near."""

    score: float
    place: int
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query asks for, apart from where it may look.

    ``whole`` is what a message would score that said all of the query's words, also those that nobody
    ever said.
    """

    terms: tuple[SearchTerm, ...]
    whole: float = 0.0
    days: tuple[Period, ...] = ()
    months: tuple[Period, ...] = ()
    traits: int = 0  # of `Trait`
    speaker: str | None = None
    role: Role | None = None


def inverse_frequency(messages: int, found_in: int) -> float:
    """Weigh a term by its rarity among one user's messages."""
    messages = max(messages, found_in)  # one may have come between the two counts
    return float(log(1 + (messages - found_in + 0.5) / (found_in + 0.5)) ** _RARITY)


def promising(candidates: Mapping[int, float], limit: int) -> list[int]:
    """Return the ``limit`` places that look best before their context is read.

    The scores of the candidates flow as their terms would. Saturation and length are left out, and
    the order that follows is close enough that nothing of the first sixty was lost in measurements.
    """
    estimates: dict[int, float] = defaultdict(float)
    for place, score in candidates.items():
        for distance, share in _EXPECTED:
            estimates[place + distance] += score * share
    return sorted(estimates, key=estimates.__getitem__, reverse=True)[:limit]


def rank(
    windows: Windows,
    places: Collection[int],
    wanted: Wanted,
    statistics: Statistics,
    similarities: Mapping[int, float] | None = None,
    *,
    apart: bool = False,
) -> list[Ranked]:
    """Order the places by what they and their context say, best first.

    Only eligible messages are returned; the others lend their context. Equal scores are ordered by
    time, the newest first. ``similarities`` are cosines of the question's vector with those of the
    messages in the windows; with them also what shares no word with the question is returned. ``apart``
    where the eligible lend each other nothing, as images do that were sent one after the other.
    """
    if not windows.places:
        return []
    line = _Line(windows, statistics, apart=apart)
    counted = [(term, line.counts(term.term)) for term in wanted.terms]
    chosen = frozenset(places)
    by_words: dict[int, float] = {}
    for index, place in enumerate(windows.places):
        if place in chosen and windows.eligible[index]:
            score = line.score(counted, line.rows[index]) + _time(windows.said_at[index], wanted)
            by_words[index] = score * _prior(windows, index, wanted)
    weak = {index for index, score in by_words.items() if score < _WEAK * wanted.whole}
    if similarities:
        near = _standing_out(by_words, line.flowing(similarities, windows.places))
        weak = {index for index in weak if near[index] < _STANDS_OUT}
        scores = _with_meaning(by_words, near, windows, wanted)
    else:
        scores = {index: score for index, score in by_words.items() if score > 0}
    ranked = sorted(
        ((score, windows.said_at[index], windows.places[index], index) for index, score in scores.items()),
        reverse=True,
    )
    return [Ranked(score, place, index in weak) for score, _, place, index in ranked]


def _standing_out(chosen: Iterable[int], by_meaning: Mapping[int, float]) -> dict[int, float]:
    """Return how far each similarity lies above the mean of the chosen, in standard deviations."""
    near = {index: by_meaning[index] for index in chosen}
    mean = fsum(near.values()) / max(len(near), 1)
    spread = sqrt(fsum((each - mean) ** 2 for each in near.values()) / max(len(near), 1)) or 1.0
    return {index: (each - mean) / spread for index, each in near.items()}


def _with_meaning(
    by_words: Mapping[int, float], near: Mapping[int, float], windows: Windows, wanted: Wanted
) -> dict[int, float]:
    """Add to each score how far its similarity stands out.

    Scores are added, not ranks: weak words would count as much as strong ones (reciprocal rank fusion
    finds less here than words alone). Where the words say little of the question, places near the top
    are kept for what is nearest.
    """
    if not by_words:
        return {}
    best = max(by_words.values())
    scale = max(best, _COVERED * wanted.whole) or 1.0
    scores = {}
    for index, words in by_words.items():
        meant = _MEANING * near[index]
        if meant > 0:
            meant *= _prior_of_kind(windows.traits[index], wanted.traits)
        scores[index] = words / scale + meant + _SAID_BY * _is_by(windows, index, wanted)
    if best < _LITTLE * wanted.whole:
        return _with_nearest(scores, near)
    return scores


def _with_nearest(scores: Mapping[int, float], near: Mapping[int, float]) -> dict[int, float]:
    """Move the nearest up to the places kept for them, where they do not stand there by themselves."""
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    nearest = sorted(scores, key=near.__getitem__, reverse=True)[: len(_KEPT_PLACES)]
    for place in _KEPT_PLACES:
        below = [index for index in nearest if index not in order[: place + 1]]
        if below:
            order.remove(below[0])
            order.insert(place, below[0])
    return dict(zip(order, sorted(scores.values(), reverse=True), strict=True))


class _Line:
    """The windows laid out in one row, neighbours side by side, strangers ``_GAP`` apart."""

    def __init__(self, windows: Windows, statistics: Statistics, *, apart: bool) -> None:
        steps = (min(after - before, _GAP) for before, after in pairwise(windows.places))
        self.rows = list(accumulate(steps, initial=_GAP))
        size = self.rows[-1] + _GAP + 1
        self._terms = windows.terms
        self._lengths = [0] * size
        rows = zip(self.rows, windows.eligible, strict=True)
        self._lend_nothing = frozenset(row for row, eligible in rows if apart and eligible)
        self._shares = [_AFTER_STATEMENT] * (size + 1)
        for row, length, traits in zip(self.rows, windows.lengths, windows.traits, strict=True):
            self._lengths[row] = length
            if traits & 1:  # Trait.ASKS; enum arithmetic is ten times dearer here
                self._shares[row + 1] = _AFTER_QUESTION
        mean = max(statistics.total_length / max(statistics.messages, 1), 1.0)
        self._scale = _SATURATION * _LENGTH_SHARE / (mean * sum(_LENGTH_SHARES))

    def counts(self, term: str) -> list[int]:
        """Return how often each row says the term; twice in a row counts once."""
        needle = f" {term} "
        counts = [0] * len(self._lengths)
        for index in [index for index, terms in enumerate(self._terms) if needle in terms]:
            counts[self.rows[index]] = self._terms[index].count(needle)
        return counts

    def flowing(self, similarities: Mapping[int, float], places: Sequence[int]) -> dict[int, float]:
        """Return how much nearer each message and its neighbours are than the average; by index.

        The average is taken off first: so a message with fewer neighbours is not farther for that.
        """
        known = [
            (index, similarities[place]) for index, place in enumerate(places) if place in similarities
        ]
        mean = fsum(near for _, near in known) / max(len(known), 1)
        near = [0.0] * len(self._lengths)
        for index, similarity in known:
            near[self.rows[index]] = similarity - mean
        return {
            index: sum(map(mul, self._heard(near[row - 2 : row + 2], row - 2, row), _NEAR_SHARES))
            for index, row in enumerate(self.rows)
        }

    def _heard(self, around: list[_Number], first: int, row: int) -> list[_Number]:
        """Take out what lies around a row, from ``first`` on, and lends it nothing."""
        silent = self._lend_nothing
        return [
            value if at == row or at not in silent else value * 0
            for at, value in enumerate(around, start=first)
        ]

    def score(self, counted: Counted, row: int) -> float:
        """Return what the terms in and around a row are worth, each saturated."""
        first, behind = row - _BEFORE, row + _AFTER + 1
        lengths = self._lengths[first:behind]
        if self._lend_nothing:
            lengths = self._heard(lengths, first, row)
        # The frequency that earns half of a term's weight: higher in long context.
        length = min(self._scale * sum(map(mul, lengths, _LENGTH_SHARES)), _LONG)
        norm = _SATURATION * (1 - _LENGTH_SHARE) + length
        shares = self._shares[row]
        score = 0.0
        for term, counts in counted:
            said = counts[first:behind]
            if self._lend_nothing:
                said = self._heard(said, first, row)
            frequency = sum(map(mul, said, shares)) * term.share
            score += term.weight * frequency / (frequency + norm)
        return score


def _time(said_at: int, wanted: Wanted) -> float:
    """Return what lying in a time that the query names is worth."""
    return max((day.weight for day in wanted.days if day.first <= said_at <= day.last), default=0.0) + max(
        (month.weight for month in wanted.months if month.first <= said_at <= month.last), default=0.0
    )


def _prior(windows: Windows, index: int, wanted: Wanted) -> float:
    """Return how much likelier than its words say a message is the answer."""
    prior = _prior_of_kind(windows.traits[index], wanted.traits) * _prior_of_length(windows.lengths[index])
    return prior * _SPEAKER if _is_by(windows, index, wanted) else prior


def _is_by(windows: Windows, index: int, wanted: Wanted) -> bool:
    """Whether a message is by the one who is asked about."""
    if wanted.speaker is not None:
        return windows.names[index] == wanted.speaker
    return windows.roles[index] == wanted.role


@cache
def _prior_of_kind(traits: int, wanted: int) -> float:
    prior = _SHORT if traits & Trait.SHORT else 1.0
    if traits & Trait.ADDRESSES:
        prior *= _ADDRESSES
    for trait, factor in ((Trait.TIME, _TIME), (Trait.NAME, _NAME), (Trait.NUMBER, _NUMBER)):
        if traits & wanted & trait:
            prior *= factor
    return prior


@cache
def _prior_of_length(length: int) -> float:
    return float((min(max(length, _SHORTEST), _LONGEST) / _USUAL) ** _SAYS_MORE)


def day_weight(messages: int) -> float:
    """Return what lying on a named day is worth: as much as a term that one message holds."""
    return log(1 + (messages + 0.5) / 0.5)


def fuse(rankings: Sequence[Sequence[Ranked]]) -> list[Ranked]:
    """Join the rankings of several queries: each scaled to its best hit, the higher score counts.

    What one of them finds strong is strong.
    """
    if len(rankings) == 1:
        return list(rankings[0])
    best: dict[int, Ranked] = {}
    for ranking in rankings:
        for each in ranking:
            known = best.get(each.place, Ranked(0.0, each.place, weak=True))
            scaled = max(known.score, each.score / (ranking[0].score or 1.0))
            best[each.place] = Ranked(scaled, each.place, known.weak and each.weak)
    return sorted(best.values(), key=lambda each: each.score, reverse=True)


def stand_ins(term: str, vocabulary: Mapping[str, int], limit: int = 3) -> list[tuple[str, int]]:
    """Return the user's own words most like one that was never said: inflections and misspellings."""
    grams = _trigrams(term)
    alike = []
    for word, found_in in vocabulary.items():
        if not len(term) // 2 <= len(word) <= 2 * len(term):
            continue
        other = _trigrams(word)
        likeness = 2 * len(grams & other) / (len(grams) + len(other))
        if likeness >= 0.5:  # noqa: PLR2004
            alike.append((likeness, word, found_in))
    alike.sort(reverse=True)
    return [(word, found_in) for _, word, found_in in alike[:limit]]


def _trigrams(word: str) -> frozenset[str]:
    padded = f" {word} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))
