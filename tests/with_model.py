"""A memory with a language model behind real HTTP, as a host sees it; nobody works in its background."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mem1_mcp.memory import InForce, Jobs, Keeping, Memory, Model, Refreshing, Summarising
from mem1_mcp.memory.profile.template import GENERAL, Template
from mem1_mcp.models.chat import OpenAIChat
from mem1_mcp.types import Rhythm
from tests.conftest import ZONE, HandClock, Host, Opening, host_of

EVERY_FIVE = Rhythm(rounds=5, pause_ms=180_000)


@dataclass(frozen=True)
class Set:
    """What a person would set, and the model's address."""

    url: str
    rhythm: Rhythm | None = EVERY_FIVE
    template: Template = GENERAL
    max_chars: int = 3000
    keep_words: bool = True
    keeping: Keeping = field(default_factory=Keeping)
    seconds: float = 10.0


@asynccontextmanager
async def remembering(
    another: Opening, clock: HandClock, set_to: Set
) -> AsyncGenerator[tuple[Host, Memory]]:
    """Connect a host; ``memory.jobs.run_due()`` does what the background would."""
    store = another(None, set_to.rhythm)
    model = Model(OpenAIChat("scripted", set_to.url, None, 0.2, seconds=set_to.seconds), store)
    in_force = InForce(store, set_to.template)
    workers = [
        Summarising(store, model, set_to.keeping.long_reply, keep_words=set_to.keep_words),
        Refreshing(store, model, in_force, clock, ZONE, set_to.max_chars),
    ]
    memory = Memory(store, clock, ZONE, Jobs(store, clock, workers), set_to.keeping, None, in_force, model)
    try:
        async with host_of(memory) as host:
            yield host, memory
    finally:
        await store.close()
        await model.close()
