"""Import what was said elsewhere: JSON lines, or the conversations.json of a ChatGPT export.

    python examples/import_history.py FILE --dry-run           # read and check it, send nothing
    python examples/import_history.py FILE                     # rehearse, in a memory that is thrown away
    python examples/import_history.py FILE --into-my-memory    # keep it

Without FILE it is history.jsonl, beside this file.

A line is an object: ``{"topic", "role", "content", "name", "timestamp"}``; role and content are needed, and
a time without an offset is in your own zone. Of a ChatGPT export the conversations come in as they were
shown last, each as a topic by its title.

A call holds one exchange: what the user said and what followed. Its ``request_id`` is made from its
content, so a second run adds only what is new: also after one that was ended halfway, and when the file has
grown.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters

SAMPLE = Path(__file__).with_name("history.jsonl")
ROLES = ("user", "assistant", "system", "tool")
MOST_MESSAGES = 100  # a call; the server takes 500
TITLE = 128  # characters of a topic's name
PROGRESS_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Said:
    """A message, and where it stands in the file. Without a timestamp it counts as said now."""

    where: str
    topic: str
    role: str
    content: str
    name: str | None = None
    timestamp: str | None = None

    def __post_init__(self) -> None:
        """Check what can be told without the server; raises ValueError in words for people."""
        for key, value in asdict(self).items():
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{key} is not text")
            (value or "").encode()  # half a character can't be sent
        if self.role not in ROLES:
            raise ValueError(f"role is {self.role!r}, not one of {', '.join(ROLES)}")
        if not self.content.strip():
            raise ValueError("content is empty")
        if self.timestamp is not None:
            datetime.fromisoformat(self.timestamp)  # its own words name what is wrong

    def as_message(self) -> dict[str, str]:
        """Return it as ``remember`` takes it."""
        keys = ("role", "content", "name", "timestamp")
        return {key: value for key, value in asdict(self).items() if key in keys and value is not None}


@dataclass(slots=True)
class History:
    """What a file holds: messages, what is broken in it, and what was left out on purpose, counted."""

    kind: str
    messages: list[Said] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read(path: Path) -> History:
    """Read a file, after a look at what it is."""
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    return read_export(data) if data.lstrip().startswith(b"[") else read_lines(data)


def read_lines(data: bytes) -> History:
    """Read JSON lines; a line that can't be read is named, and the others count."""
    history = History("JSON lines")
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            try:
                history.messages.append(from_line(f"line {number}", line))
            except ValueError as error:
                history.broken.append(f"line {number}: {in_words(error)}")
    return history


