"""Media time: rescaling, and the counter that wraps at 2**33 (ISO/IEC 13818-1, 2.4.3.7)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.pts import TICKS_PER_MS, TICKS_PER_S, WRAP, reduce33, rescale, s_of_ticks, ticks_of_s, unwrap

TIMES = st.integers(-(1 << 40), 1 << 40)


def test_the_counter_has_33_bits_of_90_khz() -> None:
    assert (WRAP, TICKS_PER_S, TICKS_PER_MS) == (8_589_934_592, 90_000, 90)


@pytest.mark.parametrize(
    ("value", "timescale", "ticks"),
    [
        (0, 1, 0),
        (1, 1, 90_000),
        (-1, 1, -90_000),
        (1001, 30_000, 3003),
        (1024, 48_000, 1920),
        (1, 180_000, 1),  # a half goes up
        (-1, 180_000, 0),
        (1, 180_001, 0),
        (1 << 62, 1_000_000, 415_051_741_658_464_911),
    ],
)
def test_rescale(value: int, timescale: int, ticks: int) -> None:
    assert rescale(value, timescale) == ticks


@given(TIMES, st.integers(1, 10_000_000))
def test_rescale_is_within_half_a_tick(value: int, timescale: int) -> None:
    exact = Fraction(value * TICKS_PER_S, timescale)
    assert -Fraction(1, 2) < rescale(value, timescale) - exact <= Fraction(1, 2)


@given(TIMES, TIMES, st.integers(1, 10_000_000))
def test_rescale_keeps_order(first: int, second: int, timescale: int) -> None:
    low, high = sorted((first, second))
    assert rescale(low, timescale) <= rescale(high, timescale)


@pytest.mark.parametrize("timescale", [0, -1])
def test_rescale_refuses_an_absurd_timescale(timescale: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        rescale(1, timescale)


@given(TIMES)
def test_reduce33_is_what_stands_in_the_stream(pts: int) -> None:
    reduced = reduce33(pts)
    assert 0 <= reduced < WRAP
    assert (pts - reduced) % WRAP == 0


@pytest.mark.parametrize(
    ("pts", "near", "unwrapped"),
    [
        (0, WRAP - 1, WRAP),
        (WRAP - 1, WRAP, WRAP - 1),
        (WRAP - 1, 0, -1),
        (5, 5, 5),
        (WRAP // 2, 0, -(WRAP // 2)),  # exactly half the way round: backwards
        (WRAP // 2 - 1, 0, WRAP // 2 - 1),
    ],
)
def test_unwrap(pts: int, near: int, unwrapped: int) -> None:
    assert unwrap(pts, near) == unwrapped


@given(st.integers(0, WRAP - 1), TIMES)
def test_unwrap_is_congruent_and_nearest(pts: int, near: int) -> None:
    unwrapped = unwrap(pts, near)
    assert reduce33(unwrapped) == pts
    assert -WRAP // 2 <= unwrapped - near < WRAP // 2


@given(TIMES, st.integers(-WRAP // 2, WRAP // 2 - 1))
def test_unwrap_finds_any_time_within_thirteen_hours(near: int, step: int) -> None:
    assert unwrap(reduce33(near + step), near) == near + step


@given(st.lists(st.integers(0, 10_000_000), max_size=50), st.integers(0, WRAP - 1))
def test_a_stream_of_steps_is_followed_through_any_number_of_wraps(steps: list[int], start: int) -> None:
    true = followed = start
    for step in steps:
        true += step * 400
        followed = unwrap(reduce33(true), followed)
        assert followed == true


@given(st.integers(-(1 << 44), 1 << 44))
def test_seconds_and_back(ticks: int) -> None:
    assert ticks_of_s(s_of_ticks(ticks)) == ticks


def test_seconds_are_rounded_to_the_nearest_tick() -> None:
    assert ticks_of_s(2.002) == 180_180
    assert ticks_of_s(-0.0000056) == -1
