"""What can't be done is refused in words: the field, the limit, and what to do instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mem1_mcp.memory import Memory
from mem1_mcp.server.schemas import TOOLS
from tests.conftest import Host, host_of, words
from tests.test_stdio import call, server_process

# Words that come out of libraries, and mean nothing to a model.
LEAKS = re.compile(
    r"Traceback|pydantic|https?://|validation error|input_value|input_type|Input should|Value should"
    r"|Error executing|Exception|object at 0x|\.py\b|codec|sqlite",
    re.IGNORECASE,
)
CONSEQUENCE = {
    "remember": "Nothing was saved",
    "forget": "Nothing was forgotten",
    "recall": "",
    "search_images": "",
    "list_topics": "",
}


def said(text: Any, **more: Any) -> list[dict[str, Any]]:
    """Write one message of the user as a list."""
    return [{"role": "user", "content": text, **more}]


def files_under(folder: Path) -> list[Path]:
    """Return all files in a folder and below it."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def nothing_is_kept(host: Host) -> bool:
    """Whether no topic, message or line of the profile exists."""
    found = await host.done("recall")
    listed = await host.done("list_topics")
    return not (found["hits"] or found["profile"] or listed["topics"])


# Each: the tool, its arguments, and what the words must say: field, limit, cure.
REFUSED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "an empty remember": ("remember", {}, ["messages", "nothing to remember", "Give messages"]),
    "empty lists": ("remember", {"messages": [], "facts": []}, ["messages", "Give messages"]),
    "an empty forget": ("forget", {}, ["ids, topic or everything", "say what to forget"]),
    "everything: false": ("forget", {"everything": False}, ["ids, topic or everything"]),
    "two selections": ("forget", {"topic": "work", "everything": True}, ["only one of them"]),
    "content of 10 MB": (
        "remember",
        {"messages": said("x" * 10_000_000)},
        ["messages[0].content", "10000000", "200000 at most", "in several parts|several calls"],
    ),
    "a call of two million characters": (
        "remember",
        {"messages": said("x" * 190_000) * 11},
        ["messages", "2090000", "2000000 at most", "several calls"],
    ),
    "501 messages": (
        "remember",
        {"messages": said("x") * 501},
        ["messages", "501", "500 at most", "several calls"],
    ),
    "half an emoji": (
        "remember",
        {"messages": said("thumbs \ud83d")},
        ["messages[0].content", "half a character", "send the whole emoji"],
    ),
    "blank content": ("remember", {"messages": said(" \n ")}, ["messages[0].content", "empty", "leave"]),
    "no content": (
        "remember",
        {"messages": [{"role": "user"}]},
        ["messages[0].content", "missing", "give"],
    ),
    "an unknown role": (
        "remember",
        {"messages": [{"role": "robot", "content": "x"}]},
        ["messages[0].role", "'user', 'assistant', 'system' or 'tool'"],
    ),
    "a topic of 300 characters": (
        "remember",
        {"messages": said("x"), "topic": "t" * 300},
        ["topic", "300", "128 at most", "choose a shorter name"],
    ),
    "a star as topic": (
        "remember",
        {"messages": said("x"), "topic": "*"},
        ["topic", "all topics", "choose"],
    ),
    "an empty topic": (
        "remember",
        {"messages": said("x"), "topic": " "},
        ["topic", "empty", "leave it out"],
    ),
    "an invisible character in a topic": (
        "remember",
        {"messages": said("x"), "topic": "wo\u202erk"},
        ["topic", "U+202E", "leave it out"],
    ),
    "a speaker of 129 characters": (
        "remember",
        {"messages": said("x", name="n" * 129)},
        ["messages[0].name", "129", "128 at most"],
    ),
    "the year 9999": (
        "remember",
        {"messages": said("x"), "timestamp": "9999-12-31"},
        ["timestamp", "9999", "1900 to 2200", "Leave it out"],
    ),
    "a message of the year 9999": (
        "remember",
        {"messages": said("x", timestamp="9999-12-31")},
        ["messages[0].timestamp", "9999", "1900 to 2200", "Leave it out"],
    ),
    "metadata of 65 keys": (
        "remember",
        {"messages": said("x"), "metadata": {str(key): 1 for key in range(65)}},
        ["metadata", "65", "64 at most"],
    ),
    "metadata of 9 KB": (
        "remember",
        {"messages": said("x"), "metadata": {"note": "v" * 9000}},
        ["metadata", "8192 at most", "put text into messages"],
    ),
    "metadata nested deeply": (
        "remember",
        {"messages": said("x"), "metadata": {"a": {"b": {"c": {"d": {"e": 1}}}}}},
        ["metadata", "4 levels", "flatter"],
    ),
    "a request_id of 201 characters": (
        "remember",
        {"messages": said("x"), "request_id": "r" * 201},
        ["request_id", "201", "200 at most"],
    ),
    "a fact of 1001 characters": (
        "remember",
        {"facts": [{"text": "x" * 1001}]},
        ["facts[0].text", "1001", "1000 at most"],
    ),
    "an unknown section": (
        "remember",
        {"facts": [{"text": "x", "section": "hobbies"}]},
        ["facts[0].section", "basic, preferences, timeline, todo, routines, clarify, feedback, cautions"],
    ),
    "a replaced line that is not there": (
        "remember",
        {"messages": said("x"), "facts": [{"text": "Has a dog", "replaces": "Has a cat"}]},
        ["facts[0].replaces", "Has a cat", "leave replaces out"],
    ),
    "a limit of −1": ("recall", {"limit": -1}, ["limit", "-1", "1 or more"]),
    "a limit of 0": ("recall", {"limit": 0}, ["limit", "1 or more"]),
    "a limit of 101": ("recall", {"limit": 101}, ["limit", "101", "100 or less"]),
    "a limit of 501 topics": ("list_topics", {"limit": 501}, ["limit", "501", "500 or less"]),
    "a budget of 99": ("recall", {"max_tokens": 99}, ["max_tokens", "99", "100 or more"]),
    "a budget of 20001": ("recall", {"max_tokens": 20001}, ["max_tokens", "20001", "20000 or less"]),
    "nine queries": ("recall", {"queries": ["x"] * 9}, ["queries", "9", "8 at most"]),
    "a query of 1000001 characters": ("recall", {"query": "x" * 1_000_001}, ["query", "1000000 at most"]),
    "a searched topic of 300 characters": (
        "recall",
        {"topic": "t" * 300},
        ["topic", "128 at most", "shorter"],
    ),
    "a time in words": ("recall", {"since": "last week"}, ["since", "last week", "ISO 8601", "2026-05-02"]),
    "a day that never was": ("recall", {"until": "2026-02-30"}, ["until", "2026-02-30", "ISO 8601"]),
    "a cursor of one's own": ("recall", {"cursor": "next"}, ["cursor", "next", "Leave it out"]),
    "a cursor of one's own for topics": ("list_topics", {"cursor": "-1"}, ["cursor", "Leave it out"]),
    "an unknown id to open": ("recall", {"around": "m99.9"}, ["around", "no such memory", "in brackets"]),
    "no id to open": ("recall", {"around": "the first"}, ["around", "the first", "m3.7"]),
    "no id to forget": ("forget", {"ids": ["m0.0", "the first"]}, ["ids[1]", "the first", "m3.7", "p3"]),
    "1001 ids": ("forget", {"ids": ["m0.0"] * 1001}, ["ids", "1001", "1000 at most"]),
    "an empty topic to forget": ("forget", {"topic": ""}, ["topic", "empty"]),
    "a star as topic to forget": ("forget", {"topic": "*"}, ["topic", "all topics"]),
    "an unknown argument of forget": (
        "forget",
        {"everything": True, "topik": "work"},
        ["topik", "did you mean topic?", "no such argument"],
    ),
}


