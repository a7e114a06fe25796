"""A language model behind any endpoint with OpenAI's API: a vendor's, or a server on one's own machine."""

from __future__ import annotations

import base64
import logging
import re
from typing import TYPE_CHECKING, Any

from mem1_mcp.errors import ModelError, RequestRefusedError
from mem1_mcp.models.endpoint import Endpoint, EndpointError
from mem1_mcp.models.failures import REFUSALS, in_words, own_words
from mem1_mcp.protocols import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai.types.chat import ChatCompletion

    from mem1_mcp.protocols import Question

log = logging.getLogger(__name__)

# What of a request an endpoint may not know, and the ways to say it, best first; after the last it is left
# out. What the answer is to look like stands in the prompt too.
_WAYS: Mapping[str, tuple[str, ...]] = {
    "format": ("json_schema", "json_object"),
    "bound": ("max_tokens", "max_completion_tokens"),
    "temperature": ("temperature",),
}
_NAMES = {
    "format": re.compile(
        r"response_?format|json[_ ]?(?:schema|object|mode)|structured|schema|grammar", re.IGNORECASE
    ),
    "bound": re.compile(r"max_(?:completion_)?tokens", re.IGNORECASE),
    "temperature": re.compile(r"temperature", re.IGNORECASE),
}
_UNKNOWN = (400, 422)
# These name parameters too, and would be said without them as well.
_OTHER_TROUBLE = re.compile(
    r"context[_ ](?:length|window|size)|maximum context|prompt is too long|failed_generation", re.IGNORECASE
)


class OpenAIChat:
    """Asks ``/chat/completions`` of an endpoint; remembers what it does not know of a request."""

    SECONDS = 60.0  # for one answer

    def __init__(
        self,
        model: str,
        base_url: str | None,
        api_key: str | None,
        temperature: float,
        *,
        seconds: float = SECONDS,
        settings: str = "MEM1_LLM",
    ) -> None:
        self.name = model
        self._settings = settings  # what the names of the settings begin with that it is set by
        self._temperature = temperature
        self._endpoint = Endpoint(base_url, api_key, seconds)
        where = "of OpenAI" if self._endpoint.address is None else f"at {self._endpoint.address}"
        self._who = f"the language model {model} {where}"
        self._refused: frozenset[str] = frozenset()  # ways of the above

    @property
    def address(self) -> str | None:
        """See ``ChatModel.address``."""
        return self._endpoint.address

    async def ask(self, question: Question) -> Answer:
        """See ``ChatModel.ask``."""
        while True:  # each time one way less
            ways = self._ways(question)
            try:
                return await self._ask(question, self._request(question, ways))
            except EndpointError as failure:
                key = self._endpoint.api_key
                way = _refused_way(failure, own_words(failure, question, key), ways)
                if way is None:
                    told = in_words(failure, question, key).replace("MEM1_LLM", self._settings)
                    text = f"{self._who} {told}"
                    # It may be too slow for this question, and not for others.
                    of_this = failure.status in REFUSALS or failure.trouble == "slow"
                    kind = RequestRefusedError if of_this else ModelError
                    raise kind(text, failure.retry_after) from failure
                self._refused |= {way}
                log.info("%s takes no %s", self._who, way)

    async def close(self) -> None:
        """Close its connections."""
        await self._endpoint.close()

    def _ways(self, question: Question) -> Mapping[str, str]:
        """Return how each is said to this endpoint, as far as is known by now."""
        ways = {}
        for what, all_ways in _WAYS.items():
            left = [way for way in all_ways if way not in self._refused]
            if left and (what != "format" or question.schema is not None):
                ways[what] = left[0]
        return ways

    def _request(self, question: Question, ways: Mapping[str, str]) -> dict[str, object]:
        request: dict[str, object] = {}
        if "temperature" in ways:
            request["temperature"] = self._temperature
        if "bound" in ways:
            request[ways["bound"]] = question.max_tokens
        if ways.get("format") == "json_object":
            request["response_format"] = {"type": "json_object"}
        if ways.get("format") == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": question.schema}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        return request

    async def _ask(self, question: Question, more: Mapping[str, object]) -> Answer:
        async with self._endpoint.asking("chat completion") as client:
            return _answer(
                await client.chat.completions.create(
                    model=self.name,
                    messages=[
                        {"role": "system", "content": question.system},
                        {"role": "user", "content": _content(question)},
                    ],
                    extra_body=more,
                )
            )


def _content(question: Question) -> Any:
    if question.image is None:
        return question.user
    data = base64.b64encode(question.image.data).decode()
    url = f"data:{question.image.media_type};base64,{data}"
    return [{"type": "text", "text": question.user}, {"type": "image_url", "image_url": {"url": url}}]


def _answer(completion: ChatCompletion) -> Answer:
    choice = completion.choices[0]
    usage = completion.usage
    return Answer(
        text=_text(choice.message.refusal) or _text(choice.message.content),
        cut=getattr(choice, "finish_reason", None) == "length",  # where some say nothing
        input_tokens=_count(getattr(usage, "prompt_tokens", 0)),
        output_tokens=_count(getattr(usage, "completion_tokens", 0)),
    )


def _text(content: Any) -> str:
    """Return the text of a content, which some give in parts, of which some are no text."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content)
    if not isinstance(content, str | None):
        raise TypeError("no text")
    return content or ""


def _count(number: Any) -> int:
    return number if isinstance(number, int) and number > 0 else 0


def _refused_way(failure: EndpointError, words: str, ways: Mapping[str, str]) -> str | None:
    """Return which way of a request the endpoint does not know, ``None`` where it is something else."""
    if failure.status not in _UNKNOWN:
        return None
    for what in ways:
        if _NAMES[what].search(failure.parameter):
            return ways[what]
    if _OTHER_TROUBLE.search(words):
        return None
    # The first that is named: others are named as a cure, or when that one is gone.
    found = {what: match.start() for what in ways if (match := _NAMES[what].search(words))}
    return ways[min(found, key=found.__getitem__)] if found else None
