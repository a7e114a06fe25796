"""What a language model that fails costs: servers beside a dead, refusing, slow and garbling one, in turns.

    python benchmarks/failing_model.py                     the tables, in some two minutes
    python benchmarks/failing_model.py --outage 600        a long outage: rests have grown to their longest
    python benchmarks/failing_model.py --runs 5            the medians of five runs, for a busy machine

Every server remembers the same, one call at a time in an order drawn anew for each round, so that a busy
machine is busy for all. A refresh of the profile is due after each call, and each third one holds a long
reply that is to be summed up: there is always something to ask the model. The endpoints:

  none      no model is set; what the others are compared with
  good      answers at once: a line of the profile for each round, a summary for each long reply
  dead      nothing listens on its port
  429       too many requests, with Retry-After: 7
  slow      answers well, after 30 seconds
  garbage   answers at once what is no completion, as a proxy in trouble does
  babble    answers at once with a completion of words instead of the JSON that it was asked for

Then every one that fails is replaced by a good one on the same port, and nobody calls or restarts the
servers. Shows how long it takes until the profile holds the last round, beside how long the outage was:
rests double from 5 seconds up to 300, so a rest is about as long as what was out before it.

Read the column "p95 to none". The aim is at most 1.2 for each; `good` is no failure, and shown to compare.
Exits with 1 when a server does not recover within six minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from statistics import median
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import life
from host import Host
from run import percentile

_WARM = 10  # calls of each that are not counted
_SLOW_SECONDS = 30.0
_LONGEST_REST_SECONDS = 300
_FENCE = re.compile(r"<<<(data-\w+)\n(.*)\n\1>>>", re.DOTALL)
# Of each round, in its language, what a good model makes a line of.
_SEEN = re.compile(r"I (saw \w+ in week \d+)\.|我在(第 \d+ 周见到 \w+)。")
_NUMBER = re.compile(r"(?:saw \w+ in week|第) (\d+)")
_PAGE = b"<html><body>502 Bad Gateway</body></html>"
_BABBLE = "Sure! I have read the messages, and here is what I think about them: they are very nice."
_FAILING = ("dead", "429", "slow", "garbage", "babble")


class Endpoint:
    """A process that serves a model on a port of its own; nobody listens there while it is dead."""

    def __init__(self, kind: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/v1"
        self._process: Any = None
        self.become(kind)

    def become(self, kind: str) -> None:
        """Serve another kind from now on."""
        self.stop()
        if kind != "dead":
            context = multiprocessing.get_context(
                "spawn"
            )  # a process, so that it takes no time of the clock's
            self._process = context.Process(target=_serve, args=(kind, self._port), daemon=True)
            self._process.start()
            self._wait()

    def stop(self) -> None:
        """End the process, which drops what it is asked."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _wait(self) -> None:
        for _ in range(200):
            with suppress(URLError, ConnectionError), urlopen(self.url, timeout=5):  # noqa: S310 - our own
                return
            time.sleep(0.05)
        raise RuntimeError("the endpoint did not come up")


