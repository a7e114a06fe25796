"""What was remembered is found again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mem1_mcp.memory import Memory
from mem1_mcp.text.budget import estimate_tokens
from tests.conftest import HandClock, Host, host_of

ENGINES = ("sqlite", "elasticsearch")

NOTHING_FOUND = "No stored message matches these words; the same words again will find nothing either."


def said(text: str, **more: Any) -> dict[str, Any]:
    """Write a message of the user."""
    return {"role": "user", "content": text, **more}


async def tell(host: Host, text: str, **more: Any) -> str:
    """Remember one message of the user; return its id."""
    saved = await host.done("remember", messages=[said(text)], **more)
    return str(saved["message_ids"][0])


async def found_by(host: Host, query: str, **more: Any) -> list[str]:
    """Return the words that a query finds, best first."""
    return texts(await host.done("recall", query=query, **more))


async def found_by_any(host: Host, *queries: str) -> list[str]:
    """Return the words that several queries find together."""
    return texts(await host.done("recall", queries=list(queries)))


def texts(found: dict[str, Any]) -> list[str]:
    """Return the words of the memories in an answer."""
    return [hit["text"] for hit in found["hits"]]


async def a_week_of_notes(host: Host) -> None:
    """Remember one note a day, from 1 to 7 May 2026 at noon, each with its own words."""
    for day, text in enumerate(
        (
            "planted basil",
            "saw a heron",
            "fixed the bicycle",
            "read about bees",
            "baked rye bread",
            "met the neighbours",
            "swam in the lake",
        ),
        start=1,
    ):
        await tell(host, text, timestamp=f"2026-05-{day:02}T12:00:00")


async def test_what_was_said_in_chinese_is_found_by_a_question_in_other_order(host: Host) -> None:
    await host.done(
        "remember", messages=[{"role": "user", "content": "我对花生过敏，昨天吃了一点就起疹子了。"}]
    )
    await host.done(
        "remember", messages=[{"role": "user", "content": "下周三要去上海出差，住在外滩附近。"}]
    )

    found = await host.done("recall", query="我对什么过敏？")

    assert found["hits"][0]["text"] == "我对花生过敏，昨天吃了一点就起疹子了。"


async def test_what_was_said_in_english_is_found_by_another_form_of_its_words(host: Host) -> None:
    await tell(host, "I am allergic to peanuts, so no satay for me.")
    await tell(host, "The dentist moved my appointment to Friday.")

    found = await found_by(host, "Does a peanut hurt me?")

    assert found[0] == "I am allergic to peanuts, so no satay for me."


async def test_half_chinese_sentences_are_found_by_either_half(host: Host) -> None:
    await tell(host, "我们的 Kubernetes 集群放在阿里云上。")
    await tell(host, "周末去爬山。")

    assert (await found_by(host, "kubernetes"))[0] == "我们的 Kubernetes 集群放在阿里云上。"
    assert (await found_by(host, "阿里云"))[0] == "我们的 Kubernetes 集群放在阿里云上。"


@pytest.mark.parametrize(
    ("kept", "query"),
    [
        ("Моя сестра живёт в Новосибирске.", "Где живет моя сестра?"),
        ("ฉันแพ้ถั่วลิสงตั้งแต่เด็ก", "ถั่วลิสง"),
        ("أختي تسكن في القاهرة", "القاهرة"),
        ("来週は京都へ出張します。", "京都はいつ？"),
        ("わたしはすしがすきです。", "すし"),
        ("저는 서울에 살아요.", "서울"),
        ("אחותי גרה בחיפה", "אחותי"),
        ("मेरी बहन दिल्ली में रहती है", "दिल्ली"),
        ("Η αδερφή μου μένει στην Πάτρα.", "Πάτρα"),
        ("我對海鮮過敏，醫生說要小心。", "海鲜过敏"),
        ("我对海鲜过敏，医生说要小心。", "海鮮過敏"),
        ("The ticket says user_id=4711-B, as always.", "user_id=4711-B"),
        ("The ticket says user_id=4711-B, as always.", "4711-b"),
        ("We meet at the café Müller.", "cafe muller"),
        ("型号是ＸＰＳ１３。", "xps13"),
        ("家里养了一只猫。", "猫"),
        ("We wrote all of it in R.", "R"),
        ("Party 🎉 at ours!", "🎉"),
        ("Great trip 👨‍👩‍👧 to 🇯🇵", "🇯🇵"),
    ],
)
async def test_every_script_is_found_again(host: Host, kept: str, query: str) -> None:
    for other in ("The weather was fine.", "昨晚下雨了。", "Обед был вкусный.", "お茶を飲みました。"):
        await tell(host, other)
    await tell(host, kept)

    assert (await found_by(host, query))[0] == kept


async def test_yesterday_means_the_day_before_in_the_users_zone(host: Host) -> None:
    # Noon of 20 May in Shanghai; in UTC these two are both on 18 May.
    await tell(host, "买了一双跑鞋", timestamp="2026-05-18T23:30:00")
    await tell(host, "去了图书馆", timestamp="2026-05-19T00:30:00")

    found = await found_by(host, "我昨天做了什么？")

    assert found[0] == "去了图书馆"


async def test_a_day_without_a_year_is_found(host: Host) -> None:
    await a_week_of_notes(host)

    assert (await found_by(host, "What did I do on May 2?"))[0] == "saw a heron"
    assert (await found_by(host, "5月4号我干什么了"))[0] == "read about bees"


async def test_since_and_until_are_inclusive_and_a_date_is_its_whole_day(host: Host) -> None:
    await a_week_of_notes(host)

    found = await host.done("recall", since="2026-05-03", until="2026-05-05")

    assert texts(found) == ["fixed the bicycle", "read about bees", "baked rye bread"]


async def test_since_and_until_are_moments_where_a_time_is_given(host: Host) -> None:
    await a_week_of_notes(host)

    found = await host.done("recall", since="2026-05-03T12:00:01", until="2026-05-05T04:00:00Z")

    assert texts(found) == ["read about bees", "baked rye bread"]


async def test_until_binds_a_search_too(host: Host) -> None:
    await tell(host, "The parcel is in Hamburg.", timestamp="2026-05-01T12:00:00")
    await tell(host, "The parcel is in Bremen.", timestamp="2026-05-10T12:00:00")

    assert await found_by(host, "parcel", until="2026-05-05") == ["The parcel is in Hamburg."]


async def test_a_topic_shows_only_its_own_messages(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work")
    await tell(host, "piano on Friday", topic="home")

    found = await host.done("recall", query="Friday", topic="home")

    assert texts(found) == ["piano on Friday"]
    assert found["topic"] == "home"


async def test_a_topic_nobody_used_holds_nothing(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work")

    assert NOTHING_FOUND in await host.text("recall", query="Friday", topic="garden")


async def test_without_a_topic_all_topics_are_searched(host: Host) -> None:
    await tell(host, "deadline on Friday", topic="work")
    await tell(host, "piano on Friday", topic="home")

    found = await host.done("recall", query="Friday")

    assert sorted(texts(found)) == ["deadline on Friday", "piano on Friday"]
    assert found["topic"] == "*"


async def test_a_configured_topic_is_the_default_and_a_star_is_all(memory: Memory) -> None:
    async with host_of(memory, topic_id="work") as host:
        await tell(host, "deadline on Friday")
        await tell(host, "piano on Friday", topic="home")

        in_configured = await host.done("recall", query="Friday")
        in_all = await host.done("recall", query="Friday", topic="*")

    assert (in_configured["topic"], texts(in_configured)) == ("work", ["deadline on Friday"])
    assert (in_all["topic"], len(in_all["hits"])) == ("*", 2)


@pytest.mark.parametrize(
    ("label", "other"),
    [("in progress", "in"), (3, 4), (1.5, 1), (True, False), ("进行中", "进行")],
)
async def test_a_metadata_filter_compares_whole_values(host: Host, label: object, other: object) -> None:
    await tell(host, "the report about bees", metadata={"state": label})
    await tell(host, "the report about wasps", metadata={"state": other})

    found = await host.done("recall", query="report", metadata={"state": label})

    assert texts(found) == ["the report about bees"]
    assert found["hits"][0]["metadata"] == {"state": label}


async def test_all_conditions_of_a_metadata_filter_hold_together(host: Host) -> None:
    await tell(host, "the report about bees", metadata={"state": "done", "team": "red"})
    await tell(host, "the report about wasps", metadata={"state": "done", "team": "blue"})

    assert await found_by(host, "report", metadata={"state": "done", "team": "blue"}) == [
        "the report about wasps"
    ]


async def test_several_queries_find_what_each_of_them_finds(host: Host) -> None:
    await tell(host, "The car is at the garage.")
    await tell(host, "The vehicle papers are in the drawer.")
    await tell(host, "Lunch was soup.", topic="meals")

    found = await found_by_any(host, "car", "vehicle")

    assert sorted(found) == ["The car is at the garage.", "The vehicle papers are in the drawer."]


async def test_query_and_queries_go_together(host: Host) -> None:
    await tell(host, "The car is at the garage.", topic="one")
    await tell(host, "The vehicle papers are in the drawer.", topic="two")

    found = await host.done("recall", query="car", queries=["vehicle"])

    assert len(found["hits"]) == 2


async def test_limit_bounds_the_hits_and_ten_is_the_default(host: Host) -> None:
    for number in range(12):
        await tell(host, f"parcel {number} arrived")

    assert len(await found_by(host, "parcel", limit=3)) == 3
    assert len(await found_by(host, "parcel")) == 10


async def a_full_memory(host: Host) -> str:
    """Remember long messages and many facts; return the id of a message in the middle."""
    ids = []
    for number in range(30):
        long = f"Parcel {number} came from Hamburg. " + "It was wrapped in brown paper. " * 40
        ids.append(await tell(host, long, metadata={"carrier": "post", "number": number}))
        await tell(host, f"第{number}个包裹从汉堡寄来，" + "包装纸是棕色的，上面写着地址。" * 30)
    facts = [f"Collects parcel stamp number {number} of the Hamburg series" for number in range(50)]
    await host.done("remember", facts=[{"text": text} for text in facts])
    return ids[15]


@pytest.mark.parametrize("max_tokens", [100, 300, 1500, 6000])
async def test_a_whole_answer_keeps_to_the_budget(host: Host, max_tokens: int) -> None:
    middle = await a_full_memory(host)
    over = {}

    for asked in ({"query": "parcel from Hamburg"}, {"query": "包裹从哪里寄来？"}, {}, {"around": middle}):
        text = await host.text("recall", limit=100, max_tokens=max_tokens, **asked)
        if (cost := estimate_tokens(text)) > max_tokens:
            over[str(asked)] = cost

    assert not over


async def test_a_memory_is_shown_however_small_the_budget(host: Host) -> None:
    await tell(host, "Hamburg " + "is a city with many bridges " * 1000)

    found = await host.done("recall", query="Hamburg", max_tokens=100)

    assert len(found["hits"]) == 1


async def test_a_memory_with_large_metadata_is_found(host: Host) -> None:
    await tell(host, "The zebra is called Emma.", metadata={"note": "v" * 8000})

    assert await found_by(host, "zebra") == ["The zebra is called Emma."]


async def test_a_long_message_is_shown_by_the_sentence_that_answers(host: Host) -> None:
    filler = "We talked about the weather for a while. " * 60
    await tell(host, f"{filler}My locker code is behind the mirror. {filler}")

    found = await host.done("recall", query="Where is the locker code?")

    shown = found["hits"][0]["text"]
    assert "My locker code is behind the mirror." in shown
    assert shown.startswith("…")
    assert shown.endswith("…")


async def pages(host: Host, **asked: Any) -> list[list[str]]:
    """Follow the cursor to the end; return the ids of each page."""
    found = await host.done("recall", **asked)
    read = [[hit["id"] for hit in found["hits"]]]
    while "cursor" in found:
        assert len(read) < 50, "the cursor never ends"
        found = await host.done("recall", cursor=found["cursor"], **asked)
        read.append([hit["id"] for hit in found["hits"]])
    return read


async def test_pages_of_a_search_repeat_nothing_and_leave_nothing_out(host: Host) -> None:
    kept = [await tell(host, f"parcel {number} arrived") for number in range(25)]

    read = await pages(host, query="parcel", limit=10)

    assert [len(page) for page in read] == [10, 10, 5]
    assert sorted([shown for page in read for shown in page]) == sorted(kept)


async def test_pages_of_the_latest_messages_go_back_in_time(host: Host) -> None:
    kept = [await tell(host, f"parcel {number} arrived") for number in range(25)]

    read = await pages(host, limit=10)

    assert read == [kept[15:], kept[5:15], kept[:5]]


async def test_pages_follow_the_budget_where_it_cuts_before_the_limit(host: Host) -> None:
    kept = [await tell(host, f"parcel {number} " + "came by post " * 60) for number in range(12)]

    read = await pages(host, query="parcel", max_tokens=400)

    assert len(read) >= 3
    assert sorted([shown for page in read for shown in page]) == sorted(kept)


async def test_an_answer_counts_what_it_left_out(host: Host) -> None:
    for number in range(12):
        await tell(host, f"parcel {number} arrived")

    found = await host.done("recall", query="parcel", limit=5)

    assert found["more"] == 7


async def test_around_opens_the_conversation_uncut_and_in_order(host: Host) -> None:
    long = "Then we walked along the river and talked about bees. " * 20
    spoken = [f"{long}{number}" for number in range(5)]
    ids = [await tell(host, text, topic="walks") for text in spoken]
    await tell(host, "something else altogether", topic="work")

    opened = await host.done("recall", around=ids[2], max_tokens=20000)

    assert texts(opened) == spoken
    assert [hit["id"] for hit in opened["hits"]] == ids


async def test_around_takes_the_id_as_it_is_shown_in_brackets(host: Host) -> None:
    kept = await tell(host, "saw a heron")

    assert texts(await host.done("recall", around=f"[{kept}]")) == ["saw a heron"]


async def test_around_stays_in_the_conversation(host: Host, clock: HandClock) -> None:
    await tell(host, "saw a heron")
    clock.forward(days=1)
    later = await tell(host, "swam in the lake")

    assert texts(await host.done("recall", around=later)) == ["swam in the lake"]


async def test_without_a_query_the_profile_and_the_latest_messages_come_oldest_first(host: Host) -> None:
    await a_week_of_notes(host)
    await host.done("remember", facts=[{"text": "Lives in Hamburg"}, {"text": "Likes rye bread"}])

    found = await host.done("recall", limit=3)

    assert [item["text"] for item in found["profile"]] == ["Lives in Hamburg", "Likes rye bread"]
    assert texts(found) == ["baked rye bread", "met the neighbours", "swam in the lake"]


async def test_with_a_query_only_matching_lines_of_the_profile_come_along(host: Host) -> None:
    await host.done("remember", facts=[{"text": "Lives in Hamburg"}, {"text": "Likes rye bread"}])

    found = await host.done("recall", query="Which bread does she like?")

    assert [item["text"] for item in found["profile"]] == ["Likes rye bread"]


async def test_an_empty_memory_says_so(host: Host) -> None:
    assert "No messages are stored here yet." in await host.text("recall")


@pytest.mark.parametrize("query", ["giraffe", "长颈鹿", "?!…", "昨天", "\u200b"])
async def test_a_query_that_matches_nothing_says_so(host: Host, query: str) -> None:
    await tell(host, "The dentist moved my appointment.", timestamp="2026-05-01T12:00:00")

    text = await host.text("recall", query=query)

    assert NOTHING_FOUND in text
    assert "dentist" not in text


async def test_every_answer_names_the_user_and_the_topic(host: Host) -> None:
    saved = await host.text("remember", messages=[said("deadline on Friday")], topic="work")
    searched = await host.text("recall", query="Friday", topic="work")
    everywhere = await host.text("recall", query="Friday")
    listed = await host.text("list_topics")

    assert "User ming, topic work" in saved
    assert "user ming · topic work" in searched
    assert "user ming · all topics" in everywhere
    assert "User ming" in listed


async def test_a_line_shows_id_date_age_topic_speaker_words_and_metadata(host: Host) -> None:
    await host.done(
        "remember",
        messages=[said("saw a heron", name="Lin", timestamp="2026-05-02T07:30:00")],
        topic="walks",
        metadata={"place": "river"},
    )
    await tell(host, "a heron flew by", topic="home", timestamp="2026-05-19T07:30:00")

    first, heading, *lines = (await host.text("recall", query="heron")).splitlines()

    assert first == "Now 2026-05-20 Wed 12:00 CST · user ming · all topics"
    assert heading == "Memories, best first:"
    assert sorted(lines) == [
        "[m0.0] 2026-05-02 Sat · 2 weeks ago · walks · Lin: saw a heron {place=river}",
        "[m1.0] 2026-05-19 Tue 07:30 · yesterday · home · user: a heron flew by",
    ]


async def test_a_topic_that_all_lines_are_of_is_told_once(host: Host) -> None:
    await tell(host, "saw a heron", topic="walks")
    await tell(host, "heard a heron", topic="walks")

    lines = (await host.text("recall", query="heron")).splitlines()

    assert lines[1] == "Memories, best first, topic walks:"
    assert all("walks" not in line for line in lines[2:])


async def test_the_structured_answer_of_remember_lists_ids_in_the_order_sent(host: Host) -> None:
    saved = await host.done(
        "remember",
        messages=[said("one heron"), {"role": "assistant", "content": "two bees"}, said("three cats")],
        facts=[{"text": "Watches birds"}],
        topic="walks",
    )

    assert saved == {
        "message_ids": ["m0.0", "m0.1", "m0.2"],
        "facts": [{"id": "p1", "outcome": "new"}],
        "duplicate": False,
        "masked": [],
        "user": "ming",
        "topic": "walks",
    }
    opened = await host.done("recall", around="m0.1")
    assert texts(opened) == ["one heron", "two bees", "three cats"]


async def test_the_structured_answer_of_recall_holds_what_its_text_says(host: Host) -> None:
    await tell(host, "saw a heron", timestamp="2026-05-02T07:30:00+08:00", metadata={"place": "river"})
    await host.done(
        "remember",
        messages=[{"role": "assistant", "content": "Rare!", "name": "Ada"}],
        timestamp="2026-05-02T07:31:00+08:00",
    )

    found = await host.done("recall", query="heron", limit=1)

    assert found == {
        "hits": [
            {
                "id": "m0.0",
                "text": "saw a heron",
                "timestamp": "2026-05-02T07:30:00+08:00",
                "topic": "default",
                "role": "user",
                "metadata": {"place": "river"},
            }
        ],
        "profile": [],
        "more": 1,
        "cursor": "1",
        "now": "2026-05-20T12:00:00+08:00",
        "user": "ming",
        "topic": "*",
    }
    named = await host.done("recall", query="rare")
    assert (named["hits"][0]["role"], named["hits"][0]["name"]) == ("assistant", "Ada")


async def test_the_same_request_id_with_the_same_content_is_the_same_call(
    host: Host, clock: HandClock
) -> None:
    first = await host.done("remember", messages=[said("好的")], request_id="call-1")
    clock.forward(days=30)

    again = await host.done("remember", messages=[said("好的")], request_id="call-1")

    assert not first["duplicate"]
    assert again["duplicate"]
    assert again["message_ids"] == first["message_ids"]
    assert len((await host.done("recall"))["hits"]) == 1


async def test_a_repeated_call_says_so_in_words(host: Host) -> None:
    await host.done("remember", messages=[said("好的")], request_id="call-1")

    assert "Already saved before" in await host.text(
        "remember", messages=[said("好的")], request_id="call-1"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [said("saw a stork")]},
        {"messages": [said("saw a heron")], "topic": "walks"},
        {"messages": [said("saw a heron")], "metadata": {"place": "river"}},
        {"messages": [said("saw a heron")], "timestamp": "2026-05-02T07:30:00"},
        {"messages": [said("saw a heron")], "facts": [{"text": "Watches birds"}]},
        {"messages": [{"role": "assistant", "content": "saw a heron"}]},
    ],
)
async def test_a_request_id_is_not_taken_for_other_content(host: Host, other: dict[str, Any]) -> None:
    await host.done("remember", messages=[said("saw a heron")], request_id="call-1")

    told = await host.refused("remember", request_id="call-1", **other)

    assert "request_id" in told
    assert "Nothing was saved" in told
    assert texts(await host.done("recall")) == ["saw a heron"]
    assert not (await host.done("recall"))["profile"]


async def test_facts_alone_are_safe_to_repeat_by_request_id(host: Host) -> None:
    for _ in range(2):
        await host.done("remember", facts=[{"text": "Watches birds"}], request_id="call-1")

    assert len((await host.done("recall"))["profile"]) == 1
    assert "request_id" in await host.refused(
        "remember", facts=[{"text": "Watches bees"}], request_id="call-1"
    )


async def test_an_equal_call_within_two_minutes_is_the_same_delivery(host: Host, clock: HandClock) -> None:
    first = await tell(host, "I moved to Hamburg last week.")
    clock.forward(minutes=2)

    again = await host.done("remember", messages=[said("I moved to Hamburg last week.")])

    assert again["duplicate"]
    assert again["message_ids"] == [first]


async def test_an_equal_call_after_two_minutes_is_a_new_one(host: Host, clock: HandClock) -> None:
    await tell(host, "I moved to Hamburg last week.")
    clock.forward(minutes=2.01)

    again = await host.done("remember", messages=[said("I moved to Hamburg last week.")])

    assert not again["duplicate"]
    assert len((await host.done("recall"))["hits"]) == 2


async def test_saying_ok_twice_is_two_messages(host: Host) -> None:
    await tell(host, "好的")
    again = await host.done("remember", messages=[said("好的")])

    assert not again["duplicate"]
    assert texts(await host.done("recall")) == ["好的", "好的"]


@pytest.mark.parametrize(("length", "stored"), [(19, 2), (20, 1)])
async def test_one_message_is_a_repeat_from_twenty_characters_on(
    host: Host, length: int, stored: int
) -> None:
    for _ in range(2):
        await tell(host, "x" * length)

    assert len((await host.done("recall"))["hits"]) == stored


async def test_two_short_messages_together_are_a_repeat(host: Host) -> None:
    turn = [said("好的"), {"role": "assistant", "content": "行"}]
    await host.done("remember", messages=turn)

    assert (await host.done("remember", messages=turn))["duplicate"]


async def test_what_was_said_before_something_else_is_no_repeat(host: Host) -> None:
    await tell(host, "I moved to Hamburg last week.")
    await tell(host, "The flat has a balcony.")

    again = await host.done("remember", messages=[said("I moved to Hamburg last week.")])

    assert not again["duplicate"]


async def test_the_same_words_in_another_topic_are_no_repeat(host: Host) -> None:
    await tell(host, "I moved to Hamburg last week.", topic="home")

    again = await host.done("remember", messages=[said("I moved to Hamburg last week.")], topic="work")

    assert not again["duplicate"]


async def test_a_time_with_an_offset_is_shown_in_the_users_zone(host: Host) -> None:
    await tell(host, "landed in New York", timestamp="2026-05-01T23:00:00-04:00")

    found = await host.done("recall", query="landed")

    assert found["hits"][0]["timestamp"] == "2026-05-02T11:00:00+08:00"


async def test_a_time_without_an_offset_is_in_the_users_zone(host: Host) -> None:
    await tell(host, "landed in New York", timestamp="2026-05-01T23:00:00")

    found = await host.done("recall", query="landed")

    assert found["hits"][0]["timestamp"] == "2026-05-01T23:00:00+08:00"


async def test_a_messages_own_time_wins_over_the_calls(host: Host) -> None:
    await host.done(
        "remember",
        messages=[said("saw a heron", timestamp="2026-05-01T08:00:00"), said("swam in the lake")],
        timestamp="2026-05-03T09:00:00",
    )

    found = await host.done("recall")

    assert [hit["timestamp"][:16] for hit in found["hits"]] == ["2026-05-01T08:00", "2026-05-03T09:00"]


async def test_without_any_time_it_was_said_now(host: Host, clock: HandClock) -> None:
    clock.forward(days=2)
    await tell(host, "saw a heron")

    found = await host.done("recall")

    assert found["hits"][0]["timestamp"] == found["now"] == "2026-05-22T12:00:00+08:00"


async def test_yesterday_moves_on_with_the_clock(host: Host, clock: HandClock) -> None:
    await tell(host, "saw a heron")
    clock.forward(days=1)
    await tell(host, "swam in the lake")

    assert (await found_by(host, "What happened yesterday?"))[0] == "saw a heron"
    clock.forward(days=1)
    assert (await found_by(host, "What happened yesterday?"))[0] == "swam in the lake"


async def test_one_user_never_sees_anothers_memory(memory: Memory) -> None:
    async with host_of(memory, "ming") as ming:
        kept = await tell(ming, "My locker code is behind the mirror.")
        await ming.done("remember", facts=[{"text": "Has a locker"}])

    async with host_of(memory, "wei") as wei:
        assert NOTHING_FOUND in await wei.text("recall", query="locker")
        assert "No messages are stored here yet." in await wei.text("recall")
        assert (await wei.done("list_topics"))["topics"] == []
        assert "no such memory" in await wei.refused("recall", around=kept)
        assert "locker" not in await wei.profile()


KEY = "sk-proj-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY" * 2  # of the form, and nobody's


@pytest.mark.parametrize(
    "kept",
    [
        {"messages": [said(f"my key is {KEY}")]},
        {"facts": [{"text": f"The key is {KEY}"}]},
        {"messages": [said("a note")], "metadata": {"key": KEY}},
        {"messages": [said("a note")], "metadata": {"deep": {"key": KEY}}},
        {"messages": [said("a note")], "metadata": {"keys": [KEY]}},
    ],
)
async def test_a_secret_is_masked_wherever_it_stands(host: Host, kept: dict[str, Any]) -> None:
    saved = await host.done("remember", **kept)

    assert KEY not in str(await host.done("recall"))
    assert len(saved["masked"]) == 1


async def test_topics_are_listed_with_their_messages_the_last_used_first(
    host: Host, clock: HandClock
) -> None:
    await tell(host, "deadline on Friday", topic="work")
    clock.forward(days=1)
    await tell(host, "piano on Friday", topic="home")
    await tell(host, "piano on Sunday", topic="home")

    listed = await host.done("list_topics")

    assert [(topic["topic"], topic["messages"]) for topic in listed["topics"]] == [("home", 2), ("work", 1)]
    last = datetime.fromisoformat(listed["topics"][0]["last_active"])
    first = datetime.fromisoformat(listed["topics"][1]["first_active"])
    assert last - first == timedelta(days=1)


async def test_many_topics_come_in_pages_of_fifty(host: Host) -> None:
    for number in range(60):
        await tell(host, "a note", topic=f"topic {number}")

    first = await host.done("list_topics")
    second = await host.done("list_topics", cursor=first["cursor"])

    names = {topic["topic"] for page in (first, second) for topic in page["topics"]}
    assert (len(first["topics"]), first["more"], len(second["topics"])) == (50, 10, 10)
    assert len(names) == 60
    assert "cursor" not in second


async def test_while_long_messages_are_indexed_other_calls_are_answered(host: Host) -> None:
    answered = []

    async def remember() -> None:
        long = [
            {"role": "user", "content": f"{number} green tea with lemon " * 6000} for number in range(4)
        ]
        await host.done("remember", messages=long)
        answered.append("remember")

    async with anyio.create_task_group() as group:
        group.start_soon(remember)
        await anyio.lowlevel.checkpoint()
        for _ in range(3):
            await host.done("list_topics")
            answered.append("list")

    assert answered == ["list", "list", "list", "remember"]
