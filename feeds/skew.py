"""How far each vendor's clock is off, by the lower envelope of its lags.

A lag is the time of receipt less the time at which the vendor says that it happened: what it took to tell, less what
its clock is ahead. Nothing is told before it happens, so the least lag bounds the clock from one side, and how quickly
a vendor can be at best from the other:

* A least lag below zero: the clock is at least that much ahead.
* One beyond what is ordinary for the vendor (`latency_s`, 3 s unless set; FORMATS: p50 3 s at the largest) is taken
  for a clock that is slow. That errs on the late side: a cue too early gives the game away, a late one is only late.
* In between it is the vendor's slowness, and nothing is corrected.

A clock that is more than a day off is broken: its times are not used at all, and somebody is told once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOW_S = 300.0
"""How long a lag counts: a clock that is set right must not be corrected for longer."""

MAX_LAGS = 64
"""How many of a source's newest lags count."""

MIN_LAGS, MIN_SPAN_S = 5, 5.0
"""What a clock is judged by: as many facts, over as long. A single fact may be announced, one old batch may be told
late: neither says anything of a clock."""

WORTH_SAYING_S = 1.0
_DAY_S = 86_400.0


@dataclass(slots=True)
class _Clock:
    latency_s: float
    lags: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MAX_LAGS))
    absurd_s: float | None = None
    known_least_s: float | None = None

    def add(self, received: float, lag_s: float) -> None:
        """Take in a lag; what is too old, or one too many, counts no more."""
        self.absurd_s = self.known_least_s = None
        self.lags.append((received, lag_s))
        while self.lags[0][0] < received - WINDOW_S:
            self.lags.popleft()

    def least_s(self) -> float:
        """Return what is to be added to its times."""
        if self.known_least_s is None:
            self.known_least_s = self._least_s()
        return self.known_least_s

    def _least_s(self) -> float:
        if len(self.lags) < MIN_LAGS or self.lags[-1][0] - self.lags[0][0] < MIN_SPAN_S:
            return 0.0
        least = min(lag for _, lag in self.lags)
        return 0.0 if 0 <= least <= self.latency_s else least


class Skews:
    """Hold the clocks of a showing's sources.

    Args:
        latency_s: by source, lag that is ordinary for it.
    """

    def __init__(self, latency_s: Mapping[str, float] | None = None) -> None:
        self._latency_s = dict(latency_s or {})
        self._clocks: dict[str, _Clock] = {}
        self._news: list[tuple[str, float]] = []

    def observe(self, source: str, said: float, received: float) -> None:
        """Learn from one new fact of a live stream; both times in Unix seconds."""
        self._clock(source).add(received, received - said)

    def correct(self, source: str, said: float) -> float:
        """Return a source's time as our clock has it."""
        return said + self._clock(source).least_s()

    def forget(self) -> None:
        """Forget all lags: our own clock was not what it was measured with."""
        for clock in self._clocks.values():
            clock.lags.clear()
            clock.known_least_s = None

    def absurd(self, source: str, off_s: float) -> None:
        """Note that a source's clock is off by more than a day; it is news the first time."""
        clock = self._clock(source)
        if clock.absurd_s is None:
            self._news.append((source, off_s))
        clock.absurd_s = off_s

    def take_news(self) -> list[tuple[str, float]]:
        """Return the sources whose clocks turned out absurd, with their error in seconds, and forget it."""
        news, self._news = self._news, []
        return news

    def skew_s(self, source: str) -> float:
        """Return how far a source's clock is ahead, negative where it is slow, as far as it is corrected."""
        return -self._clock(source).least_s()

    def complaint(self, source: str) -> str:
        """Return what is wrong with a source's clock, empty if nothing is."""
        clock = self._clock(source)
        if clock.absurd_s is not None:
            return f"clock off by {clock.absurd_s / _DAY_S:+.0f} days: its times are not used"
        skew_s = -clock.least_s()
        if abs(skew_s) < WORTH_SAYING_S:
            return ""
        return f"clock {abs(skew_s):.1f} s {'ahead' if skew_s > 0 else 'slow'}: corrected"

    def _clock(self, source: str) -> _Clock:
        clock = self._clocks.get(source)
        if clock is None:
            clock = self._clocks[source] = _Clock(self._latency_s.get(source, 3.0))
        return clock
