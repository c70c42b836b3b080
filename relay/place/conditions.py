"""Conditions on a place: what operators write in a rule's `where`, and whether it holds.

Kleene's logic: a condition is true, false or unknown (None), because what is not known of a place is nowhere rather
than anywhere. `any` is true if one part is, false if all are; `all` is false if one part is, true if all are; `none` is
true if all parts are false, false if one is true; else they are unknown.

* Country, region, city and postcode are what the database says of the address. Who knows a region knows its country; a
  place in another country is in none of a country's regions, cities and postcodes, even if its own are not known.
* Polygons, circles and markets judge a position: one point, the address' or the device's. How accurate it is plays no
  part; an operator who wants a margin draws it.
* `cidr` judges the address alone, private ones too: only what cannot be read is unknown. `network` judges the classes;
  of an address that is not of the Internet nobody knows that it is in none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from relay.place.addresses import Address, known_address
from relay.place.geometry import (
    METRES_PER_MILE,
    Circle,
    Polygon,
    Vector,
    chord_squared,
    unit_vector,
)
from relay.place.markets import COUNTRY, MARKETS, MarketMap
from relay.place.model import IpPlace, NetworkClass, Point
from relay.place.networks import Networks
from relay.place.polygon_index import PolygonIndex


class Ground:
    """What all positions are held against: the polygons of a policy, and its markets.

    Args:
        polygons: of all its conditions, then of its markets: the bit 1 << n stands for the nth.
        drawn: which bits of those are which market's.
    """

    def __init__(self, polygons: list[Polygon], drawn: Mapping[str, int]) -> None:
        self.index = PolygonIndex(polygons)
        self.drawn = tuple(drawn.items())
        self.markets = MarketMap(drawn)


class Position:
    """A point, and what has been found out of it; each thing once, when a condition asks.

    Args:
        ground: what it is held against.
        place: what is known of the address.
        point: where; None if it is not known.
        accuracy_m: the radius within which the point holds.
    """

    __slots__ = ("_accuracy_m", "_address", "_ground", "_inside", "_market", "_place", "_vector", "point")

    def __init__(self, ground: Ground, place: IpPlace, point: Point | None, accuracy_m: float | None) -> None:
        self._ground = ground
        self._place = place
        self.point = point
        self._accuracy_m = accuracy_m or 0.0
        self._inside: int | None = None
        self._vector: Vector | None = None
        self._market: str | None = None
        self._address: Address | None = None

    def address(self, place: IpPlace) -> Address | None:
        """Return the place's address, None if it cannot be read."""
        if self._address is None:
            self._address = known_address(place.address)
        return self._address

    def inside(self) -> int:
        """Return the bits of the polygons that hold the point. There must be one."""
        if self._inside is None:
            assert self.point is not None
            self._inside = self._ground.index.locate(*self.point)
        return self._inside

    def vector(self) -> Vector:
        """Return the point from the Earth's centre. There must be one."""
        if self._vector is None:
            assert self.point is not None
            self._vector = unit_vector(*self.point)
        return self._vector

    def market(self) -> str | None:
        """Return the market's code; empty if there is none, None if it is not known."""
        if self._market is None:
            self._market = self._find_market()
        return self._market

    def _find_market(self) -> str | None:
        country = country_of(self._place)
        ground, hint = self._ground, self._place.metro
        if self.point is None:
            # A hint alone is believed only where the operator has not drawn the market.
            found = ground.markets.hinted(hint) if country == COUNTRY else None
            return "" if country not in (COUNTRY, None) else None if found is None else found.code
        inside = self.inside() if ground.drawn else 0
        if inside:
            for code, bits in ground.drawn:
                if inside & bits:
                    return code
        if country is None:
            return None
        if country != COUNTRY:
            return ""
        market = ground.markets.find(self.point, self.vector(), accuracy_m=self._accuracy_m, hint=hint)
        return "" if market is None else market.code


def country_of(place: IpPlace) -> str | None:
    """Return the country of a place, by its region if by nothing else."""
    return place.country or (place.region[:2] if place.region else None)


def folded(name: str) -> str:
    """Return a name as names are compared: NFC, case folded, blanks at its ends removed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


_folded = lru_cache(maxsize=4_096)(folded)


@dataclass(frozen=True, slots=True)
class Countries:
    """Whether the country is one of `codes`."""

    codes: frozenset[str]

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        country = place.country
        if country is None:
            country = country_of(place)
        return None if country is None else country in self.codes


@dataclass(frozen=True, slots=True)
class Regions:
    """Whether the region is one of `codes`, each in one of `countries`."""

    codes: frozenset[str]
    countries: frozenset[str]

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        country, region = place.country, place.region
        if country is not None and country not in self.countries:
            return False
        if region is None:
            return None
        return region in self.codes and country in (None, region[:2])


@dataclass(frozen=True, slots=True)
class City:
    """A city's name, as `folded` has it, in a country and, if one is given, in a region."""

    country: str
    region: str | None
    name: str


