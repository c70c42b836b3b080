"""The map between media time and UTC, per timeline.

For now: the dates of the playlist, each exact for its own segment, rate 1 between and beyond them; where a timeline has
no date, the arrival of its segments. Slope, slew and re-anchoring come with the full model.

What always holds:

* Within a timeline wall time rises strictly with media time. A date that would break this is not used; where the next
  date comes sooner than rate 1 would reach it, the rate before it is lowered.
* A date belongs to the segment's first *video presentation* time (measured: residual 0.000 ms, against 3.6 to 83 ms for
  audio, the lowest of both, PCR and DTS).
* A stamp says when the encoder wrote it. The picture is older by the programme delay, which is subtracted throughout.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from kernel.pts import TICKS_PER_S, Ticks, s_of_ticks

if TYPE_CHECKING:
    from kernel.timeline import Method

MAX_TIMELINES = 64
"""More than one an advertisement break over a day; the oldest are forgotten."""

MAX_ANCHORS = 4096
"""Two hours of two-second segments: beyond any live window that is asked for by UTC."""

RECENT_DATES = 32
"""How many of the newest dates tell the spread of all: a minute of two-second segments."""

MAX_TICKS_A_SECOND = 2 * TICKS_PER_S
"""A date that comes sooner than half of the media since the last one is no date of these pictures, but of a frozen or a
stepped clock: those of encoders drift by parts in a million. So a tick keeps at least 5 us, which a float can tell."""

QUANTISATION_MS = 1 / math.sqrt(12)
"""The standard deviation of rounding to the millisecond that dates are written in (RFC 8216, 4.3.2.6)."""

ARRIVAL_SIGMA = 1 / math.sqrt(12)
"""Of a segment's duration. A segment is complete, noticed and fetched at any time within about one duration after its
last picture: the uniform distribution over it has this standard deviation. The lower envelope takes the quickest."""


class Wall(NamedTuple):
    """The UTC of a picture in Unix seconds, its standard deviation in milliseconds, and where it comes from."""

    wall: float
    sigma_ms: float
    method: Method


class UtcModel:
    """Learn from segments when their pictures were, and answer for any media time.

    Args:
        program_delay_ms: how long after the camera the encoder stamps, in milliseconds.
    """

    def __init__(self, *, program_delay_ms: int = 0) -> None:
        self._delay_s = program_delay_ms / 1000
        self._lines: dict[int, _Line] = {}

    def observe(self, timeline: int, start: Ticks, end: Ticks, *, pdt: float | None, arrival: float | None) -> None:
        """Learn from one segment, each of them once, in any order.

        Args:
            timeline: of the segment.
            start: its lowest video PTS, unwrapped.
            end: its end, unwrapped.
            pdt: the date written on this very segment, in Unix seconds.
            arrival: when all of it was here, in Unix seconds; None if that says nothing, as in a VOD.
        """
        line = self._lines.get(timeline)
        if line is None:
            line = self._lines[timeline] = _Line()
            while len(self._lines) > MAX_TIMELINES:
                del self._lines[min(self._lines)]
        if pdt is not None and math.isfinite(pdt):
            line.date(start, pdt)
        if arrival is not None and math.isfinite(arrival):
            line.arrived(end, s_of_ticks(end - start), arrival)

    def wall_at(self, timeline: int, pts: int) -> Wall | None:
        """Return the UTC of the picture at `pts`, or None where nothing tells it."""
        line = self._lines.get(timeline)
        found = None if line is None else line.wall_at(pts)
        return None if found is None else found._replace(wall=found.wall - self._delay_s)

    def pts_at(self, timeline: int, wall: float) -> Ticks | None:
        """Return the media time of the picture of a UTC in Unix seconds, the inverse of `wall_at`.

        A time between two segments, where no picture was, gives the start of the later one.
        """
        line = self._lines.get(timeline)
        return None if line is None else line.pts_at(wall + self._delay_s)


class _Line:
    """What is known of one timeline; times are the encoder's stamps, the programme delay still in them."""

    def __init__(self) -> None:
        # Parallel and rising, both: the media time of each date, and the date.
        self._starts: list[int] = []
        self._walls: list[float] = []
        self._residuals_s: deque[float] = deque(maxlen=RECENT_DATES)
        self._envelope_s: float | None = None
        self._longest_s = 0.0

    def date(self, start: int, wall: float) -> None:
        index = bisect_left(self._starts, start)
        if index < len(self._starts) and self._starts[index] == start:
            return  # what was said first is published already
        # Every date counts for the spread, also one that cannot be used: sigma must be honest.
        self._residuals_s.append(wall - s_of_ticks(start))
        if index > 0 and not _rises(start - self._starts[index - 1], wall - self._walls[index - 1]):
            return
        if index < len(self._starts) and not _rises(self._starts[index] - start, self._walls[index] - wall):
            return
        self._starts.insert(index, start)
        self._walls.insert(index, wall)
        if len(self._starts) > MAX_ANCHORS:
            del self._starts[0], self._walls[0]

    def arrived(self, end: int, duration_s: float, arrival: float) -> None:
        offset_s = arrival - s_of_ticks(end)
        self._envelope_s = offset_s if self._envelope_s is None else min(self._envelope_s, offset_s)
        self._longest_s = max(self._longest_s, duration_s)

    def wall_at(self, pts: int) -> Wall | None:
        if self._starts:
            # Before the first date: backwards from it (RFC 8216, 4.3.2.6 lets a client extrapolate both ways).
            index = max(0, bisect_right(self._starts, pts) - 1)
            wall = self._walls[index] + (pts - self._starts[index]) / self._ticks_a_second(index, pts)
            return Wall(wall, self._sigma_ms(), "pdt")
        if self._envelope_s is None:
            return None
        sigma_ms = round(1000 * ARRIVAL_SIGMA * self._longest_s, 3)
        return Wall(self._envelope_s + s_of_ticks(pts), sigma_ms, "arrival")

    def pts_at(self, wall: float) -> Ticks | None:
        if self._starts:
            index = bisect_right(self._walls, wall) - 1
            if index < 0:
                return Ticks(self._starts[0] + round((wall - self._walls[0]) * TICKS_PER_S))
            rate = self._ticks_a_second(index, self._starts[index])
            pts = self._starts[index] + round((wall - self._walls[index]) * rate)
            # Between two segments there was no picture: the next one.
            return Ticks(min([pts, *self._starts[index + 1 : index + 2]]))
        return None if self._envelope_s is None else Ticks(round((wall - self._envelope_s) * TICKS_PER_S))

    def _ticks_a_second(self, index: int, pts: int) -> float:
        """Return the rate that holds behind an anchor: 90,000, or more where the next date comes sooner."""
        if index + 1 == len(self._starts) or pts < self._starts[index]:
            return TICKS_PER_S
        ticks = self._starts[index + 1] - self._starts[index]
        return max(TICKS_PER_S, ticks / (self._walls[index + 1] - self._walls[index]))

    def _sigma_ms(self) -> float:
        # From the first one, not from 1970: a float near 1.7e9 resolves 0.24 us, its square nothing.
        spread = [residual - self._residuals_s[0] for residual in self._residuals_s]
        mean = sum(spread) / len(spread)
        variance = sum((residual - mean) ** 2 for residual in spread) / len(spread)
        return round(1000 * math.sqrt(variance + (QUANTISATION_MS / 1000) ** 2), 3)


def _rises(ticks: int, seconds: float) -> bool:
    return seconds * MAX_TICKS_A_SECOND >= ticks
