"""Half-open connections, and what they cost the others: `python -m bench.slowloris`.

5,000 connections from 250 addresses begin a request and send one more byte of it each second. Measured: when the last
of them is closed, and how long playlists take for a client beside them. The yardstick is the same client while the same
attack goes to another process of this machine, which takes the connections, reads them and closes them after ten
seconds: what the attack costs everybody who shares two cores with it is not the server's doing. The server is
`lockstep serve` as it comes.
"""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._skips import skip
from bench._stage import Process, machine, percentile, raise_limits, report
from bench.relay import Scene, end

CONNECTIONS = 5_000
ADDRESSES = 250
FIGURE_S = 12.0
BORNE_S = 10.0
PACE_S = 0.01
QUIET_ASKS = 500
TURNS_A_S = 50


def attack(port: int) -> dict[str, float]:
    """Open all connections, trickle, and return how long the last one lived, in seconds."""
    raise_limits()
    poll, held = select.epoll(), dict[int, tuple[socket.socket, float]]()
    longest, answered = 0.0, 0

    def reap(timeout_s: float) -> None:
        nonlocal longest, answered
        for fd, _ in poll.poll(timeout_s):
            one, opened = held[fd]
            try:
                said = one.recv(4_096)
            except ConnectionError:
                said = b""
            if said:
                answered += said.startswith(b"HTTP/1.1 408 ")
                continue
            longest = max(longest, time.monotonic() - opened)
            poll.unregister(fd)
            one.close()
            del held[fd]

    began = time.monotonic()
    for number in range(CONNECTIONS):
        one = socket.socket()
        one.bind((f"127.3.0.{1 + number % ADDRESSES}", 0))
        one.connect(("127.0.0.1", port))
        one.settimeout(0)
        one.send(b"GET /hls/x/index.m3u8 HTTP/1.1\r\nHost: h\r\nX-A: ")
        held[one.fileno()] = (one, time.monotonic())
        poll.register(one.fileno(), select.EPOLLIN)
        # Some 1,500 a second: more is a flood of connections, which is another attack.
        if number % 3 == 2:
            time.sleep(0.002)
    opened_s, peak = time.monotonic() - began, len(held)
    # Each has its turn once a second; all at once would be a flood of packets, which is another attack.
    turn, next_turn = 0, time.monotonic()
    while held and time.monotonic() - began < 60:
        # By the clock: who is woken by those that are sent away must not be quicker for it.
        while (left_s := next_turn - time.monotonic()) > 0:
            reap(left_s)
        turn, next_turn = turn + 1, next_turn + 1 / TURNS_A_S
        for fd, (one, _) in held.items():
            if (fd - turn) % TURNS_A_S == 0:
                with contextlib.suppress(OSError):
                    one.send(b"a")
    return {"peak": peak, "left": len(held), "longest_s": longest, "opened_s": opened_s, "answered": answered}


def bear() -> None:
    """Be the other victim: take whatever comes, and answer nothing for ten seconds."""
    raise_limits()
    poll, held = select.epoll(), dict[int, tuple[socket.socket, float]]()
    with socket.create_server(("127.0.0.1", 0), backlog=4_096) as listening:
        listening.settimeout(0)
        poll.register(listening.fileno(), select.EPOLLIN)
        print(listening.getsockname()[1], flush=True)
        while True:
            for fd, _ in poll.poll(0.05):
                if fd == listening.fileno():
                    one, _ = listening.accept()
                    one.settimeout(0)
                    held[one.fileno()] = one, time.monotonic()
                    poll.register(one.fileno(), select.EPOLLIN)
                else:
                    with contextlib.suppress(OSError):
                        held[fd][0].recv(4_096)
            # In the order in which they came: the first are the oldest.
            while held and time.monotonic() - next(iter(held.values()))[1] > BORNE_S:
                fd = next(iter(held))
                one, _ = held.pop(fd)
                poll.unregister(fd)
                with contextlib.suppress(OSError):
                    one.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
                one.close()


class Beside:
    """A client that asks for a playlist at a steady pace."""

    def __init__(self, port: int, path: str) -> None:
        self._one = socket.create_connection(("127.0.0.1", port))
        self._one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = f"GET {path}/index.m3u8 HTTP/1.1\r\nHost: bench\r\n\r\n".encode()

    def ask(self) -> float:
        """Return how long an answer took, in ms."""
        began = time.monotonic()
        self._one.sendall(self._request)
        answer = b""
        while not answer.endswith(b"#EXT-X-ENDLIST\n"):
            answer += self._one.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        return (time.monotonic() - began) * 1e3


def attacked_while(beside: Beside, port: int) -> tuple[list[float], str]:
    """Attack a port; return what a client had to wait for meanwhile, in ms, and what the attacker tells."""
    delays: list[float] = []
    attacker = Process("bench.slowloris", "attack", str(port))
    assert attacker.process.stdout is not None  # it is a pipe
    while not select.select([attacker.process.stdout], [], [], 0)[0]:
        delays.append(beside.ask())
        time.sleep(PACE_S)
    told = attacker.line()
    attacker.end()
    return delays, told


def quiet(beside: Beside) -> list[float]:
    """Return what a client has to wait for while nobody is attacked, in ms."""
    delays: list[float] = []
    for _ in range(QUIET_ASKS):
        delays.append(beside.ask())
        time.sleep(PACE_S)
    return delays


def run() -> list[dict[str, Any]]:
    """Measure and return what is written to `out/slowloris.json`."""
    raise_limits()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        scene = Scene(Path(folder))
        server, port = scene.ours()
        try:
            beside = Beside(port, scene.path)
            alone = quiet(beside)
            other = Process("bench.slowloris", "bear")
            elsewhere, _ = attacked_while(beside, int(other.line()))
            other.end()
            during, told = attacked_while(beside, port)
        finally:
            end(server)
    attacked = json.loads(told)
    p99, p99_elsewhere = percentile(during, 99), percentile(elsewhere, 99)
    where = machine()
    return [
        {
            "what": f"{attacked['peak']} half-open connections, {attacked['left']} left; the longest lived",
            "unit": "s",
            "ours": round(attacked["longest_s"], 2),
            "figure": f"all closed within {FIGURE_S:g} s",
            "met": attacked["left"] == 0 and attacked["longest_s"] <= FIGURE_S and attacked["peak"] == CONNECTIONS,
            **where,
        },
        {
            "what": (
                f"a playlist for another client meanwhile, p99 of {len(during)} (p50 {percentile(during, 50):.2f}; "
                f"p99 while nobody is attacked {percentile(alone, 99):.2f})"
            ),
            "unit": "ms",
            "ours": round(p99, 2),
            "yardstick": round(p99_elsewhere, 2),
            "yardstick_what": "the same while another process of this machine is attacked so",
            "ratio": round(p99 / p99_elsewhere, 2),
            "figure": "<= 2 x",
            "met": p99 <= 2 * p99_elsewhere,
            **where,
        },
    ]


def main() -> None:
    """Print ours, the yardstick's and the ratio."""
    if sys.argv[1:2] == ["attack"]:
        print(json.dumps(attack(int(sys.argv[2]))), flush=True)
        return
    if sys.argv[1:2] == ["bear"]:
        bear()
        return
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * CONNECTIONS:
        skip("slowloris", f"{2 * CONNECTIONS} file descriptors are needed: raise ulimit -Hn")
        return
    report("slowloris", run())


if __name__ == "__main__":
    main()
