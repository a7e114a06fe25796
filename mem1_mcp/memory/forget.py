"""Forget: first show what would go, then take exactly that.

The preview gives a token. It names a row of the store that holds the selection and how far things
had come, so what arrives afterwards is not taken, and any process on the store can confirm.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError, StoreError
from mem1_mcp.memory.lines import Line, write_line
from mem1_mcp.text.budget import snippet
from mem1_mcp.types import Confirmation, Forgotten, message_id
from mem1_mcp.types.profile import forgetting

if TYPE_CHECKING:
    from datetime import tzinfo

    from mem1_mcp.memory.work.jobs import Jobs
    from mem1_mcp.protocols import Progress, Store
    from mem1_mcp.types import Item, Selection

log = logging.getLogger(__name__)

_VALID_MS = 600_000
_ERASING_SECONDS = 0.5  # within the call; a host waits for the answer
_LINES = 20
_LINE_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Preview:
    """What would go. ``token`` is ``None`` when there is nothing; ``unknown`` names ids not found."""

    token: str | None
    messages: int
    first_at: int
    last_at: int
    lines: tuple[Line, ...]
    items: tuple[Item, ...]
    more: int
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The token of a preview, and the selection that came with it, if one did."""

    token: str
    selection: Selection | None


async def preview(
    store: Store, user: str, selection: Selection, skip: int, now: int, zone: tzinfo
) -> Preview:
    """Show what a selection takes and keep it for ten minutes; deletes nothing."""
    found = await store.select(user, selection, _LINES, skip)
    versions = await store.profiles(user)
    gone = frozenset(selection.places)
    if selection.topic is not None or selection.everything:
        gone = frozenset(place for each in versions for item in each.items for place in item.evidence)
        if selection.topic is not None:
            kept = await store.messages(user, sorted(gone))
            gone = frozenset(s.place for s in kept if s.topic == selection.topic)
    _, items = forgetting(versions, selection, found.mark, gone)
    known = {item.id for each in versions for item in each.items}
    unknown = await _unknown(store, user, selection, known)
    token = None
    if found.messages or items:
        token = secrets.token_urlsafe(9)
        await store.keep_confirmation(
            user, Confirmation(_hash(token), selection, found.mark, now + _VALID_MS)
        )
    lines = []
    for stored in found.lines:
        text = snippet(stored.content, {}, _LINE_TOKENS)
        lines.append(Line(stored, text, write_line(stored, text, now, zone)))
    return Preview(
        token=token,
        messages=found.messages,
        first_at=found.first_at,
        last_at=found.last_at,
        lines=tuple(lines),
        items=items,
        more=max(found.messages - skip - len(lines), 0),
        unknown=unknown,
    )


async def confirm(
    store: Store, jobs: Jobs, user: str, confirmed: Confirmed, now: int, progress: Progress
) -> Forgotten:
    """Take what the preview of this token showed; a second time, say what was done.

    What is few is off the disk when this returns; the rest of it goes by a job.
    """
    selection = confirmed.selection
    kept = await store.confirmation(user, _hash(confirmed.token))
    if kept is None or (not kept.done and kept.expires_at < now):
        raise InvalidRequestError(
            "confirm: this token is unknown or older than ten minutes. Nothing was forgotten. Call "
            "forget again without confirm, show the user what would go, and use the new token."
        )
    if not kept.done and selection is not None and selection != kept.selection:
        raise InvalidRequestError(
            "confirm: this token was given for another selection. Nothing was forgotten. Send "
            "confirm alone, or call forget without it to see what the new selection would take."
        )
    done = await store.forget(user, kept.token_hash)
    await progress(1, 2, "It can't be found any more")
    if done.pending:
        try:
            erased = await jobs.finish_soon(user, "erasure", _ERASING_SECONDS)
        except StoreError as error:
            log.warning("What was forgotten is yet to be erased: %s", error)
        else:
            done = replace(done, pending=not erased)
    await progress(2, 2, "Its bytes are to be erased yet" if done.pending else "It is erased")
    return done


async def _unknown(store: Store, user: str, selection: Selection, items: set[str]) -> tuple[str, ...]:
    known = {stored.place for stored in await store.messages(user, selection.places)}
    return (
        *(message_id(place) for place in selection.places if place not in known),
        *(item for item in selection.items if item not in items),
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
