"""How far a clock stands from media time, and how fast it goes away from it: a Kalman filter of two states.

The states are the offset (what the clock shows less the media time, in seconds) and its rate (seconds a second: 50e-6
is 50 ppm). Between two readings the offset moves by the rate, and both become less certain; a reading corrects both,
each by as much as it is the less certain of the two. That is the least variance that any linear filter reaches, and it
averages over just as long as the oscillator allows: some two thousand seconds with the constants below.
"""

from __future__ import annotations

from dataclasses import dataclass

OFFSET_WALK = 1e-10
"""What a second adds to the variance of the offset (s^2): 10 us, the short-term noise of a computer's oscillator."""

RATE_WALK = 1e-12 / 3600
"""What a second adds to the variance of the rate: 1 ppm an hour, a room that warms by some degrees."""

RATE_SIGMA = 30e-6
"""What is believed of a clock that nothing is known of: crystals are sold as +-20 to +-100 ppm."""

OTHER_CLOCK_SIGMA = 5e-6
"""What a new timeline adds to it: an encoder that starts again has the same oscillator, its stand-by another."""


@dataclass(slots=True)
class OffsetFilter:
    """The offset of a clock at the media time `at_s`, its rate, and their covariance; all in seconds."""

    at_s: float
    offset_s: float
    rate: float
    var_offset: float
    var_rate: float
    covar: float = 0.0

    def at(self, at_s: float) -> float:
        """Return the offset at another media time, the rate being what it is."""
        return self.offset_s + self.rate * (at_s - self.at_s)

    def predict(self, at_s: float) -> None:
        """Go on to a later media time."""
        past_s = at_s - self.at_s
        if past_s <= 0:
            return
        self.offset_s += self.rate * past_s
        self.var_offset += past_s * (2 * self.covar + past_s * self.var_rate + OFFSET_WALK)
        self.covar += past_s * self.var_rate
        self.var_rate += past_s * RATE_WALK
        self.at_s = at_s

    def update(self, read_s: float, variance: float) -> None:
        """Learn from a reading of the offset at `at_s`."""
        total = self.var_offset + variance
        gain_offset, gain_rate = self.var_offset / total, self.covar / total
        surprise_s = read_s - self.offset_s
        self.offset_s += gain_offset * surprise_s
        self.rate += gain_rate * surprise_s
        self.var_rate -= gain_rate * self.covar
        self.covar *= 1 - gain_offset
        self.var_offset *= 1 - gain_offset
