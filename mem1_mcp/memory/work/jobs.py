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

from mem1_mcp.errors import (
    AnswerRefusedError,
    EmbedderError,
    LeaseLostError,
    Mem1Error,
    ModelError,
    ReaderError,
    StoreBusyError,
    StoreError,
)
from mem1_mcp.memory.work.upkeep import Erasing, Reindexing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mem1_mcp.memory.work.worker import Worker
    from mem1_mcp.protocols import Clock, Store
    from mem1_mcp.types import Job, JobKind

log = logging.getLogger(__name__)

_LEASE_MS = 15_000
_FIRST_LOOK_SECONDS = 2.0  # a host that starts has better things to do
_POLL_SECONDS = 15.0  # a lease: what a killed process left is taken up soon
_TURN_SECONDS = 0.02  # between steps, in which others write
_SHARE_SECONDS = 2.0  # then another job has its turn

_FIRST_RETRY_MS, _LONGEST_RETRY_MS, _LONGEST_BUSY_MS = 1_000, 600_000, 5_000
_LONGEST_EMBEDDER_MS = 60_000
_RESTING = (ModelError, ReaderError)  # trouble after which a worker says itself how long it rests


class _Loop:
    """What one loop is asked to look for: work of these users, of ``None`` for all; and its alarm."""

    def __init__(self) -> None:
        self.users: set[str | None] = set()
        self.woken = anyio.Event()

    def wake(self, user: str | None) -> None:
        self.users.add(user)
        self.woken.set()
        self.woken = anyio.Event()


