from __future__ import annotations

from typing import Any

import pytest

from feeds.market_book import Kept, Status
from feeds.markets import Change, Markets
from kernel.cues import CueClass, CueType, Fact, Op

SAFETY, LOCKED, REOPEN = CueClass.SAFETY, CueClass.LOCKED, CueClass.REOPEN


class Desk:
    """Markets, and a message number that rises with every word."""

    def __init__(self, **settings: Any) -> None:
        self.markets = Markets(**settings)
        self.seq = 0

    def say(
        self, type_: CueType, body: dict[str, Any], at: float | None = None, *,
        source: str = "desk", op: Op = Op.NEW, seq: int | None = None,
    ) -> list[Change]:  # fmt: skip
        self.seq += 1
        fact = Fact(source, f"f{self.seq}", op, type_, at, body)
        picture = float(self.seq) if at is None else at
        return self.markets.read(fact, op, seq=seq or self.seq, at=picture)

    def market(self, mid: str, st: str, at: float | None = None, **more: Any) -> list[Change]:
        return self.say(CueType.MARKET, {"market": {"mid": mid, "st": st}}, at, **more)

    def price(self, mid: str, milli: int, **more: Any) -> list[Change]:
        return self.say(CueType.PRICE, {"price": {"mid": mid, "out": [{"oid": "1", "milli": milli}]}}, **more)

    def suspend(self, mid: str | None, at: float | None = None, **more: Any) -> list[Change]:
        return self.say(CueType.SUSPEND, {"market": {"mid": mid}} if mid else {}, at, **more)

    def open_mids(self) -> list[str]:
        book = self.markets.book
        return sorted(mid for mid, market in book.markets.items() if book.is_out(market))


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.market("a", "open")
    desk.market("b", "open")
    desk.price("b", 1850)
    return desk


def told(changes: list[Change]) -> list[tuple[CueClass, str | None, str | None]]:
    return [
        (change.cls, change.body.get("market", {}).get("mid"), change.body.get("market", {}).get("st"))
        for change in changes
    ]


# Opening and closing


def test_every_change_has_a_higher_version() -> None:
    desk = Desk()
    vers = [change.ver for changes in (desk.market("a", "open"), desk.price("a", 1900)) for change in changes]
    vers += [change.ver for change in desk.suspend("a")]
    assert vers == [1, 2, 3, 3]
    (reopen,) = desk.market("a", "open")
    assert (reopen.ver, reopen.body["market"]["ver"], reopen.body["price"]["ver"]) == (4, 4, 4)


def test_a_suspend_goes_out_at_once_and_says_nothing(desk: Desk) -> None:
    safety, reason = desk.say(CueType.SUSPEND, {"market": {"mid": "a"}, "txt": "Possible goal"})
    assert (safety.cls, safety.body) == (SAFETY, {"scope": "event", "ver": safety.ver})
    # Which market, and why, comes with the picture.
    assert (reason.cls, reason.body["txt"], reason.body["market"]["st"]) == (LOCKED, "Possible goal", "suspended")
    assert desk.open_mids() == []


def test_what_was_sent_wider_than_meant_is_opened_as_wide(desk: Desk) -> None:
    desk.market("closed", "open")
    desk.market("closed", "closed")
    desk.suspend("a")
    first, second = desk.market("a", "open")
    assert told([first, second]) == [(REOPEN, "a", "open"), (REOPEN, "b", "open")]
    # With the current prices, above the floor.
    assert second.body["price"] == {"mid": "b", "ver": second.ver, "out": [{"oid": "1", "milli": 1850}]}
    assert second.id == "~b"
    assert desk.open_mids() == ["a", "b"]


def test_a_market_that_something_else_holds_stays_closed(desk: Desk) -> None:
    desk.market("c", "open")
    desk.suspend("a")
    desk.suspend("b")
    # `c` is still covered by the suspend of `b`.
    assert told(desk.market("a", "open")) == [(REOPEN, "a", "open")]
    assert desk.open_mids() == ["a"]
    assert told(desk.market("b", "open")) == [(REOPEN, "b", "open"), (REOPEN, "c", "open")]


