"""The profile: short lines about the user, told as facts, merged, superseded, kept short.

A fact is a sentence that the host's model wrote down. The same fact told again strengthens the line
that is there; a fact that names what it ``replaces`` supersedes it, and the old line stays as
history. Numbers and negations are never taken for the same: "two cats" is not "three cats".
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio

from mem1_mcp.errors import InvalidRequestError, StoreBusyError
from mem1_mcp.text.terms import normalise, split
from mem1_mcp.types import ARCHIVED, Item, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mem1_mcp.memory.profile.template import Section, Template
    from mem1_mcp.protocols import Store


_SAME = 0.85  # share of common words from which a reference means a line
_ATTEMPTS = 20
_KEPT_EVIDENCE = 12  # messages, the newest
_KEPT_SUPERSEDED = 200  # sayings, the newest
_LINE_CHARS = 8  # of a line beside its text: "- ", its id and the line's end

_Result = TypeVar("_Result")

_NEGATIONS = frozenset("不没無无非别勿未")
_NEGATION_WORDS = re.compile(
    r"\b(?:not?|never|neither|nor|without|hardly|stopped|quit|\w+n't|dislikes?|hates?)\b"
)
_NUMBERS = re.compile(r"\d+(?:\.\d+)?|[一二三四五六七八九十百千万两几]+")


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as it was handed in; ``section`` is a key or title, ``replaces`` an item's id or its words."""

    text: str
    section: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a fact: the item that holds it now."""

    item: str
    outcome: Literal["new", "known", "replaced"]


@dataclass(frozen=True, slots=True)
class Telling:
    """Where facts come from: the topic and messages of their call, and when it came.

    ``repeated`` when the call was delivered before: what has been superseded since stays so.
    """

    template: Template
    topic: str
    evidence: tuple[int, ...]
    now: int
    repeated: bool = False


async def tell(
    store: Store, user: str, facts: Sequence[Fact], telling: Telling, max_chars: int
) -> tuple[Told, ...]:
    """Work facts into the kept profile, which stays about as short as ``max_chars``."""

    def told(profile: Profile) -> tuple[Profile, tuple[Told, ...]]:
        outcomes = []
        for fact in facts:
            profile, outcome = merge(profile, fact, telling)
            outcomes.append(outcome)
        return shortened(profile, telling.template, max_chars), tuple(outcomes)

    why = f"{len(facts)} fact{'s' * (len(facts) != 1)} told by the host"
    told_now = await change(store, user, told, why, telling.now)
    if told_now is None:
        raise StoreBusyError(
            "The profile is being changed by others without pause. The messages of this call are saved, "
            "its facts are not: send the facts again in a moment."
        )
    return told_now


async def change(
    store: Store, user: str, make: Callable[[Profile], tuple[Profile, _Result]], why: str, now: int
) -> _Result | None:
    """Replace the kept profile by what ``make`` makes of it; return what else that gives.

    Again from the start when another process was faster; ``None`` when others are all the time. ``why``
    says what made the new version; ``make`` may say it itself.
    """
    for _ in range(_ATTEMPTS):
        profile = await store.profile(user)
        changed, result = make(profile)
        if changed is profile:
            return result
        why_now = changed.why if changed.why != profile.why else why
        if await store.save_profile(
            user, replace(changed, version=profile.version + 1, saved_at=now, why=why_now)
        ):
            return result
        await anyio.sleep(random.uniform(0, 0.05))  # noqa: S311 - jitter, no secret
    return None


def merge(profile: Profile, fact: Fact, telling: Telling) -> tuple[Profile, Told]:
    """Work one fact into the profile."""
    if telling.repeated:
        before = next((item for item in profile.items if alike(item.text, fact.text)), None)
        if before is not None:
            return profile, Told(before.id, "known")
    old = find(profile, fact.replaces) if fact.replaces is not None else None
    section = section_named(telling.template, fact.section)
    new = Item(
        id=f"p{profile.next_number}",
        section=section.key,
        text=fact.text,
        topic=telling.topic,
        source="host",
        created_at=telling.now,
        updated_at=telling.now,
        evidence=telling.evidence,
        passing=not section.lasting,
    )
    changed, held = put(profile, new, old)
    if old is not None:
        return changed, Told(held.id, "replaced")
    return changed, Told(held.id, "new" if held is new else "known")


def put(profile: Profile, new: Item, old: Item | None = None) -> tuple[Profile, Item]:
    """Add an item, in the place of ``old`` if that is given; one that says the same is strengthened.

    What waited to be clarified about the old one is settled by that; so is what an item that waited to be
    clarified was against.
    """
    holding = [item for item in profile.items if item.replaced_by in (None, ARCHIVED) and item is not old]
    same = next((item for item in holding if says(item, new)), None)
    if same is not None:
        evidence = tuple(dict.fromkeys((*same.evidence, *new.evidence)))[-_KEPT_EVIDENCE:]
        if evidence == same.evidence and old is None and same.replaced_by is None:
            return profile, same
        at = max(new.updated_at, same.updated_at)
        held = replace(same, evidence=evidence, updated_at=at, replaced_by=None)
        items, number = tuple(held if item is same else item for item in profile.items), profile.next_number
    else:
        held = replace(new, pinned=old.pinned) if old is not None else new
        items, number = (*profile.items, held), profile.next_number + 1
    if old is not None:
        settled = {old.id, old.against} - {held.id}
        items = tuple(
            replace(item, replaced_by=held.id, updated_at=new.updated_at)
            if item.replaced_by is None
            and (item.id in settled or (item.against == old.id and item.id != held.id))
            else item
            for item in items
        )
    return replace(profile, items=items, next_number=number), held


def says(one: Item, other: Item) -> bool:
    """Whether two items say the same of the same thing."""
    return (one.done, one.against) == (other.done, other.against) and alike(one.text, other.text)


def section_named(template: Template, name: str | None) -> Section:
    """Return the section that a key or title names; the default one where none is named.

    Raises:
        InvalidRequestError: there is none of that name.

    """
    if name is None:
        return template.default
    section = template.named(name)
    if section is None and (key := name.strip().casefold()) != template.default.key:
        mapped = template.section_of(key)
        section = mapped if key in mapped.also else None
    if section is None:
        keys = ", ".join(section.key for section in template.sections)
        raise InvalidRequestError(f"section: {name!r} is no section; use one of {keys}.")
    return section


def shortened(profile: Profile, template: Template, max_chars: int) -> Profile:
    """Archive items until the profile has at most ``max_chars``: done ones, then passing ones, then others.

    The oldest first; never a pinned one. What is archived is left out of the profile; a question still
    finds it. Older sayings that messages hold too are let go when they are many.
    """
    over = length(profile) - max_chars
    archived = set()
    if over > 0:
        waiting = [item for item in profile.current if not item.pinned]
        for item in sorted(waiting, key=lambda each: (_rank(each, template), each.updated_at, each.number)):
            if over <= 0:
                break
            archived.add(item.id)
            over -= len(item.text) + _LINE_CHARS
    items = [replace(item, replaced_by=ARCHIVED) if item.id in archived else item for item in profile.items]
    superseded = [item.id for item in items if item.replaced_by is not None and item.evidence]
    dropped = set(superseded[:-_KEPT_SUPERSEDED])
    if not archived and not dropped:
        return profile
    return replace(profile, items=tuple(item for item in items if item.id not in dropped))


def length(profile: Profile) -> int:
    """Return how many characters the lines of a profile have."""
    return sum(len(item.text) + _LINE_CHARS for item in profile.current)


def _rank(item: Item, template: Template) -> int:
    if item.done:
        return 0
    return 1 if item.passing and item.section != template.clarify.key else 2


def find(profile: Profile, reference: str) -> Item | None:
    """Find the current item that an id or its words name."""
    for item in profile.current:
        if item.id == reference or normalise(item.text) == normalise(reference):
            return item
    return next((item for item in profile.current if _resembles(item.text, reference)), None)


def check_sections(template: Template, facts: Sequence[Fact]) -> None:
    """Refuse facts of unknown sections, before anything is saved."""
    for number, fact in enumerate(facts):
        try:
            section_named(template, fact.section)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"facts[{number}].{error} Nothing was saved.") from None


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
