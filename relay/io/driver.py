"""Drive one stream's presentation: follow the origin's playlists, open segments at their bus time, tell the hub.

In one process the lead's playlist comes from the copy that feeds has just fetched, and a mark that is due opens its
segment before `publish` returns. Apart from feeds, or without it, the relay follows the origin by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from kernel.blackouts import Window, ZoneSet, veil_over
from kernel.bus import (
    Bus,
    Cancel,
    epoch_signal,
    marks_topic,
    opened_signal,
    served_signal,
    timings_topic,
)
from kernel.io.aside import MANY, aside
from kernel.io.origin import Fetcher
from kernel.io.playlists import TOP_REFRESH_S, OriginReader, PlaylistReader
from kernel.marks import Opened, ReleaseMark, Served
from kernel.showings import Showing
from kernel.timeline import SegmentKey, SegmentTiming
from kernel.variables import Variables
from relay.cut_ledger import CutLedger, cut_found_signal, cuts_topic
from relay.cuts import Record
from relay.playlist import Asset, Listed
from relay.presentation import Presentation
from relay.served import Tally, Whose
from relay.spliced import Splicer

T = TypeVar("T")
log = structlog.get_logger("relay")

FIRST_POLL_S = 0.5
"""How often the origin is asked before it has answered once."""

MIN_REFRESH_S = 0.1
"""How soon a playlist is read again because feeds speaks of a segment that our copy does not list."""

CATCH_UP_S = 0.25
"""How often a companion is asked that lags behind the lead: packagers write their renditions one after the other."""


MAX_TIMINGS = 50_000
"""More than a day of two-second segments; of those that are forgotten nothing is listed any more."""


class StreamRelay:
    """Keep one showing's playlists up to date.

    Args:
        showing: what is shown.
        fetcher: the process's only one.
        bus: what feeds and hub share with us.
        others: all showings' relays by event id: blackouts lead to them. It may change at any time.
    """

    def __init__(
        self, showing: Showing, *, fetcher: Fetcher, bus: Bus, others: Mapping[str, StreamRelay] | None = None
    ) -> None:
        self.showing = showing
        self._others = others if others is not None else {}
        self._splicer = Splicer(showing.event_id, self._known)
        self._ledger = CutLedger(self._splicer.cuts)
        self._redirects: dict[str, Cancel] = {}
        self.presentation = Presentation(showing)
        self._window = self.presentation.window
        self._fetcher = fetcher
        self._bus = bus
        self._reader = OriginReader(fetcher, showing.origin, event_id=showing.event_id, now=bus.now)
        self._tally = Tally()
        self._poke = asyncio.Event()
        self._companion_pokes: dict[str, asyncio.Event] = {}
        self._seen_at = float("-inf")
        self._epoch: str | None = None
        self._timings: dict[int, SegmentTiming] = {}
        # Held while a thread has the presentation; what is said meanwhile is heard afterwards.
        self._changing = asyncio.Lock()
        self._said: list[Callable[[], None]] = []

    def change(self, showing: Showing) -> None:
        """Take what a showing is from now on; its origin is the same."""
        self.showing = showing
        self._window.patience_s = showing.hold_s + showing.max_hold_s
        self._poke.set()

    def sent(self, whose: Whose, start: int, stop: int, length: int) -> None:
        """Take note that bytes of a segment went to a session; tell the hub once they cover half of it."""
        if self._later(partial(self.sent, whose, start, stop, length)):
            return
        if self._tally.add(whose, start, stop, length):
            session, rendition, key = whose
            if (shown := self.presentation.shown_in(rendition, key)) is not None:
                stream = self.showing.event_id
                self._bus.signal(served_signal(stream), Served(stream, session, *shown))

    def is_dark(self, rendition: str, key: SegmentKey, zones: ZoneSet) -> bool:
        """Tell whether a segment is hidden from those inside of blackouts; where its time is not known, it is."""
        beside = self.presentation.beside(rendition, key)
        if beside is None:
            return True
        timings = [self._timings.get(msn) for msn in range(beside[0], beside[1] + 1)]
        return any(timing is None or veil_over(zones, timing) is not None for timing in timings)

    def text(self, rendition: str | None, zones: ZoneSet) -> str | None:
        """Return a playlist as it stands for those inside of blackouts, None if nothing of it is out.

        Args:
            rendition: its name, None for the top playlist.
            zones: the blackouts that apply; none: the usual list.
        """
        return self._splicer.text(rendition, zones) if zones else self.presentation.text(rendition)

    def is_blocked(self, rendition: str | None, zones: ZoneSet) -> bool:
        """Tell whether a playlist has ended for those inside of blackouts."""
        name = self.presentation.media_name(rendition)
        return bool(zones) and name is not None and self._splicer.is_blocked(name, zones)

    def redirected(self, rendition: str, tag: str, key: SegmentKey, zones: ZoneSet) -> Listed | None:
        """Return a redirect stream's segment that stands in for what is dark, None for whom it does not."""
        return self._splicer.find(rendition, tag, *key, zones) if zones else None

    def asset(self, rendition: str, name: str, zones: ZoneSet) -> Asset | None:
        """Return what a listed segment or the top playlist needs under a name, or None."""
        return self.presentation.asset(rendition, name) or self._splicer.asset(rendition, name, zones)

    def on_blackouts(self, windows: Mapping[str, Window], streams: frozenset[str]) -> None:
        """Take in which blackouts this showing has.

        Args:
            windows: when each is in force, by id.
            streams: the event ids of the showings that they lead to.
        """
        if self._later(partial(self.on_blackouts, windows, streams)):
            return
        self._ledger.found(self._splicer.cutter.on_windows(windows, streams))
        for stream in self._redirects.keys() - streams:
            self._redirects.pop(stream)()
        for stream in streams - self._redirects.keys() - {self.showing.event_id}:
            self._redirects[stream] = self._bus.subscribe(marks_topic(stream), partial(self._on_other_mark, stream))
        self._ledger.found(self._splicer.after_opening(self._last_key(), now=self._bus.now()))
        self._say()
        self._poke.set()

    async def run(self) -> None:
        """Follow and open until cancelled."""
        stream = self.showing.event_id
        cancels: list[Cancel] = []
        self._window.began_at = self._bus.now()
        async with asyncio.TaskGroup() as group:
            try:
                # Names depend on what the top playlist is: it comes before anything opens.
                await self._follow(group)
                cancels.append(self._bus.listen(epoch_signal(stream), self._on_epoch))
                # Before what they are found by: what was said of them once stays.
                cancels.append(self._bus.subscribe(cuts_topic(stream), self._on_cuts))
                cancels.append(self._bus.subscribe(timings_topic(stream), self._on_timing))
                cancels.append(self._bus.subscribe(marks_topic(stream), self._on_mark))
                while True:
                    await self._follow(group)
                    self._tell(await self._change(self._open, self.presentation.n_waiting))
                    await self._wait()
            finally:
                for cancel in (*cancels, *self._redirects.values()):
                    cancel()
                self._redirects.clear()

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """Read the origin's playlists if it is time, from the shared copies if those are new enough."""
        top = await self._reader.read_top(max_age_s=FIRST_POLL_S)
        if top is not None and top.playlist is not None:
            observe_top = partial(self.presentation.observe_top, top.playlist, top.resolve)
            for rendition in await self._change(observe_top, 0):
                if not rendition.lead and rendition.name not in self._companion_pokes:
                    self._companion_pokes[rendition.name] = asyncio.Event()
                    group.create_task(self._accompany(rendition.name, rendition.ref, top.variables))
        now, poll_s = self._bus.now(), self._poll_s()
        if self._window.ended or now - self._seen_at < poll_s:
            return
        self._seen_at = now
        copy = await self._reader.read_lead(max_age_s=poll_s)
        if copy is not None:
            observe = partial(self._window.observe, copy.playlist, copy.refs, copy.resolve, now=self._bus.now())
            await self._change(observe, self._window.unseen(copy.playlist))

    def _poll_s(self) -> float:
        if self._window.wants_playlist:
            return MIN_REFRESH_S
        target_s = self._window.target_duration_s
        return FIRST_POLL_S if target_s is None else float(target_s)

    async def _wait(self) -> None:
        now = self._bus.now()
        # Behind an end nothing changes but the top playlist, perhaps.
        due = [now + TOP_REFRESH_S if self._window.ended else max(self._seen_at + self._poll_s(), now + MIN_REFRESH_S)]
        deadlines = self._window.next_deadline(), self._splicer.cutter.next_deadline()
        due.extend(deadline for deadline in deadlines if deadline is not None)
        self._poke.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(due) - now)):
                await self._poke.wait()

    async def _accompany(self, name: str, ref: str, variables: Variables) -> None:
        """Follow one companion until cancelled."""
        reader = PlaylistReader(self._fetcher, self.showing.event_id)
        poke = self._companion_pokes[name]
        while True:
            copy = await reader.read(ref, max_age_s=MIN_REFRESH_S, variables=variables)
            if copy is not None:
                observe = partial(
                    self.presentation.observe, name, copy.playlist, copy.refs, copy.resolve, now=self._bus.now()
                )
                await self._change(observe, self.presentation.unseen(name, copy.playlist))
            target_s = self._window.target_duration_s
            behind = self.presentation.is_behind(name) or target_s is None
            poke.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CATCH_UP_S if behind else target_s):
                    await poke.wait()

    async def _change(self, change: Callable[[], T], n_segments: int) -> T:
        """Change the presentation: at once, or, where many segments are concerned, in a thread.

        Others see it as it was until it is done, and what the bus says meanwhile is heard then: as if the loop had
        stood still, but for all else that is on it.
        """
        async with self._changing:
            if n_segments <= MANY:
                return change()
            self.presentation.hold()
            try:
                return await aside(change)
            finally:
                self.presentation.release()
                # Behind the lock, which is free when they are called.
                asyncio.get_running_loop().call_soon(self._hear)

    def _later(self, heard: Callable[[], None]) -> bool:
        """Tell whether something must wait; it is then heard in its turn, behind all that was said before."""
        waits = self._changing.locked() or bool(self._said)
        if waits:
            self._said.append(heard)
        return waits

    def _hear(self) -> None:
        """Hear what was said while a thread had the presentation."""
        said, self._said = self._said, []
        for heard in said:
            heard()

    def _on_epoch(self, epoch: str) -> None:
        if self._later(partial(self._on_epoch, epoch)):
            return
        if self._epoch not in (None, epoch):
            log.warning("epoch.changed", event_id=self.showing.event_id)
            self._window.begin_epoch()
            self._timings.clear()
            self._splicer.cutter.begin_epoch(self.showing.event_id)
            self._ledger.begin_epoch()
        self._epoch = epoch
        self._say()

    def _on_cuts(self, number: int, records: list[Record]) -> None:
        if self._later(partial(self._on_cuts, number, records)):
            return
        why = self._ledger.confirm(records)
        if why is not None:
            log.error("cuts.not_understood", event_id=self.showing.event_id, error=why)
        self._poke.set()

    def _say(self) -> None:
        """Say what was found of the cuts and is not kept: in which epoch, for numbers may be others in the next."""
        if self._epoch is not None and (records := self._ledger.due(now=self._bus.now())):
            self._bus.signal(cut_found_signal(self.showing.event_id), [self._epoch, records])

    def _on_timing(self, number: int, timing: SegmentTiming) -> None:
        if self._later(partial(self._on_timing, number, timing)):
            return
        self._window.on_timing(timing)
        self._timings[timing.msn] = timing
        if len(self._timings) > MAX_TIMINGS:
            del self._timings[next(iter(self._timings))]
        self._ledger.found(self._splicer.cutter.on_timing(timing))
        self._say()
        if self._window.wants_playlist:
            # Feeds has seen a newer copy than ours: it lies in the fetcher's cache.
            self._seen_at = min(self._seen_at, self._bus.now() - MIN_REFRESH_S)
            self._poke.set()

    def _on_mark(self, number: int, mark: ReleaseMark) -> None:
        if self._later(partial(self._on_mark, number, mark)):
            return
        self._window.on_mark(mark)
        self._splicer.cutter.on_mark(self.showing.event_id, mark)
        if self.presentation.n_waiting <= MANY:
            self._tell(self._open())
        self._poke.set()

    def _on_other_mark(self, stream: str, number: int, mark: ReleaseMark) -> None:
        if self._later(partial(self._on_other_mark, stream, number, mark)):
            return
        self._splicer.cutter.on_mark(stream, mark)
        self._poke.set()

    def _known(self, stream: str) -> Presentation | None:
        """Return what is out of a showing."""
        if stream == self.showing.event_id:
            return self.presentation
        other = self._others.get(stream)
        return other.presentation if other is not None else None

    def _last_key(self) -> SegmentKey | None:
        last = self._window.listing.last
        return last.key if last is not None else None

    def _open(self) -> tuple[bool, list[Opened]]:
        """Open what is due; return whether it is the first, and what to tell."""
        first = not self._window.listing.is_out
        opened = self._window.handle_timer(now=self._bus.now())
        if opened:
            self.presentation.open_companions()
        self._ledger.found(self._splicer.after_opening(self._last_key(), now=self._bus.now()))
        return first, opened

    def _tell(self, what: tuple[bool, list[Opened]]) -> None:
        first, opened = what
        self._say()
        for one in opened:
            if first and self._window.listing.last is not None:
                first = False
                log.info("picture.out", event_id=one.stream, generation=one.generation, msn=one.msn)
            if one.upto is None:
                log.warning("segment.opened_unsynchronised", event_id=one.stream, msn=one.msn)
            else:
                log.debug("segment.opened", event_id=one.stream, msn=one.msn)
            # The hub flushes its cues before this returns.
            self._bus.signal(opened_signal(self.showing.event_id), replace(one, epoch=self._epoch))
        if opened:
            for poke in self._companion_pokes.values():
                poke.set()