@pytest.mark.parametrize(("tool", "arguments", "says"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refusal_names_the_field_the_limit_and_the_cure(
    host: Host, tool: str, arguments: dict[str, Any], says: list[str]
) -> None:
    told = await host.refused(tool, **arguments)

    for each in (*says, CONSEQUENCE[tool]):
        assert any(alternative in told for alternative in each.split("|"))
    assert not LEAKS.search(told)
    assert len(told) < 500
    assert await nothing_is_kept(host)


@pytest.mark.parametrize(
    ("tool", "arguments", "size"),
    [
        ("remember", {"messages": said("x" * 200_001)}, "200001 characters"),
        ("remember", {"facts": [{"text": "x" * 1001}]}, "1001 characters"),
        ("remember", {"facts": [{"text": "x", "replaces": "x" * 1001}]}, "1001 characters"),
        ("remember", {"messages": said("x"), "request_id": "r" * 201}, "201 characters"),
        ("recall", {"query": "x" * 1_000_001}, "1000001 characters"),
        ("recall", {"queries": ["x" * 1_000_001]}, "1000001 characters"),
        ("forget", {"confirm": "x" * 201}, "201 characters"),
    ],
)
async def test_the_length_of_a_text_is_told_in_characters(
    host: Host, tool: str, arguments: dict[str, Any], size: str
) -> None:
    assert size in await host.refused(tool, **arguments)


async def test_an_empty_request_id_is_refused_in_words(host: Host) -> None:
    told = await host.refused("remember", messages=said("x"), request_id="")

    assert "request_id: is empty" in told
    assert "leave it out" in told


@pytest.mark.parametrize("timestamp", ["yesterday", "2026-02-30", "1716170000", ""])
async def test_a_refused_time_says_that_nothing_was_saved(host: Host, timestamp: str) -> None:
    assert "Nothing was saved" in await host.refused("remember", messages=said("x"), timestamp=timestamp)
    assert "Nothing was saved" in await host.refused("remember", messages=said("x", timestamp=timestamp))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("remember", {"messages": said("x" * 200_000)}),
        ("remember", {"messages": said("x") * 500}),
        ("remember", {"messages": said("x"), "topic": "t" * 128, "request_id": "r" * 200}),
        ("remember", {"messages": said("x"), "metadata": {str(key): 1 for key in range(64)}}),
        ("remember", {"messages": said("x"), "metadata": {"a": {"b": {"c": {"d": 1}}}}}),
        ("remember", {"messages": said("x"), "timestamp": "2200-12-31T23:59:59"}),
        ("remember", {"messages": said("x"), "timestamp": "1900-01-01"}),
        ("remember", {"facts": [{"text": "x" * 1000}]}),
        ("recall", {"queries": ["x"] * 8, "limit": 100, "max_tokens": 20_000}),
        ("recall", {"query": "x " * 50_000}),
        ("recall", {"query": "字" * 100_000}),
        ("forget", {"ids": ["m0.0"] * 1000}),
    ],
)
async def test_what_is_just_within_the_limits_is_done(
    host: Host, tool: str, arguments: dict[str, Any]
) -> None:
    assert not (await host.call(tool, **arguments)).is_error


