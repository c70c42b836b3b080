"""Pin facts to media time: from the UTC at which something happened to the frame that shows it.

Rules:
* A fact is pinned inside a timed segment, never by extrapolation beyond one: until the segment that holds its UTC is
  timed, it waits.
* `pts` is the frame nearest to that UTC. `due` is `pts` plus the uncertainty, moved up to a frame: whoever may
  see `due` has surely seen the fact's own picture.
* A fact whose picture is missing (a gap in the list, a segment that could not be read, or whose UTC nothing tells)
  belongs to the next picture of known UTC; one from before the first such picture to it; one left over when the stream
  ends to the end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from math import hypot

from kernel.pts import Ticks, s_of_ticks, ticks_of_s
from kernel.timeline import MediaTime, SegmentKey, SegmentTiming

ABSURD_S = 86_400.0
"""A vendor's clock that is more than a day away from ours is broken, not skewed (simulations replay old dates)."""


@dataclass(frozen=True, slots=True)
class TimedSegment:
    """A segment's timing with the presentation times of its frames, unwrapped and rising."""

    timing: SegmentTiming
    frames: tuple[Ticks, ...]

    @property
    def ends_wall(self) -> float | None:
        """Return the UTC at which its last picture ends, in Unix seconds."""
        if self.timing.wall is None:
            return None
        return self.timing.wall + s_of_ticks(self.timing.end - self.timing.start)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a fact's picture is, and from when it may be told."""

    at: MediaTime
    due: MediaTime
    msn: int
    off: int
    wall: float
    sigma_ms: int


class TimelineMap:
    """Hold a stream's timed segments and find the picture of a UTC.

    Args:
        due_sigma: standard deviations that `due` lies beyond `pts`.
    """

    def __init__(self, *, due_sigma: float = 1.0) -> None:
        self._due_sigma = due_sigma
        self._keys: list[SegmentKey] = []
        self._segments: dict[SegmentKey, TimedSegment] = {}
        self._changes = 0
        self.complete_below = False
        """Whether no segment older than the oldest here will be timed any more."""
        self.ended = False
        """Whether no segment newer than the newest here will be timed any more."""

    def __len__(self) -> int:
        """Return how many segments are held."""
        return len(self._keys)

    def add(self, segment: TimedSegment) -> None:
        """Take in a timed segment, newer or older than those already here."""
        self._changes += 1
        key = segment.timing.key
        if key not in self._segments:
            insort(self._keys, key)
        self._segments[key] = segment

    @property
    def version(self) -> tuple[int, bool, bool]:
        """Return what changes whenever something may have a place that had none."""
        return (self._changes, self.complete_below, self.ended)

    @property
    def newest(self) -> TimedSegment | None:
        """Return the newest segment, None before the first."""
        return self._segments[self._keys[-1]] if self._keys else None

    def trim(self, keep: int) -> None:
        """Forget the oldest segments beyond `keep`; facts before them then belong to the first picture."""
        for key in self._keys[:-keep]:
            del self._segments[key]
        del self._keys[:-keep]

    def is_absurd(self, wall: float, received: float, *, live: bool) -> bool:
        """Return whether a vendor's time can only be a broken clock; only a live stream has a "now" to compare with."""
        return live and abs(wall - received) > ABSURD_S

    def place(self, wall: float, sigma_s: float) -> Placement | None:
        """Return where the picture of `wall` is, or None as long as that is not known.

        Args:
            wall: when it happened, in Unix seconds.
            sigma_s: uncertainty of that time, one standard deviation.
        """
        following: TimedSegment | None = None
        for key in reversed(self._keys):
            segment = self._segments[key]
            if segment.timing.wall is None:
                continue  # it may lie before the fact as well as behind it
            if segment.timing.wall <= wall:
                ends = segment.ends_wall
                assert ends is not None
                if wall < ends:
                    return self._inside(segment, wall, sigma_s)
                if following is not None:
                    return self._at_start(following, wall, sigma_s)
                return self._at_end(segment, wall, sigma_s) if self.ended else None
            following = segment
        if following is None and self.ended and self._keys:
            following = self._segments[self._keys[0]]
        return self._at_start(following, wall, sigma_s) if following is not None and self.complete_below else None

    def _inside(self, segment: TimedSegment, wall: float, sigma_s: float) -> Placement:
        timing = segment.timing
        assert timing.wall is not None
        wanted = timing.start + ticks_of_s(wall - timing.wall)
        return self._pinned(segment, _nearest(segment.frames, wanted) if segment.frames else Ticks(wanted), sigma_s)

    def _at_start(self, segment: TimedSegment, wall: float, sigma_s: float) -> Placement:
        # The picture that shows it does not exist: it is due with the next one, and that one is exact.
        return self._pinned(segment, segment.timing.start, 0.0)

    def _at_end(self, segment: TimedSegment, wall: float, sigma_s: float) -> Placement:
        last = segment.frames[-1] if segment.frames else segment.timing.start
        return self._pinned(segment, last, 0.0)

    def _pinned(self, segment: TimedSegment, pts: Ticks, sigma_s: float) -> Placement:
        timing = segment.timing
        sigma = hypot(sigma_s, timing.sigma_ms / 1000)
        due = pts + ticks_of_s(self._due_sigma * sigma)
        if due > pts:
            due = _next_frame(segment, due)
        wall = 0.0 if timing.wall is None else timing.wall + s_of_ticks(pts - timing.start)
        return Placement(
            at=MediaTime(timing.timeline, pts),
            due=MediaTime(timing.timeline, Ticks(due)),
            msn=timing.msn,
            off=pts - timing.start,
            wall=wall,
            sigma_ms=round(sigma * 1000),
        )


def _nearest(frames: tuple[Ticks, ...], wanted: int) -> Ticks:
    index = bisect_right(frames, wanted)
    around = frames[max(0, index - 1) : index + 1]
    return min(around, key=lambda frame: abs(frame - wanted))


def _next_frame(segment: TimedSegment, due: int) -> int:
    """Move up to a frame of the segment; beyond its last frame to its end; beyond that leave the time as it is."""
    index = bisect_left(segment.frames, due)
    if index < len(segment.frames):
        return segment.frames[index]
    return max(due, segment.timing.end)
