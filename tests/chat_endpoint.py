"""An endpoint with OpenAI's API over a language model whose answers a test writes.

``python -m tests.chat_endpoint`` serves it, prints its URL, and ends with its stdin.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from tests.endpoint import REFUSALS, Reply, Served, serving

# What the model says to a request, or a status, an answer and headers instead of a completion.
Said: TypeAlias = str | tuple[int, Any, Mapping[str, str]]
Script: TypeAlias = Callable[[dict[str, Any]], Said]

BAD = (*REFUSALS, "garbage")
NOTHING_TO_DO = '{"operations": []}'

_FENCE = re.compile(r"<<<data-([0-9A-Fa-f]+)\n(.*)\ndata-\1>>>")


def estimate(text: str) -> int:
    """Count tokens, plainly."""
    return len(text) // 4


def prompt_of(body: dict[str, Any]) -> str:
    """Return all that is said in a request."""
    return "".join(map(_text, body["messages"]))


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, list):  # with an image in it
        return "".join(part.get("text", "") for part in content)
    return str(content)


def fenced(body: dict[str, Any]) -> dict[str, Any]:
    """Return the data between the fences of a request's last user message."""
    user = [message["content"] for message in body["messages"] if message["role"] == "user"][-1]
    found = _FENCE.search(user)
    assert found, "the user message has no fence"
    data: dict[str, Any] = json.loads(found[2])
    return data


def completion(body: dict[str, Any], said: str | None, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """Put what the model says into a completion; ``more`` goes into its message."""
    counts = estimate(prompt_of(body)), estimate(said or "")
    message = {"role": "assistant", "content": said} | more
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)},
    }


def refusing(parameter: str) -> Reply:
    """Say in the way of OpenAI that a parameter is unknown."""
    error = {
        "message": f"Unsupported parameter: '{parameter}' is not supported with this model.",
        "type": "invalid_request_error",
        "param": parameter.partition(".")[0],
        "code": "unsupported_parameter",
    }
    return Reply(400, {"error": error})


def says_nothing_to_do(body: dict[str, Any]) -> str:
    """Answer each request the same: a script."""
    return NOTHING_TO_DO


class ChatEndpoint(Served):
    """Says what its script says. Modes beside the bad: slow, dripping, and "knows little" of parameters."""

    def __init__(self, script: Script = says_nothing_to_do) -> None:
        super().__init__()
        self.script = script

    def answer(self, body: dict[str, Any]) -> Reply:
        """Answer a request in the mode of the moment."""
        if self.mode == "garbage":
            return Reply(200, b'{"choices": [', {"Content-Type": "application/json"})
        if self.mode == "knows little" and (unknown := _unknown(body)):
            return refusing(unknown)
        said = self.script(body)
        return Reply(200, completion(body, said)) if isinstance(said, str) else Reply(*said)


def _unknown(body: dict[str, Any]) -> str | None:
    if "response_format" in body:
        return f"response_format.{body['response_format']['type']}"
    return next((name for name in ("temperature", "max_tokens") if name in body), None)


@contextmanager
def chat_endpoint(script: Script = says_nothing_to_do, port: int = 0) -> Iterator[ChatEndpoint]:
    """Serve on a port of this machine while the block lasts."""
    with serving(ChatEndpoint(script), port) as served:
        yield served


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    with chat_endpoint(port=parser.parse_args().port) as served:
        sys.stdout.write(f"{served.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
