"""``mem1-mcp profile``: what is known of a user, for the user to look at and to put right."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from mem1_mcp import app, settings
from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory import load_template
from mem1_mcp.memory.lines import at_local, on_one_line
from mem1_mcp.memory.profile.template import BUILT_IN
from mem1_mcp.memory.profile.versions import differences, moves, of_version
from mem1_mcp.text.budget import snippet
from mem1_mcp.text.chinese import is_chinese
from mem1_mcp.text.terms import split
from mem1_mcp.types import ARCHIVED, FORGOTTEN, Profile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from datetime import tzinfo

    from mem1_mcp.memory import Memory
    from mem1_mcp.memory.profile.portrait import View
    from mem1_mcp.memory.profile.template import Section, Template
    from mem1_mcp.types import Item, Stored, Usage

profile = typer.Typer(
    name="profile",
    no_args_is_help=True,
    help="Look at what is known of you, go back to a former version, put lines right. The user is "
    "MEM1_USER_ID.",
)

_Result = TypeVar("_Result")

_SNIPPET_TOKENS = 60  # of a message that a line rests on
_SOURCES = {"host": "told by the host", "model": "read by a model", "user": "edited by the user"}
# What could steer a terminal, or turn the order of its letters.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_ItemId = Annotated[str, typer.Argument(metavar="ITEM", help="A line's id, as `profile show` has it.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line to print; where it is too long for a terminal, it goes on below its own beginning."""

    text: str = ""
    style: str = ""
    mark: str = ""


@profile.command()
def show(
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Below each line, what it rests on.")
    ] = False,
    version: Annotated[
        int | None, typer.Option(help="A former version; `profile history` lists them.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Archived and superseded lines too.")] = False,
) -> None:
    """Show the profile: its lines by sections, each with its id.

    Example: mem1-mcp profile show --evidence
    """

    async def look(memory: Memory, user: str) -> list[_Line]:
        kept = await memory.profiles(user)
        if version is None and not kept:
            return [_Line(f"Nothing is known of user {user} yet.")]
        chosen = kept[0] if version is None else of_version(kept, version)
        items = chosen.items if all_ else chosen.current
        places = {place for item in items for place in item.evidence} if evidence else set()
        messages = {each.place: each for each in await memory.messages(user, sorted(places))}
        shown = _Shown(await memory.view(), chosen, messages if evidence else None)
        return [*shown.heading(user), *shown.sections(items)]

    _print(_with_memory(look))


@dataclass(frozen=True, slots=True)
class _Shown:
    """Writes a profile; with the messages that its lines rest on, where they are given."""

    view: View
    profile: Profile
    messages: Mapping[int, Stored] | None

    def heading(self, user: str) -> list[_Line]:
        about = f"User {user}, version {_version(self.profile, self.view.zone)}: {self.profile.why}"
        title = "# 用户画像" if self._chinese() else "# User profile"
        nothing = [] if self.profile.current else [_Line(), _Line("Nothing is known.")]
        return [_Line(title, "bold"), _Line(), _Line(about, "dim"), *nothing]

    def sections(self, items: Sequence[Item]) -> Iterator[_Line]:
        template = self.view.template
        for section in template.sections:
            held = [item for item in items if template.section_of(item.section) == section]
            if held:
                title = section.title_zh if self._chinese() else section.title_en
                yield from (_Line(), _Line(f"## {title}", "bold"), _Line())
            for item in held:
                style = "dim" if item.replaced_by else ""
                yield _Line(f"{self.view.text(self.profile, item)} [{item.id}]{_state(item)}", style, "- ")
                if self.messages is not None:
                    yield from self._evidence(item, self.messages)

    def _chinese(self) -> bool:
        return is_chinese([item.text for item in self.profile.current])

    def _evidence(self, item: Item, messages: Mapping[int, Stored]) -> Iterator[_Line]:
        zone = self.view.zone
        source = _SOURCES[item.source]
        if item.source == "host" and not item.evidence:
            source += ", without a message"
        if not item.evidence:
            source += f" ({at_local(item.created_at, zone):%Y-%m-%d})"
        if item.stands_in and not item.done:
            source += ", joined from several lines"
        yield _Line(source, "dim", "    ")
        asked = dict.fromkeys(split(item.text).content, 1.0)
        for message in (messages[place] for place in item.evidence if place in messages):
            words = on_one_line(snippet(message.content, asked, _SNIPPET_TOKENS))
            when = f"{at_local(message.said_at, zone):%Y-%m-%d %a %H:%M}"
            yield _Line(f"[{message.id}] {when} {message.name or message.role}: {words}", "dim", "    ")


