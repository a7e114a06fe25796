"""Images: what is known of one is in its message, its bytes are documents of an index of their own.

The bytes come before the message that names them, and what keeps them meanwhile is an **upload** noted
in the ledger. A call comes in only while its upload is there, so no message is ever without its bytes.
An upload that takes too long is given up; its bytes go like those whose messages were forgotten, when
an erasure finds that nothing names them. It deletes what it saw before it looked who names it, and as it
saw it: bytes that come again since are other ones, and stay.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import anyio

from mem1_mcp.errors import StoreBusyError
from mem1_mcp.stores import telling
from mem1_mcp.stores.elasticsearch import batches, jobs, rewriting, spaces
from mem1_mcp.stores.elasticsearch.connection import Delete, Put, Seen
from mem1_mcp.stores.elasticsearch.ledger import IMAGE, image_of, seen_by, waits_for, without
from mem1_mcp.stores.elasticsearch.ledgers import key_of
from mem1_mcp.stores.elasticsearch.reading import counted, rows, rows_at
from mem1_mcp.stores.elasticsearch.scoping import visible
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.text.terms import index
from mem1_mcp.types import IMAGE_KINDS, ImageFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence

    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledger import Batch, Ledger, Row, Work
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers
    from mem1_mcp.stores.elasticsearch.scoping import Query
    from mem1_mcp.types import Call, Image, Job, JobKind
    from mem1_mcp.types import Seen as Told

# The documents of an image: the first tells what it is and has the thumbnail, the others have its bytes. A
# node with 512 MB of heap refuses a document with 10 MB in base64, and several of half of that at once.
_HEAD = 0
_PART_BYTES = 750_000  # for ever: the parts of equal bytes are the same, whoever brings them
_APART = ("digest", "text", "caption")  # fields of their own in the row
_DOCUMENTS_AT_ONCE = 100
_AT_ONCE = 1000
_LOOKED_THROUGH = 10
_PATIENCE_SECONDS, _PAUSE_SECONDS = 3.0, 0.1  # a batch is in the index within less


def files_of(call: Call) -> dict[str, ImageFile]:
    """Return the bytes that come with a call, by digest."""
    return {message.file.digest: message.file for message, _ in call.messages if message.file is not None}


def told_apart(placed: Sequence[Row], images: Sequence[Image | None]) -> list[Row]:
    """Tell the images among the messages of a call; each stands beside the message before it."""
    found: list[Row] = []
    beside: int | None = None
    for row, image in zip(placed, images, strict=True):
        if image is None:
            beside = len(found)
            found.append(row)
            continue
        about = {name: value for name, value in asdict(image).items() if name not in _APART}
        found.append(
            replace(
                row,
                image=json.dumps(about, ensure_ascii=False),
                digest=image.digest,
                beside=None if beside is None else found[beside].place,
                ocr=image.text,
                caption=image.caption,
            )
        )
        if beside is not None:
            found[beside] = replace(found[beside], images=(found[beside].images or 0) + 1)
    return found


async def bring(indices: Indices, user: str, files: Iterable[ImageFile]) -> None:
    """Write bytes; also where equal ones are, which an erasure may be about to delete."""
    lines = []
    for file in files:
        parts = [file.data[at : at + _PART_BYTES] for at in range(0, len(file.data), _PART_BYTES)]
        shape = {"media_type": file.media_type, "width": file.width, "height": file.height}
        head = {**shape, "size": len(file.data), "parts": len(parts)}
        for part, data in enumerate((file.thumbnail, *parts), start=_HEAD):
            source = {"user": user, "digest": file.digest, "part": part, "bytes": b64encode(data).decode()}
            lines.append(
                Put(_id_of(user, file.digest, part), source if part != _HEAD else {**source, **head})
            )
    await indices.bring(indices.images, lines)


def _id_of(user: str, digest: str, part: int) -> str:
    return f"{key_of(user)}:{digest}:{part}"


async def file(indices: Indices, ledger: Ledger, place: int) -> ImageFile | None:
    """Read the bytes of an image that may be found."""
    found = (await rows_at(indices, ledger, [place])).get(place)
    return None if found is None else await _file_of(indices, ledger.user, found)


async def _file_of(indices: Indices, user: str, row: Row) -> ImageFile | None:
    if row.digest is None:
        return None
    head = await indices.get(indices.images, _id_of(user, row.digest, _HEAD))
    if head is None:
        return None
    about = head.source
    names = [_id_of(user, row.digest, part) for part in range(_HEAD + 1, about["parts"] + 1)]
    found = await _read(indices, names)
    if len(found) < len(names):
        return None  # forgotten and erased since the row was read
    data = b"".join(b64decode(found[name]["bytes"]) for name in names)
    shape = about["media_type"], about["width"], about["height"]
    return ImageFile(row.digest, data, *shape, thumbnail=b64decode(about["bytes"]))


async def _read(indices: Indices, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = {}
    for start in range(0, len(names), _DOCUMENTS_AT_ONCE):
        read |= await indices.get_all(indices.images, names[start : start + _DOCUMENTS_AT_ONCE])
    return read


async def thumbnails(indices: Indices, ledger: Ledger, places: Collection[int]) -> dict[int, bytes]:
    """Read the thumbnails of images that may be found."""
    found = await rows_at(indices, ledger, places)
    named = {
        place: _id_of(ledger.user, row.digest, _HEAD)
        for place, row in found.items()
        if row.digest is not None
    }
    read = await _read(indices, sorted(set(named.values())))
    return {place: b64decode(read[name]["bytes"]) for place, name in named.items() if name in read}


async def unseen(indices: Indices, ledger: Ledger, kind: JobKind, now: int) -> tuple[int, ImageFile] | None:
    """Find the next image with bytes that nobody looked at in this way.

    Raises:
        StoreBusyError: only those are left that are on their way into the index.

    """
    moving = batches.on_its_way(ledger, now)
    left_out, after = False, -1
    while waiting := await _waiting(indices, ledger, kind, after):
        for row in waiting:
            if ledger.indexed < row.call <= moving:
                left_out = True
            elif (found := await _file_of(indices, ledger.user, row)) is not None:
                return row.place, found
        after = waiting[-1].place
    if left_out:
        raise _moving()
    return None


def _moving() -> StoreBusyError:
    return StoreBusyError("Images are on their way into the index. Nothing was changed. Try again.")


async def _waiting(indices: Indices, ledger: Ledger, kind: JobKind, after: int) -> list[Row]:
    """Read the next images that wait for a look, in the order of places."""
    mark = waits_for(kind)
    found = [row for row in ledger.rows if row.place > after and mark in row.marks]
    if ledger.indexed:
        query = visible(ledger, {"term": {"marks": mark}}, {"range": {"place": {"gt": after}}})
        more = {"size": _LOOKED_THROUGH, "sort": [{"place": "asc"}]}
        found += await rows(indices, ledger, query, more)
    return sorted(found, key=lambda row: row.place)[:_LOOKED_THROUGH]


async def count_unseen(indices: Indices, ledger: Ledger, kind: JobKind) -> int:
    """Count the images that wait for a look."""
    return await _count(indices, ledger, waits_for(kind))


async def _count(indices: Indices, ledger: Ledger, mark: str) -> int:
    recent = sum(mark in row.marks for row in ledger.rows)
    return recent + await counted(indices, ledger, visible(ledger, {"term": {"marks": mark}}))


async def keep_seen(
    indices: Indices, ledgers: Ledgers, job: Job, place: int, told: Told, times: tuple[int, int]
) -> None:
    """Keep what a look told, in the ledger or in the index; its words, terms and vector are of it all.

    ``times`` are now and the end of the lease. What is on its way into the index is waited for.

    Raises:
        LeaseLostError: another owner has the job.
        StoreBusyError: it stays on its way for too long.

    """
    now, until = times
    begun: Batch | None = None

    def seen(row: Row) -> Row:
        return _seen(row, job.kind, told) if row.place == place else row

    def kept(ledger: Ledger, work: Work) -> tuple[Ledger, Work]:
        nonlocal begun
        changed = rewriting.in_ledger(ledger, seen, now)
        if changed is not ledger:
            changed = _followed_up(changed, [row for row in changed.rows if row.place == place], now)
            # Texts of images make a ledger large too.
            changed = batches.begun(changed, now, indices.connection.cluster.recent_calls)
        begun = None if changed.batch == ledger.batch else changed.batch
        return changed, jobs.advanced(work)

    waited_until = anyio.current_time() + _PATIENCE_SECONDS
    ledger, _ = await jobs.hold(ledgers, job, until, kept)
    while any(seen(row) != row for row in _on_their_way(ledger, now)):
        if anyio.current_time() > waited_until:
            raise _moving()
        await anyio.sleep(_PAUSE_SECONDS)
        ledger, _ = await jobs.hold(ledgers, job, until, kept)
    if begun is not None:
        await batches.move(indices, ledgers, ledger, key_of(job.user))
        return
    rewritten = await rewriting.in_index(indices, ledger, [place], seen)
    if rewritten:
        await jobs.hold(
            ledgers, job, until, lambda ledger, work: (_followed_up(ledger, rewritten.values(), now), work)
        )


def _on_their_way(ledger: Ledger, now: int) -> list[Row]:
    moving = batches.on_its_way(ledger, now)
    return [row for row in ledger.rows if row.call <= moving]


def _seen(row: Row, kind: JobKind, told: Told) -> Row:
    if row.image is None or row.seen(kind) is not None:
        return row
    if told.trouble is not None:
        return row.looked_at(kind, None, told.trouble)
    row = row.looked_at(kind, told.words, None)
    image = image_of(row)
    if image is None or image.words == row.content:
        return row
    indexed = index(image.words)
    return replace(
        row,
        content=image.words,
        terms=indexed.terms,
        length=indexed.length,
        traits=int(indexed.traits),
        terms_version=TERMS_VERSION,
        space=None if row.space is None else spaces.AGAIN,
        vector=None,
    )


def _followed_up(ledger: Ledger, rewritten: Iterable[Row], now: int) -> Ledger:
    """Have what was rewritten get new vectors, and a newer program's terms where there is one."""
    for row in rewritten:
        if row.space == spaces.AGAIN:
            ledger = spaces.outworn(ledger, row.call, now)
        if ledger.terms_version > TERMS_VERSION:
            ledger = jobs.ask(ledger, "reindexing", now, back_to=row.place - 1)
    return ledger


