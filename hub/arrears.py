"""What is owed to those outside the hot set: who comes, comes back, was paused, or had too much due at once.

Each has a cursor of its own, a queue of what is written next, and a target: the cursor once all of it is written. Until
then a resume from its cursor repeats, it never loses. Only a bounded chunk of the log is handed out at a time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hub.cohort import CHUNK
from hub.cursor import read_cursor
from hub.ledger import merged
from hub.snapshot import ABOVE_ANY_FLOOR, Batch, Message, batches
from kernel.timeline import BEGINNING, END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hub.backlog import Backlog
    from hub.cohort import Cohort, Delivery
    from hub.floors import Floors
    from hub.subscriber import Subscriber
    from kernel.timeline import MediaTime


JOINS = ("new", "resumed", "epoch_changed", "window_exceeded", "filter_changed")
"""How somebody comes: anew, resumed, or with a cursor that cannot be resumed from."""


class Arrears:
    """Hand out what is owed on one stream.

    Args:
        backlog: the stream's log.
        floors: what is not sent any more.
        piece_bytes: about how large the pieces of a snapshot are.
    """

    def __init__(self, backlog: Backlog, floors: Floors, piece_bytes: int) -> None:
        self.epoch: str | None = None
        self._backlog = backlog
        self._floors = floors
        self._piece_bytes = piece_bytes

    def resume(self, subscriber: Subscriber, cur: str, opened: MediaTime) -> str | None:
        """Owe somebody what its cursor says; return why that cannot be proved whole, None if it can.

        `opened` is how far it may have come elsewhere: it may know more than its cursor, which is as old as the last
        heartbeat, but nothing beyond what is open. Before anything is, that is anybody's guess.
        """
        told = read_cursor(cur)
        if told is None or told.epoch != self.epoch:
            return "epoch_changed"
        if told.wanted != subscriber.wish:
            return "filter_changed"
        if not self._backlog.covers(told.cursor):
            return "window_exceeded"
        subscriber.behind = subscriber.known = subscriber.told = told.cursor
        subscriber.ahead = max(told.cursor.upto, opened) if opened > BEGINNING else END
        # One by one: safety is held by no floor, and joins no batch of what is.
        subscriber.owed = deque(Batch((each,), ABOVE_ANY_FLOOR) for each in self._backlog.safety_after(told.cursor.o))
        return None

    def place(self, resumed: Iterable[Subscriber], opened: MediaTime) -> None:
        """Take in what is open for those who came back when that was not known."""
        for subscriber in resumed:
            if subscriber.ahead == END and opened > BEGINNING:
                subscriber.ahead = opened if subscriber.known is None else max(subscriber.known.upto, opened)

    def tell_state(self, subscriber: Subscriber, cohort: Cohort, base: Cohort | None = None) -> None:
        """Owe somebody a snapshot, and what follows on it; `base` is as for `Cohort.state_of`."""
        subscriber.behind = subscriber.told = cohort.told
        subscriber.target = cohort.cursor
        subscriber.place = (cohort.cursor.upto, cohort.cursor.seen)
        subscriber.based = False
        subscriber.ahead = subscriber.known = None
        if not cohort.shared:
            cohort.known = None
        pieces = cohort.snapshot_for(subscriber, self.epoch or "", self._piece_bytes, base)
        subscriber.owed = deque((*pieces, *batches(cohort.waiting(subscriber))))

    def recall(self, subscriber: Subscriber, cohort: Cohort, why: str, base: Cohort | None = None) -> None:
        """Tell somebody who cannot be given all that is owed to begin anew from a snapshot."""
        self.tell_state(subscriber, cohort, base)
        assert subscriber.owed is not None  # the snapshot is in it
        subscriber.owed.appendleft(Message({"op": "resync", "why": why}))

    def set_aside(self, subscriber: Subscriber, cohort: Cohort, delivery: Delivery | None = None) -> None:
        """Take a member out of the hot set; it is owed this delivery, what waits to be conflated, and the rest."""
        waiting = cohort.waiting(subscriber)
        cohort.remove(subscriber)
        entries = delivery.entries if delivery is not None else ()
        subscriber.behind = delivery.before if delivery is not None else cohort.told
        subscriber.owed = deque()
        if len(entries) + len(waiting) <= CHUNK:
            # In the order of (due, o): what waited to be conflated may be due before what is due now.
            subscriber.owed.extend(batches(merged(list(entries), waiting)))
            subscriber.target = cohort.cursor
            subscriber.place = (cohort.cursor.upto, cohort.cursor.seen)

    def next(self, subscriber: Subscriber, cohort: Cohort, advance: Callable[[], None]) -> Batch | Message | None:
        """Return the next thing for somebody who is behind; None when nothing is left.

        Args:
            subscriber: who is behind.
            cohort: where it belongs.
            advance: brings the cohort to its frontier.
        """
        while subscriber.behind is not None and subscriber.owed is not None:
            while subscriber.owed:
                item = subscriber.owed.popleft()
                if isinstance(item, Message) or item.floor in (ABOVE_ANY_FLOOR, self._floors.version):
                    return item
                # The floor may have risen since this was owed.
                if still := self._above_floor(item):
                    return still
            if subscriber.target is not None and self._refill(subscriber, cohort):
                continue
            if subscriber.target is not None:
                # The last piece is out, so what it led up to counts as sent; perhaps more has fallen due meanwhile.
                subscriber.behind = subscriber.target._replace(o=max(subscriber.target.o, subscriber.behind.o))
                subscriber.target = subscriber.place = None
                subscriber.based = True
            advance()
            if not self._backlog.covers(subscriber.behind):
                self.recall(subscriber, cohort, "slow")
            elif cohort.hides(subscriber.behind.upto):
                self.recall(subscriber, cohort, "blackout")
            elif subscriber.behind.upto >= cohort.cursor.upto and subscriber.behind.seen >= cohort.cursor.seen:
                return None
            else:
                subscriber.target = cohort.cursor
        return None

    def _above_floor(self, batch: Batch) -> Batch | None:
        withhold = self._floors.withhold
        left = [one for one in batch.entries if not withhold(one.cue.type, one.cue.cls, one.cue.body)]
        return Batch(tuple(left), self._floors.version) if left else None

    def _refill(self, subscriber: Subscriber, cohort: Cohort) -> bool:
        """Hand out the next chunk on the way to the target; return False when there is none."""
        assert subscriber.target is not None  # the caller has seen to it
        assert subscriber.owed is not None  # it is behind
        while True:
            place = subscriber.place
            chunk = cohort.chunk(subscriber, subscriber.target)
            if chunk:
                subscriber.owed.extend(chunk)
                return True
            if subscriber.place == place:
                return False
            # Nothing of that chunk was for this subscriber.
