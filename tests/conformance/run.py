"""Hold the server to the official conformance suite, in both revisions it speaks.

    python -m tests.conformance.run --node NODE --suite FOLDER [--only real|fixture]

Two applications are started as processes. The real one lacks nearly everything the scenarios ask for,
so its list of expected failures is long and what it passes is what its own features do. The fixture
application has it all, so a failure there means that something around the SDK broke it.

The lists are ``APPLICATION-REVISION.yml`` beside this file. The suite judges those scenarios that a
revision requires by the list ``server``; the others it runs and shrugs at, so they are judged here, in
the same way, by the list ``not_scored``. No list excuses a message that the protocol's schema forbids.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "out" / "conformance"
REVISIONS = ("2025-11-25", "2026-07-28")
APPLICATIONS = {
    "real": ("mem1_mcp", "serve", "--http", "--no-auth", "--port"),
    "fixture": ("tests.conformance.app", "--port"),
}
START_SECONDS = 60
STOP_SECONDS = 10
SUITE_SECONDS = 600
WIRE = "wire-schema-valid"
RED, PLAIN = "\033[1;31m", "\033[0m"

Verdict = Literal["passed", "failed", "expected"]


@dataclass(frozen=True, slots=True)
class Checks:
    """What the suite recorded of one scenario; a repeated check counts by its worst occurrence."""

    failing: dict[str, str]
    passing: frozenset[str]

    @classmethod
    def of(cls, recorded: list[dict[str, Any]]) -> Checks:
        """Sort the records; a warning is a failure, as in the suite's own comparison with a list."""
        failing = {
            check["id"]: check.get("errorMessage") or check.get("description", "")
            for check in recorded
            if check["status"] in ("FAILURE", "WARNING")
        }
        passing = {check["id"] for check in recorded if check["status"] == "SUCCESS"}
        return cls(failing, frozenset(passing - failing.keys()))


@dataclass(slots=True)
class Outcome:
    """What one application did in one revision; nothing in ``problems`` means that the gate is open."""

    application: str
    revision: str
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    checks_passed: int = 0
    checks_failed: int = 0
    wire_valid: int = 0
    wire_invalid: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, scenario: str, checks: Checks, listed: frozenset[str]) -> None:
        """Judge one scenario by the entries that a list has for it."""
        self.checks_passed += len(checks.passing)
        self.checks_failed += len(checks.failing)
        self.wire_valid += WIRE in checks.passing
        if WIRE in checks.failing:
            self.wire_invalid += 1
            self.problems.append(f"{scenario} sent what the schema forbids: {checks.failing[WIRE]}")
        named = {entry.removeprefix(f"{scenario}:") for entry in listed}
        whole = scenario in listed
        excused = checks.failing.keys() if whole else checks.failing.keys() & named
        stale = named if whole and not checks.failing else checks.passing & named
        unexcused = {check: why for check, why in checks.failing.items() if check not in excused}
        self.problems += [f"{scenario}:{check} failed: {why}" for check, why in unexcused.items()]
        self.problems += [
            f"{scenario} is listed as failing, and passes: {entry}" for entry in sorted(stale)
        ]
        self.verdicts[scenario] = "failed" if unexcused else "expected" if checks.failing else "passed"

    def row(self) -> tuple[str, ...]:
        """Give the cells of the table's row."""
        if not self.verdicts:
            return (self.application, self.revision, *["-"] * (len(HEAD) - 2))
        count = list(self.verdicts.values()).count
        wire = f"{self.wire_invalid} INVALID" if self.wire_invalid else f"{self.wire_valid} valid"
        scenarios = tuple(str(count(verdict)) for verdict in ("passed", "failed", "expected"))
        return (
            self.application,
            self.revision,
            *scenarios,
            str(self.checks_passed),
            str(self.checks_failed),
            wire,
        )


HEAD = (
    "application",
    "revision",
    "scenarios passed",
    "failed",
    "expected",
    "checks passed",
    "failed",
    WIRE,
)


