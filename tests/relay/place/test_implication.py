"""What follows from what, held against places; brute force stands in test_lint.py."""

from __future__ import annotations

import pytest

from relay.place.condition_text import ConditionReader
from relay.place.implication import NOWHERE, Implications, always_holds, countries_of

US: dict[str, object] = {"country": ["US"]}
CALIFORNIA, NEVADA = {"region": ["US-CA"]}, {"region": ["US-NV"]}
LA, LA_ANYWHERE = (
    {"city": [{"country": "US", "region": "US-CA", "name": "Los Angeles"}]},
    {"city": [{"country": "US", "name": "Los Angeles"}]},
)
BOX = {"polygon": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
SMALL = {"polygon": [[[1, 1], [1.5, 1], [1.5, 1.5], [1, 1]]]}


def circle(radius_m: float, lon: float = 0) -> dict[str, object]:
    return {"circle": {"lon": lon, "lat": 0, "radius_m": radius_m}}


def zone(*codes: str, miles: float | None = None) -> dict[str, object]:
    return {"dma": {"codes": list(codes)} | ({} if miles is None else {"radius_miles": miles})}


IMPLIES: list[tuple[object, object, bool]] = [
    # The same, and what is contained by its name
    (US, US, True),
    (US, {"country": ["US", "CA"]}, True),
    ({"country": ["US", "CA"]}, US, False),
    (CALIFORNIA, US, True),
    (US, CALIFORNIA, False),
    (CALIFORNIA, {"country": ["CA"]}, False),
    (CALIFORNIA, {"region": ["US-NV", "US-CA"]}, True),
    (LA, CALIFORNIA, True),
    (LA, US, True),
    (LA_ANYWHERE, CALIFORNIA, False),
    (LA, LA_ANYWHERE, True),
    (LA_ANYWHERE, LA, False),
    ({"postcode": [{"country": "US", "codes": ["1"]}]}, US, True),
    ({"postcode": [{"country": "US", "codes": ["1"]}]}, {"postcode": [{"country": "US", "codes": ["1", "2"]}]}, True),
    ({"postcode": [{"country": "US", "codes": ["1"]}]}, {"postcode": [{"country": "CA", "codes": ["1"]}]}, False),
    # Polygons: the same one only
    (BOX, BOX, True),
    (SMALL, BOX, False),
    (BOX, US, False),
    # Circles and markets
    (circle(1_000), circle(2_000), True),
    (circle(1_000), circle(1_000, lon=0.01), False),
    (circle(1_000), circle(2_200, lon=0.01), True),
    (circle(1_000), circle(2_000, lon=0.01), False),
    (zone("803"), zone("803", "825"), True),
    (zone("803"), zone("803", miles=5), True),
    (zone("803", miles=5), zone("803"), False),
    (zone("803", miles=5), zone("803", miles=6), True),
    (zone("803", miles=6), zone("803", miles=5), False),
    # Networks and classes
    ({"cidr": ["192.0.2.0/24"]}, {"cidr": ["192.0.2.0/24", "198.51.100.0/24"]}, True),
    ({"cidr": ["192.0.2.0/25"]}, {"cidr": ["192.0.2.0/24"]}, False),
    ({"network": ["vpn"]}, {"network": ["tor", "vpn"]}, True),
    ({"network": ["vpn"]}, {"network": ["tor"]}, False),
    # What is made of others
    ({"any": [CALIFORNIA, NEVADA]}, US, True),
    ({"any": [CALIFORNIA, {"country": ["CA"]}]}, US, False),
    (CALIFORNIA, {"any": [{"country": ["CA"]}, US]}, True),
    ({"all": [BOX, CALIFORNIA]}, US, True),
    (CALIFORNIA, {"all": [US, {"any": [CALIFORNIA, NEVADA]}]}, True),
    (CALIFORNIA, {"all": [US, BOX]}, False),
    ({"all": [CALIFORNIA, BOX]}, {"all": [BOX, US]}, True),
    ({"none": [US]}, {"none": [CALIFORNIA]}, True),
    ({"none": [CALIFORNIA]}, {"none": [US]}, False),
    ({"any": []}, CALIFORNIA, True),
    (CALIFORNIA, {"all": []}, True),
    (CALIFORNIA, {"none": []}, True),
    (CALIFORNIA, {"any": []}, False),
]


@pytest.mark.parametrize(("one", "other", "expected"), IMPLIES)
def test_one_implies_the_other(one: object, other: object, expected: bool) -> None:
    reader, known = ConditionReader(), Implications()
    first, second = reader.read(one, "a"), reader.read(other, "b")
    assert known.implies(first, second) is expected
    assert known.implies(first, second) is expected


NEVER: list[tuple[object, bool]] = [
    ({"any": []}, True),
    ({"all": []}, False),
    (US, False),
    ({"all": [US, {"country": ["CA"]}]}, True),
    ({"all": [CALIFORNIA, {"any": [{"country": ["FR"]}, {"country": ["DE"]}]}]}, True),
    ({"all": [CALIFORNIA, NEVADA]}, False),
    ({"all": [CALIFORNIA, {"none": [US]}]}, True),
    ({"all": [US, {"none": [CALIFORNIA]}]}, False),
    ({"none": [{"all": []}]}, True),
    ({"none": [{"any": [US, {"none": []}]}]}, True),
    ({"none": [US]}, False),
    ({"any": [{"any": []}, {"all": [US, {"country": ["CA"]}]}]}, True),
]


@pytest.mark.parametrize(("value", "expected"), NEVER)
def test_what_never_holds(value: object, expected: bool) -> None:
    assert Implications().never_holds(ConditionReader().read(value, "a")) is expected


def test_what_always_holds() -> None:
    always: list[object] = [{"all": []}, {"none": []}, {"none": [{"any": []}]}, {"any": [US, {"all": [{"all": []}]}]}]
    for value in always:
        assert always_holds(ConditionReader().read(value, "a"))
    for value in ({"any": []}, US, {"none": [US]}, {"all": [US]}):
        assert not always_holds(ConditionReader().read(value, "a"))


def test_countries_are_known_of_names_only() -> None:
    assert countries_of(ConditionReader().read({"any": [LA, {"country": ["CA"]}]}, "a")) == frozenset({"US", "CA"})
    assert countries_of(ConditionReader().read({"all": [BOX, LA]}, "a")) == frozenset({"US"})
    assert countries_of(ConditionReader().read({"any": [BOX, LA]}, "a")) is None
    assert countries_of(ConditionReader().read({"none": [LA]}, "a")) is None
    assert countries_of(NOWHERE) == frozenset()


def test_deep_comparisons_end() -> None:
    def nested(depth: int) -> dict[str, object]:
        if depth == 0:
            return US
        return {"all": [{"any": [nested(depth - 2), BOX]}, {"any": [CALIFORNIA, nested(depth - 2)]}]}

    reader = ConditionReader()
    one, other = reader.read(nested(6), "a"), reader.read({"any": [nested(6), LA]}, "b")
    assert Implications().implies(one, other)
