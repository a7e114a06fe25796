"""What kind of answer a message may hold, and what kind a question asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mem1_mcp.types import Trait

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_SHORT = 25  # characters outside its questions

_TIME_WORDS = frozenset(
    """
    yesterday today tonight tomorrow ago since recently lately weekend week weeks month months
    year years day days hour hours morning afternoon evening night monday tuesday wednesday
    thursday friday saturday sunday january february march april june july august september
    october november december spring summer autumn winter birthday anniversary
    """.split()
)
_NUMBER_WORDS = frozenset(
    """
    two three four five six seven eight nine ten eleven twelve dozen twenty thirty forty fifty
    hundred thousand million once twice couple several half
    """.split()
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DIGIT = re.compile(r"\d")
_TIME_ZH = re.compile(
    r"[今昨前明后]天|[今去前明后]年|[上下这本]个?(?:周|星期|礼拜|月)|星期[一二三四五六日天]|周[一二三四五六日末]"
    r"|\d[年月日号点]|[一二三四五六七八九十两](?:年|个?月|天|周|小时|点)|早上|上午|中午|下午|晚上|最近|刚才|以前"
)
_NUMBER_ZH = re.compile(r"[一二三四五六七八九十百千万两几半][个只条次位本件张岁元块斤遍种家套部篇]")
_NAME = re.compile(r"[a-z0-9,;:'’)]\s[A-Z][a-z]|[\"“”「」『』《》]|\s'[A-Z]")
_I_WORDS = frozenset(
    {"i", "me", "my", "mine", "we", "us", "our", "i'm", "i've", "i'd", "i'll", "we're", "we've"}
)
_YOU_WORDS = frozenset({"you", "your", "yours", "you're", "you've"})
_I_ZH = re.compile("[我俺咱]")
_YOU_ZH = re.compile("[你您]")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？\n])")

_ASKS_WHEN = re.compile(
    r"\bwhen\b|\b(?:what|which)\s+(?:date|day|month|year|time)\b|\bhow\s+long\b"
    r"|什么时候|什么时间|何时|哪一?[天年月日]|几[号月点日年]|多久|多长时间",
    re.IGNORECASE,
)
_ASKS_NAME = re.compile(
    r"\b(?:who|whom|whose|where|which)\b|谁|哪[里儿个位家本部座些]|什么名|叫什么|何处",
    re.IGNORECASE,
)
_ASKS_NUMBER = re.compile(
    r"\bhow\s+(?:many|much|old|often|long|far|tall|big)\b"
    r"|多少|几[个只条次位本件张岁]|多大|多久|多长|多高|多远",
    re.IGNORECASE,
)


def traits_of(text: str, words: AbstractSet[str]) -> Trait:
    """Tell what a message holds, given its lower-case words."""
    traits = Trait(0)
    said = len(text.strip())
    if "?" in text or "？" in text:
        traits |= Trait.ASKS
        sentences = _SENTENCE_END.split(text)
        said = sum(len(part.strip()) for part in sentences if not part.endswith(("?", "？")))
    if said < _SHORT:
        traits |= Trait.SHORT
    if not _TIME_WORDS.isdisjoint(words) or _YEAR.search(text) or _TIME_ZH.search(text):
        traits |= Trait.TIME
    if not _NUMBER_WORDS.isdisjoint(words) or _DIGIT.search(text) or _NUMBER_ZH.search(text):
        traits |= Trait.NUMBER
    if _NAME.search(text):
        traits |= Trait.NAME
    to_other = not _YOU_WORDS.isdisjoint(words) or _YOU_ZH.search(text)
    if to_other and _I_WORDS.isdisjoint(words) and not _I_ZH.search(text):
        traits |= Trait.ADDRESSES
    return traits


def wanted_traits(query: str) -> Trait:
    """Tell what the answer to a question would hold: a time, a name or a number."""
    wanted = Trait(0)
    for trait, pattern in (
        (Trait.TIME, _ASKS_WHEN),
        (Trait.NAME, _ASKS_NAME),
        (Trait.NUMBER, _ASKS_NUMBER),
    ):
        if pattern.search(query):
            wanted |= trait
    return wanted


def only_asks(traits: Trait) -> bool:
    """Whether a message is a question and little more."""
    both = Trait.ASKS | Trait.SHORT
    return traits & both == both
