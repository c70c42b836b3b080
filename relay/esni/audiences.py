"""An audience as who is meant, and who is meant as an audience (SCTE 224, audience properties)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from kernel.errors import DecodeError
from relay.esni.elements import Name, short
from relay.esni.findings import FindingKind, Findings
from relay.esni.model import AUDIENCE, Audience, Match, Property
from relay.esni.place_terms import check_leaf
from relay.esni.values import number_text
from relay.esni.where import EVERYBODY, UNKNOWN, Group, Leaf, LeafKind, Where
from relay.place.geometry import METRES_PER_MILE
from relay.place.markets import COUNTRY, MARKETS

_ONE_VALUED = (LeafKind.CIRCLE, LeafKind.POLYGON)
_MAX_NUMBERS = 4_004
_NUMBER = re.compile(r"[-+]?\d{1,9}(?:\.\d{1,20})?", re.ASCII)
_MILES_DIGITS = 6
_BOX_DEGREES = 180.0
_KEPT_OUT = "it counts as unknown, and whoever may be meant is kept out"


def who(audience: Audience, findings: Findings, country: str | None = None) -> Where:
    """Return who an audience means.

    Args:
        audience: one without references.
        findings: takes the parts that are not understood.
        country: the one in which its postal codes are, if that is known.
    """
    if audience.match is None:
        return UNKNOWN
    if not audience.parts:
        findings.add(FindingKind.UNKNOWN_AUDIENCE, audience.at, "the audience is empty; it counts as all viewers")
        return UNKNOWN
    named = [_country(part) for part in audience.parts if audience.match is Match.ALL]
    known = [code for code in named if code is not None]
    within = known[0] if len(known) == 1 else country
    parts = tuple(
        who(part, findings, within) if isinstance(part, Audience) else _property(part, findings, within)
        for part in audience.parts
    )
    is_flat = not any(isinstance(part, Audience) for part in audience.parts)
    joined: Where | None = None
    if audience.match is Match.ANY and is_flat:
        joined = _around_cities(parts) or _joined(parts)
    elif audience.match is Match.ALL:
        joined = parts[0] if len(parts) == 1 and is_flat else _in_country(parts)
    return joined or Group(audience.match, parts)


def _country(part: Property | Audience) -> str | None:
    is_country = isinstance(part, Property) and part.name == f"{{{AUDIENCE}}}ISO3166" and part.is_plain
    return part.value.upper() if is_country and isinstance(part, Property) else None


def _joined(parts: tuple[Where, ...]) -> Leaf | None:
    """Return leaves of one kind as one."""
    leaves = [part for part in parts if isinstance(part, Leaf)]
    if len(leaves) < len(parts):
        return None
    first = leaves[0]
    alike = all((one.kind, one.country, one.is_home) == (first.kind, first.country, first.is_home) for one in leaves)
    if len(leaves) > 1 and (not alike or first.kind in _ONE_VALUED):
        return None
    return Leaf(first.kind, tuple(value for one in leaves for value in one.values), first.country, first.is_home)


def _in_country(parts: tuple[Where, ...]) -> Leaf | None:
    """Return postcodes that stand beside their country as what they are."""
    if len(parts) != 2:
        return None
    country, codes = parts
    if not isinstance(country, Leaf) or not isinstance(codes, Leaf) or codes.kind is not LeafKind.POSTCODE:
        return None
    is_theirs = country == Leaf(LeafKind.COUNTRY, (codes.country,)) and not codes.is_home
    return codes if is_theirs and codes.country != COUNTRY else None


def _around_cities(parts: tuple[Where, ...]) -> Leaf | None:
    """Return markets, and circles of one size around the principal city of each, as markets with a radius."""
    half, odd = divmod(len(parts), 2)
    leaves = [part for part in parts if isinstance(part, Leaf)]
    if odd or len(leaves) < len(parts):
        return None
    markets, circles = leaves[:half], leaves[half:]
    kinds = {one.kind for one in markets} | {one.kind for one in circles}
    if kinds != {LeafKind.DMA, LeafKind.CIRCLE} or any(one.kind is not LeafKind.DMA for one in markets):
        return None
    codes = tuple(str(one.values[0]) for one in markets)
    metres = {cast("tuple[float, float, float]", one.values[0])[2] for one in circles}
    if len(metres) > 1:
        return None
    miles = round(metres.pop() / METRES_PER_MILE, _MILES_DIGITS)
    found = Leaf(LeafKind.DMA, codes, radius_miles=miles)
    return found if _circles(found) == circles else None


def _circles(leaf: Leaf) -> list[Leaf]:
    assert leaf.radius_miles is not None
    metres = max(1.0, leaf.radius_miles * METRES_PER_MILE)
    cities = [MARKETS[str(code)].point for code in leaf.values]
    return [Leaf(LeafKind.CIRCLE, ((city[0], city[1], metres),)) for city in cities]


def _property(one: Property, findings: Findings, country: str | None) -> Where:
    read = _READERS.get(one.name.local) if one.name.space == AUDIENCE else None
    if read is None:
        text = f"{short(one.name.local)} is nothing that is known of viewers: {_KEPT_OUT}"
        findings.add(FindingKind.UNKNOWN_AUDIENCE, one.at, text)
        return UNKNOWN
    try:
        if not one.is_plain:
            raise DecodeError("a text alone is expected in it")
        where = read(one.value, country)
        if isinstance(where, Leaf):
            check_leaf(where)
    except DecodeError as error:
        text = f"{one.name.local} {short(one.value)}: {error}: {_KEPT_OUT}"
        findings.add(FindingKind.BAD_VALUE, one.at, text)
        return UNKNOWN
    return where


def _iso3166(text: str, _: str | None) -> Leaf:
    return Leaf(LeafKind.REGION if "-" in text else LeafKind.COUNTRY, (text.upper(),))


def _state(text: str, _: str | None) -> Leaf:
    if not re.fullmatch(r"[A-Za-z]{2}", text):
        raise DecodeError("two letters are expected")
    return Leaf(LeafKind.REGION, (f"{COUNTRY}-{text.upper()}",))


def _zip(text: str, _: str | None) -> Leaf:
    if not re.fullmatch(r"[0-9]{5}", text):
        raise DecodeError("five digits are expected")
    return Leaf(LeafKind.POSTCODE, (text,))


def _home_zip(text: str, _: str | None) -> Leaf:
    return Leaf(LeafKind.POSTCODE, _zip(text, None).values, is_home=True)


def _postal_code(text: str, country: str | None) -> Leaf:
    if country is None:
        raise DecodeError("of which country is not said; write ISO3166 beside it in an audience that matches ALL")
    return Leaf(LeafKind.POSTCODE, (text.upper().replace(" ", ""),), country)


def _circle(text: str, _: str | None) -> Leaf:
    lat, lon, radius_m = _numbers(text, 3)
    return Leaf(LeafKind.CIRCLE, ((lon, lat, radius_m),))


def _polygon(text: str, _: str | None) -> Leaf:
    numbers = _numbers(text, None)
    if len(numbers) % 2:
        raise DecodeError("pairs of latitude and longitude are expected")
    ring = list(zip(numbers[1::2], numbers[::2], strict=True))
    # The last corner is the first, whether it is written or not.
    closed = ring if ring[0] == ring[-1] and len(ring) > 1 else [*ring, ring[0]]
    return Leaf(LeafKind.POLYGON, (tuple(closed),))


def _box(text: str, _: str | None) -> Leaf:
    south, west, north, east = _numbers(text, 4)
    if south >= north or (east - west) % 360 >= _BOX_DEGREES or east == west:
        raise DecodeError("the lower left corner and the upper right one are expected, less than 180 degrees apart")
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return Leaf(LeafKind.POLYGON, (ring,))


def _numbers(text: str, count: int | None) -> list[float]:
    words = text.replace(",", " ").split()
    if not words or len(words) > _MAX_NUMBERS or count not in (None, len(words)):
        raise DecodeError(f"{count or 'pairs of'} numbers are expected, not {len(words)}")
    for word in words:
        if not _NUMBER.fullmatch(word):
            raise DecodeError(f"{short(word)} is no number")
    return [float(word) for word in words]


_READERS: dict[str, Callable[[str, str | None], Where]] = {
    "All": lambda _, __: EVERYBODY,
    "CIDR": lambda text, _: Leaf(LeafKind.CIDR, (text,)),
    "CIDR_IPV6": lambda text, _: Leaf(LeafKind.CIDR, (text,)),
    "DMA": lambda text, _: Leaf(LeafKind.DMA, (text,)),
    "HomeZip": _home_zip,
    "ISO3166": _iso3166,
    "LatLongBox": _box,
    "LatLongPolygon": _polygon,
    "LatLongRadius": _circle,
    "PostalCode": _postal_code,
    "State": _state,
    "Zip": _zip,
}


def audience_of(where: Leaf | Group) -> Audience:
    """Return the audience that means exactly these; nothing in it is unknown."""
    if isinstance(where, Group):
        if not where.parts:
            # An audience without parts would say nothing: none of all is nobody.
            match = Match.NONE if where.match is Match.ANY else Match.ALL
            return Audience(match=match, parts=(_written("All", ""),))
        return Audience(match=where.match, parts=tuple(audience_of(cast("Leaf | Group", one)) for one in where.parts))
    if where.kind is LeafKind.POSTCODE and where.country != COUNTRY:
        codes = Audience(match=Match.ANY, parts=tuple(_written("PostalCode", str(code)) for code in where.values))
        return Audience(match=Match.ALL, parts=(_written("ISO3166", where.country), codes))
    parts = [_leaf_property(where, value) for value in where.values]
    if where.radius_miles is not None:
        parts += [_leaf_property(circle, circle.values[0]) for circle in _circles(where)]
    return Audience(match=Match.ANY, parts=tuple(parts))


def _leaf_property(leaf: Leaf, value: object) -> Property:
    text = str(value)
    match leaf.kind:
        case LeafKind.COUNTRY:
            return _written("ISO3166", text)
        case LeafKind.REGION:
            is_state = text.startswith(f"{COUNTRY}-") and len(text) == 5
            return _written("State", text[3:]) if is_state else _written("ISO3166", text)
        case LeafKind.POSTCODE:
            return _written("HomeZip" if leaf.is_home else "Zip", text)
        case LeafKind.DMA:
            return _written("DMA", text)
        case LeafKind.CIDR:
            return _written("CIDR_IPV6" if ":" in text else "CIDR", text)
        case LeafKind.CIRCLE:
            lon, lat, radius_m = cast("tuple[float, float, float]", value)
            return _written("LatLongRadius", " ".join(map(number_text, (lat, lon, radius_m))))
        case LeafKind.POLYGON:
            ring = cast("tuple[tuple[float, float], ...]", value)
            pairs = (f"{number_text(lat)} {number_text(lon)}" for lon, lat in ring[:-1])
            return _written("LatLongPolygon", " ".join(pairs))


def _written(name: str, value: str) -> Property:
    return Property(Name(f"{{{AUDIENCE}}}{name}"), value)
