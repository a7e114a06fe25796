"""Tells those who subscribed that a resource changed, whoever changed it: this process or another.

What is subscribed is looked at every few seconds, and at once when this process wrote; so a change of
another process, or of work in the background, is told too. Clients of the handshake era subscribe to
one resource (``resources/subscribe``), later ones keep a stream open (``subscriptions/listen``).
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import anyio
from mcp import MCPError
from mcp.server.subscriptions import ListenHandler, ResourceUpdated
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from mem1_mcp.errors import InvalidRequestError, Mem1Error, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping

    from mcp.server.context import ServerRequestContext
    from mcp.server.mcpserver import MCPServer
    from mcp.server.session import ServerSession
    from mcp.server.subscriptions import ServerEvent

    from mem1_mcp.memory import Memory
    from mem1_mcp.server.identity import Identify

    Listener = Callable[[str], None]  # of resources, with the name of a topic unquoted
    Known = Callable[[str], Awaitable[bool]]

log = logging.getLogger(__name__)

PROFILE_URI, TOPICS_URI = "memory://profile", "memory://topics"

_LOOK_SECONDS, _LOOK_SECONDS_EACH = 3.0, 0.01  # the latter for each user, where they are many
_TELLING_SECONDS = 5.0  # a client that reads no more
_MOST_SUBSCRIPTIONS = 256  # of one connection
_KEY = "mem1.subscriptions"


class Updates:
    """Knows who subscribed to what of whom. Lives as long as the memory; ``run`` does the telling."""

    def __init__(self, memory: Memory, identify: Identify) -> None:
        self._memory = memory
        self._identify = identify
        self._listeners: dict[str, dict[object, Listener]] = {}
        self._seen: dict[str, dict[str, object]] = {}
        self._changed: set[str] = set()
        self._woken = anyio.Event()
        self._streams: set[ListenHandler] = set()

    def serve(self, server: MCPServer[Any], is_known: Known) -> None:
        """Answer subscriptions on a server; ``is_known`` says whether there is such a resource."""
        self._is_known = is_known
        protocol = server._lowlevel_server  # noqa: SLF001 - MCPServer can't add these
        protocol.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        protocol.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
        protocol.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)

    def changed(self, user: str) -> None:
        """Have a user's resources looked at now."""
        if user in self._listeners:
            self._changed.add(user)
            self._woken.set()

    async def run(self) -> None:
        """Look and tell, for ever; ended by cancellation."""
        async with anyio.create_task_group() as self._telling:
            due = 0.0
            while True:
                self._woken = anyio.Event()
                users, self._changed = self._changed, set()
                if anyio.current_time() >= due:
                    users = set(self._listeners)
                for user in users:
                    await self._look(user)
                if anyio.current_time() >= due:
                    pause = max(_LOOK_SECONDS, _LOOK_SECONDS_EACH * len(self._listeners))
                    due = anyio.current_time() + pause
                # Where nobody listens there is nothing to look at.
                wait = due - anyio.current_time() if self._listeners else None
                with anyio.move_on_after(wait):
                    await self._woken.wait()

    def end_streams(self) -> None:
        """Tell those who keep a stream open that it ends here."""
        for stream in tuple(self._streams):
            stream.close()

    def listen(self, user: str, listener: Listener) -> Callable[[], None]:
        """Have a listener told of each change of a user's resources; return what ends it."""
        key = object()
        if not self._listeners:
            self._woken.set()
        self._listeners.setdefault(user, {})[key] = listener

        def remove() -> None:
            listeners = self._listeners.get(user, {})
            listeners.pop(key, None)
            if not listeners:
                self._listeners.pop(user, None)
                self._seen.pop(user, None)

        return remove

    async def _look(self, user: str) -> None:
        seen = self._seen.get(user)
        try:
            now = await self._state(user)
        except StoreError as error:
            log.info("Subscribers of user %s will be told later: %s", user, error)
            return
        if user not in self._listeners:
            return
        self._seen[user] = now
        if seen is None:
            return
        for uri in sorted(uri for uri in now.keys() | seen.keys() if now.get(uri) != seen.get(uri)):
            for tell in tuple(self._listeners.get(user, {}).values()):
                tell(uri)

    async def _state(self, user: str) -> dict[str, object]:
        """Return what differs whenever a resource does."""
        profile, topics = await self._memory.profile(user), await self._memory.topics(user)
        state: dict[str, object] = {f"{TOPICS_URI}/{topic.name}": topic for topic in topics}
        return {**state, PROFILE_URI: profile.version, TOPICS_URI: topics}

    async def _note_state(self) -> str:
        """Note how things are, so that whatever comes after the answer is told; return whose."""
        user = self._identify().user
        state = await self._state(user)
        if user not in self._listeners:  # who listens already is told of what is between
            self._seen[user] = state
        return user

    async def _listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        with _as_protocol_errors():
            user = await self._note_state()
        asked = params.notifications.resource_subscriptions or ()
        stream = ListenHandler(_Stream(self, user, {unquote(uri): uri for uri in asked}))
        self._streams.add(stream)
        try:
            return await stream(ctx, params)
        finally:
            self._streams.discard(stream)

    async def _subscribe(
        self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        uri = params.uri
        if not await self._is_known(uri):
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown resource: {uri[:256]}")
        kept = _subscriptions(ctx)
        with _as_protocol_errors():
            user = await self._note_state()
        if (user, uri) in kept:
            return EmptyResult()
        if len(kept) >= _MOST_SUBSCRIPTIONS:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"This connection has {_MOST_SUBSCRIPTIONS} subscriptions, the most there may be; "
                "end some first.",
            )

        def tell(changed: str) -> None:
            if changed == unquote(uri):
                self._telling.start_soon(_send, ctx.session, uri)

        kept[user, uri] = self.listen(user, tell)
        return EmptyResult()

    async def _unsubscribe(
        self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        with _as_protocol_errors():
            user = self._identify().user
        if remove := _subscriptions(ctx).pop((user, params.uri), None):
            remove()
        return EmptyResult()


class _Stream:
    """One stream as the SDK wants it, a ``SubscriptionBus``: it hears of one user's resources only.

    ``spelled`` says how its client writes them: an escape in a URI may be written in several ways.
    """

    def __init__(self, updates: Updates, user: str, spelled: Mapping[str, str]) -> None:
        self._updates = updates
        self._user = user
        self._spelled = spelled

    async def publish(self, event: ServerEvent) -> None:
        """Nothing is published here: see ``Updates.run``."""

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Hand on what the client asked for, in its own words."""

        def tell(changed: str) -> None:
            if changed in self._spelled:
                listener(ResourceUpdated(uri=self._spelled[changed]))

        return self._updates.listen(self._user, tell)


def _subscriptions(ctx: ServerRequestContext[Any, Any]) -> dict[tuple[str, str], Callable[[], None]]:
    """Return what this connection subscribed to, by user and resource; it ends with the connection."""
    connection = ctx.session._connection  # noqa: SLF001 - requests come and go, this stays
    if _KEY not in connection.state:
        kept: dict[tuple[str, str], Callable[[], None]] = {}
        connection.state[_KEY] = kept

        def end() -> None:
            for remove in kept.values():
                remove()

        connection.exit_stack.callback(end)
    found: dict[tuple[str, str], Callable[[], None]] = connection.state[_KEY]
    return found


async def _send(session: ServerSession, uri: str) -> None:
    # Not for ever: a client may have stopped reading.
    with anyio.move_on_after(_TELLING_SECONDS):
        await session.send_resource_updated(uri)


def protocol_error(error: Mem1Error) -> MCPError:
    """Put an error of ours into the protocol's form."""
    code = INVALID_PARAMS if isinstance(error, InvalidRequestError) else INTERNAL_ERROR
    return MCPError(code=code, message=str(error))


@contextmanager
def _as_protocol_errors() -> Generator[None]:
    try:
        yield
    except Mem1Error as error:
        raise protocol_error(error) from error
