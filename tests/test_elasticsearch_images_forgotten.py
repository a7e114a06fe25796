"""Forgotten images leave no byte on any disk, and what many send and forget at once stays whole."""

from __future__ import annotations

import os
import random
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

from mem1_mcp.memory import Jobs
from mem1_mcp.stores.elasticsearch import ElasticsearchStore, indices
from mem1_mcp.types import ImageFile, JobKind, Scope, Seen, Selection
from tests.conftest import HandClock
from tests.image_files import a_file, shown
from tests.test_elasticsearch_failures import ask
from tests.test_elasticsearch_images import LEASE, NOON, Hosts, erased, hosts, whole
from tests.test_store_contract import keep, preview, said

pytestmark = pytest.mark.elasticsearch

__all__ = ["hosts"]  # a fixture

# Nothing in them can be compressed. They are looked for in pieces: a segment keeps long bytes in blocks.
SECRETS = {"bytes": os.urandom(120), "thumbnail": os.urandom(120)}
WORDS = "zqfilename zqdescription zqtextinit zqcaption".split()
IMAGES = Scope("ming", images=True)


def a_marked_file(user: str) -> ImageFile:
    data, thumbnail = (secret + user.encode() for secret in SECRETS.values())
    return ImageFile(sha256(data).hexdigest(), data, "image/png", 8, 8, thumbnail)


def markers_on(folders: Iterable[Path]) -> set[str]:
    """Return the markers that can be read in any file."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    held = b"".join(path.read_bytes() for path in paths)
    pieces = {
        name: [form[at : at + 16] for form in (secret, b64encode(secret)) for at in range(0, 120, 8)]
        for name, secret in SECRETS.items()
    }
    found = {name for name, parts in pieces.items() if any(piece in held for piece in parts)}
    return found | {word for word in WORDS if word.encode() in held}


async def seen_and_kept(store: ElasticsearchStore, user: str, file: ImageFile, words: Iterable[str]) -> int:
    """Keep an image with words in each place that can hold some."""
    filename, description, text, caption = words
    (place,) = await keep(store, shown(description, NOON, file, f"{filename}.png"), user=user)
    kinds: dict[JobKind, str] = {"ocr": text, "caption": caption}
    for kind, told in kinds.items():
        job = await store.claim_job([kind], "one", LEASE, user)
        assert job is not None
        await store.keep_seen(job, place, Seen(told), LEASE)
        await store.finish_job(job)
    return place


@pytest.mark.timeout(240)
async def test_of_forgotten_images_no_byte_is_left_on_any_disk(
    hosts: Hosts, clock: HandClock, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(indices.IMAGES.settings, "codec", "default")  # in which bytes can be recognised
    nodes = ask(elasticsearch_url, "GET", "/_nodes/stats/fs")["nodes"].values()
    folders = [Path(data["path"]) for node in nodes for data in node["fs"]["data"]]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("the disks are another machine's")
    store, indexed = hosts.store(), hosts.store(recent_calls=1)
    place = await seen_and_kept(indexed, "ids", a_marked_file("ids"), WORDS)
    await seen_and_kept(store, "topic", a_marked_file("topic"), WORDS)
    await seen_and_kept(indexed, "everything", a_marked_file("everything"), WORDS)
    await seen_and_kept(indexed, "kept", a_file(), ["door", "a red door", "pull", "a door"])
    hosts.ask("POST", "*/_flush?force=true&wait_if_ongoing=true")
    before = markers_on(folders)
    # A word that stood in an earlier document of a block may be written as a pointer to it.
    assert before >= {*SECRETS}
    assert before & {*WORDS}

    selections = {
        "ids": Selection(places=(place,)),
        "topic": Selection(topic="home"),
        "everything": Selection(everything=True),
    }
    for user, selection in selections.items():
        await preview(store, selection, user=user)
        await store.forget(user, "t")
    began, jobs = anyio.current_time(), Jobs(store, clock)
    while [user for user in selections if (await store.forget(user, "t")).pending]:
        await jobs.run_due()
        clock.forward(minutes=0.1)
        await anyio.sleep(1)  # a node keeps what is deleted until its copies agree, every 30 s

    assert markers_on(folders) == set()
    assert await whole(store, "kept", [a_file()]) == 1
    assert len(hosts.documents()) == 2
    print(f"\n{len(before)} markers readable before, none after {anyio.current_time() - began:.0f} s")


@dataclass
class Crowd:
    """Send, forget and tidy up, until it is over."""

    clock: HandClock
    over: float
    files: tuple[ImageFile, ...]
    chance: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311 - no secret
    done: Counter[str] = field(default_factory=Counter)

    async def send(self, store: ElasticsearchStore) -> None:
        while anyio.current_time() < self.over:
            file = self.chance.choice(self.files)
            spoken = said("look"), shown("a door", NOON, file)
            (_, place) = await keep(store, *spoken, topic=self.chance.choice("ab"))
            read = await store.image_file("ming", place)
            self.done["sent"] += 1
            self.done["read back"] += read is not None
            assert read in (file, None)
            if read is None:  # forgotten since
                assert await store.messages("ming", [place]) == ()

    async def forget(self, store: ElasticsearchStore, name: str) -> None:
        while anyio.current_time() < self.over:
            await anyio.sleep(self.chance.uniform(0, 0.1))
            latest = tuple(each.place for each in await store.latest(IMAGES, 3))
            topic = Selection(topic=self.chance.choice("ab"))
            selection = self.chance.choice([topic, Selection(everything=True), Selection(places=latest)])
            ticket = f"{name} {self.done['forgotten']}"
            await preview(store, selection, ticket)
            await store.forget("ming", ticket)
            self.done["forgotten"] += 1

    async def tidy_up(self, store: ElasticsearchStore) -> None:
        while anyio.current_time() < self.over:
            await erased(store, self.clock)
            self.clock.forward(minutes=1)
            await anyio.sleep(self.chance.uniform(0, 0.05))


@pytest.mark.timeout(120)
async def test_many_who_send_and_forget_the_same_images_at_once_leave_all_whole(
    hosts: Hosts, clock: HandClock
) -> None:
    seconds = float(os.environ.get("MEM1_TEST_SECONDS", "8"))
    files = a_file("red"), a_file("green"), a_file("blue")
    crowd = Crowd(clock, anyio.current_time() + seconds, files)

    async with anyio.create_task_group() as tasks:
        for recent_calls in (64, 2, 1):
            tasks.start_soon(crowd.send, hosts.store(recent_calls))
            tasks.start_soon(crowd.send, hosts.store())
            tasks.start_soon(crowd.forget, hosts.store(), str(recent_calls))
            tasks.start_soon(crowd.tidy_up, hosts.store())

    store = hosts.store()
    (last,) = await keep(store, shown("the last door", NOON, a_file("red")))
    kept = await whole(store, "ming", files)
    await preview(store, Selection(places=(last,)))
    await store.forget("ming", "t")
    clock.forward(minutes=1)
    await erased(store, clock)
    left = {str(each.image.digest) for each in await store.latest(IMAGES, 10_000) if each.image}
    assert {name.split(":")[1] for name in hosts.documents()} == left
    assert await whole(store, "ming", files) == kept - 1
    print(f"\n{dict(crowd.done)}, {kept} kept at the end")
