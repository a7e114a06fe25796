"""The indices: how they are laid out, made, known for ours, and brought to a newer layout.

An index has its layout's version in its name and in ``_meta``; an alias is what programs use. A layout
with a new mapping is a new index: the old one is closed to writes, copied, and exchanged for the new
one in one step. Calls go on being kept meanwhile, since they come into the ledger first.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from mem1_mcp.errors import StoreBusyError, StoreDamagedError, StoreError, StoreTooNewError
from mem1_mcp.stores.elasticsearch.connection import Put
from mem1_mcp.stores.elasticsearch.documents import VECTOR_FIELDS, searchable, vector_field
from mem1_mcp.stores.elasticsearch.failures import ExistsError, MissingIndexError
from mem1_mcp.types import JOB_KINDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

    from mem1_mcp.stores.elasticsearch.connection import Connection, Delete, Found, Seen

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_MADE_BY = "mem1-mcp"
_SERVERS = (8, 9)  # major versions
_COPIED_AT_ONCE = 1000
_LARGE_AT_ONCE = 1_030_000  # bytes: what has more than 2**20 the client warns of
_CONFLICT = 409

_KEYWORD: dict[str, Any] = {"type": "keyword"}
_NOT_SEARCHED: dict[str, Any] = {"type": "text", "index": False, "norms": False}
_NUMBER: dict[str, Any] = {"type": "long"}
_DATE: dict[str, Any] = {"type": "date", "format": "epoch_millis"}
_OBJECT: dict[str, Any] = {"type": "object", "enabled": False}


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of index. ``moves[n]`` makes a document of layout n + 2 of one of layout n + 1.

    ``searchable`` adds to a document what is searched and not kept with it.
    """

    mapping: Mapping[str, Any]
    settings: Mapping[str, Any]
    searchable: Callable[[dict[str, Any]], dict[str, Any]] = dict
    moves: Sequence[Callable[[dict[str, Any]], dict[str, Any]]] = ()

    @property
    def version(self) -> int:
        """The newest version."""
        return len(self.moves) + 1


_SETTINGS: dict[str, Any] = {
    "refresh_interval": "1s",
    "auto_expand_replicas": "0-1",
    # A merge that is asked for leaves out every deleted document, however few; see ``erasing``.
    "merge": {"policy": {"expunge_deletes_allowed": 0}},
}

MESSAGES = Layout(
    mapping={
        "dynamic": "strict",
        "_routing": {"required": True},
        # What is searched is made from the terms; a copy of it would only take room.
        "_source": {"excludes": ["words", "labels", "marks", f"{VECTOR_FIELDS}*"]},
        "properties": {
            "user": _KEYWORD,
            "topic": _KEYWORD,
            "call": _NUMBER,
            "batch": _NUMBER,
            "place": _NUMBER,
            "said_at": _DATE,
            "name": _KEYWORD,
            "length": {"type": "integer", "index": False},
            "terms_version": {"type": "integer"},
            "words": _KEYWORD,
            "labels": {"type": "keyword", "doc_values": False},
            "role": {"type": "keyword", "index": False, "doc_values": False},
            "traits": {"type": "integer", "index": False, "doc_values": False},
            "terms": _NOT_SEARCHED,
            "content": _NOT_SEARCHED,
            "metadata": _NOT_SEARCHED,
            "space": _NUMBER,
            "vector": {"type": "binary"},
            "long": {"type": "boolean"},
            "summarised": {"type": "boolean", "index": False, "doc_values": False},
            "original": {"type": "binary"},
            "marks": {"type": "keyword", "doc_values": False},
            "image": _NOT_SEARCHED,
            "digest": _KEYWORD,
            "beside": _NUMBER,
            "images": {"type": "integer", "index": False, "doc_values": False},
            "ocr": _NOT_SEARCHED,
            "caption": _NOT_SEARCHED,
            "ocr_trouble": _NOT_SEARCHED,
            "caption_trouble": _NOT_SEARCHED,
        },
    },
    settings=_SETTINGS,
    searchable=searchable,
)
STATE = Layout(
    mapping={
        "dynamic": "strict",
        "properties": {
            "kind": _KEYWORD,
            "user": _KEYWORD,
            "topic": _KEYWORD,
            "call": _NUMBER,
            "batch": _NUMBER,
            "due_at": _DATE,
            "due": {"properties": dict.fromkeys(JOB_KINDS, _DATE)},
            "work": _KEYWORD,
            "terms_version": {"type": "integer"},
            "space": _KEYWORD,
            "space_since": _DATE,
            "pending": _NUMBER,
            "refreshed_at": _DATE,
            "created_at": _DATE,
            "waiting": {"type": "keyword", "index": False, "doc_values": False},
            "state": _OBJECT,
        },
    },
    settings=_SETTINGS,
)
PROFILES = Layout(
    mapping={
        "dynamic": "strict",
        "properties": {"user": _KEYWORD, "version": _NUMBER, "state": _OBJECT},
    },
    settings=_SETTINGS,
)
# An image is several documents: reading a thumbnail reads nothing else, and none is too large for a node.
IMAGES = Layout(
    mapping={
        "dynamic": "strict",
        "properties": {
            "user": _KEYWORD,
            "digest": _KEYWORD,
            "part": {"type": "integer"},
            "size": {"type": "long", "index": False},
            "parts": {"type": "integer", "index": False, "doc_values": False},
            "media_type": {"type": "keyword", "index": False, "doc_values": False},
            "width": {"type": "integer", "index": False, "doc_values": False},
            "height": {"type": "integer", "index": False, "doc_values": False},
            "bytes": {"type": "binary"},
        },
    },
    # Otherwise a third of the room is base64's; this takes no more time.
    settings={**_SETTINGS, "codec": "best_compression"},
)


