"""``mem1-mcp profile``, and what ``doctor`` says of the model: what people see of them.

Most commands run in this process, which is quicker; what a program is to a shell is tried on real ones.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from mem1_mcp.cli.commands import program
from mem1_mcp.memory import Memory
from mem1_mcp.memory.profile.versions import differences
from mem1_mcp.types import ARCHIVED, Item, Profile
from tests.chat_endpoint import Script, chat_endpoint, fenced
from tests.conftest import HandClock, Host, Opening
from tests.test_cli import COMMAND, on_one_line, run
from tests.with_model import Set, remembering

PAGE = (Path(__file__).parent.parent / "docs" / "profile.md").read_text(encoding="utf-8")
USER = {"MEM1_USER_ID": "ming", "MEM1_TIMEZONE": "Asia/Shanghai"}
MOVED: list[dict[str, Any]] = [
    {"op": "replace", "item": "p1", "section": "basic", "text": "Runs a tea shop in Hamburg"},
    {"op": "add", "item": None, "section": "todo", "text": "Renew the shop's licence in June"},
]


async def told(folder: Path, *arguments: str, **environ: str) -> str:
    """Run a command that must succeed; return what it wrote to stdout."""
    environment = {"MEM1_MEMORY_DIR": str(folder / "memory"), "COLUMNS": "300"} | USER | environ
    # In a thread: the command has a loop of its own.
    done = await anyio.to_thread.run_sync(lambda: CliRunner().invoke(program, arguments, env=environment))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


async def refused(folder: Path, *arguments: str, **environ: str) -> str:
    """Run a command that must fail; return what it wrote to stderr."""
    code, _, errors = await run(folder, *arguments, **(USER | environ))
    assert code == 1
    assert "Traceback" not in errors
    return errors


def saying(operations: Sequence[dict[str, Any]]) -> Script:
    """Return a script that rests these operations on the last message it is sent, and greets back."""

    def script(body: dict[str, Any]) -> str:
        if "<<<data-" not in body["messages"][-1]["content"]:
            return "yes"
        last = fenced(body)["messages"][-1]["n"]
        given = [{"passing": None, "evidence": [last]} | each for each in operations]
        return json.dumps({"operations": given})

    return script


@pytest.fixture
async def story(another: Opening, clock: HandClock) -> None:
    """The profile of ``docs/profile.md``: told, pinned, read by a model, edited."""
    with chat_endpoint(saying(MOVED)) as model:
        async with remembering(another, clock, Set(model.url)) as (host, memory):
            await host.done(
                "remember",
                messages=[said("I run a tea shop in Hangzhou, and I am allergic to peanuts.")],
                facts=[
                    {"text": "Runs a tea shop in Hangzhou"},
                    {"text": "Is allergic to peanuts"},
                ],
            )
            clock.forward(days=1)
            await tell(host, "Wants the numbers first", section="preferences")
            await memory.pin("ming", "p2", pinned=True)
            clock.forward(days=1)
            moved = "The shop has moved to Hamburg. Its licence is to be renewed in June."
            await host.done("remember", messages=[said(moved)])
            await memory.refresh("ming")
            clock.forward(minutes=30)
            await memory.edit_profile("ming", "p3", "Wants the numbers first, then the reasons")


def said(text: str) -> dict[str, str]:
    return {"role": "user", "name": "Wei", "content": text}


async def tell(host: Host, text: str, **more: str) -> None:
    await host.done("remember", facts=[{"text": text, **more}])


def blocks(command: str) -> str:
    """Return what the page shows below a command."""
    found = re.search(
        rf"^\$ mem1-mcp profile {re.escape(command)}\n(.*?)(?:^```|\n\$)", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found, command
    return found[1]


async def test_the_page_shows_what_the_commands_print(tmp_path: Path, story: None) -> None:
    commands = ("show --evidence", "history", "diff 2")

    shown = [await run(tmp_path, "profile", *command.split(), **USER) for command in commands]

    assert shown == [(0, blocks(command), "") for command in commands]


async def test_a_former_version_is_shown_as_it_was_and_an_unknown_one_names_those_kept(
    tmp_path: Path, story: None
) -> None:
    shown = await told(tmp_path, "profile", "show", "--version", "2")

    assert "Runs a tea shop in Hangzhou [p1]\n" in shown
    assert "Is allergic to peanuts [p2]\n" in shown
    errors = await refused(tmp_path, "profile", "show", "--version", "9")
    assert "Version 9 of the profile is not kept." in errors
    assert "Kept: 1 to 5; `mem1-mcp profile history` lists them." in errors


async def test_all_adds_what_is_superseded_or_archived(
    tmp_path: Path, story: None, another: Opening, clock: HandClock
) -> None:
    store = another()
    profile = await store.profile("ming")
    items = tuple(
        replace(each, replaced_by=ARCHIVED) if each.id == "p5" else each for each in profile.items
    )
    await store.save_profile("ming", replace(profile, items=items, version=profile.version + 1))
    await store.close()

    shown = await told(tmp_path, "profile", "show", "--all", "--evidence")
    diff = await told(tmp_path, "profile", "diff")

    assert "- Runs a tea shop in Hangzhou [p1] (superseded by p4)\n" in shown
    assert "- Renew the shop's licence in June [p5] (archived)\n" in shown
    assert "[p3] (superseded by p6)\n    told by the host, without a message (2026-05-21)\n" in shown
    assert diff.endswith("\n- Renew the shop's licence in June [p5] (archived)\n")


async def test_a_chinese_profile_has_chinese_titles(tmp_path: Path, host: Host) -> None:
    await tell(host, "对花生过敏", section="cautions")
    await tell(host, "\x1b[31m住在杭州")

    shown = await told(tmp_path, "profile", "show")

    assert "# 用户画像\n" in shown
    assert "## 基本信息\n\n- �[31m住在杭州 [p2]\n\n## 注意事项\n\n- 对花生过敏 [p1]\n" in shown


async def test_a_user_of_whom_nothing_is_known_is_told_so(tmp_path: Path) -> None:
    shown = [await told(tmp_path, "profile", command) for command in ("show", "history", "diff")]

    assert "Nothing is known of user ming yet.\n" in shown
    assert shown[1] == shown[2] == "There is no version yet: nothing is known.\n"
    assert "No line of the profile is 'p1'." in await refused(tmp_path, "profile", "pin", "p1")


def line(number: int, text: str, **more: Any) -> Item:
    return Item(f"p{number}", "basic", text, "t", "host", 0, 0, **more)


def changes(before: Sequence[Item], after: Sequence[Item]) -> list[str]:
    found = differences(Profile(items=tuple(before)), Profile(items=tuple(after)))
    return [f"{each.mark} {each.words()}" for each in found]


def test_a_line_that_changed_over_several_versions_is_one_change() -> None:
    first = line(1, "in Berlin")
    then = [replace(first, replaced_by="p2"), line(2, "in Bremen", replaced_by="p3"), line(3, "in Kiel")]

    assert changes([first], then) == ["~ in Berlin [p1] → in Kiel [p3]"]
    assert changes(then, [first]) == ["~ in Kiel [p3] → in Berlin [p1]"]


def test_lines_that_were_joined_each_became_the_whole() -> None:
    parts = [line(1, "tea"), line(2, "no coffee")]
    joined = [*(replace(each, replaced_by="p3") for each in parts), line(3, "tea, no coffee")]

    assert changes(parts, joined) == [
        "~ tea [p1] → tea, no coffee [p3]",
        "~ no coffee [p2] → tea, no coffee [p3]",
    ]


def test_a_line_that_came_to_say_what_another_says_went() -> None:
    two = [line(1, "tea"), line(2, "green tea")]

    assert changes(two, [replace(two[0], replaced_by="p2"), two[1]]) == ["- tea [p1]"]


def test_what_was_pinned_or_done_is_named() -> None:
    before = [line(1, "tea"), line(2, "call Mei"), line(3, "shrimp", pinned=True)]
    after = [
        replace(before[0], pinned=True),
        replace(before[1], replaced_by="p4"),
        replace(before[2], pinned=False),
        line(4, "call Mei", done=True),
        line(5, "nuts", pinned=True),
    ]

    assert changes(before, after) == [
        "~ tea [p1]: pinned",
        "~ call Mei [p2] → [p4]: done",
        "~ shrimp [p3]: not pinned any more",
        "+ nuts [p5]: pinned",
    ]


async def test_restore_shows_what_changes_and_needs_a_yes_where_nobody_can_be_asked(
    tmp_path: Path, story: None, another: Opening
) -> None:
    code, shown, errors = await run(tmp_path, "profile", "restore", "2", **USER)
    assert code == 1
    assert "~ Runs a tea shop in Hamburg [p4] → Runs a tea shop in Hangzhou [p1]\n" in shown
    assert "What was forgotten since does not come back.\n" in shown
    assert "Nothing was changed; --yes does it." in errors

    done = await told(tmp_path, "profile", "restore", "2", "--yes")

    assert done.endswith("Version 2 is restored; the profile is at version 6 now.\n")
    assert await lines(another) == [
        "Runs a tea shop in Hangzhou",
        "Is allergic to peanuts",
        "Wants the numbers first",
    ]


async def lines(another: Opening) -> list[str]:
    """Return what the profile says by now."""
    store = another()
    try:
        return [item.text for item in (await store.profile("ming")).current]
    finally:
        await store.close()


async def test_an_edited_line_gets_a_new_id_and_keeps_no_secret(tmp_path: Path, story: None) -> None:
    shown = await told(tmp_path, "profile", "edit", "[P2]", "Its password is hunter2xYz9!")

    assert shown == "p2 is p7 now: Its password is [REDACTED:password]\n"


async def test_an_editor_changes_a_line_and_without_one_the_cure_is_named(
    tmp_path: Path, story: None
) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n"
        "text = file.read_text(encoding='utf-8').replace('peanuts', 'all\\nnuts')\n"
        "file.write_text(text, encoding='utf-8')\n"
    )
    command = f'"{sys.executable}" "{editor}"'

    assert "Set VISUAL or EDITOR" in await refused(tmp_path, "profile", "edit", "p2", VISUAL="", EDITOR="")
    shown = await told(tmp_path, "profile", "edit", "p2", VISUAL=command)
    again = await told(tmp_path, "profile", "edit", "p7", VISUAL=command)

    assert shown == "p2 is p7 now: Is allergic to all nuts\n"
    assert again == "p7 is as before. Nothing was changed.\n"


async def test_what_the_user_settles_goes_where_the_line_was_that_it_was_against(memory: Memory) -> None:
    two = (line(1, "in Berlin"), replace(line(2, "in Kiel", against="p1"), section="clarify"))
    await memory.store.save_profile("ming", Profile(version=1, items=two, next_number=3))

    done = await memory.edit_profile("ming", "p2", "in Kiel since May")

    assert [(item.id, item.section, item.against) for item in done.current] == [("p3", "basic", None)]


async def test_a_pin_is_set_and_let_go(tmp_path: Path, story: None) -> None:
    assert (
        await told(tmp_path, "profile", "unpin", "p2") == "p2 is not pinned now: Is allergic to peanuts\n"
    )
    assert (
        await told(tmp_path, "profile", "unpin", "p2")
        == "p2 is not pinned as it is. Nothing was changed.\n"
    )
    assert await told(tmp_path, "profile", "pin", "p2") == "p2 is pinned now: Is allergic to peanuts\n"


async def test_refresh_has_the_rest_read_and_says_what_changed_and_what_it_took(
    tmp_path: Path, host: Host
) -> None:
    await host.done("remember", messages=[said("My passport has to be renewed in May.")])
    new = {"op": "add", "item": None, "section": "todo", "text": "Has to renew the passport in May"}
    with chat_endpoint(saying([new])) as model:
        environ = {"MEM1_LLM_MODEL": "small", "MEM1_LLM_BASE_URL": model.url}
        shown = await told(tmp_path, "profile", "refresh", **environ)
        again = await told(tmp_path, "profile", "refresh", **environ)

    assert shown.startswith(
        "The profile changed:\n+ Has to renew the passport in May [p1]\nsmall was asked once: "
    )
    assert re.search(r": \d{3,} tokens in, \d\d out\.\n$", shown)
    assert again == "No line of the profile changed.\nEverything was read already; no model was asked.\n"
    assert "MEM1_LLM_MODEL" in await refused(tmp_path, "profile", "refresh")


async def test_a_template_is_shown_then_changed_after_a_look_at_what_moves(
    tmp_path: Path, story: None
) -> None:
    shown = await told(tmp_path, "profile", "template")
    assert shown.startswith("general: General / 通用\nbuilt in, what MEM1_PROFILE_TEMPLATE says; ")
    assert "- cautions: Cautions / 注意事项 (lasting)\n" in shown
    assert "- medical: Medical / 医疗\n" in shown
    assert "--yes does it" in await refused(tmp_path, "profile", "template", "医疗")

    changed = await told(tmp_path, "profile", "template", "医疗", "--yes")

    assert (
        "Of the 4 lines of user ming, 1 would move.\nPreferences → Way of life: 1\n- Wants the " in changed
    )
    assert changed.endswith("All profiles of this store follow medical now. No line was lost.\n")
    shown = await told(tmp_path, "profile", "show")
    assert "## Way of life\n\n- Wants the numbers first, then the reasons [p6]\n" in shown


async def test_doctor_asks_the_model_and_shows_the_template(tmp_path: Path, story: None) -> None:
    with chat_endpoint(saying([])) as model:
        environ = {"MEM1_LLM_MODEL": "small", "MEM1_LLM_BASE_URL": model.url}
        good = on_one_line(await told(tmp_path, "doctor", MEM1_PROFILE_TEMPLATE="medical", **environ))
        model.mode = "no key"
        code, bad, _ = await run(tmp_path, "doctor", **environ)

    assert re.search(rf"model small at {model.url} answers \(\d+ tokens in, \d+ out\)", good)
    # It was only looked at: a start would have kept it.
    assert "template medical; the store keeps none yet" in good
    assert code == 1
    assert f"! The language model small at {model.url} answered 401: it wants a key" in bad


async def test_doctor_says_where_the_store_follows_another_template(tmp_path: Path, host: Host) -> None:
    await tell(host, "Lives in Hamburg")
    await told(tmp_path, "profile", "template", "medical", "--yes")

    code, shown, _ = await run(tmp_path, "doctor", MEM1_PROFILE_TEMPLATE="ecommerce")

    assert code == 1
    assert "! MEM1_PROFILE_TEMPLATE names ecommerce; the profiles here follow medical" in shown
    shown = on_one_line(shown)
    assert "template medical, kept by the store" in shown
    assert "model none; the profile holds what hosts tell as facts; MEM1_LLM_MODEL names one" in shown


@pytest.mark.parametrize("command", "show history diff restore edit pin unpin refresh template".split())
async def test_each_command_teaches_by_an_example(tmp_path: Path, command: str) -> None:
    shown = on_one_line(await told(tmp_path, "profile", command, "--help"))

    assert re.search(rf"Example: .*mem1-mcp profile {command}\b", shown)


def in_terminal(folder: Path, answer: bytes, *arguments: str, width: int = 80) -> str:
    """Run a command in a terminal of this width, answering its question; return what is seen."""
    import pty  # Windows has none of these
    import termios

    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment |= USER | {"MEM1_MEMORY_DIR": str(folder / "memory"), "TERM": "xterm-256color"}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, width))
    seen = b""
    with subprocess.Popen(  # noqa: S603 - our own program
        [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ):
        os.close(theirs)
        with suppress(OSError):  # its end, on Linux
            while part := os.read(ours, 65_536):
                seen += part
                if answer and b"[y/N]" in seen:
                    os.write(ours, answer)
                    answer = b""
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
async def test_in_a_terminal_lines_have_colours_and_go_on_below_their_beginning(
    tmp_path: Path, story: None
) -> None:
    seen = await anyio.to_thread.run_sync(
        lambda: in_terminal(tmp_path, b"", "profile", "diff", "2", width=44)
    )

    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen).splitlines()
    assert "\x1b[32mRenew the shop's licence in June [p5]" in seen
    assert "~ Runs a tea shop in Hangzhou [p1] → Runs a" in [each.rstrip() for each in plain]
    assert "  tea shop in Hamburg [p4]" in [each.rstrip() for each in plain]
    assert max(map(len, plain)) <= 44


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(
    ("answer", "what"), [(b"n\n", "Nothing was changed."), (b"y\n", "Version 2 is restored")]
)
async def test_in_a_terminal_restore_asks(tmp_path: Path, story: None, answer: bytes, what: str) -> None:
    seen = await anyio.to_thread.run_sync(lambda: in_terminal(tmp_path, answer, "profile", "restore", "2"))

    assert "Restore it? [y/N]" in seen
    assert what in seen
