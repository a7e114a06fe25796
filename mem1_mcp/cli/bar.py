"""A bar that shows how far long work is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mem1_mcp import protocols


@contextmanager
def progress_bar(what: str) -> Iterator[protocols.Progress]:
    """Show a bar on stderr while the block lasts; what it gives is to be told how far the work is."""
    with Progress(console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=None)

        async def told(progress: float, total: float | None = None, message: str | None = None) -> None:
            shown.update(task, completed=progress, total=total, description=message or "")

        yield told
