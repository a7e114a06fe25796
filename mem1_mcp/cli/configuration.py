"""What a host's configuration has to say to start this server."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

from mem1_mcp.cli.hosts.server import Server, Shape, plain, typed


def command_path() -> str:
    """Return this program's own absolute path: desktop hosts know no PATH of a shell."""
    beside = Path(sys.executable).with_name("mem1-mcp.exe" if sys.platform == "win32" else "mem1-mcp")
    if beside.exists():
        return str(beside)
    return shutil.which("mem1-mcp") or str(Path(sys.argv[0]).resolve())


def typed_command() -> str:
    """Return what a person types to run this program: its name, or its path where the name finds none."""
    path = command_path()
    found = shutil.which("mem1-mcp")
    return "mem1-mcp" if found and Path(found).resolve() == Path(path).resolve() else shlex.quote(path)


def http_configuration(url: str, token: str) -> str:
    """Write the block for a host that connects by URL, with the token in it."""
    return _block(typed(Server("mem1", "", url=url, token=token)))


def host_configuration(command: str) -> str:
    """Write the ``mcpServers`` block that Claude Desktop, Cursor, Claude Code and others read."""
    return _block(plain(Server("mem1", command)))


def _block(entry: Shape) -> str:
    return json.dumps({"mcpServers": {"mem1": entry}}, indent=2, ensure_ascii=False)
