"""Change one thing in a JSON file, with comments or without, and not a byte of the rest.

A host's configuration belongs to a person: it is not parsed and written anew, which would lose comments,
order and layout. It is read for where things stand, and text is put in or taken out there. What is put in
and then taken out leaves the text as it was. Comments (``//``, ``/* */``) and a comma behind the last
element are read as VS Code, Zed and others do.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mem1_mcp.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

Step = str | int
_GAP = re.compile(r"(?:\s|\ufeff|//[^\n\r]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_WORD = re.compile(r"(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])")
_SAME_LINE = re.compile(r"[ \t]*(?:/\*[^\n]*?\*/[ \t]*)*(?://[^\n\r]*)?")
_MAX_DEPTH = 200


@dataclass(slots=True)
class Node:
    """A value and where it stands: from ``start`` up to ``end``.

    ``children`` are a list's elements or an object's values, ``keys`` the names of these; ``heads`` says
    where each element begins (an object's at its name), ``commas`` where the comma behind it is, or -1.
    """

    kind: str
    start: int
    end: int = 0
    children: list[Node] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    commas: list[int] = field(default_factory=list)

    def index(self, step: Step) -> int | None:
        """Return which element this is; of names that stand twice the last, which is what hosts take."""
        if isinstance(step, int):
            return step if self.kind == "[" and -len(self.children) <= step < len(self.children) else None
        named = [number for number, key in enumerate(self.keys) if key == step]
        return named[-1] if named else None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def document(self) -> Node:
        self.skip()
        if self.at == len(self.text):
            return Node("", self.at, self.at)
        root = self.value(0)
        self.skip()
        if self.at < len(self.text):
            raise self.error()
        return root

    def skip(self) -> None:
        found = _GAP.match(self.text, self.at)
        assert found is not None  # noqa: S101 - it matches nothing, too
        self.at = found.end()

    def error(self) -> InvalidRequestError:
        line = self.text.count("\n", 0, self.at) + 1
        return InvalidRequestError(f"line {line} is no JSON")

    def value(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise self.error()
        sign = self.text[self.at : self.at + 1]
        if sign in ("{", "["):
            return self.elements(sign, depth)
        for kind, pattern in (("string", _STRING), ("word", _WORD)):
            if found := pattern.match(self.text, self.at):
                self.at = found.end()
                return Node(kind, found.start(), found.end())
        raise self.error()

    def elements(self, kind: str, depth: int) -> Node:
        node = Node(kind, self.at)
        closing = "}" if kind == "{" else "]"
        self.at += 1
        self.skip()
        while not self.text.startswith(closing, self.at):
            if node.commas and node.commas[-1] < 0:
                raise self.error()
            node.heads.append(self.at)
            if kind == "{":
                node.keys.append(self.name())
            node.children.append(self.value(depth + 1))
            self.skip()
            comma = self.text.startswith(",", self.at)
            node.commas.append(self.at if comma else -1)
            self.at += comma
            self.skip()
        self.at += 1
        node.end = self.at
        return node

    def name(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise self.error()
        name = found[0][1:-1] if "\\" not in found[0] else str(json.loads(found[0]))
        self.at = found.end()
        self.skip()
        if not self.text.startswith(":", self.at):
            raise self.error()
        self.at += 1
        self.skip()
        return name


def read(text: str) -> object:
    """Return what the text says, without its comments; ``None`` for an empty one.

    Raises:
        InvalidRequestError: it is no JSON; the text says in which line.

    """
    return _value(text, _Scanner(text).document())


def put(text: str, path: Sequence[Step], value: object) -> str:
    """Set what stands at a path; objects that are not there yet are made.

    Raises:
        InvalidRequestError: it is no JSON, or on the way stands something else than an object.

    """
    root = _root(text)
    if root is None:
        return _begun(text) + _written(_nested(path, value), "  ", "", _newline(text)) + _newline(text)
    node = root
    for depth, step in enumerate(path):
        if node.kind != ("[" if isinstance(step, int) else "{"):
            raise InvalidRequestError(f"{_named(path[:depth])} is no object")
        found = node.index(step)
        if found is None:
            return _inserted(text, node, root, step, _nested(path[depth + 1 :], value))
        node = node.children[found]
    if node.children and "\n" not in text[node.start : node.end]:
        written = json.dumps(value, ensure_ascii=False)
    else:
        written = _written(value, _unit(text, root), _indent_of_line(text, node.start), _newline(text))
    return text[: node.start] + written + text[node.end :]


def append(text: str, path: Sequence[Step], value: object) -> str:
    """Add an element to the list at a path; the list is made where there is none."""
    node = _find(text, path)
    if node is None:
        return put(text, path, [value])
    if node.kind != "[":
        raise InvalidRequestError(f"{_named(path)} is no list")
    return _inserted(text, node, _Scanner(text).document(), None, value)


def drop(text: str, path: Sequence[Step]) -> str:
    """Take out what stands at a path, with its comma; without it the text stays as it is."""
    parent = _find(text, path[:-1])
    number = None if parent is None else parent.index(path[-1])
    if parent is None or number is None:
        return text
    number %= len(parent.children)
    start, end = parent.heads[number], parent.children[number].end
    if parent.commas[number] >= 0:
        end = parent.commas[number] + 1
    start = _start_of_gap(text, start)
    if number == len(parent.children) - 1 and number and parent.commas[number] < 0:
        comma = parent.commas[number - 1]
        kept = text[:comma] + text[comma + 1 : start]
    else:
        kept = text[:start]
    rest = text[end:]
    if len(parent.children) == 1 and not text[parent.start + 1 : start].strip():
        inside, closing, after = rest.partition("}" if parent.kind == "{" else "]")
        if not inside.strip():
            return text[: parent.start + 1] + closing + after
    return kept + rest


def _value(text: str, node: Node) -> object:
    values = [_value(text, child) for child in node.children]
    if node.kind == "{":
        return dict(zip(node.keys, values, strict=True))
    if node.kind == "[":
        return values
    if not node.kind:
        return None
    try:
        return json.loads(text[node.start : node.end])
    except ValueError:  # a number of thousands of digits
        line = text.count("\n", 0, node.start) + 1
        raise InvalidRequestError(f"line {line} is no JSON") from None


def _root(text: str) -> Node | None:
    root = _Scanner(text).document()
    return root if root.kind else None


def _find(text: str, path: Sequence[Step]) -> Node | None:
    node = _root(text)
    for step in path:
        number = None if node is None else node.index(step)
        if node is None or number is None:
            return None
        node = node.children[number]
    return node


def _nested(path: Sequence[Step], value: object) -> object:
    for step in reversed(path):
        value = {str(step): value}
    return value


def _inserted(text: str, parent: Node, root: Node, key: Step | None, value: object) -> str:
    """Put an element behind the last one."""
    newline, unit = _newline(text), _unit(text, root)
    name = "" if key is None else f"{json.dumps(str(key), ensure_ascii=False)}: "
    if not parent.children:
        return _first(text, parent, name, value, unit)
    last = len(parent.children) - 1
    behind, comma = parent.children[last].end, parent.commas[last]
    gap = text[_start_of_gap(text, parent.heads[last]) : parent.heads[last]]
    if "\n" not in gap:
        # All on one line, as it was written by a program.
        written = name + json.dumps(value, ensure_ascii=False)
        if comma >= 0:
            return f"{text[: comma + 1]} {written},{text[comma + 1 :]}"
        return f"{text[:behind]}, {written}{text[behind:]}"
    indent = gap.rpartition("\n")[2]
    element = f"{newline}{indent}{name}{_written(value, unit, indent, newline)}"
    if comma >= 0:
        line_end = _end_of_line(text, comma + 1)
        return f"{text[:line_end]}{element},{text[line_end:]}"
    line_end = _end_of_line(text, behind)
    return f"{text[:behind]},{text[behind:line_end]}{element}{text[line_end:]}"


def _first(text: str, parent: Node, name: str, value: object, unit: str) -> str:
    newline = _newline(text)
    outer = _indent_of_line(text, parent.start)
    indent = outer + unit
    inside = text[parent.start + 1 : parent.end - 1].rstrip()
    element = f"{newline}{indent}{name}{_written(value, unit, indent, newline)}{newline}{outer}"
    return f"{text[: parent.start + 1]}{inside}{element}{text[parent.end - 1 :]}"


def _begun(text: str) -> str:
    """Return what stays before the first value: a mark of UTF-8, and comments where there are some."""
    kept = text.rstrip()
    return kept + _newline(text) if kept.strip("\ufeff") else kept


def _written(value: object, unit: str, indent: str, newline: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", newline + indent)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _unit(text: str, root: Node) -> str:
    """Return what one step of indentation is in this text."""
    if root.heads:
        gap = text[root.start + 1 : root.heads[0]]
        indent = gap.rpartition("\n")[2]
        if "\n" in gap and indent and not indent.strip():
            return indent
    return "  "


def _indent_of_line(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())].replace("\ufeff", "")


def _start_of_gap(text: str, at: int) -> int:
    """Return where the white space before this begins, back to the end of the line before at most."""
    start = at
    while start and text[start - 1] in " \t":
        start -= 1
    if start and text[start - 1] == "\n":
        start -= 2 if text[start - 2 : start] == "\r\n" else 1
    return start


def _end_of_line(text: str, at: int) -> int:
    """Return where what a person wrote behind this ends: a comment on the same line."""
    found = _SAME_LINE.match(text, at)
    end = at if found is None else found.end()
    return end if text[end : end + 1] in ("\n", "\r", "") else at


def _named(path: Sequence[Step]) -> str:
    return ".".join(map(str, path)) or "the whole"
