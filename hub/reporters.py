"""Viewers whose players report: what they were served, and who of them is too far behind to bet.

The rest of a reporting viewer is a cohort of its own, like that of an on-demand viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.agenda import Agenda
from hub.playhead import ReportedClock
from hub.served import ServedLog
from kernel.pts import TICKS_PER_S
from kernel.timeline import BEGINNING

if TYPE_CHECKING:
    from hub.frontier import Clock, Edge
    from hub.path import Path
    from hub.subscriber import Subscriber
    from kernel.marks import Served
    from kernel.timeline import MediaTime


class Reporters:
    """Keep the reporting viewers of one stream.

    Args:
        edge: what is out.
        path: the segments end to end.
        max_lag_s: how far behind the newest picture a viewer of a live stream may be and still bet, in seconds.
    """

    def __init__(self, edge: Edge, path: Path, max_lag_s: float) -> None:
        self._edge = edge
        self._path = path
        self._max_lag = int(max_lag_s * TICKS_PER_S)
        self._served = ServedLog()
        self._known: dict[int, Subscriber] = {}
        self._by_session: dict[str, dict[int, Subscriber]] = {}
        self._enrolled: dict[int, set[str]] = {}
        # Where on the path each one is who may bet: who is passed by the end less the greatest lag is looked at again.
        self._places: Agenda[int] = Agenda()

    def __len__(self) -> int:
        return len(self._known)

    def clock(self, subscriber: Subscriber, honest: Clock, reached: MediaTime = BEGINNING) -> ReportedClock:
        """Return the clock of a subscriber that has reported, and count it among those who do.

        One that it has left while its player plays on hands over what it stood by, and how far it had come.

        Args:
            subscriber: whose.
            honest: the clock that it would have had, or the one that it has left.
            reached: how far it may see already.
        """
        self._known[subscriber.number] = subscriber
        self.renew(subscriber)
        playhead = subscriber.playhead
        assert playhead is not None  # it has reported
        if isinstance(honest, ReportedClock):
            reached = max(reached, honest.reached)
            honest = honest.honest
        return ReportedClock(
            self._edge,
            self._path,
            playhead,
            honest,
            lambda msn: self._until(subscriber, msn),
            lead_ms=subscriber.lead_ms,
            reached=reached,
        )

    def renew(self, subscriber: Subscriber) -> None:
        """Take note of the sessions of somebody who reports; a token of another session adds one."""
        if subscriber.number in self._known:
            for session in subscriber.sessions:
                self._by_session.setdefault(session, {})[subscriber.number] = subscriber
                self._enrolled.setdefault(subscriber.number, set()).add(session)

    def touch(self, subscriber: Subscriber, now: float) -> None:
        """Keep what was served to somebody who has just reported."""
        for session in subscriber.sessions:
            self._served.touch(session, now)

    def dismiss(self, subscriber: Subscriber) -> None:
        """Forget somebody who has left; what was served to its sessions stays for when it comes back."""
        if self._known.pop(subscriber.number, None) is None:
            return
        self._places.put(subscriber.number, None)
        for session in self._enrolled.pop(subscriber.number):
            members = self._by_session[session]
            del members[subscriber.number]
            if not members:
                del self._by_session[session]

    def serve(self, served: Served, now: float) -> list[Subscriber]:
        """Take in what was served; return whom it concerns."""
        self._served.note(served.session, served.first_msn, served.last_msn, now)
        return list(self._by_session.get(served.session, {}).values())

    def judge(self, subscriber: Subscriber, clock: ReportedClock, now: float) -> bool:
        """Judge whether somebody is too far behind to bet; return whether that has changed."""
        state, end, position = self._edge.state, self._edge.end_x, clock.position(now)
        live = state is not None and state.live
        lagging = live and end is not None and position is not None and end - position > self._max_lag
        waits = live and not lagging and position is not None
        self._places.put(subscriber.number, position if waits else None)
        changed, clock.lagging = clock.lagging is not lagging, lagging
        return changed

    def left_behind(self) -> list[Subscriber]:
        """Return those whom the end of what is open may have left too far behind; `judge` each of them."""
        end = self._edge.end_x
        if end is None:
            return []
        return [self._known[number] for _, number in self._places.take(end - self._max_lag - 1)]

    def _until(self, subscriber: Subscriber, msn: int) -> int | None:
        sessions = subscriber.sessions
        if len(sessions) == 1:
            return self._served.until(sessions[0], msn)
        found = [self._served.until(session, msn) for session in sessions]
        return max((last for last in found if last is not None), default=None)
