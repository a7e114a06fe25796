"""How much one caller may ask for, so that the others are still served and memory stays bounded."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import anyio
from mcp import MCPError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from mem1_mcp.server.identity import caller
from mem1_mcp.server.web.asgi import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Next = Callable[[Any], Awaitable[Any]]

MAX_BODY = 16 * 1024 * 1024  # bytes of one request
_MAX_BODIES, _MAX_BODIES_OF_ONE = 2 * MAX_BODY, MAX_BODY  # bytes under way, and of one token
_BODY_SECONDS = 30.0  # for a body to come
_MAX_REQUESTS, _MAX_REQUESTS_OF_ONE = 1024, 512  # under way, streams that stay open among them
_MAX_CALLS_OF_ONE, _MAX_STREAMS_OF_ONE = 256, 64  # messages that are worked on; kinds of `Calls`
_KEPT_CALLERS = 10_000
_ROUNDING = 1e-6  # seconds

TOO_MANY = -32011  # of those left to servers
_STREAM = "subscriptions/listen"


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

    async def __call__(self, ctx: Any, call_next: Next) -> Any:
        """Let a message through, or refuse it by its id; one that wants no answer is passed over."""
        if not self._per_minute:
            return await call_next(ctx)
        sender = caller()
        seconds = self.wait((sender.token, sender.user))
        if not seconds:
            return await call_next(ctx)
        if ctx.request_id is None:
            return None
        raise MCPError(
            code=TOO_MANY,
            message=f"Too many requests: {self._per_minute} a minute may be sent with this token. "
            f"Nothing was done for this one. Send it again in {math.ceil(seconds)} seconds.",
            data={"retryAfterSeconds": math.ceil(seconds)},
        )


class Calls:
    """Knows which messages are worked on, bounds those of one token, and can wait for the last.

    A middleware of the protocol: over SSE a request is answered long before the call that came in it.
    """

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._answered = anyio.Event()

    async def __call__(self, ctx: Any, call_next: Next) -> Any:
        """Let a message through, or refuse it by its id."""
        if ctx.request_id is None:
            return await call_next(ctx)
        token, size = caller().token, _size(ctx.request)
        if ctx.method == _STREAM:
            counted, size, most = self._streams, 0, _MAX_STREAMS_OF_ONE
        else:
            counted, most = self._calls, _MAX_CALLS_OF_ONE
        held = self._bytes[token]
        if counted[token] >= most or (held and held + size > _MAX_BODIES_OF_ONE):
            raise MCPError(
                code=TOO_MANY,
                message=f"Too much at once: {most} {'streams' if counted is self._streams else 'calls'} of "
                f"this token may be under way, and {_MAX_BODIES_OF_ONE} bytes. Nothing was done for this "
                "one. Send it again when others are answered.",
            )
        counted[token] += 1
        self._bytes[token] += size
        try:
            return await call_next(ctx)
        finally:
            counted[token] -= 1
            self._bytes[token] -= size
            for each in (counted, self._bytes):
                if not each[token]:
                    del each[token]
            self._answered.set()

    async def over(self) -> None:
        """Wait until none is worked on, but for streams."""
        while self._calls:
            self._answered = anyio.Event()
            await self._answered.wait()


class Room:
    """Lets requests through while there is room for them and for what they carry.

    One alone always has room. What a request says it carries is what the HTTP server lets it send.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

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
        self._bytes[token] += size
        try:
            await self._serve(scope, receive, send, size)
        finally:
            self._bytes[token] -= size
            self._requests[token] -= 1
            for each in (self._bytes, self._requests):
                if not each[token]:
                    del each[token]

    async def _serve(self, scope: Scope, receive: Receive, send: Send, size: int) -> None:
        if size:
            with anyio.move_on_after(_BODY_SECONDS) as waiting:
                receive = await _whole(receive)
            if waiting.cancelled_caught:
                await refuse(send, 408, "The body did not come. Nothing was done. Send it again.")
                return
        await self._app(scope, receive, send)

    def _told(self, token: str, size: int) -> str | None:
        if self._requests[token] >= _MAX_REQUESTS_OF_ONE:
            return f"Too many requests under way: {_MAX_REQUESTS_OF_ONE} of this token."
        if self._requests.total() >= _MAX_REQUESTS:
            return f"The server is busy: {_MAX_REQUESTS} requests are under way."
        held = self._bytes[token]
        if held and held + size > _MAX_BODIES_OF_ONE:
            return f"The server is busy: requests of this token that are under way hold {held} bytes."
        if size and not held and self._bytes.total() + size > _MAX_BODIES:
            return f"The server is busy: requests under way hold {self._bytes.total()} bytes."
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


def _size(request: Any) -> int:
    """Return the bytes a message came in."""
    length = request.headers.get("content-length", "0") if request is not None else "0"
    return int(length) if length.isdigit() else 0
