"""The log of one stream as the hub keeps it: by offset, and by the media time at which entries fall due.

What is forgotten is remembered as a bound, so that a cursor either is owed what is here, or is told that it cannot be.
Prices alone are thinned out instead of counted: of what everyone has passed, the newest of each market and while stays.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from hub.floors import market_of, price_market_of
from hub.ledger import Ledger, merged, place_of
from hub.price_log import PriceLog
from kernel.cues import CueType, Op
from kernel.timeline import BEGINNING, MediaTime

if TYPE_CHECKING:
    from hub.cursor import Cursor
    from kernel.cues import Entry

MAX_SAFETY = 10_000
"""How many safety entries are kept for who comes back: one a second for three hours."""

THIN_AT_ONCE = 2_000
"""How many prices are looked at each time some have come: five for each that came, at most 3 ms of everybody's time."""

_offset = attrgetter("o")


class Backlog:
    """Keep a stream's entries and answer what of them is owed.

    Args:
        max_entries: how many entries are kept, prices not counted; the oldest go first.
        max_age_s: how long an entry is kept after it arrived, in seconds.
        max_prices: beyond how many prices they are thinned out.
    """

    def __init__(self, *, max_entries: int, max_age_s: float, max_prices: int = 20_000) -> None:
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._max_prices = max_prices
        self._facts = Ledger()
        self._prices = PriceLog(max_prices)
        self._revisions: dict[str, list[Entry]] = {}
        self._safety: list[Entry] = []
        self._base: dict[tuple[str, str | None, str, str], Entry] = {}
        # The highest that was forgotten: a cursor at or below any of these cannot be served whole.
        self._lost_o = self._lost_safety_o = -1
        self._lost_due = BEGINNING
        self.head = -1
        """The highest offset of the log, safety aside."""
        self.through = -1
        """The offset up to which nothing can be on its way here any more: safety overtakes the log, which waits for
        the disk, so its offset counts only if it follows on, or once the log has passed it."""

    def __len__(self) -> int:
        return len(self._facts) + len(self._prices)

    def append(self, entry: Entry, now: float) -> bool:
        """Take in an entry that arrived at `now`; return False for one whose offset is known already."""
        if entry.due is None:
            if self._safety and entry.o <= self._safety[-1].o:
                return False
            self._safety.append(entry)
            if len(self._safety) > MAX_SAFETY:
                self._lost_safety_o = self._safety.pop(0).o
            if entry.o == self.through + 1:
                self.through = entry.o
            return True
        if entry.o <= self.head:
            return False
        self.head = entry.o
        if entry.o > self.through:
            self.through = entry.o
            self._pass_safety()
        if price_market_of(entry.cue) is not None:
            self._prices.append(entry, now)
            return True
        self._facts.append(entry, now)
        if entry.cue.op is not Op.NEW or entry.cue.id in self._revisions:
            self._revisions.setdefault(entry.cue.id, []).append(entry)
        self._trim(now)
        return True

    def through_at(self, cursor: Cursor) -> int:
        """Return up to where a cursor counts all but safety that is due before it; -1: that is not known."""
        return self.through if cursor.seen >= self.head else -1

    def _pass_safety(self) -> None:
        """Count the safety that follows on the log: it may have overtaken it, as in a restart."""
        if self._safety and self._safety[-1].o > self.through:
            for entry in self._safety[bisect_right(self._safety, self.through, key=_offset) :]:
                if entry.o == self.through + 1:
                    self.through = entry.o

    def owed(self, since: Cursor, frontier: MediaTime) -> list[Entry]:
        """Return what may be seen before `frontier` and does not count as sent, in the order of (due, o).

        Safety is not among it: see `safety_after`.
        """
        return merged(*self.owed_apart(since, frontier))

    def owed_apart(self, since: Cursor, frontier: MediaTime) -> tuple[list[Entry], list[Entry]]:
        """Return the same as two lists, prices in the second: who conflates them need not have them in order."""
        return self._facts.owed(since, frontier), self._prices.owed(since, frontier)

    def safety_after(self, offset: int) -> list[Entry]:
        """Return the safety entries beyond an offset, of `inv` only the last of each market."""
        after = self._safety[bisect_right(self._safety, offset, key=_offset) :]
        last = {market_of(entry.cue.body): entry.o for entry in after if entry.cue.type is CueType.INV}
        return [one for one in after if one.cue.type is not CueType.INV or last[market_of(one.cue.body)] == one.o]

    def is_superseded(self, entry: Entry, frontier: MediaTime) -> bool:
        """Return whether a newer revision of the same fact lies before `frontier`: then this one is told no more."""
        revisions = self._revisions.get(entry.cue.id) if self._revisions else None
        return revisions is not None and any(
            _supersedes(other, entry) and other.due is not None and other.due < frontier for other in revisions
        )

    def covers(self, since: Cursor) -> bool:
        """Return whether everything that the cursor may be owed is still here."""
        if since.o < self._lost_safety_o:
            return False
        return self._lost_o < 0 or (since.o >= self._lost_o and since.upto > self._lost_due)

    def before(self, frontier: MediaTime) -> list[Entry]:
        """Return what a state as of `frontier` is made of: all that is due, and the last of what was forgotten."""
        base = [entry for entry in self._base.values() if entry.due is not None and entry.due < frontier]
        known = merged(self._facts.before(frontier), self._prices.before(frontier))
        return sorted(base, key=place_of) + known

    def next_due(self, frontier: MediaTime) -> MediaTime | None:
        """Return the due time of the first entry at or beyond `frontier`, or None if nothing waits."""
        fact, price = self._facts.next_due(frontier), self._prices.next_due(frontier)
        if fact is None or price is None:
            return price if fact is None else fact
        return min(fact, price)

    def waiting(self, frontier: MediaTime) -> int:
        """Return how many entries lie at or beyond `frontier`."""
        return self._facts.waiting(frontier) + self._prices.waiting(frontier)

    def thin(self, passed: MediaTime, now: float) -> None:
        """Thin out some of the prices before `passed`, which everyone has passed, and forget those that are too old."""
        self._prices.thin(passed, THIN_AT_ONCE)
        stale = self._prices.arrived_before(now - self._max_age_s)
        if stale > self._max_prices // 10:
            self._forget(self._prices.forget_first(stale))

    def clear(self) -> None:
        """Forget everything: the log's epoch has changed."""
        self.__init__(  # type: ignore[misc]
            max_entries=self._max_entries, max_age_s=self._max_age_s, max_prices=self._max_prices
        )

    def _trim(self, now: float) -> None:
        stale = self._facts.arrived_before(now - self._max_age_s)
        surplus = len(self._facts) - self._max_entries
        # A tenth at a time: the index by due is rebuilt once for many entries, not shifted for each.
        if max(stale, surplus) <= self._max_entries // 10:
            return
        self._forget(self._facts.forget_first(max(stale, surplus)))
        oldest = self._facts.log[0].o if self._facts else self.head + 1
        self._revisions = {
            id_: known
            for id_, revisions in self._revisions.items()
            if (known := [one for one in revisions if one.o >= oldest])
        }

    def _forget(self, gone: list[Entry]) -> None:
        """Remember of what is forgotten the last of each kind, and how far it reached."""
        for entry in gone:
            self._base[_subject(entry)] = entry
            self._lost_o = max(self._lost_o, entry.o)
            self._lost_due = max(self._lost_due, place_of(entry)[0])


