"""Answers in words for the model, with the same as structured content for programs."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp.types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from mem1_mcp.memory.lines import age, at_local
from mem1_mcp.memory.profile.portrait import profile_line
from mem1_mcp.text.budget import estimate_tokens
from mem1_mcp.types import message_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from mem1_mcp.memory.forget import Preview
    from mem1_mcp.memory.lines import Line
    from mem1_mcp.memory.recall import Recall, Recalled
    from mem1_mcp.memory.remember import Remembered
    from mem1_mcp.types import Forgotten, Image, Item, Stored, Topic


IMAGES_URI = "memory://images"
_THUMBNAIL_BYTES = 120_000  # of one answer; hosts refuse answers of a megabyte
_TOLD_CHARS = 300  # of each thing that is known of an image

_ONLY_WEAK = "Nothing stored matches well; weak matches"
_ASKED_LINES = 5  # of each kind in a question, which a person reads in a small window


def answer(lines: Sequence[str], structured: dict[str, Any]) -> CallToolResult:
    """Make a result of lines and of the same in data."""
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join(lines))], structured_content=structured
    )


def refusal(text: str) -> CallToolResult:
    """Make a result that says why nothing was done."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def remembered(done: Remembered, user: str, topic: str) -> CallToolResult:
    """Word the answer of ``remember``."""
    what = [_messages(len(done.message_ids))] if done.message_ids else []
    what += [_images(len(done.image_ids))] if done.image_ids else []
    what += [f"fact {told.item} ({told.outcome})" for told in done.facts]
    verb = "Already saved before" if done.duplicate else "Saved"
    lines = [f"{verb}: {', '.join(what) or 'nothing'}. User {user}, topic {topic}."]
    if done.left_out:
        lines.append(
            f"Not saved: {_messages(done.left_out)} of the assistant; MEM1_SAVE_ASSISTANT_MESSAGES=false."
        )
    if done.message_ids:
        lines.append(f"Ids: {_ids(done.message_ids)}")
    if done.image_ids:
        lines.append(f"Images: {_ids(done.image_ids)}")
    if done.masked:
        lines.append(f"Masked before saving: {', '.join(done.masked)}.")
    return answer(
        lines,
        {
            "message_ids": list(done.message_ids),
            "facts": [{"id": told.item, "outcome": told.outcome} for told in done.facts],
            "duplicate": done.duplicate,
            "masked": list(done.masked),
            **({"image_ids": list(done.image_ids)} if done.image_ids else {}),
            **({"left_out": done.left_out} if done.left_out else {}),
            "user": user,
            "topic": topic,
        },
    )


def recalled(found: Recalled, asked: Recall, now: int, zone: tzinfo) -> CallToolResult:
    """Word the answer of ``recall``."""
    topic = asked.scope.topic or "*"
    moment = at_local(now, zone)
    lines = [_first_line(asked, now, zone)]
    if found.profile:
        lines += ["Profile:", *(known.line for known in found.profile)]
    if found.hits:
        only_weak = bool(asked.queries) and all(hit.weak for hit in found.hits)
        heading = _ONLY_WEAK if only_weak and not asked.skip else _heading(asked)
        # Where one was asked for, the first line names it.
        told = found.topic is not None and asked.scope.topic is None
        lines.append(f"{heading}, topic {found.topic}:" if told else f"{heading}:")
        lines += [hit.line for hit in found.hits]
    else:
        lines.append(_nothing(asked))
    cursor = None
    if found.more and found.hits and asked.scope.images:
        lines.append(f"{found.more} more: ask for more at once (limit), or by other words, topic or dates")
    elif found.more and found.hits:
        cursor = str(asked.skip + len(found.hits))
        lines.append(_more(found.more, cursor))
    if found.trouble:
        lines.append(found.trouble)
    return answer(
        lines,
        {
            "hits": [_hit(hit, zone) for hit in found.hits],
            "profile": [_item(known.item, known.text) for known in found.profile],
            "more": found.more,
            **({"cursor": cursor} if cursor else {}),
            **({"degraded": found.trouble} if found.trouble else {}),
            "now": moment.isoformat(timespec="seconds"),
            "user": asked.scope.user,
            "topic": topic,
        },
    )


