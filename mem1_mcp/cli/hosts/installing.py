"""What is to be done to add this server to a host, or to take it out: first planned, then done."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from mem1_mcp.cli.hosts import changes, jsonc, rules, toml
from mem1_mcp.cli.hosts.catalogue import is_there
from mem1_mcp.cli.hosts.hooking import HooksPart
from mem1_mcp.cli.hosts.own_commands import can_be_run
from mem1_mcp.cli.hosts.server import concealed
from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mem1_mcp.cli.hosts.catalogue import Host, Machine
    from mem1_mcp.cli.hosts.changes import Change, Edit, Part
    from mem1_mcp.cli.hosts.own_commands import Words
    from mem1_mcp.cli.hosts.server import Server, Shape

_PATIENCE_SECONDS = 120  # a host's program may start the server to see whether it answers
# What entries of this program are made of, in any host.
_OURS = frozenset(
    "type command args env environment url serverUrl httpUrl headers http_headers "
    "bearer_token_env_var".split()
)


@dataclass(frozen=True, slots=True)
class ServerPart:
    """The server among those of a host's file; see ``changes.Part``."""

    file: Path
    host: Host
    name: str
    entry: Shape

    def put(self, text: str) -> str:
        """Put the server in, beside what a person has added to it; what says the same stays as it is."""
        if self.is_current(text):
            return text
        return self._putting(self.entry | self._added(text))(text)

    def is_in(self, text: str) -> bool:
        """Whether the file holds a server of this name."""
        return self.found(text) is not None

    def drop(self, text: str) -> str:
        """Take the server out, as often as it stands there."""
        if self.host.toml:
            return toml.drop(text, self.host.key, self.name)
        while (without := jsonc.drop(text, (self.host.key, self.name))) != text:
            text = without
        return text

    def again(self, text: str) -> Edit:
        """Return what puts in the server as this text has it."""
        found = self.found(text)
        return self._putting(found if isinstance(found, dict) else self.entry)

    def is_current(self, text: str) -> bool:
        """Whether the file has the server as it is wanted; hosts write what is empty, too."""
        found = self.found(text)
        added = self._added(text)
        return isinstance(found, dict) and _filled(found) == _filled(self.entry | added)

    def settings(self) -> dict[str, str]:
        """Return the settings that the file's server has."""
        found = self.found(_text(self.file))
        named = [found.get(name) for name in ("env", "environment")] if isinstance(found, dict) else []
        return {key: str(each) for env in named if isinstance(env, dict) for key, each in env.items()}

    def has_additions(self) -> bool:
        """Whether the file's server has what this program does not write."""
        return bool(self._added(_text(self.file)))

    def others_with_hooks(self) -> list[str]:
        """Return the names of other servers in the file that were set up with hooks."""
        try:
            said = toml.read(_text(self.file)) if self.host.toml else jsonc.read(_text(self.file))
        except InvalidRequestError:
            return []
        servers = said.get(self.host.key) if isinstance(said, dict) else None
        names = [name for name in servers if name != self.name] if isinstance(servers, dict) else []
        return [name for name in names if "MEM1_HOOKS" in replace(self, name=name).settings()]

    def _added(self, text: str) -> Shape:
        """Return what a person, or the host, has added to the entry, such as that it is switched off."""
        found = self.found(text)
        if not isinstance(found, dict):
            return {}
        return {key: each for key, each in found.items() if key not in self.entry and key not in _OURS}

    def found(self, text: str) -> object:
        """Return the server as the text has it; ``None`` where it has none, or can't be read."""
        try:
            said = toml.read(text) if self.host.toml else jsonc.read(text)
        except InvalidRequestError:
            return None
        servers = said.get(self.host.key) if isinstance(said, dict) else None
        return servers.get(self.name) if isinstance(servers, dict) else None

    def _putting(self, entry: Shape) -> Edit:
        if self.host.toml:
            return lambda text: toml.put(text, self.host.key, self.name, entry)
        return lambda text: jsonc.put(text, (self.host.key, self.name), entry)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted beside the server; ``rules_file`` is another than the host's own."""

    hooks: bool = False
    rules: bool = False
    rules_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Installing:
    """Adds a server to a host, or takes it out. What is planned changes nothing until it is made."""

    host: Host
    server: Server
    machine: Machine

    @property
    def entry(self) -> Shape:
        """The server as the host writes it.

        Raises:
            InvalidRequestError: the host can't be given such a server.

        """
        entry = self.host.entry(self.server)
        if entry is None:
            raise InvalidRequestError(
                f"--url: {self.host.title} takes no address in its file. Leave --url out, or add the "
                "address in its own settings, under Connectors."
            )
        return entry

    def with_earlier_settings(self) -> Installing:
        """Return the same with the settings that the host's entry has; an empty one is taken out."""
        if self.server.url is not None:
            return self
        settings: dict[str, str] = {}
        for part in self.servers():
            settings |= part.settings()
        if not self.has_hooks():
            settings.pop("MEM1_HOOKS", None)  # somebody took the hooks out
        settings = {name: each for name, each in {**settings, **self.server.env}.items() if each}
        return replace(self, server=replace(self.server, env=settings))

    def shown(self) -> str:
        """Write the server as it stands in the host's file, to be pasted."""
        if self.host.toml:
            return toml.put("", self.host.key, self.server.name, self.entry)
        whole = {self.host.key: {self.server.name: self.entry}}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"

    def servers(self) -> list[ServerPart]:
        """Return the server's part in each of the host's files."""
        name, entry = self.server.name, self.entry
        return [ServerPart(file, self.host, name, entry) for file in self.host.files(self.machine)]

    def is_there(self) -> bool:
        """Whether the host has the server."""
        return any(part.is_in(_text(part.file)) for part in self.servers())

    def is_current(self) -> bool:
        """Whether the host has the server as it is wanted."""
        return all(part.is_current(_text(part.file)) for part in self.servers())

    def is_here(self) -> bool:
        """Whether the host seems to be on this machine."""
        files = self.host.files(self.machine)
        homes = [file if file.parent == self.machine.home else file.parent for file in files]
        return self._program() is not None or any(is_there(each) for each in homes)

    def standing(self) -> str:
        """Say in a word how the server stands in the host: not, well, or with its command gone."""
        for part in self.servers():
            found = part.found(_text(part.file))
            command = found.get("command") if isinstance(found, dict) else None
            program = command[0] if isinstance(command, list) and command else command
            if (
                isinstance(program, str)
                and shutil.which(program, path=self.machine.environ.get("PATH")) is None
            ):
                return "broken"
        return "yes" if self.is_there() else ""

    def has_hooks(self) -> bool:
        """Whether the host's hooks are set up."""
        return self.host.hooks is not None and self._hooks().is_in(_text(self._hooks().file))

    def has_rules(self) -> bool:
        """Whether the host's rules file has the lines."""
        return self.host.rules is not None and self._rules(None, hooks=False).is_in(
            _text(self._rules(None, hooks=False).file)
        )

    def own_commands(self) -> list[Words]:
        """Return the host's commands that add the server; none where it has none, or they can't do it."""
        program, own = self._program(), self.host.own
        line = own.add(self.server) if own else None
        if own is None or program is None or line is None or not can_be_run(program, line):
            return []
        if any(part.has_additions() for part in self.servers()):
            return []  # the host's command would drop them
        remove = None if own.replaces or not self.is_there() else own.remove(self.server.name)
        if remove and not can_be_run(program, remove):
            return []
        return [[program, *remove], [program, *line]] if remove else [[program, *line]]

    def own_removal(self) -> list[Words]:
        """Return the host's command that takes the server out, where there is one and it is needed."""
        program, own = self._program(), self.host.own
        line = own.remove(self.server.name) if own else None
        runs = program and line and can_be_run(program, line) and self.is_there()
        return [[program, *line]] if program and line and runs else []

    def changes(self, wanted: Wanted, *, with_server: bool) -> list[Change]:
        """Plan what is to be put into files."""
        parts: list[Part] = [*self.servers()] if with_server else []
        if wanted.hooks:
            if others := self.hooked_by():
                raise InvalidRequestError(
                    f"--with-hooks: the hooks of {self.host.title} keep what is said for {others[0]}. Take "
                    f"that out first (--name {others[0]} --undo), or leave --with-hooks out."
                )
            parts.append(self._hooks())
        if wanted.rules or wanted.rules_file:
            parts.append(self._rules(wanted.rules_file, hooks=wanted.hooks))
        known = dict(_by_file(self._parts(wanted.rules_file)))
        return [changes.plan(file, there, known.get(file, there)) for file, there in _by_file(parts)]

    def removals(self, rules_file: Path | None) -> list[Change]:
        """Plan what is to be taken out of files: all that is there of this program."""
        return [changes.undo(file, there) for file, there in _by_file(self._parts(rules_file))]

    def keep_copies(self) -> list[Path]:
        """Keep the host's files as they are, before its own command changes them; return where."""
        known = dict(_by_file(self._parts(None)))
        kept = [changes.keep_copy(part.file, known[part.file]) for part in self.servers()]
        return [copy for copy in kept if copy is not None]

    def _parts(self, rules_file: Path | None) -> list[Part]:
        """Return all that may be there of this program, but for hooks of another of its servers."""
        parts: list[Part] = [*self.servers()]
        if self.host.hooks is not None and not self.hooked_by():
            parts.append(self._hooks())
        if self.host.rules is not None:
            parts.append(self._rules(None, hooks=False))
        if rules_file is not None:
            parts.append(self._rules(rules_file, hooks=False))
        return parts

    def hooked_by(self) -> list[str]:
        """Return the names of other servers of this host's whose hooks these are."""
        return [name for part in self.servers() for name in part.others_with_hooks()]

    def _program(self) -> str | None:
        own = self.host.own
        return None if own is None else shutil.which(own.program, path=self.machine.environ.get("PATH"))

    def _hooks(self) -> HooksPart:
        if self.host.hooks is None:
            raise InvalidRequestError(
                f"--with-hooks: {self.host.title} runs no command at a turn that could reach its model. "
                "Leave it out; --with-rules helps its model to think of the tools."
            )
        return HooksPart(self.host.id, self.host.hooks, self.server, self.machine)

    def _rules(self, file: Path | None, *, hooks: bool) -> Part:
        if file is None and self.host.rules is None:
            raise InvalidRequestError(
                f"--with-rules: {self.host.title} keeps no rules in a file. Paste what `mem1-mcp install "
                f"{self.host.id} --print --with-rules` prints into its settings, or name a file of your "
                "project by --rules-file."
            )
        front = self.host.rules_front if file is None else ""
        path = file or (self.host.rules(self.machine) if self.host.rules else None)
        assert path is not None  # noqa: S101 - as was just seen
        return rules.RulesPart(path, rules.block(self.server.name, hooks=hooks), front)


def _filled(entry: Shape) -> Shape:
    return {name: value for name, value in entry.items() if value not in ([], {})}


def run(lines: Sequence[Words], server: Server) -> str | None:
    """Run a host's own commands; return what went wrong, where something did, without the secrets in it."""
    for line in lines:
        try:
            done = subprocess.run(  # noqa: S603 - the host's own program, found by its name
                line,
                capture_output=True,
                timeout=_PATIENCE_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return concealed(f"{line[0]}: {getattr(error, 'strerror', None) or 'it does not end'}", server)
        if done.returncode:
            said = concealed((done.stderr or done.stdout).decode(errors="replace").strip(), server)
            return f"{line[0]} ended with {done.returncode}: {said[-500:]}"
    return None


def _by_file(parts: Sequence[Part]) -> list[tuple[Path, list[Part]]]:
    """Put together what goes into one file, so that it is changed once."""
    ordered = sorted(parts, key=lambda part: str(part.file))
    return [(file, list(there)) for file, there in groupby(ordered, key=lambda part: part.file)]


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return ""
