"""Vectors from a model on this machine, by fastembed: nothing leaves it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from mem1_mcp.errors import EmbedderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastembed import TextEmbedding

    from mem1_mcp.protocols import TextKind

DEFAULT_MODEL = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"

_THREADS = 1  # the machine is its user's


class LocalEmbedder:
    """Runs a model in a worker thread; loads it, and fetches it where it is not here, at first use.

    ``model`` is a name that fastembed knows, or a folder with an ONNX model and its tokenizer.
    """

    at_once = 16

    def __init__(self, model: str, prefixes: Mapping[TextKind, str]) -> None:
        self._model = model
        self._prefixes = prefixes
        self._loaded: TextEmbedding | None = None
        self._lock = threading.Lock()
        name = Path(model).name if Path(model).is_dir() else model
        self.space = f"{name} {prefixes['passage']}".strip()

    async def embed(self, texts: Sequence[str], kind: TextKind) -> Sequence[Sequence[float]]:
        """See ``Embedder.embed``."""
        return await anyio.to_thread.run_sync(self._embed, list(texts), kind, abandon_on_cancel=True)

    async def close(self) -> None:
        """Leave the model to the end of the process."""

    def _embed(self, texts: list[str], kind: TextKind) -> list[list[float]]:
        prefixed = [self._prefixes[kind] + text for text in texts]
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            embed = self._loaded.query_embed if kind == "query" else self._loaded.passage_embed
            return [[float(number) for number in vector] for vector in embed(prefixed)]

    def _load(self) -> TextEmbedding:
        try:
            from fastembed import TextEmbedding  # a second, and an extra that may not be installed
        except ImportError as error:
            raise EmbedderError('fastembed is not installed; install "mem1-mcp[local]"') from error
        folder = Path(self._model)
        try:
            if folder.is_dir():
                return _of_folder(folder, TextEmbedding)
            return TextEmbedding(self._model, threads=_THREADS)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise EmbedderError(f"the model {self._model} can't be loaded ({error})") from error


def _of_folder(folder: Path, embedding: type[TextEmbedding]) -> TextEmbedding:
    from fastembed.common.model_description import ModelSource, PoolingType

    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.onnx"))
    if not files:
        raise EmbedderError(f"{folder} holds no .onnx file")
    pooling = folder / "1_Pooling" / "config.json"
    from_first = pooling.is_file() and json.loads(pooling.read_text("utf-8")).get("pooling_mode_cls_token")
    known = {each["model"] for each in embedding.list_supported_models()}
    if (name := str(folder)) not in known:
        embedding.add_custom_model(
            model=name,
            pooling=PoolingType.CLS if from_first else PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(url="https://localhost/"),  # asked for, and never used beside a folder
            dim=json.loads((folder / "config.json").read_text("utf-8"))["hidden_size"],
            model_file=files[0],
        )
    return embedding(name, specific_model_path=name, threads=_THREADS)
