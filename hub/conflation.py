"""Prices that wait for newer ones: of each market the newest goes out, once an interval. Nothing else ever waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.backlog import place_of
from hub.floors import market_of, version_of
from kernel.cues import CueType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernel.cues import Entry
    from kernel.timeline import MediaTime


class Conflation:
    """Hold prices back for up to `interval_s` seconds; with 0 none is held."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.flush_at = 0.0
        """The bus time from which what waits may go."""
        self.held: MediaTime | None = None
        """A due time that nothing which waits lies before, None if nothing waits."""
        self._waiting: dict[str, Entry] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def waiting(self) -> list[Entry]:
        """Return what waits, in the order of (due, o)."""
        return sorted(self._waiting.values(), key=place_of)

    def hold(self, chosen: Sequence[Entry], now: float) -> list[Entry]:
        """Take in what is due; return what goes on at once: all but prices."""
        at_once = []
        for entry in chosen:
            mid = market_of(entry.cue.body) if entry.cue.type is CueType.PRICE else None
            if mid is None:
                at_once.append(entry)
                continue
            if not self._waiting:
                self.flush_at = max(now, self.flush_at)
            due = place_of(entry)[0]
            self.held = due if self.held is None else min(due, self.held)
            known = self._waiting.get(mid)
            if known is None or _age(known) < _age(entry):
                self._waiting[mid] = entry
        return at_once

    def release(self, now: float) -> list[Entry]:
        """Return what has waited long enough, and forget it."""
        if not self._waiting or now < self.flush_at:
            return []
        released = self.waiting()
        self.forget()
        self.flush_at = now + self.interval_s
        return released

    def forget(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self.held = None


def newest_prices(entries: list[Entry]) -> list[Entry]:
    """Return the entries without the prices that a newer one of the same market among them replaces."""
    newest: dict[str | None, Entry] = {}
    for entry in entries:
        if entry.cue.type is CueType.PRICE:
            mid = market_of(entry.cue.body)
            if mid not in newest or _age(newest[mid]) < _age(entry):
                newest[mid] = entry
    return [one for one in entries if one.cue.type is not CueType.PRICE or newest[market_of(one.cue.body)] is one]


def _age(price: Entry) -> tuple[int, int]:
    """Order the prices of one market: by `ver`, whichever comes or is due first."""
    return (version_of(price.cue.body), price.o)
