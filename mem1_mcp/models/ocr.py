"""The text in images, read on this machine by RapidOCR, in a process of its own.

Apart, because it takes half a gigabyte, which is given back when there is nothing to read, and because
what decodes and reads strangers' images may fall over without the memory falling with it.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from mem1_mcp.errors import AnswerRefusedError, ReaderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import Process

_SECONDS = 120.0  # for one image, the start included
_LENGTH = 8  # bytes before an image that say how long it is
_ANSWER = 4_000_000  # bytes
# How a process that ended, or answers nonsense, shows itself.
_ENDS = (
    OSError,
    ValueError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
)


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
        self._answers: BufferedByteReceiveStream | None = None
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
            except _ENDS as error:
                raise AnswerRefusedError("What reads ended in the middle of it.") from error
            finally:
                # Also when it was cut off: the answer to this one must not be taken for the next one's.
                if not done:
                    await self._end()
        if "error" in answer:
            raise AnswerRefusedError(f"It can't be read: {answer['error']}.")
        return answer["text"]

    async def rest(self) -> None:
        """See ``TextReader.rest``."""
        async with self._turn:
            await self._end()

    async def _ask(self, image: bytes) -> dict[str, str]:
        if self._process is None or self._process.returncode is not None:
            await self._start()
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018 - it started
        await self._process.stdin.send(len(image).to_bytes(_LENGTH, "big") + image)
        return await self._answer()

    async def _start(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            ReaderError: it can't be: then no image is to blame.

        """
        try:
            process = await anyio.open_process(self._command, stderr=None)
            assert process.stdout is not None  # noqa: S101 - a pipe by default
            self._process, self._answers = process, BufferedByteReceiveStream(process.stdout)
            missing = (await self._answer()).get("missing")
        except _ENDS as error:
            missing = f"its process ended at once ({type(error).__name__})"
        if missing:
            raise ReaderError(f"What reads images can't be used: {missing}")

    async def _answer(self) -> dict[str, str]:
        assert self._answers is not None  # noqa: S101 - it was started
        answer: dict[str, str] = json.loads(await self._answers.receive_until(b"\n", _ANSWER))
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
    except Exception as error:  # noqa: BLE001 - runtimes have errors of their own, and this process only tells
        missing = f"{type(error).__name__}: {error}"
    _tell(answers, {"missing": missing} if missing else {})
    given = sys.stdin.buffer
    while len(head := given.read(_LENGTH)) == _LENGTH:
        image = given.read(int.from_bytes(head, "big"))
        _tell(answers, engine.answer(image))


def _tell(answers: BinaryIO, answer: dict[str, str]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    _main()
