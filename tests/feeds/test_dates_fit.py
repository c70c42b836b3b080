from __future__ import annotations

import math
import random

import pytest

from feeds.dates_fit import FEW, ROUNDING_S, DatesFit, DatesPrior, next_prior
from feeds.offset_filter import OTHER_CLOCK_SIGMA, RATE_SIGMA


def fed(residuals_s: list[float], fit: DatesFit | None = None, *, first: int = 0) -> DatesFit:
    fit = fit or DatesFit()
    for index, residual in enumerate(residuals_s, first):
        fit.observe(2.0 * index, residual)
    return fit


def scattered(segments: int, *, seed: int = 1, drift: float = 0.0, width_s: float = 0.1, first: int = 0) -> list[float]:
    rng = random.Random(seed)
    return [5.0 + drift * 2.0 * index + rng.uniform(-width_s, width_s) for index in range(first, first + segments)]


def offset(fit: DatesFit, index: int) -> float:
    return fit.estimate(2.0 * index)[0]


def test_one_date_is_taken_at_its_word() -> None:
    fit = fed([5.0])
    assert fit.estimate(0.0) == (5.0, ROUNDING_S**2)
    assert fit.estimate(1e6) == (5.0, ROUNDING_S**2)
    assert (fit.computed, fit.jitter_var) == (True, None)


def test_computed_dates_differ_by_their_rounding() -> None:
    fit = fed([5.0 + 0.0005 * (-1) ** index for index in range(100)])
    assert fit.computed
    assert offset(fit, 99) == pytest.approx(5.0, abs=1e-6)
    assert fit.rate == (0.0, RATE_SIGMA**2)


def test_dates_that_differ_by_more_are_read_and_average_out() -> None:
    fit = fed(scattered(500))
    assert not fit.computed
    found, variance = fit.estimate(1000.0)
    assert abs(found - 5.0) < 3 * math.sqrt(variance) < 0.02
    assert fit.jitter_var == pytest.approx(0.1**2 / 3, rel=0.3)


def test_the_second_of_two_that_scatter_is_not_believed_more_than_the_first() -> None:
    fit = fed([5.0, 5.08])
    found, variance = fit.estimate(2.0)
    assert found == pytest.approx(5.04, abs=0.001)
    assert math.sqrt(variance) > 0.04


def test_a_drift_is_followed() -> None:
    fit = fed(scattered(3000, drift=50e-6))
    assert offset(fit, 3000) == pytest.approx(5.3, abs=0.01)
    rate, variance = fit.rate
    assert abs(rate - 50e-6) < 4 * math.sqrt(variance)


def test_exact_dates_of_a_drifting_clock_turn_out_to_be_read() -> None:
    residuals = [round(5.0 + 100e-6 * 2.0 * index, 3) for index in range(300)]
    fit = fed(residuals)
    assert not fit.computed
    assert offset(fit, 299) == pytest.approx(residuals[-1], abs=0.001)
    assert fit.rate[0] == pytest.approx(100e-6, abs=10e-6)


def test_they_turn_out_so_after_hours_too() -> None:
    fit = fed([5.0] * 1000)
    fed([5.0, 5.004, 4.998, 5.003], fit, first=1000)
    assert not fit.computed
    assert offset(fit, 1004) == pytest.approx(5.0, abs=0.003)


@pytest.mark.parametrize("step_s", [3.0, -3.0, 0.15])
def test_a_step_is_believed_when_three_say_it(step_s: float) -> None:
    fit = fed([5.0] * 50)
    for count in (1, 2):
        fit.observe(2.0 * (49 + count), 5.0 + step_s)
        assert offset(fit, 49 + count) == 5.0
        assert fit.pending_s == pytest.approx(step_s)
    fit.observe(104.0, 5.0 + step_s)
    assert offset(fit, 52) == pytest.approx(5.0 + step_s)
    assert (fit.steps, fit.pending_s, fit.n) == (1, 0.0, 3)


def test_a_step_of_dates_that_scatter_too() -> None:
    fit = fed(scattered(200))
    fed([residual + 3.0 for residual in scattered(100, seed=2)], fit, first=200)
    assert fit.steps == 1
    assert offset(fit, 300) == pytest.approx(8.0, abs=0.03)
    # How much they scatter is not forgotten.
    assert fit.prior.jitter_var == pytest.approx(0.1**2 / 3, rel=0.4)


