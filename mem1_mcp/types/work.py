"""Deferred work, and how far the refresh of a profile has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mem1_mcp.types.messages import Indexed, Stored

JobKind = Literal["erasure", "reindexing", "embedding", "summary", "refresh", "ocr", "caption"]

JOB_KINDS: tuple[JobKind, ...] = (
    "erasure",
    "reindexing",
    "embedding",
    "summary",
    "refresh",
    "ocr",
    "caption",
)
IMAGE_KINDS: tuple[JobKind, ...] = ("ocr", "caption")  # they wait until a program can do them


@dataclass(frozen=True, slots=True)
class Job:
    """Deferred work of one user, leased to one owner until it is finished, postponed or run out.

    There is at most one of a kind for each user: asking again while it is under way raises
    ``revision``, and it is done over. ``progress`` is the kind's own mark of how far it came;
    ``attempts`` counts the failures in a row.
    """

    user: str
    kind: JobKind
    owner: str
    revision: int
    progress: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Reached:
    """How far the messages are read in the order in which they came: up to this one, it included."""

    call: int = 0
    place: int = -1


@dataclass(frozen=True, slots=True)
class Unread:
    """What no refresh of the profile has read yet, in the order in which it came.

    ``messages`` are the first of it, each with how far reading it gets. A round is a call that holds a
    user's message; ``rounds`` are all there were when this was read, ``rounds_read`` those read before.
    ``more`` when there are further messages.
    """

    after: Reached
    messages: tuple[tuple[Reached, Stored], ...]
    rounds: int
    rounds_read: int
    more: bool


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How far a refresh has come: from ``after`` to ``upto``, which makes ``rounds_read`` in all.

    ``parked`` says why what lies between was given up; ``None`` where it was read.
    """

    after: Reached
    upto: Reached
    rounds_read: int
    at: int
    parked: str | None = None


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a profile is to be refreshed: so many rounds unread, or some for so long, or any at first."""

    rounds: int
    pause_ms: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands for a long message from now on.

    With ``indexed`` it stands for it in the index too, and the message's own words are let go.
    """

    text: str
    indexed: Indexed | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was asked to do: calls, and the tokens of questions and answers as it counts them."""

    model: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Add what the same model was asked beside."""
        return Usage(
            self.model,
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )
