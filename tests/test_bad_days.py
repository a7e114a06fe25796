"""What happens to a memory that is nobody's fault: full disks, wrong clocks, files that people move."""
# ruff: noqa: ASYNC240 - a test keeps nobody waiting

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import apsw
import pytest

from mem1_mcp.memory import Jobs
from mem1_mcp.protocols import Store
from mem1_mcp.stores.sqlite import SqliteStore
from tests.conftest import HandClock, Host, a_memory, host_of


def said(*contents: str, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content, **more} for content in contents]


async def texts(host: Host, **asked: Any) -> list[str]:
    return [hit["text"] for hit in (await host.done("recall", **asked))["hits"]]


def the_file(folder: Path) -> Path:
    (path,) = folder.rglob("*.db")
    return path


def the_place(folder: Path) -> Path:
    """Return where the file belongs, though it is not there."""
    (log,) = folder.rglob("*.db-wal")
    return log.with_name(log.name.removesuffix("-wal"))


# A clock that is wrong, and a person who travels


async def test_what_was_said_after_the_clock_was_set_back_comes_last_all_the_same(
    host: Host, clock: HandClock
) -> None:
    saved = await host.done("remember", messages=said("before"))
    clock.forward(minutes=-60)
    saved_after = await host.done("remember", messages=said("after"))

    opened = await texts(host, around=saved["message_ids"][0])

    assert opened == ["before", "after"]
    assert saved_after["message_ids"] != saved["message_ids"]


async def test_a_repeat_is_known_though_the_clock_was_set_back(host: Host, clock: HandClock) -> None:
    once = said("a message of more than twenty characters")
    await host.done("remember", messages=once)
    clock.forward(minutes=-1)

    again = await host.done("remember", messages=once)
    clock.forward(days=-1)
    said_anew = await host.done("remember", messages=once)

    assert again["duplicate"]
    assert not said_anew["duplicate"]
    assert len(await texts(host)) == 2


async def test_a_token_lives_no_longer_than_it_should_when_the_clock_was_set_back(
    host: Host, clock: HandClock
) -> None:
    await host.done("remember", messages=said("hello"))
    shown = await host.done("forget", everything=True)
    clock.forward(days=-1)

    assert (await host.done("forget", confirm=shown["confirm"]))["messages"] == 1


async def test_a_memory_that_was_written_in_one_time_zone_is_told_in_another(
    store: Store, clock: HandClock
) -> None:
    async with host_of(a_memory(store, clock, ZoneInfo("Asia/Shanghai"))) as host:
        await host.done("remember", messages=said("Arrived", timestamp="2026-05-02T01:30"))
        assert await texts(host, since="2026-05-02", until="2026-05-02") == ["Arrived"]

    async with host_of(a_memory(store, clock, ZoneInfo("America/New_York"))) as host:
        assert await texts(host, since="2026-05-02", until="2026-05-02") == []
        assert await texts(host, since="2026-05-01", until="2026-05-01") == ["Arrived"]
        assert "2026-05-01 Fri" in await host.text("recall")


# Files that people move


async def test_a_file_that_was_moved_away_is_missed_and_found_again(
    store: Store, clock: HandClock, tmp_path: Path, folder: Path
) -> None:
    async with host_of(a_memory(store, clock)) as host:
        await host.done("remember", messages=said("I like tea"))
        shutil.move(folder, tmp_path / "elsewhere")

        for told in (
            await host.refused("recall"),
            await host.refused("remember", messages=said("I like coffee")),
        ):
            assert "is gone" in told
            assert "Put it back" in told
        assert not folder.exists()

        shutil.move(tmp_path / "elsewhere", folder)
        await host.done("remember", messages=said("I like milk"))
        assert await texts(host) == ["I like tea", "I like milk"]


async def a_backup(folder: Path, clock: HandClock, backup: Path) -> Path:
    """Copy the file of a memory as a session that has ended left it."""
    store = SqliteStore(folder, clock)
    async with host_of(a_memory(store, clock)) as host:
        await host.done("remember", messages=said("In the backup"))
    await store.close()
    shutil.copy(the_file(folder), backup)
    return backup


async def test_a_backup_that_is_put_back_while_the_server_runs_is_read_and_written(
    store: Store, clock: HandClock, tmp_path: Path, folder: Path
) -> None:
    backup = await a_backup(folder, clock, tmp_path / "backup.db")

    async with host_of(a_memory(store, clock)) as host:
        await host.done("remember", messages=said("After the backup"))
        path = the_file(folder)
        for part in (path, *folder.rglob("*.db-*")):
            part.unlink()
        shutil.copy(backup, path)

        assert await texts(host) == ["In the backup"]
        await host.done("remember", messages=said("And on"))
        assert await texts(host) == ["In the backup", "And on"]


