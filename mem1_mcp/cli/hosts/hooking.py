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

    Place = tuple[jsonc.Step, ...]

# The program itself ends after three.
_SECONDS, _LAST_SECONDS = 10, 3  # Codex grants a session's end no more
_OWN = re.compile(r"(?:^|[\\/])mem1-mcp(?:\.exe)?$")


@dataclass(frozen=True, slots=True)
class HooksPart:
    """The command at each event of a host; see ``changes.Part``."""

    host: str
    hooks: Hooks
    server: Server
    machine: Machine

    @property
    def file(self) -> Path:
        """Where the host's hooks are set."""
        return self.hooks.file(self.machine)

    def put(self, text: str) -> str:
        """Put the command at each event, in the place of an earlier one."""
        text = self._begun(text)
        for event in self.hooks.events:
            command = self._command(event)
            there = [path for path in _ours(text) if path[1] == event]
            if there:
                text = jsonc.put(text, there[0], command)
            else:
                text = jsonc.append(text, ("hooks", event), command if self.hooks.flat else _group(command))
        return text

    def is_in(self, text: str) -> bool:
        """Whether a hooks file holds this program's command."""
        try:
            return bool(_ours(text))
        except InvalidRequestError:
            return False

    def drop(self, text: str) -> str:
        """Take the command out, and the groups and lists that are empty then."""
        ours = _ours(text)
        for path in reversed(ours):
            text = jsonc.drop(text, path)
            for parent in (path[:3], path[:2], path[:1]):
                if _is_empty(_at(jsonc.read(text), parent)):
                    text = jsonc.drop(text, parent)
        return text

    def again(self, text: str) -> Edit:
        """Return what puts the same commands at the same events."""
        said = jsonc.read(text)
        elements = []
        for path in _ours(text):
            element = _at(said, path[:3])
            shared = len(path) > 3 and len(_inner(element)) > 1  # noqa: PLR2004 - a command in a group
            elements.append((path[:2], _group(_at(said, path)) if shared else element))

        def put(other: str) -> str:
            other = self._begun(other)
            for where, element in elements:
                other = jsonc.append(other, where, element)
            return other

        return put

    def _command(self, event: str) -> Shape:
        command: Shape = {} if self.hooks.flat else {"type": "command"}
        shell = self.hooks.windows if self.machine.platform == "win32" else "sh"
        if shell is None:
            words = hook_words(self.server, self.host)
            command |= {"command": words[0], "args": words[1:]}
        else:
            command |= {"command": hook_line(self.server, self.host, shell)}
        seconds = _LAST_SECONDS if event.lower() == "sessionend" else _SECONDS
        return command | {"timeout": seconds * 1000 if self.hooks.milliseconds else seconds}

    def _begun(self, text: str) -> str:
        said = jsonc.read(text) if self.hooks.flat else None
        lacks = self.hooks.flat and (said is None or (isinstance(said, dict) and "version" not in said))
        return jsonc.put(text, ("version",), 1) if lacks else text


def _group(command: object) -> Shape:
    return {"hooks": [command]}


def _inner(element: object) -> list[object]:
    """Return the commands of a group; none of what is no group."""
    inner = element.get("hooks") if isinstance(element, dict) else None
    return inner if isinstance(inner, list) else []


def _at(said: object, path: Place) -> object:
    for step in path:
        if isinstance(said, dict):
            said = said.get(step)
        elif isinstance(said, list) and isinstance(step, int) and step < len(said):
            said = said[step]
        else:
            return None
    return said


def _is_empty(said: object) -> bool:
    return said in ({}, []) or (isinstance(said, dict) and said.get("hooks") == [])


def _ours(text: str) -> list[Place]:
    """Return where this program's commands stand: in an event's list, or in a group of it."""
    listed = _at(jsonc.read(text), ("hooks",))
    found: list[Place] = []
    for event, elements in listed.items() if isinstance(listed, dict) else ():
        for number, element in enumerate(elements if isinstance(elements, list) else ()):
            place = ("hooks", event, number)
            found += [place] if _runs_this(element) else []
            found += [(*place, "hooks", at) for at, each in enumerate(_inner(element)) if _runs_this(each)]
    return found


def _runs_this(element: object) -> bool:
    if not isinstance(element, dict):
        return False
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
