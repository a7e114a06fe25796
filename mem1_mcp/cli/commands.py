"""Commands for people."""

from __future__ import annotations

import platform
import sys
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table

from mem1_mcp import app, settings
from mem1_mcp.cli.bar import progress_bar
from mem1_mcp.cli.configuration import command_path, host_configuration
from mem1_mcp.cli.images import images
from mem1_mcp.cli.install import install
from mem1_mcp.cli.profile import profile
from mem1_mcp.cli.tokens import tokens
from mem1_mcp.errors import ModelError, SettingsError, StoreError
from mem1_mcp.hook import waiting as hook_words
from mem1_mcp.types import Health

if TYPE_CHECKING:
    from mem1_mcp import protocols
    from mem1_mcp.memory import Memory, Model

program = typer.Typer(
    name="mem1-mcp",
    no_args_is_help=False,
    add_completion=False,
    help="Long-term memory for any MCP host. Without a command it serves a host over stdio, which is "
    "what a host's configuration starts; `mem1-mcp install` writes that configuration. "
    "`mem1-mcp serve --http` serves many hosts and users by URL.",
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"mem1-mcp {version('mem1-mcp')}")
        raise typer.Exit


@program.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            is_eager=True,
            callback=lambda v: _print_version(wanted=v),
        ),
    ] = False,
) -> None:
    pass


@program.command()
def serve(
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP: /mcp (streamable HTTP), /sse and /health.")
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [MEM1_HTTP_HOST, default 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one. [MEM1_HTTP_PORT, 8765]")
    ] = None,
    no_auth: Annotated[
        bool,
        typer.Option("--no-auth", help="Ask for no token: every program on this machine is one user."),
    ] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="auto, or legacy for hosts that stumble over versions after 2025-11-25."),
    ] = None,
) -> None:
    """Serve a host over stdio, the same as without a command; or many over HTTP.

    Over HTTP each request carries a token (`mem1-mcp token create`). The first start makes one and says
    in which file it is. Ctrl+C ends the server; so does the end of stdin, where that is a pipe.
    """
    if not http and (host is not None or port is not None or no_auth):
        raise SettingsError("--host, --port and --no-auth go with --http.")
    chosen = settings.load(http_host=host, http_port=port, protocol=protocol)
    if http:
        app.serve_http(chosen, asking_for_tokens=not no_auth)
    else:
        app.serve_stdio(chosen)


@program.command()
def config() -> None:
    """Print the configuration to paste into a host, with this program's own path."""
    typer.echo(host_configuration(command_path()))


@program.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def hook(context: typer.Context) -> None:
    """Keep and recall at a host's turn; hosts call this, see `mem1-mcp hook --help`."""
    from mem1_mcp.cli import hook as command  # which is usually run without what draws tables

    command.run(context.args)


program.command()(install)
program.add_typer(profile)
program.add_typer(images)
program.add_typer(tokens)


@program.command()
def embed() -> None:
    """Make the vectors that messages have none of yet, here and now, and show how far it is.

    A server does the same in the background; this is for a large memory after MEM1_EMBEDDINGS was set
    or the model changed. It can be ended at any time: what was made is kept.
    """
    chosen = settings.load()
    with progress_bar("calls of remember") as told:
        anyio.run(partial(_embed, chosen, told))
    typer.echo(f"All messages of user {chosen.user_id} have vectors.")


async def _embed(chosen: settings.Settings, told: protocols.Progress) -> None:
    async with app.open_memory(chosen) as memory:
        await memory.make_vectors(chosen.user_id, told)


@program.command()
def doctor() -> None:
    """Show the settings in force and whence, where memories lie, versions, and the store's health.

    Ends with 1 when something is wrong, and says what to do.
    """
    chosen = settings.load()
    # Where no person looks, lines are not broken: paths are there to be copied.
    console = Console(markup=False, width=None if sys.stdout.isatty() else 1000)
    console.print(_settings_table(chosen))
    health = anyio.run(_health, chosen)
    console.print(_facts_table(health))
    problems = [*settings.unknown_names(), *health.problems]
    for problem in problems:
        console.print("!", problem, style="bold red", highlight=False)
    if problems:
        raise typer.Exit(1)
    console.print("Everything is in order.", style="green")


