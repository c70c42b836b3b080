from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.utc import MAX_ANCHORS, MAX_TIMELINES, UtcModel, Wall
from kernel.pts import Ticks

T0 = 1_700_000_000.684
SEGMENT = 180_000


def model(dates: list[float | None], *, delay_ms: int = 0, timeline: int = 0) -> UtcModel:
    utc = UtcModel(program_delay_ms=delay_ms)
    for index, pdt in enumerate(dates):
        observe(utc, index, pdt, timeline=timeline)
    return utc


def observe(utc: UtcModel, index: int, pdt: float | None, *, arrival: float | None = None, timeline: int = 0) -> None:
    utc.observe(timeline, Ticks(index * SEGMENT), Ticks((index + 1) * SEGMENT), pdt=pdt, arrival=arrival)


def wall_at(utc: UtcModel, pts: int, timeline: int = 0) -> float:
    found = utc.wall_at(timeline, pts)
    assert found is not None
    return found.wall


def test_nothing_is_known_without_date_and_arrival() -> None:
    utc = model([None])
    assert utc.wall_at(0, 0) is None
    assert utc.pts_at(0, T0) is None
    assert utc.wall_at(1, 0) is None
    assert utc.pts_at(1, T0) is None


def test_a_date_answers_exactly_for_its_segment_and_at_rate_one_around_it() -> None:
    utc = model([None, T0, None])
    assert utc.wall_at(0, SEGMENT) == Wall(T0, 0.289, "pdt")
    assert wall_at(utc, SEGMENT + 90_000) == T0 + 1
    assert wall_at(utc, 0) == T0 - 2
    assert wall_at(utc, 10 * SEGMENT) == T0 + 18


def test_each_segments_own_date_answers_for_it() -> None:
    utc = model([T0, T0 + 2.013, T0 + 3.991])
    assert [wall_at(utc, index * SEGMENT) for index in range(3)] == [T0, T0 + 2.013, T0 + 3.991]


def test_sigma_is_the_spread_of_the_dates_and_their_millisecond() -> None:
    spread = model([T0 + 2 * index + (0.010 if index % 2 else -0.010) for index in range(20)])
    found = spread.wall_at(0, 0)
    assert found is not None
    assert found.sigma_ms == pytest.approx((10**2 + 1 / 12) ** 0.5, abs=0.001)


def test_a_gap_in_the_picture_is_due_at_the_next_picture() -> None:
    utc = model([T0, T0 + 12])
    assert utc.pts_at(0, T0 + 1) == 90_000
    assert utc.pts_at(0, T0 + 7) == SEGMENT
    assert utc.pts_at(0, T0 + 13) == SEGMENT + 90_000
    assert utc.pts_at(0, T0 - 1) == -90_000


def test_a_date_that_comes_early_does_not_turn_time_back() -> None:
    # The next date lies 0.5 s before where rate 1 would be: the rate is raised, the dates stay exact.
    utc = model([T0, T0 + 1.5])
    walls = [wall_at(utc, pts) for pts in (0, SEGMENT // 2, SEGMENT - 1, SEGMENT)]
    assert walls == sorted(set(walls))
    assert walls[1] == pytest.approx(T0 + 0.75)
    assert utc.pts_at(0, T0 + 0.75) == SEGMENT // 2


@pytest.mark.parametrize("wrong", [T0, T0 - 3600, T0 + 0.9])
def test_a_frozen_or_stepped_back_date_is_not_used_but_widens_sigma(wrong: float) -> None:
    utc = model([T0, wrong])
    assert wall_at(utc, SEGMENT) == T0 + 2
    found = utc.wall_at(0, 0)
    assert found is not None
    assert found.sigma_ms > 500


def test_start_up_learns_newest_first() -> None:
    utc = UtcModel()
    for index in (2, 1, 0):
        observe(utc, index, T0 + 2 * index)
    assert [wall_at(utc, index * SEGMENT) for index in range(3)] == [T0, T0 + 2, T0 + 4]
    # An older date that would overtake a newer one is not used.
    utc.observe(0, Ticks(-SEGMENT), Ticks(0), pdt=T0 + 1, arrival=None)
    assert wall_at(utc, -SEGMENT) == T0 - 2


def test_a_second_date_for_a_segment_does_not_change_the_published_one() -> None:
    utc = model([T0])
    observe(utc, 0, T0 + 0.5)
    assert utc.wall_at(0, 0) == Wall(T0, 0.289, "pdt")


def test_timelines_are_apart() -> None:
    utc = model([T0])
    observe(utc, 0, T0 + 100, timeline=1)
    assert (wall_at(utc, 0), wall_at(utc, 0, timeline=1)) == (T0, T0 + 100)


def test_the_programme_delay_is_subtracted() -> None:
    utc = model([T0], delay_ms=4500)
    assert wall_at(utc, 0) == pytest.approx(T0 - 4.5, abs=1e-6)
    assert utc.pts_at(0, T0) == 405_000
    arriving = UtcModel(program_delay_ms=4500)
    observe(arriving, 0, None, arrival=T0)
    assert wall_at(arriving, SEGMENT) == pytest.approx(T0 - 4.5, abs=1e-6)


def test_without_dates_the_quickest_arrival_tells() -> None:
    utc = UtcModel()
    for index, late_s in enumerate([9.0, 0.5, 0.3, 0.7]):
        observe(utc, index, None, arrival=T0 + 2 * (index + 1) + late_s)
    found = utc.wall_at(0, 0)
    assert found is not None
    assert found.method == "arrival"
    assert found.wall == pytest.approx(T0 + 0.3, abs=1e-6)
    assert found.sigma_ms == pytest.approx(2000 / 12**0.5, abs=0.001)
    assert utc.pts_at(0, T0 + 1.3) == 90_000


def test_a_date_goes_before_arrivals() -> None:
    utc = UtcModel()
    observe(utc, 0, None, arrival=T0 + 9)
    observe(utc, 1, T0 + 2, arrival=T0 + 11)
    assert utc.wall_at(0, 0) == Wall(T0, 0.289, "pdt")


def test_what_is_no_number_is_not_learnt() -> None:
    utc = UtcModel()
    observe(utc, 0, float("nan"), arrival=float("inf"))
    assert utc.wall_at(0, 0) is None


def test_memory_is_bounded() -> None:
    utc = UtcModel()
    for index in range(MAX_ANCHORS + 2):
        observe(utc, index, T0 + 2 * index + (0.2 if index == 0 else 0))
    assert wall_at(utc, 0) == T0  # its own date is forgotten: from the oldest that is left
    for timeline in range(1, MAX_TIMELINES + 1):
        observe(utc, 0, T0, timeline=timeline)
    assert utc.wall_at(0, 0) is None
    assert utc.wall_at(1, 0) is not None


@given(
    steps_ms=st.lists(st.integers(-5000, 9000), min_size=1, max_size=20),
    asked=st.lists(st.integers(-SEGMENT, 25 * SEGMENT), min_size=2, max_size=20, unique=True),
    delay_ms=st.integers(0, 60_000),
)
def test_wall_time_rises_strictly_and_has_an_inverse(steps_ms: list[int], asked: list[int], delay_ms: int) -> None:
    """Invariant I16, whatever the dates say."""
    at, dates = T0, []
    for step in steps_ms:
        dates.append(at)
        at += step / 1000
    utc = model(list(dates), delay_ms=delay_ms)
    points = sorted({*asked, *(pts + 1 for pts in asked)})
    walls = [wall_at(utc, pts) for pts in points]
    assert all(earlier < later for earlier, later in pairwise(walls))
    assert [utc.pts_at(0, wall) for wall in walls] == points