def from_line(where: str, line: bytes) -> Said:
    """Read one line; raises ValueError."""
    value = json.loads(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("is not an object")  # noqa: TRY004 - one kind of error for all that is broken
    if missing := [key for key in ("role", "content") if key not in value]:
        raise ValueError(f"{' and '.join(missing)} missing")
    topic = value.get("topic") or "default"
    return Said(where, topic, value["role"], value["content"], value.get("name"), value.get("timestamp"))


def in_words(error: ValueError) -> str:
    """Say what is wrong."""
    match error:
        case json.JSONDecodeError():
            return f"not JSON: {error.msg} at character {error.pos + 1}"
        case UnicodeDecodeError():
            return "not UTF-8"
        case UnicodeEncodeError():
            return "holds half a character"
        case _:
            return str(error)


def read_export(data: bytes) -> History:
    """Read a ChatGPT export: a list of conversations, each a tree of messages."""
    history = History("ChatGPT export")
    try:
        conversations = json.loads(data.decode("utf-8"))
    except ValueError as error:
        history.broken.append(f"the file: {in_words(error)}")
        return history
    dated = [each for each in conversations if isinstance(each, dict) and "mapping" in each]
    for each in sorted(dated, key=begun):
        title = " ".join(str(each.get("title") or "ChatGPT").split())[:TITLE]
        try:
            read_conversation(each, title, history)
        except (AttributeError, LookupError, TypeError, ValueError, OSError, OverflowError) as error:
            history.broken.append(f"conversation “{title}”: not as ChatGPT exports it ({error!r})")
    if len(dated) < len(conversations):
        history.broken.append(f"entries that are no conversations: {len(conversations) - len(dated)}")
    return history


def begun(conversation: dict[str, Any]) -> float:
    """Return when a conversation began, to sort by: exports have the newest first."""
    at = conversation.get("create_time")
    return at if isinstance(at, int | float) else 0


def read_conversation(conversation: dict[str, Any], title: str, history: History) -> None:
    """Read one conversation, whole or not at all; raises what a strange shape brings about."""
    messages: list[Said] = []
    left_out: Counter[str] = Counter()
    shown = shown_nodes(conversation)
    at = conversation.get("create_time")
    for number, message in enumerate(filter(None, (node.get("message") for node in shown)), start=1):
        at = message.get("create_time") or at
        role, parts = message["author"]["role"], message["content"].get("parts") or []
        texts = [part if isinstance(part, str) else part.get("text") for part in parts]
        content = "\n".join(text for text in texts if text)
        left_out["pictures and files"] += sum(text is None for text in texts)
        if role not in ("user", "assistant") or message.get("recipient", "all") != "all":
            left_out["messages of the system and of tools"] += 1
        elif not content.strip():
            left_out["messages without text"] += 1
        else:
            timestamp = None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
            where = f"“{title}”, message {number}"
            messages.append(Said(where, title, role, content, timestamp=timestamp))
    left_out["messages that an edit or another answer replaced"] += sum(
        node.get("message") is not None for node in conversation["mapping"].values()
    ) - sum(node.get("message") is not None for node in shown)
    history.messages += messages
    history.left_out += left_out


def shown_nodes(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the way from the root of the tree to what was shown last."""
    nodes = conversation["mapping"]
    current = conversation.get("current_node") or list(nodes)[-1]
    way: list[dict[str, Any]] = []
    while current and len(way) < len(nodes):
        way.append(nodes[current])
        current = nodes[current].get("parent")
    return way[::-1]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of ``remember``."""

    messages: list[Said]
    request_id: str

    @property
    def arguments(self) -> dict[str, Any]:
        """Return its arguments."""
        return {
            "topic": self.messages[0].topic,
            "messages": [said.as_message() for said in self.messages],
            "request_id": self.request_id,
        }

    @property
    def where(self) -> str:
        """Say where it stands in the file: between its lines may be those of other topics."""
        return ", ".join(said.where for said in self.messages)


def calls(messages: list[Said]) -> Iterator[Call]:
    """Make calls of messages, topic by topic, each with an id that its content decides."""
    topics: dict[str, list[Said]] = {}
    for said in messages:
        topics.setdefault(said.topic, []).append(said)
    times: Counter[str] = Counter()
    for topic in topics.values():
        for exchange in exchanges(topic):
            content = json.dumps([[said.topic, said.as_message()] for said in exchange], sort_keys=True)
            times[content] += 1  # without times, people say the same words twice
            yield Call(exchange, "import-" + sha256(f"{times[content]} {content}".encode()).hexdigest())


def exchanges(messages: list[Said]) -> Iterator[list[Said]]:
    """Cut a topic before each message of the user."""
    exchange: list[Said] = []
    for said in messages:
        if exchange and (said.role == "user" or len(exchange) == MOST_MESSAGES):
            yield exchange
            exchange = []
        exchange.append(said)
    if exchange:
        yield exchange


@dataclass(slots=True)
class Outcome:
    """What became of the messages, counted; refusals in the server's words."""

    new: int = 0
    known: int = 0
    not_kept: int = 0
    masked: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.new} new, {self.known} were there already"


async def send(client: Client, messages: list[Said], outcome: Outcome) -> None:
    """Send all calls, one after the other, and note in ``outcome`` what each answer says."""
    sent, told = 0, time.monotonic()
    for call in calls(messages):
        result = await client.call_tool("remember", call.arguments)
        answer = result.structured_content or {}
        if result.is_error:
            words = " ".join(str(getattr(part, "text", "")) for part in result.content)
            outcome.refused.append(f"{call.where}: {words}")
        elif answer["duplicate"]:
            outcome.known += len(answer["message_ids"])
        else:
            outcome.new += len(answer["message_ids"])
            outcome.masked.update(answer["masked"])
        outcome.not_kept += answer.get("left_out", 0)
        sent += len(call.messages)
        if sent == len(messages) or time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            tell(f"{sent} of {len(messages)} messages sent")


def server(folder: str | None) -> StdioServerParameters:
    """Say how to start the server: on a folder, or on your own memory, by the settings of this shell."""
    env = dict(os.environ) if folder is None else {"MEM1_MEMORY_DIR": folder}
    return StdioServerParameters(command=sys.executable, args=["-m", "mem1_mcp"], env=env)


async def keep(messages: list[Said], outcome: Outcome) -> None:
    """Import into the user's own memory."""
    async with Client(server(None)) as client:
        await send(client, messages, outcome)
        print(f"Imported: {outcome}.")
        print(await topics(client))


async def rehearse(messages: list[Said], outcome: Outcome) -> None:
    """Import twice into a memory that is thrown away: the second time, nothing is new."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with Client(server(folder)) as client:
            await send(client, messages, outcome)
            print(f"First time:  {outcome}.")
            again = Outcome()
            await send(client, messages, again)
            print(f"Second time: {again}.")
            print(await topics(client))
    if again.new:
        raise RuntimeError("the second import added what was there")
    print("This was a rehearsal; its memory is gone. With --into-my-memory it stays.")


async def topics(client: Client) -> str:
    """Return the list of topics as the server words it."""
    result = await client.call_tool("list_topics", {})
    return "\n".join(str(getattr(part, "text", "")) for part in result.content)


def tell(words: str) -> None:
    """Say something beside the results."""
    print(words, file=sys.stderr)


def main() -> int:
    """Read, check, send; return 1 when something of the file did not come in."""
    parser = argparse.ArgumentParser(description="Import a conversation history into a memory.")
    parser.add_argument(
        "file", type=Path, nargs="?", default=SAMPLE, help="JSON lines or conversations.json"
    )
    parser.add_argument("--dry-run", action="store_true", help="read and check the file, send nothing")
    parser.add_argument(
        "--into-my-memory",
        action="store_true",
        help="keep it; if your host has MEM1_ settings under env, set the same here",
    )
    asked = parser.parse_args()
    try:
        history = read(asked.file)
    except OSError as error:
        parser.error(f"{asked.file} can't be read: {error.strerror}")
    describe(asked.file, history)
    outcome = Outcome()
    ended = False
    if asked.dry_run:
        print("Nothing was sent.")
    elif history.messages:
        try:
            anyio.run(keep if asked.into_my_memory else rehearse, history.messages, outcome)
        except* MCPError:
            ended = True
    if ended:
        tell(f"The server ended; its reason may stand above. So far: {outcome}. Run this again to go on.")
    return 1 if sum_up(history, outcome) or ended else 0


def describe(path: Path, history: History) -> None:
    """Say what a file holds."""
    print(f"{path.name}: {history.kind}. Messages to keep: {len(history.messages)}")
    for topic, number in Counter(said.topic for said in history.messages).items():
        print(f"- {topic}: {number}")
    for what, number in history.left_out.items():
        tell(f"Left out, {what}: {number}.")
    if undated := sum(said.timestamp is None for said in history.messages):
        tell(f"Without a timestamp, and so counted as said now: {undated}.")


def sum_up(history: History, outcome: Outcome) -> bool:
    """Name all that did not come in, and what to do; return whether there is any."""
    for kind, number in outcome.masked.items():
        tell(f"Masked before it was saved: {kind}. Calls: {number}.")
    if outcome.not_kept:
        tell(f"Not kept: {outcome.not_kept} of the assistant; MEM1_SAVE_ASSISTANT_MESSAGES=false.")
    for problem in (*history.broken, *outcome.refused):
        tell(f"Not imported, {problem}")
    if history.broken or outcome.refused:
        tell("Mend it in a file of its own and import that file: so nothing else comes twice.")
    return bool(history.broken or outcome.refused)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # old consoles of Windows have another one
    sys.exit(main())
