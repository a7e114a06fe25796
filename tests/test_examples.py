"""The examples run by themselves, show what they say, and print what their page quotes."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.conftest import Host

EXAMPLES = Path(__file__).parent.parent / "examples"
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
QUOTED = ("basic", "agent_framework", "import_history", "images")
PARTS = {"picture.py"}  # of other examples

# What is another in each run: times, ages, tokens, sizes of encoded pictures.
OTHERWISE = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:]+[+-][\d:]+"
    r"|\d{4}-\d\d-\d\d(?: \w{3})?(?: \d\d:\d\d)?(?: [A-Z]{3,5}\b| [+-]\d+)?(?: \([^()]*\))?"
    r'|(?<=Token: )"[^"]+"'
    r"|\d+(?= bytes)"
)

Ran = subprocess.CompletedProcess[str]
Import = Callable[..., Ran]


def run(name: str, *arguments: str | Path, **environ: str) -> Ran:
    """Run an example as a person does, on a console that knows no Chinese."""
    return subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "ascii", **environ},
        timeout=50,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@cache
def shown(name: str) -> str:
    """Return what an example prints with nothing set."""
    ran = run(name)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def without_what_changes(text: str) -> str:
    return OTHERWISE.sub("…", text).strip()


def part(text: str, begins: str) -> str:
    """Return the part of a transcript that begins with this line, up to the next empty one."""
    return text.partition(f"{begins}\n")[2].partition("\n\n")[0]


@pytest.mark.parametrize("name", QUOTED)
def test_the_page_quotes_what_an_example_prints(name: str) -> None:
    section = re.split(r"^## \w+\.py$", PAGE.partition(f"\n## {name}.py\n")[2], flags=re.MULTILINE)[0]
    quoted = re.findall(r"^```text\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)

    assert [without_what_changes(each) for each in quoted] == [without_what_changes(shown(name))]


def test_the_page_has_a_row_for_each_example_and_links_that_lead_somewhere() -> None:
    rows = re.findall(r"^\| \[(\w+\.py)\]", PAGE, flags=re.MULTILINE)
    links = re.findall(r"\]\(([^)#:\s]+)\)", PAGE)

    assert sorted(rows) == sorted({path.name for path in EXAMPLES.glob("*.py")} - PARTS)
    assert [link for link in links if not (EXAMPLES / link).exists()] == []


def test_the_smallest_example_is_small() -> None:
    assert len((EXAMPLES / "basic.py").read_text(encoding="utf-8").splitlines()) <= 80


def test_what_one_process_was_told_the_next_one_knows_until_it_is_forgotten() -> None:
    first, _, second = shown("basic").partition("== Second process")

    assert "Saved: 2 messages, fact p1" in part(first, "> remember messages, facts, topic")
    before, _, after = second.partition("> forget confirm")
    assert "boots in 42" in part(before, "> recall query")
    assert "- Has a bad left knee [p1]" in before
    assert "Nothing is forgotten yet" in part(before, "> forget topic")
    assert "Forgotten: 2 messages and 1 profile line" in after
    assert "No stored message matches" in part(after, "> recall query")
    assert "boots" not in after


def test_an_agents_second_life_answers_from_memory() -> None:
    first, _, second = shown("agent_framework").partition("== Second life")
    calls = re.findall(r"^calls   (\w+)\(", first + second, flags=re.MULTILINE)
    question, answer = re.findall(r"^(?:user|agent) +(.*)", second, flags=re.MULTILINE)

    assert calls == ["recall", "remember"] * 2
    assert '"hits":[],"profile":[]' in first
    assert "peanuts" not in question
    assert "peanuts" in answer


def test_a_picture_is_found_in_both_languages_and_in_its_own_topic_alone() -> None:
    printed = shown("images")

    for search in (
        "'the chart with the revenue of each quarter'",
        "'哪张图是季度营收？'",
        "'季度营收', in bakery",
    ):
        assert "memory://images/m0.1" in part(printed, f"> search_images {search}")
    assert "No stored image" in part(printed, "> search_images '季度营收', in holidays")
    assert "copy.png holds the same bytes as revenue.png" in printed


# The import: each run is a process on one memory.


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.fixture
def imported(memory: Path) -> Import:
    """Import into the memory of ``memory``."""
    return lambda *arguments: run(
        "import_history", *arguments, "--into-my-memory", MEM1_MEMORY_DIR=str(memory)
    )


async def kept(memory: Path, topic: str) -> list[dict[str, Any]]:
    """Return what a memory holds of a topic, oldest first."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "mem1_mcp"], env={"MEM1_MEMORY_DIR": str(memory)}
    )
    async with Client(server) as client:
        found = await Host(client).done("recall", topic=topic, limit=100, max_tokens=20_000)
    assert not found["more"]
    return list(found["hits"])


def a_file(path: Path, *lines: dict[str, Any] | str) -> Path:
    """Write lines as JSON, or as they are."""
    written = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("\n".join(written) + "\n", encoding="utf-8")
    return path


