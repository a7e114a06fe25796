"""Is it found without a word in common? Asks 60 things in other words, in both languages and across.

    MEM1_EMBEDDINGS=openai MEM1_EMBEDDINGS_BASE_URL=… python benchmarks/paraphrases.py PATH

Each of the 60 memories in ``data/paraphrases.tsv`` is told in a conversation of its own, between 600
messages of the data sets of PATH (see ``recall_quality.py``), 300 in English and 300 in Chinese. The
questions were written for what is meant, then the memories for what is said. First by words alone,
then with the vectors that the environment sets.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from host import Host

_TABLE = Path(__file__).with_name("data") / "paraphrases.tsv"
_SERVER = [sys.executable, "-m", "mem1_mcp"]


def distractors(number: int) -> list[str]:
    """Return messages that people and assistants wrote, half of them in each language."""
    from membench import datasets  # type: ignore[import-not-found]

    halves = []
    for names in (("locomo",), ("memorybank-cn", "locomo-zh")):
        texts = (
            turn.full_text
            for name in names
            for talk in datasets.load(name, "dev").conversations.values()
            for turn in talk.turns
        )
        halves.append(list(islice(texts, number // 2)))
    return [text for pair in zip(*halves, strict=True) for text in pair]


def found(rows: list[dict[str, str]], around: list[str], told: str, asked: str, **setting: str) -> str:
    """Tell the memories in one language, ask in another; return R@1 and R@5 in per cent."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"MEM1_MEMORY_DIR": folder, "MEM1_USER_ID": "asked", **setting}
        ids: list[str] = []
        moment = datetime(2025, 1, 1, 9, tzinfo=UTC)
        with Host(_SERVER, **environment) as host:
            every = len(around) // len(rows)
            for number, row in enumerate(rows):
                part = [{"role": "user", "content": text} for text in around[number * every :][:every]]
                host.call("remember", topic="talk", messages=part, timestamp=moment.isoformat())
                saved = host.call(
                    "remember",
                    topic="told",
                    messages=[{"role": "user", "content": row[f"memory_{told}"]}],
                    timestamp=moment.isoformat(),
                )
                ids.append(saved["structuredContent"]["message_ids"][0])
                moment += timedelta(days=1)
        if setting.get("MEM1_EMBEDDINGS") != "none":
            command = [*_SERVER, "embed"]
            subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
        ranks: list[int] = []
        with Host(_SERVER, **environment) as host:
            for row, wanted in zip(rows, ids, strict=True):
                answer: dict[str, Any] = host.call(
                    "recall", query=row[f"question_{asked}"], topic="*", limit=5, max_tokens=4000
                )["structuredContent"]
                hits = [hit["id"] for hit in answer["hits"]]
                ranks.append(hits.index(wanted) if wanted in hits else 99)
    return " / ".join(f"{100 * sum(rank < k for rank in ranks) / len(ranks):.0f}" for k in (1, 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(options.path))
    with _TABLE.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    around = distractors(600)
    chosen = os.environ.get("MEM1_EMBEDDINGS", "none")
    print("| R@1 / R@5 | zh | en | question zh, memory en | question en, memory zh |")
    print("|---|---|---|---|---|")
    for name, kind in {"words": "none", "words and vectors": chosen}.items():
        if name != "words" and chosen == "none":
            continue
        cells = [
            found(rows, around, told, asked, MEM1_EMBEDDINGS=kind, **_without_endpoint(kind))
            for told, asked in (("zh", "zh"), ("en", "en"), ("en", "zh"), ("zh", "en"))
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _without_endpoint(kind: str) -> dict[str, str]:
    return {"MEM1_EMBEDDINGS_BASE_URL": "", "MEM1_EMBEDDINGS_API_KEY": ""} if kind == "none" else {}


if __name__ == "__main__":
    main()
