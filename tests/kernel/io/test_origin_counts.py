from __future__ import annotations

import pytest

from kernel.errors import OriginError, OriginMissing, OriginRefused
from kernel.io.origin_counts import KINDS, OUTCOMES, FetchCounts, Outcome


def test_all_that_may_be_counted_is_there_from_the_beginning() -> None:
    counts = FetchCounts()
    assert set(counts.fetches) == {(kind, outcome) for kind in KINDS for outcome in OUTCOMES}
    assert sum(counts.fetches.values()) == 0


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (None, "fetched"),
        (OriginMissing("gone"), "missing"),
        (OriginRefused("no"), "refused"),
        (OriginError("broken"), "failed"),
        (ValueError("a fault of ours"), "failed"),
    ],
)
def test_a_fetch_is_counted_by_what_became_of_it(failure: Exception | None, outcome: Outcome) -> None:
    counts = FetchCounts()
    counts.landed("segment", 0.3, failure, 0 if failure else 1_500)
    assert counts.fetches["segment", outcome] == 1
    assert sum(counts.fetches.values()) == 1
    assert (counts.took["segment"].count, counts.took["key"].count) == (1, 0)
    assert counts.fetched_bytes["segment"] == (0 if failure else 1_500)
