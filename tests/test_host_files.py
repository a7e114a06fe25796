"""Files of other programs that are changed: JSON with comments and TOML, whatever a person made of them."""

from __future__ import annotations

import json
import os
import random
import re
import stat
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mem1_mcp.cli.hosts import changes, jsonc, toml
from mem1_mcp.cli.hosts.rules import RulesPart, block
from mem1_mcp.errors import InvalidRequestError

NAMES = [
    "a",
    "mem1",
    "mcpServers",
    "记忆",
    "a b",
    'with "quotes"',
    "back\\slash",
    "//",
    "/* x */",
    "é",
    "}",
    ",",
]
WORDS = [
    "",
    "x",
    "// no comment",
    "/* nor this */",
    "C:\\Users\\李伟",
    "{[,]}",
    'say "hi"',
    "日\t程\n",
    "https://a.b/c",
]
OURS = {"command": "/opt/a b/mem1-mcp", "env": {"MEM1_TIMEZONE": "Asia/Shanghai", "MEM1_TOPIC_ID": "工作"}}
ENTRIES = st.sampled_from([OURS, {"command": "x"}, {}, [], ["a", {"b": None}], "text", 7, True, None])

scalars = st.sampled_from([*WORDS, 0, -1.5e-7, 12_345_678_901_234_567_890, True, False, None])
names = st.sampled_from(NAMES)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=4)
members = st.dictionaries(names, values, min_size=1, max_size=4)


@dataclass
class Hand:
    """Writes JSON as people and programs do, with what their editors let pass."""

    chance: random.Random
    newline: str = "\n"
    unit: str = "  "
    comments: bool = False
    commas: bool = False
    one_line: bool = False
    mark: bool = False
    repeats: bool = True

    def document(self, value: object) -> str:
        """Write a whole file."""
        text = self.gap() + self.value(value, "") + self.gap()
        return ("\ufeff" if self.mark else "") + text + ("" if self.chance.random() < 0.3 else self.newline)

    def value(self, value: object, indent: str) -> str:
        if isinstance(value, dict):
            return self.many("{}", [self.member(*each, indent) for each in self.twice(value)], indent)
        if isinstance(value, list):
            return self.many("[]", [self.value(each, indent + self.unit) for each in value], indent)
        return self.scalar(value)

    def scalar(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=self.chance.random() < 0.5)

    def twice(self, value: dict[str, object]) -> list[tuple[str, object]]:
        pairs = list(value.items())
        if pairs and self.repeats and self.chance.random() < 0.1:
            pairs.insert(0, (self.chance.choice(pairs)[0], "stands here twice; the last one counts"))
        return pairs

    def member(self, name: str, value: object, indent: str) -> str:
        colon = self.chance.choice([": ", ":", " : "])
        return f"{self.scalar(name)}{self.gap()}{colon}{self.value(value, indent + self.unit)}"

    def many(self, signs: str, written: list[str], indent: str) -> str:
        inline = self.one_line or self.chance.random() < 0.2
        before = "" if inline else self.newline + indent + self.unit
        end = "" if inline else self.newline + indent
        if not written:
            return signs[0] + self.chance.choice(["", " ", end, self.remark()]) + signs[1]
        parts = [
            before + self.gap() + each + self.gap() + self.comma(number, len(written), inline=inline)
            for number, each in enumerate(written)
        ]
        return signs[0] + "".join(parts) + self.remark() + end + signs[1]

    def comma(self, number: int, of: int, *, inline: bool) -> str:
        more = number + 1 < of
        comma = "," if more or (self.commas and self.chance.random() < 0.5) else ""
        space = " " if inline and more and self.chance.random() < 0.8 else ""
        line_ends = not inline and self.comments and self.chance.random() < 0.2
        return comma + (" // 逗号 , } ]" if line_ends else space)

    def gap(self) -> str:
        return self.chance.choice(["/* c */", " /* , */ ", ""]) if self.comments and self.often() else ""

    def remark(self) -> str:
        if not (self.comments and self.often()):
            return ""
        return f' // }} ] , "注释"{self.newline}' if not self.one_line else "/* } */"

    def often(self) -> bool:
        return self.chance.random() < 0.2


