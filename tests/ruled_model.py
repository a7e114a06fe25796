"""Plays the language model by fixed rules: how people put things, in two languages, in the data it is sent.

It believes what it reads, as a poor model does: an order in a mail, a guess of the assistant's. So what it
answers has to be held against what was said.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any, NamedTuple

from anyio.from_thread import BlockingPortal

from mem1_mcp.memory import Memory
from tests.chat_endpoint import NOTHING_TO_DO, ChatEndpoint, Script, chat_endpoint, fenced, prompt_of
from tests.conftest import HandClock, Host, Opening
from tests.with_model import Set, remembering


class _Rule(NamedTuple):
    """A way to say something of oneself; ``line`` is filled with what the pattern finds."""

    section: str
    pattern: re.Pattern[str]
    line: str


def _rule(section: str, pattern: str, line: str) -> _Rule:
    return _Rule(section, re.compile(pattern), line)


class Scene(NamedTuple):
    """A host, the memory it is connected to, and the model that refreshes its profiles."""

    host: Host
    memory: Memory
    model: ChatEndpoint

    async def say(self, *texts: str, **more: Any) -> list[str]:
        """Remember each text as a round of its own; return the messages' ids."""
        ids: list[str] = []
        for text in texts:
            messages = [{"role": "user", "content": text}]
            ids += (await self.host.done("remember", messages=messages, **more))["message_ids"]
        return ids

    async def refreshed(self) -> list[str]:
        """Have everything read; return the profile's lines."""
        await self.memory.refresh("ming")
        return await self.lines()

    async def lines(self) -> list[str]:
        """Return the lines of the profile in the order in which they came."""
        return [item.text for item in (await self.memory.profile("ming")).current]

    async def forget(self, **selection: Any) -> None:
        """Forget what is selected, with the confirmation."""
        preview = await self.host.done("forget", **selection)
        await self.host.done("forget", confirm=preview["confirm"])

    def refreshes(self) -> list[dict[str, Any]]:
        """Return the data of each refresh that the model was asked for."""
        asked = [fenced(body) for body in self.model.asked]
        return [data for data in asked if "messages" in data]

    def windows(self) -> list[list[str]]:
        """Return what the user said in each window that the model was sent."""
        return [
            [message["text"] for message in data["messages"] if message["by"] == "user"]
            for data in self.refreshes()
        ]


@asynccontextmanager
async def scene(
    another: Opening, clock: HandClock, script: Script | None = None, **set_to: Any
) -> AsyncGenerator[Scene]:
    """Connect a host to a memory whose model speaks by this script, or by the rules below."""
    with chat_endpoint(script or answer) as served:
        async with remembering(another, clock, Set(served.url, **set_to)) as (host, memory):
            yield Scene(host, memory, served)


def in_turn(*answers: Sequence[dict[str, Any]]) -> Script:
    """Answer each refresh by the next operations, then by none."""
    left = list(answers)

    def says(body: dict[str, Any]) -> str:
        if "messages" not in fenced(body) or not left:
            return NOTHING_TO_DO
        return json.dumps({"operations": left.pop(0)}, ensure_ascii=False)

    return says


def meanwhile(portal: BlockingPortal, do: Callable[[], Awaitable[Any]]) -> Script:
    """Answer by the rules below; the first time something is done before the answer is given."""
    left = [do]

    def thinks(body: dict[str, Any]) -> str:
        said = answer(body)
        if left:
            portal.call(left.pop())
        return said

    return thinks


