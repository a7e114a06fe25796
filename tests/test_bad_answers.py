"""Further bad answers: broken signs, lines merged away, thoughts that are quoted; and what doctor says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HandClock, Opening
from tests.ruled_model import operation, scene
from tests.test_cli import run
from tests.test_refused_answers import GOOD, THE_GOOD, about, answer, op

ENGINES = ("sqlite", "elasticsearch")

FACTS = ("Lives in Hamburg", "Likes rye bread", "Is a planner", "Has a daughter", "Speaks Danish")
SAID = "I play the cello. Somebody wrote <think> and </think> on my oven. 我喜欢喝茶。"

HIDDEN = "".join(chr(0xE0000 + ord(sign)) for sign in "obey")
UNREADABLE = {
    "half an emoji": "Plays the cello \ud83d",
    "a zero": "Plays the cello \x00",
    "an escape": "Plays the cello \x1b[m",
    "turned letters": "Plays the \u202ecello",
    "letters that nobody sees": f"Plays the cello {HIDDEN}",
}


@pytest.mark.parametrize("case", UNREADABLE)
async def test_a_line_with_signs_that_nobody_can_read_is_refused_singly(
    another: Opening, clock: HandClock, case: str
) -> None:
    said = [answer(op(text=UNREADABLE[case])), answer(op(), op(text=UNREADABLE[case], section="todo"))]
    async with scene(another, clock, lambda _: said.pop(0), rhythm=None) as at:
        await at.host.done("remember", facts=[{"text": text} for text in FACTS])
        await at.say(SAID)
        await at.memory.store.ask_for_job("ming", "refresh")
        await at.memory.jobs.run_due()

        assert await at.lines() == list(FACTS)
        assert "signs that nobody can read" in str((await at.memory.health("ming")).facts)

        clock.forward(minutes=11)
        await at.memory.jobs.run_due()
        assert await at.lines() == [*FACTS, GOOD]
        assert "signs that nobody can read (1×)" in (await at.memory.profiles("ming"))[0].why


WHOLE = {
    "half a character beside the JSON": (f"{THE_GOOD} \ud83d", "half a character"),
    "all lines replaced by one": (
        answer(*(about(f"p{n}", "replace", GOOD) for n in range(1, 6))),
        "would remove 4 of the profile's 5 lines",
    ),
    "most lines removed, one replaced": (
        answer(*(about(f"p{n}", "remove") for n in (1, 2, 3)), about("p4", "replace", GOOD)),
        "say nothing of that line (3×)",
    ),
    "a list alone": (json.dumps([op()]), "no whole JSON object"),
    "null": ("null", "no JSON object"),
    "nested almost too deeply": (answer(op(evidence=[json.loads("[" * 500 + "]" * 500)])), "no message's"),
    "kinds of its own": (
        answer(op() | {"op": ["add"]}, op(text=["cello"]), op(evidence=[True, 1.0])),
        "3 of 3",
    ),
}


@pytest.mark.parametrize("case", WHOLE)
async def test_an_answer_that_would_cost_most_lines_or_is_broken_is_refused_whole(
    another: Opening, clock: HandClock, case: str
) -> None:
    bad, reason = WHOLE[case]
    said = [bad, THE_GOOD]
    async with scene(another, clock, lambda _: said.pop(0), rhythm=None) as at:
        await at.host.done("remember", facts=[{"text": text} for text in FACTS])
        await at.say(SAID)
        before = await at.host.profile()
        await at.memory.store.ask_for_job("ming", "refresh")
        await at.memory.jobs.run_due()

        assert await at.host.profile() == before
        assert reason in str((await at.memory.health("ming")).facts)

        clock.forward(minutes=11)
        await at.memory.jobs.run_due()
        assert await at.lines() == [*FACTS, GOOD]
        assert at.windows() == [[SAID], [SAID]]


TAKEN = {
    "thoughts without a beginning": f"The user plays {{something}}.\n</think>\n\n{THE_GOOD}",
    "thoughts that somebody wrote": answer(op(), op(text="Has an oven with <think> on it")),
    "an end of thoughts that somebody wrote": answer(op(), op(text='Has </think>{"operations": []}')),
    "the same in a fence": f"```json\n{answer(op(), op(text='Has an oven with </think> on it'))}\n```",
}


@pytest.mark.parametrize("case", TAKEN)
async def test_what_looks_like_thoughts_costs_no_good_line(
    another: Opening, clock: HandClock, case: str
) -> None:
    async with scene(another, clock, lambda _: TAKEN[case], rhythm=None) as at:
        await at.say(SAID)

        assert await at.refreshed() == [GOOD]


def fails_at_castles(body: dict[str, Any]) -> str:
    said = str(body["messages"])
    add = [operation("add", section="basic", text="Likes rye bread")] if "I like rye" in said else []
    return "I'm sorry, I can't help with that." if "castle" in said else json.dumps({"operations": add})


async def test_of_a_backlog_what_always_fails_is_named_by_doctor_and_all_else_is_read(
    another: Opening, clock: HandClock, engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    primes = [f"Is {number} a prime number?" for number in range(40)]
    backlog = [*primes[:3], "Is castle 7 open?", "I like rye bread.", *primes[3:]]
    async with scene(another, clock, fails_at_castles, rhythm=None) as at:
        ids = await at.say(*backlog)
        await at.memory.store.ask_for_job("ming", "refresh")
        for _ in range(20):
            await at.memory.jobs.run_due()
            clock.forward(minutes=11)

        assert await at.lines() == ["Likes rye bread"]
        read = [text for window in at.windows() if "Is castle 7 open?" not in window for text in window]
        assert read == [text for text in backlog if "castle" not in text]
        assert "castle 7" in await at.host.text("recall", query="castle 7")

    environ = {"MEM1_USER_ID": "ming", "MEM1_MEMORY_DIR": str(tmp_path / "memory")}
    if engine == "elasticsearch":
        environ["MEM1_ES_HOSTS"] = str(request.getfixturevalue("elasticsearch_url"))
        environ["MEM1_ES_PREFIX"] = str(request.getfixturevalue("index_prefix"))
    code, told, _ = await run(tmp_path, "doctor", **environ)
    assert code == 1
    assert f"gave up the messages after {ids[2]} up to {ids[3]}, after five bad answers" in told
    assert "The model declined to do it." in told
    assert "castle" not in told
