"""A network in memory: transports that delay, slice, stall, reset and fill up, by seed.

What TCP promises is kept: the bytes of one direction come in order, or not at all. A direction holds as many bytes as a
small send buffer and a receive window do; beyond that they wait in the sender's transport, which tells its protocol.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.sim.loop import SimLoop

    Listening = tuple[Callable[[], Any], Callable[["SimTransport"], None]]

HIGH_WATER_BYTES = 64 << 10  # asyncio's own


@dataclass
class Weather:
    """How the network is to one machine; changed while a simulation runs."""

    latency_s: float = 0.002
    jitter_s: float = 0.003
    slices: float = 0.0
    """How likely a packet is cut in two."""
    window_bytes: int = 32 << 10
    bytes_per_s: float | None = None
    stalled_until: float = 0.0


class Net:
    """Connect machines by name.

    Args:
        loop: the simulation's.
        dice: decides on delays and cuts.
        breaks: whether writing on a transport that has died within this turn raises. uvloop (0.23) raises only once its
            protocol has heard of it: this is harder.
    """

    def __init__(self, loop: SimLoop, dice: random.Random, *, breaks: bool) -> None:
        self.loop = loop
        self.dice = dice
        self.breaks = breaks
        self.weathers: dict[str, Weather] = {}
        self.links: dict[int, Link] = {}
        self._listening: dict[tuple[str, int], Listening] = {}
        self.opened = 0
        """How many connections there were."""
        self._addresses: dict[str, int] = {}

    def weather(self, name: str) -> Weather:
        """Return how the network is to a machine."""
        return self.weathers.setdefault(name, Weather())

    def address(self, name: str) -> str:
        """Return a machine's IP address."""
        return f"10.0.0.{self._addresses.setdefault(name, len(self._addresses) + 1)}"

    def listen(
        self, host: str, port: int, factory: Callable[[], Any], accepted: Callable[[SimTransport], None]
    ) -> None:
        """Let `factory` make a protocol for each connection; `accepted` is given its transport first."""
        self._listening[host, port] = (factory, accepted)

    def deafen(self, host: str, port: int) -> None:
        """Refuse connections from now on."""
        self._listening.pop((host, port), None)

    async def connect(self, who: str, host: str, port: int, factory: Callable[[], Any]) -> tuple[SimTransport, Any]:
        """Open a connection, with a round trip.

        Raises:
            ConnectionRefusedError: nobody listens there.
        """
        weather = self.weather(who)
        while True:
            await asyncio.sleep(max(0.0, weather.stalled_until - self.loop.time()) + self.delay_s(weather))
            if self.loop.time() >= weather.stalled_until:
                break
        listening = self._listening.get((host, port))
        if listening is None:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        number, self.opened = self.opened, self.opened + 1
        link = self.links[number] = Link(self, number, who, weather)
        server, client = listening[0](), factory()
        listening[1](link.server)
        link.server.begin(server)
        link.client.begin(client)
        return link.client, client

    def delay_s(self, weather: Weather) -> float:
        """Return how long one packet takes."""
        return weather.latency_s + self.dice.random() * weather.jitter_s

    def links_of(self, who: str) -> list[Link]:
        """Return the connections of a machine that are open."""
        return [link for link in self.links.values() if link.who == who]

    def power_off(self, *, silent: bool) -> None:
        """End all connections at the server's side at once; `silent`: the other side is not told."""
        for link in list(self.links.values()):
            link.server.vanish()
            if not silent:
                self.loop.call_later(self.delay_s(link.weather), link.client.die, ConnectionResetError("reset by peer"))


