"""Raw tool arguments, checked: refusals in words that name the field, the limit and the cure."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.text.names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_MESSAGES = 500
MAX_CONTENT = 200_000  # characters of one message
MAX_FACTS = 100  # a call
MAX_IMAGES = 10  # a call
MAX_DATA = 15_500_000  # characters of base64: of a line that holds them, some room is left
MAX_FACT = 1_000
MAX_DESCRIPTION = 20_000
MAX_PATH = 4096
MAX_QUERY = 1_000_000  # of which the beginning is searched for
MAX_QUERIES = 8
_MAX_IDS = 1000
_MAX_METADATA_KEYS = 64
_MAX_METADATA_BYTES = 8192
_MAX_METADATA_DEPTH = 4
_TOLD_NAMES = 20


def _parsed(value: object) -> object:
    """Read what some hosts send as JSON text: arrays and objects."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _entries(most: int) -> BeforeValidator:
    """Count a list before its entries are looked at: a million wrong ones take many seconds."""

    def counted(value: object) -> object:
        entries = _parsed(value)
        if isinstance(entries, list) and len(entries) > most:
            raise ValueError(f"has {len(entries)} entries, {most} at most; send several calls")
        return entries

    return BeforeValidator(counted)


def _name(text: str) -> str:
    try:
        return check_name(text)
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; leave this entry out")
    return text


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > _MAX_METADATA_KEYS:
        raise ValueError(f"has {len(value)} keys, {_MAX_METADATA_KEYS} at most")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        raise ValueError(_HALF_CHARACTER) from None
    except (ValueError, RecursionError):
        raise ValueError("holds what JSON has not (NaN, or endless nesting); leave it out") from None
    if size > _MAX_METADATA_BYTES:
        raise ValueError(f"has {size} bytes, {_MAX_METADATA_BYTES} at most; put text into messages")
    if _deeper_than(_MAX_METADATA_DEPTH, value):
        raise ValueError(f"is nested deeper than {_MAX_METADATA_DEPTH} levels; make it flatter")
    return value


def _deeper_than(levels: int, value: object) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [child for held in layer for child in _children(held)]
    return any(isinstance(held, dict | list) for held in layer)


def _children(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _utf8(text: str) -> str:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(_HALF_CHARACTER)
    return text


def _without_halves(text: str) -> str:
    """Take half characters out of what is only searched for: nothing is lost by it."""
    return text if text.isascii() else _HALVES.sub(" ", text)


_HALVES = re.compile("[\ud800-\udfff]")


# Lengths stand before the validators, or pydantic counts "items" instead of characters.
Text = Annotated[str, Field(max_length=1000), AfterValidator(_utf8)]
Content = Annotated[str, Field(max_length=MAX_CONTENT), AfterValidator(_utf8), AfterValidator(_not_blank)]
FactText = Annotated[str, Field(max_length=MAX_FACT), AfterValidator(_utf8), AfterValidator(_not_blank)]
Question = Annotated[str, Field(max_length=MAX_QUERY), AfterValidator(_without_halves)]
Identifier = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_utf8)]
Name = Annotated[str, Field(max_length=100_000), AfterValidator(_utf8), AfterValidator(_name)]
Metadata = Annotated[dict[str, Any], BeforeValidator(_parsed), AfterValidator(_metadata)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class MessageArguments(_Arguments):
    """One message of ``remember``."""

    role: Literal["user", "assistant", "system", "tool"]
    content: Content
    name: Name | None = None
    timestamp: Text | None = None


class FactArguments(_Arguments):
    """One fact of ``remember``."""

    text: FactText
    section: Annotated[str, Field(max_length=64), AfterValidator(_utf8)] | None = None
    replaces: Text | None = None


class ImageArguments(_Arguments):
    """One image of ``remember``."""

    path: Annotated[str, Field(max_length=MAX_PATH), AfterValidator(_utf8)] | None = None
    data: Annotated[str, Field(max_length=MAX_DATA)] | None = None
    filename: Text | None = None
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION), AfterValidator(_utf8)] | None = None


class RememberArguments(_Arguments):
    """Arguments of ``remember``."""

    messages: Annotated[list[MessageArguments], _entries(MAX_MESSAGES)] | None = None
    facts: Annotated[list[FactArguments], _entries(MAX_FACTS)] | None = None
    images: Annotated[list[ImageArguments], _entries(MAX_IMAGES)] | None = None
    topic: Name | None = None
    metadata: Metadata | None = None
    timestamp: Text | None = None
    request_id: Identifier | None = None


class RecallArguments(_Arguments):
    """Arguments of ``recall``."""

    query: Question | None = None
    queries: Annotated[list[Question], _entries(MAX_QUERIES)] | None = None
    topic: Text | None = None
    since: Text | None = None
    until: Text | None = None
    metadata: Metadata | None = None
    limit: Annotated[int, Field(ge=1, le=100)] | None = None
    max_tokens: Annotated[int, Field(ge=100, le=20_000)] | None = None
    around: Text | None = None
    cursor: Text | None = None


