"""A host that times what it asks: one server process, JSON lines over pipes, nothing in between."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Host:
    """A server process and the host's end of its pipes; ``command`` starts it."""

    def __init__(self, command: list[str], **environment: str) -> None:
        started = time.perf_counter()
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**kept, **environment}
        )
        self._number = 0
        self.request(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "bench", "version": "1"},
            },
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.listed: dict[str, Any] = self.request("tools/list", {})
        self.start_seconds = time.perf_counter() - started

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(15)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def write(self, line: bytes) -> None:
        """Write one line, a message or not."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            line = json.dumps(message, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half characters can be written, escaped
            line = json.dumps(message).encode()
        self.write(line)

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask and wait for the answer."""
        self._number += 1
        self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return dict(answer["result"])
        raise RuntimeError("the server ended")

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed."""
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            raise RuntimeError(result["content"][0]["text"])
        return result

    def cancelled(self, tool: str, **arguments: Any) -> None:
        """Call a tool and take the call back before the answer."""
        self._number += 1
        params = {"name": tool, "arguments": arguments}
        self._send({"jsonrpc": "2.0", "id": self._number, "method": "tools/call", "params": params})
        gone = {"requestId": self._number, "reason": "changed my mind"}
        self._send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": gone})

    def timed(self, tool: str, **arguments: Any) -> float:
        """Call a tool and return the milliseconds it took."""
        started = time.perf_counter()
        self.call(tool, **arguments)
        return (time.perf_counter() - started) * 1000

    def memory_mb(self) -> float:
        """Return the server's resident memory, where the system tells it."""
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return float("nan")
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
