"""From a word about a market to the cues it leads to; the state is in `feeds/market_book.py`.

Rules:
* A suspend goes out at once. It says no more than its `ver`, which is the floor from now on: a price or reopen at or
  below it is never sent. Which market it was, and why, follows with the picture.
* Only a word opens: a vendor's explicit `open`; no recovery does, no lapse of time. A word that is older than what it
  would undo (by both their times, or because a restart hands an earlier message out again) opens nothing.
* A suspend that went out wider than its vendor meant is opened as wide when that vendor opens the market it meant, or
  ends it for good: every market that is open, and that no other such suspend covers.
* No reopen stands before the picture of the newest suspend: it would tell which market that one was about.
* Where a changed price kills bet slips (`inv`), an earlier reopen that still waits for somebody's picture dies with
  them; so such a price is followed by a reopen of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from feeds.market_bodies import merge_prices, mid_of, price_list, statement_of
from feeds.market_book import Kept, Market, MarketBook, Status, Stop, is_before
from kernel.cues import Body, CueClass, CueType, Fact, Op
from kernel.value import Record, replace

STATEFUL = frozenset({CueType.MARKET, CueType.PRICE, CueType.SUSPEND, CueType.SETTLE, CueType.INV})
"""The types that say something of markets."""


class Change(Record, gc=False):
    """A cue that a word about a market leads to.

    `id` is None where it is the vendor's own fact, else a name of ours under `source`, whose revision is `ver`.
    `not_before` is the UTC (Unix seconds) whose picture it may not precede, `kept` what is put on disk with it.
    """

    source: str
    id: str | None
    type: CueType
    cls: CueClass
    ver: int
    body: Body
    not_before: float | None = None
    kept: tuple[Kept, ...] = ()


class Markets:
    """Turn words into cues for one showing.

    Args:
        scope: how wide a suspend is sent.
        invalidate: whether a changed price kills bet slips at once.
        binds: for each monitored source, whether it binds "all" markets or its "own".
    """

    def __init__(
        self,
        *,
        scope: Literal["event", "market"] = "event",
        invalidate: bool = False,
        binds: Mapping[str, str] | None = None,
    ) -> None:
        self._scope = scope
        self._invalidate = invalidate
        self._loose: list[Kept] = []
        self.book = MarketBook(binds=binds or {})
        self.stale = 0
        """Opens that were older than what they would have undone."""

    def read(self, fact: Fact, op: Op, *, seq: int, at: float) -> list[Change]:
        """Take in what a vendor's fact says of markets and return what follows, in the order of `ver`.

        Args:
            fact: of a type in `STATEFUL`; its `occurred_at` is corrected.
            op: what it does to what is known of it.
            seq: the number of its message in the journal.
            at: when its picture is, in Unix seconds.
        """
        mid = mid_of(fact)
        if op is Op.CONFIRM:
            return []  # it says nothing new, and an `open` that is confirmed opens nothing
        if op is Op.RETRACT:
            return self._retracted(fact, mid, seq, at)
        if fact.type is CueType.SUSPEND:
            return self._suspended(fact, mid, seq, at)
        if mid is None:
            return [Change(fact.source, None, fact.type, CueClass.LOCKED, 0, fact.body)]
        market = self.book.market(mid)
        if fact.type is CueType.INV:
            return [self._inv(market, fact.source)]
        if fact.type is CueType.PRICE:
            return self._priced(fact, market, seq)
        return self._stated(fact, market, seq, at)

    def fall(self, source: str, *, seq: int, at: float) -> list[Change]:
        """Suspend every market that a source binds: it is down since `at` (Unix seconds)."""
        known = self.book.falls.get(source)
        if known is not None and known.lasts:
            return []
        ver = self.book.take()
        self.book.falls[source] = Stop(ver, at, lasts=True)
        return self._stopped(source, "~health", ver, seq, at, self.book.keep_fall(source))

    def rise(self, source: str) -> None:
        """Note that a source is back: what it binds stays as it is until somebody opens it."""
        fall = self.book.falls.get(source)
        if fall is not None and fall.lasts:
            fall.lasts, fall.ver = False, self.book.take()
            self._loose.append(self.book.keep_fall(source))

    def distrust(self, *, at: float) -> list[Change]:
        """Suspend everything: what was said last may be lost, so every source has to say it again."""
        book = self.book
        sources = list({source: None for market in book.markets.values() for source in market.quotes})
        if not sources:
            return []  # Of prices alone nothing is open.
        ver = book.take()
        book.floor, book.stopped_at = ver, at
        kept = [book.keep_floor(ver)]
        for source in sources:
            book.stops[source] = Stop(ver, None)
            kept.append(book.keep_stop(source))
        return [_safety(next(iter(book.stops)), "~lost", ver, {"scope": "event", "ver": ver}, kept)]

    def take_loose(self) -> list[Kept]:
        """Return what changed without a cue, to be put on disk with the next ones, and forget it."""
        loose, self._loose = self._loose, []
        return loose

    # What a word leads to.

    def _suspended(self, fact: Fact, mid: str | None, seq: int, at: float) -> list[Change]:
        book, source = self.book, fact.source
        if mid is None:
            ver = book.take()
            book.stops[source] = Stop(ver, fact.occurred_at)
            changes = self._stopped(source, None, ver, seq, at, book.keep_stop(source))
            rest = {key: value for key, value in fact.body.items() if key not in ("scope", "ver")}
            reason = Change(source, "~reason", CueType.SUSPEND, CueClass.LOCKED, ver, rest)
            return [*changes, reason] if rest else changes
        market = book.market(mid)
        quote = market.quotes.get(source)
        if quote and quote.st is Status.OPEN and is_before(fact.occurred_at, quote.at):
            # It came after a later `open`: everything closes at once all the same, then opens as that one said.
            closing = self._closing(market, source, None, book.take(), seq, at, wide=False)
            return [closing, *self._reopen(skip=None, not_before=max(at, quote.at or at))]
        ver = book.quote(market, source, Status.SUSPENDED, fact.occurred_at)
        closing = self._closing(market, source, None, ver, seq, at)
        told = {**fact.body, "market": self._market_body(market, ver)}
        return [closing, Change(source, f"~{mid}", CueType.MARKET, CueClass.LOCKED, ver, told)]

    def _stated(self, fact: Fact, market: Market, seq: int, at: float) -> list[Change]:
        said = statement_of(fact)
        market.about = {**market.about, **said.about}
        if said.out:
            market.out = merge_prices(market.out, said.out)[0]
            market.priced_by = fact.source
        status = Status(said.st)
        if status is Status.OPEN:
            return self._opened(fact, market, seq, at)
        was_out = self.book.is_out(market)
        ver = self.book.quote(market, fact.source, status, fact.occurred_at)
        changes = [self._closing(market, fact.source, "~suspend", ver, seq, at)] if was_out else []
        changes.append(self._told(fact, market, CueClass.LOCKED, ver))
        return changes if status is Status.SUSPENDED else [*changes, *self._narrow(market, fact.source, at)]

    def _opened(self, fact: Fact, market: Market, seq: int, at: float) -> list[Change]:
        if self.book.is_stale(market, fact.source, fact.occurred_at, seq):
            self.stale += 1
            return [self._told(fact, market, CueClass.LOCKED, self._ver(market, seq))]
        ver = self.book.quote(market, fact.source, Status.OPEN, fact.occurred_at)
        if self.book.status(market) is Status.OPEN:
            market.open_ver = ver
            told = self._told(fact, market, CueClass.REOPEN, ver, not_before=self._not_before(at))
        else:
            told = self._told(fact, market, CueClass.LOCKED, ver)
        return [told, *self._narrow(market, fact.source, at)]

    def _priced(self, fact: Fact, market: Market, seq: int) -> list[Change]:
        price = fact.body["price"]
        market.out, changed = merge_prices(market.out, price_list(fact))
        market.priced_by = fact.source
        kills = self._invalidate and changed and self.book.is_out(market)
        killed = [self._inv(market, fact.source)] if kills else []
        ver = self._ver(market, seq)
        body = {**fact.body, "price": {**price, "mid": market.mid, "ver": ver}}
        kept = (self.book.keep_market(market, ver),)
        told = Change(fact.source, None, CueType.PRICE, CueClass.LOCKED, ver, body, None, kept)
        return [*killed, told, self._reopened(market, not_before=None)] if kills else [told]

    def _retracted(self, fact: Fact, mid: str | None, seq: int, at: float) -> list[Change]:
        if fact.type in (CueType.SUSPEND, CueType.INV):
            return []  # a suspend is not taken back: its market is opened by saying so
        changes = []
        ver = self.book.take()
        if mid is not None:
            market = self.book.market(mid)
            was_out, quote = self.book.is_out(market), market.quotes.get(fact.source)
            if quote is not None and quote.st in (Status.OPEN, Status.SETTLED):
                # What was said of it is void, and what holds instead was not said.
                void = quote._replace(st=Status.SUSPENDED, ver=ver)
                market.quotes = {**market.quotes, fact.source: void}
            if was_out:
                changes.append(self._closing(market, fact.source, "~suspend", ver, seq, at))
            else:
                self._loose.append(self.book.keep_market(market, ver))
        return [*changes, Change(fact.source, None, fact.type, CueClass.LOCKED, ver, {})]

    # The pieces.

    def _stopped(self, source: str, id_: str | None, ver: int, seq: int, at: float, kept: Kept) -> list[Change]:
        """Return the suspends of all that a source quotes, or binds."""
        book = self.book
        if self._scope == "market" and not book.binds_all(source):
            mine = [market for market in book.markets.values() if source in market.quotes]
            return [
                self._closing(market, source, id_ if not index else f"~{market.mid}", book.take(), seq, at, [kept])
                for index, market in enumerate(mine)
            ]
        book.floor, book.floor_seq, book.stopped_at = ver, seq, at
        if id_ is None or not book.binds_all(source):
            book.wide[source, ""] = ver
        pieces = [kept, book.keep_floor(ver), book.keep_wide((source, ""), ver)]
        return [_safety(source, id_, ver, {"scope": "event", "ver": ver}, pieces)]

    def _closing(
        self, market: Market, source: str, id_: str | None, ver: int, seq: int, at: float,
        kept: list[Kept] | None = None, *, wide: bool = True,
    ) -> Change:  # fmt: skip
        """Return the suspend of one market, as wide as it is to be sent, and raise the floor by it."""
        book, pieces = self.book, list(kept or [])
        book.stopped_at = at
        if self._scope == "market":
            market.floor, market.floor_seq = ver, seq
            body: dict[str, Any] = {"market": {"mid": market.mid}, "ver": ver}
        else:
            book.floor, book.floor_seq = ver, seq
            body = {"scope": "event", "ver": ver}
            if wide:
                book.wide[source, market.mid] = ver
                pieces.append(book.keep_wide((source, market.mid), ver))
        pieces += [book.keep_market(market, ver), book.keep_floor(ver)]
        return _safety(source, id_, ver, body, pieces)

    def _narrow(self, market: Market, source: str, at: float) -> list[Change]:
        """Open what is closed only because a suspend of this market went out wider than it was meant."""
        ended = [key for key in ((source, market.mid), (source, "")) if self.book.wide.pop(key, None) is not None]
        if not ended:
            return []
        changes = self._reopen(skip=market, not_before=self._not_before(at))
        ver = self.book.next_ver - 1
        tombs = tuple(self.book.keep_wide(key, ver) for key in ended)
        if not changes:
            self._loose.extend(tombs)
            return []
        # On disk only together with the last of them: until then a restart has to open them all again.
        return [*changes[:-1], replace(changes[-1], kept=(*changes[-1].kept, *tombs))]

    def _reopen(self, *, skip: Market | None, not_before: float | None) -> list[Change]:
        return [
            self._reopened(market, not_before=not_before)
            for market in self.book.markets.values()
            if market is not skip
            and market.open_ver
            and not self.book.is_out(market)
            and self.book.status(market) is Status.OPEN
            and not any(ver > market.open_ver for ver in self.book.wide.values())
        ]

    def _reopened(self, market: Market, *, not_before: float | None) -> Change:
        ver = market.open_ver = self.book.take()
        body: dict[str, Any] = {"market": self._market_body(market, ver), **_prices(market, ver)}
        # It bears the name of who priced it: prices that the public may not see stay with who may.
        source = market.priced_by or next(iter(market.quotes))
        kept = (self.book.keep_market(market, ver),)
        return Change(source, f"~{market.mid}", CueType.MARKET, CueClass.REOPEN, ver, body, not_before, kept)

    def _told(self, fact: Fact, market: Market, cls: CueClass, ver: int, *, not_before: float | None = None) -> Change:
        """Return the vendor's own fact, with what holds of the market and, where it opens, its current prices."""
        body = dict(fact.body)
        if fact.type is CueType.MARKET:
            body["market"] = self._market_body(market, ver)
        else:
            body["settle"] = {**fact.body["settle"], "ver": ver}
        if cls is CueClass.REOPEN:
            body |= _prices(market, ver)
        elif isinstance(body.get("price"), Mapping):
            body["price"] = {**body["price"], "mid": market.mid, "ver": ver}
        kept = (self.book.keep_market(market, ver),)
        return Change(fact.source, None, fact.type, cls, ver, body, not_before, kept)

    def _inv(self, market: Market, source: str) -> Change:
        # A number of its own: the new price's lies above it, however a client compares.
        ver = market.floor = self.book.take()
        body = {"inv": {"mid": market.mid, "min_ver": ver}}
        return Change(source, f"~inv/{market.mid}", CueType.INV, CueClass.SAFETY, ver, body)

    def _market_body(self, market: Market, ver: int) -> dict[str, Any]:
        return {"mid": market.mid, **market.about, "st": self.book.status(market).value, "ver": ver}

    def _not_before(self, at: float) -> float | None:
        return self.book.stopped_at if is_before(at, self.book.stopped_at) else None

    def _ver(self, market: Market, seq: int) -> int:
        """Return a fresh `ver`; for what a suspend has overtaken one that is never sent."""
        book = self.book
        if seq < book.floor_seq or seq < market.floor_seq:
            return max(book.floor, market.floor)
        return book.take()


def _safety(source: str, id_: str | None, ver: int, body: Body, kept: list[Kept]) -> Change:
    return Change(source, id_, CueType.SUSPEND, CueClass.SAFETY, ver, body, None, tuple(kept))


def _prices(market: Market, ver: int) -> dict[str, Any]:
    out = [{"oid": oid, "milli": milli} for oid, milli in market.out.items()]
    return {"price": {"mid": market.mid, "ver": ver, "out": out}} if out else {}
