"""Messages as documents of the message index."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import asdict, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.elasticsearch.connection import Put
from mem1_mcp.stores.elasticsearch.ledger import Row
from mem1_mcp.types import label

if TYPE_CHECKING:
    from collections.abc import Mapping

VECTOR_FIELDS = "vector_"  # what their names begin with
_KEPT = [field.name for field in fields(Row)]


def document(user: str, key: str, batch: int, row: Row) -> Put:
    """Write a message; of another batch it is another document."""
    source = {name: value for name, value in asdict(row).items() if value is not None}
    return Put(f"{key}:{row.place}:{batch}", searchable({"user": user, "batch": batch, **source}))


def searchable(source: dict[str, Any]) -> dict[str, Any]:
    """Add what a search looks at and the document does not keep."""
    words = list(dict.fromkeys(source["terms"].split()))
    found = {**source, "words": words}
    if marks := row_of(source).marks:
        found["marks"] = list(marks)
    if source.get("metadata") is not None:
        metadata: Mapping[str, object] = json.loads(source["metadata"])
        found["labels"] = [label_of(name, label(value)) for name, value in metadata.items()]
    if source.get("vector"):
        vector = b64decode(source["vector"])
        if any(vector):  # one without a direction is refused
            found[vector_field(len(vector))] = list(memoryview(vector).cast("b"))
    return found


def vector_field(dimensions: int) -> str:
    """Name the field of vectors of so many dimensions; a field can hold no others."""
    return f"{VECTOR_FIELDS}{dimensions}"


def row_of(source: Mapping[str, Any]) -> Row:
    """Read a message."""
    return Row(**{name: source[name] for name in _KEPT if name in source})


def label_of(name: str, value: str) -> str:
    """Return what a name and its value are found by; of any length, so their digest."""
    return sha256(json.dumps([name, value]).encode()).hexdigest()[:32]