@st.composite
def hands(draw: st.DrawFn) -> Hand:
    return Hand(
        random.Random(draw(st.integers(0, 2**32))),  # noqa: S311 - a layout, no secret
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.sampled_from(["  ", "    ", "\t"])),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([False, False, True])),
        draw(st.booleans()),
    )


def said(text: str) -> Any:
    """Read JSON with comments by other means than the code does."""
    string = r'("(?:\\.|[^"\\])*")'
    bare = re.sub(string + r"|//[^\n]*|/\*.*?\*/", lambda found: found[1] or " ", text, flags=re.DOTALL)
    strict = re.sub(string + r"|,(?=\s*[}\]])", lambda found: found[1] or "", bare)
    return json.loads(strict.removeprefix("\ufeff"))


def is_within(text: str, longer: str) -> bool:
    """Whether a text becomes the longer one by putting in alone."""
    rest = iter(longer)
    return all(sign in rest for sign in text)


def newlines(text: str) -> set[str]:
    return set(re.findall(r"\r?\n|\r", text))


@given(values, hands())
def test_a_document_is_read_as_other_readers_do(value: object, hand: Hand) -> None:
    text = hand.document(value)

    assert jsonc.read(text) == value == said(text)


@given(objects, hands(), names, ENTRIES)
@settings(max_examples=200)
def test_what_is_put_in_is_found_and_all_else_says_the_same(
    value: dict[str, object], hand: Hand, name: str, entry: object
) -> None:
    text = hand.document(value)

    after = jsonc.put(text, (name,), entry)

    assert said(after) == jsonc.read(after) == value | {name: entry}
    assert newlines(after) <= (newlines(text) or {"\n"})
    if name not in value:
        assert is_within(text, after)


@given(objects, members, hands(), names, ENTRIES)
@settings(max_examples=200)
def test_put_in_among_others_and_taken_out_it_leaves_no_byte_behind(
    value: dict[str, object],
    servers: dict[str, object],
    hand: Hand,
    name: str,
    entry: object,
) -> None:
    servers.pop(name, None)
    assume(servers)  # an object that is empty or has to be made first is all that is not given back so
    text = hand.document(value | {"servers": servers})

    after = jsonc.put(text, ("servers", name), entry)

    assert jsonc.drop(after, ("servers", name)) == text


@given(objects, st.sampled_from([{}, None]), hands(), names)
def test_put_in_alone_and_taken_out_it_leaves_what_means_the_same(
    value: dict[str, object], servers: object, hand: Hand, name: str
) -> None:
    value.pop("servers", None)
    text = hand.document(value if servers is None else value | {"servers": servers})

    after = jsonc.drop(jsonc.put(text, ("servers", name), OURS), ("servers", name))

    assert said(after) == value | {"servers": {}}


@given(members, hands(), st.data(), ENTRIES)
@settings(max_examples=200)
def test_put_over_another_it_changes_nothing_around_it(
    value: dict[str, object], hand: Hand, data: st.DataObject, entry: object
) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    text = jsonc.put(hand.document(value), (name,), "HERE IT STANDS")
    before, _, after = text.partition('"HERE IT STANDS"')

    changed = jsonc.put(text, (name,), entry)

    assert changed.startswith(before)
    assert changed.endswith(after)
    assert said(changed) == value | {name: entry}


