"""Vectors from any endpoint with OpenAI's API: a vendor's, or a server on one's own machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from mem1_mcp.errors import EmbedderError, TextRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openai import AsyncOpenAI

    from mem1_mcp.protocols import TextKind

DEFAULT_MODEL = "text-embedding-3-small"

_REFUSALS = (400, 413, 422)  # of what was sent; any other status is the endpoint's own trouble
_SECONDS = 60.0  # for a batch; a question is given up sooner by who asks it


class OpenAIEmbedder:
    """Asks ``/embeddings`` of an endpoint; ``prefixes`` are put before texts of either kind."""

    at_once = 32

    def __init__(
        self, model: str, base_url: str | None, api_key: str | None, prefixes: Mapping[TextKind, str]
    ) -> None:
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._prefixes = prefixes
        self._client: AsyncOpenAI | None = None
        # Some endpoints want to be told whether a text is a question; OpenAI's own refuses to be, and
        # who sets prefixes says it with them.
        self._tells_kind = base_url is not None and not any(prefixes.values())
        # Not the address: the same model elsewhere makes the same vectors.
        self.space = f"{model} {prefixes['passage']}".strip()

    async def embed(self, texts: Sequence[str], kind: TextKind) -> Sequence[Sequence[float]]:
        """See ``Embedder.embed``."""
        if self._client is None:
            self._client = await anyio.to_thread.run_sync(self._connect)
        import openai

        prefix = self._prefixes[kind]
        ask = partial(
            self._client.embeddings.create,
            model=self._model,
            input=[prefix + text for text in texts],
            # As numbers: as base64 not every server does it.
            encoding_format="float",
        )
        try:
            try:
                answer = await ask(extra_body={"input_type": kind} if self._tells_kind else None)
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                if not self._tells_kind:
                    raise
                answer = await ask()
                self._tells_kind = False
            by_place = sorted(answer.data, key=lambda each: each.index)
            return [list(each.embedding) for each in by_place]
        except openai.APITimeoutError as error:
            raise EmbedderError(f"{self._where} did not answer within {_SECONDS:.0f} s") from error
        except openai.APIConnectionError as error:
            raise EmbedderError(f"{self._where} can't be reached") from error
        except openai.APIStatusError as error:
            kind_of_error = TextRefusedError if error.status_code in _REFUSALS else EmbedderError
            raise kind_of_error(f"{self._where} answered {error.status_code}") from error
        except (openai.OpenAIError, AttributeError, TypeError, ValueError) as error:
            raise EmbedderError(f"{self._where} answered something that is no list of vectors") from error

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.close()

    @property
    def _where(self) -> str:
        return f"the embedding endpoint {self._base_url or 'of OpenAI'}"

    def _connect(self) -> AsyncOpenAI:
        # Importing it takes a second that a server without vectors does not pay.
        from openai import AsyncOpenAI

        # Whoever asks tries again; a server of one's own wants no key, the client wants one.
        return AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._api_key or "none",
            timeout=_SECONDS,
            max_retries=0,
        )
