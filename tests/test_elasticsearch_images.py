"""Images on Elasticsearch: whoever dies, no message is without its bytes, nor bytes without it for long."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from hashlib import sha256
from typing import Any

import anyio
import pytest

from mem1_mcp.errors import RequestIdReusedError, StoreBusyError, StoreError
from mem1_mcp.memory import Jobs
from mem1_mcp.stores.elasticsearch import Cluster, ElasticsearchStore, images
from mem1_mcp.types import ImageFile, Scope, Selection
from tests.conftest import HandClock
from tests.image_files import a_file, shown
from tests.test_elasticsearch_failures import ask
from tests.test_store_contract import MING, keep, preview, said

pytestmark = pytest.mark.elasticsearch

NOON = HandClock.now
LEASE = 15_000


class Killed(BaseException):
    """The process ends here: nothing after it is done, nothing is caught."""


class Hosts:
    """The cluster of a test, and the stores that are opened over it."""

    def __init__(self, url: str, prefix: str, clock: HandClock) -> None:
        self.url, self.prefix, self.clock = url, prefix, clock
        self.opened: list[ElasticsearchStore] = []

    def store(self, recent_calls: int = 64, space: str | None = None) -> ElasticsearchStore:
        cluster = Cluster(tuple(self.url.split(",")), prefix=self.prefix, recent_calls=recent_calls)
        self.opened.append(ElasticsearchStore(cluster, self.clock, space))
        return self.opened[-1]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return ask(self.url, method, f"/{self.prefix}{path}", body)

    def documents(self) -> dict[str, int]:
        """Return the ids of all documents of images, with how often each was written."""
        self.ask("POST", "mem1_user_images/_refresh")
        query = "size=10000&_source=false&version=true"
        hits = self.ask("GET", f"mem1_user_images/_search?{query}")["hits"]["hits"]
        return {hit["_id"]: hit["_version"] for hit in hits}


@pytest.fixture
async def hosts(elasticsearch_url: str, index_prefix: str, clock: HandClock) -> AsyncGenerator[Hosts]:
    made = Hosts(elasticsearch_url, index_prefix, clock)
    yield made
    for store in made.opened:
        await store.close()


@pytest.fixture
def store(hosts: Hosts) -> ElasticsearchStore:
    return hosts.store()


@pytest.fixture
def other(hosts: Hosts) -> ElasticsearchStore:
    return hosts.store()


def kill_at(store: ElasticsearchStore, number: int, *, sent: bool) -> None:
    """Have the process die at its request of this number: when that was done, or before it is sent."""
    request, left = store._connection.request, number

    async def cut(*arguments: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left > 0:
            return await request(*arguments, **more)
        if left == 0 and sent:
            await request(*arguments, **more)
        raise Killed

    store._connection.request = cut  # type: ignore[method-assign]


async def erased(store: ElasticsearchStore, clock: HandClock) -> None:
    """Let the background work until no document is left that it wants to delete."""
    await Jobs(store, clock).run_due()


async def whole(store: ElasticsearchStore, user: str, files: Iterable[ImageFile]) -> int:
    """Check that each image of a user has its bytes; return how many there are."""
    known = {file.digest: file for file in files}
    kept = await store.latest(Scope(user, images=True), 10_000)
    for each in kept:
        assert each.image is not None
        assert await store.image_file(user, each.place) == known[str(each.image.digest)]
    return len(kept)


@pytest.mark.parametrize("recent_calls", [64, 1])
@pytest.mark.parametrize("sent", [False, True])
async def test_who_is_killed_within_an_append_leaves_no_message_without_its_bytes_and_no_bytes_for_long(
    hosts: Hosts, clock: HandClock, recent_calls: int, *, sent: bool
) -> None:
    files = a_file("red"), a_file("blue")
    spoken = said("two doors"), *(shown("a door", NOON, file) for file in files)
    number, outcomes = 0, []
    while True:
        number += 1
        user = f"user {number}"
        dying = hosts.store(recent_calls)
        await dying.count(Scope(user))
        kill_at(dying, number, sent=sent)
        try:
            await keep(dying, *spoken, user=user)
        except Killed:
            outcomes.append(await whole(hosts.store(recent_calls), user, files))
            continue
        break
    assert set(outcomes) <= {0, 2}  # all of a call or nothing
    assert outcomes == sorted(outcomes)
    before = {name.split(":")[0] for name in hosts.documents()}
    clock.forward(minutes=9)
    await erased(hosts.store(), clock)
    assert {name.split(":")[0] for name in hosts.documents()} == before  # they may still be at it

    clock.forward(minutes=2)
    survivor = hosts.store(recent_calls)
    await erased(survivor, clock)

    left = {name.split(":")[0] for name in hosts.documents()}
    counted = {
        user: await whole(survivor, user, files) for user in (f"user {n + 1}" for n in range(number))
    }
    assert len(left) == sum(each == 2 for each in counted.values())
    assert [counted[f"user {n + 1}"] for n in range(number - 1)] == outcomes
    assert outcomes.count(0) >= 3
    print(f"\nkilled at {number - 1} requests: nothing kept {outcomes.count(0)} times, else all of it")


async def test_an_append_that_was_given_up_brings_its_bytes_again(
    store: ElasticsearchStore, other: ElasticsearchStore, hosts: Hosts, clock: HandClock
) -> None:
    bring, late = images.bring, anyio.Event()

    async def slow(*arguments: Any) -> None:
        await bring(*arguments)
        if not late.is_set():
            # The machine sleeps for an hour, and another one tidies up.
            clock.forward(minutes=60)
            await erased(other, clock)
            assert hosts.documents() == {}
            late.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "bring", slow)
        (place,) = await keep(store, shown("a door", NOON, a_file()))

    assert late.is_set()
    assert await other.image_file("ming", place) == a_file()
    await erased(other, clock)
    assert await other.image_file("ming", place) == a_file()


async def test_an_append_whose_bytes_are_always_given_up_says_that_nothing_was_saved(
    store: ElasticsearchStore, other: ElasticsearchStore, clock: HandClock
) -> None:
    bring = images.bring

    async def too_slow(*arguments: Any) -> None:
        await bring(*arguments)
        clock.forward(minutes=60)
        await erased(other, clock)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "bring", too_slow)
        with pytest.raises(StoreBusyError, match="Nothing of this call was saved"):
            await keep(store, shown("a door", NOON, a_file()))

    assert await other.count(MING) == 0


async def test_an_erasure_between_bringing_and_keeping_leaves_the_bytes(
    store: ElasticsearchStore, other: ElasticsearchStore, hosts: Hosts, clock: HandClock
) -> None:
    await keep(store, shown("a tree", NOON, a_file("green")), topic="work")
    bring = images.bring

    async def interrupted(*arguments: Any) -> None:
        await bring(*arguments)
        await preview(other, Selection(topic="work"))
        await other.forget("ming", "t")
        await erased(other, clock)
        assert len(hosts.documents()) == 2  # of the tree nothing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "bring", interrupted)
        (place,) = await keep(store, shown("a door", NOON, a_file()))

    assert await other.image_file("ming", place) == a_file()


class HeldBack:
    """Holds what a store asks of the index of images in one way back until it is told to go on."""

    def __init__(self, store: ElasticsearchStore, way: str) -> None:
        self.waits, self.go_on = anyio.Event(), anyio.Event()
        self._index, self._asked = store._indices.images, getattr(store._indices, way)
        setattr(store._indices, way, self.ask)

    async def ask(self, index: str, *arguments: Any, **more: Any) -> Any:
        if index == self._index:
            self.waits.set()
            await self.go_on.wait()
        return await self._asked(index, *arguments, **more)


@pytest.mark.parametrize("recent_calls", [64, 1])
@pytest.mark.parametrize("way", ["search", "bulk"])
async def test_an_image_sent_again_while_its_earlier_copy_is_erased_stays_whole(
    hosts: Hosts, clock: HandClock, recent_calls: int, way: str
) -> None:
    eraser, sender = hosts.store(recent_calls), hosts.store(recent_calls)
    await keep(sender, shown("a door", NOON, a_file()))
    await preview(eraser, Selection(everything=True))
    await eraser.forget("ming", "t")
    held = HeldBack(eraser, way)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(erased, eraser, clock)
        await held.waits.wait()
        (place,) = await keep(sender, shown("the door again", NOON, a_file()))
        hosts.documents()  # searches see it from here on
        held.go_on.set()

    assert await eraser.image_file("ming", place) == a_file()
    assert await sender.thumbnails("ming", [place]) == {place: b"thumb-red"}
    assert len(hosts.documents()) == 2


async def test_equal_bytes_of_another_user_are_untouched(
    store: ElasticsearchStore, hosts: Hosts, clock: HandClock
) -> None:
    (mine,) = await keep(store, shown("my door", NOON, a_file()))
    (theirs,) = await keep(store, shown("their door", NOON, a_file()), user="hong")
    assert len(hosts.documents()) == 4

    await preview(store, Selection(everything=True))
    await store.forget("ming", "t")
    await erased(store, clock)

    assert await store.image_file("ming", mine) is None
    assert await store.image_file("hong", theirs) == a_file()
    assert len(hosts.documents()) == 2


async def test_a_repeated_call_writes_no_bytes_again(
    store: ElasticsearchStore, other: ElasticsearchStore, hosts: Hosts
) -> None:
    spoken = shown("a door", NOON, a_file())
    await keep(store, spoken, request_id="r", repeat_since=NOON - 1)
    before = hosts.documents()

    await keep(other, spoken, request_id="r", repeat_since=NOON - 1)
    await keep(other, spoken, repeat_since=NOON - 1)
    with pytest.raises(RequestIdReusedError):
        await keep(other, shown("a lake", NOON, a_file("blue")), request_id="r")

    assert hosts.documents() == before
    assert await other.count(MING) == 1


async def test_two_deliveries_of_one_call_at_once_are_kept_once_and_leave_nothing(
    hosts: Hosts, clock: HandClock
) -> None:
    stores = [hosts.store() for _ in range(4)]
    spoken = shown("a door", NOON, a_file())

    async with anyio.create_task_group() as tasks:
        for each in stores:
            tasks.start_soon(partial(keep, each, spoken, request_id="r"))

    assert await whole(stores[0], "ming", [a_file()]) == 1
    assert (await stores[0]._ledgers.read("ming")).uploads == {}
    clock.forward(minutes=20)
    assert await stores[0].claim_job(["erasure"], "one", LEASE) is None


def a_large_file(size: int, thumbnail: int = 20_000) -> ImageFile:
    data = os.urandom(size)
    return ImageFile(sha256(data).hexdigest(), data, "image/jpeg", 4000, 3000, os.urandom(thumbnail))


async def test_the_largest_images_are_kept_and_read_back(store: ElasticsearchStore) -> None:
    files = [a_large_file(11 * 1024 * 1024) for _ in range(2)]
    files += [a_large_file(size) for size in (1, 749_999, 750_000, 750_001)]

    await keep(store, said("look"), *(shown(f"image {number}", NOON, f) for number, f in enumerate(files)))

    assert await whole(store, "ming", files) == len(files)
    assert "6 files of 25.3 MB" in dict((await store.health("ming")).facts)["images"]


async def test_thumbnails_are_read_without_the_bytes(store: ElasticsearchStore) -> None:
    file = a_large_file(3_000_000, 2000)
    (place,) = await keep(store, shown("a door", NOON, file))
    request, read = store._connection.request, 0

    async def weighed(*arguments: Any, **more: Any) -> Any:
        nonlocal read
        status, body = await request(*arguments, **more)
        read += len(json.dumps(body))
        return status, body

    store._connection.request = weighed  # type: ignore[method-assign]

    assert await store.thumbnails("ming", [place]) == {place: file.thumbnail}
    assert read < 10_000


async def test_an_erasure_goes_through_many_images_and_deletes_what_is_nobodys(
    store: ElasticsearchStore, hosts: Hosts, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_AT_ONCE", 3)
    files = [a_large_file(10 + number, 5) for number in range(12)]
    places = [(await keep(store, shown("a door", NOON, file)))[0] for file in files]

    await preview(store, Selection(places=tuple(places[1::3])))
    await store.forget("ming", "t")
    await erased(store, clock)

    assert await whole(store, "ming", files) == 8
    assert len(hosts.documents()) == 16
    assert "8 files of 0.0 MB" in dict((await store.health("ming")).facts)["images"]


async def test_that_the_index_of_images_is_gone_is_told_at_once(
    store: ElasticsearchStore, hosts: Hosts
) -> None:
    (place,) = await keep(store, shown("a door", NOON, a_file()))
    hosts.ask("DELETE", "mem1_user_images-v1")

    with anyio.fail_after(5), pytest.raises(StoreError, match="An index of mem1-mcp is missing"):
        await store.thumbnails("ming", [place])

    # The next call begins with an empty one; what is known of the image is where it was.
    assert await store.thumbnails("ming", [place]) == {}
    assert await store.image_file("ming", place) is None
    job = await store.claim_job(["ocr"], "one", LEASE)
    assert job is not None
    assert await store.unseen(job) is None
