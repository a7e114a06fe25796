"""What a language model answers: JSON found in it, and texts held against what they rest on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mem1_mcp.errors import AnswerRefusedError
from mem1_mcp.memory.language.gate import refuses
from mem1_mcp.text.terms import normalise, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mem1_mcp.protocols import Answer

_LONGEST = 20_000  # characters; ten times what an honest answer has
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_STILL_THINKING = re.compile(r"</?think(?:ing)?>", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")
_JSON = re.compile(r"(?:```\w*\s*)?[{\[]")
_OBJECTS_TRIED = 50

_FIGURE = re.compile(r"\d+(?:[.,:/\-]\d+)*")
_DIGITS = re.compile(r"\d+")
_DATE = re.compile(
    r"\d{4}-\d{1,2}(?:-\d{1,2})?|\d{4}年(?:\d{1,2}月(?:\d{1,2}[日号])?)?|\d{1,2}月\d{1,2}[日号]"
    r"|\b\d{1,2} (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*(?: \d{4})?"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2}(?:, \d{4})?\b|\b20\d\d\b",
    re.IGNORECASE,
)
_SPELLED = {
    "1": ("one", "一"),
    "2": ("two", "twice", "二", "两", "俩"),
    "3": ("three", "三", "仨"),
    "4": ("four", "四"),
    "5": ("five", "五"),
    "6": ("six", "六"),
    "7": ("seven", "七"),
    "8": ("eight", "八"),
    "9": ("nine", "九"),
    "10": ("ten", "十"),
    "12": ("twelve", "dozen", "十二"),
}
# Everybody says these of anybody: they tell nothing by themselves.
_ABOUT_ANYONE = frozenset(
    term
    for word in (
        *"user users likes wants needs prefers has lives works plays plans moved now".split(),
        *"用户 客户 本人 喜欢 想要 需要 住在 工作 打算 现在 觉得 希望".split(),
    )
    for term in split(word).content
)
_HAN = re.compile("[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


def said(answer: Answer) -> str:
    """Return what a model said after it thought.

    Raises:
        AnswerRefusedError: it said nothing, or was cut off, or does not end.

    """
    if answer.cut:
        raise AnswerRefusedError("The answer was cut off: it is longer than was asked for.")
    text = _without_thoughts(answer.text.strip())
    if not text:
        raise AnswerRefusedError("The answer is empty.")
    if len(text) > _LONGEST:
        raise AnswerRefusedError(f"The answer has {len(text)} characters, of {_LONGEST} at most.")
    if _HALF.search(text):
        raise AnswerRefusedError("The answer holds half a character, as where an emoji was cut.")
    return text


def _without_thoughts(text: str) -> str:
    if _JSON.match(text):  # what looks like thoughts in it is what somebody said
        return text
    text = _THOUGHTS.sub("", text)
    before, end, after = text.rpartition("</think>")  # where an endpoint begins the thoughts itself
    text = after if end and not _STILL_THINKING.search(before) else text
    if _STILL_THINKING.search(text):
        raise AnswerRefusedError("The answer ends, or goes on, within what the model only thinks.")
    return text.strip()


def listed(answer: Answer, name: str) -> list[Any]:
    """Return the list of this name in an answer that is, or holds, a JSON object.

    Raises:
        AnswerRefusedError: there is none; it says what there is instead.

    """
    text = said(answer)
    for found in _objects(text):
        if isinstance(found.get(name), list):
            held: list[Any] = found[name]
            return held
    if re.match(r"\s*(?:<!doctype|<html|<\?xml|<head|<body)", text, re.IGNORECASE):
        raise AnswerRefusedError("The answer is a web page, not JSON: something stands before the model.")
    if refuses(text):
        raise AnswerRefusedError("The model declined to do it.")
    if text.startswith(("{", "[", "```")):
        raise AnswerRefusedError(f"The answer is no whole JSON object with a list of {name}.")
    raise AnswerRefusedError(f"The answer holds no JSON object with a list of {name}.")


def _objects(text: str) -> Iterable[dict[str, Any]]:
    decoder = json.JSONDecoder()
    start, tried = text.find("{"), 0
    while start >= 0 and tried < _OBJECTS_TRIED:
        tried += 1
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if isinstance(found, dict):
                yield found
        start = text.find("{", end)


def invented_figures(text: str, sources: Sequence[str]) -> list[str]:
    """Return the figures of a text that stand in none of its sources; dates are counted out of days."""
    known = " ".join(map(normalise, sources))
    runs = set(_DIGITS.findall(known))
    plain = _DATE.sub(" ", normalise(text))
    invented = []
    for figure in _FIGURE.findall(plain):
        if figure in known or all(part in runs for part in _DIGITS.findall(figure)):
            continue
        if not any(word in known for word in _SPELLED.get(figure, ())):
            invented.append(figure)
    return invented


def telling_terms(text: str) -> set[str]:
    """Return the terms of a text that tell something of one person and not of any."""
    return set(split(text).content) - _ABOUT_ANYONE


def rests_on(text: str, sources: Sequence[str]) -> bool:
    """Whether a text shares a word with what it is said to rest on."""
    known = {term for source in sources for term in split(source).content}
    return bool(known & telling_terms(text))


def is_in_the_language_of(text: str, sources: Sequence[str]) -> bool:
    """Whether a text is written as its sources are: Chinese as Chinese, anything else as anything else."""
    han, letters = (len(pattern.findall("".join(sources))) for pattern in (_HAN, _LETTER))
    if not letters:
        return True
    share = han / letters
    has_han = _HAN.search(text) is not None
    return has_han if share > 0.5 else (not has_han if han == 0 else True)  # noqa: PLR2004
