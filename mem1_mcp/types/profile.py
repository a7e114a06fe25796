"""The profile: items with what they rest on, in versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mem1_mcp.types.forgetting import Mark, Selection

KEPT_PROFILES = 20  # versions of a profile, the present one among them

# In the place of the item that replaced another one.
FORGOTTEN = "forgotten"

ARCHIVED = "archived"  # to keep the profile short; it still holds


Source = Literal["user", "host", "model"]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the profile.

    ``evidence`` are the places of the messages it rests on. Without any it belongs to ``topic``,
    where it was told. ``replaced_by`` names the item that superseded it: then it is history.
    ``passing`` holds for a while only. ``done`` is of a to-do. ``against`` names the item that it
    contradicts, until the user settles which holds. ``whole`` rests on all of its evidence, and on its
    topic: where some is forgotten it goes. Where it ``stands_in`` for the items it replaced, they come back
    then.
    """

    id: str
    section: str
    text: str
    topic: str
    source: Source
    created_at: int
    updated_at: int
    evidence: tuple[int, ...] = ()
    pinned: bool = False
    replaced_by: str | None = None
    passing: bool = False
    done: bool = False
    against: str | None = None
    whole: bool = False
    stands_in: bool = False

    @property
    def number(self) -> int:
        """The item's number: items are numbered in the order in which they came."""
        return int(self.id[1:])


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a user, current lines and superseded ones.

    ``version`` goes up with every change, ``epoch`` whenever something is forgotten, be it no line of
    the profile. ``next_number`` is never given twice, so an id that was forgotten never comes to mean
    something else. ``why`` says what made this version, in words that hold nothing of what was said.
    """

    version: int = 0
    items: tuple[Item, ...] = ()
    next_number: int = 1
    epoch: int = 0
    saved_at: int = 0
    why: str = ""

    @property
    def current(self) -> tuple[Item, ...]:
        """The items that hold now."""
        return tuple(item for item in self.items if item.replaced_by is None)

    def with_history(self, ids: Iterable[str]) -> set[str]:
        """Return these ids with those of the older sayings that led to them, which nobody sees or names."""
        chosen = set(ids)
        before = 0
        while len(chosen) > before:
            before = len(chosen)
            chosen |= {item.id for item in self.items if item.replaced_by in chosen}
        return chosen

    def forgetting(self, selection: Selection, mark: Mark, gone: Collection[int]) -> Profile:
        """Return this version without what the selection takes.

        ``gone`` are the places that are forgotten with it. An item that rests on other messages too
        stays and keeps only those as evidence. What was told after ``mark`` stays.
        """
        kept: list[Item] = []
        broken: set[str] = set()
        lost: dict[str, Item] = {}
        for item in self.items:
            evidence = tuple(place for place in item.evidence if place not in gone)
            taken = item.number <= mark.item and _takes(selection, item)
            if evidence != item.evidence and (item.whole or not evidence):
                taken = True
            if not taken:
                kept.append(replace(item, evidence=evidence))
                continue
            lost[item.id] = item
            if item.stands_in and item.id not in selection.items:
                broken.add(item.id)
        if tuple(kept) == self.items:
            return self
        # What waited to be clarified against what is gone needs no clarifying.
        kept = [
            replace(item, against=None, section=lost[item.against].section)
            if item.against in lost
            else item
            for item in kept
        ]
        left = {item.id for item in kept}
        return replace(self, items=tuple(_without_successor(item, left, broken) for item in kept))

    def after_forgetting(self, now: int) -> Profile:
        """Make what forgetting left of this version the one that follows it."""
        version, epoch = self.version + 1, self.epoch + 1
        return replace(self, version=version, epoch=epoch, saved_at=now, why="something was forgotten")


def forgetting(
    versions: Sequence[Profile], selection: Selection, mark: Mark, gone: Collection[int]
) -> tuple[tuple[Profile, ...], tuple[Item, ...]]:
    """Return what is left of versions, newest first, and the items that go from the present or from all.

    A version that loses nothing is returned as it is. With an item go the older sayings that led to it, in
    each version.
    """
    ids: set[str] = set(selection.items)
    before = -1
    while len(ids) > before:
        before = len(ids)
        for version in versions:
            ids = version.with_history(ids)
    selection = replace(selection, items=tuple(sorted(ids)))
    left = tuple(version.forgetting(selection, mark, gone) for version in versions)
    present = {item.id for version in left[:1] for item in version.items}
    stay = {item.id for version in left[1:] for item in version.items}
    was_present = {item.id for version in versions[:1] for item in version.items}
    taken = {
        item.id: item
        for version in reversed(versions)
        for item in version.items
        if item.id not in present and (item.id in was_present or item.id not in stay)
    }
    return left, tuple(sorted(taken.values(), key=lambda item: item.number))


def _takes(selection: Selection, item: Item) -> bool:
    """Whether an item goes, whatever becomes of the messages it rests on."""
    if selection.everything or item.id in selection.items:
        return True
    rests_on_topic = item.whole or not item.evidence
    return selection.topic is not None and rests_on_topic and item.topic == selection.topic


def _without_successor(item: Item, left: set[str], broken: set[str]) -> Item:
    """Let an item come back that another one stood in for; let no older saying do so."""
    if item.replaced_by in (None, ARCHIVED, FORGOTTEN) or item.replaced_by in left:
        return item
    return replace(item, replaced_by=None if item.replaced_by in broken else FORGOTTEN)
