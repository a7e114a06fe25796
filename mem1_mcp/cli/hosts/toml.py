"""Change one table in a TOML file, and not a byte of the rest.

Text is put in at the end or taken out where the table stands; the standard library's parser judges the
result: whatever else would have changed, the change is refused.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def read(text: str) -> dict[str, object]:
    """Return what the text says.

    Raises:
        InvalidRequestError: it is no TOML; the text says where.

    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequestError(f"it is no TOML ({error})") from None


def put(text: str, parent: str, name: str, entry: Mapping[str, object]) -> str:
    """Set the table ``[parent.name]``: at its place where there is one, else at the end."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [f"[{parent}.{_key(name)}]", *(f"{_key(key)} = {_value(each)}" for key, each in entry.items())]
    block = newline.join(lines) + newline
    spans = _spans(text, parent, name) if _is_in(text, parent, name) else []
    if spans:
        start, end = spans[0]
        rest = _without(text[end:], parent, name)
        after = text[:start] + block + rest
    else:
        gap = "" if not text.strip() else newline if text.endswith("\n") else newline * 2
        after = f"{text}{gap}{block}"
    return _judged(text, after, parent, name, dict(entry))


def drop(text: str, parent: str, name: str) -> str:
    """Take the table out, with the tables in it and the empty line before it."""
    spans = _spans(text, parent, name) if _is_in(text, parent, name) else []
    if not spans:
        return _judged(text, text, parent, name, None)
    before = text[: spans[0][0]]
    for newline in ("\r\n", "\n"):
        if before.endswith(newline * 2) or before == newline:
            before = before.removesuffix(newline)
            break
    return _judged(text, before + _without(text[spans[0][0] :], parent, name), parent, name, None)


def _is_in(text: str, parent: str, name: str) -> bool:
    # What looks like its heading may be a line of somebody's text.
    tables = read(text).get(parent)
    return isinstance(tables, dict) and name in tables


def _spans(text: str, parent: str, name: str) -> list[tuple[int, int]]:
    """Find the table and those in it: from each heading to the end of the lines that follow at once."""
    bare = rf"(?:{re.escape(name)}|\"{re.escape(name)}\")"
    heading = rf"^[ \t]*\[[ \t]*{parent}[ \t]*\.[ \t]*{bare}[ \t]*(?:\..*)?\].*(?:\n|$)"
    following = r"(?:(?![ \t]*(?:\[|#|\r?$)).*(?:\n|$))*"
    return [found.span() for found in re.finditer(heading + following, text, re.MULTILINE)]


def _without(text: str, parent: str, name: str) -> str:
    for start, end in reversed(_spans(text, parent, name)):
        text = text[:start] + text[end:]
    return text


def _judged(before: str, after: str, parent: str, name: str, entry: dict[str, object] | None) -> str:
    wanted = read(before)
    kept = wanted.pop(parent, {})
    if not isinstance(kept, dict):
        raise InvalidRequestError(f"{parent} is no table")
    tables = {key: each for key, each in kept.items() if key != name}
    tables |= {} if entry is None else {name: entry}
    try:
        found = read(after)
        same = found.pop(parent, {}) == tables and found == wanted
    except InvalidRequestError:
        same = False
    if not same:
        raise InvalidRequestError(f"{parent}.{name} stands there in a way that can't be changed safely")
    return after


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: object) -> str:
    """Write a text, a list of texts or a flat table of them; JSON's strings are TOML's as well."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
