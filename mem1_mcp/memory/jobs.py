"""Work that nobody waits for, done in the background by whichever process has time.

Jobs are rows in the store, so nothing is lost with a process. A wake-up only makes it quicker:
polling is what finds them all. A job is leased; whoever dies holding one is followed by another when
the lease has run out, and each step can be repeated.
"""

from __future__ import annotations

import logging
import math
import random
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mem1_mcp.errors import EmbedderError, LeaseLostError, StoreBusyError, StoreError
from mem1_mcp.text.terms import index
from mem1_mcp.types import JOB_KINDS, JobKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mem1_mcp.memory.meaning import Meaning
    from mem1_mcp.protocols import Clock, Store
    from mem1_mcp.types import Indexed, Job

log = logging.getLogger(__name__)

_EMBEDDING: tuple[JobKind, ...] = ("embedding",)
_LEASE_MS = 15_000
_EMBEDDING_LEASE_MS = 180_000  # the longest an embedder takes for a batch, twice
_FIRST_LOOK_SECONDS = 2.0  # a host that starts has better things to do
_POLL_SECONDS = 15.0  # a lease: what a killed process left is taken up soon
_TURN_SECONDS = 0.02  # between steps, in which others write
_SHARE_SECONDS = 2.0  # then another job has its turn
_INDEXED_AT_ONCE = 50  # messages a step

_FIRST_RETRY_MS, _LONGEST_RETRY_MS, _LONGEST_BUSY_MS = 1_000, 600_000, 5_000
_LONGEST_EMBEDDER_MS = 60_000
_ATTEMPTS = 5  # then a job is parked; erasing is never given up, nor what waits for an endpoint


