from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hub.frontier import Edge, EdgeClock, LiveClock, TrailingClock, VodClock
from hub.path import Path
from kernel.timeline import BEGINNING, END, MediaTime
from tests.hub.makers import at, opened, state, timing


class Stage:
    """A path, its edge and a clock that is told of every change."""

    def __init__(self, *, live: bool = True, known: bool = True) -> None:
        self.path = Path()
        self.edge = Edge(self.path)
        if known:
            self.edge.state = state(live=live)
        self.clock = LiveClock(self.edge, self.path)

    def open(self, msn: int, now: float, *, marked: bool = True) -> None:
        if marked:
            self.path.lay(timing(msn))
        self.edge.open(opened(msn, now, marked=marked), now)
        self.clock.moved(now)


def shown(frontier: MediaTime) -> float:
    """Return which picture is on show at a frontier, in seconds."""
    return round((frontier.pts - 1) / 90_000, 3)


def test_the_edge_never_goes_back() -> None:
    stage = Stage()
    clock = EdgeClock(stage.edge)
    assert (clock.frontier(0), stage.edge.sync, stage.edge.end_x) == (BEGINNING, "waiting", None)
    assert stage.edge.open(opened(3, 0), 0)
    assert clock.frontier(0) == at(8)
    assert not stage.edge.open(opened(2, 1), 1)
    clock.moved(1)
    assert (clock.frontier(1), clock.passes_at(at(9))) == (at(8), None)


def test_lost_until_a_marked_segment_opens() -> None:
    stage = Stage()
    stage.open(0, 0)
    stage.open(1, 2, marked=False)
    assert (stage.edge.sync, stage.edge.upto) == ("lost", at(2))
    stage.open(2, 4)
    assert (stage.edge.sync, stage.edge.upto) == ("ok", at(6))


def test_at_the_end_all_is_due() -> None:
    stage = Stage()
    stage.edge.state = state(ended=True, last=1)
    clock = EdgeClock(stage.edge)
    stage.open(0, 0)
    assert clock.frontier(0) == at(2)
    stage.open(1, 2)
    assert clock.frontier(2) == END
    stage.edge.state = state(ended=True)
    assert stage.edge.ended


def test_when_a_live_stream_counts_as_stalled() -> None:
    stage = Stage()
    assert stage.edge.stalls_at() is None
    stage.open(0, 10)
    stage.edge.open(opened(0, 12), 12)
    assert stage.edge.stalls_at() == 14
    stage.edge.state = state(live=False)
    assert stage.edge.stalls_at() is None


def test_an_honest_player_is_held_back_three_target_durations() -> None:
    stage = Stage()
    for msn in range(6):
        stage.open(msn, 100)
    assert shown(stage.clock.frontier(100)) == 6
    assert shown(stage.clock.frontier(101.5)) == 7.5
    assert stage.clock.passes_at(at(7.5)) == 101.5
    # Not opened yet, so no time can be told.
    assert stage.clock.passes_at(at(12)) is None


def test_it_plays_its_buffer_through_a_stall_then_stands_and_goes_on() -> None:
    stage = Stage()
    for msn in range(6):
        stage.open(msn, 0)
    assert stage.clock.frontier(100) == at(12)
    stage.open(6, 100)
    assert shown(stage.clock.frontier(100)) == 12
    assert shown(stage.clock.frontier(101)) == 13


def test_a_late_opening_does_not_move_it() -> None:
    stage = Stage()
    for msn in range(6):
        stage.open(msn, 0)
    stage.open(6, 3.9)
    assert shown(stage.clock.frontier(4)) == 10


def test_far_behind_it_goes_to_the_live_position() -> None:
    stage = Stage()
    for msn in range(6):
        stage.open(msn, 0)
    for msn in range(6, 12):
        stage.open(msn, 5)
    # At 24 s the live position is 18 s; 11 s is 7 s behind it, out of the window.
    assert shown(stage.clock.frontier(5)) == 18


def test_across_a_discontinuity_in_playlist_time() -> None:
    stage = Stage()
    for msn in range(3):
        stage.open(msn, 0)
    stage.path.lay(timing(3, timeline=1, start=500))
    stage.edge.open(opened(3, 2, upto=at(502, 1)), 2)
    stage.clock.moved(0)
    assert stage.clock.frontier(6) == (1, 500 * 90_000 + 1)
    assert stage.clock.passes_at(at(501, 1)) == 7


