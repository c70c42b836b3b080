"""picows: each transport is sent the message, as in its example of a broadcast."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

from bench._packages import Absent
from bench.peers import _obey
from bench.peers.contract import Obedient


class PicowsSend(Obedient):
    """A server of picows, a WebSocket library in Cython."""

    name = "picows"
    module = "bench.peers.picows_send"

    def version(self) -> str:
        """Say how it is set up."""
        if importlib.util.find_spec("picows") is None:
            raise Absent("picows is not installed: pip install -e '.[bench]' -c constraints.txt")
        return f"picows {importlib.metadata.version('picows')} on uvloop, its own transport, no pings"


async def _serve() -> tuple[_obey.Listening, _obey.Publish]:
    import picows

    connected: dict[Any, None] = {}

    class Listener(picows.WSListener):
        def on_ws_connected(self, transport: Any) -> None:
            connected[transport] = None

        def on_ws_disconnected(self, transport: Any) -> None:
            connected.pop(transport, None)

    def publish(message: str) -> None:
        data = message.encode()
        for transport in connected:
            transport.send(picows.WSMsgType.TEXT, data)

    server = await picows.ws_create_server(lambda request: Listener(), "127.0.0.1", 0, backlog=1_024)
    return server, publish


if __name__ == "__main__":
    _obey.run(_serve)
