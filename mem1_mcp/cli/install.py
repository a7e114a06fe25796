"""The command that adds this server to a host, or takes it out."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mem1_mcp import settings
from mem1_mcp.cli.configuration import command_path, typed_command
from mem1_mcp.cli.hosts import installing, rules
from mem1_mcp.cli.hosts.catalogue import HOSTS, Machine
from mem1_mcp.cli.hosts.installing import Installing, Wanted
from mem1_mcp.cli.hosts.server import Server, concealed, concealed_line
from mem1_mcp.errors import InvalidRequestError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mem1_mcp.cli.hosts.catalogue import Host
    from mem1_mcp.cli.hosts.changes import Change

_DEFAULT_NAME = "mem1"
_ELSEWHERE = (
    "a server that runs already has settings of its own, and hooks keep what is said in the memory of this "
    "machine."
)
_LONG_LINE = 300  # of a file that a program wrote, on one line
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?')
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_EXPLANATION = """Add this server to a host: Claude Desktop, Claude Code, Cursor, VS Code, Codex and others.

{how}

Examples:

  mem1-mcp install claude-desktop

  mem1-mcp install claude-code --with-hooks --env MEM1_TIMEZONE=Asia/Shanghai

  mem1-mcp install cursor --dry-run

  mem1-mcp install vscode --url http://127.0.0.1:8765/mcp --token "$TOKEN"
