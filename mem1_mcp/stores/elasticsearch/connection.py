"""The one door to the cluster: requests that are patient with what passes, and fail in words.

Every request may be sent twice: each write is conditional on what it replaces or is the same whoever
repeats it. So what passes (a node that restarts, a full queue) is waited out here, and only here.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio

from mem1_mcp.errors import StoreError
from mem1_mcp.stores.elasticsearch.failures import Failure, diagnosed, refused, strange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from elasticsearch import AsyncElasticsearch

log = logging.getLogger(__name__)

_REQUEST_SECONDS = 10.0
# A cluster that answered before comes back: a primary is elected within seconds. One that never did
# is more likely a wrong address, and is not waited for as long.
_FIRST_PATIENCE_SECONDS = 3.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 1.0
_WAITING = "1s"  # inside the cluster, for a shard that is moving; then it is another node's turn
_MISSING, _CONFLICT, _UNAVAILABLE = 404, 409, 503
_NO_INDEX = "index_not_found_exception"
_BULK_BYTES = 8_000_000
_TOUCHES = 50

_BULK_RETRIED = frozenset((429, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster, who asks, and what the indices are called there.

    ``hosts`` are URLs. ``fingerprint`` is the SHA-256 of the certificate, where there is no ``ca_file``.
    ``recent_calls`` lie with what changes about a user before they move into the index: every call writes
    these anew. ``patience_seconds`` is how long a request is tried again while the cluster can't do it.
    """

    hosts: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    api_key: str | None = None
    ca_file: str | None = None
    fingerprint: str | None = None
    prefix: str = ""
    index: str = "conversation_history"
    shards: int = 1
    patience_seconds: float = 15.0
    recent_calls: int = 64

    @property
    def where(self) -> str:
        """The hosts, for people."""
        return ", ".join(self.hosts)


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of a document that a write replaces: nothing of it may have changed since."""

    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class Found:
    """A document as it is at this moment, refreshed or not."""

    source: dict[str, Any]
    seen: Seen


@dataclass(frozen=True, slots=True)
class Put:
    """A line of a bulk request that keeps a document; with a ``version`` only over an older one."""

    id: str
    source: Mapping[str, Any]
    version: int | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """A line of a bulk request that takes a document away, if it is as it was ``seen``."""

    id: str
    seen: Seen | None = None


class Connection:
    """Sends requests to a cluster. Opens on the first one, so that nobody waits for it before."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._opened: AsyncElasticsearch | None = None
        self._reached = False
        self._stopping = False

    async def get(self, index: str, document_id: str) -> Found | None:
        """Read a document by its id, realtime; ``None`` where there is none."""
        status, body = await self.request("GET", f"/{index}/_doc/{quote(document_id, safe='')}")
        if status == _MISSING:
            return None
        return Found(body["_source"], Seen(body["_seq_no"], body["_primary_term"]))

    async def get_all(self, index: str, document_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Read documents by their ids, realtime: id to source; those that are not there are left out."""
        waits = _Patience(self.cluster.patience_seconds)
        while True:
            _, body = await self.request("POST", f"/{index}/_mget", {"ids": list(document_ids)})
            failed = [each for each in body["docs"] if "error" in each]
            if not failed:
                return {each["_id"]: each["_source"] for each in body["docs"] if each["found"]}
            error = failed[0]["error"]
            failure = refused(_MISSING if error["type"] == _NO_INDEX else _UNAVAILABLE, error)
            if self._stopping or not failure.passes or not await waits.pause():
                raise failure.in_words(writing=False, sent=False)

    async def put(
        self, index: str, document_id: str, source: Mapping[str, Any], seen: Seen | None
    ) -> Seen | None:
        """Keep a document if it is as it was seen, or not there where none was; ``None`` if it is not.

        Raises:
            NotCertainError: it was sent, and there is no telling whether it was done.

        """
        params: dict[str, object] = {"require_alias": True, "timeout": _WAITING}
        if seen is None:
            params["op_type"] = "create"
        else:
            params |= {"if_seq_no": seen.seq_no, "if_primary_term": seen.primary_term}
        path = f"/{index}/_doc/{quote(document_id, safe='')}"
        status, body = await self.request("PUT", path, source, params, writing=True)
        return None if status == _CONFLICT else Seen(body["_seq_no"], body["_primary_term"])

    async def touch(self, index: str, document_id: str, fields: Mapping[str, Any]) -> Found | None:
        """Set fields of a document, whatever happens to it meanwhile; return it, ``None`` if not there."""
        params = {
            "require_alias": True,
            "retry_on_conflict": _TOUCHES,
            "_source": True,
            "timeout": _WAITING,
        }
        path = f"/{index}/_update/{quote(document_id, safe='')}"
        status, body = await self.request("POST", path, {"doc": fields}, params, writing=True)
        if status in (_MISSING, _CONFLICT):
            return None
        return Found(body["get"]["_source"], Seen(body["_seq_no"], body["_primary_term"]))

    async def search(
        self, index: str, query: Mapping[str, Any], routing: str | None = None
    ) -> dict[str, Any]:
        """Search; a shard that can't answer is an error, never a smaller answer."""
        params: dict[str, object] = {"allow_partial_search_results": False}
        if routing is not None:
            params["routing"] = routing
        _, body = await self.request("POST", f"/{index}/_search", query, params)
        found: dict[str, Any] = body
        return found

    async def searches(
        self, index: str, queries: Sequence[Mapping[str, Any]], routing: str
    ) -> list[list[dict[str, Any]]]:
        """Do several searches in one request; return the hits of each."""
        if not queries:
            return []
        about = {"index": index, "routing": routing, "allow_partial_search_results": False}
        lines = [part for query in queries for part in (about, query)]
        waits = _Patience(self.cluster.patience_seconds)
        while True:
            _, body = await self.request("POST", "/_msearch", lines)
            failed = [each for each in body["responses"] if "error" in each]
            if not failed:
                return [each["hits"]["hits"] for each in body["responses"]]
            failure = refused(failed[0]["status"], failed[0]["error"])
            if self._stopping or not failure.passes or not await waits.pause():
                raise failure.in_words(writing=False, sent=False)

    async def bulk(
        self,
        index: str,
        lines: Iterable[Put | Delete],
        routing: str | None = None,
        *,
        refresh: bool = False,
        at_once: int = _BULK_BYTES,
    ) -> int:
        """Do all the lines; return how many found the document in another state than the line says.

        With ``refresh`` every search sees it when this returns. A request is of about as many bytes
        ``at_once``, or of one line that has more.
        """
        conflicts, size = 0, 0
        batch: list[Put | Delete] = []
        for line in lines:
            more = sum(map(len, map(str, line.source.values()))) if isinstance(line, Put) else 0
            if batch and size + more > at_once:
                conflicts += await self._bulk(index, batch, routing, refresh=refresh)
                batch, size = [], 0
            batch.append(line)
            size += more
        return conflicts + (await self._bulk(index, batch, routing, refresh=refresh) if batch else 0)

    async def _bulk(
        self, index: str, lines: Sequence[Put | Delete], routing: str | None, *, refresh: bool
    ) -> int:
        params: dict[str, object] = {
            "require_alias": True,
            "timeout": _WAITING,
            "refresh": "true" if refresh else "false",
        }
        if routing is not None:
            params["routing"] = routing
        conflicts = 0
        waits = _Patience(self.cluster.patience_seconds)
        while True:
            operations = [part for line in lines for part in _operation(line)]
            _, body = await self.request("POST", f"/{index}/_bulk", operations, params, writing=True)
            again: list[Put | Delete] = []
            failure: Failure | None = None
            for line, result in zip(lines, body["items"], strict=True):
                (item,) = result.values()
                conflicts += item["status"] == _CONFLICT
                if "error" not in item or item["status"] == _CONFLICT:
                    continue
                failure = refused(item["status"], item["error"])
                if item["status"] not in _BULK_RETRIED or not failure.passes:
                    raise failure.in_words(writing=True, sent=False)
                again.append(line)
            if failure is None:
                return conflicts
            if self._stopping or not await waits.pause():
                raise failure.in_words(writing=True, sent=False)
            lines = again

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, object] | None = None,
        *,
        writing: bool = False,
    ) -> tuple[int, Any]:
        """Send a request until it is answered, for as long as patience lasts; return status and body.

        404 for a document and 409 are answers. An index that is not there is an error.
        """
        headers = {"accept": "application/json"}
        if body is not None:
            lines = isinstance(body, list)
            headers["content-type"] = "application/x-ndjson" if lines else "application/json"
        waits = _Patience(
            self.cluster.patience_seconds
            if self._reached
            else min(_FIRST_PATIENCE_SECONDS, self.cluster.patience_seconds)
        )
        failure: Failure | None
        sent = False
        client = self._client()
        from elastic_transport import ApiError, TransportError  # here by now, with the client

        while True:
            try:
                answered = await client.options(
                    ignore_status=(_MISSING, _CONFLICT), request_timeout=_REQUEST_SECONDS, max_retries=0
                ).perform_request(method, path, params=params, headers=headers, body=body)
            except (ApiError, TransportError) as error:
                failure = diagnosed(error, self.cluster.where)
            else:
                failure = self._unexpected(answered.meta.status, answered.body)
                if failure is None:
                    self._reached = True
                    return answered.meta.status, answered.body
            sent = sent or failure.perhaps_done
            if self._stopping or not failure.passes or not await waits.pause():
                raise failure.in_words(writing=writing, sent=sent)

    def _unexpected(self, status: int, body: Any) -> Failure | None:
        if not isinstance(body, dict):
            return strange(self.cluster.where)
        # Of a document that is not there nothing else is said.
        return refused(status, body["error"]) if status == _MISSING and "error" in body else None

    def _client(self) -> AsyncElasticsearch:
        if self._opened is None:
            from elasticsearch import AsyncElasticsearch  # 0.3 s, and only this store needs it

            given = self.cluster
            trusted: dict[str, Any] = {}
            if given.ca_file:
                trusted["ca_certs"] = given.ca_file
            if given.fingerprint:
                trusted["ssl_assert_fingerprint"] = given.fingerprint
            try:
                self._opened = AsyncElasticsearch(
                    list(given.hosts),
                    basic_auth=(given.user, given.password or "") if given.user else None,
                    api_key=given.api_key,
                    **trusted,
                )
            except (ValueError, OSError) as error:
                raise StoreError(
                    f"The connection to {given.where} can't be set up: {error}. Nothing was read or "
                    "changed. Check MEM1_ES_CA_FILE and the other MEM1_ES_ settings."
                ) from error
        return self._opened

    def stop_waiting(self) -> None:
        """Have requests that wait for the cluster fail at their next attempt."""
        self._stopping = True

    async def close(self) -> None:
        """Close every connection."""
        self._stopping = True
        if self._opened is not None:
            await self._opened.close()


class _Patience:
    """How long to go on, and how long to wait before the next attempt: longer each time, with jitter."""

    def __init__(self, seconds: float) -> None:
        self._until = anyio.current_time() + seconds
        self._pause = _FIRST_PAUSE_SECONDS

    async def pause(self) -> bool:
        """Wait; false when it has been long enough."""
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
        if anyio.current_time() + pause > self._until:
            return False
        await anyio.sleep(pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        return True


def _operation(line: Put | Delete) -> list[Mapping[str, Any]]:
    about: dict[str, object] = {"_id": line.id}
    if line.seen is not None:
        about |= {"if_seq_no": line.seen.seq_no, "if_primary_term": line.seen.primary_term}
    if isinstance(line, Delete):
        return [{"delete": about}]
    if line.version is not None:
        about |= {"version": line.version, "version_type": "external_gte"}
    return [{"index": about}, line.source]
