"""Bus time read through a network that is slow, lopsided and gone, from clocks that drift and jump."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.bus_clock import DRIFT, READINGS, READY_BOUND_S, SLEW, BusClock


def test_before_the_first_reading_nothing_is_known() -> None:
    clock = BusClock()
    assert not clock.is_set
    assert clock.bound(1.0) == float("inf")
    assert clock.step(0.0, 0.1, 500.0) is None


def test_a_reading_is_taken_to_be_the_middle_and_wrong_by_half_the_way() -> None:
    clock = BusClock()
    clock.observe(10.0, 10.02, 1_000.0)
    assert clock.is_set
    assert clock.now(10.02) == pytest.approx(1_000.01)
    assert clock.bound(10.02) == pytest.approx(0.01)
    assert clock.now(11.02) == pytest.approx(1_001.01)


def test_the_quickest_reading_counts() -> None:
    clock = BusClock()
    clock.observe(0.0, 0.002, 100.001)
    for second in range(1, 5):
        # A queue on the way back: half a second late, and the middle is off by a quarter.
        clock.observe(second, second + 0.5, 100.001 + second)
    assert clock.now(5.0) == pytest.approx(105.0, abs=0.001)
    assert clock.bound(5.0) < 0.01


def test_out_of_touch_the_bound_grows_until_the_node_is_not_ready() -> None:
    clock = BusClock()
    clock.observe(0.0, 0.002, 100.001)
    assert clock.bound(1.0) < READY_BOUND_S
    assert clock.bound(READY_BOUND_S / DRIFT) > READY_BOUND_S


def test_a_correction_runs_and_never_steps() -> None:
    clock = BusClock()
    clock.observe(0.0, 0.4, 100.4)
    before = clock.now(0.4)
    # The quick reading says that we are 0.2 s ahead.
    clock.observe(0.5, 0.502, 100.501)
    times = [clock.now(0.502 + step / 10) for step in range(60)]
    assert times[0] >= before
    assert all(0.1 * (1 - SLEW) - 1e-9 <= b - a <= 0.1 * (1 + SLEW) + 1e-9 for a, b in pairwise(times))
    assert times[-1] == pytest.approx(0.502 + 5.9 + 100, abs=0.001)


@pytest.mark.parametrize("jump_s", [3_600.0, -3_600.0, 2.0])
def test_a_jump_of_the_other_clock_is_told(jump_s: float) -> None:
    clock = BusClock()
    clock.observe(0.0, 0.01, 100.0)
    assert clock.step(1.0, 1.01, 101.0) is None
    assert clock.step(1.0, 1.01, 101.0 + jump_s) == pytest.approx(jump_s)


def test_a_jump_that_all_nodes_follow_goes_forward_at_once_and_never_back() -> None:
    clock = BusClock()
    clock.observe(0.0, 0.0, 100.0)
    clock.observe(1.0, 1.0, 200.0)
    assert clock.now(1.0) == 200.0
    clock.observe(2.0, 2.0, 150.0)
    assert clock.now(2.0) == 200.0
    assert clock.bound(2.0) > READY_BOUND_S
    assert clock.now(60.0) == pytest.approx(208.0)


def test_only_the_last_readings_are_kept() -> None:
    clock = BusClock()
    clock.observe(0.0, 0.0, 100.0)
    for second in range(1, READINGS + 1):
        clock.observe(second, second + 0.1, 100.05 + second + 0.3)
    # Slewed all the way: the perfect reading of long ago says nothing about a clock that has since been corrected.
    assert clock.now(30.0) == pytest.approx(130.3, abs=0.001)


@given(
    st.lists(
        st.tuples(st.floats(0.001, 3.0), st.floats(0.0, 0.4), st.floats(0.0, 1.0), st.floats(-2.0, 2.0)), max_size=40
    )
)
def test_time_never_goes_back_and_the_bound_holds_while_the_other_clock_is_steady(
    steps: list[tuple[float, float, float, float]],
) -> None:
    clock, local, last = BusClock(), 0.0, float("-inf")
    for wait_s, way_s, share, _ in steps:
        sent = local + wait_s
        local = sent + way_s
        clock.observe(sent, local, sent + way_s * share + 1_000)
        assert abs(clock.now(local) - (local + 1_000)) <= clock.bound(local) + 1e-9
    for wait_s, way_s, share, jump_s in steps:
        sent = local + wait_s
        local = sent + way_s
        clock.observe(sent, local, sent + way_s * share + 1_000 + jump_s)
        assert clock.now(local) >= last
        last = clock.now(local)
