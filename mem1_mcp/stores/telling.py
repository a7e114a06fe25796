"""What ``doctor`` says of a user's memory, in the same words for every store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem1_mcp.types import message_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mem1_mcp.types import JobKind, Reached, Usage


def profile(version: int, rounds_read: int, rounds: int) -> tuple[str, str]:
    """Tell how far the profile is."""
    return "profile", f"version {version}; a model has been through {rounds_read} of {rounds} rounds"


def usage(used: Iterable[Usage]) -> list[tuple[str, str]]:
    """Tell what models were asked."""
    return [
        (
            f"model {each.model}",
            f"{each.calls} calls, {each.input_tokens} tokens in, {each.output_tokens} out",
        )
        for each in used
    ]


def given_up_after(after: Reached) -> str:
    """Say where a stretch of messages begins that was given up."""
    return "from the beginning" if after.place < 0 else f"after {message_id(after.place)}"


def given_up(first: str, last: str, reason: str) -> str:
    """Tell of a stretch of messages that the profile knows nothing of."""
    return (
        f"The profile's refresh gave up the messages {first} up to {last}, after five bad answers: "
        f"{reason} They stay in the history; the profile knows nothing of them."
    )


def images(number: int, files: tuple[int, int], read: int, captioned: int) -> tuple[str, str]:
    """Tell how many images there are; ``files`` are how many different ones have bytes, and how many."""
    size = f"{files[0]} files of {files[1] / 1e6:.1f} MB"
    return "images", f"{number}, {size}; text read in {read}, captions of {captioned}"


def image_given_up(place: int, kind: JobKind, reason: str) -> str:
    """Tell of an image that is found by what else is known of it."""
    what = "text in" if kind == "ocr" else "caption of"
    return (
        f"The {what} the image {message_id(place)} was given up: {reason.rstrip('.')}. "
        "`mem1-mcp images read` tries again."
    )
