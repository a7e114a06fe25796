"""Whatever the disk does, each call is done whole, or refused in words that are true.

Every system call of SQLite's fails once, and then from there on, in every shape of every tool.
"""
# ruff: noqa: ASYNC240 - a test keeps nobody waiting

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from mcp import MCPError

from mem1_mcp.errors import StoreError
from mem1_mcp.memory import Jobs, Memory
from mem1_mcp.stores.sqlite import SqliteStore, documents, reading, searching
from mem1_mcp.types import Profile, Scope, Selection
from tests.conftest import ZONE, HandClock, Host, host_of, words
from tests.failing_disk import EIO, FULL, OPERATIONS, FailingDisk, Fault
from tests.test_store_contract import preview

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names Linux's own system calls")

TOKENS = {"ids": "token-of-ids", "topic": "token-of-topic", "everything": "token-of-all"}
GONE, KEPT = "zqgone", "zqkept"


@dataclass(frozen=True)
class Answer:
    """What a host got; ``data`` without what is drawn by lot or may be done later."""

    error: bool
    text: str
    data: Any = None


@dataclass(frozen=True)
class Held:
    """What a store says it holds."""

    messages: tuple[tuple[str, str, str, str], ...] = ()
    profile: Profile = field(default_factory=Profile)
    topics: tuple[tuple[str, int], ...] = ()
    counted: int = 0


@dataclass
class Session:
    """A running server and its host."""

    host: Host
    jobs: Jobs
    clock: HandClock


@dataclass(frozen=True)
class Shape:
    """A kind of call: what is there before, and what is asked."""

    call: Callable[[Session], Awaitable[Answer]]
    prepared: str = "usual"
    takes: tuple[str, ...] = ()  # the markers whose bytes must have left


def tool(name: str, **arguments: Any) -> Callable[[Session], Awaitable[Answer]]:
    async def call(session: Session) -> Answer:
        result = await session.host.call(name, **arguments)
        data = {**(result.structured_content or {})}
        data.pop("confirm", None)
        data.pop("pending", None)
        return Answer(bool(result.is_error), words(result), data)

    return call


async def the_resource(session: Session) -> Answer:
    try:
        return Answer(error=False, text="", data=await session.host.profile())
    except MCPError as error:
        return Answer(error=True, text=str(error))


async def the_background(session: Session) -> Answer:
    await session.jobs.run_due()
    return Answer(error=False, text="")


SPOKEN = [
    {"role": "user", "content": "Tomorrow I move to Lisbon, zqnew, with both cats."},
    {"role": "assistant", "content": "Have a good journey to Lisbon!"},
]
FACTS = [{"text": "Moves to Lisbon with zqnew cats"}]
REPLACING = [{"text": "Lives in Lisbon by now", "replaces": "p1"}]

SHAPES: dict[str, Shape] = {
    "remember messages": Shape(tool("remember", messages=SPOKEN, topic="work")),
    "remember facts": Shape(tool("remember", facts=FACTS)),
    "remember both": Shape(tool("remember", messages=SPOKEN, facts=FACTS, metadata={"a": 1})),
    "remember replacing": Shape(tool("remember", messages=SPOKEN, facts=REPLACING, topic="new")),
    "remember by request_id": Shape(tool("remember", messages=SPOKEN, facts=FACTS, request_id="new")),
    "remember facts by request_id": Shape(tool("remember", facts=FACTS, request_id="new")),
    "the first remember": Shape(tool("remember", messages=SPOKEN, facts=FACTS), "nothing"),
    "remember with a long log": Shape(tool("remember", messages=SPOKEN), "a long log"),
    "recall": Shape(tool("recall")),
    "recall by query": Shape(tool("recall", query="Where does zqkept Ming live?")),
    "recall of a topic": Shape(tool("recall", query="zqgone", topic="work")),
    "recall around": Shape(tool("recall", around="m0.0")),
    "list_topics": Shape(tool("list_topics")),
    "preview of ids": Shape(tool("forget", ids=["m0.0", "p2"])),
    "preview of a topic": Shape(tool("forget", topic="work")),
    "preview of everything": Shape(tool("forget", everything=True)),
    "forget ids": Shape(tool("forget", confirm=TOKENS["ids"]), takes=(GONE,)),
    "forget a topic": Shape(tool("forget", confirm=TOKENS["topic"]), takes=(GONE,)),
    "forget everything": Shape(tool("forget", confirm=TOKENS["everything"]), takes=(GONE, KEPT)),
    "profile": Shape(the_resource),
    "erasure in the background": Shape(the_background, "hidden", takes=(GONE,)),
}
READING = ("recall", "list_topics", "profile")


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Generator[None]:
    """Keep thousands of true warnings out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def disk() -> FailingDisk:
    return FailingDisk()


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[Session]:
    clock = HandClock()
    store = SqliteStore(folder, clock, busy_seconds=0.5)
    jobs = Jobs(store, clock)
    try:
        async with host_of(Memory(store, clock, ZONE, jobs), profile_in_instructions=False) as host:
            yield Session(host, jobs, clock)
    finally:
        await store.close()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders as sessions before left them."""
    root = tmp_path_factory.mktemp("prepared")
    anyio.run(_prepare, root)
    return {name: root / name for name in ("usual", "nothing", "hidden", "a long log")}


