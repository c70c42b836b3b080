"""Those who share one frontier and have been sent the same: computed once, encoded once per filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.backlog import Backlog, newest_revisions
from hub.cursor import NOTHING_SENT, Cursor

if TYPE_CHECKING:
    from hub.frontier import Clock
    from hub.subscriber import Filter, Subscriber
    from kernel.cues import Entry
    from kernel.timeline import MediaTime


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes to whom in one flush; all of `to` have the same filter.

    `before` is where they stood, for those who cannot take it all at once. `safety` goes to paused sockets too.
    """

    to: tuple[Subscriber, ...]
    entries: tuple[Entry, ...]
    before: Cursor
    safety: bool = False


class Cohort:
    """Deliver by the one rule: an entry is owed when its due time lies before the frontier."""

    def __init__(self, number: int, clock: Clock, backlog: Backlog) -> None:
        self.number = number
        self.clock = clock
        self.cursor: Cursor = NOTHING_SENT
        self._backlog = backlog
        self._members: dict[Filter, dict[int, Subscriber]] = {}

    def __bool__(self) -> bool:
        return bool(self._members)

    def add(self, subscriber: Subscriber) -> None:
        """Make somebody a member who has been sent what this cohort has."""
        self._members.setdefault(subscriber.filter, {})[subscriber.number] = subscriber

    def remove(self, subscriber: Subscriber) -> None:
        """Let somebody go; who is no member stays none."""
        members = self._members.get(subscriber.filter)
        if members is not None:
            members.pop(subscriber.number, None)
            if not members:
                del self._members[subscriber.filter]

    def advance(self, now: float) -> list[Delivery]:
        """Move to the frontier at `now`; return what the members are owed for it."""
        before, frontier = self.cursor, self.clock.frontier(now)
        owed = self._backlog.owed(before, frontier)
        self.cursor = self._moved(before, owed, frontier)
        if not owed or not self._members:
            return []
        newest = newest_revisions(owed)
        return [
            Delivery(tuple(members.values()), chosen, before)
            for wanted, members in self._members.items()
            if (chosen := tuple(entry for entry in newest if wanted.passes(entry)))
        ]

    def owed_to(self, subscriber: Subscriber) -> tuple[list[Entry], Cursor]:
        """Return what one who is behind needs to stand where the cohort stands, and that place."""
        assert subscriber.behind is not None  # asked only for those outside the cohort
        owed = self._backlog.owed(subscriber.behind, self.cursor.upto)
        return [entry for entry in newest_revisions(owed) if subscriber.filter.passes(entry)], self.cursor

    def count_safety(self, entry: Entry) -> None:
        """Take note that safety was sent to all."""
        self.cursor = self.cursor._replace(o=max(self.cursor.o, entry.o))

    def next_instant(self) -> float | None:
        """Return when the frontier passes the next waiting entry, None if that takes another opening."""
        due = self._backlog.next_due(self.cursor.upto) if self._members else None
        return self.clock.passes_at(due) if due is not None else None

    def _moved(self, before: Cursor, owed: list[Entry], frontier: MediaTime) -> Cursor:
        highest = max((entry.o for entry in owed), default=-1)
        return Cursor(max(before.o, highest), frontier, self._backlog.head)
