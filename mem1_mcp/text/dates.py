"""Times that a search query names, in Chinese and English: 上周三, "in May 2023", "3 days ago".

A rule is a pattern and a function that reads its matches. Rules run from the most specific to the
least, and what one has matched is blanked out for those after it: the 5月 of 5月2号 is no month of
its own, and the impossible 2月30日 is nothing at all. Where Chinese words run together (一周三次,
晚上周围), lookarounds keep a rule from cutting them in the wrong place.

Patterns repeat nothing without bound, so a query costs time in proportion to its length.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain


@dataclass(frozen=True, slots=True)
class NamedDays:
    """Days a query names, both ends inclusive.

    ``every_year`` when the query gave no year (5月2号, "May 2"): these are then the most recent
    such days that have come, and the same days of other years count too, the nearest first.
    """

    first: date
    last: date
    every_year: bool = False


@dataclass(frozen=True, slots=True)
class NamedTimes:
    """What a query names, in the order of its words and each once.

    Months and years are too wide to be days: they are ``words``, spelt as `date_words` does. ``rest``
    is the query without the Chinese characters of its times: the 月 and 日 of 5月2日 are in any date.
    """

    days: tuple[NamedDays, ...] = ()
    words: tuple[str, ...] = ()
    rest: str = field(default="", compare=False)


def named_times(query: str, today: date) -> NamedTimes:
    """Find the times in ``query`` as somebody means them who asks on ``today``; never raises."""
    if not _MAYBE.search(query):
        return NamedTimes(rest=query)
    # Not NFKC: normalising 20,000 combining marks takes a third of a second.
    text = said = " ".join(query.translate(_FOLDED).split())
    found: list[tuple[int, _Times]] = []
    for pattern, read in _ENGLISH if text.isascii() else _CHINESE + _ENGLISH:
        matches = list(pattern.finditer(text))
        for match in matches:
            with suppress(ValueError, OverflowError):  # no such day, or beyond the calendar
                found.append((match.start(), read(match, today)))
        if matches:
            text = pattern.sub(lambda match: "\0" * len(match[0]), text)
    found.sort(key=lambda place: place[0])
    times = dict.fromkeys(chain.from_iterable(read for _, read in found))
    return NamedTimes(
        days=tuple(time for time in times if isinstance(time, NamedDays)),
        words=tuple(time for time in times if isinstance(time, str)),
        rest="".join(
            " " if left == "\0" and not was.isascii() else was for left, was in zip(text, said, strict=True)
        ),
    )


def date_words(day: date) -> tuple[str, str, str]:
    """Write the stretches of time a day lies in: its year, its month, that month of any year."""
    return f"@{day.year}", f"@{day.year}-{day.month}", f"@m{day.month}"


def days_in_years(named: NamedDays, years: Iterable[int]) -> tuple[tuple[date, date], ...]:
    """First and last day of ``named`` in each of ``years``, in their order, where they exist.

    Days of one year only are themselves, whatever ``years`` are.
    """
    if not named.every_year:
        return ((named.first, named.last),)
    occurrences = []
    for year in years:
        with suppress(ValueError):  # 29 February, or a year outside the calendar
            last_year = year + named.last.year - named.first.year
            occurrences.append((named.first.replace(year=year), named.last.replace(year=last_year)))
    return tuple(occurrences)


_Times = tuple[NamedDays | str, ...]
_Read = Callable[[re.Match[str], date], _Times]

_FEW = 5  # 几天, "a few days"
_MOST_WORDS = 12  # "the last 30 years" would otherwise be a query of 30 words
_LEAP_YEAR = 2000  # has every day that any year has
_LONGEST_WITHOUT_LEAP_DAY = 8  # 29 February was missing in 1900

_STEPS = (
    {"大前": -3, "前": -2, "昨": -1, "去": -1, "今": 0, "明": 1, "后": 2, "大后": 3}
    | {"上上": -2, "上": -1, "这": 0, "本": 0, "下": 1, "下下": 2}
    | {"before last": -2, "last": -1, "previous": -1, "this": 0, "current": 0, "next": 1}
    | {"day before yesterday": -2, "yesterday": -1, "last night": -1, "today": 0, "tonight": 0}
    | {"this morning": 0, "this afternoon": 0, "this evening": 0}
    | {"tomorrow": 1, "day after tomorrow": 2}
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# First weekday and length in days; English weekdays without their "day".
_WEEK_PARTS = (
    {"": (0, 7), "末": (5, 2), "weekend": (5, 2), "天": (6, 1)}
    | {name: (weekday, 1) for weekday, name in enumerate("一二三四五六日")}
    | {"mon": (0, 1), "tues": (1, 1), "wednes": (2, 1), "thurs": (3, 1)}
    | {"fri": (4, 1), "satur": (5, 1), "sun": (6, 1)}
)
_COUNTS = (
    {"a": 1, "an": 1, "couple": 2}
    | {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
    | {"seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12}
)
_UNITS = (
    {"天": "day", "日": "day"}
    | {"周": "week", "星期": "week", "礼拜": "week"}
    | {"月": "month", "年": "year"}
)
_HALVES = {"半年": (6, "month"), "半个月": (15, "day")}


def _number(text: str) -> int:
    """Arabic or Chinese, by place (二〇二三) or with 十 up to 99."""
    tens, ten, ones = text.translate(_DIGITS).partition("十")
    return int(tens or 1) * 10 + int(ones or 0) if ten else int(tens)


def _month(name: str) -> int:
    short = name[:3].lower()
    return _MONTHS.index(short) + 1 if short in _MONTHS else _number(name)


def _amount(match: re.Match[str]) -> tuple[int, str]:
    named = match.groupdict()
    if half := named.get("half"):
        return _HALVES[half]
    unit = named["unit"].lower().removeprefix("个")
    unit = _UNITS.get(unit, unit)
    if named["few"]:
        return _FEW, unit
    count = (named["count"] or "a").lower().removeprefix("a ").removesuffix(" of")
    return _COUNTS.get(count) or _number(count), unit


def _month_from(today: date, step: int) -> date:
    months = today.year * 12 + today.month - 1 + step
    return date(months // 12, months % 12 + 1, 1)


def _days_from(first: date, count: int = 1) -> NamedDays:
    return NamedDays(first, first + timedelta(days=count - 1))


def _latest(month: int, day: int, today: date) -> NamedDays:
    that = date(_LEAP_YEAR, month, day)
    years = range(today.year - _LONGEST_WITHOUT_LEAP_DAY, today.year + 1)
    occurrences = days_in_years(NamedDays(that, that, every_year=True), years)
    latest = max(first for first, _ in occurrences if first <= today)
    return NamedDays(latest, latest, every_year=True)


def _calendar(match: re.Match[str], today: date) -> _Times:
    """Read any of year, month and day; the year may be a step from this one (去年, "last May")."""
    named = match.groupdict()
    month = named.get("month")
    number = _month(month) if month else 1
    year = _number(named["year"]) if named.get("year") else None
    if step := named.get("step"):
        year = today.year + _STEPS[step.lower()]
    if day := named.get("day"):
        if year is None:
            return (_latest(number, _number(day), today),)
        return (_days_from(date(year, number, _number(day))),)
    of_year, of_month, of_any_year = date_words(date(_LEAP_YEAR if year is None else year, number, 1))
    if not month:
        return (of_year,)
    return (of_any_year if year is None else of_month,)


def _of_month(match: re.Match[str], today: date) -> _Times:
    """Read a month so many before or after this one, or a day of it (上个月5号)."""
    first = _month_from(today, _STEPS[match["step"].lower()])
    if day := match.groupdict().get("day"):
        return (_days_from(first.replace(day=_number(day))),)
    return (date_words(first)[1],)


def _of_week(match: re.Match[str], today: date) -> _Times:
    """Read a week, or its weekend or one day; of no particular week, the most recent past one.

    A weekday without a week is never today, which people call today; a weekend may be.
    """
    named = match.groupdict()
    weekday, length = _WEEK_PARTS[(named.get("part") or "").lower().removesuffix("day")]
    if step := named.get("step"):
        back = today.weekday() - weekday - 7 * _STEPS[step.lower()]
    else:
        back = (today.weekday() - weekday) % 7
        back += 7 if back == 0 and length == 1 else 0
    return (_days_from(today - timedelta(days=back), length),)


def _day(match: re.Match[str], today: date) -> _Times:
    return (_days_from(today + timedelta(days=_STEPS[match["step"].lower()])),)


def _ago(match: re.Match[str], today: date) -> _Times:
    """Read 三天前: a day, week (Monday first), month or year, as wide as its unit."""
    if match["few"]:
        return _recent(match, today)
    count, unit = _amount(match)
    if unit == "day":
        return (_days_from(today - timedelta(days=count)),)
    if unit == "week":
        return (_days_from(today - timedelta(days=today.weekday() + 7 * count), 7),)
    if unit == "month":
        return (date_words(_month_from(today, -count))[1],)
    return (date_words(date(today.year - count, 1, 1))[0],)


def _recent(match: re.Match[str], today: date) -> _Times:
    """Read 最近三天: from that long ago up to today; months and years as the words of each."""
    count, unit = _amount(match)
    if unit in {"day", "week"}:
        first = today - timedelta(days=count * (7 if unit == "week" else 1))
        return (NamedDays(first, today),)
    steps = range(-min(count, _MOST_WORDS - 1), 1)
    if unit == "month":
        return tuple(date_words(_month_from(today, step))[1] for step in steps)
    return tuple(date_words(date(today.year + step, 1, 1))[0] for step in steps)


# A cheap first look, as most queries name no time: characters and beginnings of words of which
# every rule needs one. The lookahead halves its time.
_MAYBE = re.compile(
    r"[0-9\uff10-\uff5a天日年月周週期拜晚早夜]|\b(?=[adefjmnostwy])"
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun"
    r"|day|week|year|yest|tod|tom|ton|night|morn|aft|eve)",
    re.IGNORECASE | re.ASCII,
)
_FOLDED = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | str.maketrans(
    "號禮後這週個兩過幾當場條氣來齡輕餅語記報傑圍邊樓網線紀○",
    "号礼后这周个两过几当场条气来龄轻饼语记报杰围边楼网线纪〇",
)
_DIGITS = str.maketrans("〇零一二两三四五六七八九", "001223456789")


def _rule(read: _Read, *parts: str) -> tuple[re.Pattern[str], _Read]:
    # ASCII: the Chinese character beside "May" ends the word.
    return re.compile("".join(parts), re.IGNORECASE | re.ASCII), read


_NUMERAL = "(?:[一二三四五六七八九]?十[一二三四五六七八九]?|[一二三四五六七八九])"
_NUMBER = f"(?:[0-9]{{1,2}}|{_NUMERAL})"
_NEW_NUMBER = r"(?<![0-9〇零一二两三四五六七八九十第])(?<![0-9]\.)"
_YEAR = (
    rf"(?:{_NEW_NUMBER}(?P<year>[0-9]{{4}}|[〇零一二三四五六七八九]{{4}}) ?年"
    "|(?P<step>大前|(?<![以之目此])前|(?<!过)去|今|本|明|(?<![以之])后)年)(?![轻代纪龄])"
)
_AMOUNT = (
    "(?:(?!(?:19|20)[0-9]{2} ?年)"
    "[一两二三四五六七八]??"  # 两三天 is three days
    rf"(?:(?P<few>几)|(?P<count>[0-9]{{1,4}}|{_NUMERAL}|两)) ?"
    "(?P<unit>[天日年]|周(?![年岁])|个?(?:星期|礼拜)|个月)|(?<![上下])(?P<half>半年|半个月))"
)
_STEP = "(?<![晚早以身网路地街楼线])(?P<step>上上|上|下下|下|这|本)"  # 晚上, 以下 ...
_WEEK = "(?:周|星期|礼拜)"
_WEEKDAY = (
    "(?P<part>末|日(?![语记程报常]|本(?!来))|天(?!气|天(?!气))"
    "|(?:[二三四五六]|一(?![共些定般样切]|直(?![播接])|起(?![床飞])))"
    "(?![个次位场件条顿遍趟岁]|天(?!气)|十(?![一二]?点)))"
)
# 5月2号(周二) names one day, and in 5月2号前的那个周末 only the day is known.
_ITS_WEEKDAY = rf"(?: ?\(?(?:[之以]?[前后]的?[那上下一]?个?)?{_WEEK}[一二三四五六日天末]?\)?)?"

_CHINESE = (
    _rule(
        _calendar,
        rf"(?:{_YEAR} ?的? ?)?{_NEW_NUMBER}(?P<month>{_NUMBER}) ?月 ?(?:份的? ?)?",
        rf"(?:(?P<day>{_NUMBER}) ?[日号]{_ITS_WEEKDAY}|(?![天龄]))",
    ),
    # 24日前 is before the 24th.
    _rule(_ago, rf"{_NEW_NUMBER}{_AMOUNT}(?<!日)半?[之以]?前"),
    _rule(_recent, rf"(?:最近|过去|(?<!附)近|这(?!一)|(?<![以之目])前(?=[几两])){_AMOUNT}"),
    _rule(
        _of_month,
        rf"{_STEP}(?:一?个)?月(?: ?的? ?(?P<day>{_NUMBER}) ?[日号]{_ITS_WEEKDAY}",
        "|(?![亮球光色饼薪票]))",
    ),
    _rule(_of_week, rf"{_STEP}(?:一?个|一)?{_WEEK}(?:{_WEEKDAY}|(?![围边杰]))"),
    _rule(_of_week, rf"(?<![每逢一二两三四五六七八九十几0-9个]){_WEEK}{_WEEKDAY}"),
    _rule(_calendar, _YEAR),
    _rule(
        _day,
        "(?P<step>大[前后]|(?<![以之目午])前|(?<![以之今然最午雨])后|昨|(?<!如)今|明)",
        "(?:天|(?<=前)晚|(?<=[昨今明])(?:[晚早夜]|日(?!期|头条|方舟)))",
    ),
)

_COUNT = (
    r"(?:(?P<few>(?:a )?few|several)|(?<![0-9]\.)(?P<count>[0-9]{1,4}|an?|(?:a )?couple(?: of)?"
    "|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve))"
)
_UNIT = "(?P<unit>day|week|month|year)s?"
_DAY_NAME = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_PART = rf"(?P<part>{_DAY_NAME})"
_THAT = "(?P<step>last|previous|this|current|next)"
_MONTH = (
    "(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
# Without a word that asks for a month, "Jan" is a name, "march" a verb, "May I" a request.
_SURE_MONTH = (
    "(?P<month>january|february|april|june|july|august|september|october|november|december"
    r"|(?-i:March|May(?! (?:I|we|you|he|she|it|they|the|my)\b)))\b"
)
_LIKELY_YEAR = "(?:19|20)[0-9]{2}"
_OF_YEAR = rf"(?:,? (?:of |in )?(?P<year>{_LIKELY_YEAR})(?![0-9])|,? (?:of )?{_THAT} year\b)"
# "The Monday before July 24": the week that is meant hangs on a day, which is blanked out by now.
_OF_ITSELF = r"\b(?! of\b| (?:before|after|following) (?:the )?\0)"

_ENGLISH = (
    _rule(_ago, rf"\b{_COUNT} {_UNIT} (?:ago|back)\b"),
    _rule(_recent, rf"\b(?:(?:last|past|previous) (?!an? [dwmy]){_COUNT}|past) {_UNIT}\b"),
    _rule(
        _calendar,
        r"(?<![0-9])(?P<year>[0-9]{4})(?P<mark>[-/.])(?P<month>[0-9]{1,2})(?P=mark)",
        r"(?P<day>[0-9]{1,2})(?![0-9]|(?P=mark)[0-9])",
    ),
    _rule(
        _calendar,
        rf"(?<![0-9])(?<![0-9]\.)(?P<year>{_LIKELY_YEAR})(?P<month>[0-9]{{2}})",
        r"(?P<day>[0-9]{2})(?![0-9])",
    ),
    _rule(
        _calendar,
        rf"(?<![0-9])(?<![0-9][-/])(?P<year>{_LIKELY_YEAR})[-/](?P<month>[0-9]{{2}})",
        r"(?![0-9]|[-/][0-9])",
    ),
    _rule(
        _calendar,
        rf"\b(?:{_DAY_NAME},? )?{_MONTH} (?:the )?(?P<day>[0-9]{{1,2}})(?:st|[nr]d|th)?",
        rf"(?![0-9a-z%:]|\.[0-9]){_OF_YEAR}?",
    ),
    _rule(
        _calendar,
        rf"\b(?<![0-9][-/.:])(?:{_DAY_NAME},? )?(?:the )?(?P<day>[0-9]{{1,2}})",
        # "Those 2 may come."
        rf"(?:(?:st|[nr]d|th)(?: of)?| of|(?! (?-i:may|march)\b(?! {_LIKELY_YEAR}))) ",
        rf"{_MONTH}{_OF_YEAR}?",
    ),
    _rule(_calendar, rf"\b{_MONTH}{_OF_YEAR}"),
    _rule(_calendar, rf"\b(?P<step>last|this(?! (?-i:may) [a-z])|next) {_MONTH}"),
    _rule(_calendar, rf"\b(?:in|of|during|since|until|till|early|late|mid)[ -]{_MONTH}"),
    _rule(_calendar, rf"\b{_SURE_MONTH}"),
    _rule(_of_month, rf"\b{_THAT} month\b"),
    _rule(_of_month, r"\bthe month (?P<step>before last)\b"),
    _rule(_of_week, rf"\b{_PART}(?: of|,)? {_THAT} week\b"),
    _rule(_of_week, rf"\b{_THAT} week(?:(?: on)? {_PART})?{_OF_ITSELF}"),
    _rule(_of_week, r"\bthe (?:week|(?P<part>weekend)) (?P<step>before last)\b"),
    _rule(_of_week, rf"\b(?:{_THAT}|the|past) (?P<part>weekend){_OF_ITSELF}"),
    _rule(_of_week, rf"\b(?P<step>this|next) {_PART}{_OF_ITSELF}"),
    _rule(
        _of_week,
        r"(?<!\bevery )(?<!\beach )(?<!\ba )(?<!\bblack )(?<!\bgood )(?<!\bcyber )",
        rf"\b(?:last )?{_PART}{_OF_ITSELF}",
    ),
    _rule(_calendar, rf"\b{_THAT} year\b"),
    _rule(_calendar, r"\bthe year (?P<step>before last)\b"),
    _rule(
        _calendar,
        r"\b(?:in|of|during|since|by|before|after|from|until|till|year|early|late|mid",
        rf"|spring|summer|autumn|fall|winter)[ -](?P<year>{_LIKELY_YEAR})\b(?![-/:%]|\.[0-9])",
    ),
    _rule(
        _day,
        r"\b(?P<step>day before yesterday|day after tomorrow|yesterday|tomorrow|today|tonight",
        r"|last night|this (?:morning|afternoon|evening))\b",
    ),
)
