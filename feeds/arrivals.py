"""What the arrival of segments tells: how late they are on average, how steadily, at what rate that changes, and the
lower envelope.

Pictures are made and sent in real time, so over hours segments can only arrive at the rate at which they happened,
whatever the encoder's clock and the playlist's dates say. A single arrival says little: it is late by the encoder, the
network and our own polling, which alone spreads it over a quarter of the target duration. A straight line through
thousands of them is good to one part in a million. That line is kept here, by least squares, with what its slope may
be off; stray arrivals (a stall, a retry) are left out, and a lasting change of the latency moves the line but does not
tilt it.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from feeds.offset_filter import RATE_SIGMA

FEW = 16
"""Arrivals that are weighed anew, all of them, with each that comes; then the line goes on by itself."""

STRAY_SIGMAS = 4.0
"""Arrivals this far from the line are left out: of well-behaved ones 1 in 16,000."""

STRAY_S = 0.02
"""No arrival within 20 ms of the line is a stray: event loops alone are that late (measured at p99 under load)."""

LASTING = 16
"""Strays on end, on one side, that are no strays: the latency has changed."""

CLOCK_STEP_S = 10.0
"""A latency that changes by more is none: our own clock has been set."""

MEMORY = 64
"""Arrivals over which the spread and its correlation are averaged."""

MAX_CORRELATION = 0.98
"""Neighbours that agree more than that would make the line's uncertainty endless; a hundred then count as one."""

BATCH = 32
"""Arrivals whose mean is taken to tell how much a line's uncertainty exceeds that of independent ones: a poll that
passes through its phases makes neighbours alike, but averages out within some dozens."""

FIRST_GUESS_BATCHES = 4
MAX_BATCHES = 64

BLOCKS = 32
"""Blocks of `FEW` arrivals whose earliest make the lower envelope: a quarter of an hour of two-second segments."""


