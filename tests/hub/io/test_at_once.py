"""Many sockets by one call, on socket pairs."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
from typing import TYPE_CHECKING

import pytest

from hub.io import at_once as module
from hub.io.at_once import DEPTH, AtOnce, at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(at_once() is None, reason="this system offers no io_submit")


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with contextlib.ExitStack() as stack:
        made: list[tuple[socket.socket, socket.socket]] = []
        for _ in range(4):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            made.append((stack.enter_context(ours), stack.enter_context(theirs)))
        yield made


@pytest.fixture
def together() -> Iterator[AtOnce]:
    one = AtOnce()
    yield one
    one.close()


def fill(ours: socket.socket) -> int:
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += ours.send(bytes(65_536))
    return filled


def read(theirs: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := theirs.recv(1 << 20):
            data += piece
    return data


def test_all_get_the_same(together: AtOnce, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    batch = together.batch([ours.fileno() for ours, _ in pairs])
    assert together.write(batch, b"one") == []
    assert together.write(batch, b"and two") == []
    assert [theirs.recv(100) for _, theirs in pairs] == [b"oneand two"] * 4
    assert together.write(together.batch([]), b"nobody") == []


def test_more_than_one_call_takes(together: AtOnce) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        count = 2 * DEPTH + 1
        assert together.write(together.batch([ours.fileno()] * count), b"x") == []
        assert theirs.recv(2 * count) == b"x" * count


def test_who_does_not_take_everything_is_named(
    together: AtOnce, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    (full, _), (gone, other_end), (healthy, reader), (partly, slow) = pairs
    filled = fill(full)
    other_end.close()
    size = 4 * filled
    files = [full.fileno(), gone.fileno(), healthy.fileno(), partly.fileno()]
    assert together.write(together.batch(files), b"short") == [(0, 0), (1, 0)]
    assert (read(reader), read(slow)) == (b"short", b"short")
    short = together.write(together.batch(files[2:]), bytes(size))
    assert [index for index, _ in short] == [0, 1]
    assert all(0 < taken < size for _, taken in short)
    assert [len(read(reader)), len(read(slow))] == [taken for _, taken in short]
    assert together.is_fit


def test_a_descriptor_that_is_closed_costs_the_others_nothing(
    together: AtOnce, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    closed = os.dup(0)
    os.close(closed)
    files = [closed, pairs[0][0].fileno(), closed, pairs[1][0].fileno()]
    assert together.write(together.batch(files), b"x") == [(0, 0), (2, 0)]
    assert (pairs[0][1].recv(10), pairs[1][1].recv(10), together.is_fit) == (b"x", b"x", True)


def test_without_its_places_it_writes_nothing_and_is_unfit(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """As in a child that was forked."""
    one = AtOnce()
    batch = one.batch([ours.fileno() for ours, _ in pairs])
    one.close()
    one.is_fit = True
    assert one.write(batch, b"x") == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert not one.is_fit
    assert read(pairs[0][1]) == b""


def test_where_it_is_not_offered_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert at_once() is None
    at_once.cache_clear()
    # A system call that no kernel knows, as under a filter that forbids ours.
    monkeypatch.undo()
    monkeypatch.setitem(module._CALLS, platform.machine(), (9_999, 9_999, 9_999, 9_999))
    assert at_once() is None
    at_once.cache_clear()
    monkeypatch.undo()
    assert at_once() is at_once() is not None
