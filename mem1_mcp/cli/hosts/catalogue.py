"""The hosts that this program can be added to: where each keeps its servers, and how it writes one.

Paths and shapes are the hosts' own, from their documents; those of Claude Code, Codex, Gemini CLI, Qwen
Code, opencode and Copilot CLI were tried with the programs themselves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mem1_mcp.cli.hosts import own_commands
from mem1_mcp.cli.hosts.server import Entry, Server, Shell, cursor_link, in_words, plain, typed, vscode_link

Files = Callable[["Machine"], Sequence[Path]]
Find = Callable[["Machine"], Path]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where configuration lies on this machine, for this person."""

    platform: str = sys.platform
    home: Path = field(default_factory=Path.home)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def at(self, variable: str, *default: str) -> Path:
        """Return the folder that a variable names, or one under the home folder."""
        named = self.environ.get(variable)
        return Path(named).expanduser() if named else self.home.joinpath(*default)

    @property
    def config(self) -> Path:
        """The folder of desktop programs' settings."""
        if self.platform == "win32":
            return self.at("APPDATA", "AppData", "Roaming")
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.at("XDG_CONFIG_HOME", ".config")

    @property
    def xdg(self) -> Path:
        """``~/.config``, which some programs use on macOS and Windows as well."""
        return self.at("XDG_CONFIG_HOME", ".config")


@dataclass(frozen=True, slots=True)
class Hooks:
    """Where a host's hooks are set, and how; ``milliseconds`` where it counts its timeout so.

    ``flat`` where an event's list holds the commands themselves. ``windows`` is the shell that runs them
    there, ``None`` where none does and they are words. ``afterwards`` is what a person must do.
    """

    file: Find
    events: Sequence[str]
    milliseconds: bool = False
    flat: bool = False
    windows: Shell | None = "powershell"
    afterwards: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """One host. ``key`` is where its servers stand in its ``files``, ``entry`` how it writes one.

    ``own`` is its own command for that, ``rules`` the file its model reads in every chat, ``link`` adds
    one by a click; ``rules_front`` begins a new file of rules. ``afterwards`` is what a person does then.
    """

    id: str
    title: str
    files: Files
    afterwards: str
    key: str = "mcpServers"
    entry: Entry = plain
    toml: bool = False
    own: own_commands.OwnCommand | None = None
    hooks: Hooks | None = None
    rules: Find | None = None
    link: Callable[[Server], str] | None = None
    rules_front: str = ""


def is_there(path: Path) -> bool:
    """Whether a file or folder is there, as far as this person may see."""
    try:
        return path.exists()
    except OSError:
        return False


def _claude_desktop(machine: Machine) -> Sequence[Path]:
    """Its folder, and on Windows that of the packaged program, which sees an AppData of its own."""
    folders = [machine.config / "Claude"]
    if machine.platform == "win32":
        packages = machine.at("LOCALAPPDATA", "AppData", "Local") / "Packages"
        packaged = sorted(packages.glob("Claude_*/LocalCache/Roaming"))
        folders += [roaming / "Claude" for roaming in packaged]
    there = [folder for folder in folders if is_there(folder)] or folders[:1]
    return [folder / "claude_desktop_config.json" for folder in there]


def _opencode(machine: Machine) -> Sequence[Path]:
    folder = machine.at("OPENCODE_CONFIG_DIR", ".config", "opencode")
    if not machine.environ.get("OPENCODE_CONFIG_DIR"):
        folder = machine.xdg / "opencode"
    files = [folder / "opencode.json", folder / "opencode.jsonc"]
    return [file for file in files if is_there(file)][:1] or files[:1]


def _cline(machine: Machine) -> Sequence[Path]:
    name = "cline_mcp_settings.json"
    now = machine.at("CLINE_DIR", ".cline") / "data" / "settings" / name
    extension = (
        machine.config / "Code" / "User" / "globalStorage" / "saoudrizwan.claude-dev" / "settings" / name
    )
    return [file for file in (now, extension) if is_there(file)] or [now]


def _trae(machine: Machine) -> Sequence[Path]:
    folders = [machine.config / name / "User" for name in ("Trae", "Trae CN")]
    return [folder / "mcp.json" for folder in folders if is_there(folder)] or [folders[0] / "mcp.json"]


def _zed(machine: Machine) -> Path:
    return machine.config / "Zed" if machine.platform == "win32" else machine.xdg / "zed"


def _code(machine: Machine) -> Path:
    return machine.config / "Code" / "User"


def _claude(machine: Machine) -> Path:
    return machine.at("CLAUDE_CONFIG_DIR", ".claude")


def _claude_json(machine: Machine) -> Sequence[Path]:
    moved = bool(machine.environ.get("CLAUDE_CONFIG_DIR"))
    return [(_claude(machine) if moved else machine.home) / ".claude.json"]


def _gemini(machine: Machine) -> Path:
    return machine.at("GEMINI_CLI_HOME") / ".gemini"


_CLAUDE_EVENTS = ("SessionStart", "UserPromptSubmit", "Stop", "SessionEnd")

