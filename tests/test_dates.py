from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mem1_mcp.text.dates import NamedDays, NamedTimes, date_words, days_in_years, named_times

TODAY = date(2026, 11, 18)  # a Wednesday
THIS_WEEK = "2026-11-16/2026-11-22"
LAST_WEEK = "2026-11-09/2026-11-15"
WEEK_BEFORE_LAST = "2026-11-02/2026-11-08"
LAST_WEEKEND = "2026-11-14/2026-11-15"


def days(query: str, today: date = TODAY) -> list[str]:
    """ISO days and first/last pairs; a leading "~" means that other years count too."""
    return [
        "~" * named.every_year
        + (str(named.first) if named.first == named.last else f"{named.first}/{named.last}")
        for named in named_times(query, today).days
    ]


def words(query: str) -> list[str]:
    return list(named_times(query, TODAY).words)


@pytest.mark.parametrize(
    ("query", "day"),
    [
        ("今天说了什么", "2026-11-18"),
        ("昨天吃了什么", "2026-11-17"),
        ("昨晚几点睡的", "2026-11-17"),
        ("前天", "2026-11-16"),
        ("前天天气怎么样", "2026-11-16"),
        ("大前天", "2026-11-15"),
        ("明天的安排", "2026-11-19"),
        ("后天", "2026-11-20"),
        ("後天", "2026-11-20"),
        ("三天前聊了什么", "2026-11-15"),
        ("3天前", "2026-11-15"),
        ("３天前", "2026-11-15"),
        ("两天前天气如何", "2026-11-16"),
        ("兩天前", "2026-11-16"),
        ("两天半前", "2026-11-16"),
        ("两三天前", "2026-11-15"),
        ("二十五天以前", "2026-10-24"),
        ("what did I say today?", "2026-11-18"),
        ("yesterday's lunch", "2026-11-17"),
        ("last night", "2026-11-17"),
        ("the day before yesterday", "2026-11-16"),
        ("tomorrow", "2026-11-19"),
        ("3 days ago", "2026-11-15"),
        ("Two days ago", "2026-11-16"),
        ("a day ago", "2026-11-17"),
    ],
)
def test_a_day_is_counted_from_today(query: str, day: str) -> None:
    assert days(query) == [day]
    assert words(query) == []


@pytest.mark.parametrize(
    ("query", "day"),
    [
        ("2023年5月7日", "2023-05-07"),
        ("2023 年 5 月 7 日", "2023-05-07"),
        ("２０２３年５月７日", "2023-05-07"),
        ("二〇二三年五月七号", "2023-05-07"),
        ("2023年12月31號", "2023-12-31"),
        ("在2023-05-07的时候", "2023-05-07"),
        ("2023/5/7", "2023-05-07"),
        ("2023.5.7", "2023-05-07"),
        ("见20230507号单", "2023-05-07"),
        ("2023-05-07T10:00", "2023-05-07"),
        ("去年5月2号", "2025-05-02"),
        ("前年的十二月三十一日", "2024-12-31"),
        ("上个月5号", "2026-10-05"),
        ("2023年5月8日星期一", "2023-05-08"),
        ("2023年5月8日(周一)", "2023-05-08"),
        ("May 2nd, 2023", "2023-05-02"),
        ("on May 2, 2023?", "2023-05-02"),
        ("may 2 2023", "2023-05-02"),
        ("2 May 2023", "2023-05-02"),
        ("the 2nd of May 2023", "2023-05-02"),
        ("Monday, May 8, 2023", "2023-05-08"),
        ("Jan. 3, 2024", "2024-01-03"),
        ("Sept 5 of last year", "2025-09-05"),
        ("9999-12-31", "9999-12-31"),
    ],
)
def test_a_date_with_its_year_is_that_day(query: str, day: str) -> None:
    assert days(query) == [day]
    assert words(query) == []


@pytest.mark.parametrize(
    ("query", "day"),
    [
        ("5月2号我买了什么", "2026-05-02"),
        ("5月2日", "2026-05-02"),
        ("五月二号", "2026-05-02"),
        ("五月二號", "2026-05-02"),
        ("十一月十八日", "2026-11-18"),
        ("十一月十九日", "2025-11-19"),
        ("2月29日", "2024-02-29"),
        ("May 2", "2026-05-02"),
        ("may 2nd", "2026-05-02"),
        ("2nd of May", "2026-05-02"),
        ("the 2nd of may", "2026-05-02"),
        ("Sept. 5", "2026-09-05"),
        ("Dec 25th", "2025-12-25"),
        ("February 29", "2024-02-29"),
        ("10:30 May 2", "2026-05-02"),
    ],
)
def test_a_date_without_a_year_is_its_last_coming_and_every_other(query: str, day: str) -> None:
    assert days(query) == [f"~{day}"]
    assert words(query) == []


