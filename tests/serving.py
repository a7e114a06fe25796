"""The server over HTTP as a process of its own, its tokens, and clients of both eras and transports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from anyio.abc import Process
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS

from tests.conftest import Host

COMMAND = [sys.executable, "-m", "mem1_mcp"]
ALL_SECONDS = 60  # a hang ends here
_URL = re.compile(r"Serving (http://\S+:\d+)/mcp")


class Served:
    """A running server: where it is, and what it said on stderr."""

    def __init__(self, process: Process, errors: Path) -> None:
        self.process = process
        self._errors = errors
        self._from = errors.stat().st_size
        self.url = ""

    def errors(self) -> str:
        """Return what this process wrote to stderr so far."""
        return self._errors.read_bytes()[self._from :].decode("utf-8")

    async def begun(self) -> None:
        """Wait until it listens."""
        while not (found := _URL.search(self.errors())):
            assert self.process.returncode is None, self.errors()
            await anyio.sleep(0.02)
        self.url = found[1]


@asynccontextmanager
async def served(folder: Path, *arguments: str, **environ: str) -> AsyncGenerator[Served]:
    """Serve a memory in this folder over HTTP on a free port; ended with the block, whatever happens."""
    with anyio.fail_after(ALL_SECONDS):
        async with served_to_many(folder, *arguments, **environ) as server:
            yield server


@asynccontextmanager
async def served_to_many(folder: Path, *arguments: str, **environ: str) -> AsyncGenerator[Served]:
    """Serve as ``served`` does, to tests that limit their time themselves."""
    errors = folder / "stderr.txt"
    errors.touch()
    environment = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")} | environ
    command = [*COMMAND, "serve", "--http", "--port", "0", *arguments]
    with errors.open("ab") as stderr:
        async with await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=environment
        ) as process:
            try:
                server = Served(process, errors)
                await server.begun()
                yield server
            finally:
                if process.returncode is None:
                    process.kill()


def mem1(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command for people over the memory in this folder."""
    return subprocess.run(  # noqa: S603 - our own program
        [*COMMAND, *arguments],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")} | environ,
        timeout=ALL_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def create_token(folder: Path, *arguments: str, **environ: str) -> str:
    """Make a token, such as with ``--user alice``; return what its holder sends."""
    made = mem1(folder, "token", "create", *arguments, **environ)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@asynccontextmanager
async def http_client(
    token: str | None = None, headers: dict[str, str] | None = None
) -> AsyncGenerator[httpx2.AsyncClient]:
    """Open an HTTP client that sends a token, if there is one, and these headers."""
    sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    async with httpx2.AsyncClient(headers=sent, timeout=httpx2.Timeout(30, read=None)) as client:
        yield client


@asynccontextmanager
async def over_http(
    url: str,
    token: str | None = None,
    *,
    transport: str = "http",
    era: str = "auto",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AsyncGenerator[Host]:
    """Connect the SDK's client to a server, by ``http`` (/mcp) or ``sse``; options are the client's own."""
    if transport == "sse":
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        streams: Any = sse_client(f"{url}/sse", headers=sent)
        async with Client(streams, mode=era, **options) as client:
            yield Host(client)
        return
    async with http_client(token, headers) as http:
        stream = anyio.Event()

        async def note(response: httpx2.Response) -> None:
            if response.request.method == "GET":
                stream.set()

        http.event_hooks["response"].append(note)
        async with Client(
            streamable_http_client(f"{url}/mcp", http_client=http), mode=era, **options
        ) as client:
            if client.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS:
                # What the server tells by itself is lost as long as this stream is not open.
                await stream.wait()
            yield Host(client)
