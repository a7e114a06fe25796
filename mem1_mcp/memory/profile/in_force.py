"""Which template is in force: the store's, which every process follows, or the configured one before."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import anyio

from mem1_mcp.errors import StoreError
from mem1_mcp.memory.profile.template import BUILT_IN, load, parse

if TYPE_CHECKING:
    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.protocols import Store

log = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0  # another process may change it


class InForce:
    """Knows the template of a store. ``configured`` counts while the store has none of its own.

    ``chosen`` when somebody set it, and did not just leave it at that.
    """

    def __init__(self, store: Store, configured: Template, *, chosen: bool = False) -> None:
        self._store = store
        self.configured = configured
        self._chosen = chosen
        self._known = configured
        self._look_at = -math.inf

    async def now(self) -> Template:
        """Return the template in force, as of some seconds ago at most."""
        if anyio.current_time() >= self._look_at:
            self._look_at = anyio.current_time() + _LOOK_SECONDS
            try:
                kept = await self._store.template()
            except StoreError as error:
                # It only says how things are shown.
                log.warning("The template of the profiles can't be read: %s", error)
            else:
                self._known = self.configured if kept is None else _read(kept)
        return self._known

    async def kept(self) -> Template | None:
        """Return the template that the store keeps; ``None`` where it has none yet."""
        found = await self._store.template()
        return None if found is None else _read(found)

    async def settle(self) -> str | None:
        """Give the store the template that was chosen, if it has none; say where it has another."""
        if not self._chosen:
            return None
        await self._store.keep_template(_written(self.configured), instead=False)
        return await self.differs()

    async def differs(self) -> str | None:
        """Say where the store has another template than the one that was chosen; changes nothing."""
        kept = await self.kept()
        if not self._chosen or kept is None or kept == self.configured:
            return None
        what = "an older text of this template" if kept.name == self.configured.name else kept.name
        return (
            f"MEM1_PROFILE_TEMPLATE names {self.configured.name}; the profiles here follow {what}, and so "
            f"does this program. `mem1-mcp profile template {self.configured.name}`, or the path of its "
            "file, changes that for all."
        )

    async def change_to(self, template: Template) -> None:
        """Have all profiles of the store follow another template; no item is lost."""
        await self._store.keep_template(_written(template), instead=True)
        self._look_at = -math.inf


def _written(template: Template) -> str:
    # A built-in one by its name: a newer program may word it better.
    return template.name if template.name in BUILT_IN else template.text


def _read(kept: str) -> Template:
    return load(kept) if kept in BUILT_IN else parse(kept, "the store's template")
