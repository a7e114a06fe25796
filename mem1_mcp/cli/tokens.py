"""``mem1-mcp token``: who may use the server over HTTP."""

from __future__ import annotations

import re
import sys
from datetime import datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table

from mem1_mcp import app, settings
from mem1_mcp.cli.configuration import http_configuration
from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.tokens import NewToken
from mem1_mcp.text.names import check_name

if TYPE_CHECKING:
    from mem1_mcp.memory.tokens import MadeToken
    from mem1_mcp.types import Token

tokens = typer.Typer(
    name="token", no_args_is_help=True, help="Make, list and revoke the tokens that HTTP clients send."
)

_LIFETIME = re.compile(r"(\d{1,5})([mhdw])")
_LONGEST = timedelta(days=36_500)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@tokens.command()
def create(
    user: Annotated[str | None, typer.Option(help="Whose memory the token opens.")] = None,
    service: Annotated[
        bool,
        typer.Option(
            "--service", help="For an agent framework: each request names its user in X-Mem1-User."
        ),
    ] = False,
    topic: Annotated[str | None, typer.Option(help="Topic of calls that name none.")] = None,
    name: Annotated[str, typer.Option(help="What the token is for, to know it by in the list.")] = "",
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 30d, 12h, or a date such as 2027-01-31. Else never.")
    ] = None,
) -> None:
    """Make a token and show it, this once: only a hash of it is kept."""
    if service == (user is not None):
        raise InvalidRequestError(
            "--user NAME or --service: say whose memory the token opens; one of them."
        )
    chosen = settings.load()
    asked = NewToken(
        user=None if user is None else _checked("--user", user),
        topic=None if topic is None else _checked("--topic", topic),
        name=_checked("--name", name) if name else "",
        expires_at=None if expires is None else _end(expires, chosen.zone, app.wall_clock()),
    )
    made = anyio.run(_create, chosen, asked)
    typer.echo(made.text)
    _explain(made, f"{_url(chosen)}/mcp")


def _url(chosen: settings.Settings) -> str:
    # Every address of the machine is none that a client can be told.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(chosen.http_host, chosen.http_host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{chosen.http_port or 'PORT'}"


def _explain(made: MadeToken, url: str) -> None:
    """Say on stderr what the token is good for, so that stdout is the token alone."""
    short = made.token.id
    told = f"This is token {short}. It is not shown again; `mem1-mcp token revoke {short}` ends it."
    if made.token.user is None:
        told += (
            "\nA request sends it as `Authorization: Bearer …`, and its user's name as `X-Mem1-User: …`."
        )
    else:
        told += f"\nFor a host that connects by URL:\n{http_configuration(url, made.text)}"
    typer.echo(told, err=True)


async def _create(chosen: settings.Settings, asked: NewToken) -> MadeToken:
    async with app.open_memory(chosen) as memory:
        made = memory.new_token(asked)
        await memory.keep_token(made.token)
        return made


@tokens.command("list")
def list_() -> None:
    """List the tokens: for whom, since when, until when. What they are is known to their holders only."""
    chosen = settings.load()
    found, now = anyio.run(_list, chosen)
    if not found:
        typer.echo("There are no tokens. `mem1-mcp token create --user NAME` makes one.")
        return
    console = Console(markup=False, width=None if sys.stdout.isatty() else 1000)
    table = Table("id", "user", "topic", "made", "ends", "for")
    for each in found:
        table.add_row(*_row(each, now, chosen.zone))
    console.print(table)


def _row(token: Token, now: int, zone: tzinfo) -> tuple[str, ...]:
    ends = "–" if token.expires_at is None else _day(token.expires_at, zone)
    if token.expires_at is not None and token.expires_at <= now:
        ends += " (over)"
    user = "as X-Mem1-User says" if token.user is None else token.user
    return token.id, user, token.topic or "–", _day(token.created_at, zone), ends, token.name or "–"


async def _list(chosen: settings.Settings) -> tuple[tuple[Token, ...], int]:
    async with app.open_memory(chosen) as memory:
        return await memory.tokens(), memory.clock()


@tokens.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `mem1-mcp token list` shows it.")],
) -> None:
    """End a token: the next request that sends it is refused, by every process on this memory."""
    # Whoever has the whole token at hand may give that.
    short = token_id.removeprefix("mem1_").partition("_")[0]
    if not anyio.run(app.revoke_token, settings.load(), short):
        raise InvalidRequestError(
            f"There is no token {short!r}. `mem1-mcp token list` shows those there are."
        )
    typer.echo(f"Token {short} is revoked.")


def _checked(option: str, text: str) -> str:
    try:
        return check_name(text)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{option}: {error}") from None


def _end(text: str, zone: tzinfo, now_ms: int) -> int:
    """Read when a token ends, as UTC milliseconds; a date counts to its end."""
    now = datetime.fromtimestamp(now_ms / 1000, zone)
    if short := _LIFETIME.fullmatch(text.strip()):
        lifetime = timedelta(**{_UNITS[short[2]]: int(short[1])})
    else:
        try:
            end = datetime.fromisoformat(text.strip())
        except ValueError:
            raise InvalidRequestError(
                f"--expires: {text[:32]!r} is no time. Write 30d, 12h, or a date such as 2027-01-31."
            ) from None
        if len(text.strip()) <= len("2027-01-31"):
            end = datetime.combine(end, time.max)
        lifetime = (end if end.tzinfo else end.replace(tzinfo=zone)) - now
    if lifetime <= timedelta(0):
        raise InvalidRequestError(f"--expires: {text[:32]!r} is over already. No token was made.")
    if lifetime > _LONGEST:
        raise InvalidRequestError(f"--expires: {text[:32]!r} is too far away; leave it out for no end.")
    return now_ms + lifetime // timedelta(milliseconds=1)


def _day(at: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at / 1000, zone):%Y-%m-%d %H:%M}"
