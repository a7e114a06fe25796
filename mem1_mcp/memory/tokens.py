"""Tokens that let programs in over the network, as a user or, for a service, as whom it names.

A token is ``mem1_ID_SECRET``. The id finds it, lists it and revokes it; the secret is known to its
holder only, since a hash of it is all that is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mem1_mcp.types import Token

if TYPE_CHECKING:
    from mem1_mcp.protocols import Store

_FORM = re.compile(r"mem1_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_ID_BYTES, _SECRET_BYTES = 4, 32


@dataclass(frozen=True, slots=True)
class NewToken:
    """What is asked for; see ``types.Token``."""

    user: str | None
    topic: str | None = None
    name: str = ""
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token as it is kept, and the ``text`` that its holder sends, which is never seen again."""

    text: str
    token: Token


def make(asked: NewToken, now: int, token_id: str | None = None) -> MadeToken:
    """Make a token; it lets nobody in before it is kept. ``token_id`` is drawn unless it is given."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    token = Token(
        id=token_id or secrets.token_hex(_ID_BYTES),
        secret_hash=_hash(secret),
        user=asked.user,
        topic=asked.topic,
        name=asked.name,
        created_at=now,
        expires_at=asked.expires_at,
    )
    return MadeToken(f"mem1_{token.id}_{secret}", token)


async def verify(store: Store, text: str, now: int) -> Token | None:
    """Return the token that a request sent; ``None`` for one that is unknown, revoked or ran out."""
    sent = _FORM.fullmatch(text)
    if sent is None:
        return None
    token = await store.token(sent[1])
    # A hash that never matches, so that an unknown id takes as long as a wrong secret.
    kept = token.secret_hash if token is not None else _hash("")
    if not hmac.compare_digest(_hash(sent[2]), kept) or token is None:
        return None
    return None if token.expires_at is not None and token.expires_at <= now else token


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
