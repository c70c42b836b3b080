"""websockets' `broadcast`, used as its documentation has it."""

from __future__ import annotations

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.version import version

from bench.peers import _obey
from bench.peers.contract import Obedient


class WebsocketsBroadcast(Obedient):
    """A server of websockets' asyncio implementation."""

    name = "websockets.broadcast"
    module = "bench.peers.websockets_broadcast"

    def version(self) -> str:
        """Say how it is set up."""
        return f"websockets {version} on uvloop, compression=None, ping_interval=None"


async def _serve() -> tuple[_obey.Listening, _obey.Publish]:
    connected: dict[ServerConnection, None] = {}

    async def take(connection: ServerConnection) -> None:
        connected[connection] = None
        try:
            await connection.wait_closed()
        finally:
            del connected[connection]

    def publish(message: str) -> None:
        broadcast(connected, message)

    return await serve(take, "127.0.0.1", 0, compression=None, ping_interval=None), publish


if __name__ == "__main__":
    _obey.run(_serve)
