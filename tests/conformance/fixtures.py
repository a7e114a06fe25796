"""What the conformance suite calls by name: tools, resources, prompts and two old methods.

The suite fixes the names and what has to come back; all of it goes through the public interface of the
SDK where there is one, as the server's own tools do. ``questions`` holds the tools that ask back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Audio, Context, Image, MCPServer, UserMessage
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmbeddedResource,
    EmptyResult,
    RequestParams,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import Field

from tests.conformance.questions import ASKING_PROMPTS, ASKING_TOOLS

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOoBwAAgQCAfhwpxwAAAABJRU5ErkJggg=="
)
WAV = base64.b64decode("UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA==")
PAUSE_SECONDS = 0.05  # notifications that are sent apart have to arrive apart

# No function signature says `if` or `$anchor`, so this one is written out.
SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def add_fixtures(server: MCPServer[Any]) -> None:
    """Add to a server what the scenarios name; what it serves already stays its own."""
    for tool in (*TOOLS, *ASKING_TOOLS):
        server.add_tool(tool, name=f"test_{tool.__name__}", structured_output=False)
    _add_schema_tool(server)
    _add_resources(server)
    for prompt in (*PROMPTS, *ASKING_PROMPTS):
        server.prompt(name=f"test_{prompt.__name__}")(prompt)
    for method, (params, handler) in METHODS.items():
        if server._lowlevel_server.get_request_handler(method) is None:
            server._lowlevel_server.add_request_handler(method, params, handler)


async def simple_text() -> str:
    """Answer with one line."""
    return "This is a simple text response for testing."


async def image_content() -> Image:
    """Answer with one grey point."""
    return Image(data=PNG, format="png")


async def audio_content() -> Audio:
    """Answer with a moment of silence."""
    return Audio(data=WAV, format="wav")


async def embedded_resource() -> EmbeddedResource:
    """Answer with a resource in full."""
    return _embedded("test://embedded-resource", "This is an embedded resource content.")


async def multiple_content_types() -> list[Any]:
    """Answer with a text, an image and a resource."""
    data = json.dumps({"test": "data", "value": 123})
    return [
        "Multiple content types test:",
        Image(data=PNG, format="png"),
        _embedded("test://mixed-content-resource", data, "application/json"),
    ]


async def error_handling() -> str:
    """Fail, in words meant for the model."""
    raise ToolError("This tool intentionally returns an error for testing")


async def tool_with_logging(ctx: Context[Any]) -> str:
    """Log three lines while working."""
    for stage in ("execution started", "processing data", "execution completed"):
        await ctx.info(f"Tool {stage}")  # type: ignore[deprecated]
        await anyio.sleep(PAUSE_SECONDS)
    return "Logged three lines."


async def logging_tool(ctx: Context[Any]) -> str:
    """Log one line, which a client that did not ask for any must not see."""
    await ctx.info("Nobody asked for this line.")  # type: ignore[deprecated]
    return "Logged one line."


async def tool_with_progress(ctx: Context[Any]) -> str:
    """Report the beginning, the middle and the end."""
    for percent in (0, 50, 100):
        await ctx.report_progress(percent, 100)
        await anyio.sleep(PAUSE_SECONDS)
    return "Reported three times."


async def reconnection(ctx: Context[Any]) -> str:
    """Hang up before the answer, which a server with an event store sends on the next connection."""
    await ctx.close_sse_stream()
    await anyio.sleep(PAUSE_SECONDS)
    return "Answered on whatever connection there is."


async def trigger_tool_change(ctx: Context[Any]) -> str:
    """Tell listeners that the tools changed; no listener finds out that they did not."""
    await ctx.notify_tools_changed()
    return "Told."


async def trigger_prompt_change(ctx: Context[Any]) -> str:
    """Tell listeners that the prompts changed."""
    await ctx.notify_prompts_changed()
    return "Told."


async def argument_in_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "",
) -> str:
    """Take an argument that a client repeats in an HTTP header."""
    return f"Region: {region}"


TOOLS: tuple[Callable[..., Awaitable[Any]], ...] = (
    simple_text,
    image_content,
    audio_content,
    embedded_resource,
    multiple_content_types,
    error_handling,
    tool_with_logging,
    logging_tool,
    tool_with_progress,
    reconnection,
    trigger_tool_change,
    trigger_prompt_change,
    argument_in_header,
)


def _add_schema_tool(server: MCPServer[Any]) -> None:
    async def run() -> str:
        return "Never called: the suite reads the schema."

    name = "json_schema_2020_12_tool"
    server.add_tool(run, name=name, description="Have a schema with keywords of its draft.")
    tool = server._tool_manager.get_tool(name)
    assert tool is not None
    tool.parameters = SCHEMA_2020_12


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def _add_resources(server: MCPServer[Any]) -> None:
    server.resource("test://static-text", mime_type="text/plain")(static_text)
    server.resource("test://static-binary", mime_type="image/png")(static_binary)
    server.resource("test://watched-resource", mime_type="text/plain")(watched_resource)
    server.resource("test://template/{id}/data", mime_type="application/json")(template_data)


async def static_text() -> str:
    return "This is the content of the static text resource."


async def static_binary() -> bytes:
    return PNG


async def watched_resource() -> str:
    return "This resource is watched and never changes."


async def template_data(id: str) -> str:  # noqa: A002 - the template's variable
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


async def simple_prompt() -> str:
    """Say one line."""
    return "This is a simple prompt for testing."


async def prompt_with_arguments(arg1: str, arg2: str) -> str:
    """Say both arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


async def prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
    """Say a resource, and what to do with it."""
    resource = _embedded(resourceUri, "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


async def prompt_with_image() -> list[UserMessage]:
    """Say an image, and what to do with it."""
    return [UserMessage(Image(data=PNG, format="png")), UserMessage("Please analyze the image above.")]


PROMPTS: tuple[Callable[..., Awaitable[Any]], ...] = (
    simple_prompt,
    prompt_with_arguments,
    prompt_with_embedded_resource,
    prompt_with_image,
)


async def _accept(_: ServerRequestContext[Any, Any], __: RequestParams) -> EmptyResult:
    return EmptyResult()


async def _complete(_: ServerRequestContext[Any, Any], params: CompleteRequestParams) -> CompleteResult:
    return CompleteResult(completion=Completion(values=[f"{params.argument.value}Value1"]))


METHODS: dict[str, tuple[type[Any], Callable[..., Awaitable[Any]]]] = {
    "logging/setLevel": (SetLevelRequestParams, _accept),
    "resources/subscribe": (SubscribeRequestParams, _accept),
    "resources/unsubscribe": (UnsubscribeRequestParams, _accept),
    "completion/complete": (CompleteRequestParams, _complete),
}
