"""Bus time on one node: a remote clock read through a network, and our own that is steady between the readings.

* A reading says: sent at `sent`, answered at `received` (both on our steady clock), and the other clock stood at
  `theirs` in between. Taken to be the middle, that is wrong by at most half of the way there and back. Of the last
  readings the quickest one counts, as in NTP's clock filter (RFC 5905, 10): a slow one only tells of a full queue.
* What was once said is never taken back: time is corrected by running a twentieth faster or slower, and never steps.
* A remote clock that jumps (somebody set it, or another server took over) must not take the schedule with it:
  `step` tells by how much it jumped, and whoever keeps the clock of all nodes shifts it back by as much.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

READINGS = 16
"""Readings that are compared, one a second."""

DRIFT = 200e-6
"""How fast two clocks part at worst: crystals are within 100 ppm each (adjtimex(2) allows 500 while it slews)."""

SLEW = 0.05
"""How much faster or slower time runs while it is corrected."""

STEP_S = 1.0
"""A difference beyond this is a jump of the other clock. None of ours strays by as much while it is in touch."""

READY_BOUND_S = 0.05
"""A node whose time may be off by more than this is not ready: releases lie within 50 ms of each other."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the other clock is ahead of ours, in seconds, and by how much that may be wrong, as read at `at`."""

    at: float
    offset: float
    error: float

    def error_at(self, local: float) -> float:
        """Return by how much it may be wrong at a later moment of our clock."""
        return self.error + DRIFT * max(0.0, local - self.at)


class BusClock:
    """Tell bus time from our own steady clock.

    All arguments named `local`, `sent` and `received` are seconds of that clock, which never steps back.
    """

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=READINGS)
        self._offset = 0.0
        self._at = 0.0
        self._last = float("-inf")

    @property
    def is_set(self) -> bool:
        """Return whether there was ever a reading."""
        return bool(self._readings)

    def now(self, local: float) -> float:
        """Return bus time in seconds; it never goes back."""
        self._last = max(self._last, local + self._slewed(local))
        return self._last

    def bound(self, local: float) -> float:
        """Return by how many seconds `now` may be wrong at most; infinity before the first reading."""
        if not self._readings:
            return float("inf")
        best = self._best(local)
        return best.error_at(local) + abs(self.now(local) - local - best.offset)

    def step(self, sent: float, received: float, theirs: float) -> float | None:
        """Return by how much the other clock jumped, in seconds, None if it did not or nothing is known to compare."""
        if not self._readings:
            return None
        reading = _read(sent, received, theirs)
        off_s = reading.offset - self._best(received).offset
        return off_s if abs(off_s) > STEP_S + reading.error + self._best(received).error_at(received) else None

    def observe(self, sent: float, received: float, theirs: float) -> None:
        """Take in a reading; one that differs by a jump replaces all before it."""
        first, jumped = not self._readings, self.step(sent, received, theirs) is not None
        self._slewed(received)
        if jumped:
            self._readings.clear()
        self._readings.append(_read(sent, received, theirs))
        if first or jumped:
            # Backwards, time stands still until it is reached again: `now` never goes back.
            self._offset = self._best(received).offset
            self._at = received

    def _best(self, local: float) -> Reading:
        return min(self._readings, key=lambda reading: reading.error_at(local))

    def _slewed(self, local: float) -> float:
        """Let the offset run towards the best reading's, and return it."""
        if self._readings:
            most = SLEW * max(0.0, local - self._at)
            self._offset += max(-most, min(most, self._best(local).offset - self._offset))
            self._at = max(self._at, local)
        return self._offset


def _read(sent: float, received: float, theirs: float) -> Reading:
    return Reading(received, theirs - (sent + received) / 2, (received - sent) / 2)
