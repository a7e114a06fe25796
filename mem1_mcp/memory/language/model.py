"""A language model put to use: left alone while its endpoint fails, and what it costs counted."""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING

import anyio

from mem1_mcp.errors import AnswerRefusedError, ModelError, RequestRefusedError, StoreError
from mem1_mcp.protocols import Question
from mem1_mcp.text.budget import estimate_tokens
from mem1_mcp.types import Usage

if TYPE_CHECKING:
    from mem1_mcp.protocols import Answer, ChatModel, Store

log = logging.getLogger(__name__)

_SMALL_TALK = Question("Answer with the one word: yes", "Are you there?", None, 10)
_READ_OF_SENT = 0.3  # the estimate is rough; some servers cut what is too long without a word
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 5.0, 300.0
_DOUBT_SECONDS, _LONGEST_DOUBT_SECONDS = 300.0, 3600.0


class Model:
    """Asks a chat model for users of a store.

    After a failure it is left alone: for as long as it says, or else twice as long each time. So a dead
    endpoint costs nobody anything, and one that is back is found by the first question after a rest.
    So is one whose answers can't be used. ``trouble`` says why. ``used`` is what this process asked.
    """

    def __init__(self, chat: ChatModel, store: Store) -> None:
        self._chat = chat
        self._store = store
        self._failures = 0
        self._useless = 0  # questions one after the other
        self._resting_until = -math.inf
        self.trouble = ""
        self.used = Usage(chat.name)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._chat.name

    @property
    def address(self) -> str | None:
        """Where it is asked; ``None`` is OpenAI itself."""
        return self._chat.address

    def rests_for(self) -> float:
        """For how many seconds it is still left alone."""
        return max(self._resting_until - anyio.current_time(), 0.0)

    async def ask(self, user: str, question: Question) -> Answer:
        """Ask for this user.

        Raises:
            ModelError: no answer came.
            AnswerRefusedError: it takes questions, but not this one.

        """
        try:
            answer = await self._answer(question)
        except RequestRefusedError as error:
            await self.check()
            raise AnswerRefusedError(f"{error}.") from error
        await self._count(user, Usage(self.name, 1, answer.input_tokens, answer.output_tokens))
        read, sent = answer.input_tokens, estimate_tokens(question.system + question.user)
        if 0 < read < _READ_OF_SENT * sent:
            raise AnswerRefusedError(
                f"The model read {read} tokens of a question of some {sent}: its context is too short. "
                "Give it a longer one, where it is served."
            )
        return answer

    async def _count(self, user: str, usage: Usage) -> None:
        self.used += usage
        try:
            await self._store.count_usage(user, usage)
        except StoreError as error:
            log.warning("What the model was asked could not be counted: %s", error)

    def useful(self) -> None:
        """Note that an answer could be used."""
        self._useless = 0

    def useless(self, reason: str) -> None:
        """Note that a question was given up, since no answer to it could be used.

        One may be the question's fault; two, one after the other, are the model's, and it is left alone.
        """
        self._useless += 1
        if self._useless > 1:
            rest = min(_DOUBT_SECONDS * 2 ** (self._useless - 2), _LONGEST_DOUBT_SECONDS)
            self._resting_until = anyio.current_time() + rest
            self.trouble = f"the answers of {self.name} can't be used. {reason.rstrip('.')}"

    async def check(self) -> Answer:
        """Find out whether the model answers at all, by a question that each takes; it is not counted.

        Raises:
            ModelError: it does not.

        """
        try:
            return await self._answer(_SMALL_TALK)
        except RequestRefusedError as error:
            self._leave_alone(error)
            raise

    def _leave_alone(self, error: ModelError) -> None:
        rest = error.retry_after
        if rest is None:
            rest = min(_FIRST_REST_SECONDS * 2**self._failures, _LONGEST_REST_SECONDS)
            rest *= random.uniform(0.75, 1.0)  # noqa: S311 - jitter, no secret
        self._failures = min(self._failures + 1, 10)
        self._resting_until = anyio.current_time() + rest
        self.trouble = str(error)

    async def _answer(self, question: Question) -> Answer:
        try:
            answer = await self._chat.ask(question)
        except RequestRefusedError:
            raise
        except ModelError as error:
            self._leave_alone(error)
            raise
        self._failures, self._resting_until, self.trouble = 0, -math.inf, ""
        return answer

    async def close(self) -> None:
        """Release the model."""
        await self._chat.close()
