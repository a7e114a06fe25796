"""Where a memory may lie: refused are folders that other machines, or copying programs, reach."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from mem1_mcp.errors import StoreError
from mem1_mcp.memory import Memory
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.stores.sqlite.location import check_location, shared_file_system, synced_part
from tests.conftest import HandClock, a_memory, host_of

LOCAL = [
    ("/", "ext4", "rw,relatime"),
    ("/run", "tmpfs", "rw"),
    ("/home", "btrfs", "rw"),
    ("/media/usb", "fuseblk", "rw"),
    ("/mnt/safe", "fuse.gocryptfs", "rw"),
    ("/Volumes/Disk", "apfs", "rw,local"),
]


@pytest.mark.parametrize("folder", [where for where, _, _ in LOCAL])
def test_a_local_disk_is_fine(folder: str) -> None:
    assert shared_file_system(PurePosixPath(folder, "mem1-mcp/users"), LOCAL) is None


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.rclone", "9p", "virtiofs", "afpfs"]
)
def test_a_network_folder_is_named(kind: str) -> None:
    mounts = [*LOCAL, ("/home/li/share", kind, "rw")]

    told = shared_file_system(PurePosixPath("/home/li/share/memory/users"), mounts)

    assert told == f"a network folder ({kind} at /home/li/share)"
    assert shared_file_system(PurePosixPath("/home/li/other"), mounts) is None
    assert shared_file_system(PurePosixPath("/home/li/share2"), mounts) is None


def test_a_drive_that_windows_calls_remote_is_named() -> None:
    mounts = [("/z", "NTFS", "rw,remote")]

    assert shared_file_system(PurePosixPath("/z/memory"), mounts) == "a network folder (NTFS at /z)"


def test_a_local_disk_inside_a_network_folder_is_fine() -> None:
    mounts = [("/", "nfs4", "rw"), ("/scratch", "xfs", "rw")]

    assert shared_file_system(PurePosixPath("/scratch/memory"), mounts) is None
    assert shared_file_system(PurePosixPath("/home/memory"), mounts) is not None


def test_of_two_mounts_at_one_place_the_later_holds() -> None:
    assert shared_file_system(PurePosixPath("/a"), [("/a", "nfs", ""), ("/a", "ext4", "")]) is None
    assert shared_file_system(PurePosixPath("/a"), [("/a", "ext4", ""), ("/a", "nfs", "")]) is not None


@pytest.mark.parametrize(
    "name",
    [
        "Dropbox",
        "Dropbox (Personal)",
        "OneDrive",
        "OneDrive - Contoso",
        "Google Drive",
        "Mobile Documents",
        "Nextcloud",
        "坚果云",
        "BaiduSyncdisk",
    ],
)
def test_a_folder_that_is_synchronised_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert synced_part(tmp_path / name / "notes" / "memory") == name


def test_a_folder_that_is_synchronised_is_known_by_its_mark(tmp_path: Path) -> None:
    (tmp_path / "shared" / ".stfolder").mkdir(parents=True)

    assert synced_part(tmp_path / "shared" / "memory") == "shared"


@pytest.mark.parametrize("name", ["dropbox-notes", "my onedrives", "Documents", "cloud", "云"])
def test_a_folder_of_another_name_is_fine(tmp_path: Path, name: str) -> None:
    assert synced_part(tmp_path / name / "memory") is None


async def test_a_memory_in_a_synchronised_folder_is_refused_with_the_cure(
    tmp_path: Path, clock: HandClock
) -> None:
    folder = tmp_path / "Dropbox" / "memory"
    store = SqliteStore(folder, clock)
    memory: Memory = a_memory(store, clock)

    async with host_of(memory) as host:
        messages = [{"role": "user", "content": "I like tea"}]
        for told in (await host.refused("remember", messages=messages), await host.refused("recall")):
            assert "Dropbox" in told
            assert "MEM1_MEMORY_DIR" in told
            assert "Nothing was saved" in told
    await store.close()

    assert not folder.exists()


def test_a_link_into_a_synchronised_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "Dropbox").mkdir()
    (tmp_path / "memory").symlink_to(tmp_path / "Dropbox")

    with pytest.raises(StoreError, match="Dropbox"):
        check_location(tmp_path / "memory" / "users")
