"""What a model may do to a profile: operations, each judged alone, then applied to the profile as it is.

* ``add`` a line, ``replace`` one by what holds now, ``remove`` one that the user took back,
* ``contradict`` one, where it is not clear which holds: that waits until the user settles it,
* ``done``: a to-do that the user has done.

Each rests on messages of the user's that the model was shown. One that does not is refused with its
reason; where most are, or where a profile would lose its lines, the whole answer is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mem1_mcp.errors import AnswerRefusedError
from mem1_mcp.memory.language.answers import (
    invented_figures,
    is_in_the_language_of,
    rests_on,
    telling_terms,
)
from mem1_mcp.memory.language.gate import commands, is_marked_up, is_unreadable, refuses
from mem1_mcp.memory.lines import on_one_line
from mem1_mcp.memory.profile.items import alike, put
from mem1_mcp.memory.secrets import mask
from mem1_mcp.text.terms import normalise, split
from mem1_mcp.types import Item, Profile

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mem1_mcp.memory.profile.template import Section, Template
    from mem1_mcp.types import Stored

Name = Literal["add", "replace", "remove", "contradict", "done"]
NAMES: tuple[Name, ...] = ("add", "replace", "remove", "contradict", "done")

_MOST = 60
_LONGEST = 300  # characters of a line
_FEW = 2  # lines, which a user may well take back at once


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model was shown: the profile as it was then, and messages by their numbers from 1."""

    template: Template
    profile: Profile
    messages: tuple[Stored, ...]

    def item(self, item_id: object) -> Item | None:
        """Return the current item of this id."""
        return next((item for item in self.profile.current if item.id == item_id), None)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation that may be applied. ``item`` is the one it is about, as the model was shown it."""

    name: Name
    evidence: tuple[Stored, ...]
    item: Item | None = None
    text: str = ""
    section: Section | None = None
    passing: bool | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What of an answer holds, and why the rest does not."""

    operations: tuple[Operation, ...]
    refused: tuple[str, ...]


class _Refused(Exception):  # noqa: N818 - a reason, for the caller here alone
    """Why one operation is refused."""


def judge(given: Sequence[Any], shown: Shown) -> Judged:
    """Judge each operation of an answer alone.

    Raises:
        AnswerRefusedError: most of them can't be used, or the profile would lose most of its lines.

    """
    if len(given) > _MOST:
        raise AnswerRefusedError(f"The answer has {len(given)} operations, of {_MOST} at most.")
    held: list[Operation] = []
    refused: list[str] = []
    touched: set[str] = set()
    for each in given:
        try:
            operation = _judged(each, shown, touched)
        except _Refused as reason:
            refused.append(str(reason))
            continue
        if operation.item is not None:
            touched.add(operation.item.id)
        held.append(operation)
    if 2 * len(refused) > len(given):
        told = "; ".join(f"{reason} ({number}×)" for reason, number in Counter(refused).most_common(3))
        raise AnswerRefusedError(f"{len(refused)} of {len(given)} operations can't be used: {told}.")
    # Several that are replaced by the same words are one line afterwards.
    instead = {normalise(operation.text) for operation in held if operation.name == "replace"}
    removed = sum(operation.name in ("remove", "replace") for operation in held) - len(instead)
    if removed >= _FEW and 2 * removed > len(shown.profile.current):
        raise AnswerRefusedError(
            f"The answer would remove {removed} of the profile's {len(shown.profile.current)} lines."
        )
    return Judged(tuple(held), tuple(refused))


def _judged(given: Any, shown: Shown, touched: Collection[str]) -> Operation:
    if not isinstance(given, dict):
        raise _Refused("an operation is no object")
    name = given.get("op")
    if name not in NAMES:
        raise _Refused("its name is none of " + ", ".join(NAMES))
    item = _item(given, shown) if name != "add" else None
    if item is not None and item.id in touched:
        raise _Refused("two operations are about one line")
    evidence = _evidence(given.get("evidence"), shown)
    if name == "done" and (shown.template.todo is None or _section(item, shown) != shown.template.todo):
        raise _Refused("only a to-do can be done")
    if name in ("remove", "done") and item is not None:
        if not rests_on(item.text, [message.content for message in evidence]):
            raise _Refused("the messages it rests on say nothing of that line")
        return Operation(name, evidence, item)
    section = _named_section(given.get("section"), shown) if name != "contradict" else None
    text = _text(given.get("text"), item if name == "replace" else None, evidence)
    if name == "contradict" and item is not None and alike(text, item.text):
        raise _Refused("it contradicts a line that says the same")
    passing = given.get("passing")
    return Operation(name, evidence, item, text, section, passing if isinstance(passing, bool) else None)


