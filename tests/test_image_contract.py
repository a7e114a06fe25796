"""What every store promises of images: ``protocols.Store`` read aloud, for messages that are images."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.memory import Jobs
from mem1_mcp.protocols import Store
from mem1_mcp.types import IMAGE_KINDS, ImageFile, Job, JobKind, Scope, Seen, Selection
from tests.conftest import HandClock, Opening
from tests.image_files import a_file, shown
from tests.test_store_contract import MING, MINUTE, NOON, forget, forget_again, found, keep, preview, said

ENGINES = ("sqlite", "elasticsearch", "indexed")
LEASE = 15_000
OCR: tuple[JobKind] = ("ocr",)
IMAGES = replace(MING, images=True)


async def an_image(
    store: Store, description: str = "a red door", file: ImageFile | None = None, **changes: object
) -> int:
    (place,) = await keep(store, shown(description, NOON, file), **changes)
    return place


async def look(store: Store, kind: JobKind = "ocr", owner: str = "one") -> Job:
    job = await store.claim_job((kind,), owner, LEASE)
    assert job is not None
    return job


async def see(
    store: Store, place: int, words: str, kind: JobKind = "ocr", trouble: str | None = None
) -> None:
    """Look at an image as a job does, to the job's end."""
    job = await look(store, kind)
    await store.keep_seen(job, place, Seen(words, trouble), LEASE)
    await store.finish_job(job)


async def test_an_image_is_a_message_with_what_is_known_of_it_and_its_bytes(store: Store) -> None:
    file = a_file()
    spoken = (
        said("my new door"),
        shown("a red door", NOON, file, "door.png"),
        said("nice", role="assistant"),
    )

    before, place, after = await keep(store, *spoken, topic="house", metadata={"k": "v"})

    (kept,) = await store.messages("ming", [place])
    assert kept.image == spoken[1][0].image
    assert (kept.role, kept.topic, kept.content) == ("tool", "house", "door.png\na red door")
    assert kept.metadata == {"k": "v"}
    assert await store.image_file("ming", place) == file
    assert await store.thumbnails("ming", [before, place, after]) == {place: b"thumb-red"}
    assert await store.image_file("ming", before) is None


async def test_a_message_tells_which_images_were_sent_with_it(store: Store) -> None:
    spoken = said("look"), shown("one", NOON, a_file()), shown("two", NOON), said("seen", role="assistant")

    look_, one, two, seen = await keep(store, *spoken)
    alone = await an_image(store, "three")

    kept = await store.messages("ming", [look_, one, two, seen, alone])
    assert [each.images for each in kept] == [(one, two), (), (), (), ()]


async def test_a_description_alone_is_kept_without_bytes(store: Store) -> None:
    place = await an_image(store, "the lost photo of the boat")

    (kept,) = await store.messages("ming", [place])
    assert kept.image is not None
    assert kept.image.digest is None
    assert await store.image_file("ming", place) is None
    assert await store.thumbnails("ming", [place]) == {}
    assert await store.claim_job(IMAGE_KINDS, "one", LEASE) is None


async def test_equal_bytes_of_two_images_are_both_read_back(store: Store) -> None:
    one = await an_image(store, "the door", a_file())
    two = await an_image(store, "the door again", a_file(), at=NOON + 5 * MINUTE)

    assert await store.image_file("ming", one) == await store.image_file("ming", two) == a_file()
    await forget(store, Selection(places=(one,)))
    assert await store.image_file("ming", one) is None
    assert await store.image_file("ming", two) == a_file()


async def test_an_image_forgotten_and_sent_again_is_whole(store: Store) -> None:
    for ticket in "abc":
        place = await an_image(store, "the door", a_file(), topic=f"topic {ticket}")
        assert await store.image_file("ming", place) == a_file()
        await forget(store, Selection(places=(place,)), ticket)
        assert await store.image_file("ming", place) is None


