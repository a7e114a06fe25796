"""A template says which sections a profile has; one that can't be used is told with the cure."""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mem1_mcp.errors import SettingsError
from mem1_mcp.memory.profile.template import (
    ALIASES,
    BUILT_IN,
    GENERAL,
    MAX_BYTES,
    MAX_SECTIONS,
    MAX_TEXT,
    MAX_TITLE,
    SECTION_FIELDS,
    TEMPLATE_FIELDS,
    Section,
    Template,
    load,
    parse,
)

PAGE = (Path(__file__).parent.parent / "docs" / "templates.md").read_text(encoding="utf-8")
KEYS = {section.key for name in BUILT_IN for section in load(name).sections}
CHINESE = re.compile("[\u3400-\u9fff]")

HEAD = 'name = "mine"\ntitle_en = "Mine"\ntitle_zh = "我的"\n'
BASIC = '[[sections]]\nkey = "basic"\ntitle_en = "Basics"\ntitle_zh = "基本"\nlasting = true\n'
OPEN = (
    '[[sections]]\nkey = "open"\ntitle_en = "Open"\ntitle_zh = "待定"\nlasting = false\nrole = "clarify"\n'
)
WHOLE = HEAD + BASIC + OPEN

WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    "not TOML": (HEAD + "key: basic\n", ("not TOML", "at line 4", "[[sections]]")),
    "text without quotes": (WHOLE.replace('"Mine"', "Mine"), ("not TOML", "at line 2", "in quotes")),
    "nested without end": ("a = " + "[" * 20_000, ("not TOML", "nested too deeply")),
    "a number without end": ("a = " + "9" * 5_000, ("not TOML",)),
    "nothing": ("", ("name: is missing", "sections: is missing", "add it, such as [[sections]]")),
    "no title": (
        WHOLE.replace('title_en = "Open"\n', ""),
        ("section 2 (open), title_en: is missing", 'such as "'),
    ),
    "empty title": (
        WHOLE.replace('"待定"', '" "'),
        ("section 2 (open), title_zh: has 0 characters", "1 to 64"),
    ),
    "long title": (
        WHOLE.replace("Basics", "B" * 65),
        ("section 1 (basic), title_en: has 65 characters", "1 to 64"),
    ),
    "long name": (WHOLE.replace("mine", "m" * 65), (" name: has 65 characters", "1 to 64")),
    "long hint": (
        f'{WHOLE}hint_zh = "{"长" * 601}"\n',
        ("section 2 (open), hint_zh: has 601 characters", "1 to 600"),
    ),
    "long focus": (
        f'focus_en = "{"f" * 601}"\n{WHOLE}',
        (" focus_en: has 601 characters", "1 to 600"),
    ),
    "number for a title": (
        WHOLE.replace('"Open"', "7"),
        ("section 2 (open), title_en: must be a text in quotes",),
    ),
    "hidden character": (
        WHOLE.replace("Open", "Open\\u202e"),
        ("section 2 (open), title_en: holds the invisible character U+202E", "leave it out"),
    ),
    "misspelt field": (
        f'{WHOLE}hintzh = "x"\n',
        ("section 2 (open), 'hintzh': there is no such field", "did you mean hint_zh?"),
    ),
    "strange field": (
        f"{WHOLE}price = 3\n",
        ("section 2 (open), 'price': there is no such field", "leave it out"),
    ),
    "section for sections": (WHOLE.replace("[[sections]]", "[[section]]"), ("did you mean sections?",)),
    "focus too low": (
        f'{WHOLE}focus_zh = "x"\n',
        ("section 2 (open), 'focus_zh'", "put it above the first [[sections]]"),
    ),
    "hint too high": (f'hint_zh = "x"\n{WHOLE}', ("'hint_zh'", "put it below a [[sections]]")),
    "single brackets": (
        HEAD + BASIC.replace("[[sections]]", "[sections]"),
        ("sections: must be tables", "[["),
    ),
    "endless dotted key": (HEAD + "sections" + ".a" * 2_000 + " = 1\n", ("sections: must be tables",)),
    "key with a space": (
        WHOLE.replace('"open"', '"open things"'),
        ("section 2, key: must be small letters",),
    ),
    "capital key": (WHOLE.replace('"open"', '"Open"'), ("section 2, key: must be small letters",)),
    "Chinese key": (WHOLE.replace('"open"', '"待定"'), ("section 2, key: must be small letters",)),
    "long key": (
        WHOLE.replace('"open"', f'"{"o" * 33}"'),
        ("section 2, key: must be", "32 in all at most"),
    ),
    "same key": (
        WHOLE.replace('"open"', '"basic"'),
        ("section 2 (basic), key: 'basic' is a name of section 1 too", "choose another"),
    ),
    "same title": (
        WHOLE.replace('"Open"', '"BASICS"'),
        ("section 2 (open), title_en: 'basics' is a name of section 1 too", "choose another"),
    ),
    "lasting in quotes": (
        WHOLE.replace("lasting = true", 'lasting = "true"'),
        ("section 1 (basic), lasting: must be true or false, without quotes",),
    ),
    "lasting a number": (
        WHOLE.replace("lasting = true", "lasting = 1"),
        ("section 1 (basic), lasting: must be true or false",),
    ),
    "unknown role": (
        WHOLE.replace('"clarify"', '"question"'),
        ("section 2 (open), role: must be", '"todo" or "clarify"', "leave it out"),
    ),
    "role of a list": (WHOLE.replace('"clarify"', "[1]"), ("section 2 (open), role: must be",)),
    "nothing to clarify": (
        WHOLE.replace('role = "clarify"', ""),
        ('role: no section has role = "clarify"', "add it"),
    ),
    "two to clarify": (
        WHOLE + OPEN.replace("open", "more").replace("Open", "More").replace("待定", "更多"),
        ('role: sections 2 and 3 have role = "clarify"', "leave it in one"),
    ),
    "lasting questions": (
        WHOLE.replace("lasting = false", "lasting = true"),
        ('section 2 (open), lasting: must be false where role = "clarify"',),
    ),
    "nothing lasting": (
        WHOLE.replace("lasting = true", "lasting = false"),
        ("lasting: no section has lasting = true",),
    ),
    "also no list": (f'{WHOLE}also = "events"\n', ("section 2 (open), also: must be a list of keys",)),
    "also its own": (
        f'{WHOLE}also = ["basic"]\n',
        ("section 2 (open), also: 'basic' is taken by section 1", "leave it out"),
    ),
    "also twice": (
        HEAD + BASIC + 'also = ["events"]\n' + OPEN + 'also = ["events"]\n',
        ("section 2 (open), also: 'events' is taken by section 1", "leave it out"),
    ),
    "no sections": (f"{HEAD}sections = []\n", ("sections: there are 0; write 1 to 16",)),
    "too many sections": (HEAD + BASIC * 17, ("sections: there are 17; write 1 to 16",)),
}


