"""What is SQLite's own: files and their modes, damage, several processes, bytes that are gone."""
# ruff: noqa: ASYNC240 - a test keeps nobody waiting

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import apsw
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from mem1_mcp.errors import StoreBusyError, StoreDamagedError, StoreError, StoreTooNewError
from mem1_mcp.protocols import Store
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.types import Period, Scope, Selection, place_of
from tests.conftest import HandClock, Opening
from tests.test_store_contract import MING, NOON, forget, keep
from tests.test_vectors import SPACE, embed

NOISE = bytes(number * number % 251 for number in range(4096))


@asynccontextmanager
async def opened(folder: Path, busy_seconds: float = 0.3) -> AsyncGenerator[Store]:
    store = SqliteStore(folder, HandClock(), busy_seconds)
    yield store
    await store.close()


async def a_users_file(folder: Path, user: str = "ming") -> Path:
    """Write a user's file as a session that has ended left it."""
    before = set(folder.rglob("*.db"))
    async with opened(folder) as session:
        await keep(
            session, *(f"message {number} of {user}: {'la ' * 99}" for number in range(99)), user=user
        )
    (path,) = set(folder.rglob("*.db")) - before
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
async def test_only_its_owner_can_read_a_memory(store: Store, folder: Path) -> None:
    lax = os.umask(0)
    try:
        await keep(store, "a secret")
        await store.topics("ming")
    finally:
        os.umask(lax)

    modes = [(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.rglob("*"))]
    assert set(modes) == {(True, 0o700), (False, 0o600)}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
async def test_the_mode_of_a_folder_that_was_there_is_left_alone(store: Store, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)

    await keep(store, "hello")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


LOOKS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "statistics": lambda store: store.statistics("ming", ["tea"]),
    "vocabulary": lambda store: store.vocabulary("ming", "t"),
    "candidates": lambda store: store.candidates(MING, {"tea": 1.0}, [Period(0, NOON, 1.0)], 9),
    "windows": lambda store: store.windows(MING, [0], 7),
    "messages": lambda store: store.messages("ming", [0]),
    "latest": lambda store: store.latest(MING, 9),
    "count": lambda store: store.count(MING),
    "topics": lambda store: store.topics("ming"),
    "profile": lambda store: store.profile("ming"),
    "select": lambda store: store.select("ming", Selection(everything=True), 9),
    "confirmation": lambda store: store.confirmation("ming", "t"),
    "health": lambda store: store.health("ming"),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
async def test_looking_makes_no_file(
    store: Store, folder: Path, look: Callable[[Store], Awaitable[object]]
) -> None:
    await look(store)

    assert not folder.exists()


async def test_each_user_has_one_file(store: Store, folder: Path) -> None:
    users = ["ming", "Ming", "MING", "ming!", "明", "名", " ming"]
    for user in users:
        await keep(store, f"I am {user}", user=user)

    assert len(list(folder.rglob("*.db"))) == len(users)
    for user in users:
        assert [stored.content for stored in await store.latest(Scope(user), 9)] == [f"I am {user}"]


@pytest.mark.parametrize(
    "user",
    ["../../x", "/etc/passwd", "..", ".", "C:\\x", "CON", "nul.db", "a" * 300, "猫" * 300, "a\0b", "-", ""],
)
async def test_no_name_leads_out_of_the_folder(tmp_path: Path, folder: Path, user: str) -> None:
    async with opened(folder) as store:
        await keep(store, "hello", user=user)

    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert path.parent == folder / "users"
    assert path.name.isascii()
    assert len(path.name) < 100
    assert path.stem.partition("-")[2]  # no name of a device
    async with opened(folder) as store:
        assert await store.count(Scope(user)) == 1


@pytest.mark.heavy
async def test_more_users_than_files_may_be_open_are_all_served(store: Store) -> None:
    users = [f"user {number}" for number in range(80)]

    async def say(user: str) -> None:
        await keep(store, f"I am {user}", user=user)
        await keep(store, "still me", user=user)

    async with anyio.create_task_group() as group:
        for user in users:
            group.start_soon(say, user)

    for user in users:
        assert [stored.content for stored in await store.latest(Scope(user), 9, 1)] == [f"I am {user}"]


async def read(store: Store) -> None:
    await store.topics("ming")


