"""What does one kind of deferred work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from mem1_mcp.types import Job, JobKind


class Worker(ABC):
    """Does jobs of one kind, step by step; ``Jobs`` finds them, and keeps their leases.

    ``endpoint`` is whom its steps wait for, beside the store: those of one endpoint take turns.
    After ``attempts`` failures in a row a job is left alone; ``None`` is never.
    """

    kind: ClassVar[JobKind]
    endpoint: ClassVar[str | None] = None
    attempts: ClassVar[int | None] = None

    @abstractmethod
    async def step(self, job: Job, lease_ms: int) -> tuple[Job, int] | None:
        """Do a part of a job that is short enough for others; return how long the next one waits.

        In milliseconds. ``None`` when nothing is left of the job. Each step can be repeated.

        Raises:
            EmbedderError, ModelError, ReaderError: the endpoint's trouble; the job waits until it is over.
            AnswerRefusedError: what a model answered can't be used.

        """

    @property
    def trouble(self) -> str:
        """Why no step can be done just now, empty where one can."""
        return ""

    def rests_for(self) -> float:
        """For how many seconds it is better not to ask for a step."""
        return 0.0

    async def get_ready(self) -> None:  # noqa: B027 - most need nothing
        """Do what the first step needs, once the program has nothing better to do."""
