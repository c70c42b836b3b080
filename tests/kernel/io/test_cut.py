"""A cut against a close: what a slow client still gets, on real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from kernel.io.cut import EXTENSION, connection_of, cut

BODY = bytes(8 << 20)


async def what_still_arrives(*, really: bool) -> int:
    """Fill a connection to a client that does not read, end it, and count what the client gets after that."""
    accepted: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
    lost = asyncio.Event()

    class Sender(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            accepted.set_result(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            lost.set()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sender, "127.0.0.1", 0)
    async with server:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        transport = await accepted
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        transport.write(BODY)
        if really:
            cut(transport)
        else:
            transport.abort()
        await lost.wait()
        arrived = 0
        try:
            while piece := await loop.sock_recv(client, 65_536):
                arrived += len(piece)
        except ConnectionResetError:
            assert really
        client.close()
    return arrived


async def test_a_cut_throws_away_what_the_kernel_holds() -> None:
    aborted = await what_still_arrives(really=False)
    # The trap itself: should an abort ever be a cut, this module can go.
    assert aborted > 256 << 10
    assert await what_still_arrives(really=True) < aborted / 4


class Unclosed(asyncio.Transport):
    """A transport whose loop has not come to closing it."""

    def abort(self) -> None:
        """Do it later."""


def read_on(client: socket.socket) -> None:
    """Read until there is nothing more."""
    while client.recv(65_536):
        pass


def test_nothing_arrives_though_the_transport_is_closed_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        client.connect(listening.getsockname())
        client.settimeout(10)
        accepted, _ = listening.accept()
        with accepted:
            accepted.sendall(bytes(1_000))
            cut(Unclosed({"socket": accepted}))
            with pytest.raises(ConnectionResetError):
                read_on(client)


async def test_cutting_twice_is_no_fault() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=left)
    cut(transport)
    cut(transport)
    with right:
        right.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(right, 1) == b""


@pytest.mark.parametrize("scope", [{}, {"extensions": {}}, {"extensions": {"other": {}}}])
def test_a_server_that_offers_no_connection(scope: dict[str, object]) -> None:
    assert connection_of(scope) is None


def test_a_server_that_does() -> None:
    offered = object()
    assert connection_of({"extensions": {EXTENSION: offered}}) is offered
