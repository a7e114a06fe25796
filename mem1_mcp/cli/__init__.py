"""The command line. Without arguments it serves a host over stdio, and imports nothing for people."""

from __future__ import annotations

import gc
import io
import logging
import sys

from mem1_mcp.errors import Mem1Error


def main() -> None:
    """Run the command that the arguments name."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from importlib.metadata import version  # a tenth of the start of what needs none

        sys.stdout.write(f"mem1-mcp {version('mem1-mcp')}\n")
        return
    try:
        if arguments and arguments[0] != "hook":
            from mem1_mcp.cli.commands import program  # draws tables, which takes time

            # A console of another encoding shows a question mark, and no traceback.
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(errors="replace")
            # A command says itself what failed; a server has a log of its own.
            logging.getLogger("mem1_mcp").addHandler(logging.NullHandler())
            program()
            return
        # Nothing that is imported becomes garbage; looking for some takes a tenth of the start.
        gc.disable()
        if arguments:
            from mem1_mcp.cli import hook  # hosts run it at every turn: it imports no server

            hook.run(arguments[1:])
            return
        if sys.stdin is not None and sys.stdin.isatty():
            sys.stderr.write(
                "mem1-mcp waits for a host on standard input. Hosts start it themselves: see `mem1-mcp "
                "install`. Ctrl+C ends it.\n"
            )
        from mem1_mcp import app, settings  # --version needs neither

        app.serve_stdio(settings.load())
    except Mem1Error as error:
        sys.stderr.write(f"mem1-mcp: {error}\n")
        sys.exit(1)