async def write(store: Store) -> None:
    await keep(store, "hello")


both = pytest.mark.parametrize("touch", [read, write])
Touch = Callable[[Store], Awaitable[None]]


async def assert_left_as_it_is(
    path: Path, touch: Touch, error: type[StoreError], match: str = "left"
) -> None:
    before = path.read_bytes()

    async with opened(path.parents[1]) as store:
        for _ in range(2):
            with pytest.raises(error, match=match):
                await touch(store)

    assert path.read_bytes() == before


@both
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: NOISE[:100] + whole[100:], id="noise in the header"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="half of it"),
        pytest.param(lambda whole: whole[:-4096], id="a page short"),
        pytest.param(lambda whole: whole[:-1], id="a byte short"),
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda whole: whole[:10], id="ten bytes"),
        pytest.param(lambda whole: bytes(len(whole)), id="zeros"),
        pytest.param(lambda whole: b"Dear diary, " * 1000, id="no database"),
    ],
)
async def test_a_damaged_file_is_declared_and_left_as_it_is(
    folder: Path, touch: Touch, damage: Callable[[bytes], bytes]
) -> None:
    path = await a_users_file(folder)
    path.write_bytes(damage(path.read_bytes()))

    await assert_left_as_it_is(path, touch, StoreDamagedError)


async def test_the_doctor_finds_damage_inside_a_file(folder: Path) -> None:
    path = await a_users_file(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8192] + NOISE + whole[-4096:])

    async with opened(folder) as store:
        health = await store.health("ming")

    assert "damaged" in health.problems[0]
    assert "backup" in health.problems[0]


def another_programs_database(path: Path, journal_mode: str) -> None:
    path.unlink()
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", journal_mode)
    db.execute("CREATE TABLE recipes(name TEXT); INSERT INTO recipes VALUES ('soup')")
    db.close()


@both
async def test_a_database_of_another_program_is_refused(folder: Path, touch: Touch) -> None:
    path = await a_users_file(folder)
    another_programs_database(path, "wal")

    await assert_left_as_it_is(path, touch, StoreDamagedError, match="another program")


@both
async def test_a_database_of_another_program_is_left_as_it_is(folder: Path, touch: Touch) -> None:
    path = await a_users_file(folder)
    another_programs_database(path, "delete")

    await assert_left_as_it_is(path, touch, StoreDamagedError, match="another program")


@both
async def test_another_users_file_is_refused(folder: Path, touch: Touch) -> None:
    path = await a_users_file(folder)
    path.write_bytes((await a_users_file(folder, "lan")).read_bytes())

    await assert_left_as_it_is(path, touch, StoreDamagedError, match="another user")


def make_newer(path: Path, oldest_writer: int) -> None:
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 99")
    db.execute("UPDATE state SET oldest_writer = ?", (oldest_writer,))
    db.close()


@both
async def test_a_layout_that_only_newer_programs_know_is_refused_by_name(
    folder: Path, touch: Touch
) -> None:
    path = await a_users_file(folder)
    make_newer(path, oldest_writer=99)

    await assert_left_as_it_is(path, touch, StoreTooNewError, match="newer mem1-mcp.*layout 99.*Update")


async def test_a_newer_layout_that_only_adds_is_read_and_written(folder: Path) -> None:
    make_newer(await a_users_file(folder), oldest_writer=1)

    async with opened(folder) as store:
        await keep(store, "hello")

        assert await store.count(MING) == 100


@contextmanager
def another_process(folder: Path, statements: str) -> Generator[apsw.Connection]:
    """Keep a transaction of another connection open, as another process would."""
    (path,) = folder.rglob("*.db")
    other = apsw.Connection(str(path))
    other.execute(statements).fetchall()
    yield other
    other.close()


async def test_reading_goes_on_while_another_process_writes(folder: Path) -> None:
    await a_users_file(folder)

    with another_process(folder, "BEGIN IMMEDIATE; DELETE FROM messages"):
        async with opened(folder) as store:
            assert await store.count(Scope("ming", "home")) == 99


async def test_a_lock_that_is_never_released_is_named_and_nothing_is_saved(folder: Path) -> None:
    await a_users_file(folder)

    async with opened(folder) as store:
        with another_process(folder, "BEGIN IMMEDIATE"), pytest.raises(StoreBusyError, match="Try again"):
            await keep(store, "hello")

        assert await store.count(MING) == 99


