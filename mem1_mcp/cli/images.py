"""Commands about images: list, save, read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table

from mem1_mcp import app, settings
from mem1_mcp.cli.bar import progress_bar
from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.lines import at_local, on_one_line
from mem1_mcp.types import Scope, parse_message_id

if TYPE_CHECKING:
    from mem1_mcp import protocols
    from mem1_mcp.types import ImageFile, Stored

images = typer.Typer(name="images", no_args_is_help=True, help="The images that are remembered.")

_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}


@images.command("list")
def show(
    topic: Annotated[str | None, typer.Option(help="Of this topic only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many of the latest.")] = 50,
) -> None:
    """List the latest images, and what is known of each."""
    chosen = settings.load()
    listed = anyio.run(partial(_latest, chosen, topic, limit))
    table = Table("id", "said", "topic", "size", "description", "text in it", "caption")
    for stored in listed:
        image = stored.image
        assert image is not None  # noqa: S101 - the scope is images
        size = f"{image.width}×{image.height}, {image.size:,} bytes" if image.digest else "no file"
        told = [_short(each) for each in (image.description, image.text, image.caption)]
        when = f"{at_local(stored.said_at, chosen.zone):%Y-%m-%d %H:%M}"
        table.add_row(stored.id, when, stored.topic, f"{_short(image.filename)}\n{size}", *told)
    Console(markup=False).print(table)


async def _latest(chosen: settings.Settings, topic: str | None, limit: int) -> tuple[Stored, ...]:
    async with app.open_memory(chosen) as memory:
        return await memory.store.latest(Scope(chosen.user_id, topic, images=True), limit)


def _short(text: str | None) -> str:
    if text is None:
        return "not looked"
    # Whoever wrote it must not write to the terminal.
    shown = "".join(sign for sign in on_one_line(text) if sign.isprintable())
    return shown if len(shown) <= 80 else f"{shown[:80]}…"  # noqa: PLR2004


@images.command()
def save(
    image: Annotated[str, typer.Argument(help="Its id, such as m3.7.")],
    to: Annotated[Path, typer.Argument(help="A file that is not there yet, or a folder.")],
) -> None:
    """Write an image into a file."""
    chosen = settings.load()
    place = parse_message_id(image)
    found = None if place is None else anyio.run(partial(_file, chosen, place))
    if found is None:
        raise InvalidRequestError(
            f"There is no image {image} with a file; `mem1-mcp images list` shows which there are."
        )
    path = to / f"{image}{_ENDINGS[found.media_type]}" if to.is_dir() else to
    try:
        with path.open("xb") as written:
            written.write(found.data)
    except FileExistsError:
        raise InvalidRequestError(
            f"{path} is there already; nothing was written. Choose another name."
        ) from None
    except OSError as error:
        raise InvalidRequestError(f"{path} can't be written: {error.strerror}.") from error
    typer.echo(f"Saved {path}: {found.width}×{found.height}, {len(found.data):,} bytes.")


async def _file(chosen: settings.Settings, place: int) -> ImageFile | None:
    async with app.open_memory(chosen) as memory:
        return await memory.image(chosen.user_id, place)


@images.command()
def read() -> None:
    """Look at all images that nobody has looked at yet, here and now, and show how far it is.

    A server does the same in the background; this is for many at once after mem1-mcp[ocr] was installed
    or MEM1_VL_MODEL was set, and it tries again what was given up. It can be ended at any time.
    """
    chosen = settings.load()
    with progress_bar("images") as told:
        anyio.run(partial(_look, chosen, told))
    typer.echo(
        f"All images of user {chosen.user_id} were looked at; `mem1-mcp doctor` names those given up."
    )


async def _look(chosen: settings.Settings, told: protocols.Progress) -> None:
    async with app.open_memory(chosen) as memory:
        await memory.look_at_images(chosen.user_id, told)
