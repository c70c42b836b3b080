"""Whether a source still speaks: one state machine a source, with its silence as the only evidence.

Rule 1: everything that changes a state stands in this file, and all of it in `_TABLE`.
Rule 2: a source that promises signs of life (`alive` with its interval), or is given an interval by the settings, is
monitored. Any message of it ends its silence.
Rule 3: silent for 1.5 intervals it is degraded, for 2 (or for what its vendor documents: UOF 20 s at 10, Genius 25 s
at 10) it is down. Who is back is recovering, and up once it has been heard for two intervals without a silence.
Rule 4: no state opens a market. Down closes those that the source binds; only its own word opens them.

After a restart a monitored source is recovering: it is given its whole limit to speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from kernel.feed_state import Health

DEGRADED_AFTER = 1.5
DOWN_AFTER = 2.0
"""In intervals, DESIGN 5.9."""

STEADY_AFTER = 2.0
"""How many intervals a source that is back must keep to before it is up."""


class Sign(Enum):
    """What can be observed of a source."""

    HEARD = auto()
    LATE = auto()
    SILENT = auto()
    STEADY = auto()
    WATCHED = auto()


_TABLE: Mapping[Health, Mapping[Sign, Health]] = {
    Health.UNMONITORED: {Sign.WATCHED: Health.RECOVERING},
    Health.UP: {Sign.LATE: Health.DEGRADED, Sign.SILENT: Health.DOWN},
    Health.DEGRADED: {Sign.HEARD: Health.UP, Sign.SILENT: Health.DOWN},
    Health.DOWN: {Sign.HEARD: Health.RECOVERING},
    Health.RECOVERING: {Sign.SILENT: Health.DOWN, Sign.STEADY: Health.UP},
}
"""What is not in it changes nothing."""


class SourceHealth:
    """Watch one source.

    Args:
        now: bus time.
        interval_s: from the settings; None: as the source's own signs of life say.
        down_after_s: the silence that the vendor documents as down; None: twice the interval.
    """

    def __init__(self, *, now: float, interval_s: float | None = None, down_after_s: float | None = None) -> None:
        self._fixed = interval_s is not None
        self._down_after_s = down_after_s
        self.interval_s: float | None = None
        self.state = Health.UNMONITORED
        self.since = now
        self.heard_at: float | None = None
        self._quiet_from = now
        self._steady_from = now
        if interval_s is not None:
            self.promise(interval_s, now=now, fixed=True)

    def promise(self, interval_s: float, *, now: float, fixed: bool = False) -> None:
        """Take in how often the source means to speak; what the settings say outranks it."""
        if self._fixed and not fixed:
            return
        if self.interval_s is None:
            self._quiet_from = self._steady_from = now
        self.interval_s = interval_s
        self._observe(Sign.WATCHED, now)

    def heard(self, *, now: float) -> None:
        """Take in that a message came, whatever it says."""
        self.judge(now=now)
        self.heard_at = self._quiet_from = now
        if self.state is Health.DOWN:
            self._steady_from = now
        self._observe(Sign.HEARD, now)
        self.judge(now=now)

    def judge(self, *, now: float) -> None:
        """Bring the state up to bus time `now`."""
        if self.interval_s is None:
            return
        late_at, silent_at = self._limits()
        if now >= silent_at:
            self._observe(Sign.SILENT, silent_at)
        elif now >= late_at:
            self._observe(Sign.LATE, late_at)
        heard_since = self.heard_at is not None and self.heard_at > self._steady_from
        if self.state is Health.RECOVERING and heard_since and now < late_at:
            steady_at = self._steady_from + STEADY_AFTER * self.interval_s
            if now >= steady_at:
                self._observe(Sign.STEADY, now)

    def next_deadline(self) -> float | None:
        """Return the bus time at which silence alone changes the state, None if it does not."""
        if self.interval_s is None or self.state is Health.DOWN:
            return None
        late_at, silent_at = self._limits()
        return late_at if self.state is Health.UP else silent_at

    @property
    def why(self) -> str:
        """Return the reason of the state, fit for an operator's eyes."""
        if self.interval_s is None:
            return "no interval: set interval_s, or let the source send `alive`"
        match self.state:
            case Health.DEGRADED | Health.DOWN:
                return f"silent for longer than {self._limit_s():.3g} s"
            case Health.RECOVERING:
                return "not heard for long enough yet"
        return ""

    def _limit_s(self) -> float:
        late_at, silent_at = self._limits()
        return (silent_at if self.state is Health.DOWN else late_at) - self._quiet_from

    def _limits(self) -> tuple[float, float]:
        assert self.interval_s is not None
        down_s = self._down_after_s if self._down_after_s is not None else DOWN_AFTER * self.interval_s
        return self._quiet_from + min(DEGRADED_AFTER * self.interval_s, down_s), self._quiet_from + down_s

    def _observe(self, sign: Sign, at: float) -> None:
        after = _TABLE[self.state].get(sign)
        if after is not None:
            self.state, self.since = after, at
