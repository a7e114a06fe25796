"""The one place that chooses implementations and owns their lifetimes."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from mem1_mcp.memory import Jobs, Memory
from mem1_mcp.settings import unknown_names
from mem1_mcp.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mem1_mcp.settings import Settings

log = logging.getLogger(__name__)

_LAST_SECONDS = 1.8  # from the end of stdin, or a signal; hosts kill what takes longer


def wall_clock() -> int:
    """Return milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def open_memory(settings: Settings) -> AsyncGenerator[Memory]:
    """Open the memory that the settings name, for as long as the block lasts."""
    store = SqliteStore(settings.memory_dir, wall_clock)
    try:
        jobs = Jobs(store, wall_clock)
        yield Memory(store, wall_clock, settings.zone, jobs, masking=settings.mask_secrets)
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


def serve_stdio(settings: Settings) -> None:
    """Serve one host over stdin and stdout; ends the process when stdin ends or on a signal."""
    logging.basicConfig(
        stream=sys.stderr, level=settings.log_level, format="mem1-mcp %(levelname)s %(message)s"
    )
    for told in unknown_names():
        log.warning("%s", told)
    code = 1
    try:
        anyio.run(_serve_stdio, settings)
        code = 0
    except Exception:
        log.exception("The server ended by an error of its own")
    finally:
        # A thread may still wait on stdin; everything answered is on disk already.
        sys.stderr.flush()
        os._exit(code)


async def _serve_stdio(settings: Settings) -> None:
    from mem1_mcp.server import stdio  # the SDK: a second that other commands save
    from mem1_mcp.server.build import build_server
    from mem1_mcp.server.identity import always
    from mem1_mcp.server.updates import Updates

    async with open_memory(settings) as memory, anyio.create_task_group() as tasks:
        if sys.platform != "win32":
            tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
        identify = always(settings.user_id, settings.topic_id)
        updates = Updates(memory, identify)
        server = build_server(memory, settings, identify, updates)
        tasks.start_soon(memory.jobs.run)
        tasks.start_soon(updates.run)
        gc.freeze()
        gc.enable()
        await stdio.serve(server, at_end=_end_soon)
        tasks.cancel_scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            _end_soon()
            scope.cancel()


def _end_soon() -> None:
    """Have the process end in any case, even while a thread waits for another process's lock.

    What that thread would write has no answer yet, so nothing acknowledged is lost with it.
    """
    timer = threading.Timer(_LAST_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()
