"""When each segment may go out: at its arrival plus a constant delay.

`hold_s` is 0 by default: video never waits, and a mark says "now". Marks never say an earlier time than the mark
before them, so a segment cannot overtake its predecessor.

With a hold, arrivals are smoothed: a segment that comes a little late goes out in step all the same, out of the delay,
which is then made up again by a twentieth of media time. One that comes later than half the delay has made viewers wait
anyway: the delay begins anew with it. A learned hold changes by a twentieth of media time as well: nobody sees a
stall, only a picture that has drifted by some seconds after a minute or two.
"""

from __future__ import annotations

from bisect import bisect_right

from feeds.leads import Leads
from kernel.marks import ReleaseMark
from kernel.pts import s_of_ticks
from kernel.timeline import MediaTime, SegmentKey, SegmentTiming

REMEMBERED_MARKS = 4_096
"""Marks kept to tell how late a fact is: more than two hours of 2 s segments."""

SLEW = 0.05
"""The share of media time by which a delay changes; players correct their own drift by as much without being heard."""


class ReleaseSchedule:
    """Give each timed segment of one stream its release mark.

    Args:
        stream: the stream's id.
        hold_s: D, the constant delay, in seconds.
        lead_s: how long before its time a mark is given at least, in seconds, so that it has reached every relay by
            then: 0 in one process.
    """

    def __init__(self, stream: str, *, hold_s: float = 0.0, lead_s: float = 0.0) -> None:
        self._stream = stream
        self._lead_s = lead_s
        self.hold_s = hold_s
        """D as it stands."""
        self.leads = Leads()
        """How far ahead of their picture entries were sealed."""
        self._wanted_s = hold_s
        self._newest: SegmentKey | None = None
        self._smooth: float | None = None
        self._last_at = float("-inf")
        self._uptos: list[MediaTime] = []
        self._ats: list[float] = []
        self._arrivals: list[float] = []

    def aim(self, hold_s: float) -> None:
        """Let D go towards `hold_s` from here on, by a twentieth of media time."""
        self._wanted_s = hold_s

    def mark(self, timing: SegmentTiming, *, arrived: float, now: float) -> ReleaseMark | None:
        """Return when a segment may go out, or None if a newer one's mark covers it already.

        Args:
            timing: the segment, timed.
            arrived: bus time at which the origin had it listed.
            now: bus time.
        """
        if self._newest is not None and timing.key <= self._newest:
            return None
        step_s = SLEW * s_of_ticks(timing.end - timing.start)
        self.hold_s += min(step_s, max(-step_s, self._wanted_s - self.hold_s))
        at = max(now + self._lead_s, self._smoothed(timing, arrived) + self.hold_s, self._last_at)
        mark = ReleaseMark(self._stream, timing.generation, timing.msn, timing.part, timing.upto, at)
        self._remember(mark, arrived)
        return mark

    def restore(self, mark: ReleaseMark, *, now: float) -> ReleaseMark:
        """Take in a mark from disk after a restart: it is due now, bus time having begun anew."""
        restored = ReleaseMark(self._stream, mark.generation, mark.msn, mark.part, mark.upto, now)
        self._remember(restored, now)
        return restored

    def out_since(self, due: MediaTime, *, now: float) -> float | None:
        """Return the bus time at which the pictures before and at `due` went out, or None if they have not.

        Where that lies further back than is remembered, the oldest time that is.
        """
        at = self._at(due)
        return at if at is not None and at <= now else None

    def note_sealed(self, due: MediaTime, *, now: float, count: int = 1) -> None:
        """Take note that so many entries with one due time were sealed, at bus time `now`."""
        self.leads.sealed(due, at=self._at(due), now=now, count=count)

    def needed_hold_s(self, due: MediaTime, *, received: float) -> float:
        """Return the delay with which a fact received at bus time `received` would have come before its picture."""
        index = bisect_right(self._uptos, due)
        return 0.0 if index == len(self._uptos) else max(0.0, received - self._arrivals[index])

    def _at(self, due: MediaTime) -> float | None:
        index = bisect_right(self._uptos, due)
        return None if index == len(self._uptos) else self._ats[index]

    def _smoothed(self, timing: SegmentTiming, arrived: float) -> float:
        duration_s = s_of_ticks(timing.end - timing.start)
        follows = self._newest == (timing.generation, timing.msn - 1)
        late_s = arrived - (self._smooth + duration_s) if self._smooth is not None and follows else 0.0
        if 0 < late_s <= self.hold_s / 2:
            arrived += min(0.0, SLEW * duration_s - late_s)
        self._smooth = arrived
        return arrived

    def _remember(self, mark: ReleaseMark, arrived: float) -> None:
        self._newest = mark.key
        self._last_at = mark.at
        self._uptos.append(mark.upto)
        self._ats.append(mark.at)
        self._arrivals.append(arrived)
        self.leads.marked(mark.upto, mark.at)
        if len(self._ats) > 2 * REMEMBERED_MARKS:
            for kept in (self._uptos, self._ats, self._arrivals):
                del kept[:REMEMBERED_MARKS]