def test_strays_that_do_not_agree_are_no_step() -> None:
    fit = fed([5.0] * 50)
    fed([8.0, 12.0, 5.0, 8.0, 8.0, 5.0, 8.0, 3.0, 8.0], fit, first=50)
    assert (fit.steps, offset(fit, 60)) == (0, 5.0)


def test_a_shift_within_the_scatter_shows_in_the_mean() -> None:
    fit = fed(scattered(1000))
    fed([residual + 0.1 for residual in scattered(300, seed=3)], fit, first=1000)
    assert (fit.steps, fit.shifts > 0) == (0, True)
    assert offset(fit, 1300) == pytest.approx(5.1, abs=0.02)


def test_the_first_date_may_be_wrong() -> None:
    fit = fed([90.0, 5.0])
    assert offset(fit, 1) == 90.0  # who is to say
    fit.observe(4.0, 5.0)
    assert offset(fit, 2) == 5.0


def test_one_wrong_date_among_the_first_is_left_out() -> None:
    fit = fed([5.0, 5.0, 7.0, 5.0, 5.0])
    assert fit.computed
    assert offset(fit, 4) == 5.0


def test_what_is_known_from_elsewhere_counts_with_the_first_dates() -> None:
    known = DatesPrior(offset=(0.0, 5.0, 0.005**2), jitter_var=0.058**2)
    fit = fed([5.09], DatesFit(known))
    assert offset(fit, 0) == pytest.approx(5.0, abs=0.002)
    assert not fit.computed
    fit.expect((2.0, 5.0, 0.001**2))
    fit.observe(2.0, 5.09)
    assert offset(fit, 1) == pytest.approx(5.0, abs=0.001)


def test_what_is_known_from_elsewhere_is_dropped_when_dates_deny_it() -> None:
    known = DatesPrior(offset=(0.0, 7.0, 0.005**2), jitter_var=0.058**2)
    assert offset(fed([5.0], DatesFit(known)), 0) == pytest.approx(5.0, abs=0.001)


def test_a_first_date_that_is_unexpected_tells_its_own_scatter() -> None:
    fit = fed([5.08], DatesFit(DatesPrior(offset=(0.0, 5.0, 0.003**2))))
    assert not fit.computed
    assert offset(fit, 0) == pytest.approx(5.0, abs=0.001)
    assert fed([5.001], DatesFit(DatesPrior(offset=(0.0, 5.0, 0.003**2)))).computed


def test_a_first_segment_that_comes_late_does_not_make_its_date_doubtful() -> None:
    # By its arrival it would be 0.4 s later; but a segment may come late, and dates were computed so far.
    fit = fed([5.0], DatesFit(DatesPrior(offset=(0.0, 5.4, 0.01**2))))
    assert fit.computed
    assert offset(fit, 0) == pytest.approx(5.0, abs=0.001)


def test_after_read_dates_three_that_agree_are_computed() -> None:
    fit = DatesFit(DatesPrior(jitter_var=0.058**2))
    assert [fed([5.0], fit, first=index).computed for index in range(3)] == [False, False, True]


def test_older_dates_help_at_the_beginning_only() -> None:
    fit = DatesFit()
    for index in range(FEW, 0, -1):
        fit.observe(2.0 * index, scattered(FEW + 1)[index])
    young = offset(fit, FEW)
    assert abs(young - 5.0) < 0.04
    fit.observe(-2.0, 5.05)
    assert offset(fit, FEW) == young


def test_another_anchor_moves_all() -> None:
    for residuals in ([5.0] * 10, [5.0] * 100, scattered(10), scattered(100)):
        fit = fed(residuals)
        before = offset(fit, len(residuals))
        fit.shift(-0.003)
        assert offset(fit, len(residuals)) == pytest.approx(before - 0.003, abs=1e-6)


def test_what_a_timeline_teaches() -> None:
    young = next_prior(fed([5.0], DatesFit(DatesPrior(rate=1e-6, var_rate=1e-12, jitter_var=0.01))))
    assert (young.rate, young.jitter_var, young.offset) == (1e-6, 0.01, None)
    assert young.var_rate == pytest.approx(1e-12 + OTHER_CLOCK_SIGMA**2)
    old = next_prior(fed(scattered(1000, drift=50e-6)))
    assert old.rate == pytest.approx(50e-6, abs=10e-6)
    assert old.jitter_var == pytest.approx(0.1**2 / 3, rel=0.4)
    assert next_prior(fed([5.0] * 40)).jitter_var is None
