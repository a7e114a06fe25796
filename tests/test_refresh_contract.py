"""What every store promises of profiles' versions, of how far a refresh read, and of long messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.memory import Jobs
from mem1_mcp.protocols import Store
from mem1_mcp.text.terms import index
from mem1_mcp.types import (
    ARCHIVED,
    FORGOTTEN,
    KEPT_PROFILES,
    Indexed,
    Job,
    JobKind,
    Message,
    Profile,
    Reached,
    Refreshed,
    Rhythm,
    Scope,
    Selection,
    Summary,
    Unread,
    Usage,
)
from tests.conftest import HandClock, Opening
from tests.test_store_contract import (
    MINUTE,
    NOON,
    a_profile,
    an_item,
    forget,
    found,
    keep,
    preview,
    said,
)

ENGINES = ("sqlite", "elasticsearch", "indexed")
LEASE = 15_000
EVERY_TWO = Rhythm(rounds=2, pause_ms=3 * MINUTE)


async def due(store: Store, kind: JobKind = "refresh", owner: str = "one") -> Job | None:
    return await store.claim_job((kind,), owner, LEASE)


async def a_refresh(store: Store) -> Job:
    await store.ask_for_job("ming", "refresh")
    job = await due(store)
    assert job is not None
    return job


def texts(unread: Unread) -> list[str]:
    return [stored.content for _, stored in unread.messages]


async def read_on(
    store: Store, job: Job, limit: int = 100, profile: Profile | None = None, parked: str | None = None
) -> list[str]:
    """Read the next messages, as a refresh does; return them."""
    unread = await store.unread("ming", limit)
    upto = unread.messages[-1][0]
    rounds_read = min(unread.rounds, unread.rounds_read + len(unread.messages))
    assert await store.keep_refresh(job, Refreshed(unread.after, upto, rounds_read, NOON, parked), profile)
    return texts(unread)


async def test_everything_is_unread_at_first_in_the_order_in_which_it_came(store: Store) -> None:
    await keep(store, "a", said("b", role="assistant"))
    await keep(store, "c", topic="work", at=NOON - 10 * MINUTE)

    unread = await store.unread("ming", 10)

    assert texts(unread) == ["a", "b", "c"]
    assert [stored.topic for _, stored in unread.messages] == ["home", "home", "work"]
    assert (unread.rounds, unread.rounds_read, unread.more, unread.after) == (2, 0, False, Reached())
    assert sorted(mark for mark, _ in unread.messages) == [mark for mark, _ in unread.messages]


async def test_only_a_call_with_a_users_message_is_a_round(store: Store) -> None:
    await keep(store, said("hello", role="assistant"))

    assert (await store.unread("ming", 10)).rounds == 0


async def test_windows_of_a_refresh_chain_without_gap_or_overlap_also_within_a_call(store: Store) -> None:
    await keep(store, "a", "b", "c", "d", "e")
    await keep(store, "f", topic="work")
    await keep(store, "g", "h")
    job = await a_refresh(store)

    windows = [await read_on(store, job, limit=3) for _ in range(3)]

    assert windows == [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]
    assert texts(await store.unread("ming", 10)) == []
    await keep(store, "i")
    assert texts(await store.unread("ming", 10)) == ["i"]


async def test_a_window_is_noted_with_the_profile_it_made_or_not_at_all(store: Store) -> None:
    await keep(store, "a")
    job = await a_refresh(store)
    await store.save_profile("ming", a_profile(an_item(1)))
    unread = await store.unread("ming", 10)
    refreshed = Refreshed(unread.after, unread.messages[-1][0], 1, NOON)

    late = a_profile(an_item(2), version=1)
    assert not await store.keep_refresh(job, refreshed, late)

    assert texts(await store.unread("ming", 10)) == ["a"]
    assert (await store.profile("ming")).items == (an_item(1),)
    assert await store.keep_refresh(job, refreshed, replace(late, version=2))
    assert texts(await store.unread("ming", 10)) == []
    assert (await store.profile("ming")).items == (an_item(2),)


async def test_who_lost_the_lease_notes_nothing(store: Store) -> None:
    await keep(store, "a")
    job = await a_refresh(store)
    unread = await store.unread("ming", 10)
    refreshed = Refreshed(unread.after, unread.messages[-1][0], 1, NOON)

    with pytest.raises(LeaseLostError):
        await store.keep_refresh(replace(job, owner="two"), refreshed, a_profile(an_item(1)))
    with pytest.raises(LeaseLostError):
        await store.keep_refresh(job, replace(refreshed, after=Reached(7, 7)), a_profile(an_item(1)))

    assert (await store.profile("ming")).items == ()
    assert texts(await store.unread("ming", 10)) == ["a"]


async def test_a_lease_is_held_as_long_as_its_owner_says_so(store: Store, clock: HandClock) -> None:
    await keep(store, "a")
    job = await a_refresh(store)
    clock.forward(minutes=0.2)
    await store.hold_job(job, LEASE)
    clock.forward(minutes=0.2)

    assert await due(store, owner="two") is None
    clock.forward(minutes=1)
    assert await due(store, owner="two") is not None
    with pytest.raises(LeaseLostError):
        await store.hold_job(job, LEASE)


async def test_what_is_forgotten_is_not_unread(store: Store) -> None:
    _, second, _ = await keep(store, "a", "b", "c")
    await keep(store, "secret", topic="work")
    await forget(store, Selection(topic="work"))
    await forget(store, Selection(places=(second,)), ticket="u")

    assert texts(await store.unread("ming", 10)) == ["a", "c"]


async def test_a_refresh_is_due_at_first_then_by_rounds_or_by_time(
    another: Opening, clock: HandClock
) -> None:
    store = another(None, EVERY_TWO)
    try:
        assert await due(store) is None
        await keep(store, "a")
        job = await due(store)
        assert job is not None
        await read_on(store, job)
        await store.finish_job(job)
        assert await due(store) is None

        await keep(store, "b", at=NOON + 1)
        assert await due(store) is None
        await keep(store, "c", at=NOON + 2)
        job = await due(store)
        assert job is not None
        assert await read_on(store, job) == ["b", "c"]
        await store.finish_job(job)

        await keep(store, "d", at=NOON + 3)
        assert await due(store) is None
        clock.forward(minutes=4)
        assert await due(store) is not None
    finally:
        await store.close()


async def test_without_a_rhythm_a_refresh_is_due_when_somebody_asks(store: Store) -> None:
    await keep(store, "a")
    assert await due(store) is None

    await store.ask_for_job("ming", "refresh")

    assert await due(store) is not None


async def test_a_refresh_that_waits_for_another_try_is_not_asked_for_again(
    another: Opening, clock: HandClock
) -> None:
    store = another(None, EVERY_TWO)
    try:
        await keep(store, "a")
        job = await due(store)
        assert job is not None
        await store.postpone_job(job, "the endpoint is dead", clock() + MINUTE, failed=False)
        await keep(store, "b", at=NOON + 1)
        await keep(store, "c", at=NOON + 2)

        assert await due(store) is None
        assert "the endpoint is dead" in str((await store.health("ming")).facts)
        clock.forward(minutes=2)
        again = await due(store)
        assert again is not None
        assert again.attempts == 0
    finally:
        await store.close()


async def test_a_stretch_that_is_given_up_is_named(store: Store) -> None:
    await keep(store, "a", "b")
    job = await a_refresh(store)

    await read_on(store, job, parked="The answer was no JSON.")

    (problem,) = (await store.health("ming")).problems
    assert "The answer was no JSON." in problem
    assert "from the beginning up to m0.1" in problem
    assert texts(await store.unread("ming", 10)) == []

    await forget(store, Selection(everything=True))
    assert (await store.health("ming")).problems == ()


async def test_what_models_were_asked_adds_up(store: Store) -> None:
    await keep(store, "a")
    await store.count_usage("ming", Usage("qwen", 1, 100, 20))
    await store.count_usage("ming", Usage("qwen", 2, 11, 3))
    await store.count_usage("ming", Usage("gemma", 1, 5, 5))

    facts = dict((await store.health("ming")).facts)

    assert facts["model qwen"] == "3 calls, 111 tokens in, 23 out"
    assert facts["model gemma"] == "1 calls, 5 tokens in, 5 out"


async def test_the_last_twenty_versions_of_a_profile_are_kept_newest_first(store: Store) -> None:
    for version in range(1, 26):
        profile = replace(a_profile(an_item(version), version=version), why=f"{version}", saved_at=NOON)
        assert await store.save_profile("ming", profile)

    kept = await store.profiles("ming")

    assert [each.version for each in kept] == list(range(25, 25 - KEPT_PROFILES, -1))
    assert kept[0] == await store.profile("ming")
    assert (kept[3].items, kept[3].why, kept[3].saved_at) == ((an_item(22),), "22", NOON)


async def test_a_user_without_a_profile_has_no_versions(store: Store) -> None:
    assert await store.profiles("ming") == ()


async def test_what_is_forgotten_leaves_every_version_and_the_epoch_goes_up(store: Store) -> None:
    (place,) = await keep(store, "I am allergic to peanuts", topic="health")
    (other,) = await keep(store, "I live in Hamburg")
    secret = an_item(1, "is allergic to peanuts", evidence=(place,), topic="health")
    first = a_profile(secret)
    await store.save_profile("ming", first)
    home = an_item(2, "lives in Hamburg", evidence=(other,))
    second = replace(a_profile(replace(secret, replaced_by="p2"), home, version=2))
    await store.save_profile("ming", second)

    await forget(store, Selection(topic="health"))

    kept = await store.profiles("ming")
    assert [profile.items for profile in kept] == [(home,), (home,), ()]
    assert [profile.version for profile in kept] == [3, 2, 1]
    assert [profile.epoch for profile in kept] == [1, 0, 0]


async def test_a_line_that_came_after_the_preview_goes_with_the_messages_it_rests_on(store: Store) -> None:
    (place,) = await keep(store, "I am allergic to peanuts", topic="health")
    await preview(store, Selection(topic="health"))
    told = an_item(2, "told since", topic="health")
    await store.save_profile("ming", a_profile(an_item(1, "is allergic", evidence=(place,)), told))

    assert (await store.forget("ming", "t")).items == 1

    assert [profile.items for profile in await store.profiles("ming")] == [(told,), (told,)]


async def test_with_a_line_go_the_sayings_that_led_to_it_also_from_versions_where_they_held(
    store: Store,
) -> None:
    old, other = an_item(1, "lives in Hamburg"), an_item(2, "has a cat")
    await store.save_profile("ming", a_profile(old, other))
    new = an_item(3, "lives in Munich")
    await store.save_profile("ming", a_profile(replace(old, replaced_by="p3"), other, new, version=2))

    assert (await forget(store, Selection(items=("p3",)))).items == 2

    assert {profile.items for profile in await store.profiles("ming")} == {(other,)}


async def test_a_line_of_a_former_version_is_forgotten_too(store: Store) -> None:
    await store.save_profile("ming", a_profile(an_item(1, "was removed since"), an_item(2)))
    await store.save_profile("ming", a_profile(an_item(2), version=2))

    assert (await forget(store, Selection(items=("p1",)))).items == 1

    assert {profile.items for profile in await store.profiles("ming")} == {(an_item(2),)}


async def test_forgetting_a_message_that_no_line_rests_on_raises_the_epoch_too(store: Store) -> None:
    await keep(store, "a", topic="work")
    await store.save_profile("ming", a_profile(an_item(1)))

    await forget(store, Selection(topic="work"))

    profile = await store.profile("ming")
    assert (profile.epoch, profile.version, profile.items) == (1, 2, (an_item(1),))


async def test_what_was_joined_comes_apart_when_a_part_is_forgotten(store: Store) -> None:
    (one,) = await keep(store, "a cat", topic="pets")
    (two,) = await keep(store, "a dog")
    joined = an_item(3, "has a cat and a dog", evidence=(one, two), whole=True, stands_in=True)
    cat = an_item(1, "has a cat", evidence=(one,), replaced_by="p3")
    dog = an_item(2, "has a dog", evidence=(two,), replaced_by="p3")
    older = an_item(4, "has no dog", evidence=(two,), replaced_by="p2")
    kept_short = an_item(5, "old news", evidence=(two,), replaced_by=ARCHIVED)
    await store.save_profile("ming", a_profile(cat, dog, joined, older, kept_short))

    await forget(store, Selection(topic="pets"))

    items = (await store.profile("ming")).items
    assert items == (replace(dog, replaced_by=None), older, kept_short)


async def test_a_contradiction_whose_other_side_is_forgotten_is_none(store: Store) -> None:
    (one,) = await keep(store, "Hamburg", topic="work")
    (two,) = await keep(store, "Munich")
    old = an_item(1, "lives in Hamburg", evidence=(one,))
    other = an_item(2, "lives in Munich", evidence=(two,), section="clarify", against="p1")
    await store.save_profile("ming", a_profile(old, other))

    await forget(store, Selection(topic="work"))

    settled = replace(other, against=None, section="basic")
    assert (await store.profile("ming")).items == (settled,)


async def test_an_older_saying_does_not_come_back_for_that(store: Store) -> None:
    (one,) = await keep(store, "Hamburg")
    (two,) = await keep(store, "Munich", topic="work")
    old = an_item(1, "lives in Hamburg", evidence=(one,), replaced_by="p2")
    await store.save_profile("ming", a_profile(old, an_item(2, "lives in Munich", evidence=(two,))))

    await forget(store, Selection(topic="work"))

    assert (await store.profile("ming")).items == (replace(old, replaced_by=FORGOTTEN),)


def a_long(words: str) -> tuple[Message, Indexed]:
    return replace(said(words, role="assistant")[0], long=True), index(words)


async def summarise(store: Store, *, indexed: bool = False) -> None:
    """Do what the job does, with the first word for a summary."""
    job = await due(store, "summary")
    assert job is not None
    for place, words in (await store.unsummarised(job, 10)).items():
        first = words.split()[0]
        await store.keep_summaries(job, {place: Summary(first, index(first) if indexed else None)}, LEASE)
    assert await store.unsummarised(job, 10) == {}
    assert await store.finish_job(job)


async def test_a_long_message_keeps_its_words_beside_its_summary(store: Store) -> None:
    (place,) = await keep(store, a_long("Ovens differ in the stone they have"))
    await summarise(store)

    (stored,) = await store.messages("ming", [place])

    assert (stored.content, stored.summary) == ("Ovens differ in the stone they have", "Ovens")
    assert await found(store, "stone") == {"Ovens differ in the stone they have"}
    assert (await store.latest(Scope("ming"), 1)) == (stored,)


async def test_a_summary_stands_for_a_message_whose_words_are_let_go(store: Store) -> None:
    (place,) = await keep(store, a_long("Ovens differ in the stone they have"))
    before = (await store.statistics("ming", ())).total_length
    await summarise(store, indexed=True)

    (stored,) = await store.messages("ming", [place])

    assert (stored.content, stored.summary) == ("Ovens", "Ovens")
    assert await found(store, "stone") == set()
    assert await found(store, "ovens") == {"Ovens"}
    assert (await store.statistics("ming", ())).total_length < before


async def test_only_what_is_long_is_summarised(store: Store) -> None:
    await keep(store, "short")
    assert await due(store, "summary") is None
    await keep(store, "short again", a_long("Ovens differ"))

    job = await due(store, "summary")

    assert job is not None
    assert list((await store.unsummarised(job, 10)).values()) == ["Ovens differ"]


async def test_a_message_forgotten_meanwhile_gets_no_summary(store: Store) -> None:
    (place,) = await keep(store, a_long("Ovens differ"))
    job = await due(store, "summary")
    assert job is not None
    await preview(store, Selection(places=(place,)))
    await store.forget("ming", "t")

    await store.keep_summaries(job, {place: Summary("Ovens")}, LEASE)

    assert await store.messages("ming", [place]) == ()
    assert await store.unsummarised(job, 10) == {}


async def test_a_summarised_message_is_forgotten_with_its_words(store: Store) -> None:
    (place,) = await keep(store, a_long("Ovens differ in the stone they have"), topic="work")
    await summarise(store)

    await forget(store, Selection(topic="work"))

    assert await store.messages("ming", [place]) == ()
    assert await found(store, "stone ovens") == set()


async def test_a_summary_is_made_once(store: Store) -> None:
    (place,) = await keep(store, a_long("Ovens differ in the stone they have"))
    await summarise(store)
    await store.ask_for_job("ming", "summary")
    job = await due(store, "summary")
    assert job is not None

    await store.keep_summaries(job, {place: Summary("Another")}, LEASE)

    assert (await store.messages("ming", [place]))[0].summary == "Ovens"


async def test_a_store_has_no_template_until_one_is_kept_and_it_is_everybodys(
    store: Store, another: Opening
) -> None:
    assert await store.template() is None
    assert await store.keep_template("name = 'shop'", instead=False)

    other = another()
    try:
        assert await other.template() == "name = 'shop'"
        assert not await other.keep_template("name = 'clinic'", instead=False)
        assert await store.template() == "name = 'shop'"
        assert await other.keep_template("name = 'clinic'", instead=True)
        assert await store.template() == "name = 'clinic'"
    finally:
        await other.close()


async def test_forgetting_everything_leaves_nothing_of_summaries_or_versions(
    store: Store, clock: HandClock
) -> None:
    await keep(store, a_long("Ovens differ in the stone they have"))
    await summarise(store)
    await store.save_profile("ming", a_profile(an_item(1)))

    await preview(store, Selection(everything=True))
    await store.forget("ming", "t")
    await Jobs(store, clock).run_due()

    assert all(profile.items == () for profile in await store.profiles("ming"))
    assert (await store.unread("ming", 10)).messages == ()
    assert await found(store, "stone ovens") == set()
