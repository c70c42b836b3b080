from __future__ import annotations

import random

import pytest

from feeds.offset_filter import OffsetFilter


def test_going_on_in_time_moves_the_offset_by_the_rate_and_makes_both_less_certain() -> None:
    clock = OffsetFilter(0.0, 1.0, 50e-6, 1e-6, 1e-12)
    clock.predict(1000.0)
    assert clock.offset_s == pytest.approx(1.05)
    assert clock.var_offset == pytest.approx(1e-6 + 1e-12 * 1000**2 + 1e-10 * 1000)
    assert clock.var_rate > 1e-12
    assert clock.at(2000.0) == pytest.approx(1.10)


def test_it_does_not_go_back() -> None:
    clock = OffsetFilter(10.0, 1.0, 50e-6, 1e-6, 1e-12)
    clock.predict(9.0)
    assert clock == OffsetFilter(10.0, 1.0, 50e-6, 1e-6, 1e-12)


def test_a_reading_counts_by_how_certain_it_is() -> None:
    clock = OffsetFilter(0.0, 0.0, 0.0, 1e-4, 0.0)
    clock.update(1.0, 3e-4)
    assert clock.offset_s == pytest.approx(0.25)
    assert clock.var_offset == pytest.approx(0.75e-4)


def test_offset_and_rate_are_found_within_what_it_says_of_them() -> None:
    rng = random.Random(1)
    clock = OffsetFilter(0.0, 0.0, 0.0, 1.0, (30e-6) ** 2)
    for index in range(5000):
        clock.predict(2.0 * index)
        clock.update(5.0 + 40e-6 * 2.0 * index + rng.gauss(0, 0.05), 0.05**2)
    assert abs(clock.offset_s - 5.0 - 40e-6 * clock.at_s) < 3 * clock.var_offset**0.5 < 0.01
    assert abs(clock.rate - 40e-6) < 3 * clock.var_rate**0.5 < 5e-6