class Jobs:
    """Finds and does jobs of all users of a store. Lives as long as its store.

    ``workers`` do what more there is to do than the store's own upkeep. ``lease_ms`` is how long others
    leave a job alone after its last sign of life.
    """

    def __init__(
        self, store: Store, clock: Clock, workers: Iterable[Worker] = (), lease_ms: int = _LEASE_MS
    ) -> None:
        self._store = store
        self._workers = {worker.kind: worker for worker in (Erasing(store), Reindexing(store), *workers)}
        self._clock = clock
        self._lease_ms = lease_ms
        self._owner = uuid.uuid4().hex
        self._loops = {worker.endpoint: _Loop() for worker in self._workers.values()}
        self._retry_at: dict[JobKind, float] = {}

    async def run(self) -> None:
        """Do what is due, for ever; ended by cancellation, which loses nothing."""
        await anyio.sleep(_FIRST_LOOK_SECONDS)
        async with anyio.create_task_group() as tasks:
            # Apart, so that an endpoint that takes a minute keeps nothing from being erased.
            for endpoint, loop in self._loops.items():
                kinds = [kind for kind, worker in self._workers.items() if worker.endpoint == endpoint]
                tasks.start_soon(self._keep_doing, kinds, loop)
            for worker in self._workers.values():
                tasks.start_soon(worker.get_ready)

    async def _keep_doing(self, kinds: Collection[JobKind], loop: _Loop) -> None:
        look_at = -math.inf
        while True:
            woken, users = loop.woken, loop.users
            loop.users = set()
            now = anyio.current_time()
            for kind in kinds:
                if now >= self._retry_at.get(kind, math.inf):
                    del self._retry_at[kind]
                    look_at = now
            if now >= look_at or None in users:
                look_at = now + _POLL_SECONDS
                await self._do_due(kinds)
            else:
                for user in users:
                    await self._do_due(kinds, user)
            retry_at = min((self._retry_at.get(kind, math.inf) for kind in kinds), default=math.inf)
            with anyio.move_on_after(max(min(look_at, retry_at) - anyio.current_time(), 0)):
                await woken.wait()

    async def run_due(self) -> None:
        """Do what is due now, until there is nothing any more."""
        await self._do_due(list(self._workers))

    async def _do_due(self, kinds: Collection[JobKind], user: str | None = None) -> None:
        try:
            while job := await self._store.claim_job(self._ready(kinds), self._owner, self._lease_ms, user):
                await self._do(job, anyio.current_time() + _SHARE_SECONDS, _TURN_SECONDS)
        except StoreError as error:
            log.warning("Work in the background will be tried again: %s", error)

    def _ready(self, kinds: Collection[JobKind]) -> list[JobKind]:
        """Leave out the kinds whose endpoint wants to be left alone."""
        ready = []
        for kind in kinds:
            if rest := self._workers[kind].rests_for():
                self._retry_at[kind] = anyio.current_time() + rest
            else:
                ready.append(kind)
        return ready

    def wake(self, kinds: Collection[JobKind] = (), user: str | None = None) -> None:
        """Have a look for work now, of these kinds or of any, of one user or of all."""
        now = anyio.current_time()
        for kind in kinds or self._workers:
            # One that waits for another try is not to be hurried.
            if kind in self._workers and (not kinds or self._retry_at.get(kind, -math.inf) <= now):
                self._loops[self._workers[kind].endpoint].wake(user)

    def can_do(self, kind: JobKind) -> bool:
        """Whether this program has what the kind takes."""
        return kind in self._workers

    def trouble_of(self, kind: JobKind) -> str:
        """Say why this kind of job can't be done just now, empty where it can."""
        return self._workers[kind].trouble

    async def finish_soon(self, user: str, kind: JobKind, seconds: float) -> bool:
        """Do a user's job here and now; false when that takes longer, and ``run`` goes on with it."""
        job = await self._store.claim_job((kind,), self._owner, self._lease_ms, user)
        done = job is not None and await self._do(job, anyio.current_time() + seconds, 0)
        if not done:
            self.wake((kind,), user)
        return done

    async def _do(self, job: Job, until: float, turn_seconds: float) -> bool:
        """Do a job to its end, or to a moment; where it is not done then, it is given back."""
        worker = self._workers[job.kind]
        ahead = job
        try:
            while (done_to := await self._step(worker, ahead)) is not None:
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
        except (StoreError, EmbedderError, *_RESTING, AnswerRefusedError) as error:
            await self._fail(worker, job, error)
            return False
        except Exception as error:
            # A bug here must not take the memory from a host.
            log.exception("The job %s failed by an error of its own", job.kind)
            cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            own = StoreError(f"{type(cause).__name__}, an error of this program's own.")
            await self._fail(worker, job, own)
            return False
        except anyio.get_cancelled_exc_class():
            # Otherwise the lease runs out by itself.
            with anyio.CancelScope(shield=True), suppress(StoreError):
                await self._store.postpone_job(job, None, self._clock())
            raise
        log.info("The job %s %s", job.kind, "is done" if finished else "was asked for again meanwhile")
        return finished

    async def _step(self, worker: Worker, job: Job) -> tuple[Job, int] | None:
        """Do a step, and keep the lease while an endpoint takes its time; who loses it stops.

        Raises:
            LeaseLostError: another owner has the job.

        """
        if worker.endpoint is None:
            return await worker.step(job, self._lease_ms)
        done_to: tuple[Job, int] | None = None
        failed: Mem1Error = LeaseLostError(f"The job {job.kind} of user {job.user} is another's by now.")
        done = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hold, job, tasks.cancel_scope)
            try:
                done_to = await worker.step(job, self._lease_ms)
                done = True
            except Mem1Error as error:  # not as a group of one
                failed = error
            tasks.cancel_scope.cancel()
        if not done:
            raise failed
        return done_to

    async def _hold(self, job: Job, work: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(self._lease_ms / 3000)
            try:
                await self._store.hold_job(job, self._lease_ms)
            except LeaseLostError:
                work.cancel()
            except StoreError as error:
                log.info("The lease of the job %s is not lengthened: %s", job.kind, error)

    def _look_again(self, job: Job, wait_ms: int) -> None:
        known = self._retry_at.get(job.kind, math.inf)
        self._retry_at[job.kind] = min(known, anyio.current_time() + wait_ms / 1000)

    async def _wait(self, job: Job, wait_ms: int) -> None:
        """Give a job back whose next step has to wait, which is no failure."""
        self._look_again(job, wait_ms)
        await self._store.postpone_job(job, None, self._clock() + wait_ms)

    async def _fail(self, worker: Worker, job: Job, error: Mem1Error) -> None:
        reason = error.reason if isinstance(error, StoreError) else str(error)
        last = worker.attempts is not None and job.attempts + 1 >= worker.attempts
        if last and not isinstance(error, StoreBusyError):
            log.warning("The job %s is given up: %s", job.kind, error)
            await self._store.postpone_job(job, reason, None)
            return
        pause = self._pause_ms(worker, job, error)
        # One that failed within a call too: what it woke finds that it is not due yet.
        self._look_again(job, pause)
        log.warning("The job %s will be tried again: %s", job.kind, error)
        await self._store.postpone_job(
            job, reason, self._clock() + pause, failed=not isinstance(error, _RESTING)
        )

    def _pause_ms(self, worker: Worker, job: Job, error: Mem1Error) -> int:
        longest = _LONGEST_RETRY_MS
        if isinstance(error, _RESTING):
            return int(worker.rests_for() * 1000) + 1
        if isinstance(error, StoreBusyError):
            longest = _LONGEST_BUSY_MS
        elif isinstance(error, EmbedderError):
            longest = _LONGEST_EMBEDDER_MS
        pause = min(_FIRST_RETRY_MS << min(job.attempts, 16), longest)
        return int(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
