"""How far a subscriber may see: the media time *before* which pictures are out for it.

Rule 1: no frontier lies beyond what a relay has opened.
Rule 2: no frontier goes back.
Rule 3: at the end of an ended stream it is `END`: what is pinned beyond the last picture is due then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from kernel.pts import TICKS_PER_S
from kernel.timeline import BEGINNING, END, MediaTime, SegmentKey, StreamState

if TYPE_CHECKING:
    from hub.path import Path
    from kernel.marks import Opened

HOLD_BACK_TARGET_DURATIONS = 3
"""RFC 8216, 6.3.3: a client does not begin with a segment that starts less than that before the end."""

TRAIL_TARGET_DURATIONS = 4
"""How far behind the honest player late comers are based: browsers begin up to two segments behind it."""

NOISE_TICKS = 1e-3
"""What floating point may take off an instant: a frontier computed for its own deadline has passed it."""

Sync = Literal["ok", "lost", "waiting"]


class Edge:
    """What is out: everything before the newest opened segment's end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.state: StreamState | None = None
        self.key: SegmentKey | None = None
        self.upto = BEGINNING
        self.at = 0.0
        self.first_at: float | None = None
        self.sync: Sync = "waiting"
        self._end_key: SegmentKey | None = None
        self._end_version = -1
        self._end_x: int | None = None

    def open(self, opened: Opened, now: float) -> bool:
        """Take in what the relay opened; return False for something older than what is out already."""
        if self.key is not None and opened.key < self.key:
            return False
        # Bus time of another node may be a little ahead; nothing opens in the future.
        at = min(opened.at, now)
        if opened.key != self.key:
            self.at = at
        if self.first_at is None:
            self.first_at = at
        self.key = opened.key
        if opened.upto is None:
            self.sync = "lost"
            self._path.lay_blank(opened.key, self.target_ticks)
        else:
            self.sync = "ok"
            self.upto = max(self.upto, opened.upto)
        return True

    @property
    def target_ticks(self) -> int:
        """Return the target duration in ticks, 0 while the stream is unknown."""
        return self.state.target_duration_s * TICKS_PER_S if self.state is not None else 0

    @property
    def ended(self) -> bool:
        """Return whether the last segment of an ended stream is out."""
        state = self.state
        if state is None or not state.ended or self.key is None:
            return False
        return state.last is None or self.key >= state.last

    @property
    def end_x(self) -> int | None:
        """Return where on the path the opened part ends, None while nothing timed is out."""
        # Asked for by each of thousands of players at each of their cues.
        if self._end_key is not self.key or self._end_version != self._path.version:
            span = self._path.end_of(self.key) if self.key is not None else None
            self._end_key, self._end_version = self.key, self._path.version
            self._end_x = span.end_x if span is not None else None
        return self._end_x

    def stalls_at(self) -> float | None:
        """Return the bus time from which a live stream without news counts as stalled, None if it cannot stall."""
        if self.state is None or not self.state.live or self.key is None or self.ended:
            return None
        return self.at + 2 * self.state.target_duration_s


def shown_at(edge: Edge, path: Path, x: int) -> MediaTime:
    """Return before which media time a player has shown all that is at `x` of the path, be it that it claims more."""
    end = edge.end_x
    if end is None:
        return BEGINNING
    if x >= end and edge.ended:
        return END
    # At the opened end the next picture is not out: the end itself is the frontier, not a tick beyond it.
    return min(path.frontier_at(min(x, end - 1)), edge.upto)


class Clock(Protocol):
    """Tell a frontier, and when it will pass a media time if nothing else happens."""

    @property
    def waits_for_opening(self) -> bool:
        """Return whether an opening may let this frontier move."""
        ...

    def moved(self, now: float) -> None:
        """Take note at bus time `now` that the edge, the path or the stream's state has changed."""
        ...

    def frontier(self, now: float) -> MediaTime:
        """Return the frontier at bus time `now`."""
        ...

    def passes_at(self, due: MediaTime) -> float | None:
        """Return the bus time at which the frontier passes `due`, None if that takes another opening."""
        ...


class EdgeClock:
    """For servers: all that is out, as soon as it is out."""

    waits_for_opening = True

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def moved(self, now: float) -> None:
        """Do nothing: the edge is read where it stands."""

    def frontier(self, now: float) -> MediaTime:
        """Return the end of the newest opened segment."""
        return END if self._edge.ended else self._edge.upto

    def passes_at(self, due: MediaTime) -> float | None:
        """Return None: only an opening moves this frontier."""
        return None


class RealtimeClock:
    """For trading desks: everything, at once."""

    waits_for_opening = False

    def moved(self, now: float) -> None:
        """Do nothing: there is no picture to wait for."""

    def frontier(self, now: float) -> MediaTime:
        """Return the end of all."""
        return END

    def passes_at(self, due: MediaTime) -> float | None:
        """Return None: it has passed everything."""
        return None