def _item(given: dict[str, Any], shown: Shown) -> Item:
    item = shown.item(given.get("item"))
    if item is None:
        raise _Refused("it is about a line that is not there")
    if item.pinned:
        raise _Refused("it is about a line that the user pinned")
    return item


def _section(item: Item | None, shown: Shown) -> Section | None:
    return None if item is None else shown.template.section_of(item.section)


def _evidence(given: Any, shown: Shown) -> tuple[Stored, ...]:
    if not isinstance(given, list) or not given:
        raise _Refused("it names no message that it rests on")
    evidence = []
    for each in dict.fromkeys(str(number) for number in given):
        if not (each.isascii() and each.isdigit() and len(each) < 9):  # noqa: PLR2004
            raise _Refused("it rests on what is no message's number")
        if not 1 <= int(each) <= len(shown.messages):
            raise _Refused("it rests on a message that is not among those sent")
        message = shown.messages[int(each) - 1]
        if message.role != "user":
            raise _Refused("it rests on words that are not the user's")
        evidence.append(message)
    return tuple(evidence)


def _named_section(given: Any, shown: Shown) -> Section | None:
    if given is None:
        return None
    section = shown.template.named(given) if isinstance(given, str) else None
    if section is None:
        raise _Refused("there is no section of that name")
    return section


def _text(given: Any, item: Item | None, evidence: Sequence[Stored]) -> str:
    if not isinstance(given, str) or not given.strip():
        raise _Refused("it has no text")
    text = mask(on_one_line(given.strip())).text
    sources = [message.content for message in evidence]
    before = [item.text] if item is not None else []
    if len(text) > _LONGEST:
        raise _Refused(f"its text has more than {_LONGEST} characters")
    if is_marked_up(text):
        raise _Refused("its text holds markup or code")
    if refuses(text):
        raise _Refused("its text is a refusal")
    if commands(text):
        raise _Refused("its text tells a model what to do")
    if not is_in_the_language_of(text, sources):
        raise _Refused("its text is in another language than what the user said")
    if not rests_on(text, sources):
        raise _Refused("its text shares no word with the messages it rests on")
    if invented_figures(text, [*sources, *before]):
        raise _Refused("its text holds a figure that is not in the messages it rests on")
    if is_unreadable(text):
        raise _Refused("its text holds signs that nobody can read")
    return text


def apply(operations: Sequence[Operation], shown: Shown, profile: Profile) -> Profile:
    """Apply operations to a profile as it is by now.

    What the user or the host changed since the model was shown it stays as they made it.
    """
    for operation in operations:
        if operation.item is not None and not _is_untouched(operation.item, profile):
            continue
        profile = _applied(operation, shown.template, profile)
    return profile


def _is_untouched(item: Item, profile: Profile) -> bool:
    now = next((each for each in profile.items if each.id == item.id), None)
    return now is not None and (now.text, now.replaced_by, now.pinned, now.section) == (
        item.text,
        None,
        False,
        item.section,
    )


def _applied(operation: Operation, template: Template, profile: Profile) -> Profile:
    item = operation.item
    if operation.name == "remove" and item is not None:
        gone = {*profile.with_history((item.id,))}
        return replace(profile, items=tuple(each for each in profile.items if each.id not in gone))
    newest = max(operation.evidence, key=lambda message: (message.said_at, message.place))
    section = operation.section or (template.default if item is None else template.section_of(item.section))
    new = Item(
        id=f"p{profile.next_number}",
        section=section.key,
        text=operation.text,
        topic=newest.topic,
        source="model",
        created_at=newest.said_at,
        updated_at=newest.said_at,
        evidence=tuple(message.place for message in operation.evidence),
        passing=not section.lasting if operation.passing is None else operation.passing,
    )
    if operation.name == "contradict" and item is not None:
        clarify = template.clarify.key
        return put(profile, replace(new, section=clarify, against=item.id, passing=False))[0]
    if operation.name == "done" and item is not None:
        done = replace(new, text=item.text, section=item.section, done=True, stands_in=True)
        new = _resting_on_both(done, item)
    if operation.name == "replace" and item is not None and _carries_over(operation, item):
        new = _resting_on_both(new, item)
    return put(profile, new, item)[0]


def _carries_over(operation: Operation, item: Item) -> bool:
    """Whether a line says something that only the one it replaces says."""
    said = {term for message in operation.evidence for term in split(message.content).content}
    carried = telling_terms(operation.text).intersection(split(item.text).content) - said
    return bool(carried) or bool(
        invented_figures(operation.text, [each.content for each in operation.evidence])
    )


def _resting_on_both(new: Item, old: Item) -> Item:
    """Have an item rest on its own messages and on whatever the one before it rests on."""
    evidence = tuple(dict.fromkeys((*old.evidence, *new.evidence)))
    return replace(new, evidence=evidence, topic=old.topic, whole=True)
