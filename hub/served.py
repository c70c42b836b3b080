"""What relays have served to whom: runs of segments by session, kept for sockets that come later than their video.

A run is what a session has from one media sequence number to another without a hole. Numbers never fall, whatever the
origin's do, so they alone name a segment.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

MAX_RUNS = 256
"""Runs of one session: each is a seek. Beyond it the oldest pictures are forgotten."""

MAX_SESSIONS = 20_000
"""Sessions of one showing that are remembered: twice as many as there may be sockets."""

KEEP_S = 900.0
"""How long a session is remembered that neither loads nor reports, in seconds: a reload of the page, a long break."""


class Runs:
    """The segments that one session has."""

    __slots__ = ("_firsts", "_lasts", "used_at")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.used_at = 0.0

    def add(self, first: int, last: int) -> None:
        """Take in the segments from `first` to `last`, both included; what touches becomes one run."""
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]
        if len(self._firsts) > MAX_RUNS:
            del self._firsts[0], self._lasts[0]

    def until(self, msn: int) -> int | None:
        """Return where the run ends that holds a segment, or else the last run before it; None if there is neither."""
        index = bisect_right(self._firsts, msn) - 1
        return self._lasts[index] if index >= 0 else None


class ServedLog:
    """Remember what went to the sessions of one showing."""

    def __init__(self) -> None:
        self._runs: dict[str, Runs] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def note(self, session: str, first: int, last: int, now: float) -> None:
        """Take in that a session has the segments from `first` to `last`."""
        runs = self._use(session, now)
        if runs is None:
            runs = self._runs[session] = Runs()
            runs.used_at = now
            self._forget(now)
        runs.add(first, last)

    def touch(self, session: str, now: float) -> None:
        """Keep what is known of a session: it is being used."""
        self._use(session, now)

    def until(self, session: str, msn: int) -> int | None:
        """Return up to which segment a session may have played that is at segment `msn`; None if nothing is known."""
        runs = self._runs.get(session)
        return runs.until(msn) if runs is not None else None

    def _use(self, session: str, now: float) -> Runs | None:
        runs = self._runs.get(session)
        if runs is not None and now > runs.used_at + KEEP_S / 10:
            # The dict is in the order of last use, within a tenth of the time.
            del self._runs[session]
            self._runs[session] = runs
            runs.used_at = now
        return runs

    def _forget(self, now: float) -> None:
        while self._runs:
            oldest = next(iter(self._runs))
            if len(self._runs) <= MAX_SESSIONS and self._runs[oldest].used_at >= now - KEEP_S:
                break
            del self._runs[oldest]
