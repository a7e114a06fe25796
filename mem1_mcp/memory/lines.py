"""Memories as lines for a model to read: one message a line, dated, within a budget of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mem1_mcp.text.budget import estimate_tokens, snippet, worth
from mem1_mcp.types import label, message_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from mem1_mcp.types import Stored

_SNIPPET_TOKENS = 120  # of one hit: ten of them fill the default budget
_WORTH_TOKENS = 12  # less of a message tells nothing
_METADATA_CHARS = 80
_LATELY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """A memory as it is shown: ``text`` is the message or a snippet of it, ``line`` the whole line.

    ``weak`` where little speaks for it, ``summary`` where the text sums up what was said.
    """

    stored: Stored
    text: str
    line: str
    weak: bool = False
    summary: bool = False


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


@dataclass(frozen=True, slots=True)
class Marks:
    """What a line says beside the words: whose topic it names, whether it is weak or sums up."""

    topic: bool = True
    weak: bool = False
    summary: bool = False


_PLAIN = Marks()


def write_line(stored: Stored, text: str, now: int, zone: tzinfo, marks: Marks = _PLAIN) -> str:
    """Write one memory: id, date, weekday, age, topic, speaker and words; metadata where there is some."""
    of_topic = f" · {stored.topic}" if marks.topic else ""
    doubt = f"{' · summary' if marks.summary else ''}{' · weak match' if marks.weak else ''}"
    when, today = at_local(stored.said_at, zone), at_local(now, zone).date()
    # Of what is older the hour is no help.
    hour = f" {when:%H:%M}" if abs(today - when.date()) <= _LATELY else ""
    speaker = _speaker(stored)
    noted = on_one_line("".join(f" {name}={label(value)}" for name, value in stored.metadata.items()))
    if len(noted) > _METADATA_CHARS:
        noted = f"{noted[:_METADATA_CHARS]}…"
    return (
        f"[{stored.id}] {when:%Y-%m-%d %a}{hour} · {age(stored.said_at, now, zone)}{of_topic}"
        f" · {speaker}{doubt}: {on_one_line(text)}{f' {{{noted.strip()}}}' if noted else ''}"
    )


def _speaker(stored: Stored) -> str:
    """Say who said it; of an image how large it is, of a message which images were sent with it."""
    if stored.image is not None:
        return (
            f"image {stored.image.width}×{stored.image.height}" if stored.image.digest else "image, no file"
        )
    speaker = stored.name or stored.role
    if not stored.images:
        return speaker
    first, last = message_id(stored.images[0]), message_id(stored.images[-1])
    return f"{speaker}, images {first} to {last}" if first != last else f"{speaker}, image {first}"


def choose(
    memories: Sequence[Stored],
    weights: Mapping[str, float],
    max_tokens: int,
    moment: tuple[int, tzinfo],
    weak: Collection[int] = (),
) -> list[Line]:
    """Write memories in their order until the budget is spent; long ones as snippets.

    Those at the places ``weak`` are marked as weak matches. A topic that all have in common is not
    repeated in each line; see ``common_topic``.

    The last is cut where some of its words still fit. The first is always shown, however little of it.
    """
    chosen: list[Line] = []
    topic = common_topic(memories)
    # Once, in the heading.
    left = max_tokens - (0 if topic is None else estimate_tokens(topic) + 1)
    for stored in memories:
        words, summary = _words_of(stored, weights)
        marks = Marks(topic=topic is None, weak=stored.place in weak, summary=summary)
        text = snippet(words, weights, _SNIPPET_TOKENS)
        line = write_line(stored, text, *moment, marks)
        over = estimate_tokens(line) + 1 - left
        if over > 0:
            fitting = estimate_tokens(text) - over - 1
            if chosen and fitting < _WORTH_TOKENS:
                break
            text = snippet(words, weights, max(fitting, 1))
            line = write_line(stored, text, *moment, marks)
            if chosen and estimate_tokens(line) + 1 > left:
                break
        chosen.append(Line(stored, text, line, marks.weak, summary))
        left -= estimate_tokens(line) + 1
    return chosen


def _words_of(stored: Stored, weights: Mapping[str, float]) -> tuple[str, bool]:
    """Return a message's summary where it has one, and that it is one; else its own words.

    Its own words too where they hold more of what is asked for.
    """
    if stored.summary is None:
        return stored.content, False
    if worth(stored.content, weights) > worth(stored.summary, weights):
        return stored.content, False
    return stored.summary, True


def common_topic(memories: Iterable[Stored]) -> str | None:
    """Return the topic that all of several memories are of; ``None`` where they are of different ones."""
    topics = {stored.topic for stored in memories}
    return topics.pop() if len(topics) == 1 else None


def on_one_line(text: str) -> str:
    """Join the lines of a text, so that none of them can pass for a line of an answer."""
    return " ⏎ ".join(part.strip() for part in text.splitlines() if part.strip()) or text.strip()
