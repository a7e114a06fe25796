"""What a person does to the profile: looks at its versions, goes back to one, edits and pins its lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mem1_mcp.errors import InvalidRequestError, StoreBusyError
from mem1_mcp.memory.lines import on_one_line
from mem1_mcp.memory.profile.items import change, put

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mem1_mcp.memory.profile.template import Section, Template
    from mem1_mcp.protocols import Store
    from mem1_mcp.types import Item, Profile

_LONGEST = 1_000  # characters of a line, as of a fact that a host tells


@dataclass(frozen=True, slots=True)
class Difference:
    """A line that one version has and another has not, or otherwise; ``None`` on the side without it."""

    before: Item | None
    after: Item | None

    @property
    def mark(self) -> Literal["+", "-", "~"]:
        """Whether the line came, went or changed."""
        if self.before is None:
            return "+"
        return "-" if self.after is None else "~"

    def words(self) -> str:
        """Write the line with its id; how it changed, be it that it was pinned or done."""
        sides = [each for each in (self.before, self.after) if each is not None]
        texts = [f"{on_one_line(each.text)} [{each.id}]" for each in sides]
        old, new = sides[0], sides[-1]
        if old.text == new.text:
            texts[1:] = [f"[{new.id}]"] * (old.id != new.id)
        pairs = [("done", old.done, new.done), ("pinned", old.pinned, new.pinned)]
        told = [name if now else f"not {name} any more" for name, was, now in pairs if was != now]
        if self.before is None:
            told = [name for name, _, now in pairs if now]
        return " → ".join(texts) + (f": {', '.join(told)}" if told else "")


def differences(before: Profile, after: Profile) -> tuple[Difference, ...]:
    """Compare the lines of two versions, in the order in which they came.

    One that came in the place of another, be it over several versions, is the same line changed.
    """
    old = {item.id: item for item in before.current}
    new = {item.id: item for item in after.current}
    heirs = {each: heir for each, heir in _heirs(after).items() if each in old and heir not in old}
    # Where the older version is the second, what it has again was superseded in the first.
    heirs |= {heir: each for each, heir in _heirs(before).items() if each in new and heir not in new}
    found = []
    for item_id, item in old.items():
        now = new.get(item_id) or new.get(heirs.get(item_id, ""))
        if now is None or (now.text, now.pinned, now.done) != (item.text, item.pinned, item.done):
            found.append(Difference(item, now))
    followed = {*old, *heirs.values()}
    return (*found, *(Difference(None, item) for item_id, item in new.items() if item_id not in followed))


def _heirs(profile: Profile) -> dict[str, str]:
    """Return for each item that was superseded which one holds in its place, be it over several others."""
    replaced_by = {item.id: item.replaced_by for item in profile.items}
    heirs = {}
    for item in profile.items:
        heir = item.id
        for _ in replaced_by:
            heir = replaced_by.get(heir) or heir
        if heir in replaced_by and heir != item.id:
            heirs[item.id] = heir
    return heirs


def moves(
    profile: Profile, now: Template, then: Template
) -> Mapping[tuple[Section, Section], Sequence[Item]]:
    """Return which lines come from one section into another when another template takes over."""
    found: dict[tuple[Section, Section], list[Item]] = {}
    for item in profile.current:
        old, new = now.section_of(item.section), then.section_of(item.section)
        if (old.key, old.title_en, old.title_zh) != (new.key, new.title_en, new.title_zh):
            found.setdefault((old, new), []).append(item)
    return found


def of_version(profiles: Sequence[Profile], version: int) -> Profile:
    """Find a version among those that are kept.

    Raises:
        InvalidRequestError: that version is not kept; it says which are.

    """
    kept = {profile.version: profile for profile in profiles}
    if version not in kept:
        span = f"{min(kept)} to {max(kept)}" if kept else "none"
        raise InvalidRequestError(
            f"Version {version} of the profile is not kept. Nothing was changed. Kept: {span}; "
            "`mem1-mcp profile history` lists them."
        )
    return kept[version]


async def restore(store: Store, user: str, version: int, now: int) -> Profile:
    """Make the lines of a former version the present ones; the versions since stay in the history.

    Raises:
        InvalidRequestError: that version is not kept; it says which are.

    """
    profiles = await store.profiles(user)
    former = of_version(profiles, version)

    def restored(profile: Profile) -> Profile:
        if profile.epoch != profiles[0].epoch:
            raise InvalidRequestError("Something was forgotten meanwhile. Nothing was changed. Try again.")
        return replace(profile, items=former.items, why=f"version {version} restored")

    return await _changed(store, user, restored, now)


async def edit(store: Store, user: str, item_id: str, text: str, now: int) -> Profile:
    """Put the user's own words in the place of a line."""
    # What a terminal hands over that is no UTF-8 can't be kept.
    words = on_one_line(text.encode(errors="replace").decode().strip())
    if not words:
        raise InvalidRequestError(
            "The new text is empty. Nothing was changed. To delete a line for good use forget with its id."
        )
    if len(words) > _LONGEST:
        raise InvalidRequestError(
            f"The new text has {len(words)} characters; {_LONGEST} is the most. Nothing was changed."
        )

    def edited(profile: Profile) -> Profile:
        old = item_of(profile, item_id)
        # What the user settles moves to the section of the line that it was against.
        of = next((each for each in profile.items if each.id == old.against), old)
        new = replace(
            old,
            id=f"p{profile.next_number}",
            section=of.section,
            passing=of.passing,
            text=words,
            source="user",
            created_at=now,
            updated_at=now,
            evidence=(),
            against=None,
            whole=False,
            stands_in=False,
        )
        changed, held = put(profile, new, old)
        return replace(changed, why=f"{item_id} edited by the user, now {held.id}")

    return await _changed(store, user, edited, now)


async def pin(store: Store, user: str, item_id: str, now: int, *, pinned: bool) -> Profile:
    """Keep a line from every change that a person does not make; or let go of it."""

    def changed(profile: Profile) -> Profile:
        item = item_of(profile, item_id)
        if item.pinned == pinned:
            return profile
        items = tuple(replace(each, pinned=pinned) if each is item else each for each in profile.items)
        return replace(profile, items=items, why=f"{item_id} {'pinned' if pinned else 'unpinned'}")

    return await _changed(store, user, changed, now)


async def _changed(store: Store, user: str, make: Callable[[Profile], Profile], now: int) -> Profile:
    done = await change(store, user, lambda profile: (make(profile), True), "edited", now)
    if not done:
        raise StoreBusyError("The profile is being changed by others without pause. Nothing was changed.")
    return await store.profile(user)


def item_of(profile: Profile, item_id: str) -> Item:
    """Find a current line by its id.

    Raises:
        InvalidRequestError: there is none; it says where the ids are.

    """
    for item in profile.current:
        if item.id == item_id:
            return item
    raise InvalidRequestError(
        f"No line of the profile is {item_id!r}. Nothing was changed. `mem1-mcp profile show` has the ids."
    )
