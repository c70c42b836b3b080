"""One showing's stream as the hub sees it: what the bus says goes in, deliveries come out.

Nothing here waits or writes: the driver calls in with bus time `now`, takes the deliveries, and calls `timer` no
earlier than `next_deadline()`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hub.agenda import Agenda
from hub.backlog import Backlog
from hub.cohort import Cohort, Delivery
from hub.cursor import Cursor
from hub.frontier import Edge, EdgeClock, LiveClock, Sync, VodClock
from hub.path import Path
from kernel.pts import TICKS_PER_MS

if TYPE_CHECKING:
    from hub.settings import HubSettings
    from hub.subscriber import Subscriber
    from kernel.cues import Entry
    from kernel.marks import Opened
    from kernel.showings import Showing
    from kernel.timeline import SegmentTiming, StreamState

_EDGE, _VIEWERS, _FIRST_OWN = 0, 1, 2


class Stream:
    """Hold the cues of one stream until their picture is out for those who wait for them."""

    def __init__(self, showing: Showing, settings: HubSettings) -> None:
        self.showing = showing
        self.epoch: str | None = None
        self.may_wager = False
        self.subscribers: dict[int, Subscriber] = {}
        self._backlog = Backlog(max_entries=settings.backlog_entries, max_age_s=settings.backlog_s)
        self._path = Path()
        self._edge = Edge(self._path)
        self._agenda = Agenda()
        self._deliveries: list[Delivery] = []
        self._cohorts: dict[int, Cohort] = {
            _EDGE: Cohort(_EDGE, EdgeClock(self._edge), self._backlog),
            _VIEWERS: Cohort(_VIEWERS, LiveClock(self._edge, self._path), self._backlog),
        }
        self._next_cohort = _FIRST_OWN

    # What the bus says.

    def add_entry(self, entry: Entry, now: float) -> None:
        """Take in a sealed entry; safety goes out at once, what is due already too."""
        if not self._backlog.append(entry, now):
            return
        if entry.due is None:
            self._send_safety(entry)
        else:
            self._move(now)

    def add_timing(self, timing: SegmentTiming, now: float) -> None:
        """Take in where a segment lies. Parts are within their segment and change nothing here."""
        if timing.part is None:
            self._path.lay(timing)
            self._move(now, changed=True)

    def set_state(self, state: StreamState, now: float) -> None:
        """Take in what the stream is; who subscribed before it was known is put where it belongs."""
        was_unknown, self._edge.state = self._edge.state is None, state
        self._move(now, changed=True)
        if was_unknown and not state.live:
            for subscriber in [one for one in self.subscribers.values() if one.cohort == _VIEWERS]:
                self.leave(subscriber)
                self.join(subscriber, now)

    def open(self, opened: Opened, now: float) -> None:
        """Move the frontier to what the relay opened."""
        if self._edge.open(opened, now):
            self._move(now, changed=True)

    def set_epoch(self, epoch: str) -> bool:
        """Take in the log's epoch; return True if another one was known: offsets begin anew."""
        changed = self.epoch is not None and self.epoch != epoch
        self.epoch = epoch
        if changed:
            self._backlog.clear()
            for cohort in self._cohorts.values():
                cohort.cursor = Cursor(-1, cohort.cursor.upto, -1)
        return changed

    # Who listens.

    def join(self, subscriber: Subscriber, now: float) -> None:
        """Subscribe somebody. Live, from the frontier as it stands; VOD viewers from the first segment."""
        self._move(now)
        if subscriber.mode == "edge":
            cohort = self._cohorts[_EDGE]
        elif self._edge.state is None or self._edge.state.live:
            cohort = self._cohorts[_VIEWERS]
        else:
            cohort = Cohort(self._next_cohort, VodClock(self._edge, self._path, now), self._backlog)
            self._cohorts[cohort.number] = cohort
            self._next_cohort += 1
        subscriber.cohort = cohort.number
        self.subscribers[subscriber.number] = subscriber
        cohort.add(subscriber)
        self._advance(cohort, now)

    def leave(self, subscriber: Subscriber) -> None:
        """Unsubscribe somebody; who is not subscribed stays so."""
        self.subscribers.pop(subscriber.number, None)
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is not None:
            cohort.remove(subscriber)
            if cohort.number >= _FIRST_OWN:
                del self._cohorts[cohort.number]
                self._agenda.put(cohort.number, None)
        subscriber.start_over()

    def fall_behind(self, subscriber: Subscriber, since: Cursor | None = None) -> None:
        """Take somebody out of the hot set who cannot be written to; what is due meanwhile is owed from `since`."""
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is not None and subscriber.behind is None:
            cohort.remove(subscriber)
            subscriber.behind = since or cohort.cursor
            subscriber.owed = deque()

    def next_owed(self, subscriber: Subscriber, now: float) -> Entry | None:
        """Return the next entry for somebody who is behind; None when it has caught up and is back in the hot set."""
        cohort = self._cohorts.get(subscriber.cohort)
        if cohort is None or subscriber.behind is None or subscriber.owed is None:
            return None
        if not subscriber.owed:
            # The last piece is out, so what it led up to counts as sent; perhaps more has fallen due meanwhile.
            subscriber.behind = subscriber.target or subscriber.behind
            self._advance(cohort, now)
            owed, subscriber.target = cohort.owed_to(subscriber)
            subscriber.owed.extend(owed)
            if not owed:
                subscriber.catch_up()
                cohort.add(subscriber)
                self._schedule(cohort)
                return None
        return subscriber.owed.popleft()

    # What comes out.

    def take_deliveries(self) -> list[Delivery]:
        """Return what is to be written, in order, and forget it."""
        taken, self._deliveries = self._deliveries, []
        return taken

    def next_deadline(self) -> float | None:
        """Return the bus time at which `timer` is to be called, None if nothing will be due by itself."""
        instants = [instant for instant in (self._agenda.next(), self._stalls_at()) if instant is not None]
        return min(instants, default=None)

    def timer(self, now: float) -> None:
        """Move those whose instant has come."""
        for number in self._agenda.take(now):
            self._advance(self._cohorts[number], now)
        self._judge(now)

    @property
    def sync(self) -> Sync:
        """Return whether what is out is known: ok, lost, or waiting for the first opening."""
        return self._edge.sync

    def cursor_of(self, subscriber: Subscriber) -> Cursor | None:
        """Return what a subscriber has been sent, None if it is not subscribed."""
        if subscriber.behind is not None:
            return subscriber.behind
        cohort = self._cohorts.get(subscriber.cohort)
        return cohort.cursor if cohort is not None else None

    def behind_ms(self, subscriber: Subscriber, now: float) -> int | None:
        """Return how much playlist time lies between a subscriber and the newest opened picture, None if unknown."""
        cohort, end = self._cohorts.get(subscriber.cohort), self._edge.end_x
        if cohort is None or end is None:
            return None
        if not isinstance(cohort.clock, LiveClock | VodClock):
            return 0
        position = cohort.clock.position(now)
        return None if position is None else max(0, end - position) // TICKS_PER_MS

    def _send_safety(self, entry: Entry) -> None:
        everybody = tuple(self.subscribers.values())
        if entry.o == self._backlog.through:
            for cohort in self._cohorts.values():
                cohort.count_safety(entry)
            for subscriber in everybody:
                if subscriber.behind is not None:
                    subscriber.behind = subscriber.behind._replace(o=max(subscriber.behind.o, entry.o))
        if everybody:
            self._deliveries.append(Delivery(everybody, (entry,), self._cohorts[_EDGE].cursor, safety=True))

    def _move(self, now: float, *, changed: bool = False) -> None:
        """Bring every cohort to its frontier; `changed` says that frontiers may have moved by more than time."""
        for cohort in list(self._cohorts.values()):
            if changed:
                cohort.clock.moved(now)
            self._advance(cohort, now)
        self._judge(now)

    def _advance(self, cohort: Cohort, now: float) -> None:
        self._deliveries.extend(cohort.advance(now))
        self._schedule(cohort)

    def _schedule(self, cohort: Cohort) -> None:
        self._agenda.put(cohort.number, cohort.next_instant())

    def _stalls_at(self) -> float | None:
        # Only what will change something is a deadline.
        return self._edge.stalls_at() if self.may_wager else None

    def _judge(self, now: float) -> None:
        """Decide whether bets may be taken: not while lockstep is lost, nor while a live picture stands still."""
        stalls_at = self._edge.stalls_at()
        self.may_wager = self._edge.sync == "ok" and (stalls_at is None or now < stalls_at)
