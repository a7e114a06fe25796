"""The profile as it is shown: whole, the lines a question is about, or a few of them quoted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mem1_mcp.memory.language.gate import commands
from mem1_mcp.memory.lines import at_local, on_one_line
from mem1_mcp.text.budget import estimate_tokens
from mem1_mcp.text.chinese import is_chinese
from mem1_mcp.text.terms import query_terms, split
from mem1_mcp.types import ARCHIVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.types import Item, Profile


@dataclass(frozen=True, slots=True)
class Known:
    """An item as it is shown: ``text`` is what it says, ``line`` the whole line for a model."""

    item: Item
    text: str
    line: str


@dataclass(frozen=True, slots=True)
class View:
    """Shows profiles by a template, with the dates of the user's calendar."""

    template: Template
    zone: tzinfo

    def render(self, profile: Profile) -> str:
        """Write the profile as Markdown, in the language that most of its lines are in."""
        items = profile.current
        if not items:
            return "# User profile\n\nNothing is known yet.\n"
        chinese = is_chinese([item.text for item in items])
        lines = ["# 用户画像" if chinese else "# User profile"]
        for section in self.template.sections:
            held = [item for item in items if self.template.section_of(item.section) == section]
            if held:
                lines += ["", f"## {section.title_zh if chinese else section.title_en}", ""]
                lines += [f"- {self.text(profile, item)} [{item.id}]" for item in held]
        return "\n".join(lines) + "\n"

    def text(self, profile: Profile, item: Item) -> str:
        """Write what an item says: with the other saying where it contradicts one, and when."""
        text = on_one_line(item.text)
        chinese = is_chinese([text])
        if item.done:
            return f"{text}（{self._day(item)} 已完成）" if chinese else f"{text} (done {self._day(item)})"
        other = next((each for each in profile.items if each.id == item.against), None)
        if item.against is None or other is None:
            return text
        before = on_one_line(other.text)
        if chinese:
            return f"“{before}”（{self._day(other)}，{other.id}）还是“{text}”（{self._day(item)}）？"
        return f"“{before}” ({self._day(other)}, {other.id}) or “{text}” ({self._day(item)})?"

    def known(self, profile: Profile, item: Item) -> Known:
        """Write an item as a line for a model."""
        text = self.text(profile, item)
        return Known(item, text, profile_line(item, text))

    def whole(self, profile: Profile, max_tokens: int) -> list[Known]:
        """Return the items in the order of their sections, as far as the budget goes."""
        order = {section.key: number for number, section in enumerate(self.template.sections)}

        def place(item: Item) -> tuple[bool, int]:
            return not item.pinned, order[self.template.section_of(item.section).key]

        return self._within(profile, sorted(profile.current, key=place), max_tokens)

    def relevant(self, profile: Profile, query: str, max_tokens: int) -> list[Known]:
        """Return the items a query is about, and pinned ones, as far as the budget goes.

        An outdated item that the query is about comes behind the one that took its place.
        """
        return self._within(profile, _about(profile, query), max_tokens)

    def digest(self, profile: Profile, max_chars: int = 600, max_bytes: int = 1500) -> str:
        """Return what of the profile may stand in the server's instructions, quoted as data.

        Pinned lines first, then lasting ones; none that reads like an instruction to a model. Some hosts
        cut instructions at two kilobytes, which a Chinese profile reaches before 600 characters.
        """
        chosen: list[str] = []
        room = max_chars
        for item in sorted(profile.current, key=lambda item: (not item.pinned, -item.updated_at)):
            # A line break or a closing quotation mark could end the quotation.
            quoted = f"“{item.text.replace('”', '’')}”"
            size = len(quoted.encode()) + 1
            fits = len(quoted) + 1 <= room and size <= max_bytes and on_one_line(item.text) == item.text
            lasting = self.template.section_of(item.section).lasting and not (item.passing or item.done)
            if fits and (item.pinned or lasting) and not commands(item.text):
                chosen.append(quoted)
                room -= len(quoted) + 1
                max_bytes -= size
        return " ".join(chosen)

    def _day(self, item: Item) -> str:
        return f"{at_local(item.created_at, self.zone):%Y-%m-%d}"

    def _within(self, profile: Profile, items: Iterable[Item], max_tokens: int) -> list[Known]:
        chosen = []
        for item in items:
            known = self.known(profile, item)
            max_tokens -= estimate_tokens(known.line) + 1
            if max_tokens < 0:
                break
            chosen.append(known)
        return chosen


def profile_line(item: Item, text: str | None = None) -> str:
    """Write one item as a line for a model; one that no longer holds says what does."""
    outdated = f"; outdated, now {item.replaced_by}" if item.replaced_by else ""
    if item.replaced_by == ARCHIVED:
        outdated = "; archived"
    shown = on_one_line(item.text) if text is None else text
    return f"- [{item.id}] {shown} ({item.section}{outdated})"


def _about(profile: Profile, query: str) -> Iterable[Item]:
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
    return (line for each in order for line in (items[each], *reversed(history.get(each, []))))


def _now(item: Item, items: Mapping[str, Item]) -> Item | None:
    """Return the item that holds in the place of this one; ``None`` where that was forgotten."""
    for _ in items:
        if item.replaced_by in (None, ARCHIVED):
            return item
        if item.replaced_by not in items:
            return None
        item = items[item.replaced_by]
    return None