async def assert_a_call_waits_while_the_process_goes_on(folder: Path) -> None:
    async with opened(folder) as store, anyio.create_task_group() as group:
        with another_process(folder, "BEGIN IMMEDIATE") as other:
            group.start_soon(keep, store, "hello")
            for _ in range(2000):
                await anyio.lowlevel.checkpoint()
            other.execute("ROLLBACK")


async def test_while_one_call_waits_for_a_lock_the_process_goes_on(folder: Path) -> None:
    await a_users_file(folder)

    await assert_a_call_waits_while_the_process_goes_on(folder)


async def test_two_stores_on_one_folder_lose_nothing_of_each_other(folder: Path) -> None:
    places: list[int] = []

    async def say(store: Store, content: str) -> None:
        places.extend(await keep(store, content))

    async with opened(folder, 10) as one, opened(folder, 10) as other, anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(say, one, f"one {number}")
            group.start_soon(say, other, f"other {number}")

    async with opened(folder) as store:
        assert await store.count(MING) == len(set(places)) == 100
        assert (await store.statistics("ming", ["one", "other"])).messages == 100
        assert (await store.vocabulary("ming", "o"))["other"] == 50


_PROCESS = """
import sys, anyio
from pathlib import Path
from mem1_mcp.stores.sqlite import SqliteStore
from tests.test_store_contract import HandClock, keep

async def main(folder, name, calls, user):
    store = SqliteStore(Path(folder), HandClock())
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(calls)):
        (place,) = await keep(store, f"{name} {number}", user=user.format(number))
        print(place, flush=True)
    await store.close()

anyio.run(main, *sys.argv[1:])
"""


async def places_of_processes(folder: Path, processes: int, calls: int, user: str = "ming") -> list[int]:
    """Let so many processes write so many calls each, all beginning at once; return the places.

    ``{}`` in the user's name stands for the number of the call.
    """
    texts: list[str] = [""] * processes

    async def follow(number: int, process: Process) -> None:
        assert process.stdout is not None
        async for text in TextReceiveStream(process.stdout):
            texts[number] += text
            if texts[number] == "ready\n":
                ready.append(number)
                if len(ready) == processes:
                    all_ready.set()

    ready: list[int] = []
    all_ready = anyio.Event()
    async with AsyncExitStack() as stack, anyio.create_task_group() as group:
        started = []
        for number in range(processes):
            command = [sys.executable, "-c", _PROCESS, str(folder), f"process{number}", str(calls), user]
            process = await anyio.open_process(command, stderr=None, cwd=Path(__file__).parents[1])
            started.append(await stack.enter_async_context(process))
            group.start_soon(follow, number, process)
        await all_ready.wait()
        for process in started:
            assert process.stdin is not None
            await process.stdin.send(b"\n")
    return [int(place) for text in texts for place in text.split()[1:]]


@pytest.mark.heavy
async def test_four_processes_that_write_at_once_lose_nothing(folder: Path) -> None:
    places = await places_of_processes(folder, processes=4, calls=50)

    conversation = places[0] >> 20
    assert sorted(places) == [place_of(conversation, position) for position in range(200)]
    async with opened(folder) as store:
        assert [stored.place for stored in await store.messages("ming", sorted(places))] == sorted(places)
        assert (await store.vocabulary("ming", "p"))["process3"] == 50


@pytest.mark.heavy
async def test_eight_processes_that_open_new_memories_at_once_all_succeed(folder: Path) -> None:
    places = await places_of_processes(folder, processes=8, calls=40, user="user {}")

    assert len(places) == 8 * 40
    async with opened(folder) as store:
        for number in range(40):
            assert await store.count(Scope(f"user {number}")) == 8


async def test_the_bytes_of_a_vector_leave_the_files_with_its_message(
    another: Opening, folder: Path
) -> None:
    unmistakable = bytes(range(1, 49))
    store = another(SPACE)
    places = await keep(store, *(f"east {number}" for number in range(300)))
    await embed(store, {"east": unmistakable})
    assert unmistakable in all_bytes(folder)

    await forget(store, Selection(places=places))

    assert unmistakable not in all_bytes(folder)
    await store.close()


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
