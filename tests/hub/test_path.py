from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hub import path as path_module
from hub.path import Path
from kernel.pts import TICKS_PER_S
from kernel.timeline import BEGINNING, SegmentKey
from tests.hub.makers import at, timing

if TYPE_CHECKING:
    import pytest

S = TICKS_PER_S


def test_segments_lie_end_to_end_across_timelines() -> None:
    path = Path()
    assert not path
    path.lay(timing(0))
    path.lay(timing(1, timeline=1, start=100))
    assert path
    assert path.reached_at(at(1)) == S
    assert path.reached_at(at(100.5, 1)) == 2 * S + S // 2
    assert path.frontier_at(S) == (0, S + 1)
    assert path.frontier_at(2 * S) == (1, 100 * S + 1)
    assert path.frontier_at(9 * S) == at(102, 1)


def test_before_and_between_what_is_known() -> None:
    path = Path()
    assert path.frontier_at(0) == BEGINNING
    assert path.end_of(SegmentKey(0, 5)) is None
    path.lay(timing(3))
    path.lay(timing(4, start=10))
    assert path.frontier_at(-1) == BEGINNING
    assert path.reached_at(at(0)) == path.begin_x == 0
    # In the gap between 8 s and 10 s: due with the next picture.
    assert path.reached_at(at(9)) == 2 * S
    end = path.end_of(SegmentKey(0, 9))
    assert end is not None
    assert (end.key, end.end_x) == (SegmentKey(0, 4), 4 * S)


@given(st.permutations(range(8)))
def test_the_order_of_becoming_known_does_not_matter(order: list[int]) -> None:
    path = Path()
    for msn in order:
        path.lay(timing(msn))
        path.lay(timing(msn))
    first = path.begin_x
    assert [path.reached_at(at(2 * msn)) - first for msn in range(8)] == [2 * S * msn for msn in range(8)]


def test_what_is_known_keeps_its_place_when_earlier_ones_are_laid() -> None:
    path = Path()
    path.lay(timing(5))
    path.lay(timing(4))
    assert (path.begin_x, path.reached_at(at(10))) == (-2 * S, 0)


def test_a_blank_takes_up_time_until_it_is_timed() -> None:
    path = Path()
    path.lay(timing(0))
    path.lay_blank(SegmentKey(0, 1), 3 * S)
    path.lay_blank(SegmentKey(0, 1), 3 * S)
    path.lay(timing(2))
    assert path.reached_at(at(4)) == 5 * S
    assert path.frontier_at(3 * S) == at(2)
    path.lay(timing(1))
    assert path.reached_at(at(4)) == 4 * S
    assert path.frontier_at(3 * S) == (0, 3 * S + 1)


def test_a_blank_before_all() -> None:
    path = Path()
    path.lay_blank(SegmentKey(0, 1), S)
    assert path.frontier_at(0) == BEGINNING


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_module, "MAX_SPANS", 10)
    path = Path()
    for msn in range(12):
        path.lay(timing(msn))
    assert path.begin_x == 2 * 2 * S
    assert path.reached_at(at(20)) == 20 * S


def test_where_a_player_is_that_shows_a_picture() -> None:
    path = Path()
    assert path.locate(at(0)) is None
    assert path.last_before(5) is None
    path.lay(timing(3))
    path.lay(timing(4, start=10))
    path.lay(timing(5, timeline=1, start=0))

    def place(seconds: float, timeline: int = 0) -> tuple[int, int] | None:
        found = path.locate(at(seconds, timeline))
        return (found[0], found[1].key.msn) if found is not None else None

    assert place(5) is None
    assert place(7) == (S, 3)
    # In the gap, and behind all of a timeline, what lies before is on show to its last tick.
    assert place(9) == (2 * S - 1, 3)
    assert place(10) == (2 * S, 4)
    assert place(50) == (4 * S - 1, 4)
    assert place(1, 1) == (5 * S, 5)
    assert place(50, 1) == place(0, 9) == (6 * S, 5)
    assert [path.find(msn) is not None for msn in (2, 3, 5, 6)] == [False, True, True, False]
    last = path.last_before(99)
    assert last is not None
    assert last.key.msn == 5