_END = r"(?=[.!?;,，。！？；]|$)"
_RULES = (
    _rule("basic", rf"我叫(\w+?){_END}", "叫{0}"),
    _rule("basic", rf"我(?:住在|搬到)(\w+?)了?{_END}", "住在{0}"),
    _rule("basic", rf"我(女儿|儿子)(\w+?){_END}", "{0}{1}"),
    _rule("basic", rf"我(在学\w+?){_END}", "{0}"),
    _rule("preferences", rf"我喜欢(.+?){_END}", "喜欢{0}"),
    _rule("routines", rf"我(每天.+?){_END}", "{0}"),
    _rule("routines", rf"(每周[一二三四五六日].+?)我(.+?){_END}", "{0}{1}"),
    _rule("todo", rf"我得(.+?){_END}", "{0}"),
    _rule("cautions", rf"我(对.+?过敏){_END}", "{0}"),
    _rule("cautions", rf"我(不想让.+?)我?(在.+?){_END}", "{0}{1}"),
    _rule("basic", r"\bI (?:live in|moved to) ([A-Z]\w+)", "Lives in {0}"),
    _rule("basic", r"\bI work as (.+?)[.;]", "Works as {0}"),
    _rule("preferences", r"\bI prefer (.+?)[.;]", "Prefers {0}"),
    _rule("preferences", r"\bI like (.+?)[.;]", "Likes {0}"),
    _rule("preferences", r"\bI'd like (.+?)[.;]", "Wants {0}"),
    _rule("preferences", r"\bI want (at least .+?)[.;]", "Wants {0}"),
    _rule("timeline", r"\bOn (\d+ [A-Z]\w+) we ordered (.+?)\.(?!\d)", "Ordered {1} on {0}"),
    _rule("timeline", r"\bwe ordered (.+? on \d+ [A-Z]\w+)", "Ordered {0}"),
    _rule("timeline", r"\bI applied (.+?)[.;]", "Applied {0}"),
    _rule("todo", r"\bI have to (.+?)[.;]", "Has to {0}"),
    _rule("routines", r"\bOur (.+?) is (on \w+?days)\b", "Has the {0} {1}"),
    _rule("cautions", r"\bI(?:'m| am) (allergic to \w+)", "Is {0}"),
    _rule("feedback", r"\bYour answers are (.+?); I want (.+?)[.;]", "Finds answers {0}; wants {1}"),
    # As a poor model believes orders:
    _rule("preferences", r"\bRemember: (.+?)[.;]", "{0}"),
)
_GUESSES = _rule("basic", rf"看得出您(是\w+?){_END}|\bYou (grew up .+?)[.;]", "{0}")
_CORRECTS = re.compile(
    r"\b(?:mistyped|moved to|no longer|actually)\b|搬到|说错了|更正|不是.*而是", re.IGNORECASE
)
_SETTLES = re.compile(r"\bto be clear\b|说清楚", re.IGNORECASE)
_TAKES_BACK = re.compile(
    r"\b(?:take back|never mind) (?:what I said about )?(.+?)[.;]|(\w+?)的?事当我没说", re.IGNORECASE
)
_HAS_DONE = re.compile(
    r"\bI (?:sent|paid|booked|renewed) (.+?)[.;]|(\w+?)已经(?:办|做|交|续签)好了", re.IGNORECASE
)
_DAYS = {"tomorrow": 1, "明天": 1, "today": 0, "今天": 0}

_WORDS = re.compile(r"[A-Za-z]{3,}|\d[\d,.:/]*\d|\d|[\u3400-\u9fff]+")
_EMPTY = frozenset("the and for has have with their our are that this wants about".split())
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|[。！？]|$)", re.DOTALL)
_LIMIT = re.compile(r"at most (\d+) characters|不超过 (\d+) 个字")


def answer(body: dict[str, Any]) -> str:
    """Answer a request: a refresh, a profile that is too long, or a long reply."""
    data = fenced(body)
    if "reply" in data:
        found = _LIMIT.search(prompt_of(body))
        assert found, "the limit is not said"
        return summary(data["reply"], int(found[1] or found[2]))
    if "messages" in data:
        return json.dumps({"operations": operations(data)}, ensure_ascii=False)
    return json.dumps({"joins": joins(data["lines"])}, ensure_ascii=False)


