"""Conditions on places: true, false or unknown."""

from __future__ import annotations

from itertools import product

import pytest

from relay.place.condition_text import ConditionReader
from relay.place.conditions import Ground, Position, country_of, folded
from relay.place.geometry import Polygon
from relay.place.model import IpPlace, NetworkClass, Point, known_place

NOTHING_KNOWN = IpPlace("192.0.2.7")
LOS_ANGELES = known_place(
    "192.0.2.7", country="US", region="US-CA", city="Los Angeles", postcode="90012",
    point=Point(-118.2437, 34.0522), accuracy_m=20_000, metro="803",
)  # fmt: skip
PASADENA = known_place("192.0.2.7", country="US", region="US-CA", city="Pasadena", point=Point(-118.1445, 34.1478))
SAN_DIEGO = known_place("192.0.2.7", country="US", region="US-CA", city="San Diego", point=Point(-117.1647, 32.7157))
TIJUANA = known_place("192.0.2.7", country="MX", region="MX-BCN", city="Tijuana", point=Point(-117.0382, 32.5149))
US_ALONE = known_place("192.0.2.7", country="US")
CANADA_ALONE = known_place("192.0.2.7", country="CA")
BOX = [[-119, 33], [-118, 33], [-118, 35], [-119, 35], [-119, 33]]


def holds(value: object, place: IpPlace, markets: dict[str, object] | None = None) -> bool | None:
    reader = ConditionReader()
    condition = reader.read(value, "where")
    polygons: list[Polygon] = [*reader.polygons, *(reader.rings(rings, "m") for rings in (markets or {}).values())]
    drawn = {code: 1 << len(reader.polygons) + n for n, code in enumerate(markets or {})}
    ground = Ground(polygons, drawn)
    return condition.holds(place, Position(ground, place, place.point, place.accuracy_m))