def test_an_untimed_segment_takes_up_its_time() -> None:
    stage = Stage()
    for msn in range(3):
        stage.open(msn, 0)
    stage.open(3, 2, marked=False)
    stage.open(4, 4)
    assert stage.clock.frontier(7) == at(6)
    assert shown(stage.clock.frontier(8.5)) == 8.5


def test_it_has_not_begun_before_the_stream_is_known() -> None:
    stage = Stage(known=False)
    stage.open(5, 0)
    assert (stage.clock.frontier(1), stage.clock.passes_at(at(1)), stage.clock.position(1)) == (BEGINNING, None, None)
    stage.edge.state = state(live=False)
    stage.clock.moved(0)
    assert stage.clock.frontier(1) == BEGINNING
    stage.edge.state = state()
    stage.clock.moved(0)
    stage.path.lay(timing(2))
    assert stage.clock.frontier(1) == BEGINNING


def test_what_the_relay_opened_bounds_it_whatever_the_timing_says() -> None:
    stage = Stage()
    stage.path.lay(timing(0))
    stage.edge.open(opened(0, 0, upto=at(1.5)), 0)
    stage.clock.moved(0)
    assert stage.clock.frontier(60) == at(1.5)


def test_a_segment_that_turns_out_longer_does_not_take_it_back() -> None:
    stage = Stage()
    for msn in range(3):
        stage.open(msn, 0)
    stage.open(3, 2, marked=False)
    for msn in range(4, 7):
        stage.open(msn, 2.1)
    before = stage.clock.frontier(9)
    assert shown(before) == 9
    stage.path.lay(replace(timing(3), start=at(5).pts))
    assert stage.clock._mapped(9) < before
    assert stage.clock.frontier(9) == before


def test_live_viewers_reach_the_end_with_their_playhead() -> None:
    stage = Stage()
    for msn in range(6):
        stage.open(msn, 0)
    stage.edge.state = state(ended=True, last=5)
    assert stage.clock.frontier(5.9) < at(12)
    assert stage.clock.passes_at(at(99)) == 6
    assert stage.clock.frontier(6) == END


def test_a_vod_plays_from_its_first_segment() -> None:
    stage = Stage(live=False)
    stage.edge.state = state(live=False, ended=True, last=2)
    stage.edge.state = state(live=False, ended=True, begun=False, last=2)
    waiting = VodClock(stage.edge, stage.path, 10)
    assert waiting.frontier(11) == BEGINNING
    stage.open(2, 20)
    waiting.moved(20)
    # The newest is timed first; until the first segment is known nothing is shown.
    assert waiting.frontier(25) == BEGINNING
    stage.path.lay(timing(1))
    stage.path.lay(timing(0))
    stage.edge.state = state(live=False, ended=True, begun=True, last=2)
    waiting.moved(30)
    assert shown(waiting.frontier(31)) == 1
    late = VodClock(stage.edge, stage.path, 100)
    assert shown(late.frontier(100.5)) == 0.5
    assert late.passes_at(at(3)) == 103
    assert late.frontier(106) == END
    assert late.passes_at(at(7)) == 106


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 5), st.booleans()), min_size=1, max_size=12),
    st.lists(st.floats(0, 2), min_size=1, max_size=5),
    st.floats(0, 40),
)
def test_never_back_never_beyond_the_opened_and_exact_at_its_deadlines(
    openings: list[tuple[int, float, bool]], steps: list[float], target: float
) -> None:
    stage, now, msn, last = Stage(), 0.0, 0, BEGINNING
    for skip, wait, marked in openings:
        now, msn = now + wait, msn + skip
        stage.open(msn, now, marked=marked)
        for step in steps:
            now += step
            frontier = stage.clock.frontier(now)
            assert last <= frontier <= stage.edge.upto
            last = frontier
        due = at(target)
        instant = stage.clock.passes_at(due)
        if instant is not None and instant > now and last <= due:
            assert VodLike(stage).at(instant - 0.001) <= due < VodLike(stage).at(instant + 1e-6)


class VodLike:
    """The frontier of a stage without its memory, so that looking ahead moves nothing."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def at(self, now: float) -> MediaTime:
        return self.stage.clock._mapped(now)


def test_late_comers_are_based_behind_the_honest_player() -> None:
    stage = Stage()
    trail = TrailingClock(stage.clock, stage.edge, stage.path)
    assert trail.frontier(0) == BEGINNING
    for msn in range(10):
        stage.open(msn, 0)
    trail.moved(0)
    assert (shown(stage.clock.frontier(0)), shown(trail.frontier(0))) == (14, 6)
    assert shown(trail.frontier(1)) == 7
    assert trail.passes_at(at(8)) is None
    assert trail.frontier(0) == trail.frontier(1)
