"""Vectors: made of messages in the background and of questions when they are asked.

What all vectors of a model have in common is taken off; see ``typical``. A vector is kept of unit length,
each number as a signed byte of its 127-fold; so little is lost by it that no figure of recall changes.
"""

from __future__ import annotations

import logging
import math
from array import array
from dataclasses import dataclass
from operator import mul, sub
from typing import TYPE_CHECKING

import anyio

from mem1_mcp.errors import EmbedderError, TextRefusedError
from mem1_mcp.memory.search import typical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mem1_mcp.protocols import Embedder, TextKind

log = logging.getLogger(__name__)

_CHARACTERS = 2000  # of a message; models read no more of it
_PATIENCE_SECONDS = 3.0  # a person waits
_REST_SECONDS = 30.0
_STARTING_SECONDS = 30.0
_UNIT = 127
_NOTHING = 1e-6  # of a unit
_WAY = 1  # of taking off what is common; another one makes other vectors

_Vector = list[float]
_Pairs = list[tuple[_Vector, _Vector]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions as vectors, one each; none at all where ``trouble`` says why."""

    vectors: tuple[bytes, ...] = ()
    trouble: str | None = None


class Meaning:
    """Puts an embedder to use: checks what it answers, and leaves it alone while it fails.

    ``patience`` is for how many seconds a question waits, ``rest`` for how many after a failure questions
    are answered by their words at once.
    """

    def __init__(
        self, embedder: Embedder, patience: float = _PATIENCE_SECONDS, rest: float = _REST_SECONDS
    ) -> None:
        self._embedder = embedder
        self._patience = patience
        self._rest = rest
        self._common: _Common | None = None
        self._learning = anyio.Lock()
        self._made_at = anyio.current_time()
        self._resting_until = -math.inf
        self._trouble = ""

    @property
    def space(self) -> str:
        """Names what makes these vectors: those of two spaces are never compared."""
        return f"{self._embedder.space} ({_WAY})"

    @property
    def at_once(self) -> int:
        """How many messages are embedded in one step."""
        return self._embedder.at_once

    async def of_questions(self, texts: Sequence[str]) -> Asked:
        """Embed questions; what fails or takes long is told instead of raised."""
        if anyio.current_time() < self._resting_until:
            return Asked(trouble=self._trouble)
        trouble = f"the embedder did not answer within {self._patience:g} s"
        try:
            with anyio.move_on_after(self._patience):
                return Asked(await self._made(texts, "query"))
        except EmbedderError as error:
            trouble = str(error)
        log.warning("Questions are answered by their words alone: %s", trouble)
        # What is still starting, or being learnt from, is soon asked again.
        starting = self._common is None and anyio.current_time() < self._made_at + _STARTING_SECONDS
        rest = min(self._rest, self._patience) if starting else self._rest
        self._trouble, self._resting_until = trouble, anyio.current_time() + rest
        return Asked(trouble=trouble)

    async def of_messages(self, texts: Sequence[str]) -> list[bytes]:
        """Embed messages; an empty vector for those that the embedder refuses while it takes others.

        Raises:
            EmbedderError: it fails, or refuses whatever it is sent.

        """
        cut = [text[:_CHARACTERS] for text in texts]
        try:
            return list(await self._made(cut))
        except TextRefusedError:
            await self.check()
        return [await self._or_nothing(text) for text in cut]

    async def get_ready(self) -> None:
        """Do what the first vector needs, so that no question waits for it; failing is told later."""
        try:
            await self.check()
        except EmbedderError as error:
            log.warning("Nothing makes vectors yet: %s", error)

    async def check(self) -> None:
        """Find out whether the embedder works at all, by a text that each takes.

        Raises:
            EmbedderError: it does not.

        """
        await self._made(["a"])

    async def close(self) -> None:
        """Release the embedder."""
        await self._embedder.close()

    async def _made(self, texts: Sequence[str], kind: TextKind = "passage") -> tuple[bytes, ...]:
        common = await self._learnt()
        vectors = _checked(await self._embedder.embed(texts, kind), len(texts))
        return tuple(common.taken_off(vector, kind) for vector in vectors)

    async def _learnt(self) -> _Common:
        """Find out, once, what vectors of this model have in common."""
        async with self._learning:
            if self._common is None:
                questions = await self._pairs(typical.QUESTIONS, "query")
                self._common = _Common(questions, await self._pairs(typical.MESSAGES, "passage"))
            return self._common

    async def _pairs(self, sentences: Sequence[tuple[str, str]], kind: TextKind) -> _Pairs:
        texts = [text for pair in sentences for text in pair]
        vectors: list[_Vector] = []
        for some in range(0, len(texts), self.at_once):
            part = texts[some : some + self.at_once]
            vectors += _checked(await self._embedder.embed(part, kind), len(part))
        return list(zip(vectors[::2], vectors[1::2], strict=True))

    async def _or_nothing(self, text: str) -> bytes:
        try:
            return (await self._made([text]))[0]
        except TextRefusedError as error:
            log.warning("A message gets no vector: %s", error)
            return b""


class _Common:
    """What vectors of a model have in common, and how it is taken off.

    That is the mean of questions and the mean of messages, and the directions in which the same
    sentences in two languages differ.
    """

    def __init__(self, questions: _Pairs, messages: _Pairs) -> None:
        self._means: dict[TextKind, _Vector] = {
            "query": _mean([each for pair in questions for each in pair]),
            "passage": _mean([each for pair in messages for each in pair]),
        }
        self._directions: list[_Vector] = []
        for pairs in (messages, questions):
            english, chinese = (_mean(list(each)) for each in zip(*pairs, strict=True))
            difference = self._without(list(map(sub, english, chinese)))
            if (length := _length(difference)) > _NOTHING:
                self._directions.append([number / length for number in difference])

    def taken_off(self, vector: Sequence[float], kind: TextKind) -> bytes:
        """Return the rest, of unit length, as bytes.

        Raises:
            EmbedderError: nothing is left, or it is no vector of this model.

        """
        if len(vector) != len(self._means[kind]):
            raise EmbedderError("the embedder answered vectors of different lengths")
        left = self._without(list(map(sub, vector, self._means[kind])))
        length = _length(left)
        if length <= _NOTHING:
            raise EmbedderError("the embedder answered the same vector for different texts")
        return array("b", (round(number / length * _UNIT) for number in left)).tobytes()

    def _without(self, vector: _Vector) -> _Vector:
        for direction in self._directions:
            share = sum(map(mul, vector, direction))
            vector = [number - share * along for number, along in zip(vector, direction, strict=True)]
        return vector


def _checked(vectors: Sequence[Sequence[float]], expected: int) -> list[_Vector]:
    """Return vectors of unit length.

    Raises:
        EmbedderError: they are not as many as expected, not of one length, zero, or no numbers.

    """
    if len(vectors) != expected or len({len(vector) for vector in vectors}) != 1:
        raise EmbedderError("the embedder answered another number of vectors than it was asked for")
    lengths = [_length(vector) for vector in vectors]
    if not all(math.isfinite(length) and length > 0 for length in lengths):
        raise EmbedderError("the embedder answered vectors that are zero or no numbers")
    return [[number / length for number in vector] for vector, length in zip(vectors, lengths, strict=True)]


def _length(vector: Sequence[float]) -> float:
    try:
        return math.sqrt(math.fsum(number * number for number in vector))
    except (TypeError, OverflowError, ValueError):
        return math.nan


def _mean(vectors: Sequence[_Vector]) -> _Vector:
    return [math.fsum(column) / len(vectors) for column in zip(*vectors, strict=True)]
