"""An agent framework over HTTP: Pydantic AI, two users, one service token, and a model with a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from pydantic_ai import Agent, RunContext
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from tests.serving import create_token, served

TOLD = {"alice": "I am allergic to peanuts.", "bob": "I am allergic to shellfish."}

Toolset = MCPToolset[str]  # a run's dependency, the str, is its user
ToolsFor = Callable[[str], Toolset]


def headers(token: str, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-Mem1-User": user}


def same_for_all(url: str, token: str) -> ToolsFor:
    """Give all users one toolset; the framework asks at each run whose it is. No session."""

    def of_the_run(context: RunContext[str]) -> dict[str, str]:
        return headers(token, context.deps)

    toolset = Toolset(url, headers=of_the_run)
    return lambda user: toolset


def one_for_each(url: str, token: str) -> ToolsFor:
    """Give each user a toolset with a session of its own, begun with a handshake as older clients do."""
    return lambda user: Toolset(
        Client(StreamableHttpTransport(url, headers=headers(token, user)), mode="legacy")
    )


def scripted(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Remember what a user tells; recall what a user asks, and say no more than was recalled."""
    match messages[-1].parts[-1]:
        case UserPromptPart(content=str(asked)) if asked.endswith("?"):
            return calling("recall", query=asked)
        case UserPromptPart(content=str(told)):
            said = {"role": "user", "content": told}
            return calling("remember", messages=[said], facts=[{"text": told}])
        case ToolReturnPart(tool_name="recall", outcome="success") as answer:
            return ModelResponse([TextPart(answer.model_response_str())])
        case ToolReturnPart(tool_name="remember", outcome="success"):
            return ModelResponse([TextPart("Noted.")])
        case other:
            raise AssertionError(f"Not in the script: {other}")


def calling(tool: str, **arguments: Any) -> ModelResponse:
    return ModelResponse([ToolCallPart(tool, arguments)])


async def at_once(tools_for: ToolsFor, prompts: dict[str, str]) -> dict[str, str]:
    """Let all users talk to one agent at the same time; return the agent's last words to each."""
    agent = Agent(FunctionModel(scripted), deps_type=str)
    last_words = {}

    async def run(user: str, prompt: str) -> None:
        done = await agent.run(prompt, deps=user, toolsets=[tools_for(user)])
        last_words[user] = done.output

    async with anyio.create_task_group() as tasks:
        for user, prompt in prompts.items():
            tasks.start_soon(run, user, prompt)
    return last_words


@pytest.mark.heavy
@pytest.mark.parametrize("connect", [same_for_all, one_for_each])
async def test_two_users_behind_one_service_token_are_each_told_of_themselves_alone(
    tmp_path: Path, connect: Callable[[str, str], ToolsFor]
) -> None:
    token = create_token(tmp_path, "--service")

    async with served(tmp_path) as server:
        tools_for = connect(f"{server.url}/mcp", token)
        noted = await at_once(tools_for, TOLD)
        recalled = await at_once(tools_for, dict.fromkeys(TOLD, "What am I allergic to?"))

    assert noted == dict.fromkeys(TOLD, "Noted.")
    assert "peanuts" in recalled["alice"]
    assert "shellfish" not in recalled["alice"]
    assert "shellfish" in recalled["bob"]
    assert "peanuts" not in recalled["bob"]
