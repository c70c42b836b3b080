"""What runs in node: `ws`, and Socket.IO on top of it. Both servers stand in node.js."""

from __future__ import annotations

import json
import subprocess

from bench._packages import node_modules
from bench.peers.contract import HERE, Obedient, Step, client_frame, upgrade


class NodeWs(Obedient):
    """A server of npm's `ws`."""

    name = "Node ws"
    figure: str | None = "below it"
    package = "ws"
    setup = "perMessageDeflate: false, clients.forEach(send)"

    def version(self) -> str:
        """Install it, and say how it is set up."""
        manifest = node_modules(HERE) / self.package / "package.json"
        version = json.loads(manifest.read_text("utf-8"))["version"]
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return f"{self.package} {version}, node {node}, {self.setup}"

    def command(self) -> list[str]:
        """Return what runs the server."""
        return ["node", str(HERE / "node.js"), self.package]


class SocketIo(NodeWs):
    """A server of Socket.IO."""

    name = "Socket.IO"
    figure = None
    package = "socket.io"
    setup = "WebSocket transport only, no compression, pings an hour apart, io.emit"

    def steps(self) -> list[Step]:
        """Open an Engine.IO session, version 4, then the default namespace."""
        path = "/socket.io/?EIO=4&transport=websocket"
        return [
            Step((upgrade(path),), b'"pingInterval"'),
            Step((client_frame(b"40", binary=False),), b'40{"sid"'),
        ]
