"""The tools and the prompt of the suite that need something of the client: a form, its model, its roots.

Where the suite leaves the way open, a resolver asks: it works for clients of every revision. Where it
fixes the key of a question or wants the server's own state, the answer is put together here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, ListRoots, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel

STATE = "asked to confirm"


class Account(BaseModel):
    username: str
    email: str


class Name(BaseModel):
    name: str


class Color(BaseModel):
    color: str


class Confirmation(BaseModel):
    ok: bool


async def _ask_account(message: str) -> Elicit[Account]:
    return Elicit(message, Account)


async def _ask_model(prompt: str) -> Sample:
    return Sample([_user_says(prompt)], max_tokens=100)


async def _ask_capital() -> Sample:
    return Sample([_user_says("What is the capital of France?")], max_tokens=100)


async def _ask_name() -> Elicit[Name]:
    return Elicit("What is your name?", Name)


async def _ask_color(name: Annotated[Name, Resolve(_ask_name)]) -> Elicit[Color]:
    return Elicit(f"What is your favourite colour, {name.name}?", Color)


async def _ask_confirmation() -> Elicit[Confirmation]:
    return Elicit("Please confirm", Confirmation)


async def _ask_roots() -> ListRoots:
    return ListRoots()


async def elicitation(
    message: str, answer: Annotated[ElicitationResult[Account], Resolve(_ask_account)]
) -> str:
    """Ask for a name and an address."""
    return f"User response: {answer.model_dump_json()}"


async def streaming_elicitation(answer: Annotated[Confirmation, Resolve(_ask_confirmation)]) -> str:
    """Ask for a yes or no."""
    return f"User response: {answer.ok}"


async def sampling(prompt: str, answer: Annotated[CreateMessageResult, Resolve(_ask_model)]) -> str:
    """Put a prompt to the client's model."""
    return f"LLM response: {_words_of(answer)}"


async def missing_capability(answer: Annotated[CreateMessageResult, Resolve(_ask_capital)]) -> str:
    """Need the client's model, for a client that has none."""
    return f"LLM response: {_words_of(answer)}"


async def input_required_result_sampling(
    answer: Annotated[CreateMessageResult, Resolve(_ask_capital)],
) -> str:
    """Put a question to the client's model."""
    return f"LLM response: {_words_of(answer)}"


async def input_required_result_list_roots(roots: Annotated[ListRootsResult, Resolve(_ask_roots)]) -> str:
    """Ask for the roots."""
    return f"Roots: {', '.join(str(root.uri) for root in roots.roots)}"


async def input_required_result_multiple_inputs(
    name: Annotated[Name, Resolve(_ask_name)],
    answer: Annotated[CreateMessageResult, Resolve(_ask_capital)],
    roots: Annotated[ListRootsResult, Resolve(_ask_roots)],
) -> str:
    """Ask for three things at once."""
    return f"{name.name}: {_words_of(answer)} ({len(roots.roots)} roots)"


async def input_required_result_multi_round(
    name: Annotated[Name, Resolve(_ask_name)], color: Annotated[Color, Resolve(_ask_color)]
) -> str:
    """Ask for one thing, then for another that depends on it."""
    return f"{name.name} likes {color.color}."


async def input_required_result_tampered_state(
    answer: Annotated[Confirmation, Resolve(_ask_confirmation)],
) -> str:
    """Ask, with a state that the client is to leave alone."""
    return f"User response: {answer.ok}"


async def elicitation_sep1034_defaults(ctx: Context[Any]) -> str:
    """Ask for one value of each type, with what is assumed of it."""
    return await _elicit(
        ctx,
        "Please check these values",
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )


async def elicitation_sep1330_enums(ctx: Context[Any]) -> str:
    """Ask for a choice in each way that a schema can offer one."""
    plain = {"type": "string", "enum": ["option1", "option2", "option3"]}
    titled = [{"const": f"value{number}", "title": f"Option {number}"} for number in (1, 2, 3)]
    old = {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    }
    return await _elicit(
        ctx,
        "Please choose",
        untitledSingle=plain,
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum=old,
        untitledMulti={"type": "array", "items": plain},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )


async def input_required_result_elicitation(ctx: Context[Any]) -> str | InputRequiredResult:
    """Ask for a name."""
    if (fields := _fields(ctx, "user_name")) is None:
        return InputRequiredResult(input_requests={"user_name": _form("What is your name?", name="string")})
    return f"Hello, {fields['name']}!"


async def input_required_result_request_state(ctx: Context[Any]) -> str | InputRequiredResult:
    """Ask to confirm, and see the state again that went with it."""
    if _fields(ctx, "confirm") is None:
        request = _form("Please confirm", ok="boolean")
        return InputRequiredResult(input_requests={"confirm": request}, request_state=STATE)
    if ctx.request_state != STATE:
        raise ToolError("The answer came back without the state that was sent with the question.")
    return "state-ok"


async def input_required_result_capabilities(ctx: Context[Any]) -> str | InputRequiredResult:
    """Ask only for what the client has said it can do."""
    if ctx.input_responses:
        return f"Answered: {', '.join(ctx.input_responses)}"
    capabilities = ctx.client_capabilities
    requests: dict[str, InputRequest] = {}
    if capabilities is not None and capabilities.elicitation is not None:
        requests["user_name"] = _form("What is your name?", name="string")
    if capabilities is not None and capabilities.sampling is not None:
        params = CreateMessageRequestParams(messages=[_user_says("Say hello.")], max_tokens=50)
        requests["greeting"] = CreateMessageRequest(params=params)
    return InputRequiredResult(input_requests=requests) if requests else "There was nobody to ask."


async def input_required_result_prompt(ctx: Context[Any]) -> str | InputRequiredResult:
    """Ask what the prompt is about."""
    if (fields := _fields(ctx, "user_context")) is None:
        request = _form("What context should the prompt use?", context="string")
        return InputRequiredResult(input_requests={"user_context": request})
    return f"Use this context: {fields['context']}"


ASKING_TOOLS: tuple[Callable[..., Awaitable[Any]], ...] = (
    elicitation,
    streaming_elicitation,
    sampling,
    missing_capability,
    elicitation_sep1034_defaults,
    elicitation_sep1330_enums,
    input_required_result_elicitation,
    input_required_result_sampling,
    input_required_result_list_roots,
    input_required_result_request_state,
    input_required_result_multiple_inputs,
    input_required_result_multi_round,
    input_required_result_tampered_state,
    input_required_result_capabilities,
)
ASKING_PROMPTS: tuple[Callable[..., Awaitable[Any]], ...] = (input_required_result_prompt,)


def _user_says(text: str) -> SamplingMessage:
    return SamplingMessage(role="user", content=TextContent(text=text))


def _words_of(answer: CreateMessageResult) -> str:
    return answer.content.text if isinstance(answer.content, TextContent) else answer.content.type


def _schema(fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _form(message: str, **types: str) -> ElicitRequest:
    schema = _schema({name: {"type": type_} for name, type_ in types.items()})
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _fields(ctx: Context[Any], key: str) -> dict[str, Any] | None:
    """Return what the client filled in, or ``None`` where it has not answered this question."""
    answer = (ctx.input_responses or {}).get(key)
    return answer.content if isinstance(answer, ElicitResult) else None


async def _elicit(ctx: Context[Any], message: str, **fields: dict[str, Any]) -> str:
    """Ask with a schema that no model renders, which only the handshake's revisions can."""
    answer = await ctx.session.elicit_form(message, _schema(fields), ctx.request_id)
    return f"Elicitation completed: action={answer.action}, content={answer.content}"
