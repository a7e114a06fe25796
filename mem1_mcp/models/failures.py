"""What can go wrong with a language model, and how it is told: what failed and what to do.

An endpoint's own words are told with it, unless they may hold what was sent: what people said, or a key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mem1_mcp.models.endpoint import EndpointError
    from mem1_mcp.protocols import Question

_READ = 1000  # characters of an endpoint's own words
_SHOWN = 200
_ECHO = 20  # bytes in a row that were sent as well: no accident
_KEY_ECHO = 6
_BYTES = re.compile(r"[A-Za-z0-9+/=]{40,}")  # of an image, as it is sent
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")

_FORBIDDEN, _TOO_MANY, _BROKEN = (401, 403), 429, 500
REFUSALS = (400, 413, 422)  # of what was sent; any other status is the endpoint's own trouble

_CURES = {
    "away": "see that it runs, and that MEM1_LLM_BASE_URL is its address",
    "slow": "see that it is not overloaded, or set MEM1_LLM_MODEL to a faster model",
    "nonsense": "see that MEM1_LLM_BASE_URL is the address of an API like OpenAI's; most end in /v1",
    "key": "set MEM1_LLM_API_KEY to the key and nothing else",
    "proxy": "set them to http:// addresses, or take them out",
}
_TOO_LONG = "if that is too long for the model, set MEM1_LLM_MODEL to one with more context"
# What a status means, and what to do.
_MEANINGS = {
    402: (": the account has no credit left", "add some, or set MEM1_LLM_API_KEY to another account's"),
    404: (
        ": it does not know this model, or has another address",
        "check MEM1_LLM_MODEL and MEM1_LLM_BASE_URL",
    ),
    _TOO_MANY: (
        ": too many requests, or the quota is used up",
        "see what the account of MEM1_LLM_API_KEY may use",
    ),
}


def in_words(failure: EndpointError, question: Question, key: str) -> str:
    """Say what failed and what to do, as it goes on after the model's name."""
    if failure.trouble != "status":
        return f"{failure}; {_CURES[failure.trouble]}"
    if failure.status in _FORBIDDEN:  # here its own words hold parts of the key
        it = "does not take the key" if key else "wants a key"
        return f"{failure}: it {it}; set MEM1_LLM_API_KEY to one that may use this model"
    wait = f"wait for {failure.retry_after:g} s, then " if failure.retry_after else ""
    if failure.status >= _BROKEN:  # here its own words may hold anything
        return f"{failure}: it is out of order or overloaded; {wait}see its log or status page"
    said = _said(failure, question, key)
    if failure.status in REFUSALS:
        return f"refused the request ({failure.status}){said}; {_TOO_LONG}"
    meaning, cure = _MEANINGS.get(failure.status, ("", "check MEM1_LLM_BASE_URL"))
    return f"{failure}{meaning}{said}; {wait if failure.status == _TOO_MANY else ''}{cure}"


def own_words(failure: EndpointError, question: Question, key: str) -> str:
    """Return an endpoint's words about a failure, on one line, up to where they repeat what was sent."""
    words = _on_one_line(failure.message)
    for sent, run in (
        (question.system, _ECHO),
        (question.user, _ECHO),
        (key, min(_KEY_ECHO, len(_letters(key)))),
    ):
        words = _up_to_echo(words, sent, run)
    return words if question.image is None else _BYTES.split(words)[0]


def _said(failure: EndpointError, question: Question, key: str) -> str:
    words = own_words(failure, question, key)
    if not words or words != _on_one_line(failure.message):
        return ""
    return f" (it says: {words if len(words) <= _SHOWN else words[: _SHOWN - 1] + '…'})"


def _on_one_line(text: str) -> str:
    unescaped = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text[:_READ])
    return " ".join("".join(sign if sign.isprintable() else " " for sign in unescaped).split())


def _up_to_echo(words: str, sent: str, run: int) -> str:
    """Cut words before the first ``run`` bytes of letters that are in what was sent.

    Only letters and digits count: the signs between them may be escaped, or gone.
    """
    source = _letters(sent)
    letters = [(byte, place) for place, sign in enumerate(words) for byte in _letters(sign)]
    read = bytes(byte for byte, _ in letters)
    for start in range(len(read) - run + 1) if run else ():
        if read[start : start + run] in source:
            return words[: letters[start][1]]
    return words


def _letters(text: str) -> bytes:
    return "".join(filter(str.isalnum, text)).encode()