class SearchImagesArguments(_Arguments):
    """Arguments of ``search_images``."""

    query: Question | None = None
    topic: Text | None = None
    since: Text | None = None
    until: Text | None = None
    limit: Annotated[int, Field(ge=1, le=20)] | None = None


class ListTopicsArguments(_Arguments):
    """Arguments of ``list_topics``."""

    limit: Annotated[int, Field(ge=1, le=500)] | None = None
    cursor: Text | None = None


class ForgetArguments(_Arguments):
    """Arguments of ``forget``."""

    ids: Annotated[list[Text], _entries(_MAX_IDS)] | None = None
    topic: Name | None = None
    everything: bool | None = None
    confirm: Identifier | None = None
    cursor: Text | None = None


MODELS: Mapping[str, type[_Arguments]] = {
    "remember": RememberArguments,
    "recall": RecallArguments,
    "search_images": SearchImagesArguments,
    "list_topics": ListTopicsArguments,
    "forget": ForgetArguments,
}

_ENTRIES: Mapping[str, type[_Arguments]] = {
    "messages": MessageArguments,
    "facts": FactArguments,
    "images": ImageArguments,
}

# What other memory servers call the same thing.
_OTHER_NAMES = {
    "project": "topic",
    "topic_id": "topic",
    "session": "topic",
    "namespace": "topic",
    "thread": "topic",
    "q": "query",
    "question": "query",
    "search": "query",
    "top_k": "limit",
    "page_size": "limit",
    "count": "limit",
    "after": "since",
    "before": "until",
    "message": "messages",
    "image": "images",
    "file": "path",
    "base64": "data",
    "name": "filename",
    "caption": "description",
    "content": "messages",
    "memory_id": "ids",
    "id": "ids",
    "token": "confirm",
    "all": "everything",
}

_HALF_CHARACTER = "holds half a character (a lone surrogate); send the whole emoji or none"
# By pydantic's name of the problem; braces are filled with its limits and the rejected value.
_CURES = {
    "missing": "is missing; give it",
    "string_type": "must be text",
    "string_unicode": _HALF_CHARACTER,
    "string_too_long": "has {size} characters, {max_length} at most; send less or in several parts",
    "string_too_short": "is empty; give a value, or leave it out",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of few digits",
    "finite_number": "must be a whole number",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "{value} is below the limit of {ge}; choose {ge} or more",
    "less_than_equal": "{value} is above the limit of {le}; choose {le} or less",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be one of {expected}",
    "value_error": "{error}",
}


def validate(tool: str, raw: Mapping[str, Any], consequence: str) -> Any:
    """Check raw arguments against the tool's model.

    Raises:
        InvalidRequestError: in words that name each field, its limit and the cure.

    """
    try:
        return MODELS[tool].model_validate(dict(raw))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True)
        told = [f"{_path(p['loc'])}: {_cure(p)}" for p in problems[:5]]
        more = f" And {len(problems) - 5} more." if len(problems) > len(told) else ""
        raise InvalidRequestError(f"{'. '.join(told)}.{more} {consequence}".rstrip()) from None


def unknown_arguments(tool: str, raw: Mapping[str, Any]) -> list[str]:
    """Name the arguments that the tool does not have, with the nearest one it has; the first few."""
    told = _unknown_names(MODELS[tool], raw, "")
    for field, model in _ENTRIES.items():
        entries = raw.get(field) if tool == "remember" else None
        for number, entry in enumerate(entries[:MAX_MESSAGES] if isinstance(entries, list) else ()):
            if len(told) < _TOLD_NAMES and isinstance(entry, dict):
                told += _unknown_names(model, entry, f"{field}[{number}].")
    return told[:_TOLD_NAMES]


def _unknown_names(model: type[_Arguments], raw: Mapping[str, Any], where: str) -> list[str]:
    known = {name: name for name in model.model_fields}
    meant = known | {other: name for other, name in _OTHER_NAMES.items() if name in known}
    told = []
    for name in itertools.islice((name for name in raw if name not in known), _TOLD_NAMES):
        short = name[:64]  # the nearest name to a megabyte is long in coming
        near = difflib.get_close_matches(short.lower(), meant, n=1, cutoff=0.6)
        told.append(f"{where}{short}" + (f" (did you mean {meant[near[0]]}?)" if near else ""))
    return told


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _cure(problem: Any) -> str:
    value, limits = problem["input"], problem.get("ctx") or {}
    size = len(value) if isinstance(value, str) else 0
    shown = str(value)[:32] if isinstance(value, int) else ""
    cure = _CURES.get(problem["type"], "is not valid here; see the description of the tool")
    return cure.format(value=shown, size=size, **limits)
