"""Which protocol eras are spoken on a pair of streams: both, or only the handshake's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mcp.server.runner import serve_dual_era_loop, serve_loop

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp.shared._stream_protocols import ReadStream, WriteStream
    from mcp.shared.message import SessionMessage

Protocol = Literal["auto", "legacy"]


async def serve_streams(
    server: Server[Any],
    incoming: ReadStream[SessionMessage | Exception],
    outgoing: WriteStream[SessionMessage],
    protocol: Protocol,
) -> None:
    """Serve one client until its stream ends.

    With ``auto`` its first message decides the era. Some hosts try the newer one and then go on as if
    they had not; ``legacy`` is for them: the server then knows nothing newer than the handshake.
    """
    async with server.lifespan(server) as state:
        if protocol == "legacy":
            await serve_loop(server, incoming, outgoing, lifespan_state=state)
        else:
            await serve_dual_era_loop(server, incoming, outgoing, lifespan_state=state)
