from __future__ import annotations

import pytest

from relay.esni.audiences import audience_of, who
from relay.esni.findings import FindingKind, Findings
from relay.esni.model import Audience, Match
from relay.esni.reading import read_document
from relay.esni.where import EVERYBODY, NOBODY, UNKNOWN, Group, Leaf, LeafKind, Where
from tests.relay.esni.documents import document, findings_of

K = LeafKind


def read(inside: str, match: str = "ALL") -> tuple[Where, list[FindingKind]]:
    findings = Findings()
    text = document(f"<Audience match='{match}'>{inside}</Audience>")
    (audience,) = read_document(text.encode(), "a.xml", findings).audiences
    where = who(audience, findings)
    return where, [kind for kind, _, _ in findings_of(findings)]


def tags(name: str, *values: str) -> str:
    return "".join(f"<audience:{name}>{value}</audience:{name}>" for value in values)


SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0))


@pytest.mark.parametrize(
    ("inside", "where"),
    [
        (tags("All", ""), EVERYBODY),
        (tags("DMA", "803"), Leaf(K.DMA, ("803",))),
        (tags("ISO3166", "us"), Leaf(K.COUNTRY, ("US",))),
        (tags("ISO3166", "CA-ON"), Leaf(K.REGION, ("CA-ON",))),
        (tags("State", "co"), Leaf(K.REGION, ("US-CO",))),
        (tags("Zip", "80202"), Leaf(K.POSTCODE, ("80202",))),
        (tags("HomeZip", "80202"), Leaf(K.POSTCODE, ("80202",), is_home=True)),
        (tags("CIDR", "198.51.100.0/24"), Leaf(K.CIDR, ("198.51.100.0/24",))),
        (tags("CIDR", "198.51.100.7"), Leaf(K.CIDR, ("198.51.100.7",))),
        (tags("CIDR_IPV6", "2001:db8::/32"), Leaf(K.CIDR, ("2001:db8::/32",))),
        (tags("LatLongRadius", "39.7 -104.9  10000.50"), Leaf(K.CIRCLE, ((-104.9, 39.7, 10000.5),))),
        # The last corner is implicitly the first, but may be written.
        (tags("LatLongPolygon", "0 0 0 1 1 1"), Leaf(K.POLYGON, (SQUARE,))),
        (tags("LatLongPolygon", "0 0 0 1 1 1 0 0"), Leaf(K.POLYGON, (SQUARE,))),
        (tags("LatLongBox", "0 10 1 11"),
         Leaf(K.POLYGON, (((10.0, 0.0), (11.0, 0.0), (11.0, 1.0), (10.0, 1.0), (10.0, 0.0)),))),
        # Postcodes need their country.
        (tags("ISO3166", "ca") + tags("PostalCode", "m5v 1a1"), Leaf(K.POSTCODE, ("M5V1A1",), "CA")),
        (tags("ISO3166", "US") + tags("DMA", "803"),
         Group(Match.ALL, (Leaf(K.COUNTRY, ("US",)), Leaf(K.DMA, ("803",))))),
    ],
)  # fmt: skip
def test_each_property(inside: str, where: Where) -> None:
    assert read(inside) == (where, [])


@pytest.mark.parametrize(
    ("match", "inside", "where"),
    [
        # Of one kind they are one condition, if one of them is enough.
        ("ANY", tags("DMA", "803", "807"), Leaf(K.DMA, ("803", "807"))),
        ("ALL", tags("DMA", "803", "807"), Group(Match.ALL, (Leaf(K.DMA, ("803",)), Leaf(K.DMA, ("807",))))),
        ("NONE", tags("DMA", "803", "807"), Group(Match.NONE, (Leaf(K.DMA, ("803",)), Leaf(K.DMA, ("807",))))),
        ("NONE", tags("DMA", "803"), Group(Match.NONE, (Leaf(K.DMA, ("803",)),))),
        ("ANY", tags("DMA", "803") + tags("State", "ca"),
         Group(Match.ANY, (Leaf(K.DMA, ("803",)), Leaf(K.REGION, ("US-CA",))))),
        ("ANY", tags("Zip", "90012") + tags("HomeZip", "90012"),
         Group(Match.ANY, (Leaf(K.POSTCODE, ("90012",)), Leaf(K.POSTCODE, ("90012",), is_home=True)))),
        ("ANY", tags("LatLongRadius", "0 0 5", "0 1 5"),
         Group(Match.ANY, (Leaf(K.CIRCLE, ((0.0, 0.0, 5.0),)), Leaf(K.CIRCLE, ((1.0, 0.0, 5.0),))))),
        # A market, and a circle around its city.
        ("ANY", tags("DMA", "803") + tags("LatLongRadius", "34.0522 -118.2437 120700.8"),
         Leaf(K.DMA, ("803",), radius_miles=75.0)),
        ("ANY", tags("DMA", "803") + tags("LatLongRadius", "34.0523 -118.2437 120700.8"),
         Group(Match.ANY, (Leaf(K.DMA, ("803",)), Leaf(K.CIRCLE, ((-118.2437, 34.0523, 120700.8),))))),
        # Audiences in it stay what they are.
        ("NONE", f"<Audience match='ANY'>{tags('DMA', '803')}</Audience>", Group(Match.NONE, (Leaf(K.DMA, ("803",)),))),
        ("ALL", f"<Audience>{tags('DMA', '803')}</Audience>", Group(Match.ALL, (Leaf(K.DMA, ("803",)),))),
        ("ALL", tags("ISO3166", "CA") + f"<Audience match='ANY'>{tags('PostalCode', 'M5V', 'M5W')}</Audience>",
         Leaf(K.POSTCODE, ("M5V", "M5W"), "CA")),
        ("ANY", tags("ISO3166", "CA") + f"<Audience match='ANY'>{tags('PostalCode', 'M5V')}</Audience>",
         Group(Match.ANY, (Leaf(K.COUNTRY, ("CA",)), Group(Match.ANY, (UNKNOWN,))))),
    ],
)  # fmt: skip
def test_how_parts_are_joined(match: str, inside: str, where: Where) -> None:
    assert read(inside, match)[0] == where


