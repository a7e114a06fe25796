"""Forgotten words are in no byte of any file: while the server runs, and after it."""
# ruff: noqa: ASYNC240 - a test keeps nobody waiting

from __future__ import annotations

import re
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from mem1_mcp.memory import Jobs, Summarising
from mem1_mcp.protocols import Store
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.stores.sqlite.scrubbing import scrubbed
from mem1_mcp.types import Forgotten, ImageFile, Seen, Selection
from tests.conftest import HandClock, Host
from tests.image_files import a_file, a_png_of, shown
from tests.test_sqlite_store import another_process
from tests.test_stdio import connected
from tests.test_store_contract import MING, a_profile, an_item, forget, keep, preview, said

MARKERS = [f"zq{number:02}marker" for number in range(25)]
# More than its first letters: two bytes come up by chance in the salts of a log's header.
A_MARKER = re.compile(rb"zq[a-z0-9]{3}")


def bytes_of(folder: Path) -> bytes:
    """Return the bytes of all files: the databases, their logs, whatever else there is."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def a_message(content: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


async def tell_everywhere(host: Host) -> tuple[list[str], list[str]]:
    """Put a marker into every place that can hold one; return the ids that name all of it."""
    topic = "zqtopic"
    long = "a long story " * 900
    spoken = [
        a_message("I met zquser today."),
        a_message("You met zqassistant.", "assistant"),
        a_message("Always say zqsystem.", "system"),
        a_message("found: zqtool", "tool"),
        a_message("Who am I?", name="zqspeaker"),
        a_message("My login is user_id=zqlogin-47."),
        a_message("Write to zqmail@example.org or https://zqhost.example/zqpath?q=zqquery"),
        a_message("ZQUPPER, ＺＱＷＩＤＥ and zqrésumé"),
        a_message("她住在繁體城，爱吃麻辣鲫鱼"),
        a_message("🥜zqemoji🥜"),
        a_message("Reference 7700770077001"),
        a_message(f"{long} zqlong {long}"),
        a_message("zqtwice zqtwice"),
        a_message("zqoldtime", timestamp="2019-05-02T10:00:00"),
    ]
    metadata = {"zqkey": "zqvalue", "deep": {"zqdeepkey": ["zqlist", {"a": "zqdeep"}]}, "n": 7700770077002}
    saved = await host.done(
        "remember", messages=spoken, metadata=metadata, request_id="zqrequest", topic=topic
    )
    ids: list[str] = saved["message_ids"]
    told = await host.done("remember", facts=[{"text": "Was told of zqalone"}], topic=topic)
    items = [told["facts"][0]["id"]]
    resting = [a_message("I moved to zqcity.")]
    told = await host.done("remember", messages=resting, facts=[{"text": "Lives in zqcity"}], topic=topic)
    ids += told["message_ids"]
    old = told["facts"][0]["id"]
    told = await host.done(
        "remember", facts=[{"text": "Lives in zqtown", "replaces": old}], topic=topic, request_id="zqfacts"
    )
    items += [told["facts"][0]["id"]]
    await host.done("remember", facts=[{"text": "Likes zqtea very much."}], topic=topic)
    told = await host.done("remember", facts=[{"text": "likes zqtea very much"}], topic=topic)
    items += [told["facts"][0]["id"]]
    await host.done("forget", topic=topic)  # a preview that is never confirmed
    return ids, items


def markers_in(folder: Path) -> set[str]:
    """Return the markers that can be read in the bytes of any file, as said or as indexed."""
    held = bytes_of(folder).lower()
    words = [
        *"user assistant system tool speaker login mail host path query upper wide resum emoji".split(),
        *"long twice oldtime key value deepkey list deep request topic alone city facts town tea".split(),
    ]
    looked_for = [f"zq{word}" for word in words]
    looked_for += ["繁體", "繁体", "麻辣", "鲫鱼", "zqrésumé", "7700770077001", "7700770077002"]
    return {each for each in looked_for if each.encode() in held}


@pytest.mark.parametrize("how", ["ids", pytest.param("topic", marks=pytest.mark.heavy), "everything"])
async def test_a_marker_in_every_place_is_gone_while_the_server_runs_and_after(
    tmp_path: Path, how: str
) -> None:
    async with connected(tmp_path) as host:
        await host.done("remember", messages=[a_message("I have a cat.")], topic="home")
        ids, items = await tell_everywhere(host)
        before = markers_in(tmp_path)

        selections: dict[str, dict[str, Any]] = {
            "ids": {"ids": [*ids, *items]},
            "topic": {"topic": "zqtopic"},
            "everything": {"everything": True},
        }
        shown = await host.done("forget", **selections[how])
        done = await host.done("forget", confirm=shown["confirm"])

        assert done["pending"] is False
        assert markers_in(tmp_path) == set()
        assert (await host.done("recall", query="zquser zqcity"))["more"] == 0
    assert markers_in(tmp_path) == set()
    # A request's id is kept as a digest.
    assert before >= {"zquser", "zqtopic", "zqvalue", "zqtown", "zqlong", "zqresum", "繁体", "麻辣"}
    assert "zqrequest" not in before

    async with connected(tmp_path) as host:
        assert "zq" not in await host.text("recall")
        assert "zq" not in await host.profile()
    assert markers_in(tmp_path) == set()


@pytest.mark.parametrize("how", ["places", "topic", "everything"])
async def test_forgotten_words_are_in_no_byte_of_any_file(store: Store, folder: Path, how: str) -> None:
    gone: list[int] = []
    for number, marker in enumerate(MARKERS):
        topic = "home" if how == "places" else "zqtopic"
        spoken = said(
            f"Today {marker} came, and {marker}-{number}@x.cn wrote. {'la ' * 99}", name=f"{marker}n"
        )
        gone += await keep(
            store, spoken, "and yes", topic=topic, metadata={f"{marker}m": marker}, request_id=f"{marker}r"
        )
        await keep(store, f"This stays: {number}.", topic="home")
    items = (an_item(n, f"likes {m}", evidence=(gone[2 * n],)) for n, m in enumerate(MARKERS, start=0))
    await store.save_profile("ming", a_profile(*items))
    assert all(marker.encode() in bytes_of(folder) for marker in MARKERS)

    selection = {
        "places": Selection(places=tuple(gone)),
        "topic": Selection(topic="zqtopic"),
        "everything": Selection(everything=True),
    }[how]
    done = await forget(store, selection)

    assert not done.pending
    assert not A_MARKER.search(bytes_of(folder))


@pytest.mark.parametrize("how", ["places", "topic", "everything"])
@pytest.mark.parametrize("kept", ["words", "summary"])
async def test_a_summed_up_reply_and_former_profiles_leave_no_byte(
    store: Store, folder: Path, clock: HandClock, how: str, kept: str
) -> None:
    words = f"First zqfirst. {'Then this and that. ' * 20}Also zqmiddle. {'La la la. ' * 20}At last zqlast."
    spoken, indexed = said(words, role="assistant")
    place, *_ = await keep(store, (replace(spoken, long=True), indexed), "zqanswer", topic="zqtopic")
    jobs = Jobs(store, clock, [Summarising(store, None, 100, keep_words=kept == "words")])
    await jobs.run_due()
    lines = [an_item(1, "zqold", evidence=(place,)), an_item(2, "zqnew", evidence=(place,))]
    await store.save_profile("ming", a_profile(lines[0]))
    await store.save_profile("ming", a_profile(replace(lines[0], replaced_by="p2"), lines[1], version=2))
    await store.save_profile("ming", a_profile(version=3))
    compressed = zlib.compress(words.encode())
    assert (compressed in bytes_of(folder)) == (kept == "words")
    assert b"zqfirst" in bytes_of(folder)

    selection = {
        "places": Selection(places=(place, place + 1)),
        "topic": Selection(topic="zqtopic"),
        "everything": Selection(everything=True),
    }[how]
    await forget(store, selection)

    held = bytes_of(folder)
    assert not A_MARKER.search(held)
    assert compressed not in held
    assert compressed[20:60] not in held


async def test_terms_of_an_older_index_leave_no_byte_once_it_is_made_anew(
    store: Store, folder: Path, clock: HandClock
) -> None:
    spoken, indexed = said("plain words")
    (place,) = await keep(store, (spoken, replace(indexed, terms=f"{indexed.terms}zqoldterm ")))
    await store.close()
    (path,) = folder.rglob("ming-*.db")
    with closing(apsw.Connection(str(path))) as db:
        db.execute("UPDATE state SET terms_version = 1; UPDATE messages SET terms_version = 1")
    store = SqliteStore(folder, clock)

    await Jobs(store, clock).run_due()

    assert b"zqoldterm" not in bytes_of(folder)
    assert (await store.messages("ming", [place]))[0].content == "plain words"
    await store.close()


async def test_words_forgotten_from_many_topics_are_in_no_byte_of_any_file(
    store: Store, folder: Path
) -> None:
    gone: list[int] = []
    for number in range(600):
        odd = number * number % 997  # anything without an order
        secret = number % 3 == 0
        content = f"{f'zq{number:03}' if secret else 'plain'} {'la ' * (10 + odd % 70)}"
        places = await keep(store, content, topic=f"topic {odd % 20}")
        gone += places if secret else ()

    await forget(store, Selection(places=tuple(gone)))

    assert not A_MARKER.search(bytes_of(folder))


async def test_a_forgotten_topic_that_was_previewed_twice_leaves_no_name(
    store: Store, folder: Path
) -> None:
    await keep(store, "hello", topic="zqtopic")
    await preview(store, Selection(topic="zqtopic"), "t1")

    await forget(store, Selection(topic="zqtopic"), "t2")

    assert b"zqtopic" not in bytes_of(folder)


async def test_while_another_process_reads_the_old_bytes_forgetting_is_pending(
    store: Store, folder: Path
) -> None:
    await keep(store, "zqmarker")

    with another_process(folder, "BEGIN; SELECT * FROM messages"):
        done = await forget(store, Selection(topic="home"))

        assert done == Forgotten(messages=1, items=0)
        assert (await store.forget("ming", "t")).pending
        assert await store.count(MING) == 0


async def test_what_was_pending_is_erased_when_the_other_process_is_done(
    store: Store, folder: Path, clock: HandClock
) -> None:
    await keep(store, "zqmarker")
    with another_process(folder, "BEGIN; SELECT * FROM messages"):
        await forget(store, Selection(topic="home"))
    clock.forward(minutes=1)

    await Jobs(store, clock).run_due()

    assert not (await store.forget("ming", "t")).pending
    assert b"zqmarker" not in bytes_of(folder)


def test_a_page_loses_what_lies_between_its_pointers_and_its_cells() -> None:
    a_leaf_with_one_cell = b"\x0d\0\0\0\x01\x0f\xf0\0\x0f\xf0".ljust(4080, b"s") + b"c" * 16

    assert scrubbed(a_leaf_with_one_cell, 4096) == a_leaf_with_one_cell[:10].ljust(4080, b"\0") + b"c" * 16
    first = b"SQLite format 3".ljust(100, b"h") + a_leaf_with_one_cell[:3996]
    assert scrubbed(first, 0)[:110] == first[:110]
    assert scrubbed(first, 0)[110:] == bytes(3970) + first[4080:]


@pytest.mark.parametrize("page", [b"\0\0\0\x07" + b"x" * 4092, b"\x0d\0\0\xff\xff\0\x01" + b"x" * 4089])
def test_a_page_that_is_none_of_a_tree_is_left_alone(page: bytes) -> None:
    assert scrubbed(page, 4096) is page


@pytest.mark.parametrize("how", ["places", "topic", "everything"])
async def test_a_forgotten_image_leaves_no_byte_of_itself_or_of_what_was_seen_in_it(
    store: Store, folder: Path, clock: HandClock, how: str
) -> None:
    data = a_png_of(300_000)
    thumbnail = b"zqthumb" * 900
    file = ImageFile("ab" * 32, data, "image/png", 9, 9, thumbnail)
    place, other = await keep(
        store,
        shown("zqdescription", clock.now, file, "zqfile.png"),
        shown("zqalone", clock.now),
        topic="zqtopic",
    )
    await keep(store, shown("stays", clock.now, a_file()), topic="home")
    for kind, words in (("ocr", "zqread in it"), ("caption", "zqcaption of it")):
        job = await store.claim_job((kind,), "one", 15_000)  # type: ignore[arg-type]  # of the loop
        assert job is not None
        await store.keep_seen(job, place, Seen(words), 15_000)
        await store.finish_job(job)
    before = bytes_of(folder)
    assert b"zqread" in before
    assert b"zqcaption" in before
    assert b"zqthumb" in before
    assert data[5000:5050] in before

    selection = {
        "places": Selection(places=(place, other)),
        "topic": Selection(topic="zqtopic"),
        "everything": Selection(everything=True),
    }[how]
    await forget(store, selection)

    held = bytes_of(folder)
    assert not A_MARKER.search(held)
    # The file's pages hold stretches of it, so one of each page's length is looked for.
    assert not any(data[at : at + 24] in held for at in range(100, len(data), 2000))
    assert (a_file().data in held) == (how != "everything")
