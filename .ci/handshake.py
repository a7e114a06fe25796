#!/usr/bin/env python3
"""Talk to an installed server as a host does: initialize, list the tools, hang up.

Usage: handshake.py PATH_TO_MEM1_MCP. Needs the standard library only, and ends with an error
unless the server offers its tools, keeps stdout to the protocol and leaves when stdin closes.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

TOOLS = {"remember", "recall", "list_topics", "forget"}
ANSWER_WITHIN_SECONDS = 30
EXIT_WITHIN_SECONDS = 5

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "handshake", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}


def send(stdin: IO[str], message: dict[str, Any]) -> None:
    """Put one message on a line of its own."""
    stdin.write(json.dumps(message) + "\n")
    stdin.flush()


def parsed(line: str) -> Any:
    """Read one line of stdout, which belongs to the protocol alone."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        sys.exit(f"stdout carried a line that is not JSON: {line!r}")


def answer_to(request: dict[str, Any], stdout: IO[str]) -> dict[str, Any]:
    """Read on to the answer."""
    for line in stdout:
        message = parsed(line)
        if message.get("id") == request["id"]:
            if "result" not in message:
                sys.exit(f"{request['method']} was refused: {line}")
            result: dict[str, Any] = message["result"]
            return result
    sys.exit(f"the server hung up, or was stopped, before it answered {request['method']}")


def main() -> None:
    """Start the server with an empty memory of its own, and stop it whatever comes of it."""
    program = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("MEM1_")}
        server = subprocess.Popen(  # noqa: S603 - the caller says what to run
            [program],
            cwd=folder,  # not the checkout, whose package could stand in for the installed one
            env=settings | {"MEM1_MEMORY_DIR": str(Path(folder) / "memory")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        too_late = threading.Timer(ANSWER_WITHIN_SECONDS, server.kill)
        too_late.start()
        try:
            converse(server)
        finally:
            too_late.cancel()
            server.kill()


def converse(server: subprocess.Popen[str]) -> None:
    """Hold the conversation; the first thing out of order ends the program."""
    if server.stdin is None or server.stdout is None:
        sys.exit("the server has no pipes")
    send(server.stdin, INITIALIZE)
    name = answer_to(INITIALIZE, server.stdout)["serverInfo"]["name"]
    send(server.stdin, INITIALIZED)
    send(server.stdin, LIST_TOOLS)
    tools = {tool["name"] for tool in answer_to(LIST_TOOLS, server.stdout)["tools"]}
    if missing := TOOLS - tools:
        sys.exit(f"no tool named {', '.join(sorted(missing))}")

    server.stdin.close()
    try:
        code = server.wait(timeout=EXIT_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        sys.exit(f"still running {EXIT_WITHIN_SECONDS} seconds after stdin was closed")
    if code != 0:
        sys.exit(f"ended with exit code {code} after stdin was closed")
    for line in server.stdout:
        parsed(line)
    sys.stdout.write(f"{name} offers {', '.join(sorted(tools))}, and left when stdin closed.\n")


if __name__ == "__main__":
    main()
