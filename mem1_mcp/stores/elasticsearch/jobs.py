"""Deferred work in the ledger: asked for by the change that makes it necessary, then leased."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.stores.elasticsearch import rhythm as rhythms
from mem1_mcp.stores.elasticsearch import spaces
from mem1_mcp.stores.elasticsearch.ledger import Work
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import IMAGE_KINDS, Job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.stores.elasticsearch.scoping import Query
    from mem1_mcp.stores.elasticsearch.spaces import Space
    from mem1_mcp.types import JobKind, Rhythm

# The longest anybody leases or postpones. A time further ahead was written by a clock that was wrong.
_FAR_MS = 3_600_000
_USERS_AT_ONCE = 20


def ask(ledger: Ledger, kind: JobKind, now: int, back_to: int | None = None) -> Ledger:
    """Ask for a job; one that is there or under way is done over, its progress set back if need be."""
    known = ledger.work.get(kind)
    if known is None:
        return _with(ledger, kind, Work(1, now, progress=back_to or 0))
    progress = known.progress if back_to is None else min(known.progress, back_to)
    asked = replace(
        known, revision=known.revision + 1, due_at=now, attempts=0, error=None, progress=progress
    )
    return _with(ledger, kind, asked)


def _with(ledger: Ledger, kind: str, work: Work | None) -> Ledger:
    others = {name: each for name, each in ledger.work.items() if name != kind}
    return replace(ledger, work=others if work is None else {**others, kind: work})


async def users_with_work(indices: Indices, claim: Claim) -> list[str]:
    """Return users in whose ledgers there may be something to claim, longest due first."""
    kinds, now, space = claim.kinds, claim.now, claim.space
    await indices.refresh(indices.state)
    due = [_due(kind, now) for kind in kinds]
    if "reindexing" in kinds:
        due.append({"range": {"terms_version": {"lt": TERMS_VERSION}}})
    if space is not None and "embedding" in kinds:
        newer = {"range": {"space_since": {"gte": space.started_at}}}
        due.append({"bool": {"must_not": [{"term": {"space": space.name}}, newer]}})
    if claim.rhythm is not None and "refresh" in kinds:
        due.append(rhythms.due(claim.rhythm, now))
    body = {
        "query": {
            "bool": {"filter": [{"term": {"kind": "user"}}], "should": due, "minimum_should_match": 1}
        },
        "size": _USERS_AT_ONCE,
        "sort": [{"due_at": {"order": "asc", "unmapped_type": "date"}}],
        "_source": ["user"],
        "track_total_hits": False,
    }
    found = await indices.search(indices.state, body)
    return [hit["_source"]["user"] for hit in found["hits"]["hits"]]


def _due(kind: JobKind, now: int) -> Query:
    # Of each kind by itself: users for whom something else is due would stand in the way of others.
    times = [{"lte": now}, {"gt": now + _FAR_MS}]
    query: Query = {"should": [{"range": {f"due.{kind}": each}} for each in times]}
    if kind == "reindexing":
        query["filter"] = [{"range": {"terms_version": {"lte": TERMS_VERSION}}}]
    return {"bool": {**query, "minimum_should_match": 1}}


@dataclass(frozen=True, slots=True)
class Claim:
    """Lease what is due longest to an owner."""

    kinds: Collection[JobKind]
    owner: str
    now: int
    lease_ms: int
    space: Space | None
    rhythm: Rhythm | None

    async def __call__(self, ledger: Ledger) -> tuple[Ledger, Job | None]:
        """Claim in a ledger; first what is needed is asked for."""
        ledger = self._asked(ledger)
        due: list[tuple[int, JobKind, Work]] = []
        for kind in self.kinds:
            work = ledger.work.get(kind)
            # Nobody makes a newer program's index.
            too_new = kind == "reindexing" and ledger.terms_version > TERMS_VERSION
            if work is not None and work.due_at is not None and not too_new and self._is_free(work):
                due.append((work.due_at, kind, work))
        if not due:
            return ledger, None
        _, kind, work = min(due, key=lambda each: each[:2])
        leased = replace(work, owner=self.owner, leased_until=self.now + self.lease_ms)
        job = Job(ledger.user, kind, self.owner, work.revision, work.progress, work.attempts)
        return _with(ledger, kind, leased), job

    def _asked(self, ledger: Ledger) -> Ledger:
        if self.space is not None and "embedding" in self.kinds and ledger.space != self.space.name:
            ledger = spaces.asked(ledger, self.space, self.now)
        if ledger.terms_version < TERMS_VERSION:
            ledger = ask(replace(ledger, terms_version=TERMS_VERSION), "reindexing", self.now, back_to=-1)
        if "erasure" in self.kinds:
            ledger = self._uploads_given_up(ledger)
        if self.rhythm is not None and "refresh" in self.kinds:
            ledger = rhythms.asked(ledger, self.rhythm, self.now)
        return ledger

    def _uploads_given_up(self, ledger: Ledger) -> Ledger:
        """Have the bytes erased that nobody will name, who took too long begins anew."""
        left = {name: each for name, each in ledger.uploads.items() if not each.is_given_up(self.now)}
        if len(left) == len(ledger.uploads):
            return ledger
        return ask(replace(ledger, uploads=left), "erasure", self.now, back_to=0)

    def _is_free(self, work: Work) -> bool:
        now, far = self.now, self.now + _FAR_MS
        due = work.due_at is not None and (work.due_at <= now or work.due_at > far)
        return due and (work.owner is None or work.leased_until <= now or work.leased_until > far)


def held(ledger: Ledger, job: Job) -> Work:
    """Return the work of a job that its owner still has.

    Raises:
        LeaseLostError: somebody else has the job, or it is gone.

    """
    work = ledger.work.get(job.kind)
    if work is None or work.owner != job.owner:
        raise LeaseLostError(f"The job {job.kind} of user {job.user} is another's by now.")
    return work


def advanced(work: Work, **more: Any) -> Work:
    """Return the work after a step that was done: what failed before counts no more."""
    return replace(work, attempts=0, error=None, **more)


async def hold(
    ledgers: Ledgers,
    job: Job,
    until: int,
    change: Callable[[Ledger, Work], tuple[Ledger, Work]] = lambda ledger, work: (ledger, work),
) -> tuple[Ledger, Work]:
    """Lengthen the lease, and change what the job changes with it.

    Raises:
        LeaseLostError: somebody else has the job, or it is gone.

    """

    async def lengthened(ledger: Ledger) -> tuple[Ledger, Work]:
        changed, work = change(ledger, replace(held(ledger, job), leased_until=until))
        return _with(changed, job.kind, work), work

    return await ledgers.change(job.user, lengthened)


def finish(job: Job) -> Callable[[Ledger], Awaitable[tuple[Ledger, bool]]]:
    """Take a job away, or free it when it was asked for again."""

    async def finished(ledger: Ledger) -> tuple[Ledger, bool]:
        work = ledger.work.get(job.kind)
        if work is None or work.owner != job.owner:
            return ledger, False
        if work.revision == job.revision:
            return _with(ledger, job.kind, None), True
        return _with(ledger, job.kind, replace(work, owner=None)), False

    return finished


def postpone(
    job: Job, error: str | None, due_at: int | None, *, failed: bool
) -> Callable[[Ledger], Awaitable[tuple[Ledger, None]]]:
    """Free a job for later, or park it; one that was asked for again meanwhile stays due."""

    async def postponed(ledger: Ledger) -> tuple[Ledger, None]:
        work = ledger.work.get(job.kind)
        if work is None or work.owner != job.owner:
            return ledger, None
        later = due_at if work.revision == job.revision else work.due_at
        attempts = work.attempts + (failed and error is not None)
        freed = replace(work, owner=None, error=error, attempts=attempts, due_at=later)
        return _with(ledger, job.kind, freed), None

    return postponed


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """Describe the jobs that wait or are under way, for a person."""
    described = []
    for kind, work in sorted(ledger.work.items()):
        state = "parked" if work.due_at is None else "under way" if work.owner else "waiting"
        if kind in IMAGE_KINDS and state == "waiting" and not work.error:
            continue  # for a program that can do it, which need not come
        times = f"failed {work.attempts} times: " if work.attempts else ""
        failed = f", {times}{work.error}" if work.error else ""
        described.append((f"job {kind}", f"{state}{failed}"))
    return described
