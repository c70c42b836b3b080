"""The time of day without the steps of its clock, until the pictures agree with them.

What vendors say is compared with when it came, and placed by it if they say no time; so a clock that is set by an hour
would move every fact by an hour, backwards even ahead of its picture. A clock that is disciplined is slewed or set by
fractions of a second, and followed. A greater step is held back: `steady = wall - shift`.

Not every step is wrong. A machine that was suspended finds its steady clock behind, its wall clock right again; or
somebody has set right, at both ends, what was wrong. The pictures tell: how late segments come by the origin's own
dates does not change with our clock's steps. If it fits better with the step than without it, the step is taken.
Where the dates of the stream are our own (they are learned from arrivals) nothing but consistency is asked for, and a
step stays held back; a restart takes up the wall clock as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S = 1.0
"""What is more is a step. chrony and ntpd set clocks by up to a second as a matter of course, a leap second included;
what vendors take is of that order (FORMATS: p50 up to 3 s)."""

SHARE = 8
"""One segment's share in the lateness of its stream: an eighth, so that a stall of one does not count."""


class SteadyWall:
    """Tell the time of day.

    Args:
        wall: the clock that may step, in Unix seconds.
        now: one that does not, in seconds.
    """

    def __init__(self, wall: Callable[[], float], now: Callable[[], float]) -> None:
        self._wall = wall
        self._now = now
        self._raw = wall() - now()
        self._late: dict[str, float] = {}
        self._news: list[float] = []
        self.shift_s = 0.0
        """How far the wall clock has stepped ahead of us."""
        self.taken = 0
        """How many steps were taken: lags that were measured before each mean nothing any more."""

    def __call__(self) -> float:
        """Return Unix seconds."""
        wall = self._wall()
        raw = wall - self._now()
        step_s = raw - self._raw
        self._raw = raw
        if abs(step_s) > STEP_S:
            self.shift_s += step_s
            if abs(self.shift_s) <= STEP_S:
                self.shift_s = 0.0  # it was set back
            self._news.append(step_s)
        return wall - self.shift_s

    def judge(self, stream: str, late_s: float) -> None:
        """Learn from a segment of a stream that its origin dates; take a step that it agrees with.

        Args:
            stream: its id.
            late_s: how long after its last picture it came, by our time and the origin's dates, in seconds.
        """
        known = self._late.setdefault(stream, late_s)
        if self.shift_s == 0.0:
            self._late[stream] = known + (late_s - known) / SHARE
        elif abs(late_s + self.shift_s - known) < abs(late_s - known):
            self.shift_s = 0.0
            self.taken += 1

    def take_news(self) -> list[float]:
        """Return the steps of the wall clock since the last call, in seconds."""
        news, self._news = self._news, []
        return news
