"""Does recall find it? Runs a retrieval benchmark through the MCP tools of a running server.

    python benchmarks/recall_quality.py PATH [--foreign 300000] [--dataset locomo,…] [--split dev]

PATH is a folder with the package ``membench``: data sets of conversations and questions, an
``Adapter`` to subclass, and metrics. Each of its users gets a server process of their own over one
data folder, as different hosts would; ``--foreign`` fills that folder with other users' messages first.
The servers take their other settings from the environment: with ``MEM1_EMBEDDINGS`` set, all vectors
are made before the first question; with ``MEM1_ES_HOSTS``, all is on that cluster.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import life
from host import Host

from mem1_mcp.text.budget import estimate_tokens

_FOREIGN_USERS = 30
_BATCH = 50
_READ = 1000  # tokens


Read = dict[tuple[str, str], tuple[int, set[str]]]


def adapter(foreign: int, max_tokens: int, read_by_question: Read) -> type:
    """Return the benchmark's adapter for this server.

    It notes what a model reads for each question in 1,000 tokens: how many it is, and which messages.
    """
    from membench.adapter import Adapter, Hit  # type: ignore[import-not-found]

    class Mem1(Adapter):  # type: ignore[misc]
        name = "mem1-mcp"

        def open(self, workdir: Path) -> None:
            self._folder = str(workdir)
            self._hosts: dict[str, Host] = {}
            self._turns: dict[tuple[str, str], str] = {}
            each = foreign // _FOREIGN_USERS
            for number in range(_FOREIGN_USERS if foreign else 0):
                with self._start(f"foreign-{number}") as host:
                    told = list(life.messages(each, seed=number))
                    for start in range(0, each, 500):
                        host.call("remember", messages=told[start : start + 500])
                sys.stderr.write(f"\rforeign messages: {(number + 1) * each:,}")

        def _start(self, user: str) -> Host:
            return Host([sys.executable, "-m", "mem1_mcp"], MEM1_MEMORY_DIR=self._folder, MEM1_USER_ID=user)

        def _host(self, user: str) -> Host:
            if user not in self._hosts:
                self._hosts[user] = self._start(user)
            return self._hosts[user]

        def ingest(self, user_id: str, session_id: str, turns: Sequence[Any]) -> None:
            for start in range(0, len(turns), _BATCH):
                part = turns[start : start + _BATCH]
                messages = [
                    {
                        "role": turn.role,
                        "name": turn.speaker,
                        "timestamp": turn.timestamp.isoformat(),
                        "content": turn.full_text,
                    }
                    for turn in part
                ]
                stored = self._host(user_id).call("remember", messages=messages)["structuredContent"]
                for turn, message_id in zip(part, stored["message_ids"], strict=True):
                    self._turns[user_id, message_id] = turn.id

        def flush(self) -> None:
            if os.environ.get("MEM1_EMBEDDINGS", "none") == "none":
                return
            started, before = time.perf_counter(), len(self._turns)
            for user in self._hosts:
                subprocess.run(
                    [sys.executable, "-m", "mem1_mcp", "embed"],
                    env={**os.environ, "MEM1_MEMORY_DIR": self._folder, "MEM1_USER_ID": user},
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            seconds = time.perf_counter() - started
            sys.stderr.write(f"vectors: {1000 * seconds / before:.1f} ms a message\n")

        def search(self, user_id: str, query: str, k: int, now: datetime) -> list[Any]:
            asked = {"query": query, "topic": "*", "until": now.isoformat()}
            found = self._host(user_id).call("recall", **asked, limit=k, max_tokens=max_tokens)
            hits = found["structuredContent"]["hits"]
            read = self._host(user_id).call("recall", **asked, limit=60, max_tokens=_READ)
            text = read["content"][0]["text"]
            shown = re.findall(r"^\[(m\d+\.\d+)\]", text, re.MULTILINE)
            turns = {turn for each in shown for turn in self._stands_for(user_id, each)}
            read_by_question[user_id, query] = (estimate_tokens(text), turns)
            return [Hit(hit["text"], self._stands_for(user_id, hit["id"])) for hit in hits]

        def _stands_for(self, user: str, message_id: str) -> tuple[str, ...]:
            turn = self._turns.get((user, message_id))
            return () if turn is None else (turn,)

        def close(self) -> None:
            for host in self._hosts.values():
                host.__exit__(None, None, None)

    return Mem1


def main() -> None:
    """Run the data sets and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--foreign", type=int, default=0)
    parser.add_argument("--max-tokens", type=int, default=4000)
    parser.add_argument("--dataset", default="locomo,locomo-zh,memorybank-cn")
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    sys.path.insert(0, str(options.path))
    from membench import datasets  # type: ignore[import-not-found]
    from membench.harness import run  # type: ignore[import-not-found]

    shown = ("R@1", "R@10", "R@20", "R@1000tok")
    head = f"data ({options.split}) | questions | {' | '.join(shown)} | in the text | tokens: median | most"
    print(f"| {head} | foreign hits | p50 ms |")
    print("|---" * (len(shown) + 7) + "|")
    for name in options.dataset.split(","):
        read: Read = {}
        loaded = datasets.load(name, options.split)
        result = run(adapter(options.foreign, options.max_tokens, read), loaded)
        scores = result["turn"]["answerable"]
        cells = [f"{100 * scores[column]:.1f}" for column in shown]
        found = [
            len(each.evidence_turns & read[each.conversation_id, each.text][1]) / len(each.evidence_turns)
            for each in loaded.questions
            if each.kind == "answerable"
        ]
        tokens = [number for number, _ in read.values()]
        cells += [f"{100 * mean(found):.1f}", f"{median(tokens):.0f}", str(max(tokens))]
        print(
            f"| {name} | {scores['n']} | {' | '.join(cells)} | {result['foreign_user_hits']} "
            f"| {result['query_ms_p50']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
