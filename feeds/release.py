"""When each segment may go out: at its arrival plus a constant delay.

`hold_s` is 0 by default: video never waits, and a mark says "now". Marks never say an earlier time than the mark
before them, so a segment cannot overtake its predecessor.
"""

from __future__ import annotations

from bisect import bisect_right

from kernel.marks import ReleaseMark
from kernel.timeline import MediaTime, SegmentKey, SegmentTiming

REMEMBERED_MARKS = 4_096
"""Marks kept to tell how late a fact is: more than two hours of 2 s segments."""


class ReleaseSchedule:
    """Give each timed segment of one stream its release mark.

    Args:
        stream: the stream's id.
        hold_s: D, the constant delay, in seconds.
    """

    def __init__(self, stream: str, *, hold_s: float = 0.0) -> None:
        self._stream = stream
        self._hold_s = hold_s
        self._newest: SegmentKey | None = None
        self._last_at = float("-inf")
        self._uptos: list[MediaTime] = []
        self._ats: list[float] = []

    def mark(self, timing: SegmentTiming, *, arrived: float, now: float) -> ReleaseMark | None:
        """Return when a segment may go out, or None if a newer one's mark covers it already.

        Args:
            timing: the segment, timed.
            arrived: bus time at which the origin had it listed.
            now: bus time.
        """
        if self._newest is not None and timing.key <= self._newest:
            return None
        at = max(now, arrived + self._hold_s, self._last_at)
        mark = ReleaseMark(self._stream, timing.generation, timing.msn, timing.part, timing.upto, at)
        self._remember(mark)
        return mark

    def restore(self, mark: ReleaseMark, *, now: float) -> ReleaseMark:
        """Take in a mark from disk after a restart: it is due now, bus time having begun anew."""
        restored = ReleaseMark(self._stream, mark.generation, mark.msn, mark.part, mark.upto, now)
        self._remember(restored)
        return restored

    def out_since(self, due: MediaTime, *, now: float) -> float | None:
        """Return the bus time at which the pictures before and at `due` went out, or None if they have not.

        Where that lies further back than is remembered, the oldest time that is.
        """
        index = bisect_right(self._uptos, due)
        if index == len(self._uptos):
            return None
        at = self._ats[index]
        return at if at <= now else None

    def _remember(self, mark: ReleaseMark) -> None:
        self._newest = mark.key
        self._last_at = mark.at
        self._uptos.append(mark.upto)
        self._ats.append(mark.at)
        if len(self._ats) > 2 * REMEMBERED_MARKS:
            del self._uptos[:REMEMBERED_MARKS]
            del self._ats[:REMEMBERED_MARKS]
