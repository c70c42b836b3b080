"""Drive one stream's feed: fetch, time, seal on disk, then publish.

The order of things, which the rest relies on:

* An entry is on disk before it is on the bus, and on the bus before the mark that lets its picture out. Safety alone
  waits for nothing.
* A timing is on the bus before its segment's mark.
* When the disk fails, video goes out all the same; entries wait for the disk and come late, but come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from feeds.io.demux import Demuxer
from feeds.io.journal import KEEP_S, Journal
from feeds.io.log_writer import LogWriter
from feeds.io.segments import SegmentReader
from feeds.io.source_desk import SourceDesk
from feeds.media import SegmentMedia
from feeds.status import stream_status
from feeds.steady_wall import SteadyWall
from feeds.stream import MAX_TIMED_SEGMENTS, StreamFeed, Timed
from feeds.vendors.contract import ReceivedMessage
from kernel.bus import Bus, marks_topic, state_signal, timings_topic
from kernel.errors import JournalError, MediaError, OriginError, OriginMissing
from kernel.follow import Found
from kernel.histogram import Histogram
from kernel.io.aside import MANY, aside
from kernel.io.origin import Fetcher
from kernel.io.playlists import OriginReader
from kernel.marks import ReleaseMark
from kernel.pts import TICKS_PER_S
from kernel.showings import Showing
from kernel.timeline import SegmentTiming

log = structlog.get_logger("ingest")

SEGMENT_TRIES = 3
"""Attempts at one segment before its neighbours are timed without it."""

RETRY_S = 0.25
"""Wait before the second attempt, doubled before the third."""

EARLY_S = 0.1
NEAR_POLL_S = 0.1
NEAR_POLLS = 10
"""A segment is expected one duration after the one before it. From 0.1 s before that the origin is asked every 0.1 s,
ten times. RFC 8216, 6.3.4 asks players to wait longer; we are the only one who asks, on behalf of all viewers, and what
a poll comes late is a delay for each of them, and an error of the clock that is learned from arrivals."""

MIN_POLL_S, MAX_POLL_S = 0.25, 1.0
"""Bounds of a quarter of the target duration, by which an origin is asked that is late."""

DISK_RETRY_S = 1.0
"""How long a disk that failed is left alone."""

TIMELINES_A_BLOCK = 1_000
"""Numbers promised away at a time. A process that could not write its timings, and was killed, has used some of them:
the next one takes none of those, or a cursor from before would mean another picture."""

TIMINGS_A_TRIM = 256
"""How often what is old is forgotten: every nine minutes of 2 s segments."""


OUTCOMES = ("timed", "unreadable")

MEASURING_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
"""Up to the time that an origin has for an answer."""


class StreamIngest:
    """Run feeds for one showing.

    Args:
        showing: what is shown.
        fetcher: the process's only one.
        demuxer: the child process that reads segments; streams may share it.
        journal: what is on disk.
        bus: what relay and hub share with us.
        wall: the time of day in Unix seconds, without the steps of its clock.
        new_id: gives an unguessable name for a new epoch.
        lead_s: how long before its time a release mark is given at least, in seconds: the bus' way to every relay.
    """

    def __init__(
        self,
        showing: Showing,
        *,
        fetcher: Fetcher,
        demuxer: Demuxer,
        journal: Journal,
        bus: Bus,
        wall: SteadyWall,
        new_id: Callable[[], str],
        lead_s: float = 0.0,
    ) -> None:
        self.showing = showing
        self.stream = showing.event_id
        self._fetcher = fetcher
        self._reader = SegmentReader(fetcher, demuxer)
        self._journal = journal
        self._bus = bus
        self._wall = wall
        self._steps_taken = wall.taken
        self.feed = StreamFeed(showing, lead_s=lead_s)
        self._forward: deque[Found] = deque()
        self._backward: deque[Found] = deque()
        self._origin = OriginReader(fetcher, showing.origin, event_id=showing.event_id, now=bus.now)
        self._base_ref = showing.origin
        self._poll_at = 0.0
        self.segments = dict.fromkeys(OUTCOMES, 0)
        """What became of segments, by outcome."""
        self.measuring = Histogram(MEASURING_BOUNDS_S)
        """From asking for a segment to knowing its times, in seconds."""
        self._misses = 0
        self._n_timings = 0
        self._n_marks = 0
        self._reserved_timeline = 0
        self._unkept: deque[tuple[int, Timed]] = deque()
        self._is_unkept = asyncio.Event()
        self.log = LogWriter(self.stream, self.feed.sequencer, journal=journal, bus=bus, wall=wall, new_id=new_id)
        self.sources = SourceDesk(showing, self.feed.sequencer, self.log, journal=journal, bus=bus, wall=wall)

    async def restore(self) -> None:
        """Take up the stream where the journal left it, and refill the bus; call before `run` and `deliver`.

        Raises:
            JournalError: the journal cannot be read.
        """
        record = await self._journal.load(self.stream, since_wall=self._wall() - KEEP_S)
        epoch = await self.log.begin(record)
        self._bus.begin(timings_topic(self.stream), epoch)
        self._bus.begin(marks_topic(self.stream), epoch)
        self.feed.first_timeline = record.reserved_timeline
        used = max((stored.timing.timeline for stored in record.timings), default=-1)
        await self._reserve_timelines(max(record.reserved_timeline - 1, used))
        newest = max((stored.timing.generation for stored in record.timings), default=0)
        for stored in record.timings:
            self._n_timings = stored.n + 1
            self._bus.publish(timings_topic(self.stream), stored.n, stored.timing)
        # A disk that failed may know less than the bus: video does not wait for it.
        self._n_timings = max(self._n_timings, self._bus.head(timings_topic(self.stream)) + 1)
        for stored in sorted(record.timings, key=lambda stored: stored.timing.key):
            self.feed.restore_timing(stored.timing, dict(stored.state or {}), generation=newest)
        await self.log.restore(record)
        self.sources.restore(record)
        for mark in record.marks[-1:]:
            # It covers all before it. Its time was another bus's: what was to go out has waited long enough.
            self._n_marks = mark.n
            self._mark(self.feed.release.restore(mark.mark, now=self._bus.now()))
        self._n_marks = max(self._n_marks, self._bus.head(marks_topic(self.stream)) + 1)
        unmarked = self.feed.unmarked(now=self._bus.now())
        if unmarked is not None:
            # The crash came between timing and mark: the segment counts as arriving now.
            self._mark(unmarked)
        if record.timings:
            log.info("stream.restored", event_id=self.stream, entries=len(record.entries), timings=len(record.timings))

    def deliver(self, message: ReceivedMessage) -> None:
        """Take in a journaled message; what needs a picture is sealed when it has one."""
        self.sources.heard(message)
        self.log.deliver(
            message.adapted.facts, message_seq=message.seq, received=message.received, live=self.feed.live is True
        )

    def status(self) -> dict[str, Any]:
        """Return how the feeds of this showing are."""
        return stream_status(self.feed, self.sources.watch, journal_faults=self.log.faults, now=self._bus.now())

    async def run(self) -> None:
        """Follow the origin and seal facts until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep())
            group.create_task(self.log.run())
            group.create_task(self.sources.run())

    async def end(self) -> None:
        """Let go of the log once `run` was cancelled; nothing may be delivered any more."""
        await self.log.end()

    async def _follow(self) -> None:
        while True:
            if self._bus.now() >= self._poll_at:
                await self._poll()
            elif self._forward:
                await self._time(self._forward.popleft())
            elif self._backward:
                await self._time(self._backward.popleft())
            elif self.feed.map.ended:
                # RFC 8216, 6.2.1: nothing changes behind ENDLIST. The hub has opened everything up to the end of time;
                # what came now would be told before it is seen.
                log.info("stream.ended", event_id=self.stream)
                return
            else:
                await asyncio.sleep(max(0.0, self._poll_at - self._bus.now()))
                continue
            self._note_progress()

    async def _poll(self) -> None:
        await self._origin.read_top(max_age_s=MIN_POLL_S)
        copy = await self._origin.read_lead(max_age_s=0.0)
        found: list[Found] = []
        if copy is not None:
            self._base_ref = copy.ref
            observe = partial(self.feed.observe, copy.playlist, copy.refs, now=self._bus.now())
            # Nobody else looks at what that changes before we go on.
            found = await aside(observe) if self.feed.unseen(copy.playlist) > MANY else observe()
            for item in found:
                # What lies further back than a client may resume is listed, but nothing is pinned to it.
                if not item.older:
                    self._forward.append(item)
                elif len(self._backward) < MAX_TIMED_SEGMENTS:
                    self._backward.append(item)
            self._tell_state()
        self._poll_at = self._bus.now() + self._next_poll_s(found)

    def _next_poll_s(self, found: list[Found]) -> float:
        """Return how long to wait: until shortly before the next segment is expected, then often until it is there."""
        if found:
            self._misses = 0
            newest = max(found, key=lambda item: item.key)
            if any(item.older for item in found):
                return MIN_POLL_S  # A start-up comes at any time between two segments.
            return max(MIN_POLL_S, newest.segment.duration_s - EARLY_S)
        self._misses += 1
        if self._misses <= NEAR_POLLS:
            return NEAR_POLL_S
        target_s = self.feed.target_duration_s
        return MAX_POLL_S if target_s is None else min(MAX_POLL_S, max(MIN_POLL_S, target_s / 4))

    def _tell_state(self) -> None:
        state = self.feed.state()
        if state is not None:
            self._bus.signal(state_signal(self.stream), state)

    def _note_progress(self) -> None:
        was = self.feed.map.complete_below, self.feed.map.ended
        self.feed.caught_up(older=not self._backward and len(self.feed.map) > 0, newer=not self._forward)
        if was != (self.feed.map.complete_below, self.feed.map.ended):
            self._tell_state()
            self.log.kick()

    async def _time(self, found: Found) -> None:
        try:
            began = self._bus.now()
            media = await self._measured(found)
            self.measuring.add(self._bus.now() - began)
            timed = self.feed.timed(found, media, now=self._bus.now(), wall=self._wall())
        except (OriginError, MediaError) as error:
            self.segments["unreadable"] += 1
            self.feed.unreadable(found)
            log.warning("segment.unreadable", event_id=self.stream, msn=found.key.msn, error=str(error))
            return
        self.segments["timed"] += 1
        if timed.why_new is not None:
            timing = timed.timing
            log.info(
                "timeline.began", event_id=self.stream, timeline=timing.timeline, msn=timing.msn, why=timed.why_new
            )
        self._judge_clock(found, timed.timing)
        timing, segment = timed.timing, found.segment
        log.debug(
            "segment.timed",
            event_id=self.stream,
            msn=timing.msn,
            start=timing.start,
            wall=timing.wall,
            sigma_ms=timing.sigma_ms,
            method=timing.method,
            pdt=segment.pdt,
            arrived_s=round(self._wall() - (self._bus.now() - found.arrived), 3) if found.seen else None,
        )
        await self._publish(found, timed)

    def _judge_clock(self, found: Found, timing: SegmentTiming) -> None:
        """See what the origin's dates say of our own clock's steps."""
        if found.seen and timing.wall is not None and timing.method != "arrival":
            arrived = self._wall() - (self._bus.now() - found.arrived)
            self._wall.judge(self.stream, arrived - timing.wall - (timing.end - timing.start) / TICKS_PER_S)
        if self._steps_taken != self._wall.taken:
            self._steps_taken = self._wall.taken
            log.warning("clock.step_taken", event_id=self.stream)
            self.feed.sequencer.skews.forget()
        for step_s in self._wall.take_news():
            log.error(
                "clock.stepped",
                step_s=round(step_s, 1),
                remedy="facts are placed as before; if the new time is the right one, start again when it suits you",
            )

    async def _measured(self, found: Found) -> SegmentMedia:
        segment = found.segment
        if segment.gap:
            raise MediaError("the origin says that it has no media for it (EXT-X-GAP)")
        wait_s = RETRY_S
        for attempt in range(1, SEGMENT_TRIES + 1):
            try:
                fetched = await self._fetcher.segment(
                    found.ref,
                    generation=found.key.generation,
                    byte_range=segment.byte_range,
                    # The fetcher remembers failures for those who hurry; we wait by ourselves.
                    again=attempt > 1,
                )
                return await self._reader.measure(
                    segment,
                    fetched.body,
                    base=self._base_ref,
                    generation=found.key.generation,
                    again=attempt > 1,
                )
            except OriginError as error:
                # A segment that was listed a moment ago may be missing at a node of the origin's for another moment.
                if attempt == SEGMENT_TRIES or (found.older and isinstance(error, OriginMissing)):
                    raise
                await asyncio.sleep(wait_s)
                wait_s *= 2
        raise AssertionError("unreachable")

    async def _publish(self, found: Found, timed: Timed) -> None:
        """Put a timing on disk and on the bus, what it lets us seal, and last its mark."""
        n = self._n_timings
        self._n_timings += 1
        await self._on_disk(self._append(n, timed), self._reserve_timelines(timed.timing.timeline), self.log.seal())
        self._bus.publish(timings_topic(self.stream), n, timed.timing)
        mark = self.feed.mark(found, timed.timing, now=self._bus.now())
        if mark is not None:
            self._mark(mark)
            await self._on_disk(self._journal.append_mark(self.stream, self._n_marks - 1, mark))
        if n % TIMINGS_A_TRIM == 0:
            await self._trim()

    async def _reserve_timelines(self, used: int) -> None:
        if used >= self._reserved_timeline - TIMELINES_A_BLOCK // 2:
            upto = used + 1 + TIMELINES_A_BLOCK
            await self._journal.reserve_timelines(self.stream, upto)
            self._reserved_timeline = upto

    async def _append(self, n: int, timed: Timed) -> None:
        try:
            await self._journal.append_timing(self.stream, n, timed.timing, timed.state)
        except JournalError:
            self._unkept.append((n, timed))
            self._is_unkept.set()
            raise

    async def _keep(self) -> None:
        """Write again what the disk did not take: a segment that it did not know would be a hole after a restart."""
        while True:
            await self._is_unkept.wait()
            await asyncio.sleep(DISK_RETRY_S)
            while self._unkept:
                n, timed = self._unkept[0]
                try:
                    await self._journal.append_timing(self.stream, n, timed.timing, timed.state)
                except JournalError:
                    break
                self._unkept.popleft()
            else:
                self._is_unkept.clear()

    def _mark(self, mark: ReleaseMark) -> None:
        self._bus.publish(marks_topic(self.stream), self._n_marks, mark)
        self._n_marks += 1

    async def _on_disk(self, *writes: Coroutine[Any, Any, None]) -> None:
        """Wait for the disk; when it fails, video goes on and what was not sealed is tried again."""
        for result in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(result, JournalError):
                self.log.failed(result)
            elif isinstance(result, BaseException):
                raise result

    async def _trim(self) -> None:
        """Forget what nobody may ask for any more, on the bus and on disk."""
        self._bus.trim(timings_topic(self.stream), self._n_timings - MAX_TIMED_SEGMENTS)
        # One mark covers all before it.
        self._bus.trim(marks_topic(self.stream), self._n_marks - TIMINGS_A_TRIM)
        self.log.trim()
        try:
            await self._journal.trim(self._wall() - KEEP_S)
        except JournalError as error:
            self.log.failed(error)
