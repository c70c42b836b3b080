"""Which segments a session has: bodies that went out, whole or in ranges, until half of a segment is covered.

Half, because a player shows nothing of a segment whose beginning it has not got, and has stopped to load one that it
left early. A whole body needs no memory; only ranges add up.
"""

from __future__ import annotations

from kernel.timeline import SegmentKey

MAX_PARTIAL = 10_000
"""Segments of which ranges are added up at a time: one for each of as many players; nginx keeps as many connections."""

MAX_INTERVALS = 64
"""Ranges of one segment that do not touch: players ask for one behind the other."""

Whose = tuple[str, str, SegmentKey]
"""A session, a rendition, and a segment of it."""


class Tally:
    """Add up what went out."""

    def __init__(self) -> None:
        self._partial: dict[Whose, list[tuple[int, int]]] = {}

    def add(self, whose: Whose, start: int, stop: int, length: int) -> bool:
        """Count the bytes from `start` up to `stop` of a segment of `length` bytes.

        Returns:
            Whether at least half of it is covered with them. What lay below is counted as if it had never gone out
            where too many sessions leave their segments half begun: that delays a cue, it never lets one out early.
        """
        if 2 * (stop - start) >= length:
            self._partial.pop(whose, None)
            return stop > start
        known = self._partial.pop(whose, [])
        merged = _with(known, start, stop)
        if 2 * sum(end - begin for begin, end in merged) >= length:
            return True
        # At the end again: who goes on is not the one to be forgotten.
        self._partial[whose] = merged[-MAX_INTERVALS:]
        if len(self._partial) > MAX_PARTIAL:
            del self._partial[next(iter(self._partial))]
        return False


def _with(intervals: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """Return disjoint intervals, in order, that cover the given ones and one more."""
    merged = []
    for begin, end in intervals:
        if end < start or stop < begin:
            merged.append((begin, end))
        else:
            start, stop = min(start, begin), max(stop, end)
    return sorted([*merged, (start, stop)])
