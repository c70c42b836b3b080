"""Conditions as they are written: what is taken, what is refused and how that is said, and bombs."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import DecodeError, MessageTooLarge
from relay.place.condition_text import MAX_CONDITIONS, MAX_ENTRIES, MAX_VERTICES, ConditionReader
from relay.place.conditions import (
    AllOf,
    AnyOf,
    Cities,
    City,
    Countries,
    InCircle,
    InNetworks,
    InPolygon,
    NoneOf,
    OfClasses,
    Postcodes,
    Regions,
    Zone,
)  # fmt: skip
from relay.place.markets import MARKETS
from relay.place.model import NetworkClass
from relay.place.policy import compile_policy
from relay.place.policy_text import LIMITS

BOX = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]


def read(value: object) -> object:
    return ConditionReader().read(value, "watch.rules[3].where")


def refused(value: object) -> str:
    with pytest.raises(DecodeError) as caught:
        read(value)
    return str(caught.value)


def test_each_kind_is_read() -> None:
    assert read({"country": ["US", "CA"]}) == Countries(frozenset({"US", "CA"}))
    assert read({"region": ["US-CA"]}) == Regions(frozenset({"US-CA"}), frozenset({"US"}))
    assert read({"city": [{"country": "US", "region": "US-CA", "name": " PASADENA"}]}) == Cities(
        (City("US", "US-CA", "pasadena"),)
    )
    assert read({"city": [{"country": "DE", "name": "Ko\u0308ln"}]}) == Cities((City("DE", None, "k\u00f6ln"),))
    assert read({"postcode": [{"country": "GB", "codes": ["sw1a 1aa"]}, {"country": "GB", "codes": ["N1"]}]}) == (
        Postcodes({"GB": frozenset({"SW1A1AA", "N1"})})
    )
    polygon = read({"polygon": [BOX]})
    assert isinstance(polygon, InPolygon)
    assert polygon.bit == 1
    circle = read({"circle": {"lon": 1, "lat": 2, "radius_m": 3}})
    assert isinstance(circle, InCircle)
    assert circle.circle.radius_m == 3
    assert read({"dma": {"codes": ["803"], "radius_miles": 75}}) == Zone.of(frozenset({"803"}), 75.0)
    assert read({"dma": {"codes": ["803"]}}) == Zone.of(frozenset({"803"}), None)
    networks = read({"cidr": ["192.0.2.0/24", "2001:db8::1"]})
    assert isinstance(networks, InNetworks)
    assert networks.texts == {"192.0.2.0/24", "2001:db8::1"}
    assert read({"network": ["vpn", "tor"]}) == OfClasses(frozenset({NetworkClass.VPN, NetworkClass.TOR}))
    assert read({"any": [{"all": []}, {"none": [{"country": ["US"]}]}]}) == AnyOf(
        (AllOf(()), NoneOf((Countries(frozenset({"US"})),)))
    )


def test_each_polygon_has_its_bit_and_corners_are_counted() -> None:
    reader = ConditionReader()
    first = reader.read({"polygon": [BOX]}, "a")
    second = reader.read({"polygon": [BOX, [[0.5, 0.5], [1, 0.5], [1, 1], [0.5, 0.5]]]}, "a")
    assert isinstance(first, InPolygon)
    assert isinstance(second, InPolygon)
    assert (first.bit, second.bit) == (1, 2)
    assert len(reader.polygons) == 2
    assert reader.vertices == 4 + 4 + 3


REFUSED: list[tuple[object, str]] = [
    # Not one condition
    ([], ": an object is expected, not list"),
    ({}, ": a condition has exactly one of any, all, none, country"),
    ({"country": ["US"], "region": ["US-CA"]}, ": a condition has exactly one of"),
    ({"planet": ["Earth"]}, ".planet: there is no such field; there are any, all, none, country, region"),
    # Codes
    ({"country": []}, ".country: the list has 0 entries; at least 1 is expected"),
    ({"country": "US"}, ".country: a list is expected, not 'US'"),
    ({"country": ["US", "us"]}, ".country[1]: a code such as 'US' is expected, not 'us'"),
    ({"country": [None]}, ".country[0]: a code such as 'US' is expected, not None"),
    ({"region": ["CA"]}, ".region[0]: a code such as 'US-CA' is expected, not 'CA'"),
    # Cities and postcodes
    ({"city": ["Pasadena"]}, ".city[0]: an object is expected, not 'Pasadena'"),
    ({"city": [{"country": "US"}]}, ".city[0].name: the field is missing"),
    ({"city": [{"country": "US", "region": "CA-ON", "name": "x"}]}, ".city[0].region: CA-ON is no region of US"),
    ({"city": [{"country": "US", "name": ""}]}, ".city[0].name: a text of 1 to 100"),
    ({"city": [{"country": "us", "name": "x"}]}, ".city[0].country: a code such as 'US'"),
    ({"postcode": [{"country": "US", "codes": [90210]}]}, ".postcode[0].codes[0]: a postcode is"),
    ({"postcode": [{"country": "US", "codes": ["*"]}]}, ".postcode[0].codes[0]: a postcode"),
    ({"postcode": [{"country": "USA", "codes": ["1"]}]}, ".postcode[0].country: a code such as 'US'"),
    # Polygons
    ({"polygon": []}, ".polygon: the list has 0 entries"),
    ({"polygon": BOX}, ".polygon[0]: the list has 2 entries; at least 4 is expected"),
    ({"polygon": [BOX[:4]]}, ".polygon[0]: the ring is not closed; repeat its first position as the last"),
    ({"polygon": [BOX[:3]]}, ".polygon[0]: the list has 3 entries; at least 4"),
    ({"polygon": [BOX, [[0, 0], [0, 1], [0, 91], [0, 0]]]}, ".polygon[1][2][1]: 91 is out of range"),
    ({"polygon": [[[0, 0], [0, 1, 2], [1, 1], [0, 0]]]}, ".polygon[0][1]: [longitude, latitude] is expected"),
    ({"polygon": [[[0, 0], [math.nan, 1], [1, 1], [0, 0]]]}, ".polygon[0][1][0]: a number is expected, not nan"),
    ({"polygon": [[[0, 80], [120, 80], [-120, 80], [0, 80]]]}, ".polygon[0]: the ring goes around a pole"),
    # Circles
    ({"circle": {"lon": 0, "lat": 0}}, ".circle.radius_m: the field is missing"),
    ({"circle": {"lon": 0, "lat": 0, "radius_m": 0}}, ".circle.radius_m: 0 is out of range"),
    ({"circle": {"lon": 0, "lat": "0", "radius_m": 9}}, ".circle.lat: a number is expected, not '0'"),
    # Markets
    ({"dma": ["803"]}, ".dma: an object is expected, not list"),
    ({"dma": {"codes": [803]}}, ".dma.codes[0]: a code such as '803' is expected, not 803"),
    ({"dma": {"codes": ["999"]}}, ".dma.codes: '999' is no television market's code"),
    ({"dma": {"codes": ["803"], "radius_miles": -1}}, ".dma.radius_miles: -1 is out of range"),
    # Networks and classes
    ({"cidr": ["192.0.2.0/24", "192.0.2.1/24"]}, ".cidr[1]: "),
    ({"cidr": ["example.com"]}, ".cidr[0]: "),
    ({"cidr": [7]}, ".cidr[0]: a text of 1 to 100"),
    ({"network": ["vpn", "starlink"]}, ".network[1]: 'starlink' is none of vpn, proxy"),
    # Inside others
    ({"any": [{"all": [{"none": [{"country": ["US"]}, {"city": [{}]}]}]}]}, ".any[0].all[0].none[1].city[0].cou"),
    ({"any": {"country": ["US"]}}, ".any: a list is expected, not dict"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "said"), REFUSED)
def test_what_is_wrong_is_named_by_its_path(value: object, said: str) -> None:
    assert refused(value).startswith("watch.rules[3].where" + said)


def nested(depth: int) -> dict[str, Any]:
    condition: dict[str, Any] = {"country": ["US"]}
    for _ in range(depth - 1):
        condition = {"any": [condition]}
    return condition


def ring(corners: int) -> list[list[float]]:
    turns = [math.tau * n / corners for n in range(corners)]
    positions = [[round(math.cos(turn), 6), round(math.sin(turn), 6)] for turn in turns]
    return [*positions, positions[0]]


def policy(where: object) -> dict[str, object]:
    return {"policy_id": "p", "watch": {"default": "deny", "rules": [{"name": "r", "effect": "allow", "where": where}]}}


def test_polygon_and_rule_bombs() -> None:
    # As deep, as many and as large as may be, and one more
    assert read(nested(8))
    assert "any[0].any[0]: conditions nest deeper than 8" in refused(nested(9))
    assert refused(nested(900)).endswith("conditions nest deeper than 8")
    assert read({"polygon": [ring(MAX_VERTICES)]})
    assert "polygon[0]: 2001 corners; a polygon has at most 2000" in refused({"polygon": [ring(MAX_VERTICES + 1)]})
    assert "2001 corners" in refused({"polygon": [ring(1_500), ring(501)]})
    assert read({"postcode": [{"country": "US", "codes": ["1"] * (MAX_ENTRIES - 1)}]})
    assert "at most 10000 entries in all" in refused({"postcode": [{"country": "US", "codes": ["1"] * MAX_ENTRIES}]})
    assert "at most 10000 entries in all" in refused(
        {"any": [{"country": ["US"] * 5_000}, {"region": ["US-CA"] * 5_000}]}
    )
    assert "at most 1000 conditions in all" in refused({"any": [{"all": []}] * MAX_CONDITIONS})
    every = {"dma": {"codes": sorted(MARKETS), "radius_miles": 9}}
    assert "at most 1000 markets with a radius in all" in refused({"any": [every] * 5})
    # All polygons together, where they do not come as text
    large = {"polygon": [ring(MAX_VERTICES)]}
    assert "at most 400000 corners in all" in refused({"any": [large] * 201})


def test_bombs_of_text_are_refused_before_anything_is_made_of_them() -> None:
    text = json.dumps(policy({"country": ["US"]})).encode()
    assert compile_policy(text.ljust(LIMITS.max_bytes)).policy_id == "p"
    with pytest.raises(MessageTooLarge, match="longer than 262144 bytes"):
        compile_policy(text.ljust(LIMITS.max_bytes + 1))
    with pytest.raises(MessageTooLarge, match="nests deeper"):
        compile_policy(b'{"policy_id":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    with pytest.raises(DecodeError, match="NaN is no JSON number"):
        compile_policy(text.replace(b'{"country": ["US"]}', b'{"circle": {"lon": NaN, "lat": 0, "radius_m": 1}}'))
    with pytest.raises(DecodeError, match="is not finite"):
        compile_policy(text.replace(b'{"country": ["US"]}', b'{"circle": {"lon": 1e999, "lat": 0, "radius_m": 1}}'))
    # The deepest policy there may be is not too deep for JSON.
    deepest = nested(7)
    innermost = deepest
    while "any" in innermost:
        innermost = innermost["any"][0]
    innermost.clear()
    innermost["any"] = [{"polygon": [BOX]}]
    assert compile_policy(json.dumps(policy(deepest)).encode()).vertices == 4


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.floats() | st.sampled_from(["US", "US-CA", "803", "vpn"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["any", "all", "none", "country", "region", "city", "postcode", "polygon", "circle", "dma", "cidr",
                 "network", "codes", "name", "lon", "lat", "radius_m", "radius_miles", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSONS)
def test_whatever_is_written_is_read_or_refused_by_its_path(value: object) -> None:
    try:
        read(value)
    except DecodeError as error:
        assert str(error).startswith("watch.rules[3].where")  # noqa: PT017 - most of them raise, not all
