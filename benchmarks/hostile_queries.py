"""Does any query break recall, or hold it up? Asks a running server queries that were made to.

    python benchmarks/hostile_queries.py [--queries 2000] [--messages 10000]

Operators and quotes of search engines, unpaired surrogates, marks without letters, one word a thousand
times, words of a thousand letters, 16,000 words: each drawn anew. Every fourth query is an ordinary one,
so that a busy machine is busy for both. Over stdio a line with half a character is refused in words; that
counts as answered. Ends with 1 when a query is not answered.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median

import life
from host import Host
from rich.console import Console
from rich.progress import Progress

_OPERATORS = r"""
    AND OR NOT NEAR NEAR/2 ^ * : - + ( ) [ ] { } " ' ` \ / ~ ? ! | & < > = ; -- /* */ % _ # @ $ col:
    {terms} words:* "unclosed 'x' '' "" \" \x00 ${jndi} {{7*7}} ../../etc <script> NULL nan 1e309
""".split()
_PIECES = "的 了 过敏 上海 花生 the to Ming 2026-05-02 昨天 last week 5月2号 I 你".split()
_WIDE = [0x300, 0x5D0, 0x627, 0xE01, 0x1100, 0xAC00, 0x2060, 0xFE0F, 0x1F468, 0x200D, 0xFFFD, 0x10FFFF]


def _operators(chance: random.Random) -> str:
    return " ".join(chance.choices(_OPERATORS + _PIECES, k=chance.randint(1, 60)))


def _glued(chance: random.Random) -> str:
    return "".join(chance.choices(_OPERATORS + _PIECES, k=chance.randint(1, 200)))


def _surrogates(chance: random.Random) -> str:
    return "".join(
        chr(chance.choice((0xD800, 0xDFFF, 0xDC00, 0xD83D, 0x61, 0x6211, 0x20))) for _ in range(60)
    )


def _any_characters(chance: random.Random) -> str:
    return "".join(
        chr(chance.choice(_WIDE) if chance.random() < 0.3 else chance.randrange(0xD800)) for _ in range(300)
    )


def _marks(chance: random.Random) -> str:
    return "a" + chr(chance.randrange(0x300, 0x36F)) * chance.randint(1, 20_000)


def _one_word_often(chance: random.Random) -> str:
    return " ".join([chance.choice(_PIECES)] * chance.randint(100, 10_000))


def _long_words(chance: random.Random) -> str:
    return " ".join(chance.choice("abc好") * chance.randint(100, 5_000) for _ in range(10))


def _many_words(chance: random.Random) -> str:
    words = life.questions(50, seed=chance.randrange(1000))
    return " ".join(chance.choices(" ".join(words).split(), k=16_000))


def _many_dates(chance: random.Random) -> str:
    return " ".join(f"{chance.randrange(1, 13)}月{chance.randrange(1, 32)}号" for _ in range(500))


_KINDS: list[Callable[[random.Random], str]] = [
    _operators,
    _glued,
    _surrogates,
    _any_characters,
    _marks,
    _one_word_often,
    _long_words,
    _many_words,
    _many_dates,
]


def hostile(count: int, seed: int = 3) -> Iterator[tuple[str, str]]:
    """Yield kinds and queries of them."""
    chance = random.Random(seed)
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        yield kind.__name__.strip("_").replace("_", " "), kind(chance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=10_000)
    options = parser.parse_args()
    ordinary: list[float] = []
    times: dict[str, list[float]] = {}
    failed: list[str] = []
    refused = 0
    asked = iter(life.questions(options.queries))
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("queries", total=options.queries)
        with Host([sys.executable, "-m", "mem1_mcp"], MEM1_MEMORY_DIR=folder) as host:
            told = life.messages(options.messages)
            while batch := list(islice(told, 500)):
                host.call("remember", messages=batch)
            for question in islice(asked, 20):
                host.call("recall", query=question)
            for number, (kind, query) in enumerate(hostile(options.queries)):
                try:
                    times.setdefault(kind, []).append(host.timed("recall", query=query))
                except RuntimeError as error:
                    refused += "half a character" in str(error)
                    if "half a character" not in str(error):
                        failed.append(f"{kind}: {error}")
                if number % 3 == 0:
                    ordinary.append(host.timed("recall", query=next(asked)))
                progress.advance(task)
    usual = median(ordinary)
    print(f"ordinary: median {usual:.1f} ms, slowest {max(ordinary) / usual:.1f}x of {len(ordinary)}")
    for kind, measured in times.items():
        if not measured:  # refused, each
            continue
        print(f"{kind}: median {median(measured) / usual:.1f}x, slowest {max(measured) / usual:.1f}x")
    print(f"{options.queries - len(failed):,} of {options.queries:,} answered, {refused} of them in words")
    if failed:
        sys.exit("\n".join(failed[:20]))


if __name__ == "__main__":
    main()
