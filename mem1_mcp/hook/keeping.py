"""Words on their way into the memory: written down first, then kept, in the order they were said in."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError, Mem1Error, RequestIdReusedError, StoreError
from mem1_mcp.hook.waiting import Words
from mem1_mcp.memory.remember import DEFAULT_TOPIC, Remember, Said
from mem1_mcp.memory.secrets import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mem1_mcp.hook.events import Event
    from mem1_mcp.hook.waiting import Waiting
    from mem1_mcp.memory import Memory
    from mem1_mcp.settings import Settings
    from mem1_mcp.types import Role

    Took = Callable[[str, tuple[str, ...]], None]

_PIECE = 200_000  # characters of one message


def note(event: Event, settings: Settings, waiting: Waiting, now: int) -> None:
    """Write down what was said; ``keep`` brings it into the store.

    Raises:
        OSError: it can't be written; then nothing of it is kept.

    """
    if event.kind not in ("prompt", "reply"):
        return
    if event.kind == "reply" and not settings.save_assistant_messages:
        return
    # With the host's own id of the turn, words are kept once, however often the host reports them.
    known = f"{event.session} {event.turn} {event.kind} {event.text}" if event.turn else uuid.uuid4().hex
    # In pieces that a hook has the time to keep, or what waits behind a long text would wait for ever.
    for part, piece in enumerate(_pieces(event.text)):
        text = mask(piece).text if settings.mask_secrets else piece
        request_id = f"hook-{hashlib.sha256(f'{part} {known}'.encode(errors='replace')).hexdigest()}"
        role: Role = "user" if event.kind == "prompt" else "assistant"
        topic = settings.topic_id or DEFAULT_TOPIC
        waiting.add(Words(settings.user_id, topic, event.session, role, text, now, request_id), part)


async def keep(memory: Memory, waiting: Waiting, took: Took = lambda _session, _ids: None) -> None:
    """Bring into the store what waits for it; ``took`` is told of what session, and the ids.

    A user whose memory can't take anything now keeps no other waiting.

    Raises:
        StoreError: not all could be kept; the rest still waits.
        InvalidRequestError: something will never be kept, and was put aside.

    """
    blocked: set[str] = set()
    failures: list[Mem1Error] = []
    for path, words in waiting:
        if words.user in blocked:
            continue
        try:
            took(words.session, await _remember(memory, words))
        except StoreError as error:
            blocked.add(words.user)
            failures.append(error)
            continue
        except InvalidRequestError as error:
            waiting.give_up(path)
            failures.append(error)
            continue
        with contextlib.suppress(FileNotFoundError):  # taken away by another hook, which kept the same
            path.unlink()
    if failures:
        raise failures[0]


async def _remember(memory: Memory, words: Words) -> tuple[str, ...]:
    asked = Remember(
        topic=words.topic,
        messages=(Said(words.role, words.text),),
        said_at=words.said_at,
        request_id=words.request_id,
    )
    try:
        return (await memory.remember(words.user, asked)).message_ids
    except RequestIdReusedError:
        return ()  # by an earlier report of the same words, at another second


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text, at the ends of lines where there are some."""
    while len(text) > _PIECE:
        end = text.rfind("\n", _PIECE // 2, _PIECE) + 1 or _PIECE
        yield text[:end]
        text = text[end:]
    if text:
        yield text
