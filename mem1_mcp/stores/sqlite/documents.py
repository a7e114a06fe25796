"""What is kept as one document: the profile, and previews waiting for a yes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from mem1_mcp.types import KEPT_PROFILES, Confirmation, Forgotten, Item, Mark, Profile, Selection

if TYPE_CHECKING:
    import apsw


def load_profile(db: apsw.Connection) -> Profile:
    """Read the profile, empty when there is none."""
    return next(iter(load_profiles(db, 1)), Profile())


def load_profiles(db: apsw.Connection, limit: int = KEPT_PROFILES) -> tuple[Profile, ...]:
    """Read the newest versions of the profile, newest first."""
    rows = db.execute(
        "SELECT version, next_number, epoch, saved_at, why, items FROM profiles"
        " ORDER BY version DESC LIMIT ?",
        (limit,),
    )
    return tuple(
        Profile(
            version=version,
            next_number=next_number,
            epoch=epoch,
            saved_at=saved_at,
            why=why,
            items=tuple(
                Item(**{**item, "evidence": tuple(item["evidence"])}) for item in json.loads(items)
            ),
        )
        for version, next_number, epoch, saved_at, why, items in rows
    )


def save_profile(db: apsw.Connection, profile: Profile) -> bool:
    """Keep the profile if it follows the kept one."""
    kept: int = db.execute("SELECT coalesce(max(version), 0) FROM profiles").get
    if kept != profile.version - 1:
        return False
    db.execute(
        "INSERT INTO profiles(version, next_number, epoch, saved_at, why, items) VALUES (?, ?, ?, ?, ?, ?)",
        (
            profile.version,
            profile.next_number,
            profile.epoch,
            profile.saved_at,
            profile.why,
            _written(profile),
        ),
    )
    db.execute("DELETE FROM profiles WHERE version <= ?", (profile.version - KEPT_PROFILES,))
    return True


def rewrite_profile(db: apsw.Connection, profile: Profile) -> None:
    """Exchange the items of a former version."""
    db.execute("UPDATE profiles SET items = ? WHERE version = ?", (_written(profile), profile.version))


def _written(profile: Profile) -> str:
    return json.dumps([asdict(item) for item in profile.items], ensure_ascii=False)


def keep_confirmation(db: apsw.Connection, confirmation: Confirmation, expired_at: int) -> None:
    """Keep a preview, and drop those that ran out."""
    db.execute("DELETE FROM confirmations WHERE expires_at < ?", (expired_at,))
    write_confirmation(db, confirmation)


def write_confirmation(db: apsw.Connection, confirmation: Confirmation) -> None:
    """Keep a preview, or what became of it."""
    content = asdict(confirmation)
    del content["token_hash"], content["expires_at"]
    db.execute(
        "INSERT INTO confirmations(token_hash, expires_at, content) VALUES (?, ?, ?)"
        " ON CONFLICT(token_hash) DO UPDATE SET content = excluded.content",
        (
            confirmation.token_hash,
            confirmation.expires_at,
            json.dumps(content, ensure_ascii=False),
        ),
    )


def load_confirmation(db: apsw.Connection, token_hash: str) -> Confirmation | None:
    """Read a kept preview."""
    found = db.execute(
        "SELECT expires_at, content FROM confirmations WHERE token_hash = ?", (token_hash,)
    ).get
    if found is None:
        return None
    content = json.loads(found[1])
    selection = content["selection"]
    return Confirmation(
        token_hash=token_hash,
        expires_at=found[0],
        selection=Selection(
            places=tuple(selection["places"]),
            items=tuple(selection["items"]),
            topic=selection["topic"],
            everything=selection["everything"],
        ),
        mark=Mark(**content["mark"]),
        taken=Forgotten(**content["taken"]),
        done=content["done"],
    )
