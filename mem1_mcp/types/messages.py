"""Messages: how they are kept, where they lie, and what a search wants to know of them.

A message's **place** is ``conversation << 20 | position``: neighbours in a conversation are neighbours in
number, so a store finds context by a range, and the order of places inside a conversation is the order of
what was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mem1_mcp.types.images import Image, ImageFile

Role = Literal["user", "assistant", "system", "tool"]

ROLES: tuple[Role, ...] = ("user", "assistant", "system", "tool")

_POSITION_BITS = 20

MAX_POSITION = (1 << _POSITION_BITS) - 1

# Hosts send a turn or two a call, so a pause is what ends a conversation.
CONVERSATION_GAP_MS = 4 * 3_600_000


def place_of(conversation: int, position: int) -> int:
    """Join the two parts of a place."""
    return conversation << _POSITION_BITS | position


def conversation_of(place: int) -> int:
    """Return the number of the conversation a place lies in."""
    return place >> _POSITION_BITS


def message_id(place: int) -> str:
    """Write a place as the id that users and models see, such as ``m12.3``."""
    return f"m{place >> _POSITION_BITS}.{place & MAX_POSITION}"


def parse_message_id(text: str) -> int | None:
    """Read an id back into its place; ``None`` for anything that is not such an id."""
    conversation, dot, position = text.removeprefix("m").partition(".")
    if not (text.startswith("m") and dot and text.isascii()):
        return None
    if not (conversation.isdigit() and position.isdigit() and len(text) <= 24):  # noqa: PLR2004
        return None
    place = place_of(int(conversation), int(position))
    return place if int(position) <= MAX_POSITION and place < 1 << 63 else None


class Trait(IntFlag):
    """What ranking wants to know of a message beside its words."""

    ASKS = 1  # holds a question
    TIME = 2  # holds an expression of time
    NUMBER = 4  # holds a number
    NAME = 8  # holds a name, a title or a quotation
    SHORT = 16  # says little outside its questions
    ADDRESSES = 32  # speaks of the other only: "you" and no "I"


@dataclass(frozen=True, slots=True)
class Indexed:
    """A text as the index sees it.

    ``terms`` starts and ends with a space and has one between terms: content words in their order,
    repeated as often as said, then each function word once. ``length`` counts the content words.
    """

    terms: str
    length: int
    traits: Trait


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said. ``name`` is the speaker's, empty where only the role is known.

    ``long`` has it summarised in the background. Of an ``image`` the content is its words; ``file`` has
    its bytes, where there are some.
    """

    role: Role
    content: str
    name: str
    said_at: int
    long: bool = False
    image: Image | None = None
    file: ImageFile | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One ``remember`` as it is handed to the store.

    ``fingerprint`` covers everything the caller sent. ``repeat_since`` is the arrival time from
    which an equal newest call of the topic counts as the same delivery; ``None`` for never.
    """

    topic: str
    messages: tuple[tuple[Message, Indexed], ...]
    metadata: Mapping[str, object]
    arrived_at: int
    fingerprint: bytes
    request_id: str | None = None
    repeat_since: int | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a call's messages are; ``duplicate`` when an earlier delivery had stored them."""

    places: tuple[int, ...]
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a topic: where the last message lies and when it was said."""

    conversation: int
    position: int
    said_at: int

    def next(self, said_at: int, fresh_conversation: int) -> Tail:
        """Place what is said next: in the same conversation, or after a long pause in a fresh one."""
        pause = abs(said_at - self.said_at)
        if pause > CONVERSATION_GAP_MS or self.position >= MAX_POSITION:
            return Tail(fresh_conversation, 0, said_at)
        return Tail(self.conversation, self.position + 1, said_at)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose messages may be hits, and which: all conditions hold together.

    ``since`` and ``until`` are inclusive. ``metadata`` maps names to values as ``label`` writes them.
    With ``images`` only images may be hits.
    """

    user: str
    topic: str | None = None
    since: int | None = None
    until: int | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    images: bool = False


def label(value: object) -> str:
    """Write a metadata value the way filters compare it: text as it is, true/false, plain numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "null" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was kept. ``summary`` is what stands for a long one.

    Where the words of a long one are not kept, ``content`` is its summary. ``image`` is what is known of
    one, where it is one; ``images`` are the places of those that were sent with it.
    """

    place: int
    topic: str
    role: Role
    name: str
    said_at: int
    content: str
    metadata: Mapping[str, object]
    summary: str | None = None
    image: Image | None = None
    images: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """The id that users and models see."""
        return message_id(self.place)


@dataclass(frozen=True, slots=True)
class Statistics:
    """One user's numbers, which weigh words; never mixed with another user's.

    ``found_in`` says for each term in how many messages it is. ``names`` are the speakers' names.
    """

    messages: int
    total_length: int
    found_in: Mapping[str, int]
    names: tuple[str, ...]
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class Period:
    """A time that a query names, first and last included, and what lying in it is worth."""

    first: int
    last: int
    weight: float


@dataclass(frozen=True, slots=True)
class Windows:
    """Messages around candidates in the order of their places, one column per property.

    ``eligible`` is false for what only lends context: it does not fit the scope's filters.
    """

    places: tuple[int, ...] = ()
    said_at: tuple[int, ...] = ()
    roles: tuple[Role, ...] = ()
    names: tuple[str, ...] = ()
    traits: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    terms: tuple[str, ...] = ()
    eligible: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Vectors:
    """How a user's messages stand with vectors of one space.

    ``current`` is false while the store holds those of another space, which are never compared with
    these. ``waiting`` counts calls of ``remember`` whose messages have none yet.
    """

    current: bool
    waiting: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic with what is in it; ``last_at`` is when its latest message was said."""

    name: str
    messages: int
    first_at: int
    last_at: int
