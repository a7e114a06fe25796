"""One application on one port: streamable HTTP at ``/mcp``, SSE at ``/sse``, and ``/health``."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from mem1_mcp.errors import StoreError
from mem1_mcp.server.eras import Protocol, serve_streams
from mem1_mcp.server.web.access import Access
from mem1_mcp.server.web.asgi import header_values, refuse
from mem1_mcp.server.web.hosts import HostCheck
from mem1_mcp.server.web.limits import MAX_BODY, Calls, RateLimit, Room
from mem1_mcp.server.web.streams import OpenRequests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
    from mcp.server.mcpserver import MCPServer
    from mcp.server.streamable_http import StreamableHTTPServerTransport
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mem1_mcp.memory import Memory
    from mem1_mcp.server.identity import Caller
    from mem1_mcp.server.updates import Updates

_LAST_ANSWERS_SECONDS = 1.2  # for calls under way when the server is stopped
_IDLE_SECONDS = 30 * 60  # then a session without a request is forgotten
_MAX_SESSIONS, _MAX_SESSIONS_OF_ONE = 1000, 250

# Every path is checked by `HostCheck`, before anything of the SDK sees it.
_NO_SECOND_CHECK = TransportSecuritySettings(enable_dns_rebinding_protection=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may use the application. ``everybody`` sends all requests where no token is asked for."""

    hosts: frozenset[str]
    origins: frozenset[str]
    everybody: Caller | None
    requests_per_minute: int
    protocol: Protocol


class Application:
    """The ASGI application. It serves within ``running`` and stops by ``end``."""

    def __init__(self, server: MCPServer[Any], memory: Memory, updates: Updates, rules: Rules) -> None:
        self._server = server._lowlevel_server  # noqa: SLF001 - the transports speak to this one
        self._memory = memory
        self._updates = updates
        self._rules = rules
        self._sessions = _Sessions(
            self._server,
            security_settings=_NO_SECOND_CHECK,
            session_idle_timeout=_IDLE_SECONDS,
            max_request_body_size=MAX_BODY,
            max_sessions=_MAX_SESSIONS,
        )
        self._sse = SseServerTransport(
            "/messages/", security_settings=_NO_SECOND_CHECK, max_request_body_size=MAX_BODY
        )
        routes = [
            Route("/mcp", _Endpoint(self._guarded(self._serve_mcp))),
            Route("/sse", _Endpoint(self._guarded(self._serve_sse)), methods=["GET"]),
            Mount("/messages/", app=self._guarded(self._serve_messages)),
            Route("/health", self._health, methods=["GET"]),
        ]
        self._open = OpenRequests(Starlette(routes=routes))
        self._checked = HostCheck(self._open, rules.hosts, rules.origins)
        self._calls = Calls()
        server.middleware.insert(0, self._calls)
        server.middleware.insert(1, RateLimit(rules.requests_per_minute, time.monotonic))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI says."""
        await self._checked(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Be able to serve, for as long as the block lasts; once only."""
        async with self._sessions.run():
            yield

    async def end(self) -> None:
        """Take no more requests, answer those under way where that is quick, and end all streams."""
        self._open.close_the_door()
        with anyio.move_on_after(_LAST_ANSWERS_SECONDS):
            await self._calls.over()
        # What waits for another process's lock by now is told so, rather than nothing.
        self._memory.stop_waiting()
        self._updates.end_streams()
        await self._open.end()

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        return Access(Room(app), self._memory, self._rules.everybody)

    async def _serve_mcp(self, scope: Scope, receive: Receive, send: Send) -> None:
        versions = header_values(scope, "mcp-protocol-version")
        if len(versions) > 1 or len(header_values(scope, "mcp-session-id")) > 1:
            # Of two we could take the one and the SDK the other.
            await refuse(send, 400, "A header of the protocol is there twice; send it once.")
            return
        is_newer = bool(versions) and versions[0] not in HANDSHAKE_PROTOCOL_VERSIONS
        if is_newer and self._rules.protocol == "legacy":
            known = ", ".join(HANDSHAKE_PROTOCOL_VERSIONS)
            await refuse(
                send, 400, f"Unsupported protocol version: {versions[0][:32]}. Supported: {known}."
            )
            return
        try:
            await self._sessions.handle_request(scope, receive, send)
        except _TooManySessionsError:
            await refuse(
                send,
                503,
                f"This token has {_MAX_SESSIONS_OF_ONE} open sessions. Nothing was done. End some by a "
                f"DELETE; they end by themselves after {_IDLE_SECONDS // 60} idle minutes.",
                {"retry-after": "60"},
            )

    async def _serve_sse(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._sse.connect_sse(scope, receive, send) as (incoming, outgoing):
            await serve_streams(self._server, incoming, outgoing, self._rules.protocol)

    async def _serve_messages(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The stream may have ended after the message was accepted; then there is no way to answer it.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._sse.handle_post_message(scope, receive, send)

    async def _health(self, _request: Request) -> JSONResponse:
        """Say whether the store answers, and nothing about what or where it is."""
        try:
            await self._memory.tokens()
        except StoreError:
            return JSONResponse({"status": "unavailable"}, 503, {"cache-control": "no-store"})
        told = {"status": "ok", "version": version("mem1-mcp")}
        return JSONResponse(told, headers={"cache-control": "no-store"})


class _Endpoint:
    """An ASGI application as an endpoint: Starlette calls a function with a request instead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _TooManySessionsError(Exception):
    """A token has as many sessions open as it may."""


class _Sessions(StreamableHTTPSessionManager):
    """The SDK's sessions, of which one token may not take all."""

    def _admit_session(
        self, requestor: AuthorizationContext | None
    ) -> StreamableHTTPServerTransport | None:
        owned = sum(owner == requestor for owner in self._session_owners.values())
        if requestor is not None and owned >= _MAX_SESSIONS_OF_ONE:
            raise _TooManySessionsError
        return super()._admit_session(requestor)
