"""Who may use the server, and as whom: a bearer token is asked of every request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

from mem1_mcp.errors import ForbiddenError, InvalidRequestError, StoreError
from mem1_mcp.server.identity import TOPIC_HEADER, USER_HEADER, Caller, announce
from mem1_mcp.server.web.asgi import header_values, refuse
from mem1_mcp.text.names import check_name

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mem1_mcp.memory import Memory
    from mem1_mcp.types import Token

log = logging.getLogger(__name__)

_AUTHORIZATION = "authorization"


class Access:
    """Lets requests with a token through, and announces their caller.

    ``everybody`` is who sends every request where no token is asked for; ``None`` asks for one.
    """

    def __init__(self, app: ASGIApp, memory: Memory, everybody: Caller | None) -> None:
        self._app = app
        self._memory = memory
        self._everybody = everybody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI says."""
        try:
            token = None if self._everybody is not None else await self._token(scope)
        except StoreError as error:
            # Without the reason, which names files: whoever asks has not shown a token yet.
            log.warning("Tokens can't be checked: %s", error)
            await refuse(
                send, 503, "The token can't be checked now. Nothing was done.", {"retry-after": "5"}
            )
            return
        if self._everybody is None and token is None:
            await _refuse_unknown(send, given=bool(header_values(scope, _AUTHORIZATION)))
            return
        try:
            sender = _caller(token, self._everybody, scope)
        except ForbiddenError as error:
            await refuse(send, 403, str(error))
            return
        except InvalidRequestError as error:
            await refuse(send, 400, f"{error}. Nothing was done.")
            return
        announce(sender)
        # Nothing further in has a use for the secret.
        headers = [(name, value) for name, value in scope["headers"] if name != _AUTHORIZATION.encode()]
        inside = {**scope, "headers": headers}
        if token is not None:
            # By this the SDK lets a session be used only by whoever opened it.
            owner = AccessToken(token="", client_id=token.id, scopes=[], subject=token.user)
            inside["user"] = AuthenticatedUser(owner)
        await self._app(inside, receive, send)

    async def _token(self, scope: Scope) -> Token | None:
        values = header_values(scope, _AUTHORIZATION)
        scheme, _, sent = values[0].strip().partition(" ") if len(values) == 1 else ("", "", "")
        return await self._memory.verify_token(sent.strip()) if scheme.lower() == "bearer" else None


def _caller(token: Token | None, everybody: Caller | None, scope: Scope) -> Caller:
    """Say who is calling.

    Raises:
        InvalidRequestError: a header does not hold a name.
        ForbiddenError: the request names a user and has no right to.

    """
    user, topic = (_named(scope, header) for header in (USER_HEADER, TOPIC_HEADER))
    if token is not None and token.user is None:
        return Caller(token.id, user, topic or token.topic, service=True)
    if user is not None or topic is not None:
        raise ForbiddenError(
            f"{USER_HEADER} and {TOPIC_HEADER} are for service tokens only: any other token is one user's. "
            "Nothing was done. Leave them out, or use a token made with `mem1-mcp token create --service`."
        )
    if token is not None:
        return Caller(token.id, token.user, token.topic)
    assert everybody is not None  # noqa: S101 - without a token there is this one
    return everybody


def _named(scope: Scope, header: str) -> str | None:
    """Read a name out of a header: UTF-8, as it is or percent-encoded."""
    values = header_values(scope, header)
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequestError(f"{header}: is there twice; send it once")
    try:
        return check_name(unquote_to_bytes(values[0].encode("latin-1")).decode())
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{header}: is not UTF-8; percent-encode what is not ASCII") from None
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{header}: {error}") from None


async def _refuse_unknown(send: Send, *, given: bool) -> None:
    if given:
        text = "This token is unknown, revoked, or ran out."
    else:
        text = "A token is missing: send it as `Authorization: Bearer mem1_…`."
    await refuse(
        send,
        401,
        f"{text} Nothing was done. `mem1-mcp token create` makes one; `mem1-mcp token list` shows those "
        "there are.",
        {"www-authenticate": 'Bearer realm="mem1-mcp"' + (', error="invalid_token"' if given else "")},
    )
