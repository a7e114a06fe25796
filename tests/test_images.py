"""Images through the tools: remembered, found by what is known of them, read in full, forgotten."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from mcp.types import ImageContent, ResourceLink
from PIL import Image as Pillow

from mem1_mcp.memory import Keeping, Memory, Receiver
from tests.conftest import HandClock, Host, a_memory, host_of
from tests.image_files import a_png
from tests.test_forgotten_bytes import a_message


@pytest.fixture
def memory(store: Any, clock: HandClock, tmp_path: Path) -> Memory:
    made = a_memory(store, clock)
    receiver = Receiver((tmp_path,), 200_000)
    return Memory(store, clock, made.zone, made.jobs, Keeping(images=receiver))


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def a_picture(folder: Path, name: str = "chart.png", color: str = "red") -> str:
    path = folder / name
    path.write_bytes(a_png(color))
    return str(path)


async def full(host: Host, image: str) -> tuple[str, bytes]:
    (content,) = (await host.client.read_resource(f"memory://images/{image}")).contents
    return content.mime_type or "", base64.b64decode(getattr(content, "blob", ""))


async def test_an_image_is_kept_from_its_path_and_found_by_its_description(
    host: Host, tmp_path: Path
) -> None:
    said = await host.done(
        "remember",
        messages=[a_message("Here are the sales."), a_message("Thanks.", "assistant")],
        images=[{"path": a_picture(tmp_path), "description": "Bar chart of bread sales by quarter"}],
        topic="bakery",
    )
    (image,) = said["image_ids"]
    assert len(said["message_ids"]) == 2

    found = await host.call("search_images", query="the chart with the sales of bread")

    hits = (found.structured_content or {})["hits"]
    assert [hit["id"] for hit in hits] == [image]
    assert hits[0]["image"]["description"] == "Bar chart of bread sales by quarter"
    assert hits[0]["image"]["filename"] == "chart.png"
    text, thumbnail, link = found.content
    assert f"[{image}]" in getattr(text, "text", "")
    assert isinstance(thumbnail, ImageContent)
    with Pillow.open(io.BytesIO(base64.b64decode(thumbnail.data))) as small:
        assert small.size == (64, 48)
    assert isinstance(link, ResourceLink)
    assert str(link.uri) == f"memory://images/{image}"
    assert await full(host, image) == ("image/png", (tmp_path / "chart.png").read_bytes())


async def test_the_conversation_shows_that_an_image_was_sent_and_the_image_leads_back(
    host: Host, tmp_path: Path
) -> None:
    said = await host.done(
        "remember",
        messages=[a_message("Look, this is the new oven."), a_message("Nice stones.", "assistant")],
        images=[{"path": a_picture(tmp_path), "description": "A stone oven"}],
    )
    (image,), (before, after) = said["image_ids"], said["message_ids"]

    recalled = await host.text("recall", query="the new oven")
    opened = await host.text("recall", around=image)

    assert f"user, image {image}: Look, this is the new oven." in recalled
    lines = [line for line in opened.splitlines() if line.startswith("[")]
    assert [line.split("]")[0][1:] for line in lines] == [before, image, after]
    assert "image 64×48: chart.png ⏎ A stone oven" in lines[1]


async def test_an_image_is_found_by_the_words_beside_it(host: Host) -> None:
    for number, words in enumerate(["our holiday at the Baltic sea", "the tax letter", "my new bicycle"]):
        await host.done(
            "remember",
            messages=[a_message(words)],
            images=[{"data": in_base64(a_png(size=(40 + number, 40)))}],
        )

    hits = (await host.done("search_images", query="Baltic holiday"))["hits"]

    assert hits[0]["image"]["width"] == 40


async def test_a_description_alone_is_kept_and_says_so(host: Host) -> None:
    said = await host.done("remember", images=[{"description": "一张在西湖边的合影"}])

    found = await host.call("search_images", query="西湖合影")

    assert [hit["id"] for hit in (found.structured_content or {})["hits"]] == said["image_ids"]
    assert len(found.content) == 1
    assert "image, no file: 一张在西湖边的合影" in getattr(found.content[0], "text", "")
    with pytest.raises(MCPError, match="Unknown image"):
        await full(host, said["image_ids"][0])


async def test_without_a_query_the_latest_images_come_newest_first(host: Host, clock: HandClock) -> None:
    for number in range(4):
        clock.forward(minutes=1)
        await host.done("remember", images=[{"description": f"picture number {number}"}])

    text = await host.text("search_images", limit=3)

    lines = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("[")]
    assert lines == ["3", "2", "1"]
    assert "Latest images, newest first" in text
    assert "1 more: ask for more at once (limit)" in text


async def test_nothing_found_is_said(host: Host) -> None:
    assert "No images are stored here yet." in await host.text("search_images")
    await host.done("remember", messages=[a_message("the oven")])
    assert "No stored image matches these words" in await host.text("search_images", query="oven")


async def test_topics_and_users_keep_their_images_apart(memory: Memory, host: Host) -> None:
    picture = {"data": in_base64(a_png()), "description": "the red door"}
    home = (await host.done("remember", images=[picture], topic="home"))["image_ids"]
    work = (await host.done("remember", images=[picture], topic="work"))["image_ids"]

    async with host_of(memory, "hong") as other:
        assert (await other.done("search_images", query="red door"))["hits"] == []
        assert (await other.done("search_images"))["hits"] == []
        forged = [*home, *work, *(f"m{c}.{p}" for c in range(8) for p in range(5))]
        for image in forged:
            with pytest.raises(MCPError, match="Unknown image"):
                await full(other, image)
        assert (await other.done("forget", ids=[*home, *work]))["messages"] == 0
    for topic, images in (("home", home), ("work", work)):
        hits = (await host.done("search_images", query="red door", topic=topic))["hits"]
        assert [hit["id"] for hit in hits] == images
    for odd in ("x", "m0", "m0.0.0", "../../etc/passwd", "m99999999999999999999.1"):
        with pytest.raises(MCPError):
            await full(host, odd)


async def test_names_that_mean_something_to_a_file_system_are_only_names(host: Host) -> None:
    names = [
        "../../x.png",
        "x.png",
        "CON",
        "..\\..\\x.png",
        "a/b\x00c.png",
        "n" * 300,
        "图 片.png",
        "x.png",
    ]
    images = [{"data": in_base64(a_png("blue")), "filename": name} for name in names]

    ids = (await host.done("remember", images=images))["image_ids"]

    hits = (await host.done("search_images", limit=20))["hits"]
    shown = {hit["id"]: hit["image"]["filename"] for hit in hits}
    assert len(set(ids)) == len(names)
    assert [shown[each] for each in ids] == [
        *["x.png", "x.png", "CON", "x.png", "bc.png", f"{'n' * 120}…", "图 片.png", "x.png"]
    ]
    assert {(await full(host, each))[1] for each in ids} == {a_png("blue")}


async def test_an_image_at_the_time_of_its_message_is_found_by_time(host: Host) -> None:
    old = a_message("old door", timestamp="2019-05-02T10:00:00")
    await host.done("remember", messages=[old], images=[{"description": "a door, old"}])
    await host.done("remember", images=[{"description": "a door, new"}])

    hits = (await host.done("search_images", query="door", until="2020-01-01"))["hits"]

    assert [hit["text"] for hit in hits] == ["a door, old"]
    assert hits[0]["timestamp"].startswith("2019-05-02T10:00:00")


async def test_secrets_in_what_is_said_of_an_image_are_masked(host: Host) -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    said = await host.done("remember", images=[{"description": f"screenshot with the key {key}"}])

    assert said["masked"]
    assert key not in await host.text("search_images", query="screenshot")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([{}], "images[0].description: is missing"),
        ([{"filename": "x.png"}], "images[0].description: is missing"),
        ([{"description": "ok"}, {"data": "%%%"}], "images[1].data: is no base64"),
        ([{"data": "https://example.com/x.png"}], "images[0].data: is no base64"),
        ([{"data": "aGVsbG8="}], "images[0].data: is no PNG, JPEG, GIF or WebP image"),
        ([{"data": ""}], "images[0].data: "),
        ([{"path": "/etc/passwd"}], "images[0].path: "),
        ([{"path": "http://127.0.0.1/x.png"}], "images[0].path: "),
        ([{"path": "a.png", "data": "aGVsbG8="}], "images[0].data: path is given too"),
        ([{"description": "x" * 20_001}], "images[0].description: has 20001 characters, 20000 at most"),
        ([{"description": "x"}] * 11, "images: has 11 entries, 10 at most"),
    ],
)
async def test_what_can_not_be_kept_is_refused_by_name_and_nothing_is_saved(
    host: Host, images: list[dict[str, str]], words: str
) -> None:
    refused = await host.refused("remember", messages=[a_message("look at this")], images=images)

    assert words in refused
    assert "Nothing was saved" in refused
    assert (await host.done("recall"))["hits"] == []


async def test_an_image_larger_than_the_limit_is_refused(host: Host) -> None:
    noise = Pillow.effect_noise((600, 600), 90)
    written = io.BytesIO()
    noise.save(written, "PNG")

    refused = await host.refused("remember", images=[{"data": in_base64(written.getvalue())}])

    assert "images[0].data: has 0.3 MiB, 0.2 MiB at most (MEM1_MAX_IMAGE_BYTES)" in refused


async def test_a_data_url_is_taken_for_its_bytes(host: Host) -> None:
    data = f"data:image/png;base64,{in_base64(a_png())}"

    (image,) = (await host.done("remember", images=[{"data": data}]))["image_ids"]

    assert await full(host, image) == ("image/png", a_png())


async def test_the_same_call_again_adds_nothing(host: Host) -> None:
    call = {"images": [{"data": in_base64(a_png()), "description": "the door"}]}

    first = await host.done("remember", **call)
    again = await host.done("remember", **call)

    assert again["duplicate"]
    assert again["image_ids"] == first["image_ids"]
    assert len((await host.done("search_images"))["hits"]) == 1


async def test_unknown_fields_of_an_image_are_named(host: Host) -> None:
    told = await host.done("remember", images=[{"description": "a door", "caption_": "x", "url": "y"}])

    assert told["ignored"] == ["images[0].caption_ (did you mean description?)", "images[0].url"]


async def test_thumbnails_of_an_answer_stay_within_their_budget(host: Host, tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / f"{number}.jpg"
        Pillow.effect_noise((256, 256), 40 + number).convert("RGB").save(path, quality=60)
        await host.done("remember", images=[{"path": str(path), "description": f"noise {number}"}])

    found = await host.call("search_images", query="noise", limit=12)

    thumbnails = [part for part in found.content if isinstance(part, ImageContent)]
    links = [part for part in found.content if isinstance(part, ResourceLink)]
    assert len(links) == 12
    assert 3 <= len(thumbnails) < 12
    assert sum(len(base64.b64decode(each.data)) for each in thumbnails) <= 120_000


async def test_no_fact_rests_on_an_image(host: Host, memory: Memory) -> None:
    facts = [{"text": "Is allergic to peanuts"}]
    said = await host.done("remember", images=[{"description": "a menu"}], facts=facts)

    preview = await host.done("forget", ids=said["image_ids"])

    assert (preview["messages"], preview["profile_items"]) == (1, [])
    (item,) = (await memory.profile("ming")).items
    assert item.evidence == ()


async def test_an_image_lends_its_words_to_no_other(host: Host) -> None:
    for words in ("a red door", "a green gate", "a blue fence"):
        await host.done("remember", images=[{"description": words}])

    found = await host.done("search_images", query="the green gate")

    assert [hit["text"] for hit in found["hits"]] == ["a green gate"]
    assert found["more"] == 0
