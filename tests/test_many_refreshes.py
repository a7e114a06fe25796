"""Real servers that are stopped between a round and its refresh: the next ones read all, once each."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mem1_mcp.app import wall_clock
from mem1_mcp.stores.sqlite import SqliteStore
from tests.chat_endpoint import NOTHING_TO_DO, ChatEndpoint, chat_endpoint, fenced
from tests.test_many_processes import USER, answers, remember
from tests.test_stdio import Wire, server_process
from tests.wholeness import assert_whole, connection_to, users_file

MEMORIES = 5
# How each server ends: at once after the answer to its round, or while the model reads it. The last one
# leaves its lease behind, which the one after it has to wait for.
STOPS = (*("kill", "hang up") * 3, "kill", "hang up while", "hang up while", "kill while")


class Reader:
    """A model that makes a line of each message, and holds its answer while it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.questions = 0

    def __call__(self, body: dict[str, Any]) -> str:
        data = fenced(body)
        if "messages" not in data:
            return NOTHING_TO_DO
        self.questions += 1
        # Says which question it was, without a figure: what two answers said would be two lines.
        mark = f"answer {'x' * self.questions}"
        add = {"op": "add", "item": None, "section": "timeline", "passing": None}
        made = [{**add, "text": f"{m['text']}, {mark}", "evidence": [m["n"]]} for m in data["messages"]]
        self.asked.set()
        self.go_on.wait(30)
        return json.dumps({"operations": made})


def environ(served: ChatEndpoint) -> dict[str, Any]:
    return {
        "MEM1_LLM_MODEL": "scripted",
        "MEM1_LLM_BASE_URL": served.url,
        "MEM1_UPDATE_INTERVAL_ROUNDS": "1",
        "MEM1_MAX_PROFILE_CHARS": "100000",
    }


def rounds_of(folder: Path) -> tuple[int, int]:
    """Return how many rounds there are, and how many of them were read."""
    db = connection_to(users_file(folder))
    try:
        rounds, read = db.execute("SELECT rounds, rounds_read FROM state").get
    finally:
        db.close()
    return rounds, read


async def stop(wire: Wire, how: str) -> None:
    if how.startswith("kill"):
        wire.process.kill()
    else:
        await wire.hang_up()
    await wire.process.wait()


async def live_and_stop(folder: Path, number: int, how: str, reader: Reader, served: ChatEndpoint) -> None:
    """Run a server that remembers one round and is stopped before that is read."""
    reader.asked.clear()
    reader.go_on.clear()
    async with server_process(folder, **environ(served)) as wire:
        await wire.initialize()
        await answers(wire, [remember(number, f"Parcel {number} came")])
        if how.endswith("while"):
            assert await anyio.to_thread.run_sync(reader.asked.wait, 40)
        await stop(wire, how)
    reader.go_on.set()


async def a_memory_with_stops(folder: Path, stops: Counter[str]) -> None:
    reader = Reader()
    with chat_endpoint(reader) as served:
        for number, how in enumerate(STOPS):
            await live_and_stop(folder, number, how, reader, served)
            stops[how] += 1
        assert rounds_of(folder) == (len(STOPS), 0)

        async with server_process(folder, seconds=90, **environ(served)) as wire:
            await wire.initialize()
            while rounds_of(folder)[1] < len(STOPS):  # noqa: ASYNC110 - a file
                await anyio.sleep(0.1)
            await stop(wire, "hang up")

    store = SqliteStore(folder / "memory", wall_clock)
    items = (await store.profile(USER)).items
    places = [stored.place for stored in await store.messages(USER, range(len(STOPS) + 1))]
    await store.close()
    assert [item.text.partition(",")[0] for item in items] == [
        f"Parcel {n} came" for n in range(len(STOPS))
    ]
    assert [item.evidence for item in items] == [(place,) for place in places]
    assert_whole(users_file(folder))


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_of_fifty_stops_of_servers_before_or_while_a_round_is_read_none_costs_it_or_has_it_twice(
    tmp_path: Path,
) -> None:
    stops: Counter[str] = Counter()

    async with anyio.create_task_group() as tasks:
        for number in range(MEMORIES):
            folder = tmp_path / str(number)
            folder.mkdir()
            tasks.start_soon(a_memory_with_stops, folder, stops)

    assert stops.total() == 50
    print(f"\n{dict(stops)}, all rounds read once")  # noqa: T201 - figures for a person
