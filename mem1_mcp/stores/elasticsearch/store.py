"""The store protocol over one cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mem1_mcp.stores.elasticsearch import (
    appending,
    embedding,
    erasing,
    forgetting,
    images,
    inspecting,
    jobs,
    profiles,
    reading,
    refreshing,
    reindexing,
    searching,
    shared,
    spaces,
    summaries,
)
from mem1_mcp.stores.elasticsearch.connection import Cluster, Connection
from mem1_mcp.stores.elasticsearch.indices import Indices
from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
from mem1_mcp.stores.elasticsearch.spaces import Space
from mem1_mcp.types import IMAGE_KINDS, Vectors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mem1_mcp.protocols import Clock
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
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


class ElasticsearchStore:
    """Keeps all users in one cluster; see ``protocols.Store``. Nothing is asked of it before a call.

    ``space`` names the model whose vectors are kept and compared; without one there are none. ``rhythm``
    says when profiles are due to be refreshed; without one they are when somebody asks.
    """

    def __init__(
        self, cluster: Cluster, clock: Clock, space: str | None = None, rhythm: Rhythm | None = None
    ) -> None:
        self._rhythm = rhythm
        self._space = None if space is None else Space(space, clock())
        self._connection = Connection(cluster)
        self._indices = Indices(self._connection)
        self._ledgers = Ledgers(self._indices)
        self._clock = clock

    async def append(self, user: str, call: Call) -> Appended:
        """See ``Store.append``."""
        arrival = appending.Arrival(self._indices, call, self._clock(), self._space)
        return await appending.append(self._ledgers, user, arrival, self._clock)

    async def statistics(self, user: str, terms: Sequence[str]) -> Statistics:
        """See ``Store.statistics``."""
        return await searching.statistics(self._indices, await self._ledgers.read(user), terms)

    async def vocabulary(self, user: str, letter: str) -> Mapping[str, int]:
        """See ``Store.vocabulary``."""
        return await searching.vocabulary(self._indices, await self._ledgers.read(user), letter)

    async def candidates(
        self,
        scope: Scope,
        weights: Mapping[str, float],
        days: Sequence[Period],
        limit: int,
    ) -> Mapping[int, float]:
        """See ``Store.candidates``."""
        ledger = await self._ledgers.read(scope.user)
        return await searching.candidates(self._indices, ledger, scope, weights, days, limit)

    async def windows(self, scope: Scope, places: Sequence[int], reach: int) -> Windows:
        """See ``Store.windows``."""
        ledger = await self._ledgers.read(scope.user)
        return await reading.windows(self._indices, ledger, scope, places, reach)

    async def vectors(self, user: str) -> Vectors:
        """See ``Store.vectors``."""
        if self._space is None:
            return Vectors(current=False, waiting=0)
        return spaces.standing(await self._ledgers.read(user), self._space)

    async def nearest(self, scope: Scope, vector: bytes, limit: int) -> Mapping[int, float]:
        """See ``Store.nearest``."""
        if self._space is None:
            return {}
        ledger = await self._ledgers.read(scope.user)
        return await embedding.nearest(self._indices, ledger, self._space, scope, vector, limit)

    async def similarities(self, user: str, vector: bytes, places: Collection[int]) -> Mapping[int, float]:
        """See ``Store.similarities``."""
        if self._space is None:
            return {}
        ledger = await self._ledgers.read(user)
        return await embedding.similarities(self._indices, ledger, self._space, vector, places)

    async def messages(self, user: str, places: Sequence[int]) -> tuple[Stored, ...]:
        """See ``Store.messages``."""
        return await reading.messages(self._indices, await self._ledgers.read(user), places)

    async def latest(self, scope: Scope, limit: int, skip: int = 0) -> tuple[Stored, ...]:
        """See ``Store.latest``."""
        return await reading.latest(self._indices, await self._ledgers.read(scope.user), scope, limit, skip)

    async def count(self, scope: Scope) -> int:
        """See ``Store.count``."""
        return await reading.count(self._indices, await self._ledgers.read(scope.user), scope)

    async def topics(self, user: str) -> tuple[Topic, ...]:
        """See ``Store.topics``."""
        return await reading.topics(self._indices, await self._ledgers.read(user))

    async def profile(self, user: str) -> Profile:
        """See ``Store.profile``."""
        return await profiles.current(self._indices, self._ledgers, user)

    async def profiles(self, user: str) -> tuple[Profile, ...]:
        """See ``Store.profiles``."""
        return await profiles.newest(self._indices, self._ledgers, user)

    async def save_profile(self, user: str, profile: Profile) -> bool:
        """See ``Store.save_profile``."""
        return await profiles.save(self._indices, self._ledgers, user, profile, self._clock())

    async def unread(self, user: str, limit: int) -> Unread:
        """See ``Store.unread``."""
        return await refreshing.unread(self._indices, await self._ledgers.read(user), limit)

    async def keep_refresh(self, job: Job, refreshed: Refreshed, profile: Profile | None) -> bool:
        """See ``Store.keep_refresh``."""
        return await refreshing.keep(self._indices, self._ledgers, job, refreshed, profile, self._clock())

    async def count_usage(self, user: str, usage: Usage) -> None:
        """See ``Store.count_usage``."""
        await self._ledgers.change(user, refreshing.count_usage(usage))

    async def unsummarised(self, job: Job, limit: int) -> Mapping[int, str]:
        """See ``Store.unsummarised``."""
        ledger = await self._ledgers.read(job.user)
        return await summaries.unsummarised(self._indices, ledger, limit, self._clock())

    async def keep_summaries(self, job: Job, kept: Mapping[int, Summary], lease_ms: int) -> None:
        """See ``Store.keep_summaries``."""
        now = self._clock()
        await summaries.keep(self._indices, self._ledgers, job, kept, (now, now + lease_ms))

    async def image_file(self, user: str, place: int) -> ImageFile | None:
        """See ``Store.image_file``."""
        return await images.file(self._indices, await self._ledgers.read(user), place)

    async def thumbnails(self, user: str, places: Collection[int]) -> Mapping[int, bytes]:
        """See ``Store.thumbnails``."""
        return await images.thumbnails(self._indices, await self._ledgers.read(user), places)

    async def unseen(self, job: Job) -> tuple[int, ImageFile] | None:
        """See ``Store.unseen``."""
        ledger = await self._ledgers.read(job.user)
        return await images.unseen(self._indices, ledger, job.kind, self._clock())

    async def count_unseen(self, user: str, kind: JobKind) -> int:
        """See ``Store.count_unseen``."""
        return await images.count_unseen(self._indices, await self._ledgers.read(user), kind)

    async def keep_seen(self, job: Job, place: int, seen: Seen, lease_ms: int) -> None:
        """See ``Store.keep_seen``."""
        now = self._clock()
        await images.keep_seen(self._indices, self._ledgers, job, place, seen, (now, now + lease_ms))

    async def template(self) -> str | None:
        """See ``Store.template``."""
        return await shared.template(self._indices)

    async def keep_template(self, text: str, *, instead: bool) -> bool:
        """See ``Store.keep_template``."""
        return await shared.keep_template(self._indices, text, instead=instead)

    async def select(self, user: str, selection: Selection, limit: int, skip: int = 0) -> Selected:
        """See ``Store.select``."""
        ledger = await self._ledgers.read(user)
        return await forgetting.select(self._indices, ledger, selection, limit, skip)

    async def keep_confirmation(self, user: str, confirmation: Confirmation) -> None:
        """See ``Store.keep_confirmation``."""
        expired_at = self._clock()

        async def kept(ledger: Ledger) -> tuple[Ledger, None]:
            valid = {
                token: each for token, each in ledger.confirmations.items() if each.expires_at >= expired_at
            }
            return replace(ledger, confirmations={**valid, confirmation.token_hash: confirmation}), None

        await self._ledgers.change(user, kept)

    async def confirmation(self, user: str, token_hash: str) -> Confirmation | None:
        """See ``Store.confirmation``."""
        return (await self._ledgers.read(user)).confirmations.get(token_hash)

    async def forget(self, user: str, token_hash: str) -> Forgotten:
        """See ``Store.forget``."""
        forgetting_now = forgetting.Forgetting(self._indices, token_hash, self._clock())
        ledger, done = await self._ledgers.change(user, forgetting_now)
        await profiles.drop_unnamed(self._indices, ledger, forgetting_now.profiles)
        return done

    async def claim_job(
        self, kinds: Collection[JobKind], owner: str, lease_ms: int, user: str | None = None
    ) -> Job | None:
        """See ``Store.claim_job``."""
        if not kinds:
            return None
        claim = jobs.Claim(kinds, owner, self._clock(), lease_ms, self._space, self._rhythm)
        waiting = [user] if user else await jobs.users_with_work(self._indices, claim)
        for each in waiting:
            _, job = await self._ledgers.change(each, claim)
            if job is not None:
                return job
        return None

    async def ask_for_job(self, user: str, kind: JobKind) -> None:
        """See ``Store.ask_for_job``."""
        now = self._clock()
        if kind in IMAGE_KINDS:
            await images.try_again(self._indices, self._ledgers, user, kind)

        async def asked(ledger: Ledger) -> tuple[Ledger, None]:
            return jobs.ask(ledger, kind, now), None

        await self._ledgers.change(user, asked)

    async def hold_job(self, job: Job, lease_ms: int) -> None:
        """See ``Store.hold_job``."""
        await jobs.hold(self._ledgers, job, self._clock() + lease_ms)

    async def finish_job(self, job: Job) -> bool:
        """See ``Store.finish_job``."""
        _, finished = await self._ledgers.change(job.user, jobs.finish(job))
        return finished

    async def postpone_job(
        self, job: Job, error: str | None, due_at: int | None, *, failed: bool = True
    ) -> None:
        """See ``Store.postpone_job``."""
        await self._ledgers.change(job.user, jobs.postpone(job, error, due_at, failed=failed))

    async def erase_some(self, job: Job, lease_ms: int) -> int | None:
        """See ``Store.erase_some``."""
        return await erasing.step(self._indices, self._ledgers, job, self._clock(), lease_ms)

    async def outdated(self, job: Job, limit: int) -> Mapping[int, str]:
        """See ``Store.outdated``."""
        ledger = await self._ledgers.read(job.user)
        return await reindexing.outdated(self._indices, ledger, job.progress, limit)

    async def reindex(self, job: Job, indexed: Mapping[int, Indexed], lease_ms: int) -> Job:
        """See ``Store.reindex``."""
        until = self._clock() + lease_ms
        return await reindexing.reindex(self._indices, self._ledgers, job, indexed, until)

    async def unembedded(self, job: Job, limit: int) -> Mapping[int, str]:
        """See ``Store.unembedded``."""
        ledger = await self._ledgers.read(job.user)
        return await embedding.unembedded(self._indices, ledger, limit, self._clock())

    async def keep_vectors(self, job: Job, vectors: Mapping[int, bytes], lease_ms: int) -> None:
        """See ``Store.keep_vectors``."""
        if self._space is None:
            return
        now = self._clock()
        times = now, now + lease_ms
        await embedding.keep(self._indices, self._ledgers, job, self._space, vectors, times)

    async def keep_token(self, token: Token) -> None:
        """See ``Store.keep_token``."""
        await shared.keep_token(self._indices, token)

    async def token(self, token_id: str) -> Token | None:
        """See ``Store.token``."""
        return await shared.token(self._indices, token_id)

    async def tokens(self) -> tuple[Token, ...]:
        """See ``Store.tokens``."""
        return await shared.tokens(self._indices)

    async def revoke_token(self, token_id: str) -> bool:
        """See ``Store.revoke_token``."""
        return await shared.revoke_token(self._indices, token_id)

    async def secret(self, name: str) -> bytes:
        """See ``Store.secret``."""
        return await shared.secret(self._indices, name)

    async def health(self, user: str) -> Health:
        """See ``Store.health``."""
        return await inspecting.health(self._indices, self._ledgers, user)

    def stop_waiting(self) -> None:
        """See ``Store.stop_waiting``."""
        self._connection.stop_waiting()

    async def close(self) -> None:
        """Close every connection."""
        await self._connection.close()