def _subject(entry: Entry) -> tuple[str, str | None, str, str]:
    """Return what filters may tell an entry by: of what was forgotten the last of each is enough for any state."""
    team = entry.cue.body.get("team")
    return (
        entry.cue.type.value,
        market_of(entry.cue.body),
        team if isinstance(team, str) else "",
        entry.cue.id.partition(":")[0],
    )


def _is_nod(entry: Entry) -> bool:
    """Return whether an entry only says that what was told holds; whoever was not told still needs the telling."""
    return entry.cue.op is Op.CONFIRM and not entry.cue.body


def _supersedes(newer: Entry, older: Entry) -> bool:
    return not _is_nod(newer) and (newer.cue.rev, newer.o) > (older.cue.rev, older.o)


def newest_revisions(entries: list[Entry]) -> list[Entry]:
    """Return, of entries that fall due together, only the newest revision of each id, in their order.

    What is left out counts as sent: whoever sees them together would only be told what no longer holds.
    """
    if len(entries) < 2:
        return entries
    newest: dict[str, Entry] = {}
    for entry in entries:
        known = newest.get(entry.cue.id)
        if known is None or _supersedes(entry, known):
            newest[entry.cue.id] = entry
    return [entry for entry in entries if not _supersedes(newest[entry.cue.id], entry)]
