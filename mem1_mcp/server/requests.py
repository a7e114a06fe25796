"""Checked arguments become what the memory is asked: times read, ids parsed, defaults put in."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.memory.images.receiving import Sent
from mem1_mcp.memory.profile.items import Fact
from mem1_mcp.memory.recall import Recall
from mem1_mcp.memory.remember import Remember, Said
from mem1_mcp.server.arguments import RecallArguments
from mem1_mcp.server.times import optional_time
from mem1_mcp.text.names import check_name
from mem1_mcp.types import Scope, Selection, label, parse_message_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from mem1_mcp.server.arguments import (
        ForgetArguments,
        ImageArguments,
        RememberArguments,
        SearchImagesArguments,
    )

MAX_CALL = 2_000_000  # characters of one call
IMAGES, _IMAGE_TOKENS = 5, 300  # found, where nobody says how many; of an answer, for each
_ITEM_ID = re.compile(r"p[0-9]{1,12}")


def to_remember(arguments: RememberArguments, default_topic: str, zone: tzinfo) -> Remember:
    """Make a request of ``remember``'s arguments."""
    if not arguments.messages and not arguments.facts and not arguments.images:
        raise InvalidRequestError(
            "messages: there is nothing to remember. Nothing was saved. Give messages (what was "
            "said), facts (short statements about the user) or images."
        )
    size = sum(len(message.content) for message in arguments.messages or ())
    if size > MAX_CALL:
        raise InvalidRequestError(
            f"messages: {size} characters together, {MAX_CALL} at most. Nothing was saved. Send "
            "several calls."
        )
    return Remember(
        topic=arguments.topic or default_topic,
        messages=tuple(
            Said(
                role=message.role,
                content=message.content,
                name=message.name or "",
                said_at=optional_time(message.timestamp, f"messages[{number}].timestamp", zone),
            )
            for number, message in enumerate(arguments.messages or ())
        ),
        facts=tuple(Fact(fact.text.strip(), fact.section, fact.replaces) for fact in arguments.facts or ()),
        images=tuple(_sent(image, number) for number, image in enumerate(arguments.images or ())),
        metadata=arguments.metadata or {},
        said_at=optional_time(arguments.timestamp, "timestamp", zone),
        request_id=arguments.request_id,
    )


def _sent(image: ImageArguments, number: int) -> Sent:
    if image.path is not None and image.data is not None:
        raise InvalidRequestError(
            f"images[{number}].data: path is given too. Nothing was saved. Give one of the two."
        )
    described = bool(image.description and image.description.strip())
    if image.path is None and image.data is None and not described:
        raise InvalidRequestError(
            f"images[{number}].description: is missing. Nothing was saved. Give the path of the image, or "
            "say what it shows."
        )
    data = None if image.data is None else _decoded(image.data, number)
    return Sent(image.path, data, image.filename or "", (image.description or "").strip())


def refuse_paths(images: Sequence[Sent]) -> None:
    """Refuse to open files for whom may be somebody else, on another machine."""
    for number, image in enumerate(images):
        if image.path is not None:
            raise InvalidRequestError(
                f"images[{number}].path: files are opened only where the host starts this server (stdio). "
                "Nothing was saved. Send data, or a description alone."
            )


def _decoded(text: str, number: int) -> bytes:
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise InvalidRequestError(
            f"images[{number}].data: is no base64. Nothing was saved. Send the bytes of the image in "
            "base64, its path, or a description alone; addresses of the web are not opened."
        ) from None


def to_search_images(
    arguments: SearchImagesArguments, user: str, default_topic: str | None, zone: tzinfo
) -> Recall:
    """Make a request of ``search_images``' arguments: a recall among images."""
    asked = RecallArguments(
        query=arguments.query,
        topic=arguments.topic,
        since=arguments.since,
        until=arguments.until,
        limit=arguments.limit or IMAGES,
    )
    found = to_recall(asked, user, default_topic, zone)
    return replace(found, scope=replace(found.scope, images=True), max_tokens=_IMAGE_TOKENS * found.limit)


def to_recall(arguments: RecallArguments, user: str, default_topic: str | None, zone: tzinfo) -> Recall:
    """Make a request of ``recall``'s arguments."""
    asked = (arguments.query, *(arguments.queries or ()))
    around = None
    if arguments.around is not None:
        around = parse_message_id(arguments.around.strip("[] "))
        if around is None:
            raise InvalidRequestError(
                f"around: {arguments.around[:64]!r} is not the id of a memory. Give one as recall "
                "shows it in brackets, such as m3.7."
            )
    topic = (arguments.topic or "").strip() or default_topic
    return Recall(
        scope=Scope(
            user=user,
            topic=None if topic in (None, "*") else _topic(topic),
            since=optional_time(arguments.since, "since", zone, clamp=True),
            until=optional_time(arguments.until, "until", zone, end=True, clamp=True),
            metadata=tuple((name, label(value)) for name, value in (arguments.metadata or {}).items()),
        ),
        queries=tuple(text for text in asked if text is not None and text.strip()),
        limit=arguments.limit or 10,
        max_tokens=arguments.max_tokens or 1500,
        around=around,
        skip=to_skip(arguments.cursor),
    )


def to_selection(arguments: ForgetArguments) -> Selection | None:
    """Make a selection of ``forget``'s arguments; ``None`` when only a token was sent."""
    given = [bool(arguments.ids), arguments.topic is not None, bool(arguments.everything)]
    if sum(given) > 1:
        raise InvalidRequestError("ids, topic, everything: give only one of them. Nothing was forgotten.")
    if not any(given):
        if arguments.confirm is not None:
            return None
        raise InvalidRequestError(
            "ids, topic or everything: say what to forget. Nothing was forgotten. Recall shows ids "
            "in brackets."
        )
    places, items = [], []
    for number, given_id in enumerate(arguments.ids or ()):
        text = given_id.strip("[] ")
        place = parse_message_id(text)
        if place is not None:
            places.append(place)
        elif _ITEM_ID.fullmatch(text):
            items.append(text)
        else:
            raise InvalidRequestError(
                f"ids[{number}]: {text[:64]!r} is not an id. Nothing was forgotten. Ids look like "
                "m3.7 (a message) or p3 (a line of the profile); recall shows them in brackets."
            )
    return Selection(
        places=tuple(places),
        items=tuple(items),
        topic=arguments.topic,
        everything=bool(arguments.everything),
    )


def to_skip(cursor: str | None, consequence: str = "") -> int:
    """Read a cursor: how many entries to pass over."""
    if cursor is None or cursor == "":
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):  # noqa: PLR2004
        raise InvalidRequestError(
            f"cursor: {cursor[:64]!r} did not come from an answer of this tool. Leave it out to "
            f"start from the first. {consequence}".rstrip()
        )
    return int(cursor)


def _topic(text: str) -> str:
    try:
        return check_name(text)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"topic: {error}") from None