HOSTS: Mapping[str, Host] = {
    host.id: host
    for host in (
        Host(
            "claude-desktop",
            "Claude Desktop",
            _claude_desktop,
            "Quit Claude Desktop wholly (also from the tray) and start it again.",
            entry=lambda server: plain(server) if server.url is None else None,
        ),
        Host(
            "claude-code",
            "Claude Code",
            _claude_json,
            "Start a new session, or type /mcp in a running one.",
            entry=typed,
            own=own_commands.CLAUDE,
            hooks=Hooks(lambda machine: _claude(machine) / "settings.json", _CLAUDE_EVENTS, windows=None),
            rules=lambda machine: _claude(machine) / "CLAUDE.md",
        ),
        Host(
            "cursor",
            "Cursor",
            lambda machine: [machine.home / ".cursor" / "mcp.json"],
            "Open Settings > MCP and see that mem1 is switched on.",
            link=cursor_link,
            hooks=Hooks(
                lambda machine: machine.home / ".cursor" / "hooks.json",
                ("sessionStart", "beforeSubmitPrompt", "afterAgentResponse", "sessionEnd"),
                flat=True,
            ),
        ),
        Host(
            "vscode",
            "VS Code",
            lambda machine: [_code(machine) / "mcp.json"],
            "Run `MCP: List Servers` from the command palette, start mem1, and trust it.",
            key="servers",
            entry=typed,
            own=own_commands.CODE,
            link=vscode_link,
            rules=lambda machine: _code(machine) / "prompts" / "mem1-mcp.instructions.md",
            rules_front='---\napplyTo: "**"\n---\n',  # without it VS Code leaves the file out
        ),
        Host(
            "windsurf",
            "Windsurf",
            lambda machine: [machine.home / ".codeium" / "windsurf" / "mcp_config.json"],
            "Refresh the list in the MCP panel, or restart Windsurf.",
            entry=lambda server: plain(server, url="serverUrl"),
            rules=lambda machine: machine.home / ".codeium" / "windsurf" / "memories" / "global_rules.md",
        ),
        Host(
            "codex",
            "Codex",
            lambda machine: [machine.at("CODEX_HOME", ".codex") / "config.toml"],
            "Start a new session.",
            key="mcp_servers",
            entry=lambda server: plain(server, headers="http_headers"),
            toml=True,
            own=own_commands.CODEX,
            hooks=Hooks(
                lambda machine: machine.at("CODEX_HOME", ".codex") / "hooks.json",
                _CLAUDE_EVENTS,
                windows="cmd",
                afterwards="Open Codex, type /hooks, and press t to trust them. Until then it runs none, "
                "and `codex exec` does not say so.",
            ),
            rules=lambda machine: machine.at("CODEX_HOME", ".codex") / "AGENTS.md",
        ),
        Host(
            "gemini-cli",
            "Gemini CLI",
            lambda machine: [_gemini(machine) / "settings.json"],
            "Start it again, or type /mcp refresh.",
            entry=lambda server: plain(server) | ({"type": "http"} if server.url else {}),
            own=own_commands.GEMINI,
            hooks=Hooks(
                lambda machine: _gemini(machine) / "settings.json",
                ("SessionStart", "BeforeAgent", "AfterAgent", "SessionEnd"),
                milliseconds=True,
            ),
            rules=lambda machine: _gemini(machine) / "GEMINI.md",
        ),
        Host(
            "qwen-code",
            "Qwen Code",
            lambda machine: [machine.at("QWEN_HOME", ".qwen") / "settings.json"],
            "Start it again.",
            entry=lambda server: plain(server, url="httpUrl"),
            own=own_commands.QWEN,
            hooks=Hooks(
                lambda machine: machine.at("QWEN_HOME", ".qwen") / "settings.json",
                _CLAUDE_EVENTS[1:],  # what it is told at the start, some versions drop
                milliseconds=True,
            ),
            rules=lambda machine: machine.at("QWEN_HOME", ".qwen") / "QWEN.md",
        ),
        Host(
            "zed",
            "Zed",
            lambda machine: [_zed(machine) / "settings.json"],
            "Zed reads its settings as they are saved.",
            key="context_servers",
            rules=lambda machine: _zed(machine) / "AGENTS.md",
        ),
        Host(
            "opencode",
            "opencode",
            _opencode,
            "Start it again.",
            key="mcp",
            entry=in_words,
            rules=lambda machine: _opencode(machine)[0].with_name("AGENTS.md"),
        ),
        Host(
            "copilot-cli",
            "Copilot CLI",
            lambda machine: [machine.at("COPILOT_HOME", ".copilot") / "mcp-config.json"],
            "Start a new session.",
            entry=lambda server: typed(server, stdio="local") | {"tools": ["*"]},
            own=own_commands.COPILOT,
            rules=lambda machine: machine.at("COPILOT_HOME", ".copilot") / "copilot-instructions.md",
        ),
        Host(
            "cline",
            "Cline",
            _cline,
            "Cline reads its settings as they are saved.",
            entry=lambda server: plain(server) | ({"type": "streamableHttp"} if server.url else {}),
            rules=lambda machine: machine.at("CLINE_DIR", ".cline") / "rules" / "mem1-mcp.md",
        ),
        Host(
            "kiro",
            "Kiro",
            lambda machine: [machine.home / ".kiro" / "settings" / "mcp.json"],
            "Kiro connects as its settings are saved.",
            rules=lambda machine: machine.home / ".kiro" / "steering" / "mem1-mcp.md",
        ),
        Host(
            "lm-studio",
            "LM Studio",
            lambda machine: [machine.home / ".lmstudio" / "mcp.json"],
            "LM Studio reads the file as it is saved.",
        ),
        Host(
            "trae",
            "Trae",
            _trae,
            "Restart Trae, and see in its settings under MCP that mem1 is there.",
        ),
    )
}
