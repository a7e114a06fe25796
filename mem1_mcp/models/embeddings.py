"""Vectors from any endpoint with OpenAI's API: a vendor's, or a server on one's own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem1_mcp.errors import EmbedderError, TextRefusedError
from mem1_mcp.models.endpoint import Endpoint, EndpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mem1_mcp.protocols import TextKind

DEFAULT_MODEL = "text-embedding-3-small"

_REFUSALS = (400, 413, 422)  # of what was sent; any other status is the endpoint's own trouble
_UNKNOWN = (400, 422)  # of a parameter
_SECONDS = 60.0  # for a batch; a question is given up sooner by who asks it


class OpenAIEmbedder:
    """Asks ``/embeddings`` of an endpoint; ``prefixes`` are put before texts of either kind."""

    at_once = 32

    def __init__(
        self, model: str, base_url: str | None, api_key: str | None, prefixes: Mapping[TextKind, str]
    ) -> None:
        self._model = model
        self._endpoint = Endpoint(base_url, api_key, _SECONDS)
        self._prefixes = prefixes
        # Some endpoints want to be told whether a text is a question; OpenAI's own refuses to be, and
        # who sets prefixes says it with them.
        self._tells_kind = base_url is not None and not any(prefixes.values())
        # Not the address: the same model elsewhere makes the same vectors.
        self.space = f"{model} {prefixes['passage']}".strip()

    async def embed(self, texts: Sequence[str], kind: TextKind) -> Sequence[Sequence[float]]:
        """See ``Embedder.embed``."""
        try:
            return await self._vectors([self._prefixes[kind] + text for text in texts], kind)
        except EndpointError as failure:
            kind_of_error = TextRefusedError if failure.status in _REFUSALS else EmbedderError
            where = self._endpoint.address or "of OpenAI"
            raise kind_of_error(f"the embedding endpoint {where} {failure}") from failure

    async def close(self) -> None:
        """Close its connections."""
        await self._endpoint.close()

    async def _vectors(self, texts: list[str], kind: TextKind) -> list[list[float]]:
        more = {"input_type": kind} if self._tells_kind else None
        try:
            return await self._ask(texts, more)
        except EndpointError as failure:
            if more is None or failure.status not in _UNKNOWN:
                raise
        vectors = await self._ask(texts, None)
        self._tells_kind = False
        return vectors

    async def _ask(self, texts: list[str], more: Mapping[str, str] | None) -> list[list[float]]:
        async with self._endpoint.asking("list of vectors") as client:
            answer = await client.embeddings.create(
                model=self._model,
                input=texts,
                # As numbers: as base64 not every server does it.
                encoding_format="float",
                extra_body=more,
            )
            by_place = sorted(answer.data, key=lambda each: each.index)
            return [list(each.embedding) for each in by_place]
