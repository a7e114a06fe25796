"""The refresh of a profile: a window of what is new → operations by a model → judged, applied, committed.

Windows chain without gap or overlap: how far was read is noted in the same step as what came of it. What
was forgotten meanwhile makes the model's answer void, and the window is read anew without it.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.errors import AnswerRefusedError, ModelError, StoreBusyError
from mem1_mcp.memory.language.answers import invented_figures, listed
from mem1_mcp.memory.language.gate import commands, is_marked_up, is_unreadable, refuses
from mem1_mcp.memory.profile import operations, prompts
from mem1_mcp.memory.profile.items import length, shortened
from mem1_mcp.memory.profile.window import READ_AT_ONCE, window
from mem1_mcp.memory.work.worker import Worker
from mem1_mcp.text.chinese import is_chinese
from mem1_mcp.types import Item, message_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from mem1_mcp.memory.language.model import Model
    from mem1_mcp.memory.profile.in_force import InForce
    from mem1_mcp.memory.profile.operations import Judged, Shown
    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.memory.profile.window import Window
    from mem1_mcp.protocols import Clock, Store
    from mem1_mcp.types import Job, Profile

log = logging.getLogger(__name__)

_ATTEMPTS = 5  # at one window, before it is given up
_ROOM = 0.85  # of what a profile may have, where joining was not enough: the next line asks not again
_TOGETHER = 2  # lines, at least, that are joined
_COMMITS = 20  # others may change the profile at the same moment


class Refreshing(Worker):
    """Keeps profiles current with what was said."""

    kind = "refresh"
    endpoint = "model"

    def __init__(
        self, store: Store, model: Model, template: InForce, clock: Clock, zone: tzinfo, max_chars: int
    ) -> None:
        self._store = store
        self._model = model
        self._template = template
        self._clock = clock
        self._zone = zone
        self._max_chars = max_chars

    def rests_for(self) -> float:
        """See ``Worker.rests_for``."""
        return self._model.rests_for()

    async def step(self, job: Job, lease_ms: int) -> tuple[Job, int] | None:  # noqa: ARG002
        """Read a window. See ``Worker.step``."""
        # The profile before the messages: whatever is forgotten from here on raises its epoch.
        profile = await self._store.profile(job.user)
        ahead = window(await self._store.unread(job.user, READ_AT_ONCE), job.attempts)
        if ahead is None:
            await self._shorten(job.user, profile)
            return None
        try:
            done = await self._read(job, ahead, profile)
        except AnswerRefusedError as error:
            if job.attempts + 1 < _ATTEMPTS:
                raise
            log.warning("A window of user %s is given up: %s", job.user, error)
            await self._store.keep_refresh(job, ahead.read(self._clock(), str(error)), None)
            self._model.useless(str(error))
            return replace(job, attempts=0), int(self._model.rests_for() * 1000)
        self._model.useful()
        if done and not ahead.more:
            await self._shorten(job.user, await self._store.profile(job.user))
            return None
        return replace(job, attempts=0), 0

    async def _read(self, job: Job, ahead: Window, profile: Profile) -> bool:
        """Have the model read a window, and commit what comes of it; false when it is to be read anew."""
        shown = operations.Shown(await self._template.now(), profile, ahead.messages)
        judged = operations.Judged((), ())
        if ahead.says_something:
            texts = [message.content for message in ahead.messages if message.role == "user"]
            language = "zh" if is_chinese(texts) else "en"
            question = prompts.refresh(shown, ahead.texts, language, self._clock(), self._zone)
            answer = await self._model.ask(job.user, question)
            judged = operations.judge(listed(answer, "operations"), shown)
        for _ in range(_COMMITS):
            now = await self._store.profile(job.user)
            if now.epoch != profile.epoch:
                log.info("Something was forgotten while the model read; it reads again without it")
                return False
            changed = self._changed(now, judged, shown, ahead)
            if await self._store.keep_refresh(job, ahead.read(self._clock()), changed):
                return True
        raise StoreBusyError("The profile is being changed by others without pause. Nothing was changed.")

    def _changed(self, now: Profile, judged: Judged, shown: Shown, ahead: Window) -> Profile | None:
        changed = operations.apply(judged.operations, shown, now)
        if changed.items == now.items:
            return None
        first, last = (message_id(message.place) for message in (ahead.messages[0], ahead.messages[-1]))
        why = f"{self._model.name} read {first} to {last}"
        if judged.refused:
            reasons = ", ".join(f"{reason} ({n}×)" for reason, n in Counter(judged.refused).items())
            why += f"; of its operations {len(judged.refused)} refused: {reasons}"
        return replace(changed, version=now.version + 1, saved_at=self._clock(), why=why)

    async def _shorten(self, user: str, profile: Profile) -> None:
        """Have lines joined where the profile is too long; archive what is still too much."""
        if length(profile) <= self._max_chars:
            return
        template = await self._template.now()
        joined, why = profile, "shortened"
        try:
            joined = await self._joined(user, profile, template)
            if joined is not profile:
                why = f"shortened by {self._model.name}"
        except (ModelError, AnswerRefusedError) as error:
            log.warning("The profile is shortened without the model: %s", error)
        short = joined
        if length(joined) > self._max_chars:
            short = shortened(joined, template, int(_ROOM * self._max_chars))
        if short.items != profile.items:
            # Whoever was faster has it shortened next time.
            version = profile.version + 1
            await self._store.save_profile(
                user, replace(short, version=version, saved_at=self._clock(), why=why)
            )

    async def _joined(self, user: str, profile: Profile, template: Template) -> Profile:
        # What rests on no message could not come apart when a part of it is forgotten.
        items = [item for item in profile.current if item.evidence and not (item.pinned or item.against)]
        language = "zh" if is_chinese([item.text for item in items]) else "en"
        if len(items) < _TOGETHER:
            return profile
        answer = await self._model.ask(user, prompts.shorten(items, template, language, self._zone))
        for each in listed(answer, "joins"):
            parts = _parts(each, items, template)
            if parts:
                profile = _join(profile, parts, each["text"].strip(), self._clock())
                items = [item for item in items if item not in parts]
        return profile


def _parts(given: Any, items: Sequence[Item], template: Template) -> list[Item]:
    """Return the items that a join is of; none where it can't be used."""
    if not isinstance(given, dict) or not isinstance(given.get("items"), list):
        return []
    text = given.get("text")
    parts = [item for item in items if item.id in given["items"]]
    if not isinstance(text, str) or len(parts) < _TOGETHER or len(parts) != len(given["items"]):
        return []
    sources = [item.text for item in parts]
    wrong = (
        not 0 < len(text.strip()) < sum(map(len, sources))
        or "\n" in text.strip()
        or len({template.section_of(item.section).key for item in parts}) > 1
        or len({(item.done, item.passing) for item in parts}) > 1
        or invented_figures(text, sources)
        or any(invented_figures(source, [text]) for source in sources)
        or commands(text)
        or refuses(text)
        or is_marked_up(text)
        or is_unreadable(text)
    )
    return [] if wrong else parts


def _join(profile: Profile, parts: Sequence[Item], text: str, now: int) -> Profile:
    joined = Item(
        id=f"p{profile.next_number}",
        section=parts[0].section,
        text=text,
        topic=parts[0].topic,
        source="model",
        created_at=min(item.created_at for item in parts),
        updated_at=now,
        evidence=tuple(dict.fromkeys(place for item in parts for place in item.evidence)),
        passing=parts[0].passing,
        done=parts[0].done,
        whole=True,
        stands_in=True,
    )
    gone = {item.id for item in parts}
    items = tuple(
        replace(item, replaced_by=joined.id)
        if item.id in gone
        # What was to be clarified about a part is about the whole now.
        else replace(item, against=joined.id if item.against in gone else item.against)
        for item in profile.items
    )
    return replace(profile, items=(*items, joined), next_number=profile.next_number + 1)
