"""Many polygons at once; that they are what shapely says stands in tests/fuzz/test_polygons.py."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from relay.place import polygon_index
from relay.place.geometry import Polygon, contains, ring_of
from relay.place.model import Point
from relay.place.polygon_index import FEW, MANY, PolygonIndex, marked, rasterised


def comb(teeth: int, *, slant: float = 0.0, size: float = 10.0, upright: bool = True, west: float = 0.0) -> Polygon:
    ring: list[tuple[float, float]] = []
    for n in range(teeth):
        ring += [(size * n / teeth, 0), (size * (n + 0.5) / teeth, size)]
    ring += [(size, -1), (0, -1)]
    turned = [(west + x + slant * y, y) if upright else (y, x + slant * y) for x, y in ring]
    return (ring_of([Point(*position) for position in [*turned, turned[0]]]),)


def fan(blades: int) -> Polygon:
    """Return a polygon of which every other corner is the same."""
    ring = [Point(0, 0)]
    for n in range(blades):
        turn = math.tau * n / blades
        ring += [
            Point(math.cos(turn), math.sin(turn)),
            Point(math.cos(turn + 1e-3), math.sin(turn + 1e-3)),
            Point(0, 0),
        ]
    return (ring_of(ring),)


def agreed(polygons: list[Polygon], index: PolygonIndex, points: list[tuple[float, float]]) -> int:
    inside = 0
    for point in points:
        expected = sum(1 << n for n, polygon in enumerate(polygons) if contains(polygon, *point))
        assert index.locate(*point) == expected, point
        inside += expected.bit_count()
    return inside


WORLDS = [
    # Many teeth, and many across them; corners in step; slanted; all edges through one place; the same one often
    [comb(300)],
    [comb(60), comb(60, upright=False)],
    [comb(60), comb(60), comb(30), comb(30, upright=False)],
    [comb(70, slant=n / 7) for n in range(7)],
    [fan(60)],
    [fan(20), comb(20)],
    [comb(40, slant=0.3)] * 9,
]


@pytest.mark.parametrize("polygons", WORLDS)
def test_shapes_that_are_hard_to_cut(polygons: list[Polygon]) -> None:
    draw, index = random.Random(1), PolygonIndex(polygons)
    points = [(draw.uniform(-2, 12), draw.uniform(-2, 12)) for _ in range(300)]
    points += [(draw.gauss(0, 1e-4), draw.gauss(0, 1e-4)) for _ in range(50)]
    points += [draw.choice(draw.choice(polygons)[0].frames[0]) for _ in range(50)]
    # Whole and half steps, where edges, corners and cells' borders meet.
    points += [(draw.randrange(-4, 25) / 2, draw.randrange(-4, 25) / 2) for _ in range(100)]
    assert agreed(polygons, index, points) > 20


def test_a_usual_polygon_costs_a_few_comparisons() -> None:
    # A border of 2,000 corners, and one whose teeth all cross one band of latitude.
    turns = [math.tau * n / 1_999 for n in range(1_999)]
    ring = [Point(math.cos(turn) * (9 + math.sin(13 * turn)), math.sin(turn) * 9) for turn in turns]
    for polygon in ((ring_of([*ring, ring[0]]),), comb(998)):
        index = PolygonIndex([polygon])
        assert index.most_edges <= FEW
        assert index.n_references < 10 * 2_000


def test_combs_across_each_other_cost_two_hundred_comparisons() -> None:
    draw = random.Random(3)
    index = PolygonIndex([comb(18, slant=draw.uniform(-1, 1), west=draw.uniform(-2, 2)) for _ in range(60)])
    assert FEW < index.most_edges <= MANY


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    polygons = [comb(60, slant=n / 9) for n in range(9)]
    monkeypatch.setattr(polygon_index, "MANY", 0)
    monkeypatch.setattr(polygon_index, "MAX_REFERENCES", 20_000)
    index = PolygonIndex(polygons)
    # The last cut may go beyond it.
    assert 10_000 < index.n_references < 30_000
    draw = random.Random(2)
    assert agreed(polygons, index, [(draw.uniform(-2, 12), draw.uniform(-2, 12)) for _ in range(200)])


def test_of_nothing_and_far_away() -> None:
    assert PolygonIndex([]).locate(0, 0) == 0
    assert PolygonIndex([comb(3)]).locate(-170, 80) == 0
    assert PolygonIndex([comb(3)]).locate(math.nan, 0) == 0


def test_each_polygon_has_its_bit() -> None:
    box = (ring_of([Point(0, 0), Point(2, 0), Point(2, 2), Point(0, 2), Point(0, 0)]),)
    other = (ring_of([Point(1, 1), Point(3, 1), Point(3, 3), Point(1, 3), Point(1, 1)]),)
    index = PolygonIndex([box, other])
    assert [index.locate(*at) for at in ((0.5, 0.5), (1.5, 1.5), (2.5, 2.5), (2, 2), (0, 3))] == [1, 3, 2, 3, 0]


def test_neighbours_share_their_border_and_an_edge_there_and_back_is_none() -> None:
    west = (ring_of([Point(0, 0), Point(1, 0), Point(1, 2), Point(0, 2), Point(0, 0)]),)
    east = (ring_of([Point(1, 0), Point(2, 0), Point(2, 2), Point(1, 2), Point(1, 0)]),)
    spike = (ring_of([Point(0, 0), Point(2, 0), Point(2, 2), Point(2, 3), Point(2, 2), Point(0, 2), Point(0, 0)]),)
    polygons: list[Polygon] = [west, east, spike, west]
    assert len(marked(polygons)) == 4 + 3 + 3
    index = PolygonIndex(polygons)
    assert [index.locate(*at) for at in ((0.5, 1), (1.5, 1), (1, 1), (2, 2.5), (2, 2))] == [13, 6, 15, 4, 6]


def test_edges_that_are_as_good_as_level() -> None:
    least = 5e-324
    polygons: list[Polygon] = [
        (ring_of([Point(0, 0), Point(9, least), Point(9, 9), Point(0, 9), Point(0, 0)]),),
        (ring_of([Point(0, 0), Point(9, 0), Point(9, -least), Point(0, 9), Point(0, 0)]),),
        (ring_of([Point(0, 0), Point(9, 5e-309), Point(9, 9), Point(0, 9), Point(0, 0)]),),
        (ring_of([Point(0, 0), Point(9, 1e-299), Point(9, 9), Point(0, 9), Point(0, 0)]),),
    ]
    index = PolygonIndex(polygons)
    heights = (-1.0, -least, 0.0, least, 2 * least, 2e-309, 1e-300, 5e-300, 1e-299, 1e-12, 1.0)
    assert agreed(polygons, index, [(lon, lat) for lon in (0.0, 1.0, 4.5, 8.0, 9.0) for lat in heights]) > 50


@pytest.mark.parametrize("height", [0.0, 5e-324, 1e-12, 1e-10, 1e-9, 1e-8])
def test_a_level_edge_on_the_border_of_two_rows_is_in_both(height: float) -> None:
    edge = (0.5, 1.0, 1.5, 1.0 + height, 1, 1, math.nan)
    assert rasterised([edge], (0.0, 0.0), (1.0, 1.0), (3, 2))[3:] == [[edge], [edge], []]
    lower = rasterised([edge], (0.0, 0.0), (1.0, 1.0), (3, 2))[:3]
    assert lower[0] == [edge]
    assert height > 1e-11 or lower == [[edge], [edge], []]


@pytest.mark.parametrize("seed", range(6))
def test_scribbles_on_lattices(seed: int) -> None:
    """Rings that cross themselves, stand on each other, and end at corners of cells, beside the antimeridian too."""
    draw = random.Random(seed)
    for _ in range(12):
        size, steps, west = draw.choice((2, 4, 9, 90)), draw.choice((1, 2, 7, 1_000)), draw.choice((0, 175, -175))

        def at(reach: float, size: int = size, steps: int = steps, west: int = west) -> Point:
            lon, lat = (draw.randint(round(-reach * size), round(reach * size)) / steps for _ in range(2))
            return Point(min(180.0, max(-180.0, west + lon)), min(90.0, max(-90.0, lat)))

        polygons: list[Polygon] = []
        for _ in range(3):
            ring = [at(1) for _ in range(draw.choice((3, 8, 60)))]
            # Those that go around the world more than once are refused: `test_geometry` has them.
            with suppress(ValueError):
                polygons.append((ring_of([*ring, ring[0]]),))
        index = PolygonIndex(polygons)
        points: list[tuple[float, float]] = [at(1.2) for _ in range(40)]
        points += [((lon + west) / 2, lat / 2) for lon, lat in points]
        agreed(polygons, index, points)


def leaves(cell: object) -> Iterator[Any]:
    if isinstance(cell, list):
        for part in cell[5]:
            yield from leaves(part)
    elif isinstance(cell, tuple):
        yield cell


def test_points_as_high_as_an_edge_crosses_a_column() -> None:
    """There the bits along the column are decided exactly, or one whole line of the cell would be wrong."""
    polygons = [comb(11, slant=0.37), comb(7, slant=-0.21, upright=False)]
    index, seen = PolygonIndex(polygons), 0
    for column, heights, *_ in leaves(index._root):
        for height in heights:
            for lat in (math.nextafter(height, -99), height, math.nextafter(height, 99), height + 1e-12):
                for lon in (column, math.nextafter(column, 99), column + 1e-3, column - 1e-3):
                    expected = sum(1 << n for n, polygon in enumerate(polygons) if contains(polygon, lon, lat))
                    assert index.locate(lon, lat) == expected, (lon, lat)
                    seen += 1
    assert seen > 500


@pytest.mark.parametrize("height", [0.0, 79.0, -79.0])
def test_edges_that_go_far_to_the_right_are_crossed_where_they_are(height: float) -> None:
    """Their crossings are computed from the equator, hundreds of thousands of degrees away, but no farther."""
    draw, polygons = random.Random(13), list[Polygon]()
    for n in range(60):
        rise = 170 / draw.choice([1, 30, 300, 900, 999, 1_001, 5_000])
        low = height + draw.uniform(-0.01, 0.01)
        high = low + rise
        corners = [Point(-85, low), Point(85, high), Point(85, high + 0.001 + n / 1e4), Point(-85, low)]
        polygons.append((ring_of(corners),))
    index = PolygonIndex(polygons)
    assert any(leaf[4][2] for leaf in leaves(index._root))
    points = []
    for _ in range(400):
        (lon, lat), (to_lon, to_lat) = draw.choice(polygons)[0].frames[0][:2]
        share = draw.random()
        on = lon + share * (to_lon - lon), lat + share * (to_lat - lat)
        points += [on, (on[0] + draw.gauss(0, 1e-9), on[1] + draw.gauss(0, 1e-11))]
    assert agreed(polygons, index, points) > 200
