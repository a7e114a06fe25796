"""Whatever line a host sends is answered, or needs no answer, and the server goes on."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.test_stdio import ALL_SECONDS, COMMAND, INITIALIZE, MAX_LINE, Wire, call, server_process

LINUX = Path("/proc/self/status")

PING = b'{"jsonrpc":"2.0","id":7,"method":"ping"'
CALL = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"recall","arguments":'
NOT_JSON, NO_MESSAGE, NO_METHOD, NO_PARAMS = -32700, -32600, -32601, -32602
DONE, REFUSED = "done", "refused in words"

# What comes back: the id (None: an answer without one), and the code of an error or what became of
# a call.
Answer = tuple[object, int | str]

ANSWERED: dict[str, tuple[bytes, Answer]] = {
    "no JSON": (b"hello", (None, NOT_JSON)),
    "a message cut short": (PING, (None, NOT_JSON)),
    "half a message": (PING[:20], (None, NOT_JSON)),
    "two messages on a line": (PING + b"}" + PING + b"}", (None, NOT_JSON)),
    "single quotes": (PING.replace(b'"', b"'") + b"}", (None, NOT_JSON)),
    "a comma too many": (PING + b",}", (None, NOT_JSON)),
    "a comment": (b"// ping", (None, NOT_JSON)),
    "a header of another protocol": (b"Content-Length: 40", (None, NOT_JSON)),
    "a NUL byte": (b"\0", (None, NOT_JSON)),
    "NUL bytes around a message": (b"\0" + PING + b"}\0", (None, NOT_JSON)),
    "binary": (bytes(set(range(256)) - {10}), (None, NOT_JSON)),
    "invalid UTF-8": (PING + b',"params":{"a":"\xff\xfe"}}', (None, NOT_JSON)),
    "UTF-16": ((PING + b"}").decode().encode("utf-16-le"), (None, NOT_JSON)),
    "a line end in a text": (PING + b',"params":{"a":"\x0b"}}', (None, NOT_JSON)),
    "a batch": (b"[" + PING + b"}]", (None, NO_MESSAGE)),
    "an empty batch": (b"[]", (None, NO_MESSAGE)),
    "a number": (b"42", (None, NO_MESSAGE)),
    "NaN alone": (b"NaN", (None, NO_MESSAGE)),
    "a string": (b'"ping"', (None, NO_MESSAGE)),
    "null": (b"null", (None, NO_MESSAGE)),
    "an empty object": (b"{}", (None, NO_MESSAGE)),
    "another JSON-RPC": (PING.replace(b"2.0", b"1.0") + b"}", (7, NO_MESSAGE)),
    "JSON-RPC as a number": (PING.replace(b'"2.0"', b"2.0") + b"}", (7, NO_MESSAGE)),
    "no JSON-RPC": (b'{"id":7,"method":"ping"}', (7, NO_MESSAGE)),
    "no method": (b'{"jsonrpc":"2.0","id":7}', (7, NO_MESSAGE)),
    "a method that is a number": (b'{"jsonrpc":"2.0","id":7,"method":5}', (7, NO_MESSAGE)),
    "a method that is null": (b'{"jsonrpc":"2.0","id":7,"method":null}', (7, NO_MESSAGE)),
    "params that are a list": (PING + b',"params":[1]}', (7, NO_MESSAGE)),
    "params that are text": (PING + b',"params":"x"}', (7, NO_MESSAGE)),
    "params that are a number": (PING + b',"params":5}', (7, NO_MESSAGE)),
    "an id that is true": (PING.replace(b"7", b"true") + b"}", (None, NO_MESSAGE)),
    "an id that is null": (PING.replace(b"7", b"null") + b"}", (None, NO_MESSAGE)),
    "an id that is a fraction": (PING.replace(b"7", b"1.5") + b"}", (None, NO_MESSAGE)),
    "an id that is a list": (PING.replace(b"7", b"[]") + b"}", (None, NO_MESSAGE)),
    "an id that is an object": (PING.replace(b"7", b"{}") + b"}", (None, NO_MESSAGE)),
    "an id that is endless": (PING.replace(b"7", b"1e999") + b"}", (None, NO_MESSAGE)),
    "an escaped id that is none": (
        b'{"jsonrpc":"2.0","\\u0069d":1.5,"method":"ping"}',
        (None, NO_MESSAGE),
    ),
    "an id of 5000 digits": (PING.replace(b"7", b"9" * 5000) + b"}", (None, NOT_JSON)),
    "an answer that is none": (b'{"jsonrpc":"2.0","id":7,"result":[]}', (None, NO_MESSAGE)),
    "an error that is none": (b'{"jsonrpc":"2.0","id":7,"error":"x"}', (None, NO_MESSAGE)),
    "nested 300 deep": (
        PING + b',"params":{"a":' + b"[" * 300 + b"]" * 300 + b"}}",
        (7, NO_MESSAGE),
    ),
    "brackets 100,000 deep": (b"[" * 100_000, (None, NOT_JSON)),
    "lists 100,000 deep": (
        PING + b',"params":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        (None, NOT_JSON),
    ),
    "objects 100,000 deep": (
        PING + b',"params":{"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}}",
        (None, NOT_JSON),
    ),
    "half a character in the id": (PING.replace(b"7", b'"\\ud83d"') + b"}", (None, NOT_JSON)),
    "half a character in the method": (PING.replace(b"ping", b"\\udc4d") + b"}", (7, NOT_JSON)),
    "half a character in the params": (PING + b',"params":{"a":"\\ud83d"}}', (7, NOT_JSON)),
    "half a character in a key": (PING + b',"params":{"\\udc4d":1}}', (7, NOT_JSON)),
    "half a character in an argument": (CALL + b'{"query":"\\ud83d"}}}', (7, NOT_JSON)),
    "half a character as UTF-8": (CALL + b'{"query":"\xed\xa0\xbd"}}}', (None, NOT_JSON)),
    "17 MiB": (PING + b',"params":{"a":"' + b"x" * (17 << 20) + b'"}}', (None, NOT_JSON)),
    "50 MB": (b"[" * 50_000_000, (None, NOT_JSON)),
    "an unknown method": (PING.replace(b"ping", b"pong") + b"}", (7, NO_METHOD)),
    "an empty method": (PING.replace(b"ping", b"") + b"}", (7, NO_METHOD)),
    "a call without a tool": (CALL.replace(b'"name":"recall",', b"") + b"{}}}", (7, NO_PARAMS)),
    "a tool that is a number": (CALL.replace(b'"recall"', b"5") + b"{}}}", (7, NO_PARAMS)),
    "an unknown tool": (CALL.replace(b"recall", b"remind") + b"{}}}", (7, REFUSED)),
    "arguments that are a list": (CALL + b"[]}}", (7, NO_PARAMS)),
    "arguments that are text": (CALL + b'"{}"}}', (7, NO_PARAMS)),
    "no arguments": (CALL + b"null}}", (7, DONE)),
    "NaN": (CALL + b'{"limit":NaN}}}', (7, REFUSED)),
    "Infinity": (CALL + b'{"limit":Infinity}}}', (7, REFUSED)),
    "1e999": (CALL + b'{"limit":-1e999}}}', (7, REFUSED)),
    "4000 digits": (CALL + b'{"limit":' + b"9" * 4000 + b"}}}", (7, REFUSED)),
    "an argument of 10 MB": (CALL + b'{"query":"' + b"x" * 10_000_000 + b'"}}}', (7, REFUSED)),
    "an argument named by 10 MB": (CALL + b'{"' + b"x" * 10_000_000 + b'":1}}}', (7, DONE)),
    "millions of wrong entries": (CALL + b'{"queries":[' + b"1," * 2_000_000 + b"1]}}}", (7, REFUSED)),
    "millions of wrong messages": (
        CALL.replace(b"recall", b"remember") + b'{"messages":[' + b"[]," * 2_000_000 + b"[]]}}}",
        (7, REFUSED),
    ),
    "a batch of millions": (b"[" + b"[]," * 2_000_000 + b"[]]", (None, NO_MESSAGE)),
    "millions of lists cut short": (b"[" + b"[]," * 2_000_000, (None, NOT_JSON)),
    "50,000 unknown arguments": (
        CALL + json.dumps({f"limi{number}": 1 for number in range(50_000)}).encode() + b"}}",
        (7, DONE),
    ),
    "an argument twice": (CALL + b'{"limit":0,"limit":1}}}', (7, DONE)),
    "a huge id": (PING.replace(b"7", b"9" * 30) + b"}", (10**30 - 1, DONE)),
    "an empty id": (PING.replace(b"7", b'""') + b"}", ("", DONE)),
    "a negative id": (PING.replace(b"7", b"-1") + b"}", (-1, DONE)),
    "an id twice": (PING[:-1] + b'","id":8}', (8, DONE)),
    "an answer beside a method": (PING + b',"result":{}}', (7, DONE)),
    "a byte order mark": (b"\xef\xbb\xbf" + PING + b"}", (7, DONE)),
    "spaces around": (b" \t" + PING + b"} \t", (7, DONE)),
    "the line ends of Windows": (PING + b"}\r", (7, DONE)),
}

PASSED_OVER: dict[str, bytes] = {
    "an empty line": b"",
    "blanks": b"  \t",
    "a line end of Windows": b"\r",
    "a byte order mark alone": b"\xef\xbb\xbf",
    "a notification of unknown kind": b'{"jsonrpc":"2.0","method":"nope"}',
    "a notification with unknown params": b'{"jsonrpc":"2.0","method":"nope","params":{"a":[NaN]}}',
    "progress of nothing": b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}',
    "a cancelled nothing": b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":'
    b'{"requestId":99}}',
    "a cancelled list": b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[]}}',
    "a cancel without params": b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
    "a cancel of the next id": b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":'
    b'{"requestId":1010}}',
    "an answer nobody asked for": b'{"jsonrpc":"2.0","id":7,"result":{}}',
    "an error nobody asked for": b'{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"x"}}',
    "an error without an id": b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',
}

# Python 3.13 reads what earlier ones find too deep, and so finds the id.
DEEP: dict[str, bytes] = {
    "lists 3,000 deep": PING + b',"params":{"a":' + b"[" * 3000 + b"]" * 3000 + b"}}",
    "objects 3,000 deep": PING + b',"params":{"a":' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}}",
    "deep text of half characters": PING + b',"params":' + b'{"a":' * 900 + b'"\\ud83d"' + b"}" * 901,
}


def kind(answer: dict[str, Any]) -> Answer:
    """Say in short what an answer is."""
    if "error" in answer:
        assert answer["error"]["message"]
        assert "id" not in answer or answer["id"] is not None
        return answer.get("id"), answer["error"]["code"]
    return answer["id"], REFUSED if answer["result"].get("isError") else DONE


async def test_every_odd_line_is_answered_and_the_server_goes_on(tmp_path: Path) -> None:
    seen = {}

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        for name, (line, _) in ANSWERED.items():
            await wire.write(line)
            answers = [await wire.read(), *await wire.answers_to(b"")]
            seen[name] = [kind(answer) for answer in answers]
        await wire.hang_up()
        left = await wire.rest()

    assert seen == {name: [answer] for name, (_, answer) in ANSWERED.items()}
    assert left == []


async def test_what_needs_no_answer_gets_none_and_the_server_goes_on(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        seen = {name: await wire.answers_to(line) for name, line in PASSED_OVER.items()}

    assert seen == {name: [] for name in PASSED_OVER}


async def test_what_is_nested_too_deeply_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        seen = {name: await wire.answers_to(line) for name, line in DEEP.items()}

    for answers in seen.values():
        assert [kind(answer) for answer in answers] in (
            [(None, NOT_JSON)],
            [(7, NO_MESSAGE)],
            [(7, NOT_JSON)],
        )


async def test_odd_lines_before_the_handshake_do_no_harm(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        for line in [*PASSED_OVER.values(), b"hello", b"{}", b"\xff", PING]:
            await wire.write(line)
        refused = [kind(await wire.read()) for _ in range(4)]
        await wire.initialize()
        listed = await wire.ask("tools/list")

    assert refused == [(None, NOT_JSON), (None, NO_MESSAGE), (None, NOT_JSON), (None, NOT_JSON)]
    assert len(listed["result"]["tools"]) == 5


@pytest.mark.parametrize("end", [b"", b"x" * 100, PING + b"}"])
async def test_a_line_that_is_too_long_and_never_ends_is_refused_once(tmp_path: Path, end: bytes) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.write_raw(b" " * (MAX_LINE + 1) + end)
        await wire.hang_up()
        left = await wire.rest()
        code = await wire.process.wait()

    assert [kind(answer) for answer in left] == [(None, NOT_JSON)]
    assert code == 0


async def test_a_last_message_without_a_line_end_is_answered(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.write_raw(PING + b"}")
        await wire.hang_up()
        left = await wire.rest()

    assert [kind(answer) for answer in left] == [(7, DONE)]


async def test_a_message_in_many_pieces_is_one_message(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        for byte in PING + b"}\n":
            await wire.write_raw(bytes([byte]))
        answer = await wire.read()

    assert kind(answer) == (7, DONE)


async def test_the_longest_line_is_taken_and_one_byte_more_is_not(tmp_path: Path) -> None:
    frame = PING + b',"params":{"a":"'
    longest = frame + b"x" * (MAX_LINE - len(frame) - 3) + b'"}}'

    async with server_process(tmp_path) as wire:
        await wire.initialize()
        taken = await wire.answers_to(longest)
        refused = await wire.answers_to(longest.replace(b"x", b"xx", 1))

    assert [kind(answer) for answer in taken] == [(7, DONE)]
    assert [kind(answer) for answer in refused] == [(None, NOT_JSON)]
    assert str(MAX_LINE) in refused[0]["error"]["message"]


def resident_bytes(process_id: int) -> int:
    """Return how much memory a process holds."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not LINUX.exists(), reason="memory is read from /proc")
