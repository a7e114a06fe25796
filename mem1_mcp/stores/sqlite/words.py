"""What a message said, where a summary stands in its place; see ``summaries``."""

from __future__ import annotations

import zlib

# Beside each message: whether its content is a summary, and its words where they are kept.
SUMMED = "LEFT JOIN long_messages ON long_messages.place = messages.place AND summarised"
WORDS = "coalesce(words, content)"


def words_of(kept: str | bytes) -> str:
    """Read what a message said: as it stands, or compressed."""
    return kept if isinstance(kept, str) else zlib.decompress(kept).decode()
