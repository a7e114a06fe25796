"""A user's ledger: everything about a user that changes, in one document.

It numbers the calls. Those after ``indexed`` lie in it with their messages; the others are in the
message index and visible there. It says how topics end, what is hidden, which work is to be done, and
which document is the profile. Values are frozen: a change makes another ledger, see ``ledgers``.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.types import (
    IMAGE_KINDS,
    Confirmation,
    Image,
    Reached,
    Role,
    Stored,
    Tail,
    Usage,
    conversation_of,
    place_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mem1_mcp.types import JobKind

_TOPICS = 24  # whose ends are kept here; of others the index tells
_TOPICS_IN_USE, _USED_MS = 256, 600_000  # but many where many are in use
_WRITES = 32

UPLOAD_MS = 600_000  # after which who brought the bytes of images is given up

# What a message is searched by beside its words.
IMAGE, BESIDE = "image", "beside"


def waits_for(kind: JobKind) -> str:
    """Return the mark of an image with bytes that nobody looked at in this way."""
    return f"waits for {kind}"


def seen_by(kind: JobKind) -> str:
    """Return the mark of an image that was looked at in this way."""
    return f"has {kind}"


def without(kind: JobKind) -> str:
    """Return the mark of an image for which looking at it in this way was given up."""
    return f"without {kind}"


@dataclass(frozen=True, slots=True)
class Row:
    """A message, as the ledger and the message index hold it. ``metadata`` is JSON, as it was given.

    ``vector`` is base64, empty where none can be made; ``space`` is the number of the one it is of.
    ``long`` waits for a summary. Where it is ``summarised``, ``content`` is the summary, and ``original``
    what was said, as ``packed`` writes it, if that is kept.

    ``image`` is JSON, where the message is one: what does not change of it; ``digest`` names its bytes,
    ``beside`` is the place of the message it was sent with. ``images`` says how many were sent with this.
    """

    place: int
    call: int
    topic: str
    said_at: int
    role: Role
    name: str
    traits: int
    length: int
    terms_version: int
    terms: str
    content: str
    metadata: str | None = None
    space: int | None = None
    vector: str | None = None
    long: bool | None = None
    summarised: bool | None = None
    original: str | None = None
    image: str | None = None
    digest: str | None = None
    beside: int | None = None
    images: int | None = None
    ocr: str | None = None
    caption: str | None = None
    ocr_trouble: str | None = None
    caption_trouble: str | None = None

    @property
    def words(self) -> str:
        """What was said; the summary where that is all that is kept."""
        if self.original is None:
            return self.content
        return zlib.decompress(base64.b64decode(self.original)).decode()

    @property
    def marks(self) -> tuple[str, ...]:
        """What the message is, and what is known or to be found out of it, where it is an image."""
        if self.image is None:
            return (BESIDE,) if self.images else ()
        found = [IMAGE]
        for kind in IMAGE_KINDS:
            if self.seen(kind) is not None:
                found.append(seen_by(kind))
            elif self.trouble(kind) is not None:
                found.append(without(kind))
            elif self.digest is not None:
                found.append(waits_for(kind))
        return tuple(found)

    def seen(self, kind: JobKind) -> str | None:
        """Return what a look of this kind told."""
        return self.ocr if kind == "ocr" else self.caption

    def trouble(self, kind: JobKind) -> str | None:
        """Return why a look of this kind was given up."""
        return self.ocr_trouble if kind == "ocr" else self.caption_trouble

    def looked_at(self, kind: JobKind, words: str | None, trouble: str | None) -> Row:
        """Note what a look of this kind told, or why it was given up."""
        if kind == "ocr":
            return replace(self, ocr=words, ocr_trouble=trouble)
        return replace(self, caption=words, caption_trouble=trouble)


@dataclass(frozen=True, slots=True)
class RecentCall:
    """A call that is not in the index yet. ``request`` is the digest of its request id."""

    number: int
    topic: str
    fingerprint: str
    request: str | None
    places: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class TopicEnd:
    """Where a topic goes on, and its newest call, which may be delivered again."""

    conversation: int
    position: int
    said_at: int
    call: int
    arrived_at: int
    fingerprint: str
    places: tuple[int, ...]

    @property
    def tail(self) -> Tail:
        """The last message."""
        return Tail(self.conversation, self.position, self.said_at)


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls up to ``upto`` on their way into the index since ``since``, marked there as ``number``."""

    number: int
    upto: int
    since: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """Forgotten up to a call, of one topic or of all; no read may find it. A job erases it."""

    topic: str | None
    call: int


