"""How much one caller may ask for, so that the others are still served and memory stays bounded."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from mem1_mcp.server.identity import caller
from mem1_mcp.server.web.asgi import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 16 * 1024 * 1024  # bytes of one request
_MAX_BODIES = 2 * MAX_BODY  # of all requests that are under way
_MAX_REQUESTS = 1024  # under way, streams that stay open among them
_MAX_OF_ONE = 512  # of one token
_KEPT_CALLERS = 10_000

_ROUNDING = 1e-6  # seconds

TOO_MANY = -32011  # of those left to servers


class RateLimit:
    """Counts the messages of each token; of a service token, of each of its users.

    A middleware of the protocol: by then a message has an id to refuse it by, on every transport.
    ``clock`` tells seconds that never go back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        # When each one would have sent all it did, at the rate that is allowed.
        self._due: OrderedDict[tuple[str, str | None], float] = OrderedDict()

    def wait(self, key: tuple[str, str | None]) -> float:
        """Count one message; return the seconds until it may be sent, 0 for now."""
        now = self._clock()
        each = 60 / self._per_minute
        due = max(self._due.get(key, now), now)
        # A minute's worth may come at once. Source: the generic cell rate algorithm, ITU-T I.371.
        ahead = due + each - now - 60
        if ahead > _ROUNDING:
            return ahead
        self._due[key] = due + each
        self._due.move_to_end(key)
        while len(self._due) > _KEPT_CALLERS:
            self._due.popitem(last=False)
        return 0.0

    async def __call__(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        """Let a message through, or refuse it by its id."""
        if ctx.request_id is not None and self._per_minute:
            sender = caller()
            seconds = self.wait((sender.token, sender.user))
            if seconds:
                raise MCPError(
                    code=TOO_MANY,
                    message=f"Too many requests: {self._per_minute} a minute may be sent with this token. "
                    f"Nothing was done for this one. Send it again in {math.ceil(seconds)} seconds.",
                    data={"retryAfterSeconds": math.ceil(seconds)},
                )
        return await call_next(ctx)


class Room:
    """Lets requests through while there is room for them and for what they carry.

    One alone always has room. What a request says it carries is what the HTTP server lets it send.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests: Counter[str] = Counter()
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI says."""
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0" if scope["method"] != "POST" else "")
        if not length.isdigit() or "transfer-encoding" in headers:
            await refuse(send, 411, "Content-Length is missing: say how long the body is.")
            return
        size = int(length)
        if size > MAX_BODY:
            await refuse(
                send, 413, f"The body has {size} bytes, {MAX_BODY} at most. Nothing was done. Send less."
            )
            return
        token = caller().token
        if told := self._told(token, size):
            await refuse(send, 503, f"{told} Nothing was done. Send it again.", {"retry-after": "1"})
            return
        self._requests[token] += 1
        self._bytes += size
        try:
            await self._app(scope, await _whole(receive) if size else receive, send)
        finally:
            self._bytes -= size
            self._requests[token] -= 1
            if not self._requests[token]:
                del self._requests[token]

    def _told(self, token: str, size: int) -> str | None:
        if self._requests[token] >= _MAX_OF_ONE:
            return f"Too many requests under way: {_MAX_OF_ONE} of this token."
        if self._requests.total() >= _MAX_REQUESTS:
            return f"The server is busy: {_MAX_REQUESTS} requests are under way."
        if self._bytes and self._bytes + size > _MAX_BODIES:
            return f"The server is busy: requests under way hold {self._bytes} bytes."
        return None


async def _whole(receive: Receive) -> Receive:
    """Wait for all of the body, and return what hands it on in one.

    Raises:
        ClientDisconnect: the client is gone before it has come.

    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def receive_whole() -> Message:
        return whole.pop() if whole else await receive()

    return receive_whole