class Jobs:
    """Finds and does jobs of all users of a store. Lives as long as its store.

    ``lease_ms`` is how long others leave a job alone after its last step. Without a ``meaning`` no
    vectors are made.
    """

    def __init__(
        self, store: Store, clock: Clock, lease_ms: int = _LEASE_MS, meaning: Meaning | None = None
    ) -> None:
        self._store = store
        self._meaning = meaning
        self._kinds = [kind for kind in JOB_KINDS if meaning or kind != "embedding"]
        self._clock = clock
        self._lease_ms = lease_ms
        self._owner = uuid.uuid4().hex
        self._woken = anyio.Event()
        self._retry_at: dict[JobKind, float] = {}

    async def run(self) -> None:
        """Do what is due, for ever; ended by cancellation, which loses nothing."""
        await anyio.sleep(_FIRST_LOOK_SECONDS)
        async with anyio.create_task_group() as tasks:
            if self._meaning is not None:
                # Apart, so that an endpoint that takes a minute keeps nothing from being erased.
                tasks.start_soon(self._keep_doing, _EMBEDDING)
                tasks.start_soon(self._meaning.get_ready)
            await self._keep_doing([kind for kind in self._kinds if kind not in _EMBEDDING])

    async def _keep_doing(self, kinds: Collection[JobKind]) -> None:
        while True:
            woken = self._woken
            for kind in kinds:
                if anyio.current_time() >= self._retry_at.get(kind, math.inf):
                    del self._retry_at[kind]
            await self._do_due(kinds)
            retry_at = min((self._retry_at.get(kind, math.inf) for kind in kinds), default=math.inf)
            with anyio.move_on_after(min(_POLL_SECONDS, retry_at - anyio.current_time())):
                await woken.wait()

    async def run_due(self) -> None:
        """Do what is due now, until there is nothing any more."""
        await self._do_due(self._kinds)

    async def _do_due(self, kinds: Collection[JobKind]) -> None:
        try:
            while job := await self._store.claim_job(kinds, self._owner, self._lease_ms):
                await self._do(job, anyio.current_time() + _SHARE_SECONDS, _TURN_SECONDS)
        except StoreError as error:
            log.warning("Work in the background will be tried again: %s", error)

    def wake(self, kind: JobKind | None = None) -> None:
        """Have a look for work now: there is some, of a kind that may wait for another try."""
        if kind is not None and self._retry_at.get(kind, -math.inf) > anyio.current_time():
            return
        self._woken.set()
        self._woken = anyio.Event()

    async def finish_soon(self, user: str, kind: JobKind, seconds: float) -> bool:
        """Do a user's job here and now; false when that takes longer, and ``run`` goes on with it."""
        job = await self._store.claim_job((kind,), self._owner, self._lease_ms, user)
        done = job is not None and await self._do(job, anyio.current_time() + seconds, 0)
        if not done:
            self.wake()
        return done

    async def _do(self, job: Job, until: float, turn_seconds: float) -> bool:
        """Do a job to its end, or to a moment; where it is not done then, it is given back."""
        ahead = job
        try:
            while (done_to := await self._step(ahead)) is not None:
                ahead, wait_ms = done_to
                if wait_ms:
                    await self._wait(job, wait_ms)
                    return False
                if anyio.current_time() > until:
                    await self._store.postpone_job(job, None, self._clock())
                    return False
                await anyio.sleep(turn_seconds)
            finished = await self._store.finish_job(job)
        except LeaseLostError:
            return False
        except (StoreError, EmbedderError) as error:
            await self._fail(job, error)
            return False
        except Exception as error:
            # A bug here must not take the memory from a host.
            log.exception("The job %s failed by an error of its own", job.kind)
            await self._fail(job, StoreError(f"{type(error).__name__}, an error of this program's own."))
            return False
        except anyio.get_cancelled_exc_class():
            # Otherwise the lease runs out by itself.
            with anyio.CancelScope(shield=True), suppress(StoreError):
                await self._store.postpone_job(job, None, self._clock())
            raise
        log.info("The job %s %s", job.kind, "is done" if finished else "was asked for again meanwhile")
        return finished

    def _look_again(self, job: Job, wait_ms: int) -> None:
        known = self._retry_at.get(job.kind, math.inf)
        self._retry_at[job.kind] = min(known, anyio.current_time() + wait_ms / 1000)

    async def _wait(self, job: Job, wait_ms: int) -> None:
        """Give a job back whose next step has to wait, which is no failure."""
        self._look_again(job, wait_ms)
        await self._store.postpone_job(job, None, self._clock() + wait_ms)

    async def _step(self, job: Job) -> tuple[Job, int] | None:
        """Do a part of a job that is short enough for others; return how long the next one waits.

        In milliseconds. ``None`` when nothing is left of the job.
        """
        if job.kind == "erasure":
            wait_ms = await self._store.erase_some(job, self._lease_ms)
            return None if wait_ms is None else (job, wait_ms)
        if job.kind == "embedding":
            return await self._embed_some(job)
        outdated = await self._store.outdated(job, _INDEXED_AT_ONCE)
        if not outdated:
            return None
        indexed = await anyio.to_thread.run_sync(_index_all, outdated)
        return await self._store.reindex(job, indexed, self._lease_ms), 0

    async def _embed_some(self, job: Job) -> tuple[Job, int] | None:
        if self._meaning is None:
            return None
        # An endpoint may take its time.
        await self._store.keep_vectors(job, {}, _EMBEDDING_LEASE_MS)
        waiting = await self._store.unembedded(job, self._meaning.at_once)
        vectors = await self._meaning.of_messages(list(waiting.values())) if waiting else []
        await self._store.keep_vectors(job, dict(zip(waiting, vectors, strict=True)), self._lease_ms)
        return (job, 0) if waiting else None

    async def _fail(self, job: Job, error: StoreError | EmbedderError) -> None:
        given_up = job.attempts + 1 >= _ATTEMPTS and job.kind == "reindexing"
        longest = _LONGEST_BUSY_MS if isinstance(error, StoreBusyError) else _LONGEST_RETRY_MS
        if isinstance(error, EmbedderError):
            longest = _LONGEST_EMBEDDER_MS
        pause = min(_FIRST_RETRY_MS << min(job.attempts, 16), longest)
        jittered = int(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        # One that failed within a call too: what it woke finds that it is not due yet.
        self._look_again(job, jittered)
        parked = given_up and not isinstance(error, StoreBusyError)
        log.warning(
            "The job %s %s: %s", job.kind, "is given up" if parked else "will be tried again", error
        )
        reason = error.reason if isinstance(error, StoreError) else str(error)
        await self._store.postpone_job(job, reason, None if parked else self._clock() + jittered)


def _index_all(contents: Mapping[int, str]) -> dict[int, Indexed]:
    return {place: index(content) for place, content in contents.items()}
