"""What one refresh of the profile reads: as many rounds as a model reads well at once, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from mem1_mcp.text.budget import estimate_tokens, snippet
from mem1_mcp.types import Refreshed

if TYPE_CHECKING:
    from mem1_mcp.types import Reached, Stored, Unread

READ_AT_ONCE = 200  # messages
_ROUNDS, _TOKENS = 20, 6_000
# Of one message: what a user says counts, of a reply it is enough to know what it was about.
_USER_TOKENS, _OTHER_TOKENS = 1_500, 300
_FRAME_TOKENS = 30  # of a message beside its text


@dataclass(frozen=True, slots=True)
class Window:
    """Messages to be read together, ``texts`` as far as they are read; ``more`` are left after them."""

    messages: tuple[Stored, ...]
    texts: tuple[str, ...]
    after: Reached
    upto: Reached
    rounds_read: int
    more: bool

    @property
    def says_something(self) -> bool:
        """Whether a user said something in it."""
        return any(message.role == "user" for message in self.messages)

    def read(self, at: int, parked: str | None = None) -> Refreshed:
        """Return that it was read, or why it was given up."""
        return Refreshed(self.after, self.upto, self.rounds_read, at, parked)


def window(unread: Unread, attempts: int = 0) -> Window | None:
    """Take the next window of what is unread; ``None`` when nothing is.

    After failed attempts a smaller one: what is given up in the end should be little more than what fails.
    """
    most = max(_ROUNDS >> 2 * attempts, 1)
    taken: list[tuple[Reached, Stored, str]] = []
    tokens = rounds = 0
    whole = not unread.more
    for _, call in groupby(unread.messages, key=lambda each: each[0].call):
        if rounds >= most:
            whole = False
            break
        spoke = False
        for mark, message in call:
            text = _as_read(message)
            tokens += estimate_tokens(text) + _FRAME_TOKENS
            if taken and tokens > _TOKENS:
                break
            taken.append((mark, message, text))
            spoke = spoke or message.role == "user"
        else:
            rounds += spoke
            continue
        whole = False
        break
    if not taken:
        return None
    read = unread.rounds if whole else min(unread.rounds_read + rounds, unread.rounds)
    return Window(
        messages=tuple(message for _, message, _ in taken),
        texts=tuple(text for _, _, text in taken),
        after=unread.after,
        upto=taken[-1][0],
        rounds_read=read,
        more=not whole,
    )


def _as_read(message: Stored) -> str:
    if message.role == "user":
        return snippet(message.content, {}, _USER_TOKENS)
    return snippet(message.summary or message.content, {}, _OTHER_TOKENS)
