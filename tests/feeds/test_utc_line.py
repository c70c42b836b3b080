from __future__ import annotations

from itertools import pairwise

import pytest

from feeds.dates_fit import DatesPrior
from feeds.learned import Drift, Lag, Learned
from feeds.published import Wall
from feeds.utc_line import EPOCH_SEGMENTS, MAX_SLEW, SETTLING, Line, Seen
from kernel.pts import Ticks

T0 = 1_800_000_000.0
SEGMENT = 180_000


def seen(
    index: int,
    *,
    pdt: float | None = None,
    arrival: float | None = None,
    audio_after_s: float | None = None,
    epoch_s: float | None = None,
) -> Seen:
    return Seen(Ticks(index * SEGMENT), 2.0, pdt, arrival, audio_after_s, epoch_s)


def published(line: Line, index: int) -> Wall:
    found = line.published.wall_at(index * SEGMENT)
    assert found is not None
    return found


def test_a_silent_segment_tells_nothing() -> None:
    line = Line(Learned())
    line.observe(seen(0))
    assert len(line.published) == 0
    line.observe(seen(1, pdt=T0 + 2))
    line.observe(seen(2))
    assert published(line, 2) == Wall(T0 + 4, 0.289, "pdt")
    assert published(line, 0) == Wall(T0, 0.289, "pdt")


def test_what_a_restart_tells_of_the_segments_it_missed_stands() -> None:
    """I16: their arrival says nothing, so they are told by what was before; no later one may come before them."""
    line = Line(Learned())
    line.restore(Ticks(0), Wall(T0, 577.0, "arrival"), None)
    line.observe(seen(1))
    line.observe(seen(2))
    assert [published(line, index).wall - T0 for index in (1, 2)] == [2, 4]
    line.observe(seen(3, arrival=T0 + 4))
    assert [published(line, index).wall - T0 for index in (1, 2)] == [2, 4]
    assert published(line, 3).wall - T0 == pytest.approx(4.25)


def test_a_date_is_published_as_it_is_written() -> None:
    line = Line(Learned())
    for index, rounding_s in enumerate([0.0, 0.0004, -0.0004, 0.0003]):
        line.observe(seen(index, pdt=T0 + 2 * index + rounding_s))
        assert published(line, index) == Wall(T0 + 2 * index + rounding_s, 0.289, "pdt")


def test_a_segment_is_published_once() -> None:
    line = Line(Learned())
    line.observe(seen(0, pdt=T0))
    line.observe(seen(0, pdt=T0 + 1))
    assert published(line, 0).wall == T0


def test_after_a_minute_the_map_slews() -> None:
    line = Line(Learned())
    # The clock turns out to be 80 ms late: less than what is taken for a step.
    for index in range(3 * SETTLING):
        line.observe(seen(index, pdt=T0 + 2 * index + (0.08 if index >= 2 * SETTLING else 0.0)))
    walls = [published(line, index).wall - 2 * index for index in range(3 * SETTLING)]
    steps = [later - earlier for earlier, later in pairwise(walls[SETTLING:])]
    assert 0 < max(steps) <= MAX_SLEW * 2 + 1e-6
    # What is not made up for yet is in sigma.
    assert published(line, 3 * SETTLING - 1).sigma_ms > 1


def test_a_step_is_doubted_twice_and_then_jumped() -> None:
    line = Line(Learned())
    for index in range(2 * SETTLING):
        line.observe(seen(index, pdt=T0 + 2 * index))
    errors = []
    for index in range(2 * SETTLING, 2 * SETTLING + 4):
        line.observe(seen(index, pdt=T0 + 2 * index + 3))
        found = published(line, index)
        errors.append((found.wall - T0 - 2 * index, found.sigma_ms))
    assert errors == [(0, 1500.0), (0, 1500.0), (3, 0.289), (3, 0.289)]


def test_an_epoch_locked_counter_is_best_when_it_has_been_plausible_for_a_while() -> None:
    line = Line(Learned())
    for index in range(5):
        at = T0 + 2 * index
        line.observe(seen(index, pdt=at + 0.25, arrival=at + 4, epoch_s=at))
    methods = [published(line, index).method for index in range(5)]
    assert methods == ["pdt"] * (EPOCH_SEGMENTS - 1) + ["tfdt"] * 3
    assert published(line, 4) == Wall(T0 + 8, 1.0, "tfdt")


@pytest.mark.parametrize("epoch_s", [10.0, T0 - 3600, T0 + 3600, 5e9])
def test_a_counter_that_is_not_the_time_of_day_is_a_counter(epoch_s: float) -> None:
    line = Line(Learned())
    for index in range(5):
        at = T0 + 2 * index
        line.observe(seen(index, arrival=at + 4, epoch_s=epoch_s + 2 * index))
        assert published(line, index).method == "arrival"


def test_a_counter_alone_is_no_time() -> None:
    line = Line(Learned())
    line.observe(seen(0, epoch_s=10.0))
    assert len(line.published) == 0


def test_a_clock_of_ours_that_is_set_is_followed_where_nothing_else_tells() -> None:
    line = Line(Learned())
    for index in range(3 * SETTLING):
        set_s = 3600 if index >= 2 * SETTLING else 0
        line.observe(seen(index, arrival=T0 + 2 * (index + 1) + set_s))
    assert published(line, 3 * SETTLING - 1).wall == pytest.approx(T0 + 2 * (3 * SETTLING - 1) + 3600, abs=0.001)


