"""Where memories may lie: not where another machine, or a program that copies files, reaches them too.

SQLite's log needs memory that all its processes share, and locks that hold; a network folder gives
neither, and a folder that is synchronised is copied in the middle of a write.
"""

from __future__ import annotations

import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from mem1_mcp.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Kinds of file systems as systems call them, with and without "fuse." before them.
_SHARED = frozenset(
    """
    9p afpfs afs ceph cifs curlftpfs davfs davfs2 drvfs fakeowner gcsfuse glusterfs goofys
    google-drive-ocamlfuse grpcfuse gvfsd-fuse juicefs lustre ncpfs nfs nfs4 onedriver osxfs prl_fs
    rclone s3fs smb2 smb3 smbfs sshfs vboxsf virtiofs vmhgfs vmhgfs-fuse webdav
    """.split()
)
# Folders that well-known programs keep equal on several machines, by their names in lower case.
_SYNCED = (
    "dropbox",
    "onedrive",
    "google drive",
    "googledrive",
    "my drive",
    "icloud drive",
    "iclouddrive",
    "mobile documents",
    "cloudstorage",
    "nextcloud",
    "owncloud",
    "syncthing",
    "pcloud drive",
    "pclouddrive",
    "megasync",
    "坚果云",
    "nutstore files",
    "nutstore",
    "baidusyncdisk",
    "百度网盘同步空间",
    "weiyun",
    "seafile",
)
_MARKS = (".stfolder", ".dropbox", ".sync", ".nextcloudsync.log", ".owncloudsync.log")

_CURE = (
    "Nothing was saved. Set MEM1_MEMORY_DIR to a folder on this machine's own disk that no program "
    "synchronises."
)


def check_location(folder: Path) -> None:
    """Refuse a folder that other machines reach.

    Raises:
        StoreError: it is one; the text names it and the cure.

    """
    real = folder.resolve()
    shared = shared_file_system(real, _mounts())
    if shared is not None:
        raise StoreError(
            f"{real} lies on {shared}, which other machines can reach; a database is damaged there. {_CURE}"
        )
    synced = synced_part(real)
    if synced is not None:
        raise StoreError(
            f"{real} is kept equal on several machines by {synced!r}; a database is damaged by that, and "
            f"what is forgotten stays in its copies. {_CURE}"
        )


def _mounts() -> list[tuple[str, str, str]]:
    import psutil  # only where a store is opened

    try:
        return [(part.mountpoint, part.fstype, part.opts) for part in psutil.disk_partitions(all=True)]
    except (OSError, psutil.Error):
        return []  # a system that does not tell is trusted


def shared_file_system(folder: PurePath, mounts: Iterable[tuple[str, str, str]]) -> str | None:
    """Describe the file system of a folder if other machines share it; ``None`` for a local one.

    Mounts are (folder, kind, options); of one folder's several the last holds.
    """
    if sys.platform == "win32" and str(folder).startswith("\\\\"):
        return "a network folder"
    deepest, found = -1, None
    for where, kind, options in mounts:
        point = type(folder)(where)
        depth = len(point.parts)
        if depth >= deepest and folder.is_relative_to(point):
            name = kind.lower().removeprefix("fuse.").removeprefix("fuse")
            shared = name in _SHARED or kind.lower() in _SHARED or "remote" in options.split(",")
            deepest, found = depth, f"a network folder ({kind} at {where})" if shared else None
    return found


def synced_part(folder: Path) -> str | None:
    """Return the part of a path by which a program that synchronises it is known."""
    for parent in (folder, *folder.parents):
        name = parent.name.lower()
        # As in "OneDrive - Company" and "Dropbox (Personal)".
        if any(name == known or name.startswith((f"{known} -", f"{known} (")) for known in _SYNCED):
            return parent.name
        if any((parent / mark).exists() for mark in _MARKS):
            return parent.name
    return None
