"""Where points of the Earth lie on the console's maps, and the paths of what is drawn there.

The map of the United States is Albers' equal-area projection in three frames, as d3's `geoAlbersUsa` has it (scale
1300, 975 by 610 units): the lower 48 states (parallels 29.5 and 45.5), Alaska at 35 %, Hawaii. The map of the world is
plain: two units a degree. `ui/outline.py` draws the land for both.

An edge of a polygon is straight in degrees (relay/place/geometry.py), so it is bent on paper: edges are divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import asin, atan2, ceil, cos, degrees, radians, sin, sqrt

from relay.place.geometry import EARTH_RADIUS_M, Polygon
from relay.place.model import Point

Place = tuple[float, float]
Put = Callable[[float, float], Place]

_STEP_DEGREES = 2.0
_RIM_POINTS = 72
_SCALE = 1300.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A part of a map that has a projection of its own.

    Args:
        name: of its clip path.
        left, top, right, bottom: what it covers, in units of the paper.
        put: tells where a longitude and a latitude in degrees lie; the longitude may be beyond 180.
        middle: the longitude from which it reaches 180 degrees either way.
    """

    name: str
    left: float
    top: float
    right: float
    bottom: float
    put: Put
    middle: float

    def shows(self, places: Sequence[Place]) -> bool:
        """Return whether the box around some places touches the frame."""
        xs, ys = [x for x, _ in places], [y for _, y in places]
        return min(xs) <= self.right and max(xs) >= self.left and min(ys) <= self.bottom and max(ys) >= self.top


@dataclass(frozen=True, slots=True)
class Paper:
    """A map.

    Args:
        name: `us` or `world`.
        width, height: in units.
        frames: what it consists of.
    """

    name: str
    width: float
    height: float
    frames: tuple[Frame, ...]

    def place(self, point: Point) -> Place | None:
        """Return where a point lies, None if it is not on the map."""
        for frame in self.frames:
            x, y = frame.put(_near(point.lon, frame.middle), point.lat)
            if frame.left <= x <= frame.right and frame.top <= y <= frame.bottom:
                return x, y
        return None

    def paths(self, rings: Iterable[Sequence[Place]]) -> dict[str, str]:
        """Return what rings, closed and of (lon, lat), are in each frame that they touch: the path's data, by frame."""
        rings = [_divided(ring) for ring in rings]
        drawn: dict[str, str] = {}
        for frame in self.frames:
            parts = [part for ring in rings if (part := _part(ring, frame))]
            if parts:
                drawn[frame.name] = "".join(parts)
        return drawn


def albers(turned: float, centre: Place, parallels: Place, scale: float, at: Place) -> Put:
    """Return Albers' equal-area projection (Snyder 1987, page 100, on a sphere).

    Args:
        turned: the longitude in the middle.
        centre: the longitude from there, and the latitude, of what lies at `at`, in degrees.
        parallels: where it is true, in degrees.
        scale: units a radian.
        at: where the centre lies on paper.
    """
    south = sin(radians(parallels[0]))
    n = (south + sin(radians(parallels[1]))) / 2
    c = 1 + south * (2 * n - south)
    pole = sqrt(c) / n

    def raw(lon: float, lat: float) -> Place:
        r = sqrt(max(0.0, c - 2 * n * sin(radians(lat)))) / n
        return r * sin(n * radians(lon)), pole - r * cos(n * radians(lon))

    centre_x, centre_y = raw(*centre)

    def put(lon: float, lat: float) -> Place:
        x, y = raw(lon - turned, lat)
        return at[0] + scale * (x - centre_x), at[1] - scale * (y - centre_y)

    return put


