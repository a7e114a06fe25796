"""What is no user's own: tokens that let programs in, secrets all processes share, the template."""

from __future__ import annotations

import base64
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING

from mem1_mcp.errors import StoreBusyError
from mem1_mcp.stores.elasticsearch.connection import Delete, Put
from mem1_mcp.types import Token

if TYPE_CHECKING:
    from mem1_mcp.stores.elasticsearch.indices import Indices

_SECRET_BYTES = 32
_TEMPLATE = "template"


async def keep_token(indices: Indices, token: Token) -> None:
    """Keep a token; the same one again changes nothing."""
    source = {"kind": "token", "created_at": token.created_at, "state": asdict(token)}
    await indices.put(indices.state, _token_id(token.id), source, None)


async def token(indices: Indices, token_id: str) -> Token | None:
    """Read one token."""
    found = await indices.get(indices.state, _token_id(token_id))
    return None if found is None else Token(**found.source["state"])


async def tokens(indices: Indices) -> tuple[Token, ...]:
    """Read all tokens, oldest first."""
    await indices.refresh(indices.state)
    found = []
    async for hits in indices.pages(indices.state, {"term": {"kind": "token"}}):
        found += [Token(**hit["_source"]["state"]) for hit in hits]
    return tuple(sorted(found, key=lambda token: (token.created_at, token.id)))


async def revoke_token(indices: Indices, token_id: str) -> bool:
    """Take a token away; false where there is none."""
    while (found := await indices.get(indices.state, _token_id(token_id))) is not None:
        if not await indices.bulk(indices.state, [Delete(_token_id(token_id), found.seen)]):
            return True
    return False


async def secret(indices: Indices, name: str) -> bytes:
    """Make a secret, unless another process was faster; read it."""
    document = f"secret:{name}"
    found = await indices.get(indices.state, document)
    if found is None:
        made = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        await indices.put(indices.state, document, {"kind": "secret", "state": {"value": made}}, None)
        found = await indices.get(indices.state, document)
    if found is None:
        raise StoreBusyError("A secret was taken away while it was made. Nothing was saved. Try again.")
    return base64.b64decode(found.source["state"]["value"])


async def template(indices: Indices) -> str | None:
    """Read the template of all profiles."""
    found = await indices.get(indices.state, _TEMPLATE)
    return None if found is None else str(found.source["state"]["text"])


async def keep_template(indices: Indices, text: str, *, instead: bool) -> bool:
    """Keep a template where there is none, or instead of the one there; say whether that was done."""
    write = secrets.token_hex(6)
    source = {"kind": _TEMPLATE, "state": {"text": text, "write": write}}
    if instead:
        await indices.bulk(indices.state, [Put(_TEMPLATE, source)])
        return True
    if await indices.put(indices.state, _TEMPLATE, source, None) is not None:
        return True
    # Perhaps it was sent twice, and what is in the way is its own.
    found = await indices.get(indices.state, _TEMPLATE)
    return found is not None and found.source["state"]["write"] == write


def _token_id(token_id: str) -> str:
    return f"token:{token_id}"
