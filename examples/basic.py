"""Remember in one process, recall in the next, read the profile, forget: the smallest whole program.

Run it with ``python examples/basic.py``. Its memory lies in a temporary folder and goes with it; without
MEM1_MEMORY_DIR it would be your own, which your assistant reads too.
"""

from __future__ import annotations

import io
import sys
import tempfile
from typing import Any

import anyio
from mcp import Client, StdioServerParameters


def server(folder: str) -> StdioServerParameters:
    """Say how to start the server: ``python -m mem1_mcp`` is the command ``mem1-mcp``."""
    return StdioServerParameters(
        command=sys.executable, args=["-m", "mem1_mcp"], env={"MEM1_MEMORY_DIR": folder}
    )


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and print what a model reads; return the same as data."""
    print(f"\n> {tool} {', '.join(arguments)}")
    result = await client.call_tool(tool, arguments)
    print("\n".join(str(part.text) for part in result.content if part.type == "text"))
    insist(not result.is_error, f"{tool} refused")
    return dict(result.structured_content or {})


def insist(so: object, otherwise: str) -> None:
    """End the program with an error when something is not as it says."""
    if not so:
        raise RuntimeError(otherwise)


async def main() -> None:
    """Run two server processes, one after the other, on one memory."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        print("== First process")
        async with Client(server(folder)) as client:
            said = [
                {"role": "user", "content": "For hiking I need boots in 42, my left knee is bad."},
                {"role": "assistant", "content": "Then boots with a stiff sole, size 42."},
            ]
            facts = [{"text": "Has a bad left knee", "section": "cautions"}]
            await call(client, "remember", messages=said, facts=facts, topic="outdoors")

        print("\n== Second process")
        async with Client(server(folder)) as client:
            found = await call(client, "recall", query="Which size are my hiking boots?")
            insist("42" in found["hits"][0]["text"], "the second process does not know the size")

            print("\n> resource memory://profile")
            resource = await client.read_resource("memory://profile")
            profile = str(getattr(resource.contents[0], "text", ""))
            print(profile.strip())
            insist("bad left knee" in profile, "the profile lacks the fact")

            # Nothing goes before the second call: show the person the preview, and ask.
            preview = await call(client, "forget", topic="outdoors")
            await call(client, "forget", confirm=preview["confirm"])

            left = await call(client, "recall", query="Which size are my hiking boots?")
            insist(not left["hits"] and not left["profile"], "what was forgotten is still found")


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # old consoles of Windows have another one
    anyio.run(main)
