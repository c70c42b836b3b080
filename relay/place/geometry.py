"""Positions, rings and circles on the Earth; what is inside, and how far it is.

* Polygons are planar in longitude and latitude, as GeoJSON has it (RFC 7946, 3.1.1): an edge is straight in degrees,
  no great circle. What an odd number of rings enclose is inside (even-odd), so holes need no direction; a point exactly
  on an edge or corner counts as inside. Signs are decided exactly, with rational numbers where floats are in doubt.
* An edge of more than 180 degrees of longitude goes the short way, across the antimeridian. A ring around a pole does
  not close in the plane: it is written with corners along the pole, (180, 90) and (-180, 90); so is the whole world.
* Distances are great circles on a sphere (haversine): within 0.6 % of the ellipsoid's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import asin, copysign, cos, radians, sin, sqrt

from relay.place.model import Point

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius of WGS 84 (IUGG): between equator and pole it is off by 0.33 % at most."""

METRES_PER_DEGREE = EARTH_RADIUS_M * radians(1)
METRES_PER_MILE = 1_609.344
"""The statute mile."""

IN_DOUBT = 1e-9
"""In degrees. Crossings are computed to some 1e-12; what lies nearer than this is decided by rational numbers."""

_EDGES_A_BOX = 16

Positions = tuple[tuple[float, float], ...]
Vector = tuple[float, float, float]
Edge = tuple[float, float, float, float]
"""From the lower end to the upper one: x, y, x, y in degrees; y <= y."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A closed line in the plane of longitude and latitude.

    Args:
        frames: the ring as often as it reaches into -180 to 180, a turn of 360 degrees apart: each closed, (lon, lat).
    """

    frames: tuple[Positions, ...]

    @property
    def n_vertices(self) -> int:
        """Return how many corners it has."""
        return len(self.frames[0]) - 1

    def edges(self) -> Iterator[Edge]:
        """Yield the edges of all frames, each upwards."""
        for frame in self.frames:
            x, y = frame[0]
            for to_x, to_y in frame[1:]:
                yield (x, y, to_x, to_y) if y <= to_y else (to_x, to_y, x, y)
                x, y = to_x, to_y


Polygon = tuple[Ring, ...]
"""Rings of which an odd number enclose what is inside."""


def ring_of(positions: Sequence[Point]) -> Ring:
    """Return a closed ring of (lon, lat) in degrees, first equal to last, without the antimeridian in its way.

    Raises:
        ValueError: it goes around a pole, or around the world more than once; the text says what to write instead.
    """
    for goes_round in (False, True):
        turns = _turns(positions, goes_round=goes_round)
        if turns[-1] != 0:
            continue
        xs = [lon + 360 * n for (lon, _), n in zip(positions, turns, strict=True)]
        low, high = min(xs), max(xs)
        # -180 to 180 is no way at all, unless nothing else gives the ring its width.
        if high - low > 360 or (low == high and not goes_round and len({lon for lon, _ in positions}) > 1):
            continue
        return Ring(
            tuple(
                # From what was written, not from what was shifted before: a position within -180 to 180 stays exact.
                tuple((lon + 360 * (n + frame), lat) for (lon, lat), n in zip(positions, turns, strict=True))
                for frame in (0, -1, 1)
                if low + 360 * frame <= 180 and high + 360 * frame >= -180
            )
        )
    raise ValueError(
        "the ring goes around a pole or the world: close it along the pole, by way of [180, 90] and [-180, 90]"
        " (or -90), with a corner at least every 180 degrees"
    )


def _turns(positions: Sequence[Point], *, goes_round: bool) -> list[int]:
    """Return by how many turns each position lies from where it is written."""
    turns, before = [0], positions[0].lon
    for lon, _ in positions[1:]:
        step = lon - before
        crosses = abs(step) > 180 and not (goes_round and abs(step) == 360)
        turns.append(turns[-1] - (int(copysign(1, step)) if crosses else 0))
        before = lon
    return turns


def contains(polygon: Polygon, lon: float, lat: float) -> bool:
    """Return whether a point lies in a polygon, or on its boundary, by asking every edge.

    This is the plain way; `relay.place.polygon_index` is the quick one, for many polygons at once.
    """
    inside = False
    for ring in polygon:
        for edge in ring.edges():
            x, y, to_x, to_y = edge
            if not y <= lat <= to_y:
                continue
            side = left_of(edge, lon, lat)
            if side == 0 and min(x, to_x) <= lon <= max(x, to_x):
                return True
            # The upper end belongs to the next edge, or corners would count twice.
            inside ^= side > 0 and lat < to_y
    return inside


