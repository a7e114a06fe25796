"""How far the profile's refresh has read, what it has yet to read, and what models were asked for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.stores import telling
from mem1_mcp.stores.elasticsearch import jobs
from mem1_mcp.stores.elasticsearch.ledger import Parked
from mem1_mcp.stores.elasticsearch.profiles import Saving, drop_unnamed
from mem1_mcp.stores.elasticsearch.reading import as_stored, rows
from mem1_mcp.stores.elasticsearch.scoping import visible
from mem1_mcp.types import Reached, Unread, Usage, message_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.types import Job, Profile, Refreshed

_PARKED = 20  # the newest


async def unread(indices: Indices, ledger: Ledger, limit: int) -> Unread:
    """Read the next messages that no refresh has read."""
    after = ledger.reached
    found = []
    if after.call <= ledger.indexed:
        of_call = [{"term": {"call": after.call}}, {"range": {"place": {"gt": after.place}}}]
        ahead = [{"range": {"call": {"gt": after.call}}}, {"bool": {"filter": of_call}}]
        query = visible(ledger, {"bool": {"should": ahead, "minimum_should_match": 1}})
        order = [{"call": "asc"}, {"place": "asc"}]
        found = await rows(indices, ledger, query, {"size": limit + 1, "sort": order})
    marked = [(Reached(row.call, row.place), row) for row in (*found, *ledger.rows)]
    left = sorted((each for each in marked if each[0] > after), key=lambda each: each[0])
    read = await as_stored(indices, ledger, [row for _, row in left[:limit]])
    return Unread(
        after=after,
        messages=tuple((mark, each) for (mark, _), each in zip(left, read, strict=False)),
        rounds=ledger.rounds,
        rounds_read=ledger.rounds_read,
        more=len(left) > limit,
    )


@dataclass(frozen=True, slots=True)
class _Noting:
    """The change that notes how far a refresh came, with the profile that came of it."""

    job: Job
    refreshed: Refreshed
    saving: Saving | None

    async def __call__(self, ledger: Ledger) -> tuple[Ledger, bool]:
        job, refreshed = self.job, self.refreshed
        work = jobs.held(ledger, job)
        if ledger.reached != refreshed.after:
            raise LeaseLostError(f"The messages of user {job.user} were read by another one meanwhile.")
        if self.saving is not None:
            ledger, saved = await self.saving(ledger)
            if not saved:
                return ledger, False
        ledger = replace(
            ledger,
            reached=refreshed.upto,
            rounds_read=refreshed.rounds_read,
            refreshed_at=refreshed.at,
            work={**ledger.work, job.kind: jobs.advanced(work)},
        )
        if refreshed.parked is not None:
            first = telling.given_up_after(refreshed.after)
            parked = Parked(first, message_id(refreshed.upto.place), refreshed.parked, refreshed.at)
            ledger = replace(ledger, parked=(*ledger.parked, parked)[-_PARKED:])
        return ledger, True


async def keep(
    indices: Indices,
    ledgers: Ledgers,
    job: Job,
    refreshed: Refreshed,
    profile: Profile | None,
    now: int,
) -> bool:
    """Note how far a refresh came, with the profile it made; the lease stays as long as it is.

    Raises:
        LeaseLostError: another owner has the job, or the messages were read on meanwhile.

    """
    saving = None if profile is None else Saving(indices, profile)
    # A change begins with what is known, which may be old; no profile should be written for nothing.
    await ledgers.read(job.user)
    try:
        ledger, kept = await ledgers.change(job.user, _Noting(job, refreshed, saving))
    except LeaseLostError:
        if saving is not None:
            await saving.take_back(ledgers, now, job.user)
        raise
    if saving is None:
        return kept
    if kept:
        await drop_unnamed(indices, ledger, saving.before)
    else:
        await saving.take_back(ledgers, now, job.user)
    return kept


def count_usage(usage: Usage) -> Callable[[Ledger], Awaitable[tuple[Ledger, None]]]:
    """Add to what a model was asked."""

    async def counted(ledger: Ledger) -> tuple[Ledger, None]:
        total = ledger.usage.get(usage.model, Usage(usage.model)) + usage
        return replace(ledger, usage={**ledger.usage, usage.model: total}), None

    return counted


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """Describe the profile and what models were asked, for a person."""
    version = 0 if ledger.profile is None else ledger.profile.version
    used = [each for _, each in sorted(ledger.usage.items())]
    return [telling.profile(version, ledger.rounds_read, ledger.rounds), *telling.usage(used)]


def problems(ledger: Ledger) -> list[str]:
    """Name the stretches of messages that were given up."""
    return [telling.given_up(each.first, each.last, each.reason) for each in ledger.parked]
