"""Two lives of one memory: start the real server as a host does, and show both sides.

Run it with ``make demo`` or ``python examples/demo.py``. What Mei and her assistant say is a script;
every call goes to a server process over stdio, and every answer is what came back. The memory lies in
a temporary folder and is removed afterwards. An answer that misses ends the program with an error.

With ``--elasticsearch`` it lies in the cluster of MEM1_ES_HOSTS, in indices named ``demo-…``, which stay.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import picture
from mcp import Client, StdioServerParameters
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mem1_mcp.cli.configuration import command_path, host_configuration

WIDTH = 96
LABEL = 8  # the column that says who speaks
STYLES = {"Mei": "bold green", "AI": "cyan", "calls": "yellow", "memory": "magenta"}
# What stays together: a word, or a wide character with the marks that must not begin a row.
PIECES = re.compile(r" *(?:[\u2e80-\uffff][，。？！：、（）”]*|[^\s\u2e80-\uffff]+)|\s+")
PATIENCE_SECONDS = 120  # for everything: a laptop that was just switched on is slow


@dataclass(frozen=True, slots=True)
class Place:
    """Where the memory lies: in a folder, or in a cluster that these variables name."""

    folder: Path
    cluster: dict[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server on it; pictures are opened from this folder alone."""
        return {"MEM1_MEMORY_DIR": str(self.folder), "MEM1_IMAGE_ROOTS": str(self.folder), **self.cluster}


class DemoError(Exception):
    """The memory did not do what the demo says it does."""


def insist(found: object, otherwise: str) -> None:
    """End the demo with words when something it shows is not so."""
    if not found:
        raise DemoError(otherwise)


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat of the past, and what a model would keep of it as facts."""

    day: date
    topic: str
    mei: str
    assistant: str
    facts: tuple[dict[str, str], ...] = ()

    @property
    def messages(self) -> list[dict[str, str]]:
        """Both messages as ``remember`` takes them, with the time at which they were said."""
        return [
            {"role": "user", "content": self.mei, "timestamp": f"{self.day}T19:40"},
            {"role": "assistant", "content": self.assistant, "timestamp": f"{self.day}T19:41"},
        ]


def months_before(today: date, months: int) -> date:
    """Return the 14th of the month that was so many months ago."""
    number = today.year * 12 + today.month - 1 - months
    return date(number // 12, number % 12 + 1, 14)


def past_chats(today: date) -> Iterator[Chat]:
    """Five months in four chats, counted back from today: 昨天 has to be yesterday."""
    yield Chat(
        months_before(today, 5),
        "生活",
        "我对牛奶过敏，咖啡都帮我换成燕麦奶。",
        "好，以后推荐饮品都避开牛奶。",
        ({"text": "对牛奶过敏，咖啡要换燕麦奶", "section": "cautions"},),
    )
    yield Chat(
        months_before(today, 3),
        "bakery",
        "I chose the stone oven: it costs 9,400 euros and takes six weeks to deliver.",
        "Good choice. That leaves 2,600 of the equipment budget.",
        (
            {"text": "Is opening a sourdough bakery, Hearth Lane", "section": "basic"},
            {"text": "Wants the numbers first, then the reasons", "section": "preferences"},
        ),
    )
    yield Chat(
        today - timedelta(days=9),
        "bakery",
        "The landlord lets us open the back wall, so the oven can stand there.",
        "Then the counter can stay where it is.",
    )
    yield Chat(
        today - timedelta(days=1),
        "生活",
        "刚和周岚吃了汽锅鸡。她下个月搬去成都，还没告诉别人。",
        "听得出来你舍不得。要不要准备一份送别礼物？",
        ({"text": "好友周岚下个月搬去成都", "section": "timeline"},),
    )


class Transcript:
    """Prints who says what: with colours on a terminal, as plain text anywhere else."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._width = min(WIDTH, self._console.width) if self._console.is_terminal else WIDTH

    def title(self, text: str) -> None:
        """Begin a part."""
        self._console.print(Text(f"\n== {text}", style="bold"))

    def note(self, text: str) -> None:
        """Say what happens next, or what to look at."""
        self._console.print()
        for row in wrapped(text, self._width, hang=""):
            self._console.print(Text(row, style="dim"))

    def line(self, who: str, text: str) -> None:
        """Show what somebody says or calls, or what the memory answers."""
        label = who.ljust(LABEL)
        for line in filter(None, text.splitlines()):
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            for row in wrapped(line, self._width - LABEL, hang=indent):
                self._console.print(Text.assemble((label, STYLES[who]), row))
                label = " " * LABEL

    def as_it_is(self, text: str) -> None:
        """Print what is to be copied: never wrapped."""
        self._console.print(Text(text))


