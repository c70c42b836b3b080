"""Where a stream is dark for those inside of blackouts: no cue of it is for them before it is light again.

A run of segments that a blackout covers is dark from where the first of them begins. It is over once a frontier has
come to a picture of a segment behind it that none covers: as long as no such segment is known, it goes on.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING

from hub.path import MAX_SPANS
from kernel.blackouts import veil_over

if TYPE_CHECKING:
    from kernel.blackouts import Veil, ZoneSet
    from kernel.timeline import MediaTime, SegmentTiming

_key = attrgetter("key")


class Curtain:
    """What is dark for one zone set. Segments may become known in any order.

    Args:
        zones: the blackouts that apply.
        timings: what is known of the stream, in the order of its segments; kept up to date by whoever calls `laid`.
    """

    def __init__(self, zones: ZoneSet, timings: list[SegmentTiming]) -> None:
        self.zones = zones
        self._timings = timings
        self._veils = [veil_over(zones, timing) for timing in timings]
        # The dark run that was looked at last: its first segment and its last. And what was found to be light: from one
        # segment to before another, which is dark or not known.
        self._run: tuple[int, int] | None = None
        self._light: tuple[int, int] | None = None

    def laid(self, index: int) -> None:
        """Take note of a segment that has just been put among the timings."""
        self._veils.insert(index, veil_over(self.zones, self._timings[index]))
        self._light = None
        if self._run is not None:
            first, last = self._run
            # As a rule it is the newest.
            self._run = (first, last + 1) if index == last + 1 and self._veils[index] else None

    def forgot(self, count: int) -> None:
        """Take note that so many of the oldest have been forgotten."""
        del self._veils[:count]
        self._run = self._light = None

    def look(self, frontier: MediaTime) -> tuple[Veil | None, MediaTime | None]:
        """Return what lies over the last picture before a frontier, and where the dark that it is in begins.

        Neither where it is light.
        """
        index = self._last_before(frontier)
        if index < 0 or (veil := self._veils[index]) is None:
            return None, None
        first, _ = self._dark_run(index)
        return veil, self._timings[first].begins

    def stop_behind(self, frontier: MediaTime) -> MediaTime | None:
        """Return the media time that a frontier must pass to come out of the dark that it is in, or into the next.

        None if there is none that is known.
        """
        index = self._last_before(frontier)
        if index >= 0 and self._veils[index] is not None:
            _, last = self._dark_run(index)
            return self._timings[last + 1].begins if last + 1 < len(self._timings) else None
        if self._light is None or not self._light[0] <= index + 1 <= self._light[1]:
            ahead = index + 1
            while ahead < len(self._veils) and self._veils[ahead] is None:
                ahead += 1
            self._light = (index + 1, ahead)
        ahead = self._light[1]
        return self._timings[ahead].begins if ahead < len(self._timings) else None

    def hides(self, since: MediaTime, until: MediaTime) -> bool:
        """Tell whether it is dark anywhere between two frontiers: what is due there is not for who comes past it."""
        first, stop = self._last_before(since) + 1, self._last_before(until) + 1
        return any(veil is not None for veil in self._veils[first:stop])

    def _last_before(self, frontier: MediaTime) -> int:
        return bisect_left(self._timings, frontier, key=_begins) - 1

    def _dark_run(self, index: int) -> tuple[int, int]:
        if self._run is None or not self._run[0] <= index <= self._run[1]:
            first = last = index
            while first > 0 and self._veils[first - 1] is not None:
                first -= 1
            while last + 1 < len(self._veils) and self._veils[last + 1] is not None:
                last += 1
            self._run = (first, last)
        return self._run


class Curtains:
    """Keep the curtains of one stream, one for each zone set that somebody is in."""

    def __init__(self) -> None:
        self._timings: list[SegmentTiming] = []
        self._curtains: dict[ZoneSet, Curtain] = {}

    def lay(self, timing: SegmentTiming) -> None:
        """Take in where a segment lies; one that is known already stays."""
        index = bisect_left(self._timings, timing.key, key=_key)
        if index < len(self._timings) and self._timings[index].key == timing.key:
            return
        self._timings.insert(index, timing)
        for curtain in self._curtains.values():
            curtain.laid(index)
        surplus = len(self._timings) - MAX_SPANS
        if surplus > MAX_SPANS // 10:
            del self._timings[:surplus]
            for curtain in self._curtains.values():
                curtain.forgot(surplus)

    def of(self, zones: ZoneSet) -> Curtain | None:
        """Return the curtain of a zone set, made when the first one comes; None for those who are inside of nothing."""
        if not zones:
            return None
        curtain = self._curtains.get(zones)
        if curtain is None:
            curtain = self._curtains[zones] = Curtain(zones, self._timings)
        return curtain

    def drop(self, zones: ZoneSet) -> None:
        """Forget the curtain of a zone set that nobody is in any more."""
        self._curtains.pop(zones, None)


def _begins(timing: SegmentTiming) -> MediaTime:
    return timing.begins