async def try_again(indices: Indices, ledgers: Ledgers, user: str, kind: JobKind) -> None:
    """Have images wait again for which looking at them in this way was given up."""

    def waiting(row: Row) -> Row:
        return row if row.trouble(kind) is None else row.looked_at(kind, row.seen(kind), None)

    async def in_ledger(ledger: Ledger) -> tuple[Ledger, None]:
        recent = tuple(replace(call, rows=tuple(map(waiting, call.rows))) for call in ledger.recent)
        if recent == ledger.recent:
            return ledger, None
        # What is on its way is as it was.
        return replace(ledger, recent=recent).giving_up_the_batch(), None

    ledger, _ = await ledgers.change(user, in_ledger)
    query = visible(ledger, {"term": {"marks": without(kind)}})
    while ledger.indexed and (given_up := await rows(indices, ledger, query, {"size": _AT_ONCE})):
        await rewriting.in_index(indices, ledger, [row.place for row in given_up], waiting)


async def told(indices: Indices, ledger: Ledger) -> list[tuple[str, str]]:
    """Describe the images for a person."""
    number = await _count(indices, ledger, IMAGE)
    if not number:
        return []
    read, captioned = [await _count(indices, ledger, seen_by(kind)) for kind in IMAGE_KINDS]
    await indices.refresh(indices.images)
    sizes: list[int] = []
    async for page in _documents(indices, ledger.user, {"term": {"part": _HEAD}}):
        named = await _named(indices, ledger, {_digest(hit) for hit in page})
        sizes += [hit["fields"]["size"][0] for hit in page if _digest(hit) in named]
    return [telling.images(number, (len(sizes), sum(sizes)), read, captioned)]