TABLE: list[tuple[object, IpPlace, bool | None]] = [
    # Countries; who knows the region knows the country
    ({"country": ["US", "CA"]}, LOS_ANGELES, True),
    ({"country": ["CA"]}, LOS_ANGELES, False),
    ({"country": ["US"]}, NOTHING_KNOWN, None),
    ({"country": ["US"]}, known_place("192.0.2.7", region="US-CA"), True),
    # Regions; in another country there are none of ours
    ({"region": ["US-CA"]}, LOS_ANGELES, True),
    ({"region": ["US-NV"]}, LOS_ANGELES, False),
    ({"region": ["US-CA"]}, US_ALONE, None),
    ({"region": ["US-CA"]}, CANADA_ALONE, False),
    ({"region": ["US-CA"]}, NOTHING_KNOWN, None),
    ({"region": ["US-CA"]}, known_place("192.0.2.7", region="US-CA"), True),
    ({"region": ["US-CA"]}, known_place("192.0.2.7", country="MX", region="US-CA"), False),
    ({"region": ["US-CA", "MX-BCN"]}, known_place("192.0.2.7", country="MX", region="US-CA"), False),
    # Cities, case folded and NFC
    ({"city": [{"country": "US", "region": "US-CA", "name": "los angeles"}]}, LOS_ANGELES, True),
    ({"city": [{"country": "US", "name": "LOS ANGELES"}]}, LOS_ANGELES, True),
    ({"city": [{"country": "US", "region": "US-NV", "name": "Los Angeles"}]}, LOS_ANGELES, False),
    ({"city": [{"country": "US", "name": "Pasadena"}]}, LOS_ANGELES, False),
    ({"city": [{"country": "CL", "name": "Los Angeles"}]}, LOS_ANGELES, False),
    ({"city": [{"country": "US", "name": "Pasadena"}]}, US_ALONE, None),
    ({"city": [{"country": "US", "name": "Pasadena"}]}, CANADA_ALONE, False),
    ({"city": [{"country": "US", "name": "Pasadena"}]}, NOTHING_KNOWN, None),
    ({"city": [{"country": "US", "region": "US-CA", "name": "Pasadena"}]}, known_place("", city="Pasadena"), None),
    ({"city": [{"country": "US", "region": "US-CA", "name": "Pasadena"}]}, known_place("", "US", "US-TX"), False),
    ({"city": [{"country": "DE", "name": "Ko\u0308LN"}]}, known_place("", "DE", "DE-NW", "K\u00f6ln"), True),
    ({"city": [{"country": "DE", "name": "Gie\u00dfen"}]}, known_place("", "DE", "DE-HE", "GIESSEN"), True),
    ({"city": [{"country": "US", "name": "Pasadena"}]}, known_place("", city="Pasadena"), None),
    ({"city": [{"country": "US", "name": "Pasadena"}]}, known_place("", city="Paris"), False),
    ({"city": [{"country": "US", "region": "US-CA", "name": "Pasadena"}]}, US_ALONE, None),
    # Postcodes
    ({"postcode": [{"country": "US", "codes": ["90012", "90210"]}]}, LOS_ANGELES, True),
    ({"postcode": [{"country": "US", "codes": ["90210"]}]}, LOS_ANGELES, False),
    ({"postcode": [{"country": "MX", "codes": ["90012"]}]}, LOS_ANGELES, False),
    ({"postcode": [{"country": "US", "codes": ["90210"]}]}, US_ALONE, None),
    ({"postcode": [{"country": "US", "codes": ["90210"]}]}, CANADA_ALONE, False),
    ({"postcode": [{"country": "US", "codes": ["90210"]}]}, NOTHING_KNOWN, None),
    ({"postcode": [{"country": "US", "codes": ["90210"]}]}, known_place("", postcode="90210"), None),
    ({"postcode": [{"country": "US", "codes": ["90210"]}]}, known_place("", postcode="10001"), False),
    ({"postcode": [{"country": "GB", "codes": ["SW1A 1AA"]}]}, known_place("", "GB", postcode="SW1A1AA"), True),
    # Polygons and circles: the point decides, however wide its circle is
    ({"polygon": [BOX]}, LOS_ANGELES, True),
    ({"polygon": [BOX]}, SAN_DIEGO, False),
    ({"polygon": [BOX]}, US_ALONE, None),
    ({"circle": {"lon": -118.2437, "lat": 34.0522, "radius_m": 20_000}}, PASADENA, True),
    ({"circle": {"lon": -118.2437, "lat": 34.0522, "radius_m": 10_000}}, PASADENA, False),
    ({"circle": {"lon": -118.2437, "lat": 34.0522, "radius_m": 10_000}}, US_ALONE, None),
    # FORMATS' example: the market, or within 75 miles of its city
    ({"dma": {"codes": ["803"], "radius_miles": 75}}, LOS_ANGELES, True),
    ({"dma": {"codes": ["803"], "radius_miles": 75}}, PASADENA, True),
    ({"dma": {"codes": ["803"], "radius_miles": 75}}, SAN_DIEGO, False),
    # Within the radius, though of another market, or of none, abroad
    ({"dma": {"codes": ["803"], "radius_miles": 120}}, SAN_DIEGO, True),
    ({"dma": {"codes": ["803"]}}, SAN_DIEGO, False),
    ({"dma": {"codes": ["825"], "radius_miles": 75}}, TIJUANA, True),
    ({"dma": {"codes": ["825"]}}, TIJUANA, False),
    # Without a point: the hint alone; abroad there are no markets
    ({"dma": {"codes": ["803"]}}, known_place("", "US", metro="803"), True),
    ({"dma": {"codes": ["825"]}}, known_place("", "US", metro="803"), False),
    ({"dma": {"codes": ["825"], "radius_miles": 5}}, known_place("", "US", metro="803"), None),
    ({"dma": {"codes": ["803"]}}, US_ALONE, None),
    ({"dma": {"codes": ["803"]}}, CANADA_ALONE, False),
    ({"dma": {"codes": ["803"]}}, known_place("", "CA", metro="803"), False),
    ({"dma": {"codes": ["803"]}}, NOTHING_KNOWN, None),
    # Where the country is not known the market is not, but the radius is
    ({"dma": {"codes": ["803"]}}, known_place("", point=Point(-118.2437, 34.0522)), None),
    ({"dma": {"codes": ["803"], "radius_miles": 75}}, known_place("", point=Point(-118.2437, 34.0522)), True),
    ({"dma": {"codes": ["803"], "radius_miles": 75}}, known_place("", point=Point(2.35, 48.85)), None),
    # Networks: the address, whatever it is
    ({"cidr": ["192.0.2.0/24"]}, NOTHING_KNOWN, True),
    ({"cidr": ["198.51.100.0/24", "2001:db8::/32"]}, NOTHING_KNOWN, False),
    ({"cidr": ["10.0.0.0/8"]}, IpPlace("10.1.2.3", is_public=False), True),
    ({"cidr": ["2001:db8::/32"]}, IpPlace("2001:db8::7"), True),
    ({"cidr": ["192.0.2.0/24"]}, IpPlace("not an address", is_public=False), None),
    # Classes
    ({"network": ["vpn", "tor"]}, IpPlace("", classes=frozenset({NetworkClass.TOR})), True),
    ({"network": ["vpn"]}, IpPlace("", classes=frozenset({NetworkClass.TOR})), False),
    ({"network": ["vpn"]}, NOTHING_KNOWN, False),
    ({"network": ["vpn"]}, IpPlace("10.1.2.3", is_public=False), None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "place", "expected"), TABLE)
