"""The log of one stream as the hub keeps it: by offset, and by the media time at which entries fall due."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hub.cursor import Cursor
    from kernel.cues import Entry
    from kernel.timeline import MediaTime

_offset = attrgetter("o")


def _place(entry: Entry) -> tuple[MediaTime, int]:
    assert entry.due is not None  # only entries that have one are kept by due
    return (entry.due, entry.o)


class Backlog:
    """Keep a stream's entries and answer what of them is owed.

    Args:
        max_entries: how many entries are kept; the oldest go first.
        max_age_s: how long an entry is kept after it arrived, in seconds.
    """

    def __init__(self, *, max_entries: int, max_age_s: float) -> None:
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._log: list[Entry] = []
        self._arrivals: list[float] = []
        self._by_due: list[Entry] = []
        self._safety_head = -1
        self.head = -1
        """The highest offset of the log, safety aside."""
        self.through = -1
        """The offset up to which nothing can be on its way here any more: safety overtakes the log, which waits for
        the disk, so its offset counts only if it follows on, or once the log has passed it."""

    def __len__(self) -> int:
        return len(self._log)

    def append(self, entry: Entry, now: float) -> bool:
        """Take in an entry that arrived at `now`; return False for one whose offset is known already."""
        if entry.due is None:
            if entry.o <= self._safety_head:
                return False
            self._safety_head = entry.o
            if entry.o == self.through + 1:
                self.through = entry.o
            return True
        if entry.o <= self.head:
            return False
        self.head = entry.o
        self.through = max(self.through, entry.o)
        self._log.append(entry)
        self._arrivals.append(now)
        insort(self._by_due, entry, key=_place)
        self._trim(now)
        return True

    def owed(self, since: Cursor, frontier: MediaTime) -> list[Entry]:
        """Return what may be seen before `frontier` and does not count as sent, in the order of (due, o).

        Safety is not among it: it was sent when it arrived.
        """
        low = bisect_left(self._by_due, (since.upto, -1), key=_place)
        high = bisect_left(self._by_due, (frontier, -1), key=_place)
        owed = self._by_due[low:high]
        # Sealed after its picture was out: due already, but not known when the cursor was taken.
        late = [entry for entry in self._after(since.seen) if _place(entry)[0] < min(since.upto, frontier)]
        return sorted(late, key=_place) + owed if late else owed

    def next_due(self, frontier: MediaTime) -> MediaTime | None:
        """Return the due time of the first entry at or beyond `frontier`, or None if nothing waits."""
        index = bisect_left(self._by_due, (frontier, -1), key=_place)
        return self._by_due[index].due if index < len(self._by_due) else None

    def clear(self) -> None:
        """Forget everything: the log's epoch has changed."""
        self._log.clear()
        self._arrivals.clear()
        self._by_due.clear()
        self.head = self.through = self._safety_head = -1

    def _after(self, offset: int) -> Iterator[Entry]:
        return islice(self._log, bisect_right(self._log, offset, key=_offset), None)

    def _trim(self, now: float) -> None:
        stale = bisect_left(self._arrivals, now - self._max_age_s)
        surplus = len(self._log) - self._max_entries
        # A tenth at a time: the index by due is rebuilt once for many entries, not shifted for each.
        if max(stale, surplus) <= self._max_entries // 10:
            return
        keep = max(stale, surplus)
        del self._log[:keep]
        del self._arrivals[:keep]
        self._by_due = sorted(self._log, key=_place)


def newest_revisions(entries: Iterable[Entry]) -> list[Entry]:
    """Return, of entries that fall due together, only the newest revision of each id, in their order.

    What is left out counts as sent: whoever sees them together would only be told what no longer holds.
    """
    entries = list(entries)
    newest: dict[str, Entry] = {}
    for entry in entries:
        known = newest.get(entry.cue.id)
        if known is None or (known.cue.rev, known.o) < (entry.cue.rev, entry.o):
            newest[entry.cue.id] = entry
    return [entry for entry in entries if newest[entry.cue.id] is entry]
