"""The stdio transport: one JSON message a line, and nothing else on stdout.

The SDK's own transport leaves a line it can't read without an answer, so half an emoji makes a host
wait for ever, and it cancels what is under way when stdin ends. Here every line is answered, with its
id where that can be read; a line has a limit; and calls that came before the end get a moment to be
answered.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from mcp.shared.message import SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.server.mcpserver import MCPServer

log = logging.getLogger(__name__)

MAX_LINE = 16 * 1024 * 1024  # bytes
_CHUNK = 1 << 16
_LAST_ANSWERS_SECONDS = 1.5  # how long calls under way are waited for when stdin has ended

_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600


async def serve(server: MCPServer[Any]) -> None:
    """Serve one host on stdin and stdout until stdin ends; both protocol eras."""
    protocol = server._lowlevel_server  # noqa: SLF001 - the only way to own the streams
    async with _wire() as (incoming, outgoing):
        await protocol.run(incoming, outgoing, protocol.create_initialization_options())


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
                return line or None
            self._kept += chunk


class _Wire:
    """Both directions, and the requests that wait for their answer."""

    def __init__(self, source: int, sink: int) -> None:
        self._lines = _Lines(source)
        self._sink = sink
        self._waiting: set[str | int] = set()
        self._answered = anyio.Event()
        self._writing = anyio.Lock()

    async def read(self, server: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Hand each message to the server; answer what is none."""
        async with server:
            while True:
                line = await anyio.to_thread.run_sync(self._lines.next, abandon_on_cancel=True)
                if line is None:
                    break
                if line.isspace():
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValidationError:
                    await self._send(_refusal(line))
                    continue
                if (
                    isinstance(message, JSONRPCNotification)
                    and b'"id"' in line
                    and "id" in json.loads(line)
                ):
                    await self._send(_error(_INVALID_REQUEST, "An id is text or a whole number.", None))
                    continue
                if isinstance(message, JSONRPCRequest):
                    self._waiting.add(message.id)
                try:
                    await server.send(SessionMessage(message))
                except anyio.BrokenResourceError:
                    return
            with anyio.move_on_after(_LAST_ANSWERS_SECONDS):
                while self._waiting:
                    self._answered = anyio.Event()
                    await self._answered.wait()

    async def write(self, server: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Write each message of the server on a line of its own."""
        async with server:
            async for outgoing in server:
                message = outgoing.message
                await self._send(message.model_dump_json(by_alias=True, exclude_unset=True).encode())
                if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
                    self._waiting.discard(message.id)
                    self._answered.set()

    async def _send(self, line: bytes) -> None:
        async with self._writing:
            await anyio.to_thread.run_sync(_write_all, self._sink, line + b"\n")


@asynccontextmanager
async def _wire() -> AsyncGenerator[
    tuple[
        MemoryObjectReceiveStream[SessionMessage | Exception],
        MemoryObjectSendStream[SessionMessage],
    ]
]:
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    wire = _Wire(*_claim_descriptors())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.read, to_server)
        tasks.start_soon(wire.write, from_server)
        yield incoming, outgoing


def _claim_descriptors() -> tuple[int, int]:
    """Keep stdin and stdout for the protocol: stray prints go to stderr, stray reads find the end."""
    sys.stdout.flush()
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
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


def _refusal(line: bytes) -> bytes:
    """Answer a line that is no message: with its id where it has one that can be read."""
    if not line:
        return _error(_PARSE_ERROR, f"The line is longer than {MAX_LINE} bytes; send less.", None)
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return _error(_PARSE_ERROR, "The line is not valid JSON (UTF-8).", None)
    if isinstance(found, list):
        return _error(_INVALID_REQUEST, "Batches are not supported; send one message a line.", None)
    request_id = found.get("id") if isinstance(found, dict) else None
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        request_id = None
    if isinstance(request_id, str) and not _is_whole(request_id):
        return _error(_PARSE_ERROR, "The id holds half a character (a lone surrogate).", None)
    if not _is_whole(json.dumps(found, ensure_ascii=False)):
        return _error(
            _PARSE_ERROR,
            "The text holds half a character (a lone surrogate), as when an emoji is cut in two. "
            "Nothing was done. Send the whole character.",
            request_id,
        )
    return _error(
        _INVALID_REQUEST, "The line is no JSON-RPC 2.0 message, or nested too deeply.", request_id
    )


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _error(code: int, text: str, request_id: str | int | None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0"}
    if request_id is not None:
        message["id"] = request_id
    message["error"] = {"code": code, "message": text}
    return json.dumps(message, ensure_ascii=False).encode()
