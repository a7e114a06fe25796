"""A door before a real node: it hands requests on, and does to some what a healthy node never does."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

_HEAD = 65_536
_GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to requests whose first line holds ``at``.

    They are answered with a status and a body; or handed on or not, and then hung up on.
    """

    at: str = ""
    status: int | None = None
    body: Any = ""
    product: bool = True
    handed_on: bool = False
    partly: bool = False  # the answer ends in the middle


@dataclass
class FrontDoor:
    """Where it is, what it does, and which requests came."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    once: bool = False
    asked: list[str] = field(default_factory=list)

    async def serve(self, upstream: str, client: ByteStream) -> None:
        """Answer one connection's requests."""
        async with client:
            stream = BufferedByteReceiveStream(client)
            with suppress(*_GONE):
                while True:
                    await self._one(upstream, stream, client)

    async def _one(self, upstream: str, stream: BufferedByteReceiveStream, client: ByteStream) -> None:
        head = await stream.receive_until(b"\r\n\r\n", _HEAD)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        size = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        body = await stream.receive_exactly(size) if size else b""
        first = lines[0].decode()
        self.asked.append(first)
        fault = next((each for each in self.faults if each.at in first), None)
        if fault is not None and self.once:
            self.faults.remove(fault)
        if fault is not None and fault.status is not None:
            await client.send(_answer(fault))
            return
        if fault is not None and not (fault.handed_on or fault.partly):
            raise anyio.EndOfStream
        request = b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body
        answer = await _ask(upstream, request)
        if fault is not None:
            if fault.partly:
                await client.send(answer[: answer.index(b"\r\n\r\n") + 6])
            raise anyio.EndOfStream
        await client.send(answer.replace(b"\r\nconnection: close", b"", 1))


async def _ask(upstream: str, request: bytes) -> bytes:
    where = urlsplit(upstream)
    answer = b""
    async with await anyio.connect_tcp(str(where.hostname), where.port or 80) as node:
        await node.send(request)
        with suppress(anyio.EndOfStream):
            while True:
                answer += await node.receive()
    return answer


def _answer(fault: Fault) -> bytes:
    is_text = isinstance(fault.body, str)
    body = (fault.body if is_text else json.dumps(fault.body)).encode()
    kind = "text/html" if is_text else "application/json"
    product = "X-elastic-product: Elasticsearch\r\n" if fault.product else ""
    head = (
        f"HTTP/1.1 {fault.status} X\r\n{product}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def front_door(
    upstream: str, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[FrontDoor]:
    """Open a door on loopback before this URL."""
    door = FrontDoor()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
        door.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        serving = TLSListener(listener, tls, standard_compatible=False) if tls else listener
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serving.serve, lambda client: door.serve(upstream, client))
            yield door
            tasks.cancel_scope.cancel()


def error(status: int, kind: str, reason: str, at: str = "") -> Fault:
    """Write an error as Elasticsearch does."""
    cause = {"type": kind, "reason": reason}
    return Fault(at, status, {"error": {"root_cause": [cause], **cause}, "status": status})