async def test_an_empty_recall_answers_that_nothing_is_stored(host: Host) -> None:
    assert "No messages are stored here yet." in await host.text("recall")


async def test_a_nul_byte_comes_back_as_it_was_said(host: Host) -> None:
    text = "before\0after the \x01 mirror\x7f"

    await host.done("remember", messages=said(text))

    found = await host.done("recall", query="mirror")
    assert found["hits"][0]["text"] == text


async def test_two_dots_and_a_slash_are_a_plain_topic(host: Host, tmp_path: Path) -> None:
    for topic in ("../", "../../outside", "/etc/passwd", "C:\\Windows", ".", "a/b"):
        saved = await host.done("remember", messages=said(f"kept in {topic}"), topic=topic)
        assert saved["topic"] == topic

    listed = await host.done("list_topics")
    files = files_under(tmp_path)
    assert len(listed["topics"]) == 6
    assert {path.parent for path in files} == {tmp_path / "memory" / "users"}
    assert {path.name.partition(".")[0] for path in files} == {files[0].name.partition(".")[0]}


@pytest.mark.parametrize(
    "asked",
    [{"until": "9999-12-31"}, {"since": "0001-01-01"}, {"since": "0001-01-01", "until": "9999-12-31"}],
)
async def test_far_years_are_no_bounds_for_a_search(host: Host, asked: dict[str, Any]) -> None:
    await host.done("remember", messages=said("saw a heron"))

    assert len((await host.done("recall", query="heron", **asked))["hits"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "9999-12-31",
        "9999年12月",
        "9999年12月31日做了什么",
        "0001-01-01",
        "9999年",
        "December 9999",
        "the year 9999",
        "0000-00-00",
        "2026-02-30",
        "99999999999 days ago",
        "九千年前",
        "in 10000 years",
        '"',
        "'; DROP TABLE messages; --",
        "NEAR(a b) OR * AND NOT ^",
        "{}",
        "%s %d {0}",
        "\0",
        "\n\n",
        "．。、，！？",
        "a" * 10_000,
        "\U0010ffff\ufdd0\ue000",
        "e" + "\u0301" * 10_000,
        "[m0.0]",
    ],
)
async def test_any_text_can_be_asked(host: Host, query: str) -> None:
    await host.done("remember", messages=said("We saw a heron on 2 May, 5月2号。", name="Lin"))

    for asked in ({"query": query}, {"queries": [query, "heron"]}, {"query": f"heron {query}"}):
        result = await host.call("recall", **asked)
        assert not result.is_error, words(result)


