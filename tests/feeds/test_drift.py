from __future__ import annotations

import random

import pytest

from feeds.dates_fit import DatesFit
from feeds.drift import FEW, DatesDrift
from feeds.learned import Drift


def compared(slope: float, segments: int, *, scatter_s: float = 0.0, drift: DatesDrift | None = None) -> DatesDrift:
    """Hold dates against arrivals that go away from them; `scatter_s` makes them dates that are read."""
    rng = random.Random(1)
    dates, drift = DatesFit(), drift or DatesDrift()
    for index in range(segments):
        at_s = 2.0 * index
        dates.observe(at_s, rng.uniform(-scatter_s, scatter_s))
        drift.date(at_s)
        drift.observe(at_s, 1.2 + slope * at_s + rng.expovariate(100), dates)
    return drift


def test_at_first_nothing_is_wrong() -> None:
    drift = DatesDrift()
    assert drift.at(100.0, computed=True) == (0.0, 0.0)
    assert (drift.is_corrected, drift.lag(), drift.learned()) == (False, None, None)
    drift = compared(50e-6, FEW - 1)
    assert drift.at(100.0, computed=True) == (0.0, 0.0)


def test_what_is_not_clear_is_a_doubt_about_computed_dates_only() -> None:
    drift = compared(50e-6, 60)
    assert not drift.is_corrected
    wrong_s, variance = drift.at(118.0, computed=True)
    assert (wrong_s, variance > 0.001**2) == (0.0, True)
    assert drift.at(118.0, computed=False) == (0.0, 0.0)


@pytest.mark.parametrize("scatter_s", [0.0, 0.1])
@pytest.mark.parametrize("slope", [50e-6, -50e-6])
def test_what_is_clear_is_taken_off(slope: float, scatter_s: float) -> None:
    drift = compared(slope, 2000, scatter_s=scatter_s)
    wrong_s, variance = drift.at(4000.0, computed=not scatter_s)
    assert drift.is_corrected
    assert abs(wrong_s - slope * 4000) < 3 * variance**0.5 < 0.1
    learned = drift.learned()
    assert learned is not None
    assert learned.slope == pytest.approx(slope, abs=5e-6)


def test_dates_that_keep_time_are_left_alone() -> None:
    for scatter_s in (0.0, 0.1):
        drift = compared(0.0, 3000, scatter_s=scatter_s)
        assert (drift.is_corrected, drift.learned()) == (False, None)
        lag = drift.lag()
        assert lag is not None
        assert lag.mean_s == pytest.approx(1.21, abs=0.03)
        assert lag.single_var**0.5 == pytest.approx(0.010, rel=0.5)


def test_what_was_learnt_serves_from_the_first_date() -> None:
    drift = DatesDrift(Drift(50e-6, 5e-6))
    assert drift.is_corrected
    assert drift.at(5.0, computed=True) == (0.0, 0.0)
    drift.date(0.0)
    wrong_s, variance = drift.at(100.0, computed=True)
    assert wrong_s == pytest.approx(0.005)
    assert variance == pytest.approx(0.0005**2)
    assert drift.learned() == Drift(50e-6, 5e-6)


def test_what_was_learnt_is_dropped_when_it_is_no_longer_so() -> None:
    drift = compared(0.0, 2000, drift=DatesDrift(Drift(50e-6, 50e-6)))
    assert not drift.is_corrected


def test_what_was_wrong_stays_wrong_until_the_clock_is_set() -> None:
    drift = DatesDrift(wrong_s=0.5, wrong_var=0.01)
    assert drift.is_corrected
    assert drift.at(0.0, computed=True) == (0.5, 0.01)
    drift = compared(0.0, 100, drift=drift)
    assert drift.at(200.0, computed=False) == (0.5, 0.01)
    lag = drift.lag()
    assert lag is not None
    assert lag.mean_s == pytest.approx(0.71, abs=0.005)
    drift.restart(200.0)
    assert drift.at(200.0, computed=True) == (0.0, 0.0)
    assert not drift.is_corrected
