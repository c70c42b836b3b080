"""Where points lie, held against the outlines that others have drawn, and against d3's own figures."""

from __future__ import annotations

import json
import re

import pytest
from shapely.geometry import Point as Spot
from shapely.geometry import Polygon as Area
from shapely.ops import unary_union

from lockstep.console.pages import ui_folder
from lockstep.console.projection import US, WORLD, Paper, rim, rings_of
from relay.place.geometry import distance_m, ring_of
from relay.place.markets import MARKETS
from relay.place.model import Point

NUMBERS = re.compile(r"(-?[0-9.]+),(-?[0-9.]+)")
STATES: dict[str, str] = json.loads((ui_folder() / "libraries" / "outline.json").read_text("utf-8"))["states"]
LAND: str = json.loads((ui_folder() / "libraries" / "outline.json").read_text("utf-8"))["world"]


def places(path: str) -> list[list[tuple[float, float]]]:
    return [[(float(x), float(y)) for x, y in NUMBERS.findall(part)] for part in path.split("M")[1:]]


def area(path: str) -> Area:
    return unary_union([Area(ring).buffer(0) for ring in places(path) if len(ring) > 2])


def test_each_market_s_city_lies_in_its_state() -> None:
    states = {name: area(path) for name, path in STATES.items()}
    for market in MARKETS.values():
        place = US.place(market.point)
        assert place is not None, market
        # The outlines are simpler than the coasts, and some cities stand on islands.
        assert states[market.state].distance(Spot(*place)) < 2.0, market


def test_each_market_s_city_lies_on_land() -> None:
    land = area(LAND)
    for market in MARKETS.values():
        place = WORLD.place(market.point)
        assert place is not None
        assert land.distance(Spot(*place)) < 2.0 or market.state == "HI", market


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        # d3-geo's own tests of geoAlbersUsa: scale 1070 around (480, 250), here 1300 around (487.5, 305)
        (Point(-122.4194, 37.7749), (107.4, 214.1)),
        (Point(-74.0059, 40.7128), (794.6, 176.5)),
        (Point(-95.9928, 36.1540), (488.8, 298.0)),
        (Point(-149.9003, 61.2181), (171.2, 446.9)),
    ],
)
def test_points_lie_where_d3_has_them(point: Point, expected: tuple[float, float]) -> None:
    place = US.place(point)
    assert place is not None
    scaled = [487.5 + (expected[0] - 480) * 1300 / 1070, 305 + (expected[1] - 250) * 1300 / 1070]
    assert place == pytest.approx(scaled, abs=0.5)


@pytest.mark.parametrize("point", [Point(13.4, 52.5), Point(151.2, -33.9), Point(0.0, 90.0)])
def test_what_is_not_on_the_map_has_no_place(point: Point) -> None:
    assert US.place(point) is None
    assert WORLD.place(point) is not None


def test_a_rim_is_as_far_away_as_it_should_be() -> None:
    centre = Point(-118.2437, 34.0522)
    ring = rim(centre, 120_701)
    assert ring[0] == pytest.approx(ring[-1])
    for lon, lat in ring:
        assert distance_m(centre, Point(lon, lat)) == pytest.approx(120_701, rel=1e-6)


def test_a_rim_across_the_antimeridian_is_in_one_piece_and_drawn_on_both_sides() -> None:
    ring = rim(Point(179.5, 10.0), 200_000)
    assert max(lon for lon, _ in ring) > 180
    xs = [[x for x, _ in part] for part in places(WORLD.paths([ring])["earth"])]
    assert len(xs) == 2
    assert min(map(min, xs)) < 5
    assert max(map(max, xs)) > 715


def test_a_rim_around_a_pole_reaches_it() -> None:
    north, south = rim(Point(0.0, 85.0), 1_000_000), rim(Point(0.0, -85.0), 1_000_000)
    assert max(lat for _, lat in north) == 90
    assert min(lat for _, lat in south) == -90
    # Closed along the edge: the pole is inside.
    assert area(WORLD.paths([north])["earth"]).distance(Spot(100.0, 1.0)) == 0
    assert area(WORLD.paths([rim(Point(3.0, 4.0), 2.1e7)])["earth"]).area == pytest.approx(720 * 360)


def test_a_polygon_is_one_piece_in_each_frame_that_it_touches() -> None:
    box = ring_of([Point(-120, 33), Point(-110, 33), Point(-110, 40), Point(-120, 40), Point(-120, 33)])
    rings = rings_of((box,))
    assert list(US.paths(rings)) == ["lower"]
    assert list(WORLD.paths(rings)) == ["earth"]
    aleutians = ring_of([Point(170, 50), Point(-150, 50), Point(-150, 65), Point(170, 65), Point(170, 50)])
    assert "alaska" in US.paths(rings_of((aleutians,)))
    # A straight edge in degrees is bent on paper, so it has points in between.
    assert len(places(US.paths(rings)["lower"])[0]) > 4


@pytest.mark.parametrize("paper", [US, WORLD])
def test_what_is_elsewhere_is_not_drawn(paper: Paper) -> None:
    ring = rim(Point(13.4, 52.5), 1_000)
    assert bool(paper.paths([ring])) is (paper is WORLD)
