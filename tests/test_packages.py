"""What the packages say is so: versions, tools, settings and secrets, commands; and the bundle starts."""

from __future__ import annotations

import configparser
import json
import os
import plistlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from mem1_mcp.server.schemas import TOOLS
from mem1_mcp.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
BUNDLE = ROOT / "packaging" / "mcpb"
UNIT = ROOT / "packaging" / "systemd" / "mem1-mcp.service"
AGENT = ROOT / "packaging" / "launchd" / "com.example.mem1-mcp.plist"
NAMING_SETTINGS = (
    BUNDLE / "manifest.json",
    ROOT / "server.json",
    ROOT / "Dockerfile",
    ROOT / "compose.yaml",
    UNIT,
    AGENT,
)

SETTINGS = frozenset(PREFIX + name.upper() for name in Settings.model_fields)
SECRETS = frozenset(
    PREFIX + name.upper()
    for name, field in Settings.model_fields.items()
    if SecretStr in (field.annotation, *get_args(field.annotation))
)


class Strict(BaseModel):
    """A field of another name is a mistake, which the registry itself would let pass."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Variable(Strict):
    name: str
    description: str = Field(min_length=1)
    format: Literal["string", "filepath"] = "string"
    is_secret: bool = False


class Stdio(Strict):
    type: Literal["stdio"]


class Package(Strict):
    registry_type: Literal["pypi"]
    identifier: Literal["mem1-mcp"]
    version: str
    runtime_hint: Literal["uvx"]
    transport: Stdio
    environment_variables: list[Variable]


class Entry(Strict):
    """An entry of the registry as its schema of 2025-12-11 has it, as far as this project uses it."""

    schema_: Literal["https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"] = (
        Field(alias="$schema")
    )
    name: str = Field(pattern=r"^io\.github\.[a-zA-Z0-9-]+/mem1-mcp$", max_length=200)
    title: str = Field(min_length=1, max_length=100)
    description: str = Field(min_length=1, max_length=100)
    version: str
    packages: list[Package] = Field(min_length=1)


def the_manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((BUNDLE / "manifest.json").read_text(encoding="utf-8"))
    return loaded


def the_entry() -> Entry:
    return Entry.model_validate_json((ROOT / "server.json").read_text(encoding="utf-8"))


def instructions() -> list[tuple[str, str]]:
    """Return what the Dockerfile does, line by line, each with the word it begins with."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    told = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in told]


def last(word: str) -> str:
    return [rest for each, rest in instructions() if each == word][-1]


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *command],
        env=clean | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )


def test_every_package_is_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    entry = the_entry()

    assert the_manifest()["version"] == version
    assert entry.version == version
    assert {package.version for package in entry.packages} == {version}


@pytest.mark.parametrize("path", NAMING_SETTINGS, ids=lambda path: path.name)
def test_a_package_names_only_settings_there_are(path: Path) -> None:
    named = set(re.findall(r"\bMEM1_[A-Z0-9_]*[A-Z0-9]\b", path.read_text(encoding="utf-8")))

    assert named
    assert named <= SETTINGS


def test_the_bundle_lists_the_tools_there_are_in_both_languages() -> None:
    chinese = json.loads((BUNDLE / "mcpb-resources" / "zh-CN.json").read_text(encoding="utf-8"))

    for told in (the_manifest(), chinese):
        assert [tool["name"] for tool in told["tools"]] == list(TOOLS)
        assert all(tool["description"] for tool in told["tools"])


def test_every_field_of_the_bundle_is_a_setting_and_every_secret_is_hidden() -> None:
    manifest = the_manifest()

    fields = manifest["user_config"]
    handed_on = {PREFIX + name.upper(): f"${{user_config.{name}}}" for name in fields}
    assert manifest["server"]["mcp_config"]["env"] == handed_on
    hidden = {PREFIX + name.upper() for name, field in fields.items() if field.get("sensitive")}
    assert hidden == SECRETS & set(handed_on)


def test_no_field_of_the_bundle_has_to_be_filled_in() -> None:
    fields = the_manifest()["user_config"].values()

    # Without a default a host hands on the placeholder itself.
    assert {(field["required"], field["default"]) for field in fields} == {(False, "")}


@pytest.mark.parametrize("empty", ["", "${user_config.%s}"], ids=["empty", "placeholder"])
def test_a_bundle_whose_fields_were_left_empty_starts_as_if_nothing_was_set(
    empty: str, tmp_path: Path
) -> None:
    fields = [name for name in the_manifest()["user_config"] if name != "memory_dir"]
    left_empty = {PREFIX + name.upper(): empty.replace("%s", name) for name in fields}

    done = run(str(BUNDLE / "server.py"), "doctor", MEM1_MEMORY_DIR=str(tmp_path), **left_empty)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything is in order" in done.stdout
    assert done.stdout.count("environment") == 1  # the folder alone


def test_the_registry_is_told_what_the_bundle_asks_for_in_the_words_of_the_settings() -> None:
    for package in the_entry().packages:
        told = {each.name: each for each in package.environment_variables}

        assert list(told) == list(the_manifest()["server"]["mcp_config"]["env"])
        for name, variable in told.items():
            setting = Settings.model_fields[name.removeprefix(PREFIX).lower()]
            assert variable.description == setting.description
            assert variable.is_secret == (name in SECRETS)


def test_a_readme_that_names_an_entry_of_the_registry_names_this_one() -> None:
    named = set(re.findall(r"mcp-name: (\S+)", (ROOT / "README.md").read_text(encoding="utf-8")))

    assert named <= {the_entry().name}


def test_the_image_serves_other_machines_and_asks_for_a_token_first(tmp_path: Path) -> None:
    assert json.loads(last("ENTRYPOINT")) == ["mem1-mcp"]

    served = run(
        "-m", "mem1_mcp", *json.loads(last("CMD")), MEM1_MEMORY_DIR=str(tmp_path), MEM1_HTTP_PORT="0"
    )

    assert served.returncode == 1
    assert "there is no token yet" in served.stderr


def test_the_image_runs_as_nobody_special_and_is_asked_where_it_listens() -> None:
    port = Settings.model_fields["http_port"].default

    assert last("USER") == "mem1"
    assert last("EXPOSE") == str(port)
    assert f"http://127.0.0.1:{port}/health" in last("HEALTHCHECK")
    assert f"MEM1_MEMORY_DIR={last('VOLUME')}" in last("ENV")


def test_the_image_is_built_of_what_is_there_and_not_left_out() -> None:
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)

    files = sorted(file for line in copied for file in line)
    assert files == sorted(let_in)
    assert all((ROOT / file).exists() for file in files)


def test_a_systemd_unit_and_a_launchd_agent_serve_this_machine_over_http() -> None:
    unit = configparser.ConfigParser(interpolation=None, delimiters=["="])
    unit.read(UNIT, encoding="utf-8")
    agent = plistlib.loads(AGENT.read_bytes())

    assert agent["Label"] == AGENT.stem
    for command in (shlex.split(unit["Service"]["ExecStart"]), agent["ProgramArguments"]):
        assert command[0].endswith("/mem1-mcp")
        assert command[1:] == ["serve", "--http"]
