"""What ``doctor`` shows of a cluster and of a user's memory there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem1_mcp.errors import StoreError
from mem1_mcp.stores.elasticsearch import images, jobs, refreshing, shared, spaces
from mem1_mcp.stores.elasticsearch.reading import count
from mem1_mcp.text.terms import VERSION as TERMS_VERSION
from mem1_mcp.types import Health, Scope

if TYPE_CHECKING:
    from mem1_mcp.stores.elasticsearch.indices import Indices
    from mem1_mcp.stores.elasticsearch.ledgers import Ledgers

_PROBE = "probe"


async def health(indices: Indices, ledgers: Ledgers, user: str) -> Health:
    """Look the cluster over; it is written too, for one that can't be."""
    cluster = indices.connection.cluster
    facts = [("store", "Elasticsearch"), ("hosts", cluster.where)]
    problems: list[str] = []
    try:
        await indices.open()
        facts.append(("Elasticsearch", await indices.server_version()))
        _, state = await indices.connection.request("GET", f"/_cluster/health/{','.join(indices.all)}")
        facts.append(("cluster", f"{state['cluster_name']}, {state['number_of_nodes']} nodes"))
        facts.append(("health of the indices", state["status"]))
        if state["status"] == "red":
            problems.append("Shards of the indices are missing: start the nodes that hold them.")
        _, stats = await indices.connection.request("GET", f"/{','.join(indices.all)}/_stats/store")
        facts += [
            (f"index {name}", f"{about['total']['store']['size_in_bytes'] / 1e6:.1f} MB with its copies")
            for name, about in sorted(stats["indices"].items())
        ]
        await _facts_of_user(indices, ledgers, user, facts, problems)
        found = await indices.get(indices.state, _PROBE)
        await indices.put(indices.state, _PROBE, {"kind": _PROBE}, found.seen if found else None)
        facts.append(("writable", "yes"))
        facts.append(("tokens for HTTP", str(len(await shared.tokens(indices)))))
    except StoreError as error:
        problems.append(str(error))
    return Health(tuple(facts), tuple(problems))


async def _facts_of_user(
    indices: Indices, ledgers: Ledgers, user: str, facts: list[tuple[str, str]], problems: list[str]
) -> None:
    ledger = await ledgers.read(user)
    facts.append(("index", f"terms version {ledger.terms_version}, this program's is {TERMS_VERSION}"))
    facts.append(("messages", str(await count(indices, ledger, Scope(user)))))
    facts.append(("rounds", str(ledger.rounds)))
    facts.append(("calls in the ledger", f"{len(ledger.recent)} of {ledger.calls}"))
    facts += spaces.told(ledger)
    facts += await images.told(indices, ledger)
    facts += refreshing.told(ledger)
    facts += jobs.told(ledger)
    problems += [
        f"The job {kind} was given up: {work.error}"
        for kind, work in ledger.work.items()
        if work.due_at is None
    ]
    problems += refreshing.problems(ledger)
    problems += await images.problems(indices, ledger)
    if ledger.terms_version > TERMS_VERSION:
        problems.append(
            "A newer mem1-mcp uses this memory too, and its index is the newer one's: this one finds "
            "less until it is updated."
        )
