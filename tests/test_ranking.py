"""Ranking: pure functions of windows; a conversation is read as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mem1_mcp.memory.search.ranking import (
    REACH,
    Ranked,
    SearchTerm,
    Wanted,
    day_weight,
    fuse,
    inverse_frequency,
    promising,
    rank,
    stand_ins,
)
from mem1_mcp.text.terms import index, query_terms
from mem1_mcp.text.traits import wanted_traits
from mem1_mcp.types import ROLES, Period, Role, Statistics, Windows, place_of

NUMBERS = Statistics(messages=1000, total_length=8000, found_in={}, names=(), first_at=0, last_at=0)
FAR = 50  # messages so far apart are strangers


def windows(said: dict[int, str], **columns: Sequence[Any]) -> Windows:
    """Lay messages out by place; each is said at its place's millisecond, by the user."""
    indexed = [index(said[place]) for place in sorted(said)]
    user: Role = "user"
    plain = Windows(
        places=tuple(sorted(said)),
        said_at=tuple(sorted(said)),
        roles=(user,) * len(said),
        names=("",) * len(said),
        traits=tuple(int(each.traits) for each in indexed),
        lengths=tuple(each.length for each in indexed),
        terms=tuple(each.terms for each in indexed),
        eligible=(True,) * len(said),
    )
    return replace(plain, **{name: tuple(column) for name, column in columns.items()})


def wanted(query: str, **changes: Any) -> Wanted:
    terms = tuple(SearchTerm(term, 3.0) for term in query_terms(query))
    return replace(Wanted(terms, traits=int(wanted_traits(query))), **changes)


def order(line: Windows, asked: Wanted) -> list[int]:
    return [place for _, place, _ in rank(line, line.places, asked, NUMBERS)]


def test_where_nothing_was_said_nothing_is_found() -> None:
    assert rank(Windows(), [1, 2], wanted("tea"), NUMBERS) == []


def test_where_nothing_is_asked_nothing_is_found() -> None:
    assert order(windows({1: "tea", 2: "coffee"}), Wanted(())) == []


def test_what_says_none_of_it_and_stands_near_none_of_it_is_not_found() -> None:
    line = windows({1: "green tea in the morning", FAR: "coffee in the evening"})

    assert order(line, wanted("tea")) == [1]


@pytest.mark.parametrize(
    ("question", "answer", "asked"),
    [
        ("Which city were you born in?", "Chengdu, but we left when I was three.", "born city"),
        (
            "你在哪个城市出生的？",
            "成都，不过我三岁的时候全家就搬走了，后来再没回去过，一次也没有。",
            "出生城市",
        ),
    ],
)
def test_the_answer_to_a_question_outranks_the_question(question: str, answer: str, asked: str) -> None:
    assert order(windows({1: question, 2: answer}), wanted(asked)) == [2, 1]


def test_what_follows_a_question_is_understood_from_it_more_than_what_follows_a_statement() -> None:
    answer = "Chengdu, but we left when I was three."
    line = windows(
        {1: "You were born in a city?", 2: answer, FAR: "You were born in a city.", FAR + 1: answer}
    )

    found = order(line, wanted("born city"))

    assert found.index(2) < found.index(FAR + 1)


def test_words_reach_a_few_messages_on_and_fewer_back() -> None:
    line = windows({place: "peanuts" if place == 20 else "something else" for place in range(10, 31)})

    assert sorted(order(line, wanted("peanuts"))) == [17, 18, 19, 20, 21, 22, 23, 24]
    assert order(line, wanted("peanuts"))[0] == 20
    assert REACH == 4


def test_one_conversation_lends_nothing_to_another() -> None:
    line = windows({place_of(1, 5): "peanuts", place_of(2, 0): "something else"})

    assert order(line, wanted("peanuts")) == [place_of(1, 5)]


def test_what_is_not_eligible_lends_its_context_and_is_not_returned() -> None:
    line = windows({1: "Are you allergic to peanuts?", 2: "Yes, ever since I was a child in school."})

    shown = replace(line, eligible=(False, True))

    assert order(shown, wanted("peanuts")) == [2]
    assert order(replace(line, eligible=(False, False)), wanted("peanuts")) == []


def test_only_the_places_asked_for_are_returned() -> None:
    line = windows({1: "tea", 2: "tea", 3: "tea"})

    assert {place for _, place, _ in rank(line, [1, 3, 99], wanted("tea"), NUMBERS)} == {1, 3}


def test_of_two_that_say_the_same_the_newer_comes_first() -> None:
    line = windows({FAR * place: "green tea" for place in range(1, 5)}, said_at=(30, 10, 40, 20))

    assert order(line, wanted("tea")) == [3 * FAR, FAR, 4 * FAR, 2 * FAR]