@pytest.mark.parametrize(
    ("query", "day"),
    [
        ("周三见了谁", "2026-11-11"),
        ("星期二", "2026-11-17"),
        ("礼拜天", "2026-11-15"),
        ("禮拜天", "2026-11-15"),
        ("週五", "2026-11-13"),
        ("周日上午", "2026-11-15"),
        ("周一起床", "2026-11-16"),
        ("上周三", "2026-11-11"),
        ("上週一", "2026-11-09"),
        ("上个星期三", "2026-11-11"),
        ("上個星期日", "2026-11-15"),
        ("上周日本来要去", "2026-11-15"),
        ("上上周五", "2026-11-06"),
        ("下周一", "2026-11-23"),
        ("这周五", "2026-11-20"),
        ("本周一", "2026-11-16"),
        ("on Monday", "2026-11-16"),
        ("on Wednesday", "2026-11-11"),
        ("last Monday", "2026-11-16"),
        ("last Friday", "2026-11-13"),
        ("this Friday", "2026-11-20"),
        ("next Friday", "2026-11-27"),
        ("Friday of last week", "2026-11-13"),
        ("last week on Monday", "2026-11-09"),
    ],
)
def test_a_weekday_is_the_last_one_or_that_of_its_week(query: str, day: str) -> None:
    assert days(query) == [day]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("上周", LAST_WEEK),
        ("上星期", LAST_WEEK),
        ("上个礼拜", LAST_WEEK),
        ("这周", THIS_WEEK),
        ("這週", THIS_WEEK),
        ("本周", THIS_WEEK),
        ("这一周", THIS_WEEK),
        ("上上周", WEEK_BEFORE_LAST),
        ("两周前", WEEK_BEFORE_LAST),
        ("2个星期前", WEEK_BEFORE_LAST),
        ("last week", LAST_WEEK),
        ("this week", THIS_WEEK),
        ("the week before last", WEEK_BEFORE_LAST),
        ("two weeks ago", WEEK_BEFORE_LAST),
        ("a couple of weeks ago", WEEK_BEFORE_LAST),
        ("上周末", LAST_WEEKEND),
        ("周末", LAST_WEEKEND),
        ("这个周末", "2026-11-21/2026-11-22"),
        ("last weekend", LAST_WEEKEND),
        ("over the weekend", LAST_WEEKEND),
        ("this past weekend", LAST_WEEKEND),
        ("next weekend", "2026-11-28/2026-11-29"),
        ("the weekend before last", "2026-11-07/2026-11-08"),
        # 一 and 三 belong to the words after them.
        ("上周一直在忙", LAST_WEEK),
        ("上周一起吃饭", LAST_WEEK),
        ("上周三次会议", LAST_WEEK),
        ("上周日语课", LAST_WEEK),
        ("上周天气", LAST_WEEK),
    ],
)
def test_a_week_begins_on_monday_and_ends_with_its_weekend(query: str, expected: str) -> None:
    assert days(query) == [expected]


