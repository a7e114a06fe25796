"""Servers that are killed while images come in: no image without its bytes, no bytes without an image."""

from __future__ import annotations

import base64
import io
import random
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from PIL import Image as Pillow

from tests.test_kills import _KILLED_ENDS
from tests.test_stdio import Wire, call, server_process
from tests.wholeness import assert_whole, users_file

_IN_FLIGHT = 3


def a_photo(number: int) -> str:
    """Make an image that fills some hundred pages of the file, another one for each number."""
    noise = Pillow.frombytes("L", (300, 300), random.Random(number).randbytes(90_000))  # noqa: S311 - no secret
    written = io.BytesIO()
    noise.save(written, "PNG", compress_level=0)
    return base64.b64encode(written.getvalue()).decode()


def with_an_image(number: int) -> dict[str, Any]:
    image = {"data": a_photo(number), "description": f"Photo {number}"}
    message = {"role": "user", "content": f"This is photo {number}."}
    return call(number, "remember", messages=[message], images=[image], topic=f"album {number % 3}")


async def send_until_killed(folder: Path, chance: random.Random) -> list[str]:
    """Run a server, send images as fast as it takes them, kill it; return what it acknowledged."""
    acknowledged: list[str] = []
    free, begun = anyio.Semaphore(_IN_FLIGHT), anyio.Event()
    first = chance.randrange(1_000_000)

    async def send(wire: Wire) -> None:
        for number in count(first):
            await free.acquire()
            try:
                await wire.write(with_an_image(number))
            except _KILLED_ENDS:
                return
            begun.set()

    async def kill(wire: Wire) -> None:
        await begun.wait()
        await anyio.sleep(chance.uniform(0, 0.15))
        wire.process.kill()

    async with server_process(folder) as wire:
        await wire.initialize()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, wire)
            tasks.start_soon(kill, wire)
            while True:
                try:
                    answer = await wire.read()
                except _KILLED_ENDS:
                    break
                assert not answer["result"]["isError"], answer
                acknowledged += answer["result"]["structuredContent"]["image_ids"]
                free.release()
            tasks.cancel_scope.cancel()
        await wire.process.wait()
    return acknowledged


def check(folder: Path) -> tuple[int, int]:
    """Check that images and bytes belong together; return how many of each there are."""
    path = users_file(folder)
    if not path.exists():
        return 0, 0
    assert_whole(path)
    with closing(apsw.Connection(str(path))) as db:
        images = db.execute("SELECT count(*) FROM images").get
        assert images == db.execute("SELECT count(*) FROM messages WHERE content LIKE 'Photo %'").get
        assert images == db.execute("SELECT count(*) FROM messages WHERE content LIKE 'This is%'").get
        files = dict(db.execute("SELECT digest, data FROM image_files"))
        assert all(sha256(data).hexdigest() == digest for digest, data in files.items())
        assert set(files) == {digest for (digest,) in db.execute("SELECT digest FROM images")}
    return images, len(files)


@pytest.mark.heavy
@pytest.mark.timeout(600)
async def test_of_a_hundred_kills_none_leaves_an_image_without_its_bytes(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - repeatable, no secret
    acknowledged = 0

    for _ in range(100):
        acknowledged += len(await send_until_killed(tmp_path, chance))
        images, files = check(tmp_path)
        assert images >= acknowledged

    print(f"\nacknowledged {acknowledged}, kept {images}, files {files}")  # noqa: T201 - for whoever asks with -s
    assert acknowledged > 50