def test_a_condition_of_a_place(value: object, place: IpPlace, expected: bool | None) -> None:
    assert holds(value, place) is expected


# What is true, false and unknown where only the country is known.
WORDS: dict[bool | None, dict[str, object]] = {
    True: {"country": ["US"]}, False: {"country": ["CA"]}, None: {"region": ["US-CA"]},
}  # fmt: skip


@pytest.mark.parametrize("values", [*product((True, False, None), repeat=3), (), (True,), (False,), (None,)])
def test_kleenes_logic(values: tuple[bool | None, ...]) -> None:
    """Kleene (1952), "Introduction to Metamathematics", section 64: strong conjunction, disjunction, negation."""
    parts = [WORDS[value] for value in values]
    order = {False: 0, None: 1, True: 2}
    by_rank = {rank: value for value, rank in order.items()}
    most = by_rank[max((order[value] for value in values), default=0)]
    least = by_rank[min((order[value] for value in values), default=2)]
    assert holds({"any": parts}, US_ALONE) is most
    assert holds({"all": parts}, US_ALONE) is least
    assert holds({"none": parts}, US_ALONE) is (None if most is None else not most)


def test_a_market_that_the_operator_has_drawn() -> None:
    west, everywhere = [[[-119, 33], [-118.2, 33], [-118.2, 35], [-119, 35], [-119, 33]]], [BOX]
    zone = {"dma": {"codes": ["803"]}}
    # Downtown is in the drawing, Pasadena is not, whatever the nearest city and the database say
    assert holds(zone, LOS_ANGELES, {"803": west}) is True
    assert holds(zone, PASADENA, {"803": west}) is False
    assert holds(zone, known_place("", "US", metro="803", point=PASADENA.point), {"803": west}) is False
    assert holds(zone, known_place("", "US", metro="803"), {"803": west}) is None
    # A drawing takes what was another's, and holds abroad as well; of two the first counts
    assert holds(zone, LOS_ANGELES, {"825": everywhere}) is False
    assert holds({"dma": {"codes": ["825"]}}, LOS_ANGELES, {"825": everywhere, "803": everywhere}) is True
    assert holds(zone, known_place("", "MX", point=LOS_ANGELES.point), {"803": west}) is True
    # Its circle stays
    assert holds({"dma": {"codes": ["803"], "radius_miles": 75}}, PASADENA, {"803": west}) is True


def test_names_are_folded_and_regions_know_their_country() -> None:
    assert folded(" STRASSE ") == folded("Stra\u00dfe")
    assert country_of(known_place("", region="US-CA")) == "US"
    assert country_of(NOTHING_KNOWN) is None
