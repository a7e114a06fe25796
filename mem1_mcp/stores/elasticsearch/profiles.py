"""Profiles as documents that never change: a new version is a new document, then the ledger names it."""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from mem1_mcp.errors import StoreDamagedError, StoreError
from mem1_mcp.stores.elasticsearch.connection import Delete
from mem1_mcp.stores.elasticsearch.ledger import ProfileAt
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.types import Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers

log = logging.getLogger(__name__)

_FORM = TypeAdapter(Profile)


async def load(indices: Indices, ledger: Ledger) -> Profile | None:
    """Read the profile a ledger names; ``None`` where another version has replaced it since."""
    if ledger.profile is None:
        return Profile()
    found = await indices.get(indices.profiles, ledger.profile.document)
    return None if found is None else _FORM.validate_python(found.source["state"])


async def current(indices: Indices, ledgers: Ledgers, user: str) -> Profile:
    """Read a user's profile as it is at this moment."""
    ledger = await ledgers.read(user)
    while (profile := await load(indices, ledger)) is None:
        before, ledger = ledger, await ledgers.read(user)
        if ledger.profile == before.profile:
            raise StoreDamagedError(
                f"The profile of user {user} is missing from {indices.profiles}. Nothing was changed. "
                "Restore that index from a snapshot."
            )
    return profile


async def keep(indices: Indices, user: str, profile: Profile) -> ProfileAt:
    """Write a profile; it is nobody's before a ledger names it."""
    document = f"{key_of(user)}:{profile.version}:{secrets.token_hex(4)}"
    source = {
        "user": user,
        "version": profile.version,
        "state": _FORM.dump_python(profile, mode="json", exclude_defaults=True),
    }
    await indices.put(indices.profiles, document, source, None)
    return ProfileAt(document, profile.version, profile.next_number)


async def drop(indices: Indices, documents: Iterable[str]) -> None:
    """Take documents away that no ledger names; what stays by a failure does no harm."""
    try:
        await indices.bulk(indices.profiles, [Delete(document) for document in documents])
    except StoreError as error:
        log.info("Former profiles stay for now: %s", error.reason)


async def save(indices: Indices, ledgers: Ledgers, user: str, profile: Profile) -> bool:
    """Keep a profile if the kept one has the version before it."""
    written: list[ProfileAt] = []
    former: list[str] = []

    async def follow(ledger: Ledger) -> tuple[Ledger, bool]:
        former.clear()
        version = 0 if ledger.profile is None else ledger.profile.version
        if version != profile.version - 1:
            return ledger, False
        if not written:
            written.append(await keep(indices, user, profile))
        if ledger.profile is not None:
            former.append(ledger.profile.document)
        return replace(ledger, profile=written[0]), True

    _, saved = await ledgers.change(user, follow)
    orphans = former if saved else [each.document for each in written]
    if orphans:
        await drop(indices, orphans)
    return saved