class _Playhead:
    """An honest player that has never reported: it plays at rate 1 and stops where the opened part ends."""

    waits_for_opening = True

    def __init__(self, edge: Edge, path: Path) -> None:
        self._edge = edge
        self._path = path
        # The player is at position `_x` of the path at bus time `_t`; None: it has not begun.
        self._t: float | None = None
        self._x = 0

    def position(self, now: float) -> int | None:
        """Return where on the path the player is at `now`, None while it has not begun."""
        end = self._edge.end_x
        if self._t is None or end is None:
            return None
        return min(self._line(now), end)

    def _line(self, now: float) -> int:
        assert self._t is not None  # asked only of a player that has begun
        return self._x + int((now - self._t) * TICKS_PER_S + NOISE_TICKS)

    def _mapped(self, now: float) -> MediaTime:
        x = self.position(now)
        return BEGINNING if x is None else shown_at(self._edge, self._path, x)

    def passes_at(self, due: MediaTime) -> float | None:
        """Return when the player shows the picture at `due`; None while that picture is not out."""
        end = self._edge.end_x
        if self._t is None or end is None or (due >= self._edge.upto and not self._edge.ended):
            return None
        x = self._path.reached_at(due)
        if x >= end:
            if not self._edge.ended:
                return None
            x = end
        return self._t + (x - self._x) / TICKS_PER_S


class LiveClock(_Playhead):
    """For all viewers of a live stream: the opened position less HOLD-BACK, advancing in real time.

    It begins three target durations before the end of what is opened first, stops when it has played all that is
    out, and, once it has fallen twice that far behind, goes to the live position as a player does that has fallen
    out of the window.
    """

    def __init__(self, edge: Edge, path: Path) -> None:
        super().__init__(edge, path)
        self._end_x: int | None = None
        self._reached = BEGINNING

    def moved(self, now: float) -> None:
        """Place the player anew where an opening demands it."""
        edge, end = self._edge, self._edge.end_x
        if end is None or not edge.target_ticks or edge.first_at is None or end == self._end_x:
            return
        if self._t is None and not (edge.state and edge.state.live):
            return
        known, self._end_x = self._end_x, end
        hold_back = HOLD_BACK_TARGET_DURATIONS * edge.target_ticks
        live = end - hold_back
        if self._t is None or known is None:
            self._t, self._x = edge.at, live
            return
        if self._line(edge.at) > known:
            # It had played everything and stood still; it goes on from there.
            self._t, self._x = edge.at, known
        # What a start-up opens in its first moments was out before anybody could join.
        starting = edge.at - edge.first_at <= edge.target_ticks / TICKS_PER_S
        behind = live - self._line(edge.at)
        if behind > (0 if starting else hold_back):
            self._t, self._x = edge.at, live

    def frontier(self, now: float) -> MediaTime:
        """Return what the player has shown."""
        self._reached = max(self._reached, self._mapped(now))
        return self._reached


class VodClock(_Playhead):
    """For one viewer of a VOD: from the first segment at `sub`, at rate 1; from when that is known if that is later.

    A start-up times the newest segment first. Until the first one is known nothing is shown, so that no frontier
    lies where the player is not.
    """

    def __init__(self, edge: Edge, path: Path, now: float) -> None:
        super().__init__(edge, path)
        self.moved(now)

    def moved(self, now: float) -> None:
        """Begin as soon as something is out and the first segment is known."""
        state = self._edge.state
        if self._t is None and self._edge.end_x is not None and state is not None and state.begun:
            self._t, self._x = now, self._path.begin_x

    def frontier(self, now: float) -> MediaTime:
        """Return what the player has shown."""
        return self._mapped(now)


class TrailingClock:
    """For nobody: what late comers are based on, a while behind the honest player of a live stream.

    The state there is kept for all of them, so that the thousandth who comes costs as little as the first.
    """

    waits_for_opening = False

    def __init__(self, live: LiveClock, edge: Edge, path: Path) -> None:
        self._live = live
        self._edge = edge
        self._path = path
        self._reached = BEGINNING

    def moved(self, now: float) -> None:
        """Do nothing: the honest player is read where it stands."""

    def frontier(self, now: float) -> MediaTime:
        """Return what was shown `TRAIL_TARGET_DURATIONS` before what the honest player shows."""
        x = self._live.position(now)
        if x is not None:
            behind = x - TRAIL_TARGET_DURATIONS * self._edge.target_ticks
            self._reached = max(self._reached, min(self._path.frontier_at(behind), self._edge.upto))
        return self._reached

    def passes_at(self, due: MediaTime) -> float | None:
        """Return None: it is read when somebody comes, and waits for nothing."""
        return None
