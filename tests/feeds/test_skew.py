from __future__ import annotations

import pytest

from feeds.skew import Skews

T0 = 1_800_000_000.0


def told(skew_s: float, lags: list[float], *, every_s: float = 2.0) -> Skews:
    """Return what is learned of a clock that is `skew_s` ahead, from facts told after `lags`."""
    skews = Skews()
    for number, lag in enumerate(lags):
        at = T0 + number * every_s
        skews.observe("desk", at + skew_s, at + lag)
    return skews


LAGS = [1.5, 0.8, 3.0, 12.0, 0.9, 2.0]


@pytest.mark.parametrize("skew_s", [0.0, 0.5, -1.0])
def test_ordinary_slowness_is_not_corrected(skew_s: float) -> None:
    skews = told(skew_s, LAGS)
    assert skews.correct("desk", T0) == T0
    assert skews.complaint("desk") == ""


@pytest.mark.parametrize("skew_s", [10.0, -10.0, 3_600.0, -3_600.0])
def test_a_clock_that_is_off_is_corrected_to_within_the_quickest_lag(skew_s: float) -> None:
    skews = told(skew_s, LAGS)
    # Never early: what is left of the error lies on the late side, and is no more than the quickest lag.
    assert 0 <= skews.correct("desk", T0 + skew_s) - T0 <= 0.8001
    word = "ahead" if skew_s > 0 else "slow"
    assert word in skews.complaint("desk")
    assert abs(skews.skew_s("desk") - skew_s) <= 0.8001


def test_one_old_batch_or_one_announcement_proves_nothing() -> None:
    for lag in (60.0, -60.0):
        skews = Skews()
        for number in range(50):
            skews.observe("desk", T0 - lag - number, T0)
        assert skews.correct("desk", T0) == T0


def test_a_clock_that_is_set_right_is_believed_again() -> None:
    skews = told(10.0, LAGS)
    for number in range(6):
        at = T0 + 400 + number * 2
        skews.observe("desk", at, at + 1)
    assert skews.correct("desk", T0) == T0


def test_a_slow_vendor_is_said_to_be_so() -> None:
    skews = Skews({"nba": 8.0})
    for number in range(6):
        skews.observe("nba", T0 + number * 2, T0 + number * 2 + 7)
    assert skews.correct("nba", T0) == T0


def test_an_absurd_clock_is_news_once() -> None:
    skews = Skews()
    skews.absurd("desk", -86_400.0 * 3000)
    skews.absurd("desk", -86_400.0 * 3001)
    assert skews.take_news() == [("desk", -86_400.0 * 3000)]
    assert skews.take_news() == []
    assert skews.complaint("desk") == "clock off by -3001 days: its times are not used"
    skews.observe("desk", T0, T0 + 1)
    assert skews.complaint("desk") == ""


def test_lags_that_were_measured_with_a_wrong_clock_are_forgotten() -> None:
    skews = told(3_600.0, LAGS)
    assert skews.skew_s("desk") > 3_000
    skews.forget()
    assert skews.skew_s("desk") == 0.0
