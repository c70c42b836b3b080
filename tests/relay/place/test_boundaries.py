"""The nearest boundary of any geometric condition."""

from __future__ import annotations

import math

import pytest

from relay.place.boundaries import Boundaries
from relay.place.conditions import InCircle, Zone
from relay.place.geometry import Circle, ring_of
from relay.place.model import Point

HOME = Point(-118.2437, 34.0522)
BOX = (ring_of([Point(-119, 33), Point(-118, 33), Point(-118, 35), Point(-119, 35), Point(-119, 33)]),)


def test_there_is_none() -> None:
    assert Boundaries([], [], []).distance_m(HOME) == math.inf


def test_the_nearest_of_all_counts() -> None:
    circle = InCircle.of(Circle(HOME, 30_000))
    # An edge of the box lies 0.2437 degrees to the east: 22.5 km
    assert Boundaries([BOX], [], []).distance_m(HOME) == pytest.approx(22_450, abs=60)
    assert Boundaries([], [circle], []).distance_m(HOME) == pytest.approx(30_000)
    assert Boundaries([BOX], [circle], []).distance_m(HOME) == pytest.approx(22_450, abs=60)
    assert Boundaries([BOX], [InCircle.of(Circle(HOME, 5_000))], []).distance_m(HOME) == pytest.approx(5_000)
    # Beyond 20 minutes it is all the same
    assert Boundaries([BOX], [], []).distance_m(Point(-117, 34)) == math.inf


def test_a_zone_has_a_rim_and_a_border() -> None:
    # Los Angeles' next city is Santa Barbara, 140 km away: half-way is the border.
    assert Boundaries([], [], [Zone.of(frozenset({"803"}), None)]).distance_m(HOME) == pytest.approx(70_000, abs=1_000)
    assert Boundaries([], [], [Zone.of(frozenset({"803"}), 10)]).distance_m(HOME) == pytest.approx(16_093, abs=5)
    # Between both the border is here
    between = Point(-119.0, 34.24)
    assert Boundaries([], [], [Zone.of(frozenset({"803"}), None)]).distance_m(between) < 5_000
    # Where both are named there is no border between them
    both = Zone.of(frozenset({"803", "855"}), None)
    assert Boundaries([], [], [both]).distance_m(between) > 25_000