def test_what_says_more_of_the_words_comes_first() -> None:
    line = windows({1: "green tea", FAR: "green door", 2 * FAR: "green tea at the green door"})

    assert order(line, wanted("green tea door"))[0] == 2 * FAR


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    line = windows({1: "the common day", FAR: "the rare day"})
    common, rare = (inverse_frequency(1000, found_in) for found_in in (900, 1))

    terms = SearchTerm("common", common), SearchTerm("rare", rare)

    assert order(line, Wanted(terms)) == [FAR, 1]
    assert 0 < common < rare


def test_a_word_that_only_stands_in_for_the_one_asked_counts_less() -> None:
    line = windows({1: "peanut", FAR: "walnut"})

    terms = SearchTerm("peanut", 3.0, share=0.5), SearchTerm("walnut", 3.0)

    assert order(line, Wanted(terms)) == [FAR, 1]


def test_a_short_message_about_it_outranks_a_long_one_that_mentions_it() -> None:
    long = "peanuts and " + " ".join(f"word{number}" for number in range(60))
    line = windows({1: "I can never have any peanuts again", FAR: long})

    assert order(line, wanted("peanuts")) == [1, FAR]


@pytest.mark.parametrize(
    "asked",
    [
        wanted("tea", speaker="Ann"),
        wanted("tea", role="assistant"),
        wanted("tea", speaker="Ann", role="user"),
    ],
)
def test_the_words_of_the_one_who_is_asked_about_come_first(asked: Wanted) -> None:
    line = windows({1: "green tea", FAR: "green tea"}, names=("Ann", "Bo"), roles=("assistant", "user"))

    assert order(line, asked) == [1, FAR]


@pytest.mark.parametrize(
    ("query", "answers", "other"),
    [
        (
            "when was the concert",
            "The concert was on the third of June",
            "The concert was loud as it can be",
        ),
        (
            "how many concerts",
            "We heard twelve concerts in that hall",
            "We heard concerts in that old hall",
        ),
        ("who gave the concert", "The concert was played by Anna Lee", "The concert was played by my aunt"),
        (
            "音乐会是什么时候",
            "音乐会定在下周三，地点还是原来那个大礼堂，离我家不算太远吧",
            "音乐会非常精彩，地点还是原来那个大礼堂，离我家不算太远吧",
        ),
    ],
)
def test_what_holds_the_kind_of_answer_that_is_asked_for_comes_first(
    query: str, answers: str, other: str
) -> None:
    assert order(windows({1: answers, FAR: other}), wanted(query)) == [1, FAR]


def test_what_was_said_on_the_day_that_is_named_comes_first() -> None:
    line = windows({1: "green tea", FAR: "a walk", 2 * FAR: "green tea"}, said_at=(5, 10, 20))
    day = Period(5, 10, day_weight(1000))

    assert order(line, wanted("tea", days=(day,)))[0] == 1
    assert set(order(line, wanted("tea", days=(day,)))) == {1, FAR, 2 * FAR}
    assert order(line, Wanted((), days=(day,))) == [FAR, 1]


def test_of_several_days_that_a_message_lies_in_the_best_counts_once() -> None:
    line = windows({1: "a walk"})
    days = Period(0, 9, 1.0), Period(0, 5, 2.0), Period(8, 9, 7.0)

    assert rank(line, [1], Wanted((), days=days), NUMBERS) == rank(
        line, [1], Wanted((), days=days[1:2]), NUMBERS
    )


def test_a_month_that_is_named_is_worth_something_too() -> None:
    line = windows({1: "green tea", FAR: "green tea"})

    assert order(line, wanted("tea", months=(Period(0, 1, 0.6),))) == [1, FAR]


@pytest.mark.parametrize("messages", [0, 1, 10, 1_000_000])
def test_weights_are_finite_and_positive_for_any_number_of_messages(messages: int) -> None:
    assert 0 < day_weight(messages) < 100
    assert all(0 < inverse_frequency(messages, found_in) < 100 for found_in in {0, messages // 2, messages})


WORDS = ("tea", "coffee", "peanut", "上海", "me")
TRAITS = st.integers(0, 31)


@st.composite
def any_windows(draw: st.DrawFn) -> Windows:
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 5, 1 << 20]), max_size=25))
    places = [draw(st.integers(0, 1 << 30))]
    for step in steps:
        places.append(places[-1] + step)
    said = [draw(st.lists(st.sampled_from(WORDS), max_size=6)) for _ in places]
    return Windows(
        places=tuple(places),
        said_at=tuple(draw(st.integers(0, 50)) for _ in places),
        roles=tuple(draw(st.sampled_from(ROLES)) for _ in places),
        names=tuple(draw(st.sampled_from(["", "Ann", "小明"])) for _ in places),
        traits=tuple(draw(TRAITS) for _ in places),
        lengths=tuple(map(len, said)),
        terms=tuple(f" {' '.join(words)} " for words in said),
        eligible=tuple(draw(st.booleans()) for _ in places),
    )


