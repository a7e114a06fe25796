"""Templates: which sections a profile has, and what to look for in a line of business.

A template is a TOML file, one of the built-in four or a person's own. It carries its text, which a
store keeps: every process that opens it sorts items alike, whether or not it can read the file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mem1_mcp.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

BUILT_IN = ("general", "public_opinion", "ecommerce", "medical")
ALIASES = {
    "通用": "general",
    "舆情": "public_opinion",
    "yuqing": "public_opinion",
    "电商": "ecommerce",
    "医疗": "medical",
}
MAX_BYTES = 64 * 1024
MAX_SECTIONS = 16
MAX_TITLE = 64
MAX_TEXT = 600

_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ROLES = ("", "todo", "clarify")
_JOINERS = "\u200c\u200d"  # part of Persian words and of many emoji
_TOLD = 8  # problems of one file


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the profile. ``lasting`` ones hold what stays true for long, the others what passes.

    The hints tell a language model what belongs here. ``role`` marks the section of to-dos and that
    of what the user has yet to settle. ``also`` are keys of other templates' sections: their items
    come here when this template takes over.
    """

    key: str
    title_en: str
    title_zh: str
    lasting: bool
    hint_en: str = ""
    hint_zh: str = ""
    role: Literal["", "todo", "clarify"] = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """The sections of a profile in their order. ``parse`` makes it again from its ``text``.

    The focus tells a language model what to look for in what the user says.
    """

    name: str
    title_en: str
    title_zh: str
    sections: tuple[Section, ...]
    focus_en: str
    focus_zh: str
    text: str

    @property
    def default(self) -> Section:
        """The section of items whose own is unknown: the first that is lasting."""
        return next(section for section in self.sections if section.lasting)

    @property
    def clarify(self) -> Section:
        """The section of what the user has yet to settle."""
        return next(section for section in self.sections if section.role == "clarify")

    @property
    def todo(self) -> Section | None:
        """The section of to-dos; ``None`` in a template that has none."""
        return next((section for section in self.sections if section.role == "todo"), None)

    def named(self, name: str) -> Section | None:
        """Find a section by its key or its title in either language, in capitals or not."""
        folded = name.strip().casefold()
        return next((section for section in self.sections if folded in _names(section)), None)

    def section_of(self, key: str) -> Section:
        """Return the section of an item with this key: its own, else what takes it, else the default."""
        for section in self.sections:
            if section.key == key:
                return section
        return next((section for section in self.sections if key in section.also), self.default)


def load(name_or_path: str) -> Template:
    """Read a built-in template by its name, or a person's own by the path of its file.

    Raises:
        SettingsError: there is none of that name, or the file can't be used; the text says the cure.

    """
    given = name_or_path.strip()
    if re.search(r"[/\\]|^~|\.toml$", given, re.IGNORECASE):
        where, text = _read(given)
        template = parse(text, where)
        if _built_in_name(template.name):
            raise _refused(where, [f"name: {template.name!r} is a built-in template's; choose another"])
        return template
    if name := _built_in_name(given):
        return _built_in(name)
    near = difflib.get_close_matches(given[:MAX_TITLE].casefold(), (*BUILT_IN, *ALIASES), n=1)
    raise SettingsError(
        f"There is no built-in template {given[:MAX_TITLE]!r}{_meant(near)}. Give one of "
        f"{', '.join(BUILT_IN)}, or the path of a file of your own, such as ~/my-template.toml."
    )


