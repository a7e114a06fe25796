"""Deferred work: leased over any number of processes, done at least once, never lost."""
# ruff: noqa: ASYNC240 - a test keeps nobody waiting

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from mem1_mcp.errors import LeaseLostError, StoreError
from mem1_mcp.memory import Jobs, Memory
from mem1_mcp.memory.recall import Recall
from mem1_mcp.protocols import Store
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.types import JOB_KINDS, Job, JobKind, Scope, Selection, Statistics
from tests.conftest import HandClock
from tests.test_store_contract import MING, NOON, found, keep, preview, said

LEASE = 15_000


async def claim(store: Store, owner: str = "one", user: str | None = None) -> Job | None:
    return await store.claim_job(JOB_KINDS, owner, LEASE, user)


async def a_job(store: Store, user: str = "ming") -> None:
    """Ask for an erasure."""
    await keep(store, "something said", user=user)
    await preview(store, Selection(everything=True), user=user)
    await store.forget(user, "t")


async def claimed(store: Store) -> Job:
    await a_job(store)
    job = await claim(store)
    assert job is not None
    return job


async def test_without_work_there_is_nothing_to_claim(store: Store) -> None:
    assert await claim(store) is None
    await keep(store, "hello")

    assert await claim(store) is None
    assert await claim(store, user="ming") is None
    assert await claim(store, user="nobody") is None


async def test_a_job_is_claimed_by_one_owner(store: Store) -> None:
    await a_job(store)

    first = await claim(store, "one")

    assert first == Job("ming", "erasure", "one", revision=1)
    assert await claim(store, "two") is None
    assert await claim(store, "two", user="ming") is None


async def test_work_of_every_user_is_found(store: Store) -> None:
    for user in ("ming", "lan", "张伟"):
        await a_job(store, user)

    jobs = [await claim(store) for _ in range(4)]

    assert {job.user for job in jobs if job} == {"ming", "lan", "张伟"}
    assert jobs[3] is None


async def test_a_kind_nobody_asks_for_is_left_to_others(store: Store) -> None:
    await a_job(store)

    others: tuple[JobKind, ...] = ("reindexing",)
    assert await store.claim_job(others, "one", LEASE) is None
    assert await claim(store) is not None


async def test_a_finished_job_is_gone(store: Store) -> None:
    job = await claimed(store)

    assert await store.finish_job(job)

    assert await claim(store) is None
    assert not await store.finish_job(job)


async def test_when_a_lease_ran_out_another_gets_the_job(store: Store, clock: HandClock) -> None:
    await claimed(store)
    clock.now += LEASE

    second = await claim(store, "two")

    assert second is not None
    assert second.owner == "two"


async def test_each_step_makes_the_lease_longer(store: Store, clock: HandClock) -> None:
    job = await claimed(store)
    clock.now += LEASE - 1
    await store.erase_some(job, LEASE)
    clock.now += LEASE - 1

    assert await claim(store, "two") is None


async def test_who_lost_the_lease_can_not_go_on(store: Store, clock: HandClock) -> None:
    job = await claimed(store)
    clock.now += LEASE
    second = await claim(store, "two")

    with pytest.raises(LeaseLostError):
        await store.erase_some(job, LEASE)
    assert not await store.finish_job(job)
    await store.postpone_job(job, "too late", None)

    assert second is not None
    assert await store.finish_job(second)


async def test_a_job_that_is_asked_for_again_under_way_is_done_over(store: Store) -> None:
    job = await claimed(store)
    await keep(store, "said later")
    await preview(store, Selection(everything=True), "t2")
    await store.forget("ming", "t2")

    assert not await store.finish_job(job)

    again = await claim(store)
    assert again is not None
    assert again.revision == 2


async def test_a_postponed_job_waits_and_counts_its_failures(store: Store, clock: HandClock) -> None:
    job = await claimed(store)

    await store.postpone_job(job, "the disk is full", clock.now + 1000)

    assert await claim(store) is None
    clock.now += 1000
    again = await claim(store)
    assert again is not None
    assert again.attempts == 1


async def test_a_job_that_is_only_given_back_has_not_failed(store: Store, clock: HandClock) -> None:
    job = await claimed(store)

    await store.postpone_job(job, None, clock.now)

    again = await claim(store)
    assert again is not None
    assert again.attempts == 0


async def test_a_parked_job_is_shown_and_waits_until_it_is_asked_for_again(
    store: Store, clock: HandClock
) -> None:
    job = await claimed(store)

    await store.postpone_job(job, "no hope", None)

    clock.forward(days=300)
    assert await claim(store) is None
    assert (await store.health("ming")).problems == ("The job erasure was given up: no hope",)
    await keep(store, "said later")
    await preview(store, Selection(everything=True), "t2")
    await store.forget("ming", "t2")
    assert await claim(store) is not None