def test_on_its_sunday_the_weekend_is_this_one_and_last_weekend_is_not() -> None:
    sunday = date(2026, 11, 22)

    assert days("周末", sunday) == days("the weekend", sunday) == ["2026-11-21/2026-11-22"]
    assert days("上周末", sunday) == days("last weekend", sunday) == [LAST_WEEKEND]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("最近三天", "2026-11-15"),
        ("最近这三天", "2026-11-15"),
        ("过去一周", "2026-11-11"),
        ("過去一週", "2026-11-11"),
        ("近两周", "2026-11-04"),
        ("最近半个月", "2026-11-03"),
        ("最近几天", "2026-11-13"),
        ("這幾天", "2026-11-13"),
        ("前几天", "2026-11-13"),
        ("几天前", "2026-11-13"),
        ("last 3 days", "2026-11-15"),
        ("the past two weeks", "2026-11-04"),
        ("the past week", "2026-11-11"),
        ("past few days", "2026-11-13"),
        ("a few days ago", "2026-11-13"),
        ("the last couple of days", "2026-11-16"),
    ],
)
def test_recent_days_reach_up_to_today(query: str, first: str) -> None:
    assert days(query) == [f"{first}/2026-11-18"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("上个月", ["@2026-10"]),
        ("上個月", ["@2026-10"]),
        ("上上个月", ["@2026-9"]),
        ("这个月", ["@2026-11"]),
        ("本月", ["@2026-11"]),
        ("下个月", ["@2026-12"]),
        ("三个月前", ["@2026-8"]),
        ("十一個月前", ["@2025-12"]),
        ("半年前", ["@2026-5"]),
        ("2023年5月", ["@2023-5"]),
        ("2023-05", ["@2023-5"]),
        ("二零二三年五月份", ["@2023-5"]),
        ("去年5月", ["@2025-5"]),
        ("5月份", ["@m5"]),
        ("在十二月", ["@m12"]),
        ("去年", ["@2025"]),
        ("今年", ["@2026"]),
        ("前年", ["@2024"]),
        ("2023年", ["@2023"]),
        ("两年前", ["@2024"]),
        ("最近三个月", ["@2026-8", "@2026-9", "@2026-10", "@2026-11"]),
        ("这两年", ["@2024", "@2025", "@2026"]),
        ("last month", ["@2026-10"]),
        ("this month", ["@2026-11"]),
        ("three months ago", ["@2026-8"]),
        ("eleven months ago", ["@2025-12"]),
        ("May 2023", ["@2023-5"]),
        ("sept. 2023", ["@2023-9"]),
        ("May of last year", ["@2025-5"]),
        ("last May", ["@2025-5"]),
        ("this May", ["@2026-5"]),
        ("in May", ["@m5"]),
        ("in may", ["@m5"]),
        ("during August", ["@m8"]),
        ("since Dec", ["@m12"]),
        ("what happened in March?", ["@m3"]),
        ("june trip", ["@m6"]),
        ("last year", ["@2025"]),
        ("this year", ["@2026"]),
        ("the year before last", ["@2024"]),
        ("in 2023", ["@2023"]),
        ("summer 2022", ["@2022"]),
        ("4 years ago", ["@2022"]),
        ("the past month", ["@2026-10", "@2026-11"]),
    ],
)
def test_months_and_years_are_words(query: str, expected: list[str]) -> None:
    assert words(query) == expected
    assert days(query) == []


def test_a_long_recent_time_is_no_more_than_twelve_words() -> None:
    assert len(words("the last 30 months")) == len(words("过去三十年")) == 12


@pytest.mark.parametrize(
    "query",
    [
        "",
        "我喜欢吃什么",
        "what do I like?",
        "it may rain",
        "you may go",
        "May I ask you something",
        "this may help",
        "those 2 may come",
        "we march on",
        "just a second",
        "the sun sat on mon and wed",
        "my friend Jan",
        "every Monday",
        "Black Friday",
        "5/2",
        "room 2023",
        "v1.20230507",
        "order 120230507",
        "一周三次",
        "每周三",
        "三个月",
        "周杰伦的演唱会",
        "晚上周围没人",
        "晚上月亮很圆",
        "以前年轻的时候",
        "以前天天跑步",
        "说明日期",
        "五月天演唱会",
        "星期几",
        "5个月大",
        "24日前交作业",
    ],
)
def test_words_that_only_look_like_times_name_none(query: str) -> None:
    assert named_times(query, TODAY) == NamedTimes()


@pytest.mark.parametrize(
    "query",
    [
        "2月30日",
        "2023年2月29日",
        "13月",
        "2023年13月1日",
        "2023-13-01",
        "0000-01-01",
        "0000年",
        "20231345",
        "February 30",
        "31 June 2023",
        "May 45",
        "9999 years ago",
        "两千三百天前",
    ],
)
def test_impossible_dates_are_ignored(query: str) -> None:
    assert named_times(query, TODAY) == NamedTimes()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("从昨天到5月2号，还有上周三", ["2026-11-17", "~2026-05-02", "2026-11-11"]),
        ("May 2, 2023, then yesterday and 2023-05-03", ["2023-05-02", "2026-11-17", "2023-05-03"]),
        ("昨天 yesterday 一天前", ["2026-11-17"]),
    ],
)
def test_several_dates_come_in_order_and_once(query: str, expected: list[str]) -> None:
    assert days(query) == expected


