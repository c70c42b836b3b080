"""nats-server: subscribers over its WebSocket listener, the publisher over TCP."""

from __future__ import annotations

import subprocess

from bench._packages import program
from bench.peers.contract import Peer, Step, client_frame, free_port, upgrade

CONFIG = """listen: "127.0.0.1:{tcp}"
websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: false }}
ping_interval: "1h"
"""
CONNECT = b'CONNECT {"verbose":false,"pedantic":false}\r\n'


class Nats(Peer):
    """One nats-server."""

    name = "nats-server"
    figure = "below it"

    def start(self) -> str:
        """Run it with a configuration of its own, and connect the publisher."""
        server = program("nats-server", "nats-server")
        self.port, tcp = free_port(), free_port()
        config = self.folder / "nats.conf"
        config.write_text(CONFIG.format(tcp=tcp, port=self.port))
        self.spawn([server, "-c", str(config)], obeys=False)
        self._link = self.await_port(tcp)
        self._talk(CONNECT + b"PING\r\n", b"PONG\r\n")
        self.await_port(self.port).close()
        told = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
        version = told.strip().rpartition("v")[2]
        return f"nats-server {version}, WebSocket listener, compression: false, pings an hour apart, PUB over TCP"

    def steps(self) -> list[Step]:
        """Upgrade, connect and subscribe in NATS' own protocol, and have it confirmed."""
        words = CONNECT + b"SUB bench 1\r\nPING\r\n"
        return [Step((upgrade(),), b"INFO {"), Step((client_frame(words, binary=True),), b"PONG\r\n")]

    def publish(self, payloads: list[bytes]) -> None:
        """Send them all at once."""
        self._link.sendall(b"".join(b"PUB bench %d\r\n%b\r\n" % (len(one), one) for one in payloads))

    def stop(self) -> None:
        """End it, and the publisher's connection."""
        if self._process is not None:
            self._link.close()
        super().stop()

    def _talk(self, said: bytes, awaited: bytes) -> None:
        self._link.sendall(said)
        answer = b""
        while awaited not in answer:
            part = self._link.recv(4_096)
            if not part:
                raise RuntimeError(f"nats-server closes: {answer!r}")
            answer += part