class Link:
    """One connection: a transport at either end."""

    def __init__(self, net: Net, number: int, who: str, weather: Weather) -> None:
        self.net = net
        self.number = number
        self.who = who
        self.weather = weather
        self.client = SimTransport(self, f"{who}", "server")
        self.server = SimTransport(self, "server", f"{who}")
        self.client.peer, self.server.peer = self.server, self.client

    def reset(self) -> None:
        """Break the connection; each end learns of it in its own time, and what was on its way is lost."""
        for end in (self.client, self.server):
            end.drop_all()
            delay_s = self.net.delay_s(self.weather)
            self.net.loop.call_later(delay_s, end.die, ConnectionResetError("Connection reset by peer"))

    def reset_at(self, end: SimTransport) -> None:
        """Break the connection: one end has had the reset in this turn, the other learns of it in its own time."""
        end.die(ConnectionResetError("Connection reset by peer"))
        end.peer.drop_all()
        delay_s = self.net.delay_s(self.weather)
        self.net.loop.call_later(delay_s, end.peer.die, ConnectionResetError("Connection reset by peer"))

    def forget(self) -> None:
        """Take note that an end is gone."""
        if self.client.dead and self.server.dead:
            self.net.links.pop(self.number, None)


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    peer: SimTransport

    def __init__(self, link: Link, name: str, peer_name: str) -> None:
        addresses = link.net.address(name), link.net.address(peer_name)
        super().__init__({"sockname": (addresses[0], 80), "peername": (addresses[1], 1024 + link.number)})
        self.link = link
        self.tap: Callable[[bytes], None] | None = None
        """Is given all that is written."""
        self.landed: Callable[[bytes], None] | None = None
        """Is given all that arrives, whether or not its protocol reads."""
        self.gone: Callable[[], None] | None = None
        """Is called when nothing can be written any more."""
        self.dead = False
        self.is_doomed = False
        """Whether who writes next finds it dead: the peer's reset comes in the same turn, ahead of the write."""
        self.drained_at = 0.0
        """When what waited had last been taken."""
        self._net = link.net
        self._loop = link.net.loop
        self._protocol: Any = None
        self._buffer = bytearray()
        self._on_way: deque[tuple[float, bytes | None]] = deque()
        self._arrived: deque[bytes | None] = deque()
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last_at = 0.0
        self._high, self._low = HIGH_WATER_BYTES, HIGH_WATER_BYTES // 4
        self._is_paused = self._waits = self._is_handing = False
        self._reading = True
        self._closing = False
        self._half = self._ended = False

    def begin(self, protocol: Any) -> None:
        """Belong to a protocol."""
        self._protocol = protocol
        protocol.connection_made(self)

    # What protocols call.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        if self.is_doomed and not self.dead and not self._is_handing:
            self.link.reset_at(self)
        if self.dead:
            if self._net.breaks:
                raise RuntimeError("unable to perform operation on a transport; the handler is closed")
            return
        if self._closing:
            return
        if self.tap is not None:
            self.tap(bytes(data))
        self._buffer += data
        self._pump()
        if len(self._buffer) > self._high and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Send no more, but go on reading."""
        self._half = True
        self._pump()

    def can_write_eof(self) -> bool:
        """Return whether half a connection is possible."""
        return True

    def close(self) -> None:
        """Send what waits, then end."""
        if not self._closing:
            self._closing = True
            self._pump()

    def abort(self) -> None:
        """End at once; the peer is reset."""
        if not self.dead:
            self.drop_all()
            self.die(None)
            delay_s = self._net.delay_s(self.link.weather)
            self._loop.call_later(delay_s, self.peer.die, ConnectionResetError("Connection reset by peer"))

    def is_closing(self) -> bool:
        """Return whether the end has begun."""
        return self._closing or self.dead

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Belong to another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def pause_reading(self) -> None:
        """Leave what comes where it is."""
        self._reading = False

    def resume_reading(self) -> None:
        """Take what has come."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._take)

    def is_reading(self) -> bool:
        """Return whether what comes is taken."""
        return self._reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told to pause and to go on."""
        self._high = HIGH_WATER_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return these limits, the lower one first."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait."""
        return len(self._buffer)

    # What the network does.

    @property
    def is_paused(self) -> bool:
        """Return whether the protocol has been told to write no more."""
        return self._is_paused

    def drop_all(self) -> None:
        """Lose what waits and what is on its way to the peer."""
        self._buffer.clear()
        self._on_way.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def die(self, error: Exception | None) -> None:
        """Be of no use any more; the protocol learns of it in the next turn."""
        if not self.dead:
            self.drop_all()
            self._leave(error)

    def vanish(self) -> None:
        """Die with the process: nobody hears of it, only its timers are taken down."""
        self.tap = None
        self.die(None)

    def _leave(self, error: Exception | None) -> None:
        self.dead = self._closing = True
        self._arrived.clear()
        if self.gone is not None:
            self.gone()
        self._loop.call_soon(self._protocol.connection_lost, error)
        self.link.forget()

    def _pump(self) -> None:
        """Put on its way what the window takes."""
        dice, weather = self._net.dice, self.link.weather
        while self._buffer and (room := weather.window_bytes - self._taken) > 0:
            size = min(room, len(self._buffer))
            if size > 1 and weather.slices and dice.random() < weather.slices:
                size = dice.randrange(1, size)
            piece = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._taken += size
            self._send(piece)
        if self._waits is not bool(self._buffer):
            self._waits = not self._waits
            self.drained_at = self._loop.time()
        if self._is_paused and len(self._buffer) <= self._low:
            self._is_paused = False
            self._protocol.resume_writing()
        if (self._closing or self._half) and not self._buffer and not self._ended:
            self._ended = True
            self._send(None)
        if self._closing and not self._buffer and not self.dead:
            # What is on its way arrives all the same.
            self._leave(None)

    def _send(self, piece: bytes | None) -> None:
        weather, now = self.link.weather, self._loop.time()
        at = max(self._last_at, weather.stalled_until, now) + self._net.delay_s(weather) * (self._last_at <= now)
        if weather.bytes_per_s is not None and piece is not None:
            at += len(piece) / weather.bytes_per_s
        self._last_at = at
        self._on_way.append((at, piece))
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._arrive)

    def _arrive(self) -> None:
        """Hand over what has come to the peer's side."""
        self._timer = None
        now, until = self._loop.time(), self.link.weather.stalled_until
        if now < until:
            self._timer = self._loop.call_at(until, self._arrive)
            return
        refused = False
        while self._on_way and self._on_way[0][0] <= now:
            piece = self._on_way.popleft()[1]
            refused = refused or piece is not None
            self.peer._arrived.append(piece)
            if piece is not None and self.peer.landed is not None:
                self.peer.landed(piece)
        if self._on_way:
            self._timer = self._loop.call_at(self._on_way[0][0], self._arrive)
        if self.peer.dead and refused:
            delay_s = self._net.delay_s(self.link.weather)
            self._loop.call_later(delay_s, self.die, ConnectionResetError("Connection reset by peer"))
        self.peer._take()

    def _take(self) -> None:
        """Give the protocol what has arrived, as long as it reads."""
        while self._arrived and self._reading and not self.dead:
            piece = self._arrived.popleft()
            if piece is None:
                # asyncio's own transports: a protocol that returns nothing has its side closed, too.
                if not self._protocol.eof_received():
                    self.close()
                return
            self.peer._taken -= len(piece)
            # While something is read the connection lives: a reset would have come first.
            self._is_handing = True
            try:
                self._protocol.data_received(piece)
            finally:
                self._is_handing = False
            if not self.peer.dead:
                self.peer._pump()
