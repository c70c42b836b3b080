"""Where a viewer's player is, by its own account, and how far that lets the viewer see.

Rule 1: a report holds from when it came, played on at its rate for at most 1.5 report intervals; then it stands still.
    Stalled or at rate 0 it stands still at once. The interval is measured between this client's reports.
Rule 2: a client tells us where it is; how far it may see is ours to say. Whatever it claims, the frontier lies neither
    beyond what relays have opened, nor beyond the end of the run of segments, served to its session, in which the
    claimed position lies or which lies before it.
Rule 3: where nothing is known to have been served at or before the claimed position (another server delivers the
    video, or this hub has just started), a report can only delay: the frontier is no further than without reports.
Rule 4: a player that shows something else in place of what is dark is where that begins, until it says otherwise.
Rule 5: it never goes back. After a seek backwards the client shows its own log again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.frontier import NOISE_TICKS, shown_at
from kernel.pts import TICKS_PER_MS, TICKS_PER_S, Ticks, unwrap
from kernel.timeline import BEGINNING, END, MediaTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.frontier import Clock, Edge
    from hub.path import Path, Span

MIN_INTERVAL_S, MAX_INTERVAL_S = 1.0, 5.0
"""How often clients report, in seconds (PROTOCOL, `pos`)."""

GRACE_INTERVALS = 1.5
"""For how many report intervals a report is played on."""

MAX_RATE = 16.0
"""The fastest a player may claim to play: what HTML's `playbackRate` may be set to in browsers."""

MAX_LEAD_MS = 1_000
"""How early cues may be asked for, in ms of playlist time (DESIGN 7)."""

_N_GAPS = 4
"""Of so many gaps between reports the longest is the interval: a seek or a pause is reported in between."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a client says of its player: the picture on show, how fast it plays (0: paused), whether it waits for data.

    Of `timeline` and `msn` one is given. With a timeline `pts` is unwrapped; with the number of a segment, which is
    what a browser knows, it may also be reduced modulo 2**33. `away`: since the end of that segment another showing is
    on show, in place of what is dark.
    """

    pts: int
    rate: float
    stalled: bool = False
    timeline: int | None = None
    msn: int | None = None
    away: bool = False


class Playhead:
    """What one client has reported over its connection's life. Times are bus time in seconds."""

    def __init__(self) -> None:
        self.report: Report | None = None
        self.at = 0.0
        self._gaps: deque[float] = deque(maxlen=_N_GAPS)

    def take(self, report: Report, now: float) -> None:
        """Take in a report that came at `now`."""
        if self.report is not None:
            self._gaps.append(now - self.at)
        self.report, self.at = report, now

    @property
    def grace_s(self) -> float:
        """Return for how long the last report is played on, in seconds."""
        interval_s = max(self._gaps, default=MIN_INTERVAL_S)
        return GRACE_INTERVALS * min(max(interval_s, MIN_INTERVAL_S), MAX_INTERVAL_S)

    def played(self, now: float) -> int:
        """Return how many ticks have been played since the last report, as far as is believed."""
        elapsed_s = min(max(0.0, now - self.at), self.grace_s)
        return int(elapsed_s * self._ticks_per_s + NOISE_TICKS)

    def plays(self, ticks: int) -> float | None:
        """Return when so many ticks have been played since the last report; None if that takes another one."""
        if ticks <= 0:
            return self.at
        rate = self._ticks_per_s
        if not rate or ticks > rate * self.grace_s:
            return None
        return self.at + ticks / rate

    @property
    def _ticks_per_s(self) -> float:
        report = self.report
        return 0.0 if report is None or report.stalled or report.away else report.rate * TICKS_PER_S


