"""A file layer that lets nothing of a deleted row into the file, for the connection that checkpoints.

``secure_delete`` wipes the bytes of a row that is deleted. It does not see the copies that stay in the
unused part of a page when SQLite rebuilds the page to balance its tree. All pages come into the file
by a checkpoint, and checkpoints are made only here, so wiping that part on its way keeps the file clean.
Page layout: "Database File Format", section 1.6, sqlite.org/fileformat2.html.
"""

from __future__ import annotations

from functools import cache

import apsw

_HEADER = 100  # bytes before the first page's own header
_INTERIOR, _LEAVES = (2, 5), (10, 13)  # first byte of B-tree pages; all others begin with a number


def scrubbed(page: bytes, offset: int) -> bytes:
    """Return the page with zeros between its cell pointers and its cells, where nothing is kept.

    ``offset`` is where the page lies in the file. What is no page of a B-tree comes back as it is.
    """
    start = _HEADER if offset == 0 else 0
    kind = page[start]
    if kind not in _INTERIOR and kind not in _LEAVES:
        return page
    cells = int.from_bytes(page[start + 3 : start + 5], "big")
    content = int.from_bytes(page[start + 5 : start + 7], "big") or 65_536
    pointers = start + (12 if kind in _INTERIOR else 8) + 2 * cells
    if not pointers < content <= len(page) or not page[pointers:content].strip(b"\0"):
        return page
    return page[:pointers] + bytes(content - pointers) + page[content:]


class _ScrubbedFile(apsw.VFSFile):
    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(scrubbed(data, offset), offset)


class _ScrubbingVFS(apsw.VFS):
    def __init__(self, name: str, base: str) -> None:
        super().__init__(name, base)
        self._base = base

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        # The log's frames carry checksums of their pages, so only the database itself is scrubbed.
        kind = _ScrubbedFile if flags[0] & apsw.SQLITE_OPEN_MAIN_DB else apsw.VFSFile
        return kind(self._base, name, flags)


@cache
def _vfs(base: str) -> _ScrubbingVFS:
    return _ScrubbingVFS(f"mem1-scrubbing-{base}", base)


def scrubbing_vfs() -> str:
    """Return the name of the scrubbing layer over the one that connections get by default."""
    base = apsw.vfs_names()[0]
    _vfs(base)
    return f"mem1-scrubbing-{base}"