def wrong(text: str) -> str:
    with pytest.raises(SettingsError) as refused:
        parse(text, "/home/ming/mine.toml")
    return str(refused.value)


def unloadable(name_or_path: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(name_or_path)
    return str(refused.value)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the page's table that starts with this heading."""
    lines = PAGE.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("built_in", BUILT_IN)
def test_a_built_in_template_speaks_both_languages(built_in: str) -> None:
    template = load(built_in)

    assert template.name == built_in
    everything: list[Template | Section] = [template, *template.sections]
    for said in everything:
        names = [field.name for field in fields(said) if field.name.endswith(("_en", "_zh"))]
        assert len(names) == 4
        for name in names:
            text = getattr(said, name)
            assert text
            assert bool(CHINESE.search(text)) == name.endswith("_zh")


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_template_has_a_place_for_questions_for_to_dos_and_for_all_else(name: str) -> None:
    template = load(name)

    assert [each.role for each in template.sections].count("clarify") == 1
    assert template.clarify.key == "clarify"
    assert template.todo is not None
    assert template.todo.key == "todo"
    assert template.default.key == "basic"


@pytest.mark.parametrize(("old", "new"), tuple(permutations(BUILT_IN, 2)))
def test_items_of_any_built_in_template_have_their_place_in_any_other(old: str, new: str) -> None:
    template = load(new)

    for section in load(old).sections:
        placed = template.section_of(section.key)
        assert placed in template.sections
        assert section.key in (placed.key, *placed.also), "by chance only"
        assert placed.role == section.role


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_template_takes_over_only_keys_there_are(name: str) -> None:
    assert {key for section in load(name).sections for key in section.also} <= KEYS


def test_the_general_template_has_the_sections_of_old() -> None:
    assert load("general") is GENERAL
    assert [(each.key, each.title_en, each.title_zh, each.lasting) for each in GENERAL.sections] == [
        ("basic", "Basic information", "基本信息", True),
        ("preferences", "Preferences", "偏好习惯", True),
        ("timeline", "Timeline", "任务时间线", False),
        ("todo", "To-do", "待办事项", False),
        ("routines", "Routines", "周期任务", True),
        ("clarify", "To be clarified", "待澄清事项", False),
        ("feedback", "Feedback", "用户反馈", True),
        ("cautions", "Cautions", "注意事项", True),
    ]


@pytest.mark.parametrize(
    ("alias", "name"), [*ALIASES.items(), (" Medical ", "medical"), ("YuQing", "public_opinion")]
)
def test_a_built_in_template_has_other_names(alias: str, name: str) -> None:
    assert load(alias) is load(name)


@pytest.mark.parametrize("text", [*(load(name).text for name in BUILT_IN), WHOLE], ids=[*BUILT_IN, "own"])
def test_a_template_is_made_again_from_its_text(text: str) -> None:
    template = parse(text, "here")

    assert template.text == text
    assert parse(template.text, "there") == template


@pytest.mark.parametrize("name", ["medicines", " Medicines", "MEDICINES ", "用药"])
def test_a_section_is_found_by_key_and_title_in_either_language(name: str) -> None:
    found = load("medical").named(name)

    assert found is not None
    assert found.key == "medicines"
    assert GENERAL.named(name) is None


def test_an_item_stands_in_its_own_section_or_where_that_is_taken_over_or_in_the_default() -> None:
    template = parse(WHOLE + 'also = ["riddles"]\n', "here")

    assert template.section_of("open").key == "open"
    assert template.section_of("riddles").key == "open"
    assert template.section_of("no such key").key == "basic"


def test_a_template_needs_no_to_dos_hints_or_focus() -> None:
    template = parse(WHOLE, "here")

    assert template.todo is None
    assert (template.focus_en, template.focus_zh) == ("", "")
    assert template.sections == (
        Section("basic", "Basics", "基本", lasting=True),
        Section("open", "Open", "待定", lasting=False, role="clarify"),
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_written_for_a_model_in_one_language_serves_both(language: str) -> None:
    template = parse(f'focus_{language} = "rents"\n{WHOLE}hint_{language} = "riddles"\n', "here")

    assert (template.focus_en, template.focus_zh) == ("rents", "rents")
    assert (template.clarify.hint_en, template.clarify.hint_zh) == ("riddles", "riddles")


def test_no_text_of_a_template_has_a_second_line() -> None:
    template = parse(WHOLE + 'hint_en = """\n  one\n  # two\u3000three\n"""\n', "here")

    assert template.clarify.hint_en == "one # two three"


def test_texts_and_sections_may_be_as_large_as_it_is_said() -> None:
    more = "".join(
        BASIC.replace("basic", f"k{n}").replace("Basics", f"T{n}").replace("基本", f"题{n}")
        for n in range(MAX_SECTIONS - 2)
    )
    text = WHOLE.replace("Mine", "M" * MAX_TITLE) + f'hint_en = "{"h" * MAX_TEXT}"\n' + more

    assert len(parse(text, "here").sections) == MAX_SECTIONS


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_a_file_that_can_not_be_used_is_told_with_its_place_and_the_cure(
    text: str, words: tuple[str, ...]
) -> None:
    told = wrong(text)

    assert told.startswith("Check the template /home/ming/mine.toml. ")
    for each in words:
        assert each in told


def test_all_that_is_wrong_is_told_at_once_but_not_without_end() -> None:
    two = wrong(WHOLE.replace("true", "1").replace('"Open"', "2"))
    many = wrong(HEAD + "[[sections]]\n" * MAX_SECTIONS)

    assert "section 1 (basic), lasting: " in two
    assert "section 2 (open), title_en: " in two
    assert "; and 56 more." in many
    assert len(wrong("".join(f"{'x' * 500}{n} = 1\n" for n in range(100)))) < 1500


def test_ones_own_template_is_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())

    template = load(str(file))

    assert load("~/mine.toml") == template
    assert template.title_zh == "我的"
    assert parse(template.text, "the store") == template


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    told = unloadable("e-commerce")

    assert "did you mean ecommerce?" in told
    assert "general, public_opinion, ecommerce, medical" in told
    assert "~/my-template.toml" in told


@pytest.mark.parametrize("path", ["mine.toml", "./mine.toml", "~no-such-user/mine.toml", "folder\\mine"])
def test_a_path_must_be_whole(path: str) -> None:
    told = unloadable(path)

    assert "hosts start servers in folders of their own" in told
    assert str(Path(path).absolute()) in told.replace("\\\\", "\\")


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    assert "there is no such file; check the path" in unloadable(str(tmp_path / "none.toml"))
    assert "there is no such file" in unloadable(str(tmp_path))
    assert "there is no such file" in unloadable(f"{tmp_path}/a\0b.toml")


def test_a_file_that_can_not_be_read_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    (file := tmp_path / "mine.toml").touch()
    monkeypatch.setattr(Path, "open", denied)

    assert "it can't be read (Permission denied); check its rights" in unloadable(str(file))


def test_a_file_that_is_too_long_or_not_utf_8_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"

    file.write_bytes(WHOLE.encode() + b"#" * MAX_BYTES)
    assert "more than 65536 bytes" in unloadable(str(file))

    file.write_bytes(WHOLE.encode("gb18030"))
    assert "line 3 is not UTF-8; save the file as UTF-8" in unloadable(str(file))


@pytest.mark.parametrize("name", ["general", "Medical", "舆情"])
def test_ones_own_template_can_not_pass_for_a_built_in_one(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(WHOLE.replace("mine", name), encoding="utf-8")

    assert f"name: '{name}' is a built-in template's; choose another" in unloadable(str(file))


def test_the_example_of_the_page_is_a_template() -> None:
    block = re.search(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)

    assert block is not None
    template = parse(block[1], "docs/templates.md")
    assert template.todo is not None
    assert {template.section_of(key).key for key in ("basic", "todo", "clarify", "customers")} == {
        section.key for section in template.sections
    }


def test_the_page_lists_every_field_and_whether_it_is_needed() -> None:
    for heading, known, made in (
        ("| field of the template |", TEMPLATE_FIELDS, Template),
        ("| field of a section |", SECTION_FIELDS, Section),
    ):
        expected = [[f"`{name}`", "yes" if field.needed else "no"] for name, field in known.items()]

        assert [row[:2] for row in rows(heading)] == expected
        assert set(known) == {field.name for field in fields(made)} - {"text"}


def test_the_page_lists_every_built_in_template_with_its_other_names() -> None:
    names = {name for row in rows("| name | for |") for name in re.findall(r"`(.+?)`", row[0])}

    assert names | {"通用"} == {*BUILT_IN, *ALIASES}


SIGNS = """[[sections]]
|[sections]
|
| = |"|'''|[|]|{|}|.|é|\\u0000|1e9|true|1979-99-99|#|\r|\0|\ufeff""".split("|")
PIECES = st.sampled_from([*SIGNS, HEAD, BASIC, OPEN, *TEMPLATE_FIELDS, *SECTION_FIELDS])


@given(st.text() | st.lists(PIECES, max_size=30).map("".join))
@example(WHOLE)
@example("a" + ".b" * 2_000 + "=1")
def test_a_text_makes_a_template_or_is_refused(text: str) -> None:
    try:
        template = parse(text, "here")
    except SettingsError:
        return

    assert template.default in template.sections
    assert template.clarify in template.sections
    assert parse(template.text, "there") == template