class ArrivalLine:
    """A straight line through the lateness of segments over media time, all in seconds.

    Args:
        slope: what is believed of the slope before the first.
        slope_sigma: the standard deviation of that.
    """

    def __init__(self, slope: float = 0.0, slope_sigma: float = RATE_SIGMA) -> None:
        self._few: list[tuple[float, float]] = []
        self._prior = slope
        self._prior_sigma = slope_sigma
        self.n = self._seen = 0
        self.began_s = 0.0
        self._mean_at = self._mean = self._stt = self._stv = 0.0
        self._var = self._correlation = self._residual = 0.0
        self._batch_sum = self._batch_var = 0.0
        self._batch_n = self._batches = 0
        self._strays: list[tuple[float, float]] = []
        self.clock_steps = 0
        self._earliest: deque[float] = deque(maxlen=BLOCKS)

    def observe(self, at_s: float, late_s: float) -> None:
        """Take in the lateness of a segment at its media time; times rise."""
        if self.n == 0 and not self._few:
            self.began_s = at_s
        if len(self._few) < FEW:
            self._few.append((at_s, late_s))
            self._fit_few()
            return
        residual = late_s - self.level(at_s)
        self._seen += 1
        if self._seen % FEW == 0:
            self._earliest.append(residual)
        self._earliest[-1] = min(self._earliest[-1], residual)
        if abs(residual) > max(STRAY_SIGMAS * self.sd, STRAY_S):
            self._stray(at_s, late_s, residual)
            return
        self._strays.clear()
        self._add(at_s, late_s)
        self._learn(residual)

    @property
    def sd(self) -> float:
        """Return the standard deviation of single arrivals from the line."""
        return math.sqrt(self._var)

    @property
    def slope(self) -> float:
        """Return the slope of the line in seconds a second."""
        weight = self._weight()
        return (self._stv + weight * self._prior) / (self._stt + weight) if weight + self._stt > 0 else self._prior

    @property
    def slope_sigma(self) -> float:
        """Return the standard deviation of the slope; neighbours that agree count for less than they are."""
        variance = self._effective_var()
        return math.sqrt(variance / (self._stt + self._weight())) if variance > 0 else 0.0

    @property
    def level_var(self) -> float:
        """Return the variance of the line's level in its middle."""
        return self._effective_var() / max(1, self.n)

    def level(self, at_s: float) -> float:
        """Return the lateness that is to be expected at a media time."""
        return self._mean + self.slope * (at_s - self._mean_at)

    @property
    def start_level(self) -> float:
        """Return the lateness where the line begins, by the latency of now."""
        return self.level(self.began_s)

    @property
    def mean_level(self) -> float:
        """Return the mean lateness, by the latency of now."""
        return self._mean

    def envelope(self, at_s: float) -> float:
        """Return the lateness of the quickest segments: none can arrive before it has happened."""
        return self.level(at_s) + min(self._earliest, default=0.0)

    def _fit_few(self) -> None:
        middle = median(late for _, late in self._few)
        spread = 1.4826 * median(abs(late - middle) for _, late in self._few)
        limit = max(STRAY_SIGMAS * spread, STRAY_S)
        self.n, self._mean_at, self._mean, self._stt, self._stv = 0, 0.0, 0.0, 0.0, 0.0
        for at_s, late_s in self._few:
            if abs(late_s - middle) <= limit:
                self._add(at_s, late_s)
        kept = [late - self.level(at) for at, late in self._few if abs(late - middle) <= limit]
        # Two neighbours of three agree by chance: what little there is counts as a bit more spread than it shows.
        self._var = sum(residual**2 for residual in kept) / max(1, len(kept) - 1) * (1 + 2 / max(1, len(kept) - 1))
        self._correlation = 0.0
        self._earliest.clear()
        self._earliest.append(min(late - self.level(at) for at, late in self._few))

    def _add(self, at_s: float, late_s: float) -> None:
        """Add a point to the sums, kept about their own mean (Welford): squares of times since 1970 have no digits."""
        self.n += 1
        step = at_s - self._mean_at
        self._mean_at += step / self.n
        rise = late_s - self._mean
        self._mean += rise / self.n
        self._stt += step * (at_s - self._mean_at)
        self._stv += step * (late_s - self._mean)

    def _learn(self, residual: float) -> None:
        product = residual * self._residual
        self._residual = residual
        if self._var > 0:
            self._correlation += (product / self._var - self._correlation) / MEMORY
        self._var += (residual**2 - self._var) / MEMORY
        self._batch_sum += residual
        self._batch_n += 1
        if self._batch_n == BATCH:
            self._batches = min(self._batches + 1, MAX_BATCHES)
            self._batch_var += (self._batch_sum**2 / BATCH - self._batch_var) / self._batches
            self._batch_sum, self._batch_n = 0.0, 0

    def _stray(self, at_s: float, late_s: float, residual: float) -> None:
        if self._strays and (self._strays[-1][1] > self.level(self._strays[-1][0])) != (residual > 0):
            self._strays.clear()
        self._strays.append((at_s, late_s))
        if len(self._strays) < LASTING:
            return
        # From here on a level of its own, of which the old one says nothing; the slope goes on to be learnt by both.
        quickest_s = self.envelope(at_s)
        self.n, self._mean_at, self._mean = 0, 0.0, 0.0
        for stray in self._strays:
            self._add(*stray)
        self._strays.clear()
        self._earliest.clear()
        if abs(residual) > CLOCK_STEP_S:
            self.clock_steps += 1
            quickest_s = late_s
        # A slower network does not move what has happened: the quickest of before stand until they are old.
        self._earliest.append(min(quickest_s, late_s) - self.level(at_s))

    def _weight(self) -> float:
        """Return what the prior slope weighs against the points."""
        return self._effective_var() / self._prior_sigma**2

    def _effective_var(self) -> float:
        """Return the variance that as many independent arrivals would have, to make the line as uncertain as it is.

        Guessed from the correlation of neighbours at first, then from how much the means of batches scatter.
        """
        correlation = min(MAX_CORRELATION, max(0.0, self._correlation))
        guess = self._var * (1 + correlation) / (1 - correlation)
        return (FIRST_GUESS_BATCHES * guess + self._batches * self._batch_var) / (FIRST_GUESS_BATCHES + self._batches)
