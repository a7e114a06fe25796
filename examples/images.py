"""Remember a picture, find it by what it shows in Chinese and English, and get its bytes back.

Run it with ``python examples/images.py``. It draws its chart itself and keeps it in a memory in a temporary
folder. No model looks at the picture: what it shows is told in words, as the assistant that sees it does.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import picture
from mcp import Client, StdioServerParameters


def server(folder: Path) -> StdioServerParameters:
    """Say how to start the server; it opens pictures under MEM1_IMAGE_ROOTS, by default your home."""
    settings = {
        "MEM1_MEMORY_DIR": str(folder / "memory"),
        "MEM1_IMAGE_ROOTS": str(folder),
        "MEM1_OCR": "none",  # found by its description alone; mem1-mcp[ocr] also reads the text in it
    }
    return StdioServerParameters(command=sys.executable, args=["-m", "mem1_mcp"], env=settings)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and print its answer; return the same as data."""
    result = await client.call_tool(tool, arguments)
    for part in result.content:
        if part.type == "text":
            print(part.text)
        elif part.type == "image":
            print(f"+ thumbnail, {part.mime_type}")
        elif part.type == "resource_link":
            print(f"+ {part.uri}, {part.size} bytes")
    insist(not result.is_error, f"{tool} refused")
    return dict(result.structured_content or {})


async def search(client: Client, query: str, topic: str | None = None) -> list[dict[str, Any]]:
    """Search for images by what they show, in one topic or in all."""
    where = {"topic": topic} if topic else {}
    print(f"\n> search_images {query!r}{f', in {topic}' if topic else ''}")
    return list((await call(client, "search_images", query=query, **where))["hits"])


def insist(so: object, otherwise: str) -> None:
    """End the program with an error when something is not as it says."""
    if not so:
        raise RuntimeError(otherwise)


async def show(folder: Path) -> None:
    """Keep a chart, find it, save it."""
    chart = folder / "revenue.png"
    picture.draw(chart)

    async with Client(server(folder)) as client:
        print("> remember, with the path of the picture")
        shown = {
            "path": str(chart),
            "description": "Bar chart of the bakery's revenue by quarter, Q4 best. 面包坊季度营收柱状图",
        }
        said = [{"role": "user", "content": "For the investors. Keep it."}]
        kept = await call(client, "remember", topic="bakery", messages=said, images=[shown])

        for query in ("the chart with the revenue of each quarter", "哪张图是季度营收？"):
            hits = await search(client, query)
            insist([hit["id"] for hit in hits] == kept["image_ids"], f"{query!r} does not find it")

        insist(await search(client, "季度营收", topic="bakery") != [], "its own topic lacks it")
        insist(await search(client, "季度营收", topic="holidays") == [], "another topic shows it")

        uri = hits[0]["image"]["uri"]
        print(f"\n> resource {uri}")
        resource = await client.read_resource(uri)
        copy = folder / "copy.png"
        copy.write_bytes(base64.b64decode(getattr(resource.contents[0], "blob", "")))
        insist(copy.read_bytes() == chart.read_bytes(), "it came back as another picture")
        print(f"{copy.name} holds the same bytes as {chart.name}")


def main() -> None:
    """Run all of it in a temporary folder."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(show, Path(folder))


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # old consoles of Windows have another one
    main()
