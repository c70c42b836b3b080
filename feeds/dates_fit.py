"""From the dates of one timeline to the offset between its media time and UTC.

Two kinds of dates exist, and they are told apart by their residuals (date less media time):

* *Computed* dates: a packager read a clock once and counted on in media time. All residuals are one, within the
  millisecond that dates are rounded to. Each of them says the same; none says anything of the clock's drift.
* *Read* dates: a clock was read for each segment. The residuals scatter (by how late the process was woken) and drift
  (because the encoder's oscillator and that clock are two). A Kalman filter averages the former and follows the latter.

Dates are taken for computed until one of them differs. The first `FEW` dates are weighed anew, all of them, with each
that comes, because each also teaches how much they scatter; strays among them are found by the median. After that the
filter goes on by itself.

A date that is off by more than 100 ms, and by more than dates scatter anyway, is not believed. Three on end that agree
are: somebody has set the clock, and the fit begins anew with them. A change too small for that shows in the mean of the
surprises; then the filter is told to be less sure of itself and follows within some segments.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from statistics import median

from feeds.offset_filter import OTHER_CLOCK_SIGMA, RATE_SIGMA, OffsetFilter

FEW = 32
"""Dates that are weighed together: a minute of two-second segments."""

ROUNDING_S = 0.001 / math.sqrt(12)
"""The standard deviation of rounding to the millisecond that dates are written in (RFC 8216, 4.3.2.6)."""

COMPUTED_SPAN_S = 0.0015
"""Residuals of computed dates lie within one millisecond, and a half for what rounds on the way."""

CONVINCING = 3
"""Dates that agree before they are taken for computed where the last timeline's were read, and to believe a step."""

STEP_S = 0.1
"""A date that is off by less is no step: PDT that are stamped by a busy process are wrong by up to that."""

STEP_SIGMAS = 4.0
FIRST_STEP_S = 0.5
"""Of two first dates, whichever is right: so far apart they are no jitter."""

LATE_START_S = 2.0
"""By how much later than usual the first segment of an encoder that starts again may come, with its date right all the
same: it writes several before it lists one. None can come earlier than it happened."""

HONESTY = 1.3
"""What the standard deviation of read dates is multiplied by: their scatter is not as independent and as constant as a
filter takes it to be. Measured on simulated days: the truth lies within two of these for 98 % of the segments."""

SHIFT_MEMORY = 16
SHIFT_SIGMAS = 5.0
"""A mean of the surprises of the last sixteen dates this far from zero comes by chance once in 1,700,000 dates."""

JITTER_MEMORY = 256
"""Dates over which their scatter is averaged once the filter runs."""

JITTER_WEIGHT = 16
"""What an earlier timeline's scatter weighs among that of the first dates of a new one."""


@dataclass(frozen=True, slots=True)
class DatesPrior:
    """What is known before the first date: the offset at a media time, its rate, and how much dates scatter.

    `offset` is (media time, offset, variance) or None; `jitter_var` None stands for computed dates.
    """

    offset: tuple[float, float, float] | None = None
    rate: float = 0.0
    var_rate: float = RATE_SIGMA**2
    jitter_var: float | None = None


