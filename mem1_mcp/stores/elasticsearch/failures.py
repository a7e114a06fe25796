"""What can go wrong with a cluster, and how it is told: what failed, what was kept, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mem1_mcp.errors import NotCertainError, StoreBusyError, StoreError

_UNAUTHORISED, _FORBIDDEN, _MISSING, _TOO_LARGE, _TOO_MANY = 401, 403, 404, 413, 429
_GATEWAYS = (502, 503, 504)
# A write that reached a primary that died is tried again inside the cluster, and may then be refused
# though the copy that took over has it.
_NOT_BEGUN = ("cluster_block_exception", "master_not_discovered_exception")
_SHOWN = 200  # characters of what a server said


class MissingIndexError(StoreError):
    """There is no index of this name."""


class ExistsError(StoreError):
    """There is an index of this name already."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request. ``cure`` says what to do.

    ``passes`` is true for what time cures; ``perhaps_done`` where the cluster may have done it all
    the same.
    """

    what: str
    cure: str
    passes: bool = False
    perhaps_done: bool = False
    kind: type[StoreError] = StoreError

    def in_words(self, *, writing: bool, sent: bool) -> StoreError:
        """Say it; ``sent`` when an attempt may have been done."""
        if writing and sent:
            return NotCertainError(
                f"{self.what} It is not certain whether this call was saved. {self.cure} Then look what "
                "is there before it is sent again."
            )
        kept = "Nothing of this call was saved." if writing else "Nothing was read or changed."
        kind = StoreBusyError if self.passes else self.kind
        return kind(f"{self.what} {kept} {self.cure}")


def diagnosed(error: Exception, where: str) -> Failure:
    """Tell what an error of the client means, whose hosts are ``where``."""
    import aiohttp  # all are there: they raised it
    import elastic_transport
    import elasticsearch

    if isinstance(error, elasticsearch.UnsupportedProductError):
        return Failure(
            f"What answers at {where} is not Elasticsearch (it does not say so in X-Elastic-Product).",
            "Set MEM1_ES_HOSTS to an Elasticsearch 8 or 9; OpenSearch and others are not supported.",
        )
    # The client makes an error of the network of this, and drops what it was.
    mismatch = isinstance(error.__context__, aiohttp.ServerFingerprintMismatch)
    if mismatch or isinstance(error, elastic_transport.TlsError):
        why = "its certificate has another fingerprint" if mismatch else _said(error)
        return Failure(
            f"The TLS connection to {where} was refused: {why}.",
            "Set MEM1_ES_CA_FILE to the certificate of its authority, or MEM1_ES_FINGERPRINT to the "
            "SHA-256 of its own; use http:// in MEM1_ES_HOSTS where the cluster speaks no TLS.",
        )
    if isinstance(error, elastic_transport.ConnectionTimeout):
        return Failure(
            f"Elasticsearch at {where} did not answer in time.",
            "Look at the cluster's health; it is tried again with the next call.",
            passes=True,
            perhaps_done=True,
        )
    if isinstance(error, elastic_transport.ConnectionError):
        return Failure(
            f"Elasticsearch at {where} can't be reached: {_said(error)}.",
            "Start it, or correct MEM1_ES_HOSTS; it is tried again with the next call.",
            passes=True,
            perhaps_done="Cannot connect" not in str(error),
        )
    if isinstance(error, elasticsearch.ApiError):
        said = error.body.get("error") if isinstance(error.body, dict) else None
        return refused(error.status_code, said or str(error.body)[:_SHOWN])
    return strange(where)  # an answer that is no JSON


def strange(where: str) -> Failure:
    """Tell of an answer that Elasticsearch never gives."""
    return Failure(
        f"What answers at {where} does not answer as Elasticsearch does.",
        "Check MEM1_ES_HOSTS: a proxy or a login page may stand before it.",
        perhaps_done=True,
    )


def refused(status: int, error: Any) -> Failure:  # noqa: PLR0911 - one case, one answer
    """Tell what an error means that the cluster answered with."""
    kind, reason = _of(error)
    told = f"Elasticsearch refused it ({status} {kind}: {reason})."
    if status == _UNAUTHORISED:
        return Failure(
            f"Elasticsearch does not let this server in ({status} {kind}).",
            "Check MEM1_ES_API_KEY, or MEM1_ES_USER and MEM1_ES_PASSWORD.",
        )
    if "block" in kind and status not in _GATEWAYS:
        return Failure(
            f"Elasticsearch does not write at present ({status} {kind}: {reason}).",
            "A disk of the cluster is full, or an index was made read-only: free space, then set "
            "index.blocks.read_only_allow_delete to null.",
        )
    if status == _FORBIDDEN:
        return Failure(
            f"Elasticsearch does not allow it ({status} {kind}: {reason}).",
            "Give the user or the API key the rights on these indices: create_index, manage, read, "
            "write, maintenance.",
        )
    if kind == "media_type_header_exception":
        return Failure(
            f"This Elasticsearch does not speak with this client ({reason}).",
            "Install elasticsearch>=8.19,<9 beside mem1-mcp; that client speaks with servers 8 and 9.",
        )
    if status == _MISSING:
        return Failure(
            f"An index of mem1-mcp is missing ({reason}).",
            "Restore it from a snapshot; otherwise the next call begins with an empty one.",
            kind=MissingIndexError,
        )
    if kind == "resource_already_exists_exception":
        return Failure(told, "Use another name.", kind=ExistsError)
    if status == _TOO_LARGE:
        return Failure(told, "Send fewer messages in a call.")
    if status == _TOO_MANY:
        return Failure(f"Elasticsearch has too much to do ({kind}).", "Try again in a moment.", passes=True)
    if status in _GATEWAYS:
        return Failure(
            f"The cluster can't do it at present ({status} {kind}: {reason}).",
            "Look at its health: nodes may be missing. It is tried again with the next call.",
            passes=True,
            perhaps_done=kind not in _NOT_BEGUN,
        )
    return Failure(told, "Report this as a bug of mem1-mcp, with these words.")


def _of(error: Any) -> tuple[str, str]:
    if not isinstance(error, dict):
        return "error", " ".join(str(error).split())[:_SHOWN]
    cause = error
    # What a search failed of is inside what each shard failed of.
    for deeper in (error.get("root_cause") or [])[:1]:
        cause = deeper
    return str(cause.get("type", "error")), " ".join(str(cause.get("reason", "")).split())[:_SHOWN]


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())[:_SHOWN].rstrip(".")