def said(content: str, role: str = "user", **more: str) -> dict[str, Any]:
    return {"topic": "garden", "role": role, "content": content, **more}


async def test_a_history_comes_in_as_it_is_and_a_second_import_adds_nothing(
    memory: Path, imported: Import
) -> None:
    lines = (EXAMPLES / "history.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]

    first, second = imported(), imported()

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert f"Imported: {len(history)} new, 0 were there already." in first.stdout
    assert f"{len(history)} of {len(history)} messages sent" in first.stderr
    assert f"Imported: 0 new, {len(history)} were there already." in second.stdout
    for topic in ("garden", "搬家"):
        expected = [line for line in history if line["topic"] == topic]
        hits = await kept(memory, topic)
        for key, name in (("role", "role"), ("content", "text"), ("name", "name")):
            assert [line.get(key) for line in expected] == [hit.get(name) for hit in hits]
        assert [instant(line["timestamp"]) for line in expected] == [
            instant(hit["timestamp"]) for hit in hits
        ]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.heavy
async def test_of_a_file_that_has_grown_only_what_is_new_is_added(
    tmp_path: Path, memory: Path, imported: Import
) -> None:
    # Twice the same, without a time: said twice.
    lines = [said("ok"), said("Done.", "assistant"), said("ok"), said("Done.", "assistant")]
    file = tmp_path / "history.jsonl"

    first = imported(a_file(file, *lines))
    second = imported(a_file(file, *lines, said("Water the thyme?"), said("Tomorrow.", "assistant")))

    assert "Imported: 4 new, 0 were there already." in first.stdout
    assert "Without a timestamp, and so counted as said now: 4." in first.stderr
    assert "Imported: 2 new, 4 were there already." in second.stdout
    assert [hit["text"] for hit in await kept(memory, "garden")] == [
        *("ok", "Done.") * 2,
        "Water the thyme?",
        "Tomorrow.",
    ]


@pytest.mark.heavy
async def test_what_is_broken_is_named_and_can_come_in_later(
    tmp_path: Path, memory: Path, imported: Import
) -> None:
    broken = a_file(
        tmp_path / "broken.jsonl",
        said("Four boxes."),
        '{"topic": "garden", "role": "assistant", "content": "Pebb',
        said("Which soil?", "customer"),
        said("Who waters?", timestamp="yesterday"),
        said("Strawberries.", timestamp="1500-05-01"),
        '{"topic": "garden", "role": "user"}',
        said("Ida is six."),
    )
    mended = a_file(tmp_path / "mended.jsonl", said("Pebbles under them.", "assistant"))

    first, again, later = imported(broken), imported(broken), imported(mended)

    assert (first.returncode, again.returncode, later.returncode) == (1, 1, 0)
    assert re.findall(r"^Not imported, (.*?)[:.\[]", first.stderr, flags=re.MULTILINE) == [
        *("line 2", "line 3", "line 4", "line 6"),
        "line 5",
    ]
    assert "line 2: not JSON: Unterminated string" in first.stderr
    assert "line 3: role is 'customer'" in first.stderr
    assert "line 6: content missing" in first.stderr
    assert "the year 1500 is outside" in first.stderr
    assert "Mend it in a file of its own and import that file" in first.stderr
    assert "Imported: 2 new, 0 were there already." in first.stdout
    assert "Imported: 0 new, 2 were there already." in again.stdout
    assert "Imported: 1 new" in later.stdout
    texts = {hit["text"] for hit in await kept(memory, "garden")}
    assert texts == {"Four boxes.", "Ida is six.", "Pebbles under them."}


@pytest.mark.parametrize("how", [["--dry-run", "--into-my-memory"], []])
def test_a_dry_run_and_a_rehearsal_write_nothing_to_the_users_memory(
    tmp_path: Path, memory: Path, how: list[str]
) -> None:
    file = a_file(tmp_path / "history.jsonl", said("Four boxes."), "{")

    ran = run("import_history", file, *how, MEM1_MEMORY_DIR=str(memory), HOME=str(tmp_path / "home"))

    assert ran.returncode == 1
    assert "history.jsonl: JSON lines. Messages to keep: 1" in ran.stdout
    assert ("Nothing was sent." if how else "This was a rehearsal; its memory is gone.") in ran.stdout
    assert "Not imported, line 2: not JSON" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["history.jsonl"]


def test_a_server_that_does_not_start_is_told(imported: Import, tmp_path: Path) -> None:
    file = a_file(tmp_path / "history.jsonl", said("Four boxes."))

    ran = run("import_history", file, "--into-my-memory", MEM1_MEMORY_DIR="nowhere")

    assert ran.returncode == 1
    assert "MEM1_MEMORY_DIR: must be an absolute path" in ran.stderr
    assert "The server ended" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.heavy
def test_a_file_that_is_no_history_is_refused(imported: Import, tmp_path: Path) -> None:
    for text in ('[{"title": "x"}]', '[{"mapping": {}}]', "[", "nothing"):
        file = tmp_path / "strange.json"
        file.write_text(text, encoding="utf-8")

        ran = run("import_history", file, "--dry-run")

        assert ran.returncode == 1
        assert "Not imported, " in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_call_holds_at_most_a_hundred_messages() -> None:
    example = runpy.run_path(str(EXAMPLES / "import_history.py"))
    messages = [
        example["Said"](f"line {number}", "garden", "assistant", f"Day {number}") for number in range(250)
    ]

    calls = list(example["calls"](messages))

    assert [len(call.messages) for call in calls] == [100, 100, 50]
    assert [one for call in calls for one in call.messages] == messages
    assert len({call.request_id for call in calls}) == 3


# A ChatGPT export: trees of messages, the newest conversation first.

DAY = int(datetime(2026, 3, 5, 8, 0, tzinfo=UTC).timestamp())


def a_node(
    node: str, parent: str | None, role: str = "", parts: list[Any] | None = None, at: int | None = None
) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": node,
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": None if at is None else DAY + at + 0.25,
        "content": {"content_type": "text", "parts": parts},
        "recipient": "all",
        "metadata": {},
    }
    return {"id": node, "message": message if role else None, "parent": parent, "children": []}