def _us() -> Paper:
    x, y, k = 487.5, 305.0, _SCALE
    lower = albers(-96.0, (-0.6, 38.7), (29.5, 45.5), k, (x, y))
    alaska = albers(-154.0, (-2.0, 58.5), (55.0, 65.0), 0.35 * k, (x - 0.307 * k, y + 0.201 * k))
    hawaii = albers(-157.0, (-3.0, 19.9), (8.0, 18.0), k, (x - 0.205 * k, y + 0.212 * k))
    return Paper(
        "us", 975.0, 610.0,
        (
            # The insets first: a point of theirs lies outside of what the lower states cover anyway.
            Frame("alaska", x - 0.425 * k, y + 0.120 * k, x - 0.214 * k, y + 0.234 * k, alaska, -154.0),
            Frame("hawaii", x - 0.214 * k, y + 0.166 * k, x - 0.115 * k, y + 0.234 * k, hawaii, -157.0),
            Frame("lower", 0.0, 0.0, 975.0, 610.0, lower, -96.0),
        ),
    )  # fmt: skip


US = _us()
WORLD = Paper(
    "world", 720.0, 360.0,
    (Frame("earth", 0.0, 0.0, 720.0, 360.0, lambda lon, lat: ((lon + 180.0) * 2.0, (90.0 - lat) * 2.0), 0.0),),
)  # fmt: skip
PAPERS = {paper.name: paper for paper in (US, WORLD)}


def rim(centre: Point, radius_m: float) -> list[Place]:
    """Return a closed ring around all that lies within `radius_m` metres of a point, along great circles.

    Around a pole it is closed along the edge of the map, and longitudes may lie beyond 180 degrees. Of a radius that
    reaches around the Earth nothing is left out: it is the whole map.
    """
    angle = radius_m / EARTH_RADIUS_M
    if angle >= radians(179.9):
        return [(-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0), (-180.0, -90.0)]
    lat, lon = radians(centre.lat), radians(centre.lon)
    ring: list[Place] = []
    for index in range(_RIM_POINTS + 1):
        bearing = radians(360.0 * index / _RIM_POINTS)
        to_lat = asin(max(-1.0, min(1.0, sin(lat) * cos(angle) + cos(lat) * sin(angle) * cos(bearing))))
        to_lon = lon + atan2(sin(bearing) * sin(angle) * cos(lat), cos(angle) - sin(lat) * sin(to_lat))
        where = degrees(to_lon)
        ring.append((_near(where, ring[-1][0]) if ring else where, degrees(to_lat)))
    if abs(ring[-1][0] - ring[0][0]) > 180.0:
        pole = 90.0 if centre.lat > 0 else -90.0
        ring += [(ring[-1][0], pole), (ring[0][0], pole), ring[0]]
    return ring


def rings_of(polygon: Polygon) -> list[list[Place]]:
    """Return the rings of a polygon, (lon, lat); each in one piece, also where it crosses the antimeridian."""
    return [list(ring.frames[0]) for ring in polygon]


def _near(lon: float, middle: float) -> float:
    """Return a longitude as it is written within 180 degrees of another one."""
    return middle + (lon - middle + 180.0) % 360.0 - 180.0


def _divided(ring: Sequence[Place]) -> list[Place]:
    divided = [ring[0]]
    for lon, lat in ring[1:]:
        from_lon, from_lat = divided[-1]
        steps = max(1, ceil(max(abs(lon - from_lon), abs(lat - from_lat)) / _STEP_DEGREES))
        divided += [
            (from_lon + (lon - from_lon) * step / steps, from_lat + (lat - from_lat) * step / steps)
            for step in range(1, steps + 1)
        ]
    return divided


def _part(ring: Sequence[Place], frame: Frame) -> str:
    """Return a ring in a frame; as often as it reaches into it, should it lie across the frame's far side."""
    lons = [lon for lon, _ in ring]
    middle = (min(lons) + max(lons)) / 2
    shift = _near(middle, frame.middle) - middle
    drawn = ""
    for turn in (-360.0, 0.0, 360.0):
        low, high = min(lons) + shift + turn, max(lons) + shift + turn
        if high <= frame.middle - 180.0 or low >= frame.middle + 180.0:
            continue
        places = [frame.put(lon + shift + turn, lat) for lon, lat in ring]
        if frame.shows(places):
            drawn += "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places[:-1]) + "Z"
    return drawn
