"""Chinese: whether a text is, its function characters, traditional folded to simplified."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_HAN = re.compile("[\u3400-\u9fff]")

# Alone they tell nothing apart; inside a pair of characters they are kept.
FUNCTION_CHARACTERS = frozenset(
    "的了是在我你您他她它们这那哪谁什么怎样吗呢吧啊呀哦嗯就都也很还又和与跟或而但被把对从到给让着过地得之其个一"
    "有不会要能可以为所于"
)


class _Simplified(dict[int, str]):
    """Characters to their simplified forms, filled as they come up.

    One by one: by the words around it OpenCC writes 乾 in 乾隆 and alone differently, and a query
    lacks those words.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if "\u3400" <= character <= "\u9fff" or character >= "\U00020000":
            character = str(_converter().convert(character))
        self[code] = character
        return character


@cache
def _converter() -> Any:
    # 25 ms and 1 MB that a user who never writes Chinese does not pay.
    from opencc import OpenCC

    return OpenCC("t2s")


_SIMPLIFIED = _Simplified()


def simplify(text: str) -> str:
    """Write traditional characters as simplified ones; everything else stays as it is."""
    return text.translate(_SIMPLIFIED)


def is_chinese(texts: Sequence[str]) -> bool:
    """Whether most of these texts are Chinese."""
    return 2 * sum(bool(_HAN.search(text)) for text in texts) > len(texts)