async def test_an_unknown_id_to_forget_is_named_and_nothing_goes(host: Host) -> None:
    await host.done("remember", messages=said("saw a heron"))

    preview = await host.done("forget", ids=["m99.9", "p77"])
    text = await host.text("forget", ids=["m99.9", "p77"])

    assert preview["unknown"] == ["m99.9", "p77"]
    assert "confirm" not in preview
    assert "nothing was forgotten" in text
    assert "Not found: m99.9, p77" in text


async def test_an_unknown_argument_of_recall_is_ignored_and_named(host: Host) -> None:
    await host.done("remember", messages=said("saw a heron"))

    answer = await host.call("recall", query="heron", projct="birds", page_size=3, zzz=1)

    assert answer.structured_content is not None
    assert len(answer.structured_content["hits"]) == 1
    assert answer.structured_content["ignored"] == [
        "projct (did you mean topic?)",
        "page_size (did you mean limit?)",
        "zzz",
    ]
    assert "Ignored arguments: projct (did you mean topic?)" in words(answer)


async def test_an_unknown_argument_of_remember_is_ignored_and_named(host: Host) -> None:
    answer = await host.call("remember", messages=said("saw a heron"), requestid="1")

    assert not answer.is_error
    assert "Ignored arguments: requestid (did you mean request_id?)" in words(answer)
    assert len((await host.done("recall"))["hits"]) == 1


async def test_a_refusal_names_the_misspelt_argument_too(host: Host) -> None:
    told = await host.refused("remember", message="saw a heron")

    assert "nothing to remember" in told
    assert "message (did you mean messages?)" in told


async def test_null_is_accepted_for_every_optional_argument(host: Host) -> None:
    saved = await host.done(
        "remember",
        messages=said("saw a heron", name=None, timestamp=None),
        facts=[{"text": "Watches birds", "section": None, "replaces": None}],
        **dict.fromkeys(("topic", "metadata", "timestamp", "request_id")),
    )

    found = await host.done("recall", **dict.fromkeys(TOOLS["recall"].schema["properties"]))
    listed = await host.done("list_topics", limit=None, cursor=None)
    others = set(TOOLS["forget"].schema["properties"]) - {"ids"}
    preview = await host.done("forget", ids=saved["message_ids"], **dict.fromkeys(others))

    assert saved["topic"] == "default"
    assert (len(found["hits"]), len(listed["topics"]), preview["messages"]) == (1, 1, 1)
    for part in ("messages", "facts"):
        kept = {"messages": said("one more"), "facts": [{"text": "Has a boat"}]} | {part: None}
        assert not (await host.call("remember", **kept)).is_error