@pytest.mark.parametrize("wrong_days", [1, 4000])
async def test_a_clock_that_was_wrong_keeps_no_job_from_being_done(
    store: Store, clock: HandClock, wrong_days: float
) -> None:
    clock.forward(days=wrong_days)
    await a_job(store)
    await claim(store, "one")
    clock.forward(days=-wrong_days)

    assert await claim(store, "two") is not None


async def test_work_is_done_in_the_background_until_nothing_is_due(store: Store, clock: HandClock) -> None:
    for user in ("ming", "lan"):
        await a_job(store, user)

    await Jobs(store, clock).run_due()

    assert await claim(store) is None
    for user in ("ming", "lan"):
        assert not (await store.forget(user, "t")).pending
        assert (await store.health(user)).problems == ()


@contextmanager
def another_process_on(path: Path, statement: str) -> Generator[None]:
    other = apsw.Connection(str(path))
    other.execute(statement)
    yield
    other.close()


class Failing:
    """Everything of a store, but erasing, which fails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def erase_some(self, job: Job, lease_ms: int) -> int | None:
        raise StoreError("The disk is full. Nothing of this call was saved. Make room and try again.")


async def test_a_failing_job_is_tried_again_later_and_later(store: Store, clock: HandClock) -> None:
    await a_job(store)
    failing = Jobs(Failing(store), clock)  # type: ignore[arg-type]
    for _ in range(12):
        await failing.run_due()
        clock.forward(minutes=10)

    (told,) = [value for name, value in (await store.health("ming")).facts if name == "job erasure"]
    assert told == "waiting, failed 12 times: The disk is full."
    await Jobs(store, clock).run_due()
    assert not (await store.forget("ming", "t")).pending


async def test_hidden_at_once_and_erased_step_by_step(store: Store) -> None:
    await keep(store, *(f"old tea {number}" for number in range(100)), topic="home")
    for _ in range(12):
        await keep(store, *(f"new tea {number}" for number in range(100)), topic="work")
    await preview(store, Selection(topic="work"))
    await keep(store, "after the preview", topic="work")

    assert (await store.forget("ming", "t")).messages == 1200

    assert await store.count(MING) == 101
    assert await store.count(Scope("ming", "work")) == 1
    counted = {each.name: each.messages for each in await store.topics("ming")}
    assert counted == {"home": 100, "work": 1}
    assert (await store.statistics("ming", [])).messages == 101
    assert [each.content for each in await store.latest(Scope("ming", "work"), 9)] == ["after the preview"]
    assert not any(text.startswith("new") for text in await found(store, "tea"))
    job = await claim(store)
    assert job is not None
    steps = 1
    while await store.erase_some(job, LEASE) is not None:
        steps += 1
        assert await store.count(MING) == 101
        assert not any(text.startswith("new") for text in await found(store, "tea"))
    assert steps > 4
    assert (await store.statistics("ming", ["new"])).found_in == {"new": 0}
    assert (await store.statistics("ming", ["tea"])).found_in == {"tea": 100}


async def test_what_is_hidden_lends_no_context_and_has_no_id(store: Store) -> None:
    places = await keep(store, "Where is the key?", "Under the mat.")
    await preview(store, Selection(topic="home"))
    await store.forget("ming", "t")
    (after,) = await keep(store, "Thanks!")

    windows = await store.windows(MING, [after], 7)

    assert windows.places == (after,)
    assert await store.messages("ming", [*places, after]) == await store.messages("ming", [after])
    assert (await store.select("ming", Selection(everything=True), 9)).messages == 1
    assert (await store.select("ming", Selection(places=tuple(places)), 9)).messages == 0


async def test_what_is_hidden_is_counted_in_no_statistics(store: Store) -> None:
    await keep(store, said("green tea", name="Ann"))
    zebra = (said(f"zebra tea {number}", NOON + 1, name="zebra") for number in range(200))
    await keep(store, *zebra, topic="zebra")
    await preview(store, Selection(topic="zebra"))

    await store.forget("ming", "t")

    assert await store.statistics("ming", ["tea", "zebra"]) == Statistics(
        messages=1,
        total_length=2,
        found_in={"tea": 1, "zebra": 0},
        names=("Ann",),
        first_at=NOON,
        last_at=NOON,
    )
    assert await store.vocabulary("ming", "z") == {}
    assert (await store.vocabulary("ming", "t")) == {"tea": 1}


async def test_what_stays_is_found_while_the_rest_is_being_erased(store: Store, memory: Memory) -> None:
    await keep(
        store, "Ann drinks green tea", "We saw a heron at the lake", *("and so on" for _ in range(9))
    )
    await keep(store, *(f"old tea {number}" for number in range(600)), topic="work")
    await preview(store, Selection(topic="work"))

    await store.forget("ming", "t")

    while_hidden = await memory.recall(Recall(MING, ("tea",), limit=3))
    await Jobs(store, HandClock()).run_due()
    assert while_hidden.hits[0].text == "Ann drinks green tea"
    assert while_hidden == await memory.recall(Recall(MING, ("tea",), limit=3))


async def test_what_was_hidden_can_be_said_again(store: Store) -> None:
    said_once = "a message of more than twenty characters"
    await keep(store, said_once, request_id="r1")
    await keep(store, said_once)
    await preview(store, Selection(topic="home"))
    await store.forget("ming", "t")

    await keep(store, said_once, request_id="r1")
    await keep(store, said_once)

    assert await store.count(MING) == 2
    await Jobs(store, HandClock()).run_due()
    assert await store.count(MING) == 2


async def test_looking_for_work_leaves_no_file_behind(store: Store, folder: Path, clock: HandClock) -> None:
    for user in ("ming", "lan"):
        await keep(store, "hello", user=user)
    await store.close()
    (folder / "users" / "strange.db").write_bytes(b"no database")
    before = sorted(folder.rglob("*"))

    other = SqliteStore(folder, clock)
    await Jobs(other, clock).run_due()
    await other.close()

    assert sorted(folder.rglob("*")) == before
    assert (folder / "users" / "strange.db").read_bytes() == b"no database"


async def test_what_is_left_of_a_file_that_was_being_made_is_taken_away(
    store: Store, folder: Path, clock: HandClock
) -> None:
    await keep(store, "hello")
    left, fresh = (folder / "users" / f".lan-{name}.new" for name in ("left", "fresh"))
    for path in (left, fresh):
        path.write_bytes(b"an empty layout")
    clock.now = int(fresh.stat().st_mtime * 1000) + 1000
    os.utime(left, (clock.now / 1000 - 7200, clock.now / 1000 - 7200))

    await Jobs(store, clock).run_due()

    assert not left.exists()
    assert fresh.exists()


async def test_long_messages_named_by_id_are_hidden_at_once_and_erased_step_by_step(
    store: Store, folder: Path, clock: HandClock
) -> None:
    stays = await keep(store, "tea with Ann")
    long = [f"zqlong{number} {'green tea and lemon cake, ' * 2000}" for number in range(6)]
    places = await keep(store, *long, "tea with Ann again")
    await preview(store, Selection(places=tuple(places[:6])))

    assert (await store.forget("ming", "t")).messages == 6

    assert await found(store, "tea") == {"tea with Ann", "tea with Ann again"}
    assert (await store.statistics("ming", ["tea"])).found_in == {"tea": 2}
    assert await store.count(MING) == 2
    job = await claim(store)
    assert job is not None
    steps = 1
    while await store.erase_some(job, LEASE) is not None:
        steps += 1
    assert steps > 3
    assert await found(store, "tea") == {"tea with Ann", "tea with Ann again"}
    assert not any(b"zqlong" in path.read_bytes() for path in folder.rglob("*.db*"))
    assert [each.place for each in await store.messages("ming", stays)] == list(stays)


async def test_an_earlier_preview_brings_nothing_back_that_a_later_one_took(store: Store) -> None:
    await keep(store, "first", topic="a")
    await preview(store, Selection(everything=True), "all")
    await keep(store, "second", topic="a")
    await preview(store, Selection(topic="a"), "a")

    await store.forget("ming", "a")
    await store.forget("ming", "all")

    assert await store.count(MING) == 0
    assert await store.latest(MING, 9) == ()


async def test_work_of_one_user_that_can_not_be_done_keeps_no_other_waiting(
    store: Store, folder: Path, clock: HandClock
) -> None:
    for user in ("ann", "ming"):
        await a_job(store, user)
    (path,) = folder.rglob("ann-*.db")

    with another_process_on(path, "BEGIN IMMEDIATE"):
        await Jobs(store, clock).run_due()

        assert not (await store.forget("ming", "t")).pending
    await Jobs(store, clock).run_due()
    assert not (await store.forget("ann", "t")).pending


async def test_a_bug_in_the_background_is_an_attempt_that_failed(store: Store, clock: HandClock) -> None:
    class Broken(Failing):
        async def erase_some(self, job: Job, lease_ms: int) -> int | None:
            raise IndexError

    await a_job(store)

    await Jobs(Broken(store), clock).run_due()  # type: ignore[arg-type]

    (told,) = [value for name, value in (await store.health("ming")).facts if name == "job erasure"]
    assert told.startswith("waiting, failed 1 times: IndexError")
