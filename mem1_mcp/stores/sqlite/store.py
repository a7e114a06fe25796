"""The store protocol over a folder of user files."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mem1_mcp.errors import StoreError
from mem1_mcp.stores.sqlite import (
    appending,
    documents,
    embedding,
    erasing,
    forgetting,
    images,
    inspecting,
    jobs,
    reading,
    refreshing,
    reindexing,
    searching,
    shared,
    summaries,
)
from mem1_mcp.stores.sqlite.connection import busy
from mem1_mcp.stores.sqlite.database_file import DatabaseFile
from mem1_mcp.stores.sqlite.files import UserFiles
from mem1_mcp.types import Vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import apsw

    from mem1_mcp.protocols import Clock
    from mem1_mcp.types import (
        Appended,
        Call,
        Confirmation,
        Forgotten,
        Health,
        ImageFile,
        Indexed,
        Job,
        JobKind,
        Period,
        Profile,
        Refreshed,
        Rhythm,
        Scope,
        Seen,
        Selected,
        Selection,
        Statistics,
        Stored,
        Summary,
        Token,
        Topic,
        Unread,
        Usage,
        Windows,
    )

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_READING_THREADS = 6
_WRITING_THREADS = 6
_CLAIMING_SECONDS = 0.2  # to wait for others where the work can wait too


class SqliteStore:
    """Keeps each user in a file of their own under ``folder``; see ``protocols.Store``.

    ``busy_seconds`` is how long a call waits for the locks of other processes. ``space`` names the
    model whose vectors are kept and compared; without one there are none. ``rhythm`` says when profiles
    are due to be refreshed; without one they are when somebody asks.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        busy_seconds: float = 10.0,
        space: str | None = None,
        rhythm: Rhythm | None = None,
    ) -> None:
        self._space = space
        self._rhythm = rhythm
        self._started_at = clock()
        self._files = UserFiles(folder / "users", busy_seconds, self._must_ask)
        self._shared = DatabaseFile(folder / "store.db", "", shared.SHARED_LAYOUT, busy_seconds)
        self._busy_seconds = busy_seconds
        self._clock = clock
        # Apart, so that readers go on while writers wait for another process's lock.
        self._reading = anyio.CapacityLimiter(_READING_THREADS)
        self._writing = anyio.CapacityLimiter(_WRITING_THREADS)

    async def append(self, user: str, call: Call) -> Appended:
        """See ``Store.append``."""
        return await self._write(user, lambda db: appending.append(db, call))

    async def statistics(self, user: str, terms: Sequence[str]) -> Statistics:
        """See ``Store.statistics``."""
        return await self._read(user, lambda db: searching.statistics(db, terms))

    async def vocabulary(self, user: str, letter: str) -> Mapping[str, int]:
        """See ``Store.vocabulary``."""
        return await self._read(user, lambda db: searching.vocabulary(db, letter))

    async def candidates(
        self,
        scope: Scope,
        weights: Mapping[str, float],
        days: Sequence[Period],
        limit: int,
    ) -> Mapping[int, float]:
        """See ``Store.candidates``."""
        return await self._read(
            scope.user, lambda db: searching.candidates(db, scope, weights, days, limit)
        )

    async def windows(self, scope: Scope, places: Sequence[int], reach: int) -> Windows:
        """See ``Store.windows``."""
        return await self._read(scope.user, lambda db: reading.windows(db, scope, places, reach))

    async def vectors(self, user: str) -> Vectors:
        """See ``Store.vectors``."""
        space = self._space
        if space is None:
            return Vectors(current=False, waiting=0)
        return await self._read(user, lambda db: embedding.standing(db, space))

    async def nearest(self, scope: Scope, vector: bytes, limit: int) -> Mapping[int, float]:
        """See ``Store.nearest``."""
        space = self._space
        if space is None:
            return {}
        return await self._read(scope.user, lambda db: embedding.nearest(db, space, scope, vector, limit))

    async def similarities(self, user: str, vector: bytes, places: Collection[int]) -> Mapping[int, float]:
        """See ``Store.similarities``."""
        space = self._space
        if space is None:
            return {}
        return await self._read(user, lambda db: embedding.similarities(db, space, vector, places))

    async def messages(self, user: str, places: Sequence[int]) -> tuple[Stored, ...]:
        """See ``Store.messages``."""
        return await self._read(user, lambda db: reading.messages(db, places))

    async def latest(self, scope: Scope, limit: int, skip: int = 0) -> tuple[Stored, ...]:
        """See ``Store.latest``."""
        return await self._read(scope.user, lambda db: reading.latest(db, scope, limit, skip))

    async def count(self, scope: Scope) -> int:
        """See ``Store.count``."""
        return await self._read(scope.user, lambda db: reading.count(db, scope))

    async def topics(self, user: str) -> tuple[Topic, ...]:
        """See ``Store.topics``."""
        return await self._read(user, reading.topics)

    async def profile(self, user: str) -> Profile:
        """See ``Store.profile``."""
        return await self._read(user, documents.load_profile)

    async def profiles(self, user: str) -> tuple[Profile, ...]:
        """See ``Store.profiles``."""
        return await self._read(user, documents.load_profiles)

    async def save_profile(self, user: str, profile: Profile) -> bool:
        """See ``Store.save_profile``."""
        return await self._write(user, lambda db: documents.save_profile(db, profile))

    async def unread(self, user: str, limit: int) -> Unread:
        """See ``Store.unread``."""
        return await self._read(user, lambda db: refreshing.unread(db, limit))

    async def keep_refresh(self, job: Job, refreshed: Refreshed, profile: Profile | None) -> bool:
        """See ``Store.keep_refresh``."""
        now = self._clock()
        return await self._write(job.user, lambda db: refreshing.keep(db, job, refreshed, profile, now))

    async def count_usage(self, user: str, usage: Usage) -> None:
        """See ``Store.count_usage``."""
        await self._write(user, lambda db: refreshing.count_usage(db, usage))

    async def unsummarised(self, job: Job, limit: int) -> Mapping[int, str]:
        """See ``Store.unsummarised``."""
        return await self._read(job.user, lambda db: summaries.unsummarised(db, limit))

    async def keep_summaries(self, job: Job, kept: Mapping[int, Summary], lease_ms: int) -> None:
        """See ``Store.keep_summaries``."""
        now = self._clock()
        await self._write(job.user, lambda db: summaries.keep(db, job, kept, now, lease_ms))

    async def image_file(self, user: str, place: int) -> ImageFile | None:
        """See ``Store.image_file``."""
        return await self._read(user, lambda db: images.file(db, place))

    async def thumbnails(self, user: str, places: Collection[int]) -> Mapping[int, bytes]:
        """See ``Store.thumbnails``."""
        return await self._read(user, lambda db: images.thumbnails(db, places))

    async def unseen(self, job: Job) -> tuple[int, ImageFile] | None:
        """See ``Store.unseen``."""
        return await self._read(job.user, lambda db: images.unseen(db, job))

    async def count_unseen(self, user: str, kind: JobKind) -> int:
        """See ``Store.count_unseen``."""
        return await self._read(user, lambda db: images.count_unseen(db, kind))

    async def keep_seen(self, job: Job, place: int, seen: Seen, lease_ms: int) -> None:
        """See ``Store.keep_seen``."""
        times = self._clock(), lease_ms
        await self._write(job.user, lambda db: images.keep_seen(db, job, place, seen, times))

    async def template(self) -> str | None:
        """See ``Store.template``."""
        return await self._read_shared(shared.template)

    async def keep_template(self, text: str, *, instead: bool) -> bool:
        """See ``Store.keep_template``."""
        return await self._write_shared(lambda db: shared.keep_template(db, text, instead=instead))

    async def select(self, user: str, selection: Selection, limit: int, skip: int = 0) -> Selected:
        """See ``Store.select``."""
        return await self._read(user, lambda db: forgetting.select(db, selection, limit, skip))

    async def keep_confirmation(self, user: str, confirmation: Confirmation) -> None:
        """See ``Store.keep_confirmation``."""
        expired_at = self._clock()
        await self._write(user, lambda db: documents.keep_confirmation(db, confirmation, expired_at))

    async def confirmation(self, user: str, token_hash: str) -> Confirmation | None:
        """See ``Store.confirmation``."""
        return await self._read(user, lambda db: documents.load_confirmation(db, token_hash))

    async def forget(self, user: str, token_hash: str) -> Forgotten:
        """See ``Store.forget``."""
        now = self._clock()
        return await self._write(user, lambda db: forgetting.forget(db, token_hash, now))

    async def claim_job(
        self, kinds: Collection[JobKind], owner: str, lease_ms: int, user: str | None = None
    ) -> Job | None:
        """See ``Store.claim_job``."""
        return await _in_thread(lambda: self._claim(kinds, owner, lease_ms, user), self._writing)

    async def ask_for_job(self, user: str, kind: JobKind) -> None:
        """See ``Store.ask_for_job``."""
        now = self._clock()

        def ask(db: apsw.Connection) -> None:
            images.try_again(db, kind)
            jobs.ask(db, kind, now)

        await self._write(user, ask)

    async def hold_job(self, job: Job, lease_ms: int) -> None:
        """See ``Store.hold_job``."""
        now = self._clock()
        await self._write(job.user, lambda db: jobs.hold(db, job, now, lease_ms))

    async def finish_job(self, job: Job) -> bool:
        """See ``Store.finish_job``."""
        now = self._clock()
        return await self._write(job.user, lambda db: reindexing.finish(db, job, now))

    async def postpone_job(
        self, job: Job, error: str | None, due_at: int | None, *, failed: bool = True
    ) -> None:
        """See ``Store.postpone_job``."""
        await self._write(job.user, lambda db: jobs.postpone(db, job, error, due_at, failed=failed))

    async def erase_some(self, job: Job, lease_ms: int) -> int | None:
        """See ``Store.erase_some``."""
        return await _in_thread(lambda: self._erase_some(job, lease_ms), self._writing)

    async def outdated(self, job: Job, limit: int) -> Mapping[int, str]:
        """See ``Store.outdated``."""
        return await self._read(job.user, lambda db: reindexing.outdated(db, job.progress, limit))

    async def reindex(self, job: Job, indexed: Mapping[int, Indexed], lease_ms: int) -> Job:
        """See ``Store.reindex``."""
        now = self._clock()
        return await self._write(job.user, lambda db: reindexing.reindex(db, job, indexed, now, lease_ms))

    async def unembedded(self, job: Job, limit: int) -> Mapping[int, str]:
        """See ``Store.unembedded``."""
        return await self._read(job.user, lambda db: embedding.unembedded(db, limit))

    async def keep_vectors(self, job: Job, vectors: Mapping[int, bytes], lease_ms: int) -> None:
        """See ``Store.keep_vectors``."""
        space = self._space
        if space is None:
            return
        times = self._clock(), lease_ms
        await self._write(job.user, lambda db: embedding.keep(db, job, space, vectors, times))

    async def keep_token(self, token: Token) -> None:
        """See ``Store.keep_token``."""
        await self._write_shared(lambda db: shared.keep_token(db, token))

    async def token(self, token_id: str) -> Token | None:
        """See ``Store.token``."""
        return await self._read_shared(lambda db: shared.token(db, token_id))

    async def tokens(self) -> tuple[Token, ...]:
        """See ``Store.tokens``."""
        return await self._read_shared(shared.tokens)

    async def revoke_token(self, token_id: str) -> bool:
        """See ``Store.revoke_token``."""
        return await self._write_shared(lambda db: shared.revoke_token(db, token_id))

    async def secret(self, name: str) -> bytes:
        """See ``Store.secret``."""
        kept = await self._read_shared(lambda db: shared.secret(db, name))
        if kept is not None:
            return kept
        return await self._write_shared(lambda db: shared.make_secret(db, name))

    async def health(self, user: str) -> Health:
        """See ``Store.health``."""
        return await _in_thread(lambda: self._health(user), self._writing)

    def stop_waiting(self) -> None:
        """See ``Store.stop_waiting``."""
        for file in (*self._files.opened(), self._shared):
            file.stop_waiting()

    async def close(self) -> None:
        """Close every file."""
        files = [*self._files.close(), self._shared]
        for file in files:
            file.stop_waiting()
        for file in files:
            await _in_thread(file.close, self._writing)

    def _claim(self, kinds: Collection[JobKind], owner: str, lease_ms: int, user: str | None) -> Job | None:
        now = self._clock()
        if user is not None:
            if not self._files.has_work(user, kinds, now):
                return None
            return self._claim_of(user, kinds, owner, now, lease_ms, self._busy_seconds)
        for each in self._files.with_work(kinds, now):
            try:
                job = self._claim_of(each, kinds, owner, now, lease_ms, _CLAIMING_SECONDS)
            except StoreError as error:  # one user's trouble; others have work too
                log.warning("Work of user %s is left for later: %s", each, error)
                continue
            if job is not None:
                return job
        return None

    def _claim_of(
        self, user: str, kinds: Collection[JobKind], owner: str, now: int, lease_ms: int, seconds: float
    ) -> Job | None:
        with self._files.lent(user) as file:
            if not file.exists():
                return None
            with file.writing(time.monotonic() + seconds) as db:
                jobs.ask_for_reindexing(db, now)
                if self._space is not None and "embedding" in kinds:
                    embedding.ask(db, self._space, self._started_at, now)
                if self._rhythm is not None and "refresh" in kinds:
                    refreshing.ask(db, self._rhythm, now)
                return jobs.claim(db, user, kinds, owner, now, lease_ms)

    def _must_ask(self, db: apsw.Connection, kinds: Collection[JobKind], now: int) -> bool | None:
        """Whether work of these kinds is to be asked for now; ``None`` when no time alone makes it so."""
        may_come = False
        if self._space is not None and embedding.is_due(db, self._space, self._started_at):
            may_come = True
            if "embedding" in kinds:
                return True
        if self._rhythm is not None and refreshing.may_come(db):
            may_come = True
            if "refresh" in kinds and refreshing.is_due(db, self._rhythm, now):
                return True
        return False if may_come else None

    def _erase_some(self, job: Job, lease_ms: int) -> int | None:
        with self._files.lent(job.user) as file:
            with file.writing() as db:
                progress = jobs.hold(db, job, self._clock(), lease_ms)
                if erasing.step(db, progress):
                    return 0
            if not file.empty_log():
                raise busy(str(file.path))
            return None

    def _health(self, user: str) -> Health:
        with self._files.lent(user) as file:
            return inspecting.with_tokens(inspecting.health(file), self._shared)

    async def _read(self, user: str, read: Callable[[apsw.Connection], _Result]) -> _Result:
        return await _in_thread(lambda: self._read_now(user, read), self._reading)

    async def _write(self, user: str, write: Callable[[apsw.Connection], _Result]) -> _Result:
        # Counted from here, so that calls that queue behind each other do not add up their waits.
        until = time.monotonic() + self._busy_seconds

        def write_now() -> _Result:
            with self._files.lent(user) as file, file.writing(until) as db:
                return write(db)

        return await _in_thread(write_now, self._writing)

    def _read_now(self, user: str, read: Callable[[apsw.Connection], _Result]) -> _Result:
        with self._files.lent(user) as file:
            return file.read(read)

    async def _read_shared(self, read: Callable[[apsw.Connection], _Result]) -> _Result:
        def read_now() -> _Result:
            self._files.check_folder()
            return self._shared.read(read)

        return await _in_thread(read_now, self._reading)

    async def _write_shared(self, write: Callable[[apsw.Connection], _Result]) -> _Result:
        until = time.monotonic() + self._busy_seconds

        def write_now() -> _Result:
            self._files.check_folder()
            with self._shared.writing(until) as db:
                return write(db)

        return await _in_thread(write_now, self._writing)


async def _in_thread(work: Callable[[], _Result], limiter: anyio.CapacityLimiter) -> _Result:
    # Not abandoned on cancellation: a write that began is whole when the caller goes on.
    return await anyio.to_thread.run_sync(work, limiter=limiter)
