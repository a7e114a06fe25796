"""An agent that remembers: Pydantic AI with the memory's tools, over stdio, in two lives.

Run it with ``python examples/agent_framework.py``; ``pip install "pydantic-ai-slim[mcp]"`` installs the
framework. Each life is a new process of the server and a new agent that is handed no messages: what the
second knows of the first, it has from the memory. A script plays the model, so no key is needed.

Over HTTP, for agents with many users, the toolset is another and all else stays:

    MCPToolset("http://127.0.0.1:8765/mcp", headers={"Authorization": f"Bearer {token}"})

``mem1-mcp serve --http`` serves it, ``mem1-mcp token create --user alice`` makes the token; more in
docs/over-http.md.
"""

from __future__ import annotations

import io
import sys
import tempfile
from typing import Any

import anyio
from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
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

INSTRUCTIONS = (
    "Before you answer, call recall with the user's question. Then call remember with what the user said, "
    "word for word, and as facts what will last of it. Then answer by what was recalled."
)


def script(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """Play a model that does as it is instructed. Of peanuts it knows nothing."""
    said = next(str(part.content) for part in parts_of(messages) if isinstance(part, UserPromptPart))
    answers: dict[str, Any] = {
        part.tool_name: part.content for part in parts_of(messages) if isinstance(part, ToolReturnPart)
    }
    if "recall" not in answers:
        return ModelResponse([ToolCallPart("recall", {"query": said})])
    if "remember" not in answers:
        facts = [] if said.endswith("?") else [{"text": said}]
        kept = {"messages": [{"role": "user", "content": said}], "facts": facts}
        return ModelResponse([ToolCallPart("remember", kept)])
    known = [item["text"] for item in answers["recall"]["profile"]]
    return ModelResponse([TextPart(f"You told me: {' '.join(known)}" if known else "Noted.")])


# A real model goes here, such as MODEL = "openai:gpt-5", with its key in the environment.
MODEL = FunctionModel(script)


def memory(folder: str) -> MCPToolset[None]:
    """Give an agent a server of its own on this folder; without MEM1_MEMORY_DIR it is your own memory."""
    server = StdioTransport(
        sys.executable,
        ["-m", "mem1_mcp"],
        env={"MEM1_MEMORY_DIR": folder},
        keep_alive=False,  # the server ends with the agent
    )
    return MCPToolset(server, include_instructions=True)  # the server's quote the profile


async def life(folder: str, prompt: str) -> str:
    """Let a new agent answer one prompt, and print all that happens."""
    print(f"\nuser    {prompt}")
    async with Agent(MODEL, instructions=INSTRUCTIONS, toolsets=[memory(folder)]) as agent:
        done = await agent.run(prompt)
    for part in parts_of(done.all_messages()):
        if isinstance(part, ToolCallPart):
            print(f"calls   {part.tool_name}({part.args_as_json_str()})")
        elif isinstance(part, ToolReturnPart):
            print(f"memory  {part.model_response_str()}")
    print(f"agent   {done.output}")
    return done.output


def parts_of(messages: list[ModelMessage]) -> list[Any]:
    """Return all that was said, called and returned, in order."""
    return [part for message in messages for part in message.parts]


async def main() -> None:
    """Tell one agent, ask another."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        print("== First life")
        await life(folder, "I am allergic to peanuts.")

        print("\n== Second life")
        answer = await life(folder, "What am I allergic to?")
        if "peanuts" not in answer:
            raise RuntimeError("the second life does not know what the first was told")


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # old consoles of Windows have another one
    anyio.run(main)
