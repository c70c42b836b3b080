from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.histogram import Histogram

INF = float("inf")


def test_values_are_counted_by_upper_bound() -> None:
    histogram = Histogram((0.0, 1.0, 2.5))
    for value in (0.0, 0.5, 1.0, 1.1, 9.0):
        histogram.add(value)
    assert histogram.cumulative() == [(0.0, 1), (1.0, 3), (2.5, 4), (INF, 5)]
    assert histogram.count == 5
    assert histogram.total == pytest.approx(11.6)


def test_a_value_may_count_many_times() -> None:
    histogram = Histogram((1.0,))
    histogram.add(0.5, 2_000)
    assert histogram.cumulative() == [(1.0, 2_000), (INF, 2_000)]
    assert histogram.total == pytest.approx(1_000)


def test_what_lies_below_zero_counts_as_zero() -> None:
    histogram = Histogram((0.0, 1.0))
    histogram.add(-3.0)
    assert histogram.cumulative() == [(0.0, 1), (1.0, 1), (INF, 1)]
    assert histogram.total == 0


@given(st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 5))))
def test_it_is_monotone_whatever_comes(values: list[tuple[float, int]]) -> None:
    histogram = Histogram((0.1, 1.0, 5.0))
    for value, count in values:
        before = histogram.total
        histogram.add(value, count)
        assert histogram.total >= before
    counts = [count for _, count in histogram.cumulative()]
    assert all(low <= high for low, high in pairwise(counts))
    assert counts[-1] == histogram.count == sum(count for _, count in values)
