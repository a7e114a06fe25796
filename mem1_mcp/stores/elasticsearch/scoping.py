"""Which messages a read may find: in the index as a query, in the ledger as a test of each row.

Each query of messages is built here, and each names the user: routing alone is no wall.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mem1_mcp.stores.elasticsearch.documents import label_of
from mem1_mcp.stores.elasticsearch.ledger import BESIDE, IMAGE
from mem1_mcp.types import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mem1_mcp.stores.elasticsearch.ledger import Ledger, Row
    from mem1_mcp.types import Scope

    Query = dict[str, Any]


def visible(ledger: Ledger, *conditions: Query) -> Query:
    """Write the query of a user's messages that every search sees and nothing hides."""
    hidden: list[Query] = [hiding(each.topic, each.call) for each in ledger.hidden]
    if ledger.hidden_places:
        hidden.append({"terms": {"place": ledger.hidden_places}})
    if ledger.void:
        hidden.append({"terms": {"batch": ledger.void}})
    known = [{"term": {"user": ledger.user}}, {"range": {"call": {"lte": ledger.indexed}}}]
    return {"bool": {"filter": [*known, *conditions], "must_not": hidden}}


def hiding(topic: str | None, call: int) -> Query:
    """Write the condition on what is forgotten up to a call, of one topic or of all."""
    upto: Query = {"range": {"call": {"lte": call}}}
    return upto if topic is None else {"bool": {"filter": [{"term": {"topic": topic}}, upto]}}


def conditions(scope: Scope, *, beside: bool = False) -> list[Query]:
    """Write a scope's filters. Where it is images, ``beside`` lets the messages beside one in too."""
    parts: list[Query] = []
    if scope.images:
        parts.append({"terms": {"marks": [IMAGE, BESIDE] if beside else [IMAGE]}})
    if scope.topic is not None:
        parts.append({"term": {"topic": scope.topic}})
    if scope.since is not None or scope.until is not None:
        span = {"gte": scope.since, "lte": scope.until}
        parts.append({"range": {"said_at": {name: at for name, at in span.items() if at is not None}}})
    parts += [{"term": {"labels": label_of(name, value)}} for name, value in scope.metadata]
    return parts


def fits(scope: Scope, row: Row, *, beside: bool = False) -> bool:
    """Whether a message is in scope; ``beside`` as in ``conditions``."""
    if scope.images and not (IMAGE in row.marks or (beside and BESIDE in row.marks)):
        return False
    if scope.topic not in (None, row.topic):
        return False
    if scope.since is not None and row.said_at < scope.since:
        return False
    if scope.until is not None and row.said_at > scope.until:
        return False
    if not scope.metadata:
        return True
    labels: dict[str, Any] = {} if row.metadata is None else json.loads(row.metadata)
    return all(name in labels and label(labels[name]) == value for name, value in scope.metadata)


def in_scope(scope: Scope, ledger: Ledger, *, beside: bool = False) -> Sequence[Row]:
    """Return the messages in the ledger that are in scope; ``beside`` as in ``conditions``."""
    return [row for row in ledger.rows if fits(scope, row, beside=beside)]