@given(members, hands(), st.data())
@settings(max_examples=200)
def test_taking_one_out_leaves_the_others(
    value: dict[str, object], hand: Hand, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    hand.repeats = False
    text = hand.document(value)

    after = jsonc.drop(text, (name,))

    assert said(after) == {key: each for key, each in value.items() if key != name}
    assert is_within(after, text)


@given(st.lists(values, max_size=4), hands(), ENTRIES)
@settings(max_examples=200)
def test_an_element_is_added_behind_the_others_and_taken_out_again(
    elements: list[object], hand: Hand, entry: object
) -> None:
    text = hand.document({"hooks": {"Stop": elements}, "other": 1})

    after = jsonc.append(text, ("hooks", "Stop"), entry)
    again = jsonc.drop(after, ("hooks", "Stop", -1))

    assert said(after) == {"hooks": {"Stop": [*elements, entry]}, "other": 1}
    assert said(again) == {"hooks": {"Stop": elements}, "other": 1}
    if elements:
        assert again == text


@given(st.lists(values, min_size=1, max_size=4), hands(), st.data())
def test_any_element_can_be_taken_out(elements: list[object], hand: Hand, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(elements) - 1))
    text = hand.document({"list": elements})

    after = jsonc.drop(text, ("list", number))

    assert said(after) == {"list": elements[:number] + elements[number + 1 :]}


@given(objects, hands())
def test_a_list_is_made_where_there_is_none(value: dict[str, object], hand: Hand) -> None:
    value.pop("hooks", None)
    text = hand.document(value)

    assert said(jsonc.append(text, ("hooks", "Stop"), OURS)) == value | {"hooks": {"Stop": [OURS]}}


@given(objects, hands())
def test_what_is_not_there_is_taken_out_without_a_trace(value: dict[str, object], hand: Hand) -> None:
    text = hand.document(value)

    assert jsonc.drop(text, ("nowhere", "x")) == jsonc.drop(text, ("nowhere",)) == text


@given(members, hands(), st.data())
def test_what_is_broken_is_refused_whatever_is_asked(
    value: dict[str, object], hand: Hand, data: st.DataObject
) -> None:
    hand.comments = False
    text = hand.document(value)
    closing = [found.start() for found in re.finditer(r'"(?:\\.|[^"\\])*"|([}\]])', text) if found[1]]
    at = data.draw(st.sampled_from(closing))
    broken = text[:at] + text[at + 1 :]

    asked: list[Callable[[], object]] = [
        lambda: jsonc.read(broken),
        lambda: jsonc.put(broken, ("a",), 1),
        lambda: jsonc.append(broken, ("a",), 1),
        lambda: jsonc.drop(broken, ("a",)),
    ]
    for ask in asked:
        with pytest.raises(InvalidRequestError, match=r"line \d+ is no JSON"):
            ask()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', 3),
        ('{\r\n  "a": 1\r\n  "b": 2\r\n}', 3),
        ('{"a": }', 1),
        ('{\n"a": "x\ny"}', 2),
        ('{\n\n"a": "\\x"}', 3),
        ('{\n"\\x": 1}', 2),
        ("{'a': 1}", 1),
        ('{"a": 1.2.3}', 1),
        ('{"a": 01}', 1),
        ('{"a": NaN}', 1),
        ('{"a": undefined}', 1),
        ('{"a": 1}\n}', 2),
        ('{"a": 1} /* never closed', 1),
        ('{"a": 1,,}', 1),
        ("{,}", 1),
        ('{"a" 1}', 1),
        ('{"a": 1}\n{"b": 2}', 2),
        ("[" * 300 + "]" * 300, 1),
        ("# yaml: no", 1),
        ('{\n"a": "' + "x" * 100_000, 2),
        ('{\n"' + "x" * 100_000, 2),
        ("/*" * 50_000, 1),
    ],
)
def test_broken_json_is_refused_with_its_line(text: str, line: int) -> None:
    for ask in (jsonc.read, lambda text: jsonc.put(text, ("a",), 1), lambda text: jsonc.drop(text, ("a",))):
        with pytest.raises(InvalidRequestError, match=f"line {line} is no JSON"):
            ask(text)