"""
_HOW = (
    "Without a name it lists the hosts, and which of them have it. Where a host has a command of its own "
    "for this, that is run; else its file is changed, shown as a diff, with a copy of the file beside it. "
    "Nothing else in the file changes, comments stay. `--undo` takes everything out again."
)


def install(  # noqa: PLR0913, PLR0917 - options, each by its name
    host: Annotated[str | None, typer.Argument(help="The host; none lists them.")] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting for this server; may be given again. Others stay; `NAME=` takes one out.",
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Connect to a server that runs already, such as …/mcp.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="Its token (`mem1-mcp token create`).")] = None,
    name: Annotated[str, typer.Option(help="What the host calls it.")] = _DEFAULT_NAME,
    with_hooks: Annotated[
        bool,
        typer.Option(
            "--with-hooks", help="Have the host keep and recall at each turn, whatever its model does."
        ),
    ] = False,
    with_rules: Annotated[
        bool,
        typer.Option("--with-rules", help="Tell its model of the memory in the rules file of all chats."),
    ] = False,
    rules_file: Annotated[
        Path | None, typer.Option(help="Tell it in this file instead, such as ./AGENTS.md.")
    ] = None,
    by_file: Annotated[
        bool, typer.Option("--by-file", help="Change the host's file, also where it has a command.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the server, hooks and rules out.")] = False,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print what to paste by hand; change nothing.")
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Print a link that adds it by a click (Cursor, VS Code).")
    ] = False,
) -> None:
    """Add this server to a host."""
    machine = Machine()
    if host is None:
        _list(machine, name)
        return
    chosen = _host(host)
    server = _server(name, env or [], url, token, chosen.id if with_hooks else None)
    what = Installing(chosen, server, machine)
    wanted = Wanted(with_hooks, with_rules, rules_file)
    if link:
        if what.host.link is None:
            raise InvalidRequestError(f"--link: {what.host.title} opens no such links. Leave it out.")
        typer.echo(what.host.link(server))
    elif print_only:
        typer.echo(what.shown(), nl=False)
        if with_rules or rules_file:
            typer.echo(rules.block(name, hooks=with_hooks), nl=False)
    elif undo:
        _undo(what, rules_file, by_file=by_file, dry_run=dry_run)
    else:
        _install(what.with_earlier_settings(), wanted, by_file=by_file, dry_run=dry_run)


install.__doc__ = _EXPLANATION.format(how=_HOW)


def _install(what: Installing, wanted: Wanted, *, by_file: bool, dry_run: bool) -> None:
    # What was set up before is brought up to date with the server.
    hooks = wanted.hooks or (what.has_hooks() and not what.hooked_by())
    if hooks and what.server.url is not None:
        raise InvalidRequestError(f"--url: {_ELSEWHERE} Take the hooks out first: --undo.")
    wanted = replace(wanted, hooks=hooks, rules=wanted.rules or what.has_rules())
    lines = [] if by_file or what.is_current() else what.own_commands()
    # Whatever can't be done is found before anything is.
    planned = what.changes(wanted, with_server=not lines)
    _tell(what.server, lines, planned if not lines or dry_run else ())
    if dry_run:
        typer.echo("Nothing was changed.")
        return
    if lines:
        _tell_copies(what.keep_copies())
        failed = installing.run(lines, what.server)
        if failed or not what.is_current():
            wrong = "has it otherwise" if what.is_there() else "has no such server"
            why = failed or f"it said nothing was wrong, but its file {wrong}"
            typer.echo(f"That failed: {why}\nIts file is changed instead:", err=True)
        planned = what.changes(wanted, with_server=not what.is_current())
        _tell(what.server, (), planned)
    _make(planned)
    title = what.host.title
    if not lines and all(change.is_none for change in planned):
        typer.echo(
            f"{title} has it already; nothing was changed. Where its tools don't show up, restart it."
        )
        return
    typer.echo(f"\n{title} has {what.server.name} now. {what.host.afterwards}")
    if not what.is_here():
        typer.echo(f"{title} was not found on this machine; the entry waits for it.")
    for told in settings.unknown_names(what.server.env):
        typer.echo(f"In the host's settings: {told}. `--env NAME=` takes one out.", err=True)
    if wanted.hooks and what.host.hooks and what.host.hooks.afterwards:
        typer.echo(what.host.hooks.afterwards)
    typer.echo(
        "Then say “Remember that I take my coffee with oat milk” or “记住，我的咖啡要加燕麦奶”, open a new "
        "chat, and ask; where the host asks first, allow remember and recall. To take it out again: "
        f"{_undoing(what, wanted)}"
    )


def _undoing(what: Installing, wanted: Wanted) -> str:
    name = "" if what.server.name == _DEFAULT_NAME else f" --name {what.server.name}"
    rules_file = "" if wanted.rules_file is None else f" --rules-file {shlex.quote(str(wanted.rules_file))}"
    return f"{typed_command()} install {what.host.id}{name}{rules_file} --undo"


def _undo(what: Installing, rules_file: Path | None, *, by_file: bool, dry_run: bool) -> None:
    lines = [] if by_file else what.own_removal()
    planned = what.removals(rules_file)
    if not lines and all(change.is_none for change in planned):
        typer.echo(f"{what.host.title} has nothing of {what.server.name}; nothing was changed.")
        return
    _tell(what.server, lines, planned if not lines or dry_run else ())
    if dry_run:
        typer.echo("Nothing was changed.")
        return
    if lines:
        if failed := installing.run(lines, what.server):
            typer.echo(f"That failed: {failed}\nIts file is changed instead:", err=True)
        planned = what.removals(rules_file)
        _tell(what.server, (), planned)
    _make(planned)
    for copy in (change.copy for change in planned if change.copy.exists()):
        typer.echo(f"As the file was before, it is still at {copy}; remove that when you need it no more.")
    typer.echo(
        f"\n{what.host.title} has {what.server.name} no more. The memory is untouched: "
        f"`{typed_command()} doctor` says where it lies."
    )


def _make(planned: Sequence[Change]) -> None:
    for change in planned:
        change.make()
    _tell_copies([change.copy for change in planned if change.copies])


def _tell_copies(copies: Sequence[Path]) -> None:
    for copy in copies:
        typer.echo(f"The file as it was: {copy}")


def _tell(server: Server, lines: Sequence[Sequence[str]], planned: Sequence[Change]) -> None:
    """Show what is done, without the secrets in it."""
    for line in lines:
        typer.echo(f"$ {concealed_line(line, server)}")
    for change in planned:
        for line in _without_others(concealed(change.diff(), server).splitlines()):
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            typer.secho(line, fg=colour)


def _without_others(diff: Sequence[str]) -> list[str]:
    """Leave out of a diff what it says of other servers: their values may be secrets."""
    removed, added = ({line[1:].rstrip(", ") for line in diff[2:] if line[0] == sign} for sign in "-+")
    shown = []
    for line in diff:
        if len(line) > _LONG_LINE:
            line = f"{line[0]} … a line of {len(line)} characters, with the entry in it"  # noqa: PLW2901
        elif line[0] == " " or line[1:].rstrip(", ") in removed & added:
            line = _TEXT.sub(lambda text: text[0] if text[1] else '"…"', line)  # noqa: PLW2901
        shown.append(line)
    return shown


def _host(named: str) -> Host:
    plain = re.sub(r"[\s_]+", "-", named.strip().lower())
    if plain in HOSTS:
        return HOSTS[plain]
    near = difflib.get_close_matches(
        plain, [*HOSTS, *(each.replace("-", "") for each in HOSTS)], cutoff=0.5
    )
    names = [each for each in HOSTS if each in near or each.replace("-", "") in near or plain in each]
    guess = f" Did you mean {' or '.join(names)}?" if names else ""
    raise InvalidRequestError(
        f"mem1-mcp knows no host {named}.{guess} Known are {', '.join(HOSTS)}. Any other takes what "
        f"`{typed_command()} config` prints, in its list of MCP servers."
    )


def _server(name: str, env: Sequence[str], url: str | None, token: str | None, hooks: str | None) -> Server:
    pairs: dict[str, str] = {}
    for each in env:
        key, sign, value = each.partition("=")
        if not sign:
            raise InvalidRequestError("--env: write NAME=VALUE, with the = between.")
        pairs[key] = value
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            "--name: up to 32 letters, digits, - and _; hosts put it before each tool."
        )
    if url is not None and not re.fullmatch(r"https?://\S+", url):
        raise InvalidRequestError("--url: write it whole, such as http://127.0.0.1:8765/mcp.")
    if url is None and token is not None:
        raise InvalidRequestError("--token goes with --url.")
    if url is not None and (pairs or hooks):
        raise InvalidRequestError(f"--url: {_ELSEWHERE} Leave out --env and --with-hooks, or --url.")
    given = {key: value for key, value in pairs.items() if value}
    foreign = [f"{key} is no setting" for key in given if not key.startswith(settings.PREFIX)]
    if unknown := settings.unknown_names(given) or foreign:
        raise SettingsError(f"--env: {'; '.join(unknown)} (docs/settings.md lists them all).")
    settings.load({**os.environ, **pairs})
    if hooks:
        pairs = {**pairs, "MEM1_HOOKS": hooks}
    return Server(name, command_path(), pairs, url, token)


def _list(machine: Machine, name: str) -> None:
    table = Table()
    table.add_column("host", no_wrap=True)
    for heading in ("here", "has it", "hooks", "rules"):
        table.add_column(heading)
    table.add_column("file", overflow="fold")  # to be copied
    server = Server(name, command_path())
    for host in HOSTS.values():
        what = Installing(host, server, machine)
        files = host.files(machine)
        hooks = "–" if host.hooks is None else "yes" if what.has_hooks() else "can"
        ruled = "–" if host.rules is None else "yes" if what.has_rules() else "can"
        marks = ["yes" if what.is_here() else "", what.standing()]
        shown = [str(file).replace(str(machine.home), "~", 1) for file in files]
        table.add_row(host.id, *marks, hooks, ruled, "\n".join(shown))
    Console(markup=False).print(table)
    typer.echo(f"Add it to one with `{typed_command()} install HOST`; `--help` says what else there is.")