async def _prepare(root: Path) -> None:
    (root / "nothing").mkdir()
    async with served(root / "usual") as session:
        await _fill(session.host)
    store = SqliteStore(root / "usual", HandClock())
    for selection, token in zip(_selections(), TOKENS.values(), strict=True):
        await preview(store, selection, _hash(token))
    await store.close()
    shutil.copytree(root / "usual", root / "hidden")
    store = SqliteStore(root / "hidden", HandClock())
    await store.forget("ming", _hash(TOKENS["topic"]))
    await store.close()
    shutil.copytree(root / "usual", root / "lengthening")
    (path,) = (root / "lengthening").rglob("*.db")
    db = apsw.Connection(str(path))
    db.execute("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0").fetchall()
    for _ in range(1001):
        db.execute("UPDATE state SET rounds = rounds")
    shutil.copytree(root / "lengthening", root / "a long log")
    db.close()


async def _fill(host: Host) -> None:
    for number in range(3):
        spoken = [{"role": "user", "content": f"{GONE} the deadline of project {number} is Friday."}]
        await host.done("remember", messages=spoken, topic="work", metadata={"n": number})
        spoken = [{"role": "user", "content": f"{KEPT} at home we eat noodles {number} times."}]
        await host.done("remember", messages=spoken, topic="life", request_id=f"r{number}")
    facts = [{"text": "Lives in Hamburg zqkept"}, {"text": "Is named Ming"}]
    await host.done("remember", facts=facts, topic="life")
    await host.done("remember", facts=[{"text": "Has a zqgone deadline"}], topic="work")


def _selections() -> tuple[Selection, ...]:
    places = (0, 1, 2)  # all of the first conversation
    return Selection(places=places, items=("p3",)), Selection(topic="work"), Selection(everything=True)


def _hash(token: str) -> str:
    from hashlib import sha256

    return sha256(token.encode()).hexdigest()


def seen(folder: Path) -> Held:
    """Look into a folder beside the server that is at work there, as another process does."""
    for path in folder.rglob("*.db"):
        db = apsw.Connection(str(path))
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.execute("BEGIN")
        messages = reading.latest(db, Scope("ming"), 100, 0)
        found = Held(
            tuple((m.id, m.topic, m.role, m.content) for m in messages),
            documents.load_profile(db),
            tuple((topic.name, topic.messages) for topic in reading.topics(db)),
            searching.statistics(db, []).messages,
        )
        db.close()
        return found
    return Held()


async def held(folder: Path) -> Held:
    """Ask a fresh store what is in a folder, and have the engine look it over."""
    store = SqliteStore(folder, HandClock())
    try:
        messages = await store.latest(Scope("ming"), 100)
        found = Held(
            tuple((m.id, m.topic, m.role, m.content) for m in messages),
            await store.profile("ming"),
            tuple((topic.name, topic.messages) for topic in await store.topics("ming")),
            (await store.statistics("ming", [])).messages,
        )
    finally:
        await store.close()
    for path in folder.rglob("*.db"):
        db = apsw.Connection(str(path))
        assert db.execute("PRAGMA integrity_check").get == "ok"
        db.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 0)")
        db.close()
    return found


