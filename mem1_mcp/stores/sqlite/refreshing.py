"""How far the profile's refresh has read, what it has yet to read, and what models were asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mem1_mcp.errors import LeaseLostError
from mem1_mcp.stores import telling
from mem1_mcp.stores.sqlite import jobs
from mem1_mcp.stores.sqlite.documents import save_profile
from mem1_mcp.stores.sqlite.reading import messages
from mem1_mcp.stores.sqlite.scoping import visible
from mem1_mcp.types import Reached, Unread, Usage, message_id

if TYPE_CHECKING:
    import apsw

    from mem1_mcp.types import Job, Profile, Refreshed, Rhythm

LAYOUT = 3  # of the user's file, the first that knows of it

_PARKED = 20  # the newest
_LEASE_MS = 15_000


def may_come(db: apsw.Connection) -> bool:
    """Whether something is unread, so that a refresh is due now or later; reads only."""
    return db.pragma("user_version") < LAYOUT or _pending(db)[0] > 0


def is_due(db: apsw.Connection, rhythm: Rhythm, now: int) -> bool:
    """Whether a refresh must be asked for; reads only, also a file of an older layout."""
    if db.pragma("user_version") < LAYOUT:
        return True
    pending, at = _pending(db)
    if not pending or db.execute("SELECT 1 FROM jobs WHERE kind = 'refresh'").get:
        return False
    # A time ahead was written by a clock that was wrong.
    return not at or pending >= rhythm.rounds or abs(now - at) >= rhythm.pause_ms


def ask(db: apsw.Connection, rhythm: Rhythm, now: int) -> None:
    """Ask for a refresh where one is due; one that is there stays as it is."""
    if is_due(db, rhythm, now):
        jobs.ask(db, "refresh", now)


def _pending(db: apsw.Connection) -> tuple[int, int]:
    pending, at = db.execute("SELECT rounds - rounds_read, refreshed_at FROM state").get
    return pending, at


def unread(db: apsw.Connection, limit: int) -> Unread:
    """Read the next messages that no refresh has read."""
    call, place, rounds, rounds_read = db.execute(
        "SELECT reached_call, reached_place, rounds, rounds_read FROM state"
    ).get
    hidden = visible(db)
    rows: list[Any] = db.execute(
        "SELECT calls.id, place FROM calls CROSS JOIN json_each(calls.places) kept"
        " CROSS JOIN messages ON place = kept.value"
        f" WHERE calls.id >= ?1 AND (calls.id > ?1 OR place > ?2){hidden and ' AND ' + hidden}"
        " ORDER BY calls.id, place LIMIT ?3",
        (call, place, limit + 1),
    ).fetchall()
    marks = {place: Reached(call, place) for call, place in rows[:limit]}
    found = {stored.place: stored for stored in messages(db, list(marks))}
    return Unread(
        after=Reached(call, place),
        messages=tuple((mark, found[place]) for place, mark in marks.items()),
        rounds=rounds,
        rounds_read=rounds_read,
        more=len(rows) > limit,
    )


def keep(db: apsw.Connection, job: Job, refreshed: Refreshed, profile: Profile | None, now: int) -> bool:
    """Note how far a refresh came, with the profile it made.

    Raises:
        LeaseLostError: another owner has the job, or the messages were read on meanwhile.

    """
    jobs.hold(db, job, now, _LEASE_MS)
    call, place = db.execute("SELECT reached_call, reached_place FROM state").get
    if Reached(call, place) != refreshed.after:
        raise LeaseLostError(f"The messages of user {job.user} were read by another one meanwhile.")
    if profile is not None and not save_profile(db, profile):
        return False
    upto = refreshed.upto
    db.execute(
        "UPDATE state SET reached_call = ?, reached_place = ?, rounds_read = ?, refreshed_at = ?",
        (upto.call, upto.place, refreshed.rounds_read, refreshed.at),
    )
    if refreshed.parked is not None:
        first = telling.given_up_after(refreshed.after)
        db.execute(
            "INSERT INTO parked(first, last, reason, at) VALUES (?, ?, ?, ?)",
            (first, message_id(upto.place), refreshed.parked, refreshed.at),
        )
        db.execute("DELETE FROM parked WHERE id <= (SELECT max(id) FROM parked) - ?", (_PARKED,))
    jobs.advance(db, "refresh", 0)
    return True


def count_usage(db: apsw.Connection, usage: Usage) -> None:
    """Add to what a model was asked."""
    db.execute(
        "INSERT INTO usage(model, calls, input_tokens, output_tokens) VALUES (?, ?, ?, ?)"
        " ON CONFLICT(model) DO UPDATE SET calls = calls + excluded.calls,"
        " input_tokens = input_tokens + excluded.input_tokens,"
        " output_tokens = output_tokens + excluded.output_tokens",
        (usage.model, usage.calls, usage.input_tokens, usage.output_tokens),
    )


def told(db: apsw.Connection) -> list[tuple[str, str]]:
    """Describe the profile and what models were asked, for a person."""
    version = db.execute("SELECT max(version) FROM profiles").get
    rounds, read = db.execute("SELECT rounds, rounds_read FROM state").get
    rows = db.execute("SELECT model, calls, input_tokens, output_tokens FROM usage ORDER BY model")
    return [telling.profile(version or 0, read, rounds), *telling.usage(Usage(*row) for row in rows)]


def problems(db: apsw.Connection) -> list[str]:
    """Name the stretches of messages that were given up."""
    rows = db.execute("SELECT first, last, reason FROM parked ORDER BY id")
    return [telling.given_up(*row) for row in rows]
