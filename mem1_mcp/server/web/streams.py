"""The requests that are open, some of them for hours, and how they end when the server does."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from starlette.requests import ClientDisconnect

from mem1_mcp.server.web.asgi import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LAST_BYTES_SECONDS = 0.2  # between an answer and its last byte on the wire


class OpenRequests:
    """Knows what is open. First ``close_the_door``, then ``end``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[anyio.CancelScope] = set()
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

    def close_the_door(self) -> None:
        """Take no more requests."""
        self._ending = True

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