def main() -> None:
    """Run what was asked for, print the table, and end with an error if anything was out of order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--node", required=True, help="Node 22 or newer")
    parser.add_argument("--suite", type=Path, required=True, help="where the suite is installed")
    parser.add_argument("--only", choices=APPLICATIONS, help="one application instead of both")
    arguments = parser.parse_args()

    outcomes: list[Outcome] = []
    for application in [arguments.only] if arguments.only else APPLICATIONS:
        try:
            with serving(application) as url:
                outcomes += [
                    run(application, revision, url, node=arguments.node, suite=arguments.suite)
                    for revision in REVISIONS
                ]
        except NotServingError as error:
            outcomes.append(Outcome(application, "-", problems=[str(error)]))
    write(table(outcomes))
    problems = [
        f"{each.application} {each.revision}: {told}" for each in outcomes for told in each.problems
    ]
    for problem in problems:
        write(f"{RED}{problem}{PLAIN}")
    if problems:
        sys.exit(f"{len(problems)} problems; everything the suite recorded is in {RESULTS}")


def run(application: str, revision: str, url: str, *, node: str, suite: Path) -> Outcome:
    """Run the suite once and judge what it recorded."""
    outcome = Outcome(application, revision)
    listed = Path(__file__).with_name(f"{application}-{revision}.yml")
    results = RESULTS / f"{application}-{revision}"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    write(f"Running the suite: {application} application, revision {revision} …")
    command = [node, str(suite / "dist" / "index.js"), "server", "--url", url]
    command += ["--requirements", revision, "--expected-failures", str(listed), "-o", str(results)]
    with results.with_suffix(".log").open("w", encoding="utf-8") as log:
        suites_own = subprocess.run(  # noqa: S603 - the caller says what Node is
            command, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=SUITE_SECONDS
        )

    lists = top_level_lists(listed)
    required = set(top_level_lists(suite / "requirements" / f"{revision}.yaml")["server"])
    recorded = dict(records(results))
    for scenario in required - recorded.keys():
        recorded[scenario] = [{"id": scenario, "status": "FAILURE", "errorMessage": "it did not end"}]
    for scenario, checks in sorted(recorded.items()):
        entries = lists.get("server" if scenario in required else "not_scored", [])
        outcome.add(scenario, Checks.of(checks), about(scenario, entries))
    strays = {entry for entries in lists.values() for entry in entries}
    strays = {entry for entry in strays if entry.partition(":")[0] not in recorded}
    outcome.problems += [f"{listed.name} lists what was not run: {entry}" for entry in sorted(strays)]
    if suites_own.returncode != 0 and not outcome.problems:
        outcome.problems.append(f"the suite itself is not content: {results.with_suffix('.log')}")
    return outcome


def about(scenario: str, entries: list[str]) -> frozenset[str]:
    """Return the entries for a scenario as a whole and for single checks of it."""
    return frozenset(entry for entry in entries if entry.partition(":")[0] == scenario)


def records(results: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Read what the suite left, in a folder named after the scenario and the time."""
    for file in results.glob("server-*/checks.json"):
        name = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", file.parent.name)
        if name is None:
            sys.exit(f"the suite names its folders in another way than was known: {file.parent.name}")
        yield name[1], json.loads(file.read_text(encoding="utf-8"))


def top_level_lists(file: Path) -> dict[str, list[str]]:
    """Read the lists of single words, which is all the YAML that matters in these files."""
    lists: dict[str, list[str]] = {}
    entries: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"(\w+):", line):
            entries = lists.setdefault(heading[1], [])
        elif entry := re.fullmatch(r"\s*- ([^\s#]+)\s*(#.*)?", line):
            entries.append(entry[1])
    return lists


class NotServingError(Exception):
    """An application that ended, or never listened."""


@contextmanager
def serving(application: str) -> Iterator[str]:
    """Serve an application with a memory of its own, and give the address of its MCP endpoint."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    log = RESULTS / f"{application}.log"
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEM1_")}
    with tempfile.TemporaryDirectory() as memory, log.open("w", encoding="utf-8") as written:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            [sys.executable, "-m", *APPLICATIONS[application], str(port)],
            cwd=ROOT,
            env=environment | {"MEM1_MEMORY_DIR": memory},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_listening(process, port, log)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            stop(process)


def wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the port answers; another process may take it first, which then shows in the log."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8").strip()
    raise NotServingError(f"it does not serve (exit code {process.poll()}). It said:\n{said}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force if it takes its time."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def table(outcomes: list[Outcome]) -> str:
    """Lay the outcomes out under their headings."""
    rows = [HEAD, *(outcome.row() for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n" + "\n".join(line.rstrip() for line in lines) + "\n"


def write(text: str) -> None:
    """Print at once, also where the output is a file."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
