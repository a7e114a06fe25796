"""Images: messages with bytes beside them, and what looks at them told.

Each function runs inside one transaction of the caller's.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from mem1_mcp.stores import telling
from mem1_mcp.stores.sqlite import erasing, jobs, reindexing
from mem1_mcp.stores.sqlite.scoping import visible
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.text.terms import index
from mem1_mcp.types import IMAGE_KINDS, Image, ImageFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import apsw

    from mem1_mcp.types import Job, JobKind, Message, Seen

_TOLD = 20  # of those that were given up, to a person
_TOLD_LATER = ("text", "caption")  # columns of their own


def keep(db: apsw.Connection, places: Iterable[tuple[int, Message]], now: int) -> None:
    """Keep what is known of the images among a call's messages, and their bytes."""
    beside: int | None = None
    files = False
    for place, message in places:
        if message.image is None:
            beside = place
            continue
        about = {name: value for name, value in asdict(message.image).items() if name not in _TOLD_LATER}
        db.execute(
            "INSERT INTO images(place, beside, digest, size, about) VALUES (?, ?, ?, ?, ?)",
            (
                place,
                beside,
                message.image.digest,
                message.image.size,
                json.dumps(about, ensure_ascii=False),
            ),
        )
        if (file := message.file) is not None:
            files = True
            db.execute(
                "INSERT OR IGNORE INTO image_files(digest, media_type, width, height, data, thumbnail)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (file.digest, file.media_type, file.width, file.height, file.data, file.thumbnail),
            )
    for kind in IMAGE_KINDS if files else ():
        jobs.ask(db, kind, now)


def known(db: apsw.Connection, places: Collection[int]) -> dict[int, Image]:
    """Return what is known of the images at these places."""
    rows = db.execute(
        "SELECT images.place, about, ocr, caption FROM json_each(?) CROSS JOIN images"
        " ON images.place = json_each.value",
        (json.dumps(list(places)),),
    )
    return {place: _image(*row) for place, *row in rows}


def _image(about: str, text: str | None, caption: str | None) -> Image:
    return Image(**json.loads(about), text=text, caption=caption)


def beside(db: apsw.Connection, places: Collection[int]) -> dict[int, tuple[int, ...]]:
    """Return the places of the images that were sent with the messages at these places."""
    hidden = visible(db)
    seen: dict[int, tuple[int, ...]] = {}
    for place, image in db.execute(
        "SELECT beside, images.place FROM json_each(?) CROSS JOIN images ON beside = json_each.value"
        f" JOIN messages ON messages.place = images.place{hidden and ' AND ' + hidden}"
        " ORDER BY images.place",
        (json.dumps(list(places)),),
    ):
        seen[place] = (*seen.get(place, ()), image)
    return seen


def file(db: apsw.Connection, place: int) -> ImageFile | None:
    """Return the bytes of an image that may be found."""
    hidden = visible(db)
    row = db.execute(
        "SELECT image_files.digest, data, media_type, width, height, thumbnail FROM images"
        " JOIN messages ON messages.place = images.place"
        " JOIN image_files ON image_files.digest = images.digest"
        f" WHERE images.place = ?{hidden and ' AND ' + hidden}",
        (place,),
    ).get
    return None if row is None else ImageFile(*row)


def thumbnails(db: apsw.Connection, places: Collection[int]) -> dict[int, bytes]:
    """Return the thumbnails of images that may be found."""
    hidden = visible(db)
    return dict(
        db.execute(
            "SELECT images.place, thumbnail FROM json_each(?) CROSS JOIN images"
            " ON images.place = json_each.value JOIN messages ON messages.place = images.place"
            f" JOIN image_files ON image_files.digest = images.digest{hidden and ' WHERE ' + hidden}",
            (json.dumps(list(places)),),
        )
    )


def unseen(db: apsw.Connection, job: Job) -> tuple[int, ImageFile] | None:
    """Return the next image that nobody looked at in the way of the job."""
    place: int | None = db.execute(f"SELECT images.place {_waiting(db, job.kind)} LIMIT 1").get
    found = None if place is None else file(db, place)
    return None if place is None or found is None else (place, found)


def count_unseen(db: apsw.Connection, kind: JobKind) -> int:
    """Count the images that nobody looked at in the way of a kind of job."""
    number: int = db.execute(f"SELECT count(*) {_waiting(db, kind)}").get
    return number


def _waiting(db: apsw.Connection, kind: JobKind) -> str:
    return f"{_found(db)} AND digest IS NOT NULL AND {kind} IS NULL AND {kind}_trouble IS NULL"


def _found(db: apsw.Connection) -> str:
    """Write where images come from that may be found."""
    return f"FROM images JOIN messages ON messages.place = images.place WHERE {visible(db) or '1'}"


def keep_seen(db: apsw.Connection, job: Job, place: int, seen: Seen, times: tuple[int, int]) -> None:
    """Keep what a look told, and make the message's words, index and vector of what is known now.

    ``times`` are now and for how long the lease holds then.

    Raises:
        LeaseLostError: another owner has the job.

    """
    now, lease_ms = times
    jobs.hold(db, job, now, lease_ms)
    kind = job.kind
    if seen.trouble is not None:
        db.execute(f"UPDATE images SET {kind}_trouble = ? WHERE place = ?", (seen.trouble, place))
        jobs.advance(db, kind, 0)
        return
    row = db.execute(
        f"UPDATE images SET {kind} = ?, {kind}_trouble = NULL WHERE place = ? AND {kind} IS NULL"
        " RETURNING about, ocr, caption",
        (seen.words, place),
    ).get
    if row is None:
        return
    jobs.advance(db, kind, 0)
    words = _image(*row).words
    if db.execute("SELECT content FROM messages WHERE place = ?", (place,)).get == words:
        return
    db.execute("UPDATE messages SET content = ? WHERE place = ?", (words, place))
    # It was made of fewer words.
    db.execute("DELETE FROM vectors WHERE place = ?", (place,))
    db.execute(
        "UPDATE state SET embedded_call ="
        " min(embedded_call, (SELECT call - 1 FROM messages WHERE place = ?))",
        (place,),
    )
    if reindexing.exchange(db, {place: index(words)}):
        erasing.ask_for_merge(db, now)
    if db.execute("SELECT terms_version FROM state").get > TERMS_VERSION:
        # Beside a newer program; that one has to index it again.
        jobs.ask(db, "reindexing", now, back_to=place - 1)


def try_again(db: apsw.Connection, kind: JobKind) -> None:
    """Have images looked at again that were given up."""
    if kind in IMAGE_KINDS:
        db.execute(f"UPDATE images SET {kind}_trouble = NULL WHERE {kind}_trouble IS NOT NULL")


def told(db: apsw.Connection) -> list[tuple[str, str]]:
    """Describe the images for a person."""
    number, read, captioned = db.execute(f"SELECT count(*), count(ocr), count(caption) {_found(db)}").get
    if not number:
        return []
    files, size = db.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM image_files").get
    return [telling.images(number, (files, size), read, captioned)]


def problems(db: apsw.Connection) -> list[str]:
    """Name the images that could not be looked at."""
    found = []
    for kind in IMAGE_KINDS:
        rows = db.execute(
            f"SELECT images.place, {kind}_trouble {_found(db)} AND {kind}_trouble IS NOT NULL"
            f" ORDER BY images.place LIMIT {_TOLD}"
        )
        found += [telling.image_given_up(place, kind, trouble) for place, trouble in rows]
    return found
