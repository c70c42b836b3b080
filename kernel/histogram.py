"""How often values lay below each of some bounds: what `/metrics` shows as a histogram.

One thread adds, others may read meanwhile: what they get is monotone, at most one value behind, and takes no lock.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate


class Histogram:
    """Count values by upper bound.

    Args:
        bounds: rising, in the unit of the values; one without an end is added.
    """

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.total = 0.0
        """The sum of all values."""
        self._counts = [0] * (len(bounds) + 1)

    def add(self, value: float, count: int = 1) -> None:
        """Count a value so many times; one below 0, as clocks make them, counts as 0: the sum never falls."""
        value = max(value, 0.0)
        self._counts[bisect_left(self.bounds, value)] += count
        self.total += value * count

    def cumulative(self) -> list[tuple[float, int]]:
        """Return how many values were at most so high, by bound; the last bound is infinite."""
        return list(zip((*self.bounds, float("inf")), accumulate(self._counts[:]), strict=True))

    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return sum(self._counts)
