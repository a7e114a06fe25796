"""The command line that people use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import anyio
import pytest

COMMAND = [sys.executable, "-m", "mem1_mcp"]
ROOT = Path(__file__).parent.parent
PLACEHOLDER = "/ABSOLUTE/PATH/TO/mem1-mcp"


async def run(folder: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run the program; return its exit code and what it wrote to stdout and stderr."""
    environment = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory"), "COLUMNS": "300"} | environ
    with anyio.fail_after(60):
        done = await anyio.run_process([*COMMAND, *arguments], check=False, env=environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def on_one_line(text: str) -> str:
    """Join what was broken into lines, in a table or a box, for the width of a terminal."""
    return re.sub(r"[\s│┃]+", " ", text)


async def test_version_is_told_without_loading_what_it_does_not_need(tmp_path: Path) -> None:
    environment = os.environ | {"MEM1_MEMORY_DIR": str(tmp_path)}
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], "--version"]
    with anyio.fail_after(60):
        done = await anyio.run_process(command, env=environment)

    imported = set(re.findall(r"\|\s+(\w+)[\w.]*$", done.stderr.decode(), re.MULTILINE))
    assert done.stdout.decode() == f"mem1-mcp {version('mem1-mcp')}\n"
    assert "mem1_mcp" in imported
    assert imported.isdisjoint({"mcp", "pydantic", "anyio", "apsw", "rich", "typer"})


async def test_version_is_the_same_beside_other_options(tmp_path: Path) -> None:
    code, told, _ = await run(tmp_path, "--version", "config")

    assert (code, told) == (0, f"mem1-mcp {version('mem1-mcp')}\n")


async def test_help_teaches(tmp_path: Path) -> None:
    code, told, _ = await run(tmp_path, "--help")

    told = on_one_line(told)
    assert code == 0
    assert "Without a command it serves a host over stdio" in told
    assert "`mem1-mcp install` writes that configuration" in told
    for command, effect in (
        ("serve", "Serve a host over stdio"),
        ("install", "Add this server to a host"),
        ("hook", "Keep and recall at a host's turn"),
        ("config", "Print the configuration to paste into a host"),
        ("doctor", "Show the settings in force"),
    ):
        assert re.search(rf"{command} {effect}", told)


@pytest.mark.parametrize("command", ["serve", "config", "doctor"])
async def test_each_command_has_help(tmp_path: Path, command: str) -> None:
    code, told, _ = await run(tmp_path, command, "--help")

    assert code == 0
    assert command in told


async def test_an_unknown_command_is_refused_with_the_way_to_help(tmp_path: Path) -> None:
    code, told, errors = await run(tmp_path, "docter")

    assert code != 0
    assert told == ""
    assert "docter" in errors
    assert "--help" in errors


async def test_config_prints_the_example_with_its_placeholder_filled_in(tmp_path: Path) -> None:
    example = (ROOT / "mcp.json.example").read_text(encoding="utf-8")

    code, told, _ = await run(tmp_path, "config")

    command = json.loads(told)["mcpServers"]["mem1"]["command"]
    assert code == 0
    assert PLACEHOLDER in example
    assert told.strip() == example.replace(PLACEHOLDER, command).strip()


async def test_the_command_that_config_prints_is_this_program(tmp_path: Path) -> None:
    _, told, _ = await run(tmp_path, "config")

    command = json.loads(told)["mcpServers"]["mem1"]["command"]
    assert Path(command).is_absolute()
    with anyio.fail_after(60):
        done = await anyio.run_process([command, "--version"])
    assert done.stdout.decode() == f"mem1-mcp {version('mem1-mcp')}\n"


async def test_config_needs_no_settings(tmp_path: Path) -> None:
    code, _, _ = await run(tmp_path, "config", MEM1_TIMEZONE="Mars/Olympus")

    assert code == 0


async def test_doctor_shows_settings_with_their_source_and_where_memories_lie(tmp_path: Path) -> None:
    code, told, _ = await run(tmp_path, "doctor", MEM1_USER_ID="Lin Wei", MEM1_TIMEZONE="Asia/Tokyo")

    told = on_one_line(told)
    assert code == 0
    assert "MEM1_USER_ID Lin Wei environment" in told
    assert "MEM1_TIMEZONE Asia/Tokyo environment" in told
    assert "MEM1_LOG_LEVEL WARNING default" in told
    assert f"MEM1_MEMORY_DIR {tmp_path / 'memory'} environment" in told
    assert re.search(rf"memory file {re.escape(str(tmp_path))}/memory/users/lin-wei-\w+\.db", told)
    assert f"mem1-mcp {version('mem1-mcp')}" in told
    assert "Everything is in order." in told


async def test_doctor_makes_no_file_where_nothing_was_remembered(tmp_path: Path) -> None:
    await run(tmp_path, "doctor")

    assert [path async for path in anyio.Path(tmp_path).rglob("*.db")] == []