def wrapped(line: str, room: int, hang: str) -> Iterator[str]:
    """Break a line at spaces, and beside wide characters such as Chinese ones."""
    row = ""
    for piece in PIECES.findall(line):
        if row.strip() and cell_len(row + piece.rstrip()) > room:
            yield row.rstrip()
            row = hang + piece.lstrip()
        else:
            row += piece
    yield row.rstrip()


class Host:
    """A host and its model: shows every call it makes and every answer it gets."""

    def __init__(self, client: Client, transcript: Transcript) -> None:
        self._client = client
        self._transcript = transcript

    @property
    def known(self) -> str:
        """What of the profile the server's instructions quote, before the first word."""
        return (self._client.instructions or "").rpartition("\n\n")[2]

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed, and return its answer as data."""
        self._transcript.line("calls", written(tool, arguments))
        result = await self._client.call_tool(tool, arguments)
        self._transcript.line("memory", "\n".join(map(in_words, result.content)))
        insist(not result.is_error, f"{tool} refused what it should have done")
        return dict(result.structured_content or {})

    async def recall(self, first: str, **arguments: Any) -> list[dict[str, Any]]:
        """Recall, and insist that the first memory holds these words."""
        hits: list[dict[str, Any]] = (await self.call("recall", **arguments))["hits"]
        insist(hits and first in hits[0]["text"], f"recall should have found {first!r} first")
        return hits

    async def search(self, images: list[str], query: str) -> None:
        """Search images, and insist on which one comes first."""
        hits = (await self.call("search_images", query=query, limit=1))["hits"]
        insist(
            [hit["id"] for hit in hits] == images, f"search_images should have found {images} by {query!r}"
        )

    async def profile(self) -> str:
        """Read the profile as a host attaches it to a chat."""
        self._transcript.line("calls", "resource memory://profile")
        contents = (await self._client.read_resource("memory://profile")).contents[0]
        text = str(getattr(contents, "text", "")).strip()
        self._transcript.line("memory", text)
        return text


def in_words(part: Any) -> str:
    """Write a part of an answer: its text, or what there is beside it."""
    if part.type == "image":
        return f"+ thumbnail, {part.mime_type}, {len(part.data) * 3 // 4:,} bytes"
    return f"+ link {part.uri}" if part.type == "resource_link" else str(part.text)


def written(tool: str, arguments: dict[str, Any]) -> str:
    """Write a call; messages are left out, since the lines above have just shown them."""
    parts = []
    for name, value in arguments.items():
        if name == "messages":
            text = "[as above]"
        elif name in ("facts", "images"):
            text = "[\n  " + ",\n  ".join(json.dumps(fact, ensure_ascii=False) for fact in value) + "]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        parts.append(f"{name}={text}")
    return f"{tool}({', '.join(parts)})"


@asynccontextmanager
async def host(command: str, place: Place, show: Transcript) -> AsyncGenerator[Host]:
    """Start a server process on the memory, and end it when the block ends."""
    environment = place.settings
    if "TZ" in os.environ:  # the SDK hands on next to nothing, and 昨天 needs the same clock on both sides
        environment["TZ"] = os.environ["TZ"]
    server = StdioServerParameters(command=command, env=environment)
    async with Client(server) as client:
        yield Host(client, show)


async def remember(first: Host, show: Transcript, today: date) -> None:
    """Keep four chats, one call each."""
    for chat in past_chats(today):
        show.note(f"{chat.day:%Y-%m-%d}")
        show.line("Mei", chat.mei)
        show.line("AI", chat.assistant)
        facts = {"facts": list(chat.facts)} if chat.facts else {}
        kept = await first.call("remember", topic=chat.topic, messages=chat.messages, **facts)
        insist(len(kept["message_ids"]) == len(chat.messages), "remember kept something else")


async def recall(second: Host, show: Transcript, today: date) -> list[str]:
    """Find things by word, day, month and topic; return the ids of what was said yesterday."""
    show.note("By word, and across scripts: asked in traditional characters, said in simplified ones.")
    show.line("Mei", "咖啡要換成什麼奶？")
    await second.recall("燕麦奶", query="咖啡要換成什麼奶？", limit=1)

    show.note("By day. 昨天 is yesterday, by the user's own clock.")
    show.line("Mei", "我昨天和谁吃的饭？")
    yesterday = await second.recall("周岚", query="我昨天和谁吃的饭？", limit=2)

    asked = f"What did I say about the oven in {months_before(today, 3):%B}?"
    show.note("By month. The oven came up twice; the date decides.")
    show.line("Mei", asked)
    await second.recall("stone oven", query=asked, limit=1)

    show.note("By topic and date, without a question.")
    show.line("Mei", "And what is new with the bakery these two weeks?")
    await second.recall("back wall", topic="bakery", since=f"{today - timedelta(days=14)}")
    return [str(hit["id"]) for hit in yesterday]


async def correct(second: Host, show: Transcript) -> None:
    """Let a new fact supersede an old one, and see that only the new one is told."""
    show.note("The profile: short lines about Mei, for every chat and topic. In brackets, their ids.")
    profile = await second.profile()
    outdated = next((line for line in profile.splitlines() if "牛奶过敏" in line), "")
    insist(outdated, "the profile lacks what was told")

    show.note("A correction names the line that it replaces.")
    said = "检查结果出来了：我是乳糖不耐受，不是过敏，酸奶可以喝。"
    show.line("Mei", said)
    fact = {
        "text": "乳糖不耐受（不是过敏），酸奶可以喝",
        "section": "cautions",
        "replaces": outdated.rpartition("[")[2].rstrip("]"),
    }
    await second.call("remember", topic="生活", messages=[{"role": "user", "content": said}], facts=[fact])
    show.line("Mei", "那早餐喝酸奶行吗？")
    found = await second.call("recall", query="早餐喝酸奶行吗？", limit=1)
    known = [item["text"] for item in found["profile"]]
    insist(known == [fact["text"]], "the profile should tell the correction, and it alone")


async def pictures(command: str, second: Host, show: Transcript, place: Place) -> None:
    """Remember a picture and find it by what it shows, and by a word that only stands in it."""
    show.note("A picture, by its path. The demo has drawn it; the assistant says what it sees.")
    path = place.folder / "revenue.png"
    picture.draw(path)
    said = "Our revenue for the investors. Keep it."
    show.line("Mei", said)
    shown = {
        "path": str(path),
        "description": "Bar chart: sales grew through the year, the last quarter best",
    }
    messages = [{"role": "user", "content": said}]
    kept = await second.call("remember", topic="bakery", messages=messages, images=[shown])

    asked = "the chart where sales were best at the end"
    show.line("Mei", f"Show me {asked}.")
    await second.search(kept["image_ids"], asked)

    if find_spec("rapidocr") is None:
        show.note("With mem1-mcp[ocr] a picture is also found by the words that stand in it, 中文也行.")
        return
    show.note(
        "By a word that only stands in the picture. A server reads it in the background; now, by hand:"
    )
    show.line("calls", "mem1-mcp images read")
    read = await anyio.run_process([command, "images", "read"], env={**os.environ, **place.settings})
    show.line("memory", read.stdout.decode())
    show.line("Mei", "哪张图里有榛子？")
    await second.search(kept["image_ids"], "榛子")


async def forget(second: Host, show: Transcript, place: Place, ids: list[str]) -> None:
    """Take back what was told in confidence: preview, confirm, gone."""
    show.note("Forgetting takes two calls. The first one only shows what would go.")
    show.line("Mei", "周岚要搬家还没告诉别人，昨天那段忘掉吧。")
    preview = await second.call("forget", ids=ids)
    would_go = preview["messages"], len(preview["profile_items"])
    insist(would_go == (len(ids), 1), "the preview should show the messages and the line from them")
    show.line("AI", "会删掉昨天的两条消息和画像里的一行，而且无法恢复。确定吗？")
    show.line("Mei", "确定。")
    await second.call("forget", confirm=preview["confirm"])

    if place.cluster:
        show.note("Nothing finds it any more. Its bytes leave every node's disk within a minute.")
    else:
        show.note("Nothing finds it any more, and the name is in no file of the memory.")
    found = await second.call("recall", query="周岚")
    insist(not found["hits"] and not found["profile"], "what was forgotten is found again")
    holding = [] if place.cluster else files_with("周岚", place.folder)
    insist(not holding, f"the name is still in {', '.join(holding)}")


def files_with(text: str, folder: Path) -> list[str]:
    """Name the files that hold a text, byte for byte."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    insist(files, "the memory has no file")
    return [path.name for path in files if text.encode() in path.read_bytes()]


