"""A language model behind an endpoint that works, and behind ones that do not, over real HTTP."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from mem1_mcp.errors import ModelError
from mem1_mcp.models.chat import OpenAIChat
from mem1_mcp.protocols import Answer, Question
from tests.chat_endpoint import (
    BAD,
    NOTHING_TO_DO,
    ChatEndpoint,
    Said,
    Script,
    chat_endpoint,
    completion,
    fenced,
    refusing,
)

KEY = "sk-Qm7xWz4TnVb2"
SCHEMA = {"type": "object", "properties": {"operations": {"type": "array"}}}
ASKED = Question("Say what to change.", "Mei moved to Berlin and is allergic to shrimp.", SCHEMA, 300)
LONG_AGO, SOON = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:30 GMT"


@pytest.fixture
def served() -> Iterator[ChatEndpoint]:
    with chat_endpoint() as running:
        yield running


@asynccontextmanager
async def connected(
    served: ChatEndpoint, key: str | None = KEY, seconds: float = 30.0
) -> AsyncGenerator[OpenAIChat]:
    """Ask a model of this endpoint, and leave nothing open."""
    model = OpenAIChat("small", served.url, key, 0.2, seconds=seconds)
    try:
        yield model
    finally:
        await model.close()


async def answer_of(served: ChatEndpoint, question: Question = ASKED) -> Answer:
    async with connected(served) as model:
        return await model.ask(question)


async def failure_of(
    served: ChatEndpoint, question: Question = ASKED, key: str | None = KEY, seconds: float = 30.0
) -> ModelError:
    """Ask, and return how it failed."""
    async with connected(served, key, seconds) as model:
        with pytest.raises(ModelError) as caught:
            await model.ask(question)
    return caught.value


def raw(status: int, answer: Any, **headers: str) -> Script:
    """Return a script that answers this whatever it is asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda body: (status, answer, named)


def refusing_only(*parameters: str) -> Script:
    """Return a script that refuses the first of these which a request has, naming it as OpenAI does."""

    def script(body: dict[str, Any]) -> Said:
        has = [name for name in parameters if name in body]
        return refusing(has[0]) if has else NOTHING_TO_DO

    return script


def refusing_formats(answer: Any, *kinds: str, status: int = 400) -> Script:
    """Return a script that gives this answer to requests for these kinds of format."""

    def script(body: dict[str, Any]) -> Said:
        kind = body.get("response_format", {}).get("type")
        return (status, answer, {}) if kind in kinds else NOTHING_TO_DO

    return script


async def test_a_question_is_asked_with_all_that_bounds_its_answer(served: ChatEndpoint) -> None:
    answer = await answer_of(served)

    assert answer.text == NOTHING_TO_DO
    assert not answer.cut
    assert served.keys == [KEY]
    assert served.asked == [
        {
            "model": "small",
            "messages": [
                {"role": "system", "content": ASKED.system},
                {"role": "user", "content": ASKED.user},
            ],
            "temperature": 0.2,
            "max_tokens": 300,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
            },
        }
    ]


async def test_a_question_in_words_asks_for_no_format(served: ChatEndpoint) -> None:
    await answer_of(served, Question("Sum it up.", "A long tale.", None, 50))

    assert "response_format" not in served.asked[0]


async def test_a_model_goes_by_the_name_that_its_endpoint_knows(served: ChatEndpoint) -> None:
    async with connected(served) as model:
        assert model.name == "small"


async def test_what_was_used_is_counted(served: ChatEndpoint) -> None:
    answer = await answer_of(served)

    assert answer.input_tokens == len(ASKED.system + ASKED.user) // 4
    assert answer.output_tokens == len(NOTHING_TO_DO) // 4


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": "many"}])
async def test_an_endpoint_that_counts_nothing_still_answers(served: ChatEndpoint, usage: Any) -> None:
    served.script = lambda body: (200, completion(body, "yes") | {"usage": usage}, {})

    assert await answer_of(served) == Answer("yes", cut=False, input_tokens=0, output_tokens=0)


async def test_an_answer_that_was_cut_is_noticed(served: ChatEndpoint) -> None:
    served.script = lambda body: (200, completion(body, '{"operations": [', "length"), {})

    answer = await answer_of(served)

    assert answer.cut
    assert answer.text == '{"operations": ['


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": None, "refusal": "I would rather not."}, "I would rather not."),
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "yes"}]}, "yes"),
    ],
)
async def test_the_text_is_found_wherever_a_message_has_it(
    served: ChatEndpoint, message: dict[str, Any], text: str
) -> None:
    served.script = lambda body: (200, completion(body, "", **message), {})

    assert (await answer_of(served)).text == text


