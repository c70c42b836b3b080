"""Prices that wait for newer ones: of each market the newest goes out, once an interval. Nothing else ever waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.floors import price_market_of, version_of
from hub.ledger import place_of
from kernel.cues import Op

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        self._vers: dict[str, int] = {}
        self._round_at: float | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def waiting(self) -> list[Entry]:
        """Return what waits, in the order of (due, o)."""
        return sorted(self._waiting.values(), key=place_of)

    def hold(self, chosen: Sequence[Entry], now: float) -> list[Entry]:
        """Take in what is due; return what goes on at once: all but prices."""
        at_once, waiting, vers, held = [], self._waiting, self._vers, self.held
        if not waiting:
            self.flush_at = max(now, self.flush_at)
        for entry in chosen:
            body = entry.cue.body
            price = body.get("price")
            if entry.cue.op is Op.NEW and type(price) is dict and len(body) == 1 and "mid" in price and "ver" in price:
                # As most are, twenty thousand at the opening of a segment: nothing else need be asked.
                mid, ver = price["mid"], price["ver"]
            else:
                mid, ver = price_market_of(entry.cue), version_of(body)
            if mid is None:
                at_once.append(entry)
                continue
            due = entry.due
            assert due is not None  # safety never comes here
            if held is None or due < held:
                held = due
            known = vers.get(mid)
            if known is None or known < ver or (known == ver and waiting[mid].o < entry.o):
                waiting[mid], vers[mid] = entry, ver
        self.held = held
        return at_once

    def release(self, now: float, share: Iterable[str] | None = None) -> list[Entry]:
        """Return what has waited long enough, and forget it.

        Args:
            now: bus time.
            share: of which markets; all else may go at the next call, in the same round. None: all that is left.
        """
        if not self._waiting or now < self.flush_at:
            return []
        began, self._round_at = now if self._round_at is None else self._round_at, None
        if share is None:
            released = self.waiting()
            self.forget()
        else:
            waiting = self._waiting
            released = sorted([waiting.pop(mid) for mid in share if mid in waiting], key=place_of)
            for entry in released:
                del self._vers[price_market_of(entry.cue) or ""]
        if self._waiting:
            self._round_at = began
        else:
            self.held = None
            # A round that takes long must not be followed by another at once.
            self.flush_at = max(began + self.interval_s, now + self.interval_s / 2)
        return released

    def forget(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._vers.clear()
        self.held = None


def newest_prices(entries: list[Entry]) -> list[Entry]:
    """Return the entries without the prices that a newer one of the same market among them replaces."""
    newest: dict[str, Entry] = {}
    mids = [price_market_of(entry.cue) for entry in entries]
    for mid, entry in zip(mids, entries, strict=True):
        if mid is not None and (mid not in newest or _age(newest[mid]) < _age(entry)):
            newest[mid] = entry
    return [one for mid, one in zip(mids, entries, strict=True) if mid is None or newest[mid] is one]


def _age(price: Entry) -> tuple[int, int]:
    """Order the prices of one market: by `ver`, whichever comes or is due first."""
    return (version_of(price.cue.body), price.o)
