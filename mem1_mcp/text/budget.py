"""How much a model has to read: token estimates without a model, and snippets of long texts."""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING

from mem1_mcp.text.terms import split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_CJK_TOKENS = 0.7
_OTHER_TOKENS = 0.25

# Clauses and lines of up to sixty characters, cut between words where there are some.
_CLAUSE = re.compile(r".{1,60}(?:(?<=[\s.!?。！？；;，,、])|$)|.{1,60}", re.DOTALL)


def estimate_tokens(text: str) -> int:
    """Estimate what a text costs a model: 0.7 tokens a CJK character, a quarter any other."""
    if text.isascii():
        return ceil(len(text) * _OTHER_TOKENS)
    cjk = len(_CJK.findall(text))
    return ceil(_CJK_TOKENS * cjk + _OTHER_TOKENS * (len(text) - cjk))


def snippet(text: str, weights: Mapping[str, float], max_tokens: int) -> str:
    """Return the text if it fits, else the stretch of it that says most of the weighted terms.

    What is left out is marked by ``…``; the stretch starts and ends between clauses where it can.
    """
    if estimate_tokens(text) <= max_tokens:
        return text
    pieces = _CLAUSE.findall(text)
    first, last = _best_stretch(pieces, weights, max_tokens)
    chosen = "".join(pieces[first:last]).strip()
    cut = last < len(pieces)
    while len(chosen) > 1 and estimate_tokens(chosen) > max_tokens:
        chosen = chosen[: max(len(chosen) * max_tokens // (estimate_tokens(chosen) + 1), 1)]
        cut = True
    return f"{'…' if first else ''}{chosen}{'…' if cut else ''}"


def _best_stretch(pieces: Sequence[str], weights: Mapping[str, float], max_tokens: int) -> tuple[int, int]:
    """Slide a window of ``max_tokens`` over the pieces; the first of the best ones."""
    costs = [max(estimate_tokens(piece), 1) for piece in pieces]
    values = [worth(piece, weights) for piece in pieces]
    best, best_worth, start, cost, value = (0, 1), -1.0, 0, 0, 0.0
    for end, piece_cost in enumerate(costs, start=1):
        cost += piece_cost
        value += values[end - 1]
        while cost > max_tokens and start < end - 1:
            cost -= costs[start]
            value -= values[start]
            start += 1
        if value > best_worth + 1e-9:
            best, best_worth = (start, end), value
    start, end = best
    # What follows the best place is worth more to a reader than nothing.
    spent = sum(costs[start:end])
    while end < len(pieces) and spent + costs[end] <= max_tokens:
        spent += costs[end]
        end += 1
    return start, end


def worth(piece: str, weights: Mapping[str, float]) -> float:
    """Return the weight of the weighted terms that a text holds, each once."""
    return sum(weights.get(term, 0.0) for term in set(split(piece).content)) if weights else 0.0
