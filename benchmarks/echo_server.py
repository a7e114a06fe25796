"""The least a server can do with the SDK: the baseline of every figure. ``--http`` serves over HTTP."""

import socket
import sys

from mcp.server import MCPServer

server = MCPServer("echo")


@server.tool()
async def echo(text: str) -> str:
    """Give the text back."""
    return text


def serve_http() -> None:
    """Serve on a free port, which is told on stderr, with uvicorn set as mem1-mcp sets it."""
    import uvicorn

    # With the protocol named, or asyncio lets the network hold back small packets.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        print(f"Serving http://127.0.0.1:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
        config = uvicorn.Config(
            server.streamable_http_app(), ws="none", log_config=None, access_log=False, server_header=False
        )
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    if "--http" in sys.argv[1:]:
        serve_http()
    else:
        server.run("stdio")
