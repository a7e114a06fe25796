"""What the model of a session has before it already: what was said there, and what it was shown."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    ids: list[str] = field(default_factory=list)
    begun: bool = False

    @classmethod
    def open(cls, memory_dir: Path, session: str) -> Session:
        """Read what is known of a session."""
        folder = memory_dir / "hook" / "sessions"
        opened = cls(folder / f"{hashlib.sha256(session.encode()).hexdigest()[:32]}.json")
        try:
            known = json.loads(opened.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return opened
        opened.begun = True
        opened.ids = [str(each) for each in known] if isinstance(known, list) else []
        return opened

    @classmethod
    def any(cls, memory_dir: Path) -> bool:
        """Whether a hook has ever run over this memory."""
        return (memory_dir / "hook" / "sessions").is_dir()

    def save(self) -> None:
        """Write it down for the next turn."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self.path.with_suffix(f".{os.getpid()}.part")
        unfinished.write_text(json.dumps(self.ids[-_MOST:]), encoding="utf-8")
        unfinished.replace(self.path)

    def tidy(self) -> None:
        """Remove the files of sessions that nobody will resume."""
        for path in self.path.parent.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # another session's hook does the same
                if path.stat().st_mtime < time.time() - _DAYS * 86_400:
                    path.unlink()
