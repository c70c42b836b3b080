"""The UTC that was published for the segments of one timeline, and between and beyond them.

What was published for a segment stands. Between two segments the rate is 1, or higher in media time where the next
one comes sooner; beyond the ends it is 1. So wall time rises strictly with media time, and each has its inverse.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from kernel.pts import TICKS_PER_S, Ticks
from kernel.timeline import Method

MAX_SEGMENTS = 4096
"""Two hours of two-second segments: beyond any live window that is asked for by UTC."""

MAX_TICKS_A_SECOND = 8 * TICKS_PER_S
"""UTC goes on by at least an eighth of the media. Where it was published too late, it so comes right within an eighth
more than the error; a tick keeps 1.4 us, which a float of Unix seconds can still tell (it resolves 0.24)."""


class Wall(NamedTuple):
    """The UTC of a picture in Unix seconds, its standard deviation in milliseconds, and where it comes from."""

    wall: float
    sigma_ms: float
    method: Method


class Published:
    """Hold the published times of one timeline's segments, rising in both."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._walls: list[float] = []
        self._notes: list[tuple[float, Method]] = []

    def __len__(self) -> int:
        """Return how many segments are held."""
        return len(self._starts)

    @property
    def last(self) -> tuple[int, float] | None:
        """Return start and UTC of the newest segment."""
        return (self._starts[-1], self._walls[-1]) if self._starts else None

    def has(self, start: int) -> bool:
        """Return whether something was published for the segment that starts there."""
        index = bisect_left(self._starts, start)
        return index < len(self._starts) and self._starts[index] == start

    def add(self, start: int, found: Wall) -> None:
        """Publish a segment's time, moved as far as is needed to lie between its neighbours'."""
        index = bisect_left(self._starts, start)
        wall = found.wall
        if index < len(self._starts):
            wall = min(wall, self._walls[index] - (self._starts[index] - start) / MAX_TICKS_A_SECOND)
        if index > 0:
            wall = max(wall, self._walls[index - 1] + (start - self._starts[index - 1]) / MAX_TICKS_A_SECOND)
        self._starts.insert(index, start)
        self._walls.insert(index, wall)
        moved_ms = 1000 * (wall - found.wall)
        sigma_ms = found.sigma_ms if not moved_ms else (found.sigma_ms**2 + moved_ms**2) ** 0.5
        self._notes.insert(index, (round(sigma_ms, 3), found.method))
        if len(self._starts) > MAX_SEGMENTS:
            del self._starts[0], self._walls[0], self._notes[0]

    def wall_at(self, pts: int) -> Wall | None:
        """Return the UTC of a media time, None before the first segment."""
        if not self._starts:
            return None
        # Before the first: backwards from it (RFC 8216, 4.3.2.6 lets a client extrapolate both ways).
        index = max(0, bisect_right(self._starts, pts) - 1)
        wall = self._walls[index] + (pts - self._starts[index]) / self._ticks_a_second(index, pts)
        return Wall(wall, *self._notes[index])

    def pts_at(self, wall: float) -> Ticks | None:
        """Return the media time of a UTC; between two segments, where no picture was, the start of the later one."""
        if not self._starts:
            return None
        index = bisect_right(self._walls, wall) - 1
        if index < 0:
            return Ticks(self._starts[0] + round((wall - self._walls[0]) * TICKS_PER_S))
        rate = self._ticks_a_second(index, self._starts[index])
        pts = self._starts[index] + round((wall - self._walls[index]) * rate)
        return Ticks(min([pts, *self._starts[index + 1 : index + 2]]))

    def _ticks_a_second(self, index: int, pts: int) -> float:
        if index + 1 == len(self._starts) or pts < self._starts[index]:
            return TICKS_PER_S
        ticks = self._starts[index + 1] - self._starts[index]
        return max(TICKS_PER_S, ticks / (self._walls[index + 1] - self._walls[index]))
