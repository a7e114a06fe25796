"""The profile: short lines about the user, told as facts, merged, superseded, and rendered.

A fact is a sentence that the host's model wrote down. The same fact told again strengthens the line
that is there; a fact that names what it ``replaces`` supersedes it, and the old line stays as
history. Numbers and negations are never taken for the same: "two cats" is not "three cats".
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import anyio

from mem1_mcp.errors import InvalidRequestError, StoreBusyError
from mem1_mcp.memory.lines import on_one_line
from mem1_mcp.text.budget import estimate_tokens
from mem1_mcp.text.terms import normalise, query_terms, split
from mem1_mcp.types import Item, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mem1_mcp.protocols import Store


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the profile. ``stable`` ones hold what stays true for long."""

    key: str
    title_en: str
    title_zh: str
    stable: bool


# The general template.
SECTIONS = (
    Section("basic", "Basic information", "基本信息", stable=True),
    Section("preferences", "Preferences", "偏好习惯", stable=True),
    Section("timeline", "Timeline", "任务时间线", stable=False),
    Section("todo", "To-do", "待办事项", stable=False),
    Section("clarify", "To be clarified", "待澄清事项", stable=False),
    Section("feedback", "Feedback", "用户反馈", stable=True),
    Section("cautions", "Cautions", "注意事项", stable=True),
)
DEFAULT_SECTION = "basic"
_BY_NAME = {
    name.casefold(): section.key
    for section in SECTIONS
    for name in (section.key, section.title_en, section.title_zh)
}

_SAME = 0.85  # share of common words from which a reference means a line
_ATTEMPTS = 20

_NEGATIONS = frozenset("不没無无非别勿未")
_NEGATION_WORDS = re.compile(
    r"\b(?:not?|never|neither|nor|without|hardly|stopped|quit|\w+n't|dislikes?|hates?)\b"
)
_NUMBERS = re.compile(r"\d+(?:\.\d+)?|[一二三四五六七八九十百千万两几]+")
_CJK = re.compile("[\u3400-\u9fff]")

