"""The last reply out of a session's transcript, for hosts that do not hand it over themselves."""

from __future__ import annotations

import json
from pathlib import Path

_TAIL = 400_000  # bytes: a transcript holds the results of tools, too


def last_reply(path: str) -> str:
    """Return what the model said last in a transcript of JSON lines; empty where that can't be found.

    Only what follows the person's last words is the reply to them.
    """
    try:
        with Path(path).open("rb") as file:
            file.seek(max(file.seek(0, 2) - _TAIL, 0))
            lines = file.read().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off at the beginning, or still being written
        if not isinstance(entry, dict) or entry.get("isSidechain") or entry.get("isMeta"):
            continue
        message = entry.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        said = _said(content)
        if entry.get("type") == "assistant" and said:
            return said
        if entry.get("type") == "user" and said:
            return ""
    return ""


def _said(content: object) -> str:
    """Return the words of a message: its text, without calls and results of tools."""
    if isinstance(content, str):
        return content.strip()
    if not isinstance(content, list):
        return ""
    blocks = [block for block in content if isinstance(block, dict) and block.get("type") == "text"]
    return "\n".join(str(block.get("text", "")) for block in blocks).strip()
