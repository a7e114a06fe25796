"""How a call comes into a ledger. When that is written it is kept, whole, once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from mem1_mcp.errors import RequestIdReusedError, StoreBusyError
from mem1_mcp.stores.elasticsearch import batches, jobs, spaces
from mem1_mcp.stores.elasticsearch.ledger import RecentCall, Row, TopicEnd, tail_of
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.reading import rows
from mem1_mcp.stores.elasticsearch.scoping import visible
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import Appended, Tail, place_of

if TYPE_CHECKING:
    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.stores.elasticsearch.spaces import Space
    from mem1_mcp.types import Call


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call on its way into the ledger."""

    indices: Indices
    call: Call
    now: int
    space: Space | None = None

    async def __call__(self, ledger: Ledger) -> tuple[Ledger, Appended]:
        """Put the call into the ledger, or find that an earlier delivery did."""
        earlier = await self._earlier_delivery(ledger)
        if earlier is not None:
            return ledger, Appended(earlier, duplicate=True)
        placed, end = await self._placed(ledger)
        if batches.is_full(ledger):
            raise StoreBusyError(
                "The message index can't be written, and what waits for it has become too much. Nothing "
                "of this call was saved. `mem1-mcp doctor` says what is wrong with the cluster."
            )
        call = self.call
        added = RecentCall(
            number=ledger.calls + 1,
            topic=call.topic,
            fingerprint=call.fingerprint.hex(),
            request=digest(call.request_id),
            places=tuple(row.place for row in placed),
            rows=tuple(placed),
        )
        kept = replace(
            ledger,
            calls=added.number,
            rounds=ledger.rounds + any(message.role == "user" for message, _ in call.messages),
            recent=(*ledger.recent, added),
        )
        if end is not None:
            kept = replace(kept, conversations=max(ledger.conversations, end.conversation + 1)).ending(
                call.topic, end
            )
            if ledger.terms_version > TERMS_VERSION:
                # Beside a newer program; that one has to index these again.
                kept = jobs.ask(kept, "reindexing", self.now, back_to=placed[0].place - 1)
        if any(row.long for row in placed):
            kept = jobs.ask(kept, "summary", self.now)
        kept = spaces.asked(kept, self.space, self.now)
        return batches.begun(kept, self.now, self.indices.connection.cluster.recent_calls), Appended(
            added.places, duplicate=False
        )

    async def _earlier_delivery(self, ledger: Ledger) -> tuple[int, ...] | None:
        call = self.call
        fingerprint = call.fingerprint.hex()
        if call.request_id is not None:
            known = await self._same_request(ledger)
            if known is None:
                return None
            if known[0] != fingerprint:
                raise RequestIdReusedError(
                    f"request_id: {call.request_id!r} was used before for other content. Nothing was "
                    "saved. Use a new request_id for a new call, the same one only to repeat a call."
                )
            return known[1]
        end = ledger.topics.get(call.topic)
        if call.repeat_since is None or end is None or end.fingerprint != fingerprint:
            return None
        # As far ahead as back: what lies further ahead came before a clock was set back.
        near = call.repeat_since <= end.arrived_at <= 2 * call.arrived_at - call.repeat_since
        return end.places if near else None

    async def _same_request(self, ledger: Ledger) -> tuple[str, tuple[int, ...]] | None:
        """Return the fingerprint and the places of the call that had this request id."""
        request = digest(self.call.request_id)
        for recent in ledger.recent:
            if recent.request == request:
                return recent.fingerprint, recent.places
        if not ledger.indexed:
            return None
        found = await self.indices.get(self.indices.state, batches.request_id(ledger.user, str(request)))
        if found is None:
            return None
        source = found.source
        gone = (
            source["call"] > ledger.indexed
            or source["batch"] in ledger.void
            or source["call"] in ledger.hidden_calls
            or ledger.hides(source["topic"], source["call"])
        )
        return None if gone else (source["state"]["fingerprint"], tuple(source["state"]["places"]))

    async def _placed(self, ledger: Ledger) -> tuple[list[Row], TopicEnd | None]:
        call = self.call
        if not call.messages:
            return [], None
        tail = await self._tail(ledger)
        fresh = ledger.conversations
        metadata = json.dumps(dict(call.metadata), ensure_ascii=False) if call.metadata else None
        placed: list[Row] = []
        for message, indexed in call.messages:
            before = tail
            tail = Tail(fresh, 0, message.said_at) if tail is None else tail.next(message.said_at, fresh)
            fresh += before is None or tail.conversation != before.conversation
            placed.append(
                Row(
                    place=place_of(tail.conversation, tail.position),
                    call=ledger.calls + 1,
                    topic=call.topic,
                    said_at=message.said_at,
                    role=message.role,
                    name=message.name,
                    traits=int(indexed.traits),
                    length=indexed.length,
                    terms_version=TERMS_VERSION,
                    terms=indexed.terms,
                    content=message.content,
                    metadata=metadata,
                    long=message.long or None,
                )
            )
        last = tail_of(placed[-1])
        return placed, TopicEnd(
            conversation=last.conversation,
            position=last.position,
            said_at=last.said_at,
            call=ledger.calls + 1,
            arrived_at=call.arrived_at,
            fingerprint=call.fingerprint.hex(),
            places=tuple(row.place for row in placed),
        )

    async def _tail(self, ledger: Ledger) -> Tail | None:
        """Find how the topic ends; of one not used for long its last message in the index tells."""
        topic = self.call.topic
        if topic in ledger.topics:
            return ledger.topics[topic].tail
        if not ledger.indexed:
            return None
        query = visible(ledger, {"term": {"topic": topic}})
        last = await rows(self.indices, ledger, query, {"size": 1, "sort": [{"place": "desc"}]})
        if not last:
            return None
        tail = tail_of(last[0])
        # Behind its last message others may have been forgotten, whose places are not given again.
        return None if tail.conversation < ledger.closed else tail


def digest(request_id: str | None) -> str | None:
    """Return what a request id is known by: some programs put what was said into it."""
    return None if request_id is None else sha256(request_id.encode()).hexdigest()[:32]


async def append(ledgers: Ledgers, user: str, arrival: Arrival) -> Appended:
    """Keep a call, and move what has become much into the index."""
    ledger, appended = await ledgers.change(user, arrival)
    if ledger.batch is not None and not appended.duplicate and ledger.batch.upto == ledger.calls:
        await batches.move(arrival.indices, ledgers, ledger, key_of(user))
    return appended