def images(
    found: Recalled, thumbnails: Mapping[int, bytes], asked: Recall, now: int, zone: tzinfo
) -> CallToolResult:
    """Word the answer of ``search_images``: complete in text; thumbnails and links come after it."""
    answered = recalled(found, asked, now, zone)
    room = _THUMBNAIL_BYTES
    parts: list[ContentBlock] = [*answered.content]
    for hit in found.hits:
        image = hit.stored.image
        if image is None or image.digest is None:
            continue
        small = thumbnails.get(hit.stored.place, b"")
        if small and len(small) <= room:
            room -= len(small)
            data = base64.b64encode(small).decode()
            parts.append(ImageContent(type="image", data=data, mime_type="image/jpeg"))
        parts.append(
            ResourceLink(
                type="resource_link",
                uri=image_uri(hit.stored),
                name=image.filename or hit.stored.id,
                mime_type=image.media_type,
                size=image.size,
                description=f"Full image of {hit.stored.id}",
            )
        )
    structured = {**(answered.structured_content or {})}
    structured.pop("profile")
    return CallToolResult(content=parts, structured_content=structured)


def image_uri(stored: Stored) -> str:
    """Return where the full image can be read."""
    return f"{IMAGES_URI}/{stored.id}"


def topics(
    listed: Sequence[Topic], skip: int, limit: int, user: str, now: int, zone: tzinfo
) -> CallToolResult:
    """Word the answer of ``list_topics``."""
    shown = listed[skip : skip + limit]
    lines = [f"User {user}: {len(listed)} topic{'s' * (len(listed) != 1)}"]
    lines += topic_lines(shown, now, zone)
    more = max(len(listed) - skip - len(shown), 0)
    cursor = str(skip + len(shown)) if more else None
    if cursor:
        lines.append(_more(more, cursor))
    return answer(
        lines,
        {
            "topics": [
                {
                    "topic": topic.name,
                    "messages": topic.messages,
                    "first_active": at_local(topic.first_at, zone).isoformat(timespec="seconds"),
                    "last_active": at_local(topic.last_at, zone).isoformat(timespec="seconds"),
                }
                for topic in shown
            ],
            "more": more,
            **({"cursor": cursor} if cursor else {}),
            "user": user,
        },
    )


def topic_lines(listed: Sequence[Topic], now: int, zone: tzinfo) -> list[str]:
    """Write each topic as a line."""
    return [
        f"- {topic.name}: {_messages(topic.messages)}, last "
        f"{at_local(topic.last_at, zone):%Y-%m-%d} ({age(topic.last_at, now, zone)})"
        for topic in listed
    ]


def question(preview: Preview, user: str, zone: tzinfo) -> str:
    """Word what the person is asked before something is forgotten.

    The same for the same things, since the answer may come with another request.
    """
    lines = [f"Forget for good, of user {user}: {_what_goes(preview, zone)}?"]
    lines += [profile_line(item) for item in preview.items[:_ASKED_LINES]]
    lines += [line.line for line in preview.lines[:_ASKED_LINES]]
    if more := max(len(preview.items) - _ASKED_LINES, 0) + max(preview.messages - _ASKED_LINES, 0):
        lines.append(f"… and {more} more")
    return "\n".join(lines)


def previewed(
    preview: Preview, skip: int, user: str, zone: tzinfo, *, declined: bool = False
) -> CallToolResult:
    """Word the preview of ``forget``; ``declined`` when the person was asked and said no."""
    lines = []
    if preview.token is None:
        lines.append(f"Nothing of user {user} matches; nothing was forgotten.")
    else:
        if declined:
            lines.append("The person, or the host for them, was asked and declined.")
        lines.append(
            f"Nothing is forgotten yet. This would go for good (user {user}): {_what_goes(preview, zone)}."
        )
        lines += [profile_line(item) for item in preview.items[:20]]
        lines += [line.line for line in preview.lines]
    cursor = str(skip + len(preview.lines)) if preview.more else None
    if cursor:
        lines.append(_more(preview.more, cursor))
    if preview.unknown:
        lines.append(f"Not found: {', '.join(preview.unknown[:20])}")
    if preview.token:
        lines.append(
            f'Token: "{preview.token}", valid 10 minutes; to be sent only when the user says so '
            "in the chat."
        )
    return answer(
        lines,
        {
            "forgotten": False,
            **({"declined": True} if declined else {}),
            "messages": preview.messages,
            "profile_items": [_item(item) for item in preview.items],
            "lines": [_hit(line, zone) for line in preview.lines],
            "more": preview.more,
            **({"cursor": cursor} if cursor else {}),
            "unknown": list(preview.unknown),
            **({"confirm": preview.token} if preview.token else {}),
            "user": user,
        },
    )


def forgotten(done: Forgotten, user: str) -> CallToolResult:
    """Word the answer of a confirmed ``forget``."""
    what = f"{_messages(done.messages)} and {_profile_lines(done.items)} of user {user}"
    erased = "Nothing of it is left in the store."
    if done.pending:
        erased = (
            "It can't be found any more; its bytes are still being erased from the disk (doctor tells)."
        )
    return answer(
        [f"Forgotten: {what}. {erased}"],
        {
            "forgotten": True,
            "messages": done.messages,
            "profile_items": done.items,
            "pending": done.pending,
            "user": user,
        },
    )