def test_a_number_that_no_reader_takes_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidRequestError, match="line 2 is no JSON"):
        jsonc.read('{\n"a": ' + "9" * 5000 + "}")


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ('{"mcpServers": []}', ("mcpServers", "mem1"), "mcpServers is no object"),
        ('{"mcpServers": null}', ("mcpServers", "mem1"), "mcpServers is no object"),
        ("[]", ("mcpServers", "mem1"), "the whole is no object"),
        ('"text"', ("mcpServers", "mem1"), "the whole is no object"),
    ],
)
def test_what_stands_in_the_way_is_named(text: str, path: tuple[str, ...], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(words)):
        jsonc.put(text, path, OURS)


def test_what_is_no_list_is_named() -> None:
    with pytest.raises(InvalidRequestError, match=re.escape("hooks.Stop is no list")):
        jsonc.append('{"hooks": {"Stop": {}}}', ("hooks", "Stop"), OURS)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("text", ["", "  ", "\ufeff", "// Zed settings\n//\n", "\ufeff/* only\nwords */ "])
def test_a_file_without_a_value_gets_one_and_keeps_its_comments(text: str, newline: str) -> None:
    text = text.replace("\n", newline)

    after = jsonc.put(text, ("a", "b"), OURS)

    assert said(after) == {"a": {"b": OURS}}
    assert after.startswith(text.rstrip())


def test_a_name_is_found_however_it_is_escaped() -> None:
    text = '{"mcp\\u0053ervers": {"\\u8bb0\\u5fc6": {"command": "old"}, "z": 1}}'

    after = jsonc.put(text, ("mcpServers", "记忆"), {"command": "new"})

    assert after == text.replace("old", "new")
    assert jsonc.drop(after, ("mcpServers", "记忆")) == '{"mcp\\u0053ervers": { "z": 1}}'


@pytest.mark.parametrize("comma", ["", ","])
def test_a_comment_stays_behind_what_it_was_written_behind(comma: str) -> None:
    text = f'{{\n\t"a": 1{comma} /* one */ // of mine\n\t// the end\n}}'

    after = jsonc.put(text, ("b",), 2)

    assert after == f'{{\n\t"a": 1, /* one */ // of mine\n\t"b": 2{comma}\n\t// the end\n}}'


def test_a_thousand_servers_are_no_matter() -> None:
    text = json.dumps({"mcpServers": {f"s{number}": OURS for number in range(1000)}}, indent=2)

    after = jsonc.put(text, ("mcpServers", "mem1"), OURS)

    assert jsonc.drop(after, ("mcpServers", "mem1")) == text


# --- TOML

ENTRY: dict[str, object] = {
    "command": "C:\\Program Files\\mem1-mcp.exe",
    "args": ["记忆", 'a "b"'],
    "env": {"MEM1_TOPIC_ID": "工作", "odd key": "x\ty"},
}
PIECES = [
    'model = "gpt-5"\napproval_policy = "never"\n',
    "# a word of mine\n# [mcp_servers.mem1] is what I want to try\n",
    '[mcp_servers.other] # theirs\ncommand = "npx"\nargs = [\n  "-y", # yes\n  "server]",\n]\n',
    '[mcp_servers.other2]\ncommand = "x"\n\n[mcp_servers.other2.env]\nA = "1"\n',
    '[mcp_servers.mem10]\ncommand = "no"\n',
    '[mcp_servers."mem1.x"]\ncommand = "no"\n',
    "[mcp_servers.'mem1 2']\nurl = 'https://a.b/#c'\n",
    '[projects."/home/li wei/项目"]\ntrust_level = "trusted"\n',
    '[text]\nnote = """\n[mcp_servers.mem2]\ncommand = "in a text"\n\n[also]\n"""\nnext = 1\n',
    "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = 'command'\ntimeout = 5\n",
    "[tui]\npoint = { x = 1, y = [2, 3] }\ndate = 2026-05-20T12:00:00Z\n",
]
MINE = [
    '[mcp_servers.mem1]\ncommand = "old"\n',
    '[ mcp_servers . "mem1" ] # mine\ncommand = "old"\nargs = [\n  "a",\n]\n',
    '[mcp_servers.mem1]\ncommand = "old"\n\n[mcp_servers.mem1.env]\nA = "1"\n',
    '[mcp_servers.mem1]\ncommand = "old"\nenv = { A = "1" }\n',
    '[mcp_servers.mem1.env]\nA = "1"\n\n[mcp_servers.mem1]\ncommand = "old"\n',
]
pieces = st.lists(st.sampled_from(PIECES), max_size=5, unique=True).map(
    lambda chosen: sorted(chosen, key=lambda piece: piece.startswith("["))
)
gaps = st.sampled_from(["", "\n", "\n\n"])
newline_kinds = st.sampled_from(["\n", "\r\n"])


