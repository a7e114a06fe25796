"""What was remembered is found again."""

from __future__ import annotations

from tests.conftest import Host


async def test_what_was_said_in_chinese_is_found_by_a_question_in_other_order(host: Host) -> None:
    await host.done(
        "remember", messages=[{"role": "user", "content": "我对花生过敏，昨天吃了一点就起疹子了。"}]
    )
    await host.done(
        "remember", messages=[{"role": "user", "content": "下周三要去上海出差，住在外滩附近。"}]
    )

    found = await host.done("recall", query="我对什么过敏？")

    assert found["hits"][0]["text"] == "我对花生过敏，昨天吃了一点就起疹子了。"
