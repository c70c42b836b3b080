from __future__ import annotations

from typing import Any

import pytest

from hub.floors import Floors, market_of, price_market_of, version_of
from kernel.cues import CueType, Op
from kernel.value import replace
from tests.hub.makers import at, entry


def raised(*told: tuple[str, dict[str, Any]]) -> Floors:
    floors = Floors()
    for type_, body in told:
        floors.raise_by(type_, body)
    return floors


def price(ver: int, mid: str = "m1") -> dict[str, Any]:
    return {"price": {"mid": mid, "ver": ver}}


def test_a_suspend_of_the_event_holds_for_every_market() -> None:
    floors = raised(("suspend", {"scope": "event", "ver": 7}), ("suspend", {"scope": "event", "ver": 5}))
    assert [floors.withhold("price", "locked", price(ver)) for ver in (6, 7, 8)] == [True, True, False]
    assert (floors.closed_at("m1"), floors.of("other")) == (7, 7)


def test_a_suspend_of_a_market_holds_for_it_alone() -> None:
    floors = raised(("suspend", {"market": {"mid": "m1"}, "ver": 7}))
    assert floors.withhold("price", "locked", price(7))
    assert not floors.withhold("price", "locked", price(7, "m2"))


def test_an_inv_kills_prices_below_and_closes_nothing() -> None:
    floors = raised(("inv", {"inv": {"mid": "m1", "min_ver": 9}}), ("inv", {"mid": "m2", "min_ver": 4}))
    assert [floors.withhold("price", "locked", price(ver)) for ver in (8, 9)] == [True, False]
    assert floors.closed_at("m1") == -1
    assert floors.of("m2") == 3


def test_only_prices_and_reopens_are_withheld() -> None:
    floors = raised(("suspend", {"ver": 7}))
    market = {"market": {"mid": "m1", "st": "open", "ver": 3}}
    assert floors.withhold("market", "reopen", market)
    assert not floors.withhold("market", "locked", market)
    assert not floors.withhold("score", "locked", {"score": 1})
    assert not floors.withhold("price", "locked", {"txt": "no market"})


def test_a_reopen_is_as_new_as_the_newest_thing_it_says() -> None:
    floors = raised(("suspend", {"ver": 7}))
    assert not floors.withhold("market", "reopen", {"market": {"mid": "m1", "ver": 8}, **price(2)})


@pytest.mark.parametrize(
    ("type_", "body"),
    [("score", {"ver": 9}), ("inv", {}), ("inv", {"inv": {"mid": 1, "min_ver": 2}}), ("inv", {"inv": 3})],
)
def test_what_raises_nothing(type_: str, body: dict[str, Any]) -> None:
    assert raised((type_, body)).to_map() == {"all": -1, "closed": {}, "dead": {}}


def test_a_snapshot_says_what_matters_and_lowers_nothing() -> None:
    floors = raised(("suspend", {"market": {"mid": "a"}, "ver": 3}), ("inv", {"inv": {"mid": "b", "min_ver": 9}}))
    floors.raise_by("suspend", {"ver": 5})
    told = floors.to_map()
    assert told == {"all": 5, "closed": {}, "dead": {"b": 8}}
    other = raised(("suspend", {"ver": 6}), ("inv", {"inv": {"mid": "b", "min_ver": 20}}))
    other.merge(told)
    assert other.to_map() == {"all": 6, "closed": {}, "dead": {"b": 19}}
    other.merge({"closed": {"c": 30}})
    assert other.of("c") == 30


def test_what_a_body_is_about() -> None:
    assert [market_of(body) for body in ({}, price(1), {"mid": "x"}, {"market": 3}, {"settle": {"mid": "s"}})] == [
        None, "m1", "x", None, "s",
    ]  # fmt: skip
    assert [version_of(body) for body in ({}, {"ver": 3}, price(4), {"ver": "x"})] == [0, 3, 4, 0]


def test_whose_price_a_cue_is() -> None:
    price = {"price": {"mid": "m", "ver": 1}}
    assert price_market_of(entry(0, at(1), type=CueType.PRICE, body=price).cue) == "m"
    assert price_market_of(entry(0, at(1), type=CueType.PRICE, body={"txt": "x"}).cue) is None
    assert price_market_of(entry(0, at(1), type=CueType.MARKET, body=price).cue) is None
    assert price_market_of(replace(entry(0, at(1), type=CueType.PRICE, body=price).cue, op=Op.RETRACT)) is None
