"""The 210 television markets of the United States: which one a point belongs to.

"DMA" is a mark of Nielsen, whose borders of the markets are Nielsen's. Ours is a table of facts: each market's code,
name and principal city. The table names where the cities' coordinates are from.

A point's market is, the first that says something:

1. a polygon of the operator's that holds it. A market with such a polygon is that polygon and nothing else;
2. the database's metro code, a hint, if it is plausible: its city lies no farther from the point than twice as far as
   the nearest principal city, and 50 miles, and the radius within which the point holds. Markets are drawn along
   counties, so the nearest city is not always a point's own; but much more than twice as far is another region;
3. the nearest principal city, if it is within 300 miles. Beyond, there is none: most of Alaska has no market.

Outside the United States there is none, and where the country is not known, neither is the market. The table is package
data, read once, when this module is imported.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import cos, inf, radians

from relay.place.geometry import (
    EARTH_RADIUS_M,
    METRES_PER_MILE,
    Vector,
    chord_distance_m,
    chord_squared,
    unit_vector,
    vector_distance_m,
)  # fmt: skip
from relay.place.model import Point

COUNTRY = "US"
FARTHEST_M = 300 * METRES_PER_MILE
"""The largest markets reach some 250 miles from their city."""

HINT_FACTOR = 2.0
HINT_SLACK_M = 50 * METRES_PER_MILE

_FARTHEST_CHORD = chord_squared(FARTHEST_M)
_CELL_DEGREES = 1
_ROWS = 180 // _CELL_DEGREES


@dataclass(frozen=True, slots=True)
class Market:
    """A television market.

    Args:
        code: three digits, as text.
        name: as the trade has it.
        city: the principal one; `state` as two letters.
        point: where the city is.
        vector: the same from the Earth's centre.
    """

    code: str
    name: str
    city: str
    state: str
    point: Point
    vector: Vector

    def distance_m(self, vector: Vector) -> float:
        """Return how far a point is from the city, in metres."""
        return vector_distance_m(self.vector, vector)


def _read() -> dict[str, Market]:
    text = files("relay.place").joinpath("markets.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    markets = {}
    for row in rows:
        point = Point(float(row["lon"]), float(row["lat"]))
        market = Market(row["code"], row["name"], row["city"], row["state"], point, unit_vector(*point))
        markets[market.code] = market
    return markets


MARKETS: Mapping[str, Market] = _read()
"""By code."""


class MarketMap:
    """Find a point's market by the table; what may be the nearest city in a cell of a degree is noted.

    Args:
        drawn: codes of markets that are not for the table to give: the operator has drawn them.
    """

    def __init__(self, drawn: Collection[str] = ()) -> None:
        self._markets = {code: market for code, market in MARKETS.items() if code not in drawn}
        # One entry for each cell of the Earth at most: 64,800 short tuples.
        self._noted: dict[tuple[int, int], tuple[Market, ...]] = {}

    def find(self, point: Point, vector: Vector, *, accuracy_m: float, hint: str | None) -> Market | None:
        """Return the market of a point in the United States, None if it has none.

        Args:
            point: in degrees.
            vector: the same from the Earth's centre.
            accuracy_m: the radius within which the point holds.
            hint: the database's metro code.
        """
        nearest, chord = self._nearest(point, vector)
        hinted = self._markets.get(hint or "")
        if hinted is None or hinted is nearest:
            return nearest if chord <= _FARTHEST_CHORD else None
        limit_m = min(FARTHEST_M, HINT_FACTOR * chord_distance_m(chord) + HINT_SLACK_M) + accuracy_m
        if hinted.distance_m(vector) <= limit_m:
            return hinted
        return nearest if chord <= _FARTHEST_CHORD else None

    def hinted(self, hint: str | None) -> Market | None:
        """Return the market that a metro code alone names, where there is no point to hold it against."""
        return self._markets.get(hint or "")

    def nearest(self, point: Point, vector: Vector) -> tuple[Market | None, float]:
        """Return the market whose city is nearest, and how far it is in metres; far beyond 300 miles it may be None."""
        nearest, chord = self._nearest(point, vector)
        return nearest, inf if nearest is None else chord_distance_m(chord)

    def _nearest(self, point: Point, vector: Vector) -> tuple[Market | None, float]:
        """Return the same with the square of the chord."""
        cell = (int((point.lon + 180) // _CELL_DEGREES), min(_ROWS - 1, int((point.lat + 90) // _CELL_DEGREES)))
        candidates = self._noted.get(cell)
        if candidates is None:
            candidates = self._noted[cell] = self._candidates(cell)
        x, y, z = vector
        # Of two points on the Earth it is 4 at the most.
        nearest, least = None, 5.0
        for market in candidates:
            to_x, to_y, to_z = market.vector
            chord = (x - to_x) ** 2 + (y - to_y) ** 2 + (z - to_z) ** 2
            if chord < least:
                nearest, least = market, chord
        return nearest, least

    def _candidates(self, cell: tuple[int, int]) -> tuple[Market, ...]:
        lon, lat = cell[0] * _CELL_DEGREES - 180 + _CELL_DEGREES / 2, cell[1] * _CELL_DEGREES - 90 + _CELL_DEGREES / 2
        middle = unit_vector(lon, lat)
        # From its middle nothing in a cell is farther than half its height and half its width where it is widest.
        widest = cos(radians(max(0.0, abs(lat) - _CELL_DEGREES / 2)))
        reach = EARTH_RADIUS_M * radians(_CELL_DEGREES / 2) * (1 + widest)
        away = [(market.distance_m(middle), market) for market in self._markets.values()]
        least = min((distance for distance, _ in away), default=inf)
        limit = min(least + 2 * reach, FARTHEST_M + reach)
        return tuple(market for distance, market in away if distance <= limit)
