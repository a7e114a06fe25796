"""Keep what was said: mask secrets, index, append, and tell the profile its facts.

Nothing here waits for a language model. When the answer is given, everything of the call is durable.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from mem1_mcp.errors import InvalidRequestError, NotCertainError, StoreError
from mem1_mcp.memory.images.receiving import Receiver
from mem1_mcp.memory.profile import items as profiles
from mem1_mcp.memory.secrets import mask
from mem1_mcp.text.terms import index
from mem1_mcp.types import Call, Message, message_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mem1_mcp.memory.images.receiving import Sent
    from mem1_mcp.memory.profile.items import Fact, Told
    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.protocols import Progress, Store
    from mem1_mcp.types import Image, ImageFile, Indexed, Role

    Known = tuple[Image, ImageFile | None]

DEFAULT_TOPIC = "default"  # of calls that name none

# Hosts send a call again when an answer is late; people say "ok" twice.
_REPEAT_MS = 120_000
_REPEAT_CHARS = 20

_MUCH = 20_000  # characters: masking and indexing them takes some 50 ms

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Said:
    """A message as it was handed in; ``said_at`` is ``None`` where nobody said when."""

    role: Role
    content: str
    name: str = ""
    said_at: int | None = None


@dataclass(frozen=True, slots=True)
class Remember:
    """What is to be kept: messages, facts, images; ``said_at`` holds for messages without a time."""

    topic: str
    messages: tuple[Said, ...] = ()
    facts: tuple[Fact, ...] = ()
    images: tuple[Sent, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    said_at: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What became of it. ``masked`` names the kinds of secrets that were replaced.

    ``left_out`` counts assistant messages, which are not to be kept.
    """

    message_ids: tuple[str, ...]
    facts: tuple[Told, ...]
    duplicate: bool
    masked: tuple[str, ...]
    left_out: int = 0
    image_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of a call, and how: as the person set it.

    ``long_reply`` and ``profile_chars`` are in characters: from where an assistant's message is summarised,
    and about how long the profile may become.
    """

    masking: bool = True
    assistant: bool = True
    long_reply: int = 500
    profile_chars: int = 3000
    images: Receiver = field(default_factory=Receiver)


async def remember(
    store: Store,
    user: str,
    asked: Remember,
    moment: tuple[int, Template],
    keeping: Keeping,
    progress: Progress,
) -> Remembered:
    """Keep a call: first its messages, whole or not at all, then its facts; errors say what was kept.

    ``moment`` is now, and the template in force.
    """
    now, template = moment
    profiles.check_sections(template, asked.facts)
    kinds: list[str] = []
    clean = _cleaning(keeping, kinds)
    said = len(asked.messages)
    if not keeping.assistant:
        asked = replace(asked, messages=tuple(each for each in asked.messages if each.role != "assistant"))
    masked = await _beside(lambda: _mask_secrets(asked, clean), asked) if keeping.masking else asked
    if any(fact.replaces is not None for fact in masked.facts):
        profiles.check_replaces(await store.profile(user), masked.facts)
    images = await keeping.images.receive(asked.images, clean)
    places: tuple[int, ...] = ()
    duplicate = False
    if masked.messages or images or masked.request_id is not None:
        call = await _beside(lambda: _call(masked, images, now, keeping.long_reply), asked)
        # Not after this: what is between messages and facts could be cut off with the call.
        await progress(1, 2, "Read and indexed")
        appended = await store.append(user, call)
        places, duplicate = appended.places, appended.duplicate
    first = _before_images(asked)
    after = first + len(images)
    told: tuple[Told, ...] = ()
    if masked.facts:
        try:
            # Nobody said what an image shows, so nothing rests on it.
            evidence = (*places[:first], *places[after:])
            telling = profiles.Telling(template, masked.topic, evidence, now, repeated=duplicate)
            told = await profiles.tell(store, user, masked.facts, telling, keeping.profile_chars)
        except StoreError as error:
            if not places:
                raise
            if isinstance(error, NotCertainError):
                raise StoreError(f"The messages of this call are saved. Of its facts: {error}") from error
            raise StoreError(
                f"The messages of this call are saved, its facts are not: {error.reason} Send the facts "
                "again, without the messages."
            ) from error
    await progress(2, 2, "Saved")
    return Remembered(
        tuple(message_id(place) for place in (*places[:first], *places[after:])),
        told,
        duplicate,
        tuple(dict.fromkeys(kinds)),
        said - len(asked.messages),
        tuple(message_id(place) for place in places[first:after]),
    )


def _before_images(asked: Remember) -> int:
    """Return how many messages stand before the images: up to the last that the user said."""
    by_user = [number for number, said in enumerate(asked.messages, start=1) if said.role == "user"]
    return by_user[-1] if by_user else len(asked.messages)


async def _beside(work: Callable[[], _Result], asked: Remember) -> _Result:
    """Do work on what was said; on much of it in a thread, so that other calls are answered meanwhile."""
    described = sum(len(image.description) for image in asked.images)
    if described + sum(len(said.content) for said in asked.messages) < _MUCH:
        return work()
    return await anyio.to_thread.run_sync(work)


def _call(asked: Remember, images: Sequence[Known], now: int, long_reply: int) -> Call:
    at = now if asked.said_at is None else asked.said_at
    messages = [
        (
            Message(
                said.role,
                said.content,
                said.name,
                at if said.said_at is None else said.said_at,
                long=said.role == "assistant" and len(said.content) > long_reply,
            ),
            index(said.content),
        )
        for said in asked.messages
    ]
    first = _before_images(asked)
    shown_at = messages[first - 1][0].said_at if first else at
    messages[first:first] = [_shown(*known, shown_at) for known in images]
    long_enough = len(messages) > 1 or any(
        message.file is not None or len(message.content) >= _REPEAT_CHARS for message, _ in messages
    )
    return Call(
        topic=asked.topic,
        messages=tuple(messages),
        metadata=asked.metadata,
        arrived_at=now,
        fingerprint=_fingerprint(asked, images),
        request_id=asked.request_id,
        repeat_since=now - _REPEAT_MS if long_enough else None,
    )


def _shown(image: Image, file: ImageFile | None, at: int) -> tuple[Message, Indexed]:
    # Nobody said it: neither a round of the conversation, nor what a profile may rest on.
    return Message("tool", image.words, "", at, image=image, file=file), index(image.words)


def _fingerprint(asked: Remember, images: Sequence[Known]) -> bytes:
    """Digest what the caller sent, and nothing that was added on arrival.

    Under a ``request_id`` that is everything. Without one it is the messages: a model that tries
    again words its facts anew.
    """
    sent: list[object] = [
        asked.topic,
        asked.said_at,
        [[said.role, said.content, said.name, said.said_at] for said in asked.messages],
    ]
    if images:
        sent.append([[image.filename, image.description, image.digest] for image, _ in images])
    if asked.request_id is not None:
        sent += [[[fact.text, fact.section, fact.replaces] for fact in asked.facts], asked.metadata]
    written = json.dumps(sent, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).digest()


def _cleaning(keeping: Keeping, kinds: list[str]) -> Callable[[str], str]:
    """Return what takes secrets out of a text, and notes their kinds."""

    def clean(text: str) -> str:
        if not keeping.masking:
            return text
        masked = mask(text)
        kinds.extend(masked.kinds)
        return masked.text

    return clean


def _mask_secrets(asked: Remember, clean: Callable[[str], str]) -> Remember:

    def clean_value(name: str, value: object) -> object:
        if isinstance(value, dict):
            return {clean(str(key)): clean_value(str(key), held) for key, held in value.items()}
        if isinstance(value, list):
            return [clean_value(name, held) for held in value]
        if not isinstance(value, str):
            return value
        # With its name before it, a password is known for one.
        named = f"{name}: "
        cleaned = clean(named + value)
        return cleaned.removeprefix(named) if cleaned.startswith(named) else clean(value)

    if found := mask(asked.topic).kinds:
        # Masked, it would be another topic than the one that is asked for next time.
        raise InvalidRequestError(
            f"topic: holds a secret ({found[0]}). Nothing was saved. Choose a name without it."
        )
    return replace(
        asked,
        messages=tuple(
            replace(said, content=clean(said.content), name=clean(said.name)) for said in asked.messages
        ),
        facts=tuple(replace(fact, text=clean(fact.text)) for fact in asked.facts),
        metadata={clean(name): clean_value(name, value) for name, value in asked.metadata.items()},
    )
