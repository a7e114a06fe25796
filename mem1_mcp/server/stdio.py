"""The stdio transport: one JSON message a line, and nothing else on stdout.

The SDK's own transport leaves a line it can't read without an answer, so half an emoji makes a host
wait for ever, and it cancels what is under way when stdin ends. Here every line is answered, with its
id where that can be read; a line has a limit, and so have the requests under way; and calls that came
before the end get a moment to be answered.
"""

from __future__ import annotations

import codecs
import gc
import json
import logging
import os
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json

from mem1_mcp.server.eras import Protocol, serve_streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.server.mcpserver import MCPServer

log = logging.getLogger(__name__)

MAX_LINE = 16 * 1024 * 1024  # bytes
MAX_UNDER_WAY = 256  # requests
_MAX_BYTES_UNDER_WAY = 2 * MAX_LINE
_CHUNK = 1 << 16
# A host that writes all its requests before it reads the first answer is answered still.
_KEPT_REFUSALS, _SHORT_REFUSAL = 4096, 1024
# When stdin has ended: calls under way are waited for, then told that it is over, then left.
_LAST_ANSWERS_SECONDS, _LAST_WORDS_SECONDS = 1.2, 0.3

_PARSE_ERROR, _INVALID_REQUEST, _INTERNAL_ERROR = -32700, -32600, -32603
_BUSY = -32010  # of those left to servers; the SDK reads -32000 as a closed connection


async def serve(server: MCPServer[Any], protocol: Protocol, at_end: Callable[[], None]) -> None:
    """Serve one host on stdin and stdout until stdin ends.

    ``at_end`` is called when stdin has ended and calls may still be under way.
    """
    lowlevel = server._lowlevel_server  # noqa: SLF001 - the only way to own the streams
    async with _wire(at_end) as (incoming, outgoing):
        await serve_streams(lowlevel, incoming, outgoing, protocol)


class _Lines:
    """Reads lines from a descriptor, none longer than ``MAX_LINE``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()

    def next(self) -> bytes | None:
        """Return the next line, ``b""`` for one that was too long, ``None`` at the end."""
        searched = 0
        too_long = False
        while True:
            end = self._kept.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._kept[:end])
                del self._kept[: end + 1]
                return b"" if too_long or len(line) > MAX_LINE else line or b" "
            if len(self._kept) > MAX_LINE:
                too_long = True
                self._kept.clear()
            searched = len(self._kept)
            try:
                chunk = os.read(self._descriptor, _CHUNK)
            except OSError:  # the host is gone: as good as the end
                chunk = b""
            if not chunk:
                line = bytes(self._kept)
                self._kept.clear()
                return b"" if too_long else line or None
            self._kept += chunk


class _UnderWay:
    """The requests that have no answer yet, and the bytes they came in."""

    def __init__(self) -> None:
        self._sizes: dict[str | int, list[int]] = {}  # a host may use one id twice
        self._count = 0
        self._bytes = 0
        self._answered = anyio.Event()

    def has_room(self, size: int) -> bool:
        """Whether one more can be taken; one alone always can."""
        return not self._count or (
            self._count < MAX_UNDER_WAY and self._bytes + size <= _MAX_BYTES_UNDER_WAY
        )

    def add(self, request_id: str | int, size: int) -> None:
        """Note a request that is handed to the server."""
        self._sizes.setdefault(request_id, []).append(size)
        self._count += 1
        self._bytes += size

    def remove(self, request_id: str | int) -> None:
        """Note that a request was answered, or never will be."""
        sizes = self._sizes.get(request_id)
        if sizes is None:
            return
        self._count -= 1
        self._bytes -= sizes.pop(0)
        if not sizes:
            del self._sizes[request_id]
        self._answered.set()

    async def over(self) -> None:
        """Wait until there are none."""
        while self._count:
            self._answered = anyio.Event()
            await self._answered.wait()


class _Wire:
    """Both directions, and the requests that wait for their answer."""

    def __init__(self, source: int, sink: int, at_end: Callable[[], None]) -> None:
        self._lines = _Lines(source)
        self._sink = sink
        self._at_end = at_end
        self._under_way = _UnderWay()
        self._writing = anyio.Lock()
        self._refused, self._refusals = anyio.create_memory_object_stream[bytes](_KEPT_REFUSALS)

    async def read(
        self, server: MemoryObjectSendStream[SessionMessage | Exception], whole: anyio.CancelScope
    ) -> None:
        """Hand each message to the server; answer what is none. After the end, ``whole`` ends too."""
        async with server, self._refused:
            while True:
                line = await anyio.to_thread.run_sync(self._lines.next, abandon_on_cancel=True)
                if line is None:
                    break
                if line.isspace() or line == codecs.BOM_UTF8:
                    continue
                message = _understood(line.removeprefix(codecs.BOM_UTF8))  # some shells write one
                if isinstance(message, bytes):
                    await self._refuse(message)
                    continue
                if isinstance(message, JSONRPCRequest) and not self._under_way.has_room(len(line)):
                    await self._refuse(_busy(message.id))
                    continue
                try:
                    await server.send(self._taken(message, len(line)))
                except anyio.BrokenResourceError:
                    return
            self._at_end()
            whole.deadline = anyio.current_time() + _LAST_ANSWERS_SECONDS + _LAST_WORDS_SECONDS
            with anyio.move_on_after(_LAST_ANSWERS_SECONDS):
                await self._under_way.over()

    async def write(self, server: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Write each message of the server on a line of its own."""
        async with server:
            async for outgoing in server:
                message = outgoing.message
                await self._send(_written(message))
                if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
                    self._under_way.remove(message.id)

    async def write_refusals(self) -> None:
        """Write what the transport itself answers."""
        async with self._refusals:
            async for line in self._refusals:
                await self._send(line)

    def _taken(self, message: JSONRPCMessage, size: int) -> SessionMessage:
        if not isinstance(message, JSONRPCRequest):
            return SessionMessage(message)
        self._under_way.add(message.id, size)
        # A cancelled request is never answered: nobody may wait for that.
        return SessionMessage(
            message, ServerMessageMetadata(on_request_unanswered=partial(self._unanswered, message.id))
        )

    async def _unanswered(self, request_id: str | int) -> None:
        self._under_way.remove(request_id)

    async def _refuse(self, line: bytes) -> None:
        if len(line) > _SHORT_REFUSAL:  # a long id: many of them would fill the memory
            await self._send(line)
        else:
            await self._refused.send(line)

    async def _send(self, line: bytes) -> None:
        async with self._writing:
            # Left alone when the process ends, or a host that reads no more would keep it alive.
            await anyio.to_thread.run_sync(_write_all, self._sink, line + b"\n", abandon_on_cancel=True)


