"""Many cheap receivers in one process: raw sockets, one epoll, which answer nothing but pings.

`python -m bench._crowd PORT [ADDRESS [witness]]`: a crowd reads now and then, a witness at once. Where much comes to
one socket only a witness can tell when: what waits in a socket is merged, and has the time of its last part.

Commands, one JSON array a line: `join COUNT SUB` connects and subscribes; `freeze COUNT` stops reading that many;
`marks` returns, for every mark seen in a cue (`"mark":N`), when its first and last socket had it and how many did;
`delays` returns all delays against marks that are instants. Times are CLOCK_MONOTONIC, which processes share, and those
of arrival in the receiver's kernel (SO_TIMESTAMPNS): how long this process takes to read is its own affair.
"""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import sys
import time
from typing import Any

from websockets.frames import Frame, Opcode

from bench._stage import handshake, raise_limits, text

MARK = re.compile(rb'(?:"mark":|:stop)(\d+)')
"""What is looked for: the mark in a body, or the number in the id of a suspend that came through the vendors' door."""
PING = b"\x89\x00"
"""An empty ping. JSON is ASCII here, so that it stands nowhere else but, rarely, in a length: a pong too many."""
PONG = Frame(Opcode.PONG, b"").serialize(mask=True)
SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; Python's socket module does not name it."""
PAUSE_S = 0.08
"""Long beside a flush: two hyperthreads of one core are no two machines."""
PORTS_PER_ADDRESS = 10_000
"""Loopback has a /8 of source addresses: no run is short of ports."""


class Crowd:
    """Sockets that read whatever comes."""

    def __init__(self, port: int, address: int, *, witness: bool = False) -> None:
        self.port = port
        self.witness = witness
        self.address = address
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.count: dict[int, int] = {}
        self.times: dict[int, list[int]] = {}
        self.rest: dict[int, bytes] = {}
        self.bytes = 0
        self.arrived = 0

    def join(self, count: int, subs: list[dict[str, Any]], until: str = '"op":"snap"') -> dict[str, float]:
        """Connect that many, subscribe each with the next of `subs`, and wait until all have what is awaited."""
        # Made before the clock runs: to sign a token is the issuer's work, and to read it the server's.
        hellos = [handshake(number) for number in range(count)]
        began = time.monotonic()
        waiting: dict[int, bytes] = {}
        expect = until.encode()
        for number in range(count):
            one = socket.socket()
            one.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            one.bind((f"127.0.{self.address}.{2 + len(self.sockets) // PORTS_PER_ADDRESS}", 0))
            one.connect(("127.0.0.1", self.port))
            one.settimeout(0)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            # The first frame rides in the packet of the upgrade.
            one.send(hellos[number] + (text({"op": "sub", **subs[number % len(subs)]}) if subs else b""))
            self.sockets[one.fileno()] = one
            waiting[one.fileno()] = b""
            self.poll.register(one.fileno(), select.EPOLLIN)
            if number % 200 == 199:
                self._settle(waiting, expect, 0)
        self._settle(waiting, expect, 60)
        return {"seconds": time.monotonic() - began, "joined": len(self.sockets)}

    def _settle(self, waiting: dict[int, bytes], expect: bytes, limit_s: float) -> None:
        until = time.monotonic() + limit_s
        while waiting:
            for fd, _ in self.poll.poll(0 if limit_s == 0 else 1):
                data = self._read(fd)
                if fd in waiting:
                    waiting[fd] = (waiting[fd] + data)[-262_144:]
                    if expect in waiting[fd]:
                        del waiting[fd]
            if limit_s == 0:
                return
            if time.monotonic() > until:
                sample = next(iter(waiting.values()))
                raise RuntimeError(f"{len(waiting)} of the sockets never had {expect!r}: {sample[-300:]!r}")

    def _read(self, fd: int) -> bytes:
        try:
            data, told, _, _ = self.sockets[fd].recvmsg(262_144, 64)
        except BlockingIOError:
            return b""
        # socket(7): struct timespec, of CLOCK_REALTIME.
        stamps = [struct.unpack("qq", stamp[:16]) for level, kind, stamp in told if kind == SO_TIMESTAMPNS]
        if stamps:
            self.arrived = stamps[0][0] * 1_000_000_000 + stamps[0][1] - time.time_ns() + time.monotonic_ns()
        if not data:
            self.poll.unregister(fd)
            return b""
        self.bytes += len(data)
        if PING in data:
            # Else the hub takes it for dead after a minute.
            self.sockets[fd].send(PONG)
        return data

    def turn(self) -> None:
        """Read what there is, after a while: receivers elsewhere would not wake up on the server's machine."""
        if not self.witness:
            time.sleep(PAUSE_S)
        for fd, _ in self.poll.poll(0.01 if self.witness else 0, max(1, len(self.sockets))):
            data = self._read(fd)
            if b'"mark":' in data or b":stop" in data or fd in self.rest:
                self._marks(fd, data)

    def _marks(self, fd: int, data: bytes) -> None:
        now = self.arrived
        data = self.rest.pop(fd, b"") + data
        for found in MARK.finditer(data):
            mark = int(found[1])
            self.first.setdefault(mark, now)
            self.last[mark] = max(now, self.last.get(mark, 0))
            self.count[mark] = self.count.get(mark, 0) + 1
            self.times.setdefault(mark, []).append(now)
        tail = data[-40:]
        if b'"mark' in tail and not MARK.search(tail + b"x"):
            self.rest[fd] = tail[tail.index(b'"mark') :]

    def obey(self, name: str, *arguments: Any) -> Any:
        """Do what a bench asks for."""
        if name == "join":
            return self.join(*arguments)
        if name == "freeze":
            for fd, one in list(self.sockets.items())[: arguments[0]]:
                self.poll.unregister(fd)
                # Little room: a reader that stands still is to be noticed while we look.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            return len(self.sockets)
        if name == "leave":
            for one in self.sockets.values():
                one.close()
            self.sockets.clear()
            return True
        if name == "marks":
            return [[mark, self.first[mark], self.last[mark], self.count[mark]] for mark in self.first]
        if name == "delays":
            return [now - mark for mark, times in self.times.items() for now in times]
        if name == "forget":
            for kept in (self.first, self.last, self.count, self.times):
                kept.clear()
            return self.bytes
        raise ValueError(name)


def main() -> None:
    """Obey until standard input ends."""
    raise_limits()
    crowd = Crowd(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1, witness="witness" in sys.argv[3:])
    print("ready", flush=True)
    commands = select.poll()
    commands.register(sys.stdin, select.POLLIN)
    while True:
        if commands.poll(0):
            line = sys.stdin.readline()
            if not line:
                return
            print(json.dumps(crowd.obey(*json.loads(line))), flush=True)
        crowd.turn()


if __name__ == "__main__":
    main()
