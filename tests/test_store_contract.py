"""What every store promises, whichever engine keeps it: ``protocols.Store`` read aloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import anyio
import pytest

from mem1_mcp.errors import RequestIdReusedError
from mem1_mcp.memory import Jobs
from mem1_mcp.protocols import Store
from mem1_mcp.text.terms import index, query_terms
from mem1_mcp.types import (
    CONVERSATION_GAP_MS,
    Call,
    Confirmation,
    Forgotten,
    Indexed,
    Item,
    Mark,
    Message,
    Period,
    Profile,
    Role,
    Scope,
    Selection,
    Statistics,
    Token,
    Trait,
    Windows,
    conversation_of,
)
from tests.conftest import HandClock, Opening

ENGINES = ("sqlite", "elasticsearch", "indexed")  # with all in the ledger, with all in the index

NOON = HandClock.now
MINUTE = 60_000
DAY = 86_400_000
MING = Scope("ming")


def said(content: str, at: int = NOON, role: Role = "user", name: str = "") -> tuple[Message, Indexed]:
    return Message(role, content, name, at), index(content)


def a_call(*spoken: str | tuple[Message, Indexed], at: int = NOON, **changes: Any) -> Call:
    messages = tuple(said(each, at) if isinstance(each, str) else each for each in spoken)
    fingerprint = sha256(repr(messages).encode()).digest()
    return replace(Call("home", messages, {}, at, fingerprint), **changes)


async def keep(store: Store, *spoken: str | tuple[Message, Indexed], **changes: Any) -> tuple[int, ...]:
    user = changes.pop("user", "ming")
    return (await store.append(user, a_call(*spoken, **changes))).places


async def found(store: Store, words: str, scope: Scope = MING, limit: int = 100) -> set[str]:
    weights = dict.fromkeys(query_terms(words), 1.0)
    places = await store.candidates(scope, weights, (), limit)
    return {stored.content for stored in await store.messages(scope.user, list(places))}


async def preview(store: Store, selection: Selection, ticket: str = "t", user: str = "ming") -> None:
    mark = (await store.select(user, selection, 1)).mark
    await store.keep_confirmation(user, Confirmation(ticket, selection, mark, NOON + 10 * MINUTE))


async def forget(store: Store, selection: Selection, ticket: str = "t") -> Forgotten:
    await preview(store, selection, ticket)
    return await forget_again(store, ticket)


async def forget_again(store: Store, ticket: str = "t", user: str = "ming") -> Forgotten:
    """Confirm, and let the background do its part."""
    await store.forget(user, ticket)
    await Jobs(store, HandClock()).run_due()
    # Erasing may take longer; what it says is in tests of its own.
    return replace(await store.forget(user, ticket), pending=False)


def an_item(number: int, text: str = "花生过敏", **changes: Any) -> Item:
    return replace(Item(f"p{number}", "basic", text, "home", "host", NOON, NOON), **changes)


def a_profile(*items: Item, version: int = 1) -> Profile:
    return Profile(version, items, next_number=max((item.number for item in items), default=0) + 1)


async def test_the_messages_of_a_call_stand_side_by_side_in_one_conversation(store: Store) -> None:
    first, second, third = await keep(store, "in the morning", "在中午", "at night")

    assert (second, third) == (first + 1, first + 2)
    assert conversation_of(first) == conversation_of(third)


async def test_the_next_call_of_a_topic_goes_on_with_its_conversation(store: Store) -> None:
    (first,) = await keep(store, "hello")
    (elsewhere,) = await keep(store, "hello", topic="work")

    (second,) = await keep(store, "hello again", at=NOON + CONVERSATION_GAP_MS)

    assert second == first + 1
    assert conversation_of(elsewhere) != conversation_of(first)


@pytest.mark.parametrize("pause", [CONVERSATION_GAP_MS + 1, -CONVERSATION_GAP_MS - 1])
async def test_a_long_pause_in_the_messages_own_times_begins_a_conversation(
    store: Store, pause: int
) -> None:
    before, within = await keep(store, "before the pause", said("after a pause", NOON + pause))
    (after,) = await keep(store, "after another", at=NOON + 2 * pause)

    assert len({conversation_of(place) for place in (before, within, after)}) == 3


async def test_a_message_comes_back_as_it_was_said(store: Store) -> None:
    spoken = [
        said("我对花生过敏。\nReally — 🥜!", NOON, "user", "小明"),
        said("Noted.", NOON + 7, "assistant", "Claude"),
        said("  spaces stay  ", NOON - 7, "system"),
        said('{"ok": true}', NOON + 8, "tool"),
    ]
    metadata = {"mood": "好", "n": 3, "x": 1.5, "on": True, "none": None}

    places = await keep(store, *spoken, metadata=metadata, topic="饮食 & more")

    kept = await store.messages("ming", places)
    assert [(m.role, m.content, m.name, m.said_at) for m in kept] == [
        (m.role, m.content, m.name, m.said_at) for m, _ in spoken
    ]
    assert all((m.topic, m.metadata) == ("饮食 & more", metadata) for m in kept)


async def test_a_repeated_request_id_is_the_same_delivery_however_late(store: Store) -> None:
    call = a_call("remember the milk", "noted", request_id="r1")
    first = await store.append("ming", call)
    await keep(store, "something else")

    again = await store.append("ming", replace(call, arrived_at=NOON + 30 * DAY))

    assert (again.places, again.duplicate, first.duplicate) == (first.places, True, False)
    assert await store.count(MING) == 3


async def test_a_request_id_with_other_content_is_refused_and_nothing_kept(store: Store) -> None:
    await keep(store, "remember the milk", request_id="r1")

    with pytest.raises(RequestIdReusedError, match="r1"):
        await keep(store, "remember the bread", request_id="r1")

    assert await store.count(MING) == 1
    assert not await found(store, "bread")


async def test_the_newest_call_of_a_topic_sent_again_is_the_same_delivery(store: Store) -> None:
    places = await keep(store, "好的，明天见", repeat_since=NOON - MINUTE)
    await keep(store, "elsewhere", topic="work")

    again = await store.append("ming", a_call("好的，明天见", repeat_since=NOON))

    assert (again.places, again.duplicate) == (places, True)
    assert await store.count(MING) == 2


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"repeat_since": NOON + 1}, id="arrived too long ago"),
        pytest.param({"repeat_since": None}, id="never a repeat"),
        pytest.param({"repeat_since": NOON, "fingerprint": bytes(32)}, id="not equal"),
        pytest.param({"repeat_since": NOON, "topic": "work"}, id="another topic"),
        pytest.param({"repeat_since": NOON, "request_id": "r2"}, id="has an id of its own"),
    ],
)
async def test_what_only_looks_like_a_repeat_is_kept_again(store: Store, changes: dict[str, Any]) -> None:
    first = await keep(store, "好的")

    again = await store.append("ming", a_call("好的", **changes))

    assert not again.duplicate
    assert set(again.places).isdisjoint(first)


async def test_a_call_that_is_no_longer_the_newest_is_said_again(store: Store) -> None:
    await keep(store, "好的")
    await keep(store, "我们继续")

    again = await store.append("ming", a_call("好的", repeat_since=NOON - MINUTE))

    assert not again.duplicate


async def test_a_call_without_messages_is_kept_for_its_request_id_alone(store: Store) -> None:
    first = await store.append("ming", a_call(request_id="r1"))
    again = await store.append("ming", a_call(request_id="r1"))

    assert (first.places, first.duplicate) == ((), False)
    assert (again.places, again.duplicate) == ((), True)
    assert await store.topics("ming") == ()
    with pytest.raises(RequestIdReusedError):
        await keep(store, "words after all", request_id="r1")


async def test_fifty_calls_at_once_are_all_kept_each_in_places_of_its_own(store: Store) -> None:
    pairs: dict[int, tuple[int, ...]] = {}

    async def one(number: int) -> None:
        pairs[number] = await keep(store, f"question {number}", f"answer {number}")

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(one, number)

    assert len({place for pair in pairs.values() for place in pair}) == await store.count(MING) == 100
    for number, (question, answer) in pairs.items():
        kept = await store.messages("ming", [question, answer])
        assert [stored.content for stored in kept] == [f"question {number}", f"answer {number}"]
        assert answer == question + 1


async def test_one_delivery_that_comes_ten_times_at_once_is_kept_once(store: Store) -> None:
    answers = []

    async def deliver() -> None:
        answers.append(await store.append("ming", a_call("一次就好", request_id="r1")))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(deliver)

    assert len({answer.places for answer in answers}) == 1
    assert sum(not answer.duplicate for answer in answers) == 1
    assert await store.count(MING) == 1


async def test_statistics_are_the_users_own_numbers(store: Store) -> None:
    spoken = [
        said("红茶 红茶", NOON + DAY, name="小明"),
        said("tea and coffee", NOON, name="Ann"),
        said("茶", NOON),
    ]
    await keep(store, *spoken)
    await keep(store, "more tea", user="lan", at=NOON - DAY)

    numbers = await store.statistics("ming", ["红茶", "茶", "tea", "and", "咖啡"])

    assert numbers.messages == 3
    assert numbers.total_length == sum(indexed.length for _, indexed in spoken)
    assert numbers.found_in == {"红茶": 1, "茶": 2, "tea": 1, "and": 1, "咖啡": 0}
    assert set(numbers.names) == {"小明", "Ann"}
    assert (numbers.first_at, numbers.last_at) == (NOON, NOON + DAY)


async def test_the_vocabulary_of_a_letter_counts_messages_not_repetitions(store: Store) -> None:
    await keep(store, "peanut peanut butter", "peanut and pear", "花生")

    assert await store.vocabulary("ming", "p") == {"peanut": 2, "pear": 1}
    assert await store.vocabulary("ming", "花") == {"花": 1, "花生": 1}
    assert await store.vocabulary("ming", "x") == {}


async def test_candidates_are_scored_by_the_weights_of_the_terms_they_hold(store: Store) -> None:
    places = await keep(store, "red", "red green", "green blue", "blue blue blue", "yellow")

    scores = await store.candidates(MING, {"red": 1.0, "green": 3.0, "blue": 1.5}, (), 100)

    assert scores == pytest.approx(dict(zip(places, (1.0, 4.0, 4.5, 1.5), strict=False)))
    assert await store.candidates(MING, {"violet": 1.0}, (), 100) == {}
    assert await store.candidates(MING, {}, (), 100) == {}


async def test_what_says_the_rare_word_is_a_candidate_however_many_say_the_common_one(
    store: Store,
) -> None:
    await keep(store, "a rare thing", *("a common thing" for _ in range(50)))

    scores = await store.candidates(MING, {"common": 0.1, "rare": 4.0}, (), 5)

    assert max(scores.values()) == scores[min(scores)] >= 4.0
    assert len(scores) <= 5


@pytest.mark.parametrize(
    "text", ["user_id=4711-B", "NOT", "c++ is*", "🍉", "near", "a:b", "猫", "的", "{x}", "ё"]
)
async def test_a_word_that_a_search_engine_might_misread_is_only_a_word(store: Store, text: str) -> None:
    await keep(store, text, "something else")

    assert await found(store, text) == {text}


@pytest.mark.parametrize(
    ("scope", "fitting"),
    [
        (MING, {"tea one", "tea two", "tea three"}),
        (Scope("ming", topic="home"), {"tea one", "tea three"}),
        (Scope("ming", topic="nowhere"), set()),
        (Scope("ming", since=NOON), {"tea two", "tea three"}),
        (Scope("ming", until=NOON), {"tea one", "tea two"}),
        (Scope("ming", since=NOON, until=NOON), {"tea two"}),
        (Scope("ming", until=NOON - 2 * DAY), set()),
        (Scope("ming", metadata=(("mood", "好"),)), {"tea one", "tea two"}),
        (Scope("ming", metadata=(("mood", "好"), ("n", "2"))), {"tea two"}),
        (Scope("ming", metadata=(("on", "true"),)), {"tea one"}),
        (Scope("ming", metadata=(("on", "True"),)), set()),
        (Scope("ming", topic="home", since=NOON, metadata=(("n", "3.5"),)), {"tea three"}),
        (Scope("lan"), set()),
    ],
)
async def test_a_scope_says_whose_and_which_messages_count(
    store: Store, scope: Scope, fitting: set[str]
) -> None:
    await keep(store, "tea one", at=NOON - DAY, metadata={"mood": "好", "on": True})
    await keep(store, "tea two", topic="work", metadata={"mood": "好", "n": 2.0})
    await keep(store, "tea three", at=NOON + DAY, metadata={"n": 3.5})

    assert await found(store, "tea", scope) == fitting
    assert await store.count(scope) == len(fitting)
    assert {stored.content for stored in await store.latest(scope, 100)} == fitting


@pytest.mark.parametrize(
    ("scope", "scores"),
    [
        (MING, {0: 1.0, 1: 2.0, 2: 3.0, 4: 0.5}),
        (Scope("ming", topic="even"), {0: 1.0, 2: 3.0, 4: 0.5}),
        (Scope("ming", until=NOON + DAY), {0: 1.0, 1: 2.0}),
        (Scope("lan"), {}),
    ],
)
async def test_messages_of_named_days_come_in_addition_with_the_weight_of_the_day(
    store: Store, scope: Scope, scores: dict[int, float]
) -> None:
    place_of_day = {}
    for day, content in enumerate(["tea", "water", "tea", "water", "water"]):
        topic = "odd" if day % 2 else "even"
        (place,) = await keep(store, content, at=NOON + day * DAY, topic=topic)
        place_of_day[day] = place
    days = [Period(NOON + DAY, NOON + 2 * DAY, 2.0), Period(NOON + 4 * DAY, NOON + 4 * DAY, 0.5)]

    found_then = await store.candidates(scope, {"tea": 1.0}, days, 100)

    assert found_then == pytest.approx({place_of_day[day]: score for day, score in scores.items()})


async def test_no_more_messages_of_a_day_come_in_addition_than_the_limit(store: Store) -> None:
    await keep(store, *("on the day" for _ in range(6)))

    assert len(await store.candidates(MING, {}, [Period(NOON, NOON, 1.0)], 2)) == 2


async def test_a_window_reaches_so_far_before_and_after_and_shows_nothing_twice(store: Store) -> None:
    places = await keep(store, *"abcdefghij")

    window = await store.windows(MING, [places[4], places[5], places[9]], 2)

    assert window.places == places[2:10]
    assert [terms.strip() for terms in window.terms] == list("cdefghij")


async def test_a_window_ends_where_the_conversation_ends(store: Store) -> None:
    early = await keep(store, "one", "two")
    await keep(store, "another topic", topic="work")
    late = await keep(store, "three", "four", at=NOON + DAY)

    assert (await store.windows(MING, [early[1]], 7)).places == early
    assert (await store.windows(MING, [late[0]], 7)).places == late
    assert (await store.windows(MING, [late[0], early[0]], 7)).places == (*early, *late)


async def test_a_window_carries_what_ranking_wants_to_know(store: Store) -> None:
    places = await keep(store, said("去哪里？", NOON, "user", "小明"), said("2 am", NOON + 1, "assistant"))

    window = await store.windows(MING, places, 0)

    both = [index("去哪里？"), index("2 am")]
    assert (window.places, window.said_at) == (places, (NOON, NOON + 1))
    assert (window.roles, window.names) == (("user", "assistant"), ("小明", ""))
    assert window.terms == tuple(each.terms for each in both)
    assert window.lengths == tuple(each.length for each in both)
    assert window.traits == tuple(each.traits for each in both)
    assert window.traits[0] & Trait.ASKS


@pytest.mark.parametrize(
    ("scope", "places", "eligible"),
    [
        (MING, [0, 1, 2, 3], [True, True, True, True]),
        (Scope("ming", until=NOON + 2), [0, 1, 2], [True, True, True]),
        (Scope("ming", since=NOON + 1), [0, 1, 2, 3], [False, True, True, True]),
        (Scope("ming", since=NOON + 1, until=NOON + 2), [0, 1, 2], [False, True, True]),
        (Scope("ming", metadata=(("n", "2"),)), [0, 1, 2, 3], [False, False, True, True]),
        (Scope("ming", topic="work"), [0, 1, 2, 3], [False] * 4),
        (Scope("ming", topic="nowhere"), [0, 1, 2, 3], [False] * 4),
        (Scope("lan"), [], []),
    ],
)
async def test_what_does_not_fit_lends_context_but_nothing_after_until_does(
    store: Store, scope: Scope, places: list[int], eligible: list[bool]
) -> None:
    first = await keep(store, "one", said("two", NOON + 1), metadata={"n": 1})
    second = await keep(store, said("three", NOON + 2), said("four", NOON + 3), metadata={"n": 2})
    await keep(store, "elsewhere", topic="work")
    all_places = (*first, *second)

    window = await store.windows(scope, [first[0], second[1]], 7)

    assert window.places == tuple(all_places[number] for number in places)
    assert [bool(each) for each in window.eligible] == eligible


async def test_places_where_nothing_is_are_passed_over(store: Store) -> None:
    (place,) = await keep(store, "here")
    nowhere = place + 5000

    assert [stored.place for stored in await store.messages("ming", [nowhere, place])] == [place]
    assert (await store.windows(MING, [nowhere, place], 3)).places == (place,)
    assert await store.windows(MING, [nowhere], 3) == Windows()
    assert await store.windows(MING, [], 3) == Windows()


async def test_messages_come_in_the_order_they_are_asked_for(store: Store) -> None:
    a, b, c = await keep(store, "a1", "b2", "c3")

    assert [stored.content for stored in await store.messages("ming", [b, c, a])] == ["b2", "c3", "a1"]


async def test_the_latest_are_those_said_last_not_those_that_came_last(store: Store) -> None:
    await keep(store, said("third", NOON + 3), said("second", NOON + 2))
    await keep(store, said("first", NOON + 1), said("fourth", NOON + 4), topic="work")

    assert [stored.content for stored in await store.latest(MING, 3)] == ["fourth", "third", "second"]
    assert [stored.content for stored in await store.latest(MING, 3, 3)] == ["first"]
    assert [stored.content for stored in await store.latest(Scope("ming", "home"), 1)] == ["third"]


async def test_topics_are_listed_with_what_is_in_them_the_last_used_first(store: Store) -> None:
    await keep(store, "old", said("older", NOON - DAY), topic="旧事")
    await keep(store, "new", at=NOON + 1, topic="news")
    await keep(store, topic="empty", request_id="r1")

    listed = [
        (each.name, each.messages, each.first_at, each.last_at) for each in await store.topics("ming")
    ]

    assert listed == [("news", 1, NOON + 1, NOON + 1), ("旧事", 2, NOON - DAY, NOON)]


async def test_a_profile_is_kept_whole_if_it_follows_the_kept_one(store: Store) -> None:
    assert await store.profile("ming") == Profile()
    first = a_profile(an_item(1, evidence=(3, 4), pinned=True), an_item(2, "old", replaced_by="p1"))
    other = a_profile(an_item(9, "not this"))

    assert await store.save_profile("ming", first)
    assert await store.profile("ming") == first

    assert not await store.save_profile("ming", other)
    assert not await store.save_profile("ming", replace(other, version=3))
    assert await store.profile("ming") == first
    assert await store.save_profile("ming", replace(other, version=2))
    assert (await store.profile("ming")).items == other.items


async def test_of_many_that_save_the_same_version_of_a_profile_one_wins(store: Store) -> None:
    won = []

    async def save(number: int) -> None:
        if await store.save_profile("ming", a_profile(an_item(number))):
            won.append(f"p{number}")

    async with anyio.create_task_group() as group:
        for number in range(1, 11):
            group.start_soon(save, number)

    assert [item.id for item in (await store.profile("ming")).items] == won


async def test_a_selection_shows_its_numbers_and_its_lines_in_the_order_said(store: Store) -> None:
    places = await keep(store, said("third", NOON + 3), said("first", NOON + 1), said("second", NOON + 2))
    await keep(store, "elsewhere", topic="work")

    for selection in (Selection(places=(*places, places[0] + 5000)), Selection(topic="home")):
        page = await store.select("ming", selection, 2)
        rest = await store.select("ming", selection, 2, 2)

        assert (page.messages, page.first_at, page.last_at) == (3, NOON + 1, NOON + 3)
        assert [stored.content for stored in (*page.lines, *rest.lines)] == ["first", "second", "third"]
        assert len(page.lines) == 2
    assert (await store.select("ming", Selection(everything=True), 9)).messages == 4
    assert (await store.select("ming", Selection(topic="nowhere"), 9)).messages == 0


async def test_a_preview_is_kept_until_it_ran_out(store: Store, clock: HandClock) -> None:
    selection = Selection(places=(1, 2), items=("p3",))
    kept = Confirmation("t1", selection, Mark(call=4, item=5), expires_at=clock.now + 1)
    await store.keep_confirmation("ming", kept)

    assert await store.confirmation("ming", "t1") == kept
    assert await store.confirmation("ming", "t2") is None
    assert await store.confirmation("lan", "t1") is None

    clock.forward(minutes=1)
    later = Confirmation("t2", selection, Mark(call=4, item=5), expires_at=clock.now + 1)
    await store.keep_confirmation("ming", later)

    assert await store.confirmation("ming", "t1") is None
    assert await store.confirmation("ming", "t2") == later


async def no_trace(store: Store, word: str) -> bool:
    """Whether no read finds a word that was in content, names, metadata and topic alike."""
    statistics = await store.statistics("ming", [word])
    places = await store.candidates(MING, {word: 1.0}, [Period(0, NOON + 99 * DAY, 1.0)], 1000)
    window = await store.windows(MING, list(places), 9)
    every = await store.messages("ming", range(window.places[-1] + 9 if window.places else 9))
    shown = (statistics.names, window, every, await store.latest(MING, 1000), await store.topics("ming"))
    selected = await store.select("ming", Selection(everything=True), 1000)
    return (
        statistics.found_in == {word: 0}
        and word not in await store.vocabulary("ming", word[0])
        and word
        not in repr((shown, selected, await store.profile("ming"), await store.confirmation("ming", "t")))
    )


@pytest.mark.parametrize("how", ["places", "topic", "everything"])
async def test_what_is_forgotten_is_found_by_no_read(store: Store, how: str) -> None:
    await keep(store, "tea at home", said("绿茶", NOON, name="Ann"))
    gone = await keep(
        store, said("zebra", name="zebra"), "zebra zebra", topic="zebra", metadata={"zebra": "zebra"}
    )
    await store.save_profile("ming", a_profile(an_item(1, "zebra", evidence=gone), an_item(2, "tea")))
    selections = {
        "places": Selection(places=gone),
        "topic": Selection(topic="zebra"),
        "everything": Selection(everything=True),
    }

    done = await forget(store, selections[how])

    assert await no_trace(store, "zebra")
    assert await found(store, "x", Scope("ming", metadata=(("zebra", "zebra"),))) == set()
    left = 0 if how == "everything" else 2
    assert done == Forgotten(messages=4 - left, items=1 if left else 2)
    assert await store.count(MING) == left
    assert (await store.statistics("ming", [])).names == (("Ann",) if left else ())


async def test_when_all_is_forgotten_the_numbers_are_those_of_a_new_user(store: Store) -> None:
    await keep(store, said("tea", name="Ann"), "more tea")

    await forget(store, Selection(everything=True))

    assert await store.statistics("ming", ["tea"]) == Statistics(0, 0, {"tea": 0}, (), 0, 0)
    assert await store.topics("ming") == ()


async def test_a_topic_of_many_hundred_messages_goes_whole(store: Store) -> None:
    places = await keep(store, *(f"message {number}" for number in range(450)))
    (other,) = await keep(store, "this stays", topic="work")
    spread = an_item(1, evidence=(places[0], places[225], places[449]))
    await store.save_profile("ming", a_profile(spread, an_item(2, evidence=(places[300], other))))

    assert await forget(store, Selection(topic="home")) == Forgotten(messages=450, items=1)

    assert [stored.place for stored in await store.latest(MING, 1000)] == [other]
    assert [item.evidence for item in (await store.profile("ming")).items] == [(other,)]


@pytest.mark.parametrize("selection", [Selection(topic="home"), Selection(everything=True)])
async def test_what_arrives_after_the_preview_stays(store: Store, selection: Selection) -> None:
    await keep(store, "before the preview")
    await store.save_profile("ming", a_profile(an_item(1)))
    await preview(store, selection)
    await keep(store, "after the preview", request_id="r1")
    await store.save_profile("ming", a_profile(an_item(1), an_item(2, "later"), version=2))

    assert await forget_again(store) == Forgotten(messages=1, items=1)

    assert await found(store, "preview") == {"after the preview"}
    assert [item.id for item in (await store.profile("ming")).items] == ["p2"]
    assert (await store.append("ming", a_call("after the preview", request_id="r1"))).duplicate


async def test_confirming_twice_tells_what_was_done_and_takes_nothing_more(store: Store) -> None:
    await keep(store, "one", "two")
    first = await forget(store, Selection(topic="home"))
    await keep(store, "three")

    assert await forget_again(store) == first == Forgotten(messages=2, items=0)

    kept = await store.confirmation("ming", "t")
    assert kept is not None
    assert (kept.done, kept.taken) == (True, first)
    assert await found(store, "three") == {"three"}


async def test_confirming_in_two_places_at_once_tells_both_what_was_done(store: Store) -> None:
    answers = []

    async def confirm(ticket: str) -> None:
        done = await store.forget("ming", ticket)
        answers.append((done.messages, done.items))

    for ticket in "abcdefgh":
        await keep(store, "one", "two")
        await preview(store, Selection(everything=True), ticket)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(confirm, ticket)
        await confirm(ticket)

    assert answers == [(2, 0)] * len(answers)


async def test_an_unknown_token_takes_nothing(store: Store) -> None:
    await keep(store, "stays")
    await preview(store, Selection(everything=True), "t1")

    assert await store.forget("ming", "t2") == Forgotten(0, 0)
    assert await store.forget("lan", "t1") == Forgotten(0, 0)
    assert await store.count(MING) == 1


async def test_a_profile_item_goes_when_all_it_rests_on_is_forgotten(store: Store) -> None:
    a, b = await keep(store, "a1", "b2")
    items = an_item(1, evidence=(a,)), an_item(2, evidence=(a, b)), an_item(3), an_item(4, topic="work")
    await store.save_profile("ming", a_profile(*items))

    assert await forget(store, Selection(places=(a,)), "t1") == Forgotten(messages=1, items=1)
    assert (await store.profile("ming")).items == (replace(items[1], evidence=(b,)), *items[2:])

    assert await forget(store, Selection(items=("p2",)), "t2") == Forgotten(messages=0, items=1)
    assert await forget(store, Selection(topic="home"), "t3") == Forgotten(messages=1, items=1)
    assert (await store.profile("ming")).items == (items[3],)
    assert (await store.profile("ming")).next_number == 5


async def test_a_profile_read_before_something_was_forgotten_is_not_saved_after(store: Store) -> None:
    (place,) = await keep(store, "a secret")
    await store.save_profile("ming", a_profile(an_item(1, evidence=(place,))))

    await forget(store, Selection(places=(place,)))

    assert not await store.save_profile("ming", a_profile(an_item(2, "a secret"), version=2))


async def test_a_profile_that_was_being_drawn_from_forgotten_words_is_not_saved(store: Store) -> None:
    (place,) = await keep(store, "a secret")
    before = await store.profile("ming")

    await forget(store, Selection(places=(place,)))

    drawn = a_profile(an_item(1, "a secret", evidence=(place,)), version=before.version + 1)
    assert not await store.save_profile("ming", drawn)


async def test_the_request_id_of_a_forgotten_call_is_free_again(store: Store) -> None:
    first = await keep(store, "one", request_id="r1")
    await keep(store, request_id="r2")
    await forget(store, Selection(topic="home"))

    for request_id in ("r1", "r2"):
        again = await store.append("ming", a_call("other words", request_id=request_id))
        assert not again.duplicate
        assert set(again.places).isdisjoint(first)


@pytest.mark.parametrize("changes", [{"request_id": "r1"}, {"repeat_since": NOON - MINUTE}])
async def test_a_partly_forgotten_call_that_is_delivered_again_is_kept_as_new(
    store: Store, changes: dict[str, Any]
) -> None:
    first, second = await keep(store, "one", "two", metadata={"n": 1}, **changes)

    await forget(store, Selection(places=(second,)))
    again = await store.append("ming", a_call("one", "two", metadata={"n": 1}, **changes))

    assert not again.duplicate
    assert {first, second}.isdisjoint(again.places)
    assert await store.count(Scope("ming", metadata=(("n", "1"),))) == 3


async def test_the_place_of_a_forgotten_message_is_never_given_again(store: Store) -> None:
    used = set(await keep(store, "one", "two"))

    for number, selection in enumerate((Selection(topic="home"), Selection(everything=True))):
        await forget(store, selection, f"t{number}")
        again = await keep(store, "one", "two")
        assert used.isdisjoint(again)
        used |= set(again)


async def test_two_users_never_see_or_touch_each_other(store: Store) -> None:
    both = [await keep(store, "tea", "more tea", user=user, request_id="r1") for user in ("ming", "Ming")]
    await store.save_profile("ming", a_profile(an_item(1)))

    assert await store.profile("Ming") == Profile()
    assert (await store.statistics("lan", ["tea"])) == Statistics(0, 0, {"tea": 0}, (), 0, 0)
    assert await store.messages("lan", both[0]) == ()
    assert (await store.windows(Scope("lan"), both[0], 7)) == Windows()
    assert await store.vocabulary("lan", "t") == {}
    assert (await store.select("lan", Selection(places=both[0]), 9)).messages == 0

    await preview(store, Selection(everything=True), user="Ming")
    await store.forget("Ming", "t")

    assert (await store.count(MING), await store.count(Scope("Ming"))) == (2, 0)
    assert len((await store.profile("ming")).items) == 1


def a_token(token_id: str, created_at: int = NOON, **changes: Any) -> Token:
    kept = Token(token_id, sha256(token_id.encode()).hexdigest(), "ming", None, "", created_at)
    return replace(kept, **changes)


async def test_a_token_comes_back_as_it_was_kept(store: Store) -> None:
    tokens = [
        a_token("0000000a", user="小明", topic="家里", name="laptop 💻 [work]", expires_at=NOON + 1),
        a_token("0000000b", user=None),
        a_token("0000000c", expires_at=NOON - DAY),
    ]

    for token in tokens:
        await store.keep_token(token)

    assert [await store.token(token.id) for token in tokens] == tokens
    for unknown in ("0000000d", "0000000A", "", "%", "0000000a\0"):
        assert await store.token(unknown) is None


async def test_tokens_are_listed_oldest_first_also_those_that_ran_out(store: Store) -> None:
    assert await store.tokens() == ()
    given = [("c", NOON + 2), ("b", NOON), ("d", NOON - 1), ("a", NOON), ("e", NOON + 1)]

    for token_id, created_at in given:
        await store.keep_token(a_token(token_id, created_at, expires_at=created_at))

    assert [token.id for token in await store.tokens()] == ["d", "a", "b", "e", "c"]


async def test_keeping_a_token_again_changes_nothing(store: Store) -> None:
    first = a_token("0000000a")
    await store.keep_token(first)

    await store.keep_token(first)
    await store.keep_token(replace(first, user="lan", expires_at=NOON))

    assert await store.tokens() == (first,)


async def test_of_many_tokens_of_one_id_one_is_kept(store: Store) -> None:
    tokens = [a_token("0000000a", secret_hash=f"secret {number}") for number in range(10)]

    async with anyio.create_task_group() as group:
        for token in tokens:
            group.start_soon(store.keep_token, token)

    (kept,) = await store.tokens()
    assert kept in tokens


async def test_a_revoked_token_is_gone_and_its_id_is_free(store: Store) -> None:
    assert not await store.revoke_token("0000000a")
    first, other = a_token("0000000a"), a_token("0000000b")
    await store.keep_token(first)
    await store.keep_token(other)

    assert await store.revoke_token(first.id)

    assert await store.token(first.id) is None
    assert await store.tokens() == (other,)
    assert not await store.revoke_token(first.id)
    await store.keep_token(replace(first, user="lan"))
    assert await store.token(first.id) == replace(first, user="lan")


async def test_a_secret_is_made_once_for_all(store: Store) -> None:
    secrets: list[bytes] = []

    async def ask(name: str) -> None:
        secrets.append(await store.secret(name))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask, "sealing")
    other = await store.secret("other")

    assert len(set(secrets)) == 1
    assert len(secrets[0]) == len(other) == 32
    assert secrets[0] != other
    assert await store.secret("sealing") == secrets[0]


@pytest.fixture
async def elsewhere(another: Opening) -> AsyncGenerator[Store]:
    """The store of ``store``, as another process has it."""
    opened = another()
    yield opened
    await opened.close()


async def test_tokens_are_those_of_every_process(store: Store, elsewhere: Store) -> None:
    token = a_token("0000000a")
    assert await elsewhere.tokens() == ()
    await store.keep_token(token)

    assert await elsewhere.token(token.id) == token
    assert await elsewhere.revoke_token(token.id)

    assert await store.token(token.id) is None
    assert await store.tokens() == ()


async def test_a_secret_is_the_same_for_every_process(store: Store, elsewhere: Store) -> None:
    secrets: list[bytes] = []

    async def ask(asked: Store) -> None:
        secrets.append(await asked.secret("sealing"))

    async with anyio.create_task_group() as group:
        for asked in (store, elsewhere) * 5:
            group.start_soon(ask, asked)

    assert len(set(secrets)) == 1
    assert await elsewhere.secret("another") == await store.secret("another") != secrets[0]


async def test_tokens_make_no_user(store: Store) -> None:
    await store.keep_token(a_token("0000000a", user="lan"))
    await store.secret("sealing")

    assert await store.topics("lan") == ()
    assert await store.count(Scope("lan")) == 0
    assert await store.claim_job(["erasure", "reindexing"], "owner", MINUTE) is None


async def test_a_store_in_order_reports_no_problem(store: Store) -> None:
    assert (await store.health("ming")).problems == ()
    await keep(store, "hello")

    health = await store.health("ming")

    assert health.problems == ()
    assert dict(health.facts)