async def test_doctor_looks_a_memory_over(tmp_path: Path) -> None:
    await remember_something(tmp_path)

    code, told, _ = await run(tmp_path, "doctor")

    told = on_one_line(told)
    assert code == 0
    assert "messages 1" in told
    assert "integrity ok" in told
    assert "writable yes" in told


async def remember_something(folder: Path) -> anyio.Path:
    """Let a server remember one message; return the file it is in."""
    requests = [
        (
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        ),
        (
            "tools/call",
            {"name": "remember", "arguments": {"messages": [{"role": "user", "content": "a heron"}]}},
        ),
    ]
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        for number, (method, params) in enumerate(requests)
    ]
    environment = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")}
    with anyio.fail_after(60):
        await anyio.run_process(COMMAND, input="\n".join(lines).encode() + b"\n", env=environment)
    (file,) = [path async for path in anyio.Path(folder).rglob("*.db")]
    return file


async def test_doctor_ends_with_1_at_an_unknown_variable_and_names_the_nearest(tmp_path: Path) -> None:
    code, told, _ = await run(tmp_path, "doctor", MEM1_USERID="lin")

    assert code == 1
    assert "MEM1_USERID is not a setting of this version; did you mean MEM1_USER_ID?" in on_one_line(told)
    assert "in order" not in told


async def test_doctor_ends_with_1_at_a_damaged_file_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    file = await remember_something(tmp_path)
    damaged = b"\0 no database \0" * 500
    await file.write_bytes(damaged)

    code, told, errors = await run(tmp_path, "doctor")

    told = on_one_line(told + errors)
    assert code == 1
    assert str(file) in told
    assert "damaged" in told
    assert "backup" in told
    assert "Traceback" not in told
    assert await file.read_bytes() == damaged


@pytest.mark.parametrize(
    ("setting", "value", "cure"),
    [
        ("MEM1_TIMEZONE", "Mars/Olympus", "Asia/Shanghai"),
        ("MEM1_USER_ID", "x" * 129, "128 at most"),
        ("MEM1_TOPIC_ID", "*", "all topics"),
        ("MEM1_MEMORY_DIR", "relative/folder", "absolute path"),
        ("MEM1_STORAGE_BACKEND", "cloud", "sqlite"),
        ("MEM1_LOG_LEVEL", "LOUD", "WARNING"),
        ("MEM1_MASK_SECRETS", "perhaps", "boolean"),
    ],
)
async def test_a_wrong_setting_ends_the_program_with_words(
    tmp_path: Path, setting: str, value: str, cure: str
) -> None:
    code, told, errors = await run(tmp_path, **{setting: value})

    assert code == 1
    assert told == ""
    assert setting in errors
    assert cure in errors
    assert "Traceback" not in errors
    assert "pydantic" not in errors


async def test_several_wrong_settings_are_told_together(tmp_path: Path) -> None:
    code, _, errors = await run(tmp_path, "doctor", MEM1_TIMEZONE="Mars", MEM1_LOG_LEVEL="LOUD")

    assert code == 1
    assert "MEM1_TIMEZONE" in errors
    assert "MEM1_LOG_LEVEL" in errors


async def test_an_empty_setting_is_its_default(tmp_path: Path) -> None:
    code, told, _ = await run(tmp_path, "doctor", MEM1_USER_ID="", MEM1_TOPIC_ID="")

    assert code == 0
    assert "MEM1_USER_ID default default" in on_one_line(told)


@pytest.mark.parametrize("name", ["[bold]Lin", "Lin [/x]"])
async def test_doctor_shows_brackets_as_they_are(tmp_path: Path, name: str) -> None:
    code, told, _ = await run(tmp_path, "doctor", MEM1_USER_ID=name)

    assert code == 0
    assert f"MEM1_USER_ID {name} environment" in on_one_line(told)


async def test_doctor_shows_the_path_in_one_piece_where_there_is_no_terminal(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment["MEM1_MEMORY_DIR"] = str(tmp_path / "memory")

    with anyio.fail_after(60):
        done = await anyio.run_process([*COMMAND, "doctor"], env=environment, stderr=subprocess.DEVNULL)

    assert str(tmp_path / "memory" / "users") in done.stdout.decode()


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "cp1252"])
async def test_a_console_of_another_encoding_is_told_all_the_same(tmp_path: Path, encoding: str) -> None:
    config = tmp_path / ".cursor" / "mcp.json"
    config.parent.mkdir()
    config.write_text('{"mcpServers": {"地图": {"command": "ditu", "note": "✓"}}}', encoding="utf-8")
    environment = os.environ | {
        "HOME": str(tmp_path),
        "MEM1_MEMORY_DIR": str(tmp_path / "memory"),
        "PYTHONIOENCODING": encoding,
    }

    for arguments in (["install"], ["install", "cursor"], ["install", "cursor", "--undo"], ["doctor"]):
        with anyio.fail_after(60):
            done = await anyio.run_process([*COMMAND, *arguments], check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
    assert "地图" in config.read_text(encoding="utf-8")
