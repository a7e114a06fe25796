"""How much a model has to read: token estimates without a model, and snippets of long texts."""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING

from mem1_mcp.text.terms import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_CJK_TOKENS = 0.7
_OTHER_TOKENS = 0.25

# A piece ends after its mark; what has no marks is cut by length.
_SENTENCE = re.compile(r"[^.!?。！？；;\n]{1,240}[.!?。！？；;\n]*|[.!?。！？；;\n]+")


def estimate_tokens(text: str) -> int:
    """Estimate what a text costs a model: 0.7 tokens a CJK character, a quarter any other."""
    if text.isascii():
        return ceil(len(text) * _OTHER_TOKENS)
    cjk = len(_CJK.findall(text))
    return ceil(_CJK_TOKENS * cjk + _OTHER_TOKENS * (len(text) - cjk))


def snippet(text: str, weights: Mapping[str, float], max_tokens: int) -> str:
    """Return the text if it fits, else the stretch of it that says most of the weighted terms.

    What is left out is marked by ``…``; the stretch starts and ends between sentences where it can.
    """
    if estimate_tokens(text) <= max_tokens:
        return text
    pieces = _SENTENCE.findall(text)
    costs = [max(estimate_tokens(piece), 1) for piece in pieces]
    worth = [_worth(piece, weights) for piece in pieces]
    best, best_worth, start, cost, value = (0, 1), -1.0, 0, 0, 0.0
    for end, piece_cost in enumerate(costs, start=1):
        cost += piece_cost
        value += worth[end - 1]
        while cost > max_tokens and start < end - 1:
            cost -= costs[start]
            value -= worth[start]
            start += 1
        if value > best_worth + 1e-9:
            best, best_worth = (start, end), value
    first, last = best
    chosen = "".join(pieces[first:last]).strip()
    while estimate_tokens(chosen) > max_tokens:
        chosen = chosen[: len(chosen) * max_tokens // (estimate_tokens(chosen) + 1)]
    before = "…" if first else ""
    after = "…" if last < len(pieces) or not text.rstrip().endswith(chosen) else ""
    return f"{before}{chosen}{after}"


def _worth(piece: str, weights: Mapping[str, float]) -> float:
    # Terms are stems and pairs of characters: as parts of the folded text they are near enough.
    folded = normalise(piece)
    return sum(weight for term, weight in weights.items() if term in folded)
