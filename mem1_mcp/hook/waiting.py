"""What was said and is not in the store yet: one file each, until it is.

A host ends a hook that takes too long, and a store may be busy or gone. So words are written here first,
without secrets, and taken away when the store has them. What stays waits for the next turn.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mem1_mcp.hook import private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mem1_mcp.settings import Settings
    from mem1_mcp.types import Role

_REFUSED, _UNREADABLE = ".refused", ".unreadable"
_ABANDONED_SECONDS = 60  # a file that is still unfinished then: its process was ended


@dataclass(frozen=True, slots=True)
class Words:
    """One thing said, and whose memory it is for. ``request_id`` makes handing it over twice harmless."""

    user: str
    topic: str
    session: str
    role: Role
    text: str
    said_at: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The folder of what waits for one store."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Waiting:
        """Return that of the store of these settings: another host's may be another."""
        store = "files"
        if settings.backend == "elasticsearch":
            named = [*settings.es_hosts, settings.es_prefix, settings.es_index]
            store = f"cluster-{hashlib.sha256(' '.join(named).encode()).hexdigest()[:16]}"
        return cls(_folder(settings.memory_dir) / store)

    def add(self, words: Words, part: int = 0) -> None:
        """Write something down, or a part of it."""
        name = f"{time.time_ns():020}-{part:03}-{uuid.uuid4().hex[:8]}.json"
        private.write(self.folder / name, json.dumps(asdict(words), ensure_ascii=False))

    def __iter__(self) -> Iterator[tuple[Path, Words]]:
        """Go through it, oldest first; what another process has taken away meanwhile is passed over."""
        for path in sorted((*self.folder.glob("*.json"), *self._abandoned())):
            try:
                yield path, Words(**json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
            except (ValueError, TypeError):
                path.replace(path.with_suffix(_UNREADABLE))

    def give_up(self, path: Path) -> None:
        """Put aside what the store refuses: what waits behind it must not wait for ever."""
        path.replace(path.with_suffix(_REFUSED))

    def _abandoned(self) -> list[Path]:
        latest = time.time() - _ABANDONED_SECONDS
        found = []
        for path in self.folder.glob(f"*{private.UNFINISHED}"):
            try:
                if path.stat().st_mtime < latest:
                    found.append(path)
            except FileNotFoundError:
                continue  # finished meanwhile
        return found


def count(memory_dir: Path) -> tuple[int, int]:
    """Count what waits, for whichever store, and what none will ever take."""
    endings = [path.suffix for path in _folder(memory_dir).rglob("*.*")]
    waiting = endings.count(".json") + endings.count(private.UNFINISHED)
    return waiting, endings.count(_REFUSED) + endings.count(_UNREADABLE)


def where(memory_dir: Path) -> str:
    """Say where what waits lies."""
    return str(_folder(memory_dir))


def _folder(memory_dir: Path) -> Path:
    return memory_dir / "hook" / "waiting"
