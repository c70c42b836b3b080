"""What a peer is: a server in processes of its own that sends what is published to all who have subscribed.

A peer is started, tells how a receiver subscribes, publishes by its natural path, and is ended; everything else (the
receivers, the accounting, the order of events) is the race's, and the same for all.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from websockets.frames import Frame, Opcode

from bench._proc import cpu_s, family, rss_bytes

HERE = Path(__file__).parent
START_S = 20.0
"""How long a server may take to listen: node and a cold disk take two."""


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange of a subscription.

    Args:
        sent: what each socket sends, one after the other; one for all if there is only one.
        awaited: what the server's answer contains, at most 64 bytes.
    """

    sent: tuple[bytes, ...]
    awaited: bytes


class Peer(ABC):
    """A server that fans out.

    Args:
        folder: where it may write; it is the peer's own.
        sockets: how many will subscribe.
    """

    name: str
    figure: str | None = None
    """What ours is to be beside this one; None if the design names nothing."""

    def __init__(self, folder: Path, sockets: int) -> None:
        self.folder = folder
        self.sockets = sockets
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._pids: list[int] = []

    @abstractmethod
    def start(self) -> str:
        """Start it and wait until it listens on `port`; return its version, and how it is set up.

        Raises:
            Absent: it cannot be had on this machine.
        """

    @abstractmethod
    def steps(self) -> list[Step]:
        """Return how a receiver subscribes."""

    @abstractmethod
    def publish(self, payloads: list[bytes]) -> None:
        """Have these messages sent to everybody; the server may still be at it when this returns."""

    def cpu_s(self) -> float:
        """Return what the server's processes have used of the processor until now, in seconds."""
        return cpu_s(self._pids)

    def rss_bytes(self) -> int:
        """Return the resident memory of the server's processes."""
        return sum(rss_bytes(pid) for pid in self._pids)

    def stop(self) -> None:
        """End it; whoever has not been started has nothing to end."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    # What it was told and never read is of no interest any more.
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    def spawn(self, command: list[str], *, obeys: bool) -> subprocess.Popen[str]:
        """Start the server's process; one that obeys has pipes."""
        pipe = subprocess.PIPE if obeys else subprocess.DEVNULL
        with (self.folder / "stderr").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, text=True, cwd=HERE.parents[1]
            )
        self._pids = [self._process.pid]
        return self._process

    def await_port(self, port: int) -> socket.socket:
        """Wait until a port takes connections, then count the server's processes; return the connection."""
        assert self._process is not None
        until = time.monotonic() + START_S
        while True:
            try:
                link = socket.create_connection(("127.0.0.1", port), timeout=START_S)
            except ConnectionRefusedError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{self.name} does not listen: {self.last_words()}") from None
                time.sleep(0.02)
                continue
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pids = family(self._process.pid)
            return link

    def last_words(self) -> str:
        """Return the end of what the server said on stderr."""
        return (self.folder / "stderr").read_text("utf-8", "replace")[-500:]


class Obedient(Peer):
    """A server written in the library's own words, which publishes what its stdin tells it.

    It prints its port and, after each line, a line when its part is done.
    """

    module: str
    """What runs it, where it is a module of ours."""

    def start(self) -> str:
        """Run it."""
        version = self.version()
        process = self.spawn(self.command(), obeys=True)
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.port = int(self._line())
        return version

    @abstractmethod
    def version(self) -> str:
        """Return its version, and how it is set up.

        Raises:
            Absent: it cannot be had on this machine.
        """

    def command(self) -> list[str]:
        """Return what runs the server."""
        return [sys.executable, "-m", self.module]

    def steps(self) -> list[Step]:
        """Upgrade, and that is all."""
        return [Step((upgrade(),), b"\r\n\r\n")]

    def publish(self, payloads: list[bytes]) -> None:
        """Tell it, and wait until it has done its part."""
        self.tell(*(payload.decode() for payload in payloads))

    def tell(self, *words: str | int) -> None:
        """Write a line, and wait for the one that answers it."""
        self._in.write(json.dumps(words) + "\n")
        self._in.flush()
        self._line()

    def _line(self) -> str:
        line = self._out.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended: {self.last_words()}")
        return line.strip()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def upgrade(path: str = "/", *headers: str) -> bytes:
    """Return a request for a WebSocket, which offers no compression; RFC 6455, 4.1."""
    key = base64.b64encode(bytes(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers,
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def client_frame(data: bytes, *, binary: bool) -> bytes:
    """Return a client's frame: masked, RFC 6455, 5.3."""
    return Frame(Opcode.BINARY if binary else Opcode.TEXT, data).serialize(mask=True)
