"""What a selection finds, and how it is forgotten: gone from every read with one change of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mem1_mcp.errors import StoreBusyError
from mem1_mcp.stores.elasticsearch import jobs, profiles
from mem1_mcp.stores.elasticsearch.ledger import Hidden
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.reading import earliest, rows_at
from mem1_mcp.stores.elasticsearch.scoping import hiding, visible
from mem1_mcp.types import KEPT_PROFILES, Forgotten, Mark, Profile, Selected, Selection
from mem1_mcp.types.profile import forgetting

if TYPE_CHECKING:
    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger, ProfileAt, Row, TopicEnd
    from mem1_mcp.types import Confirmation


async def select(indices: Indices, ledger: Ledger, selection: Selection, limit: int, skip: int) -> Selected:
    """Find what a selection takes as things stand."""
    mark = Mark(ledger.calls, 0 if ledger.profile is None else ledger.profile.next_number - 1)
    query = visible(ledger, _condition(selection, mark))
    recent = [row for row in ledger.rows if _takes(selection, mark, row)]
    number, times = len(recent), [row.said_at for row in recent]
    if ledger.indexed:
        span = {"first": {"min": {"field": "said_at"}}, "last": {"max": {"field": "said_at"}}}
        body = {"query": query, "size": 0, "track_total_hits": True, "aggs": span}
        found = await indices.search(indices.messages, body, key_of(ledger.user))
        indexed: int = found["hits"]["total"]["value"]
        number += indexed
        if indexed:
            times += [int(found["aggregations"][end]["value"]) for end in ("first", "last")]
    lines = await earliest(indices, ledger, query, recent, (limit, skip))
    return Selected(number, min(times, default=0), max(times, default=0), lines, mark)


def _condition(selection: Selection, mark: Mark) -> dict[str, Any]:
    if selection.everything or selection.topic is not None:
        return hiding(selection.topic, mark.call)
    return {"terms": {"place": selection.places}}


def _takes(selection: Selection, mark: Mark, row: Row) -> bool:
    if selection.everything or selection.topic is not None:
        return row.call <= mark.call and selection.topic in (None, row.topic)
    return row.place in selection.places


@dataclass(slots=True)
class Forgetting:
    """The change that forgets what a preview names. ``profiles`` are those it replaced or made."""

    indices: Indices
    token_hash: str
    now: int
    profiles: list[ProfileAt] = field(default_factory=list)

    async def __call__(self, ledger: Ledger) -> tuple[Ledger, Forgotten]:
        """Hide it, scrub the profile, note it as done, and ask for the job, in one."""
        confirmation = ledger.confirmations.get(self.token_hash)
        if confirmation is None:
            return ledger, Forgotten()
        if confirmation.done:
            return ledger, replace(confirmation.taken, pending="erasure" in ledger.work)
        selection, mark = confirmation.selection, confirmation.mark
        taken = await self._taken(ledger, selection, mark)
        items, versions = await self._scrubbed(ledger, confirmation, changed=taken > 0)
        done = Forgotten(taken, items)
        # The note must not keep what it says is gone, nor may other previews of the same.
        confirmations = {
            token: each
            for token, each in ledger.confirmations.items()
            if each.done
            or not (selection.everything or each.selection.topic == selection.topic is not None)
        }
        confirmations[self.token_hash] = replace(confirmation, selection=Selection(), taken=done, done=True)
        ledger = await self._hidden(ledger, selection, mark)
        ledger = replace(
            ledger, profile=next(iter(versions), None), former=versions[1:], confirmations=confirmations
        ).giving_up_the_batch()
        return jobs.ask(ledger, "erasure", self.now, back_to=0), replace(done, pending=True)

    async def _taken(self, ledger: Ledger, selection: Selection, mark: Mark) -> int:
        taken = sum(_takes(selection, mark, row) for row in ledger.rows)
        if not ledger.indexed or not (selection.places or selection.topic or selection.everything):
            return taken
        query = visible(ledger, _condition(selection, mark))
        body = {"query": query, "size": 0, "track_total_hits": True}
        found = await self.indices.search(self.indices.messages, body, key_of(ledger.user))
        return taken + int(found["hits"]["total"]["value"])

    async def _scrubbed(
        self, ledger: Ledger, confirmation: Confirmation, *, changed: bool
    ) -> tuple[int, tuple[ProfileAt, ...]]:
        """Write what is left of the profile and of its former versions."""
        versions = await profiles.load_all(self.indices, ledger)
        if versions is None:
            # What is known of the ledger is old; an error has it read anew.
            raise StoreBusyError("The profile was changed meanwhile. Nothing was forgotten. Try again.")
        selection, mark = confirmation.selection, confirmation.mark
        evidence = {place for each in versions for item in each.items for place in item.evidence}
        there = await rows_at(self.indices, ledger, evidence)
        gone = frozenset(
            evidence - {place for place, row in there.items() if not _takes(selection, mark, row)}
        )
        kept, items = forgetting(versions, selection, mark, gone)
        left = {
            at: new for at, old, new in zip(ledger.profiles, versions, kept, strict=True) if new is not old
        }
        if not left and not changed:
            return 0, ledger.profiles
        # Also where no line rests on it: whoever is deriving lines from it now must not save them.
        after = (kept[0] if kept else Profile()).after_forgetting(self.now)
        present, *made = await profiles.keep(self.indices, ledger, [after, *left.values()])
        self.profiles += [present, *made, *ledger.profiles]
        exchanged = dict(zip(left, made, strict=True))
        former = [exchanged.get(each, each) for each in ledger.profiles]
        return len(items), (present, *former)[:KEPT_PROFILES]

    async def _hidden(self, ledger: Ledger, selection: Selection, mark: Mark) -> Ledger:
        if selection.places:
            return await self._places_hidden(ledger, selection)
        if selection.topic is None and not selection.everything:
            return ledger
        topic = selection.topic
        # One mark hides what earlier ones hid, but for what a preview after this one showed.
        marks = [
            each
            for each in ledger.hidden
            if each.call > mark.call or (topic is not None and each.topic != topic)
        ]
        recent = tuple(
            call for call in ledger.recent if call.number > mark.call or topic not in (None, call.topic)
        )
        ends = {
            name: end
            for name, end in ledger.topics.items()
            if end.call > mark.call or topic not in (None, name)
        }
        return replace(
            ledger,
            hidden=(*marks, Hidden(topic, mark.call)),
            recent=recent,
            topics=ends,
            parked=() if topic is None else ledger.parked,
        )

    async def _places_hidden(self, ledger: Ledger, selection: Selection) -> Ledger:
        there = await rows_at(self.indices, ledger, selection.places)
        calls = {row.call for row in there.values()}
        recent = []
        for call in ledger.recent:
            if call.number not in calls:
                recent.append(call)
                continue
            # What is left is another call than the one that came; a repeat of that one is new.
            rows = tuple(row for row in call.rows if row.place not in there)
            if rows:
                recent.append(replace(call, fingerprint="", request=None, rows=rows))
        return replace(
            ledger,
            recent=tuple(recent),
            hidden_places=(*ledger.hidden_places, *sorted(there)),
            hidden_calls=(*ledger.hidden_calls, *sorted(calls)),
            topics={name: _renewed(end, calls) for name, end in ledger.topics.items()},
            closed=ledger.conversations,
        )


def _renewed(end: TopicEnd, calls: set[int]) -> TopicEnd:
    return replace(end, fingerprint="", places=()) if end.call in calls else end
