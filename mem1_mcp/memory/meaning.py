"""Vectors: made of messages in the background and of questions when they are asked.

A vector is kept of unit length, each number as a signed byte of its 127-fold; so little is lost by it
that no figure of recall changes.
"""

from __future__ import annotations

import logging
import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from mem1_mcp.errors import EmbedderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mem1_mcp.protocols import Embedder

log = logging.getLogger(__name__)

_CHARACTERS = 2000  # of a message; models read no more of it
_PATIENCE_SECONDS = 3.0  # for a question: a person waits
_REST_SECONDS = 30.0  # after a failure, in which questions are answered by their words at once
_UNIT = 127


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions as vectors, one each; none at all where ``trouble`` says why."""

    vectors: tuple[bytes, ...] = ()
    trouble: str | None = None


class Meaning:
    """Puts an embedder to use: checks what it answers, and leaves it alone while it fails."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._resting_until = -math.inf
        self._trouble = ""

    @property
    def at_once(self) -> int:
        """How many messages are embedded in one step."""
        return self._embedder.at_once

    async def of_questions(self, texts: Sequence[str]) -> Asked:
        """Embed questions; what fails or takes long is told instead of raised."""
        if anyio.current_time() < self._resting_until:
            return Asked(trouble=self._trouble)
        trouble = f"the embedder did not answer within {_PATIENCE_SECONDS:.0f} s"
        try:
            with anyio.move_on_after(_PATIENCE_SECONDS):
                vectors = quantised(await self._embedder.embed(texts, "query"), len(texts))
                return Asked(vectors)
        except EmbedderError as error:
            trouble = str(error)
        log.warning("Questions are answered by their words alone: %s", trouble)
        self._trouble, self._resting_until = trouble, anyio.current_time() + _REST_SECONDS
        return Asked(trouble=trouble)

    async def of_messages(self, texts: Sequence[str]) -> list[bytes]:
        """Embed messages; an empty vector where the embedder refuses one message and not the others.

        Raises:
            EmbedderError: it takes none of them.

        """
        cut = [text[:_CHARACTERS] for text in texts]
        try:
            return list(await self._made(cut))
        except EmbedderError:
            # What every embedder takes tells whose fault it is; raises where it is the embedder's.
            await self._made(["a"])
        return [await self._or_nothing(text) for text in cut]

    async def close(self) -> None:
        """Release the embedder."""
        await self._embedder.close()

    async def _made(self, texts: Sequence[str]) -> tuple[bytes, ...]:
        return quantised(await self._embedder.embed(texts, "passage"), len(texts))

    async def _or_nothing(self, text: str) -> bytes:
        try:
            return (await self._made([text]))[0]
        except EmbedderError as error:
            log.warning("A message gets no vector: %s", error)
            return b""


def quantised(vectors: Sequence[Sequence[float]], expected: int) -> tuple[bytes, ...]:
    """Write vectors as bytes.

    Raises:
        EmbedderError: they are not as many as expected, not of one length, zero, or no numbers.

    """
    if len(vectors) != expected or len({len(vector) for vector in vectors}) != 1:
        raise EmbedderError("the embedder answered another number of vectors than it was asked for")
    return tuple(map(_quantised, vectors))


def _quantised(vector: Sequence[float]) -> bytes:
    try:
        length = math.sqrt(math.fsum(number * number for number in vector))
    except (TypeError, OverflowError):
        length = math.nan
    if not (math.isfinite(length) and length > 0):
        raise EmbedderError("the embedder answered vectors that are zero or no numbers")
    return array("b", (round(number / length * _UNIT) for number in vector)).tobytes()
