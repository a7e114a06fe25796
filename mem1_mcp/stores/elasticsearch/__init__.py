"""The Elasticsearch store: many users, many servers, one cluster.

Nothing here needs a transaction or a script. Everything about a user that changes is one document, the
**ledger** (see ``ledger``), and every change is one compare-and-set of it. A call is committed by being
in the ledger; its messages move to the message index in batches, and a read takes the index up to where
it is known to be visible, and the ledger from there. So there is never half a call, and what was
answered is found at once, without a refresh.
"""

from __future__ import annotations

from mem1_mcp.stores.elasticsearch.connection import Cluster
from mem1_mcp.stores.elasticsearch.store import ElasticsearchStore

__all__ = ["Cluster", "ElasticsearchStore"]