def left_of(edge: Edge, lon: float, lat: float) -> int:
    """Return 1 if a point lies to the left of an upward edge's line, -1 to the right, 0 on it; exactly."""
    x, y, to_x, to_y = edge
    one, other = (to_x - x) * (lat - y), (lon - x) * (to_y - y)
    sign = one - other
    # Shewchuk (1997), "Adaptive precision floating-point arithmetic", 4.2: beyond this bound the sign is right.
    if abs(sign) <= 4e-16 * (abs(one) + abs(other)):
        exact_x, exact_y = Fraction(x), Fraction(y)
        exact = (Fraction(to_x) - exact_x) * (Fraction(lat) - exact_y) - (Fraction(lon) - exact_x) * (
            Fraction(to_y) - exact_y
        )
        return (exact > 0) - (exact < 0)
    return 1 if sign > 0 else -1


def unit_vector(lon: float, lat: float) -> Vector:
    """Return a position as a vector of length 1 from the Earth's centre."""
    phi, theta = radians(lat), radians(lon)
    level = cos(phi)
    return level * cos(theta), level * sin(theta), sin(phi)


def chord_squared(distance_m: float) -> float:
    """Return the square of the straight line below a great circle of so many metres, at radius 1; at most 4.

    Vectors nearer than that are nearer than the distance: what haversine compares, without its arc sine.
    """
    half_angle = distance_m / EARTH_RADIUS_M / 2
    return 4.0 if half_angle >= radians(90) else 4 * sin(half_angle) ** 2


def chord_distance_m(chord: float) -> float:
    """Return the great circle above a chord in metres, given the chord's square at radius 1."""
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(chord) / 2))


def vector_distance_m(one: Vector, other: Vector) -> float:
    """Return the great circle between two vectors of length 1, in metres."""
    return chord_distance_m((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2)


def distance_m(one: Point, other: Point) -> float:
    """Return the great circle between two points in metres, by the haversine formula."""
    phi, to_phi = radians(one.lat), radians(other.lat)
    half = sin((to_phi - phi) / 2) ** 2 + cos(phi) * cos(to_phi) * sin(radians(other.lon - one.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half)))


@dataclass(frozen=True, slots=True)
class Circle:
    """What lies within `radius_m` metres of `centre`, great circles; the rim counts as inside."""

    centre: Point
    radius_m: float

    def contains(self, point: Point) -> bool:
        """Return whether a point lies in it."""
        return distance_m(self.centre, point) <= self.radius_m

    def rim_distance_m(self, point: Point) -> float:
        """Return how far a point, inside or outside, is from the rim, in metres."""
        return abs(distance_m(self.centre, point) - self.radius_m)


class Boundary:
    """Find how far the nearest edge of some polygons is.

    Metres are those of the point's own latitude: right to 1 % within 35 km up to 70 degrees of latitude, which is as
    far as anybody asks.
    """

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        self._boxes: list[tuple[float, float, float, float, tuple[Edge, ...]]] = []
        for polygon in polygons:
            for ring in polygon:
                edges = tuple(ring.edges())
                for at in range(0, len(edges), _EDGES_A_BOX):
                    self._boxes.append(_boxed(edges[at : at + _EDGES_A_BOX]))

    def distance_m(self, point: Point, *, within_m: float, enough_m: float = 0.0) -> float:
        """Return the distance from a point to the nearest edge in metres.

        Args:
            point: in degrees.
            within_m: what is farther away than this is not looked for: infinity then.
            enough_m: what is nearer than this may be returned for the nearest.
        """
        lon, lat = point
        x_scale = max(1e-9, cos(radians(lat))) * METRES_PER_DEGREE
        nearest = within_m
        for low_x, low_y, high_x, high_y, edges in self._boxes:
            dy = (low_y - lat if lat < low_y else max(0.0, lat - high_y)) * METRES_PER_DEGREE
            if dy > nearest:
                continue
            dx = (low_x - lon if lon < low_x else max(0.0, lon - high_x)) * x_scale
            if dx > nearest:
                continue
            for edge in edges:
                away = _segment_distance_m(edge, lon, lat, x_scale)
                if away < nearest:
                    nearest = away
                    if away <= enough_m:
                        return away
        return nearest if nearest < within_m else float("inf")


def _boxed(edges: tuple[Edge, ...]) -> tuple[float, float, float, float, tuple[Edge, ...]]:
    xs = [x for edge in edges for x in (edge[0], edge[2])]
    return min(xs), min(edge[1] for edge in edges), max(xs), max(edge[3] for edge in edges), edges


def _segment_distance_m(edge: Edge, lon: float, lat: float, x_scale: float) -> float:
    x, y = (edge[0] - lon) * x_scale, (edge[1] - lat) * METRES_PER_DEGREE
    dx, dy = (edge[2] - edge[0]) * x_scale, (edge[3] - edge[1]) * METRES_PER_DEGREE
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else min(1.0, max(0.0, -(x * dx + y * dy) / length))
    return sqrt((x + along * dx) ** 2 + (y + along * dy) ** 2)