@pytest.mark.parametrize("mode", [*BAD, "slow"])
async def test_a_failure_names_model_and_endpoint_and_a_setting_that_cures_it(
    served: ChatEndpoint, mode: str
) -> None:
    served.mode = mode

    told = str(await failure_of(served, seconds=0.2 if mode == "slow" else 30.0))

    assert told.startswith(f"the language model small at {served.url} ")
    assert "MEM1_LLM_" in told or mode == "error"
    assert "\n" not in told
    assert KEY not in told


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (
            "too many requests",
            ("answered 429", "too many requests", "(it says: slow down)", "wait for 7 s"),
        ),
        ("error", ("answered 500", "see its log")),
        ("no key", ("answered 401: it does not take the key", "MEM1_LLM_API_KEY")),
        ("no model", ("answered 404", "no such model", "MEM1_LLM_MODEL", "MEM1_LLM_BASE_URL")),
        ("page", ("something that is no chat completion", "MEM1_LLM_BASE_URL")),
        ("empty", ("something that is no chat completion",)),
        ("garbage", ("something that is no chat completion",)),
    ],
)
async def test_a_failure_says_what_is_wrong(
    served: ChatEndpoint, mode: str, words: tuple[str, ...]
) -> None:
    served.mode = mode

    told = str(await failure_of(served))

    assert [each for each in words if each not in told] == []


@pytest.mark.parametrize("mode", ["slow", "dripping"])
async def test_a_slow_endpoint_is_given_up(served: ChatEndpoint, mode: str) -> None:
    served.mode = mode

    told = str(await failure_of(served, seconds=0.2))

    assert "did not answer within 0.2 s; " in told
    assert "MEM1_LLM_MODEL" in told


async def test_an_endpoint_that_is_not_there_is_named() -> None:
    with chat_endpoint() as gone:
        pass

    told = str(await failure_of(gone))

    assert f"at {gone.url} can't be reached (nothing listens there); " in told
    assert "MEM1_LLM_BASE_URL" in told


async def test_an_endpoint_that_wants_a_key_says_so_where_none_is_set(served: ChatEndpoint) -> None:
    served.mode = "no key"

    assert "answered 401: it wants a key; set MEM1_LLM_API_KEY" in str(await failure_of(served, key=None))


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_request_is_told_with_the_words_of_the_endpoint(
    served: ChatEndpoint, status: int
) -> None:
    why = "This model's maximum context length is 512 tokens,\nyour max_tokens of 300 is too much."
    served.script = raw(status, {"error": {"message": why}})

    told = str(await failure_of(served))

    assert f"refused the request ({status}) (it says: {why.replace(chr(10), ' ')}); " in told
    assert "MEM1_LLM_MODEL" in told
    assert len(served.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"message": "far too long"}},
        {"error": "far too long"},
        {"message": "far too long"},
        {"detail": "far too long"},
        {"detail": [{"loc": ["body", "messages"], "msg": "far too long", "input": ["…"]}]},
        [{"error": {"message": "far too long"}}],
        b"far \x1b[31m\ntoo long",
    ],
)
async def test_the_words_of_an_endpoint_are_found_in_whatever_it_answers(
    served: ChatEndpoint, answer: Any
) -> None:
    served.script = raw(400, answer)

    told = str(await failure_of(served)).replace("[31m ", "")

    assert "(it says: far too long)" in told


@pytest.mark.parametrize("answer", [b"<html>Bad gateway</html>", b"", [], {"error": {"code": 7}}, None])
async def test_an_endpoint_that_says_nothing_is_not_quoted(served: ChatEndpoint, answer: Any) -> None:
    served.script = raw(400, answer)

    assert "refused the request (400); " in str(await failure_of(served))


async def test_long_words_of_an_endpoint_are_shortened(served: ChatEndpoint) -> None:
    served.script = raw(400, {"error": {"message": "no " * 1000}})

    told = str(await failure_of(served))

    assert "no no" in told
    assert len(told) < 450


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "0.5"}, 0.5),
        ({"Retry_After": "7", "retry_after_ms": "1500"}, 1.5),
        ({"Retry_After": SOON}, 0.0),
        ({"Retry_After": "Fri, 31 Dec 2999 23:59:59 GMT"}, 3600.0),
        ({"Retry_After": "86400"}, 3600.0),
        ({"Retry_After": "-5"}, 0.0),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "tomorrow"}, None),
        ({}, None),
    ],
)
async def test_an_endpoint_is_left_alone_for_as_long_as_it_wants(
    served: ChatEndpoint, headers: dict[str, str], seconds: float | None
) -> None:
    served.script = raw(429, {}, **headers)

    failure = await failure_of(served)

    assert failure.retry_after == seconds
    assert len(served.asked) == 1