def parse(text: str, where: str) -> Template:
    """Read a template from its TOML text; ``where`` it comes from is for the words of an error.

    Raises:
        SettingsError: it can't be used; the text names the line, or the sections and fields, and the cure.

    """
    text = text.removeprefix("\ufeff")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Not only TOMLDecodeError: a number of 5000 digits is a plain ValueError.
        wrong = "nested too deeply" if isinstance(error, RecursionError) else str(error).partition(";")[0]
        cure = "texts stand in quotes, and each section begins with [[sections]]"
        raise _refused(where, [f"it is not TOML: {wrong}; {cure}"]) from None
    problems: list[str] = []
    values = _checked(table, "", problems)
    sections = []
    for number, each in enumerate(values.get("sections", ()), 1):
        found = _checked(each, _place(number, each.get("key")), problems)
        if not problems:
            sections.append(Section(**found))
    problems = problems or [*_wrong_names(sections), *_wrong_also(sections), *_wrong_roles(sections)]
    if problems:
        raise _refused(where, problems)
    return Template(**(values | {"sections": tuple(sections), "text": text}))


@lru_cache(maxsize=len(BUILT_IN))
def _built_in(name: str) -> Template:
    file = files("mem1_mcp.memory.profile") / "templates" / f"{name}.toml"
    return parse(file.read_text(encoding="utf-8"), f"{name} (built in)")


def _built_in_name(name: str) -> str | None:
    folded = name.casefold()
    return ALIASES.get(folded) or (folded if folded in BUILT_IN else None)


def _read(given: str) -> tuple[str, str]:
    """Return the whole path of a file and its text."""
    path = Path(given)
    with suppress(RuntimeError):  # a home folder that can't be found: then the path isn't absolute
        path = path.expanduser()
    where = str(path)
    if not path.is_absolute():
        why = f"give its whole path, such as {str(path.absolute())!r}"
        raise _refused(where, [f"hosts start servers in folders of their own; {why}"])
    try:
        if not path.is_file():  # asked first: opening a pipe would wait for ever
            raise _refused(where, ["there is no such file; check the path"])
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(where, [f"it can't be read ({error.strerror}); check its rights"]) from None
    if len(content) > MAX_BYTES:
        raise _refused(where, [f"it has more than {MAX_BYTES} bytes; a template is a page or two"])
    try:
        return where, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(where, [f"line {line} is not UTF-8; save the file as UTF-8"]) from None


def _refused(where: str, problems: Sequence[str]) -> SettingsError:
    more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
    return SettingsError(f"Check the template {where}. {'; '.join(problems[:_TOLD])}{more}.")


def _place(number: int, key: object) -> str:
    known = isinstance(key, str) and _KEY.fullmatch(key)
    return f"section {number} ({key}), " if known else f"section {number}, "


def _meant(near: Sequence[str]) -> str:
    return f" (did you mean {near[0]}?)" if near else ""


def _names(section: Section) -> tuple[str, ...]:
    return tuple(name.casefold() for name in (section.key, section.title_en, section.title_zh))


def _checked(table: Mapping[str, object], place: str, problems: list[str]) -> dict[str, Any]:
    """Return the values of the template's own table, or of one section's; add what is wrong."""
    fields, others = (SECTION_FIELDS, TEMPLATE_FIELDS) if place else (TEMPLATE_FIELDS, SECTION_FIELDS)
    for name in table:
        if name in fields:
            continue
        cure = _meant(difflib.get_close_matches(name[:MAX_TITLE], fields, n=1))
        if name in others:
            cure = f"; put it {'above the first' if place else 'below a'} [[sections]]"
        problems.append(f"{place}{name[:MAX_TITLE]!r}: there is no such field{cure or '; leave it out'}")
    values = {}
    for name, field in fields.items():
        if name in table:
            try:
                values[name] = field.check(table[name])
            except SettingsError as error:
                problems.append(f"{place}{name}: {error}")
        elif field.needed:
            problems.append(f"{place}{name}: is missing; add it, such as {field.example}")
    # What is written in one language only serves both: a model reads either.
    for one, other in (("en", "zh"), ("zh", "en")):
        kind = "hint" if place else "focus"
        values.setdefault(f"{kind}_{one}", values.get(f"{kind}_{other}", ""))
    return values