async def two_lives(command: str, show: Transcript, cluster: dict[str, str]) -> None:
    """Run two server processes, one after the other, over one memory."""
    today = datetime.now().astimezone().date()
    # On Windows a virus scanner may hold a file for a moment longer.
    with tempfile.TemporaryDirectory(prefix="mem1-demo-", ignore_cleanup_errors=True) as folder:
        place = Place(Path(folder), cluster)
        with anyio.fail_after(PATIENCE_SECONDS):
            show.title("First life: four chats in five months / 第一次运行：五个月里的四次对话")
            async with host(command, place, show) as first:
                await remember(first, show, today)

            show.title("Second life: a new process, a new chat / 第二次运行：新进程，新对话")
            async with host(command, place, show) as second:
                show.note("What the model is told before the first word:")
                show.line("memory", second.known)
                insist("牛奶过敏" in second.known, "the instructions lack the profile")
                ids = await recall(second, show, today)
                await correct(second, show)
                await pictures(command, second, show, place)
                show.note("Topics keep conversations apart.")
                show.line("Mei", "你都记得哪些话题？")
                topics = (await second.call("list_topics"))["topics"]
                insist({topic["topic"] for topic in topics} == {"生活", "bakery"}, "topics are missing")
                await forget(second, show, place, ids)