def operations(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Derive what to change in the lines from the messages."""
    made: dict[str, dict[str, Any]] = {}
    for message in data["messages"]:
        for operation in _of_message(message, data["lines"]):
            known = made.setdefault(json.dumps({**operation, "evidence": None}), operation)
            if message["n"] not in known["evidence"]:
                known["evidence"].append(message["n"])
    return list(made.values())


def _of_message(message: dict[str, Any], lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    text, evidence = message["text"], [message["n"]]
    if message["by"] != "user":
        if found := _GUESSES.pattern.search(text):
            yield operation("add", None, "basic", found[1] or found[2], evidence)
        return
    if (found := _TAKES_BACK.search(text)) and (line := _about(found[1] or found[2], lines)):
        yield operation("remove", line["id"], None, None, evidence)
        return
    to_dos = [line for line in lines if line["section"] == "todo" and not line.get("done")]
    if (found := _HAS_DONE.search(text)) and (line := _about(found[1] or found[2], to_dos)):
        yield operation("done", line["id"], None, None, evidence)
        return
    for rule in _RULES:
        for found in rule.pattern.finditer(text):
            said = _with_dates(rule.line.format(*found.groups()), message["at"])
            yield from _of_statement(rule.section, said, text, lines, evidence)


def _of_statement(
    section: str, said: str, text: str, lines: Sequence[dict[str, Any]], evidence: list[int]
) -> Iterator[dict[str, Any]]:
    if any(line["text"] == said for line in lines):
        return
    if _SETTLES.search(text):
        open_lines = [line for line in lines if line.get("against")]
        if line := _about(said, open_lines):
            yield operation("replace", line["against"], section, said, evidence)
            return
    same = [line for line in lines if line["section"] == section and not line.get("done")]
    if _CORRECTS.search(text) and (line := _about(f"{said} {text}", same)):
        yield operation("replace", line["id"], section, said, evidence)
    elif section == "routines" and (line := _about(said, same)):
        yield operation("contradict", line["id"], None, said, evidence)
    else:
        yield operation("add", None, section, said, evidence)


def operation(
    op: str,
    item: str | None = None,
    section: str | None = None,
    text: str | None = None,
    evidence: Sequence[int] = (1,),
) -> dict[str, Any]:
    """Write an operation with all its fields."""
    return {
        "op": op,
        "item": item,
        "section": section,
        "text": text,
        "passing": None,
        "evidence": list(evidence),
    }


def _about(words: str, lines: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the line that shares most words with these, if it shares half of its own or theirs."""
    asked = _words(words)
    best, shared = None, 0
    for line in lines:
        has = _words(line["text"])
        common = len(asked & has)
        if common > shared and 2 * common >= min(len(asked), len(has)):
            best, shared = line, common
    return best


def _words(text: str) -> set[str]:
    words: set[str] = set()
    for run in _WORDS.findall(text.lower()):
        if run.isascii():
            words.add(run)
        else:
            words.update(run[start : start + 2] for start in range(max(len(run) - 1, 1)))
    return words - _EMPTY


def _with_dates(text: str, at: str) -> str:
    """Write days as the prompt asks for."""
    day = date.fromisoformat(at[:10])
    for word, days in _DAYS.items():
        text = text.replace(word, f"{day + timedelta(days=days)}")
    return text


def summary(reply: str, limit: int) -> str:
    """Sum a reply up by its first sentence and those with figures."""
    sentences = [found.strip() for found in _SENTENCE.findall(reply) if found.strip()]
    kept: str = sentences[0][:limit]
    for sentence in sentences[1:]:
        gap = "" if kept[-1] in "。！？" else " "
        if re.search(r"\d", sentence) and len(kept + gap + sentence) <= limit:
            kept += gap + sentence
    return kept


def joins(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the two oldest lines of a section that begin alike."""
    for line in lines:
        for other in lines:
            same = other["section"] == line["section"] and other["id"] != line["id"]
            begin = _beginning(line["text"], other["text"])
            if same and len(begin) > 2:
                gap = ", " if line["text"].isascii() else "、"
                text = f"{line['text']}{gap}{other['text'].removeprefix(begin)}"
                return [{"items": [line["id"], other["id"]], "text": text}]
    return []


def _beginning(one: str, other: str) -> str:
    """Return what two lines begin with alike: whole words, or Chinese characters."""
    size = next((n for n, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    common = one[:size]
    return common[: common.rfind(" ") + 1] if one.isascii() else common
