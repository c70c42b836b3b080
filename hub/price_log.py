"""The prices of a stream's log. They are thinned out instead of counted: 500 markets can change 10,000 times a second.

Of what everyone has passed, the newest price of each market and while stays, the while being as long as it must be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.floors import price_market_of
from hub.ledger import Ledger
from kernel.pts import TICKS_PER_S

if TYPE_CHECKING:
    from kernel.timeline import MediaTime

WHILES_S = (1, 4, 16, 64, 256, 1024, 1 << 20)

MANY = 5
"""So many times the limit are too many even before everyone has passed them: the picture stands still, the vendor does
not. Whoever comes to them finds the newest of each while, as if the others had been conflated."""


class PriceLog(Ledger):
    """Keep prices, thinned out beyond `max_prices`."""

    def __init__(self, max_prices: int) -> None:
        super().__init__()
        self._max_prices = self._thin_beyond = max_prices
        self._while = 0

    def thin(self, passed: MediaTime) -> None:
        """Thin out what lies before `passed`, which everyone has passed, if there are too many of them.

        Amortised: it runs when the number has doubled since.
        """
        if len(self.log) <= self._thin_beyond:
            return
        too_many = len(self.log) > MANY * self._max_prices
        kept = self._newest(passed, too_many=too_many)
        while self._while < len(WHILES_S) - 1 and len(kept) > self._max_prices // 2:
            ahead = 0 if too_many else len(self.by_due) - self._index(passed)
            if len(kept) - ahead <= self._max_prices // 2:
                break  # a longer while would not help: most of them nobody has seen yet
            self._while += 1
            kept = self._newest(passed, too_many=too_many)
        self.keep([entry.o in kept for entry in self.log])
        self._thin_beyond = max(self._max_prices, 2 * len(self.log))

    def _newest(self, passed: MediaTime, *, too_many: bool) -> set[int]:
        while_ticks = WHILES_S[self._while] * TICKS_PER_S
        end = len(self.by_due) if too_many else self._index(passed)
        newest: dict[tuple[str | None, int, int], int] = {}
        for entry in self.by_due[:end]:
            due = entry.due
            assert due is not None  # prices are locked
            newest[price_market_of(entry.cue), due.timeline, due.pts // while_ticks] = entry.o
        kept = set(newest.values())
        kept.update([entry.o for entry in self.by_due[end:]])
        return kept
