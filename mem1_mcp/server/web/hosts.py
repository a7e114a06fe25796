"""By which names the server may be reached, so that no web page can do it by a name of its own.

A page whose name is made to lead to this machine (DNS rebinding) sends that name as ``Host``; a page
of another site says so in ``Origin``. Names are compared whole, whatever address is listened on.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from mem1_mcp.server.web.asgi import header_values, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine reach an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def url_of(address: str, port: int) -> str:
    """Write where a client on this machine finds the server."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if found.is_unspecified:  # every address of its kind, loopback among them
        address = "127.0.0.1" if found.version == 4 else "::1"  # noqa: PLR2004
    return f"http://{_as_host(address)}:{port}"


def own_hosts(address: str, port: int, named: Iterable[str]) -> frozenset[str]:
    """Return what ``Host`` may be, given the address that is listened on and what a person named."""
    names = {*_LOOPBACK, *named}
    found = ipaddress.ip_address(address.partition("%")[0])
    names |= _own_addresses() if found.is_unspecified else {_as_host(address)}
    lowered = {name.lower() for name in names}
    with_port = {name if _has_port(name) else f"{name}:{port}" for name in lowered}
    # A proxy before the server hands on the name alone; a client leaves out the usual port.
    alone = {name.lower() for name in named} | (lowered if port in _DEFAULT_PORTS.values() else set())
    return frozenset(with_port | alone)


def own_origins(hosts: Iterable[str], named: Iterable[str]) -> frozenset[str]:
    """Return what ``Origin`` may be: pages of this very server, and what a person named."""
    own = {f"{scheme}://{host}" for host in hosts for scheme in _DEFAULT_PORTS}
    return frozenset(own | {origin.lower().rstrip("/") for origin in named})


def _own_addresses() -> set[str]:
    import psutil  # only where every address is listened on

    kinds = (socket.AF_INET, socket.AF_INET6)
    found = [each for interface in psutil.net_if_addrs().values() for each in interface]
    return {_as_host(each.address) for each in found if each.family in kinds} | {socket.gethostname()}


def _as_host(address: str) -> str:
    plain = address.partition("%")[0]
    return f"[{plain}]" if ":" in plain else plain


def _has_port(name: str) -> bool:
    return name.rpartition(":")[2].isdigit() and not name.endswith("]")


class HostCheck:
    """Lets only requests through that were meant for this server, by its name."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], origins: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI says."""
        hosts = header_values(scope, "host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            await refuse(
                send,
                421,
                "The Host header is no name of this server. If it should be one, add it to "
                "MEM1_ALLOWED_HOSTS.",
            )
        elif any(origin.lower() not in self._origins for origin in header_values(scope, "origin")):
            await refuse(
                send,
                403,
                "Web pages of this origin may not use this server. If they should, add it to "
                "MEM1_ALLOWED_ORIGINS.",
            )
        else:
            await self._app(scope, receive, send)