def _serve(kind: str, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, b"ready")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if kind == "slow":
                time.sleep(_SLOW_SECONDS)
            if kind == "429":
                self._send(429, b'{"error": {"message": "slow down"}}', ("Retry-After", "7"))
            elif kind == "garbage":
                self._send(200, _PAGE)
            else:
                said = _BABBLE if kind == "babble" else answer(body["messages"][-1]["content"])
                self._send(200, json.dumps(_completion(said)).encode())

        def handle(self) -> None:
            with suppress(ConnectionError):  # a server that ended
                super().handle()

        def _send(self, status: int, sent: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", "application/json"), *headers):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            with suppress(ConnectionError):  # who asked did not wait
                self.end_headers()
                self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def _completion(said: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def answer(asked: str) -> str:
    """Answer as a good model does: a line for each round, or the beginning of a reply as its summary."""
    found = _FENCE.search(asked)
    assert found, "the question has no fence"
    data = json.loads(found[2])
    if "reply" in data:
        return str(data["reply"])[:200]
    operations = [
        {
            "op": "add",
            "item": None,
            "section": None,
            "text": seen[1] or seen[2],
            "passing": None,
            "evidence": [message["n"]],
        }
        for message in data.get("messages", ())
        if (seen := _SEEN.match(message["text"]))
    ]
    return json.dumps({"operations": operations, "joins": []})


def told(calls: int) -> list[list[dict[str, Any]]]:
    """Return the messages of each call; each third one has a long reply."""
    texts = [message["content"] for message in life.messages(calls, seed=5)]
    replies = life.messages(100 * calls, seed=6)
    names = life._vocabulary(calls, 9)  # noqa: SLF001 - its neighbour
    told_so_far = []
    for number, (name, text) in enumerate(zip(names, texts, strict=True), start=1):
        chinese = "，" in text
        seen = f"我在第 {number} 周见到 {name}。" if chinese else f"I saw {name} in week {number}. "
        call = [{"role": "user", "content": seen + text}]
        if number % 3 == 0:
            reply = " ".join(message["content"] for message in islice(replies, 30))
            call.append({"role": "assistant", "content": reply})
        told_so_far.append(call)
    return told_so_far


def rounds_in(host: Host) -> set[int]:
    """Return the rounds that the profile holds."""
    text = host.request("resources/read", {"uri": "memory://profile"})["contents"][0]["text"]
    return set(map(int, _NUMBER.findall(text)))


class Run:
    """Servers beside each kind of endpoint, from start to recovery."""

    def __init__(self, stack: ExitStack, calls: int, outage: float) -> None:
        self._calls = calls
        self._outage = outage
        self.times: dict[str, list[float]] = {}
        self._endpoints = {name: Endpoint(name) for name in ("good", *_FAILING)}
        for endpoint in self._endpoints.values():
            stack.callback(endpoint.stop)
        self._hosts: dict[str, Host] = {}
        for name in ("none", *self._endpoints):
            environment = {
                "MEM1_MEMORY_DIR": stack.enter_context(tempfile.TemporaryDirectory()),
                "MEM1_UPDATE_INTERVAL_ROUNDS": "1",
                "MEM1_MAX_PROFILE_CHARS": "100000",
                "MEM1_LOG_LEVEL": "ERROR",
            }
            if name in self._endpoints:
                environment |= {
                    "MEM1_LLM_MODEL": "scripted",
                    "MEM1_LLM_BASE_URL": self._endpoints[name].url,
                }
            command = [sys.executable, "-m", "mem1_mcp"]
            self._hosts[name] = stack.enter_context(Host(command, **environment))
            self.times[name] = []
        self._began = time.monotonic()

    def measure(self) -> None:
        """Time every call at every server."""
        chance = random.Random(4)
        for number, messages in enumerate(told(_WARM + self._calls)):
            if number == 1:
                time.sleep(3)  # the background begins after two; from here on it is at work
            if number >= _WARM:
                left = self._outage - (time.monotonic() - self._began)
                time.sleep(max(left / (self._calls + _WARM - number), 0))
            for name in chance.sample(list(self._hosts), len(self._hosts)):
                took = self._hosts[name].timed("remember", messages=messages)
                if number >= _WARM:
                    self.times[name].append(took)

    def recover(self) -> bool:
        """Let every endpoint become good, and print how long it takes until the profiles know it all."""
        last = _WARM + self._calls
        print("\n| endpoint | rounds in the profile before | out for s | recovered after s | rounds then |")
        print("|---|---:|---:|---:|---:|")
        before = {name: len(rounds_in(self._hosts[name])) for name in _FAILING}
        outage = time.monotonic() - self._began
        since = {}
        for name in _FAILING:
            self._endpoints[name].become("good")
            since[name] = time.monotonic()
        waiting = list(_FAILING)
        # A refresh may have to wait for one rest, and for as long as it may sleep beside it.
        while waiting and time.monotonic() - since[waiting[0]] < _LONGEST_REST_SECONDS + 60:
            for name in list(waiting):
                if last in (known := rounds_in(self._hosts[name])):
                    waiting.remove(name)
                    took = time.monotonic() - since[name]
                    rounds = f"{len(known)} of {last}"
                    print(f"| {name} | {before[name]} | {outage:.0f} | {took:.0f} | {rounds} |", flush=True)
            time.sleep(0.25)
        for name in waiting:
            rounds = f"{len(rounds_in(self._hosts[name]))} of {last}"
            print(f"| {name} | {before[name]} | {outage:.0f} | not at all | {rounds} |")
        return not waiting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=250, help="counted calls of remember at each server")
    parser.add_argument("--outage", type=float, default=30, help="seconds that the calls are spread over")
    parser.add_argument("--runs", type=int, default=1, help="runs with servers of their own; shows medians")
    parser.add_argument("--no-recovery", action="store_true", help="measure calls only")
    options = parser.parse_args()
    runs = []
    recovered = True
    for number in range(options.runs):
        with ExitStack() as stack:
            run = Run(stack, options.calls, options.outage)
            run.measure()
            runs.append(run.times)
            if number < options.runs - 1:
                continue
            print_times(runs)
            if not options.no_recovery:
                recovered = run.recover()
    sys.exit(0 if recovered else 1)


def print_times(runs: list[dict[str, list[float]]]) -> None:
    print("| endpoint | remember p50 ms | to none | p95 ms | p95 to none | of each run | most ms |")
    print("|---|---:|---:|---:|---:|---|---:|")
    for name in runs[0]:
        p50 = [median(run[name]) for run in runs]
        p95 = [percentile(run[name], 0.95) for run in runs]
        to_none50 = [mine / median(run["none"]) for mine, run in zip(p50, runs, strict=True)]
        to_none95 = [mine / percentile(run["none"], 0.95) for mine, run in zip(p95, runs, strict=True)]
        each = " ".join(f"{ratio:.2f}" for ratio in to_none95)
        most = max(max(run[name]) for run in runs)
        print(
            f"| {name} | {median(p50):.2f} | {median(to_none50):.2f}× | {median(p95):.2f} "
            f"| {median(to_none95):.2f}× | {each} | {most:.0f} |"
        )


if __name__ == "__main__":
    main()
