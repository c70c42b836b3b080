"""The receivers of reader.c where there is no compiler: the same arguments, commands and answers; its head says which.

This one costs more of the machine, though none of the server's time while it pauses.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from dataclasses import dataclass

MARK = b'"mark":'
KEPT = 64
AT_A_TIME = 64
JOIN_LIMIT_S = 60
SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; Python's socket module does not name it."""


@dataclass(slots=True)
class One:
    """A receiver."""

    number: int
    link: socket.socket
    step: int = 0
    marks: int = 0
    arrived: int = 0
    tail: bytes = b""


def load(script: bytes) -> list[tuple[bytes, list[bytes]]]:
    """Return what is awaited and what is sent at each step."""
    at = 0

    def number() -> int:
        nonlocal at
        at += 4
        return int.from_bytes(script[at - 4 : at], "little")

    def message() -> bytes:
        nonlocal at
        length = number()
        at += length
        return script[at - length : at]

    return [(message(), [message() for _ in range(number())]) for _ in range(number())]


class Receivers:
    """All receivers of one peer."""

    def __init__(self, port: int, address: int, steps: list[tuple[bytes, list[bytes]]]) -> None:
        self._to = ("127.0.0.1", port)
        self._from = (f"127.0.{address}.2", 0)
        self._steps = steps
        self._poll = select.epoll()
        self._all: dict[int, One] = {}
        self._joined = 0
        self._bytes = 0
        self._shown = b""

    def join(self, count: int) -> str:
        """Connect that many more, and wait until all have had what the last step awaits."""
        began, wanted = time.monotonic(), len(self._all) + count
        while self._joined < wanted:
            while len(self._all) < wanted and len(self._all) - self._joined < AT_A_TIME:
                self._connect()
            for file, _ in self._poll.poll(0.1, 512):
                self._greet(self._all[file])
            if time.monotonic() - began > JOIN_LIMIT_S:
                raise SystemExit(f"{wanted - self._joined} of {wanted} sockets have not joined within {JOIN_LIMIT_S} s")
        return f"{self._joined} {time.monotonic() - began:.6f}"

    def take(self, marks: int, pause_ms: int, limit_ms: int) -> str:
        """Read until every socket has had that many marks, and return when they had."""
        began, self._bytes = time.monotonic(), 0
        while True:
            time.sleep(pause_ms / 1000)
            for file, _ in self._poll.poll(0 if pause_ms else 0.02, len(self._all)):
                self._listen(self._all[file])
            if any(one.marks > marks for one in self._all.values()):
                raise SystemExit(f"a socket has had more marks than the {marks} that were sent")
            missing = sum(one.marks < marks for one in self._all.values())
            if not missing:
                break
            if (time.monotonic() - began) * 1000 > limit_ms:
                raise SystemExit(
                    f"{missing} of {len(self._all)} sockets have not had {marks} marks within {limit_ms} ms"
                )
        shift = time.time_ns() - time.monotonic_ns()
        arrived = sorted(one.arrived - shift for one in self._all.values())
        for one in self._all.values():
            one.marks = 0
        return f"{len(arrived)} {self._bytes} {arrived[0]} {arrived[len(arrived) // 2]} {arrived[-1]}"

    def obey(self, line: str) -> str:
        """Do what a line says; return the answer."""
        name, *arguments = line.split()
        if name == "join":
            return self.join(int(arguments[0]))
        if name == "take":
            marks, pause_ms, limit_ms = map(int, arguments)
            return self.take(marks, pause_ms, limit_ms)
        if name == "show":
            return self._shown.hex()
        raise SystemExit(f"unknown command: {line}")

    def _connect(self) -> None:
        link = socket.socket()
        link.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        link.bind(self._from)
        link.connect(self._to)
        link.settimeout(0)
        one = One(len(self._all), link)
        self._all[link.fileno()] = one
        self._poll.register(link.fileno(), select.EPOLLIN)
        self._say(one)

    def _say(self, one: One) -> None:
        sent = self._steps[one.step][1]
        one.link.send(sent[one.number % len(sent)])

    def _receive(self, one: One) -> bytes:
        try:
            data, told, _, _ = one.link.recvmsg(262_144, 64)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise SystemExit(f"socket {one.number} was closed at step {one.step}: {error}") from None
        if not data:
            raise SystemExit(f"socket {one.number} was closed at step {one.step} of {len(self._steps)}")
        for level, kind, stamp in told:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", stamp[:16])
                one.arrived = seconds * 1_000_000_000 + nanoseconds
        self._bytes += len(data)
        return one.tail + data

    def _greet(self, one: One) -> None:
        data = self._receive(one)
        if not data:
            return
        if self._steps[one.step][0] not in data:
            one.tail = data[-KEPT:]
            return
        one.tail = b""
        one.step += 1
        if one.step < len(self._steps):
            self._say(one)
        else:
            self._joined += 1

    def _listen(self, one: One) -> None:
        data = self._receive(one)
        if not data:
            return
        found = data.count(MARK)
        one.marks += found
        if found:
            self._shown = data[:4_096]
        one.tail = data[1 - len(MARK) :]


def main() -> None:
    """Obey until stdin ends."""
    _, port, address, script = sys.argv
    with open(script, "rb") as file:  # noqa: PTH123 - nothing is imported that need not be
        receivers = Receivers(int(port), int(address), load(file.read()))
    for line in sys.stdin:
        print(receivers.obey(line), flush=True)


if __name__ == "__main__":
    main()
