"""A showing and the stream that its blackouts lead to, as the relays of one process have them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from kernel.blackouts import Veil, Window, ZoneSet
from kernel.bus import marks_topic, opened_signal, timings_topic
from kernel.decisions import NOWHERE, Decision, Scope, Whence
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.marks import Opened, ReleaseMark
from kernel.showings import Showing
from kernel.tokens import Claims
from relay.gate import Gate
from relay.io.driver import StreamRelay
from tests.support.origins import write_list
from tests.support.playlists import timing

WALL = 1_000.0
"""When the first segment's pictures were; each is two seconds long."""

CITY = Window(WALL + 3.0, WALL + 7.0)
"""Segments 1, 2 and 3 are dark."""

INSIDE: ZoneSet = (Veil("city", CITY, "local", 0.0),)
BLOCKED: ZoneSet = (Veil("city", CITY, None, 0.0),)
NAMES = [f"{n}.ts" for n in range(10)]


class InsideGate(Gate):
    """The gate, for somebody who is inside of blackouts."""

    zones: ZoneSet = ()
    later: ZoneSet | None = None
    """What they are inside of when they are looked at again; None: the same."""

    def __call__(
        self, token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
    ) -> Decision:
        """Decide, and say what they are inside of."""
        return replace(super().__call__(token, event_id, scope, now=now, whence=whence), zones=self.zones)

    def decide(
        self, claims: Claims, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
    ) -> Decision:  # fmt: skip
        """Decide again."""
        zones = self.zones if self.later is None else self.later
        return replace(super().decide(claims, event_id, scope, now=now, whence=whence), zones=zones)


class Pair:
    """The relays of `game` and `local`, each with ten segments that open one by one."""

    def __init__(self, folder: Path) -> None:
        self.bus = MemoryBus(asyncio.get_running_loop().time)
        self.folders = {stream: folder / stream for stream in ("game", "local")}
        refs = {stream: (path / "index.m3u8").as_uri() for stream, path in self.folders.items()}
        self.fetcher = Fetcher(list(refs.values()), now=self.bus.now)
        self.relays: dict[str, StreamRelay] = {}
        for stream, ref in refs.items():
            self.relays[stream] = StreamRelay(
                Showing(stream, ref), fetcher=self.fetcher, bus=self.bus, others=self.relays
            )  # fmt: skip
        self.opened: asyncio.Queue[Opened] = asyncio.Queue()
        self._running: list[asyncio.Task[None]] = []

    @property
    def game(self) -> StreamRelay:
        """Return the showing's relay."""
        return self.relays["game"]

    async def start(self) -> None:
        """Write both lists, and begin to follow them."""
        for stream, path in self.folders.items():
            path.mkdir()
            await asyncio.to_thread(write_list, path, NAMES)
            for name in NAMES:
                await asyncio.to_thread((path / name).write_bytes, f"{stream} {name}".encode())
            self.bus.listen(opened_signal(stream), self.opened.put_nowait)
        self._running = [asyncio.create_task(relay.run()) for relay in self.relays.values()]

    async def release(self, stream: str, msn: int) -> None:
        """Let a segment out, and wait until it is."""
        told = replace(
            timing(msn, NAMES[msn], wall=WALL + 2 * msn),
            stream=stream,
            uri=(self.folders[stream] / NAMES[msn]).as_uri(),
        )
        self.bus.publish(timings_topic(stream), msn, told)
        self.bus.publish(marks_topic(stream), msn, ReleaseMark(stream, 0, msn, None, told.upto, self.bus.now()))
        while (opened := await self.opened.get()).key != told.key or opened.stream != stream:
            pass

    async def aclose(self) -> None:
        """End both."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.fetcher.aclose()
