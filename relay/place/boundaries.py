"""How far a position is from where something changes: the nearest boundary of any geometric condition."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from relay.place.conditions import InCircle, Zone
from relay.place.geometry import METRES_PER_MILE, Boundary, Polygon, chord_distance_m, unit_vector
from relay.place.gps import RECHECK_LEAST_S, RECHECK_MOST_S, RECHECK_SPEED_MPS
from relay.place.markets import MARKETS
from relay.place.model import Point

_CITIES = [(code, market.vector) for code, market in MARKETS.items()]
_WITHIN_M = RECHECK_MOST_S * RECHECK_SPEED_MPS
_ENOUGH_M = RECHECK_LEAST_S * RECHECK_SPEED_MPS


class Boundaries:
    """Find the nearest boundary.

    Args:
        polygons: of conditions, and of markets if any condition asks for one.
        circles: of conditions.
        zones: of conditions.
    """

    def __init__(self, polygons: Sequence[Polygon], circles: Sequence[InCircle], zones: Sequence[Zone]) -> None:
        self._edges = Boundary(polygons)
        self._circles = tuple(circles)
        self._zones = tuple(zones)

    def distance_m(self, point: Point) -> float:
        """Return how far the nearest boundary is, in metres; what makes no difference to `recheck_s` is not exact."""
        nearest = min((held.circle.rim_distance_m(point) for held in self._circles), default=inf)
        if self._zones:
            nearest = min(nearest, self._zone_distance_m(point))
        if nearest <= _ENOUGH_M:
            return nearest
        return min(nearest, self._edges.distance_m(point, within_m=_WITHIN_M, enough_m=_ENOUGH_M))

    def _zone_distance_m(self, point: Point) -> float:
        """Return a distance within which neither a zone's market nor its circle changes.

        The border between two markets is where both cities are as far; whoever moves by a metre changes the difference
        of both distances by two at most.
        """
        x, y, z = unit_vector(*point)
        away = {
            code: (x - to_x) ** 2 + (y - to_y) ** 2 + (z - to_z) ** 2 for code, (to_x, to_y, to_z) in _CITIES
        }  # squares of chords
        nearest = inf
        for zone in self._zones:
            own = min(away[code] for code in zone.codes)
            other = min((chord for code, chord in away.items() if code not in zone.codes), default=4.0)
            nearest = min(nearest, abs(chord_distance_m(own) - chord_distance_m(other)) / 2)
            if zone.radius_miles is not None:
                radius_m = zone.radius_miles * METRES_PER_MILE
                nearest = min(nearest, *(abs(chord_distance_m(away[code]) - radius_m) for code in zone.codes))
        return nearest
