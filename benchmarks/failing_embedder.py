"""What an embedding endpoint that fails costs: servers beside a dead, a slow and a garbling one, in turns.

    python benchmarks/failing_embedder.py [--rounds 100]

Each server has 1,000 messages. The slow endpoint answers after 30 seconds, the garbling one at once with
what is no list of vectors. Shows what remember and recall take, and what recall says of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from statistics import median

import life
from host import Host
from run import percentile


def endpoint(seconds: float) -> str:
    """Serve an endpoint that answers garbage after so long; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"data": "later"}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    addresses = {"none": "", "dead": "http://127.0.0.1:9/v1", "slow": endpoint(30), "garbage": endpoint(0)}
    remember: dict[str, list[float]] = {name: [] for name in addresses}
    recall: dict[str, list[float]] = {name: [] for name in addresses}
    with ExitStack() as stack:
        hosts = {}
        for name, address in addresses.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            chosen = {"MEM1_EMBEDDINGS": "openai", "MEM1_EMBEDDINGS_BASE_URL": address} if address else {}
            host = Host([sys.executable, "-m", "mem1_mcp"], MEM1_MEMORY_DIR=folder, **chosen)
            hosts[name] = stack.enter_context(host)
            host.call("remember", messages=list(islice(life.messages(1000), 500)))
            host.call("remember", messages=list(life.messages(1000))[500:])
        time.sleep(6)  # the background begins after two
        said = life.messages(options.rounds, seed=5)
        for message, question in zip(said, life.questions(options.rounds), strict=True):
            for name, host in hosts.items():
                told = [{"role": "user", "content": message["content"]}]
                remember[name].append(host.timed("remember", messages=told))
                recall[name].append(host.timed("recall", query=question))
        told_of = {
            name: host.call("recall", query="Anna")["structuredContent"].get("degraded", "–")
            for name, host in hosts.items()
        }
    print(
        "| endpoint | remember p50 ms (to none) | p95 | recall p50 (to none) | p95 | most | recall says |"
    )
    print("|---|---:|---:|---:|---:|---:|---|")
    for name in addresses:
        cells = []
        for times in (remember, recall):
            p50, base = median(times[name]), median(times["none"])
            cells += [f"{p50:.1f} ({p50 / base:.2f}×)", f"{percentile(times[name], 0.95):.1f}"]
        print(f"| {name} | {' | '.join(cells)} | {max(recall[name]):,.0f} | {told_of[name]} |")


if __name__ == "__main__":
    main()
