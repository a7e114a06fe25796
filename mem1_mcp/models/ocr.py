"""The text in images, read on this machine by RapidOCR, in a process of its own.

Apart, because it takes half a gigabyte, which is given back when there is nothing to read, and because
what decodes and reads strangers' images may fall over without the memory falling with it.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from mem1_mcp.errors import AnswerRefusedError, ReaderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import Process

_SECONDS = 120.0  # for one image, the start included
_LENGTH = 8  # bytes before an image that say how long it is
_ANSWER = 4_000_000  # bytes


# Without -P a host that is started in a folder of strangers would have it run code there.
_COMMAND = (sys.executable, "-P", "-m", __name__)


def is_installed() -> bool:
    """Whether the extra that reads is there; looks for it, and loads nothing."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


class OCR:
    """Reads Chinese and English; see ``TextReader``. The process is started by the first image."""

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = command
        self._process: Process | None = None
        self._turn = anyio.Lock()

    async def read(self, image: bytes) -> str:
        """See ``TextReader.read``."""
        async with self._turn:
            done = False
            try:
                with anyio.fail_after(_SECONDS):
                    answer = await self._ask(image)
                done = True
            except TimeoutError:
                raise AnswerRefusedError(f"Reading took more than {_SECONDS:.0f} s.") from None
            except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead) as error:
                raise AnswerRefusedError("What reads ended in the middle of it.") from error
            finally:
                # Also when it was cut off: the answer to this one must not be taken for the next one's.
                if not done:
                    await self._end()
        if "missing" in answer:
            await self.rest()
            raise ReaderError(f"What reads images can't be used: {answer['missing']}")
        if "error" in answer:
            raise AnswerRefusedError(f"It can't be read: {answer['error']}.")
        return answer["text"]

    async def rest(self) -> None:
        """See ``TextReader.rest``."""
        async with self._turn:
            await self._end()

    async def _ask(self, image: bytes) -> dict[str, str]:
        if self._process is None or self._process.returncode is not None:
            self._process = await anyio.open_process(self._command, stderr=None)
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes by default
        await process.stdin.send(len(image).to_bytes(_LENGTH, "big") + image)
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", _ANSWER)
        answer: dict[str, str] = json.loads(line)
        return answer

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with anyio.CancelScope(shield=True), suppress(OSError):
            process.kill()
            await process.aclose()


def _main() -> None:
    """Read images from stdin until it ends, and answer each with a line of JSON."""
    import os

    # Libraries may print; the answers have the way out to themselves.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(10)  # the machine is its user's
    os.environ["OMP_NUM_THREADS"] = "1"
    missing = ""
    try:
        from mem1_mcp.models.ocr_engine import Engine

        engine = Engine()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        missing = f"{type(error).__name__}: {error}"
    given = sys.stdin.buffer
    while len(head := given.read(_LENGTH)) == _LENGTH:
        image = given.read(int.from_bytes(head, "big"))
        answer = {"missing": missing} if missing else engine.answer(image)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    _main()