class Indices:
    """The indices of one cluster, as aliases. Made or checked before the first request to them."""

    def __init__(self, connection: Connection, layouts: Mapping[str, Layout] | None = None) -> None:
        cluster = connection.cluster
        self.connection = connection
        self.messages = cluster.prefix + cluster.index
        self.state = f"{cluster.prefix}mem1_user_state"
        self.profiles = f"{cluster.prefix}mem1_user_profile"
        self.images = f"{cluster.prefix}mem1_user_images"
        self._layouts = layouts or {
            self.messages: MESSAGES,
            self.state: STATE,
            self.profiles: PROFILES,
            self.images: IMAGES,
        }
        self._ready = False
        self._dimensions: set[int] = set()
        self._opening = anyio.Lock()

    @property
    def all(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(self._layouts)

    async def get(self, index: str, document_id: str) -> Found | None:
        """See ``Connection.get``."""
        await self.open()
        return await self._checked(self.connection.get(index, document_id))

    async def get_all(self, index: str, document_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See ``Connection.get_all``."""
        await self.open()
        return await self._checked(self.connection.get_all(index, document_ids))

    async def put(
        self, index: str, document_id: str, source: Mapping[str, Any], seen: Seen | None
    ) -> Seen | None:
        """See ``Connection.put``."""
        await self.open()
        return await self._checked(self.connection.put(index, document_id, source, seen))

    async def touch(self, index: str, document_id: str, fields: Mapping[str, Any]) -> Found | None:
        """See ``Connection.touch``."""
        await self.open()
        return await self._checked(self.connection.touch(index, document_id, fields))

    async def search(
        self, index: str, query: Mapping[str, Any], routing: str | None = None
    ) -> dict[str, Any]:
        """See ``Connection.search``."""
        await self.open()
        return await self._checked(self.connection.search(index, query, routing))

    async def searches(
        self, index: str, queries: Sequence[Mapping[str, Any]], routing: str
    ) -> list[list[dict[str, Any]]]:
        """Do several searches in one request; return the hits of each."""
        await self.open()
        return await self._checked(self.connection.searches(index, queries, routing))

    async def bulk(
        self,
        index: str,
        lines: Iterable[Put | Delete],
        routing: str | None = None,
        *,
        refresh: bool = False,
    ) -> int:
        """See ``Connection.bulk``."""
        await self.open()
        return await self._checked(self.connection.bulk(index, lines, routing, refresh=refresh))

    async def bring(self, index: str, lines: Iterable[Put]) -> None:
        """Keep large documents, few in a request."""
        await self.open()
        await self._checked(self.connection.bulk(index, lines, at_once=_LARGE_AT_ONCE))

    async def add_vectors(self, dimensions: int) -> None:
        """Have the message index hold vectors of so many dimensions; nothing where it does."""
        if dimensions in self._dimensions:
            return
        await self.open()
        field = {"type": "dense_vector", "element_type": "byte", "dims": dimensions, "similarity": "cosine"}
        body = {"properties": {vector_field(dimensions): field}}
        await self._checked(
            self.connection.request("PUT", f"/{self.messages}/_mapping", body, writing=True)
        )
        self._dimensions.add(dimensions)

    async def refresh(self, index: str) -> None:
        """Have every search see what was written before."""
        await self.open()
        _, body = await self._checked(self.connection.request("POST", f"/{index}/_refresh", writing=False))
        if body["_shards"]["failed"]:
            raise StoreBusyError(
                f"Not every shard of {index} could be refreshed. Nothing was read or changed. Try again."
            )

    async def _checked(self, asked: Awaitable[_Result]) -> _Result:
        try:
            return await asked
        except StoreError:
            # Whatever it is, the next call looks again: indices may be gone, or another's by now.
            self._ready = False
            self._dimensions.clear()
            raise

    async def open(self) -> None:
        """Check the server and the indices, and make those that are not there; nothing when it was done.

        Raises:
            StoreError: the server is out of range, or does not let us.
            StoreDamagedError: an index of one of these names is another program's.
            StoreTooNewError: a newer mem1-mcp laid an index out.

        """
        if self._ready:
            return
        async with self._opening:
            if self._ready:
                return
            await self._check_server()
            for alias, layout in self._layouts.items():
                await self._open_one(alias, layout)
            self._ready = True

    async def server_version(self) -> str:
        """Return the version of the oldest node."""
        _, body = await self.connection.request(
            "GET", "/_nodes/_all/none", params={"filter_path": "nodes.*.version"}
        )
        versions = [node["version"] for node in body.get("nodes", {}).values()]
        oldest: str = min(versions, key=lambda text: [int(part) for part in text.split("-")[0].split(".")])
        return oldest

    async def _check_server(self) -> None:
        try:
            version = await self.server_version()
        except StoreBusyError:
            raise
        except StoreError as error:
            if "does not allow" in str(error):
                return  # who may not look at nodes may still keep memories
            raise
        if int(version.split(".")[0]) not in _SERVERS:
            raise StoreError(
                f"Elasticsearch at {self.connection.cluster.where} is {version}; this mem1-mcp "
                "works with 8 and 9. Nothing was read or changed. Use such a cluster."
            )

    async def _open_one(self, alias: str, layout: Layout) -> None:
        status, body = await self._ask("GET", f"/{alias}")
        if status == 404:  # noqa: PLR2004
            await self._make(alias, layout, layout.version, with_alias=True)
            status, body = await self._ask("GET", f"/{alias}")
        ((name, described),) = body.items() if len(body) == 1 else [(alias, {})]
        meta = described.get("mappings", {}).get("_meta", {})
        if meta.get("made_by") != _MADE_BY or name == alias:
            raise StoreDamagedError(
                f"The cluster has an index {name} that mem1-mcp did not make (mem1 keeps one of this "
                "name). It was left untouched. Set MEM1_ES_PREFIX, such as MEM1_ES_PREFIX=mcp-, so that "
                "the indices here get names of their own."
            )
        if meta["oldest_writer"] > layout.version:
            raise StoreTooNewError(
                f"{name} was laid out by a newer mem1-mcp (layout {meta['layout']}, this program knows "
                f"{layout.version}). Nothing was read or changed. Update this mem1-mcp."
            )
        if meta["layout"] < layout.version:
            await self._move(alias, name, layout, meta["layout"])

    async def _ask(
        self, method: str, path: str, body: Any = None, params: Mapping[str, object] | None = None
    ) -> tuple[int, Any]:
        """Send a request about indices, to which not being there is an answer."""
        try:
            return await self.connection.request(method, path, body, params)
        except MissingIndexError:
            return 404, {}

    async def _make(self, alias: str, layout: Layout, version: int, *, with_alias: bool) -> str:
        """Make an index, unless another process was faster; return its name."""
        name = f"{alias}-v{version}"
        settings = {**layout.settings, "number_of_shards": self.connection.cluster.shards}
        meta = {"made_by": _MADE_BY, "layout": version, "oldest_writer": version}
        body: dict[str, Any] = {
            "settings": {"index": settings},
            "mappings": {**layout.mapping, "_meta": meta},
        }
        if with_alias:
            body["aliases"] = {alias: {"is_write_index": True}}
        try:
            await self.connection.request("PUT", f"/{name}", body, {"timeout": "10s"}, writing=True)
        except ExistsError:
            log.info("Another process made %s", name)
        return name

    async def _move(self, alias: str, old: str, layout: Layout, version: int) -> None:
        """Copy an index into one of the newest layout and exchange them in one step.

        Whoever is killed in the middle leaves a copy without an alias; the next one begins anew.
        """
        log.warning("Bringing %s to layout %d; calls are kept meanwhile", old, layout.version)
        new = f"{alias}-v{layout.version}"
        await self._ask("PUT", f"/{old}/_settings", {"index.blocks.write": True})
        await self._ask("DELETE", f"/{new}")
        await self._make(alias, layout, layout.version, with_alias=False)
        _, described = await self._ask("GET", f"/{old}/_mapping")
        properties: dict[str, Any] = described[old]["mappings"].get("properties", {})
        if made := {name: each for name, each in properties.items() if name.startswith(VECTOR_FIELDS)}:
            await self.connection.request("PUT", f"/{new}/_mapping", {"properties": made}, writing=True)
        copied = await self._copy(old, new, layout, version)
        _, counted = await self._ask("GET", f"/{new}/_count")
        if counted["count"] != copied:
            raise StoreBusyError(
                f"Another process brings {old} to the newest layout too. Nothing was changed. Try again."
            )
        actions = [
            {"remove_index": {"index": old}},
            {"add": {"index": new, "alias": alias, "is_write_index": True}},
        ]
        await self.connection.request("POST", "/_aliases", {"actions": actions}, writing=True)

    async def _copy(self, old: str, new: str, layout: Layout, version: int) -> int:
        copied = 0
        async for hits in self.pages(old, {"match_all": {}}):
            lines: list[Any] = []
            for hit in hits:
                source = hit["_source"]
                for move in layout.moves[version - 1 :]:
                    source = move(source)
                lines.append({"create": {"_id": hit["_id"], "routing": hit.get("_routing")}})
                lines.append(layout.searchable(source))
            _, body = await self.connection.request("POST", f"/{new}/_bulk", lines, writing=True)
            refused = [item for each in body["items"] for item in each.values() if "error" in item]
            if any(item["status"] != _CONFLICT for item in refused):
                raise StoreError(f"{old} could not be copied: {refused[0]['error']}. It is as it was.")
            copied += len(hits)
        await self.connection.request("POST", f"/{new}/_refresh")
        return copied

    async def pages(
        self, index: str, query: Mapping[str, Any], routing: str | None = None
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Read all that fits, as it was at one moment, page by page."""
        params: dict[str, object] = {"keep_alive": "5m"}
        if routing is not None:
            params["routing"] = routing
        _, opened = await self.connection.request("POST", f"/{index}/_pit", None, params)
        pit = opened["id"]
        try:
            after: list[Any] | None = None
            while True:
                body = {
                    "pit": {"id": pit, "keep_alive": "5m"},
                    "query": query,
                    "size": _COPIED_AT_ONCE,
                    "sort": ["_shard_doc"],
                    "track_total_hits": False,
                    "seq_no_primary_term": True,
                }
                if after is not None:
                    body["search_after"] = after
                _, found = await self.connection.request(
                    "POST", "/_search", body, {"allow_partial_search_results": False}
                )
                hits = found["hits"]["hits"]
                if not hits:
                    return
                yield hits
                after, pit = hits[-1]["sort"], found.get("pit_id", pit)
        finally:
            with anyio.CancelScope(shield=True):
                await self.connection.request("DELETE", "/_pit", {"id": pit})
