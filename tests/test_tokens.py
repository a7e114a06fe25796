"""Tokens: how people make, list and revoke them, what is kept of them, and what is taken for one."""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem1_mcp.app import open_memory
from mem1_mcp.memory import Memory
from mem1_mcp.memory.tokens import MadeToken, NewToken, make, verify
from mem1_mcp.protocols import Store
from mem1_mcp.server.web import first_token
from mem1_mcp.server.web.hosts import own_hosts, own_origins
from mem1_mcp.server.web.limits import RateLimit
from mem1_mcp.settings import Settings
from mem1_mcp.types import Token
from tests.conftest import ZONE, HandClock, Host
from tests.serving import Served, create_token, http_client, mem1, over_http, served
from tests.test_cli import on_one_line
from tests.test_forgotten_bytes import bytes_of

FORM = re.compile(r"mem1_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
NOW = HandClock.now


async def kept(folder: Path) -> tuple[Token, ...]:
    """Return the tokens of the memory in this folder."""
    async with open_memory(Settings(memory_dir=folder / "memory")) as memory:
        return await memory.tokens()


@asynccontextmanager
async def ready(folder: Path, **environ: str) -> AsyncGenerator[Served]:
    """Serve, and wait until a request was answered: a first token is written down by then."""
    async with served(folder, **environ) as server, http_client() as client:
        assert (await client.get(f"{server.url}/health")).status_code == 200
        yield server


async def user_of(server: Served, token: str) -> str:
    """Ask a server whom it takes the holder of a token for."""
    async with over_http(server.url, token) as host:
        return str((await host.done("list_topics"))["user"])


# Commands


async def test_a_token_is_shown_once_alone_and_kept_as_a_hash(tmp_path: Path) -> None:
    made = mem1(tmp_path, "token", "create", "--user", "小明", "--name", "laptop [work]")

    token = made.stdout.removesuffix("\n")
    _, token_id, secret = token.split("_", 2)
    shown = json.loads(made.stderr[made.stderr.index("{") :])["mcpServers"]["mem1"]
    listed = mem1(tmp_path, "token", "list")
    (known,) = await kept(tmp_path)
    assert made.returncode == listed.returncode == 0
    assert FORM.fullmatch(token)
    assert (
        f"This is token {token_id}. It is not shown again; `mem1-mcp token revoke {token_id}`"
        in made.stderr
    )
    assert shown["url"] == "http://127.0.0.1:8765/mcp"
    assert shown["headers"] == {"Authorization": f"Bearer {token}"}
    assert (known.id, known.user, known.topic, known.name) == (token_id, "小明", None, "laptop [work]")
    assert re.search(rf"{token_id} 小明 – \S+ \S+ – laptop \[work\]", on_one_line(listed.stdout))
    assert secret not in listed.stdout + listed.stderr + repr(known)
    assert known.secret_hash not in listed.stdout
    assert secret.encode() not in bytes_of(tmp_path)


async def test_a_service_token_is_explained_and_listed_as_one(tmp_path: Path) -> None:
    made = mem1(tmp_path, "token", "create", "--service", "--topic", "家里")

    listed = mem1(tmp_path, "token", "list").stdout
    (known,) = await kept(tmp_path)
    assert FORM.fullmatch(made.stdout.strip())
    assert "its user's name as `X-Mem1-User: …`" in made.stderr
    assert (known.user, known.topic) == (None, "家里")
    assert "as X-Mem1-User says 家里" in on_one_line(listed)


def test_where_there_are_no_tokens_the_list_says_how_to_make_one(tmp_path: Path) -> None:
    listed = mem1(tmp_path, "token", "list")

    assert listed.returncode == 0
    assert listed.stdout == "There are no tokens. `mem1-mcp token create --user NAME` makes one.\n"
    assert list(tmp_path.rglob("*.db")) == []


@pytest.mark.heavy
async def test_a_token_ends_after_a_time_or_with_a_day(tmp_path: Path) -> None:
    spans = {"30d": timedelta(days=30), "12h": timedelta(hours=12), " 2w ": timedelta(weeks=2)}
    ends = {
        "2099-01-31": datetime(2099, 1, 31, 23, 59, 59, 999_999, tzinfo=ZONE),
        "2099-01-31T08:30": datetime(2099, 1, 31, 8, 30, tzinfo=ZONE),
        "2099-01-31T08:30:00+00:00": datetime(2099, 1, 31, 16, 30, tzinfo=ZONE),
    }

    for expires in (*spans, *ends):
        made = mem1(
            tmp_path, "token", "create", "--service", "--name", expires, "--expires", expires,
            MEM1_TIMEZONE="Asia/Shanghai",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr

    known = {token.name: token for token in await kept(tmp_path)}
    for expires, span in spans.items():
        # The time that passes between reading the clock twice.
        expected = known[expires.strip()].created_at + span / timedelta(milliseconds=1)
        assert known[expires.strip()].expires_at == pytest.approx(expected, abs=60_000)
    for expires, end in ends.items():
        assert known[expires].expires_at == pytest.approx(end.timestamp() * 1000, abs=1)
    listed = mem1(tmp_path, "token", "list", MEM1_TIMEZONE="Asia/Shanghai").stdout
    assert len(re.findall("2099-01-31 (?:08:30|16:30|23:59)", listed)) == 3


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--user NAME or --service: say whose memory the token opens; one of them."),
        (("--user", "lin", "--service"), "--user NAME or --service"),
        (("--user", ""), "--user: is empty"),
        (("--user", "*"), '--user: "*" means all topics'),
        (("--user", "a\u200bb"), "--user: holds the invisible character U+200B"),
        (("--user", "x" * 129), "--user: has 129 characters, 128 at most"),
        (("--user", "lin", "--topic", "*"), '--topic: "*" means all topics'),
        (("--service", "--topic", " "), "--topic: is empty"),
        (("--service", "--expires", "2020-01-01"), "--expires: '2020-01-01' is over already"),
        (("--service", "--expires", "2020-01-01T00:00:00Z"), "is over already. No token was made."),
        (("--service", "--expires", "0d"), "--expires: '0d' is over already"),
        (
            ("--service", "--expires", "soon"),
            "'soon' is no time. Write 30d, 12h, or a date such as 2027-01-31.",
        ),
        (("--service", "--expires", ""), "'' is no time"),
        (("--service", "--expires", "-5d"), "'-5d' is no time"),
        (("--service", "--expires", "30"), "'30' is no time"),
        (("--service", "--expires", "2027-02-31"), "'2027-02-31' is no time"),
        (
            ("--service", "--expires", "9999-12-31"),
            "'9999-12-31' is too far away; leave it out for no end.",
        ),
        (("--service", "--expires", "9999-12-31T23:59:59Z"), "is too far away"),
        (("--service", "--expires", "99999w"), "--expires: '99999w' is too far away"),
    ],
)
def test_a_token_that_can_not_be_made_is_refused_in_words(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    made = mem1(tmp_path, "token", "create", *arguments, MEM1_TIMEZONE="Asia/Shanghai")

    assert (made.returncode, made.stdout) == (1, "")
    assert told in made.stderr
    assert "Traceback" not in made.stderr
    assert list(tmp_path.rglob("*.db")) == []


@pytest.mark.heavy
async def test_a_token_is_revoked_by_its_id_or_by_all_of_it(tmp_path: Path) -> None:
    one, other, third = [create_token(tmp_path, "--user", user) for user in ("ann", "ben", "cleo")]
    by_id, by_all = one.split("_")[1], other

    done = [mem1(tmp_path, "token", "revoke", each) for each in (by_id, by_all)]

    again = mem1(tmp_path, "token", "revoke", by_id)
    assert [each.stdout for each in done] == [
        f"Token {t.split('_')[1]} is revoked.\n" for t in (one, other)
    ]
    assert [token.id for token in await kept(tmp_path)] == [third.split("_")[1]]
    assert again.returncode == 1
    assert f"There is no token {by_id!r}. `mem1-mcp token list` shows those there are." in again.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        "*",
        *(
            pytest.param(each, marks=pytest.mark.heavy)
            for each in ("", "mem1_", "00000001", "mem1__x", "' OR 1=1 --")
        ),
    ],
)
async def test_revoking_what_there_is_not_ends_nothing(tmp_path: Path, wrong: str) -> None:
    token = create_token(tmp_path, "--user", "ann")

    refused = mem1(tmp_path, "token", "revoke", wrong)

    assert refused.returncode == 1
    assert "There is no token" in refused.stderr
    assert [each.id for each in await kept(tmp_path)] == [token.split("_")[1]]


