from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import DecodeError
from relay.esni.findings import NOWHERE, At, FindingKind, Findings
from relay.esni.model import Match
from relay.esni.where import EVERYBODY, Group, Leaf, LeafKind
from relay.esni.zone_terms import Fate, where_of_zone, zone_of, zones_of

RING = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "place",
    [
        {"type": "all"},
        {"type": "dma", "code": "803", "radius_miles": 75},
        {"type": "dma", "codes": ["803", "807"]},
        {"type": "region", "code": "US-CA"},
        {"type": "country", "codes": ["US", "CA"]},
        {"type": "zip", "code": "90012"},
        {"type": "zip", "codes": ["90012", "90013"], "territory": "home"},
        {"type": "zip", "code": "M5V", "country": "CA"},
        {"type": "cidr", "code": "10.0.0.0/8"},
        {"type": "circle", "lon": 1.5, "lat": 2.5, "radius_m": 100.0},
        {"type": "polygon", "ring": RING},
    ],
)
def test_both_ways(place: dict[str, Any]) -> None:
    findings = Findings()
    where = where_of_zone(place, NOWHERE, findings)
    leaf = None if where == EVERYBODY else where
    assert not isinstance(leaf, Group)
    assert zone_of(leaf, Fate(), "x") == {**place, "name": "x", "action": "block"}
    assert zone_of(leaf, Fate("other"), None) == {**place, "action": "redirect", "redirect_stream": "other"}
    assert findings.all() == ()


def test_other_ways_to_write_a_zone() -> None:
    circle = {"type": "circle", "lon": 0, "lat": 0, "radius_miles": 1}
    assert where_of_zone(circle, NOWHERE, Findings()) == Leaf(LeafKind.CIRCLE, ((0, 0, 1609.344),))
    assert where_of_zone({"type": "polygon", "rings": [RING]}, NOWHERE, Findings()) == where_of_zone(
        {"type": "polygon", "ring": RING}, NOWHERE, Findings()
    )


@pytest.mark.parametrize(
    "zone",
    [
        {"type": "country", "code": "US", "territory": "home"},
        {"type": "zip", "code": "M5V", "country": "CA", "territory": "home"},
        {"type": "all", "territory": "home"},
        {"type": "stadium"},
        {"type": "dma"},
    ],
)
def test_what_audiences_cannot_say_is_everybody(zone: dict[str, Any]) -> None:
    findings = Findings()
    assert where_of_zone(zone, NOWHERE, findings) == EVERYBODY
    assert [one.kind for one in findings.all()] == [FindingKind.WIDENED]


def test_holes_are_filled() -> None:
    findings = Findings()
    where = where_of_zone({"type": "polygon", "rings": [RING, RING]}, NOWHERE, findings)
    assert isinstance(where, Group)
    assert (where.match, len(where.parts)) == (Match.ANY, 2)
    assert [one.kind for one in findings.all()] == [FindingKind.WIDENED]


@pytest.mark.parametrize(
    "zone", [{}, {"type": "circle", "lon": 0}, {"type": "polygon"}, {"type": "polygon", "ring": [[1]]}]
)
def test_what_is_no_zone(zone: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="a zone is expected"):
        where_of_zone(zone, NOWHERE, Findings())


MARKET, CODE = {"dma": {"codes": ["803"]}}, {"postcode": [{"country": "US", "codes": ["90012"]}]}


@pytest.mark.parametrize(
    "more",
    [
        {"where": {"none": [MARKET]}},
        {"where": {"all": [{"any": [MARKET, {"region": ["US-NV"]}]}, {"none": [CODE]}]}},
        {"where": {"none": [CODE]}, "territory": "home"},
    ],
)
def test_conditions_both_ways(more: dict[str, Any]) -> None:
    findings = Findings()
    where = where_of_zone({"type": "where", **more}, NOWHERE, findings)
    zones = [{"type": "where", "name": "x", "action": "redirect", "redirect_stream": "other", **more}]
    assert zones_of(where, Fate("other"), "x") == (zones, True)
    assert findings.all() == ()


def test_what_conditions_cannot_say_is_wider() -> None:
    home, present = (Leaf(LeafKind.POSTCODE, ("90012",), is_home=is_home) for is_home in (True, False))
    zones, is_exact = zones_of(Group(Match.ALL, (present, Group(Match.NONE, (home,)))), Fate(), None)
    assert (zones, is_exact) == ([{"type": "zip", "code": "90012", "action": "block"}], False)
    # So is what nests deeper than conditions do.
    deep: Leaf | Group = present
    for _ in range(10):
        deep = Group(Match.NONE, (deep,))
    assert zones_of(deep, Fate(), None) == ([{"type": "all", "action": "block"}], False)


def test_of_homes_audiences_know_american_postcodes() -> None:
    findings = Findings()
    zone = {"type": "where", "territory": "home", "where": {"none": [CODE, {"country": ["CA"]}]}}
    where = where_of_zone(zone, NOWHERE, findings)
    assert where == Group(Match.NONE, (Leaf(LeafKind.POSTCODE, ("90012",), is_home=True),))
    assert [one.kind for one in findings.all()] == [FindingKind.WIDENED]


@pytest.mark.parametrize("more", [{}, {"where": {"moon": []}}, {"where": 1}])
def test_what_is_no_condition(more: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match=r"blackout_zones\[0\]\.where"):
        where_of_zone({"type": "where", **more}, At("blackout_zones[0]"), Findings())