class Cities:
    """Whether the city is one of `cities`; however many they are, it costs a look-up or two."""

    __slots__ = ("_countries", "_names", "_regions", "_where", "cities")

    def __init__(self, cities: tuple[City, ...]) -> None:
        self.cities = cities
        self._countries = {city.country for city in cities}
        self._names = {city.name for city in cities}
        self._regions = {(city.country, city.region) for city in cities}
        # By country and name: in which regions; None stands for any.
        self._where: dict[tuple[str, str], set[str | None]] = {}
        for city in cities:
            self._where.setdefault((city.country, city.name), set()).add(city.region)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cities) and self.cities == other.cities

    def __hash__(self) -> int:
        return hash(self.cities)

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        country, region = country_of(place), place.region
        name = None if place.city is None else _folded(place.city)
        if country is None:
            return None if name is None or name in self._names else False
        if name is None:
            if region is None:
                return None if country in self._countries else False
            may_be = (country, None) in self._regions or (country, region) in self._regions
            return None if may_be else False
        regions = self._where.get((country, name))
        if regions is None:
            return False
        if None in regions:
            return True
        return None if region is None else region in regions


@dataclass(frozen=True, slots=True)
class Postcodes:
    """Whether the postcode is one of those of its country."""

    codes: Mapping[str, frozenset[str]]

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        country, postcode = country_of(place), place.postcode
        if country is not None:
            codes = self.codes.get(country)
            return False if codes is None else None if postcode is None else postcode in codes
        known = postcode is not None and not any(postcode in codes for codes in self.codes.values())
        return False if known else None


@dataclass(frozen=True, slots=True)
class InPolygon:
    """Whether the position is in a polygon: the one that `bit` stands for in its policy."""

    polygon: Polygon = field(repr=False)
    bit: int = field(compare=False)

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        if position.point is None:
            return None
        return position.inside() & self.bit != 0


@dataclass(frozen=True, slots=True)
class InCircle:
    """Whether the position is in a circle."""

    circle: Circle
    centre: Vector
    chord: float

    @classmethod
    def of(cls, circle: Circle) -> InCircle:
        """Return the condition of a circle."""
        return cls(circle, unit_vector(*circle.centre), chord_squared(circle.radius_m))

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        if position.point is None:
            return None
        x, y, z = position.vector()
        to_x, to_y, to_z = self.centre
        return (x - to_x) ** 2 + (y - to_y) ** 2 + (z - to_z) ** 2 <= self.chord


@dataclass(frozen=True, slots=True)
class Zone:
    """Whether the market is one of `codes`, or the position within `radius_miles` of the principal city of one."""

    codes: frozenset[str]
    radius_miles: float | None
    chord: float
    cities: tuple[Vector, ...] = field(repr=False)

    @classmethod
    def of(cls, codes: frozenset[str], radius_miles: float | None) -> Zone:
        """Return the condition of markets; without a radius only the markets count."""
        cities = tuple(MARKETS[code].vector for code in sorted(codes))
        return cls(codes, radius_miles, chord_squared((radius_miles or 0.0) * METRES_PER_MILE), cities)

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        market = position.market()
        if market in self.codes:
            return True
        if self.radius_miles is None:
            return None if market is None else False
        if position.point is None:
            return None
        x, y, z = position.vector()
        for to_x, to_y, to_z in self.cities:
            if (x - to_x) ** 2 + (y - to_y) ** 2 + (z - to_z) ** 2 <= self.chord:
                return True
        return None if market is None else False


@dataclass(frozen=True, slots=True)
class InNetworks:
    """Whether the address is in one of some networks, which were written as `texts`."""

    texts: frozenset[str]
    networks: Networks = field(compare=False, repr=False)

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        address = position.address(place)
        return None if address is None else self.networks.holds(address)


@dataclass(frozen=True, slots=True)
class OfClasses:
    """Whether the address is of one of `classes` that hide their users."""

    classes: frozenset[NetworkClass]

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        if not self.classes.isdisjoint(place.classes):
            return True
        return False if place.is_public else None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Whether one of `parts` holds."""

    parts: tuple[Condition, ...]

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        return _any_holds(self.parts, place, position)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Whether all of `parts` hold."""

    parts: tuple[Condition, ...]

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        known = True
        for part in self.parts:
            held = part.holds(place, position)
            if held is False:
                return False
            known = known and held is not None
        return True if known else None


@dataclass(frozen=True, slots=True)
class NoneOf:
    """Whether none of `parts` holds."""

    parts: tuple[Condition, ...]

    def holds(self, place: IpPlace, position: Position) -> bool | None:
        """Return whether it holds, None if that is not known."""
        held = _any_holds(self.parts, place, position)
        return None if held is None else not held


Condition = (
    Countries | Regions | Cities | Postcodes | InPolygon | InCircle | Zone | InNetworks | OfClasses
    | AnyOf | AllOf | NoneOf
)  # fmt: skip
GEOMETRIC = (InPolygon, InCircle, Zone)
"""What a device's position may change."""


def _any_holds(parts: tuple[Condition, ...], place: IpPlace, position: Position) -> bool | None:
    known = True
    for part in parts:
        held = part.holds(place, position)
        if held:
            return True
        known = known and held is not None
    return False if known else None
