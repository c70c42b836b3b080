"""How long vendors take to tell what happened, and what the picture would have to wait for them.

`hold_s = "auto"` takes the 99th percentile of the last 500 *new* facts (corrections come minutes later, and no picture
waits for those), 6 s at most.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import repeat

from kernel.histogram import Histogram

RECENT_FACTS = 500
"""A game of basketball has about 500 plays: the learned hold follows from one game to the next."""

MAX_HOLD_S = 6.0
"""Beyond this a viewer hears the neighbours cheer: what comes later is late."""

BOUNDS_S = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, 60.0)
"""Upper bounds of what is counted."""


class LagGauge:
    """Measure one stream's vendors, or one of them."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT_FACTS)
        self.lags = Histogram(BOUNDS_S)
        self.holds = Histogram(BOUNDS_S)
        """For each cue the added delay with which it would have come in time: what counts at 0 did so without any."""
        self.sealed = 0
        self.late = 0

    def __len__(self) -> int:
        """Return how many recent facts were measured."""
        return len(self._recent)

    def add(self, lag_s: float, count: int = 1) -> None:
        """Learn how long new facts took; one told before it happened took no time, its clock is wrong."""
        lag_s = max(0.0, lag_s)
        self._recent.extend(repeat(lag_s, min(count, RECENT_FACTS)))
        self.lags.add(lag_s, count)

    def needed(self, hold_s: float, *, late: bool, count: int = 1) -> None:
        """Learn what hold cues would have needed, and whether they came late with the one there was."""
        self.holds.add(hold_s, count)
        self.sealed += count
        self.late += count * late

    def late_share(self) -> float | None:
        """Return the share of cues that came after their picture, None before the first."""
        return self.late / self.sealed if self.sealed else None

    def quantile(self, share: float) -> float | None:
        """Return the lag that this share of the recent facts did not exceed (nearest rank), None before the first."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    def hold_s(self) -> float:
        """Return the hold that would let 99 of 100 new facts come in time, at most `MAX_HOLD_S`."""
        lag_s = self.quantile(0.99)
        return 0.0 if lag_s is None else min(MAX_HOLD_S, lag_s)