async def test_a_line_of_50_mb_takes_little_memory(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        await wire.ask("tools/call", call(1, "recall", query="heron")["params"])
        before = resident_bytes(wire.process.pid)
        await wire.answers_to(PING + b',"params":{"a":"' + b"x" * 50_000_000 + b'"}}')
        after = resident_bytes(wire.process.pid)

    assert after - before < 150_000_000


async def test_pipes_that_do_not_wait_are_read_and_written_like_others(tmp_path: Path) -> None:
    ends = [os.pipe(), os.pipe()]
    (their_stdin, our_stdin), (our_stdout, their_stdout) = ends
    os.set_blocking(their_stdin, False)
    os.set_blocking(their_stdout, False)
    environment = os.environ | {"MEM1_MEMORY_DIR": str(tmp_path)}
    shake = {"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": INITIALIZE}

    with anyio.fail_after(ALL_SECONDS):
        async with await anyio.open_process(
            COMMAND, stdin=their_stdin, stdout=their_stdout, stderr=None, env=environment
        ):
            os.close(their_stdin)
            os.close(their_stdout)
            with os.fdopen(our_stdin, "wb") as requests, os.fdopen(our_stdout, "rb") as lines:
                os.write(requests.fileno(), json.dumps(shake).encode() + b"\n")
                first = await anyio.to_thread.run_sync(lines.readline)
                os.write(requests.fileno(), (PING.replace(b"ping", b"tools/list") + b"}\n") * 50)
                requests.close()
                answers = await anyio.to_thread.run_sync(lines.readlines)

    assert kind(json.loads(first)) == (7, DONE)
    assert [kind(json.loads(answer)) for answer in answers] == [(7, DONE)] * 50


# A server with a tool whose answer is half an emoji.
HALF_AN_ANSWER = """
import anyio
from mcp.server.mcpserver import MCPServer
from mem1_mcp.server import stdio
server = MCPServer("half")
server.tool(name="half", structured_output=False)(lambda: chr(0xD83D))
anyio.run(stdio.serve, server, "auto", print)
"""


async def test_an_answer_that_can_not_be_written_becomes_an_error(tmp_path: Path) -> None:
    errors = tmp_path / "stderr.txt"

    with anyio.fail_after(ALL_SECONDS), errors.open("wb") as stderr:
        async with await anyio.open_process(
            [sys.executable, "-c", HALF_AN_ANSWER], stderr=stderr
        ) as process:
            wire = Wire(process, errors)
            await wire.initialize()
            await wire.write(call(7, "half"))
            answer = await wire.read()
            await wire.hang_up()
            await process.wait()

    assert kind(answer) == (7, -32603)
