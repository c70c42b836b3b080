from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.blackouts import BlackoutRecord
from lockstep.console.darkness import (
    NOBODY,
    Shade,
    answers_for,
    is_open,
    market_shades,
    shapes,
    window_words,
    zone_words,
)
from relay.blackout_text import read_blackout
from relay.blackouts import Blackout, home_of
from relay.place.markets import MARKETS
from relay.place.model import Fix, IpPlace, NetworkClass, Point, known_place

NOW = 1_790_000_000.0
LA: dict[str, Any] = {"type": "dma", "code": "803", "radius_miles": 75, "action": "block"}
RING = [[-120, 33], [-110, 33], [-110, 40], [-120, 40], [-120, 33]]


def made(*zones: dict[str, Any], name: str = "blk_1", at: float = 0.0, **more: Any) -> Blackout:
    text = json.dumps({"event_id": "game", "blackout_zones": list(zones), **more})
    return Blackout(BlackoutRecord(name, "game", text, at, "ops"), read_blackout(text))


BROKEN = Blackout(BlackoutRecord("blk_x", "game", "{}", 0.0, "ops"), None)


def shade_of(code: str, *blackouts: Blackout) -> Shade:
    return next(one.shade for one in market_shades(blackouts, NOW) if one.market.code == code)


def dark(*blackouts: Blackout) -> set[str]:
    return {one.market.code for one in market_shades(blackouts, NOW) if one.shade is Shade.DARK}


# --- which markets are dark ---


def test_without_a_blackout_all_are_clear() -> None:
    assert {one.shade for one in market_shades((), NOW)} == {Shade.CLEAR}
    assert len(market_shades((), NOW)) == len(MARKETS) == 210


def test_a_market_and_those_within_the_radius_of_its_city() -> None:
    assert dark(made({**LA, "radius_miles": 1})) == {"803"}
    # Santa Barbara lies 88 miles from Los Angeles, Palm Springs and Bakersfield some 100.
    assert dark(made({**LA, "radius_miles": 105})) == {"803", "855", "804", "800"}


def test_regions_countries_polygons_and_everywhere() -> None:
    california = {market.code for market in MARKETS.values() if market.state == "CA"}
    assert dark(made({"type": "region", "code": "US-CA", "action": "block"})) == california
    assert len(dark(made({"type": "country", "code": "US", "action": "block"}))) == 210
    assert not dark(made({"type": "country", "code": "CA", "action": "block"}))
    assert len(dark(made({"type": "all", "action": "block"}))) == 210
    inside = dark(made({"type": "polygon", "ring": RING, "action": "block"}))
    assert {"803", "839"} <= inside
    assert "501" not in inside


@pytest.mark.parametrize(
    "zone",
    [
        {"type": "zip", "code": "90012", "action": "block"},
        {"type": "cidr", "code": "192.0.2.0/24", "action": "block"},
        {"type": "zip", "code": "90012", "territory": "home", "action": "block"},
    ],
)
def test_what_a_city_does_not_tell_concerns_some(zone: dict[str, Any]) -> None:
    assert shade_of("803", made(zone)) is Shade.SOME


def test_postcodes_of_another_country_concern_nobody_here() -> None:
    assert shade_of("803", made({"type": "zip", "code": "10115", "country": "DE", "action": "block"})) is Shade.CLEAR


def test_a_redirect_is_another_shade_and_precedence_decides() -> None:
    away = made({**LA, "action": "redirect", "redirect_stream": "other"}, name="blk_r")
    assert shade_of("803", away) is Shade.REDIRECT
    assert shade_of("803", away, made(LA)) is Shade.DARK
    first = made({**LA, "action": "redirect", "redirect_stream": "other"}, name="blk_r", precedence=1)
    assert shade_of("803", made(LA), first) is Shade.REDIRECT


def test_what_is_not_understood_is_dark_for_everybody() -> None:
    assert len(dark(BROKEN)) == 210
    assert shapes(BROKEN)[0].states == {"*"}


# --- when ---


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, True),
        ({"start": "2026-09-21T00:00:00Z"}, True),
        ({"start": "2026-09-22T00:00:00Z"}, False),
        ({"end": "2026-09-21T00:00:00Z"}, False),
        ({"end": "2026-09-22T00:00:00Z"}, True),
        ({"start_media": {"tl": 0, "pts": 90_000}}, None),
        ({"start_media": {"tl": 0, "pts": 90_000}, "end": "2026-09-21T00:00:00Z"}, False),
    ],
)
def test_a_window_is_open_or_not(window: dict[str, Any], expected: bool | None) -> None:
    # NOW is 2026-09-21T14:13:20Z.
    one = made(LA, **window)
    assert is_open(one, NOW) is expected
    shade = {True: Shade.DARK, False: Shade.CLEAR, None: Shade.SOME}[expected]
    assert shade_of("803", one) is shade


def test_one_without_a_beginning_begins_when_it_is_made() -> None:
    assert is_open(made(LA, at=NOW + 1), NOW) is False


def test_windows_in_words() -> None:
    assert window_words(made(LA).window) == "since it was made"
    said = window_words(made(LA, start="2026-09-22T00:00:00Z", end="2026-09-23T00:00:00Z").window)
    assert said.startswith("from 2026-09-22T00:00:00")
    media: dict[str, Any] = {"start_media": {"tl": 0, "pts": 90_000}, "end_media": {"tl": 0, "pts": 180_000}}
    assert window_words(made(LA, **media).window) == "media time 0:90000 to 0:180000"