async def test_what_a_token_names_goes_to_its_topic(tmp_path: Path) -> None:
    token = create_token(tmp_path, "--user", "lin", "--topic", "家里")
    said = {"role": "user", "content": "The spare key is under the fern."}

    async with served(tmp_path) as server, over_http(server.url, token) as host:
        await host.done("remember", messages=[said])
        await host.done("remember", messages=[{**said, "content": "The meeting is at nine."}], topic="work")
        topics = (await host.done("list_topics"))["topics"]
        found = (await host.done("recall"))["hits"]
        everywhere = (await host.done("recall", topic="*"))["hits"]

    assert sorted(topic["topic"] for topic in topics) == ["work", "家里"]
    assert [hit["text"] for hit in found] == [said["content"]]
    assert len(everywhere) == 2


async def test_a_token_that_is_told_to_remember_is_masked(host: Host, folder: Path) -> None:
    token = make(NewToken("ming"), NOW).text

    for words in (
        f"my token is {token}",
        f"Authorization: Bearer {token}",
        token,
        f'{{"k":"{token}"}}',
        f"密钥是{token}。",
    ):
        await host.done("remember", messages=[{"role": "user", "content": words}], facts=[{"text": words}])
    found = await host.text("recall", limit=100)

    assert token not in found
    assert token.split("_", 2)[2] not in found
    assert token.split("_", 2)[2].encode() not in bytes_of(folder)
    assert "REDACTED" in found


