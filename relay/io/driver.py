"""Drive one stream's window: follow the origin's playlist, open segments at their bus time, tell the hub.

In one process the playlist comes from the copy that feeds has just fetched, and a mark that is due opens its segment
before `publish` returns. Apart from feeds, or without it, the relay follows the origin by itself.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from kernel.bus import Bus, Cancel, marks_topic, opened_signal, timings_topic
from kernel.errors import OriginError, PlaylistError
from kernel.io.origin import Fetcher, resolve
from kernel.marks import ReleaseMark
from kernel.playlist import parse_media_playlist
from kernel.showings import Showing
from kernel.timeline import SegmentTiming
from relay.window import Window

log = structlog.get_logger("relay")

FIRST_POLL_S = 0.5
"""How often the origin is asked before it has answered once."""

MIN_REFRESH_S = 0.1
"""How soon the playlist is read again because feeds speaks of a segment that our copy does not list."""


class StreamRelay:
    """Keep one showing's window up to date.

    Args:
        showing: what is shown.
        fetcher: the process's only one.
        bus: what feeds and hub share with us.
    """

    def __init__(self, showing: Showing, *, fetcher: Fetcher, bus: Bus) -> None:
        self.showing = showing
        self.window = Window(showing.event_id, hold_s=showing.hold_s, max_hold_s=showing.max_hold_s)
        self._fetcher = fetcher
        self._bus = bus
        self._poke = asyncio.Event()
        self._cancels: list[Cancel] = []
        self._seen_at = float("-inf")
        self._complaint: str | None = None
        self._last_body = b""

    async def run(self) -> None:
        """Follow and open until cancelled."""
        stream = self.showing.event_id
        self._cancels.append(self._bus.subscribe(timings_topic(stream), self._on_timing))
        self._cancels.append(self._bus.subscribe(marks_topic(stream), self._on_mark))
        try:
            while True:
                await self._follow()
                self._open()
                await self._wait()
        finally:
            for cancel in self._cancels:
                cancel()

    async def _follow(self) -> None:
        """Read the playlist if it is time, from the shared copy if that is new enough."""
        now = self._bus.now()
        target_s = self.window.target_duration_s
        poll_s = FIRST_POLL_S if target_s is None else float(target_s)
        if self.window.wants_playlist:
            poll_s = MIN_REFRESH_S
        if self.window.ended or now - self._seen_at < poll_s:
            return
        self._seen_at = now
        try:
            copy = await self._fetcher.playlist(self.showing.origin, max_age_s=poll_s)
            if copy.body == self._last_body:
                return
            playlist = parse_media_playlist(copy.text)
            refs = [resolve(copy.ref, segment.uri) for segment in playlist.segments]
        except (OriginError, PlaylistError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("playlist.unavailable", event_id=self.showing.event_id, error=str(error))
            return
        self._complaint = None
        self._last_body = copy.body
        self.window.observe(playlist, refs, lambda uri: resolve(copy.ref, uri), now=self._bus.now())

    async def _wait(self) -> None:
        now = self._bus.now()
        target_s = self.window.target_duration_s
        due = []
        if not self.window.ended:
            due.append(self._seen_at + (FIRST_POLL_S if target_s is None else target_s))
            if self.window.wants_playlist:
                due.append(self._seen_at + MIN_REFRESH_S)
        deadline = self.window.next_deadline()
        if deadline is not None:
            due.append(deadline)
        self._poke.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(due) - now) if due else None):
                await self._poke.wait()

    def _on_timing(self, _: int, timing: SegmentTiming) -> None:
        self.window.on_timing(timing)
        if self.window.wants_playlist:
            # Feeds has seen a newer copy than ours: it lies in the fetcher's cache.
            self._seen_at = min(self._seen_at, self._bus.now() - MIN_REFRESH_S)
            self._poke.set()

    def _on_mark(self, _: int, mark: ReleaseMark) -> None:
        self.window.on_mark(mark)
        self._open()
        self._poke.set()

    def _open(self) -> None:
        first = self.window.text() is None
        for opened in self.window.handle_timer(now=self._bus.now()):
            if first:
                first = False
                log.info("picture.out", event_id=opened.stream, generation=opened.generation, msn=opened.msn)
            if opened.upto is None:
                log.warning("segment.opened_unsynchronised", event_id=opened.stream, msn=opened.msn)
            else:
                log.debug("segment.opened", event_id=opened.stream, msn=opened.msn)
            # The hub flushes its cues before this returns.
            self._bus.signal(opened_signal(self.showing.event_id), opened)
