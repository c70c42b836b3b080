from __future__ import annotations

from feeds.lag import MAX_HOLD_S, RECENT_FACTS, LagGauge


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


def test_it_counts_the_hold_that_each_fact_would_have_needed() -> None:
    gauge = LagGauge()
    assert gauge.late_share() is None
    gauge.needed(0.0, late=False)
    gauge.needed(1.9, late=True)
    assert gauge.late_share() == 0.5
    assert dict(gauge.holds.cumulative())[2.0] == 2