def test_days_months_and_years_of_one_query_are_kept_apart() -> None:
    named = named_times("去年春天和上个月，尤其是5月2号 in May 2023", TODAY)

    assert named.words == ("@2025", "@2026-10", "@2023-5")
    assert named.days == (NamedDays(date(2026, 5, 2), date(2026, 5, 2), every_year=True),)


@pytest.mark.parametrize(
    "query",
    [
        "on the Monday before July 24, 2023",
        "over the weekend before 24th July, 2023",
        "last week before 24 July 2023",
        "2023年7月24日之前的那个周末",
        "2023年7月24日前一周",
    ],
)
def test_a_week_told_from_a_date_is_not_a_week_of_today(query: str) -> None:
    assert days(query) == ["2023-07-24"]


def test_the_words_of_a_day_are_its_year_its_month_and_the_month_of_any_year() -> None:
    assert date_words(date(2023, 5, 7)) == ("@2023", "@2023-5", "@m5")


def test_days_without_a_year_are_found_in_each_year_that_has_them() -> None:
    leap_day, new_year = date(2024, 2, 29), NamedDays(date(2025, 12, 31), date(2026, 1, 1), True)

    leap_days = days_in_years(NamedDays(leap_day, leap_day, every_year=True), [0, 2023, 2020])
    new_years = days_in_years(new_year, [2023, 9999])

    assert leap_days == ((date(2020, 2, 29), date(2020, 2, 29)),)
    assert new_years == ((date(2023, 12, 31), date(2024, 1, 1)),)


def test_days_with_a_year_are_only_themselves() -> None:
    named = NamedDays(date(2023, 5, 7), date(2023, 5, 8))

    assert days_in_years(named, [2020, 2021]) == ((date(2023, 5, 7), date(2023, 5, 8)),)


PIECES = [
    *"0125年月日号號天周週星期末前后大去今上下这本个的最近过一二三十两几半０/-.,() \0\n",
    *("12", "29", "31", "2023", "9999", "0000", "'s", "st", "rd", "th", "of", "the", "in", "on"),
    *("a", "couple", "few", "last", "this", "next", "past", "day", "days", "week", "weekend"),
    *("month", "years", "ago", "before", "Monday", "May", "march", "jan", "yesterday"),
]


@settings(deadline=None, max_examples=400)
@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
        st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
    ),
    st.dates(),
)
def test_any_text_on_any_day_is_read_without_an_error(query: str, today: date) -> None:
    named = named_times(query, today)

    assert all(found.first <= found.last for found in named.days)
    assert all(word.startswith("@") for word in named.words)
    assert len(set(named.days)) == len(named.days)
    assert len(set(named.words)) == len(named.words)


@settings(deadline=None)
@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)))
def test_a_written_day_is_read_back_and_its_months_carry_the_words_of_the_day(day: date) -> None:
    year, month, any_year = date_words(day)

    for text in (day.isoformat(), f"{day:%Y%m%d}", f"{day:%d %B %Y}", f"{day:%Y年%m月%d日}"):
        assert named_times(text, TODAY) == NamedTimes(days=(NamedDays(day, day),))
    assert words(f"in {day.year}") == words(f"{day.year}年") == [year]
    assert words(f"{day:%b %Y}") == words(f"{day.year}年{day.month}月") == [month]
    assert words(f"in {day:%B}") == words(f"{day.month}月") == [any_year]


@settings(deadline=None)
@given(st.dates(), st.dates(min_value=date(2000, 1, 1)))
def test_a_day_without_a_year_is_the_latest_that_is_not_to_come(day: date, today: date) -> None:
    (found,) = named_times(f"{day.month}月{day.day}日", today).days

    assert (found.first.month, found.first.day) == (day.month, day.day)
    assert found.first == found.last <= today
    later = range(found.first.year + 1, today.year + 1)
    assert all(first > today for first, _ in days_in_years(found, later))


@pytest.mark.parametrize("piece", ["9", "三", "5月", "2 May ", "a ", "the ", " ", "\u0301", "今天"])
def test_a_very_long_query_is_read(piece: str) -> None:
    long = (piece * 20_000)[:20_000]

    assert days(long + " 昨天")[-1] == "2026-11-17"
