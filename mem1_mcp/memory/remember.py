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
from mem1_mcp.memory.profile import items as profiles
from mem1_mcp.memory.secrets import mask
from mem1_mcp.text.terms import index
from mem1_mcp.types import Call, Message, message_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mem1_mcp.memory.profile.items import Fact, Told
    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.protocols import Progress, Store
    from mem1_mcp.types import Role

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
    """What is to be kept: messages, facts, or both; ``said_at`` holds for messages without a time."""

    topic: str
    messages: tuple[Said, ...] = ()
    facts: tuple[Fact, ...] = ()
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
    said = len(asked.messages)
    if not keeping.assistant:
        asked = replace(asked, messages=tuple(each for each in asked.messages if each.role != "assistant"))
    masked = await _beside(lambda: _mask_secrets(asked, kinds), asked) if keeping.masking else asked
    if any(fact.replaces is not None for fact in masked.facts):
        profiles.check_replaces(await store.profile(user), masked.facts)
    places: tuple[int, ...] = ()
    duplicate = False
    if masked.messages or masked.request_id is not None:
        call = await _beside(lambda: _call(masked, now, keeping.long_reply), asked)
        # Not after this: what is between messages and facts could be cut off with the call.
        await progress(1, 2, "Read and indexed")
        appended = await store.append(user, call)
        places, duplicate = appended.places, appended.duplicate
    told: tuple[Told, ...] = ()
    if masked.facts:
        try:
            telling = profiles.Telling(template, masked.topic, places, now, repeated=duplicate)
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
        tuple(message_id(place) for place in places),
        told,
        duplicate,
        tuple(dict.fromkeys(kinds)),
        said - len(asked.messages),
    )


async def _beside(work: Callable[[], _Result], asked: Remember) -> _Result:
    """Do work on what was said; on much of it in a thread, so that other calls are answered meanwhile."""
    if sum(len(said.content) for said in asked.messages) < _MUCH:
        return work()
    return await anyio.to_thread.run_sync(work)


def _call(asked: Remember, now: int, long_reply: int) -> Call:
    at = now if asked.said_at is None else asked.said_at
    messages = tuple(
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
    )
    long_enough = len(asked.messages) > 1 or any(
        len(said.content) >= _REPEAT_CHARS for said in asked.messages
    )
    return Call(
        topic=asked.topic,
        messages=messages,
        metadata=asked.metadata,
        arrived_at=now,
        fingerprint=_fingerprint(asked),
        request_id=asked.request_id,
        repeat_since=now - _REPEAT_MS if long_enough else None,
    )


def _fingerprint(asked: Remember) -> bytes:
    """Digest what the caller sent, and nothing that was added on arrival.

    Under a ``request_id`` that is everything. Without one it is the messages: a model that tries
    again words its facts anew.
    """
    sent: list[object] = [
        asked.topic,
        asked.said_at,
        [[said.role, said.content, said.name, said.said_at] for said in asked.messages],
    ]
    if asked.request_id is not None:
        sent += [[[fact.text, fact.section, fact.replaces] for fact in asked.facts], asked.metadata]
    written = json.dumps(sent, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).digest()


def _mask_secrets(asked: Remember, kinds: list[str]) -> Remember:
    def clean(text: str) -> str:
        masked = mask(text)
        kinds.extend(masked.kinds)
        return masked.text

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
