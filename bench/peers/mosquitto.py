"""Mosquitto: subscribers over its WebSocket listener, the publisher over TCP, MQTT 3.1.1 with QoS 0."""

from __future__ import annotations

import subprocess

from bench._packages import program
from bench.peers.contract import Peer, Step, client_frame, free_port, upgrade

CONFIG = """listener {tcp} 127.0.0.1
listener {port} 127.0.0.1
protocol websockets
allow_anonymous true
persistence false
log_type none
sys_interval 0
"""
TOPIC = b"\x00\x05bench"
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\xff\xff\x00\x00"
"""MQTT 3.1.1, 3.1: a clean session, the longest keep-alive, and a name of the broker's choice."""
CONNACK = b"\x20\x02\x00\x00"
SUBSCRIBE = b"\x82\x0a\x00\x01" + TOPIC + b"\x00"
SUBACK = b"\x90\x03\x00\x01\x00"


class Mosquitto(Peer):
    """One mosquitto."""

    name = "mosquitto"
    figure = "below it"

    def start(self) -> str:
        """Run it with a configuration of its own, and connect the publisher."""
        server = program("mosquitto", "mosquitto")
        self.port, tcp = free_port(), free_port()
        config = self.folder / "mosquitto.conf"
        config.write_text(CONFIG.format(tcp=tcp, port=self.port))
        # It gives up root's rights for those of a user of its own before it has read all.
        self.folder.chmod(0o755)
        self.spawn([server, "-c", str(config)], obeys=False)
        self._link = self.await_port(tcp)
        self._link.sendall(CONNECT)
        answer = self._link.recv(4)
        if answer != CONNACK:
            raise RuntimeError(f"mosquitto answers {answer!r}")
        self.await_port(self.port).close()
        told = subprocess.run([server, "-h"], capture_output=True, text=True, check=False).stdout
        version = told.partition("\n")[0].rpartition(" ")[2]
        return f"mosquitto {version}, WebSocket listener, nothing kept, PUBLISH with QoS 0 over TCP"

    def steps(self) -> list[Step]:
        """Upgrade, connect and subscribe in MQTT's own protocol."""
        return [
            Step((upgrade("/", "Sec-WebSocket-Protocol: mqtt"),), b"\r\n\r\n"),
            Step((client_frame(CONNECT, binary=True),), CONNACK),
            Step((client_frame(SUBSCRIBE, binary=True),), SUBACK),
        ]

    def publish(self, payloads: list[bytes]) -> None:
        """Send them all at once."""
        self._link.sendall(b"".join(packet(one) for one in payloads))

    def stop(self) -> None:
        """End it, and the publisher's connection."""
        if self._process is not None:
            self._link.close()
        super().stop()


def packet(payload: bytes) -> bytes:
    """Return a PUBLISH packet; MQTT 3.1.1, 3.3, its length in groups of seven bits (2.2.3)."""
    left = len(TOPIC) + len(payload)
    length = bytearray()
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    length.append(left)
    return b"\x30" + bytes(length) + TOPIC + payload
