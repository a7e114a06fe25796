"""Deferred work as rows: asked for in the transaction that makes it necessary, then leased."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import IMAGE_KINDS, Job

if TYPE_CHECKING:
    from collections.abc import Collection

    import apsw

    from mem1_mcp.types import JobKind

# The longest anybody leases or postpones. A time further ahead was written by a clock that was wrong.
_FAR_MS = 3_600_000

_DUE = (
    "kind IN (SELECT value FROM json_each(?1)) AND due_at IS NOT NULL"
    " AND (due_at <= ?2 OR due_at > ?2 + ?3)"
    " AND (owner IS NULL OR leased_until <= ?2 OR leased_until > ?2 + ?3)"
)


def ask(db: apsw.Connection, kind: JobKind, now: int, back_to: int | None = None) -> None:
    """Ask for a job; one that is there or under way is done over, its progress set back if need be."""
    db.execute(
        "INSERT INTO jobs(kind, revision, due_at, progress) VALUES (?1, 1, ?2, coalesce(?3, 0))"
        " ON CONFLICT(kind) DO UPDATE SET revision = revision + 1, due_at = ?2, attempts = 0, error = NULL,"
        " progress = min(progress, coalesce(?3, progress))",
        (kind, now, back_to),
    )


def ask_for_reindexing(db: apsw.Connection, now: int) -> None:
    """Ask for a new index where an older ``text`` made it. The version only ever goes up."""
    if db.execute("SELECT terms_version FROM state").get < TERMS_VERSION:
        db.execute("UPDATE state SET terms_version = ?", (TERMS_VERSION,))
        ask(db, "reindexing", now, back_to=-1)


def is_due(db: apsw.Connection, kinds: Collection[JobKind], now: int) -> bool:
    """Whether there is something to claim; reads only."""
    if db.execute("SELECT terms_version FROM state").get < TERMS_VERSION:
        return True
    return (
        db.execute(f"SELECT 1 FROM jobs WHERE {_DUE}", (_claimable(db, kinds), now, _FAR_MS)).get
        is not None
    )


def _claimable(db: apsw.Connection, kinds: Collection[JobKind]) -> str:
    """Leave out the kinds this program has no engine for: it can't make a newer program's index."""
    too_new = db.execute("SELECT terms_version FROM state").get > TERMS_VERSION
    return json.dumps([kind for kind in kinds if not (too_new and kind == "reindexing")])


def claim(
    db: apsw.Connection, user: str, kinds: Collection[JobKind], owner: str, now: int, lease_ms: int
) -> Job | None:
    """Lease what is due longest."""
    row = db.execute(
        "UPDATE jobs SET owner = ?4, leased_until = ?2 + ?5 WHERE kind ="
        f" (SELECT kind FROM jobs WHERE {_DUE} ORDER BY due_at LIMIT 1)"
        " RETURNING kind, revision, progress, attempts",
        (_claimable(db, kinds), now, _FAR_MS, owner, lease_ms),
    ).get
    if row is None:
        return None
    kind, revision, progress, attempts = row
    return Job(user, kind, owner, revision, progress, attempts)


def hold(db: apsw.Connection, job: Job, now: int, lease_ms: int) -> int:
    """Lengthen the lease and return the progress.

    Raises:
        LeaseLostError: somebody else has the job, or it is gone.

    """
    progress: int | None = db.execute(
        "UPDATE jobs SET leased_until = ? WHERE kind = ? AND owner = ? RETURNING progress",
        (now + lease_ms, job.kind, job.owner),
    ).get
    if progress is None:
        raise LeaseLostError(f"The job {job.kind} of user {job.user} is another's by now.")
    return progress


def advance(db: apsw.Connection, kind: JobKind, progress: int, revision: int | None = None) -> None:
    """Note how far a job is; with a ``revision`` only if it was not asked for again since."""
    db.execute(
        "UPDATE jobs SET progress = ?1, attempts = 0, error = NULL"
        " WHERE kind = ?2 AND revision = coalesce(?3, revision)",
        (progress, kind, revision),
    )


def finish(db: apsw.Connection, job: Job) -> bool:
    """Take a job away, or free it when it was asked for again."""
    gone = db.execute(
        "DELETE FROM jobs WHERE kind = ? AND owner = ? AND revision = ? RETURNING 1",
        (job.kind, job.owner, job.revision),
    ).get
    db.execute("UPDATE jobs SET owner = NULL WHERE kind = ? AND owner = ?", (job.kind, job.owner))
    return gone is not None


def postpone(
    db: apsw.Connection, job: Job, error: str | None, due_at: int | None, *, failed: bool = True
) -> None:
    """Free a job for later, or park it; one that was asked for again meanwhile stays due."""
    db.execute(
        "UPDATE jobs SET owner = NULL, error = ?1, attempts = attempts + (?1 IS NOT NULL AND ?6),"
        " due_at = CASE WHEN revision = ?2 THEN ?3 ELSE due_at END WHERE kind = ?4 AND owner = ?5",
        (error, job.revision, due_at, job.kind, job.owner, failed),
    )


def are_there(db: apsw.Connection) -> bool:
    """Whether there is any job, due or not."""
    return db.execute("SELECT 1 FROM jobs LIMIT 1").get is not None


def told(db: apsw.Connection) -> list[tuple[str, str]]:
    """Describe the jobs that wait or are under way, for a person."""
    rows = db.execute("SELECT kind, due_at, attempts, error, owner FROM jobs ORDER BY kind")
    described = []
    for kind, due_at, attempts, error, owner in rows:
        state = "parked" if due_at is None else "under way" if owner is not None else "waiting"
        if kind in IMAGE_KINDS and state == "waiting" and not error:
            continue  # for a program that can do it, which need not come
        times = f"failed {attempts} times: " if attempts else ""
        failed = f", {times}{error}" if error else ""
        described.append((f"job {kind}", f"{state}{failed}"))
    return described
