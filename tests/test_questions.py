"""Whom a question asks about, when, and in which words: each case once with and once without."""

from __future__ import annotations

import pytest

from tests.conftest import Host
from tests.test_remember_and_recall import found_by, said


def replied(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    ("question", "own", "answered"),
    [
        (
            "你给我推荐过哪部电影？",
            "这部电影我看过三遍，电影里的歌真好听。",
            "那部电影推荐你也看看，电影名叫《山河》。",
        ),
        (
            "我和你分享过的那部电影叫什么？",
            "我看的那部电影叫《故园》，电影很美。",
            "有部电影和它很像，电影叫《山河》。",
        ),
        (
            "Which trail did you recommend to me?",
            "I walked the coastal trail, it was a steep trail.",
            "The ridge trail would suit, a quiet trail with a view.",
        ),
        (
            "Do you remember my favourite trail?",
            "I like the coastal trail best, my favourite trail by far.",
            "The ridge trail is a favourite trail of many walkers here.",
        ),
    ],
)
async def test_a_question_asks_for_the_words_of_the_one_who_told(
    host: Host, question: str, own: str, answered: str
) -> None:
    await host.done("remember", topic="own", messages=[said(own)])
    await host.done("remember", topic="answered", messages=[replied(answered)])
    asks_assistant = "推荐" in question or "recommend" in question

    found = await found_by(host, question, topic="*")

    assert found[0] == (answered if asks_assistant else own)


async def test_a_speaker_is_known_by_a_short_name_too(host: Host) -> None:
    for name, drink in (("Theodora", "mint tea"), ("Casper", "mint tea")):
        text = f"I drink {drink} in the evening."
        await host.done("remember", topic=name, messages=[said(text, name=name)])

    found = await host.done("recall", query="What does Theo drink in the evening?", topic="*")

    assert found["hits"][0]["name"] == "Theodora"


async def test_the_characters_of_a_date_are_no_words_to_search_for(host: Host) -> None:
    await host.done("remember", topic="a", messages=[said("每月十五日和月底要交房租，月月如此。")])
    await host.done(
        "remember", topic="b", messages=[said("去了新开的植物园。", timestamp="2026-05-02T10:00:00")]
    )

    found = await found_by(host, "5月2日去了哪里？", topic="*")

    assert found == ["去了新开的植物园。"]


@pytest.mark.parametrize(("kept", "asked"), [("roadtrip", "road trip"), ("bookshelf", "book shelf")])
async def test_two_words_find_what_was_written_as_one(host: Host, kept: str, asked: str) -> None:
    await host.done("remember", messages=[said(f"The {kept} took us a whole weekend.")])

    assert await found_by(host, f"How long did the {asked} take?")


async def test_what_only_speaks_to_the_other_comes_after_what_tells_something(host: Host) -> None:
    telling = "I painted the shed dark green with friends."
    addressing = "You painted the shed dark green with friends."
    await host.done("remember", topic="a", messages=[said(telling)])
    await host.done("remember", topic="b", messages=[said(addressing)])

    assert await found_by(host, "shed painted green", topic="*") == [telling, addressing]


async def test_a_weak_match_says_so_and_a_good_one_does_not(host: Host) -> None:
    for text in ("I keep bees behind the house.", "The house is old.", "We sold the boat.", "It rains."):
        await host.done("remember", topic=text, messages=[said(text)])

    good = await host.text("recall", query="Do I keep bees behind the house?", topic="*")
    weak = await host.text(
        "recall", query="Which mountain hut did the geologists rent near the house last spring?", topic="*"
    )

    assert "Memories, best first:" in good
    assert "weak" not in good.splitlines()[2]
    assert "Nothing stored matches well; weak matches:" in weak
    assert "· weak match: " in weak


async def test_a_fact_that_no_longer_holds_comes_behind_the_one_that_does_and_says_so(host: Host) -> None:
    old = await host.done("remember", facts=[{"text": "Lives in Munich", "section": "basic"}])
    await host.done(
        "remember",
        facts=[{"text": "Moved to Lisbon", "section": "basic", "replaces": old["facts"][0]["id"]}],
    )

    answer = await host.text("recall", query="Munich")

    lines = [line for line in answer.splitlines() if line.startswith("- [")]
    assert lines == ["- [p2] Moved to Lisbon (basic)", "- [p1] Lives in Munich (basic; outdated, now p2)"]
