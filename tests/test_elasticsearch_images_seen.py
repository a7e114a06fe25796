"""What was seen of images on Elasticsearch is kept wherever their messages lie, and told by doctor."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mem1_mcp.errors import StoreBusyError
from mem1_mcp.stores.elasticsearch import ElasticsearchStore, images, rewriting
from mem1_mcp.types import IMAGE_KINDS, Job, JobKind, Seen
from tests.conftest import HandClock
from tests.image_files import a_file, shown
from tests.test_elasticsearch_images import LEASE, NOON, Hosts, Killed, hosts, store
from tests.test_elasticsearch_store import Held
from tests.test_store_contract import MING, found, keep

pytestmark = pytest.mark.elasticsearch

__all__ = ["hosts", "store"]  # fixtures


async def look(store: ElasticsearchStore, kind: JobKind = "ocr") -> Job:
    job = await store.claim_job((kind,), "one", LEASE)
    assert job is not None
    return job


async def test_what_was_seen_of_an_image_on_its_way_into_the_index_is_kept(hosts: Hosts) -> None:
    store, other = hosts.store(recent_calls=1), hosts.store()
    held = Held(store._indices)
    store._indices.bulk = held.bulk  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, store, shown("a ticket", NOON, a_file()))
        await held.waits.wait()
        job = await look(other)
        with pytest.raises(StoreBusyError, match="on their way"):
            await other.unseen(job)
        assert await other.count_unseen("ming", "ocr") == 1
        (kept,) = await other.latest(MING, 1)
        tasks.start_soon(other.keep_seen, job, kept.place, Seen("to Lübeck"), LEASE)
        await anyio.lowlevel.checkpoint()
        held.go_on.set()

    assert await found(other, "Lübeck") == {"a ticket\n“to Lübeck”"}
    assert await other.count_unseen("ming", "ocr") == 0
    assert await other.unseen(job) is None


async def test_the_texts_of_many_images_move_into_the_index_too(hosts: Hosts) -> None:
    store, text = hosts.store(), " ".join(f"word{number}" for number in range(800))
    places = [(await keep(store, shown(f"page {number}", NOON, a_file())))[0] for number in range(9)]
    job = await look(store)

    for place in places:
        await store.keep_seen(job, place, Seen(text), LEASE)

    ledger = await store._ledgers.read("ming")
    assert len(ledger.rows) < 9
    assert len(await found(store, "word700")) == 9
    assert await store.count_unseen("ming", "ocr") == 0


async def test_an_image_that_stays_on_its_way_is_looked_at_later(
    hosts: Hosts, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_PATIENCE_SECONDS", 0.2)
    dying, store = hosts.store(recent_calls=1), hosts.store()
    held = Held(dying._indices)
    dying._indices.bulk = held.bulk  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, dying, shown("a ticket", NOON, a_file()))
        await held.waits.wait()
        tasks.cancel_scope.cancel()
    job = await look(store)
    (kept,) = await store.latest(MING, 1)

    with pytest.raises(StoreBusyError, match="on their way"):
        await store.keep_seen(job, kept.place, Seen("to Lübeck"), 60_000)

    clock.forward(minutes=0.6)
    assert await store.unseen(job) == (kept.place, a_file())
    await store.keep_seen(job, kept.place, Seen("to Lübeck"), 60_000)
    assert await found(store, "Lübeck") == {"a ticket\n“to Lübeck”"}


async def test_images_given_up_are_looked_at_again_wherever_they_lie(hosts: Hosts) -> None:
    store, recent = hosts.store(recent_calls=1), hosts.store()
    places = [
        *await keep(store, shown("in the index", NOON, a_file("red"))),
        *await keep(recent, shown("in the ledger", NOON, a_file("blue"))),
    ]
    job = await look(store)
    for place in places:
        await store.keep_seen(job, place, Seen("", "it is torn"), LEASE)
    assert await store.unseen(job) is None
    assert await store.count_unseen("ming", "ocr") == 0
    problems = (await store.health("ming")).problems
    assert len(problems) == 2
    assert all("it is torn" in problem for problem in problems)

    await store.ask_for_job("ming", "ocr")

    assert await store.count_unseen("ming", "ocr") == 2
    assert not (await store.health("ming")).problems
    for place in places:
        await store.keep_seen(job, place, Seen("a word"), LEASE)
    assert await found(store, "word") == {"in the index\n“a word”", "in the ledger\n“a word”"}


async def test_a_message_rewritten_by_who_was_killed_gets_its_new_vector_all_the_same(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = hosts.store(recent_calls=1, space="some-model")
    (place,) = await keep(store, shown("a wall", NOON, a_file()))
    await embed(store, {place: "a wall"})
    dying = hosts.store(space="some-model")
    job = await look(dying)
    in_index = rewriting.in_index

    async def dies(*arguments: Any) -> None:
        await in_index(*arguments)
        raise Killed

    monkeypatch.setattr(rewriting, "in_index", dies)
    with pytest.raises(Killed):
        await dying.keep_seen(job, place, Seen("Lübeck 14:05"), LEASE)
    monkeypatch.undo()
    (second,) = await keep(store, "another message")

    await embed(store, {place: "a wall\n“Lübeck 14:05”", second: "another message"})

    assert (await store.vectors("ming")).waiting == 0
    assert set(await store.similarities("ming", VECTOR, [place, second])) == {place, second}


VECTOR = bytes((127, 0, 0, 0))


async def embed(store: ElasticsearchStore, expected: dict[int, str]) -> None:
    job = await look(store, "embedding")
    assert await store.unembedded(job, 10) == expected
    await store.keep_vectors(job, dict.fromkeys(expected, VECTOR), LEASE)
    assert await store.unembedded(job, 10) == {}
    await store.finish_job(job)


@pytest.mark.parametrize("recent_calls", [64, 1])
async def test_doctor_tells_of_images_only_where_there_are_some(hosts: Hosts, recent_calls: int) -> None:
    store = hosts.store(recent_calls)
    await keep(store, "no image here")
    assert "images" not in dict((await store.health("ming")).facts)

    one, _, _ = await keep(
        store,
        shown("a door", NOON, a_file()),
        shown("the same door", NOON, a_file()),
        shown("a lake that was never sent", NOON),
    )
    for kind, told in (("ocr", Seen("")), ("caption", Seen("a red door"))):
        job = await look(store, kind)  # type: ignore[arg-type]
        await store.keep_seen(job, one, told, LEASE)
        await store.postpone_job(job, None, NOON)

    facts = dict((await store.health("ming")).facts)
    assert facts["images"] == "3, 1 files of 0.0 MB; text read in 1, captions of 1"
    assert not {f"job {kind}" for kind in IMAGE_KINDS} & facts.keys()
    job = await look(store)
    await store.postpone_job(job, "the reader fell over", NOON)
    assert "the reader fell over" in dict((await store.health("ming")).facts)["job ocr"]
