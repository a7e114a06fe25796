"""The tokenizer: whatever is said in whatever script becomes terms by which it is found again."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mem1_mcp.protocols import Store
from mem1_mcp.text.terms import index, normalise, query_terms, split
from tests.test_store_contract import MING, found, keep

# A character that SQLite takes for a space, in the middle of a word: written in every other
# Mongolian sentence.
MONGOLIAN = "ᠮᠣᠩᠭᠣᠯ\u180eᠠ"

CHARACTERS = st.one_of(
    st.characters(codec="utf-8", exclude_characters="\u180e"),
    st.characters(categories=["L", "N"], exclude_characters="\u180e"),
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
    st.sampled_from("'’,.-_=@# 1290eéèЁёßİıｱゞ゛ー・あ가각กิक़\u0301\u0300\u064b\u200d的不"),
)
TEXTS = st.text(CHARACTERS, max_size=40)
# As people write: words of one script, with spaces and marks between them.
SENTENCES = st.lists(
    st.one_of(
        st.from_regex(r"[a-z]{1,12}('[a-z]{1,2})?", fullmatch=True),
        st.from_regex(r"[а-яё]{1,12}", fullmatch=True),
        st.from_regex(r"[\u4e00-\u9fa5]{1,8}", fullmatch=True),
        st.from_regex(r"[ぁ-ん]{1,5}|[가-힣]{1,5}|[ก-ฮ]{1,5}|[א-ת]{1,5}|[ا-غف-ي]{1,5}", fullmatch=True),
        st.from_regex(r"[0-9]{1,6}([.:/-][0-9]{1,4})?", fullmatch=True),
    ),
    min_size=1,
    max_size=8,
)


def finds(query: str, text: str) -> bool:
    """Whether a text holds every term of a query that has any."""
    terms = query_terms(query)
    return bool(terms) and all(f" {term} " in index(text).terms for term in terms)


@settings(max_examples=500)
@given(TEXTS)
@example("")
@example(" \n\t\u3000")
@example("'" * 99)
@example("a" * 10_000)
@example("一" * 10_000)
@example("\0\x1f\ufffe\U0010ffff")
def test_any_text_becomes_terms_with_one_space_between(text: str) -> None:
    indexed = index(text)

    terms = indexed.terms.split()
    assert indexed.terms == f" {' '.join(terms)} "
    assert 0 <= indexed.length <= len(terms)
    assert all(0 < len(term) <= 64 for term in terms)


@settings(max_examples=500)
@given(TEXTS)
def test_every_term_of_a_text_that_is_asked_for_is_in_its_index(text: str) -> None:
    assert all(f" {term} " in index(text).terms for term in query_terms(text))


@settings(max_examples=500)
@given(TEXTS)
def test_a_text_with_a_letter_or_digit_left_after_folding_has_a_term(text: str) -> None:
    assume(any(character.isalnum() for character in normalise(text)))
    assume(not any("\u3021" <= character <= "\u303c" for character in text))

    assert query_terms(text)


@settings(max_examples=500)
@given(TEXTS)
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    once = normalise(text)

    assert normalise(once) == once


@given(SENTENCES, st.data())
def test_a_word_of_a_sentence_finds_the_sentence(words: list[str], data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(words))

    assert finds(word, " ".join(words))
    assert finds(word, "、".join(words))
    assert finds(word.upper(), "\n".join(words))


@settings(max_examples=300)
@given(SENTENCES)
def test_a_text_in_capitals_has_the_terms_of_the_text(words: list[str]) -> None:
    text = " ".join(words)

    assert index(text.upper()).terms == index(text).terms


@given(
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=2, max_size=20), st.data()
)
def test_any_two_neighbouring_chinese_characters_find_the_sentence(text: str, data: st.DataObject) -> None:
    text = normalise(text)  # what is folded to simplified depends on the words around it
    assume(normalise(text) == text)
    start = data.draw(st.integers(0, len(text) - 2))
    pair = text[start : start + 2]
    assume(normalise(pair) == pair)

    assert finds(pair, text)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        pytest.param("我對花生過敏", "花生过敏", id="traditional"),
        pytest.param("我对花生过敏", "花生過敏", id="asked in traditional"),
        pytest.param("臺灣的鐵路很發達", "台湾的铁路", id="traditional of several forms"),
        pytest.param("頭髮長了要理髮", "理发", id="one simplified for two traditional"),
        pytest.param("ＡＢＣ１２３　ｴﾝｼﾞﾝ", "abc123 エンジン", id="full and half width"),
        pytest.param("Crème brûlée at the CAFÉ", "creme brulee cafe", id="accents left out"),
        pytest.param("creme brulee", "Crème brûlée", id="accents added"),
        pytest.param("cafe\u0301", "café", id="accents written apart"),
        pytest.param("Straße und Größe", "strasse grosse", id="sharp s and umlaut"),
        pytest.param("ISTANBUL İstanbul", "istanbul", id="dotted capital i"),
        pytest.param("Ὀδυσσεύς ΟΔΥΣΣΕΥΣ", "οδυσσευς", id="Greek accents and final sigma"),
        pytest.param("مَرْحَبًا بِكُم", "مرحبا بكم", id="Arabic vowel marks"),
        pytest.param("الـــعربية أحمد", "العربية احمد", id="Arabic lengthening and hamza"),
        pytest.param("שָׁלוֹם", "שלום", id="Hebrew points"),
        pytest.param("Моя ёлка, мои книги", "елка книга", id="Russian yo and stems"),
        pytest.param("ฉันแพ้ถั่วลิสงมาก", "ถั่วลิสง", id="Thai"),
        pytest.param("ຂ້ອຍມັກກິນເຂົ້າ", "ກິນເຂົ້າ", id="Lao"),
        pytest.param("ខ្ញុំចូលចិត្តបាយ", "បាយ", id="Khmer"),
        pytest.param("ကျွန်တော်ထမင်းစားတယ်", "ထမင်း", id="Burmese"),
        pytest.param("བོད་སྐད་སློབ་སྦྱོང", "སྐད", id="Tibetan"),
        pytest.param("私はピーナッツアレルギーです", "ピーナッツ", id="Japanese"),
        pytest.param("東京へ行きました", "東京", id="kanji"),
        pytest.param("저는 땅콩 알레르기가 있어요", "알레르기", id="Korean, with a particle"),
        pytest.param("मुझे मूंगफली से एलर्जी है", "मूंगफली", id="Hindi"),
        pytest.param("क़िला", "क़िला", id="Hindi, the dot written apart"),
        pytest.param("Tôi dị ứng với đậu phộng", "di ung dau phong".replace("dau", "đau"), id="Vietnamese"),
        pytest.param("I ate 🍜 and 🍣!", "🍣", id="emoji"),
        pytest.param("we love it ❤️", "❤", id="emoji, without its variation"),
        pytest.param("👩\u200d🍳 cooks", "👩\u200d🍳", id="emoji of two"),
        pytest.param("🇨🇳 won", "🇨🇳", id="flag"),
        pytest.param("ref user_id=4711-B, please", "user_id=4711-b", id="identifier"),
        pytest.param("ref user_id=4711-B, please", "4711", id="part of an identifier"),
        pytest.param("write to Ann.Lee@Example.com", "ann.lee@example.com", id="address"),
        pytest.param("it costs 12,500 dollars", "12500", id="thousands"),
        pytest.param("它要１２，５００元", "12,500", id="full-width thousands"),
        pytest.param("version 3.12.1 is out", "3.12.1", id="version"),
        pytest.param("see https://example.com/a/b?q=1", "example.com", id="web address"),
        pytest.param("Don't panic", "dont panic", id="contraction without its apostrophe"),
        pytest.param("Ann’s brother’s dog", "ann brother", id="whose"),
        pytest.param("rock'n'roll and O'Brien", "o'brien", id="apostrophe inside a name"),
        pytest.param("two cats were running happily", "cat run", id="English stems"),
        pytest.param("she went and bought mice", "go buy mouse", id="irregular forms"),
        pytest.param("I have taught the children", "teach child", id="more irregular forms"),
        pytest.param("我有一只猫", "猫", id="one character"),
        pytest.param("的", "的", id="one function character"),
        pytest.param("这是我的", "的", id="one function character among others"),
        pytest.param("to be or not to be", "be", id="only function words"),
        pytest.param("x", "X", id="one letter"),
        pytest.param("7", "7", id="one digit"),
        pytest.param("去iPhone店", "iphone", id="English inside Chinese"),
        pytest.param("𠮷野家", "𠮷野家", id="a character beyond the first plane"),
    ],
)
def test_what_was_said_is_found_as_it_is_asked(said: str, asked: str) -> None:
    assert finds(asked, said)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("花生", "生花"),
        ("我喜欢喝茶", "咖啡"),
        ("party", "part"),
        ("news", "new"),
        ("4711", "711"),
    ],
)
def test_what_was_not_said_is_not_found(said: str, asked: str) -> None:
    assert not finds(asked, said)


def test_content_counts_as_often_as_said_and_function_words_once() -> None:
    indexed = index("Tea, tea and tea: 的的 and me")

    assert indexed.terms.split().count("tea") == indexed.length - 1 == 3
    assert indexed.terms.split().count("and") == 1


def test_function_words_are_searched_only_where_nothing_else_is_asked() -> None:
    assert query_terms("what about the tea") == ("tea",)
    assert query_terms("what about the") == ("what", "about", "the")
    assert query_terms("的") == ("的",)
    assert query_terms("tea TEA teas") == ("tea",)
    assert query_terms("?! …") == ()


def test_words_are_kept_as_they_were_written_for_those_who_read_them() -> None:
    assert split("Running to Café").words == {"running", "to", "cafe"}


@pytest.mark.parametrize("text", ["〡〢〣", "〇〩", "〻", "〼"])
def test_suzhou_numerals_and_ideographic_marks_are_found(text: str) -> None:
    assert finds(text[-1], text)


@pytest.mark.parametrize(("said", "asked"), [("乾隆皇帝", "乾"), ("宮商角徵羽", "徵"), ("一目瞭然", "瞭")])
def test_a_character_with_two_simplified_forms_is_found_alone(said: str, asked: str) -> None:
    assert finds(asked, said)


def test_the_end_of_a_run_of_letters_without_spaces_is_found() -> None:
    javanese = "ꦲꦤꦕꦫꦏ" * 20 + " "

    assert len(index(javanese + "ꦲꦤ").terms) > len(javanese)


@pytest.mark.heavy
async def test_every_letter_and_digit_of_every_script_is_found_through_the_store(store: Store) -> None:
    characters = map(chr, range(sys.maxunicode))
    letters = [
        c for c in characters if any(part.isalnum() for part in normalise(c)) and not "〡" <= c <= "〼"
    ]
    # Of Chinese, Hangul and what comes behind them every seventh.
    letters = [c for number, c in enumerate(letters) if c < "\u3400" or number % 7 == 0]
    await keep(store, *(" ".join(letters[start : start + 500]) for start in range(0, len(letters), 500)))

    terms = {term for letter in letters for term in query_terms(letter)}
    statistics = await store.statistics("ming", sorted(terms))

    assert len(terms) > 15_000
    assert [term for term, times in statistics.found_in.items() if not times] == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(TEXTS, SENTENCES.map(" ".join)))
async def test_each_single_term_of_a_message_finds_it_through_the_store(store: Store, text: str) -> None:
    (place,) = await keep(store, text)

    for term in query_terms(text):
        assert place in await store.candidates(MING, {term: 1.0}, (), 10_000)


async def test_a_mongolian_word_with_its_vowel_separator_is_found(store: Store) -> None:
    await keep(store, MONGOLIAN)

    assert (await store.statistics("ming", query_terms(MONGOLIAN))).messages == 1
    assert await found(store, MONGOLIAN) == {MONGOLIAN}
