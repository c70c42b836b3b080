"""Options of sockets beneath transports, on both loops."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvloop

from hub.io.socket_options import set_options


class Accepting(asyncio.Protocol):
    """Set the options of what is accepted, and read them back."""

    def __init__(self, seen: asyncio.Future[tuple[int, int]]) -> None:
        self.seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        set_options(transport, (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 4_321))
        raw = transport.get_extra_info("socket")
        options = (socket.TCP_NODELAY, socket.TCP_NOTSENT_LOWAT)
        values = [raw.getsockopt(socket.IPPROTO_TCP, option) for option in options]
        self.seen.set_result((values[0], values[1]))
        transport.close()


async def accepted() -> tuple[int, int]:
    """Return TCP_NODELAY and TCP_NOTSENT_LOWAT of a connection to a socket that was made without a protocol number."""
    loop = asyncio.get_running_loop()
    seen: asyncio.Future[tuple[int, int]] = loop.create_future()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = await loop.create_server(lambda: Accepting(seen), sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
    return await seen


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_they_are_set_and_small_packets_do_not_wait(run: Any) -> None:
    assert run(accepted()) == (1, 4_321)


class Holding(asyncio.BaseTransport):
    """A transport over a socket of ours, or none."""

    def __init__(self, raw: socket.socket | None) -> None:
        super().__init__(extra={"socket": raw})


def test_what_has_no_such_options_is_left_as_it_is() -> None:
    set_options(Holding(None), (socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096))
    left, right = socket.socketpair()
    with left, right:
        before = left.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        set_options(Holding(left), (socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096))
        assert left.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before


def test_a_refused_option_is_no_fault_and_the_socket_stays_open() -> None:
    with socket.socket() as raw:
        set_options(Holding(raw), (socket.SOL_SOCKET, 9_999, 1))
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
