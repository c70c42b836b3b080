from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import DecodeError
from relay.esni.findings import NOWHERE, FindingKind, Findings
from relay.esni.model import Match
from relay.esni.place_terms import check_leaf, condition_of, where_of
from relay.esni.where import UNKNOWN, Group, Leaf, LeafKind, Where

RING = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 0.0]]
HOLE = [[2.0, 1.0], [3.0, 1.0], [3.0, 2.0], [2.0, 1.0]]


@pytest.mark.parametrize(
    "condition",
    [
        {"country": ["US", "CA"]},
        {"region": ["US-CA"]},
        {"cidr": ["10.0.0.0/8"]},
        {"dma": {"codes": ["803"]}},
        {"dma": {"codes": ["803", "807"], "radius_miles": 75}},
        {"circle": {"lon": 1.5, "lat": 2, "radius_m": 100}},
        {"polygon": [RING]},
        {"postcode": [{"country": "CA", "codes": ["M5V"]}]},
        {"any": [{"all": [{"none": [{"country": ["US"]}]}]}, {"none": []}]},
    ],
)
def test_both_ways(condition: dict[str, Any]) -> None:
    findings = Findings()
    where = where_of(condition, NOWHERE, findings)
    assert isinstance(where, Leaf | Group)
    assert condition_of(where) == condition
    assert findings.all() == ()


POLYGON = {"polygon": [RING, HOLE]}
RINGS = tuple(Leaf(LeafKind.POLYGON, (tuple(tuple(one) for one in ring),)) for ring in (RING, HOLE))


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        ({"network": ["vpn"]}, UNKNOWN),
        ({"city": [{"country": "US", "name": "Pasadena"}]}, UNKNOWN),
        (POLYGON, Group(Match.ANY, RINGS)),
        # Within NONE a polygon without its hole would keep out fewer.
        ({"none": [POLYGON]}, Group(Match.NONE, (UNKNOWN,))),
        ({"none": [{"none": [POLYGON]}]}, Group(Match.NONE, (Group(Match.NONE, (Group(Match.ANY, RINGS),)),))),
    ],
)
def test_what_audiences_cannot_say(condition: dict[str, Any], where: Where) -> None:
    findings = Findings()
    assert where_of(condition, NOWHERE, findings) == where
    assert [one.kind for one in findings.all()] == [FindingKind.WIDENED]


def test_postcodes_of_several_countries() -> None:
    condition = {"postcode": [{"country": "CA", "codes": ["M5V"]}, {"country": "US", "codes": ["90012"]}]}
    assert where_of(condition, NOWHERE, Findings()) == Group(
        Match.ANY, (Leaf(LeafKind.POSTCODE, ("M5V",), "CA"), Leaf(LeafKind.POSTCODE, ("90012",)))
    )


def test_values_are_checked() -> None:
    check_leaf(Leaf(LeafKind.POSTCODE, ("90012",), is_home=True))
    with pytest.raises(DecodeError, match="no television market"):
        check_leaf(Leaf(LeafKind.DMA, ("999",)))
