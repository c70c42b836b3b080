"""Which of some entries are for whom. Most filters name a few of many markets: they are found by those, not asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.floors import market_of
from kernel.cues import CueClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.subscriber import Filter
    from kernel.cues import Entry

FEW = 4
"""Up to so many entries asking a filter about each is cheaper than sorting them by market."""


class Shares:
    """Divide entries, which keep their order, among filters."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._known: dict[Filter, tuple[Entry, ...]] = {}
        self._by_market: dict[str, list[int]] | None = None
        self._for_all: list[int] = []

    def of(self, wanted: Filter) -> tuple[Entry, ...]:
        """Return what a filter lets pass; looked for once."""
        share = self._known.get(wanted)
        if share is None:
            passes = wanted.passes
            share = self._known[wanted] = tuple([entry for entry in self._candidates(wanted) if passes(entry)])
        return share

    def _candidates(self, wanted: Filter) -> Sequence[Entry]:
        """Return the entries that a filter must be asked about: the others name markets that it does not."""
        if wanted.markets is None or len(self._entries) <= FEW:
            return self._entries
        by_market = self._by_market if self._by_market is not None else self._sort_out()
        indices = list(self._for_all)
        for mid in wanted.markets:
            indices += by_market.get(mid, ())
        return [self._entries[index] for index in sorted(indices)]

    def _sort_out(self) -> dict[str, list[int]]:
        by_market: dict[str, list[int]] = {}
        for index, entry in enumerate(self._entries):
            mid = market_of(entry.cue.body)
            if mid is None or entry.cue.cls is CueClass.SAFETY:
                self._for_all.append(index)
            else:
                by_market.setdefault(mid, []).append(index)
        self._by_market = by_market
        return by_market