# The first start


async def test_the_first_start_makes_one_token_in_a_file_of_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "memory" / "first-token.txt"

    async with ready(tmp_path, MEM1_USER_ID="小明", MEM1_TOPIC_ID="家里") as server:
        written = path.read_text(encoding="utf-8")
        user, told = await user_of(server, written.strip()), server.errors()
    async with ready(tmp_path, MEM1_USER_ID="小明") as server:
        still, told_again = await user_of(server, written.strip()), server.errors()

    (token,) = await kept(tmp_path)
    assert FORM.fullmatch(written.removesuffix("\n"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (user, still) == ("小明", "小明")
    assert (token.user, token.topic, token.expires_at) == ("小明", "家里", None)
    assert f"There was no token, so one for user 小明 was made. It is in {path}\n" in told
    assert "token" not in told_again
    assert path.read_text(encoding="utf-8") == written
    assert written.strip() not in told


@pytest.mark.heavy
async def test_revoking_the_first_token_takes_its_file_away(tmp_path: Path) -> None:
    path = tmp_path / "memory" / "first-token.txt"
    async with ready(tmp_path) as server:
        token = path.read_text(encoding="utf-8").strip()
        other = create_token(tmp_path, "--user", "ann")
        mem1(tmp_path, "token", "revoke", other)
        assert path.exists()

        revoked = mem1(tmp_path, "token", "revoke", token.split("_")[1])

        async with http_client(token) as client:
            refused = await client.get(f"{server.url}/sse")

    assert revoked.returncode == 0
    assert not path.exists()
    assert refused.status_code == 401


@pytest.mark.heavy
async def test_after_the_last_token_is_revoked_a_start_makes_another(tmp_path: Path) -> None:
    path = tmp_path / "memory" / "first-token.txt"
    tokens = []

    for _ in range(2):
        async with ready(tmp_path) as server:
            tokens.append(path.read_text(encoding="utf-8").strip())
            assert await user_of(server, tokens[-1]) == "default"
        assert mem1(tmp_path, "token", "revoke", tokens[-1]).returncode == 0

    assert tokens[0] != tokens[1]
    assert await kept(tmp_path) == ()


@pytest.mark.heavy
async def test_a_start_where_there_is_a_token_makes_none(tmp_path: Path) -> None:
    token = create_token(tmp_path, "--user", "lin", "--expires", "1h")

    async with ready(tmp_path) as server:
        user = await user_of(server, token)

    assert user == "lin"
    assert len(await kept(tmp_path)) == 1
    assert not (tmp_path / "memory" / "first-token.txt").exists()


@pytest.mark.heavy
async def test_where_every_token_ran_out_a_start_makes_one(tmp_path: Path) -> None:
    async with open_memory(Settings(memory_dir=tmp_path / "memory")) as memory:
        over = memory.new_token(NewToken("lin", expires_at=1))
        await memory.keep_token(over.token)

    async with ready(tmp_path) as server:
        token = (tmp_path / "memory" / "first-token.txt").read_text(encoding="utf-8").strip()
        user = await user_of(server, token)

    assert user == "default"
    assert {each.id for each in await kept(tmp_path)} == {over.token.id, token.split("_")[1]}
    assert "(over)" in mem1(tmp_path, "token", "list").stdout


@pytest.mark.heavy
async def test_two_servers_that_start_at_once_make_one_token_that_both_take(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    ready_both = [anyio.Event(), anyio.Event()]
    users = []

    async def start(folder: Path, begun: anyio.Event) -> None:
        async with ready(folder, MEM1_MEMORY_DIR=str(memory)) as server:
            begun.set()
            for other in ready_both:
                await other.wait()
            users.append(await user_of(server, (memory / "first-token.txt").read_text("utf-8").strip()))

    async with anyio.create_task_group() as tasks:
        for number, begun in enumerate(ready_both):
            folder = tmp_path / str(number)
            folder.mkdir()
            tasks.start_soon(start, folder, begun)

    assert users == ["default", "default"]
    assert len(await kept(tmp_path)) == 1
    assert sorted(path.name for path in memory.glob("*token*")) == ["first-token.txt"]


async def test_of_many_that_make_the_first_token_at_once_one_does(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    paths = []

    async def start() -> None:
        async with open_memory(Settings(memory_dir=folder)) as memory:
            paths.append(await first_token.make(memory, folder, NewToken("ming")))

    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(start)

    async with open_memory(Settings(memory_dir=folder)) as memory:
        written = (folder / "first-token.txt").read_text(encoding="utf-8").strip()
        taken = await memory.verify_token(written)
        assert (taken,) == await memory.tokens()
    assert set(paths) == {folder / "first-token.txt"}
    assert [path.name for path in folder.glob("*token*")] == ["first-token.txt"]


# What is taken for a token


@dataclass
class Kept:
    """The one operation of a store that checking a token needs, over these tokens."""

    tokens: tuple[Token, ...]
    asked: list[str] = field(default_factory=list)

    async def token(self, token_id: str) -> Token | None:
        self.asked.append(token_id)
        return next((token for token in self.tokens if token.id == token_id), None)


@cache
def two_tokens() -> tuple[MadeToken, MadeToken]:
    return make(NewToken("ming", expires_at=NOW + 1000), NOW), make(NewToken(None, "work"), NOW)


def taken(text: str, now: int = NOW) -> Token | None:
    """Check a text as a request's token, where the two tokens are kept."""
    store = Kept(tuple(made.token for made in two_tokens()))
    return anyio.run(verify, cast("Store", store), text, now)


def cut_and_pasted(made: MadeToken) -> st.SearchStrategy[str]:
    """Texts that are nearly a token."""
    text, size = made.text, len(made.text)
    places = st.integers(0, size)
    letters = st.sampled_from("0aAfzZ_-=. \n\0é０ａ")
    return st.one_of(
        st.tuples(places, places).map(lambda ends: text[min(ends) : max(ends)]),
        st.tuples(places, letters).map(lambda at: text[: at[0]] + at[1] + text[at[0] :]),
        st.tuples(places, letters).map(lambda at: text[: at[0]] + at[1] + text[at[0] + 1 :]),
        places.map(lambda at: text[:at] + text[at:].swapcase()),
        places.map(lambda at: two_tokens()[0].text[:at] + two_tokens()[1].text[at:]),
        st.permutations(text).map("".join),
        st.just(f"mem1_{made.token.id}_{made.token.secret_hash}"),
        st.just(f"mem1_{made.token.id}_{made.token.secret_hash[:43]}"),
    )


@given(st.one_of(st.text(), st.from_regex(FORM, fullmatch=True), *map(cut_and_pasted, two_tokens())))
def test_nothing_but_the_very_text_that_was_made_is_taken(text: str) -> None:
    made = {each.text: each.token for each in two_tokens()}

    assert taken(text) == made.get(text)


async def test_no_token_with_a_letter_more_or_less_or_another_is_taken() -> None:
    made, _ = two_tokens()
    store = cast("Store", Kept((made.token,)))
    letters = "0aAzZ_-=. \n\0０é"
    nearly = {made.text[:at] + made.text[at + 1 :] for at in range(len(made.text))}
    for at in range(len(made.text) + 1):
        nearly |= {
            made.text[:at] + letter + made.text[at + gone :] for letter in letters for gone in (0, 1)
        }

    taken_anyway = [text for text in nearly - {made.text} if await verify(store, text, NOW) is not None]

    assert len(nearly) > 1500
    assert taken_anyway == []


def test_a_token_is_taken_until_the_moment_it_runs_out() -> None:
    ends, holds = two_tokens()

    assert taken(ends.text, NOW + 999) == ends.token
    assert taken(ends.text, NOW + 1000) is None
    assert taken(holds.text, NOW + 10**12) == holds.token


@given(st.text())
def test_no_store_is_asked_for_what_has_not_the_form_of_a_token(text: str) -> None:
    store = Kept(())

    assert anyio.run(verify, cast("Store", store), text, NOW) is None
    assert store.asked == []


def test_no_two_tokens_are_alike_and_none_says_its_secret() -> None:
    made = [make(NewToken("ming"), NOW) for _ in range(500)]

    assert len({each.text for each in made}) == len({each.token.secret_hash for each in made}) == 500
    assert all(FORM.fullmatch(each.text) for each in made)
    assert not any(each.text.split("_", 2)[2] in repr(each.token) for each in made)


async def test_a_revoked_token_is_taken_by_no_process(memory: Memory) -> None:
    made = memory.new_token(NewToken("ming"))
    assert await memory.verify_token(made.text) is None
    await memory.keep_token(made.token)
    assert await memory.verify_token(made.text) == made.token

    assert await memory.revoke_token(made.token.id)

    assert await memory.verify_token(made.text) is None


# By which names a server is known

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}(\.[a-z]{2,5}){0,2}(:[1-9][0-9]{0,3})?", fullmatch=True)
ADDRESSES = st.sampled_from(["127.0.0.1", "192.168.1.7", "::1", "fe80::1%eth0"])
PORTS = st.integers(1, 65_535)
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


@given(ADDRESSES, PORTS, st.lists(NAMES, max_size=3))
def test_a_server_is_known_by_its_addresses_and_the_names_a_person_gave_it(
    address: str, port: int, named: list[str]
) -> None:
    plain = address.partition("%")[0]
    own = {f"{name}:{port}" for name in (*LOOPBACK, f"[{plain}]" if ":" in plain else plain)}
    given = set(named) | {f"{name}:{port}" for name in named if ":" not in name}
    bare = {name.rpartition(":")[0] for name in own} if port in (80, 443) else set()

    assert own_hosts(address, port, named) == own | given | bare


@given(PORTS, st.lists(NAMES, max_size=3))
def test_no_part_of_a_name_is_a_name(port: int, named: list[str]) -> None:
    hosts = own_hosts("127.0.0.1", port, named)
    known = {name.partition(":")[0] for name in (*named, "127.0.0.1", "localhost", "[")}

    for host in hosts:
        assert host.partition(":")[0] in known
        assert f"evil.{host}" not in hosts
        assert f"{host}.evil.com" not in hosts
        assert f"evil.com@{host}" not in hosts
    assert not hosts & {"", ":", "*", f":{port}", f"0.0.0.0:{port}", f"[::]:{port}"}


def test_where_every_address_is_listened_on_the_machines_own_are_its_names() -> None:
    everywhere = ("0.0.0.0", "::")  # noqa: S104 - nothing is listened on

    for address in everywhere:
        hosts = own_hosts(address, 8765, [])

        assert {f"{name}:8765" for name in LOOPBACK} <= hosts
        assert not hosts & {f"{each}:8765" for each in (*everywhere, "[::]")}
        assert all(host.endswith(":8765") for host in hosts)
        assert "%" not in "".join(hosts)


@given(PORTS, st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=3))
def test_pages_are_those_of_the_server_itself_and_those_a_person_named(
    port: int, named: list[str], pages: list[str]
) -> None:
    hosts = own_hosts("127.0.0.1", port, named)
    given = [f"HTTPS://{page}/" for page in pages]

    origins = own_origins(hosts, given)

    own = {f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")}
    assert origins == own | {f"https://{page}" for page in pages}
    assert not origins & {"null", "", "*", "http://", "https://", "file://"}


# How much one may send

ALICE = ("one", None)


@dataclass
class Seconds:
    """A clock that never goes back, moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


PAUSES = st.lists(
    st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 30), st.floats(50, 200)), max_size=25
)


@given(st.integers(1, 10), PAUSES)
def test_in_no_time_is_more_sent_than_a_minutes_worth_and_what_the_time_allows(
    per_minute: int, pauses: list[float]
) -> None:
    clock = Seconds()
    limit = RateLimit(per_minute, clock)
    sent = []

    for pause in pauses:
        clock.now += pause
        while limit.wait(ALICE) == 0:
            sent.append(clock.now)

    for first, begun in enumerate(sent):
        for last, ended in enumerate(sent[first:], start=first):
            allowed = per_minute + (ended - begun) * per_minute / 60
            assert last - first + 1 <= math.floor(allowed + 1e-6)


@given(st.integers(1, 100_000), st.integers(0, 300), st.floats(0, 59))
def test_a_minutes_worth_may_come_at_once_and_the_next_after_as_long_as_was_told(
    per_minute: int, more: int, pause: float
) -> None:
    clock = Seconds()
    limit = RateLimit(min(per_minute, 300), clock)
    at_once = sum(limit.wait(ALICE) == 0 for _ in range(min(per_minute, 300)))
    clock.now += pause
    for _ in range(more):
        limit.wait(ALICE)

    told = limit.wait(ALICE)

    assert at_once == min(per_minute, 300)
    assert told <= 60
    if told > 0.01:
        clock.now += told - 0.005
        assert limit.wait(ALICE) > 0
        clock.now += 0.005 + 1e-6
        assert limit.wait(ALICE) == 0


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_refused_messages_count_for_nothing_and_others_are_not_held_up(senders: list[int]) -> None:
    clock = Seconds()
    limit = RateLimit(5, clock)
    sent: dict[Any, int] = {}

    for sender in senders:
        key = ("service", f"user {sender}")
        sent[key] = sent.get(key, 0) + (limit.wait(key) == 0)

    assert sent == {key: min(senders.count(int(key[1][-1])), 5) for key in sent}


def test_as_many_senders_as_there_may_be_are_kept_and_no_more() -> None:
    clock = Seconds()
    limit = RateLimit(1, clock)
    first, last = ("service", "0"), ("service", "19999")

    for number in range(20_000):
        assert limit.wait(("service", str(number))) == 0

    assert len(limit._due) == 10_000
    assert limit.wait(last) > 0
    assert limit.wait(first) == 0
