"""What the language model is sent for one refresh of the profile, as a memory grows.

    python benchmarks/model_tokens.py                      both tables, in half a minute
    python benchmarks/model_tokens.py --chars 6000         another MEM1_MAX_PROFILE_CHARS

In process, with a store on disk and a scripted model that adds up what it is sent. A window is five rounds
of a user and an assistant, as it is by default. Every window has the same number of characters.

Same: every window says the same things again, so that the profile stays as it is after the first.
New: each window brings a fact that is not known yet; the model makes a line of it, and the profile grows to
its cap. Then it is to be shortened, and this model, which joins no lines, is asked for that too.

"whole history" is what the same refresh would be sent by a program that sends all messages and the whole
profile every time, as mem1 0.1 did; it shows at most the first 1,000 rounds, as that did.

Read the column "to number 2". Exits with 1 when refresh 100 of the same windows is sent more than number 2.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio

from mem1_mcp.memory import InForce, Jobs, Keeping, Memory, Model, Refreshing
from mem1_mcp.memory.profile.items import length
from mem1_mcp.memory.profile.template import GENERAL
from mem1_mcp.memory.remember import Remember, Said
from mem1_mcp.protocols import Answer, Question
from mem1_mcp.stores.sqlite import SqliteStore
from mem1_mcp.text.budget import estimate_tokens
from mem1_mcp.types import Rhythm

_ROUNDS = 5
_MINUTE_MS = 60_000
_ANCESTORS_ROUNDS = 1_000
_SYLLABLES = "ba be ka ki lo lu ma mi no nu ra re sa so ta te vi vo".split()
_ZONE = ZoneInfo("Asia/Shanghai")


class Clock:
    """A clock that goes on by a minute a round."""

    def __init__(self) -> None:
        self.now = 1_780_000_000_000

    def __call__(self) -> int:
        """Return milliseconds since 1970."""
        return self.now


class Scripted:
    """A model that makes a line of each fact, and adds up what it is sent."""

    name = "scripted"

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def ask(self, question: Question) -> Answer:
        """Answer, and note the question."""
        self.sent.append(question.system + question.user)
        _, _, rest = question.user.partition("\n")
        data = json.loads(rest.rpartition("\n")[0])
        said = {"operations": list(_operations(data.get("messages", ()))), "joins": []}
        return Answer(json.dumps(said), cut=False, input_tokens=0, output_tokens=0)

    async def close(self) -> None:
        """Close nothing."""


def _operations(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        if message["by"] == "user" and message["text"].startswith("I like "):
            text = message["text"].partition(".")[0].replace("I like", "Likes")
            yield {"op": "add", "section": "preferences", "text": text, "evidence": [message["n"]]}


@dataclass(frozen=True)
class Sent:
    """What went to the model for one refresh, in characters; ``whole`` in the ancestor's way."""

    refresh: int
    shorten: int
    tokens: int
    whole: int
    lines: int
    profile: int

    @property
    def all(self) -> int:
        """Everything that is sent."""
        return self.refresh + self.shorten


def word(chance: random.Random) -> str:
    """Make up a word of six letters."""
    return "".join(chance.choices(_SYLLABLES, k=3))


def window(number: int, kind: str) -> list[tuple[str, str]]:
    """Return five rounds, always of the same length; the first holds a fact."""
    chance = random.Random(number if kind == "new" else 1)
    rounds = []
    for place in range(_ROUNDS):
        fact = f"I like the {word(chance)} of {word(chance)} with {word(chance)} best. "
        talk = " ".join(word(chance) for _ in range(12 if place == 0 else 20))
        rounds.append(((fact if place == 0 else "So ") + talk, " ".join(word(chance) for _ in range(60))))
    return rounds


async def refreshes(folder: Path, kind: str, count: int, max_chars: int) -> list[Sent]:
    """Have that many windows read; return what each cost."""
    clock, chat = Clock(), Scripted()
    store = SqliteStore(folder, clock, rhythm=Rhythm(_ROUNDS, 3 * _MINUTE_MS))
    model, in_force = Model(chat, store), InForce(store, GENERAL)
    refreshing = Refreshing(store, model, in_force, clock, _ZONE, max_chars)
    jobs = Jobs(store, clock, [refreshing])
    memory = Memory(store, clock, _ZONE, jobs, Keeping(profile_chars=2 * max_chars), None, in_force, model)
    history: list[int] = []
    all_sent = []
    try:
        for number in range(1, count + 1):
            before = await memory.profile("ming")
            for said, reply in window(number, kind):
                clock.now += _MINUTE_MS
                messages = Said("user", said), Said("assistant", reply)
                await memory.remember("ming", Remember("home", messages, request_id=f"{clock.now}"))
                history.append(len(said) + len(reply))
            chat.sent.clear()
            await store.ask_for_job("ming", "refresh")
            await jobs.run_due()
            first, *more = chat.sent
            frame = first.index("<<<")  # what stands before the data is the same in both ways
            all_sent.append(
                Sent(
                    refresh=len(first),
                    shorten=sum(map(len, more)),
                    tokens=sum(map(estimate_tokens, chat.sent)),
                    whole=frame + length(before) + sum(history[:_ANCESTORS_ROUNDS]),
                    lines=len(before.current),
                    profile=length(before),
                )
            )
        unread = await store.unread("ming", 1)
        assert not unread.messages
    finally:
        await store.close()
    return all_sent


def show(title: str, sent: list[Sent], shown: list[int]) -> None:
    """Print the figures of some refreshes."""
    print(f"\n{title}\n")
    print(
        "| refresh | lines | profile chars | refresh is sent | shortening | tokens, about | to number 2 "
        "| whole history | that to ours |"
    )
    print("|" + "---:|" * 9)
    for number in shown:
        one = sent[number - 1]
        cells = [str(number), str(one.lines), f"{one.profile:,}", f"{one.refresh:,}", f"{one.shorten:,}"]
        cells += [f"{one.tokens:,}", f"{one.all / sent[1].all:.3f}×", f"{one.whole:,}"]
        print("| " + " | ".join([*cells, f"{one.whole / one.all:.1f}×"]) + " |")
    upto = sent[: shown[-1]]
    refresh, shorten, whole = (
        sum(getattr(one, name) for one in upto) for name in ("refresh", "shorten", "whole")
    )
    print(
        f"| 1–{shown[-1]} | | | {refresh:,} | {shorten:,} | {sum(one.tokens for one in upto):,} | "
        f"| {whole:,} | {whole / (refresh + shorten):.1f}× |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--chars", type=int, default=3000, help="MEM1_MAX_PROFILE_CHARS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        same = anyio.run(refreshes, Path(folder) / "same", "same", 100, options.chars)
        new = anyio.run(refreshes, Path(folder) / "new", "new", 200, options.chars)
    show("Same: windows that say what is known", same, [2, 10, 100])
    show(f"New: a new fact in each window, a profile of {options.chars:,}", new, [2, 10, 50, 100, 200])
    sys.exit(0 if same[99].all <= same[1].all else 1)


if __name__ == "__main__":
    main()
