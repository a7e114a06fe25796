"""The profile is short lines about the user, told as facts, merged, superseded and rendered."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from mem1_mcp.memory import Memory
from tests.conftest import HandClock, Host, host_of

ENGINES = ("sqlite", "elasticsearch")


async def tell(host: Host, text: str, **more: Any) -> dict[str, Any]:
    """Tell one fact; return what became of it."""
    saved = await host.done("remember", facts=[{"text": text, **more}])
    told: dict[str, Any] = saved["facts"][0]
    return told


async def lines(host: Host) -> list[str]:
    """Return the current lines of the profile."""
    return [item["text"] for item in (await host.done("recall", max_tokens=20000))["profile"]]


async def forget(host: Host, **selection: Any) -> dict[str, Any]:
    """Forget what is selected, with the confirmation."""
    preview = await host.done("forget", **selection)
    return await host.done("forget", confirm=preview["confirm"])


@pytest.mark.parametrize(
    ("section", "heading"),
    [
        ("basic", "Basic information"),
        ("Basic information", "Basic information"),
        ("基本信息", "Basic information"),
        ("preferences", "Preferences"),
        ("偏好习惯", "Preferences"),
        ("TIMELINE", "Timeline"),
        ("任务时间线", "Timeline"),
        ("to-do", "To-do"),
        ("待办事项", "To-do"),
        ("clarify", "To be clarified"),
        ("待澄清事项", "To be clarified"),
        (" feedback ", "Feedback"),
        ("用户反馈", "Feedback"),
        ("cautions", "Cautions"),
        ("注意事项", "Cautions"),
        (None, "Basic information"),
    ],
)
async def test_a_fact_lands_in_the_section_that_its_key_or_title_names(
    host: Host, section: str | None, heading: str
) -> None:
    await tell(host, "Lives in Hamburg", section=section)

    assert await host.profile() == f"# User profile\n\n## {heading}\n\n- Lives in Hamburg [p1]\n"


async def test_sections_come_in_their_order_and_empty_ones_not_at_all(host: Host) -> None:
    await tell(host, "Is allergic to peanuts", section="cautions")
    await tell(host, "Renew the passport", section="todo")
    await tell(host, "Lives in Hamburg")

    headings = [line for line in (await host.profile()).splitlines() if line.startswith("## ")]
    assert headings == ["## Basic information", "## To-do", "## Cautions"]
    assert await lines(host) == ["Lives in Hamburg", "Renew the passport", "Is allergic to peanuts"]


async def test_a_chinese_profile_has_chinese_headings(host: Host) -> None:
    await tell(host, "住在杭州", section="basic")
    await tell(host, "对花生过敏", section="cautions")
    await tell(host, "Works at ACME", section="basic")

    assert await host.profile() == (
        "# 用户画像\n\n## 基本信息\n\n- 住在杭州 [p1]\n- Works at ACME [p3]\n\n"
        "## 注意事项\n\n- 对花生过敏 [p2]\n"
    )


async def test_the_same_fact_told_twice_is_one_line(host: Host) -> None:
    first = await tell(host, "Lives in Hamburg")
    again = await tell(host, "Lives in Hamburg")

    assert first == {"id": "p1", "outcome": "new"}
    assert again == {"id": "p1", "outcome": "known"}
    assert await lines(host) == ["Lives in Hamburg"]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("Lives in Hamburg", "lives in Hamburg."),
        (
            "Works as a nurse in the children's hospital of Hamburg Altona",
            "working as nurse at the children's hospital of Hamburg-Altona",
        ),
        ("住在杭州西湖区", "住在杭州西湖区。"),
        ("對花生過敏", "对花生过敏"),
        ("Likes café au lait", "Likes cafe au lait!"),
        ("Has 2 cats", "has ２ cats"),
    ],
)
async def test_nearly_the_same_fact_is_one_line(host: Host, first: str, again: str) -> None:
    await tell(host, first)

    assert (await tell(host, again))["outcome"] == "known"
    assert await lines(host) == [first]


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("Has two cats", "Has three cats"),
        ("Has 2 cats", "Has 3 cats"),
        (
            "Pays 1200 euros of rent for the flat in the old town",
            "Pays 1250 euros of rent for the flat in the old town",
        ),
        ("有两只猫", "有三只猫"),
        ("喜欢喝咖啡", "不喜欢喝咖啡"),
        ("喜欢在周末和家人一起去杭州爬山", "不喜欢在周末和家人一起去杭州爬山"),
        ("Likes coffee", "Does not like coffee"),
        (
            "Likes to drink coffee in the morning with milk",
            "Never likes to drink coffee in the morning with milk",
        ),
        ("Eats meat", "Doesn't eat meat"),
        ("Lives in Hamburg", "Works in Hamburg"),
        ("Has a sister in Rome", "Has a sister in Oslo"),
        ("对花生过敏", "对花粉过敏"),
    ],
)
async def test_numbers_negations_and_other_words_keep_facts_apart(
    host: Host, first: str, other: str
) -> None:
    await tell(host, first)

    assert (await tell(host, other))["outcome"] == "new"
    assert sorted(await lines(host)) == sorted([first, other])


async def test_equal_facts_in_one_call_are_one_line(host: Host) -> None:
    saved = await host.done("remember", facts=[{"text": "Lives in Hamburg"}, {"text": "lives in hamburg"}])

    assert [told["outcome"] for told in saved["facts"]] == ["new", "known"]
    assert [told["id"] for told in saved["facts"]] == ["p1", "p1"]


@pytest.mark.parametrize("reference", ["p1", "Lives in Hamburg", "lives in hamburg."])
async def test_a_fact_replaces_the_line_that_an_id_or_words_name(
    host: Host, memory: Memory, reference: str
) -> None:
    await tell(host, "Lives in Hamburg")

    told = await tell(host, "Lives in Bremen", replaces=reference)

    assert told == {"id": "p2", "outcome": "replaced"}
    assert await lines(host) == ["Lives in Bremen"]
    assert "Hamburg" not in await host.profile()
    kept = await memory.profile("ming")
    assert [(item.id, item.text, item.replaced_by) for item in kept.items] == [
        ("p1", "Lives in Hamburg", "p2"),
        ("p2", "Lives in Bremen", None),
    ]


async def test_a_line_can_be_replaced_again_and_again(host: Host, memory: Memory) -> None:
    await tell(host, "Lives in Hamburg")
    await tell(host, "Lives in Bremen", replaces="p1")
    await tell(host, "Lives in Kiel", replaces="p2")

    assert await lines(host) == ["Lives in Kiel"]
    assert len((await memory.profile("ming")).items) == 3


async def test_replacing_by_a_fact_that_is_known_leaves_one_line(host: Host) -> None:
    await tell(host, "Lives in Hamburg")
    await tell(host, "Lives in Bremen")

    assert await tell(host, "Lives in Bremen", replaces="p1") == {"id": "p2", "outcome": "replaced"}
    assert await lines(host) == ["Lives in Bremen"]


async def test_a_repeated_replacement_changes_nothing(host: Host) -> None:
    await tell(host, "Lives in Hamburg")
    await tell(host, "Lives in Bremen", replaces="p1")

    assert (await tell(host, "Lives in Bremen", replaces="p1"))["outcome"] == "known"
    assert await lines(host) == ["Lives in Bremen"]


async def test_replacing_what_is_not_there_is_refused_whole(host: Host) -> None:
    await tell(host, "Lives in Hamburg")

    told = await host.refused(
        "remember",
        messages=[{"role": "user", "content": "I moved to Kiel"}],
        facts=[{"text": "Has a boat"}, {"text": "Lives in Kiel", "replaces": "Lives in Rome"}],
    )

    assert "facts[1].replaces" in told
    assert "Lives in Rome" in told
    assert "Nothing was saved" in told
    assert await lines(host) == ["Lives in Hamburg"]
    assert (await host.done("recall"))["hits"] == []


async def test_what_was_replaced_can_not_be_replaced_again(host: Host) -> None:
    await tell(host, "Lives in Hamburg")
    await tell(host, "Lives in Bremen", replaces="p1")

    assert "Nothing was saved" in await host.refused(
        "remember", facts=[{"text": "Lives in Kiel", "replaces": "p1"}]
    )


async def test_forgetting_all_evidence_of_a_line_takes_the_line(host: Host) -> None:
    message = {"role": "user", "content": "I moved to Hamburg."}
    saved = await host.done("remember", messages=[message], facts=[{"text": "Lives in Hamburg"}])
    await tell(host, "Likes rye bread")

    done = await forget(host, ids=saved["message_ids"])

    assert (done["messages"], done["profile_items"]) == (1, 1)
    assert await lines(host) == ["Likes rye bread"]


async def test_a_line_with_other_evidence_stays(host: Host, memory: Memory) -> None:
    saved = []
    for text, topic in (("I moved to Hamburg.", "home"), ("My office is in Hamburg too.", "work")):
        messages = [{"role": "user", "content": text}]
        facts = [{"text": "Lives in Hamburg"}]
        saved.append(await host.done("remember", messages=messages, facts=facts, topic=topic))

    first = await forget(host, topic="home")
    assert first["profile_items"] == 0
    assert await lines(host) == ["Lives in Hamburg"]
    assert len((await memory.profile("ming")).items[0].evidence) == 1

    second = await forget(host, ids=saved[1]["message_ids"])
    assert second["profile_items"] == 1
    assert await lines(host) == []


async def test_part_of_the_evidence_of_one_call_is_not_all_of_it(host: Host) -> None:
    messages = [{"role": "user", "content": "I moved."}, {"role": "user", "content": "To Hamburg."}]
    saved = await host.done("remember", messages=messages, facts=[{"text": "Lives in Hamburg"}])

    await forget(host, ids=saved["message_ids"][:1])
    assert await lines(host) == ["Lives in Hamburg"]

    await forget(host, ids=saved["message_ids"][1:])
    assert await lines(host) == []


async def test_a_fact_sent_alone_goes_with_its_topic(host: Host) -> None:
    await host.done("remember", facts=[{"text": "Lives in Hamburg"}], topic="home")
    await host.done("remember", facts=[{"text": "Works at ACME"}], topic="work")

    await forget(host, topic="home")

    assert await lines(host) == ["Works at ACME"]


async def test_forgetting_what_replaced_a_line_does_not_bring_it_back(host: Host) -> None:
    await tell(host, "Lives in Hamburg")
    await tell(host, "Lives in Bremen", replaces="p1")

    await forget(host, ids=["p2"])

    assert await lines(host) == []


async def test_an_id_that_was_forgotten_never_comes_to_mean_something_else(host: Host) -> None:
    await tell(host, "Lives in Hamburg")
    await forget(host, ids=["p1"])

    assert (await tell(host, "Lives in Bremen"))["id"] == "p2"


async def test_a_line_can_be_told_again_after_it_was_forgotten(host: Host) -> None:
    await tell(host, "Lives in Hamburg")
    await forget(host, ids=["p1"])
    await tell(host, "Lives in Hamburg")

    assert await lines(host) == ["Lives in Hamburg"]


async def test_facts_told_at_the_same_time_are_all_kept(memory: Memory, host: Host) -> None:
    await tell(host, "Collects stamps")

    async with host_of(memory, mode="legacy") as other, anyio.create_task_group() as tasks:
        for number in range(20):
            teller = (host, other)[number % 2]
            tasks.start_soon(tell, teller, f"Collects stamp series {number} of Hamburg")

    kept = await lines(host)
    assert len(kept) == 21
    assert len(set(kept)) == 21


async def test_a_line_keeps_the_time_of_its_first_telling(
    host: Host, memory: Memory, clock: HandClock
) -> None:
    began = clock()
    await host.done(
        "remember", messages=[{"role": "user", "content": "I moved."}], facts=[{"text": "Lives in Hamburg"}]
    )
    clock.forward(days=3)
    await host.done(
        "remember", messages=[{"role": "user", "content": "Yes."}], facts=[{"text": "Lives in Hamburg"}]
    )

    (item,) = (await memory.profile("ming")).items
    assert (item.created_at, item.updated_at) == (began, clock())
    assert len(item.evidence) == 2


async def test_a_misspelt_key_of_a_fact_is_named(host: Host) -> None:
    told = await host.text("remember", facts=[{"text": "Lives in Kiel", "replace": "p1"}])

    assert "facts[0].replace (did you mean replaces?)" in told


async def test_sayings_with_the_same_words_in_another_order_are_two_facts(host: Host) -> None:
    await host.done("remember", facts=[{"text": "Prefers tea over coffee"}])

    told = await host.done("remember", facts=[{"text": "Prefers coffee over tea"}])

    assert told["facts"] == [{"id": "p2", "outcome": "new"}]


async def test_a_late_second_delivery_brings_no_replaced_fact_back(host: Host) -> None:
    first = {"facts": [{"text": "Lives in Berlin"}], "request_id": "r1"}
    await host.done("remember", **first)
    await host.done("remember", facts=[{"text": "Lives in Paris", "replaces": "p1"}])

    again = await host.done("remember", **first)

    assert again["facts"] == [{"id": "p1", "outcome": "known"}]
    assert "Berlin" not in await host.profile()


async def test_the_history_of_a_forgotten_line_goes_with_it(host: Host, memory: Memory) -> None:
    await host.done("remember", facts=[{"text": "Lives in Berlin"}])
    await host.done("remember", facts=[{"text": "Lives in Paris", "replaces": "p1"}])

    preview = await host.done("forget", ids=["p2"])
    await host.done("forget", confirm=preview["confirm"])

    assert (await memory.profile("ming")).items == ()