@asynccontextmanager
async def _wire(
    at_end: Callable[[], None],
) -> AsyncGenerator[
    tuple[
        MemoryObjectReceiveStream[SessionMessage | Exception],
        MemoryObjectSendStream[SessionMessage],
    ]
]:
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    wire = _Wire(*_claim_descriptors(), at_end)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.read, to_server, tasks.cancel_scope)
        tasks.start_soon(wire.write, from_server)
        tasks.start_soon(wire.write_refusals)
        yield incoming, outgoing


def _claim_descriptors() -> tuple[int, int]:
    """Keep stdin and stdout for the protocol: stray prints go to stderr, stray reads find the end."""
    sys.stdout.flush()
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform != "win32":
        # Some hosts hand over pipes that don't wait; "not now" would look like the end.
        os.set_blocking(source, True)
        os.set_blocking(sink, True)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(source, os.O_BINARY)
        msvcrt.setmode(sink, os.O_BINARY)
    return source, sink


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:  # a closed pipe, by its name on each system
        log.info("The host closed the connection before the last answer.")


def _written(message: JSONRPCMessage) -> bytes:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    except PydanticSerializationError:
        log.exception("An answer can't be written as JSON")
        request_id = getattr(message, "id", None)
        return _error(_INTERNAL_ERROR, "The answer can't be written as JSON.", request_id)


def _understood(line: bytes) -> JSONRPCMessage | bytes:
    """Return the message that a line is, or the answer to a line that is none."""
    if not line:
        return _error(_PARSE_ERROR, f"The line is longer than {MAX_LINE} bytes; send less.", None)
    gc.disable()  # or millions of small lists, which fit in a line, are read ten times as slowly
    try:
        # Not by the adapter itself: it reads the line once for each kind of message.
        found = from_json(line)
        message = jsonrpc_message_adapter.validate_python(found, by_name=False)
    except ValidationError:
        return _no_message(found)
    except ValueError:
        return _unreadable(line)
    finally:
        gc.enable()
    if isinstance(message, JSONRPCNotification) and "id" in found:
        return _error(_INVALID_REQUEST, "An id is text or a whole number.", None)
    return message


def _unreadable(line: bytes) -> bytes:
    """Answer a line that is no JSON, or such that its text can't be kept or its depth not be followed."""
    try:
        found = json.loads(line.decode())
        whole = _is_whole(json.dumps(found, ensure_ascii=False))
    except RecursionError:
        return _error(_PARSE_ERROR, "The line is nested too deeply; make it flatter.", None)
    except ValueError:
        return _error(_PARSE_ERROR, "The line is not valid JSON (UTF-8).", None)
    if whole:
        return _error(
            _INVALID_REQUEST, "The line is nested too deeply; make it flatter.", _readable_id(found)
        )
    return _error(
        _PARSE_ERROR,
        "The text holds half a character (a lone surrogate), as when an emoji is cut in two. "
        "Nothing was done. Send the whole character.",
        _readable_id(found),
    )


def _no_message(found: object) -> bytes:
    if isinstance(found, list):
        return _error(_INVALID_REQUEST, "Batches are not supported; send one message a line.", None)
    return _error(_INVALID_REQUEST, "The line is no JSON-RPC 2.0 message.", _readable_id(found))


def _readable_id(found: object) -> str | int | None:
    """Return the id of a request that is none; that of an answer is the server's own."""
    if not isinstance(found, dict) or ("method" not in found and ("result" in found or "error" in found)):
        return None
    request_id = found.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        return None
    return request_id if _is_whole(str(request_id)) else None


def _busy(request_id: str | int) -> bytes:
    return _error(
        _BUSY,
        f"The server is busy: other requests wait for their answers ({MAX_UNDER_WAY} at most, of "
        f"{_MAX_BYTES_UNDER_WAY} bytes together). Nothing was done for this one. Read some answers, then "
        "send it again.",
        request_id,
    )


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _error(code: int, text: str, request_id: str | int | None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0"}
    if request_id is not None:
        message["id"] = request_id
    message["error"] = {"code": code, "message": text}
    return json.dumps(message, ensure_ascii=False).encode()
