"""Markets: the table, the hint, the nearest city."""

from __future__ import annotations

import random
from importlib.resources import files

import pytest

from relay.place.geometry import unit_vector
from relay.place.markets import FARTHEST_M, MARKETS, MarketMap
from relay.place.model import Point


def market_at(lat: float, lon: float, hint: str | None = None, accuracy_m: float = 0.0, drawn: str = "") -> str | None:
    found = MarketMap(drawn.split()).find(Point(lon, lat), unit_vector(lon, lat), accuracy_m=accuracy_m, hint=hint)
    return None if found is None else found.code


def test_there_are_210_and_each_city_is_in_its_own() -> None:
    assert len(MARKETS) == 210
    found = MarketMap()
    for market in MARKETS.values():
        assert found.find(market.point, market.vector, accuracy_m=0.0, hint=None) is market
        # Nor does what a database says of another one change that, however large its circle is.
        assert found.find(market.point, market.vector, accuracy_m=1e6, hint=market.code) is market


def test_the_table_names_its_source_and_codes_are_text() -> None:
    text = files("relay.place").joinpath("markets.csv").read_text("utf-8")
    assert "GeoNames" in text.splitlines()[0]
    assert "CC BY 4.0" in text.splitlines()[0]
    assert all(len(code) == 3 and code == market.code for code, market in MARKETS.items())
    assert MARKETS["511"].name == "Washington, DC (Hagerstown)"


CASES = [
    # The nearest city
    ((34.0522, -118.2437), None, 0, "803"),
    ((34.1478, -118.1445), None, 0, "803"),
    ((32.7157, -117.1647), None, 0, "825"),
    # A plausible hint: Elko belongs to Salt Lake City, Twin Falls is nearer
    ((40.8324, -115.7631), None, 0, "760"),
    ((40.8324, -115.7631), "770", 0, "770"),
    # San Bernardino belongs to Los Angeles, Palm Springs is about as near
    ((34.0, -117.0), None, 0, "804"),
    ((34.0, -117.0), "803", 0, "803"),
    # One that is not plausible: another coast, another city than the one it is in
    ((34.0522, -118.2437), "501", 0, "803"),
    ((32.7157, -117.1647), "803", 0, "825"),
    # Unless the point itself is as vague
    ((32.7157, -117.1647), "803", 150_000, "803"),
    # What is no market's code is no hint
    ((34.0522, -118.2437), "0", 0, "803"),
    ((34.0522, -118.2437), "", 0, "803"),
    # Alaska's west coast has none, nor has Paris
    ((64.5, -165.4), None, 0, None),
    ((48.85, 2.35), None, 0, None),
    ((48.85, 2.35), "501", 0, None),
    ((90.0, 180.0), None, 0, None),
]  # fmt: skip


@pytest.mark.parametrize(("at", "hint", "accuracy_m", "expected"), CASES)
def test_market_of_a_point(at: tuple[float, float], hint: str | None, accuracy_m: float, expected: str | None) -> None:
    assert market_at(*at, hint=hint, accuracy_m=accuracy_m) == expected


def test_a_market_that_the_operator_has_drawn_is_not_the_tables() -> None:
    assert market_at(34.0522, -118.2437, drawn="803") == "855"
    assert market_at(34.0522, -118.2437, hint="803", drawn="803") == "855"
    assert MarketMap(["803"]).hinted("803") is None
    assert MarketMap().hinted("803") is MARKETS["803"]
    assert MarketMap().hinted(None) is None


def test_the_cells_miss_no_city() -> None:
    draw, found = random.Random(803), MarketMap()
    for _ in range(2_000):
        point = Point(draw.uniform(-180, 180), draw.uniform(15, 75))
        vector = unit_vector(*point)
        least = min(market.distance_m(vector) for market in MARKETS.values())
        market, away = found.nearest(point, vector)
        assert away == pytest.approx(least) or (least > FARTHEST_M and away > FARTHEST_M), (point, market)
