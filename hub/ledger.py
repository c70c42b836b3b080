"""Entries by offset and by the media time at which they fall due: what the backlog keeps of one kind."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.cursor import Cursor
    from kernel.cues import Entry
    from kernel.timeline import MediaTime

Place = tuple["MediaTime", int]
_offset = attrgetter("o")


def place_of(entry: Entry) -> Place:
    """Return where an entry stands in the order of delivery: (due, o)."""
    assert entry.due is not None  # safety has no place in that order
    return (entry.due, entry.o)


class Ledger:
    """Keep entries that rise in offset and arrival, and answer by due time."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.arrivals: list[float] = []
        self.by_due: list[Entry] = []

    def __len__(self) -> int:
        return len(self.log)

    def append(self, entry: Entry, now: float) -> None:
        """Take in an entry above all before it, which arrived at `now`."""
        self.log.append(entry)
        self.arrivals.append(now)
        by_due, due = self.by_due, entry.due
        assert due is not None  # safety has no place here
        last = by_due[-1].due if by_due else None
        # Its offset is above all others: where dues are equal it stands behind.
        if last is None or last <= due:
            by_due.append(entry)
        else:
            insort(by_due, entry, key=place_of)

    def owed(self, since: Cursor, frontier: MediaTime) -> list[Entry]:
        """Return what may be seen before `frontier` and does not count as sent, in the order of (due, o)."""
        low, high = self._index(since.upto), self._index(frontier)
        owed = self.by_due[low:high]
        if not self.log or since.seen >= self.log[-1].o:
            return owed
        # Sealed after its picture was out: due already, but not known when the cursor was taken.
        bound = min(since.upto, frontier)
        late = [
            entry
            for entry in self.log[bisect_right(self.log, since.seen, key=_offset) :]
            if entry.due is not None and entry.due < bound
        ]
        return sorted(late, key=place_of) + owed if late else owed

    def before(self, frontier: MediaTime) -> list[Entry]:
        """Return what is due before `frontier`, in the order of (due, o)."""
        return self.by_due[: self._index(frontier)]

    def next_due(self, frontier: MediaTime) -> MediaTime | None:
        """Return the due time of the first entry at or beyond `frontier`, None if there is none."""
        index = self._index(frontier)
        return self.by_due[index].due if index < len(self.by_due) else None

    def waiting(self, frontier: MediaTime) -> int:
        """Return how many entries lie at or beyond `frontier`."""
        return len(self.by_due) - self._index(frontier)

    def arrived_before(self, instant: float) -> int:
        """Return how many entries arrived before an instant."""
        return bisect_left(self.arrivals, instant)

    def forget_first(self, count: int) -> list[Entry]:
        """Forget the first so many, by offset; return them in the order of (due, o)."""
        gone = sorted(self.log[:count], key=place_of)
        self.keep([index >= count for index in range(len(self.log))])
        return gone

    def keep(self, wanted: Sequence[bool]) -> None:
        """Forget every entry of the log that is not wanted."""
        self.arrivals = [at for at, keep in zip(self.arrivals, wanted, strict=True) if keep]
        self.log = [entry for entry, keep in zip(self.log, wanted, strict=True) if keep]
        self.by_due = sorted(self.log, key=place_of)

    def _index(self, due: MediaTime) -> int:
        by_due = self.by_due
        # As a rule everything lies before: a bisection asks seventeen times.
        if not by_due or place_of(by_due[-1]) < (due, -1):
            return len(by_due)
        return bisect_left(by_due, (due, -1), key=place_of)


def merged(some: list[Entry], others: list[Entry]) -> list[Entry]:
    """Return two lists that are in the order of (due, o) as one that is."""
    if not some or not others:
        return some or others
    return sorted([*some, *others], key=place_of)