async def test_an_endpoint_that_is_overloaded_is_left_alone_too(served: ChatEndpoint) -> None:
    served.script = raw(503, {}, Retry_After="7")

    failure = await failure_of(served)

    assert failure.retry_after == 7.0
    assert "answered 503" in str(failure)
    assert "wait for 7 s" in str(failure)


async def test_a_date_is_read_by_the_clock_that_wrote_it(served: ChatEndpoint) -> None:
    served.script = raw(429, {}, Date=LONG_AGO, Retry_After=SOON)

    assert (await failure_of(served)).retry_after == 30.0


async def test_an_endpoint_that_knows_little_is_asked_for_less_and_less_but_once(
    served: ChatEndpoint,
) -> None:
    served.mode = "knows little"
    async with connected(served) as model:
        first = await model.ask(ASKED)
        tries = len(served.asked)
        await model.ask(ASKED)

    assert first.text == NOTHING_TO_DO
    assert tries == 5
    assert len(served.asked) == tries + 1
    assert set(served.asked[-1]) == {"model", "messages", "max_completion_tokens"}


async def test_schema_then_object_then_none_is_asked_for(served: ChatEndpoint) -> None:
    served.mode = "knows little"
    await answer_of(served)

    formats = [body.get("response_format", {}).get("type") for body in served.asked]

    assert formats[:3] == ["json_schema", "json_object", None]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": {"message": "This response_format type is unavailable now"}}),
        (400, {"error": "json_schema is not supported"}),
        (422, {"detail": [{"loc": ["body", "response_format", "type"], "msg": "Input should be 'text'"}]}),
        (400, {"error": {"message": "Invalid.", "param": "response_format"}}),
        (400, {"error": {"message": "Failed to parse grammar"}}),
        (400, b"structured outputs are off"),
    ],
)
async def test_a_format_that_is_refused_is_known_by_any_of_its_names(
    served: ChatEndpoint, status: int, answer: Any
) -> None:
    served.script = refusing_formats(answer, "json_schema", status=status)

    assert (await answer_of(served)).text == NOTHING_TO_DO
    assert [body["response_format"]["type"] for body in served.asked] == ["json_schema", "json_object"]


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (
            {
                "error": {
                    "message": "Unsupported value: 'temperature' does not support 0.2 with this model."
                }
            },
            {"max_tokens", "response_format"},
        ),
        (
            {
                "detail": [
                    {"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs"}
                ]
            },
            {"max_tokens", "response_format"},
        ),
        (
            {"error": {"message": "Use max_completion_tokens instead of max_tokens.", "param": None}},
            {"temperature", "max_completion_tokens", "response_format"},
        ),
        (
            {"error": {"message": "Unknown.", "param": "max_tokens"}},
            {"temperature", "max_completion_tokens", "response_format"},
        ),
    ],
)
async def test_a_parameter_that_is_refused_is_left_out_alone(
    served: ChatEndpoint, answer: Any, left: set[str]
) -> None:
    def script(body: dict[str, Any]) -> Said:
        return NOTHING_TO_DO if set(body) == left | {"model", "messages"} else (400, answer, {})

    served.script = script

    assert (await answer_of(served)).text == NOTHING_TO_DO
    assert len(served.asked) == 2


async def test_a_model_that_knows_no_bound_of_answers_goes_without(served: ChatEndpoint) -> None:
    served.script = refusing_only("max_tokens", "max_completion_tokens")

    await answer_of(served)

    assert set(served.asked[-1]) == {"model", "messages", "temperature", "response_format"}


async def test_an_endpoint_that_refuses_whatever_it_gets_is_asked_a_handful_of_times(
    served: ChatEndpoint,
) -> None:
    served.script = raw(400, {"error": {"message": "temperature, max_tokens, response_format: all wrong"}})

    told = str(await failure_of(served))

    assert "refused the request (400)" in told
    assert len(served.asked) == 6


async def test_a_prompt_that_speaks_of_a_parameter_costs_the_request_none(served: ChatEndpoint) -> None:
    question = Question("Say what to change.", "The temperature at night was quite low.", None, 50)
    served.script = lambda body: (400, {"error": {"message": f"Bad input: {body['messages'][1]}"}}, {})

    await failure_of(served, question)

    assert len(served.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 429, 500])
