"""`mem1-mcp install`: what it does to the files of hosts, as they lie with people, and says of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from mem1_mcp.cli.configuration import command_path
from mem1_mcp.cli.hosts import jsonc, rules
from mem1_mcp.cli.hosts.catalogue import HOSTS, Machine
from mem1_mcp.cli.hosts.installing import Installing, Wanted
from mem1_mcp.cli.hosts.own_commands import can_be_run
from mem1_mcp.cli.hosts.server import Server
from mem1_mcp.cli.install import install
from mem1_mcp.errors import InvalidRequestError, Mem1Error
from tests.test_cli import on_one_line, run
from tests.test_host_files import is_within, said

COMMAND = command_path()
URL = "http://127.0.0.1:8765/mcp"
TOKEN = "mem1_s3cr3t-0f-mine"  # noqa: S105 - made up
MOVED = [
    *("APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME"),
    *("QWEN_HOME", "OPENCODE_CONFIG_DIR", "COPILOT_HOME", "CLINE_DIR"),
]
posix_only = pytest.mark.skipif(os.name == "nt", reason="the programs are scripts of a POSIX shell")


@dataclass(frozen=True)
class Sample:
    """A host's file as it may lie on a person's machine, and what somebody else changes in it."""

    path: str
    text: str
    other: tuple[str, str]


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


SAMPLES = {
    "claude-desktop": Sample(
        ".config/Claude/claude_desktop_config.json",
        """\
{
  "globalShortcut": "Ctrl+Space",
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/李伟/Desktop"]
    },
    "github": {
      "command": "docker",
      "args": [
        "run",
        "-i"
      ],
      "env": {
        "GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_somebodyelses"
      }
    }
  }
}""",
        ("Ctrl+Space", "Alt+Space"),
    ),
    "claude-code": Sample(
        ".claude.json",
        """\
{
  "numStartups": 184,
  "installMethod": "native",
  "tipsHistory": {
    "new-user-warmup": 5
  },
  "projects": {
    "/home/li/work/tea shop": {
      "allowedTools": [],
      "mcpServers": {
        "mem1": {"type": "stdio", "command": "of-this-project"}
      },
      "history": [{"display": "say \\"hi\\" // twice"}]
    }
  },
  "oauthAccount": {
    "emailAddress": "li@example.com"
  },
  "mcpServers": {
    "linear": {
      "type": "http",
      "url": "https://mcp.linear.app/mcp"
    }
  },
  "userID": "9f86d081884c7d65"
}
""",
        ("184", "185"),
    ),
    "cursor": Sample(
        ".cursor/mcp.json",
        """\
{ "mcpServers": {
    "figma": { "url": "http://127.0.0.1:3845/sse" },
    "postgres": { "command": "uvx", "args": ["postgres-mcp"], "env": {"PGPASSWORD": "hunter2"} } }
}
""",
        ("3845", "3846"),
    ),
    "vscode": Sample(
        ".config/Code/User/mcp.json",
        """\
{
\t// Asked for once, then kept by VS Code.
\t"inputs": [
\t\t{ "type": "promptString", "id": "gh", "description": "GitHub token", "password": true },
\t],
\t"servers": {
\t\t"github": {
\t\t\t"type": "http",
\t\t\t"url": "https://api.githubcopilot.com/mcp/", // theirs
\t\t\t"headers": { "Authorization": "Bearer ${input:gh}" },
\t\t}, // } the last one
\t},
}
""",
        ("// theirs", "// changed"),
    ),
    "windsurf": Sample(
        ".codeium/windsurf/mcp_config.json",
        crlf("""\
{
    "mcpServers": {
        "deepwiki": {
            "serverUrl": "https://mcp.deepwiki.com/mcp",
            "disabled": false
        }
    }
}
"""),
        ("false", "true"),
    ),
    "codex": Sample(
        ".codex/config.toml",
        """\
# my settings
model = "gpt-5.2-codex"
model_reasoning_effort = "high"

[projects."/home/li/tea shop"]
trust_level = "trusted"

[mcp_servers.context7] # documents
command = "npx"
args = ["-y", "@upstash/context7-mcp"]

[mcp_servers.context7.env]
CONTEXT7_API_KEY = "ctx7-somebodyelses"

[tui]
notifications = true # [mcp_servers.mem1]
""",
        ('"high"', '"low"'),
    ),
    "gemini-cli": Sample(
        ".gemini/settings.json",
        """\
{
  // light at home
  "ui": { "theme": "GitHub" },
  "security": { "auth": { "selectedType": "oauth-personal" } },
  "hooks": {
    "BeforeAgent": [
      { "matcher": "*", "hooks": [{ "name": "audit", "type": "command", "command": "a.sh", "timeout": 9 }] }
    ]
  },
  "mcpServers": {
    "sentry": { "httpUrl": "https://mcp.sentry.dev/mcp" }
  }
}
""",
        ("GitHub", "Ayu"),
    ),
    "qwen-code": Sample(
        ".qwen/settings.json",
        """\
{
  "$version": 4,
  "model": {
    "name": "qwen3-coder-plus"
  },
  "mcpServers": {
    "amap": {
      "command": "npx",
      "args": [
        "-y",
        "@amap/amap-maps-mcp-server"
      ],
      "env": {
        "AMAP_MAPS_API_KEY": "高德"
      }
    }
  },
  "hooks": {
    "Stop": [
      {
        "hooks": [
          {
            "type": "command",
            "command": "notify-send 'done, mem1-mcp hook'"
          }
        ]
      }
    ]
  }
}
""",
        ("coder-plus", "max"),
    ),
    "zed": Sample(
        ".config/zed/settings.json",
        """\
// Zed settings
//
// For information on how to configure Zed, see https://zed.dev/docs/configuring-zed
{
  "ui_font_size": 16,
  "theme": {
    "mode": "system",
    "light": "One Light", // by day
    "dark": "One Dark",
  },
  /* servers,
     mine */
  "context_servers": {
    "browser": {
      "source": "custom",
      "command": "npx",
      "args": ["@playwright/mcp@latest"],
    },
  },
}
""",
        ("by day", "in the morning"),
    ),
    "opencode": Sample(
        ".config/opencode/opencode.jsonc",
        """\
{
  "$schema": "https://opencode.ai/config.json",
  "mcp": {
    "jira": {"type": "remote", "url": "https://jira.example.com/mcp", "enabled": false} // when needed
  }
}
""",
        ("when needed", "never"),
    ),
    "copilot-cli": Sample(
        ".copilot/mcp-config.json",
        """\
{
  "mcpServers": {
    "playwright": {
      "type": "local",
      "command": "npx",
      "tools": [
        "*"
      ],
      "args": [
        "@playwright/mcp@latest"
      ]
    }
  }
}
""",
        ("latest", "1.0.0"),
    ),
    "cline": Sample(
        ".cline/data/settings/cline_mcp_settings.json",
        """\
{
  "mcpServers": {
    "weather": {
      "autoApprove": ["get_forecast"],
      "disabled": true,
      "timeout": 60,
      "type": "stdio",
      "command": "node",
      "args": ["/home/li/Documents/Cline/MCP/weather/build/index.js"]
    }
  }
}
""",
        ("60", "90"),
    ),
    "kiro": Sample(
        ".kiro/settings/mcp.json",
        """\
{
  "mcpServers": {
    "aws-docs": {
      "command": "uvx",
      "args": ["awslabs.aws-documentation-mcp-server@latest"],
      "env": { "FASTMCP_LOG_LEVEL": "ERROR" },
      "disabled": false,
      "autoApprove": []
    }
  },
  "powers": { "mcpServers": {} }
}
""",
        ("ERROR", "INFO"),
    ),
    "lm-studio": Sample(
        ".lmstudio/mcp.json",
        '{"mcpServers":{"hf-mcp-server":{"url":"https://huggingface.co/mcp","headers":{"Authorization":'
        '"Bearer hf_somebodyelses"}}}}',
        ("huggingface.co", "hf.co"),
    ),
    "trae": Sample(
        ".config/Trae/User/mcp.json",
        """\ufeff{
  "mcpServers": {


    "fetch": {
      "command": "uvx", "args": ["mcp-server-fetch"]
    }

  }
}

