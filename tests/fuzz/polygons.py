"""Random polygons, random points, and the oracle: what shapely says of them.

The points are of three kinds: anywhere, close to an edge, and on corners (which lie on the boundary, hence inside). The
rings are stars (valid, with or without holes), lattices of whole degrees where much coincides, and combs.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import shapely

from relay.place.geometry import Polygon, contains, ring_of
from relay.place.model import Point
from relay.place.polygon_index import PolygonIndex

POINTS_A_WORLD = 2_500
Shape = list[list[Point]]


class Worlds:
    """Make polygons and points.

    Args:
        seed: the same seed makes the same ones.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def shapes(self) -> list[Shape]:
        """Return the polygons of one world: rings of (lon, lat), the first with holes behind it."""
        draw = self._random
        centre = Point(draw.uniform(-150, 150), draw.uniform(-60, 60))
        spread = draw.choice((0.05, 3.0, 25.0))
        return [
            draw.choice((self._star, self._star, self._holed, self._comb, self._lattice))(
                Point(centre.lon + draw.uniform(-spread, spread), centre.lat + draw.uniform(-spread, spread)), spread
            )
            for _ in range(draw.choice((1, 3, 12)))
        ]

    def points(self, shapes: Sequence[Shape], count: int) -> list[Point]:
        """Return points, most of them where something is decided."""
        draw = self._random
        corners = [corner for shape in shapes for ring in shape for corner in ring]
        xs, ys = [corner.lon for corner in corners], [corner.lat for corner in corners]
        points = []
        for n in range(count):
            if n % 4 == 0:
                ring = draw.choice(draw.choice(shapes))
                at = draw.randrange(len(ring) - 1)
                share, off = draw.random(), draw.choice((1e-13, 1e-10, 1e-7, 1e-3))
                one, other = ring[at], ring[at + 1]
                lon = one.lon + share * (other.lon - one.lon) + draw.uniform(-off, off)
                lat = one.lat + share * (other.lat - one.lat) + draw.uniform(-off, off)
            elif n % 64 == 1:
                lon, lat = draw.choice(corners)
            elif n % 64 == 2:
                lon, lat = draw.choice(xs), draw.choice(ys)
            else:
                lon, lat = draw.uniform(min(xs), max(xs)), draw.uniform(min(ys), max(ys))
            points.append(Point(min(180.0, max(-180.0, lon)), min(90.0, max(-90.0, lat))))
        return points

    def _star(self, centre: Point, size: float, least: float = 0.3) -> Shape:
        draw = self._random
        count = draw.choice((3, 5, 30, 400))
        angles = sorted({draw.random() for _ in range(count)})
        ring = [
            Point(centre.lon + r * math.cos(math.tau * a), centre.lat + r * math.sin(math.tau * a))
            for a in angles
            for r in [size * draw.uniform(least, 1)]
        ]
        return [_closed(ring)]

    def _holed(self, centre: Point, size: float) -> Shape:
        # Every 60 degrees a corner at least, so that the outer ring keeps clear of the holes.
        outer = self._around(centre, size, 0.9, 24)
        return [outer, *(self._around(_beside(centre, size / 2, n / 3), size / 4, 0.3, 9) for n in range(3))]

    def _around(self, centre: Point, size: float, least: float, count: int) -> list[Point]:
        draw = self._random
        return _closed(
            [_beside(centre, size * draw.uniform(least, 1), (n + draw.random() / 2) / count) for n in range(count)]
        )

    def _comb(self, centre: Point, size: float) -> Shape:
        teeth, slant = self._random.choice((4, 50, 300)), self._random.uniform(-1, 1)
        ring = []
        for n in range(teeth):
            x = size * n / teeth
            ring += [(x, 0.0), (x + size / teeth / 3, size)]
        ring += [(size, -size / 10), (0.0, -size / 10)]
        return [_closed([Point(centre.lon + x + slant * y, centre.lat + y) for x, y in ring])]

    def _lattice(self, centre: Point, size: float) -> Shape:
        """Return a skyline of whole steps: corners, heights and edges of it coincide."""
        draw, step = self._random, size / 16
        x0, y0 = round(centre.lon / step) * step, round(centre.lat / step) * step
        ring, height = [Point(x0, y0)], 1
        for n in range(16):
            height = draw.randrange(1, 8)
            ring += [Point(x0 + n * step, y0 + height * step), Point(x0 + (n + 1) * step, y0 + height * step)]
        return [_closed([*ring, Point(x0 + 16 * step, y0)])]


def _beside(centre: Point, away: float, turn: float) -> Point:
    return Point(centre.lon + away * math.cos(math.tau * turn), centre.lat + away * math.sin(math.tau * turn))


def _closed(ring: list[Point]) -> list[Point]:
    return [*ring, ring[0]]


def within(shape: Shape) -> Shape:
    """Return a shape with its corners inside the world."""
    return [[Point(min(180.0, max(-180.0, x)), min(90.0, max(-90.0, y))) for x, y in ring] for ring in shape]


def fuzz(points: int, seed: int) -> Counter[str]:
    """Hold the index, and the plain way, against shapely on so many points, and return how often both said what.

    A point counts for one answer of each polygon of its world.

    Raises:
        AssertionError: they differ.
    """
    worlds, seen = Worlds(seed), Counter[str]()
    while seen["points"] < points:
        shapes = [shape for shape in map(within, worlds.shapes()) if shapely.Polygon(shape[0], shape[1:]).is_valid]
        if not shapes:
            continue
        polygons: list[Polygon] = [tuple(ring_of(ring) for ring in shape) for shape in shapes]
        index = PolygonIndex(polygons)
        asked = worlds.points(shapes, min(POINTS_A_WORLD, points - seen["points"]))
        oracles = [shapely.Polygon(shape[0], shape[1:]) for shape in shapes]
        for oracle in oracles:
            shapely.prepare(oracle)
        columns = [shapely.intersects_xy(oracle, [p.lon for p in asked], [p.lat for p in asked]) for oracle in oracles]
        for n, point in enumerate(asked):
            theirs = sum(1 << bit for bit, column in enumerate(columns) if column[n])
            ours = index.locate(*point)
            assert ours == theirs, f"{point!r} {bin(ours ^ theirs)} {shapes!r:.2000}"
            if n % 50 == 0:
                plainly = sum(1 << bit for bit, polygon in enumerate(polygons) if contains(polygon, *point))
                assert plainly == theirs, f"{point!r} {bin(plainly ^ theirs)} {shapes!r:.2000}"
            seen["inside"] += theirs.bit_count()
            seen["outside"] += len(shapes) - theirs.bit_count()
        seen["points"] += len(asked)
        seen["holes"] += sum(len(shape) - 1 for shape in shapes)
        seen["polygons"] += len(shapes)
    return seen