async def test_another_user_has_no_such_image(store: Store) -> None:
    place = await an_image(store, file=a_file())

    assert await store.image_file("hong", place) is None
    assert await store.thumbnails("hong", [place]) == {}
    assert await found(store, "door", Scope("hong", images=True)) == set()


async def test_in_a_scope_of_images_only_images_are_hits(store: Store) -> None:
    await keep(store, said("the door is red"))
    place = await an_image(store, "a red door", a_file())
    elsewhere = await an_image(store, "another red door", topic="work")

    assert await store.count(IMAGES) == 2
    assert {each.place for each in await store.latest(IMAGES, 10)} == {place, elsewhere}
    assert {each.place for each in await store.latest(replace(IMAGES, topic="work"), 10)} == {elsewhere}
    assert await found(store, "door", IMAGES) == {"a red door", "another red door"}
    assert await found(store, "door", replace(IMAGES, topic="home")) == {"a red door"}


async def test_the_words_beside_an_image_make_its_message_a_candidate(store: Store) -> None:
    before, place, _after = await keep(
        store,
        said("our trip to the lake"),
        shown("water and trees", NOON, a_file()),
        said("the lake it is"),
    )
    await keep(store, said("another lake"), at=NOON + 9 * MINUTE)

    assert await found(store, "lake", IMAGES) == {"our trip to the lake"}
    windows = await store.windows(IMAGES, [before], 4)
    assert {p for p, e in zip(windows.places, windows.eligible, strict=True) if e} == {place}


async def test_times_limit_images_as_they_limit_messages(store: Store) -> None:
    await keep(store, shown("old door", NOON - 100 * MINUTE))
    await keep(store, shown("new door", NOON), at=NOON + MINUTE)

    assert await found(store, "door", replace(IMAGES, until=NOON - MINUTE)) == {"old door"}
    assert await found(store, "door", replace(IMAGES, since=NOON - MINUTE)) == {"new door"}


async def test_each_image_with_bytes_is_looked_at_once_in_each_way(store: Store) -> None:
    one, two = await keep(store, shown("one", NOON, a_file("red")), shown("two", NOON, a_file("blue")))
    await an_image(store, "without bytes", topic="other")

    for kind in IMAGE_KINDS:
        seen = []
        job = await look(store, kind)
        while (unseen := await store.unseen(job)) is not None:
            place, file = unseen
            seen.append((place, file.thumbnail))
            await store.keep_seen(job, place, Seen(f"words by {kind}"), LEASE)
        assert await store.finish_job(job)
        assert seen == [(one, b"thumb-red"), (two, b"thumb-blue")]
    (kept, _) = await store.messages("ming", [one, two])
    assert kept.image is not None
    assert (kept.image.description, kept.image.text, kept.image.caption) == (
        "one",
        "words by ocr",
        "words by caption",
    )
    assert kept.content == "one\nwords by caption\n“words by ocr”"
    assert await store.claim_job(IMAGE_KINDS, "one", LEASE) is None


async def test_what_was_seen_is_searched_from_then_on_and_taken_into_the_statistics(store: Store) -> None:
    place = await an_image(store, "a ticket", a_file())
    before = await store.statistics("ming", ["lübeck", "lubeck", "ticket"])

    await see(store, place, "Lübeck 14:05")

    assert await found(store, "Lübeck") == {"a ticket\n“Lübeck 14:05”"}
    after = await store.statistics("ming", ["lubeck", "ticket"])
    assert (after.found_in["lubeck"], after.found_in["ticket"]) == (1, 1)
    assert after.total_length > before.total_length
    assert after.messages == 1


async def test_nothing_seen_is_noted_too(store: Store) -> None:
    place = await an_image(store, "a wall", a_file())

    await see(store, place, "")

    (kept,) = await store.messages("ming", [place])
    assert kept.image is not None
    assert (kept.image.text, kept.content) == ("", "a wall")
    assert await store.claim_job(OCR, "one", LEASE) is None


