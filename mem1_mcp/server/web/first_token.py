"""The token that is made where there is none, and the file its holder finds it in.

Every other token is shown once, to the person who made it. This one is made without a person, so it is
written down, for the owner of the memory alone to read.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mem1_mcp.errors import StoreError
from mem1_mcp.memory.tokens import NewToken

if TYPE_CHECKING:
    from pathlib import Path

    from mem1_mcp.memory import Memory

_FILE = "first-token.txt"
# Of two processes that start at once, one makes the token of this id.
_ID = "00000001"


async def make(memory: Memory, folder: Path, asked: NewToken) -> Path:
    """Make the first token, unless another process was faster; return the file it is in.

    Raises:
        StoreError: the file can't be written; no token was made then.

    """
    path = folder / _FILE
    new = path.with_name(f".{_FILE}-{secrets.token_hex(4)}")
    made = memory.new_token(asked, _ID)
    try:
        # Before it counts, so that there is none that nobody can read.
        await anyio.to_thread.run_sync(_write, new, made.text)
        await memory.keep_token(made.token)
        if await memory.verify_token(made.text) is not None:
            await anyio.to_thread.run_sync(new.replace, path)
    except OSError as error:
        if await memory.verify_token(made.text) is not None:
            await memory.revoke_token(_ID)
        raise StoreError(f"{path} can't be written ({error}), so no token was made.") from error
    finally:
        with anyio.CancelScope(shield=True), suppress(OSError):
            await anyio.to_thread.run_sync(partial(new.unlink, missing_ok=True))
    return path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")


def remove_file(folder: Path, token_id: str) -> None:
    """Take the file away if it holds this token."""
    path = folder / _FILE
    with suppress(OSError):
        if path.read_text(encoding="utf-8").startswith(f"mem1_{token_id}_"):
            path.unlink()