""",
        ("mcp-server-fetch", "mcp-fetch"),
    ),
}
ENV = {"MEM1_TIMEZONE": "Asia/Shanghai", "MEM1_TOPIC_ID": "工作"}
AT: dict[str, str] = {
    "vscode": "servers",
    "codex": "mcp_servers",
    "zed": "context_servers",
    "opencode": "mcp",
}
every_host = pytest.mark.parametrize("host", HOSTS)
with_commands = [name for name, host in HOSTS.items() if host.own]
with_hooks = pytest.mark.parametrize("host", [name for name, host in HOSTS.items() if host.hooks])
with_rules = pytest.mark.parametrize("host", [name for name, host in HOSTS.items() if host.rules])


# All commands take three times as long to put together; one test calls the whole program.
_ALONE = typer.Typer()
_ALONE.command()(install)


@dataclass
class Home:
    """A person's home folder, and a terminal in which the program is typed."""

    folder: Path
    programs: Path
    environ: dict[str, str] = field(default_factory=dict)

    def file(self, host: str) -> Path:
        return self.folder / SAMPLES[host].path

    def has(self, path: Path | str, text: str) -> Path:
        """Put a file there."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        return file

    def has_sample(self, host: str) -> Path:
        return self.has(SAMPLES[host].path, SAMPLES[host].text)

    def tree(self) -> dict[str, bytes | None]:
        """All that is there, with what it says."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
            for path in self.folder.rglob("*")
        }

    def install(self, *arguments: str) -> str:
        """Run a command that must succeed; return all it wrote."""
        done = self._run(arguments)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail; return why, as a person reads it."""
        done = self._run(arguments)
        assert done.exit_code == 1
        assert isinstance(done.exception, Mem1Error), done.exception
        return str(done.exception)

    def _run(self, arguments: tuple[str, ...]) -> Result:
        environ = {"HOME": str(self.folder), "USERPROFILE": str(self.folder), "PATH": str(self.programs)}
        return CliRunner().invoke(_ALONE, arguments, env=environ | self.environ)

    def program(self, name: str, **deeds: Any) -> Path:
        """Put a host's own program on the path; ``add`` and ``remove`` say what it does then."""
        file = self.programs / name
        (self.programs / f"{name}.deeds").write_text(json.dumps(deeds), encoding="utf-8")
        file.write_text(f"#!{sys.executable} -IS\n{_PROGRAM}", encoding="utf-8")
        file.chmod(0o755)
        return file

    def calls(self, name: str) -> list[list[str]]:
        """What the host's program was called with."""
        log = self.programs / f"{name}.log"
        return (
            [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
            if log.exists()
            else []
        )


_PROGRAM = """\
import json, sys
from pathlib import Path
words = sys.argv[1:]
with open(sys.argv[0] + ".log", "a", encoding="utf-8") as log:
    log.write(json.dumps(words) + chr(10))
deeds = json.loads(Path(sys.argv[0] + ".deeds").read_text(encoding="utf-8"))
deed = deeds.get("remove" if "remove" in words else "add", {})
if "file" in deed:
    Path(deed["file"]).parent.mkdir(parents=True, exist_ok=True)
    Path(deed["file"]).write_bytes(deed["text"].encode())
sys.stderr.write(deed.get("says", ""))
sys.exit(deed.get("ends", 0))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in MOVED:
        monkeypatch.delenv(name, raising=False)
    for name in ("home", "programs"):
        (tmp_path / name).mkdir()
    return Home(tmp_path / "home", tmp_path / "programs")


def read(host: str, file: Path) -> Any:
    text = file.read_bytes().decode()
    return tomllib.loads(text) if host == "codex" else said(text)


def servers(host: str, file: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(host, file)[AT.get(host, "mcpServers")]
    return found


def settings(env: Mapping[str, str]) -> list[str]:
    return [word for pair in env.items() for word in ("--env", "=".join(pair))]


def entry(host: str, env: Mapping[str, str]) -> dict[str, Any]:
    """The server as this host's documents have it."""
    plain = {"command": COMMAND} | ({"env": dict(env)} if env else {})
    if host == "opencode":
        return {"type": "local", "command": [COMMAND], "environment": dict(env), "enabled": True}
    if host == "copilot-cli":
        return {"type": "local", "tools": ["*"]} | plain
    return {"type": "stdio"} | plain if host in {"claude-code", "vscode"} else plain


def test_there_is_a_sample_of_every_host() -> None:
    assert SAMPLES.keys() == HOSTS.keys()


# --- files


@every_host
def test_the_server_is_added_and_every_other_byte_stays(home: Home, host: str) -> None:
    file = home.has_sample(host)
    before = read(host, file)

    told = home.install(host, "--by-file", *settings(ENV))

    before[AT.get(host, "mcpServers")]["mem1"] = entry(host, ENV)
    assert read(host, file) == before
    assert is_within(SAMPLES[host].text, file.read_bytes().decode())
    assert f"{HOSTS[host].title} has mem1 now." in told
    assert f"The file as it was: {file}.before-mem1" in told
    assert f"+++ {file}" in told


@every_host
def test_another_setting_changes_the_entry_alone(home: Home, host: str) -> None:
    file = home.has_sample(host)
    home.install(host, *settings(ENV))
    before = servers(host, file)

    told = home.install(host, "--env", "MEM1_TIMEZONE=Europe/Berlin")

    changed = ENV | {"MEM1_TIMEZONE": "Europe/Berlin"}
    assert servers(host, file) == before | {"mem1": entry(host, changed)}
    assert is_within(SAMPLES[host].text, file.read_bytes().decode())
    assert "has mem1 now" in told
    assert "The file as it was" not in told


@every_host
def test_an_empty_setting_takes_it_out(home: Home, host: str) -> None:
    file = home.has_sample(host)
    home.install(host, *settings(ENV))

    home.install(host, "--env", "MEM1_TIMEZONE=")

    assert servers(host, file)["mem1"] == entry(host, {"MEM1_TOPIC_ID": ENV["MEM1_TOPIC_ID"]})


@every_host
def test_what_a_person_added_to_the_entry_stays(home: Home, host: str) -> None:
    file = home.has_sample(host)
    home.install(host, "--by-file")
    text = file.read_bytes().decode()
    if host == "codex":
        added = text.replace("[mcp_servers.mem1]\n", "[mcp_servers.mem1]\ntool_timeout_sec = 90\n")
    else:
        added = jsonc.put(text, (AT.get(host, "mcpServers"), "mem1", "autoApprove"), ["recall"])
    file.write_text(added, encoding="utf-8", newline="")

    home.install(host, "--by-file", *settings(ENV))

    extra = {"tool_timeout_sec": 90} if host == "codex" else {"autoApprove": ["recall"]}
    assert servers(host, file)["mem1"] == entry(host, ENV) | extra


@pytest.mark.parametrize("again", ["--env=MEM1_USER_ID=mei", "--undo"])
def test_a_persons_own_hook_beside_ours_stays(home: Home, again: str) -> None:
    file = home.folder / ".claude" / "settings.json"
    home.install("claude-code", "--by-file", "--with-hooks")
    text = jsonc.append(
        file.read_text(encoding="utf-8"),
        ("hooks", "Stop", 0, "hooks"),
        {"type": "command", "command": "notify-send done"},
    )
    file.write_text(text, encoding="utf-8")

    home.install("claude-code", "--by-file", again)

    commands = [
        each["command"]
        for each in json.loads(file.read_text(encoding="utf-8"))["hooks"]["Stop"][0]["hooks"]
    ]
    assert "notify-send done" in commands
    assert len(commands) == (1 if again == "--undo" else 2)


def test_hooks_are_of_one_server_of_a_host(home: Home) -> None:
    home.install("claude-code", "--by-file", "--with-hooks", "--env", "MEM1_USER_ID=a")
    hooks = (home.folder / ".claude" / "settings.json").read_bytes()

    home.install("claude-code", "--by-file", "--name", "other", "--env", "MEM1_USER_ID=b")
    why = home.refused("claude-code", "--by-file", "--name", "other", "--with-hooks")
    assert "keep what is said for mem1" in why
    home.install("claude-code", "--by-file", "--name", "other", "--undo")

    assert (home.folder / ".claude" / "settings.json").read_bytes() == hooks


def test_a_server_elsewhere_is_refused_while_hooks_keep_here(home: Home) -> None:
    home.install("claude-code", "--by-file", "--with-hooks")
    before = home.tree()

    assert "Take the hooks out first" in home.refused("claude-code", "--by-file", "--url", URL)

    assert home.tree() == before


def test_hooks_that_somebody_took_out_are_not_counted_on(home: Home) -> None:
    home.install("claude-code", "--by-file", "--with-hooks")
    (home.folder / ".claude" / "settings.json").write_text("{}", encoding="utf-8")

    home.install("claude-code", "--by-file")

    assert servers("claude-code", home.file("claude-code"))["mem1"] == entry("claude-code", {})


def test_a_hook_is_given_no_variable_of_another_program(home: Home) -> None:
    text = jsonc.put(
        "{}", ("mcpServers", "mem1"), {"command": "x", "env": {"OPENAI_API_KEY": "sk-1", **TWO}}
    )
    home.has(SAMPLES["claude-code"].path, text)

    home.install("claude-code", "--by-file", "--with-hooks")

    hooks = (home.folder / ".claude" / "settings.json").read_text(encoding="utf-8")
    assert "OPENAI" not in hooks
    assert "MEM1_USER_ID" in hooks


@posix_only
def test_a_hosts_command_is_not_run_where_it_would_drop_what_a_person_added(home: Home) -> None:
    text = jsonc.put("{}", ("mcpServers", "mem1"), {"command": "x", "disabled": True})
    file = home.has(SAMPLES["claude-code"].path, text)
    home.program("claude")

    home.install("claude-code", *settings(TWO))

    assert home.calls("claude") == []
    assert servers("claude-code", file)["mem1"] == entry("claude-code", TWO) | {"disabled": True}


@posix_only
def test_new_rules_can_be_read_by_others_and_new_settings_can_not(home: Home) -> None:
    home.install("claude-code", "--by-file", "--with-rules", "--with-hooks")

    modes = {
        name: (home.folder / ".claude" / name).stat().st_mode & 0o777
        for name in ("CLAUDE.md", "settings.json")
    }
    assert modes == {"CLAUDE.md": 0o644, "settings.json": 0o600}


def test_the_hint_to_undo_undoes_what_was_done(home: Home) -> None:
    rules_file = home.folder / "AGENTS.md"
    told = home.install("claude-code", "--by-file", "--name", "work", "--rules-file", str(rules_file))
    hint = told.rpartition("mem1-mcp install ")[2].split()

    home.install(*hint, "--by-file")

    assert not rules_file.exists()
    assert not home.file("claude-code").exists()


def test_what_stands_beside_the_entry_is_shown_without_its_values(home: Home) -> None:
    secret = {
        "command": "npx",
        "args": ["--api-key", "hunter22"],
        "env": {"PAT": "ghp_1", "DB": "postgres://u:pw@h"},
    }
    home.has(SAMPLES["cursor"].path, json.dumps({"mcpServers": {"other": secret}}, indent=2))
    long = json.dumps({"mcpServers": {f"other{number}": secret for number in range(9)}})
    home.has(SAMPLES["kiro"].path, long)

    told = home.install("cursor") + home.install("kiro")

    for each in ("hunter22", "ghp_1", "u:pw"):
        assert each not in told


def test_hooks_and_rules_follow_the_settings_of_the_server(home: Home) -> None:
    home.install("claude-code", "--by-file", "--with-hooks", "--with-rules")

    home.install("claude-code", "--by-file", "--env", "MEM1_USER_ID=mei")

    hooks = (home.folder / ".claude" / "settings.json").read_text(encoding="utf-8")
    assert "MEM1_USER_ID=mei" in hooks
    assert servers("claude-code", home.file("claude-code"))["mem1"]["env"] == {
        "MEM1_HOOKS": "claude-code",
        "MEM1_USER_ID": "mei",
    }
    rules = (home.folder / ".claude" / "CLAUDE.md").read_text(encoding="utf-8")
    assert "The conversation is kept by itself" in rules


@every_host
def test_the_same_again_writes_nothing(home: Home, host: str) -> None:
    file = home.has_sample(host)
    home.install(host, *settings(ENV))
    before, state = home.tree(), file.stat()

    told = home.install(host, *settings(ENV))

    assert "has it already; nothing was changed" in told
    assert home.tree() == before
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (state.st_ino, state.st_mtime_ns)


@every_host
@pytest.mark.parametrize("times", [1, 2])
def test_undo_gives_the_file_back_byte_for_byte(home: Home, host: str, times: int) -> None:
    home.has_sample(host)
    before = home.tree()
    for env in (ENV, {"MEM1_TIMEZONE": "Europe/Berlin"})[:times]:
        home.install(host, *settings(env))

    told = home.install(host, "--undo")

    assert home.tree() == before
    assert "has mem1 no more. The memory is untouched" in told


@every_host
@pytest.mark.parametrize("times", [1, 2])
def test_undo_keeps_what_somebody_changed_meanwhile(home: Home, host: str, times: int) -> None:
    file = home.has_sample(host)
    for env in (ENV, {"MEM1_TIMEZONE": "Europe/Berlin"})[:times]:
        home.install(host, *settings(env))
    old, new = SAMPLES[host].other
    home.has(SAMPLES[host].path, file.read_bytes().decode().replace(old, new))

    home.install(host, "--undo")

    assert file.read_bytes().decode() == SAMPLES[host].text.replace(old, new)


@every_host
def test_a_second_undo_finds_nothing(home: Home, host: str) -> None:
    home.has_sample(host)
    home.install(host)
    home.install(host, "--undo")
    before = home.tree()

    told = home.install(host, "--undo")

    assert f"{HOSTS[host].title} has nothing of mem1; nothing was changed." in told
    assert home.tree() == before


@every_host
def test_dry_run_shows_it_and_writes_nothing_anywhere(home: Home, host: str) -> None:
    home.has_sample(host)
    before = home.tree()
    more = ["--with-hooks"] * bool(HOSTS[host].hooks) + ["--with-rules"] * bool(HOSTS[host].rules)

    told = home.install(host, *more, *settings(ENV), "--dry-run")

    assert home.tree() == before
    assert "mem1" in told
    assert "Asia/Shanghai" in told
    assert told.endswith("Nothing was changed.\n")


@every_host
def test_dry_run_of_an_undo_writes_nothing(home: Home, host: str) -> None:
    home.has_sample(host)
    home.install(host)
    before = home.tree()

    assert "Nothing was changed." in home.install(host, "--undo", "--dry-run")
    assert home.tree() == before


@every_host
def test_a_file_that_is_not_there_is_made_and_removed_again(home: Home, host: str) -> None:
    told = home.install(host, *settings(ENV))

    # opencode is the one that reads either of two names
    made = next(path for path in home.folder.rglob("*") if path.is_file())
    assert made.with_suffix("") == home.file(host).with_suffix("")
    assert servers(host, made) == {"mem1": entry(host, ENV)}
    assert "The file as it was" not in told

    home.install(host, "--undo")

    assert [path for path in home.folder.rglob("*") if path.is_file()] == []


@every_host
@pytest.mark.parametrize("undo", [[], ["--undo"]], ids=["install", "undo"])
def test_a_broken_file_is_named_with_its_line_and_left(home: Home, host: str, undo: list[str]) -> None:
    sample = SAMPLES[host].text
    file = home.has(SAMPLES[host].path, sample.rstrip() + "\n}" if host != "codex" else sample + "a = \n")
    before, line = home.tree(), len(file.read_text(encoding="utf-8").splitlines())

    told = home.refused(host, *undo)

    assert str(file) in told
    assert f"line {line}" in told
    assert "Nothing was changed. Mend the file" in told
    assert home.tree() == before


@every_host
def test_the_entry_to_paste_is_the_one_that_would_be_written(home: Home, host: str) -> None:
    printed = home.install(host, "--print", *settings(ENV))

    whole = tomllib.loads(printed) if host == "codex" else json.loads(printed)
    assert whole == {AT.get(host, "mcpServers"): {"mem1": entry(host, ENV)}}
    assert home.tree() == {}


@every_host
def test_a_name_of_ones_own_leaves_mem1_alone(home: Home, host: str) -> None:
    file = home.has_sample(host)
    home.install(host, "--by-file")
    home.install(host, "--by-file", "--name", "work-memory")
    assert servers(host, file)["work-memory"] == servers(host, file)["mem1"] == entry(host, {})

    home.install(host, "--by-file", "--name", "work-memory", "--undo")

    assert "work-memory" not in servers(host, file)
    assert servers(host, file)["mem1"] == entry(host, {})


def test_an_entry_that_stands_twice_is_taken_out_wholly(home: Home) -> None:
    file = home.has(
        SAMPLES["cursor"].path, '{"mcpServers": {"mem1": {"command": "a"}, "mem1": {"command": "b"}}}'
    )

    home.install("cursor", "--undo")

    assert servers("cursor", file) == {}


def test_a_later_file_of_another_name_is_followed(home: Home) -> None:
    moved = home.folder / "moved"
    home.environ = {"CLAUDE_CONFIG_DIR": str(moved)}

    home.install("claude-code", "--with-hooks", "--with-rules")

    assert sorted(path.name for path in moved.iterdir()) == [".claude.json", "CLAUDE.md", "settings.json"]
    assert {path.parent for path in home.folder.rglob("*") if path.is_file()} == {moved}


@pytest.mark.parametrize(
    ("host", "variable", "path"),
    [
        ("codex", "CODEX_HOME", "config.toml"),
        ("gemini-cli", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("qwen-code", "QWEN_HOME", "settings.json"),
        ("copilot-cli", "COPILOT_HOME", "mcp-config.json"),
        ("opencode", "OPENCODE_CONFIG_DIR", "opencode.json"),
        ("cline", "CLINE_DIR", "data/settings/cline_mcp_settings.json"),
        ("vscode", "XDG_CONFIG_HOME", "Code/User/mcp.json"),
        ("zed", "XDG_CONFIG_HOME", "zed/settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "opencode/opencode.json"),
    ],
)
def test_a_variable_moves_a_file(home: Home, host: str, variable: str, path: str) -> None:
    home.environ = {
        variable: str(home.folder / "moved"),
        "OPENCODE_CONFIG_DIR": "",
        "CLAUDE_CONFIG_DIR": "",
    } | {variable: str(home.folder / "moved")}

    home.install(host)

    assert servers(host, home.folder / "moved" / path) == {"mem1": entry(host, {})}


def test_an_empty_variable_moves_nothing(home: Home) -> None:
    home.environ = dict.fromkeys(MOVED, "")

    home.install("claude-code")
    home.install("opencode")

    assert sorted(str(path.relative_to(home.folder)) for path in home.folder.rglob("*.json")) == [
        ".claude.json",
        ".config/opencode/opencode.json",
    ]


def test_both_of_clines_files_are_written_where_both_are_there(home: Home) -> None:
    sample = SAMPLES["cline"]
    extension = ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"
    files = [home.has(path, sample.text) for path in (sample.path, extension)]

    home.install("cline")
    assert [servers("cline", file)["mem1"] for file in files] == [entry("cline", {})] * 2
    home.install("cline", "--undo")

    assert [file.read_text(encoding="utf-8") for file in files] == [sample.text] * 2


# --- a server that runs already

BEARER = {"Authorization": f"Bearer {TOKEN}"}
REMOTE: dict[str, dict[str, Any]] = {
    "claude-code": {"type": "http", "url": URL, "headers": BEARER},
    "cursor": {"url": URL, "headers": BEARER},
    "vscode": {"type": "http", "url": URL, "headers": BEARER},
    "windsurf": {"serverUrl": URL, "headers": BEARER},
    "codex": {"url": URL, "http_headers": BEARER},
    "gemini-cli": {"type": "http", "url": URL, "headers": BEARER},
    "qwen-code": {"httpUrl": URL, "headers": BEARER},
    "zed": {"url": URL, "headers": BEARER},
    "opencode": {"type": "remote", "url": URL, "headers": BEARER},
    "copilot-cli": {"type": "http", "url": URL, "headers": BEARER, "tools": ["*"]},
    "cline": {"type": "streamableHttp", "url": URL, "headers": BEARER},
    "kiro": {"url": URL, "headers": BEARER},
    "lm-studio": {"url": URL, "headers": BEARER},
    "trae": {"url": URL, "headers": BEARER},
}


@pytest.mark.parametrize("host", REMOTE)
def test_an_address_is_written_as_the_host_has_it_and_its_token_not_shown(home: Home, host: str) -> None:
    file = home.has_sample(host)

    told = home.install(host, "--url", URL, "--token", TOKEN)

    assert servers(host, file)["mem1"] == REMOTE[host]
    assert TOKEN not in told
    assert URL in told


@pytest.mark.parametrize("host", REMOTE)
def test_without_a_token_nothing_is_said_of_one(home: Home, host: str) -> None:
    file = home.has_sample(host)

    home.install(host, "--url", URL)

    without = {name: each for name, each in REMOTE[host].items() if "headers" not in name}
    written = servers(host, file)["mem1"]
    assert {name: each for name, each in written.items() if each != {}} == without


def test_claude_desktop_takes_no_address_and_says_where_it_goes(home: Home) -> None:
    home.has_sample("claude-desktop")
    before = home.tree()

    told = home.refused("claude-desktop", "--url", URL)

    assert "takes no address in its file. Leave --url out" in told
    assert "Connectors" in told
    assert home.tree() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--token", TOKEN], "--token goes with --url"),
        (["--url", URL, "--env", "MEM1_USER_ID=li"], "Leave out --env and --with-hooks, or --url"),
        (["--url", URL, "--with-hooks"], "Leave out --env and --with-hooks, or --url"),
        (["--env", "MEM1_USER_ID"], "write NAME=VALUE"),
        (
            ["--env", "MEM1_USERID=li"],
            "MEM1_USERID is not a setting of this version; did you mean MEM1_USER_ID?",
        ),
        (["--env", "HTTPS_PROXY=x"], "HTTPS_PROXY"),
        (["--env", "MEM1_TIMEZONE=Mars/Olympus"], "MEM1_TIMEZONE"),
        (["--env", "MEM1_MEMORY_DIR=relative"], "absolute path"),
        (["--env", "MEM1_LLM_MODEL=x"], "MEM1_LLM_BASE_URL"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_anything_is_done(
    home: Home, arguments: list[str], words: str
) -> None:
    home.has_sample("claude-code")
    before = home.tree()

    told = home.refused("claude-code", *arguments)

    assert words in told
    assert TOKEN not in told
    assert home.tree() == before


def test_a_host_that_is_not_known_is_refused_with_those_that_are(home: Home) -> None:
    told = home.refused("emacs")

    assert "mem1-mcp knows no host emacs" in told
    assert all(host in told for host in HOSTS)
    assert "mem1-mcp config" in told


def test_a_name_may_be_written_in_capitals(home: Home) -> None:
    assert "Cursor has mem1 now" in home.install("Cursor")


def test_without_a_name_the_hosts_are_listed_and_nothing_is_written(home: Home) -> None:
    home.has_sample("cursor")
    home.has_sample("codex")
    home.install("cursor", "--with-hooks")
    home.install("zed", "--with-rules")
    before = home.tree()
    home.environ = {"COLUMNS": "200"}

    told = on_one_line(home.install())

    assert home.tree() == before
    assert all(host in told for host in HOSTS)
    assert "cursor yes yes yes – ~/.cursor/mcp.json" in told
    assert "codex yes can can ~/.codex/config.toml" in told
    assert "zed yes yes – yes ~/.config/zed/settings.json" in told
    assert "claude-code can can ~/.claude.json" in told  # a home folder alone is no Claude Code


def test_a_broken_file_does_not_spoil_the_list(home: Home) -> None:
    home.has(SAMPLES["cursor"].path, "{")
    home.has(SAMPLES["codex"].path, "= 1")
    home.has(SAMPLES["zed"].path, '{"\\x": 1}')

    assert "cursor" in home.install()


async def test_a_process_of_its_own_does_the_same(home: Home) -> None:
    file = home.has_sample("cursor")
    environ = {"HOME": str(home.folder), "USERPROFILE": str(home.folder), "PATH": str(home.programs)}

    code, told, _ = await run(home.folder, "install", "cursor", **environ)
    refused, nothing, errors = await run(home.folder, "install", "emacs", **environ)

    assert (code, refused, nothing) == (0, 1, "")
    assert "Cursor has mem1 now" in told
    assert servers("cursor", file)["mem1"] == entry("cursor", {})
    assert errors.startswith("mem1-mcp: mem1-mcp knows no host emacs")


# --- secrets

SECRET = {
    "MEM1_LLM_MODEL": "qwen-plus",
    "MEM1_LLM_BASE_URL": "https://llm.example.com/v1",
    "MEM1_LLM_API_KEY": 'sk-live, vvv "www" xxx',
}
OLD = {**SECRET, "MEM1_LLM_API_KEY": "sk-old, yyy'zzz"}
PARTS = [
    *("sk-live", "vvv", "www", "xxx", "sk-old", "yyy", "zzz"),
    *("ghp_some", "ctx7-some", "hf_some", "hunter2", "高德"),
]


@every_host
def test_no_key_is_shown_neither_new_nor_old_nor_of_others(home: Home, host: str) -> None:
    file = home.has_sample(host)

    told = [
        home.install(host, *settings(SECRET), "--dry-run"),
        home.install(host, *settings(OLD)),
        home.install(host, *settings(SECRET)),
        home.install(host, "--undo", "--dry-run"),
        home.install(host),
        home.install(host, "--undo"),
    ]

    assert file.read_bytes().decode() == SAMPLES[host].text
    assert "MEM1_LLM_API_KEY" in told[0]
    assert [part for part in PARTS if part in "".join(told)] == []


@posix_only
@pytest.mark.parametrize("host", with_commands)
def test_no_key_is_shown_in_a_host_s_own_command_and_its_failure(home: Home, host: str) -> None:
    own = HOSTS[host].own
    assert own is not None
    told = ""
    for secret, arguments in (
        (SECRET["MEM1_LLM_API_KEY"], settings(SECRET)),
        (TOKEN, ["--url", URL, "--token", TOKEN]),
    ):
        # What is told is the end of its words: a secret must not begin before that.
        home.program(own.program, add={"ends": 1, "says": f"no: {secret} {'x' * 480}"})
        told += home.install(host, *arguments)

    assert "xxxx" in told
    assert [part for part in [*PARTS, TOKEN[4:]] if part in told.replace("x" * 480, "")] == []


# --- hosts' own commands

PROGRAMS = {"claude-code": "claude", "codex": "codex", "gemini-cli": "gemini", "qwen-code": "qwen"} | {
    "copilot-cli": "copilot",
    "vscode": "code",
}
TWO = {"MEM1_TOPIC_ID": "tea shop", "MEM1_USER_ID": "li"}
PAIRS = ["MEM1_TOPIC_ID=tea shop", "MEM1_USER_ID=li"]
GEMINI_ADD = ["mcp", "add", "--scope", "user", "-e", PAIRS[0], "-e", PAIRS[1], "mem1", COMMAND]
ADDS = {
    "claude-code": ["mcp", "add", "--scope", "user", "mem1", "-e", PAIRS[0], "-e", PAIRS[1], "--", COMMAND],
    "codex": ["mcp", "add", "mem1", "--env", PAIRS[0], "--env", PAIRS[1], "--", COMMAND],
    "gemini-cli": GEMINI_ADD,
    "qwen-code": GEMINI_ADD,
    "copilot-cli": ["mcp", "add", "mem1", "--env", PAIRS[0], "--env", PAIRS[1], "--", COMMAND],
}
HEADER = f"Authorization: Bearer {TOKEN}"
GEMINI_URL = ["mcp", "add", "--scope", "user", "--transport", "http", "-H", HEADER, "mem1", URL]
URLS = {
    "claude-code": [
        *("mcp", "add", "--scope", "user", "--transport", "http", "mem1", URL, "--header", HEADER),
    ],
    "gemini-cli": GEMINI_URL,
    "qwen-code": GEMINI_URL,
    "copilot-cli": ["mcp", "add", "--transport", "http", "--header", HEADER, "mem1", URL],
}
REMOVES = {
    "claude-code": ["mcp", "remove", "--scope", "user", "mem1"],
    "codex": ["mcp", "remove", "mem1"],
    "gemini-cli": ["mcp", "remove", "--scope", "user", "mem1"],
    "qwen-code": ["mcp", "remove", "--scope", "user", "mem1"],
    "copilot-cli": ["mcp", "remove", "mem1"],
}


def as_it_writes(host: str, env: Mapping[str, str]) -> str:
    """The sample with the server, as the host's own command leaves it."""
    sample = SAMPLES[host].text
    if host == "codex":
        lines = [
            f'\n[mcp_servers.mem1]\ncommand = "{COMMAND}"\n',
            "\n[mcp_servers.mem1.env]\n" if env else "",
        ]
        return sample + "".join(lines) + "".join(f'{name} = "{each}"\n' for name, each in env.items())
    whole = said(sample)
    extra: dict[str, Any] = {"args": [], "env": {}} if host != "vscode" else {}
    whole[AT.get(host, "mcpServers")]["mem1"] = extra | entry(host, env)
    return json.dumps(whole, indent=2, ensure_ascii=False)


def will_write(home: Home, host: str, env: Mapping[str, str]) -> None:
    """Put the host's own program there, which does what it is asked for."""
    add = {"file": str(home.file(host)), "text": as_it_writes(host, env)}
    home.program(PROGRAMS[host], add=add, remove=add | {"text": SAMPLES[host].text})


@posix_only
@pytest.mark.parametrize("host", ADDS)
def test_a_host_s_own_command_adds_the_server_and_the_file_as_it_was_is_kept(home: Home, host: str) -> None:
    home.has_sample(host)
    will_write(home, host, TWO)

    told = home.install(host, *settings(TWO))

    assert home.calls(PROGRAMS[host]) == [ADDS[host]]
    assert home.file(host).read_bytes().decode() == as_it_writes(host, TWO)
    [copy] = home.folder.rglob("*.before-mem1")
    assert copy.read_bytes().decode() == SAMPLES[host].text
    assert "That failed" not in told
    assert "mcp add" in told


@posix_only
@pytest.mark.parametrize("host", ["claude-code", "copilot-cli"])
def test_a_file_that_a_host_lays_out_anew_is_given_back_byte_for_byte(home: Home, host: str) -> None:
    was = json.dumps(jsonc.read(SAMPLES[host].text), ensure_ascii=False, indent=7)
    file = home.has(SAMPLES[host].path, was)
    will_write(home, host, TWO)
    home.install(host, *settings(TWO))

    home.install(host, "--undo")

    assert file.read_bytes().decode() == was
    assert list(home.folder.rglob("*.before-mem1")) == []


@posix_only
@pytest.mark.parametrize("host", URLS)
def test_a_host_s_own_command_adds_an_address(home: Home, host: str) -> None:
    home.program(PROGRAMS[host])

    told = home.install(host, "--url", URL, "--token", TOKEN)

    assert home.calls(PROGRAMS[host]) == [URLS[host]]
    assert TOKEN not in told


@posix_only
def test_codex_adds_an_address_by_its_command_where_there_is_no_token(home: Home) -> None:
    file = home.has_sample("codex")
    home.program("codex")

    home.install("codex", "--url", URL)
    assert home.calls("codex") == [["mcp", "add", "mem1", "--url", URL]]
    home.install("codex", "--url", URL, "--token", TOKEN)

    assert len(home.calls("codex")) == 1  # its command takes no token, only the name of a variable
    assert servers("codex", file)["mem1"] == REMOTE["codex"]


@posix_only
@pytest.mark.parametrize("remote", [False, True])
def test_vs_code_is_told_by_one_object(home: Home, *, remote: bool) -> None:
    home.program("code")

    home.install("vscode", *(["--url", URL, "--token", TOKEN] if remote else settings(TWO)))

    ((option, given),) = home.calls("code")
    wanted = REMOTE["vscode"] if remote else entry("vscode", TWO)
    assert (option, json.loads(given)) == ("--add-mcp", {"name": "mem1"} | wanted)


@posix_only
@pytest.mark.parametrize("host", ADDS)
def test_a_host_s_own_command_changes_a_server_that_is_there(home: Home, host: str) -> None:
    home.has(SAMPLES[host].path, as_it_writes(host, {}))
    will_write(home, host, TWO)

    home.install(host, *settings(TWO))

    removed = (
        [REMOVES[host]] if host in {"claude-code", "copilot-cli", "qwen-code"} else []
    )  # they refuse it, or mix
    assert home.calls(PROGRAMS[host]) == [*removed, ADDS[host]]
    assert home.file(host).read_bytes().decode() == as_it_writes(host, TWO)


@posix_only
@pytest.mark.parametrize("host", REMOVES)
def test_a_host_s_own_command_takes_the_server_out(home: Home, host: str) -> None:
    home.has(SAMPLES[host].path, as_it_writes(host, TWO))
    will_write(home, host, TWO)

    told = home.install(host, "--undo")

    assert home.calls(PROGRAMS[host]) == [REMOVES[host]]
    assert home.file(host).read_bytes().decode() == SAMPLES[host].text
    assert "has mem1 no more" in told


@posix_only
@pytest.mark.parametrize("host", PROGRAMS)
def test_what_is_there_as_it_is_wanted_calls_no_command(home: Home, host: str) -> None:
    home.has(SAMPLES[host].path, as_it_writes(host, TWO))
    home.program(PROGRAMS[host])
    before = home.tree()

    told = home.install(host, *settings(TWO))

    assert home.calls(PROGRAMS[host]) == []
    assert "nothing was changed" in told
    assert home.tree() == before


@posix_only
@pytest.mark.parametrize("host", PROGRAMS)
@pytest.mark.parametrize("there", [False, True], ids=["new", "changed"])
def test_where_the_command_fails_its_words_are_shown_and_the_file_is_changed(
    home: Home, host: str, *, there: bool
) -> None:
    file = home.has(SAMPLES[host].path, as_it_writes(host, {}) if there else SAMPLES[host].text)
    home.program(PROGRAMS[host], add={"ends": 1, "says": "not logged in\n"})

    told = home.install(host, *settings(TWO))

    assert f"{PROGRAMS[host]} ended with 1: not logged in" in told
    assert "Its file is changed instead" in told
    assert servers(host, file)["mem1"] == entry(host, TWO)


@posix_only
@pytest.mark.parametrize("host", PROGRAMS)
@pytest.mark.parametrize("there", [False, True], ids=["new", "changed"])
def test_where_the_command_did_nothing_the_file_is_changed(home: Home, host: str, *, there: bool) -> None:
    file = home.has(SAMPLES[host].path, as_it_writes(host, {}) if there else SAMPLES[host].text)
    home.program(PROGRAMS[host])

    told = home.install(host, *settings(TWO))

    assert ("its file has it otherwise" if there else "its file has no such server") in told
    assert servers(host, file)["mem1"] == entry(host, TWO)


@posix_only
@pytest.mark.parametrize("host", REMOVES)
@pytest.mark.parametrize("ends", [0, 1])
def test_where_the_command_takes_nothing_out_the_file_is_changed(home: Home, host: str, ends: int) -> None:
    file = home.has_sample(host)
    home.install(host)
    home.program(PROGRAMS[host], remove={"ends": ends, "says": "no such thing"})

    told = home.install(host, "--undo")

    assert ("ended with 1: no such thing" in told) == bool(ends)
    assert file.read_bytes().decode() == SAMPLES[host].text


@posix_only
def test_a_program_that_can_not_be_started_is_as_one_that_fails(home: Home) -> None:
    file = home.has_sample("claude-code")
    home.program("claude").write_text("#!/nowhere/at/all\n", encoding="utf-8")

    told = home.install("claude-code")

    assert "Its file is changed instead" in told
    assert servers("claude-code", file)["mem1"] == entry("claude-code", {})


@posix_only
@pytest.mark.parametrize("host", PROGRAMS)
def test_dry_run_and_by_file_call_no_command(home: Home, host: str) -> None:
    file = home.has_sample(host)
    home.program(PROGRAMS[host])

    told = home.install(host, "--dry-run")
    assert f"$ {home.programs / PROGRAMS[host]}" in told
    assert file.read_bytes().decode() == SAMPLES[host].text
    home.install(host, "--by-file")
    home.install(host, "--by-file", "--undo")

    assert home.calls(PROGRAMS[host]) == []
    assert file.read_bytes().decode() == SAMPLES[host].text


@posix_only
def test_what_can_not_be_done_is_found_before_the_command_is_run(home: Home) -> None:
    home.has_sample("claude-code")
    home.has(".claude/settings.json", "{")
    home.program("claude")

    assert "settings.json: line 1 is no JSON" in home.refused("claude-code", "--with-hooks")
    assert home.calls("claude") == []


@posix_only
@pytest.mark.parametrize("host", ["gemini-cli", "qwen-code"])
def test_a_command_for_the_server_and_a_file_for_its_hooks_go_together(home: Home, host: str) -> None:
    home.has_sample(host)
    env = {"MEM1_HOOKS": host}
    will_write(home, host, env)

    home.install(host, "--with-hooks")
    assert servers(host, home.file(host))["mem1"]["env"] == env
    assert len(own_hooks(read(host, home.file(host)))) == len(EVENTS.get(host, CLAUDE_EVENTS))
    home.install(host, "--undo")

    assert home.calls(PROGRAMS[host])[1:] == [REMOVES[host]]
    assert home.file(host).read_bytes().decode() == SAMPLES[host].text


@posix_only
def test_the_first_state_of_a_file_stays_the_one_that_is_kept(home: Home) -> None:
    file = home.has_sample("gemini-cli")
    home.install("gemini-cli", "--by-file")
    will_write(home, "gemini-cli", {"MEM1_HOOKS": "gemini-cli"})

    home.install("gemini-cli", "--with-hooks")

    assert file.with_name("settings.json.before-mem1").read_bytes().decode() == SAMPLES["gemini-cli"].text


# --- hooks

HOOKS: dict[str, Sample] = {
    "claude-code": Sample(
        ".claude/settings.json",
        """\
{
  "permissions": { "allow": ["Bash(ls:*)"] },
  "hooks": {
    "UserPromptSubmit": [
      { "hooks": [{ "type": "command", "command": "date" }] }
    ],
    "PostToolUse": [{ "matcher": "Edit", "hooks": [{ "type": "command", "command": "ruff format" }] }]
  },
  "model": "opus"
}
""",
        ("opus", "sonnet"),
    ),
    "cursor": Sample(
        ".cursor/hooks.json",
        """\
{
  "version": 1,
  "hooks": {
    "beforeSubmitPrompt": [{ "command": "./audit.sh" }],
    "afterFileEdit": [{ "command": "./format.sh" }]
  }
}
""",
        ("./format.sh", "./other.sh"),
    ),
    "codex": Sample(
        ".codex/hooks.json",
        """\
{
  "hooks": {
    "Stop": [
      { "hooks": [{ "type": "command", "command": "echo mem1-mcp hook | tee log", "timeout": 5 }] }
    ]
  }
}
""",
        ("tee log", "tee -a log"),
    ),
    "gemini-cli": SAMPLES["gemini-cli"],
    "qwen-code": SAMPLES["qwen-code"],
}
CLAUDE_EVENTS = ["SessionEnd", "SessionStart", "Stop", "UserPromptSubmit"]
EVENTS = {
    "qwen-code": ["SessionEnd", "Stop", "UserPromptSubmit"],
    "cursor": ["afterAgentResponse", "beforeSubmitPrompt", "sessionEnd", "sessionStart"],
    "gemini-cli": ["AfterAgent", "BeforeAgent", "SessionEnd", "SessionStart"],
}


def own_hooks(whole: Any) -> dict[str, list[dict[str, Any]]]:
    """The commands of this program at each event, out of their wrapping."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event, elements in whole.get("hooks", {}).items():
        for element in elements:
            for command in element.get("hooks", [element]):
                words = [command["command"], *command.get("args", [])]
                if words[0].startswith((COMMAND, f"'{COMMAND}'")) or "mem1-mcp.exe" in words[0]:
                    found.setdefault(event, []).append(command)
    return found


@with_hooks
def test_hooks_stand_at_each_event_and_those_of_others_stay(home: Home, host: str) -> None:
    home.has_sample(host)
    file = home.has(HOOKS[host].path, HOOKS[host].text)
    before = said(HOOKS[host].text)

    home.install(host, "--with-hooks", *settings(TWO))

    after = said(file.read_bytes().decode())
    ours = own_hooks(after)
    assert sorted(ours) == EVENTS.get(host, CLAUDE_EVENTS)
    assert {len(commands) for commands in ours.values()} == {1}
    for event, elements in before["hooks"].items():
        assert after["hooks"][event][: len(elements)] == elements
    assert is_within(HOOKS[host].text, file.read_bytes().decode())
    assert servers(host, home.file(host))["mem1"] == entry(host, {**TWO, "MEM1_HOOKS": host})


@with_hooks
def test_a_hook_is_given_its_time_in_the_host_s_unit_and_the_settings_it_needs(
    home: Home, host: str
) -> None:
    home.install(host, "--with-hooks", *settings({**TWO, **SECRET}))

    file = home.folder / HOOKS[host].path
    hooks = own_hooks(said(file.read_text(encoding="utf-8")))
    (command,) = hooks[EVENTS.get(host, CLAUDE_EVENTS)[-1]]
    ((ended,),) = [each for event, each in hooks.items() if event.lower() == "sessionend"]
    line = f"{COMMAND} hook --host {host} --env 'MEM1_TOPIC_ID=tea shop' --env MEM1_USER_ID=li"
    shape: dict[str, Any] = {
        "command": line,
        "timeout": 10_000 if host in {"gemini-cli", "qwen-code"} else 10,
    }
    assert command == (shape if host == "cursor" else {"type": "command"} | shape)
    assert ended["timeout"] * 10 == command["timeout"] * 3
    if host == "cursor":
        assert said(file.read_text(encoding="utf-8"))["version"] == 1


def test_cursor_gets_the_version_of_its_hooks_where_that_is_missing(home: Home) -> None:
    file = home.has(HOOKS["cursor"].path, "{}")

    home.install("cursor", "--with-hooks")
    assert said(file.read_text(encoding="utf-8"))["version"] == 1
    home.install("cursor", "--undo")

    assert file.read_text(encoding="utf-8") == "{}"


@with_hooks
def test_hooks_that_are_set_twice_stand_there_once(home: Home, host: str) -> None:
    home.has_sample(host)
    home.has(HOOKS[host].path, HOOKS[host].text)
    home.install(host, "--with-hooks")
    before = home.tree()

    told = home.install(host, "--with-hooks")
    assert "nothing was changed" in told
    assert home.tree() == before
    home.install(host, "--with-hooks", *settings(TWO))

    ours = own_hooks(said((home.folder / HOOKS[host].path).read_bytes().decode()))
    assert [len(commands) for commands in ours.values()] == [1] * len(EVENTS.get(host, CLAUDE_EVENTS))
    assert all("tea shop" in commands[0]["command"] for commands in ours.values())


@with_hooks
@pytest.mark.parametrize("there", [True, False], ids=["", "without files"])
def test_undo_takes_out_server_hooks_and_rules_byte_for_byte(home: Home, host: str, *, there: bool) -> None:
    if there:
        home.has_sample(host)
        home.has(HOOKS[host].path, HOOKS[host].text)
    before = {path: content for path, content in home.tree().items() if content is not None}
    ruled = ["--with-rules"] * bool(HOSTS[host].rules)
    home.install(host, "--with-hooks", *ruled)
    home.install(host, "--with-hooks", *ruled, *settings(TWO))

    home.install(host, "--undo")

    assert {path: content for path, content in home.tree().items() if content is not None} == before


@with_hooks
def test_undo_of_hooks_keeps_what_somebody_changed_meanwhile(home: Home, host: str) -> None:
    file = home.has(HOOKS[host].path, HOOKS[host].text)
    home.install(host, "--with-hooks")
    old, new = HOOKS[host].other
    home.has(HOOKS[host].path, file.read_bytes().decode().replace(old, new))

    home.install(host, "--undo")

    assert said(file.read_bytes().decode()) == said(HOOKS[host].text.replace(old, new))


@pytest.mark.parametrize("host", ["gemini-cli", "qwen-code"])
def test_a_file_that_holds_server_and_hooks_is_changed_once(home: Home, host: str) -> None:
    home.has_sample(host)

    told = home.install(host, "--with-hooks")

    assert told.count("+++ ") == told.count("The file as it was") == 1


def test_codex_asks_before_it_runs_hooks(home: Home) -> None:
    assert "press t to trust them" in home.install("codex", "--with-hooks")


@every_host
def test_a_host_without_hooks_says_so_before_anything_is_done(home: Home, host: str) -> None:
    if HOSTS[host].hooks:
        return

    told = home.refused(host, "--with-hooks")

    assert "runs no command at a turn" in told
    assert "--with-rules" in told
    assert home.tree() == {}


def machine(home: Home, platform: str = "linux", **environ: str) -> Machine:
    return Machine(platform, home.folder, environ)


def put(what: Installing, *, hooks: bool = False) -> None:
    for change in what.changes(Wanted(hooks=hooks), with_server=True):
        change.make()


def take_out(what: Installing) -> None:
    for change in what.removals(None):
        change.make()


@posix_only
@with_hooks
@pytest.mark.parametrize("folder", ["a b", "it's", 'say "hi" $HOME `id`', "工作", "mem1-mcp", "a;b&c|d"])
def test_a_shell_runs_the_hook_whatever_its_folder_is_called(home: Home, host: str, folder: str) -> None:
    installed = home.programs / "apps" / folder / "bin"
    installed.mkdir(parents=True)
    shutil.copy(home.program("mem1-mcp"), installed / "mem1-mcp")
    shutil.copy(home.programs / "mem1-mcp.deeds", installed)
    server = Server("mem1", str(installed / "mem1-mcp"), {"MEM1_TOPIC_ID": 'it\'s "mine" $1'})
    what = Installing(HOSTS[host], server, machine(home))
    home.has(HOOKS[host].path, HOOKS[host].text)

    put(what, hooks=True)
    put(what, hooks=True)

    listed = said((home.folder / HOOKS[host].path).read_bytes().decode())["hooks"]
    event = EVENTS.get(host, CLAUDE_EVENTS)[0]
    elements = listed[event]
    assert len(elements) == len(said(HOOKS[host].text)["hooks"].get(event, [])) + 1
    line = elements[-1].get("hooks", elements[-1:])[0]["command"]
    subprocess.run(["sh", "-c", line], check=True)  # noqa: S603, S607 - as hosts do
    (call,) = (installed / "mem1-mcp.log").read_text(encoding="utf-8").splitlines()
    assert json.loads(call) == ["hook", "--host", host, "--env", 'MEM1_TOPIC_ID=it\'s "mine" $1']
    take_out(what)
    assert (home.folder / HOOKS[host].path).read_bytes().decode() == HOOKS[host].text


# --- rules

RULED = {
    "claude-code": ".claude/CLAUDE.md",
    "vscode": ".config/Code/User/prompts/mem1-mcp.instructions.md",
    "windsurf": ".codeium/windsurf/memories/global_rules.md",
    "codex": ".codex/AGENTS.md",
    "gemini-cli": ".gemini/GEMINI.md",
    "qwen-code": ".qwen/QWEN.md",
    "zed": ".config/zed/AGENTS.md",
    "opencode": ".config/opencode/AGENTS.md",
    "copilot-cli": ".copilot/copilot-instructions.md",
    "cline": ".cline/rules/mem1-mcp.md",
    "kiro": ".kiro/steering/mem1-mcp.md",
}


@with_rules
@pytest.mark.parametrize(
    "text",
    ["# Mine\n\n- 用中文回答\n", "# Mine", crlf("# Mine\n\n- tabs\n"), "# Mine\r\n- tabs", "\n\n", ""],
)
def test_rules_stand_below_those_of_the_person_and_go_without_a_trace(
    home: Home, host: str, text: str
) -> None:
    file = home.has(RULED[host], text)

    home.install(host, "--with-rules")
    added = file.read_bytes().decode()
    home.install(host, "--undo")

    assert added.startswith(text)
    assert rules.block("mem1", hooks=False) in added.replace("\r\n", "\n")
    assert ("\n" in added.replace("\r\n", "")) == ("\r" not in text)
    assert file.read_bytes().decode() == text


def test_rules_are_renewed_at_their_place(home: Home) -> None:
    file = home.has(RULED["claude-code"], "above\n")
    home.install("claude-code", "--with-rules")
    home.has(RULED["claude-code"], file.read_text(encoding="utf-8") + "below\n")

    home.install("claude-code", "--with-rules", "--with-hooks")

    renewed = rules.block("mem1", hooks=True)
    assert file.read_text(encoding="utf-8") == f"above\n\n{renewed}below\n"
    assert renewed != rules.block("mem1", hooks=False)
    home.install("claude-code", "--undo")
    assert file.read_text(encoding="utf-8") == "above\nbelow\n"


def test_vs_code_gets_a_file_that_applies_to_all_and_loses_it_again(home: Home) -> None:
    home.install("vscode", "--with-rules")
    file = home.folder / RULED["vscode"]
    assert file.read_text(encoding="utf-8").startswith('---\napplyTo: "**"\n---\n')

    home.install("vscode", "--undo")

    assert not file.exists()


@every_host
def test_a_host_without_a_rules_file_says_how_to_do_it(home: Home, host: str) -> None:
    if host in RULED:
        return

    told = home.refused(host, "--with-rules")

    assert f"mem1-mcp install {host} --print --with-rules" in told
    assert "--rules-file" in told
    assert home.tree() == {}
    assert rules.block("mem1", hooks=False) in home.install(host, "--print", "--with-rules")


@pytest.mark.parametrize("host", ["cursor", "claude-code"])
def test_rules_go_into_a_file_of_ones_own(home: Home, host: str) -> None:
    file = home.has("project/AGENTS.md", "# Tea shop\n")

    home.install(host, "--rules-file", str(file))
    assert "the tools of the MCP server `mem1`" in file.read_text(encoding="utf-8")
    assert not (home.folder / ".claude" / "CLAUDE.md").exists()
    home.install(host, "--undo", "--rules-file", str(file))

    assert file.read_text(encoding="utf-8") == "# Tea shop\n"


# --- other systems

WINDOWS = {"APPDATA": "AppData/Roaming", "LOCALAPPDATA": "AppData/Local"}
EXE = "C:\\Users\\李伟\\My Apps (1)\\mem1-mcp.exe"


def windows(home: Home) -> Machine:
    return machine(home, "win32", **{name: str(home.folder / path) for name, path in WINDOWS.items()})


@pytest.mark.parametrize("folders", [["classic"], ["packaged"], ["classic", "packaged"]], ids="+".join)
def test_claude_desktop_of_windows_is_found_in_either_folder(home: Home, folders: list[str]) -> None:
    paths = {
        "classic": "AppData/Roaming/Claude",
        "packaged": "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude",
    }
    sample = crlf(SAMPLES["claude-desktop"].text)
    files = [home.has(f"{paths[name]}/claude_desktop_config.json", sample) for name in folders]
    (home.folder / "AppData/Local/Packages/Other_1/LocalCache/Roaming/Claude").mkdir(parents=True)
    what = Installing(HOSTS["claude-desktop"], Server("mem1", EXE, ENV), windows(home))

    put(what)
    assert [servers("claude-desktop", file)["mem1"] for file in files] == [
        {"command": EXE, "env": ENV}
    ] * len(files)
    assert what.is_current()
    assert len(list(home.folder.rglob("claude_desktop_config.json"))) == len(files)
    take_out(what)

    assert [file.read_bytes().decode() for file in files] == [sample] * len(files)


def test_claude_desktop_of_windows_that_is_nowhere_gets_the_classic_file(home: Home) -> None:
    what = Installing(HOSTS["claude-desktop"], Server("mem1", EXE), windows(home))

    assert what.host.files(what.machine) == [
        home.folder / "AppData" / "Roaming" / "Claude" / "claude_desktop_config.json"
    ]


@pytest.mark.parametrize(
    ("platform", "host", "path"),
    [
        ("darwin", "claude-desktop", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("darwin", "vscode", "Library/Application Support/Code/User/mcp.json"),
        ("darwin", "trae", "Library/Application Support/Trae/User/mcp.json"),
        ("darwin", "zed", ".config/zed/settings.json"),
        ("darwin", "opencode", ".config/opencode/opencode.json"),
        ("darwin", "claude-code", ".claude.json"),
        ("darwin", "cursor", ".cursor/mcp.json"),
        ("win32", "claude-code", ".claude.json"),
        ("win32", "codex", ".codex/config.toml"),
        ("win32", "vscode", "AppData/Roaming/Code/User/mcp.json"),
        ("win32", "trae", "AppData/Roaming/Trae/User/mcp.json"),
        ("win32", "zed", "AppData/Roaming/Zed/settings.json"),
        ("win32", "opencode", ".config/opencode/opencode.json"),
        ("win32", "lm-studio", ".lmstudio/mcp.json"),
    ],
)
def test_other_systems_have_folders_of_their_own(home: Home, platform: str, host: str, path: str) -> None:
    for environ in ({}, {name: str(home.folder / where) for name, where in WINDOWS.items()}):
        found = HOSTS[host].files(machine(home, platform, **(environ if platform == "win32" else {})))
        assert list(found) == [home.folder / path]


def test_trae_of_china_is_found(home: Home) -> None:
    (home.folder / ".config" / "Trae CN" / "User").mkdir(parents=True)

    home.install("trae")

    assert servers("trae", home.folder / ".config/Trae CN/User/mcp.json") == {"mem1": entry("trae", {})}


@pytest.mark.parametrize("host", ["claude-code", "codex", "gemini-cli", "qwen-code", "cursor"])
def test_hooks_of_windows_are_written_for_what_runs_them_there(home: Home, host: str) -> None:
    words = ["hook", "--host", host, "--env", "MEM1_TOPIC_ID=it's"]
    what = Installing(HOSTS[host], Server("mem1", EXE, {"MEM1_TOPIC_ID": "it's"}), windows(home))
    home.has(HOOKS[host].path, HOOKS[host].text)

    put(what, hooks=True)
    put(what, hooks=True)

    ours = own_hooks(said((home.folder / HOOKS[host].path).read_bytes().decode()))
    powershell = f"& '{EXE}' 'hook' '--host' '{host}' '--env' 'MEM1_TOPIC_ID=it''s'"
    # A caret is all that cmd reads as it is meant when Codex hands it a line.
    cmd = r"C:\Users\李伟\My^ Apps^ ^(1^)\mem1-mcp.exe hook --host codex --env MEM1_TOPIC_ID=it's"
    for commands in ours.values():
        (command,) = commands
        if host == "claude-code":
            assert (command["command"], command["args"]) == (EXE, words)
        else:
            assert command["command"] == (cmd if host == "codex" else powershell)
            assert "args" not in command
    assert len(ours) == len(EVENTS.get(host, CLAUDE_EVENTS))
    assert what.has_hooks()
    take_out(what)
    assert (home.folder / HOOKS[host].path).read_bytes().decode() == HOOKS[host].text


def test_a_setting_that_can_not_reach_codex_s_hooks_on_windows_is_refused_with_the_cure(home: Home) -> None:
    what = Installing(HOSTS["codex"], Server("mem1", EXE, {"MEM1_TOPIC_ID": "tea shop"}), windows(home))

    with pytest.raises(InvalidRequestError, match="setx NAME VALUE"):
        put(what, hooks=True)

    assert home.tree() == {}
    put(what)  # without hooks it is no matter


@pytest.mark.parametrize("sign", '"%&|<>^!()')
@pytest.mark.parametrize("kind", [".cmd", ".BAT"])
def test_a_batch_file_is_not_given_what_its_interpreter_would_eat(sign: str, kind: str) -> None:
    assert not can_be_run(f"C:\\npm\\claude{kind}", ["mcp", "add", f"a{sign}b"])
    assert can_be_run(f"C:\\npm\\claude{kind}", ["mcp", "add", "C:\\a b\\mem1-mcp.exe", "A=工作"])
    assert can_be_run("C:\\npm\\claude.exe", ["mcp", "add", f"a{sign}b"])


@posix_only
def test_a_batch_file_that_would_eat_something_is_left_for_the_file(home: Home) -> None:
    host = HOSTS["claude-code"]
    assert host.own is not None
    home.program("claude.cmd")
    host = replace(host, own=replace(host.own, program="claude.cmd"))
    where = machine(home, "win32", PATH=str(home.programs))

    eaten = Installing(host, Server("mem1", EXE, {"MEM1_TOPIC_ID": "100%"}), where)
    given = Installing(host, Server("mem1", EXE.replace(" (1)", "")), where)

    assert eaten.own_commands() == []
    assert len(given.own_commands()) == 1
    put(replace(given, server=replace(given.server, name="a&b")))
    assert Installing(host, Server("a&b", EXE), where).own_removal() == []