def holds_bytes(folder: Path, markers: tuple[str, ...]) -> bool:
    whole = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return any(marker.encode() in whole for marker in markers)


@dataclass(frozen=True)
class Reference:
    """How a call goes when nothing fails."""

    before: Held
    answer: Answer
    after: Held


async def reference_of(shape: Shape, start: Path, folder: Path) -> Reference:
    shutil.copytree(start, folder / "before")
    shutil.copytree(start, folder / "after")
    async with served(folder / "after") as session:
        answer = await shape.call(session)
    assert not answer.error, answer.text
    return Reference(await held(folder / "before"), answer, await held(folder / "after"))


@dataclass
class Tally:
    """What became of the points; each lie says where and what."""

    points: int = 0
    errors: int = 0
    uncertain: int = 0
    resurrections: list[str] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)


class Trial:
    """One shape of call, tried with one fault after the other."""

    def __init__(self, disk: FailingDisk, shape: Shape, start: Path, folder: Path) -> None:
        self.disk, self.shape, self.start, self.folder = disk, shape, start, folder
        self.tally = Tally()
        self.number = 0

    async def begin(self) -> None:
        self.reference = await reference_of(self.shape, self.start, self.folder)

    async def run(self, fault: Fault, *, warm: bool, stride: int = 1) -> None:
        """Let the first, second, third … operation fail, until the call ends before it comes to that."""
        while await self.point(fault, warm=warm):
            fault = replace(fault, at=fault.at + stride)

    async def point(self, fault: Fault, *, warm: bool) -> bool:
        """Try one fault; false when the call did not meet it."""
        self.number += 1
        live, crashed = (self.folder / f"{self.number}-{name}" for name in ("live", "crashed"))
        shutil.copytree(self.start, live)
        with self.disk.below(fault):
            async with served(live) as session:
                if warm:
                    await session.host.call("recall", query="Where is the home?")
                    await session.host.call("forget", topic="life")
                with self.disk.failing(fault):
                    answer = await self.shape.call(session)
                met = self.disk.failed > 0
                if met:
                    shutil.copytree(live, crashed)
                    self.tally.points += 1
                    self.tally.errors += answer.error
                    self.tally.uncertain += UNCERTAIN in answer.text
                    where = f"{fault}{' warm' if warm else ''}: {answer.text!r}: "
                    await self._judge(where, session, answer, live, crashed)
                    shutil.rmtree(crashed)
        shutil.rmtree(live)
        return met

    async def _judge(self, where: str, session: Session, answer: Answer, live: Path, crashed: Path) -> None:
        expected = self._expected(answer)
        lies = [where + lie for lie in _untrue_words(answer)]
        if not answer.error and answer.data != self.reference.answer.data:
            lies.append(f"{where}answered {answer.data}")
        try:
            if seen(live) not in expected:
                lies.append(f"{where}holds {seen(live)}")
            lies += [f"{where}bytes are left" for _ in range(self._bytes_left(answer, live))]
            after_crash = await held(crashed)
            if after_crash not in expected:
                refused = answer.error and after_crash == self.reference.after
                (self.tally.resurrections if refused else lies).append(f"{where}crashed: {after_crash}")
            lies += [where + lie async for lie in self._goes_on(session, answer, live)]
        except (StoreError, apsw.Error, AssertionError) as error:
            lies.append(f"{where}then {error!r}")
        self.tally.lies += lies

    def _expected(self, answer: Answer) -> tuple[Held, ...]:
        before, after = self.reference.before, self.reference.after
        without_facts = replace(after, profile=before.profile)
        if not answer.error:
            return (after,)
        if answer.text.startswith("The messages of this call are saved"):
            before = without_facts
        return (before, without_facts, after) if UNCERTAIN in answer.text else (before,)

    def _bytes_left(self, answer: Answer, folder: Path) -> bool:
        return "Nothing of it is left" in answer.text and holds_bytes(folder, self.shape.takes)

    async def _goes_on(self, session: Session, answer: Answer, live: Path) -> AsyncGenerator[str]:
        """Use the same server on, the disk being well again."""
        if answer.error:
            again = await self.shape.call(session)
            if again.error:
                yield f"again: {again.text}"
            if seen(live) != self.reference.after:
                yield f"again, holds {seen(live)}"
        if self.shape.takes:
            session.clock.forward(minutes=2)
            await session.jobs.run_due()
            if holds_bytes(live, self.shape.takes):
                yield "bytes are never erased"
        spoken = [{"role": "user", "content": "And then we walked home."}]
        await session.host.done("remember", messages=spoken)
        told = await session.host.text("recall", query="walked home")
        if "And then we walked home." not in told:
            yield "the next message is not found"
        await held(live)
        if strays := [path.name for path in live.rglob("*") if ".new" in path.name]:
            yield f"left behind {strays}"


