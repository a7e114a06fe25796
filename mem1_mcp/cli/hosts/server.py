"""What a host is told of this server, in the shapes that most hosts share."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from mem1_mcp.errors import InvalidRequestError

Shape = dict[str, object]
Shell = Literal["sh", "powershell", "cmd"]

# As they stand in JSON, in TOML and on a command line.
_SECRETS = re.compile(
    r"""(bearer[ ]|(?:key|password|token|secret)["']?\s*[:=]\s*)
    (?:("|')(?:(?!\2)[^\\\n]|\\.)*\2 | [^"'\s,{\[][^"'\s,]*)""",
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"\w*(?:KEY|PASSWORD|TOKEN|SECRET)")
_TOO_SHORT = 3  # it would stand in half of all words
# A hook asks no model, and what it does not need must not be read in a list of processes.
_NOT_FOR_HOOKS = ("MEM1_LLM_", "MEM1_VL_", "MEM1_EMBEDDINGS", "MEM1_HOOKS")


@dataclass(frozen=True, slots=True)
class Server:
    """A server to start, by its ``command`` and settings; or one to reach, by its ``url`` and token."""

    name: str
    command: str
    env: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    token: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """What a request to it carries."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    @property
    def secrets(self) -> Sequence[str]:
        """What nobody else may read, the longest first."""
        kept = {self.token, *(each for name, each in self.env.items() if _SECRET_NAME.fullmatch(name))}
        return sorted((each for each in kept if each and len(each) > _TOO_SHORT), key=len, reverse=True)


# ``None`` where a host can't be given such a server.
Entry = Callable[[Server], Shape | None]


def plain(server: Server, *, url: str = "url", headers: str = "headers") -> Shape:
    """Write an entry as Claude Desktop and Cursor do; ``url`` and ``headers`` are a host's names."""
    if server.url is not None:
        return {url: server.url} | ({headers: dict(server.headers)} if server.headers else {})
    return {"command": server.command} | ({"env": dict(server.env)} if server.env else {})


def typed(server: Server, *, stdio: str = "stdio") -> Shape:
    """Write an entry that says its transport, as VS Code and Claude Code do."""
    return {"type": stdio if server.url is None else "http"} | plain(server)


def in_words(server: Server) -> Shape:
    """Write an entry for opencode, whose command is a list of words."""
    if server.url is not None:
        return {"type": "remote", "url": server.url, "headers": dict(server.headers)}
    return {"type": "local", "command": [server.command], "environment": dict(server.env), "enabled": True}


def concealed(text: str, server: Server | None = None) -> str:
    """Write a text without tokens, keys and passwords; those of the server wherever they are."""
    for secret in server.secrets if server else ():
        text = text.replace(secret, "…")
    return _SECRETS.sub(r"\1\2…\2", text)


def concealed_line(words: Sequence[str], server: Server) -> str:
    """Write a command as a person would type it, without the secrets in it."""
    return shlex.join(concealed(word, server) for word in words)


def hook_words(server: Server, host: str) -> list[str]:
    """Return the command of a hook, word by word, with the settings that it needs."""
    needed = {
        name: value
        for name, value in server.env.items()
        if name.startswith("MEM1_") and not name.startswith(_NOT_FOR_HOOKS)
    }
    settings = [word for pair in needed.items() for word in ("--env", "=".join(pair))]
    return [server.command, "hook", "--host", host, *settings]


def hook_line(server: Server, host: str, shell: Shell) -> str:
    """Write the command of a hook for a shell.

    Raises:
        InvalidRequestError: this shell can't be told so.

    """
    words = hook_words(server, host)
    if shell == "powershell":
        quoted = ["'" + word.replace("'", "''") + "'" for word in words]
        return " ".join(("&", *quoted))
    if shell == "cmd":
        return _for_cmd(words)
    return shlex.join(words)


def _for_cmd(words: Sequence[str]) -> str:
    # Codex hands the line over in quotes and with \" for each in it, which cmd does not read: so there may
    # be none. A caret keeps a space in the program's path together, but no other word.
    if any(re.search(r'[\s"]', word) for word in words[1:]):
        raise InvalidRequestError(
            "--with-hooks: a setting with a space or a quotation mark in it can't reach a hook of Codex on "
            "Windows. Set it for your whole account (`setx NAME VALUE`), and leave it out of --env."
        )
    return " ".join(re.sub(r"[\s&|<>^()%!]", r"^\g<0>", word) for word in words)


def cursor_link(server: Server) -> str:
    """Write a link that adds the server to Cursor; source: cursor.com/docs/mcp/install-links."""
    config = base64.b64encode(json.dumps(plain(server)).encode()).decode()
    return f"https://cursor.com/en/install-mcp?name={quote(server.name)}&config={quote(config, safe='')}"


def vscode_link(server: Server) -> str:
    """Write a link that adds the server to VS Code, by a page that hands it on to the program."""
    config = quote(json.dumps(typed(server)), safe="")
    return f"https://insiders.vscode.dev/redirect/mcp/install?name={quote(server.name)}&config={config}"
