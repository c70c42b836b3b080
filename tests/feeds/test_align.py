from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.align import TimedSegment, TimelineMap
from kernel.pts import TICKS_PER_S, Ticks
from kernel.timeline import MediaTime
from tests.support.playlists import timing

FRAME = 3600  # 25 fps
T0 = 1_800_000_000.0


def segment(msn: int, *, wall: float | None = None, timeline: int = 0, start_s: float | None = None) -> TimedSegment:
    told = timing(msn, f"{msn}.ts", timeline=timeline, start_s=start_s, wall=T0 + 2 * msn if wall is None else wall)
    return TimedSegment(told, tuple(Ticks(told.start + FRAME * index) for index in range(50)))


def exact_map(*segments: TimedSegment) -> TimelineMap:
    map_ = TimelineMap()
    for item in segments:
        map_.add(item)
    return map_


def test_a_fact_stands_at_the_nearest_frame() -> None:
    placed = exact_map(segment(0), segment(1)).place(T0 + 2.49, 0.0)
    assert placed is not None
    # 2.49 s is nearer to 2.48 than to 2.52.
    assert placed.at == MediaTime(0, Ticks(round(2.48 * TICKS_PER_S)))
    assert placed.due == placed.at
    assert (placed.msn, placed.off, placed.sigma_ms) == (1, 12 * FRAME, 0)
    assert placed.wall == pytest.approx(T0 + 2.48)


def test_uncertainty_delays_the_due_to_a_later_frame() -> None:
    placed = exact_map(segment(0)).place(T0 + 1.0, 0.3)
    assert placed is not None
    assert placed.at.pts == 90_000
    assert placed.due.pts == 90_000 + 8 * FRAME  # 0.3 s is 7.5 frames
    assert placed.sigma_ms == 300


def test_an_uncertain_fact_at_the_end_is_due_beyond_the_segment() -> None:
    placed = exact_map(segment(0)).place(T0 + 1.96, 0.01)
    assert placed is not None
    assert placed.due.pts == 180_000
    far = exact_map(segment(0)).place(T0 + 1.96, 1.0)
    assert far is not None
    assert far.due.pts == round(1.96 * TICKS_PER_S) + TICKS_PER_S


def test_the_sigma_of_the_alignment_adds_to_the_facts() -> None:
    told = timing(0, "0.ts", wall=T0)
    blurred = type(told)(**{**{name: getattr(told, name) for name in told.__slots__}, "sigma_ms": 40.0})
    map_ = exact_map(TimedSegment(blurred, ()))
    placed = map_.place(T0 + 1, 0.03)
    assert placed is not None
    assert placed.sigma_ms == 50


def test_a_fact_waits_for_its_segment() -> None:
    map_ = exact_map(segment(0))
    assert map_.place(T0 + 2.0, 0.0) is None
    map_.add(segment(1))
    placed = map_.place(T0 + 2.0, 0.0)
    assert placed is not None
    assert placed.at == MediaTime(0, Ticks(180_000))


def test_an_older_fact_waits_until_nothing_older_is_to_come() -> None:
    map_ = exact_map(segment(5))
    assert map_.place(T0 + 9, 0.0) is None
    map_.add(segment(4))
    placed = map_.place(T0 + 9, 0.0)
    assert placed is not None
    assert placed.msn == 4
    map_.complete_below = True
    first = map_.place(T0, 0.5)
    assert first is not None
    assert (first.at, first.due) == (first.at, first.at)
    assert first.msn == 4


def test_a_fact_in_a_gap_belongs_to_the_next_picture() -> None:
    map_ = exact_map(segment(0), segment(3, timeline=1, start_s=0.0))
    placed = map_.place(T0 + 4, 0.3)
    assert placed is not None
    assert placed.at == placed.due == MediaTime(1, Ticks(0))
    assert placed.wall == T0 + 6


def undated(msn: int) -> TimedSegment:
    return TimedSegment(timing(msn, f"{msn}.ts"), (Ticks(msn * 180_000),))


def test_a_picture_of_unknown_utc_is_passed_over() -> None:
    """A start-up without dates: what was listed before we came has no UTC, and never gets one."""
    map_ = exact_map(undated(0), undated(1))
    map_.complete_below = True
    assert map_.place(T0 + 1.0, 0.0) is None
    map_.add(segment(2))
    placed = map_.place(T0 + 1.0, 0.0)
    assert placed is not None
    assert placed.at == MediaTime(0, Ticks(360_000))


def test_between_two_pictures_of_known_utc_the_later_one_counts() -> None:
    # At the start of 1 it would stand before its time.
    placed = exact_map(segment(0), undated(1), segment(2)).place(T0 + 3.5, 0.0)
    assert placed is not None
    assert placed.at == MediaTime(0, Ticks(360_000))
    assert exact_map(segment(0), undated(1)).place(T0 + 3.5, 0.0) is None


def test_what_is_left_at_the_end_belongs_to_the_end() -> None:
    map_ = exact_map(segment(0))
    map_.ended = True
    placed = map_.place(T0 + 99, 0.3)
    assert placed is not None
    assert placed.at.pts == 49 * FRAME


def test_the_newest_picture_counts_where_dates_repeat() -> None:
    # The origin began anew and its dates with it.
    map_ = exact_map(segment(0), segment(1), segment(2, wall=T0, timeline=1, start_s=0.0))
    placed = map_.place(T0 + 1, 0.0)
    assert placed is not None
    assert placed.at.timeline == 1


def test_without_any_utc_a_fact_waits_for_the_end() -> None:
    told = timing(0, "0.ts", wall=None)
    map_ = exact_map(TimedSegment(told, ()))
    map_.complete_below = True
    assert map_.place(T0, 0.0) is None
    map_.ended = True
    assert map_.place(T0, 0.0) is not None


def test_an_empty_map_places_nothing() -> None:
    map_ = TimelineMap()
    assert map_.newest is None
    map_.complete_below = map_.ended = True
    assert map_.place(T0, 0.0) is None


def test_only_a_live_stream_knows_an_absurd_clock() -> None:
    map_ = TimelineMap()
    assert map_.is_absurd(T0 - 90_000, T0, live=True)
    assert not map_.is_absurd(T0 - 80_000, T0, live=True)
    assert not map_.is_absurd(0.0, T0, live=False)


def test_it_forgets_the_oldest() -> None:
    map_ = exact_map(*(segment(msn) for msn in range(10)))
    map_.trim(4)
    assert len(map_) == 4
    assert map_.newest is not None
    assert map_.newest.timing.msn == 9
    map_.complete_below = True
    placed = map_.place(T0, 0.0)
    assert placed is not None
    assert placed.msn == 6


@given(st.floats(0, 9.99), st.floats(0, 2))
def test_due_never_lies_before_the_picture(offset_s: float, sigma_s: float) -> None:
    map_ = exact_map(*(segment(msn) for msn in range(5)))
    placed = map_.place(T0 + offset_s, sigma_s)
    assert placed is not None
    assert placed.due >= placed.at
    assert abs(placed.at.pts / TICKS_PER_S - offset_s) <= 0.04 + 1e-6
