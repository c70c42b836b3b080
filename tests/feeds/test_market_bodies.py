from __future__ import annotations

from typing import Any

import pytest

from feeds.market_bodies import (
    check_body,
    is_urgent,
    merge_prices,
    mid_of,
    nested,
    price_list,
    price_market_of,
    statement_of,
)
from kernel.cues import Cue, CueClass, CueType, Fact, Op
from kernel.errors import DecodeError

OUT = [{"oid": "over", "milli": 1850}, {"oid": "under", "milli": 1950}]


def fact(type_: CueType, body: dict[str, Any]) -> Fact:
    return Fact("desk", "f", Op.NEW, type_, None, body)


def test_what_a_market_says() -> None:
    body = {"market": {"mid": "t", "st": "open", "spec": "total=2.5", "delay_s": 5}, "price": {"out": OUT}}
    said = statement_of(fact(CueType.MARKET, body))
    assert said == ("open", {"spec": "total=2.5", "delay_s": 5}, [("over", 1850), ("under", 1950)])
    assert statement_of(fact(CueType.MARKET, {"market": {"mid": "t", "st": "closed"}})) == ("closed", {}, [])
    assert statement_of(fact(CueType.SETTLE, {"settle": {"mid": "t"}})).st == "settled"


def test_prices_are_merged_by_outcome() -> None:
    known = {"over": 1850}
    told = price_list(fact(CueType.PRICE, {"price": {"mid": "t", "out": OUT}}))
    merged, changed = merge_prices(known, told)
    assert (merged, changed) == ({"over": 1850, "under": 1950}, False)
    assert merge_prices(merged, [("under", 2000)]) == ({"over": 1850, "under": 2000}, True)
    assert known == {"over": 1850}


@pytest.mark.parametrize(
    ("kind", "body", "mid"),
    [
        (CueType.MARKET, {"market": {"mid": "t"}}, "t"),
        (CueType.PRICE, {"price": {"mid": "t"}}, "t"),
        (CueType.SETTLE, {"settle": {"mid": "t"}}, "t"),
        (CueType.INV, {"inv": {"mid": "t"}}, "t"),
        (CueType.SUSPEND, {"market": {"mid": "t"}}, "t"),
        (CueType.SUSPEND, {}, None),
        (CueType.MARKET, {"market": "t"}, None),
        (CueType.MARKET, {"market": {"mid": 7}}, None),
    ],
)
def test_which_market_is_named(kind: CueType, body: dict[str, Any], mid: str | None) -> None:
    assert mid_of(fact(kind, body)) == mid


@pytest.mark.parametrize(
    ("kind", "flat", "wanted"),
    [
        (CueType.PRICE, {"mid": "t", "out": OUT}, {"price": {"mid": "t", "out": OUT}}),
        (CueType.MARKET, {"mid": "t", "st": "open", "txt": "x"}, {"market": {"mid": "t", "st": "open"}, "txt": "x"}),
        (CueType.SUSPEND, {"mid": "t", "txt": "x"}, {"market": {"mid": "t"}, "txt": "x"}),
        (CueType.SETTLE, {"mid": "t", "won": "over"}, {"settle": {"mid": "t", "won": "over"}}),
        (CueType.SUSPEND, {"txt": "x"}, {"txt": "x"}),
        (CueType.PLAY, {"mid": "t"}, {"mid": "t"}),
    ],
)
def test_a_flat_body_is_nested(kind: CueType, flat: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert nested(kind, flat) == wanted
    assert nested(kind, wanted) == wanted


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (CueType.MARKET, {}, "x: body.market: an object with a `mid` is expected, not None"),
        (CueType.MARKET, {"market": {"mid": ""}}, "body.market.mid: 1 to 128 printable characters, not ''"),
        (CueType.MARKET, {"market": {"mid": "a\n"}}, "body.market.mid"),
        (CueType.MARKET, {"market": {"mid": "a" * 129}}, "body.market.mid"),
        (CueType.MARKET, {"market": {"mid": "a", "st": "live"}}, "body.market.st: one of open, suspended"),
        (CueType.MARKET, {"market": {"mid": "a", "st": "open", "delay_s": -1}}, "body.market.delay_s: 0 to 60"),
        (CueType.MARKET, {"market": {"mid": "a", "st": "open", "delay_s": True}}, "body.market.delay_s"),
        (CueType.MARKET, {"market": {"mid": "a", "st": "open"}, "price": 1}, "body.price.out: a list"),
        (CueType.PRICE, {"price": {"mid": "a"}}, "body.price.out: a list of outcomes is expected, not None"),
        (CueType.PRICE, {"price": {"mid": "a", "out": [{"oid": 1, "milli": 2}]}}, r"body.price.out\[0\]: an `oid`"),
        (CueType.PRICE, {"price": {"mid": "a", "out": [{"oid": "1"}]}}, r"body.price.out\[0\]"),
        (CueType.SUSPEND, {"market": "a"}, "body.market: an object"),
        (CueType.SETTLE, {"settle": {}}, "body.settle.mid"),
        (CueType.INV, {}, "body.inv: an object"),
    ],
)
def test_what_is_unclear_is_refused(kind: CueType, body: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        check_body(kind, body, "x: ")


def test_what_is_clear_passes() -> None:
    check_body(CueType.PLAY, {}, "")
    check_body(CueType.SUSPEND, {"txt": "x"}, "")
    check_body(CueType.MARKET, {"market": {"mid": "a", "st": "open", "delay_s": 0.5}, "price": {"out": OUT}}, "")


def test_what_closes_is_urgent() -> None:
    def said(type_: CueType, body: dict[str, Any]) -> Fact:
        return Fact("odds", "f", Op.NEW, type_, None, body)

    assert is_urgent(said(CueType.SUSPEND, {}))
    assert is_urgent(said(CueType.SETTLE, {"settle": {"mid": "m"}}))
    assert is_urgent(said(CueType.MARKET, {"market": {"mid": "m", "st": "closed"}}))
    assert not is_urgent(said(CueType.MARKET, {"market": {"mid": "m", "st": "open"}}))
    assert not is_urgent(said(CueType.MARKET, {}))
    assert not is_urgent(said(CueType.PRICE, {"price": {"mid": "m", "out": []}}))


def test_whose_price_a_cue_is() -> None:
    def cue(type_: CueType, body: dict[str, Any], op: Op = Op.NEW) -> Cue:
        return Cue("odds:p", 1, op, type_, CueClass.LOCKED, None, None, None, None, None, 0, body)

    price = {"price": {"mid": "m", "out": []}}
    assert price_market_of(cue(CueType.PRICE, price)) == "m"
    assert price_market_of(cue(CueType.PRICE, price, Op.RETRACT)) is None
    assert price_market_of(cue(CueType.PRICE, {})) is None
    assert price_market_of(cue(CueType.MARKET, price)) is None