# --- what zones look like ---


def test_shapes_are_rings_or_states() -> None:
    circle = {"type": "circle", "lon": -118.2, "lat": 34.1, "radius_m": 5_000, "action": "block"}
    assert len(shapes(made(circle))[0].rings) == 1
    assert len(shapes(made(LA))[0].rings) == 1
    assert shapes(made({"type": "region", "codes": ["US-CA", "CA-ON"], "action": "block"}))[0].states == {"CA"}
    assert shapes(made({"type": "all", "action": "block"}))[0].states == {"*"}
    assert shapes(made({"type": "zip", "code": "90012", "action": "block"})) == []
    assert shapes(made({"type": "dma", "code": "803", "action": "block"})) == []
    home = {"type": "country", "code": "US", "territory": "home", "action": "block"}
    assert shapes(made(home)) == []


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        (LA, "market 803 Los Angeles, and within 75 miles of its city"),
        ({"type": "all", "action": "block"}, "everywhere"),
        ({"type": "zip", "codes": ["90012", "90013"], "action": "block"}, "postcode US 90012, 90013"),
        ({"type": "polygon", "ring": RING, "action": "block"}, "polygon with 4 corners"),
        ({"type": "cidr", "code": "192.0.2.0/24", "action": "block"}, "network 192.0.2.0/24"),
        ({"type": "region", "code": "US-CA", "action": "block"}, "region US-CA"),
        (
            {"type": "circle", "lon": -118.25, "lat": 34.0, "radius_m": 5_000, "action": "block"},
            "within 5.0 km of 34.0000, -118.2500",
        ),
        (
            {"type": "country", "codes": [f"A{letter}" for letter in "BCDEFGHIJK"][:9], "action": "block"},
            None,
        ),
        (
            {"type": "zip", "code": "90012", "territory": "home", "action": "block"},
            "the account's home: postcode US 90012",
        ),
    ],
)
def test_zones_in_words(zone: dict[str, Any], words: str | None) -> None:
    terms = made(zone).terms
    assert terms is not None
    said = zone_words(terms.zones[0])
    assert said == words if words is not None else said.endswith("and 1 more")


def test_conditions_within_each_other() -> None:
    country, circle = {"country": ["US"]}, {"circle": {"lon": -118.25, "lat": 34.0, "radius_m": 5_000}}
    city = {"city": [{"country": "US", "region": "US-CA", "name": "Pasadena"}]}
    either = made({"type": "where", "where": {"any": [country, circle]}, "action": "block"})
    both = made({"type": "where", "where": {"all": [country, circle, {"none": [city]}]}, "action": "block"})
    assert either.terms is not None
    assert both.terms is not None
    assert zone_words(either.terms.zones[0]) == "any of (country US; within 5.0 km of 34.0000, -118.2500)"
    assert zone_words(both.terms.zones[0]).endswith("none of (city pasadena, US-CA))")
    assert (len(shapes(either)[0].rings), shapes(either)[0].states) == (1, frozenset("*"))
    # What all of several things must hold for is smaller than each of them.
    assert shapes(both) == []


# --- one point ---


def at(point: Point, **more: Any) -> IpPlace:
    return known_place("", country="US", point=point, accuracy_m=0.0, **more)


PASADENA, SAN_DIEGO = Point(-118.1445, 34.1478), Point(-117.1611, 32.7157)


def test_the_point_s_answer_is_the_relay_s() -> None:
    one = made(LA)
    (inside,) = answers_for([one], NOW, at(PASADENA), None, NOBODY)
    (outside,) = answers_for([one], NOW, at(SAN_DIEGO), None, NOBODY)
    assert (inside.inside, inside.open_, inside.zones[0].held) == (True, True, True)
    assert (outside.inside, outside.zones[0].held) == (False, False)
    (fixed,) = answers_for([one], NOW, at(SAN_DIEGO), Fix(PASADENA, 0.0, NOW), NOBODY)
    assert fixed.inside


def test_what_is_not_known_is_inside_and_said_to_be_so() -> None:
    (one,) = answers_for([made({"type": "zip", "code": "90012", "action": "block"})], NOW, at(PASADENA), None, NOBODY)
    assert (one.inside, one.zones[0].held) == (True, None)
    home = made({"type": "zip", "code": "90012", "territory": "home", "action": "block"})
    (one,) = answers_for([home], NOW, at(PASADENA), None, home_of("US-10001"))
    assert (one.inside, one.zones[0].held) == (False, False)


def test_a_network_that_hides_its_users_is_inside() -> None:
    place = at(SAN_DIEGO, classes=frozenset({NetworkClass.VPN}))
    (one,) = answers_for([made(LA, vpn_policy="block")], NOW, place, None, NOBODY)
    assert (one.inside, one.hidden) == (True, True)


def test_what_decides_comes_first_and_what_is_not_in_force_last() -> None:
    later = made(LA, name="blk_later", precedence=9, start="2027-01-01T00:00:00Z")
    redirect = made({**LA, "action": "redirect", "redirect_stream": "other"}, name="blk_r", precedence=2)
    elsewhere = made({**LA, "code": "501"}, name="blk_ny", precedence=5)
    block = made(LA, name="blk_b")
    found = answers_for([elsewhere, later, block, redirect], NOW, at(PASADENA), None, NOBODY)
    assert [one.blackout.record.blackout_id for one in found] == ["blk_r", "blk_b", "blk_later", "blk_ny"]
    assert found[0].redirect == "other"
