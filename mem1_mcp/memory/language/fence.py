"""What people said, on its way to a language model: data, and nothing that it could take for its task."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def fenced(data: Mapping[str, object]) -> str:
    """Write data in a fence that nothing in it can close: its name is made anew each time."""
    fence = f"data-{secrets.token_hex(8)}"
    return f"<<<{fence}\n{json.dumps(data, ensure_ascii=False)}\n{fence}>>>"