def servers_of(text: str) -> dict[str, Any]:
    """Read the servers, and the rest below another name, by the standard library alone."""
    whole = tomllib.loads(text.replace("\r\n", "\n"))
    servers = whole.pop("mcp_servers", {})
    return {"mem1": servers.pop("mem1", None), "others": servers, "rest": whole}


@given(pieces, gaps, newline_kinds)
@example([], "", "\n")
@settings(max_examples=150)
def test_a_table_is_put_in_and_taken_out_without_a_trace(chosen: list[str], gap: str, newline: str) -> None:
    text = gap.join(chosen).replace("\n", newline)  # it ends a line, or is empty: else that end stays

    after = toml.put(text, "mcp_servers", "mem1", ENTRY)

    assert servers_of(after) == servers_of(text) | {"mem1": ENTRY}
    assert after.startswith(text)
    assert newlines(after) <= (newlines(text) or {"\n"})
    assert toml.drop(after, "mcp_servers", "mem1") == text


@given(pieces, pieces, st.sampled_from(MINE), newline_kinds)
@settings(max_examples=150)
def test_a_table_among_others_is_changed_at_its_place(
    before: list[str], behind: list[str], mine: str, newline: str
) -> None:
    behind = [piece for piece in behind if piece.startswith("[") and piece not in before]
    start = "".join(before).replace("\n", newline)
    end = newline + "\n".join(behind).replace("\n", newline)
    text = start + mine.replace("\n", newline) + end

    after = toml.put(text, "mcp_servers", "mem1", ENTRY)
    without = toml.drop(after, "mcp_servers", "mem1")

    assert servers_of(after) == servers_of(text) | {"mem1": ENTRY}
    assert after.startswith(start)
    assert after.endswith(end)
    assert servers_of(without) == servers_of(text) | {"mem1": None}
    assert newlines(without) <= {newline}


def test_what_has_no_last_line_end_gets_one() -> None:
    after = toml.put('model = "x"', "mcp_servers", "mem1", {"command": "y"})

    assert after == 'model = "x"\n\n[mcp_servers.mem1]\ncommand = "y"\n'


def test_lines_of_a_text_that_look_like_a_heading_are_left_alone() -> None:
    text = 'note = """\n[mcp_servers.mem1]\ncommand = "in a text"\n"""\n'

    after = toml.put(text, "mcp_servers", "mem1", ENTRY)

    assert after.startswith(text)
    assert servers_of(after)["mem1"] == ENTRY
    assert toml.drop(text, "mcp_servers", "mem1") == text


@pytest.mark.parametrize(
    "text",
    [
        'mcp_servers = { mem1 = { command = "x" } }\n',
        '[mcp_servers]\nmem1 = { command = "x" }\n',
        'mcp_servers.mem1.command = "x"\n',
        "[mcp_servers.'mem1']\ncommand = \"x\"\n",
        '[mcp_servers.mem1]\ncommand = "x"\n\n# a word\nargs = ["y"]\n',
        'note = """\n[mcp_servers.mem1]\n"""\n[mcp_servers.mem1]\ncommand = "x"\n',
    ],
)
def test_a_table_that_is_written_otherwise_is_refused(text: str) -> None:
    asked: list[Callable[[], object]] = [
        lambda: toml.put(text, "mcp_servers", "mem1", ENTRY),
        lambda: toml.drop(text, "mcp_servers", "mem1"),
    ]
    for ask in asked:
        with pytest.raises(
            InvalidRequestError, match=r"mcp_servers\.mem1 stands there in a way that can't"
        ):
            ask()


