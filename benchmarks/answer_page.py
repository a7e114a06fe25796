"""Show what a person sees of ``search_images``: a real answer as a page, the way a host lays it out.

``python benchmarks/answer_page.py --out docs/images.png`` starts a server on a memory of its own, remembers
the pictures of ``image_set``, asks for some, writes the answers as HTML and has a headless Chromium take a
picture of the page. Without Chromium the page itself is written.
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

SERVER = (sys.executable, "-m", "mem1_mcp")
QUESTIONS = ("which monitoring screen had two alerts firing", "药店的小票", "海盐可颂卖了多少份")

STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; margin: 24px; background: #f6f5f2 }
.ask { background: #dfe8dc; border-radius: 12px; padding: 8px 14px; width: fit-content; margin: 18px 0 8px }
.answer { background: #fff; border: 1px solid #ddd; border-radius: 12px; padding: 12px 14px }
pre { font: 12px/1.5 "Noto Sans Mono CJK SC", monospace; white-space: pre-wrap; margin: 0 0 8px }
img { border: 1px solid #ccc; border-radius: 6px; margin-right: 8px; vertical-align: top }
a { font-size: 12px; display: block; color: #35608a }
figure { display: inline-block; margin: 4px 10px 4px 0 }
"""


def as_html(content: list[Any]) -> str:
    """Write the parts of an answer: its text, and each thumbnail with the link that follows it."""
    written, thumbnail = [], ""
    for part in content:
        if part.type == "text":
            written.append(f"<pre>{html.escape(part.text)}</pre>")
        elif part.type == "image":
            thumbnail = f'<img src="data:{part.mime_type};base64,{part.data}">'
        else:
            link = f'<a href="{part.uri}">{html.escape(part.name)} · {part.size:,} bytes</a>'
            written.append(f"<figure>{thumbnail}{link}</figure>")
            thumbnail = ""
    return "".join(written)


async def answers(pictures: list[dict[str, Any]], folder: Path) -> str:
    """Remember the pictures in a server's memory, ask, and return the page."""
    environment = {**os.environ, "MEM1_MEMORY_DIR": str(folder / "memory"), "MEM1_IMAGE_ROOTS": str(folder)}
    server = StdioServerParameters(command=SERVER[0], args=list(SERVER[1:]), env=environment)
    page = []
    async with Client(server) as client:
        for picture in pictures:
            await client.call_tool("remember", {"images": [picture], "topic": "album"})
        await anyio.run_process([*SERVER, "images", "read"], env=environment)
        for question in QUESTIONS:
            found = await client.call_tool("search_images", {"query": question, "limit": 3})
            answer = as_html(list(found.content))
            page.append(f'<div class="ask">{html.escape(question)}</div><div class="answer">{answer}</div>')
    return f"<meta charset=utf-8><style>{STYLE}</style>{''.join(page)}"


def photographed(page: Path, out: Path) -> bool:
    """Have Chromium take a picture of the page; false where there is none."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if chromium is None:
        return False
    command = [chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=900,1260"]
    subprocess.run([*command, f"--screenshot={out}", page.as_uri()], check=True, capture_output=True)
    return True


def main() -> None:
    """Write the picture of a page, or the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    out = parser.parse_args().out.resolve()
    from image_set import rendered  # draws; not needed for --help

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pictures = [
            {"path": str(picture.path), "filename": picture.filename, "description": picture.description}
            for picture in rendered(root)
        ]
        written = anyio.run(answers, pictures, root)
        page = root / "page.html"
        page.write_text(written, "utf-8")
        if not photographed(page, out):
            shutil.copy(page, out.with_suffix(".html"))
            print(f"No Chromium here; the page is {out.with_suffix('.html')}")


if __name__ == "__main__":
    main()
