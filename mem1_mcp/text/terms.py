"""Text to terms: one tokenizer for both stores and for queries.

Chinese, Japanese and Korean runs become overlapping pairs and single characters, since words are
not marked there; scripts without spaces (Thai, Lao, Khmer, Myanmar, Tibetan) likewise. Everything
else is words, English ones stemmed; an identifier such as ``user_id=4711-b`` is kept whole beside
its parts. Content terms carry the score. Function words and single kana, Hangul or Thai letters
are kept only so that nothing that was said can't be found.

The store keeps the terms with ``VERSION``: an index entry is taken back with the terms it was made
from; ``doctor`` shows when it is not this one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from mem1_mcp.text import chinese, english
from mem1_mcp.text.traits import traits_of
from mem1_mcp.types import Indexed

VERSION = 2

_MAX_TERM = 64  # characters; what is longer is no word but data, and is cut into such lengths

_HAN = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_PAIRED = (
    _HAN
    + "\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff"  # kana
    + "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"  # Hangul
    + "\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
)
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_SEPARATORS = (
    "\\s\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    "\u2000-\u206f\u3000-\u3004\u3008-\u3020\u302a-\u3030\u3036\u3037\u303d-\u303f\u30a0\u30fb\uff00-\uff0f\ufe00-\ufe4f\ufffc-\uffff"
)
_PIECES = re.compile(
    rf"(?P<paired>[{_PAIRED}]+)"
    r"|(?P<identifier>[a-z0-9]+(?:[-_.@/:=#+~][a-z0-9]+)+)"
    rf"|(?P<word>[^{_SEPARATORS}{_PAIRED}{_SYMBOLS}]+(?:'[^{_SEPARATORS}{_PAIRED}{_SYMBOLS}]+)*)"
    rf"|(?P<symbol>[{_SYMBOLS}])"
)
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_ACCENTED = re.compile("[\u00c0-\u024f\u0370-\u03ff\u1e00-\u1fff]")
# Vowel marks and the lengthening stroke are optional in Arabic and Hebrew writing.
_OPTIONAL_MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u180e]")
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0e38-\u0e4e\u1ab0-\u1aff"
    "\u1dc0-\u1dff\u20d0-\u20ff\u302a-\u302f\u3099\u309a\ufe20-\ufe2f"
)
_MARK_RUN = re.compile(f"([{_MARKS}]{{8}})[{_MARKS}]+")
_SAME_LETTER = str.maketrans({"ё": "е", "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ı": "i"})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PARTS = re.compile(r"[a-z0-9]+")
_CONTRACTED = frozenset({"s", "t", "d", "m", "re", "ve", "ll"})


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one text: content in order and repeated as said, function words once each.

    ``words`` are its pieces as they were written, but for case, width and accents.
    """

    content: tuple[str, ...]
    function: tuple[str, ...]
    words: frozenset[str]


def normalise(text: str) -> str:
    """Fold what is written differently and read alike: width, case, accents, character sets."""
    if text.isascii():
        return _THOUSANDS.sub("", text.lower())
    # Putting a run of marks in order takes the square of its length; no letter has so many.
    text = _MARK_RUN.sub(r"\1", text)
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    if _ACCENTED.search(text):
        text = _ACCENTED.sub(lambda found: unicodedata.normalize("NFD", found[0])[0], text)
    text = _OPTIONAL_MARKS.sub("", text).translate(_SAME_LETTER)
    if _HAN_CHARACTER.search(text):
        text = chinese.simplify(text)
    return _THOUSANDS.sub("", text)


def split(text: str) -> Terms:
    """Cut a text into its terms."""
    content: list[str] = []
    function: dict[str, None] = {}
    words: set[str] = set()
    for found in _PIECES.finditer(normalise(text)):
        piece = found[0]
        words.add(piece)
        if found.lastgroup == "paired":
            _pairs(piece, content, function)
        elif found.lastgroup == "symbol":
            content.append(piece)
        elif found.lastgroup == "identifier":
            if any(map(str.isdigit, piece)) or "_" in piece or "@" in piece:
                content.append(piece[:_MAX_TERM])
            for part in _PARTS.findall(piece):
                _word(part, content, function)
        else:
            _word(piece, content, function)
    return Terms(tuple(content), tuple(function), frozenset(words))


def index(text: str) -> Indexed:
    """Prepare a text for the index."""
    terms = split(text)
    line = " ".join((*terms.content, *terms.function))
    return Indexed(f" {line} ", len(terms.content), traits_of(text, terms.words))


def query_terms(text: str) -> tuple[str, ...]:
    """Return the distinct terms to search for: content, or function words where nothing else is."""
    terms = split(text)
    return tuple(dict.fromkeys(terms.content or terms.function))


def _pairs(run: str, content: list[str], function: dict[str, None]) -> None:
    if len(run) == 1:
        chosen = function if run in chinese.FUNCTION_CHARACTERS else None
        if chosen is None:
            content.append(run)
        else:
            chosen[run] = None
        return
    content.extend(run[i : i + 2] for i in range(len(run) - 1))
    for character in run:
        if character in chinese.FUNCTION_CHARACTERS or not _HAN_CHARACTER.match(character):
            function[character] = None
        else:
            content.append(character)


def _word(word: str, content: list[str], function: dict[str, None]) -> None:
    if len(word) > _MAX_TERM:
        content.extend(word[i : i + _MAX_TERM] for i in range(0, len(word), _MAX_TERM))
        return
    if word in english.FUNCTION_WORDS:
        function[word.replace("'", "")] = None
        return
    head, apostrophe, ending = word.partition("'")
    if apostrophe and ending not in _CONTRACTED:
        content.extend(_stem(part) for part in word.split("'") if part)
    elif head in english.FUNCTION_WORDS:
        function[head] = None
    else:
        content.append(_stem(head))


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    if word.isascii():
        return english.stem(word) if word.isalpha() else word
    if "а" <= word[0] <= "я":
        from snowballstemmer.russian_stemmer import RussianStemmer

        return str(RussianStemmer().stemWord(word))
    return word
