"""The SQLite store: one file a user, many processes on each, nothing to install.

Isolation is by construction, since another user's words are in another file. The index is FTS5 over
ready-made terms; a hit's neighbours are a range of its place. See ``schema`` for the layout.
"""

from __future__ import annotations

from mem1_mcp.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