def _wrong_names(sections: Sequence[Section]) -> Iterator[str]:
    taken: dict[str, int] = {}
    for number, section in enumerate(sections, 1):
        for field, name in zip(("key", "title_en", "title_zh"), _names(section), strict=True):
            if (first := taken.setdefault(name, number)) != number:
                place = _place(number, section.key)
                yield f"{place}{field}: {name!r} is a name of section {first} too; choose another"


def _wrong_also(sections: Sequence[Section]) -> Iterator[str]:
    taken = {section.key: number for number, section in enumerate(sections, 1)}
    for number, section in enumerate(sections, 1):
        for key in section.also:
            if (first := taken.setdefault(key, number)) != number or section.also.count(key) > 1:
                place = _place(number, section.key)
                yield f"{place}also: {key!r} is taken by section {first} already; leave it out"
                break


def _wrong_roles(sections: Sequence[Section]) -> Iterator[str]:
    for role in ("clarify", "todo"):
        having = [number for number, section in enumerate(sections, 1) if section.role == role]
        if role == "clarify" and not having:
            yield 'role: no section has role = "clarify"; add it to that of what the user has yet to settle'
        if len(having) > 1:
            yield f'role: sections {" and ".join(map(str, having))} have role = "{role}"; leave it in one'
    for number, section in enumerate(sections, 1):
        if section.role and section.lasting:
            yield f'{_place(number, section.key)}lasting: must be false where role = "{section.role}"'
    if not any(section.lasting for section in sections):
        yield "lasting: no section has lasting = true; give it to one, where what fits nowhere else goes"


def _text(value: object, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise SettingsError("must be a text in quotes")
    text = " ".join(value.split())  # so that no text of a template can end its line in a prompt
    if not 1 <= len(text) <= most:
        raise SettingsError(f"has {len(text)} characters; write 1 to {most}")
    for character in text:
        if not (character.isprintable() or character in _JOINERS):
            raise SettingsError(f"holds the invisible character U+{ord(character):04X}; leave it out")
    return text


def _title(value: object) -> str:
    return _text(value, MAX_TITLE)


def _key(value: object) -> str:
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise SettingsError("must be small letters a-z, digits and _, a letter first, 32 in all at most")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError("must be true or false, without quotes")
    return value


def _role(value: object) -> str:
    if value not in _ROLES:
        raise SettingsError('must be "todo" or "clarify"; leave it out for another section')
    return str(value)


def _keys(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SettingsError('must be a list of keys, such as ["events", "visits"]')
    return tuple(map(_key, value))


def _tables(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise SettingsError("must be tables; begin each section with [[sections]], in double brackets")
    if not 1 <= len(value) <= MAX_SECTIONS:
        raise SettingsError(f"there are {len(value)}; write 1 to {MAX_SECTIONS}")
    return value


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a template's file: what makes its value or says what is wrong, and an example."""

    check: Callable[[object], object]
    example: str
    needed: bool = True


TEMPLATE_FIELDS = {
    "name": Field(_title, '"my_template"'),
    "title_en": Field(_title, '"Rented flats"'),
    "title_zh": Field(_title, '"房屋出租"'),
    "focus_en": Field(_text, '"Note rents with their dates."', needed=False),
    "focus_zh": Field(_text, '"租金要连同日期记下。"', needed=False),
    "sections": Field(_tables, "[[sections]] and the fields of a section below it"),
}
SECTION_FIELDS = {
    "key": Field(_key, '"flats"'),
    "title_en": Field(_title, '"Flats"'),
    "title_zh": Field(_title, '"房源"'),
    "lasting": Field(_flag, "true"),
    "hint_en": Field(_text, '"Each flat with its address and rent."', needed=False),
    "hint_zh": Field(_text, '"每套房源及其地址、租金。"', needed=False),
    "role": Field(_role, '"todo"', needed=False),
    "also": Field(_keys, '["shop", "goods"]', needed=False),
}
GENERAL = load("general")
