"""Download at a steady rate: `python -m bench._pull PORT PATH BYTES_A_S`, many keep-alive connections, one epoll.

Each line on standard input is answered with the bytes taken since the last one and the seconds that took.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque

CONNECTIONS = 32
BUFFER_BYTES = 1 << 20


class Pull:
    """Ask for one and the same thing, no faster than told."""

    def __init__(self, port: int, path: str, bytes_a_s: float) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self._bytes_a_s = bytes_a_s
        self._buffer = bytearray(BUFFER_BYTES)
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._left: dict[int, int] = {}
        # In turn: none of them is idle for so long that the server closes it.
        self._idle: deque[int] = deque()
        for _ in range(CONNECTIONS):
            one = socket.create_connection(("127.0.0.1", port))
            one.settimeout(0)
            self._sockets[one.fileno()] = one
            self._poll.register(one.fileno(), select.EPOLLIN)
            self._idle.append(one.fileno())
        self._asked = self._length = 0
        self.taken = 0
        self.began = time.monotonic()

    def turn(self) -> None:
        """Ask for what is due, and take what there is."""
        due = (time.monotonic() - self.began) * self._bytes_a_s
        while self._idle and self._asked <= due:
            fd = self._idle.popleft()
            self._left[fd] = -1
            self._sockets[fd].send(self._request)
            # The first answer tells how much one is.
            self._asked += self._length or BUFFER_BYTES
        for fd, _ in self._poll.poll(0.001):
            count = self._sockets[fd].recv_into(self._buffer)
            if not count:
                raise RuntimeError("the server has closed a download")
            if self._left[fd] < 0:
                head = bytes(self._buffer[:count])
                assert head.startswith(b"HTTP/1.1 200 "), head[:300]
                fields, _, body = head.partition(b"\r\n\r\n")
                self._length = int(fields.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self._left[fd], count = self._length, len(body)
            self._left[fd] -= count
            self.taken += count
            if self._left[fd] == 0:
                self._idle.append(fd)


def main() -> None:
    """Download until standard input ends."""
    pull = Pull(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
    commands = select.poll()
    commands.register(sys.stdin, select.POLLIN)
    print("ready", flush=True)
    taken, at = 0, time.monotonic()
    while True:
        if commands.poll(0):
            if not sys.stdin.readline():
                return
            now = time.monotonic()
            print(json.dumps({"bytes": pull.taken - taken, "seconds": now - at}), flush=True)
            taken, at = pull.taken, now
        pull.turn()


if __name__ == "__main__":
    main()