def _state(item: Item) -> str:
    told = "pinned" if item.pinned else ""
    if item.replaced_by == ARCHIVED:
        told = "archived"
    elif item.replaced_by == FORGOTTEN:
        told = "superseded by what was forgotten"
    elif item.replaced_by:
        told = f"superseded by {item.replaced_by}"
    return f" ({told})" if told else ""


def _version(of: Profile, zone: tzinfo) -> str:
    return f"{of.version} of {at_local(of.saved_at, zone):%Y-%m-%d %H:%M}"


@profile.command()
def history() -> None:
    """List the versions that are kept, the newest first: when, how many lines changed, and why.

    +2 -1 ~3 is two lines more than in the version before, one less, three changed.

    Example: mem1-mcp profile history
    """
    kept, view = _with_memory(_kept)
    if not kept:
        typer.echo("There is no version yet: nothing is known.")
        return
    rows = []
    for each in kept:
        number, _, when = _version(each, view.zone).partition(" of ")
        rows.append((number, when, _counts(_former(kept, each), each), each.why))
    if sys.stdout.isatty():
        table = Table("version", Column("when", min_width=10), "lines", "why")
        for row in rows:
            table.add_row(*(Text(_without_steering(cell)) for cell in row))
        Console(markup=False).print(table)
        return
    for number, when, counts, why in rows:
        typer.echo(f"{number:>{len(rows[0][0])}}  {when}  {counts:<8}  {why}")


async def _kept(memory: Memory, user: str) -> tuple[tuple[Profile, ...], View]:
    return await memory.profiles(user), await memory.view()


def _former(kept: Sequence[Profile], of: Profile) -> Profile | None:
    """Return the version before; ``None`` where that is not kept any more."""
    return next(
        (each for each in kept if each.version < of.version), Profile() if of.version == 1 else None
    )


def _counts(before: Profile | None, after: Profile) -> str:
    if before is None:
        return "–"
    marks = [each.mark for each in differences(before, after)]
    return " ".join(f"{mark}{marks.count(mark)}" for mark in ("+", "-", "~"))


@profile.command()
def diff(
    a: Annotated[
        int | None, typer.Argument(metavar="A", help="A version. Left out: the one before the present.")
    ] = None,
    b: Annotated[
        int | None, typer.Argument(metavar="B", help="Another version. Left out: the present one.")
    ] = None,
) -> None:
    """Show what changed between two versions: + a new line, - one that went, ~ one that changed.

    Example: mem1-mcp profile diff 3 7
    """
    kept, view = _with_memory(_kept)
    if not kept:
        typer.echo("There is no version yet: nothing is known.")
        return
    after = kept[0] if b is None else of_version(kept, b)
    former = _former(kept, after) if a is None else None
    before = former or of_version(kept, after.version - 1 if a is None else a)
    lines = list(_changes(view, before, after))
    one, other = (_version(each, view.zone) if each.version else "0, nothing," for each in (before, after))
    heading = f"From version {one} to version {other}" + (":" if lines else ", no line changed.")
    _print([_Line(heading, "bold"), *lines])


def _changes(view: View, before: Profile, after: Profile) -> Iterator[_Line]:
    """Write what the lines of the second version have in the place of those of the first."""
    styles = {"+": "green", "-": "red", "~": "yellow"}
    became = {item.id: item.replaced_by for item in after.items}
    for each in differences(before, after):
        text = each.words()
        if each.before is None and each.after is not None and each.after.against:
            text = f"{view.text(after, each.after)} [{each.after.id}]"
        elif each.before is not None and each.after is None and (now := became.get(each.before.id)):
            text += f" ({now})" if now in (ARCHIVED, FORGOTTEN) else f" (now {now})"
        yield _Line(text, styles[each.mark], f"{each.mark} ")


@profile.command()
def restore(
    version: Annotated[
        int, typer.Argument(metavar="VERSION", help="As `mem1-mcp profile history` lists it.")
    ],
    yes: _Yes = False,
) -> None:
    """Go back to a former version, after showing what that changes. The versions since stay too.

    What was forgotten since does not come back: it is in no version any more.

    Example: mem1-mcp profile restore 12
    """
    kept, view = _with_memory(_kept)
    former = of_version(kept, version)
    lines = list(_changes(view, kept[0], former))
    if not lines:
        typer.echo(f"The lines of version {version} are the present ones. Nothing was changed.")
        return
    heading = f"Back to version {_version(former, view.zone)}, this would change:"
    _print([_Line(heading, "bold"), *lines, _Line("What was forgotten since does not come back.")])
    if _agreed("Restore it?", yes=yes):
        done = _with_memory(lambda memory, user: memory.restore_profile(user, version))
        typer.echo(f"Version {version} is restored; the profile is at version {done.version} now.")


