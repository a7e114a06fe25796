"""What a person does with images on the command line, and what `doctor` says of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mem1_mcp.errors import SettingsError
from mem1_mcp.settings import load
from tests.chat_endpoint import ChatEndpoint, Said
from tests.endpoint import serving
from tests.image_files import a_png
from tests.test_cli import on_one_line, run
from tests.test_stdio import connected

BLIND = {"MEM1_OCR": "none"}


async def remember(folder: Path, **more: Any) -> str:
    """Remember an image; return its id."""
    image = {"data": base64.b64encode(a_png("green")).decode(), "filename": "meadow.png", **more}
    async with connected(folder, MEM1_OCR="none") as host:
        ids: list[str] = (await host.done("remember", images=[image], topic="walks"))["image_ids"]
    return ids[0]


@pytest.fixture
def endpoint() -> Iterator[ChatEndpoint]:
    def script(body: dict[str, Any]) -> Said:
        sees = isinstance(body["messages"][-1]["content"], list)
        return "A meadow in the morning, with nobody on it." if sees else "yes"

    with serving(ChatEndpoint(script)) as served:
        yield served


async def test_images_are_listed_with_what_is_known_of_each(tmp_path: Path) -> None:
    image = await remember(tmp_path, description="A green meadow")

    code, told, _ = await run(tmp_path, "images", "list", **BLIND)

    told = on_one_line(told)
    assert code == 0
    assert image in told
    assert "meadow.png" in told
    assert "64×48" in told
    assert "A green meadow not looked not looked" in told


@pytest.mark.heavy
async def test_an_image_is_saved_under_its_id_and_over_no_other_file(tmp_path: Path) -> None:
    image = await remember(tmp_path)

    code, told, _ = await run(tmp_path, "images", "save", image, str(tmp_path), **BLIND)
    again, _, refused = await run(tmp_path, "images", "save", image, str(tmp_path), **BLIND)

    assert (code, again) == (0, 1)
    assert (tmp_path / f"{image}.png").read_bytes() == a_png("green")
    assert "64×48" in told
    assert "is there already; nothing was written" in on_one_line(refused)


@pytest.mark.heavy
async def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    await remember(tmp_path)

    for image in ("m9.9", "../m0.0"):
        code, _, told = await run(tmp_path, "images", "save", image, str(tmp_path), **BLIND)

        assert code == 1
        assert f"There is no image {image}" in on_one_line(told)


async def test_without_eyes_reading_says_what_to_install(tmp_path: Path) -> None:
    code, _, told = await run(tmp_path, "images", "read", **BLIND)

    assert code == 1
    assert "mem1-mcp[ocr]" in told
    assert "MEM1_VL_MODEL" in told


@pytest.mark.heavy
async def test_a_vision_model_describes_what_waits_and_doctor_tells(
    tmp_path: Path, endpoint: ChatEndpoint
) -> None:
    image = await remember(tmp_path)
    seeing = {**BLIND, "MEM1_VL_MODEL": "seer", "MEM1_VL_BASE_URL": endpoint.url}

    code, told, _ = await run(tmp_path, "images", "read", **seeing)
    _, listed, _ = await run(tmp_path, "images", "list", **seeing)
    checked, health, _ = await run(tmp_path, "doctor", **seeing)

    assert (code, checked) == (0, 0)
    assert "All images of user default were looked at" in told
    assert "A meadow in the morning" in on_one_line(listed)
    health = on_one_line(health)
    assert "images 1, 1 files of 0.0 MB; text read in 0, captions of 1" in health
    assert "vision model seer at" in health
    assert "job ocr" not in health
    async with connected(tmp_path, MEM1_OCR="none") as host:
        hits = (await host.done("search_images", query="a morning with nobody"))["hits"]
    assert [hit["id"] for hit in hits] == [image]


async def test_doctor_says_what_would_look_at_images(tmp_path: Path) -> None:
    code, told, _ = await run(tmp_path, "doctor", **BLIND)

    told = on_one_line(told)
    assert code == 0
    assert "text in images not read; MEM1_OCR=none" in told
    assert "MEM1_VL_MODEL names one that describes images" in told


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"vl_model": "seer"}, "MEM1_VL_BASE_URL: MEM1_VL_MODEL needs it"),
        ({"vl_api_key": "k"}, "MEM1_VL_MODEL: MEM1_VL_BASE_URL or _API_KEY is set without it"),
        ({"vl_provider": "gpt"}, "MEM1_VL_PROVIDER"),
        ({"image_roots": "pictures"}, "MEM1_IMAGE_ROOTS: must be an absolute path"),
        ({"max_image_bytes": "99999999999"}, "MEM1_MAX_IMAGE_BYTES"),
        ({"ocr": "tesseract"}, "MEM1_OCR"),
    ],
)
def test_settings_that_can_not_be_used_are_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        load(**given)


@pytest.mark.heavy
async def test_a_vendor_is_asked_at_its_own_address(tmp_path: Path) -> None:
    given = {
        "MEM1_VL_PROVIDER": "qwen",
        "MEM1_VL_MODEL": "qwen-vl-plus",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }

    _, told, _ = await run(tmp_path, "doctor", MEM1_VL_API_KEY="k", **given)

    assert "qwen-vl-plus at https://dashscope.aliyuncs.com/compatible-mode/v1" in on_one_line(told)
