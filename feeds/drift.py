"""Whether the clock behind the dates goes wrong, as the arrival of segments tells.

Held against arrivals, dates that keep time leave a constant latency. A latency that grows or falls on a straight line
for long is none: the dates drift. As soon as that is clear, the drift is taken off the dates, from where the comparison
began; before that it is a doubt that goes into sigma, if the dates are of a kind that says nothing of drift.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from feeds.arrivals import ArrivalLine
from feeds.dates_fit import HONESTY
from feeds.learned import Drift, Lag

if TYPE_CHECKING:
    from feeds.dates_fit import DatesFit

FEW = 32
"""Segments before dates and arrivals are compared: by then the dates are known well enough."""

COMPUTED_SIGMAS, READ_SIGMAS, UNCLEAR_SIGMAS = 3.5, 4.5, 2.0
CLEAR_SLOPE = 5e-6
"""Arrivals overrule the dates when they go apart by so many standard deviations and by more than 5 ppm, and until it
is less than two: networks get slower over an evening too. Read dates know their drift themselves: it takes more
to contradict them. (At 3.5, one simulated day in twenty had its first hour wrong by 30 ms.)"""

COMPUTED_BASELINE_S, READ_BASELINE_S = 300.0, 600.0
"""Media time before which arrivals overrule nothing: their scatter itself is a guess until then."""

SLOPE_DOUBT = 0.1e-6
"""An oscillator that is straight for a day is straight to about that."""


class DatesDrift:
    """Compare the dates of one timeline with its arrivals; all in seconds.

    Args:
        drift: what an earlier timeline has shown.
        wrong_s: by how much the dates were wrong when this process took over.
        wrong_var: the variance of that.
    """

    def __init__(self, drift: Drift | None = None, *, wrong_s: float = 0.0, wrong_var: float = 0.0) -> None:
        self._prior = drift
        self._wrong_s, self._wrong_var = wrong_s, wrong_var
        self._few: deque[tuple[float, float]] = deque(maxlen=FEW)
        self._line: ArrivalLine | None = None
        self._began_s: float | None = None
        self._began_var = 0.0
        self._is_clear = drift is not None

    @property
    def is_corrected(self) -> bool:
        """Return whether the dates are not taken as they stand."""
        return self._is_clear or self._wrong_s != 0.0

    def date(self, at_s: float) -> None:
        """Say that there is a date; drift counts from the first."""
        if self._began_s is None:
            self._began_s = at_s

    def restart(self, at_s: float) -> None:
        """Forget what was compared: somebody has set the dates' clock."""
        self._line, self._is_clear = None, False
        self._wrong_s = self._wrong_var = 0.0
        self._few.clear()
        self._began_s = at_s

    def observe(self, at_s: float, late_s: float, dates: DatesFit) -> None:
        """Hold a segment's lateness (arrival less end, in media time) against the dates."""
        self._few.append((at_s, late_s))
        if len(self._few) < FEW:
            return
        if self._line is None:
            self._line = ArrivalLine(*(self._prior or ()))
            self._began_var = dates.estimate(at_s)[1]
            for few_at_s, few_late_s in self._few:
                self._line.observe(few_at_s, few_late_s - dates.estimate(few_at_s)[0])
            return
        self._line.observe(at_s, late_s - dates.estimate(at_s)[0])
        past_s = at_s - self._line.began_s
        baseline_s, sigmas = (
            (COMPUTED_BASELINE_S, COMPUTED_SIGMAS) if dates.computed else (READ_BASELINE_S, READ_SIGMAS)
        )
        if past_s < baseline_s:
            return
        if self._is_clear:
            sigmas = UNCLEAR_SIGMAS
        # The dates' own estimate wanders by as much as it is uncertain, then and now: that is no drift.
        own_var = HONESTY**2 * (self._began_var + dates.estimate(at_s)[1])
        doubt_s = math.sqrt((self._line.slope_sigma * past_s) ** 2 + own_var)
        slope = abs(self._line.slope)
        self._is_clear = slope * past_s > sigmas * doubt_s and (self._is_clear or slope > CLEAR_SLOPE)

    def at(self, at_s: float, *, computed: bool) -> tuple[float, float]:
        """Return how far the dates are wrong at a media time, and the variance of that.

        Args:
            at_s: the media time.
            computed: whether the dates are of the kind that says nothing of drift.
        """
        line = self._line
        if line is None:
            past_s = 0.0 if self._began_s is None else max(0.0, at_s - self._began_s)
            if not self._is_clear or self._prior is None:
                return self._wrong_s, self._wrong_var
            drift_s, sigma_s = self._prior.slope * past_s, self._prior.sigma * past_s
            return self._wrong_s + drift_s, self._wrong_var + sigma_s**2
        past_s = max(0.0, at_s - line.began_s)
        drift_s = line.slope * past_s
        variance = self._wrong_var + (line.slope_sigma * past_s) ** 2 + (SLOPE_DOUBT * past_s) ** 2
        if self._is_clear:
            return self._wrong_s + drift_s, variance + self._began_var
        # Read dates say themselves that there is none.
        return self._wrong_s, variance + drift_s**2 if computed else self._wrong_var

    def lag(self) -> Lag | None:
        """Return the latency of segments, None while it is not known."""
        line = self._line
        if line is None or line.n < FEW:
            return None
        level_s = line.start_level if self._is_clear else line.mean_level
        return Lag(level_s - self._wrong_s, line.level_var, line.sd**2)

    def learned(self) -> Drift | None:
        """Return the drift that is clear, None if there is none."""
        if self._line is None:
            return self._prior
        return Drift(self._line.slope, math.hypot(self._line.slope_sigma, CLEAR_SLOPE)) if self._is_clear else None
