"""A memory where common words are in many thousand messages: not all of them are read."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mem1_mcp.stores.sqlite import appending, connection, searching
from mem1_mcp.stores.sqlite.schema import USER_LAYOUT
from mem1_mcp.types import Call, Indexed, Message, Scope, Trait

WORDS = ("the", "tea", "red", "green", "rare")
# Sums of powers of two are exact.
WEIGHTS = {"the": 0.5, "tea": 1.0, "red": 2.0, "green": 4.0, "rare": 8.0}
EVERYWHERE = Scope("ming")
SAID = st.lists(st.lists(st.sampled_from(WORDS), unique=True, max_size=5), min_size=1, max_size=60)
DAY = 86_400_000  # apart, so each message is a conversation


def memory_of(said: Sequence[Sequence[str]], topics: Sequence[str] = ("all",)) -> apsw.Connection:
    db = connection.empty(USER_LAYOUT)
    for number, words in enumerate(said):
        message = Message("user", " ".join(words) or "-", "", number * DAY)
        indexed = Indexed(f" {' '.join(words)} ", len(words), Trait(0))
        topic = topics[number % len(topics)]
        appending.append(db, Call(topic, ((message, indexed),), {"in": topic}, number, bytes(8)))
    return db


def exact(said: Sequence[Sequence[str]]) -> list[float]:
    return sorted((sum(WEIGHTS[word] for word in words) for words in said if words), reverse=True)


@settings(max_examples=60)
@given(SAID)
def test_where_little_is_common_every_score_is_exact(said: list[list[str]]) -> None:
    found = searching.candidates(memory_of(said), EVERYWHERE, WEIGHTS, (), 100)

    assert sorted(found.values(), reverse=True) == exact(said)


@settings(max_examples=60)
@given(SAID, st.integers(1, 9), st.integers(1, 20))
def test_where_much_is_common_scores_are_exact_and_rare_words_found(
    said: list[list[str]], many: int, limit: int
) -> None:
    found = searching.candidates(memory_of(said), EVERYWHERE, WEIGHTS, (), limit, many)

    left = exact(said)
    for score in found.values():
        left.remove(score)
    rare = sum("rare" in words for words in said)
    if rare <= min(many, limit):
        assert sum(score >= WEIGHTS["rare"] for score in found.values()) >= rare


@settings(max_examples=60)
@given(SAID, st.integers(1, 9), st.sampled_from(["topic", "metadata", "until"]))
def test_in_a_scope_nothing_else_is_found_and_something_is(
    said: list[list[str]], many: int, by: str
) -> None:
    db = memory_of(said, ("old", "new"))
    scopes = {
        "topic": Scope("ming", topic="old"),
        "metadata": Scope("ming", metadata=(("in", "old"),)),
        "until": Scope("ming", until=len(said) // 2 * DAY),
    }
    inside = said[: len(said) // 2 + 1] if by == "until" else said[::2]

    found = searching.candidates(db, scopes[by], WEIGHTS, (), 100, many)

    assert sorted(found.values(), reverse=True) == exact(inside)


def test_an_old_topic_is_found_behind_many_newer_messages() -> None:
    db = memory_of([["tea"], *[["tea", "red"]] * 50])
    db.execute("UPDATE topics SET name = 'new'")
    db.execute("INSERT INTO topics(name) VALUES ('old')")
    db.execute("UPDATE messages SET topic = 2 WHERE place = 0")

    assert searching.candidates(db, Scope("ming", topic="old"), {"tea": 1.0}, (), 5, many=3) == {0: 1.0}


@pytest.mark.parametrize("every", [2, 3, 10])
def test_a_common_word_is_counted_closely_enough(every: int) -> None:
    db = memory_of([["tea"] if number % every == 0 else ["red"] for number in range(600)])

    counted = searching.statistics(db, ["tea", "none"], counted=5).found_in

    assert counted["tea"] == pytest.approx(600 / every, rel=0.3)
    assert counted["none"] == 0
    assert searching.statistics(db, ["tea"]).found_in == {"tea": -(-600 // every)}


def test_a_word_of_one_long_conversation_is_counted_where_slices_miss_it() -> None:
    db = memory_of([["red"]] * 400)
    db.execute("UPDATE state SET messages = 1000000")

    assert searching.statistics(db, ["red"], counted=20).found_in == {"red": 400}
