"""The fixture application: the server's own composition, with the suite's tools in it.

Usage, from the root of the checkout: python -m tests.conformance.app --port N
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import anyio

from mem1_mcp import app, settings
from mem1_mcp.server.build import build_server
from mem1_mcp.server.identity import of_the_request
from mem1_mcp.server.updates import Updates
from mem1_mcp.server.web import listening
from mem1_mcp.server.web.application import Application
from tests.conformance.fixtures import add_fixtures

HOST = "127.0.0.1"


async def serve(folder: Path, port: int) -> None:
    """Serve as the program does, until stopped."""
    chosen = settings.load(memory_dir=folder)
    async with app.open_memory(chosen) as memory, anyio.create_task_group() as tasks:
        updates = Updates(memory, of_the_request)
        sealing = await listening.sealing(memory)
        server = build_server(memory, chosen, of_the_request, updates, sealing=sealing)
        add_fixtures(server)
        with listening.listen(HOST, port) as listener:
            rules = await listening.rules(memory, chosen, listener, asking_for_tokens=False)
            http = listening.HttpServer(Application(server, memory, updates, rules))
            tasks.start_soon(updates.run)
            await http.serve(listener)


def main() -> None:
    """Serve a memory of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(partial(serve, Path(folder), port))


if __name__ == "__main__":
    main()