@pytest.mark.parametrize(
    "echo",
    [
        "{0}",
        "Can't read this: {0}",
        "Can't read this: {1}",
        "Can't read '…allergic to shrimp and 过敏的东西都不能吃…'",
    ],
)
async def test_what_was_asked_never_stands_in_a_failure(
    served: ChatEndpoint, status: int, echo: str
) -> None:
    said = "Mei said: 'I am\nallergic to shrimp and\n过敏的东西都不能吃, 花生也不行'."
    question = Question("Say what to change.", said, SCHEMA, 300)
    served.script = raw(status, {"error": {"message": echo.format(said, json.dumps(said))}})

    failure = await failure_of(served, question)
    shown = "".join(traceback.format_exception(failure))

    assert "shrimp" not in shown
    assert "过敏" not in shown
    assert "\\u8fc7" not in shown


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_a_key_never_stands_in_a_failure_or_a_log(
    served: ChatEndpoint, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    served.script = raw(status, {"error": {"message": f"Incorrect key {KEY[:9]}…, set temperature"}})

    failure = await failure_of(served)
    shown = "".join(traceback.format_exception(failure)) + caplog.text

    assert KEY[:9] not in shown


async def test_nothing_of_what_is_said_is_logged(
    served: ChatEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    served.mode = "knows little"

    await answer_of(served)

    assert "takes no json_schema" in caplog.text
    assert "Mei" not in caplog.text
    assert "operations" not in caplog.text


async def test_what_is_secret_in_an_address_is_left_out() -> None:
    with chat_endpoint() as gone:
        pass
    gone.url = gone.url.replace("http://", "http://mei:pass-word@") + "?key=hidden"

    told = str(await failure_of(gone))

    assert "http://127.0.0.1:" in told
    assert [each for each in ("mei:", "pass-word", "hidden") if each in told] == []


@pytest.mark.parametrize("key", ["schlüssel-1234", "sk-1234\nMEM1_LLM_MODEL=x", "“sk-1234”"])
async def test_a_key_that_can_be_none_is_not_sent(served: ChatEndpoint, key: str) -> None:
    failure = await failure_of(served, key=key)
    shown = "".join(traceback.format_exception(failure))

    assert "its key holds characters that no key has; set MEM1_LLM_API_KEY" in shown
    assert "1234" not in shown
    assert served.asked == []


async def test_blanks_around_a_key_are_no_part_of_it(served: ChatEndpoint) -> None:
    async with connected(served, key=f" {KEY}\n") as model:
        await model.ask(ASKED)

    assert served.keys == [KEY]


async def test_a_proxy_that_can_not_be_used_is_named(
    served: ChatEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://mei:pass-word@127.0.0.1:1080")

    told = str(await failure_of(served))

    assert "ALL_PROXY" in told
    assert "pass-word" not in told


async def test_openai_is_meant_where_no_address_is_given_whatever_the_environment_says(
    served: ChatEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", served.url)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    model = OpenAIChat("small", None, KEY, 0.2)

    with pytest.raises(ModelError, match=r"^the language model small of OpenAI can't be reached"):
        await model.ask(ASKED)
    await model.close()

    assert served.asked == []


async def test_many_may_ask_at_once(served: ChatEndpoint) -> None:
    served.mode = "knows little"
    answers: dict[int, str] = {}
    served.script = lambda body: f"I heard {body['messages'][1]['content']}"

    async def ask(model: OpenAIChat, number: int) -> None:
        answers[number] = (await model.ask(Question("", f"number {number}", SCHEMA, 300))).text

    async with connected(served) as model:
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(ask, model, number)
        before = len(served.asked)
        await model.ask(ASKED)

    assert answers == {number: f"I heard number {number}" for number in range(8)}
    assert before <= 8 * 6
    assert len(served.asked) == before + 1
    assert served.asked[-1]["max_completion_tokens"] == 300


async def test_an_endpoint_that_recovers_is_asked_again(served: ChatEndpoint) -> None:
    async with connected(served) as model:
        served.mode = "error"
        with pytest.raises(ModelError):
            await model.ask(ASKED)
        served.mode = "good"

        assert (await model.ask(ASKED)).text == NOTHING_TO_DO
    assert "response_format" in served.asked[-1]


async def test_a_script_reads_the_data_between_the_fences(served: ChatEndpoint) -> None:
    prompt = 'Read this.\n<<<data-3fA9\n{"messages": ["data-3fA9>>>"]}\ndata-3fA9>>>\nAnswer as JSON.'
    served.script = lambda body: json.dumps(fenced(body))

    answer = await answer_of(served, Question("", prompt, SCHEMA, 300))

    assert json.loads(answer.text) == {"messages": ["data-3fA9>>>"]}
