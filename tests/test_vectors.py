"""What every store promises about vectors, with vectors that are made by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import pytest

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.protocols import Store
from mem1_mcp.types import Job, JobKind, Scope, Selection, Vectors
from tests.conftest import HandClock, Opening
from tests.embedding_endpoint import endpoint
from tests.test_meaning import remembering
from tests.test_remember_and_recall import found_by, tell
from tests.test_store_contract import MING, forget, keep, preview, said

ENGINES = ("sqlite", "elasticsearch", "indexed")

LEASE_MS = 15_000
EMBEDDING: tuple[JobKind, ...] = ("embedding",)
SPACE, OTHER_SPACE = "small model", "large model"


def vector(*numbers: int) -> bytes:
    """Write small numbers as the bytes of a vector of unit length."""
    length = sum(number * number for number in numbers) ** 0.5
    return bytes(round(127 * number / length) % 256 for number in numbers)


EAST, NORTH, NORTH_EAST, WEST = vector(1, 0), vector(0, 1), vector(1, 1), vector(-1, 0)


@pytest.fixture
async def store(another: Opening) -> AsyncGenerator[Store]:
    opened = another(SPACE)
    yield opened
    await opened.close()


async def claim(store: Store) -> Job:
    job = await store.claim_job(EMBEDDING, "me", LEASE_MS)
    assert job is not None
    return job


async def embed(store: Store, by_word: Mapping[str, bytes], at_once: int = 100) -> list[str]:
    """Do the job, with the vector of the first word a message holds; return what got one, in order."""
    embedded: list[str] = []
    job = await claim(store)
    while waiting := await store.unembedded(job, at_once):
        assert len(embedded) < 1000
        made = {
            place: next((v for word, v in by_word.items() if word in content), b"")
            for place, content in waiting.items()
        }
        embedded += waiting.values()
        await store.keep_vectors(job, made, LEASE_MS)
    await store.keep_vectors(job, {}, LEASE_MS)
    await store.finish_job(job)
    return embedded


async def near(store: Store, to: bytes, scope: Scope = MING, limit: int = 10) -> list[str]:
    places = await store.nearest(scope, to, limit)
    return [stored.content for stored in await store.messages(scope.user, list(places))]


async def test_what_is_nearest_comes_first_with_its_cosine(store: Store) -> None:
    east, north, west = await keep(store, "east", "north", "west")
    await embed(store, {"east": EAST, "north": NORTH, "west": WEST})

    found = await store.nearest(MING, EAST, 10)

    assert list(found) == [east, north, west]
    assert list(found.values()) == pytest.approx([1, 0, -1], abs=0.02)


async def test_no_more_are_found_than_wanted(store: Store) -> None:
    await keep(store, *(f"north {number}" for number in range(20)), "east")
    await embed(store, {"north": NORTH, "east": EAST})

    assert await near(store, EAST, limit=1) == ["east"]
    assert len(await store.nearest(MING, EAST, 7)) == 7


async def test_messages_are_compared_by_place(store: Store) -> None:
    east, north, nothing = await keep(store, "east", "north", "says nothing")
    await embed(store, {"east": EAST, "north": NORTH})

    compared = await store.similarities("ming", NORTH_EAST, [east, north, nothing, 999_999])

    assert compared == pytest.approx({east: 0.707, north: 0.707}, abs=0.02)


async def test_vectors_are_made_in_the_order_in_which_messages_came(store: Store) -> None:
    await keep(store, "first", topic="a")
    await keep(store, "second", "third", topic="b")
    await keep(store, "fourth", topic="a")

    assert await embed(store, {}, at_once=1) == ["first", "second", "third", "fourth"]


async def test_what_has_a_vector_waits_for_none(store: Store) -> None:
    await keep(store, "east")
    assert (await store.vectors("ming")).waiting == 1
    await embed(store, {"east": EAST})
    assert await store.vectors("ming") == Vectors(current=True, waiting=0)
    assert await store.claim_job(EMBEDDING, "me", LEASE_MS) is None

    await keep(store, "north", at=HandClock.now + 1)

    assert await store.vectors("ming") == Vectors(current=True, waiting=1)
    assert await embed(store, {"north": NORTH}) == ["north"]


async def test_what_comes_while_vectors_are_made_gets_one_too(store: Store) -> None:
    await keep(store, "east")
    job = await claim(store)
    waiting = await store.unembedded(job, 10)
    await keep(store, "north", at=HandClock.now + 1)
    await store.keep_vectors(job, dict.fromkeys(waiting, EAST), LEASE_MS)
    await store.finish_job(job)

    assert await embed(store, {"north": NORTH}) == ["north"]
    assert set(await near(store, EAST)) == {"east", "north"}


async def test_a_message_of_which_no_vector_can_be_made_is_not_asked_for_again(store: Store) -> None:
    await keep(store, "unspeakable")

    assert await embed(store, {}) == ["unspeakable"]
    assert (await store.vectors("ming")).waiting == 0
    assert await near(store, EAST) == []


async def test_another_model_makes_all_vectors_anew_and_compares_no_old_ones(
    store: Store, another: Opening, clock: HandClock
) -> None:
    await keep(store, "east", "north")
    await embed(store, {"east": EAST, "north": NORTH})
    clock.forward(minutes=1)
    changed = another(OTHER_SPACE)
    try:
        assert await changed.vectors("ming") == Vectors(current=False, waiting=1)
        assert await near(changed, EAST) == []
        job = await claim(changed)
        first, *_ = await changed.unembedded(job, 1)
        await changed.keep_vectors(job, {first: NORTH}, LEASE_MS)

        # The space has one vector by now, and the old ones are still there.
        assert await near(changed, EAST) == ["east"]
        assert (await changed.nearest(MING, EAST, 10))[first] == pytest.approx(0, abs=0.02)
        assert await changed.similarities("ming", EAST, [first, first + 1]) == pytest.approx(
            {first: 0}, abs=0.02
        )
        await changed.postpone_job(job, None, clock())
        assert await embed(changed, {"north": EAST}) == ["north"]
        assert await near(changed, EAST) == ["north", "east"]
        assert await near(store, EAST) == []
        assert (await store.vectors("ming")).current is False
    finally:
        await changed.close()


async def test_vectors_of_a_model_that_was_changed_meanwhile_are_refused(
    store: Store, another: Opening, clock: HandClock
) -> None:
    (place,) = await keep(store, "east")
    late = await claim(store)
    clock.forward(minutes=1)
    changed = another(OTHER_SPACE)
    try:
        await claim(changed)

        with pytest.raises(LeaseLostError):
            await store.keep_vectors(replace(late, owner="me"), {place: EAST}, LEASE_MS)
        assert await near(changed, EAST) == []
    finally:
        await changed.close()


async def test_what_is_forgotten_and_not_yet_erased_waits_for_no_vector(store: Store) -> None:
    await keep(store, *(f"north {number}" for number in range(150)))
    await keep(store, "east", topic="work")
    await preview(store, Selection(topic="home"))
    await store.forget("ming", "t")

    assert await embed(store, {"east": EAST}) == ["east"]
    assert (await store.vectors("ming")).waiting == 0


async def test_two_models_do_not_take_turns(store: Store, another: Opening, clock: HandClock) -> None:
    await keep(store, "east")
    await embed(store, {"east": EAST})
    clock.forward(minutes=1)
    newer = another(OTHER_SPACE)
    try:
        await embed(newer, {"east": NORTH})

        assert await store.claim_job(EMBEDDING, "me", LEASE_MS) is None
        assert await near(newer, NORTH) == ["east"]
    finally:
        await newer.close()


async def test_vectors_of_other_dimensions_begin_the_space_anew(store: Store) -> None:
    await keep(store, "east", "north")
    await embed(store, {"east": EAST, "north": NORTH})
    await keep(store, "up", at=HandClock.now + 1)
    up = vector(0, 0, 1)

    assert await embed(store, {"up": up, "east": vector(1, 0, 0), "north": vector(0, 1, 0)}) == [
        "up",
        "east",
        "north",
    ]

    assert (await near(store, up))[0] == "up"
    assert await near(store, EAST) == []


async def test_a_scope_says_which_messages_are_near(store: Store) -> None:
    await keep(store, said("east at home", at=HandClock.now), metadata={"place": "home"})
    await keep(store, said("east at work", at=HandClock.now + 5), topic="work", metadata={"place": "work"})
    await keep(store, "east of another", user="li")
    await embed(store, {"east": EAST})
    await embed(store, {"east": EAST})

    assert set(await near(store, EAST)) == {"east at home", "east at work"}
    for scope in (
        replace(MING, topic="work"),
        replace(MING, since=HandClock.now + 1),
        replace(MING, metadata=(("place", "work"),)),
    ):
        assert await near(store, EAST, scope) == ["east at work"]
    assert await near(store, EAST, replace(MING, until=HandClock.now)) == ["east at home"]
    assert await near(store, EAST, Scope("li")) == ["east of another"]


@pytest.mark.parametrize("how", ["ids", "topic", "everything"])
async def test_what_is_forgotten_is_near_to_nothing(store: Store, how: str) -> None:
    places = await keep(store, "east", "east too")
    await keep(store, "east elsewhere", topic="work")
    await embed(store, {"east": EAST})
    selections = {
        "ids": Selection(places=places),
        "topic": Selection(topic="home"),
        "everything": Selection(everything=True),
    }

    await forget(store, selections[how])

    assert set(await near(store, EAST)) == (set() if how == "everything" else {"east elsewhere"})
    assert await store.similarities("ming", EAST, places) == {}


async def test_what_is_forgotten_while_its_vector_is_made_gets_none(store: Store) -> None:
    places = await keep(store, "east", "north")
    job = await claim(store)
    waiting = await store.unembedded(job, 10)
    await forget(store, Selection(places=places[:1]))

    await store.keep_vectors(job, dict.fromkeys(waiting, EAST), LEASE_MS)

    assert await near(store, EAST) == ["north"]


async def test_vectors_of_a_job_that_is_anothers_by_now_are_refused(store: Store, clock: HandClock) -> None:
    (place,) = await keep(store, "east")
    late = await claim(store)
    clock.forward(minutes=1)
    assert await store.claim_job(EMBEDDING, "somebody else", LEASE_MS) is not None

    with pytest.raises(LeaseLostError):
        await store.keep_vectors(late, {place: EAST}, LEASE_MS)


async def test_a_store_without_a_model_finds_nothing_near_and_asks_for_no_vectors(
    store: Store, another: Opening
) -> None:
    plain = another()
    try:
        await keep(plain, "east")

        assert await near(plain, EAST) == []
        assert await plain.similarities("ming", EAST, [0]) == {}
        assert await plain.claim_job(EMBEDDING, "me", LEASE_MS) is None
        assert await embed(store, {"east": EAST}) == ["east"]
    finally:
        await plain.close()


async def test_recall_finds_by_meaning_what_shares_no_word(another: Opening, clock: HandClock) -> None:
    with endpoint() as served:
        async with remembering(another, clock, served) as (host, memory):
            for text in ("My automobile is green.", "The physician was late.", "The sea was calm."):
                await tell(host, text, topic=text)
            await memory.make_vectors("ming")

            assert (await found_by(host, "医生", topic="*"))[0] == "The physician was late."
            assert (await found_by(host, "Was the sea calm?", topic="*"))[0] == "The sea was calm."
