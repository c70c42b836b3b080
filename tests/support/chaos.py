"""A TCP proxy that makes a network bad on command: late, in crumbs, cut off, silent, or parted; seeded.

What is set holds for all connections, those that are open too, until `heal`:

* `delay`: each chunk arrives later, by a fixed time and a random one; the order of bytes never changes.
* `crumble`: bytes come in pieces of a few, each a packet of its own.
* `reset`: every open connection ends with a RST, mid-stream; with `within`, later ones do too, each after a random
  number of bytes.
* `stall`: a black hole: connections are taken, nothing goes through, nobody is told. What it swallowed goes on when
  healed, as TCP's retransmissions would. One direction alone makes answers vanish whose questions arrived.
* `part`: a partition: open connections lose what is under way and never carry anything again, new ones are reset. When
  healed, what was open before is reset too, for its bytes have a hole.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final, Literal, Self

from tests.support.serving import Serving

Direction = Literal["there", "back"]
"""From who connected to the server, and from it."""

BOTH: Final[tuple[Direction, ...]] = ("there", "back")
CHUNK_BYTES = 64 * 1024
MAX_CHUNKS = 64
"""What one direction of a connection may hold back: 4 MiB, about what two kernels buffer."""

_LINGER_NOT = struct.pack("ii", 1, 0)


class _Pair:
    """One connection, both halves of it."""

    def __init__(self, near: StreamWriter, allowance: int | None) -> None:
        self.writers = [near]
        self.allowance = allowance
        self.parted = False

    def spend(self, n_bytes: int) -> int:
        """Return how many of the next bytes may pass before this connection is reset."""
        if self.allowance is None:
            return n_bytes
        passed = min(n_bytes, self.allowance)
        self.allowance -= passed
        return passed

    def reset(self) -> None:
        """End both halves with a RST."""
        for writer in self.writers:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()


class Chaos:
    """Stand before one server on loopback.

    Args:
        port: the server's.
        seed: of everything that is random.
    """

    def __init__(self, port: int, *, seed: int) -> None:
        self._to = port
        self._random = Random(seed)
        self._pairs: dict[_Pair, None] = {}
        self._changed = asyncio.Condition()
        self._delay_s = self._jitter_s = 0.0
        self._crumb_bytes: int | None = None
        self._within: int | None = None
        self._stalled: frozenset[Direction] = frozenset()
        self._parted = False
        self.taken = 0
        """How many connections were accepted."""
        self.resets = 0
        """How many were reset by us."""
        self._serving = Serving(self._serve)

    @property
    def port(self) -> int:
        """Return where it listens."""
        return self._serving.port

    async def start(self) -> Self:
        """Listen."""
        await self._serving.start()
        return self

    async def aclose(self) -> None:
        """End everything."""
        await self._serving.aclose()

    # What can be wrong.

    def delay(self, fixed_s: float, jitter_s: float = 0.0) -> None:
        """Have each chunk come `fixed_s` later, and up to `jitter_s` more."""
        self._delay_s, self._jitter_s = fixed_s, jitter_s

    def crumble(self, max_bytes: int) -> None:
        """Have bytes come in pieces of 1 to `max_bytes`."""
        self._crumb_bytes = max_bytes

    def reset(self, *, within: int | None = None) -> None:
        """Reset what is open, and if `within` is given all that comes, after 1 to `within` bytes."""
        self._within = within
        self._reset_all()

    def stall(self, *directions: Direction) -> None:
        """Let nothing through, in both directions unless told."""
        self._stalled = frozenset(directions or BOTH)

    def part(self) -> None:
        """Part the two sides."""
        self._parted = True
        for pair in self._pairs:
            pair.parted = True

    async def heal(self) -> None:
        """Let everything be well again."""
        self._delay_s = self._jitter_s = 0.0
        self._crumb_bytes = self._within = None
        self._stalled, self._parted = frozenset(), False
        for pair in self._pairs:
            pair.allowance = None
        self._reset_all(only_parted=True)
        async with self._changed:
            self._changed.notify_all()

    async def takes(self, count: int) -> None:
        """Wait until so many connections have been accepted in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.taken >= count)

    # How it goes.

    def _reset_all(self, *, only_parted: bool = False) -> None:
        for pair in list(self._pairs):
            if pair.parted or not only_parted:
                self.resets += 1
                pair.reset()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        pair = _Pair(writer, None if self._within is None else self._random.randint(1, self._within))
        self._pairs[pair] = None
        try:
            async with self._changed:
                self.taken += 1
                self._changed.notify_all()
            if self._parted:
                self.resets += 1
                pair.reset()
            else:
                await self._carry(pair, reader, writer)
        except (OSError, asyncio.CancelledError):
            # The server is not there, or we are ending: either way this connection is over.
            pair.reset()
        finally:
            del self._pairs[pair]
            for one in pair.writers:
                one.close()

    async def _carry(self, pair: _Pair, reader: StreamReader, writer: StreamWriter) -> None:
        await self._open("there")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        pair.writers.append(far_writer)
        for one in pair.writers:
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(pair, "there", reader, far_writer))
            group.create_task(self._pump(pair, "back", far_reader, writer))

    async def _pump(self, pair: _Pair, direction: Direction, reader: StreamReader, writer: StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_CHUNKS)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(reader, waiting))
            group.create_task(self._give(pair, direction, waiting, writer))

    async def _take(self, reader: StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        due = 0.0
        while True:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:
                chunk = b""  # reset by its peer: the other half learns of an end
            late_s = self._delay_s + self._random.random() * self._jitter_s
            due = max(due, asyncio.get_running_loop().time() + late_s)
            await waiting.put((due, chunk))
            if not chunk:
                return

    async def _give(
        self, pair: _Pair, direction: Direction, waiting: asyncio.Queue[tuple[float, bytes]], writer: StreamWriter
    ) -> None:
        now = asyncio.get_running_loop().time
        try:
            while True:
                due, chunk = await waiting.get()
                if due > now():
                    await asyncio.sleep(due - now())
                await self._open(direction)
                if not pair.parted:
                    await self._write(pair, writer, chunk)
                if not chunk:
                    return
        except OSError:
            pair.reset()  # the peer is gone: so is whatever was meant for it

    async def _write(self, pair: _Pair, writer: StreamWriter, chunk: bytes) -> None:
        if not chunk:
            writer.write_eof()
            return
        passed = pair.spend(len(chunk))
        for piece in self._pieces(chunk[:passed]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # a packet of its own
        if passed < len(chunk):
            self.resets += 1
            raise ConnectionResetError

    def _pieces(self, chunk: bytes) -> list[bytes]:
        if self._crumb_bytes is None:
            return [chunk]
        pieces = []
        while chunk:
            n_bytes = self._random.randint(1, self._crumb_bytes)
            pieces.append(chunk[:n_bytes])
            chunk = chunk[n_bytes:]
        return pieces

    async def _open(self, direction: Direction) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: direction not in self._stalled)


@asynccontextmanager
async def chaos(port: int, *, seed: int) -> AsyncIterator[Chaos]:
    """Stand before a server as long as the block lasts."""
    proxy = await Chaos(port, seed=seed).start()
    try:
        yield proxy
    finally:
        await proxy.aclose()
