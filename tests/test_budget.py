"""How much a model has to read: estimates, snippets of long messages, lines within a budget."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mem1_mcp.memory.lines import choose, write_line
from mem1_mcp.text.budget import estimate_tokens, snippet
from mem1_mcp.text.terms import query_terms
from mem1_mcp.types import ROLES, Role, Stored
from tests.conftest import HandClock

NOW = HandClock.now
ZONE = ZoneInfo("Asia/Shanghai")

ENGLISH = "It rained all day long and nothing happened. "
CHINESE = "今天下了一整天的雨，什么事情也没有发生。"

TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("花生过敏的，。！？\n ……."),
        st.sampled_from("abcdefgh ,.!?\n'"),
    ),
    max_size=400,
)
LONG_TEXTS = st.tuples(TEXTS, st.integers(1, 12)).map(lambda pair: pair[0] * pair[1])
WEIGHTS = st.dictionaries(st.text(min_size=1, max_size=4), st.floats(0, 10), max_size=5)


def weights_of(query: str) -> dict[str, float]:
    return dict.fromkeys(query_terms(query), 1.0)


def stored(content: str, *, topic: str = "home", name: str = "", role: Role = "user") -> Stored:
    return Stored(place=5, topic=topic, role=role, name=name, said_at=NOW, content=content, metadata={})


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("é" * 8, 2),
        ("🍜🍜🍜🍜", 1),
        ("中", 1),
        ("中文", 2),
        ("花生过敏反应测试一下", 7),
        ("中文 and English", 5),
        ("カタカナ", 3),
        ("한국어", 3),
    ],
)
def test_a_cjk_character_costs_seven_tenths_and_any_other_a_quarter(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(LONG_TEXTS, LONG_TEXTS)
def test_texts_cost_together_what_they_cost_apart_or_a_token_less(one: str, other: str) -> None:
    apart = estimate_tokens(one) + estimate_tokens(other)

    assert apart - 1 <= estimate_tokens(one + other) <= apart


@given(LONG_TEXTS, WEIGHTS)
def test_a_text_that_fits_is_shown_as_it_is(text: str, weights: dict[str, float]) -> None:
    assert snippet(text, weights, estimate_tokens(text)) == text


@settings(max_examples=300)
@given(LONG_TEXTS, WEIGHTS, st.integers(0, 200))
def test_a_snippet_is_a_piece_of_the_text_within_the_budget(
    text: str, weights: dict[str, float], max_tokens: int
) -> None:
    piece = snippet(text, weights, max_tokens)

    assert piece == text or piece.strip("…").strip() in text
    assert estimate_tokens(piece) <= max_tokens + 1  # the two marks of what is left out


@pytest.mark.parametrize("filler", [ENGLISH, CHINESE, ENGLISH + CHINESE, ENGLISH.replace(".", "\n")])
@pytest.mark.parametrize("before", [0, 30])
@pytest.mark.parametrize(
    ("sentence", "query"),
    [
        ("I am allergic to peanuts. ", "peanuts allergic"),
        ("我对花生过敏。", "花生过敏"),
        ("Remember user_id=4711-B! ", "4711"),
        ("They were RUNNING there. ", "run"),
        ("我對花生過敏。", "过敏"),
    ],
)
def test_a_snippet_shows_the_sentence_that_is_asked_for(
    filler: str, before: int, sentence: str, query: str
) -> None:
    text = filler * before + sentence + filler * 30

    piece = snippet(text, weights_of(query), 60)

    assert sentence.strip() in piece
    assert piece.startswith("…") == (before > 0)
    assert piece.endswith("…")


def test_a_snippet_shows_where_most_of_the_words_stand_together() -> None:
    text = f"Peanuts are cheap. {ENGLISH * 20}Peanuts made me ill in June. {ENGLISH * 20}"

    assert "ill in June" in snippet(text, weights_of("peanuts ill June"), 40)


def test_a_snippet_without_any_match_is_the_beginning() -> None:
    piece = snippet("First of all. " + ENGLISH * 30, weights_of("peanuts"), 40)

    assert piece.startswith("First of all.")
    assert piece.endswith("…")


def test_a_text_without_marks_of_sentences_is_cut_by_length() -> None:
    piece = snippet("word " * 1000 + "peanuts " + "word " * 1000, weights_of("peanuts"), 100)

    assert "peanuts" in piece
    assert piece.startswith("…")
    assert piece.endswith("…")


def test_the_end_of_a_long_chinese_sentence_is_shown_when_it_is_what_was_asked() -> None:
    text = "今天去了超市买了很多东西，" * 16 + "医生说我对花生过敏。"

    assert "花生" in snippet(text, weights_of("花生"), 120)


@pytest.mark.parametrize("word", ["family", "city", "party", "went"])
def test_a_word_whose_stem_is_spelt_otherwise_is_shown(word: str) -> None:
    text = f"{ENGLISH * 30}So the {word} there. {ENGLISH * 30}"

    assert word in snippet(text, weights_of(word), 60)


def test_what_is_left_out_of_a_text_that_repeats_itself_is_marked_too() -> None:
    assert snippet("哈" * 200, {}, 100).endswith("…")


MEMORIES = st.lists(
    st.builds(
        stored,
        LONG_TEXTS,
        topic=st.text(min_size=1, max_size=128),
        name=st.text(max_size=64),
        role=st.sampled_from(ROLES),
    ),
    max_size=6,
)


@settings(max_examples=300)
@given(MEMORIES, WEIGHTS, st.integers(1, 3000))
def test_lines_are_the_first_memories_in_their_order_within_the_budget(
    memories: list[Stored], weights: dict[str, float], max_tokens: int
) -> None:
    lines = choose(memories, weights, max_tokens, (NOW, ZONE))

    assert [line.stored for line in lines] == memories[: len(lines)]
    assert bool(lines) == bool(memories)
    # However small the budget is, the first is shown with its date and speaker.
    frame = max((estimate_tokens(write_line(each, "", NOW, ZONE)) + 4 for each in memories[:1]), default=0)
    assert sum(estimate_tokens(line.line) + 1 for line in lines) <= max(max_tokens, frame)


def test_what_fits_is_shown_whole_and_what_is_long_as_a_snippet() -> None:
    short, long = stored("I am allergic to peanuts."), stored(ENGLISH * 40 + "Peanuts! " + ENGLISH * 40)

    lines = choose([short, long], weights_of("peanuts"), 1500, (NOW, ZONE))

    whole, cut = (line.text for line in lines)
    assert whole == short.content
    assert cut.startswith("…")
    assert "Peanuts!" in cut


def test_the_first_memory_is_shown_however_small_the_budget_is() -> None:
    (line,) = choose([stored(ENGLISH * 40)], {}, 25, (NOW, ZONE))

    assert line.line.startswith("[m0.5] 2026-05-20 Wed 12:00 · today · user: It rained")
    assert estimate_tokens(line.line) < 25


def test_a_memory_is_one_line_whatever_it_holds() -> None:
    (line,) = choose([stored("one\n\n two\r\nthree\u2028four ")], {}, 500, (NOW, ZONE))

    assert line.line.endswith("user: one ⏎ two ⏎ three ⏎ four")
    assert len(line.line.splitlines()) == 1
