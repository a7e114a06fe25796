"""What is no user's memory: who is let in, and how a store is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Token:
    """Lets a program in over the network, as one user. Its secret is kept as a SHA-256 hash.

    Without a ``user`` it is a service token: each of its requests names the user it is for. ``topic``
    is of calls that name none. ``expires_at`` is ``None`` for one that holds until it is revoked.
    """

    id: str
    secret_hash: str
    user: str | None
    topic: str | None
    name: str
    created_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What ``doctor`` shows of a store: an ordered list of names and values, and what is wrong."""

    facts: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = field(default=())
