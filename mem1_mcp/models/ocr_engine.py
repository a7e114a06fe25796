"""RapidOCR as it is used here, in the process that ``ocr`` starts."""

from __future__ import annotations

import io
from typing import Any

_SURE = 0.5  # of a line, between 0 and 1; what is below is no writing
_PIXELS = 12_000_000  # more is made smaller: writing that large is read as well
_THREADS = "EngineConfig.onnxruntime"


class Engine:
    """Reads images; the models come in rapidocr's wheel."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR  # an extra that may not be installed

        self._read = RapidOCR(
            params={
                "Global.log_level": "critical",
                f"{_THREADS}.intra_op_num_threads": 1,
                f"{_THREADS}.inter_op_num_threads": 1,
            }
        )

    def answer(self, data: bytes) -> dict[str, str]:
        """Return the text, line by line, or what went wrong."""
        try:
            found: Any = self._read(_pixels(data))  # its type depends on how it is called
        except Exception as error:  # noqa: BLE001 - whatever it is, the next image may be read
            return {"error": type(error).__name__}
        lines = zip(found.txts or (), found.scores or (), strict=True)
        return {"text": "\n".join(text for text, sure in lines if sure >= _SURE)}


def _pixels(data: bytes) -> Any:
    import numpy as np
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "GIF", "WEBP")) as opened:
        image = ImageOps.exif_transpose(opened)
        if (share := _PIXELS / (image.width * image.height)) < 1:
            width, height = (max(int(side * share**0.5), 1) for side in image.size)
            image = image.resize((width, height))
        if image.mode.startswith("I"):
            image = image.point(lambda value: value / 256).convert("L")  # of sixteen bits
        if image.has_transparency_data:
            on_white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(on_white, image.convert("RGBA"))
        return np.asarray(image.convert("RGB"))[:, :, ::-1]  # it wants blue first
