"""Long replies and their summaries: by a model, or without one by first and last sentences and figures."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from mem1_mcp.errors import AnswerRefusedError
from mem1_mcp.memory.language import prompts
from mem1_mcp.memory.language.answers import invented_figures, is_in_the_language_of, rests_on, said
from mem1_mcp.memory.profile.gate import is_marked_up, refuses
from mem1_mcp.memory.profile.portrait import is_chinese
from mem1_mcp.memory.work.worker import Worker
from mem1_mcp.text.terms import index
from mem1_mcp.types import Summary

if TYPE_CHECKING:
    from mem1_mcp.memory.language.model import Model
    from mem1_mcp.protocols import Store
    from mem1_mcp.types import Job

_ATTEMPTS = 5  # at what a model answers about one reply
_READ = 12_000  # characters of a reply that a model reads
_GENEROUS = 1.5  # times as long as asked for

_SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|[。！？]|\n|$)", re.DOTALL)
_FIGURE = re.compile(r"\d")
_GAP = " … "


class Summarising(Worker):
    """Puts a summary in the place of a long reply, whose words stay beside it if they are to be kept."""

    kind = "summary"
    endpoint = "model"

    def __init__(self, store: Store, model: Model | None, max_chars: int, *, keep_words: bool) -> None:
        self._store = store
        self._model = model
        self._max_chars = max_chars
        self._keep_words = keep_words

    def rests_for(self) -> float:
        """See ``Worker.rests_for``."""
        return 0.0 if self._model is None else self._model.rests_for()

    async def step(self, job: Job, lease_ms: int) -> tuple[Job, int] | None:
        """Summarise one reply. See ``Worker.step``."""
        waiting = await self._store.unsummarised(job, 1)
        if not waiting:
            return None
        ((place, reply),) = waiting.items()
        text = await self._summary(job, reply)
        indexed = None if self._keep_words else index(text)
        await self._store.keep_summaries(job, {place: Summary(text, indexed)}, lease_ms)
        return job, 0

    async def _summary(self, job: Job, reply: str) -> str:
        if self._model is None or job.attempts + 1 >= _ATTEMPTS:
            return extract(reply, self._max_chars)
        language = "zh" if is_chinese([reply]) else "en"
        question = prompts.summarise(reply[:_READ], self._max_chars, language)
        text = said(await self._model.ask(job.user, question))
        if wrong := _wrong_with(text, reply, self._max_chars):
            raise AnswerRefusedError(f"The summary {wrong}.")
        return text


def _wrong_with(text: str, reply: str, max_chars: int) -> str | None:
    if len(text) > _GENEROUS * max_chars or len(text) >= len(reply):
        return "is no shorter than asked for"
    if refuses(text) and not refuses(reply):
        return "is a refusal"
    if is_marked_up(text) and not is_marked_up(reply):
        return "holds markup"
    if not is_in_the_language_of(text, [reply]) or not rests_on(text, [reply]):
        return "is about something else"
    if invented_figures(text, [reply]):
        return "holds a figure that the reply does not"
    return None


def extract(reply: str, max_chars: int) -> str:
    """Cut a reply down to its first and last sentence, and those with figures as far as there is room."""
    sentences = [each.strip() for each in _SENTENCE.findall(reply) if each.strip()]
    last = len(sentences) - 1
    figures = [number for number in range(1, last) if _FIGURE.search(sentences[number])]
    chosen: list[int] = []
    room = max_chars
    for number in dict.fromkeys((0, last, *figures)):
        cost = len(sentences[number]) + len(_GAP)
        if cost <= room:
            chosen.append(number)
            room -= cost
    if not chosen:
        return f"{sentences[0][: max_chars - 1]}…"
    chosen.sort()
    text = sentences[chosen[0]]
    for before, number in pairwise(chosen):
        text += (" " if number == before + 1 else _GAP) + sentences[number]
    return text if chosen[-1] == last else f"{text}{_GAP.rstrip()}"
