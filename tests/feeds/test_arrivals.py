from __future__ import annotations

import random

import pytest

from feeds.arrivals import FEW, LASTING, ArrivalLine


def noisy(
    slope: float, segments: int, *, seed: int = 1, line: ArrivalLine | None = None, from_s: float = 0.0
) -> ArrivalLine:
    rng = random.Random(seed)
    line = line or ArrivalLine()
    for index in range(segments):
        at_s = from_s + 2.0 * index
        line.observe(at_s, 1.0 + slope * at_s + rng.expovariate(100))
    return line


def test_before_the_first_arrival_it_knows_what_it_was_told() -> None:
    line = ArrivalLine(20e-6, 5e-6)
    assert (line.n, line.slope, line.sd, line.slope_sigma) == (0, 20e-6, 0.0, 0.0)


def test_one_arrival_is_a_level() -> None:
    line = ArrivalLine()
    line.observe(10.0, 1.5)
    assert (line.began_s, line.mean_level, line.level(100.0), line.envelope(100.0)) == (10.0, 1.5, 1.5, 1.5)


def test_few_arrivals_do_not_overrule_what_was_believed_of_the_slope() -> None:
    line = noisy(0.0, FEW)
    assert abs(line.slope) < 30e-6
    assert line.slope_sigma == pytest.approx(30e-6, rel=0.1)


@pytest.mark.parametrize("slope", [50e-6, -50e-6, 0.0])
@pytest.mark.parametrize("seed", range(5))
def test_thousands_tell_the_slope_within_what_it_says_of_itself(slope: float, seed: int) -> None:
    line = noisy(slope, 3000, seed=seed)
    assert abs(line.slope - slope) <= 4 * line.slope_sigma < 1e-6
    assert line.sd == pytest.approx(0.010, rel=0.4)
    assert line.start_level == pytest.approx(1.01, abs=0.002)
    assert line.level(6000.0) == pytest.approx(1.01 + 6000 * slope, abs=0.002)


def test_neighbours_that_are_alike_count_for_less() -> None:
    """A poll whose phase moves slowly makes dozens of arrivals late together."""
    alike, apart = ArrivalLine(), ArrivalLine()
    rng = random.Random(2)
    for index in range(2000):
        alike.observe(2.0 * index, 0.5 * (index % 400 < 200) + rng.uniform(0, 0.01))
        apart.observe(2.0 * index, 0.5 * (rng.random() < 0.5) + rng.uniform(0, 0.01))
    assert alike.slope_sigma > 3 * apart.slope_sigma


def test_strays_are_left_out() -> None:
    line = ArrivalLine()
    rng = random.Random(3)
    for index in range(1000):
        stray = 9.0 if index == 0 or index % 50 == 49 else 0.0
        line.observe(2.0 * index, 1.0 + rng.uniform(0, 0.01) + stray)
    assert line.level(2000.0) == pytest.approx(1.005, abs=0.001)
    assert line.n == 1000 - 21


def test_another_latency_moves_the_line_and_does_not_tilt_it() -> None:
    line = noisy(50e-6, 1000)
    rng = random.Random(4)
    for index in range(1000, 2000):
        line.observe(2.0 * index, 3.0 + 50e-6 * 2.0 * index + rng.expovariate(100))
    assert abs(line.slope - 50e-6) < 1e-6
    assert line.level(4000.0) == pytest.approx(3.01 + 0.2, abs=0.002)
    assert line.start_level == pytest.approx(3.01, abs=0.002)
    assert line.clock_steps == 0


def test_strays_on_both_sides_are_no_other_latency() -> None:
    line = noisy(0.0, 100)
    for index in range(100, 200):
        line.observe(2.0 * index, 3.0 if index % LASTING else -3.0)
    assert line.level(400.0) == pytest.approx(1.01, abs=0.01)


def test_the_quickest_make_the_envelope() -> None:
    line = noisy(0.0, 500)
    assert line.envelope(1000.0) == pytest.approx(1.0, abs=0.001)


def test_a_slower_network_leaves_the_envelope_until_it_is_long_ago() -> None:
    line = noisy(0.0, 200)
    for index in range(200, 1000):
        line.observe(2.0 * index, 1.5)
        if index < 600:
            assert line.envelope(2.0 * index) == pytest.approx(1.0, abs=0.01)
    assert line.envelope(2000.0) == pytest.approx(1.5, abs=0.001)


def test_a_clock_that_is_set_takes_the_envelope_along() -> None:
    line = noisy(0.0, 200)
    for index in range(200, 200 + LASTING):
        line.observe(2.0 * index, 3601.0)
    assert line.clock_steps == 1
    assert line.envelope(2.0 * 220) == pytest.approx(3601.0, abs=0.01)
