"""Past the transports: what of both loops is relied on, and that nothing is out of order where readers are slow."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from hub.group import Ways
from hub.io import straight
from hub.io.at_once import at_once
from hub.io.straight import FEW, file_of, write_straight
from hub.settings import HubSettings
from hub.subscriber import Subscriber
from kernel.cues import CueType
from kernel.io.cut import cut
from tests.hub.io.test_driver import Rig, running
from tests.hub.makers import at

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(at_once() is None, reason="this system offers no io_submit")

BOTH = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])


class Listener(asyncio.Protocol):
    """Keep what the transport says, in order, and whether its descriptor was open then."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.changed = asyncio.Event()
        self.file = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.file = transport.get_extra_info("socket").fileno()

    def note(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        os.fstat(self.file)
        self.note("lost")

    async def until(self, what: str) -> None:
        while what not in self.told:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 5)


async def connected() -> tuple[asyncio.Transport, Listener, socket.socket]:
    """Return a transport with little room in the kernel, its protocol, and the other end."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        theirs.setblocking(False)
        await loop.sock_connect(theirs, listening.getsockname())
        ours, _ = listening.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    transport, listener = await loop.connect_accepted_socket(Listener, ours)
    transport.set_write_buffer_limits(high=0)
    return transport, listener, theirs


async def the_transport_says_what_is_relied_on() -> None:
    transport, listener, theirs = await connected()
    loop = asyncio.get_running_loop()
    file = file_of(transport)
    assert file == listener.file
    # What there is room for does not wait, not even until the end of the turn; what there is none for is told at once.
    transport.write(b"x")
    assert (file_of(transport), listener.told) == (file, [])
    written = 1
    while not listener.told:
        transport.write(bytes(1_000))
        written += 1_000
    assert (file_of(transport), listener.told) == (-1, ["pause"])
    # The other end of the pause comes when nothing waits any more, not before.
    read = 0
    while read < written:
        read += len(await asyncio.wait_for(loop.sock_recv(theirs, 65_536), 5))
    await listener.until("resume")
    assert (transport.get_write_buffer_size(), file_of(transport)) == (0, file)
    # Closing takes it back; the descriptor is open as long as the protocol has not heard of the loss.
    transport.abort()
    assert file_of(transport) == -1
    os.fstat(file)
    await listener.until("lost")
    theirs.close()


@BOTH
def test_what_is_relied_on_in_both_loops(run: Any) -> None:
    run(the_transport_says_what_is_relied_on())


async def what_is_cut_is_reset_at_once() -> None:
    transport, listener, theirs = await connected()
    assert file_of(transport) >= 0
    cut(transport)
    theirs.setblocking(False)
    with pytest.raises(ConnectionResetError):
        theirs.recv(1)
    await listener.until("lost")
    theirs.close()


@BOTH
def test_what_is_written_past_its_transport_is_cut_all_the_same(run: Any) -> None:
    run(what_is_cut_is_reset_at_once())


class Bare(asyncio.Transport):
    """A transport of which it is known what stands around it."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


def test_what_goes_through_tls_or_nowhere_does_not_go_past_it() -> None:
    with socket.socket() as one:
        assert file_of(Bare({"socket": one})) == one.fileno()
        assert file_of(Bare({"socket": one, "sslcontext": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)})) == -1
    assert file_of(Bare()) == -1


def crowd(stack: contextlib.ExitStack, count: int) -> tuple[list[Subscriber], list[socket.socket]]:
    people, readers = [], []
    for number in range(count):
        ours, theirs = socket.socketpair()
        stack.enter_context(ours).setblocking(False)
        stack.enter_context(theirs).setblocking(False)
        one = Subscriber(number, "game", HubSettings(), 0)
        one.write_by(one.write, ours.fileno())
        people.append(one)
        readers.append(theirs)
    return people, readers


def test_many_are_written_to_at_once_and_who_does_not_take_it_all_is_named() -> None:
    with contextlib.ExitStack() as stack:
        people, readers = crowd(stack, FEW)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(people[3].file, bytes(65_536))
        ways = Ways(people)
        assert write_straight(ways, b"abc") == [(people[3], b"abc")]
        batch = ways.batch
        assert write_straight(ways, b"def") == [(people[3], b"def")]
        assert ways.batch is batch
        assert [reader.recv(10) for number, reader in enumerate(readers) if number != 3] == [b"abcdef"] * (FEW - 1)