PERIODS = st.lists(
    st.builds(Period, st.integers(0, 50), st.integers(0, 50), st.floats(0, 9)), max_size=3
).map(tuple)
ANY_WANTED = st.builds(
    Wanted,
    terms=st.lists(
        st.builds(SearchTerm, st.sampled_from(WORDS), st.floats(0, 20), st.floats(0.1, 1)), max_size=4
    ).map(tuple),
    days=PERIODS,
    months=PERIODS,
    traits=TRAITS,
    speaker=st.sampled_from([None, "Ann", "Bo"]),
    role=st.sampled_from([None, "user", "assistant"]),
)


@settings(max_examples=300)
@given(any_windows(), ANY_WANTED)
def test_a_ranking_is_of_eligible_messages_best_first_with_real_scores(
    line: Windows, asked: Wanted
) -> None:
    ranked = rank(line, line.places, asked, NUMBERS)

    scores, places = [each.score for each in ranked], [each.place for each in ranked]
    eligible = {place for place, fits in zip(line.places, line.eligible, strict=True) if fits}
    assert set(places) <= eligible
    assert len(set(places)) == len(places)
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 and math.isfinite(score) for score in scores)


@given(any_windows(), ANY_WANTED, st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_named_changes_nothing(
    line: Windows, asked: Wanted, chance: Any
) -> None:
    places, terms = list(line.places) * 2, list(asked.terms)
    chance.shuffle(places)
    chance.shuffle(terms)

    ranked = rank(line, places, replace(asked, terms=tuple(terms)), NUMBERS)

    shuffled = {place: score for score, place, _ in ranked}

    assert shuffled == pytest.approx(
        {place: score for score, place, _ in rank(line, line.places, asked, NUMBERS)}
    )


@given(any_windows(), ANY_WANTED)
def test_what_is_far_away_changes_no_score(line: Windows, asked: Wanted) -> None:
    far = line.places[-1] + (1 << 20)
    crowd = replace(
        windows({far: "tea tea coffee", far + 1: "peanut? 上海"}), said_at=(99, 99), eligible=(False, False)
    )
    both = Windows(*(getattr(line, name) + getattr(crowd, name) for name in Windows.__dataclass_fields__))

    assert rank(both, both.places, asked, NUMBERS) == rank(line, line.places, asked, NUMBERS)


@given(any_windows(), ANY_WANTED)
def test_statistics_of_nobody_do_no_harm(line: Windows, asked: Wanted) -> None:
    nobody = Statistics(0, 0, {}, (), 0, 0)

    assert all(math.isfinite(score) for score, *_ in rank(line, line.places, asked, nobody))


def test_what_stands_beside_candidates_is_promising_too() -> None:
    assert promising({}, 5) == []
    assert promising({100: 2.0}, 1) == [100]
    assert set(promising({100: 2.0}, 99)) == set(range(97, 105))
    assert promising({100: 1.0, 102: 1.0, 900: 1.1}, 1) == [102]


RANKINGS = st.dictionaries(st.integers(0, 99), st.floats(0.01, 100), max_size=20).map(
    lambda scores: sorted((Ranked(score, place) for place, score in scores.items()), reverse=True)
)


@given(RANKINGS)
def test_fusing_one_ranking_leaves_it_as_it_is(ranking: list[Ranked]) -> None:
    assert fuse([ranking]) == ranking


def test_fusing_one_ranking_keeps_the_newest_of_equals_first() -> None:
    newest_first = [Ranked(1.0, 3), Ranked(1.0, 9)]

    assert fuse([newest_first]) == newest_first


def test_fusing_two_rankings_scales_each_to_its_best() -> None:
    one = [Ranked(10.0, 1), Ranked(5.0, 2)]
    other = [Ranked(0.2, 3), Ranked(0.15, 2), Ranked(0.02, 4)]

    fused = fuse([one, other])

    assert {place: score for score, place, _ in fused} == pytest.approx({1: 1.0, 3: 1.0, 2: 0.75, 4: 0.1})
    assert [each.place for each in fused][2:] == [2, 4]


@given(st.lists(RANKINGS, max_size=4))
def test_fusing_loses_nothing_and_names_nothing_twice(rankings: list[list[Ranked]]) -> None:
    fused = fuse(rankings)

    places = [each.place for each in fused]
    assert set(places) == {each.place for ranking in rankings for each in ranking}
    assert len(set(places)) == len(places)
    scores = [each.score for each in fused]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("peanuts", "peanut"), ("penut", "peanut"), ("resturant", "restaurant"), ("alergic", "allergic")],
)
def test_a_word_that_was_never_said_is_stood_in_for_by_its_like(asked: str, meant: str) -> None:
    vocabulary = {"peanut": 3, "restaurant": 1, "allergic": 2, "pear": 9, "rest": 4, "alley": 1}

    assert stand_ins(asked, vocabulary)[0] == (meant, vocabulary[meant])