def a_conversation(title: str, at: int, *nodes: dict[str, Any], shown_last: str) -> dict[str, Any]:
    by_id = {node["id"]: node for node in nodes}
    for node in nodes:
        if node["parent"]:
            by_id[node["parent"]]["children"].append(node["id"])
    return {
        "title": title,
        "create_time": DAY + at,
        "update_time": DAY + at + 900,
        "mapping": by_id,
        "current_node": shown_last,
    }


def an_export() -> list[dict[str, Any]]:
    """Return two conversations; in the older one a question was edited and a tool was called."""
    searching = a_node("search", "asked again", "assistant", ['search("satay")'], at=130)
    searching["message"]["recipient"] = "web"
    return [
        a_conversation(
            "苏州搬家",
            86_400,
            a_node("root", None),
            a_node("1", "root", "user", ["钢琴怎么搬？"], at=86_410),
            a_node("2", "1", "assistant", ["找专门的师傅。", "两周后再调音。"], at=86_420),
            a_node("3", "2", "user", [{"content_type": "image_asset_pointer"}, "这台呢？"], at=86_430),
            shown_last="3",
        ),
        a_conversation(
            "Peanut-free satay",
            0,
            # As they are exported: not in the order in which they were said.
            a_node("answer", "result", "assistant", ["Sunflower seeds do."], at=150),
            a_node("root", None),
            a_node("system", "root", "system", [""]),
            a_node("asked", "system", "user", ["Satay without nuts?"], at=100),
            a_node("first answer", "asked", "assistant", ["Use almonds."], at=110),
            a_node("asked again", "system", "user", ["Satay without peanuts or almonds?"], at=120),
            searching,
            a_node("result", "search", "tool", ["Twelve recipes"], at=140),
            shown_last="answer",
        ),
    ]


@pytest.mark.heavy
async def test_a_chatgpt_export_comes_in_as_it_was_shown_last(
    tmp_path: Path, memory: Path, imported: Import
) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(an_export(), indent=1), encoding="utf-8")

    first, second = imported(file), imported(file)

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "conversations.json: ChatGPT export. Messages to keep: 5" in first.stdout
    assert "Imported: 5 new, 0 were there already." in first.stdout
    assert "Imported: 0 new, 5 were there already." in second.stdout
    english, chinese = await kept(memory, "Peanut-free satay"), await kept(memory, "苏州搬家")
    assert [(hit["role"], hit["text"]) for hit in english] == [
        ("user", "Satay without peanuts or almonds?"),
        ("assistant", "Sunflower seeds do."),
    ]
    assert [(hit["role"], hit["text"]) for hit in chinese] == [
        ("user", "钢琴怎么搬？"),
        ("assistant", "找专门的师傅。\n两周后再调音。"),
        ("user", "这台呢？"),
    ]
    assert [hit["id"] for hit in english + chinese] == ["m0.0", "m0.1", "m1.0", "m1.1", "m1.2"]
    assert [instant(hit["timestamp"]).timestamp() - DAY for hit in english + chinese] == [
        *(120, 150),
        *(86_410, 86_420, 86_430),
    ]


def test_what_is_left_out_of_an_export_is_told(tmp_path: Path) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(an_export()), encoding="utf-8")

    ran = run("import_history", file, "--dry-run")

    counted = {what: int(number) for what, number in re.findall(r"Left out, (.*): (\d+)\.", ran.stderr)}
    assert ran.returncode == 0
    assert counted == {
        "messages of the system and of tools": 3,
        "messages that an edit or another answer replaced": 2,
        "pictures and files": 1,
    }
