"""Many users of one memory, written and asked without a host in between."""

from __future__ import annotations

import time
from itertools import islice

import life

from mem1_mcp.memory import Memory
from mem1_mcp.memory.recall import Recall
from mem1_mcp.memory.remember import Remember, Said
from mem1_mcp.types import Scope

_BATCH = 500
WARM = 20  # questions that are not counted


async def fill(memory: Memory, user: str, count: int, seed: int) -> None:
    told = life.messages(count, seed=seed)
    now = int(time.time() * 1000)
    while batch := list(islice(told, _BATCH)):
        said = tuple(Said(each["role"], each["content"], said_at=now) for each in batch)
        await memory.remember(user, Remember(topic="life", messages=said))


async def ask(memory: Memory, users: list[str]) -> list[float]:
    times = []
    for user, question in zip(users, life.questions(len(users)), strict=True):
        began = time.perf_counter()
        await memory.recall(Recall(Scope(user), (question,)))
        times.append((time.perf_counter() - began) * 1000)
    return times[WARM:]
