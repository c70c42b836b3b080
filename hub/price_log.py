"""The prices of a stream's log. They are thinned out instead of counted: 500 markets can change 10,000 times a second.

Of what everyone has passed, the newest price of each market and while stays, the while being as long as it must be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

from hub.floors import price_market_of
from hub.ledger import Ledger
from kernel.pts import TICKS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernel.cues import Entry
    from kernel.timeline import MediaTime

WHILES_S = (1, 4, 16, 64, 256, 1024, 1 << 20)

PIECE = 1_000
"""How many entries are looked at in one go: a millisecond."""

MANY = 5
"""So many times the limit are too many even before everyone has passed them: the picture stands still, the vendor does
not. Whoever comes to them finds the newest of each while, as if the others had been conflated."""


@dataclass(slots=True)
class _Pass:
    """One walk over the log, newest first, piece by piece; what comes meanwhile lies behind it.

    `due_at` and `log_at` are how many entries of either list have not been looked at, `log_at` None as long as the
    first is not through. `seen` says of which market and while the newest was met, `gone` the offsets of all others.
    """

    due_at: int
    too_many: bool
    while_ticks: int
    log_at: int | None = None
    seen: set[tuple[str | None, int, int]] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)


class PriceLog(Ledger):
    """Keep prices, thinned out beyond `max_prices`."""

    def __init__(self, max_prices: int) -> None:
        super().__init__()
        self._max_prices = self._thin_beyond = max_prices
        self._while = 0
        self._pass: _Pass | None = None

    def thin(self, passed: MediaTime, limit: int | None = None) -> None:
        """Thin out what lies before `passed`, which everyone has passed, if there are too many of them.

        Amortised: it begins when the number has doubled since.

        Args:
            passed: a media time.
            limit: at about how many entries it looks before others have their turn; the next call goes on. None: all.
        """
        left = limit
        while left is None or left > 0:
            if self._pass is None and len(self.log) > self._thin_beyond:
                self._begin(passed, too_many=len(self.log) > MANY * self._max_prices)
            if self._pass is None:
                return
            looked_at = self._look(self._pass, PIECE if left is None else min(PIECE, left))
            if left is not None:
                left -= max(1, looked_at)
            if self._pass.log_at == 0:
                self._end(self._pass, passed)

    def keep(self, wanted: Sequence[bool]) -> None:
        """Forget every entry of the log that is not wanted; a walk over it begins anew."""
        self._pass = None
        super().keep(wanted)

    def _begin(self, passed: MediaTime, *, too_many: bool) -> None:
        end = len(self.by_due) if too_many else self._index(passed)
        self._pass = _Pass(end, too_many, WHILES_S[self._while] * TICKS_PER_S)

    def _look(self, walk: _Pass, count: int) -> int:
        """Take the replaced ones out of the next piece of one of the lists; return how many were looked at."""
        if walk.due_at > 0:
            low = max(0, walk.due_at - count)
            piece = self.by_due[low : walk.due_at]
            self.by_due[low : walk.due_at] = [one for one in reversed(piece) if _is_newest(one, walk)][::-1]
            walk.due_at = low
            return len(piece)
        # The list is not looked at by its length: what has come since the walk began is wanted.
        end = walk.log_at = len(self.log) if walk.log_at is None else walk.log_at
        low, gone = max(0, end - count), walk.gone
        wanted = [one.o not in gone for one in self.log[low:end]]
        self.log[low:end] = compress(self.log[low:end], wanted)
        self.arrivals[low:end] = compress(self.arrivals[low:end], wanted)
        walk.log_at = low
        return len(wanted)

    def _end(self, walk: _Pass, passed: MediaTime) -> None:
        """Judge whether the whiles must be longer, and go on with those then."""
        self._pass = None
        many = self._max_prices // 2
        # A longer while would not help where most of them nobody has seen yet.
        ahead = 0 if walk.too_many else len(self.by_due) - self._index(passed)
        if self._while < len(WHILES_S) - 1 and len(self.log) - ahead > many:
            self._while += 1
            self._begin(passed, too_many=walk.too_many)
        else:
            self._thin_beyond = max(self._max_prices, 2 * len(self.log))


def _is_newest(entry: Entry, walk: _Pass) -> bool:
    """Return whether an entry is the first of its market and while that a walk comes to; it is noted as met or gone."""
    due = entry.due
    assert due is not None  # prices are locked
    key = (price_market_of(entry.cue), due.timeline, due.pts // walk.while_ticks)
    if key in walk.seen:
        walk.gone.add(entry.o)
        return False
    walk.seen.add(key)
    return True
