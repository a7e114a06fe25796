"""An endpoint with OpenAI's API over a model that a test can read: one number a thing that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from tests.endpoint import REFUSALS, Reply, Served, serving

# What means the same, in any language.
_MEANINGS = (
    ("car", "automobile", "vehicle", "汽车"),
    ("doctor", "physician", "医生"),
    ("flat", "apartment", "公寓"),
    ("shrimp", "allergic", "hives", "过敏", "虾"),
)
DIMENSIONS = 48


def meaning_of(text: str) -> list[float]:
    """Return a number for each thing meant, a few for the other words, and one that all texts have."""
    vector = [0.0] * DIMENSIONS
    vector[0] = 3.0
    lowered = text.lower()
    for place, words in enumerate(_MEANINGS, start=1):
        vector[place] = 2.0 * any(word in lowered for word in words)
    for word in lowered.split():
        vector[len(_MEANINGS) + 1 + crc32(word.encode()) % (DIMENSIONS - len(_MEANINGS) - 1)] += 0.2
    return vector


_SPOILT: dict[str, Callable[[list[list[float]]], list[Any]]] = {
    "too few": lambda vectors: vectors[1:],
    "zero": lambda vectors: [[0.0] * DIMENSIONS for _ in vectors],
    "words": lambda vectors: [["a"] * DIMENSIONS for _ in vectors],
    "infinite": lambda vectors: [[1e400] * DIMENSIONS for _ in vectors],
    "short": lambda vectors: [vector[:7] for vector in vectors],
    "null": lambda vectors: [None for _ in vectors],
}
BAD = (*REFUSALS, *_SPOILT)


class Endpoint(Served):
    """Makes vectors."""

    @property
    def texts(self) -> list[str]:
        """Every text that was sent."""
        return [text for body in self.asked for text in body["input"]]

    def answer(self, body: dict[str, Any]) -> Reply:
        """Answer a request in the mode of the moment."""
        vectors = [meaning_of(text) for text in body["input"]]
        refused = self.mode == "refusing" and any("unspeakable" in text for text in body["input"])
        if refused or (self.mode == "strict" and "input_type" in body):
            return Reply(400, {"error": {"message": "not this"}})
        chosen = _SPOILT[self.mode](vectors) if self.mode in _SPOILT else vectors
        data = [{"object": "embedding", "index": n, "embedding": each} for n, each in enumerate(chosen)]
        return Reply(200, {"object": "list", "model": body["model"], "data": data, "usage": {}})


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Serve on a port of this machine while the block lasts."""
    with serving(Endpoint()) as served:
        yield served