async def test_lists_and_objects_may_come_as_json_text(host: Host) -> None:
    saved = await host.done(
        "remember",
        messages=json.dumps(said("看见一只苍鹭")),
        facts=json.dumps([{"text": "Watches birds"}]),
        metadata=json.dumps({"place": "river"}),
    )

    found = await host.done("recall", queries='["苍鹭", "heron"]', metadata=' {"place": "river"}')
    preview = await host.done("forget", ids=json.dumps(saved["message_ids"]))

    assert found["hits"][0]["text"] == "看见一只苍鹭"
    assert preview["messages"] == 1


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("remember", {"messages": said("x"), "metadata": '{"a":' * 900 + "1" + "}" * 900}),
        ("remember", {"messages": said("x"), "metadata": '{"a":' * 5000 + "1" + "}" * 5000}),
        ("remember", {"messages": "[" * 5000 + "]" * 5000}),
        ("recall", {"queries": "[" * 5000 + "]" * 5000}),
        ("forget", {"ids": "[" * 5000 + "]" * 5000}),
        ("remember", {"messages": said("x"), "metadata": '{"a": "\\ud83d"}'}),
        ("remember", {"messages": said("x"), "metadata": '{"\\ud83d": "a"}'}),
    ],
)
async def test_json_text_is_refused_in_words_where_the_line_would_have_been(
    host: Host, tool: str, arguments: dict[str, Any]
) -> None:
    told = await host.refused(tool, **arguments)

    assert not LEAKS.search(told)


async def test_numbers_that_json_does_not_have_are_refused(host: Host) -> None:
    assert "metadata" in await host.refused("remember", messages=said("x"), metadata='{"a": NaN}')


async def test_a_huge_id_is_not_repeated_whole(host: Host) -> None:
    result = await host.call("forget", ids=["p" + "1" * 100_000])

    assert len(words(result)) < 1000


WRONG: dict[str, list[object]] = {
    "string": [5, True, [], {}, ["x"], {"text": "x"}],
    "integer": ["many", 1.5, [], {}, "1e3", "", 10**30],
    "boolean": ["perhaps", 7, [], {}, ""],
    "array": ["x", 5, True, {}, {"role": "user"}, "[", '{"a": 1}'],
    "object": ["x", 5, True, [], "{", "[1]"],
}


def wrong_values(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a path in the arguments and a value of a wrong type for it, all through a schema."""
    for value in WRONG[schema["type"]] if path else ():
        yield path, value
    if schema["type"] == "array":
        for value in (*WRONG[schema["items"]["type"]], None):
            yield f"{path}[0]", [value]
        if schema["items"]["type"] == "object":
            for inner, value in wrong_values(schema["items"]):
                yield f"{path}[0].{inner}", [{"role": "user", "content": "x", "text": "x", inner: value}]
    if schema["type"] == "object":
        for name, property_schema in schema.get("properties", {}).items():
            yield from wrong_values(property_schema, name)


async def refuses_in_words(host: Host, tool: str, path: str, value: object) -> str | None:
    """Send a wrong value; return what is wrong with the answer."""
    base: dict[str, Any] = {"messages": said("x")} if tool == "remember" else {}
    result = await host.call(tool, **(base | {re.split(r"[.\[]", path)[0]: value}))
    told = words(result)
    if not result.is_error:
        return f"{tool} {path} took {value!r}"
    if path not in told or CONSEQUENCE[tool] not in told or LEAKS.search(told):
        return f"{tool} {path} {value!r}: {told}"
    return None


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_wrong_type_is_refused_in_words_wherever_it_stands(host: Host, tool: str) -> None:
    wrong = list(wrong_values(TOOLS[tool].schema))

    answers = [await refuses_in_words(host, tool, path, value) for path, value in wrong]

    assert len(wrong) >= 12
    assert [answer for answer in answers if answer] == []
    assert await nothing_is_kept(host)


async def test_arguments_that_are_no_object_are_an_error_and_the_server_goes_on(tmp_path: Path) -> None:
    async with server_process(tmp_path) as wire:
        await wire.initialize()
        for arguments in ([1], "{}", 5, True):
            message = call(7, "recall")
            message["params"]["arguments"] = arguments
            await wire.write(message)
            answer = await wire.read()
            assert (answer["id"], answer["error"]["code"]) == (7, -32602)
        await wire.write(call(8, "recall"))
        assert (await wire.read())["result"]["isError"] is False


async def test_an_unknown_tool_is_an_error_by_name(host: Host) -> None:
    assert "search_everything" in await host.refused("search_everything")


async def test_a_refused_call_leaves_the_next_one_alone(memory: Memory) -> None:
    async with host_of(memory) as host:
        await host.refused("remember", messages=said(5))
        await host.refused("recall", limit=-1)
        await host.done("remember", messages=said("saw a heron"))

        assert len((await host.done("recall", query="heron"))["hits"]) == 1