CAUSES = (
    "The disk is full",
    "The disk failed",
    "can't be opened or written",
    "is damaged, or its disk can't be read",
)
UNCERTAIN = "It is not certain whether this call was done"
CONSEQUENCES = ("Nothing of this call was saved", "The messages of this call are saved", UNCERTAIN)


def _untrue_words(answer: Answer) -> list[str]:
    """Return what is wrong with the words of an answer."""
    if not answer.error:
        return []
    wrong = [bad for bad in ("Error executing", "Traceback") if bad in answer.text]
    if not any(cause in answer.text for cause in CAUSES):
        wrong.append("no cause")
    if not any(told in answer.text for told in CONSEQUENCES):
        wrong.append("no consequence")
    return wrong


ONCE = [Fault((operation,), EIO) for operation in OPERATIONS] + [
    Fault((operation,), FULL) for operation in ("write", "sync", "truncate", "open")
]
LASTING = [
    Fault(("write",), FULL, lasting=True),
    Fault(("read",), EIO, lasting=True),
    Fault(("sync",), EIO, lasting=True),
    Fault(("sync", "write"), EIO, lasting=True),
]


@pytest.fixture
async def trial(
    disk: FailingDisk, prepared: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> Trial:
    shape = SHAPES[request.param]
    made = Trial(disk, shape, prepared[shape.prepared], tmp_path)
    await made.begin()
    return made


def assert_true(trial: Trial, record_property: Callable[[str, object], None]) -> None:
    for name in ("points", "errors", "uncertain", "lies", "resurrections"):
        counted = getattr(trial.tally, name)
        record_property(name, counted if isinstance(counted, int) else len(counted))
    assert trial.tally.points > 0
    assert trial.tally.lies == []
    assert trial.tally.resurrections == []


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("trial", SHAPES, indirect=True)
@pytest.mark.parametrize("warm", ["cold", "warm"])
async def test_a_disk_that_fails_once_makes_no_answer_untrue(
    trial: Trial, warm: str, record_property: Callable[[str, object], None]
) -> None:
    for fault in ONCE:
        await trial.run(fault, warm=warm == "warm")

    assert_true(trial, record_property)
    assert trial.tally.uncertain == 0


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("trial", SHAPES, indirect=True)
@pytest.mark.parametrize("warm", ["cold", "warm"])
async def test_a_disk_that_goes_on_failing_makes_no_answer_untrue(
    trial: Trial, warm: str, record_property: Callable[[str, object], None]
) -> None:
    for fault in LASTING:
        await trial.run(fault, warm=warm == "warm")

    assert_true(trial, record_property)


@pytest.mark.heavy
@pytest.mark.parametrize("trial", SHAPES, indirect=True)
async def test_now_and_then_a_failing_disk_makes_no_answer_untrue(
    trial: Trial, record_property: Callable[[str, object], None]
) -> None:
    for number, fault in enumerate((*ONCE, *LASTING)):
        await trial.run(replace(fault, at=1 + number % 7), warm=number % 2 == 0, stride=31)

    assert_true(trial, record_property)


async def test_the_doctor_calls_no_full_disk_writable(
    disk: FailingDisk, prepared: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(prepared["usual"], tmp_path / "memory")
    fault = Fault(("write",), FULL)

    with disk.below(fault):
        store = SqliteStore(tmp_path / "memory", HandClock())
        await store.topics("ming")
        with disk.failing(fault), pytest.raises(StoreError, match="disk is full"):
            await store.health("ming")
        await store.close()
