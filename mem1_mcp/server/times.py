"""Times as arguments: ISO 8601, without an offset in the user's zone."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from datetime import tzinfo

_FIRST_YEAR, _LAST_YEAR = 1900, 2200


def optional_time(
    text: str | None, field: str, zone: tzinfo, *, end: bool = False, clamp: bool = False
) -> int | None:
    """Read a time that may be left out; see ``parse_time``."""
    return None if text is None else parse_time(text, field, zone, end=end, clamp=clamp)


def parse_time(text: str, field: str, zone: tzinfo, *, end: bool, clamp: bool) -> int:
    """Read an ISO 8601 time as UTC milliseconds; without an offset it is in ``zone``.

    ``end`` takes a date alone as the end of that day; ``clamp`` pulls far years into the range.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidRequestError(
            f"{field}: {text[:64]!r} is not a time. {'' if clamp else 'Nothing was saved. '}Write ISO "
            "8601, such as 2026-05-02 or 2026-05-02T14:30:00+08:00."
        ) from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        if not clamp:
            raise InvalidRequestError(
                f"{field}: the year {moment.year} is outside {_FIRST_YEAR} to {_LAST_YEAR}. Nothing "
                "was saved. Leave it out to mean now."
            )
        moment = moment.replace(year=min(max(moment.year, _FIRST_YEAR), _LAST_YEAR), day=1)
    if end and len(text.strip()) <= len("2026-05-02"):
        moment = datetime.combine(moment.date(), time.max)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
