"""Memories as lines for a model to read: one message a line, dated, within a budget of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mem1_mcp.text.budget import estimate_tokens, snippet
from mem1_mcp.types import label

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import tzinfo

    from mem1_mcp.types import Stored

_SNIPPET_TOKENS = 120  # of one hit: ten of them fill the default budget
_METADATA_CHARS = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """A memory as it is shown: ``text`` is the message or a snippet of it, ``line`` the whole line.

    ``weak`` where little speaks for it.
    """

    stored: Stored
    text: str
    line: str
    weak: bool = False


def at_local(said_at: int, zone: tzinfo) -> datetime:
    """Return a moment as the user's clock shows it."""
    # Not fromtimestamp: on Windows it has no times before 1970.
    return (_EPOCH + timedelta(milliseconds=said_at)).astimezone(zone)


def age(said_at: int, now: int, zone: tzinfo) -> str:
    """Say how long ago something was, by the user's calendar."""
    days = (at_local(now, zone).date() - at_local(said_at, zone).date()).days
    if days < 0:
        return "in the future"
    if days == 0:
        return "today"
    if days == 1:
        return "yesterday"
    for unit, length in (("year", 365), ("month", 30), ("week", 7)):
        if days >= 2 * length or (days >= length and unit != "week"):
            number = days // length
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return f"{days} days ago"


def write_line(stored: Stored, text: str, now: int, zone: tzinfo, *, weak: bool = False) -> str:
    """Write one memory: id, date, weekday, age, topic, speaker and words; metadata where there is some."""
    doubt = " · weak match" if weak else ""
    when = at_local(stored.said_at, zone)
    speaker = f"{stored.name} ({stored.role})" if stored.name else stored.role
    noted = on_one_line("".join(f" {name}={label(value)}" for name, value in stored.metadata.items()))
    if len(noted) > _METADATA_CHARS:
        noted = f"{noted[:_METADATA_CHARS]}…"
    return (
        f"[{stored.id}] {when:%Y-%m-%d %a %H:%M} · {age(stored.said_at, now, zone)} · {stored.topic}"
        f" · {speaker}{doubt}: {on_one_line(text)}{f' {{{noted.strip()}}}' if noted else ''}"
    )


def choose(
    memories: Iterable[Stored],
    weights: Mapping[str, float],
    max_tokens: int,
    moment: tuple[int, tzinfo],
    weak: Collection[int] = (),
) -> list[Line]:
    """Write memories in their order until the budget is spent; long ones as snippets.

    Those at the places ``weak`` are marked as weak matches.

    The first is always shown: cut, where the budget is too small for it.
    """
    chosen: list[Line] = []
    left = max_tokens
    for stored in memories:
        doubtful = stored.place in weak
        text = snippet(stored.content, weights, _SNIPPET_TOKENS)
        line = write_line(stored, text, *moment, weak=doubtful)
        over = estimate_tokens(line) + 1 - left
        if over > 0:
            if chosen:
                break
            text = snippet(stored.content, weights, max(estimate_tokens(text) - over - 1, 1))
            line = write_line(stored, text, *moment, weak=doubtful)
        chosen.append(Line(stored, text, line, doubtful))
        left -= estimate_tokens(line) + 1
    return chosen


def on_one_line(text: str) -> str:
    """Join the lines of a text, so that none of them can pass for a line of an answer."""
    return " ⏎ ".join(part.strip() for part in text.splitlines() if part.strip()) or text.strip()
