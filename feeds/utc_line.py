"""One timeline's map to UTC: its sources, what is believed of them at the moment, and what is published.

`feeds/utc.py` tells the theory. Times are the encoder's stamps: the programme delay is still in them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import NamedTuple

from feeds.anchors import AnchorChoice
from feeds.arrivals import STRAY_S, STRAY_SIGMAS, ArrivalLine
from feeds.dates_fit import HONESTY, ROUNDING_S, DatesFit, next_prior
from feeds.drift import DatesDrift
from feeds.learned import Lag, Learned
from feeds.published import Published, Wall
from kernel.pts import Ticks, s_of_ticks
from kernel.timeline import Method

SETTLING = 32
"""Segments after which a map only slews: before that each may better it at once."""

MAX_SLEW = 500e-6
"""Of the media time that passes. Linux slews its own clock by no more under NTP (MAXFREQ in timex.h): a frame of
correction takes 80 s, and nobody sees it."""

TAKEN_AS_WRITTEN_S = 0.001
"""A date this near to what is computed is published as it stands: it is as good, and people compare."""

PLAUSIBLE_EPOCH_S = 60.0
"""An epoch-locked counter agrees with the time of day within a minute, or it is something else."""

EPOCH_SEGMENTS = 3
EPOCH_SIGMA_S = 0.001
"""Encoders that lock their counters to the epoch follow NTP or PTP: within a millisecond, on a good day far better."""

FIRST_EPOCH_S, LAST_EPOCH_S = 1_000_000_000, 4_102_444_800
"""September 2001 to the year 2100: a counter that stands there counts from 1970, not from the encoder's start."""

ARRIVAL_SIGMA = 1 / math.sqrt(12)
"""Of a segment's duration. A segment is complete, noticed and fetched at any time within about one duration after its
last picture: the uniform distribution over it has this standard deviation. The lower envelope takes the quickest."""

NEW_LINE_LAG_SIGMA_S = 0.010
"""How far the latency of an encoder that starts again may differ from before, as long as nobody has changed it."""


class Seen(NamedTuple):
    """One segment: what the sources say of its first picture, None where one is silent.

    `pdt` and `arrival` (of its end) are Unix seconds; `audio_after_s` is how much later its sound begins; `epoch_s` the
    time of its first picture as an unbounded counter has it.
    """

    start: Ticks
    duration_s: float
    pdt: float | None
    arrival: float | None
    audio_after_s: float | None
    epoch_s: float | None