def test_a_counter_that_goes_astray_is_dropped() -> None:
    line = Line(Learned())
    for index in range(6):
        at = T0 + 2 * index
        line.observe(seen(index, pdt=at, epoch_s=at + (100 if index == 5 else 0)))
    assert [published(line, index).method for index in (4, 5)] == ["tfdt", "pdt"]


def test_a_recording_with_an_epoch_locked_counter_needs_no_witness() -> None:
    line = Line(Learned())
    line.observe(seen(0, epoch_s=T0))
    assert published(line, 0) == Wall(T0, 1.0, "tfdt")


def test_without_dates_the_quickest_arrival_tells() -> None:
    line = Line(Learned())
    for index, late_s in enumerate([1.9, 0.5, 0.3, 0.7]):
        line.observe(seen(index, arrival=T0 + 2 * (index + 1) + late_s))
    found = published(line, 3)
    assert found.wall == pytest.approx(T0 + 6.3, abs=0.001)
    assert found.sigma_ms == pytest.approx(2000 / 12**0.5, abs=0.01)
    assert found.method == "arrival"


def test_a_date_goes_before_arrivals() -> None:
    line = Line(Learned())
    line.observe(seen(0, arrival=T0 + 9))
    line.observe(seen(1, pdt=T0 + 12, arrival=T0 + 11))
    assert [published(line, index).method for index in (0, 1)] == ["arrival", "pdt"]
    assert published(line, 1).wall == T0 + 12


def test_with_a_known_latency_one_arrival_tells_as_well_as_many_dates() -> None:
    learned = Learned(DatesPrior(jitter_var=0.058**2), Lag(1.5, 1e-6, 0.01**2))
    line = Line(learned)
    line.observe(seen(0, arrival=T0 + 3.5))
    found = published(line, 0)
    assert found.method == "arrival"
    assert found.wall == pytest.approx(T0, abs=1e-6)
    assert found.sigma_ms == pytest.approx((10**2 + 1 + 10**2) ** 0.5, abs=0.01)
    dated = Line(learned)
    dated.observe(seen(0, arrival=T0 + 3.5, pdt=T0 + 0.09))
    assert published(dated, 0).wall == pytest.approx(T0, abs=0.01)


def test_a_stray_among_the_first_arrivals_is_left_out() -> None:
    line = Line(Learned(DatesPrior(jitter_var=0.058**2), Lag(1.5, 1e-6, 0.01**2)))
    for index, (stray_s, jitter_s) in enumerate([(1.0, 0.05), (0.0, -0.03), (0.0, 0.06)]):
        at = T0 + 2 * index
        line.observe(seen(index, arrival=at + 3.5 + stray_s, pdt=at + jitter_s))
    # One arrival alone might be late, so the date is believed; with a second it is clear which.
    assert published(line, 0).wall == pytest.approx(T0 + 0.05, abs=0.001)
    assert published(line, 2).wall == pytest.approx(T0 + 4, abs=0.01)


def test_a_long_line_without_dates_but_with_a_known_latency() -> None:
    line = Line(Learned(lag=Lag(1.5, 1e-6, 0.01**2)))
    for index in range(3 * SETTLING):
        line.observe(seen(index, arrival=T0 + 2 * index + 3.5))
    assert published(line, 3 * SETTLING - 1).wall == pytest.approx(T0 + 2 * (3 * SETTLING - 1), abs=1e-3)


def test_dates_of_the_sound_are_found_out() -> None:
    line = Line(Learned())
    afters = [0.010 if index % 3 else -0.008 for index in range(200)]
    for index, after_s in enumerate(afters):
        line.observe(seen(index, pdt=T0 + 2 * index + after_s, audio_after_s=after_s))
    assert published(line, 199).wall == pytest.approx(T0 + 398, abs=0.001)


def test_what_was_published_before_a_restart_is_gone_on_from() -> None:
    learned = Learned(DatesPrior(jitter_var=0.058**2), None, None, 0.0)
    line = Line(Learned())
    for index in range(3):
        line.restore(Ticks(index * SEGMENT), Wall(T0 + 2 * index, 3.0, "pdt"), learned)
    line.observe(seen(3, pdt=T0 + 6.09))
    assert published(line, 3).wall == pytest.approx(T0 + 6, abs=0.001)
    assert published(line, 0) == Wall(T0, 3.0, "pdt")


def test_what_was_corrected_before_a_restart_stays_corrected() -> None:
    line = Line(Learned())
    line.restore(Ticks(0), Wall(T0 + 0.5, 3.0, "pdt"), Learned(drift=Drift(50e-6, 5e-6), wrong_s=0.5))
    line.observe(seen(1, pdt=T0 + 2))
    assert published(line, 1).wall == pytest.approx(T0 + 2.5, abs=0.001)
    assert line.learned().wrong_s == pytest.approx(0.5, abs=0.001)


def test_arrivals_from_before_a_restart_are_kept_but_teach_nothing() -> None:
    line = Line(Learned())
    line.restore(Ticks(0), Wall(T0, 577.0, "arrival"), None)
    line.observe(seen(1, pdt=T0 + 1))
    assert published(line, 0).wall == T0
    assert published(line, 1).wall == T0 + 1


def test_a_line_without_a_date_hands_on_what_it_was_given() -> None:
    learned = Learned(DatesPrior(jitter_var=0.01), Lag(1.5, 1e-6, 1e-4), Drift(5e-5, 5e-6))
    assert Line(learned).learned() == learned