@pytest.mark.parametrize("before", ["read", "written"])
async def test_a_file_that_is_replaced_alone_does_not_get_the_log_of_the_one_before(
    store: Store, clock: HandClock, tmp_path: Path, folder: Path, before: str
) -> None:
    backup = await a_backup(folder, clock, tmp_path / "backup.db")

    async with host_of(a_memory(store, clock)) as host:
        await texts(host)
        if before == "written":
            await host.done("remember", messages=said(*(f"After the backup {n}" for n in range(50))))
        the_file(folder).rename(tmp_path / "before.db")
        Path(shutil.copy(backup, tmp_path / "copy.db")).rename(the_place(folder))

        assert await texts(host) == ["In the backup"]
        await host.done("remember", messages=said("And on"))
        assert await texts(host) == ["In the backup", "And on"]
        assert ("integrity", "ok") in (await store.health("ming")).facts
    # What was answered is in the file that was put aside.
    kept = apsw.Connection(str(tmp_path / "before.db")).execute("SELECT count(*) FROM messages").get
    assert kept == (51 if before == "written" else 1)


async def test_a_log_without_its_file_is_no_new_memory(folder: Path, clock: HandClock) -> None:
    store = SqliteStore(folder, clock)
    async with host_of(a_memory(store, clock)) as host:
        await host.done("remember", messages=said("I like tea"))
        path = the_file(folder)
        log = path.with_name(path.name + "-wal")
        kept = log.read_bytes()
        assert kept
    await store.close()
    path.unlink()
    log.write_bytes(kept)

    store = SqliteStore(folder, clock)
    async with host_of(a_memory(store, clock)) as host:
        assert "log" in await host.refused("remember", messages=said("I like coffee"))
    await store.close()
    assert log.read_bytes() == kept
    assert not path.exists()


async def test_a_stale_index_of_a_log_does_no_harm(folder: Path, clock: HandClock) -> None:
    store = SqliteStore(folder, clock)
    async with host_of(a_memory(store, clock)) as host:
        await host.done("remember", messages=said("I like tea"))
    await store.close()
    path = the_file(folder)
    path.with_name(path.name + "-shm").write_bytes(bytes(range(256)) * 128)

    store = SqliteStore(folder, clock)
    async with host_of(a_memory(store, clock)) as host:
        assert await texts(host) == ["I like tea"]
        await host.done("remember", messages=said("I like coffee"))
    await store.close()


async def test_a_file_in_place_of_the_folder_is_named(store: Store, clock: HandClock, folder: Path) -> None:
    folder.mkdir()
    (folder / "users").write_text("a note", encoding="utf-8")

    async with host_of(a_memory(store, clock)) as host:
        for told in (await host.refused("recall"), await host.refused("remember", messages=said("hello"))):
            assert str(folder) in told
            assert "Nothing" in told


# Files that may not be read or written


