"""How the HTTP server begins to listen, whom it lets in from the start, and how it is stopped."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import uvicorn
from mcp.server.request_state import RequestStateSecurity
from uvicorn.protocols.http.h11_impl import H11Protocol

from mem1_mcp.errors import SettingsError
from mem1_mcp.memory.tokens import NewToken
from mem1_mcp.server.identity import Caller, caller
from mem1_mcp.server.web import first_token
from mem1_mcp.server.web.application import Application, Rules
from mem1_mcp.server.web.hosts import is_loopback, own_hosts, own_origins, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mem1_mcp.memory import Memory
    from mem1_mcp.settings import Settings

_MAX_CONNECTIONS = 2048
_TOLD_BUSY = 64  # more are told that the server is busy; others are hung up on
_FILES_OF_MEMORIES = 1024
# Where no file can be opened any more, asyncio tries as often as this, and logs each time.
_BACKLOG = 128
_REQUEST_SECONDS = 15.0  # for the head of a request to come
# The application ends its requests within less, and what waits for a lock ends with the process; but
# where no signal tells the program to end, uvicorn alone does it.
_GRACE_SECONDS = 2 if sys.platform == "win32" else 60


@contextmanager
def listen(host: str, port: int) -> Generator[socket.socket]:
    """Take the address, for as long as the block lasts.

    Raises:
        SettingsError: it can't be had; the text says what to do.

    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # "localhost" is both; clients try the older kind too.
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # Or an answer in two parts waits 40 ms for the client to acknowledge the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except socket.gaierror as error:
        raise SettingsError(f"MEM1_HTTP_HOST: {host!r} is no address of this machine ({error}).") from error
    except OSError as error:
        raise SettingsError(
            f"{host} port {port} can't be listened on ({os.strerror(error.errno or 0)}). If another "
            "program has it, end that one or choose another port with --port."
        ) from error
    with listener:
        yield listener


async def rules(
    memory: Memory, settings: Settings, listener: socket.socket, *, asking_for_tokens: bool
) -> Rules:
    """Decide who may use the server, and tell on stderr how it is reached.

    Raises:
        SettingsError: others than this machine could reach it without a token.

    """
    address, port = listener.getsockname()[:2]
    typed = () if _is_address(settings.http_host) else (settings.http_host,)
    hosts = own_hosts(address, port, (*settings.allowed_hosts, *typed))
    alone = is_loopback(address)
    everybody = None
    if not asking_for_tokens:
        if not alone:
            raise SettingsError(
                f"{address} can be reached by other machines, so --no-auth is refused. Leave it out, or "
                "listen on 127.0.0.1."
            )
        everybody = Caller("", settings.user_id, settings.topic_id)
    if everybody is None:
        await _have_a_token(memory, settings, alone=alone)
    else:
        _tell(f"No token is asked for: every program on this machine is user {settings.user_id}.")
    url = url_of(address, port)
    _tell(f"Serving {url}/mcp (streamable HTTP) and {url}/sse (SSE).")
    return Rules(
        hosts=hosts,
        origins=own_origins(hosts, settings.allowed_origins),
        everybody=everybody,
        requests_per_minute=settings.rate_limit,
        protocol=settings.protocol,
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _have_a_token(memory: Memory, settings: Settings, *, alone: bool) -> None:
    now = memory.clock()
    holding = [each for each in await memory.tokens() if each.expires_at is None or each.expires_at > now]
    if holding:
        return
    if not alone:
        raise SettingsError(
            "This address can be reached by other machines, and there is no token yet. Make one first: "
            "mem1-mcp token create --user NAME"
        )
    asked = NewToken(settings.user_id, settings.topic_id, "made at the first start")
    path = await first_token.make(memory, settings.memory_dir, asked)
    _tell(f"There was no token, so one for user {settings.user_id} was made. It is in {path}")


async def sealing(memory: Memory) -> RequestStateSecurity:
    """Seal what a question carries with a key of the store, so that any process may get the answer."""
    key = await memory.secret("request-state")
    return RequestStateSecurity(keys=[key], bind_principal=_principal)


def _principal(_ctx: Any) -> str:
    # With the user: a service token asks for many, and one's yes is not another's.
    sender = caller()
    return json.dumps([sender.token, sender.user])


class HttpServer:
    """Serves an application; ``stop`` may be called from anywhere in the event loop."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._stopping = anyio.Event()
        config = uvicorn.Config(
            application,
            lifespan="off",
            ws="none",
            http=_Impatient,
            log_config=None,
            access_log=False,  # paths hold session ids
            server_header=False,
            limit_concurrency=_connections(),
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = _Uvicorn(config)

    async def serve(self, listener: socket.socket) -> None:
        """Serve until stopped."""
        async with self._application.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_when_stopped)
            await self._server.serve([listener])
            tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """Take no more connections, and end those there are."""
        self._server.should_exit = True
        self._stopping.set()

    async def _end_when_stopped(self) -> None:
        await self._stopping.wait()
        await self._application.end()


class _Impatient(H11Protocol):
    """Hangs up on who neither asks for anything nor waits for an answer; uvicorn would wait for ever.

    That is who sends half a request's head, or does not send the body of one that is refused already.
    """

    _due: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > (self.limit_concurrency or _MAX_CONNECTIONS) + _TOLD_BUSY:
            transport.abort()
        self._expect_a_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self._expect_a_request()  # uvicorn forgets its own timer when these bytes come
        else:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect_a_request(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(_REQUEST_SECONDS, self.transport.close)

    def _forget(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


def _connections() -> int:
    """Return how many connections there may be: each is an open file, and so are the memories."""
    if sys.platform == "win32":
        return _MAX_CONNECTIONS
    import resource

    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + _FILES_OF_MEMORIES
    if few < wanted:
        few = wanted if most == resource.RLIM_INFINITY else min(most, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    return min(_MAX_CONNECTIONS, max(few - _FILES_OF_MEMORIES, few // 2))


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the program: uvicorn would raise them again, with a traceback."""
        if sys.platform == "win32":
            with super().capture_signals():
                yield
        else:
            yield


async def when_stdin_ends(stop: Callable[[], None]) -> None:
    """Stop when a program that started this one through a pipe is gone; it leaves no orphan then.

    A terminal, a file or nothing on stdin says nothing about whoever started this.
    """
    try:
        kind = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return
    if sys.platform != "win32":
        os.set_blocking(0, True)  # "not now" would look like the end
    while await anyio.to_thread.run_sync(_read_some, abandon_on_cancel=True):
        pass
    _tell("stdin has ended, and with it this server. Start it with </dev/null to let it run on.")
    stop()


def _read_some() -> bytes:
    try:
        return os.read(0, 4096)
    except OSError:
        return b""


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
