"""What is to be forgotten, and what was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mem1_mcp.types.messages import Stored


@dataclass(frozen=True, slots=True)
class Mark:
    """How far things had come when a preview was shown: later calls and items are not taken."""

    call: int
    item: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be forgotten: exactly one of these is given."""

    places: tuple[int, ...] = ()
    items: tuple[str, ...] = ()
    topic: str | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection finds: numbers, span, and the first lines from the cursor on."""

    messages: int
    first_at: int
    last_at: int
    lines: tuple[Stored, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went. ``pending`` is true while the job ``erasure`` has yet to take bytes off the disk."""

    messages: int = 0
    items: int = 0
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A preview that may be confirmed once: the token is known only by its hash.

    ``done`` says that it was; then ``taken`` tells what went, and the selection is empty.
    """

    token_hash: str
    selection: Selection
    mark: Mark
    expires_at: int
    taken: Forgotten = field(default_factory=Forgotten)
    done: bool = False
