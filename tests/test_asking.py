"""``forget`` asks the person where the host can, in both eras, on top of preview and token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mcp.types import ElicitRequestParams, ElicitResult

from mem1_mcp.memory import Memory
from tests.conftest import Host, host_of

ERAS = ["legacy", "auto"]
Answer = Callable[[Any, ElicitRequestParams], Awaitable[ElicitResult]]


class Person:
    """Sits before a host that shows questions, and answers all in the same way."""

    def __init__(self, action: str, content: dict[str, Any] | None = None) -> None:
        self.action = action
        self.content = content
        self.asked: list[ElicitRequestParams] = []

    async def __call__(self, _context: Any, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params)
        return ElicitResult(action=self.action, content=self.content)


def before(person: Answer) -> dict[str, Any]:
    return {"elicitation_callback": person}


async def remember(host: Host, *contents: str, topic: str = "work") -> list[str]:
    said = [{"role": "user", "content": content} for content in contents]
    ids: list[str] = (await host.done("remember", messages=said, topic=topic))["message_ids"]
    return ids


async def texts(host: Host) -> list[str]:
    return [hit["text"] for hit in (await host.done("recall"))["hits"]]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("content", [{"forget": True}, {}])
async def test_a_yes_forgets_at_once(memory: Memory, era: str, content: dict[str, Any]) -> None:
    person = Person("accept", content)

    async with host_of(memory, mode=era, options=before(person)) as host:
        await remember(host, "the deadline is on Friday", "周五是钢琴课")
        await remember(host, "I like tea", topic="home")
        done = await host.done("forget", topic="work")
        left = await texts(host)

    (asked,) = person.asked
    assert done["forgotten"] is True
    assert done["messages"] == 2
    assert left == ["I like tea"]
    assert "Forget for good, of user ming: 2 messages, said 2026-05-20, 0 profile lines?" in asked.message
    assert "周五是钢琴课" in asked.message


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("action", "content"), [("decline", None), ("cancel", None), ("accept", {"forget": False})]
)
async def test_a_no_forgets_nothing_and_leaves_the_token_for_the_chat(
    memory: Memory, era: str, action: str, content: dict[str, Any] | None
) -> None:
    person = Person(action, content)

    async with host_of(memory, mode=era, options=before(person)) as host:
        await remember(host, "the deadline is on Friday")
        answer = await host.call("forget", topic="work")
        text = getattr(answer.content[0], "text", "")
        kept = await texts(host)
        done = await host.done("forget", confirm=(answer.structured_content or {})["confirm"])
        left = await texts(host)

    assert not answer.is_error
    assert "The person, or the host for them, was asked and declined." in text
    assert "Nothing is forgotten yet." in text
    assert "to be sent only when the user says so in the chat" in text
    assert (answer.structured_content or {})["declined"] is True
    assert kept == ["the deadline is on Friday"]
    assert done["forgotten"] is True
    assert left == []
    assert len(person.asked) == 1  # the token asks no more


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_that_can_not_ask_gets_preview_and_token(memory: Memory, era: str) -> None:
    async with host_of(memory, mode=era) as host:
        await remember(host, "the deadline is on Friday")
        text = await host.text("forget", topic="work")
        kept = await texts(host)

    assert "declined" not in text
    assert 'Token: "' in text
    assert "to be sent only when the user says so in the chat" in text
    assert kept == ["the deadline is on Friday"]


@pytest.mark.parametrize("era", ERAS)
async def test_nobody_is_asked_about_nothing_more_lines_or_a_refusal(memory: Memory, era: str) -> None:
    person = Person("decline")

    async with host_of(memory, mode=era, options=before(person)) as host:
        await host.text("forget", topic="nowhere")
        await host.refused("forget")
        await host.refused("forget", topc="work")
        await host.refused("forget", confirm="no-such-token")
        await remember(host, *(f"parcel {number} came" for number in range(25)))
        asked_before = len(person.asked)
        first = await host.done("forget", topic="work")
        await host.done("forget", topic="work", cursor=first["cursor"])

    assert asked_before == 0
    assert len(person.asked) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_question_tells_what_would_go_in_a_few_lines(memory: Memory, era: str) -> None:
    person = Person("decline")

    async with host_of(memory, mode=era, options=before(person)) as host:
        await remember(host, *(f"parcel {number} came" for number in range(25)))
        await host.done("remember", facts=[{"text": "Gets many parcels"}], topic="work")
        await host.done("forget", everything=True)

    lines = person.asked[0].message.splitlines()
    assert "25 messages" in lines[0]
    assert "1 profile line" in lines[0]
    assert any("Gets many parcels" in line for line in lines)
    assert lines[-1] == "… and 20 more"
    assert len(lines) == 8


async def test_a_yes_to_another_question_than_the_one_now_is_asked_again(memory: Memory) -> None:
    """What arrives between question and answer is not taken by an answer that never saw it."""
    async with host_of(memory) as writer:
        await remember(writer, "the deadline is on Friday")
        questions: list[str] = []

        async def slow(_context: Any, params: ElicitRequestParams) -> ElicitResult:
            if not questions:
                await remember(writer, "the deadline moved to Monday")
            questions.append(params.message)
            return ElicitResult(action="accept", content={"forget": True})

        async with host_of(memory, options=before(slow)) as host:
            done = await host.done("forget", topic="work")

    assert ["1 message," in questions[0], "2 messages," in questions[1]] == [True, True]
    assert done["messages"] == 2


async def test_an_older_host_is_answered_for_what_it_was_asked(memory: Memory) -> None:
    async with host_of(memory) as writer:
        await remember(writer, "the deadline is on Friday")

        async def slow(_context: Any, _params: ElicitRequestParams) -> ElicitResult:
            await remember(writer, "the deadline moved to Monday")
            return ElicitResult(action="accept", content={"forget": True})

        async with host_of(memory, mode="legacy", options=before(slow)) as host:
            done = await host.done("forget", topic="work")
            left = await texts(host)

    assert done["messages"] == 1
    assert left == ["the deadline moved to Monday"]


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_of_the_wrong_form_forgets_nothing(memory: Memory, era: str) -> None:
    person = Person("accept", {"forget": "perhaps"})

    async with host_of(memory, mode=era, options=before(person)) as host:
        await remember(host, "the deadline is on Friday")
        await host.refused("forget", topic="work")
        kept = await texts(host)

    assert kept == ["the deadline is on Friday"]
