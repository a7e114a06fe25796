"""The values that travel between the layers: frozen, without I/O, the same for every store.

Times are integers of milliseconds since 1970 in UTC (``…_at``). A message's **place** is
``conversation << 20 | position``: neighbours in a conversation are neighbours in number, so a store
finds context by a range, and the order of places inside a conversation is the order of what was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """One thing said. ``name`` is the speaker's, empty where only the role is known."""

    role: Role
    content: str
    name: str
    said_at: int


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
    """

    user: str
    topic: str | None = None
    since: int | None = None
    until: int | None = None
    metadata: tuple[tuple[str, str], ...] = ()


def label(value: object) -> str:
    """Write a metadata value the way filters compare it: text as it is, true/false, plain numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "null" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was kept."""

    place: int
    topic: str
    role: Role
    name: str
    said_at: int
    content: str
    metadata: Mapping[str, object]

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


Source = Literal["user", "host", "model"]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the profile.

    ``evidence`` are the places of the messages it rests on. Without any it belongs to ``topic``,
    where it was told. ``replaced_by`` names the item that superseded it: then it is history.
    """

    id: str
    section: str
    text: str
    topic: str
    source: Source
    created_at: int
    updated_at: int
    evidence: tuple[int, ...] = ()
    pinned: bool = False
    replaced_by: str | None = None

    @property
    def number(self) -> int:
        """The item's number: items are numbered in the order in which they came."""
        return int(self.id[1:])


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a user, current lines and superseded ones.

    ``version`` goes up with every change. ``next_number`` is never given twice, so an id that was
    forgotten never comes to mean something else.
    """

    version: int = 0
    items: tuple[Item, ...] = ()
    next_number: int = 1

    @property
    def current(self) -> tuple[Item, ...]:
        """The items that hold now."""
        return tuple(item for item in self.items if item.replaced_by is None)

    def forgetting(self, selection: Selection, mark: Mark, gone: frozenset[int]) -> Profile:
        """Return the profile without what the selection takes.

        ``gone`` are the places that are forgotten with it. An item that rests on other messages too
        stays and keeps only those as evidence. What is newer than ``mark`` stays.
        """
        selection = replace(selection, items=self._with_history(selection.items))
        kept = []
        for item in self.items:
            evidence = tuple(place for place in item.evidence if place not in gone)
            if item.number <= mark.item and selection.takes_item(item, evidence):
                continue
            kept.append(replace(item, evidence=evidence))
        if tuple(kept) == self.items:
            return self
        left = {item.id for item in kept}
        # What replaced it may be forgotten; the older saying must not come back as current for that.
        items = tuple(
            replace(item, replaced_by="forgotten")
            if item.replaced_by is not None and item.replaced_by not in left
            else item
            for item in kept
        )
        return replace(self, version=self.version + 1, items=items)

    def _with_history(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        """Add the older sayings that led to these items: nobody sees them, so nobody could name them."""
        chosen = set(ids)
        # A successor is newer than what it replaced, so one pass from the newest finds whole chains.
        for item in reversed(self.items):
            if item.replaced_by in chosen:
                chosen.add(item.id)
        return tuple(chosen)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far things had come when a preview was shown: later calls and items are not taken."""

    call: int
    item: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be forgotten: exactly one of these is given."""

    places: tuple[int, ...] = ()
    items: tuple[str, ...] = ()
    topic: str | None = None
    everything: bool = False

    def takes_item(self, item: Item, evidence_left: tuple[int, ...]) -> bool:
        """Whether an item goes, given what is left of its evidence."""
        if self.everything or item.id in self.items:
            return True
        if item.evidence:
            return not evidence_left
        return self.topic is not None and item.topic == self.topic


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection finds: numbers, span, and the first lines from the cursor on."""

    messages: int
    first_at: int
    last_at: int
    lines: tuple[Stored, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went. ``pending`` is true while the job ``erasure`` has yet to take bytes off the disk."""

    messages: int = 0
    items: int = 0
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A preview that may be confirmed once: the token is known only by its hash.

    ``done`` says that it was; then ``taken`` tells what went, and the selection is empty.
    """

    token_hash: str
    selection: Selection
    mark: Mark
    expires_at: int
    taken: Forgotten = field(default_factory=Forgotten)
    done: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """Lets a program in over the network, as one user. Its secret is kept as a SHA-256 hash.

    Without a ``user`` it is a service token: each of its requests names the user it is for. ``topic``
    is of calls that name none. ``expires_at`` is ``None`` for one that holds until it is revoked.
    """

    id: str
    secret_hash: str
    user: str | None
    topic: str | None
    name: str
    created_at: int
    expires_at: int | None = None


JobKind = Literal["erasure", "reindexing", "embedding"]
JOB_KINDS: tuple[JobKind, ...] = ("erasure", "reindexing", "embedding")


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


@dataclass(frozen=True, slots=True)
class Health:
    """What ``doctor`` shows of a store: an ordered list of names and values, and what is wrong."""

    facts: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = field(default=())
