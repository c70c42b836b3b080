from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.value import replace
from relay.place.geo_records import asn_of, city_facts, classes_of
from relay.place.model import NOWHERE, Locality, NetworkClass, Point

PASADENA: dict[str, Any] = {
    "city": {"geoname_id": 5381396, "names": {"en": "Pasadena", "ja": "パサデナ"}},
    "continent": {"code": "NA"},
    "country": {"iso_code": "US", "names": {"en": "United States"}},
    "location": {"accuracy_radius": 10, "latitude": 34.1478, "longitude": -118.1445, "metro_code": 803},
    "postal": {"code": "91101"},
    "subdivisions": [{"iso_code": "CA", "names": {"en": "California"}}, {"iso_code": "037"}],
    "traits": {"autonomous_system_number": 7018},
}


def changed(**parts: Any) -> dict[str, Any]:
    return {**PASADENA, **parts}


def location(**parts: Any) -> dict[str, Any]:
    return changed(location={**PASADENA["location"], **parts})


def test_all_of_a_record_is_read() -> None:
    assert city_facts(PASADENA) == Locality(
        "US", "US-CA", "Pasadena", "91101", Point(-118.1445, 34.1478), 10_000.0, "803", 7018
    )


@pytest.mark.parametrize(
    ("record", "field", "expected"),
    [
        # Where a network is registered is not where its users are
        ({"registered_country": {"iso_code": "US"}, "represented_country": {"iso_code": "US"}}, "country", None),
        (changed(country={"iso_code": "us"}), "country", None),
        (changed(country={"iso_code": "USA"}), "country", None),
        (changed(country={"iso_code": "ÜS"}), "country", None),
        (changed(country={"iso_code": 7}), "country", None),
        (changed(country=["US"]), "country", None),
        # A region needs its country
        (changed(country={}), "region", None),
        (changed(subdivisions=[{"iso_code": "US-CA"}]), "region", "US-CA"),
        (changed(subdivisions=[{"iso_code": "CALI"}]), "region", None),
        (changed(subdivisions=[{"iso_code": ""}]), "region", None),
        (changed(subdivisions=[{"iso_code": "C A"}]), "region", None),
        (changed(subdivisions=[]), "region", None),
        (changed(subdivisions={"iso_code": "CA"}), "region", None),
        (changed(subdivisions=["CA"]), "region", None),
        # DB-IP's free database has names only
        (changed(subdivisions=[{"names": {"en": "California"}}]), "region", "US-CA"),
        (changed(subdivisions=[{"names": {"en": "Washington, D.C."}}]), "region", "US-DC"),
        (changed(subdivisions=[{"names": {"en": "Narnia"}}]), "region", None),
        (changed(subdivisions=[{"names": {"en": ["California"]}}]), "region", None),
        (changed(country={"iso_code": "CA"}, subdivisions=[{"names": {"en": "Ontario"}}]), "region", "CA-ON"),
        (changed(country={"iso_code": "GB"}, subdivisions=[{"names": {"en": "England"}}]), "region", None),
        (changed(city={"names": {"ja": "パサデナ"}}), "city", None),
        (changed(city={"names": {"en": ""}}), "city", None),
        (changed(city={"names": {"en": "Zürich"}}), "city", "Zürich"),
        (changed(city={"names": {"en": "x\x1b[31m"}}), "city", None),
        (changed(city={"names": {"en": "x" * 101}}), "city", None),
        (changed(city={"names": {"en": "Altstadt (Mitte)"}}), "city", "Altstadt (Mitte)"),
        (changed(city={"names": "Pasadena"}), "city", None),
        (changed(postal={"code": "ec1a 1bb"}), "postcode", "EC1A1BB"),
        (changed(postal={"code": "100-0001"}), "postcode", "100-0001"),
        (changed(postal={"code": " "}), "postcode", None),
        (changed(postal={"code": "1" * 17}), "postcode", None),
        (changed(postal={"code": "9<b>"}), "postcode", None),
        (changed(postal={"code": 91101}), "postcode", None),
        (location(latitude=91.0), "point", None),
        (location(latitude=-90.0, longitude=180.0), "point", Point(180.0, -90.0)),
        (location(longitude=-180.5), "point", None),
        (location(latitude=float("nan")), "point", None),
        (location(latitude=float("inf")), "point", None),
        (location(latitude="34"), "point", None),
        (location(latitude=34, longitude=-118), "point", Point(-118.0, 34.0)),
        (location(latitude=0.0, longitude=0.0), "point", None),
        (location(latitude=0.0, longitude=6.6), "point", Point(6.6, 0.0)),
        (changed(location={"latitude": 34.0}), "point", None),
        (location(accuracy_radius=0), "accuracy_m", None),
        (location(accuracy_radius=65_535), "accuracy_m", None),
        (location(accuracy_radius=True), "accuracy_m", None),
        (location(accuracy_radius=None), "accuracy_m", None),
        # An accuracy of no position says nothing
        (location(latitude=None), "accuracy_m", None),
        (location(metro_code=0), "metro", None),
        (location(metro_code=1_000), "metro", None),
        (location(metro_code="803"), "metro", None),
        (changed(traits={"autonomous_system_number": 2**32}), "asn", None),
        (changed(traits=[]), "asn", None),
    ],
)
def test_what_is_odd_is_unknown(record: Any, field: str, expected: object) -> None:
    assert getattr(city_facts(record), field) == expected


