"""The tools: check the arguments, ask the memory, word the answer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult

from mem1_mcp.errors import InvalidRequestError, Mem1Error
from mem1_mcp.memory.profile.template import GENERAL
from mem1_mcp.memory.remember import DEFAULT_TOPIC
from mem1_mcp.server import arguments, requests, wording
from mem1_mcp.server.asking import Prepared, asking
from mem1_mcp.server.schemas import tools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mem1_mcp.memory import Memory
    from mem1_mcp.memory.forget import Preview
    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.memory.recall import Recall, Recalled
    from mem1_mcp.protocols import Progress
    from mem1_mcp.server.identity import Identify, Identity
    from mem1_mcp.server.schemas import ToolText
    from mem1_mcp.server.updates import Updates
    from mem1_mcp.types import Selection

    Run = Callable[[Identity, Any, Progress], Awaitable[CallToolResult]]

_TELLING_SECONDS = 1.0
_NOTHING_SAVED = "Nothing was saved."
_NOTHING_FORGOTTEN = "Nothing was forgotten."


class Tools:
    """The tools over one memory; whose, ``identify`` says for each request."""

    def __init__(
        self, memory: Memory, identify: Identify, updates: Updates, template: Template = GENERAL
    ) -> None:
        self._memory = memory
        self._texts = tools(template)
        self._identify = identify
        self._updates = updates

    def registered(self, descriptions: Mapping[str, str]) -> list[Tool]:
        """Return the tools for the server, some with the person's own descriptions."""
        calls: dict[str, Callable[..., Awaitable[CallToolResult]]] = {
            "remember": self._called("remember", self._remember, _NOTHING_SAVED),
            "recall": self._called("recall", self._recall),
            "search_images": self._called("search_images", self._search_images),
            "list_topics": self._called("list_topics", self._list_topics),
            "forget": asking(self),
        }
        return [_tool(name, self._texts[name], call, descriptions) for name, call in calls.items()]

    def _called(
        self, name: str, run: Run, consequence: str = ""
    ) -> Callable[[Context[Any, Any]], Awaitable[CallToolResult]]:
        # The SDK's own checks are passed by: they drop unknown names and answer in pydantic's words.
        async def call(ctx: Context[Any, Any]) -> CallToolResult:
            raw = _raw_arguments(ctx)
            unknown = arguments.unknown_arguments(name, raw)
            try:
                asked = arguments.validate(name, raw, consequence)
                result = await run(self._identify(), asked, _progress_of(ctx))
            except Mem1Error as error:
                result = wording.refusal(str(error))
            return wording.with_ignored(result, unknown)

        return call

    async def _remember(
        self, of: Identity, asked: arguments.RememberArguments, progress: Progress
    ) -> CallToolResult:
        request = requests.to_remember(asked, of.topic or DEFAULT_TOPIC, self._memory.zone)
        if not of.local:
            requests.refuse_paths(request.images)
        done = await self._memory.remember(of.user, request, progress)
        self._updates.changed(of.user)
        return wording.remembered(done, of.user, request.topic)

    async def _recall(
        self, of: Identity, asked: arguments.RecallArguments, progress: Progress
    ) -> CallToolResult:
        request = requests.to_recall(asked, of.user, of.topic, self._memory.zone)
        now, found = await self._found(request, progress)
        return wording.recalled(found, request, now, self._memory.zone)

    async def _found(self, request: Recall, progress: Progress) -> tuple[int, Recalled]:
        """Recall within what the frame of the answer leaves of its budget; return also as of when."""
        now = self._memory.clock()
        room = request.max_tokens - wording.frame_tokens(request, now, self._memory.zone)
        return now, await self._memory.recall(replace(request, max_tokens=max(room, 1)), progress)

    async def _search_images(
        self, of: Identity, asked: arguments.SearchImagesArguments, progress: Progress
    ) -> CallToolResult:
        request = requests.to_search_images(asked, of.user, of.topic, self._memory.zone)
        now, found = await self._found(request, progress)
        thumbnails = await self._memory.thumbnails(of.user, [hit.stored.place for hit in found.hits])
        return wording.images(found, thumbnails, request, now, self._memory.zone)

    async def _list_topics(
        self, of: Identity, asked: arguments.ListTopicsArguments, _progress: Progress
    ) -> CallToolResult:
        listed = await self._memory.topics(of.user)
        return wording.topics(
            listed,
            requests.to_skip(asked.cursor),
            asked.limit or 50,
            of.user,
            self._memory.clock(),
            self._memory.zone,
        )

    async def prepare(self, ctx: Context[Any, Any]) -> Prepared:
        """See ``Forgetting``."""
        raw = _raw_arguments(ctx)
        try:
            if unknown := arguments.unknown_arguments("forget", raw):
                raise InvalidRequestError(
                    f"{', '.join(unknown)}: forget has no such argument. {_NOTHING_FORGOTTEN}"
                )
            user = self._identify().user
            asked = arguments.validate("forget", raw, _NOTHING_FORGOTTEN)
            selection = requests.to_selection(asked)
            if asked.confirm is not None:
                return Prepared(confirmed=(asked.confirm, selection))
            assert selection is not None  # noqa: S101 - to_selection asks for one of the two
            skip = requests.to_skip(asked.cursor, _NOTHING_FORGOTTEN)
            preview = await self._memory.preview_forgetting(user, selection, skip)
        except Mem1Error as error:
            return Prepared(wording.refusal(str(error)))
        if preview.token is None or skip:
            return Prepared(wording.previewed(preview, skip, user, self._memory.zone))
        return Prepared(preview=preview, question=wording.question(preview, user, self._memory.zone))

    async def forget(
        self, ctx: Context[Any, Any], token: str, selection: Selection | None
    ) -> CallToolResult:
        """See ``Forgetting``."""
        try:
            user = self._identify().user
            done = await self._memory.forget(user, token, selection, _progress_of(ctx))
        except Mem1Error as error:
            return wording.refusal(str(error))
        self._updates.changed(user)
        return wording.forgotten(done, user)

    def leave(self, preview: Preview, *, declined: bool) -> CallToolResult:
        """See ``Forgetting``."""
        user = self._identify().user
        return wording.previewed(preview, 0, user, self._memory.zone, declined=declined)


def _progress_of(ctx: Context[Any, Any]) -> Progress:
    """Tell a client how far its call is; whether it listens has no influence on the call."""

    async def tell(progress: float, total: float | None = None, message: str | None = None) -> None:
        with (
            anyio.move_on_after(_TELLING_SECONDS),
            suppress(anyio.BrokenResourceError, anyio.ClosedResourceError),
        ):
            await ctx.report_progress(progress, total, message)

    return tell


def _raw_arguments(ctx: Context[Any, Any]) -> dict[str, Any]:
    return (ctx.request_context.params or {}).get("arguments") or {}


def _tool(
    name: str,
    text: ToolText,
    call: Callable[..., Awaitable[CallToolResult]],
    descriptions: Mapping[str, str],
) -> Tool:
    tool = Tool.from_function(
        call,
        name=name,
        title=text.title,
        description=descriptions.get(name, text.description),
        annotations=text.annotations,
        structured_output=False,
    )
    return tool.model_copy(update={"parameters": text.schema})