class Line:
    """Map one timeline.

    Args:
        learned: from the timeline before.
    """

    def __init__(self, learned: Learned) -> None:
        self.published = Published()
        self._learned = learned
        self._base_s: float | None = None
        self._anchors = AnchorChoice()
        self._dates: DatesFit | None = None
        self._drift = DatesDrift(learned.drift)
        self._restored: tuple[float, float, float] | None = None
        self._arrivals = ArrivalLine(*(learned.drift or ()))
        self._early: deque[float] = deque(maxlen=SETTLING)
        self._epochs = 0
        self._epoch_offset_s: float | None = None
        self._n = 0
        self._method: Method | None = None
        self._longest_s = 0.0

    def restore(self, start: Ticks, found: Wall, learned: Learned | None) -> None:
        """Take in what was published before a restart, and what was learnt until then."""
        at_s = s_of_ticks(start)
        base_s = self._based(found.wall - at_s)
        self.published.add(start, found)
        if learned is not None:
            self._learned = learned
        if found.method == "pdt":
            wrong_s, variance = self._learned.wrong_s, (found.sigma_ms / 1000) ** 2
            self._restored = (at_s, found.wall - at_s - base_s - wrong_s, variance)
            self._drift = DatesDrift(self._learned.drift, wrong_s=wrong_s, wrong_var=variance if wrong_s else 0.0)

    def observe(self, seen: Seen) -> None:
        """Learn from a segment and publish its time."""
        known = next((s for s in (seen.pdt, seen.arrival, seen.epoch_s) if s is not None), None)
        if known is None and self._base_s is None:
            return
        if self.published.has(seen.start):
            return  # what was said first stands
        at_s = s_of_ticks(seen.start)
        base_s = self._based((known or 0.0) - at_s)
        older = self.published.last is not None and seen.start < self.published.last[0]
        self._n += not older
        self._longest_s = max(self._longest_s, seen.duration_s)
        self._take_epoch(at_s, seen)
        late_s = None
        if seen.arrival is not None and not older:
            late_s = seen.arrival - seen.duration_s - at_s - base_s
            self._take_arrival(at_s, late_s)
        if seen.pdt is not None:
            self._take_date(at_s, seen.pdt - at_s - base_s, seen.audio_after_s)
        if late_s is not None and self._dates is not None:
            self._drift.observe(at_s, late_s, self._dates)
        self._publish(seen, at_s, older=older)

    def learned(self) -> Learned:
        """Return what the next timeline may start from."""
        dates = self._learned.dates if self._dates is None else next_prior(self._dates)
        last = self.published.last
        wrong_s = 0.0 if last is None or self._dates is None else self._drift.at(s_of_ticks(last[0]), computed=True)[0]
        return Learned(dates, self._drift.lag() or self._learned.lag, self._drift.learned(), wrong_s)

    def _based(self, base_s: float) -> float:
        """Return what all offsets are reckoned from: squares of seconds since 1970 have no digits left."""
        if self._base_s is None:
            self._base_s = base_s
        return self._base_s

    def _take_epoch(self, at_s: float, seen: Seen) -> None:
        epoch_s, expected_s = seen.epoch_s, seen.pdt
        if seen.arrival is not None:
            expected_s = seen.arrival - seen.duration_s
        if (
            epoch_s is None
            or not FIRST_EPOCH_S <= epoch_s < LAST_EPOCH_S
            or (expected_s is not None and abs(epoch_s - expected_s) > PLAUSIBLE_EPOCH_S)
        ):
            self._epochs, self._epoch_offset_s = 0, None
            return
        # Of a recording without dates there is nothing else to ask.
        self._epochs += EPOCH_SEGMENTS if expected_s is None else 1
        if self._epochs >= EPOCH_SEGMENTS:
            self._epoch_offset_s = epoch_s - at_s - self._based(0.0)

    def _take_arrival(self, at_s: float, late_s: float) -> None:
        clock_steps = self._arrivals.clock_steps
        self._arrivals.observe(at_s, late_s)
        self._early.append(late_s)
        if self._arrivals.clock_steps != clock_steps and self._method == "arrival":
            self._n = 0  # our own clock was set: there is nothing to slew from

    def _take_date(self, at_s: float, residual_s: float, audio_after_s: float | None) -> None:
        if self._dates is None:
            self._dates = DatesFit(replace(self._learned.dates, offset=self._restored))
        dates, lag = self._dates, self._learned.lag
        self._drift.date(at_s)
        if lag is not None and self._restored is None and not dates.steps and self._arrivals.n:
            dates.expect((at_s, *self._by_latency(at_s, lag)))
        moved_s = self._anchors.observe(residual_s, audio_after_s)
        if moved_s:
            dates.shift(moved_s)
        steps, shifts = dates.steps, dates.shifts
        dates.observe(at_s, residual_s - self._anchors.after_s(audio_after_s))
        if dates.steps != steps:
            self._n = 0  # somebody has set the clock: the map may jump
        if (dates.steps, dates.shifts) != (steps, shifts):
            self._drift.restart(at_s)

    def _by_latency(self, at_s: float, lag: Lag) -> tuple[float, float]:
        """Return the offset that the arrivals tell if the latency is what it was, and its variance."""
        if self._arrivals.n > SETTLING:
            level, n = self._arrivals.level(at_s), self._arrivals.n
        else:
            # Of a few, those that are late beyond what is usual behind the first are strays; none can be early.
            limit = min(self._early) + STRAY_SIGMAS * math.sqrt(lag.single_var) + STRAY_S
            usual = [late for late in self._early if late <= limit]
            level, n = sum(usual) / len(usual), len(usual)
        return level - lag.mean_s, lag.single_var / n + lag.var + NEW_LINE_LAG_SIGMA_S**2

    def _estimate(self, at_s: float) -> tuple[float, float, Method] | None:
        """Return the offset that is believed, its standard deviation in seconds, and the best source that there is."""
        if self._epoch_offset_s is not None:
            return self._epoch_offset_s, EPOCH_SIGMA_S, "tfdt"
        if self._dates is not None:
            offset, variance = self._dates.estimate(at_s)
            wrong_s, wrong_var = self._drift.at(at_s, computed=self._dates.computed)
            doubt = 1.0 if self._dates.computed else HONESTY**2
            pending_s = self._dates.pending_s / 2
            return offset + wrong_s, math.sqrt(doubt * variance + wrong_var + pending_s**2), "pdt"
        if not self._arrivals.n:
            return None
        if self._learned.lag is not None:
            offset, variance = self._by_latency(at_s, self._learned.lag)
            return offset, math.sqrt(variance), "arrival"
        return self._arrivals.envelope(at_s), ARRIVAL_SIGMA * self._longest_s, "arrival"

    def _publish(self, seen: Seen, at_s: float, *, older: bool) -> None:
        found = self._estimate(at_s)
        if found is None:
            # What its neighbours tell of it, as after a restart, is told like any other, and stands.
            between = self.published.wall_at(seen.start)
            if between is not None:
                self.published.add(seen.start, between)
            return
        offset, sigma_s, method = found
        wall = offset + at_s + self._based(0.0)
        if method == "pdt" and seen.pdt is not None and self._as_written(seen.pdt, wall):
            wall, sigma_s = seen.pdt, max(sigma_s, ROUNDING_S)
        if not older:
            if self._n > SETTLING and method == self._method:
                slewed = self._slewed(seen.start, wall)
                wall, sigma_s = slewed, math.hypot(sigma_s, slewed - wall)
            self._method = method
        self.published.add(seen.start, Wall(wall, 1000 * sigma_s, method))

    def _as_written(self, pdt: float, wall: float) -> bool:
        assert self._dates is not None
        plain = self._dates.computed and not self._drift.is_corrected and self._anchors.chosen == "video"
        return plain and abs(pdt - wall) <= TAKEN_AS_WRITTEN_S

    def _slewed(self, start: Ticks, wall: float) -> float:
        last = self.published.last
        assert last is not None
        passed_s = s_of_ticks(start - last[0])
        straight = last[1] + passed_s
        limit_s = MAX_SLEW * passed_s
        return min(straight + limit_s, max(straight - limit_s, wall))
