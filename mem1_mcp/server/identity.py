"""Whose memory a request is about: never an argument of a tool, always the process or the token."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from mem1_mcp.errors import InvalidRequestError

USER_HEADER, TOPIC_HEADER = "X-Mem1-User", "X-Mem1-Topic"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a request; ``topic`` is of calls that name none.

    ``shared`` when the next request of the same connection may be another user's. ``local`` when whoever
    asks runs on this machine as the same person, who can read the same files.
    """

    user: str
    topic: str | None = None
    shared: bool = False
    local: bool = False


Identify = Callable[[], Identity]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent an HTTP request: a token, by its id, and the user it is or speaks for.

    ``token`` is empty where none is asked for. ``user`` is ``None`` where a service named nobody.
    """

    token: str
    user: str | None
    topic: str | None
    service: bool = False


# Set for each HTTP request; the SDK hands it on to the handlers of the messages in it.
_caller: ContextVar[Caller] = ContextVar("mem1_caller")


def always(user: str, topic: str | None = None) -> Identify:
    """Serve one user, as on stdio."""
    identity = Identity(user, topic, local=True)
    return lambda: identity


def announce(caller: Caller) -> None:
    """Note who sent the HTTP request that is being served."""
    _caller.set(caller)


def caller() -> Caller:
    """Return who sent the HTTP request that is being served."""
    return _caller.get()


def of_the_request() -> Identity:
    """Return the user whom the request's token stands for.

    Raises:
        InvalidRequestError: a service token named nobody.

    """
    sender = caller()
    if sender.user is None:
        raise InvalidRequestError(
            f"{USER_HEADER} is missing: a service token says in this HTTP header whose memory a request "
            "is about. Nothing was read or saved."
        )
    return Identity(sender.user, sender.topic, shared=sender.service)
