"""How long before its picture goes out each entry is sealed, or how long after: what a vendor's promptness comes to.

An entry is sealed before its segment's mark is given, so most leads are known only with the mark.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from kernel.histogram import Histogram

if TYPE_CHECKING:
    from kernel.timeline import MediaTime

BOUNDS_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 30.0, 60.0, 300.0)
"""Around the longest hold, 6 s; a correction comes minutes late."""

MAX_AWAITED = 50_000
"""Entries whose mark is awaited: as many as wait for their picture before prices are thinned out."""


class Leads:
    """Measure the entries of one stream; safety has no picture and is not among them."""

    def __init__(self) -> None:
        self.leads = Histogram(BOUNDS_S)
        """Of entries that were sealed in time."""
        self.lates = Histogram(BOUNDS_S)
        """Of those that were not, how late."""
        self._awaited: deque[tuple[MediaTime, float, int]] = deque(maxlen=MAX_AWAITED)

    def sealed(self, due: MediaTime, *, at: float | None, now: float, count: int = 1) -> None:
        """Take note of an entry, or of several that were sealed together.

        Args:
            due: its due time.
            at: bus time at which that goes out, None if no mark has said so yet.
            now: bus time.
            count: how many they are.
        """
        if at is None:
            self._awaited.append((due, now, count))
        elif at > now:
            self.leads.add(at - now, count)
        else:
            self.lates.add(now - at, count)

    def marked(self, upto: MediaTime, at: float) -> None:
        """Take note of when the pictures before `upto` go out, in bus time."""
        for _ in range(len(self._awaited)):
            due, sealed_at, count = awaited = self._awaited.popleft()
            if due < upto:
                self.leads.add(at - sealed_at, count)
            else:
                self._awaited.append(awaited)
