"""A host's hooks file: this program's command in the list of each event, and nobody else's touched."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mem1_mcp.cli.hosts import jsonc
from mem1_mcp.cli.hosts.server import hook_line, hook_words
from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mem1_mcp.cli.hosts.catalogue import Hooks, Machine
    from mem1_mcp.cli.hosts.changes import Edit
    from mem1_mcp.cli.hosts.server import Server, Shape

# The program itself ends after three.
_SECONDS, _LAST_SECONDS = 10, 3  # Codex grants a session's end no more
_OWN = re.compile(r"(?:^|[\\/])mem1-mcp(?:\.exe)?$")


@dataclass(frozen=True, slots=True)
class HooksPart:
    """The command at each event of a host; see ``changes.Part``."""

    hooks: Hooks
    server: Server
    machine: Machine

    @property
    def file(self) -> Path:
        """Where the host's hooks are set."""
        return self.hooks.file(self.machine)

    def put(self, text: str) -> str:
        """Put the command at each event, in the place of earlier ones."""
        text = self._begun(text)
        for event in self.hooks.events:
            written = _entry(event, self.hooks, self.server, self.machine)
            there = [number for name, number in _ours(text) if name == event]
            if there:
                text = jsonc.put(text, ("hooks", event, there[0]), written)
            else:
                text = jsonc.append(text, ("hooks", event), written)
        return text

    def is_in(self, text: str) -> bool:
        """Whether a hooks file holds this program's command."""
        try:
            return bool(_ours(text))
        except InvalidRequestError:
            return False

    def drop(self, text: str) -> str:
        """Take the command out, and the lists that are empty then."""
        events = _ours(text)
        for event, number in reversed(events):
            text = jsonc.drop(text, ("hooks", event, number))
        for event in dict.fromkeys(event for event, _ in events):
            if not _listed(text).get(event):
                text = jsonc.drop(text, ("hooks", event))
        return jsonc.drop(text, ("hooks",)) if events and not _listed(text) else text

    def again(self, text: str) -> Edit:
        """Return what puts the same commands at the same events."""
        listed = _listed(text)
        commands = []
        for event, number in _ours(text):
            elements = listed[event]
            commands.append((event, elements[number] if isinstance(elements, list) else None))

        def put(other: str) -> str:
            other = self._begun(other)
            for event, command in commands:
                other = jsonc.append(other, ("hooks", event), command)
            return other

        return put

    def _begun(self, text: str) -> str:
        said = jsonc.read(text) if self.hooks.flat else None
        lacks = self.hooks.flat and (said is None or (isinstance(said, dict) and "version" not in said))
        return jsonc.put(text, ("version",), 1) if lacks else text


def _entry(event: str, hooks: Hooks, server: Server, machine: Machine) -> Shape:
    command: Shape = {"type": "command"}
    shell = hooks.windows if machine.platform == "win32" else "sh"
    if shell is None:
        words = hook_words(server)
        command |= {"command": words[0], "args": words[1:]}
    else:
        command |= {"command": hook_line(server, shell)}
    seconds = _LAST_SECONDS if event.lower() == "sessionend" else _SECONDS
    command |= {"timeout": seconds * 1000 if hooks.milliseconds else seconds}
    if hooks.flat:
        command.pop("type")
        return command
    return {"hooks": [command]}


def _listed(text: str) -> dict[str, object]:
    said = jsonc.read(text)
    hooks = said.get("hooks") if isinstance(said, dict) else None
    return hooks if isinstance(hooks, dict) else {}


def _ours(text: str) -> list[tuple[str, int]]:
    """Return events, and which of their elements run this program."""
    return [
        (event, number)
        for event, elements in _listed(text).items()
        if isinstance(elements, list)
        for number, element in enumerate(elements)
        if _runs_this(element)
    ]


def _runs_this(element: object) -> bool:
    if not isinstance(element, dict):
        return False
    inner = element.get("hooks")
    if isinstance(inner, list):
        return any(_runs_this(each) for each in inner)
    command, arguments = element.get("command"), element.get("args")
    if not isinstance(command, str):
        return False
    if isinstance(arguments, list):
        return _is_this([command, *arguments])
    return any(_is_this(words) for words in _split(command))


def _is_this(words: Sequence[object]) -> bool:
    return _OWN.search(str(words[0])) is not None and words[1:2] == ["hook"] if words else False


def _split(line: str) -> list[list[str]]:
    """Split a command into words as PowerShell, cmd and sh do."""
    powershell = [word.replace("''", "'") for word in re.findall(r"'((?:[^']|'')*)'", line)]
    cmd = [re.sub(r"\^(.)", r"\1", word) for word in re.findall(r"(?:\^.|[^\s^])+", line)]
    try:
        sh = shlex.split(line)
    except ValueError:
        sh = []
    return [powershell if line.startswith("& '") else [], cmd, sh]