async def problems(indices: Indices, ledger: Ledger) -> list[str]:
    """Name the images that could not be looked at."""
    found = []
    for kind in IMAGE_KINDS:
        given_up = [row for row in ledger.rows if without(kind) in row.marks]
        if ledger.indexed:
            query = visible(ledger, {"term": {"marks": without(kind)}})
            more = {"size": _AT_ONCE, "sort": [{"place": "asc"}]}
            given_up += await rows(indices, ledger, query, more)
        given_up.sort(key=lambda row: row.place)
        found += [telling.image_given_up(row.place, kind, row.trouble(kind) or "") for row in given_up]
    return found


async def delete_unnamed(indices: Indices, ledgers: Ledgers, user: str) -> bool:
    """Delete the next bytes that neither a message nor an upload names; false where there are none."""
    await indices.refresh(indices.images)
    async for page in _documents(indices, user):
        # Only now: who brings bytes notes it first, and bytes brought later are not as they were seen.
        ledger = await ledgers.read(user)
        named = await _named(indices, ledger, {_digest(hit) for hit in page})
        lines = [
            Delete(hit["_id"], Seen(hit["_seq_no"], hit["_primary_term"]))
            for hit in page
            if _digest(hit) not in named
        ]
        if lines:
            await indices.bulk(indices.images, lines, refresh=True)
            return True
    return False


async def _documents(indices: Indices, user: str, *only: Query) -> AsyncIterator[list[dict[str, Any]]]:
    """Find the documents of a user's images, page by page, without reading them."""
    body: dict[str, Any] = {
        "query": {"bool": {"filter": [{"term": {"user": user}}, *only]}},
        "size": _AT_ONCE,
        "sort": [{"digest": "asc"}, {"part": "asc"}],
        "_source": False,
        "docvalue_fields": ["digest", "size"],
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    while hits := (await indices.search(indices.images, body))["hits"]["hits"]:
        yield hits
        if len(hits) < _AT_ONCE:
            return
        body["search_after"] = hits[-1]["sort"]


def _digest(hit: dict[str, Any]) -> str:
    digest: str = hit["fields"]["digest"][0]
    return digest


async def _named(indices: Indices, ledger: Ledger, digests: Collection[str]) -> set[str]:
    """Return which of these a message that may be found, or an upload, names."""
    named = {row.digest for row in ledger.rows if row.digest is not None}
    named.update(digest for upload in ledger.uploads.values() for digest in upload.digests)
    left = sorted(set(digests) - named)
    if left and ledger.indexed:
        body = {
            "query": visible(ledger, {"terms": {"digest": left}}),
            "size": 0,
            "aggs": {"digests": {"terms": {"field": "digest", "size": len(left)}}},
        }
        answer = await indices.search(indices.messages, body, key_of(ledger.user))
        named.update(each["key"] for each in answer["aggregations"]["digests"]["buckets"])
    return named
