"""What is known of every market of a showing: the state, and whether it is open. What follows is `feeds/markets.py`.

Theory of operation. A market has a status for each source that quotes it (`AFTER` is the table). Each source may stop
all that it quotes at once (its *stop*) or be down (its *fall*). A market is open if every source that quotes it says
so, and has said so since its own last stop and since the last fall of every source that binds it. One counter, `ver`,
numbers every change in the order in which the changes came, so "since" is a comparison of two numbers.

What subscribers hold a market for is another matter: they were told that it is open (`open_ver`), and count it as
suspended once a floor lies above that: the market's own, or the one of a suspend that went out for the whole event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from kernel.value import Value, to_map

MAX_MARKETS = 20_000
"""A football match has 600 markets at a large bookmaker, cricket ball by ball some thousands."""


class Status(StrEnum):
    """What a source says of a market, in rising order of finality."""

    OPEN = "open"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    SETTLED = "settled"


_RANK = {status: rank for rank, status in enumerate(Status)}
_AS_SAID = {status: status for status in Status}

# What a source said before, what it says now, what holds then. A suspend says nothing of a market that is over.
AFTER: Mapping[Status | None, Mapping[Status, Status]] = {
    None: _AS_SAID,
    Status.OPEN: _AS_SAID,
    Status.SUSPENDED: _AS_SAID,
    Status.CLOSED: {**_AS_SAID, Status.SUSPENDED: Status.CLOSED},
    Status.SETTLED: {**_AS_SAID, Status.SUSPENDED: Status.SETTLED, Status.CLOSED: Status.SETTLED},
}


class MarketState(Value, frozen=True, gc=False):
    """What is kept of a market, as plain JSON once it is written: a price makes one, so it copies nothing."""

    quotes: Mapping[str, Quote]
    about: Mapping[str, Any]
    out: Mapping[str, int]
    priced_by: str | None
    floor: int
    floor_seq: int
    open_ver: int


class Kept(NamedTuple):
    """A piece of state to be put on disk together with the cue that tells it; a higher `ver` outranks a lower.

    `state` is None where the piece is gone.
    """

    key: str
    ver: int
    state: Mapping[str, Any] | MarketState | None


class Quote(NamedTuple):
    """The last word of one source on a market: `at` is when it says that this happened, in Unix seconds."""

    st: Status
    ver: int
    at: float | None


@dataclass(slots=True)
class Stop:
    """A source's stop or fall. While a fall lasts nothing opens; its `ver` is then moved up to the recovery's."""

    ver: int
    at: float | None
    lasts: bool = False


@dataclass(slots=True)
class Market:
    """One market. `out` holds its current odds, `floor_seq` the number of the message that raised its floor.

    Its maps are never changed but replaced: what is kept of it holds them as they were.
    """

    mid: str
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    out: Mapping[str, int] = field(default_factory=dict)
    priced_by: str | None = None
    floor: int = 0
    floor_seq: int = 0
    open_ver: int = 0


class MarketBook:
    """Hold the markets of one showing.

    Args:
        binds: for each monitored source, whether it binds "all" markets or its "own".
        next_ver: the first `ver` that may be used.
    """

    def __init__(self, *, binds: Mapping[str, str], next_ver: int = 1) -> None:
        self._binds = dict(binds)
        self.next_ver = next_ver
        self.markets: dict[str, Market] = {}
        self.stops: dict[str, Stop] = {}
        self.falls: dict[str, Stop] = {}
        self.wide: dict[tuple[str, str], int] = {}
        """Suspends that went out wider than they were meant, by source and market ("": all that the source quotes)."""
        self.floor = 0
        self.floor_seq = 0
        self.stopped_at: float | None = None
        """The UTC of the picture of the newest suspend."""

    def market(self, mid: str) -> Market:
        """Return a market, a new one if it is not known."""
        market = self.markets.get(mid)
        if market is None:
            market = self.markets[mid] = Market(mid)
            if len(self.markets) > MAX_MARKETS:
                del self.markets[next(iter(self.markets))]
        return market

    def take(self) -> int:
        """Return the next `ver`."""
        self.next_ver += 1
        return self.next_ver - 1

    def quote(self, market: Market, source: str, said: Status, at: float | None) -> int:
        """Note a source's word on a market; return its `ver`."""
        before, ver = market.quotes.get(source), self.take()
        market.quotes = {**market.quotes, source: Quote(AFTER[before.st if before else None][said], ver, at)}
        return ver

    def status(self, market: Market) -> Status:
        """Return what holds of a market, all sources taken together."""
        worst = Status.OPEN if market.quotes else Status.SUSPENDED
        for source, quote in market.quotes.items():
            stop = self.stops.get(source)
            stopped = quote.st is Status.OPEN and stop is not None and stop.ver > quote.ver
            worst = max(worst, Status.SUSPENDED if stopped else quote.st, key=_RANK.__getitem__)
        if worst is Status.OPEN and any(self._holds(source, fall, market) for source, fall in self.falls.items()):
            return Status.SUSPENDED
        return worst

    def is_out(self, market: Market) -> bool:
        """Return whether subscribers hold it for open, at the latest once they have seen every picture."""
        return market.open_ver > max(self.floor, market.floor)

    def is_overtaken(self, market: Market, seq: int) -> bool:
        """Return whether a suspend came in a later message: so it is where a restart hands out messages again."""
        return seq < max(self.floor_seq, market.floor_seq)

    def is_stale(self, market: Market, source: str, at: float | None, seq: int) -> bool:
        """Return whether an `open` is older than what it would undo."""
        if self.is_overtaken(market, seq):
            return True
        quote, stop = market.quotes.get(source), self.stops.get(source)
        undone = [quote.at if quote and quote.st is not Status.OPEN else None, stop.at if stop else None]
        undone += [fall.at for name, fall in self.falls.items() if name in market.quotes or self.binds_all(name)]
        return any(is_before(at, other) for other in undone)

    def binds_all(self, source: str) -> bool:
        """Return whether a source's silence concerns every market, and not only its own."""
        return self._binds.get(source) == "all"

    def _holds(self, source: str, fall: Stop, market: Market) -> bool:
        own = market.quotes.get(source)
        if own is None and not self.binds_all(source):
            return False
        words = [own] if own else list(market.quotes.values())
        return fall.lasts or not any(word.st is Status.OPEN and word.ver > fall.ver for word in words)

    # What goes to the disk, and comes back.

    def keep_market(self, market: Market, ver: int) -> Kept:
        """Return what to keep of a market."""
        state = MarketState(
            market.quotes, market.about, market.out, market.priced_by, market.floor, market.floor_seq, market.open_ver
        )
        return Kept(f"market/{market.mid}", ver, state)

    def keep_stop(self, source: str) -> Kept:
        """Return what to keep of a source's stop."""
        stop = self.stops[source]
        return Kept(f"stop/{source}", stop.ver, {"ver": stop.ver, "at": stop.at})

    def keep_fall(self, source: str) -> Kept:
        """Return what to keep of a source's fall."""
        fall = self.falls[source]
        return Kept(f"fall/{source}", fall.ver, {"ver": fall.ver, "at": fall.at, "lasts": fall.lasts})

    def keep_floor(self, ver: int) -> Kept:
        """Return what to keep of the event's floor."""
        return Kept("floor/", ver, {"floor": self.floor, "floor_seq": self.floor_seq, "at": self.stopped_at})

    def keep_wide(self, key: tuple[str, str], ver: int) -> Kept:
        """Return what to keep of a suspend that was sent wider than meant, or that there is none any more."""
        return Kept(f"wide/{key[0]}/{key[1]}", ver, {} if key in self.wide else None)

    def restore(self, rows: list[Kept]) -> None:
        """Take in what was kept before a restart, the newest piece of each key."""
        for key, ver, state in rows:
            self.next_ver = max(self.next_ver, ver + 1)
            kind, _, rest = key.partition("/")
            if state is None:
                continue
            if isinstance(state, MarketState):
                self.markets[rest] = _market_from_map(rest, to_map(state))
            elif kind == "market":
                self.markets[rest] = _market_from_map(rest, state)
            elif kind == "stop":
                self.stops[rest] = Stop(state["ver"], state["at"])
            elif kind == "fall":
                self.falls[rest] = Stop(state["ver"], state["at"], state["lasts"])
            elif kind == "wide":
                source, _, mid = rest.partition("/")
                self.wide[source, mid] = ver
            else:
                self.floor, self.floor_seq, self.stopped_at = state["floor"], state["floor_seq"], state["at"]


def is_before(one: float | None, other: float | None) -> bool:
    """Return whether one time lies before another, where both are known."""
    return one is not None and other is not None and one < other


def _market_from_map(mid: str, state: Mapping[str, Any]) -> Market:
    quotes = {source: Quote(Status(st), ver, at) for source, (st, ver, at) in state["quotes"].items()}
    return Market(
        mid, quotes, dict(state["about"]), dict(state["out"]), state["priced_by"],
        state["floor"], state["floor_seq"], state["open_ver"],
    )  # fmt: skip
