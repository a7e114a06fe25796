"""The tools: check the arguments, ask the memory, word the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult

from mem1_mcp.errors import InvalidRequestError, Mem1Error
from mem1_mcp.server import arguments, wording
from mem1_mcp.server.schemas import TOOLS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mem1_mcp.memory import Memory
    from mem1_mcp.server.identity import Identify

    Run = Callable[[str, Any], Awaitable[CallToolResult]]

_NOTHING_SAVED = "Nothing was saved."
_NOTHING_FORGOTTEN = "Nothing was forgotten."


class Tools:
    """The tools over one memory; whose, ``identify`` says for each request."""

    def __init__(self, memory: Memory, identify: Identify, default_topic: str | None) -> None:
        self._memory = memory
        self._identify = identify
        self._default_topic = default_topic

    def registered(self, descriptions: Mapping[str, str]) -> list[Tool]:
        """Return the tools for the server, some with the person's own descriptions."""
        return [
            _tool("remember", self._remember, self._identify, descriptions, _NOTHING_SAVED),
            _tool("recall", self._recall, self._identify, descriptions, ""),
            _tool("list_topics", self._list_topics, self._identify, descriptions, ""),
            _tool("forget", self._forget, self._identify, descriptions, _NOTHING_FORGOTTEN),
        ]

    async def _remember(self, user: str, asked: arguments.RememberArguments) -> CallToolResult:
        request = arguments.to_remember(asked, self._default_topic or "default", self._memory.zone)
        done = await self._memory.remember(user, request)
        return wording.remembered(done, user, request.topic)

    async def _recall(self, user: str, asked: arguments.RecallArguments) -> CallToolResult:
        request = arguments.to_recall(asked, user, self._default_topic, self._memory.zone)
        now, zone = self._memory.clock(), self._memory.zone
        room = request.max_tokens - wording.frame_tokens(request, now, zone)
        found = await self._memory.recall(replace(request, max_tokens=max(room, 1)))
        return wording.recalled(found, request, now, zone)

    async def _list_topics(self, user: str, asked: arguments.ListTopicsArguments) -> CallToolResult:
        listed = await self._memory.topics(user)
        return wording.topics(
            listed,
            arguments.to_skip(asked.cursor),
            asked.limit or 50,
            user,
            self._memory.clock(),
            self._memory.zone,
        )

    async def _forget(self, user: str, asked: arguments.ForgetArguments) -> CallToolResult:
        selection = arguments.to_selection(asked)
        if asked.confirm is not None:
            return wording.forgotten(await self._memory.forget(user, asked.confirm, selection), user)
        assert selection is not None  # noqa: S101 - to_selection asks for one of the two
        skip = arguments.to_skip(asked.cursor, _NOTHING_FORGOTTEN)
        preview = await self._memory.preview_forgetting(user, selection, skip)
        return wording.previewed(preview, skip, user, self._memory.zone)


def _tool(
    name: str,
    run: Run,
    identify: Identify,
    descriptions: Mapping[str, str],
    consequence: str,
) -> Tool:
    text = TOOLS[name]

    # The SDK's own checks are passed by: they drop unknown names and answer in pydantic's words.
    async def call(ctx: Context[Any, Any]) -> CallToolResult:
        raw = (ctx.request_context.params or {}).get("arguments") or {}
        unknown = arguments.unknown_arguments(name, raw)
        try:
            if unknown and name == "forget":
                raise InvalidRequestError(
                    f"{', '.join(unknown)}: forget has no such argument. {_NOTHING_FORGOTTEN}"
                )
            result = await run(identify(), arguments.validate(name, raw, consequence))
        except Mem1Error as error:
            refused = wording.refusal(str(error))
            return refused if name == "forget" else wording.with_ignored(refused, unknown)
        return wording.with_ignored(result, unknown)

    tool = Tool.from_function(
        call,
        name=name,
        title=text.title,
        description=descriptions.get(name, text.description),
        annotations=text.annotations,
        structured_output=False,
    )
    return tool.model_copy(update={"parameters": text.schema})