def test_other_servers_in_one_line_can_not_be_added_to() -> None:
    with pytest.raises(InvalidRequestError, match=r"can't be changed safely"):
        toml.put('mcp_servers = { other = { command = "x" } }\n', "mcp_servers", "mem1", ENTRY)


def test_a_name_that_is_no_table_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="mcp_servers is no table"):
        toml.put("mcp_servers = 5\n", "mcp_servers", "mem1", ENTRY)


def test_broken_toml_is_refused_with_its_line() -> None:
    for ask in (
        toml.read,
        lambda text: toml.put(text, "a", "b", {}),
        lambda text: toml.drop(text, "a", "b"),
    ):
        with pytest.raises(InvalidRequestError, match=r"it is no TOML \(.*line 2"):
            ask('a = 1\nb = "\n')


# --- files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "CLAUDE.md"


def part(file: Path, words: str = "mem1") -> RulesPart:
    return RulesPart(file, block(words, hooks=False))


def planned(file: Path, words: str = "mem1") -> changes.Change:
    return changes.plan(file, [part(file, words)], [part(file, words)])


def kept(file: Path) -> Path:
    return file.with_name(file.name + ".before-mem1")


def written(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_plan_changes_nothing_until_it_is_made(file: Path) -> None:
    planned(file)

    assert not file.parent.exists()


def test_a_file_and_its_folder_are_made_and_the_file_is_removed_again(file: Path) -> None:
    planned(file).make()
    assert file.read_text(encoding="utf-8") == block("mem1", hooks=False)
    assert not kept(file).exists()

    changes.undo(file, [part(file)]).make()

    assert not file.exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"mine", b"mine\n", b"mine\r\n\r\n", "我的\n".encode()])
def test_a_file_comes_back_byte_for_byte(file: Path, content: bytes) -> None:
    written(file, content)
    planned(file).make()
    planned(file, "renewed").make()

    changes.undo(file, [part(file)]).make()

    assert file.read_bytes() == content
    assert [*file.parent.iterdir()] == [file]


def test_only_the_first_state_is_kept(file: Path) -> None:
    written(file, b"first\n")
    planned(file).make()
    file.write_bytes(file.read_bytes() + b"a word of somebody\n")

    planned(file, "renewed").make()

    assert kept(file).read_bytes() == b"first\n"


def test_what_somebody_added_meanwhile_stays(file: Path) -> None:
    written(file, b"first\n")
    planned(file).make()
    file.write_bytes(file.read_bytes() + b"\nsecond\n")

    changes.undo(file, [part(file)]).make()

    assert file.read_bytes() == b"first\n\nsecond\n"


def test_a_file_that_another_program_changes_meanwhile_is_left_to_it(file: Path) -> None:
    change = planned(written(file, b"first\n"))
    file.write_bytes(b"second\n")

    with pytest.raises(InvalidRequestError, match="changed by another program just now") as caught:
        change.make()

    assert str(file) in str(caught.value)
    assert "Run this again" in str(caught.value)
    assert file.read_bytes() == b"second\n"
    assert [*file.parent.iterdir()] == [file]


def test_a_file_that_appears_meanwhile_is_left(file: Path) -> None:
    change = planned(file)
    written(file, b"second\n")

    with pytest.raises(InvalidRequestError, match="another program"):
        change.make()

    assert file.read_bytes() == b"second\n"


def test_an_entry_that_a_person_pasted_before_is_taken_out_as_well(file: Path) -> None:
    written(file, b"mine\n\n" + block("pasted", hooks=False).encode())
    planned(file).make()

    changes.undo(file, [part(file)]).make()

    assert file.read_bytes() == b"mine\n"


