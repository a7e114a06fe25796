"""What was said and is not in the store yet: one file each, until it is.

A host ends a hook that takes too long, and a store may be busy or gone. So words are written here first,
without secrets, and taken away when the store has them. What stays waits for the next turn.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mem1_mcp.types import Role

_GIVEN_UP = (".refused", ".unreadable")


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
    """The folder of what waits."""

    folder: Path

    @classmethod
    def of(cls, memory_dir: Path) -> Waiting:
        """Return that of the memory in this folder."""
        return cls(memory_dir / "hook" / "waiting")

    def add(self, words: Words, part: int = 0) -> None:
        """Write something down, or a part of it. It survives this process, not the end of the machine."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{time.time_ns():020}-{part:03}-{uuid.uuid4().hex[:8]}.json"
        unfinished = path.with_suffix(".part")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
            json.dump(asdict(words), file, ensure_ascii=False)
        unfinished.replace(path)

    def __iter__(self) -> Iterator[tuple[Path, Words]]:
        """Go through it, oldest first; what another process has taken away meanwhile is passed over."""
        for path in self.files():
            try:
                yield path, Words(**json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
            except (ValueError, TypeError):
                path.replace(path.with_suffix(_GIVEN_UP[1]))

    def counts(self) -> tuple[int, int]:
        """Count what waits, and what no store will ever take."""
        return len(self.files()), sum(1 for ending in _GIVEN_UP for _ in self.folder.glob(f"*{ending}"))

    def give_up(self, path: Path) -> None:
        """Put aside what the store refuses: what waits behind it must not wait for ever."""
        path.replace(path.with_suffix(_GIVEN_UP[0]))

    def files(self) -> list[Path]:
        """Return the files of what waits, oldest first."""
        return sorted(self.folder.glob("*.json"))