def show_configuration(command: str, show: Transcript) -> None:
    """Tell how to have this in one's own assistant."""
    show.title("Add it to your assistant / 接入你的 AI 助手")
    installer = command if " " not in command else f'"{command}"'
    show.as_it_is("")
    show.as_it_is(f"{installer} install                 # which assistants are here")
    show.as_it_is(f"{installer} install claude-desktop  # or cursor, vscode, claude-code, codex …")
    show.note("Any other host takes this in its list of MCP servers; then restart the host:")
    show.as_it_is(f"\n{host_configuration(command)}")
    show.note(
        'Then say "Remember that I take my coffee with oat milk", open a new chat, and ask. Your '
        "memory will lie in a folder of its own, which `mem1-mcp doctor` names; the demo's is gone."
    )


def first_error(error: BaseException) -> BaseException:
    """Return the error itself, out of the groups that tasks wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> None:
    """Run the demo; ends with an error when the memory does not do what is shown."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # Windows gives pipes and old consoles another one
    command = command_path()
    if Path(command).stem != "mem1-mcp":
        raise SystemExit("mem1-mcp is not installed for this Python; `make demo` does that too.")
    cluster: dict[str, str] = {}
    if "--elasticsearch" in sys.argv[1:]:
        hosts = os.environ.get("MEM1_ES_HOSTS") or sys.exit("--elasticsearch needs MEM1_ES_HOSTS.")
        cluster = {"MEM1_ES_HOSTS": hosts, "MEM1_ES_PREFIX": f"demo-{secrets.token_hex(4)}-"}
    where = "Elasticsearch" if cluster else "a temporary folder"
    show = Transcript()
    show.title("mem1-mcp: your AI remembers you / 让你的 AI 记住你")
    show.note(
        "What Mei and her AI say is a script. The calls are real and so is every answer: a server "
        f"process, started as your host would start it, on a memory in {where}."
    )
    try:
        anyio.run(two_lives, command, show, cluster)
    except (DemoError, TimeoutError, ExceptionGroup) as raised:
        error = first_error(raised)
        if not isinstance(error, DemoError | TimeoutError):
            raise
        words = str(error) or f"it was not done in {PATIENCE_SECONDS} seconds"
        raise SystemExit(f"The demo failed: {words}.") from None
    show_configuration(command, show)


if __name__ == "__main__":
    main()