def test_few_and_all_where_it_is_not_offered_go_by_their_transports(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        people, _ = crowd(stack, FEW)
        assert write_straight(Ways(people[:-1]), b"x") == [(one, b"x") for one in people[:-1]]
        monkeypatch.setattr(straight, "at_once", lambda: None)
        assert write_straight(Ways(people), b"x") == [(one, b"x") for one in people]
        with socket.socket() as one:
            assert file_of(Bare({"socket": one})) == -1


async def slow(rig: Rig, room: int) -> socket.socket:
    """Return a subscribed socket with little room that nobody reads yet; nothing of the handshake waits in it."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    raw.setblocking(False)
    await loop.sock_connect(raw, ("127.0.0.1", rig.port))
    request = ClientProtocol(parse_uri(rig.url())).connect()
    request.headers["Authorization"] = "Bearer server"
    await loop.sock_sendall(raw, request.serialize() + masked(b'{"op":"sub","mode":"edge"}'))
    seen = b""
    while b'"op":"snap"' not in seen:
        seen += await asyncio.wait_for(loop.sock_recv(raw, 65_536), 5)
    return raw


def masked(data: bytes) -> bytes:
    return Frame(Opcode.TEXT, data).serialize(mask=True)


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """Return the frames that bytes from a server consist of (RFC 6455, 5.2), whole ones to the end."""
    frames, at_ = [], 0
    while at_ < len(data):
        opcode, length = data[at_], data[at_ + 1]
        at_ += 2
        if length == 126:
            length, at_ = int.from_bytes(data[at_ : at_ + 2], "big"), at_ + 2
        elif length == 127:
            length, at_ = int.from_bytes(data[at_ : at_ + 8], "big"), at_ + 8
        assert opcode in (0x81, 0x89), f"no frame begins at {at_}: {data[at_ - 20 : at_ + 20]!r}"
        assert at_ + length <= len(data)
        frames.append((opcode, data[at_ : at_ + length]))
        at_ += length
    return frames


class Readers:
    """Sockets that are read from as slowly as each likes, and all that came to each."""

    def __init__(self, raws: list[socket.socket]) -> None:
        self.raws = raws
        self.seen = [b""] * len(raws)

    def sip(self) -> None:
        """Read a little, the first four nothing; some also ask for an answer."""
        for number, raw in enumerate(self.raws):
            if number >= 4:
                with contextlib.suppress(BlockingIOError):
                    self.seen[number] += raw.recv(400 << (number % 6))
            if number % 3 == 0:
                raw.send(masked(b'{"op":"ping","t":1}'))

    async def read_on(self, number: int, until: Callable[[bytes], bool]) -> None:
        loop = asyncio.get_running_loop()
        while not until(self.seen[number]):
            self.seen[number] += await asyncio.wait_for(loop.sock_recv(self.raws[number], 65_536), 5)

    async def finish(self, last_o: int) -> list[bytes]:
        """Read up to the last cue, and an answer behind it."""
        last = f'"o":{last_o},'.encode()
        for number, raw in enumerate(self.raws):
            await self.read_on(number, lambda data: last in data)
            raw.send(masked(b'{"op":"ping","t":2}'))
            await self.read_on(number, lambda data: b'"t":2' in data and data.endswith(b"}"))
        return self.seen


def publish(rig: Rig, o: int) -> None:
    """Publish a cue of some length; every fiftieth is safety, which goes ahead of what waits in the hub."""
    if o % 50 == 49:
        rig.publish(o, None, type=CueType.SUSPEND)
    else:
        rig.publish(o, at(1 + o / 1_000), body={"txt": "x" * (o * 7 % 900)})


async def readers_of_all_speeds_get_everything_in_order() -> None:
    """Cues one by one, pings, answers and safety at sockets of which some are full all the while."""
    settings = HubSettings(heartbeat_ms=30_000, drain_s=0.05, close_timeout_s=0.1, slow_after_s=60)
    async with running(settings) as rig:
        readers = Readers([await slow(rig, 2_304 << (number % 4)) for number in range(FEW + 8)])
        sockets = list(rig.hub.sockets.values())
        people = [one.subscriber for one in sockets if one.subscriber is not None]
        assert all(one.file >= 0 for one in people)
        rig.segment(0)
        count, waited = 601, 0
        for o in range(count):
            publish(rig, o)
            if o % 20 == 19:
                for one in sockets:
                    one.ping()
                readers.sip()
                await asyncio.sleep(0)
            waited += sum(one.transport.get_write_buffer_size() > 0 for one in sockets)
        assert count < waited < count * len(sockets) - count, "what is meant to be tried is both"
        for data in await readers.finish(count - 1):
            frames = frames_in(data)
            assert [opcode for opcode, _ in frames].count(0x89) == count // 20
            offsets = [int(found[1]) for _, text in frames if (found := re.search(rb'"op":"cue".*?"o":(\d+),', text))]
            assert [o for o in offsets if o % 50 == 49] == list(range(49, count, 50))
            assert [o for o in offsets if o % 50 != 49] == [o for o in range(count) if o % 50 != 49]
        # Who has read everything is written to past its transport again.
        assert all(one.file >= 0 for one in people)
        for raw in readers.raws:
            raw.close()


@BOTH
def test_readers_of_all_speeds_get_everything_in_order(run: Callable[[Any], None]) -> None:
    run(readers_of_all_speeds_get_everything_in_order())


async def test_a_thousand_who_come_and_go_leave_no_descriptor() -> None:
    async with running() as rig:
        loop = asyncio.get_running_loop()
        raws = [await slow(rig, 4_096) for _ in range(FEW)]
        rig.segment(0)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, on the loop of a test
        for number in range(1_000 // FEW):
            more = [await slow(rig, 4_096) for _ in range(FEW)]
            rig.publish(number, at(1))
            for raw in more:
                raw.close()
            while len(rig.hub.sockets) > FEW:
                rig.hub.gone.clear()
                await asyncio.wait_for(rig.hub.gone.wait(), 5)
        last = f'"o":{1_000 // FEW - 1},'.encode()
        for raw in raws:
            data = b""
            while last not in data:
                data += await asyncio.wait_for(loop.sock_recv(raw, 65_536), 5)
        # Closed in the turn after the loss was told.
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
        for raw in raws:
            raw.close()
