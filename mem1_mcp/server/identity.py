"""Whose memory a request is about: never an argument of a tool, always the process or the token."""

from __future__ import annotations

from collections.abc import Callable

Identify = Callable[[], str]


def always(user: str) -> Identify:
    """Serve one user, as on stdio."""
    return lambda: user
