"""What ASGI leaves to be written: headers by their name, and a refusal before the protocol is reached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcp.types import INTERNAL_ERROR, INVALID_REQUEST

if TYPE_CHECKING:
    from starlette.types import Scope, Send


def header_values(scope: Scope, header: str) -> list[str]:
    """Return the values of a header, as often as it was sent."""
    wanted = header.lower().encode()
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


async def refuse(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    """Answer with an error in the protocol's form: clients show the words of no other to anybody."""
    code = INVALID_REQUEST if status < 500 else INTERNAL_ERROR  # noqa: PLR2004
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
    body = json.dumps(error, ensure_ascii=False).encode()
    told = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