def test_a_word_without_its_like_has_no_stand_in() -> None:
    assert stand_ins("giraffe", {"peanut": 3, "gift": 1}) == []
    assert stand_ins("giraffe", {}) == []


@given(st.text(min_size=1), st.dictionaries(st.text(min_size=1), st.integers(1, 9)), st.integers(0, 5))
def test_stand_ins_are_words_that_were_said_and_no_more_than_wanted(
    term: str, vocabulary: dict[str, int], limit: int
) -> None:
    chosen = stand_ins(term, vocabulary, limit)

    assert len(chosen) <= limit
    assert all(vocabulary[word] == found_in for word, found_in in chosen)


def test_what_one_query_finds_strong_is_strong() -> None:
    fused = fuse([[Ranked(2.0, 1, weak=True)], [Ranked(2.0, 1), Ranked(1.0, 2, weak=True)]])

    assert {each.place: each.weak for each in fused} == {1: False, 2: True}


def test_a_match_is_weak_that_says_little_of_what_is_asked() -> None:
    line = windows({1: "green tea", FAR: "a warm bath"})
    asked = wanted("green tea and other things", whole=6.0)
    of_much_more = replace(asked, whole=200.0)

    assert [each.weak for each in rank(line, line.places, asked, NUMBERS)] == [False]
    assert [each.weak for each in rank(line, line.places, of_much_more, NUMBERS)] == [True]


def meant(line: Windows, asked: Wanted, near: dict[int, float]) -> list[int]:
    """Rank with similarities; what is not named is as near as most."""
    similarities = {place: near.get(place, 0.1 * (place % 3)) for place in line.places}
    return [each.place for each in rank(line, line.places, asked, NUMBERS, similarities)]


def strangers(*said: str) -> Windows:
    return windows({FAR * number: text for number, text in enumerate(said, start=1)})


def test_what_stands_out_by_meaning_is_found_without_a_word() -> None:
    line = strangers("the sea", "a chair", "my automobile", "a lamp", "the wind", "the door")
    asked = wanted("vehicle", whole=3.0)

    assert meant(line, asked, {3 * FAR: 0.9})[0] == 3 * FAR


def test_meaning_adds_to_words_and_does_not_overrule_them() -> None:
    line = strangers("green tea", "a chair", "a lamp", "green leaves", "the wind", "the door")
    asked = wanted("green tea", whole=6.0)

    assert meant(line, asked, {4 * FAR: 0.9})[0] == FAR
    assert meant(line, asked, {})[0] == FAR


def test_where_words_say_little_the_nearest_stand_among_the_first() -> None:
    line = strangers(*(f"tea number {number}" for number in range(8)), "my automobile")
    asked = wanted("tea", whole=40.0)

    assert 9 * FAR in meant(line, asked, {9 * FAR: 0.9})[:3]


def test_a_message_is_near_that_stands_beside_what_is_near() -> None:
    line = windows({1: "my automobile", 2: "it is green", FAR: "the sea", 2 * FAR: "a chair"})
    asked = wanted("vehicle", whole=3.0)

    assert meant(line, asked, {1: 0.9})[:2] == [1, 2]


@settings(max_examples=200)
@given(any_windows(), ANY_WANTED, st.randoms(use_true_random=False))
def test_with_similarities_every_eligible_place_is_ranked_once_with_a_real_score(
    line: Windows, asked: Wanted, chance: Any
) -> None:
    some = {place: chance.uniform(-1, 1) for place in line.places if chance.random() < 0.7}

    ranked = rank(line, line.places, asked, NUMBERS, some)

    eligible = {place for place, fits in zip(line.places, line.eligible, strict=True) if fits}
    places = [each.place for each in ranked]
    assert len(set(places)) == len(places)
    assert set(places) == eligible if some else set(places) <= eligible
    assert all(math.isfinite(each.score) for each in ranked)
