"""All cohorts of one stream: those that many share, those of one, and when each of them is next due.

Every cohort moves through here, so that what it delivers, when it is looked at again, and what an entry or an opening
has to do with it are in step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.agenda import Agenda
from hub.apart import Apart
from hub.cohort import Cohort, Delivery
from hub.cursor import NOTHING_SENT
from hub.curtain import Curtains
from hub.frontier import EdgeClock, LiveClock, RealtimeClock, TrailingClock
from kernel.timeline import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.backlog import Backlog
    from hub.floors import Floors
    from hub.frontier import Clock, Edge
    from hub.path import Path
    from hub.subscriber import Mode
    from kernel.blackouts import ZoneSet
    from kernel.cues import Entry
    from kernel.timeline import MediaTime, SegmentTiming

GRAIN_S = 0.02
"""How far a cohort may lag behind its frontier, in seconds, where somebody joins or has caught up and nothing is due in
between: only the place that a cursor names is older by that. 10,000 who come back in 6 s are 33 a grain."""


class Cohorts:
    """Keep the cohorts of one stream and move them.

    Args:
        edge: what is out.
        path: the segments end to end.
        backlog: the stream's log.
        floors: what is not sent any more.
    """

    def __init__(self, edge: Edge, path: Path, backlog: Backlog, floors: Floors) -> None:
        self._backlog = backlog
        self._floors = floors
        self._agenda: Agenda[float] = Agenda()
        self._deliveries: list[Delivery] = []
        self.live = LiveClock(edge, path)
        """That of an honest player of a live stream."""
        self._clocks: dict[Mode, Clock] = {"edge": EdgeClock(edge), "viewer": self.live, "realtime": RealtimeClock()}
        self._all: dict[int, Cohort] = {}
        self._shared: dict[tuple[Mode, int, ZoneSet], Cohort] = {}
        self._curtains = Curtains()
        self._drawn: list[Cohort] = []
        self._apart = Apart()
        self._next_number = 0
        self._moved_at: float | None = None
        self._safety_o = -1
        for mode in self._clocks:
            self.share(mode, 0)
        self._trail = self.found(TrailingClock(self.live, edge, path), 0, shared=True)

    def __getitem__(self, number: int) -> Cohort:
        return self._all[number]

    def get(self, number: int) -> Cohort | None:
        """Return a cohort by its number, None if it has gone."""
        return self._all.get(number)

    def share(self, mode: Mode, conflate_ms: int, zones: ZoneSet = (), now: float = 0.0) -> Cohort:
        """Return the cohort of all with this mode, rate and zone set, made at `now` when the first one comes."""
        cohort = self._shared.get((mode, conflate_ms, zones))
        if cohort is None:
            cohort = self.found(self._clocks[mode], conflate_ms, zones, shared=True, trading=mode == "realtime")
            self._shared[mode, conflate_ms, zones] = cohort
            if conflate_ms or zones:
                cohort.begin_at(self._shared[mode, 0, ()].cursor, now)
        return cohort

    def found(
        self, clock: Clock, conflate_ms: int, zones: ZoneSet = (), *, shared: bool = False, trading: bool = False
    ) -> Cohort:
        """Return a new cohort; one that is not shared is for a single subscriber, and goes with it."""
        number, self._next_number = self._next_number, self._next_number + 1
        cohort = self._all[number] = Cohort(
            number, clock, self._backlog, self._floors, conflate_ms=conflate_ms, shared=shared, trading=trading,
            curtain=self._curtains.of(zones),
        )  # fmt: skip
        if not shared:
            # A newcomer's snapshot tells of all safety before it, and nothing that is due before the beginning.
            cohort.cursor = NOTHING_SENT._replace(o=self._safety_o, seen=self._backlog.head)
            self._apart.put(cohort, waits_for_opening=True)
        return cohort

    def begin(self, clock: Clock, conflate_ms: int, now: float, zones: ZoneSet = ()) -> Cohort:
        """Return a new cohort of one that stands at its frontier; what lies before is for a snapshot to tell."""
        cohort = self.found(clock, conflate_ms, zones)
        if (base := self._not_beyond(cohort.frontier(now), now)) is not None:
            cohort.cursor = base.cursor
        self.advance(cohort, now)
        return cohort

    def drop(self, cohort: Cohort) -> None:
        """Forget a cohort of one."""
        del self._all[cohort.number]
        self._apart.remove(cohort.number)
        self._agenda.put(cohort.number, None)

    def drop_zones(self, zones: ZoneSet) -> None:
        """Forget what was kept for a zone set that nobody is in any more."""
        for key in [one for one in self._shared if one[2] == zones]:
            self.drop(self._shared.pop(key))
        self._curtains.drop(zones)

    def viewers(self) -> list[Cohort]:
        """Return those in which live viewers are that do not report."""
        return [cohort for (mode, _, _), cohort in self._shared.items() if mode == "viewer"]

    def passed_by_all(self) -> MediaTime:
        """Return the media time that all who share a frontier have passed."""
        return min(self._shared["edge", 0, ()].cursor.upto, self._shared["viewer", 0, ()].cursor.upto)

    def base_for(self, cohort: Cohort, now: float) -> Cohort | None:
        """Return the cohort on whose state that of a cohort of one can be built: one that has not come further."""
        return None if cohort.shared else self._not_beyond(cohort.cursor.upto, now)

    def _not_beyond(self, upto: MediaTime, now: float) -> Cohort | None:
        self.advance(self._trail, now)
        found = (self._shared["viewer", 0, ()], self._trail)
        return next((base for base in found if BEGINNING < base.cursor.upto <= upto), None)

    # What happens.

    def lay(self, timing: SegmentTiming) -> None:
        """Take in which segment lies where: it may be dark for some."""
        self._curtains.lay(timing)

    def take(self, entries: Sequence[Entry], now: float) -> None:
        """Take in the newest entries of the log, one at least; only those are asked whom they may concern."""
        first = min([entry.due for entry in entries if entry.due is not None])
        for cohort in (*self._shared.values(), self._trail):
            if delivered := cohort.take(entries, now, first):
                self._deliveries.extend(delivered)
            if cohort.is_due_sooner:
                self.schedule(cohort)
        for cohort in self._apart.concerned(first):
            self._deliveries.extend(cohort.take(entries, now, first))
            self.schedule(cohort)

    def count_safety(self, entry: Entry) -> None:
        """Take note that safety was sent to all, and that nothing below it is on its way."""
        self._safety_o = entry.o
        for cohort in self._all.values():
            cohort.count_safety(entry)

    def send(self, delivery: Delivery) -> None:
        """Deliver something behind what is due already."""
        self._deliveries.append(delivery)

    def begin_anew(self) -> None:
        """Forget what was sent: the log's epoch has changed."""
        self._safety_o = -1
        for cohort in self._all.values():
            cohort.begin_anew()

    def move(self, now: float, *, whole: bool = False, since: float | None = None) -> None:
        """Bring those to their frontier whom a change of the edge, the path or the stream's state may have moved.

        Args:
            now: bus time.
            whole: whether that concerns everybody: the stream has begun or ended.
            since: when it changed, in bus time; None: now.
        """
        self._moved_at = now
        for cohort in (*self._shared.values(), *(self._apart if whole else self._apart.watchful())):
            cohort.clock.moved(now)
            self.look_again(cohort, now, since)

    def move_shared(self, now: float) -> bool:
        """Bring those who share one to their frontier; return False if they are there already."""
        if self._is_close(self._moved_at, now):
            return False
        self._moved_at = now
        for cohort in self._shared.values():
            self.advance(cohort, now)
        return True

    def advance(self, cohort: Cohort, now: float) -> None:
        """Bring a cohort to its frontier, once in an instant."""
        if cohort.moved_at != now:
            self.look_again(cohort, now)

    def approach(self, cohort: Cohort, now: float) -> None:
        """Bring a cohort to its frontier, or so close that nothing lies between."""
        if not self._is_close(cohort.moved_at, now):
            self.look_again(cohort, now)

    def _is_close(self, moved_at: float | None, now: float) -> bool:
        """Tell whether who was moved at an instant need not be moved again: thousands who come back do so together."""
        if moved_at is None or now - moved_at >= GRAIN_S:
            return False
        due = self._agenda.next()
        return due is None or due > now

    def look_again(self, cohort: Cohort, now: float, since: float | None = None) -> None:
        """Bring a cohort to its frontier, which may have moved within this instant, or at `since`."""
        cohort.moved_at = now
        was = cohort.veil
        # A reported playhead may come past the dark in one step: what it was shown meanwhile was another stream.
        comes_out = cohort.comes_past_dark(now) or (was is not None and not cohort.is_veiled(now))
        if comes_out:
            # What was dark meanwhile is no cue for them any more: a snapshot will tell what came of it.
            cohort.release()
        instant = self._agenda.at(cohort.number)
        if instant is not None and instant < (now if since is None else since):
            since = instant  # The timer was about to say so.
        self._deliveries.extend(cohort.advance(now, now if since is None else since))
        if comes_out:
            cohort.stop_waiting()
        if cohort.veil is not was or comes_out:
            self._drawn.append(cohort)
        self.schedule(cohort)

    def schedule(self, cohort: Cohort) -> None:
        """Take note of when a cohort is next due."""
        self._agenda.put(cohort.number, cohort.next_instant())
        if not cohort.shared:
            waits = cohort.clock.waits_for_opening or cohort.curtain is not None
            self._apart.put(cohort, waits_for_opening=waits)

    def next_deadline(self) -> float | None:
        """Return the bus time of the next instant, None if nothing will be due by itself."""
        return self._agenda.next()

    def timer(self, now: float) -> None:
        """Move those whose instant has come."""
        for instant, number in self._agenda.take(now):
            self.look_again(self._all[number], now, instant)

    def take_drawn(self) -> list[Cohort]:
        """Return those for whom it has become dark, or light, or dark otherwise, and forget them."""
        taken, self._drawn = self._drawn, []
        return taken

    def take_deliveries(self) -> list[Delivery]:
        """Return what is to be written, in order, and forget it."""
        taken, self._deliveries = self._deliveries, []
        return taken