async def _health(chosen: settings.Settings) -> Health:
    """Look everything over; the template of the store is left as it is."""
    async with app.open_memory(chosen) as memory:
        found = [await memory.health(chosen.user_id), await _template_told(memory)]
        found.append(await _model_told(memory.model))
        found.append(await _eyes_told(memory, chosen))
    found.append(_waiting_told(chosen))
    # Two may say the same: that a file can't be read.
    problems = dict.fromkeys(problem for each in found for problem in each.problems)
    return Health(tuple(fact for each in found for fact in each.facts), tuple(problems))


def _waiting_told(chosen: settings.Settings) -> Health:
    """Tell of what hooks could not keep yet, and of what the store will never take."""
    waiting, refused = hook_words.count(chosen.memory_dir)
    if not waiting and not refused:
        return Health()
    told = f"{waiting} waiting, {refused} refused"
    cure = "a next turn keeps what waits; look at what is refused, and remove it"
    place = hook_words.where(chosen.memory_dir)
    problem = f"Words of hosts' turns are not in the store ({told}) but in {place}; {cure}."
    return Health((("words of hooks", told),), (problem,))


async def _template_told(memory: Memory) -> Health:
    try:
        kept, differs = await memory.kept_template(), await memory.check_template()
    except StoreError as error:
        return Health(problems=(str(error),))
    if kept is None:
        return Health((("template", f"{memory.configured_template.name}; the store keeps none yet"),))
    return Health((("template", f"{kept.name}, kept by the store"),), () if differs is None else (differs,))


async def _model_told(model: Model | None) -> Health:
    """Ask the model, if one is set, whether it answers."""
    if model is None:
        none = "none; the profile holds what hosts tell as facts"
        return Health((("model", f"{none}; MEM1_LLM_MODEL names one that also reads the conversations"),))
    return await _answers("model", model)


async def _eyes_told(memory: Memory, chosen: settings.Settings) -> Health:
    """Tell what looks at images."""
    reading = "read on this machine"
    if not memory.jobs.can_do("ocr"):
        reading = "not read; " + ("MEM1_OCR=none" if chosen.ocr == "none" else 'install "mem1-mcp[ocr]"')
    told = Health((("text in images", reading),))
    if memory.seeing is None:
        return Health(
            (*told.facts, ("vision model", "none; MEM1_VL_MODEL names one that describes images"))
        )
    seeing = await _answers("vision model", memory.seeing)
    return Health((*told.facts, *seeing.facts), seeing.problems)


async def _answers(what: str, model: Model) -> Health:
    name = f"{model.name} at {model.address or 'OpenAI'}"
    try:
        answer = await model.check()
    except ModelError as error:
        told = str(error)
        return Health(((what, f"{name} gives no answer"),), (f"{told[:1].upper()}{told[1:]}.",))
    tokens = f"{answer.input_tokens} tokens in, {answer.output_tokens} out"
    return Health(((what, f"{name} answers ({tokens})"),))


def _settings_table(chosen: settings.Settings) -> Table:
    table = Table("setting", title="Settings", title_justify="left")
    table.add_column("value", overflow="fold")  # paths are there to be copied
    table.add_column("from")
    given = chosen.set_by_environment
    for name in settings.Settings.model_fields:
        value = getattr(chosen, name)
        if name == "storage_backend" and value is None:
            value = chosen.backend
        if name == "timezone" and value is None:
            value = f"{chosen.zone} (this machine's)"
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        shown = "–" if value in (None, "") else str(value)
        whence = "environment" if name in given else "default"
        table.add_row(f"{settings.PREFIX}{name.upper()}", shown, whence)
    return table


def _facts_table(health: Health) -> Table:
    table = Table("what", title="State", title_justify="left")
    table.add_column("value", overflow="fold")
    table.add_row("mem1-mcp", version("mem1-mcp"))
    table.add_row("Python", f"{platform.python_version()} on {platform.system()}")
    table.add_row("MCP SDK", version("mcp"))
    for name, value in health.facts:
        table.add_row(name, value)
    return table
