"""The job that makes vectors of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem1_mcp.memory.work.worker import Worker

if TYPE_CHECKING:
    from mem1_mcp.memory.search.meaning import Meaning
    from mem1_mcp.protocols import Store
    from mem1_mcp.types import Job


class Embedding(Worker):
    """Makes the vectors that messages have none of yet; never given up, since an endpoint may come back."""

    kind = "embedding"
    endpoint = "embedder"

    def __init__(self, store: Store, meaning: Meaning) -> None:
        self._store = store
        self._meaning = meaning

    async def step(self, job: Job, lease_ms: int) -> tuple[Job, int] | None:
        """See ``Worker.step``."""
        waiting = await self._store.unembedded(job, self._meaning.at_once)
        vectors = await self._meaning.of_messages(list(waiting.values())) if waiting else []
        await self._store.keep_vectors(job, dict(zip(waiting, vectors, strict=True)), lease_ms)
        return (job, 0) if waiting else None

    async def get_ready(self) -> None:
        """See ``Worker.get_ready``."""
        await self._meaning.get_ready()