async def test_an_image_given_up_is_named_and_looked_at_again_when_asked(store: Store) -> None:
    place = await an_image(store, "a wall", a_file())

    await see(store, place, "", trouble="the reader fell over")

    assert any("the reader fell over" in problem for problem in (await store.health("ming")).problems)
    await store.ask_for_job("ming", "ocr")
    job = await look(store)
    assert await store.unseen(job) == (place, a_file())
    await store.keep_seen(job, place, Seen("words"), LEASE)
    assert not (await store.health("ming")).problems


async def test_who_lost_the_lease_keeps_nothing(store: Store, clock: HandClock) -> None:
    place = await an_image(store, "a wall", a_file())
    slow = await look(store, owner="slow")
    clock.forward(minutes=1)
    await look(store, owner="quick")

    with pytest.raises(LeaseLostError):
        await store.keep_seen(slow, place, Seen("late words"), LEASE)
    (kept,) = await store.messages("ming", [place])
    assert kept.content == "a wall"


async def test_what_was_forgotten_while_it_was_looked_at_stays_so(store: Store) -> None:
    place = await an_image(store, "a wall", a_file())
    job = await look(store)
    assert await store.unseen(job) is not None
    await forget(store, Selection(topic="home"))

    await store.keep_seen(job, place, Seen("late words"), LEASE)

    assert await store.messages("ming", [place]) == ()
    assert await found(store, "late words") == set()


@pytest.mark.parametrize("how", ["places", "topic", "everything"])
async def test_a_forgotten_image_is_found_by_no_read(store: Store, how: str) -> None:
    before, place = await keep(store, said("look"), shown("a red door", NOON, a_file()))
    selection = {
        "places": Selection(places=(place,)),
        "topic": Selection(topic="home"),
        "everything": Selection(everything=True),
    }[how]

    await preview(store, selection)
    await store.forget("ming", "t")

    for _ in range(2):
        assert await store.image_file("ming", place) is None
        assert await store.thumbnails("ming", [place]) == {}
        assert await store.count(IMAGES) == 0
        assert await found(store, "door") == set()
        assert all(each.images == () for each in await store.messages("ming", [before]))
        await forget_again(store)
    job = await store.claim_job(OCR, "one", LEASE)
    assert job is None or await store.unseen(job) is None


async def test_a_repeated_call_adds_no_image(store: Store) -> None:
    spoken = shown("a red door", NOON, a_file())

    first = await keep(store, spoken, request_id="r")
    again = await keep(store, spoken, request_id="r")

    assert first == again
    assert await store.count(IMAGES) == 1


async def test_images_outlive_the_program_that_kept_them(store: Store, another: Opening) -> None:
    place = await an_image(store, file=a_file())
    await see(store, place, "read")

    opened = another()
    assert await opened.image_file("ming", place) == a_file()
    (kept,) = await opened.messages("ming", [place])
    assert kept.content == "a red door\n“read”"
    await opened.close()


async def test_an_image_gets_a_new_vector_for_what_was_seen(another: Opening, clock: HandClock) -> None:
    store = another(space="some-model")
    place = await an_image(store, "a wall", a_file())
    job = await look(store, "embedding")
    await store.keep_vectors(job, {place: bytes([9, 9, 9, 9])}, LEASE)
    await store.finish_job(job)
    assert (await store.vectors("ming")).waiting == 0

    await see(store, place, "Lübeck 14:05")

    job = await look(store, "embedding")
    assert await store.unembedded(job, 10) == {place: "a wall\n“Lübeck 14:05”"}
    await store.close()


async def test_jobs_of_a_program_without_eyes_leave_images_alone(store: Store, clock: HandClock) -> None:
    await an_image(store, file=a_file())

    await Jobs(store, clock).run_due()

    assert (await look(store, "ocr")).attempts == 0