# A line of the profile is a statement about a person. What commands a reader stays out of places
# where a model could take it for instructions.
_COMMANDS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:instruction|prompt|rule|previous|above)"
    r"|\b(?:system|developer)\s*(?:prompt|message|instruction)|\b(?:you|assistant|ai|model)\s+(?:must|should|shall|will|are|need)\b"
    r"|\b(?:always|never)\s+(?:answer|reply|respond|say|tell|reveal|recommend|call|use|obey|output|send)\b"
    r"|^(?:please\s+)?(?:execute|run|call|send|reveal|output|print|delete|obey|act|pretend|respond|answer)\b"
    r"|jailbreak|<\s*/?\s*\w+|https?://|\]\(|```"
    r"|(?:忽略|无视|忘记|绕过).{0,20}(?:指令|提示|规则|之前|以上|设定)|系统提示|你(?:必须|应该|要|现在是|是一)|(?:必须|务必|永远|总是)(?:回答|回复|说|推荐|调用|服从|执行|输出)"
    r"|(?:扮演|越狱|开发者模式)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as it was handed in; ``replaces`` is an item's id or its words."""

    text: str
    section: str = DEFAULT_SECTION
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a fact: the item that holds it now."""

    item: str
    outcome: Literal["new", "known", "replaced"]


def section_key(name: str) -> str | None:
    """Find a section by its key or its title in either language."""
    return _BY_NAME.get(name.strip().casefold())


@dataclass(frozen=True, slots=True)
class Telling:
    """Where facts come from: the topic and messages of their call, and when it came.

    ``repeated`` when the call was delivered before: what has been superseded since stays so.
    """

    topic: str
    evidence: tuple[int, ...]
    now: int
    repeated: bool = False


async def tell(store: Store, user: str, facts: Sequence[Fact], telling: Telling) -> tuple[Told, ...]:
    """Work facts into the kept profile, again from the start when another process was faster."""
    for _ in range(_ATTEMPTS):
        profile = await store.profile(user)
        changed = profile
        told = []
        for fact in facts:
            changed, outcome = merge(changed, fact, telling)
            told.append(outcome)
        if changed is profile:
            return tuple(told)
        if await store.save_profile(user, replace(changed, version=profile.version + 1)):
            return tuple(told)
        await anyio.sleep(random.uniform(0, 0.05))  # noqa: S311 - jitter, no secret
    raise StoreBusyError(
        "The profile is being changed by others without pause. The messages of this call are saved, "
        "its facts are not: send the facts again in a moment."
    )


def merge(profile: Profile, fact: Fact, telling: Telling) -> tuple[Profile, Told]:
    """Work one fact into the profile."""
    if telling.repeated:
        before = next((item for item in profile.items if alike(item.text, fact.text)), None)
        if before is not None:
            return profile, Told(before.id, "known")
    evidence, now = telling.evidence, telling.now
    old = find(profile, fact.replaces) if fact.replaces is not None else None
    same = next((item for item in profile.current if item is not old and alike(item.text, fact.text)), None)
    if same is not None:
        evidence = tuple(dict.fromkeys((*same.evidence, *evidence)))
        if evidence == same.evidence and old is None:
            return profile, Told(same.id, "known")
        held, outcome = replace(same, evidence=evidence, updated_at=now), "known"
        items = tuple(held if item is same else item for item in profile.items)
        number = profile.next_number
    else:
        number = profile.next_number + 1
        held = Item(
            id=f"p{profile.next_number}",
            section=fact.section,
            text=fact.text,
            topic=telling.topic,
            source="host",
            created_at=now,
            updated_at=now,
            evidence=evidence,
            pinned=old.pinned if old else False,
        )
        items, outcome = (*profile.items, held), "new"
    if old is not None:
        ended = replace(old, replaced_by=held.id, updated_at=now)
        items = tuple(ended if item.id == old.id else item for item in items)
        outcome = "replaced"
    return replace(profile, items=items, next_number=number), Told(held.id, outcome)  # type: ignore[arg-type]


def find(profile: Profile, reference: str) -> Item | None:
    """Find the current item that an id or its words name."""
    for item in profile.current:
        if item.id == reference or normalise(item.text) == normalise(reference):
            return item
    return next((item for item in profile.current if _resembles(item.text, reference)), None)


def check_replaces(profile: Profile, facts: Sequence[Fact]) -> None:
    """Refuse facts that replace what is not there, before anything is saved."""
    for number, fact in enumerate(facts):
        if fact.replaces is None or find(profile, fact.replaces) is not None:
            continue
        if any(alike(item.text, fact.text) for item in profile.current):
            continue  # an earlier delivery replaced it
        raise InvalidRequestError(
            f"facts[{number}].replaces: no line of the profile is {fact.replaces!r}. Nothing was "
            "saved. Give the id in brackets (p3) as recall without a query shows it, or leave "
            "replaces out to add a new line."
        )


def alike(one: str, other: str) -> bool:
    """Whether two sayings are the same fact: the same content words in the same order.

    Order counts: "prefers tea over coffee" and "prefers coffee over tea" have the same words.
    """
    mine, theirs = _essence(one), _essence(other)
    return mine.plain == theirs.plain or (mine.sure == theirs.sure and mine.content == theirs.content)


def _resembles(one: str, other: str) -> bool:
    """Whether two sayings have nearly the same words: enough to know which line is meant."""
    mine, theirs = set(_essence(one).content), set(_essence(other).content)
    return bool(mine | theirs) and len(mine & theirs) >= _SAME * len(mine | theirs)


@dataclass(frozen=True, slots=True)
class _Essence:
    """What of a saying is compared; ``sure`` holds its numbers and how often it says no."""

    plain: str
    sure: tuple[tuple[str, ...], int]
    content: tuple[str, ...]


@lru_cache(maxsize=4096)
def _essence(text: str) -> _Essence:
    folded = normalise(text)
    negated = sum(folded.count(sign) for sign in _NEGATIONS) + len(_NEGATION_WORDS.findall(folded))
    numbers = tuple(sorted(_NUMBERS.findall(folded)))
    return _Essence(folded.strip(" .。!！"), (numbers, negated), split(text).content)


def render(profile: Profile) -> str:
    """Write the profile as Markdown, in the language that most of its lines are in."""
    items = profile.current
    if not items:
        return "# User profile\n\nNothing is known yet.\n"
    chinese = _is_chinese(items)
    lines = ["# 用户画像" if chinese else "# User profile"]
    for section in SECTIONS:
        held = [item for item in items if item.section == section.key]
        if held:
            lines += ["", f"## {section.title_zh if chinese else section.title_en}", ""]
            lines += [f"- {on_one_line(item.text)} [{item.id}]" for item in held]
    return "\n".join(lines) + "\n"


def profile_line(item: Item) -> str:
    """Write one item as a line for a model; one that no longer holds says what does."""
    outdated = f"; outdated, now {item.replaced_by}" if item.replaced_by else ""
    return f"- [{item.id}] {on_one_line(item.text)} ({item.section}{outdated})"


def relevant(profile: Profile, query: str, max_tokens: int) -> list[Item]:
    """Return the items a query is about, and pinned ones, as far as the budget goes.

    An outdated item that the query is about comes behind the one that took its place.
    """
    asked = set(query_terms(query))
    # A line has too few words for single characters to mean anything beside whole ones.
    asked = {term for term in asked if len(term) > 1} or asked
    items = {item.id: item for item in profile.items}
    shared = {item.id: len(asked.intersection(split(item.text).content)) for item in profile.items}
    about: dict[str, int] = {}
    history: dict[str, list[Item]] = {}
    for item in profile.items:
        now = _now(item, items)
        if now is None or not (shared[item.id] or (item is now and item.pinned)):
            continue
        about[now.id] = max(about.get(now.id, 0), shared[item.id])
        if item is not now:
            history.setdefault(now.id, []).append(item)
    order = sorted(
        about, key=lambda each: (items[each].pinned, about[each], items[each].updated_at), reverse=True
    )
    newest_first = (line for each in order for line in (items[each], *reversed(history.get(each, []))))
    return _within(newest_first, max_tokens)


def _now(item: Item, items: Mapping[str, Item]) -> Item | None:
    """Return the item that holds in the place of this one; ``None`` where that was forgotten."""
    for _ in items:
        if item.replaced_by is None:
            return item
        if item.replaced_by not in items:
            return None
        item = items[item.replaced_by]
    return None


def whole(profile: Profile, max_tokens: int) -> list[Item]:
    """Return the items in the order of their sections, as far as the budget goes."""
    order = {section.key: number for number, section in enumerate(SECTIONS)}
    return _within(
        sorted(profile.current, key=lambda item: (not item.pinned, order.get(item.section, 99))),
        max_tokens,
    )


def digest(profile: Profile, max_chars: int = 600, max_bytes: int = 1500) -> str:
    """Return what of the profile may stand in the server's instructions, quoted as data.

    Pinned lines first, then stable ones; none that reads like an instruction to a model. Some hosts
    cut instructions at two kilobytes, which a Chinese profile reaches before 600 characters.
    """
    stable = {section.key for section in SECTIONS if section.stable}
    chosen: list[str] = []
    room = max_chars
    for item in sorted(profile.current, key=lambda item: (not item.pinned, -item.updated_at)):
        # A line break or a closing quotation mark could end the quotation.
        quoted = f"“{item.text.replace('”', '’')}”"
        size = len(quoted.encode()) + 1
        fits = len(quoted) + 1 <= room and size <= max_bytes and on_one_line(item.text) == item.text
        if fits and (item.pinned or item.section in stable) and not commands(item.text):
            chosen.append(quoted)
            room -= len(quoted) + 1
            max_bytes -= size
    return " ".join(chosen)


def commands(text: str) -> bool:
    """Whether a text tells a model what to do instead of telling about a person."""
    return _COMMANDS.search(text) is not None


def _within(items: Iterable[Item], max_tokens: int) -> list[Item]:
    chosen = []
    for item in items:
        max_tokens -= estimate_tokens(profile_line(item)) + 1
        if max_tokens < 0:
            break
        chosen.append(item)
    return chosen


def _is_chinese(items: Sequence[Item]) -> bool:
    return 2 * sum(bool(_CJK.search(item.text)) for item in items) > len(items)
