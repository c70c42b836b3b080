"""Positions, rings, circles: what is inside, and how far it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.place.geometry import (
    Boundary,
    Circle,
    Polygon,
    chord_squared,
    contains,
    distance_m,
    left_of,
    ring_of,
    unit_vector,
    vector_distance_m,
)  # fmt: skip
from relay.place.model import Point

POINTS = st.builds(Point, st.floats(-180, 180), st.floats(-90, 90))


def polygon(*rings: list[tuple[float, float]]) -> Polygon:
    return tuple(ring_of([Point(*position) for position in ring]) for ring in rings)


def box(west: float, south: float, east: float, north: float) -> list[tuple[float, float]]:
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


CUT_TWICE: list[tuple[float, float]] = [
    (170, 0),
    (180, 0),
    (-180, 0),
    (-170, 0),
    (-170, 9),
    (-180, 9),
    (180, 9),
    (170, 9),
    (170, 0),
]
DIAMOND: list[tuple[float, float]] = [(0, -5), (5, 0), (0, 5), (-5, 0), (0, -5)]
CAP: list[tuple[float, float]] = [(-180, 60), (0, 60), (180, 60), (180, 90), (-180, 90), (-180, 60)]
INSIDE = [
    # A box, its edges and its corners
    (polygon(box(0, 0, 10, 10)), (5, 5), True),
    (polygon(box(0, 0, 10, 10)), (0, 5), True),
    (polygon(box(0, 0, 10, 10)), (5, 10), True),
    (polygon(box(0, 0, 10, 10)), (10, 10), True),
    (polygon(box(0, 0, 10, 10)), (10.000000001, 5), False),
    (polygon(box(0, 0, 10, 10)[::-1]), (5, 5), True),
    # As high as its corners
    (polygon(DIAMOND), (0, 0), True),
    (polygon(DIAMOND), (-6, 0), False),
    (polygon(DIAMOND), (-3, 5), False),
    (polygon(DIAMOND), (5, 0), True),
    # A hole; its edge belongs to the polygon
    (polygon(box(0, 0, 10, 10), box(4, 4, 6, 6)), (5, 5), False),
    (polygon(box(0, 0, 10, 10), box(4, 4, 6, 6)), (4, 5), True),
    (polygon(box(0, 0, 10, 10), box(4, 4, 6, 6)), (3, 5), True),
    # Across the antimeridian, written either way round
    (polygon(box(170, -20, -170, 20)), (175, 0), True),
    (polygon(box(170, -20, -170, 20)), (-175, 0), True),
    (polygon(box(170, -20, -170, 20)), (180, 0), True),
    (polygon(box(170, -20, -170, 20)), (-180, 0), True),
    (polygon(box(170, -20, -170, 20)), (0, 0), False),
    (polygon(box(170, -20, -170, 20)), (169, 0), False),
    # A hole on the other side of it
    (polygon(box(170, -20, -170, 20), box(-178, -1, -175, 1)), (-176, 0), False),
    (polygon(box(170, -20, -170, 20), box(-178, -1, -175, 1)), (-179, 0), True),
    # Cut at the antimeridian (RFC 7946, 3.1.9): 180 and -180 are one meridian
    (polygon(box(-180, -20, -170, 20)), (180, 0), True),
    (polygon(box(170, -20, 180, 20)), (-180, 0), True),
    (polygon(CUT_TWICE), (-175, 5), True),
    (polygon(CUT_TWICE), (0, 5), False),
    # The world, and a cap around a pole, closed along it
    (polygon(box(-180, -90, 180, 90)), (0, 0), True),
    (polygon(box(-180, -90, 180, 90)), (-180, -90), True),
    (polygon(CAP), (-90, 75), True),
    (polygon(CAP), (17, 90), True),
    (polygon(CAP), (-90, 59), False),
    # No area at all: the line itself
    (polygon([(1, 1), (3, 3), (1, 1), (1, 1)]), (2, 2), True),
    (polygon([(1, 1), (3, 3), (1, 1), (1, 1)]), (2, 2.5), False),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "position", "expected"), INSIDE)
def test_what_is_inside(shape: Polygon, position: tuple[float, float], expected: bool) -> None:
    assert contains(shape, *position) is expected


@pytest.mark.parametrize(
    "ring",
    [
        # Around the pole
        [(0, 80), (120, 80), (-120, 80), (0, 80)],
        # Around the world twice
        [(0, 0), (120, 1), (-120, 2), (0, 3), (120, 4), (-120, 5), (0, 6), (120, -5), (0, 0)],
    ],
)
def test_a_ring_around_a_pole_says_how_it_is_written(ring: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"close it along the pole, by way of \[180, 90\] and \[-180, 90\]"):
        polygon(ring)


def test_sides_are_exact_where_floats_are_not() -> None:
    # 0.1 * 3 != 0.3: the middle one of three points on a line is on it only as exactly as it is written.
    assert left_of((0.0, 0.0, 0.3, 0.3), 0.1, 0.1) == 0
    assert left_of((0.0, 0.0, 1.0, 1e-300), 1e-5, 1e-305) == -((1e-305 < 1e-5 * 1e-300) - (1e-305 > 1e-5 * 1e-300))
    # What floats compute is 0 here.
    above = (2.6377461897661405, -2.449309742605783, -3.656357558875988, 3.4743373693723267)
    assert left_of(above, -0.4805736491080843, 0.485472880219016) == 1
    # And here the wrong way round.
    beneath = (3.9150854358956817, -1.8463363034615177, 1.4506427765941758, 3.119541778331115)
    assert left_of(beneath, 2.6983144791606772, 0.6054700722343092) == -1
    assert left_of((0.0, 0.0, 1e-9, 1.0), 5e-10 + 1e-25, 0.5) == -1
    assert left_of((0.0, 0.0, 1e-9, 1.0), 5e-10 - 1e-25, 0.5) == 1


DISTANCES_M = [
    # Los Angeles to San Diego, New York to London, a degree of latitude, half around, the antimeridian, nothing
    ((-118.2437, 34.0522), (-117.1647, 32.7157), 179_300),
    ((-74.0060, 40.7143), (-0.1257, 51.5085), 5_570_200),
    ((0, 0), (0, 1), 111_195),
    ((0, 90), (77, -90), 20_015_100),
    ((179.5, 0), (-179.5, 0), 111_195),
    ((12.5, 41.9), (12.5, 41.9), 0),
]


@pytest.mark.parametrize(("one", "other", "expected_m"), DISTANCES_M)
def test_great_circles(one: tuple[float, float], other: tuple[float, float], expected_m: float) -> None:
    assert distance_m(Point(*one), Point(*other)) == pytest.approx(expected_m, rel=1e-3, abs=1e-6)
    assert vector_distance_m(unit_vector(*one), unit_vector(*other)) == pytest.approx(expected_m, rel=1e-3, abs=1e-6)


@given(POINTS, POINTS)
def test_chords_say_what_haversine_says(one: Point, other: Point) -> None:
    away = distance_m(one, other)
    chord = sum((a - b) ** 2 for a, b in zip(unit_vector(*one), unit_vector(*other), strict=True))
    assert chord <= chord_squared(away + 1)
    assert away < 1 or chord >= chord_squared(away - 1)


def test_a_circle_has_its_rim() -> None:
    circle = Circle(Point(-118.2437, 34.0522), 120_701)
    pasadena, san_diego = Point(-118.1445, 34.1478), Point(-117.1647, 32.7157)
    assert circle.contains(pasadena)
    assert not circle.contains(san_diego)
    assert circle.rim_distance_m(san_diego) == pytest.approx(58_600, abs=500)
    assert circle.rim_distance_m(pasadena) == pytest.approx(120_701 - 14_040, abs=500)


EDGES_M = [
    # Inside, outside beside an edge, beyond a corner, on it, across the antimeridian, out of sight
    (box(-1, -1, 1, 1), (0.9, 0), 11_119),
    (box(-1, -1, 1, 1), (1.1, 0), 11_119),
    (box(-1, -1, 1, 1), (1.1, 1.1), 15_725),
    (box(-1, -1, 1, 1), (1, 0.5), 0),
    (box(170, -1, -179.9, 1), (180, 0), 11_119),
    (box(170, -1, -179.9, 1), (-180, 0), 11_119),
    (box(-1, -1, 1, 1), (3, 0), math.inf),
    # A degree of longitude is half as long at 60 degrees
    (box(-1, 59, 1, 61), (0.9, 60), 5_560),
]


@pytest.mark.parametrize(("ring", "position", "expected_m"), EDGES_M)
def test_the_nearest_edge(ring: list[tuple[float, float]], position: tuple[float, float], expected_m: float) -> None:
    nearest = Boundary([polygon(ring)]).distance_m(Point(*position), within_m=100_000)
    assert nearest == pytest.approx(expected_m, rel=1e-3, abs=1e-3)


def test_an_edge_that_is_near_enough_ends_the_search() -> None:
    boundary = Boundary([polygon(box(-1, -1, 1, 1)), polygon(box(-2, -2, 2, 2))])
    assert boundary.distance_m(Point(1.5, 0), within_m=1e6, enough_m=60_000) <= 60_000
    assert boundary.distance_m(Point(1.9, 0), within_m=1e6, enough_m=0) == pytest.approx(11_119, rel=1e-3)


@given(st.integers(3, 40), st.floats(-150, 150), st.floats(-60, 60), POINTS)
def test_boundaries_miss_no_edge(count: int, lon: float, lat: float, offset: Point) -> None:
    ring = [(lon + math.cos(n * math.tau / count), lat + math.sin(n * math.tau / count)) for n in range(count)]
    shape = polygon([*ring, ring[0]])
    point = Point(lon + offset.lon / 100, lat + offset.lat / 100)
    within_m = 400_000
    one_by_one = [Boundary([shape]).distance_m(point, within_m=within_m)]
    corners = min(distance_m(point, Point(*corner)) for corner in ring)
    assert one_by_one[0] <= corners * 1.2
