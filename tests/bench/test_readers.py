"""The receivers, compiled and in Python: the same subscriptions, counts and answers."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers.contract import HERE, Step
from bench.peers.readers import Faulty, Readers, program

SOCKETS = 70
"""More than have their handshakes under way at a time."""
STEPS = [Step(tuple(b"hello %d\n" % number for number in range(SOCKETS)), b"welcome"), Step((b"sub\n",), b"subscribed")]


@pytest.fixture(params=["C", "Python"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "Python":
        return [sys.executable, str(HERE / "reader.py")]
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler: reader.py takes its place")
    return program(tmp_path / "out")


class Server:
    """Say welcome to each by its own name, in pieces, and then what the test says."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=SOCKETS)
        self.port: int = self.listening.getsockname()[1]
        self.sockets: list[socket.socket] = []
        self.hellos: list[bytes] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        for _ in range(SOCKETS):
            one, _ = self.listening.accept()
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(one)
            self.hellos.append(one.recv(100))
            one.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\nwel")
            one.sendall(b"come")
            assert one.recv(100) == b"sub\n"
            one.sendall(b"subscribed")

    def to_all(self, data: bytes) -> None:
        for one in self.sockets:
            one.sendall(data)

    def close(self) -> None:
        self._thread.join()
        for one in [self.listening, *self.sockets]:
            one.close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def receivers(command: list[str], server: Server, tmp_path: Path) -> Iterator[Readers]:
    one = Readers(command, server.port, 7, STEPS, tmp_path)
    one.join(SOCKETS)
    yield one
    one.stop()


def test_each_says_its_own_words_from_the_peers_address(receivers: Readers, server: Server) -> None:
    assert sorted(server.hellos) == sorted(b"hello %d\n" % number for number in range(SOCKETS))
    assert {one.getpeername()[0] for one in server.sockets} == {"127.0.7.2"}


@pytest.mark.parametrize("pause_ms", [0, 5])
def test_messages_are_counted_and_timed(receivers: Readers, server: Server, pause_ms: int) -> None:
    began = time.monotonic_ns()
    server.to_all(b'{"mark":1}')
    taken = receivers.take(1, pause_ms)
    assert (taken.sockets, taken.bytes) == (SOCKETS, 10 * SOCKETS)
    # The kernel stamps with CLOCK_REALTIME; what the two clocks drift apart meanwhile is far below this.
    assert began - 1_000_000 <= taken.first_ns <= taken.median_ns <= taken.last_ns <= time.monotonic_ns() + 1_000_000


def test_a_mark_in_two_pieces_is_one(receivers: Readers, server: Server) -> None:
    server.to_all(b'{"mark":1}{"ma')
    assert receivers.take(1, 1).sockets == SOCKETS
    server.to_all(b'rk":2}{"mark":3}')
    taken = receivers.take(2, 1)
    assert (taken.sockets, taken.bytes) == (SOCKETS, 16 * SOCKETS)
    assert b'{"mark":3}' in receivers.show()


def test_one_that_is_closed_is_a_fault(receivers: Readers, server: Server) -> None:
    server.to_all(b'{"mark":1}')
    receivers.take(1, 1)
    server.sockets[3].close()
    with pytest.raises(Faulty, match="was closed"):
        receivers.take(1, 1)


def test_too_many_are_a_fault(receivers: Readers, server: Server) -> None:
    server.to_all(b'{"mark":1}')
    server.sockets[0].sendall(b'{"mark":2}')
    with pytest.raises(Faulty, match="marks"):
        receivers.take(1, 5)
