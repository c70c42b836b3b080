"""Which sealed prices are still wanted: the newest so many, and of what is older the newest of each market.

A resume over a longer time is given prices compacted by market (PROTOCOL, promise 3): 500 markets that change 10,000
times a second would otherwise fill memory and disk with what nobody may ask for.
"""

from __future__ import annotations

from collections import deque

KEPT_PRICES = 20_000
"""40 of each of 500 markets."""


class PriceWindow:
    """Follow the prices of one log, in the order of their offsets.

    Args:
        keep: how many of the newest are wanted whatever they say.
    """

    def __init__(self, keep: int = KEPT_PRICES) -> None:
        self._keep = keep
        self._recent: deque[tuple[int, str]] = deque()
        self._newest: dict[str, int] = {}
        self._standing: dict[str, int] = {}
        self._replaced: list[int] = []

    def add(self, o: int, market: str) -> None:
        """Take in a price that was sealed."""
        self._newest[market] = o
        if market in self._standing:
            self._replaced.append(self._standing.pop(market))
        self._recent.append((o, market))
        if len(self._recent) > self._keep:
            old_o, old_market = self._recent.popleft()
            if self._newest[old_market] == old_o:
                self._standing[old_market] = old_o
            else:
                self._replaced.append(old_o)

    def take_replaced(self, at_least: int = 1) -> list[int]:
        """Return the offsets that are wanted no more, if there are so many, and forget them."""
        if len(self._replaced) < at_least:
            return []
        replaced, self._replaced = self._replaced, []
        return replaced
