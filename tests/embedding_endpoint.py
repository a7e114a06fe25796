"""An endpoint with OpenAI's API over a model that a test can read: one number a thing that is meant."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from zlib import crc32

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


_REFUSALS: dict[str, tuple[int, Any]] = {
    "too many requests": (429, {"error": {"message": "slow down"}}),
    "error": (500, {"error": {"message": "out of order"}}),
    "no key": (401, {"error": {"message": "who are you"}}),
    "no model": (404, {"error": {"message": "no such model"}}),
    "page": (200, b"<html>Welcome to nginx</html>"),
    "empty": (200, {}),
}
_SPOILT: dict[str, Callable[[list[list[float]]], list[Any]]] = {
    "too few": lambda vectors: vectors[1:],
    "zero": lambda vectors: [[0.0] * DIMENSIONS for _ in vectors],
    "words": lambda vectors: [["a"] * DIMENSIONS for _ in vectors],
    "infinite": lambda vectors: [[1e400] * DIMENSIONS for _ in vectors],
    "short": lambda vectors: [vector[:7] for vector in vectors],
    "null": lambda vectors: [None for _ in vectors],
}
BAD = (*_REFUSALS, *_SPOILT)


class _Handler(BaseHTTPRequestHandler):
    endpoint: ClassVar[Endpoint]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.endpoint.answer(body)
        sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(answer, bytes) else "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)


class Endpoint:
    """What it is asked, and how it answers: ``mode`` is good, or a way of being bad."""

    def __init__(self) -> None:
        self.mode = "good"
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self._go_on = threading.Event()

    @property
    def texts(self) -> list[str]:
        """Every text that was sent."""
        return [text for body in self.asked for text in body["input"]]

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Answer a request in the mode of the moment."""
        self.asked.append(body)
        vectors = [meaning_of(text) for text in body["input"]]
        if self.mode == "slow":
            self._go_on.wait(30)
        refused = self.mode == "refusing" and any("unspeakable" in text for text in body["input"])
        if refused or (self.mode == "strict" and "input_type" in body):
            return 400, {"error": {"message": "not this"}}
        if self.mode in _REFUSALS:
            return _REFUSALS[self.mode]
        chosen = _SPOILT[self.mode](vectors) if self.mode in _SPOILT else vectors
        data = [{"object": "embedding", "index": n, "embedding": each} for n, each in enumerate(chosen)]
        return 200, {"object": "list", "model": body["model"], "data": data, "usage": {}}

    def end_waiting(self) -> None:
        """Let slow answers come now."""
        self._go_on.set()


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Serve on a port of this machine while the block lasts."""
    served = Endpoint()
    handler = type("Handler", (_Handler,), {"endpoint": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield served
    finally:
        served.end_waiting()
        server.shutdown()
        server.server_close()
