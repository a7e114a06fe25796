"""The requests that are open, some of them for hours, and how they end when the server does."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from starlette.requests import ClientDisconnect

from mem1_mcp.server.web.asgi import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LAST_ANSWERS_SECONDS = 1.2  # for calls under way; hosts kill what takes longer
_LAST_BYTES_SECONDS = 0.2  # between an answer and its last byte on the wire
_STREAM = "subscriptions/listen"


class OpenRequests:
    """Knows what is under way. First ``wait_for_answers``, then ``end``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[anyio.CancelScope] = set()
        self._calls = 0
        self._answered = anyio.Event()
        self._ending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI says."""
        if self._ending:
            await refuse(send, 503, "The server is being stopped. Nothing was done.", {"retry-after": "5"})
            return
        began = ended = False

        async def watched(message: Message) -> None:
            nonlocal began, ended
            began = began or message["type"] == "http.response.start"
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        with anyio.CancelScope() as here:
            self._open.add(here)
            try:
                await self._app(scope, receive, watched)
            except ClientDisconnect:
                ended = True  # half a request: nobody is left to be answered
            finally:
                self._open.discard(here)
        if here.cancelled_caught and not ended:
            with suppress(OSError):  # the client may be gone as well
                await _finish(send, began=began)

    async def count_calls(self, ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        """Count a message while it is worked on: a middleware of the protocol."""
        if ctx.request_id is None or ctx.method == _STREAM:
            return await call_next(ctx)
        self._calls += 1
        try:
            return await call_next(ctx)
        finally:
            self._calls -= 1
            self._answered.set()

    async def wait_for_answers(self) -> None:
        """Take no more requests, and wait a moment for the calls under way."""
        self._ending = True
        with anyio.move_on_after(_LAST_ANSWERS_SECONDS):
            while self._calls:
                self._answered = anyio.Event()
                await self._answered.wait()

    async def end(self) -> None:
        """End what is still open."""
        if self._open:
            await anyio.sleep(_LAST_BYTES_SECONDS)
        for here in tuple(self._open):
            here.cancel()


async def _finish(send: Send, *, began: bool) -> None:
    if began:
        await send({"type": "http.response.body", "body": b""})
    else:
        await refuse(send, 503, "The server was stopped before it could answer.", {"retry-after": "5"})