@pytest.mark.parametrize("name", ["Device", "Vird", "FIPS", "Distributor", "Network", "ViewTime", "OS", "Anything"])
def test_what_is_not_known_of_viewers_is_unknown(name: str) -> None:
    assert read(tags(name, "x")) == (UNKNOWN, [FindingKind.UNKNOWN_AUDIENCE])


def test_properties_of_strangers_are_unknown() -> None:
    assert read("<x:DMA xmlns:x='urn:x'>803</x:DMA>") == (UNKNOWN, [FindingKind.UNKNOWN_AUDIENCE])


def test_an_audience_of_nothing_is_unknown() -> None:
    assert read("") == (UNKNOWN, [FindingKind.UNKNOWN_AUDIENCE])


@pytest.mark.parametrize(
    "inside",
    [
        tags("DMA", "999"), tags("DMA", ""), tags("DMA", "803 807"), tags("ISO3166", "USA"), tags("ISO3166", "840"),
        tags("State", "Colorado"), tags("State", "1x"), tags("Zip", "8020"), tags("Zip", "80202-1234"),
        tags("HomeZip", "x"),
        tags("PostalCode", "2020"), tags("CIDR", "198.51.100.1/24"), tags("CIDR", "all"), tags("CIDR_IPV6", "::1::"),
        tags("LatLongRadius", "39.7 -104.9"), tags("LatLongRadius", "91 0 5"), tags("LatLongRadius", "0 0 0"),
        tags("LatLongRadius", "1e1 0 5"), tags("LatLongRadius", "nan 0 5"), tags("LatLongRadius", "0 0 99999999999"),
        tags("LatLongPolygon", "0 0 1 1"), tags("LatLongPolygon", "0 0 0 1 1"), tags("LatLongPolygon", ""),
        tags("LatLongPolygon", " ".join(["0 0 0 1 1 1"] * 1000)), tags("LatLongBox", "1 0 0 1"),
        tags("LatLongBox", "0 0 1 200"),
        "<audience:DMA>803<audience:X/></audience:DMA>",
    ],
)  # fmt: skip
def test_values_that_are_none_are_unknown(inside: str) -> None:
    assert read(inside) == (UNKNOWN, [FindingKind.BAD_VALUE])


@pytest.mark.parametrize(
    "where",
    [
        EVERYBODY,
        Leaf(K.DMA, ("803",), radius_miles=75),
        Leaf(K.DMA, ("803", "807"), radius_miles=12.5),
        Leaf(K.REGION, ("US-CA", "CA-ON")),
        Leaf(K.COUNTRY, ("US",)),
        Leaf(K.POSTCODE, ("90012", "90013"), is_home=True),
        Leaf(K.POSTCODE, ("M5V",), "CA"),
        Leaf(K.CIDR, ("10.0.0.0/8", "2001:db8::/32")),
        Leaf(K.CIRCLE, ((1e-7, -5.5, 1000.0),)),
        Leaf(K.POLYGON, (SQUARE,)),
        Group(Match.ANY, (Leaf(K.DMA, ("803",)), Group(Match.NONE, (Leaf(K.COUNTRY, ("US",)),)))),
    ],
)
def test_who_is_written_is_read_back(where: Leaf | Group) -> None:
    findings = Findings()
    assert who(audience_of(where), findings) == where
    assert findings.all() == ()


def test_nobody_is_written_as_none_of_all() -> None:
    findings = Findings()
    assert who(audience_of(NOBODY), findings) == Group(Match.NONE, (EVERYBODY,))


def test_what_could_not_be_read_is_unknown() -> None:
    assert who(Audience(match=None), Findings()) is UNKNOWN
