from __future__ import annotations

import pytest

from feeds.skew import Skews
from feeds.steady_wall import SteadyWall

T0 = 1_800_000_000.0
HOUR = 3_600.0


class Clocks:
    """A wall clock and a steady one, each set by hand."""

    def __init__(self) -> None:
        self.wall = T0
        self.now = 50.0
        self.steady = SteadyWall(lambda: self.wall, lambda: self.now)

    def pass_(self, seconds: float, *, wall: float | None = None) -> float:
        self.now += seconds
        self.wall += seconds if wall is None else wall
        return self.steady()


def test_small_steps_are_followed() -> None:
    clocks = Clocks()
    for step in (0.0, 0.4, -0.9, 1.0):
        assert clocks.pass_(10.0, wall=10.0 + step) == clocks.wall
    assert clocks.steady.take_news() == []


@pytest.mark.parametrize("step", [HOUR, -HOUR, 5.0])
def test_a_step_is_held_back_and_said_once(step: float) -> None:
    clocks = Clocks()
    assert clocks.pass_(10.0, wall=10.0 + step) == T0 + 10.0
    assert clocks.pass_(10.0) == T0 + 20.0
    assert clocks.steady.take_news() == [step]
    assert clocks.steady.take_news() == []
    assert clocks.steady.shift_s == step
    # Slewing goes on beneath it.
    assert clocks.pass_(10.0, wall=10.2) == pytest.approx(T0 + 30.2)
    # Set back, not quite to where it was: that is taken.
    assert clocks.pass_(10.0, wall=10.0 - step + 0.3) == clocks.wall
    assert clocks.steady.shift_s == 0.0


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_pictures_that_go_on_as_before_keep_the_step_out(step: float) -> None:
    clocks = Clocks()
    for late_s in (2.0, 2.4, 1.8):
        clocks.steady.judge("game", late_s)
    clocks.pass_(10.0, wall=10.0 + step)
    # By our time, which has not stepped, they are as late as ever, or stall.
    for late_s in (2.1, 9.0, 2.2):
        clocks.steady.judge("game", late_s)
    assert clocks.pass_(10.0) == T0 + 20.0
    assert clocks.steady.taken == 0


def test_pictures_that_agree_with_the_step_let_it_in() -> None:
    clocks = Clocks()
    clocks.steady.judge("game", 2.0)
    clocks.steady.judge("other", 4.0)
    # Ten minutes of sleep, of which the steady clock knows nothing: the origin's dates have gone on.
    assert clocks.pass_(0.0, wall=600.0) == T0
    clocks.steady.judge("game", 2.5 - 600.0)
    assert clocks.pass_(1.0) == T0 + 601.0
    # The other stream finds it settled.
    clocks.steady.judge("other", 4.1)
    assert clocks.steady.taken == 1


def test_a_stream_that_begins_during_a_step_decides_nothing() -> None:
    clocks = Clocks()
    clocks.pass_(1.0, wall=1.0 + HOUR)
    clocks.steady.judge("game", 2.0)
    clocks.steady.judge("game", 2.1)
    assert clocks.steady.shift_s == HOUR


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_vendors_clock_is_not_judged_by_a_step_of_ours(step: float) -> None:
    clocks, skews = Clocks(), Skews()
    for _ in range(20):
        said = clocks.now - 50.0 + T0
        skews.observe("desk", said, clocks.steady() + 0.5)
        clocks.pass_(1.0)
    clocks.pass_(0.0, wall=step)
    for _ in range(80):
        said = clocks.now - 50.0 + T0
        skews.observe("desk", said, clocks.steady() + 0.5)
        assert skews.correct("desk", said) == said
        clocks.pass_(1.0)
