"""Our polygons against shapely's; `python -m bench.fuzz` goes on for longer."""

from __future__ import annotations

from tests.fuzz.polygons import fuzz

EXAMPLES = 30_000


def test_polygons_are_what_shapely_says() -> None:
    """RFC 7946, 3.1.6, planar: the index and the plain way, on boundaries too."""
    seen = fuzz(EXAMPLES, seed=7946)
    assert seen["points"] == EXAMPLES
    # It would say nothing if all of them were outside, or no polygon had a hole.
    assert seen["inside"] > EXAMPLES // 4
    assert seen["outside"] > EXAMPLES // 4
    assert seen["holes"] > 30
