"""Hosts' own commands to add and remove a server, which know best where and how it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mem1_mcp.cli.hosts.server import Server, typed

Words = list[str]
# What the interpreter of Windows' batch files takes for its own; npm's programs are such files.
_FOR_BATCH = frozenset('"%&|<>^!()')


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """A host's program. ``add`` and ``remove`` return its arguments, or ``None`` for what it can't do.

    ``replaces`` when adding a name that is there puts the new server in its place; else it is refused.
    """

    program: str
    add: Callable[[Server], Words | None]
    remove: Callable[[str], Words | None]
    replaces: bool = True


def can_be_run(program: str, arguments: Sequence[str]) -> bool:
    """Whether arguments reach the program as they are."""
    if not program.lower().endswith((".cmd", ".bat")):
        return True
    return not any(_FOR_BATCH.intersection(each) for each in arguments)


def _env(server: Server, option: str) -> Words:
    return [word for pair in server.env.items() for word in (option, "=".join(pair))]


def _header(server: Server, option: str = "--header") -> Words:
    return [word for pair in server.headers.items() for word in (option, ": ".join(pair))]


def _claude(server: Server) -> Words:
    add = ["mcp", "add", "--scope", "user"]
    if server.url is not None:
        return [*add, "--transport", "http", server.name, server.url, *_header(server)]
    # The name before the options: these take all words that follow.
    return [*add, server.name, *_env(server, "-e"), "--", server.command]


def _codex(server: Server) -> Words | None:
    if server.url is not None:
        # It takes a token from a variable only, which a person would have to set everywhere.
        return None if server.token else ["mcp", "add", server.name, "--url", server.url]
    return ["mcp", "add", server.name, *_env(server, "--env"), "--", server.command]


def _gemini(server: Server) -> Words:
    add = ["mcp", "add", "--scope", "user"]
    if server.url is not None:
        return [*add, "--transport", "http", *_header(server, "-H"), server.name, server.url]
    return [*add, *_env(server, "-e"), server.name, server.command]


def _copilot(server: Server) -> Words:
    if server.url is not None:
        return ["mcp", "add", "--transport", "http", *_header(server), server.name, server.url]
    return ["mcp", "add", server.name, *_env(server, "--env"), "--", server.command]


def _code(server: Server) -> Words:
    return ["--add-mcp", json.dumps({"name": server.name, **typed(server)}, ensure_ascii=False)]


def _scoped(name: str) -> Words:
    return ["mcp", "remove", "--scope", "user", name]


def _unscoped(name: str) -> Words:
    return ["mcp", "remove", name]


CLAUDE = OwnCommand("claude", _claude, _scoped, replaces=False)
CODE = OwnCommand("code", _code, lambda _name: None)
CODEX = OwnCommand("codex", _codex, _unscoped)
GEMINI = OwnCommand("gemini", _gemini, _scoped)
QWEN = OwnCommand("qwen", _gemini, _scoped, replaces=False)  # it would mix old settings with the new
COPILOT = OwnCommand("copilot", _copilot, _unscoped, replaces=False)
