"""The command that a host runs at every turn: it has to start fast, fail silently and block nothing."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from mem1_mcp.hook import events

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_TOKENS = 500
_SECONDS = 2.8  # that a host's user waits at most, at any turn; Codex ends some after three
_EXPLANATION = """\
Keeps what was said at this turn and prints what the model should know, for Claude Code, Codex, Gemini
CLI, Qwen Code and Cursor. `mem1-mcp install HOST --with-hooks` sets it up; nobody has to call it by hand.
It reads one JSON object from standard input, as the host documents it for its hooks:

  echo '{"hook_event_name": "SessionStart", "session_id": "1", "source": "startup"}' | mem1-mcp hook

It always ends with 0 and within three seconds. What the store can't take now waits in the memory's folder
and is kept at the next turn; `mem1-mcp doctor` counts it.
"""


def run(arguments: list[str]) -> None:
    """Handle one event from standard input; ends the process with 0, whatever comes in."""
    timer = threading.Timer(_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()
    try:
        given = _parser().parse_args(arguments)
        event = events.read(_told())
        if event is None or _is_told_twice(event):
            return
        from mem1_mcp import app, settings  # what follows takes time, and many events end above

        # What fails is told once, below; without a handler warnings would be told, too.
        logging.getLogger("mem1_mcp").addHandler(logging.NullHandler())
        chosen = settings.load({**os.environ, **dict(given.env)})
        app.run_hook(chosen, event, given.host, given.max_tokens)
    except argparse.ArgumentError as error:
        sys.stderr.write(f"mem1-mcp hook: {error}\n")
    except Exception as error:  # noqa: BLE001 - a host must go on, whatever comes in here
        sys.stderr.write(f"mem1-mcp hook: nothing was kept. {error}\n")


def _told() -> Mapping[str, object]:
    """Return what a host says, as soon as it is whole: some keep standard input open behind it."""
    given = b""
    while read := os.read(sys.stdin.fileno(), 1 << 20):
        given += read
        if given.rstrip().endswith(b"}"):
            with contextlib.suppress(ValueError):
                return events.parse(given)
    return events.parse(given)


def _is_told_twice(event: events.Event) -> bool:
    """Whether Cursor runs a hook that is Claude Code's: it has hooks of its own."""
    in_cursor = "CURSOR_VERSION" in os.environ and "CLAUDECODE" not in os.environ
    return in_cursor and event.name[0].isupper()


class _Forgiving(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise argparse.ArgumentError(None, message)


def _parser() -> argparse.ArgumentParser:
    # By itself it would end with 2, which tells most hosts to throw the person's prompt away.
    parser = _Forgiving(
        "mem1-mcp hook", description=_EXPLANATION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--env",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="A setting, as the host's configuration of the server has it. May be given several times.",
    )
    parser.add_argument("--host", default="", help="Which host runs it, as `install` names it.")
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=_MAX_TOKENS,
        help=f"What is put before the model at one turn, at most; default {_MAX_TOKENS}, 0 is nothing.",
    )
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError("write NAME=VALUE")
    return name, value
