"""How a call comes into a ledger. When that is written it is kept, whole, once."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from mem1_mcp.errors import NotCertainError, RequestIdReusedError, StoreBusyError
from mem1_mcp.stores.elasticsearch import batches, images, jobs, spaces
from mem1_mcp.stores.elasticsearch.ledger import RecentCall, Row, TopicEnd, Upload, tail_of
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.reading import rows
from mem1_mcp.stores.elasticsearch.scoping import visible
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import IMAGE_KINDS, Appended, Tail, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mem1_mcp.protocols import Clock
    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Ledger
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.stores.elasticsearch.spaces import Space
    from mem1_mcp.types import Call

_ATTEMPTS = 3  # to bring the bytes of images


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call on its way into the ledger. ``upload`` is the name of its own, where it brings bytes."""

    indices: Indices
    call: Call
    now: int
    space: Space | None = None
    upload: str | None = None

    async def announce(self, ledger: Ledger) -> tuple[Ledger, Appended | None]:
        """Note that the call's bytes are on their way, or find that an earlier delivery brought them."""
        earlier = await self._earlier_delivery(ledger)
        if earlier is not None:
            return ledger, Appended(earlier, duplicate=True)
        _check_room(ledger)
        upload = Upload(self.now, tuple(images.files_of(self.call)))
        return replace(ledger, uploads={**ledger.uploads, str(self.upload): upload}), None

    async def __call__(self, ledger: Ledger) -> tuple[Ledger, Appended | None]:
        """Put the call into the ledger, or find that an earlier delivery did.

        ``None`` where its upload was given up meanwhile: its bytes may be gone.
        """
        earlier = await self._earlier_delivery(ledger)
        if earlier is not None:
            return self._uploaded(ledger), Appended(earlier, duplicate=True)
        if self.upload is not None and self.upload not in ledger.uploads:
            return ledger, None
        placed, end = await self._placed(ledger)
        _check_room(ledger)
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
        kept = self._with_work(self._uploaded(kept), placed)
        return batches.begun(kept, self.now, self.indices.connection.cluster.recent_calls), Appended(
            added.places, duplicate=False
        )

    def _uploaded(self, ledger: Ledger) -> Ledger:
        if self.upload not in ledger.uploads:
            return ledger
        left = {name: each for name, each in ledger.uploads.items() if name != self.upload}
        return replace(ledger, uploads=left)

    def _with_work(self, ledger: Ledger, placed: Sequence[Row]) -> Ledger:
        """Ask for what is to be done of these messages."""
        if any(row.long for row in placed):
            ledger = jobs.ask(ledger, "summary", self.now)
        for kind in IMAGE_KINDS if self.upload is not None else ():
            ledger = jobs.ask(ledger, kind, self.now)
        return spaces.asked(ledger, self.space, self.now)

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
        placed = images.told_apart(placed, [message.image for message, _ in call.messages])
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


def _check_room(ledger: Ledger) -> None:
    if batches.is_full(ledger):
        raise StoreBusyError(
            "The message index can't be written, and what waits for it has become too much. Nothing "
            "of this call was saved. `mem1-mcp doctor` says what is wrong with the cluster."
        )


async def append(ledgers: Ledgers, user: str, arrival: Arrival, clock: Clock) -> Appended:
    """Keep a call, and move what has become much into the index."""
    for _ in range(_ATTEMPTS):
        ledger, appended = await _appended(ledgers, user, arrival, clock)
        if appended is not None:
            break
    else:
        raise StoreBusyError(
            "It took too long to write the bytes of the images. Nothing of this call was saved. Try again."
        )
    if ledger.batch is not None and not appended.duplicate and ledger.batch.upto == ledger.calls:
        await batches.move(arrival.indices, ledgers, ledger, key_of(user))
    return appended


async def _appended(
    ledgers: Ledgers, user: str, arrival: Arrival, clock: Clock
) -> tuple[Ledger, Appended | None]:
    """Try once to keep a call, its bytes before it: so there is never a message without them."""
    files = images.files_of(arrival.call)
    if files:
        arrival = replace(arrival, now=clock(), upload=secrets.token_hex(6))
        try:
            ledger, earlier = await ledgers.change(user, arrival.announce)
            if earlier is not None:
                return ledger, earlier
            await images.bring(arrival.indices, user, files.values())
        except NotCertainError as error:
            raise StoreBusyError(
                "Elasticsearch did not say whether it took the bytes of the images. Nothing of this call "
                "was saved. Try again."
            ) from error
    return await ledgers.change(user, arrival)
