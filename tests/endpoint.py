"""An endpoint with OpenAI's API on a port of this machine; what it answers is up to its kind."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar


class Reply(NamedTuple):
    """What is sent: bytes as they are, as a page; anything else as JSON."""

    status: int
    answer: Any
    headers: Mapping[str, str] = MappingProxyType({})


# Ways of being bad that do not depend on what is asked.
REFUSALS: Mapping[str, Reply] = {
    "too many requests": Reply(429, {"error": {"message": "slow down"}}, {"Retry-After": "7"}),
    "error": Reply(500, {"error": {"message": "out of order"}}),
    "no key": Reply(401, {"error": {"message": "who are you"}}),
    "no model": Reply(404, {"error": {"message": "no such model"}}),
    "page": Reply(200, b"<html>Welcome to nginx</html>"),
    "empty": Reply(200, {}),
}


class Served:
    """What it is asked, and how it answers: ``mode`` is good, or a way of being bad.

    Two of these are of time: "slow", and "dripping" blanks, both until ``end_waiting``.
    """

    def __init__(self) -> None:
        self.mode = "good"
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.url = ""
        self._go_on = threading.Event()

    def reply(self, body: dict[str, Any]) -> Reply:
        """Answer a request in the mode of the moment."""
        self.asked.append(body)
        if self.mode == "slow":
            self.is_waiting(30)
        return REFUSALS[self.mode] if self.mode in REFUSALS else self.answer(body)

    def answer(self, body: dict[str, Any]) -> Reply:
        """Answer a request in a mode of this kind of endpoint."""
        raise NotImplementedError

    def is_waiting(self, seconds: float) -> bool:
        """Wait for that long, or until slow answers may come."""
        return not self._go_on.wait(seconds)

    def end_waiting(self) -> None:
        """Let slow answers come now."""
        self._go_on.set()


AnyServed = TypeVar("AnyServed", bound=Served)


class _Handler(BaseHTTPRequestHandler):
    served: ClassVar[Served]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.served.keys.append(self.headers["Authorization"].removeprefix("Bearer "))
        status, answer, headers = self.served.reply(body)
        if self.served.mode == "dripping":
            self._drip()
            return
        sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = "text/html" if isinstance(answer, bytes) else "application/json"
        self.send_response_only(status)
        for name, value in (
            {"Content-Type": kind, "Date": self.date_time_string()} | dict(headers)
        ).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(sent)))
        with suppress(ConnectionError):  # who asked did not wait
            self.end_headers()
            self.wfile.write(sent)

    def _drip(self) -> None:
        """Send blanks and nothing else, as some do while they think."""
        self.close_connection = True
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        with suppress(ConnectionError):
            self.end_headers()
            while self.served.is_waiting(0.02):
                self.wfile.write(b" ")


@contextmanager
def serving(served: AnyServed, port: int = 0) -> Iterator[AnyServed]:
    """Serve on a port of this machine while the block lasts."""
    handler = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield served
    finally:
        served.end_waiting()
        server.shutdown()
        server.server_close()