def test_a_market_that_is_over_no_longer_holds_the_others(desk: Desk) -> None:
    desk.suspend("a")
    changes = desk.market("a", "closed")
    assert told(changes) == [(LOCKED, "a", "closed"), (REOPEN, "b", "open")]


@pytest.mark.parametrize("st", ["suspended", "closed", "settled"])
def test_a_statement_that_closes_an_open_market_is_safety_first(desk: Desk, st: str) -> None:
    changes = desk.market("a", st)
    assert told(changes)[:2] == [(SAFETY, None, None), (LOCKED, "a", st)]
    assert changes[0].id == "~suspend"
    # Nobody could bet on it before: nothing is to be stopped.
    assert [change.cls for change in desk.market("new", st)] == [LOCKED]


def test_a_settlement_ends_its_market(desk: Desk) -> None:
    changes = desk.say(CueType.SETTLE, {"settle": {"mid": "a", "results": [{"oid": "1", "result": 1}]}})
    assert [change.cls for change in changes] == [SAFETY, LOCKED, REOPEN]
    assert changes[1].body["settle"] == {"mid": "a", "results": [{"oid": "1", "result": 1}], "ver": changes[1].ver}
    desk.suspend("a")
    assert desk.markets.book.status(desk.markets.book.market("a")) is Status.SETTLED
    # Rolled back and opened again by its vendor's word.
    assert told(desk.market("a", "open"))[0] == (REOPEN, "a", "open")


def test_a_suspend_of_the_whole_event_is_opened_market_by_market(desk: Desk) -> None:
    assert told(desk.suspend(None)) == [(SAFETY, None, None)]
    assert told(desk.market("a", "open")) == [(REOPEN, "a", "open")]
    assert desk.open_mids() == ["a"]


def test_its_reason_follows_with_the_picture(desk: Desk) -> None:
    safety, reason = desk.say(CueType.SUSPEND, {"txt": "Crowd trouble"})
    assert safety.body == {"scope": "event", "ver": safety.ver}
    assert (reason.cls, reason.body) == (LOCKED, {"txt": "Crowd trouble"})


def test_where_configured_only_the_market_is_named() -> None:
    desk = Desk(scope="market")
    for mid in ("a", "b", "c"):
        desk.market(mid, "open")
    desk.market("c", "open", source="other")
    safety = desk.suspend("a")[0]
    assert safety.body == {"market": {"mid": "a"}, "ver": safety.ver}
    assert desk.open_mids() == ["b", "c"]
    # All that a source quotes, one by one; another's market stays.
    assert [change.body["market"]["mid"] for change in desk.suspend(None, source="other")] == ["c"]
    assert desk.open_mids() == ["b"]


# Prices


def test_a_price_opens_nothing(desk: Desk) -> None:
    desk.suspend("a")
    (change,) = desk.price("b", 1900)
    assert (change.cls, change.id, change.body["price"]["ver"]) == (LOCKED, None, change.ver)
    assert desk.open_mids() == []
    assert desk.market("a", "open")[1].body["price"]["out"] == [{"oid": "1", "milli": 1900}]


def test_a_statement_may_bring_prices(desk: Desk) -> None:
    body = {"market": {"mid": "t", "st": "open", "spec": "total=2.5", "delay_s": 5},
            "price": {"out": [{"oid": "over", "milli": 2100}]}}  # fmt: skip
    (change,) = desk.say(CueType.MARKET, body)
    assert change.body["market"] == {"mid": "t", "spec": "total=2.5", "delay_s": 5, "st": "open", "ver": change.ver}
    assert change.body["price"] == {"mid": "t", "ver": change.ver, "out": [{"oid": "over", "milli": 2100}]}
    closing = desk.say(CueType.MARKET, {**body, "market": {"mid": "t", "st": "suspended"}})[1]
    assert closing.body["price"]["ver"] == closing.ver