def with_ignored(result: CallToolResult, ignored: Sequence[str]) -> CallToolResult:
    """Say which arguments the tool does not have and went on without."""
    if not ignored:
        return result
    note = TextContent(type="text", text=f"Ignored arguments: {', '.join(ignored)}")
    structured = {**(result.structured_content or {}), "ignored": list(ignored)}
    return CallToolResult(
        content=[*result.content, note],
        structured_content=None if result.is_error else structured,
        is_error=result.is_error,
    )


def frame_tokens(asked: Recall, now: int, zone: tzinfo) -> int:
    """Estimate what an answer of ``recall`` costs beside the lines of the profile and the memories."""
    heading = f"{max(_heading(asked), _ONLY_WEAK, key=len)}, topic:"
    frame = [_first_line(asked, now, zone), "Profile:", heading, _more(999_999, "999999")]
    return estimate_tokens("\n".join(frame)) + 1


def _first_line(asked: Recall, now: int, zone: tzinfo) -> str:
    topic = "all topics" if asked.scope.topic is None else f"topic {asked.scope.topic}"
    return f"Now {at_local(now, zone):%Y-%m-%d %a %H:%M %Z} · user {asked.scope.user} · {topic}"


def _more(number: int, cursor: str) -> str:
    return f'{number} more: cursor "{cursor}"'


def _nothing(asked: Recall) -> str:
    if asked.skip:
        return "No more."
    what = "image" if asked.scope.images else "message"
    if asked.queries:
        return f"No stored {what} matches these words; the same words again will find nothing either."
    scope = asked.scope
    if scope.since is not None or scope.until is not None or scope.metadata:
        return f"No stored {what} fits these limits."
    return f"No {what}s are stored here yet."


def _heading(asked: Recall) -> str:
    if asked.around is not None:
        return "Conversation"
    if asked.scope.images:
        return "Images, best first" if asked.queries else "Latest images, newest first"
    return "Memories, best first" if asked.queries else "Latest messages, oldest first"


def _what_goes(preview: Preview, zone: tzinfo) -> str:
    span = ""
    if preview.messages:
        first, last = (at_local(t, zone) for t in (preview.first_at, preview.last_at))
        span = f", said {first:%Y-%m-%d}" + (f" to {last:%Y-%m-%d}" if first.date() != last.date() else "")
    return f"{_messages(preview.messages)}{span}, {_profile_lines(len(preview.items))}"


def _messages(number: int) -> str:
    return f"{number} message{'s' * (number != 1)}"


def _images(number: int) -> str:
    return f"{number} image{'s' * (number != 1)}"


def _profile_lines(number: int) -> str:
    return f"{number} profile line{'s' * (number != 1)}"


def _ids(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= 6 else f"{ids[0]} … {ids[-1]}"  # noqa: PLR2004


def _item(item: Item, text: str | None = None) -> dict[str, Any]:
    outdated = {"replaced_by": item.replaced_by} if item.replaced_by else {}
    shown = item.text if text is None else text
    return {"id": item.id, "section": item.section, "text": shown, **outdated}


def _hit(hit: Line, zone: tzinfo) -> dict[str, Any]:
    stored = hit.stored
    when: datetime = at_local(stored.said_at, zone)
    return {
        "id": stored.id,
        "text": hit.text,
        "timestamp": when.isoformat(timespec="seconds"),
        "topic": stored.topic,
        "role": stored.role,
        # Some frameworks show their model these and not the lines, so what is empty is left out.
        **({"name": stored.name} if stored.name else {}),
        **({"metadata": dict(stored.metadata)} if stored.metadata else {}),
        **({"weak": True} if hit.weak else {}),
        **({"summary": True} if hit.summary else {}),
        **({"images": [message_id(place) for place in stored.images]} if stored.images else {}),
        **({"image": _image(stored.image, stored)} if stored.image is not None else {}),
    }


def _image(image: Image, stored: Stored) -> dict[str, Any]:
    told = {
        "filename": image.filename,
        "description": image.description,
        "caption": image.caption,
        "text": image.text,
    }
    known: dict[str, Any] = {name: each[:_TOLD_CHARS] for name, each in told.items() if each}
    if image.digest is not None:
        known |= {
            "uri": image_uri(stored),
            "media_type": image.media_type,
            "width": image.width,
            "height": image.height,
            "bytes": image.size,
        }
    return known