class DatesFit:
    """Fit the dates of one timeline; media time, residuals and offsets are in seconds, variances in their squares."""

    def __init__(self, prior: DatesPrior | None = None) -> None:
        self.prior = prior or DatesPrior()
        self.n = 0
        self.computed = True
        self.steps = self.shifts = 0
        self.pending_s = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=FEW)
        self._pending: list[tuple[float, float]] = []
        self._low = self._high = self._constant = 0.0
        self._filter: OffsetFilter | None = None
        self._jitter_var = self.prior.jitter_var or ROUNDING_S**2
        self._mean_surprise_s = 0.0

    @property
    def jitter_var(self) -> float | None:
        """Return the variance of single dates, None if they are computed."""
        if self.computed:
            return self.prior.jitter_var if self.n < CONVINCING else None
        return self._jitter_var

    @property
    def rate(self) -> tuple[float, float]:
        """Return the rate of the offset and its variance."""
        if self._filter is None or self.n < FEW:
            return self.prior.rate, self.prior.var_rate
        return self._filter.rate, self._filter.var_rate

    def expect(self, offset: tuple[float, float, float]) -> None:
        """Replace what is known of the offset from elsewhere, while the first dates are weighed."""
        self.prior = replace(self.prior, offset=offset)

    def observe(self, at_s: float, residual_s: float) -> None:
        """Take in a date; a stray is kept back until two more agree with it."""
        if self.n >= CONVINCING and self._is_stray(at_s, residual_s):
            return
        self._pending.clear()
        self.pending_s = 0.0
        self._recent.append((at_s, residual_s))
        self.n += 1
        if self.n <= FEW:
            self._fit_recent()
        elif self.computed:
            self._low, self._high = min(self._low, residual_s), max(self._high, residual_s)
            if self._high - self._low > COMPUTED_SPAN_S:
                self._fit_recent(read=True)
        else:
            self._follow(at_s, residual_s)

    def shift(self, by_s: float) -> None:
        """Move all residuals, because dates are pinned to another track's first time from now on."""
        self._recent = deque(((at, residual + by_s) for at, residual in self._recent), maxlen=FEW)
        if self.n <= FEW or self.computed:
            self._fit_recent()
        elif self._filter is not None:
            self._filter.offset_s += by_s

    def estimate(self, at_s: float) -> tuple[float, float]:
        """Return the offset at a media time and its variance; there has been a date."""
        clock = self._filter
        if self.computed or clock is None:
            return self._constant, ROUNDING_S**2
        past_s = at_s - clock.at_s
        variance = clock.var_offset + past_s * (2 * clock.covar + past_s * clock.var_rate)
        return clock.at(at_s), max(variance, ROUNDING_S**2)

    def _is_stray(self, at_s: float, residual_s: float) -> bool:
        offset, variance = self.estimate(at_s)
        surprise_s = residual_s - offset
        limit_s = max(STEP_S, STEP_SIGMAS * math.sqrt(variance + self._jitter_var))
        if abs(surprise_s) <= limit_s:
            return False
        if any(abs(residual_s - earlier) > limit_s for _, earlier in self._pending):
            self._pending.clear()
        self._pending.append((at_s, residual_s))
        self.pending_s = surprise_s
        if len(self._pending) < CONVINCING:
            return True
        rate, var_rate = self.rate
        # What was known of the offset is void; the oscillator and the habits of the packager are the same.
        self.prior = DatesPrior(None, rate, var_rate, self.jitter_var)
        self.steps += 1
        self.n = len(self._pending)
        self._recent.clear()
        self._recent.extend(self._pending)
        self._pending.clear()
        self.pending_s = 0.0
        self._fit_recent()
        return True

    def _fit_recent(self, *, read: bool = False) -> None:
        kept = self._without_strays()
        residuals = [residual for _, residual in kept]
        self._low, self._high = min(residuals), max(residuals)
        self._constant = sum(residual - residuals[0] for residual in residuals) / len(kept) + residuals[0]
        self.computed = (
            not read
            and self._high - self._low <= COMPUTED_SPAN_S
            and (len(kept) >= CONVINCING or (self.prior.jitter_var is None and self._is_expected(kept[0])))
        )
        if self.computed:
            self._jitter_var = ROUNDING_S**2
            return
        self._jitter_var = self._scatter(kept)
        clock = self._started(kept[0])
        for at_s, residual_s in kept:
            clock.predict(at_s)
            if clock.var_offset > 0:
                clock.update(residual_s, self._jitter_var)
        self._filter = clock
        self._mean_surprise_s = 0.0

    def _without_strays(self) -> list[tuple[float, float]]:
        ordered = sorted(self._recent)
        if len(ordered) < CONVINCING:
            scatter_s = STEP_SIGMAS * math.sqrt(2 * (self.prior.jitter_var or 0.0))
            near_s = max(FIRST_STEP_S, scatter_s)
            first = self._recent[0][1]
            return [(at, residual) for at, residual in ordered if abs(residual - first) <= near_s]
        middle = median(residual for _, residual in ordered)
        spread_s = 1.4826 * median(abs(residual - middle) for _, residual in ordered)
        limit_s = max(STEP_S, STEP_SIGMAS * spread_s, STEP_SIGMAS * math.sqrt(self.prior.jitter_var or 0.0))
        return [(at, residual) for at, residual in ordered if abs(residual - middle) <= limit_s]

    def _is_expected(self, first: tuple[float, float]) -> bool:
        if self.prior.offset is None:
            return True
        _, offset, variance = self.prior.offset
        late_s, limit_s = offset - first[1], COMPUTED_SPAN_S + 3 * math.sqrt(variance)
        return -limit_s <= late_s <= max(limit_s, LATE_START_S)

    def _scatter(self, kept: list[tuple[float, float]]) -> float:
        n = len(kept)
        mean = self._constant
        squares = sum((residual - mean) ** 2 for _, residual in kept)
        if self.prior.jitter_var is not None:
            return max(ROUNDING_S**2, (squares + JITTER_WEIGHT * self.prior.jitter_var) / (n - 1 + JITTER_WEIGHT))
        if n == 1:
            _, offset, variance = self.prior.offset or (0.0, mean, 0.0)
            return max(ROUNDING_S**2, (kept[0][1] - offset) ** 2 - variance)
        # Few dates underestimate their scatter half of the time; what is uncertain about it counts as scatter.
        return max(ROUNDING_S**2, squares / (n - 1) * (1 + 2 / (n - 1)))

    def _started(self, first: tuple[float, float]) -> OffsetFilter:
        prior = self.prior
        if prior.offset is None or self._contradict(prior.offset):
            # The first date is all that is known: as uncertain as a single one, and then not to be counted again.
            wide = 1e6 * self._jitter_var + 1.0
            return OffsetFilter(first[0], first[1], prior.rate, wide, prior.var_rate)
        at_s, offset, variance = prior.offset
        started = OffsetFilter(min(at_s, first[0]), offset, prior.rate, variance, prior.var_rate)
        started.offset_s = offset + prior.rate * (started.at_s - at_s)
        return started

    def _contradict(self, offset: tuple[float, float, float]) -> bool:
        """Return whether the dates deny what is known from elsewhere: a latency that is not what it was."""
        n = min(self.n, FEW)
        if self.prior.jitter_var is None and n < CONVINCING:
            return False  # how much they scatter is taken from this very difference
        return abs(self._constant - offset[1]) > STEP_SIGMAS * math.sqrt(offset[2] + self._jitter_var / n)

    def _follow(self, at_s: float, residual_s: float) -> None:
        clock = self._filter
        assert clock is not None
        if at_s < clock.at_s:
            return  # of an older segment, at start-up: the filter has gone beyond it
        clock.predict(at_s)
        surprise_s = residual_s - clock.offset_s
        spread = clock.var_offset + self._jitter_var
        self._jitter_var += (surprise_s**2 - clock.var_offset - self._jitter_var) / JITTER_MEMORY
        self._jitter_var = max(self._jitter_var, ROUNDING_S**2)
        self._mean_surprise_s += (surprise_s - self._mean_surprise_s) / SHIFT_MEMORY
        if abs(self._mean_surprise_s) > SHIFT_SIGMAS * math.sqrt(spread / (2 * SHIFT_MEMORY - 1)) + ROUNDING_S:
            clock.var_offset += self._mean_surprise_s**2
            self.shifts += 1
            self._mean_surprise_s = 0.0
        clock.update(residual_s, self._jitter_var)


def next_prior(fit: DatesFit) -> DatesPrior:
    """Return what a timeline's dates teach those of the next, whose offset is another."""
    rate, var_rate = fit.rate
    return DatesPrior(None, rate, min(var_rate + OTHER_CLOCK_SIGMA**2, RATE_SIGMA**2), fit.jitter_var)
