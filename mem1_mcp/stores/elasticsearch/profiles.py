"""Profiles as documents that never change: a new version is a new document, then the ledger names it.

With each stands not its own version but the first one of the profile that can name it: a former version
is written anew when something is forgotten. So what is named by no ledger up to a version, and was
written for that or an earlier one, never will be.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from mem1_mcp.errors import StoreDamagedError, StoreError
from mem1_mcp.stores.elasticsearch import jobs
from mem1_mcp.stores.elasticsearch.connection import Delete, Put
from mem1_mcp.stores.elasticsearch.ledger import ProfileAt
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.types import KEPT_PROFILES, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers

log = logging.getLogger(__name__)

_FORM = TypeAdapter(Profile)


async def load_all(
    indices: Indices, ledger: Ledger, most: int = KEPT_PROFILES
) -> tuple[Profile, ...] | None:
    """Read the profiles a ledger names, newest first; ``None`` where others have replaced them since."""
    read = []
    for each in ledger.profiles[:most]:
        found = await indices.get(indices.profiles, each.document)
        if found is None:
            return None
        read.append(_FORM.validate_python(found.source["state"]))
    return tuple(read)


async def newest(
    indices: Indices, ledgers: Ledgers, user: str, most: int = KEPT_PROFILES
) -> tuple[Profile, ...]:
    """Read a user's profile as it is at this moment, and what it was before, newest first."""
    ledger = await ledgers.read(user)
    while (profiles := await load_all(indices, ledger, most)) is None:
        before, ledger = ledger, await ledgers.read(user)
        if ledger.profiles == before.profiles:
            raise StoreDamagedError(
                f"The profile of user {user} is missing from {indices.profiles}. Nothing was changed. "
                "Restore that index from a snapshot."
            )
    return profiles


async def current(indices: Indices, ledgers: Ledgers, user: str) -> Profile:
    """Read a user's profile as it is at this moment."""
    return next(iter(await newest(indices, ledgers, user, 1)), Profile())


async def keep(indices: Indices, ledger: Ledger, profiles: Sequence[Profile]) -> list[ProfileAt]:
    """Write profiles for the ledger that follows; they are nobody's before that names them."""
    version = 1 if ledger.profile is None else ledger.profile.version + 1
    lines, kept = [], []
    for profile in profiles:
        document = f"{key_of(ledger.user)}:{profile.version}:{secrets.token_hex(4)}"
        state = _FORM.dump_python(profile, mode="json", exclude_defaults=True)
        lines.append(Put(document, {"user": ledger.user, "version": version, "state": state}))
        kept.append(ProfileAt(document, profile.version, profile.next_number, profile.epoch))
    await indices.bulk(indices.profiles, lines)
    return kept


async def drop_unnamed(indices: Indices, ledger: Ledger, profiles: Iterable[ProfileAt]) -> None:
    """Take documents away that the ledger no longer names; what stays by a failure does no harm."""
    named = {each.document for each in ledger.profiles}
    orphans = {each.document for each in profiles} - named
    try:
        await indices.bulk(indices.profiles, [Delete(document) for document in sorted(orphans)])
    except StoreError as error:
        log.info("Former profiles stay for now: %s", error.reason)


@dataclass(slots=True)
class Saving:
    """The change that makes a profile the present one, if it follows the kept one.

    ``written`` is its document, once it has one; ``before`` are those that were named before.
    """

    indices: Indices
    profile: Profile
    written: list[ProfileAt] = field(default_factory=list)
    before: tuple[ProfileAt, ...] = ()

    async def __call__(self, ledger: Ledger) -> tuple[Ledger, bool]:
        """Have the ledger name it; the one before it stays as a former one."""
        self.before = ledger.profiles
        version = 0 if ledger.profile is None else ledger.profile.version
        if version != self.profile.version - 1:
            return ledger, False
        if not self.written:
            self.written += await keep(self.indices, ledger, [self.profile])
        return replace(ledger, profile=self.written[0], former=self.before[: KEPT_PROFILES - 1]), True

    async def take_back(self, ledgers: Ledgers, now: int, user: str) -> None:
        """Drop what was written for nothing: it may hold what was forgotten meanwhile."""
        if not self.written:
            return
        await drop_unnamed(self.indices, await ledgers.read(user), self.written)

        async def asked(ledger: Ledger) -> tuple[Ledger, None]:
            if ledger.profile is None or ledger.profile.epoch == self.profile.epoch:
                return ledger, None
            return jobs.ask(ledger, "erasure", now, back_to=0), None

        await ledgers.change(user, asked)


async def save(indices: Indices, ledgers: Ledgers, user: str, profile: Profile, now: int) -> bool:
    """Keep a profile if the kept one has the version before it."""
    # A change begins with what is known, which may be old; nothing should be written for nothing.
    await ledgers.read(user)
    saving = Saving(indices, profile)
    ledger, saved = await ledgers.change(user, saving)
    if saved:
        await drop_unnamed(indices, ledger, saving.before)
    else:
        await saving.take_back(ledgers, now, user)
    return saved
