"""A made-up life to remember: sentences in Chinese and English with the word statistics of talk."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

_SYLLABLES = (
    "ba be bi bo ka ke ki ko la le li lo ma me mi mo na ne ni no ra re ri ro sa se ta te to vi".split()
)
_PEOPLE = ["Anna", "Ming", "李雷", "Tom", "王芳", "Sofia", "韩梅梅", "Karl"]
_PLACES = ["Berlin", "上海", "Lisbon", "杭州", "the lake", "公园", "our office", "医院"]
_DONE = ["met", "called", "visited", "wrote to", "had lunch with", "argued with"]
_DONE_ZH = ["见了", "打电话给", "拜访了", "写信给", "约了", "想起了"]
_TALK = "the a of and to in it is was for on with that this we had about went really very good new".split()
_TALK_ZH = (
    "我们 的 了 是 在 今天 昨天 最近 一起 然后 还是 觉得 非常 可以 什么 这个 没有 因为 所以 就".split()
)
# The 3,755 commonest characters, as a national standard of 1980 lists them.
_HANZI = [bytes((high, low)).decode("gb2312") for high in range(0xB0, 0xD7) for low in range(0xA1, 0xFA)]


def _vocabulary(size: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(size)]


def _hanzi_vocabulary(size: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    weights = [1 / rank for rank in range(20, len(_HANZI) + 20)]
    drawn = iter(chance.choices(_HANZI, weights, k=2 * size))
    return [next(drawn) + next(drawn) for _ in range(size)]


def messages(count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield a life of ``count`` messages: conversations of twenty, some hours apart, two languages."""
    chance = random.Random(seed)
    words = _vocabulary(20_000, 7)
    hanzi = _hanzi_vocabulary(20_000, 8)
    # Zipf's law: the word of rank r comes up in proportion to 1 / r.
    weights = [1 / rank for rank in range(3, len(words) + 3)]
    drawn: Iterator[int] = iter(())
    moment = datetime(2015, 1, 1, 8, tzinfo=UTC)
    for number in range(count):
        if number % 20 == 0:
            moment += timedelta(hours=chance.randint(5, 30))
        moment += timedelta(minutes=1)
        picked = list(islice(drawn, 6))
        if len(picked) < 6:
            drawn = iter(chance.choices(range(len(words)), weights, k=60_000))
            picked = list(islice(drawn, 6))
        if chance.random() < 0.5:
            text = (
                f"{' '.join(chance.choices(_TALK, k=6))} {chance.choice(_DONE)} {chance.choice(_PEOPLE)} "
                f"at {chance.choice(_PLACES)} {' '.join(words[n] for n in picked)}{chance.choice('..?')}"
            )
        else:
            text = (
                f"{''.join(chance.choices(_TALK_ZH, k=4))}{chance.choice(_DONE_ZH)}"
                f"{chance.choice(_PEOPLE)}，"
                f"在{chance.choice(_PLACES)}{''.join(hanzi[n] for n in picked)}{chance.choice('。。？')}"
            )
        yield {
            "role": "user" if number % 2 == 0 else "assistant",
            "content": text,
            "timestamp": moment.isoformat(),
        }


def questions(count: int, seed: int = 2) -> list[str]:
    """Return questions as people ask them: some common words, a name, one or two rarer words."""
    chance = random.Random(seed)
    words = _vocabulary(20_000, 7)
    weights = [1 / rank for rank in range(3, len(words) + 3)]
    hanzi = _hanzi_vocabulary(20_000, 8)
    asked = []
    for _ in range(count):
        rare = chance.choices(range(len(words)), weights, k=2)
        if chance.random() < 0.5:
            asked.append(
                f"When did I meet {chance.choice(_PEOPLE)} at {chance.choice(_PLACES)} "
                f"{words[rare[0]]} {words[rare[1]]}?"
            )
        else:
            asked.append(
                f"我什么时候和{chance.choice(_PEOPLE)}在{chance.choice(_PLACES)}{hanzi[rare[0]]}{hanzi[rare[1]]}？"
            )
    return asked
