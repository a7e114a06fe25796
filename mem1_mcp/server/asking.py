"""``forget`` asks the person too, where the host can: a question on top of preview and token.

A yes deletes at once what the question told of. A no, and no way to ask, delete nothing and leave the
token, since some hosts decline by themselves without showing anything to anybody.
"""

# No `from __future__ import annotations`: the SDK reads the resolvers out of the annotations of inner
# functions, which it could not find by their names.

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from mem1_mcp.memory.forget import Preview
from mem1_mcp.types import Selection

_Context = Context[Any, Any]
_Call = Callable[..., Awaitable[CallToolResult]]


class Consent(BaseModel):
    """What the person answers; to accept without touching anything is a yes."""

    forget: bool = Field(
        True,  # noqa: FBT003
        title="Forget this for good / 永久忘记",
        description="There is no undo. / 无法撤销。",
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call of ``forget`` before anybody is asked: one of three.

    ``answered`` where nothing is to be forgotten: a refusal, or more lines of a preview. ``confirmed``
    is the token of an earlier preview, with the selection that came with it. Otherwise there is a
    ``preview`` and the ``question`` it comes to.
    """

    answered: CallToolResult | None = None
    confirmed: tuple[str, Selection | None] | None = None
    preview: Preview | None = None
    question: str = ""


class Forgetting(Protocol):
    """The parts of a call; the SDK may run ``prepare`` again for the answer of the person."""

    async def prepare(self, ctx: _Context) -> Prepared:
        """Check the arguments and see what would go; takes nothing."""

    async def forget(self, ctx: _Context, token: str, selection: Selection | None) -> CallToolResult:
        """Take what the preview of this token showed."""

    def leave(self, preview: Preview, *, declined: bool) -> CallToolResult:
        """Take nothing; show the preview and its token."""


def can_ask(ctx: _Context) -> bool:
    """Whether the host says that it can put a question to the person."""
    capabilities = ctx.client_capabilities
    asking = capabilities.elicitation if capabilities is not None else None
    return asking is not None and (asking.form is not None or asking.url is None)


def asking(parts: Forgetting) -> _Call:
    """Make the function of the tool: prepare, ask where that can be done, then forget or leave."""

    async def prepare(ctx: _Context) -> Prepared:
        return await parts.prepare(ctx)

    async def ask(ctx: _Context, prepared: Annotated[Prepared, Resolve(prepare)]) -> Elicit[Consent] | None:
        return Elicit(prepared.question, Consent) if prepared.question and can_ask(ctx) else None

    async def call(
        ctx: _Context,
        prepared: Annotated[Prepared, Resolve(prepare)],
        answer: Annotated[ElicitationResult[Consent], Resolve(ask)],
    ) -> CallToolResult:
        if prepared.confirmed is not None:
            return await parts.forget(ctx, *prepared.confirmed)
        if prepared.preview is None or prepared.preview.token is None:
            assert prepared.answered is not None  # noqa: S101 - it has one of the three
            return prepared.answered
        consent: Consent | None = Consent(forget=False)
        if isinstance(answer, AcceptedElicitation):
            consent = answer.data
        if consent is not None and consent.forget:
            return await parts.forget(ctx, prepared.preview.token, None)
        return parts.leave(prepared.preview, declined=consent is not None)  # else nobody was asked

    return call