@pytest.mark.parametrize("content", [b"first\n", None], ids=["", "of nothing"])
def test_a_link_stays_a_link(file: Path, tmp_path: Path, content: bytes | None) -> None:
    real = tmp_path / "dotfiles" / "claude.md"
    real.parent.mkdir()
    if content is not None:
        real.write_bytes(content)
    file.parent.mkdir()
    file.symlink_to(real)

    planned(file).make()
    assert file.is_symlink()
    assert "mem1" in real.read_text(encoding="utf-8")

    changes.undo(file, [part(file)]).make()
    assert file.is_symlink()
    assert (real.read_bytes() if real.exists() else None) == content


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_who_may_read_a_file_stays_as_it_was(file: Path, mode: int) -> None:
    written(file, b"first\n").chmod(mode)

    planned(file).make()

    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert stat.S_IMODE(kept(file).stat().st_mode) & 0o077 == 0


def test_nothing_is_written_where_nothing_changes(file: Path) -> None:
    planned(file).make()
    before = file.stat()

    change = planned(file)
    change.make()

    assert change.is_none
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030"])
def test_another_encoding_is_refused(file: Path, encoding: str) -> None:
    content = "记忆\n".encode(encoding)
    written(file, content)

    asked: list[Callable[[], object]] = [lambda: planned(file), lambda: changes.undo(file, [part(file)])]
    for ask in asked:
        with pytest.raises(InvalidRequestError, match=r"is not written in UTF-8.*--print") as caught:
            ask()
        assert str(file) in str(caught.value)
    assert file.read_bytes() == content


def test_a_folder_in_its_place_is_named_with_the_cure(file: Path) -> None:
    file.mkdir(parents=True)

    with pytest.raises(InvalidRequestError, match=r"can't be read.*--print") as caught:
        planned(file)

    assert str(file) in str(caught.value)


def test_a_file_in_place_of_its_folder_is_named_with_the_cure(file: Path) -> None:
    written(file.parent.with_name("other"), b"").rename(file.parent)

    with pytest.raises(InvalidRequestError, match=r"can't be.*--print") as caught:
        planned(file).make()

    assert str(file) in str(caught.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read and write all")
@pytest.mark.parametrize(("mode", "words"), [(0o500, "can't be written"), (0o000, "can't be read")])
def test_a_folder_without_rights_is_named_with_the_cure(file: Path, mode: int, words: str) -> None:
    written(file, b"first\n").parent.chmod(mode)

    try:
        with pytest.raises(InvalidRequestError, match=f"{words}.*--print") as caught:
            planned(file).make()
    finally:
        file.parent.chmod(0o700)

    assert str(file) in str(caught.value)
    assert file.read_bytes() == b"first\n"
    assert [*file.parent.iterdir()] == [file]


def test_a_disk_that_takes_no_more_leaves_the_file_and_no_other() -> None:
    full = Path("/proc/self/fd/CLAUDE.md")
    if not full.parent.is_dir():
        pytest.skip("this system has no folder that takes no file")

    with pytest.raises(InvalidRequestError, match=r"can't be written.*--print"):
        planned(full).make()


def test_lines_without_their_end_are_refused_for_what_stands_below_them(file: Path) -> None:
    text = block("mem1", hooks=False).replace("<!-- mem1-mcp: end -->", "") + "my own lines\n"
    written(file, text.encode())

    asked: list[Callable[[], object]] = [lambda: planned(file), lambda: changes.undo(file, [part(file)])]
    for ask in asked:
        with pytest.raises(InvalidRequestError, match=r"<!-- mem1-mcp: end --> is missing.*Mend the file"):
            ask()


def test_a_diff_shows_the_change_and_two_lines_around_it(file: Path) -> None:
    written(file, b"".join(b"%d\n" % number for number in range(9)))

    shown = planned(file).diff().splitlines()

    assert shown[:2] == [f"--- {file}", f"+++ {file}"]
    assert [line for line in shown if line[:1] == " "] == [" 7", " 8"]
    assert "+## Memory" in shown