@dataclass(frozen=True, slots=True)
class Work:
    """A job, as ``types.Job`` has it. Without ``due_at`` it is parked.

    ``segments`` are those that still hold what is erased.
    """

    revision: int
    due_at: int | None
    progress: int = 0
    attempts: int = 0
    error: str | None = None
    owner: str | None = None
    leased_until: int = 0
    segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes of images that are being brought since a moment, for a call that is not kept yet."""

    since: int
    digests: tuple[str, ...]

    def is_given_up(self, now: int) -> bool:
        """Whether it takes so long that whoever began it is dead, or a clock was wrong."""
        return abs(now - self.since) >= UPLOAD_MS


@dataclass(frozen=True, slots=True)
class ProfileAt:
    """Which document is the profile, and what it says of itself."""

    document: str
    version: int
    next_number: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Parked:
    """Messages that a refresh of the profile gave up: where they begin, and the last one's id."""

    first: str
    last: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """See the module. ``writes`` are the newest changes' own ids, by which they know they were made.

    ``void`` are batches that were given up: what they brought into the index is never visible.
    Conversations before ``closed`` do not go on unless ``topics`` says where. Request ids of
    ``hidden_calls`` are free again. Messages up to ``embedded_call`` have vectors of ``space``, which was
    chosen by a program that runs since ``space_since``. Refreshes of the profile have read the messages
    up to ``reached``, the last of them at ``refreshed_at``. ``former`` are versions of the profile, newest
    first; ``usage`` is what each model was asked. ``uploads`` are under names of their own; a call with
    bytes comes in only while its own is there.
    """

    user: str
    terms_version: int
    calls: int = 0
    rounds: int = 0
    conversations: int = 0
    closed: int = 0
    indexed: int = 0
    recent: tuple[RecentCall, ...] = ()
    topics: dict[str, TopicEnd] = field(default_factory=dict)
    batch: Batch | None = None
    batches: int = 0
    void: tuple[int, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    hidden_places: tuple[int, ...] = ()
    hidden_calls: tuple[int, ...] = ()
    profile: ProfileAt | None = None
    former: tuple[ProfileAt, ...] = ()
    reached: Reached = field(default_factory=Reached)
    rounds_read: int = 0
    refreshed_at: int = 0
    parked: tuple[Parked, ...] = ()
    usage: dict[str, Usage] = field(default_factory=dict)
    work: dict[str, Work] = field(default_factory=dict)
    confirmations: dict[str, Confirmation] = field(default_factory=dict)
    space: str | None = None
    space_number: int = 0
    space_since: int = 0
    dimensions: int = 0
    embedded_call: int = 0
    uploads: dict[str, Upload] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    changes: int = 0

    @property
    def rows(self) -> tuple[Row, ...]:
        """The messages that lie in the ledger, in the order in which they came."""
        return tuple(row for call in self.recent for row in call.rows)

    @property
    def profiles(self) -> tuple[ProfileAt, ...]:
        """All versions of the profile that are kept, newest first."""
        return () if self.profile is None else (self.profile, *self.former)

    @property
    def pending(self) -> int:
        """How many rounds no refresh of the profile has read."""
        return self.rounds - self.rounds_read

    @property
    def due(self) -> dict[str, int]:
        """When there is next something to do of each kind."""
        due = {
            kind: work.due_at if work.owner is None else max(work.due_at, work.leased_until)
            for kind, work in sorted(self.work.items())
            if work.due_at is not None
        }
        if self.uploads:
            given_up = min(each.since for each in self.uploads.values()) + UPLOAD_MS
            due["erasure"] = min(due.get("erasure", given_up), given_up)
        return due

    def hides(self, topic: str, call: int) -> bool:
        """Whether a call of a topic is forgotten."""
        return any(call <= each.call and each.topic in (None, topic) for each in self.hidden)

    def written(self, write: str) -> Ledger:
        """Sign a change."""
        return replace(self, writes=(*self.writes[1 - _WRITES :], write), changes=self.changes + 1)

    def is_written_as(self, state: Mapping[str, Any]) -> bool:
        """Whether a document is this ledger: they are of one change."""
        return bool(self.writes) and list(self.writes[-1:]) == state.get("writes", [])[-1:]

    def says_nothing_of(self, since: Ledger) -> bool:
        """Whether so much was changed since that ``writes`` can't tell whether one was made."""
        return self.changes - since.changes > _WRITES

    def giving_up_the_batch(self) -> Ledger:
        """Have what is on its way into the index never be visible; its calls stay here."""
        if self.batch is None:
            return self
        return replace(self, void=(*self.void, self.batch.number), batch=None)

    def ending(self, topic: str, end: TopicEnd) -> Ledger:
        """Note how a topic ends, and let go of topics that were not used for long."""
        ends = {name: each for name, each in self.topics.items() if name != topic}
        ends[topic] = end
        for name in sorted(ends, key=lambda each: ends[each].call)[:-_TOPICS]:
            in_use = abs(end.arrived_at - ends[name].arrived_at) <= _USED_MS
            if not in_use or len(ends) > _TOPICS_IN_USE:
                del ends[name]
        return replace(self, topics=ends)


def tail_of(row: Row) -> Tail:
    """Return the end of a topic whose last message this is."""
    conversation = conversation_of(row.place)
    return Tail(conversation, row.place - place_of(conversation, 0), row.said_at)


def stored(row: Row, images: tuple[int, ...] = ()) -> Stored:
    """Read a message as it was kept; ``images`` are where those lie that were sent with it."""
    return Stored(
        place=row.place,
        topic=row.topic,
        role=row.role,
        name=row.name,
        said_at=row.said_at,
        content=row.words,
        metadata={} if row.metadata is None else json.loads(row.metadata),
        summary=row.content if row.summarised else None,
        image=image_of(row),
        images=images,
    )


def image_of(row: Row) -> Image | None:
    """Read what is known of an image."""
    if row.image is None:
        return None
    return Image(**json.loads(row.image), digest=row.digest, text=row.ocr, caption=row.caption)


def packed(words: str) -> str:
    """Write what was said small."""
    return base64.b64encode(zlib.compress(words.encode())).decode()
