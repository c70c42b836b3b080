"""Conditions as operators write them, read strictly: limits on everything, and errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kernel.errors import DecodeError
from relay.place.conditions import (
    AllOf,
    AnyOf,
    Cities,
    City,
    Condition,
    Countries,
    InCircle,
    InNetworks,
    InPolygon,
    NoneOf,
    OfClasses,
    Postcodes,
    Regions,
    Zone,
    folded,
)  # fmt: skip
from relay.place.fields import choice_of, inside, list_of, number_of, object_of, position_of, quoted, text_of
from relay.place.geometry import EARTH_RADIUS_M, Circle, Polygon, Ring, ring_of
from relay.place.markets import MARKETS
from relay.place.model import NetworkClass, Point
from relay.place.networks import networks_of

MAX_DEPTH = 8
MAX_ENTRIES = 10_000
"""Of all lists of names, codes, networks and conditions together; corners of polygons are counted apart."""

MAX_CONDITIONS = 1_000
"""Each costs about 0.1 us where it is asked: five for each of 200 rules."""

MAX_ZONE_CODES = 1_000
"""Of markets with a radius, in all conditions together: each is a distance, which costs 0.06 us."""

MAX_VERTICES = 2_000
MAX_ALL_VERTICES = 400_000
"""As many as 200 rules with a full polygon each; in 256 KiB of JSON there is room for a tenth of that."""

MAX_RADIUS_M = EARTH_RADIUS_M * 3.1416
MAX_RADIUS_MILES = 12_451
"""Half around the Earth: everywhere."""

_MAX_NAME_CHARS = 100
_COUNTRY = re.compile(r"[A-Z]{2}")
_REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_POSTCODE = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")
_MARKET = re.compile(r"[0-9]{3}")


class ConditionReader:
    """Read the conditions of one policy, and count what they have together."""

    def __init__(self) -> None:
        self.polygons: list[Polygon] = []
        self.vertices = 0
        self._entries = 0
        self._conditions = 0
        self._zone_codes = 0
        self._kinds: Mapping[str, Callable[[object, str], Condition]] = {
            "country": lambda value, path: Countries(self._codes(value, path, _COUNTRY, "US")),
            "region": self._regions,
            "city": self._cities,
            "postcode": self._postcodes,
            "polygon": self._polygon,
            "circle": self._circle,
            "dma": self._zone,
            "cidr": self._networks,
            "network": self._classes,
        }

    def read(self, value: object, path: str, depth: int = 1) -> Condition:
        """Return the condition that is written at `path`, so many conditions deep.

        Raises:
            DecodeError: it is none, or exceeds a limit; the text begins with the field's path.
        """
        if depth > MAX_DEPTH:
            raise DecodeError(f"{path}: conditions nest deeper than {MAX_DEPTH}")
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise DecodeError(f"{path}: a policy has at most {MAX_CONDITIONS} conditions in all")
        kinds = {"any": False, "all": False, "none": False} | dict.fromkeys(self._kinds, False)
        fields = object_of(value, path, kinds)
        if len(fields) != 1:
            raise DecodeError(f"{path}: a condition has exactly one of {', '.join(kinds)}")
        ((kind, content),) = fields.items()
        at = inside(path, kind)
        if kind in self._kinds:
            return self._kinds[kind](content, at)
        listed = self._counted(list_of(content, at, least=0), at)
        parts = tuple(self.read(part, f"{at}[{n}]", depth + 1) for n, part in enumerate(listed))
        return AnyOf(parts) if kind == "any" else AllOf(parts) if kind == "all" else NoneOf(parts)

    def rings(self, value: object, path: str) -> Polygon:
        """Return the closed rings that are written at `path`.

        Raises:
            DecodeError: they are none, or have too many corners.
        """
        rings = [self._ring(ring, f"{path}[{n}]") for n, ring in enumerate(list_of(value, path))]
        vertices = sum(ring.n_vertices for ring in rings)
        if vertices > MAX_VERTICES:
            raise DecodeError(f"{path}: {vertices} corners; a polygon has at most {MAX_VERTICES}, holes included")
        self.vertices += vertices
        if self.vertices > MAX_ALL_VERTICES:
            raise DecodeError(f"{path}: a policy's polygons have at most {MAX_ALL_VERTICES} corners in all")
        return tuple(rings)

    def _ring(self, value: object, path: str) -> Ring:
        listed = list_of(value, path, least=4)
        if len(listed) > MAX_VERTICES + 1:
            raise DecodeError(
                f"{path}: {len(listed) - 1} corners; a polygon has at most {MAX_VERTICES}, holes included"
            )
        positions: list[Point] = [position_of(position, f"{path}[{n}]") for n, position in enumerate(listed)]
        if positions[0] != positions[-1]:
            # RFC 7946, 3.1.6: the first and last positions are equivalent, and they must contain identical values.
            raise DecodeError(f"{path}: the ring is not closed; repeat its first position as the last")
        try:
            return ring_of(positions)
        except ValueError as error:
            raise DecodeError(f"{path}: {error}") from None

    def _counted(self, listed: list[object], path: str) -> list[object]:
        self._entries += len(listed)
        if self._entries > MAX_ENTRIES:
            raise DecodeError(f"{path}: a policy's lists have at most {MAX_ENTRIES} entries in all")
        return listed

    def _codes(self, value: object, path: str, pattern: re.Pattern[str], such_as: str) -> frozenset[str]:
        listed = self._counted(list_of(value, path), path)
        for n, code in enumerate(listed):
            if not isinstance(code, str) or not pattern.fullmatch(code):
                raise DecodeError(f"{path}[{n}]: a code such as {such_as!r} is expected, not {quoted(code)}")
        return frozenset(str(code) for code in listed)

    def _regions(self, value: object, path: str) -> Regions:
        codes = self._codes(value, path, _REGION, "US-CA")
        return Regions(codes, frozenset(code[:2] for code in codes))

    def _cities(self, value: object, path: str) -> Cities:
        cities = []
        for n, entry in enumerate(self._counted(list_of(value, path), path)):
            at = f"{path}[{n}]"
            fields = object_of(entry, at, {"country": True, "region": False, "name": True})
            country = self._code(fields["country"], f"{at}.country", _COUNTRY, "US")
            region = fields.get("region")
            if region is not None:
                region = self._code(region, f"{at}.region", _REGION, "US-CA")
                if region[:2] != country:
                    raise DecodeError(f"{at}.region: {region} is no region of {country}")
            cities.append(City(country, region, folded(text_of(fields["name"], f"{at}.name", most=_MAX_NAME_CHARS))))
        return Cities(tuple(cities))

    def _postcodes(self, value: object, path: str) -> Postcodes:
        found: dict[str, frozenset[str]] = {}
        for n, entry in enumerate(self._counted(list_of(value, path), path)):
            at = f"{path}[{n}]"
            fields = object_of(entry, at, {"country": True, "codes": True})
            country = self._code(fields["country"], f"{at}.country", _COUNTRY, "US")
            codes = self._counted(list_of(fields["codes"], f"{at}.codes"), f"{at}.codes")
            for m, code in enumerate(codes):
                if not isinstance(code, str) or not _POSTCODE.fullmatch(code.upper().replace(" ", "")):
                    raise DecodeError(f"{at}.codes[{m}]: a postcode is expected, as text, not {quoted(code)}")
            written = frozenset(str(code).upper().replace(" ", "") for code in codes)
            found[country] = found.get(country, frozenset()) | written
        return Postcodes(found)

    def _code(self, value: object, path: str, pattern: re.Pattern[str], such_as: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise DecodeError(f"{path}: a code such as {such_as!r} is expected, not {quoted(value)}")
        return value

    def _polygon(self, value: object, path: str) -> InPolygon:
        polygon = self.rings(value, path)
        self.polygons.append(polygon)
        return InPolygon(polygon, 1 << len(self.polygons) - 1)

    def _circle(self, value: object, path: str) -> InCircle:
        fields = object_of(value, path, {"lon": True, "lat": True, "radius_m": True})
        lon = number_of(fields["lon"], f"{path}.lon", -180, 180)
        lat = number_of(fields["lat"], f"{path}.lat", -90, 90)
        return InCircle.of(Circle(Point(lon, lat), number_of(fields["radius_m"], f"{path}.radius_m", 1, MAX_RADIUS_M)))

    def _zone(self, value: object, path: str) -> Zone:
        fields = object_of(value, path, {"codes": True, "radius_miles": False})
        codes = self._codes(fields["codes"], f"{path}.codes", _MARKET, "803")
        for code in sorted(codes):
            check_market(code, f"{path}.codes")
        radius = fields.get("radius_miles")
        if radius is not None:
            radius = number_of(radius, f"{path}.radius_miles", 0, MAX_RADIUS_MILES)
            self._zone_codes += len(codes)
            if self._zone_codes > MAX_ZONE_CODES:
                raise DecodeError(f"{path}.codes: a policy has at most {MAX_ZONE_CODES} markets with a radius in all")
        return Zone.of(codes, radius)

    def _networks(self, value: object, path: str) -> InNetworks:
        texts = []
        for n, text in enumerate(self._counted(list_of(value, path), path)):
            texts.append(text_of(text, f"{path}[{n}]", most=_MAX_NAME_CHARS))
            try:
                networks_of(texts[-1:])
            except DecodeError as error:
                raise DecodeError(f"{path}[{n}]: {error}") from None
        return InNetworks(frozenset(texts), networks_of(texts))

    def _classes(self, value: object, path: str) -> OfClasses:
        listed = self._counted(list_of(value, path), path)
        return OfClasses(frozenset(choice_of(word, f"{path}[{n}]", NetworkClass) for n, word in enumerate(listed)))


def check_market(code: str, path: str) -> None:
    """Check that there is such a market.

    Raises:
        DecodeError: there is none.
    """
    if code not in MARKETS:
        raise DecodeError(f"{path}: {quoted(code)} is no television market's code")