class ReportedClock:
    """For one viewer whose player reports.

    Args:
        playhead: what it reports.
        honest: the clock that it would have if it never did.
        until: up to which segment its session may have played that is at a segment; None if nothing is known.
        reached: how far it may see already.
    """

    def __init__(
        self,
        edge: Edge,
        path: Path,
        playhead: Playhead,
        honest: Clock,
        until: Callable[[int], int | None],
        *,
        lead_ms: int = 0,
        reached: MediaTime = BEGINNING,
    ) -> None:
        self._edge = edge
        self._path = path
        self._playhead = playhead
        self._until = until
        self.reached = reached
        """How far it may see already; it never goes back."""
        self._placed_by: Report | None = None
        self._placed_at = -1
        self._bound: MediaTime | None = None
        self._known_place: tuple[int, Span] | None = None
        self.honest = honest
        self.lead_ms = lead_ms
        self.lagging = False
        """Whether it is too far behind to bet."""

    def moved(self, now: float) -> None:
        """Move the honest player; the report is placed anew whenever it is looked at."""
        self.honest.moved(now)

    def position(self, now: float) -> int | None:
        """Return where on the path the player is at `now`, None while that is unknown."""
        place, end = self._place(), self._edge.end_x
        if self.away:
            return None  # It plays something else.
        return min(place[0] + self._playhead.played(now), end) if place is not None and end is not None else None

    def frontier(self, now: float) -> MediaTime:
        """Return what the player has shown, and what is shown within its lead."""
        place, end = self._place(), self._edge.end_x
        self._bound = None
        if place is not None and end is not None:
            x, span = place
            x += self._playhead.played(now)
            lead = self.lead_ms * TICKS_PER_MS
            # The end of all comes when the player is there, not a lead earlier.
            ahead = x if x >= end else min(x + lead, end - 1)
            self._bound = limit = self._limit(span)
            allowed = self.honest.frontier(now) if limit is None else limit
            self.reached = max(self.reached, min(shown_at(self._edge, self._path, ahead), allowed))
        return self.reached

    def passes_at(self, due: MediaTime) -> float | None:
        """Return when the frontier passes `due`; None if that takes a report, a segment served, or an opening."""
        place, end, edge = self._place(), self._edge.end_x, self._edge
        if place is None or end is None or (due >= edge.upto and not edge.ended):
            return None
        x, span = place
        limit = self._limit(span)
        if limit is not None and due >= limit:
            return None
        lead, wanted = self.lead_ms * TICKS_PER_MS, self._path.reached_at(due)
        if wanted >= end:
            if not edge.ended:
                return None
            wanted, lead = end, 0
        instant = self._playhead.plays(wanted - lead - x)
        if instant is None or limit is not None:
            return instant
        honest = self.honest.passes_at(due)
        return max(instant, honest) if honest is not None else None

    @property
    def away(self) -> bool:
        """Return whether the player shows something else in place of what is dark."""
        report = self._playhead.report
        return report is not None and report.away

    @property
    def waits_for_opening(self) -> bool:
        """Return whether an opening may let this frontier move: else it takes time, a report, or a segment served.

        As of when the frontier was last looked at.
        """
        return self._bound is None or self._bound > self._edge.upto

    def _place(self) -> tuple[int, Span] | None:
        """Return where on the path the last report is, and in which segment."""
        report = self._playhead.report
        if report is None:
            return None
        # Asked for several times with each report, and once with each cue.
        if self._placed_by is not report or self._placed_at != self._path.version:
            self._placed_by, self._placed_at = report, self._path.version
            self._known_place = self._find(report)
        return self._known_place

    def _find(self, report: Report) -> tuple[int, Span] | None:
        found = self._found(report)
        if found is None or not report.away:
            return found
        span = self._path.after(found[1].key)
        return (found[1].end_x, found[1]) if span is None else (span.x, span)

    def _found(self, report: Report) -> tuple[int, Span] | None:
        if report.timeline is not None:
            return self._path.locate(MediaTime(report.timeline, Ticks(report.pts)))
        span = self._path.find(report.msn if report.msn is not None else -1)
        if span is None or span.begins == span.ends:
            return None if span is None else (span.x, span)
        return self._path.locate(MediaTime(span.begins.timeline, unwrap(report.pts, near=span.begins.pts)))

    def _limit(self, span: Span) -> MediaTime | None:
        """Return before which media time the session's pictures lie; None if nothing is known of what it was served."""
        last = self._until(span.key.msn)
        if last is None:
            return None
        edge = self._edge
        if edge.ended and edge.key is not None and last >= edge.key.msn:
            return END
        served = self._path.last_before(last)
        return served.ends if served is not None else BEGINNING