def test_one_odd_part_leaves_the_rest() -> None:
    facts = city_facts(changed(city=7, postal=None))
    assert facts == replace(city_facts(PASADENA), city=None, postcode=None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Toronto (Old Toronto)", "Toronto"), ("Toronto", "Toronto"), ("(Old Toronto)", "(Old Toronto)"),
     (" (x)", None)],
)  # fmt: skip
def test_districts_go(name: str, expected: str | None) -> None:
    assert city_facts(changed(city={"names": {"en": name}}), with_districts=True).city == expected


@pytest.mark.parametrize("record", [None, {}, [], "US", 7, {"country": None, "location": [], "postal": "9"}])
def test_nothing_is_nowhere(record: object) -> None:
    assert city_facts(record) == NOWHERE
    assert asn_of(record) is None
    assert classes_of(record) == frozenset()


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"autonomous_system_number": 7018, "autonomous_system_organization": "x"}, 7018),
        ({"autonomous_system_number": 2**32 - 1}, 2**32 - 1),
        ({"traits": {"autonomous_system_number": 7018}}, 7018),
        ({"autonomous_system_number": 0}, None),
        ({"autonomous_system_number": -1}, None),
        ({"autonomous_system_number": True}, None),
        ({"autonomous_system_number": "7018"}, None),
        ({"autonomous_system_number": 2**32}, None),
        ({"traits": None}, None),
    ],
)
def test_numbers_of_systems(record: object, expected: int | None) -> None:
    assert asn_of(record) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"is_anonymous": True, "is_anonymous_vpn": True}, {NetworkClass.VPN}),
        ({"is_anonymous": True, "is_public_proxy": True}, {NetworkClass.PROXY}),
        ({"is_anonymous": True, "is_tor_exit_node": True}, {NetworkClass.TOR}),
        ({"is_anonymous": True, "is_hosting_provider": True}, {NetworkClass.DATA_CENTRE}),
        ({"is_residential_proxy": True}, {NetworkClass.RESIDENTIAL_PROXY}),
        ({"is_anonymous_vpn": True, "is_hosting_provider": True}, {NetworkClass.VPN, NetworkClass.DATA_CENTRE}),
        ({"is_anonymous": True}, {NetworkClass.PROXY}),
        ({"is_anonymous": False, "is_anonymous_vpn": False}, set()),
        ({"is_anonymous_vpn": 1, "is_tor_exit_node": "true"}, set()),
        # Anonymous-Plus says more
        ({"is_anonymous": True, "is_anonymous_vpn": True, "anonymizer_confidence": 30, "provider_name": "x",
          "network_last_seen": "2026-10-01"}, {NetworkClass.VPN}),
    ],
)  # fmt: skip
def test_classes(record: object, expected: set[NetworkClass]) -> None:
    assert classes_of(record) == expected


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "iso_code", "names", "en", "code", "latitude", "longitude", "accuracy_radius", "metro_code", "traits",
        "autonomous_system_number"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*PASADENA, "is_anonymous", "autonomous_system_number"]), ODD))
def test_no_record_is_a_fault_of_ours(parts: dict[str, Any]) -> None:
    facts = city_facts({**PASADENA, **parts}, with_districts=True)
    assert facts.country is None or len(facts.country) == 2
    assert facts.point is None or (abs(facts.point.lon) <= 180 and abs(facts.point.lat) <= 90)
    asn, classes = asn_of(parts), classes_of(parts)
    assert asn is None or 0 < asn < 2**32
    assert classes <= frozenset(NetworkClass)
