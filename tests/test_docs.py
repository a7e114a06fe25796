"""What the documents say is so: settings, commands, links, limits, and the demo runs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mem1_mcp.cli.configuration import host_configuration
from mem1_mcp.cli.hosts.catalogue import HOSTS
from mem1_mcp.cli.hosts.server import Server, cursor_link, vscode_link
from mem1_mcp.server.schemas import TOOLS
from mem1_mcp.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mem1_mcp"
READMES = ("README.md", "README.zh-CN.md")
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})
SOURCES = sorted(PACKAGE.rglob("*.py"))
SETTINGS = frozenset(PREFIX + name.upper() for name in Settings.model_fields)
PLACEHOLDER = "/ABSOLUTE/PATH/TO/mem1-mcp"

MAX_README_LINES = 180
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks of these languages, in their order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for language, block in found if language in languages]


def heading_levels(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(text), flags=re.MULTILINE)]


def table(text: str, heading: str) -> list[list[str]]:
    """Return the rows of the table that starts with this heading."""
    rows = text.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def shown_default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "see below"
    if field.default in (None, (), ""):
        return "unset"
    shown = str(field.default)
    return f"`{shown.lower() if isinstance(field.default, bool) else shown}`"


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )


def test_both_readmes_have_the_same_outline() -> None:
    english, chinese = (heading_levels(read(name)) for name in READMES)

    assert english[0] == 1
    assert english == chinese


def test_both_readmes_show_the_same_commands_configuration_and_transcripts() -> None:
    english, chinese = (blocks(read(name), "sh", "powershell", "json") for name in READMES)

    assert english
    assert english == chinese


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short(name: str) -> None:
    assert len(read(name).splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("name", READMES)
def test_a_readme_names_only_settings_there_are(name: str) -> None:
    assert set(re.findall(r"\bMEM1_[A-Z0-9_]*[A-Z0-9]\b", read(name))) <= SETTINGS


@pytest.mark.parametrize("name", READMES)
def test_a_readme_tells_of_every_tool_and_of_no_other(name: str) -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", read(name), flags=re.MULTILINE))

    assert told == set(TOOLS)


def test_the_settings_page_lists_every_setting_with_its_default_and_effect() -> None:
    expected = [
        [f"`{PREFIX}{name.upper()}`", shown_default(name), field.description]
        for name, field in Settings.model_fields.items()
    ]

    assert table(read("docs/settings.md"), "| name | default | effect |") == expected


def test_names_without_effect_are_no_settings() -> None:
    listed = read("docs/settings.md").partition("## Names of mem1")[2]

    assert not set(re.findall(r"`(MEM1_\w+)`", listed)) & SETTINGS


def test_the_example_configuration_is_what_the_program_prints() -> None:
    configuration = host_configuration(PLACEHOLDER) + "\n"

    assert read("mcp.json.example") == configuration
    assert blocks(read("docs/hosts.md"), "json") == [configuration]


@pytest.mark.parametrize("name", READMES)
def test_the_links_of_a_readme_add_what_the_program_adds(name: str) -> None:
    server = Server("mem1", "mem1-mcp")

    for link in (cursor_link(server), vscode_link(server)):
        assert f"]({link})" in read(name)


def test_the_page_on_hosts_lists_every_host_and_what_can_be_set_up_there() -> None:
    listed = table(read("docs/hosts.md"), "| host | its own command |")

    assert [row[0] for row in listed] == [f"`{host}`" for host in HOSTS]
    for (_, own, _, hooks, rules), host in zip(listed, HOSTS.values(), strict=True):
        assert (own != "–", hooks == "yes", rules != "–") == (
            host.own is not None,
            host.hooks is not None,
            host.rules is not None,
        )


@pytest.mark.parametrize("name", list(map(name_of, DOCUMENTS)))
def test_links_to_files_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", prose(read(name)))

    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


def test_the_map_of_the_architecture_shows_every_file() -> None:
    shown = set(re.findall(r"\w+\.py", "".join(blocks(read("docs/architecture.md"), "text"))))
    files = {path.name for path in SOURCES if path.name not in ("__init__.py", "__main__.py")}

    assert shown - {"__init__.py"} == files


@pytest.mark.parametrize("name", list(map(name_of, DOCUMENTS)))
def test_functions_that_a_document_points_at_exist(name: str) -> None:
    pointers = re.findall(r"`((?:\w+/)*\w+\.py):(\w+)`", read(name))

    for file, function in pointers:
        assert function in {each.name for each in functions(PACKAGE / file)}, f"{file}:{function}"


def test_the_changelog_starts_with_what_is_to_come_or_with_this_version() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    newest = re.search(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), flags=re.MULTILINE)

    assert newest is not None
    assert newest[1] in ("Unreleased", version)


def test_decisions_are_numbered_without_gaps_and_say_the_four_things() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert [page.name[:5] for page in pages] == [f"{n:04}-" for n in range(1, len(pages) + 1)]
    for page in pages:
        headings = re.findall(r"^## (\w+)", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "How"], page.name


@pytest.mark.parametrize("name", list(map(name_of, SOURCES)))
def test_a_file_and_its_functions_stay_short(name: str) -> None:
    lines = read(name).splitlines()
    lengths = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in functions(ROOT / name)}

    assert len(lines) <= MAX_FILE_LINES
    assert {function: n for function, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


def test_the_demo_keeps_what_it_says(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    assert "1 profile line" in demo.stdout
    assert "No stored message matches these words" in demo.stdout
    assert "\x1b" not in demo.stdout


def test_the_demo_ends_with_the_configuration_of_this_installation(
    demo: subprocess.CompletedProcess[str],
) -> None:
    config = subprocess.run(
        [sys.executable, "-m", "mem1_mcp", "config"],
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=True,
    )

    assert config.stdout in demo.stdout


@pytest.mark.parametrize("name", READMES)
def test_the_transcript_in_a_readme_is_the_demos(name: str, demo: subprocess.CompletedProcess[str]) -> None:
    transcript, profile = blocks(read(name), "text")[:2]
    undated = re.compile(r"\d{4}-\d\d-\d\d \w{3}(?: \d\d:\d\d(?: [A-Z]\S*| [+-]\d+)?)?")
    printed = undated.sub("", demo.stdout).splitlines()

    assert set(undated.sub("", transcript).splitlines()) <= set(printed)
    assert {line.strip() for line in profile.splitlines()} <= {line.strip() for line in printed}