@pytest.fixture
def somebody() -> Generator[Path]:
    """Be somebody whom modes concern; return where their memory is."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such modes")
    home = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        nobody = 65_534
        os.chown(home, nobody, nobody)
        os.seteuid(nobody)
    try:
        yield home / "memory"
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(home, ignore_errors=True)


async def test_a_file_that_may_only_be_read_is_read(clock: HandClock, somebody: Path) -> None:
    store = SqliteStore(somebody, clock)
    async with host_of(a_memory(store, clock)) as host:
        await host.done("remember", messages=said("I like tea"))
    await store.close()
    the_file(somebody).chmod(0o400)

    store = SqliteStore(somebody, clock)
    async with host_of(a_memory(store, clock)) as host:
        assert await texts(host) == ["I like tea"]
        told = await host.refused("remember", messages=said("I like coffee"))
        assert "Nothing of this call was saved" in told
        for part in (somebody / "users").iterdir():
            part.chmod(0o600)
        await host.done("remember", messages=said("I like milk"))
        assert await texts(host) == ["I like tea", "I like milk"]
    await store.close()


async def test_a_folder_that_may_not_be_read_is_no_empty_memory(clock: HandClock, somebody: Path) -> None:
    store = SqliteStore(somebody, clock)
    async with host_of(a_memory(store, clock)) as host:
        await host.done("remember", messages=said("I like tea"))
    await store.close()
    (somebody / "users").chmod(0)

    store = SqliteStore(somebody, clock)
    async with host_of(a_memory(store, clock)) as host:
        for told in (
            await host.refused("recall"),
            await host.refused("remember", messages=said("I like coffee")),
        ):
            assert "belongs to you" in told
        (somebody / "users").chmod(0o700)
        assert await texts(host) == ["I like tea"]
    await store.close()


# Disks, as far as this user may mount some


def fill_up(path: Path) -> None:
    """Take what room there is on the disk of this path."""
    ballast = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(ballast, bytes(4096)):
            pass
    os.close(ballast)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["/bin/mount", "-o", f"remount,{how}", disk], check=True)  # noqa: S603


@contextmanager
def a_small_disk(folder: Path, megabytes: int) -> Generator[Path]:
    """Mount a disk of some megabytes in memory."""
    place = folder / "disk"
    place.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk, on Linux")
    options = f"size={megabytes}m,mode=700"
    mounted = subprocess.run(  # noqa: S603
        ["/bin/mount", "-t", "tmpfs", "-o", options, "small", place],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.decode()}")
    try:
        yield place
    finally:
        subprocess.run(["/bin/umount", "-l", place], check=True)  # noqa: S603


async def test_a_full_disk_is_declared_and_recovered_from(tmp_path: Path, clock: HandClock) -> None:
    with a_small_disk(tmp_path, 6) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        store = SqliteStore(disk / "memory", clock)
        async with host_of(a_memory(store, clock)) as host:
            kept = []
            for number in range(200):
                content = f"message {number} " + "la " * 20_000
                result = await host.call("remember", messages=said(content))
                if result.is_error:
                    break
                kept.append(f"message {number} ")
            told = await host.refused("remember", messages=said("one more " * 20_000))
            assert "The disk is full. Nothing of this call was saved. Make room" in told
            assert [text[:11].strip() for text in await texts(host, limit=3)] == [
                text.strip() for text in kept[-3:]
            ]
            shown = await host.done("recall", query=f"message {len(kept) - 1}")
            assert shown["hits"]

            ballast.unlink()
            await host.done("remember", messages=said("there is room again"))
            assert "there is room again" in await texts(host, limit=1)
        await store.close()


async def test_a_disk_that_is_full_when_the_server_starts_is_declared(
    tmp_path: Path, clock: HandClock
) -> None:
    with a_small_disk(tmp_path, 6) as disk:
        store = SqliteStore(disk / "memory", clock)
        async with host_of(a_memory(store, clock)) as host:
            await host.done("remember", messages=said("I like tea"))
        await store.close()
        fill_up(disk / "ballast")

        store = SqliteStore(disk / "memory", clock)
        async with host_of(a_memory(store, clock)) as host:
            for told in (
                await host.refused("recall"),
                await host.refused("remember", messages=said("I like coffee")),
            ):
                assert "The disk is full" in told
            (disk / "ballast").unlink()
            await host.done("remember", messages=said("I like milk"))
            assert await texts(host) == ["I like tea", "I like milk"]
        await store.close()


async def test_what_is_forgotten_on_a_full_disk_is_gone_or_said_to_be_there(
    tmp_path: Path, clock: HandClock
) -> None:
    with a_small_disk(tmp_path, 6) as disk:
        store = SqliteStore(disk / "memory", clock)
        memory = a_memory(store, clock)
        async with host_of(memory) as host:
            await host.done("remember", messages=said("zqmarker " * 1000), topic="old")
            shown = await host.done("forget", topic="old")
            fill_up(disk / "ballast")
            result = await host.call("forget", confirm=shown["confirm"])
            if result.is_error:
                assert "zqmarker" in str(await texts(host))
            else:
                assert await texts(host) == []
            (disk / "ballast").unlink()

            done = await host.done("forget", confirm=shown["confirm"])
            assert done["messages"] == 1
            clock.forward(minutes=30)
            await Jobs(store, clock).run_due()
            assert not (await host.done("forget", confirm=shown["confirm"]))["pending"]
        await store.close()
        assert not any(b"zqmarker" in path.read_bytes() for path in disk.rglob("*.db*"))


async def test_a_disk_that_can_only_be_read_is_declared_and_recovered_from(
    tmp_path: Path, clock: HandClock
) -> None:
    with a_small_disk(tmp_path, 6) as disk:
        store = SqliteStore(disk / "memory", clock)
        async with host_of(a_memory(store, clock)) as host:
            await host.done("remember", messages=said("I like tea"))
        await store.close()
        remount(disk, "ro")

        store = SqliteStore(disk / "memory", clock)
        async with host_of(a_memory(store, clock)) as host:
            told = await host.refused("remember", messages=said("I like coffee"))
            assert "Nothing of this call was saved" in told
            remount(disk, "rw")
            await host.done("remember", messages=said("I like milk"))
            assert await texts(host) == ["I like tea", "I like milk"]
        await store.close()


def test_the_engine_is_one_without_the_bug_that_loses_a_log() -> None:
    # SQLite 3.7.0 to 3.51.2 can damage a file that one connection checkpoints while another commits.
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)
