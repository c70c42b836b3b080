from __future__ import annotations

import math

from feeds.lag import BOUNDS_S, MAX_HOLD_S, RECENT_FACTS, Counted, LagGauge


def test_it_learns_the_hold_that_99_of_100_facts_need() -> None:
    gauge = LagGauge()
    assert (gauge.hold_s(), gauge.quantile(0.5)) == (0.0, None)
    for _ in range(495):
        gauge.add(1.0)
    for _ in range(5):
        gauge.add(3.5)
    assert (gauge.quantile(0.5), gauge.hold_s(), len(gauge)) == (1.0, 1.0, 500)
    gauge.add(3.5)
    assert gauge.hold_s() == 3.5


def test_it_has_a_limit_and_forgets() -> None:
    gauge = LagGauge()
    gauge.add(30.0)
    assert gauge.hold_s() == MAX_HOLD_S
    for _ in range(RECENT_FACTS):
        gauge.add(-2.0)
    assert gauge.hold_s() == 0.0


def test_counts_are_cumulative() -> None:
    counted = Counted()
    for span_s in (0.0, 0.2, 0.25, 5.5, 999.0):
        counted.add(span_s)
    rows = dict(counted.cumulative())
    assert (rows[0.0], rows[0.25], rows[5.0], rows[6.0], rows[math.inf]) == (1, 3, 3, 4, 5)
    assert tuple(rows) == BOUNDS_S
    assert counted.total_s == 1004.95


def test_it_counts_the_hold_that_each_fact_would_have_needed() -> None:
    gauge = LagGauge()
    assert gauge.late_share() is None
    gauge.needed(0.0, late=False)
    gauge.needed(1.9, late=True)
    assert gauge.late_share() == 0.5
    assert dict(gauge.holds.cumulative())[2.0] == 2
