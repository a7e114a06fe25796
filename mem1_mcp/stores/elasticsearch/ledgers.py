"""Keeps ledgers: read at once, changed by compare-and-set.

A change signs the ledger with an id of its own. So when an answer got lost, and the next attempt finds
the ledger changed, it can tell whether by itself. One that others were faster than again and again puts
its id on the document, which fails whoever is writing; they see it, and give way.
"""

from __future__ import annotations

import random
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

import anyio
from pydantic import TypeAdapter

from mem1_mcp.errors import Mem1Error, NotCertainError, StoreBusyError, StoreError
from mem1_mcp.stores.elasticsearch.ledger import Ledger
from mem1_mcp.text.terms import VERSION as TERMS_VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mem1_mcp.stores.elasticsearch.connection import Found, Seen
    from mem1_mcp.stores.elasticsearch.indices import Indices

_Result = TypeVar("_Result")

_FORM = TypeAdapter(Ledger)
_NOT_CERTAIN = "It is not certain whether this call was saved. Look what is there before it is sent again."
_KEPT = 512  # ledgers, to change without reading them first
_ATTEMPTS_SECONDS = 15.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.1
_GIVEN_WAY = 3  # attempts after which others have to


def key_of(user: str) -> str:
    """Return what a user's documents are found by: ids and routing, which can't hold any name."""
    return sha256(user.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Known:
    ledger: Ledger
    seen: Seen | None
    fresh: bool
    waiting: str | None = None


class Ledgers:
    """Reads and changes the ledgers of all users. One process changes one user's one after the other."""

    def __init__(self, indices: Indices) -> None:
        self._indices = indices
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._locks: dict[str, tuple[anyio.Lock, int]] = {}

    async def read(self, user: str) -> Ledger:
        """Return a user's ledger as it is at this moment, whoever changed it."""
        return (await self._fetch(user)).ledger

    async def change(
        self, user: str, change: Callable[[Ledger], Awaitable[tuple[Ledger, _Result]]]
    ) -> tuple[Ledger, _Result]:
        """Replace a ledger by what ``change`` makes of it; return it, and what ``change`` found.

        ``change`` is asked again when another process was faster, so it does nothing but that. When it
        returns the same ledger nothing is written.

        Raises:
            StoreBusyError: others are faster all the time; nothing was changed.
            NotCertainError: it was sent, and there is no telling whether it was done.

        """
        lock, waiting = self._locks.get(user, (anyio.Lock(), 0))
        self._locks[user] = lock, waiting + 1
        try:
            async with lock:
                return await self._change(user, change)
        finally:
            lock, waiting = self._locks.pop(user)
            if waiting > 1:
                self._locks[user] = lock, waiting - 1

    async def _change(
        self, user: str, change: Callable[[Ledger], Awaitable[tuple[Ledger, _Result]]]
    ) -> tuple[Ledger, _Result]:
        write = secrets.token_hex(6)
        until, failed = anyio.current_time() + _ATTEMPTS_SECONDS, 0
        known = self._known.get(user) or await self._fetch(user)
        while True:
            try:
                changed, result = await change(known.ledger)
            except Mem1Error:
                # What is known without reading may be old, and this no longer so.
                if known.fresh:
                    raise
                changed = known.ledger
            if changed is known.ledger:
                if known.fresh:
                    return changed, result
                known = await self._fetch(user)
                continue
            changed = changed.written(write)
            # Away while it is on its way: who is cut off here knows nothing.
            self._known.pop(user, None)
            seen = await self._put(changed, known.seen)
            if seen is not None:
                self._keep(user, _Known(changed, seen, fresh=False))
                return changed, result
            failed, known = failed + 1, await self._after_conflict(user, known.ledger)
            if write in known.ledger.writes:
                return changed, result
            if anyio.current_time() > until:
                raise StoreBusyError(
                    "Others write to this memory all the time. Nothing of this call was saved. Try again."
                )
            known = await self._in_turn(user, known, write, failed)

    async def _after_conflict(self, user: str, before: Ledger) -> _Known:
        """Read what was in the way: others, or the write itself, when it was tried again on its way."""
        try:
            known = await self._fetch(user)
        except StoreError as error:
            raise NotCertainError(f"{error.reason} {_NOT_CERTAIN}") from error
        if known.ledger.says_nothing_of(before):
            raise NotCertainError(f"Much was written while Elasticsearch did not answer. {_NOT_CERTAIN}")
        return known

    async def _in_turn(self, user: str, known: _Known, write: str, failed: int) -> _Known:
        """Give way to who waits; who failed often has others give way."""
        if known.waiting not in (None, write):
            longest = min(_FIRST_PAUSE_SECONDS * 2**failed, _LONGEST_PAUSE_SECONDS)
            await anyio.sleep(longest * random.random())  # noqa: S311 - jitter, no secret
            return await self._fetch(user)
        if failed < _GIVEN_WAY:
            return known
        found = await self._indices.touch(self._indices.state, _id_of(user), {"waiting": write})
        return await self._fetch(user) if found is None else _known(found)

    async def _put(self, ledger: Ledger, seen: Seen | None) -> Seen | None:
        source = {
            "kind": "user",
            "user": ledger.user,
            "terms_version": ledger.terms_version,
            "state": _FORM.dump_python(ledger, mode="json", exclude_defaults=True),
        }
        if ledger.work:
            source["work"] = sorted(ledger.work)
        if ledger.due:
            source |= {"due": ledger.due, "due_at": min(ledger.due.values())}
        if ledger.pending > 0:
            source["pending"] = ledger.pending
        if ledger.refreshed_at:
            source["refreshed_at"] = ledger.refreshed_at
        if ledger.space is not None:
            source |= {"space": ledger.space, "space_since": ledger.space_since}
        return await self._indices.put(self._indices.state, _id_of(ledger.user), source, seen)

    async def _fetch(self, user: str) -> _Known:
        found: Found | None = await self._indices.get(self._indices.state, _id_of(user))
        if found is None:
            return _Known(Ledger(user, TERMS_VERSION), None, fresh=True)
        kept = self._known.get(user)
        if (
            kept is not None
            and kept.seen == found.seen
            and kept.ledger.is_written_as(found.source["state"])
        ):
            return replace(kept, fresh=True, waiting=found.source.get("waiting"))
        known = _known(found)
        if kept is None or kept.seen is None or kept.seen.seq_no < found.seen.seq_no:
            self._keep(user, replace(known, fresh=False))
        return known

    def _keep(self, user: str, known: _Known) -> None:
        self._known[user] = known
        self._known.move_to_end(user)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)


def _known(found: Found) -> _Known:
    ledger = _FORM.validate_python(found.source["state"])
    return _Known(ledger, found.seen, fresh=True, waiting=found.source.get("waiting"))


def _id_of(user: str) -> str:
    return f"user:{key_of(user)}"
