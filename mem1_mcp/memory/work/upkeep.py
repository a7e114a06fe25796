"""Work that the store alone needs done: what was forgotten is erased, an older index made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from mem1_mcp.memory.work.worker import Worker
from mem1_mcp.text.terms import index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mem1_mcp.protocols import Store
    from mem1_mcp.types import Indexed, Job

_INDEXED_AT_ONCE = 50  # messages a step


class Erasing(Worker):
    """Takes what was forgotten off the disk; never given up."""

    kind = "erasure"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def step(self, job: Job, lease_ms: int) -> tuple[Job, int] | None:
        """See ``Worker.step``."""
        wait_ms = await self._store.erase_some(job, lease_ms)
        return None if wait_ms is None else (job, wait_ms)


class Reindexing(Worker):
    """Makes terms anew that an older ``text`` made."""

    kind = "reindexing"
    attempts = 5

    def __init__(self, store: Store) -> None:
        self._store = store

    async def step(self, job: Job, lease_ms: int) -> tuple[Job, int] | None:
        """See ``Worker.step``."""
        outdated = await self._store.outdated(job, _INDEXED_AT_ONCE)
        if not outdated:
            return None
        indexed = await anyio.to_thread.run_sync(_index_all, outdated)
        return await self._store.reindex(job, indexed, lease_ms), 0


def _index_all(contents: Mapping[int, str]) -> dict[int, Indexed]:
    return {place: index(content) for place, content in contents.items()}
