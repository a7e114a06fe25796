"""How much of a long job is done in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def within(contents: Iterable[tuple[int, str]], characters: int) -> dict[int, str]:
    """Take contents by their places until they have so many characters; at least one, however long."""
    taken: dict[int, str] = {}
    left = characters
    for place, content in contents:
        taken[place] = content
        left -= len(content)
        if left <= 0:
            break
    return taken
