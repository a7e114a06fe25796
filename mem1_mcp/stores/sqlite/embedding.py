"""Vectors of messages: signed bytes beside the messages, searched by reading all of one user's.

They are of one **space** at a time, the model that made them. Another one gives a new number, under
which they are made anew; those of an older number are never compared, and written over one by one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from weakref import WeakSet

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.stores.slices import within
from mem1_mcp.stores.sqlite import jobs
from mem1_mcp.stores.sqlite.scoping import conditions, visible
from mem1_mcp.stores.sqlite.words import SUMMED, WORDS, words_of
from mem1_mcp.types import Vectors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import apsw

    from mem1_mcp.types import Job, Scope

LAYOUT = 2  # of the user's file, the first that holds vectors

_LAST_CALL = "(SELECT coalesce(max(id), 0) FROM calls)"
_CHARACTERS = 40_000  # of the messages that are embedded in one step, or one message that is longer
_UNIT = 127  # what a number of 1 is written as

_prepared: WeakSet[apsw.Connection] = WeakSet()


def is_due(db: apsw.Connection, space: str, started_at: int) -> bool:
    """Whether a job must be asked for; reads only, also a file of an older layout."""
    if db.pragma("user_version") < LAYOUT:
        return True
    asked_for = db.execute("SELECT 1 FROM jobs WHERE kind = 'embedding'").get
    return not asked_for and (_is_ours(db, space, started_at) and bool(_waiting(db, space)))


def ask(db: apsw.Connection, space: str, started_at: int, now: int) -> None:
    """Ask for a job where messages have no vectors of the space; one that is there stays as it is.

    The program that was started last chooses the space: two that took turns would never end.
    """
    if not _is_ours(db, space, started_at):
        return
    if db.execute("SELECT space FROM state").get != space:
        _begin(db, space)
        db.execute("UPDATE state SET space_since = ?", (started_at,))
        db.execute("DELETE FROM jobs WHERE kind = 'embedding' AND owner IS NULL")
    if _waiting(db, space) and not db.execute("SELECT 1 FROM jobs WHERE kind = 'embedding'").get:
        jobs.ask(db, "embedding", now)


def _is_ours(db: apsw.Connection, space: str, started_at: int) -> bool:
    kept, since = db.execute("SELECT space, space_since FROM state").get
    return bool(kept == space or started_at > since)


def _waiting(db: apsw.Connection, space: str) -> int:
    kept, upto, last = db.execute(f"SELECT space, embedded_call, {_LAST_CALL} FROM state").get
    waiting: int = last - (upto if kept == space else 0)
    return waiting


def _begin(db: apsw.Connection, space: str) -> None:
    db.execute(
        "UPDATE state SET space = ?, space_number = space_number + 1, dimensions = 0, embedded_call = 0",
        (space,),
    )


def standing(db: apsw.Connection, space: str) -> Vectors:
    """Say how the messages stand with vectors of the space."""
    return Vectors(db.execute("SELECT space FROM state").get == space, _waiting(db, space))


def told(db: apsw.Connection) -> list[tuple[str, str]]:
    """Describe the vectors for a person."""
    space, number, dimensions, waiting = db.execute(
        f"SELECT space, space_number, dimensions, {_LAST_CALL} - embedded_call FROM state"
    ).get
    if space is None:
        return []
    made = db.execute("SELECT count(*) FROM vectors WHERE space = ? AND vector <> x''", (number,)).get
    yet = f"; {waiting} calls of remember wait for theirs" if waiting else ""
    return [("vectors", f"{made} by {space}, {dimensions} dimensions{yet}")]


def unembedded(db: apsw.Connection, limit: int) -> dict[int, str]:
    """Find the next messages without a vector, call by call."""
    rows = _without_vector(db, limit)
    return within(((place, words_of(words)) for _, place, words in rows), _CHARACTERS)


def _without_vector(db: apsw.Connection, limit: int) -> Iterator[tuple[int, int, str | bytes]]:
    """Return call, place and words of the first messages without a vector of the present space."""
    hidden = visible(db)
    return db.execute(
        f"SELECT calls.id, messages.place, {WORDS} FROM calls CROSS JOIN json_each(calls.places) kept"
        f" CROSS JOIN messages ON messages.place = kept.value {SUMMED}"
        " WHERE calls.id > (SELECT embedded_call FROM state) AND NOT EXISTS (SELECT 1 FROM vectors"
        "  WHERE vectors.place = kept.value AND space = (SELECT space_number FROM state))"
        f"{hidden and ' AND ' + hidden} ORDER BY calls.id, messages.place LIMIT ?",
        (limit,),
    )


def keep(
    db: apsw.Connection, job: Job, space: str, vectors: Mapping[int, bytes], times: tuple[int, int]
) -> None:
    """Keep vectors of messages that are still there, and note up to which call all have one.

    ``times`` are now and for how long the lease holds then.

    Raises:
        LeaseLostError: another owner has the job, or another program chose another space meanwhile.

    """
    jobs.hold(db, job, *times)
    dimensions = max(map(len, vectors.values()), default=0)
    kept, present = db.execute("SELECT dimensions, space FROM state").get
    if present != space:
        raise LeaseLostError(f"The vectors of user {job.user} are of another model by now.")
    if dimensions and kept not in (0, dimensions):
        _begin(db, space)
    if dimensions:
        db.execute("UPDATE state SET dimensions = ?", (dimensions,))
        jobs.advance(db, "embedding", 0)
    db.executemany(
        "INSERT OR REPLACE INTO vectors(place, space, vector)"
        " SELECT ?1, (SELECT space_number FROM state), ?2"
        " WHERE EXISTS (SELECT 1 FROM messages WHERE place = ?1)",
        vectors.items(),
    )
    first = next(iter(_without_vector(db, 1)), None)
    upto = None if first is None else first[0] - 1
    db.execute(f"UPDATE state SET embedded_call = coalesce(?, {_LAST_CALL})", (upto,))


def nearest(db: apsw.Connection, space: str, scope: Scope, vector: bytes, limit: int) -> dict[int, float]:
    """Read all vectors of the space that fit the scope and return the nearest."""
    if not _comparable(db, space, vector):
        return {}
    condition, values = conditions(db, scope)
    source = f"CROSS JOIN messages ON messages.place = vectors.place AND {condition}" if condition else ""
    rows = db.execute(
        "SELECT vectors.place, vec_distance_l2(vec_int8(vector), vec_int8(?)) distance"
        f" FROM vectors {source} WHERE space = (SELECT space_number FROM state) AND vector <> x''"
        " ORDER BY distance LIMIT ?",
        (vector, *values, limit),
    )
    return {place: _cosine(distance) for place, distance in rows}


def similarities(
    db: apsw.Connection, space: str, vector: bytes, places: Collection[int]
) -> dict[int, float]:
    """Compare the vectors of these messages."""
    if not _comparable(db, space, vector):
        return {}
    rows = db.execute(
        "SELECT place, vec_distance_l2(vec_int8(vector), vec_int8(?)) FROM json_each(?)"
        " CROSS JOIN vectors ON place = json_each.value"
        " WHERE space = (SELECT space_number FROM state) AND vector <> x''",
        (vector, json.dumps(sorted(places))),
    )
    return {place: _cosine(distance) for place, distance in rows}


def _comparable(db: apsw.Connection, space: str, vector: bytes) -> bool:
    kept, dimensions = db.execute("SELECT space, dimensions FROM state").get
    if kept != space or dimensions != len(vector):
        return False
    if db not in _prepared:
        import sqlite_vec  # not needed without vectors

        db.enable_load_extension(True)  # noqa: FBT003 - as it is named
        try:
            db.load_extension(sqlite_vec.loadable_path())
        finally:
            db.enable_load_extension(False)  # noqa: FBT003
        _prepared.add(db)
    return True


def _cosine(distance: float) -> float:
    # Of vectors of unit length; their numbers are 127-fold.
    return 1 - (distance / _UNIT) ** 2 / 2
