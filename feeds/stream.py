"""One stream's state in feeds: follow, time, map to UTC, pin facts, schedule releases. The driver does the rest.

What comes in: copies of the playlist, measured segments, vendors' facts, and `now`. What comes out: segments to be
fetched, timings, sealed entries, release marks. Nothing here waits or fails for lack of the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feeds.align import TimedSegment, TimelineMap
from feeds.markets import Markets
from feeds.media import SegmentMedia
from feeds.published import Wall
from feeds.release import ReleaseSchedule
from feeds.sequencer import Sequencer
from feeds.skew import Skews
from feeds.timing import TimelineTracker, TrackerState
from feeds.utc import UtcModel
from kernel.follow import Found, PlaylistFollower
from kernel.marks import ReleaseMark
from kernel.playlist import MediaPlaylist
from kernel.pts import Ticks
from kernel.showings import Showing
from kernel.timeline import SegmentKey, SegmentTiming, StreamState

MAX_TIMED_SEGMENTS = 10_800
"""Six hours of 2 s segments: as long as a client may resume."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What came of a measured segment: its timing, what to keep of it, and why it began a timeline if it did."""

    timing: SegmentTiming
    frames: tuple[Ticks, ...]
    state: dict[str, Any]
    why_new: str | None


class StreamFeed:
    """Hold one stream's media time and facts.

    Args:
        showing: what is shown; its stream bears its id.
        next_offset: the first offset of the log that may be used.
        lead_s: how long before its time a release mark is given at least, in seconds.
    """

    def __init__(self, showing: Showing, *, next_offset: int = 0, lead_s: float = 0.0) -> None:
        self.stream = showing.event_id
        self._follower = PlaylistFollower(hold_s=showing.hold_s, max_older=MAX_TIMED_SEGMENTS)
        self._tracker: TimelineTracker | None = None
        self._utc = UtcModel(program_delay_ms=showing.program_delay_ms or 0)
        self.map = TimelineMap(due_sigma=showing.due_sigma)
        self.learns_hold = showing.auto_hold
        self._max_hold_s = showing.hold_s
        self.release = ReleaseSchedule(self.stream, hold_s=0.0 if showing.auto_hold else showing.hold_s, lead_s=lead_s)
        markets = Markets(
            scope=showing.suspend_scope,
            invalidate=showing.price_invalidation,
            binds={source.name: source.binds for source in showing.sources},
        )
        skews = Skews({source.name: source.latency_s for source in showing.sources})
        self.sequencer = Sequencer(self.map, self.release, markets=markets, skews=skews, next_offset=next_offset)
        self.target_duration_s: int | None = None
        self.live: bool | None = None
        self.first_timeline = 0
        """The first number that a new timeline may have: of those below a crash may have left no trace."""
        self._ended = False
        self._unread_s = 0.0
        self._unread_before_s = 0.0
        self._boundary = False
        self._boundary_before = False
        self._last_placed: SegmentKey | None = None

    def unseen(self, playlist: MediaPlaylist) -> int:
        """Return how many segments of a copy may be new to us."""
        return self._follower.unseen(playlist)

    def observe(self, playlist: MediaPlaylist, refs: list[str], *, now: float) -> list[Found]:
        """Take in a copy of the playlist and return the segments to be fetched and timed, in that order."""
        self.target_duration_s = playlist.target_duration_s
        if self.live is None:
            self.live = not playlist.ended
        if self._tracker is None and playlist.segments:
            # Start-up works backwards: the oldest listed timeline becomes 0, if no reset is unmarked.
            first = sum(segment.discontinuity for segment in playlist.segments[1:])
            if self.first_timeline:
                # Room for as many as there can be, marked or not.
                first = self.first_timeline + len(playlist.segments)
            self._tracker = TimelineTracker(first, first_free=self.first_timeline)
        found = self._follower.observe(playlist, refs, now)
        if not self._follower.passed_over:
            self._ended = playlist.ended
        return found

    def state(self) -> StreamState | None:
        """Return what the other houses must know of the stream as a whole, None before the first playlist."""
        if self.target_duration_s is None or self.live is None:
            return None
        return StreamState(
            self.stream, self.target_duration_s, self.live, self._ended, self.map.complete_below, self._follower.last
        )

    def timed(self, found: Found, media: SegmentMedia, *, now: float, wall: float) -> Timed:
        """Give a measured segment its place in media time and UTC; its mark follows when all that it shows is sealed.

        Args:
            found: the segment, in the order in which `observe` gave them.
            media: what was measured in it.
            now: bus time.
            wall: Unix seconds at the same moment.

        Raises:
            MediaError: it holds neither video nor audio.
        """
        assert self._tracker is not None
        assert self.target_duration_s is not None
        segment, key = found.segment, found.key
        if found.older:
            if self._tracker.state() is None:
                # The first that can be read: what could not stands between it and the one that follows.
                self._unread_s += self._unread_before_s
                self._boundary = self._boundary or self._boundary_before or found.boundary
                self._unread_before_s, self._boundary_before = 0.0, False
            placed = self._tracker.place_before(
                media,
                discontinuity_between=found.boundary or self._boundary_before,
                target_duration_s=self.target_duration_s,
                skipped_s=self._unread_before_s,
            )
            self._unread_before_s, self._boundary_before = 0.0, False
        else:
            if self._tracker.state() is None and self._unread_s:
                # What could not be read stands between the first segment that can be and those before it.
                self._unread_before_s, self._boundary_before = self._unread_s, self._boundary or found.boundary
            placed = self._tracker.place(
                media,
                discontinuity=found.boundary or self._boundary,
                target_duration_s=self.target_duration_s,
                skipped_s=self._unread_s + self._missed_s(key),
            )
            self._unread_s, self._boundary, self._last_placed = 0.0, False, key
        arrival = wall - (now - found.arrived) if self.live and found.seen else None
        self._utc.observe_media(placed, media, pdt=segment.pdt, arrival=arrival)
        utc = self._utc.wall_at(placed.timeline, placed.start)
        timing = SegmentTiming(
            stream=self.stream,
            generation=key.generation,
            msn=key.msn,
            part=None,
            uri=found.ref,
            timeline=placed.timeline,
            start=placed.start,
            end=placed.end,
            wall=utc.wall if utc else None,
            sigma_ms=utc.sigma_ms if utc else 0.0,
            method=utc.method if utc else None,
        )
        self.map.add(TimedSegment(timing, placed.frames))
        self.map.trim(MAX_TIMED_SEGMENTS)
        tracker = self._tracker.state()
        state = {
            "origin_msn": segment.msn,
            "frames": list(placed.frames),
            # Where the newer ones could not be read, an older one is the newest that is known.
            "tracker": tracker.as_json() if tracker and tracker.end == placed.end else None,
            "utc": None if found.older else self._utc.state(),
        }
        return Timed(timing, placed.frames, state, placed.why_new)

    def mark(self, found: Found, timing: SegmentTiming, *, now: float) -> ReleaseMark | None:
        """Return when a timed segment may go out, None if a newer one's mark covers it already.

        Ask for it last: from then on what belongs to its picture counts as late.
        """
        if self.learns_hold:
            self.release.aim(min(self._max_hold_s, self.sequencer.lag.hold_s()))
        # A recording has waited long enough, whatever the hold.
        return self.release.mark(timing, arrived=found.arrived if self.live else float("-inf"), now=now)

    def unmarked(self, *, now: float) -> ReleaseMark | None:
        """Return a mark for the newest timed segment if it has none: after a restart it counts as arriving now."""
        newest = self.map.newest
        return None if newest is None else self.release.mark(newest.timing, arrived=now, now=now)

    def unreadable(self, found: Found) -> None:
        """Pass over a segment that could not be fetched or read: its neighbours stay on one timeline if they fit."""
        if found.older:
            self._unread_before_s += found.segment.duration_s
            self._boundary_before = self._boundary_before or found.boundary
        else:
            self._unread_s += self._missed_s(found.key) + found.segment.duration_s
            self._boundary = self._boundary or found.boundary
            self._last_placed = found.key

    def _missed_s(self, key: SegmentKey) -> float:
        """Return about how long the segments last that were never listed to us, between the last one and this one."""
        missed = 0 if self._last_placed is None else key.msn - self._last_placed.msn - 1
        return max(0, missed) * float(self.target_duration_s or 0)

    def caught_up(self, *, older: bool, newer: bool) -> None:
        """Say that nothing older (or, at the end of the stream, nothing newer) is left to be timed."""
        self.map.complete_below = self.map.complete_below or older
        self.map.ended = self._ended and newer

    def restore_timing(self, timing: SegmentTiming, state: dict[str, Any], *, generation: int) -> None:
        """Take in a timing from disk after a restart, in the order of their keys.

        Args:
            timing: as it was published.
            state: what `Timed.state` said of it.
            generation: the newest one on disk. The numbers of the one before tell a copy from before the last rewind;
                older ones can no longer be compared with the origin's.
        """
        frames = tuple(Ticks(frame) for frame in state["frames"])
        self.map.add(TimedSegment(timing, frames))
        self.map.complete_below = True
        if timing.wall is not None and timing.method is not None:
            published = Wall(timing.wall, timing.sigma_ms, timing.method)
            self._utc.restore(timing.timeline, timing.start, published, state.get("utc"))
        if timing.generation >= generation - 1:
            self._follower.resume(timing, int(state["origin_msn"]))
        if timing.generation == generation:
            self._last_placed = timing.key
        if state["tracker"] is not None:
            tracker = TrackerState.from_json(state["tracker"])
            self._tracker = TimelineTracker.restore(tracker, first_free=self.first_timeline)