def test_a_changed_price_kills_slips_where_configured() -> None:
    desk = Desk(invalidate=True)
    desk.market("a", "open")
    assert [change.cls for change in desk.price("a", 1850)] == [LOCKED]
    inv, price, reopen = desk.price("a", 1700)
    assert (inv.cls, inv.type, inv.body) == (SAFETY, CueType.INV, {"inv": {"mid": "a", "min_ver": inv.ver}})
    assert inv.ver < price.ver < reopen.ver
    # An earlier reopen that still waits somewhere is below the floor now: this one is not.
    assert told([reopen]) == [(REOPEN, "a", "open")]
    assert [change.cls for change in desk.price("a", 1700)] == [LOCKED]
    desk.suspend("a")
    assert [change.cls for change in desk.price("a", 1600)] == [LOCKED]
    assert [change.type for change in desk.say(CueType.INV, {"inv": {"mid": "a"}})] == [CueType.INV]


# Order


def test_an_open_older_than_the_suspend_opens_nothing(desk: Desk) -> None:
    desk.suspend("a", at=10.0)
    assert told(desk.market("a", "open", at=9.9)) == [(LOCKED, "a", "suspended")]
    assert desk.markets.stale == 1
    assert desk.market("a", "open", at=10.0)[0].cls is REOPEN


def test_a_suspend_that_comes_after_a_later_open_closes_and_opens_again(desk: Desk) -> None:
    desk.market("a", "open", at=12.0)
    changes = desk.suspend("a", at=10.0)
    assert [change.cls for change in changes] == [SAFETY, REOPEN, REOPEN]
    assert {change.not_before for change in changes[1:]} == {12.0}
    assert desk.open_mids() == ["a", "b"]


def test_no_reopen_stands_before_the_newest_suspend(desk: Desk) -> None:
    desk.suspend("b", at=20.0)
    desk.suspend("a", at=11.0)
    desk.suspend("b", at=21.0)
    (opened,) = desk.market("a", "open", at=12.0)
    # At 12 it would tell that it is not `a` which closes at 21.
    assert opened.not_before == 21.0


def test_a_message_handed_out_again_after_a_later_suspend_opens_nothing(desk: Desk) -> None:
    desk.suspend("a", seq=100)
    (open_, price) = (*desk.market("a", "open", seq=99), *desk.price("a", 1500, seq=99))
    floor = desk.markets.book.floor
    assert (open_.cls, open_.ver, price.ver) == (LOCKED, floor, floor)
    assert desk.open_mids() == []


# Corrections


def test_a_retracted_statement_closes_its_market(desk: Desk) -> None:
    changes = desk.market("a", "open", op=Op.RETRACT)
    assert [change.cls for change in changes] == [SAFETY, LOCKED]
    assert desk.open_mids() == []
    assert desk.markets.book.status(desk.markets.book.market("a")) is Status.SUSPENDED
    # Nothing is open to be closed any more.
    assert [change.cls for change in desk.price("a", 1, op=Op.RETRACT)] == [LOCKED]
    assert [change.cls for change in desk.say(CueType.MARKET, {}, op=Op.RETRACT)] == [LOCKED]


def test_a_suspend_is_not_taken_back_and_a_confirmation_says_nothing(desk: Desk) -> None:
    desk.suspend("a")
    assert desk.suspend("a", op=Op.RETRACT) == []
    assert desk.market("a", "open", op=Op.CONFIRM) == []
    assert desk.open_mids() == []


def test_what_names_no_market_is_passed_on(desk: Desk) -> None:
    (change,) = desk.say(CueType.MARKET, {"txt": "Markets open at noon"})
    assert (change.cls, change.body) == (LOCKED, {"txt": "Markets open at noon"})


# Several sources


def test_suspended_by_any_open_by_all(desk: Desk) -> None:
    # Another source that says "suspended" of an open market suspends it.
    assert [change.cls for change in desk.market("a", "suspended", source="other")] == [SAFETY, LOCKED]
    assert told(desk.market("a", "open")) == [(LOCKED, "a", "suspended")]
    assert "b" not in desk.open_mids()
    assert told(desk.market("a", "open", source="other")) == [(REOPEN, "a", "open"), (REOPEN, "b", "open")]


def test_a_stop_of_one_source_leaves_the_other_s_markets_to_be_opened_as_wide(desk: Desk) -> None:
    desk.market("x", "open", source="other")
    desk.suspend(None, source="other")
    assert desk.open_mids() == []
    assert [market for _, market, _ in told(desk.market("x", "open", source="other"))] == ["x", "a", "b"]


# Silence


