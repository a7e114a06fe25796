"""What the model of a session has before it already: what was said there, and what it was shown."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mem1_mcp.hook import private

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 4000  # ids of a session that are kept in mind
_DAYS = 30  # that a session may rest before it is resumed


@dataclass(slots=True)
class Session:
    """Ids of messages and profile lines, in a file of their own; losing it only repeats something.

    ``begun`` when this program has heard of the session before.
    """

    path: Path
    id: str = ""
    ids: list[str] = field(default_factory=list)
    begun: bool = False

    @classmethod
    def open(cls, memory_dir: Path, session: str) -> Session:
        """Read what is known of a session."""
        folder = memory_dir / "hook" / "sessions"
        opened = cls(folder / f"{hashlib.sha256(session.encode()).hexdigest()[:32]}.json", session)
        try:
            known = json.loads(opened.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return opened
        opened.begun = True
        opened.ids = [str(each) for each in known] if isinstance(known, list) else []
        return opened

    def took(self, session: str, ids: tuple[str, ...]) -> None:
        """Note what was said in a session, if it is this one."""
        if session == self.id:
            self.ids.extend(ids)

    def save(self) -> None:
        """Write it down for the next turn."""
        private.write(self.path, json.dumps(self.ids[-_MOST:]))

    def tidy(self) -> None:
        """Remove the files of sessions that nobody will resume."""
        for path in self.path.parent.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # another session's hook does the same
                if path.stat().st_mtime < time.time() - _DAYS * 86_400:
                    path.unlink()


def note_that_it_ran(memory_dir: Path, host: str) -> None:
    """Note that a host runs its hooks: one that was not asked to trust them does not."""
    mark = _mark(memory_dir, host)
    if not mark.exists():
        private.write(mark, "")


def has_run(memory_dir: Path, host: str) -> bool:
    """Whether a host has run its hooks over this memory."""
    return _mark(memory_dir, host).exists()


def _mark(memory_dir: Path, host: str) -> Path:
    return memory_dir / "hook" / "hosts" / f"{hashlib.sha256(host.encode()).hexdigest()[:32]}.ran"