@profile.command()
def edit(
    item: _ItemId,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The new words. Left out: VISUAL or EDITOR opens the line."),
    ] = None,
) -> None:
    """Put your own words in the place of a line. It gets a new id; the old one becomes history.

    Example: mem1-mcp profile edit p3 "Lives in Hamburg"
    """
    item_id = _bare(item)
    old = _with_memory(lambda memory, user: memory.profile_item(user, item_id))
    words = on_one_line((_from_editor(old.text) if text is None else text).strip())
    if words == on_one_line(old.text) or (text is None and not words):
        typer.echo(f"{item_id} is as before. Nothing was changed.")
        return
    done = _with_memory(lambda memory, user: memory.edit_profile(user, item_id, words))
    new_id = next(each.replaced_by for each in done.items if each.id == item_id)
    new = next(each for each in done.items if each.id == new_id)
    _print([_Line(f"{item_id} is {new.id} now: {on_one_line(new.text)}")])


def _bare(item: str) -> str:
    """Take an id as people copy it, in brackets or not."""
    return item.strip("[] ").lower()


def _from_editor(text: str) -> str:
    """Have the person change a text in the editor of their choice."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise InvalidRequestError(
            "No editor is set. Set VISUAL or EDITOR, such as to nano, or give the new text behind the id."
        )
    with tempfile.TemporaryDirectory(prefix="mem1-") as folder:
        file = Path(folder) / "line.txt"
        file.write_text(f"{text}\n", encoding="utf-8")
        try:
            command = shlex.split(editor, posix=sys.platform != "win32")
            subprocess.run([*command, str(file)], check=True)  # noqa: S603 - their own choice
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise InvalidRequestError(
                f"Nothing was changed: the editor {editor!r} failed ({error}). Set VISUAL or EDITOR anew."
            ) from None
        return " ".join(file.read_text(encoding="utf-8", errors="replace").splitlines())


@profile.command()
def pin(item: _ItemId) -> None:
    """Pin a line: no refresh changes it, and it stays when the profile is shortened.

    Example: mem1-mcp profile pin p3
    """
    _set_pin(_bare(item), pinned=True)


@profile.command()
def unpin(item: _ItemId) -> None:
    """Let go of a line that was pinned.

    Example: mem1-mcp profile unpin p3
    """
    _set_pin(_bare(item), pinned=False)


def _set_pin(item_id: str, *, pinned: bool) -> None:
    before = _with_memory(lambda memory, user: memory.profile_item(user, item_id))
    state = "pinned" if pinned else "not pinned"
    if before.pinned == pinned:
        typer.echo(f"{item_id} is {state} as it is. Nothing was changed.")
        return
    _with_memory(lambda memory, user: memory.pin(user, item_id, pinned=pinned))
    _print([_Line(f"{item_id} is {state} now: {on_one_line(before.text)}")])


@profile.command()
def refresh() -> None:
    """Have the model read what the profile does not know yet, here and now; show what changed.

    A server does the same in the background. It can be ended at any time: what was read stays read.

    Example: MEM1_LLM_MODEL=qwen3:8b MEM1_LLM_BASE_URL=http://127.0.0.1:11434/v1 mem1-mcp profile refresh
    """

    async def read(memory: Memory, user: str) -> None:
        was, before = (await memory.health(user)).problems, await memory.profile(user)
        if memory.model is not None:
            shown.start()
        try:
            await memory.refresh(user, told)
        finally:
            shown.stop()
        lines = list(_changes(await memory.view(), before, await memory.profile(user)))
        heading = "The profile changed:" if lines else "No line of the profile changed."
        _print([_Line(heading, "bold"), *lines])
        typer.echo(_used(None if memory.model is None else memory.model.used))
        given_up.extend(each for each in (await memory.health(user)).problems if each not in was)

    shown = Progress(console=Console(stderr=True))
    task = shown.add_task("rounds", total=None)

    async def told(progress: float, total: float | None = None, message: str | None = None) -> None:
        shown.update(task, completed=progress, total=total, description=message or "")

    given_up: list[str] = []
    _with_memory(read)
    for problem in given_up:
        typer.secho(f"! {problem}", fg="red", err=True)
    if given_up:
        raise typer.Exit(1)


def _used(usage: Usage | None) -> str:
    """Say what the model was asked meanwhile."""
    if usage is None or not usage.calls:
        return "Everything was read already; no model was asked."
    times = "once" if usage.calls == 1 else f"{usage.calls} times"
    return f"{usage.model} was asked {times}: {usage.input_tokens} tokens in, {usage.output_tokens} out."


@profile.command()
def template(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME_OR_PATH", help="A built-in template, or the path of a file of yours."),
    ] = None,
    yes: _Yes = False,
) -> None:
    """Show the template that sorts the lines into sections, or change it for the whole store.

    A change shows first which lines would move. None is lost.

    Example: mem1-mcp profile template medical
    """
    if name is None:
        _print(_with_memory(_template_shown))
        return
    wanted = load_template(name)

    async def look(memory: Memory, user: str) -> tuple[bool, list[_Line]]:
        same = await memory.kept_template() == wanted
        return same, list(_moves(await memory.profile(user), user, await memory.template(), wanted))

    same, lines = _with_memory(look)
    if same:
        typer.echo(f"The profiles of this store follow {wanted.name} already. Nothing was changed.")
        return
    titles = ", ".join(section.title_en for section in wanted.sections)
    _print([_Line(f"The sections of {wanted.name}: {titles}."), *lines])
    if _agreed(f"Have all profiles of this store follow {wanted.name}?", yes=yes):
        _with_memory(lambda memory, _: memory.change_template(wanted))
        typer.echo(f"All profiles of this store follow {wanted.name} now. No line was lost.")


async def _template_shown(memory: Memory, _: str) -> list[_Line]:
    in_force, kept = await memory.template(), await memory.kept_template()
    kind = "built in" if in_force.name in BUILT_IN else "a person's own"
    whence = "kept by this store" if kept else "what MEM1_PROFILE_TEMPLATE says; this store keeps none yet"
    lines = [_Line(_titled(in_force.name, in_force), "bold"), _Line(f"{kind}, {whence}"), _Line()]
    for section in in_force.sections:
        lasting = "lasting" if section.lasting else "for a while"
        lines.append(_Line(f"{_titled(section.key, section)} ({lasting})", mark="- "))
    lines += [_Line(), _Line("Built in, for `mem1-mcp profile template NAME`:", "bold")]
    lines += [_Line(_titled(each, load_template(each)), mark="- ") for each in BUILT_IN]
    differs = await memory.check_template()
    return lines if differs is None else [*lines, _Line(), _Line(differs, "yellow", "! ")]


def _titled(name: str, of: Template | Section) -> str:
    return f"{name}: {of.title_en} / {of.title_zh}"


def _moves(of: Profile, user: str, now: Template, then: Template) -> Iterator[_Line]:
    """Write which lines would come into another section."""
    moving = moves(of, now, then)
    number = sum(map(len, moving.values())) or "none"
    yield _Line(f"Of the {len(of.current)} lines of user {user}, {number} would move.", "bold")
    for (old, new), items in moving.items():
        yield _Line(f"{old.title_en} → {new.title_en}: {len(items)}")
        for item in items:
            yield _Line(f"{on_one_line(item.text)} [{item.id}]", mark="- ")


def _with_memory(use: Callable[[Memory, str], Awaitable[_Result]]) -> _Result:
    """Open the memory that the settings name, and use it for their user."""
    chosen = settings.load()

    async def used() -> _Result:
        async with app.open_memory(chosen) as memory:
            return await use(memory, chosen.user_id)

    return anyio.run(used)


def _agreed(question: str, *, yes: bool) -> bool:
    """Ask the person, unless they said yes before; say so where they disagree."""
    if not (yes or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise InvalidRequestError("Nobody can be asked here. Nothing was changed; --yes does it.")
    agreed = yes or typer.confirm(question)
    if not agreed:
        typer.echo("Nothing was changed.")
    return agreed


def _print(lines: Sequence[_Line]) -> None:
    """Print lines: with colours and as wide as the terminal, or as they are where there is none."""
    console = Console(markup=False, highlight=False) if sys.stdout.isatty() else None
    for line in lines:
        text = _without_steering(line.text)
        if console is None:
            typer.echo(line.mark + text)
            continue
        if not line.mark:
            console.print(Text(text), style=line.style, overflow="fold")
            continue
        grid = Table.grid()
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(line.mark, Text(text))
        console.print(grid, style=line.style)


def _without_steering(text: str) -> str:
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)