def test_a_source_that_is_down_closes_what_it_binds() -> None:
    desk = Desk(binds={"plays": "all", "desk": "own", "other": "own"})
    desk.market("a", "open")
    desk.market("x", "open", source="other")
    (safety,) = desk.markets.fall("plays", seq=desk.seq, at=50.0)
    assert (safety.id, safety.body) == ("~health", {"scope": "event", "ver": safety.ver})
    assert desk.markets.fall("plays", seq=desk.seq, at=51.0) == []
    # While it is down nothing opens; when it is back, only what is opened from then on.
    assert told(desk.market("a", "open")) == [(LOCKED, "a", "suspended")]
    desk.markets.rise("plays")
    desk.markets.rise("plays")
    assert desk.open_mids() == []
    assert told(desk.market("a", "open", at=49.0)) == [(LOCKED, "a", "suspended")]
    assert told(desk.market("a", "open", at=52.0)) == [(REOPEN, "a", "open")]
    assert desk.open_mids() == ["a"]


def test_a_source_that_binds_its_own_leaves_the_rest_to_be_opened_as_wide() -> None:
    desk = Desk(binds={"desk": "own"})
    desk.market("a", "open")
    desk.market("x", "open", source="other")
    desk.markets.fall("desk", seq=desk.seq, at=50.0)
    desk.markets.rise("desk")
    assert told(desk.market("a", "open", at=52.0)) == [(REOPEN, "a", "open"), (REOPEN, "x", "open")]


def test_where_markets_are_named_only_its_own_are() -> None:
    desk = Desk(binds={"desk": "own"}, scope="market")
    desk.market("a", "open")
    desk.market("b", "open")
    desk.market("x", "open", source="other")
    changes = desk.markets.fall("desk", seq=desk.seq, at=50.0)
    assert [change.body["market"]["mid"] for change in changes] == ["a", "b"]
    assert desk.open_mids() == ["x"]


def test_after_a_lost_log_everything_is_to_be_said_again(desk: Desk) -> None:
    (safety,) = desk.markets.distrust(at=50.0)
    assert safety.body == {"scope": "event", "ver": safety.ver}
    assert desk.open_mids() == []
    assert told(desk.market("a", "open")) == [(REOPEN, "a", "open")]
    assert desk.open_mids() == ["a"]
    assert Desk().markets.distrust(at=1.0) == []


def test_after_a_lost_log_that_held_prices_only_there_is_nothing_to_suspend() -> None:
    desk = Desk()
    desk.price("a", 1850)
    assert desk.markets.distrust(at=50.0) == []
    assert told(desk.market("a", "open")) == [(REOPEN, "a", "open")]


# Restarts


def kept_of(changes: list[Change]) -> list[Kept]:
    newest: dict[str, Kept] = {}
    for piece in (piece for change in changes for piece in change.kept):
        if piece.key not in newest or piece.ver >= newest[piece.key].ver:
            newest[piece.key] = piece
    return list(newest.values())


def test_what_was_kept_is_taken_up_again() -> None:
    desk = Desk(binds={"desk": "own"})
    changes = [
        *desk.market("a", "open"), *desk.market("b", "open"), *desk.price("b", 1850), *desk.suspend("a", at=3.5),
        *desk.suspend(None, source="other"), *desk.markets.fall("desk", seq=9, at=4.0),
    ]  # fmt: skip
    later = Desk(binds={"desk": "own"})
    later.markets.book.restore(kept_of(changes))
    assert vars(later.markets.book) == vars(desk.markets.book)


def test_a_crash_before_the_reopening_was_sealed_opens_it_again(desk: Desk) -> None:
    sealed = [*desk.market("a", "open"), *desk.market("b", "open"), *desk.suspend("a")]
    later = Desk()
    later.markets.book.restore(kept_of(sealed))
    desk.market("a", "open")
    # The vendor's message is handed out again.
    assert told(later.market("a", "open", seq=50)) == [(REOPEN, "a", "open"), (REOPEN, "b", "open")]
    loose = Desk()
    loose.market("a", "open")
    loose.suspend("a")
    loose.market("a", "open")
    assert [piece.key for piece in loose.markets.take_loose()] == ["wide/desk/a", "wide/desk/"][:1]
    assert loose.markets.take_loose() == []
