"""Many polygons at once; that they are what shapely says stands in tests/fuzz/test_polygons.py."""

from __future__ import annotations

import math
import random

import pytest

from relay.place import polygon_index
from relay.place.geometry import Polygon, contains, ring_of
from relay.place.model import Point
from relay.place.polygon_index import FEW, MANY, PolygonIndex


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
