from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.frontier import Edge, LiveClock, VodClock
from hub.path import Path
from hub.playhead import MAX_RATE, Playhead, Report, ReportedClock
from hub.served import Runs
from kernel.pts import TICKS_PER_S, WRAP
from kernel.timeline import BEGINNING, END
from tests.hub.makers import at, on_show, opened, state, timing


class Stage:
    """A player that reports, beside a live stream of two-second segments and what was served of it."""

    def __init__(self, segments: int = 10, *, live: bool = True, lead_ms: int = 0) -> None:
        self.path = Path()
        self.edge = Edge(self.path)
        self.edge.state = state(live=live)
        self.honest = LiveClock(self.edge, self.path)
        self.runs = Runs()
        self.playhead = Playhead()
        self.clock = ReportedClock(
            self.edge, self.path, self.playhead, self.honest, self.runs.until, lead_ms=lead_ms
        )  # fmt: skip
        for msn in range(segments):
            self.open(msn, 0.0)

    def open(self, msn: int, now: float, *, marked: bool = True, timeline: int = 0, start: float | None = None) -> None:
        one = timing(msn, timeline=timeline, start=start)
        if marked:
            self.path.lay(one)
        self.edge.open(opened(msn, now, marked=marked, upto=one.upto), now)
        self.clock.moved(now)

    def report(self, seconds: float, now: float, *, rate: float = 1.0, stalled: bool = False, tl: int = 0) -> None:
        self.playhead.take(Report(at(seconds).pts, rate, stalled, timeline=tl), now)


def test_an_interval_is_measured_within_bounds() -> None:
    playhead = Playhead()
    playhead.take(Report(0, 1.0, timeline=0), 0.0)
    assert playhead.grace_s == 1.5
    for now, grace_s in ((3.0, 4.5), (3.2, 4.5), (3.3, 4.5), (3.4, 4.5), (3.5, 1.5), (20.0, 7.5)):
        playhead.take(Report(0, 1.0, timeline=0), now)
        assert playhead.grace_s == grace_s, now


def test_it_plays_on_for_a_while_and_then_stands_still() -> None:
    playhead = Playhead()
    assert (playhead.played(5.0), playhead.plays(1)) == (0, None)
    playhead.take(Report(0, 1.5, timeline=0), 10.0)
    assert [playhead.played(now) for now in (9.0, 10.0, 11.0, 11.5, 99.0)] == [0, 0, 135_000, 202_500, 202_500]
    assert (playhead.plays(-3), playhead.plays(135_000), playhead.plays(202_501)) == (10.0, 11.0, None)
    for still in (Report(0, 0.0, timeline=0), Report(0, 1.0, stalled=True, timeline=0)):
        playhead.take(still, 20.0)
        assert (playhead.played(21.0), playhead.plays(1), playhead.plays(0)) == (0, None, 20.0)


def test_the_picture_on_show_and_all_before_it() -> None:
    stage = Stage()
    stage.runs.add(0, 9)
    assert stage.clock.frontier(0.0) == BEGINNING
    stage.report(11.0, 1.0)
    assert stage.clock.frontier(1.0) == on_show(11)
    assert stage.clock.frontier(2.0) == on_show(12)
    assert stage.clock.position(2.0) == at(12).pts
    assert stage.clock.passes_at(at(12.25)) == 2.25
    assert stage.clock.passes_at(at(12.75)) is None
    assert stage.clock.frontier(9.0) == on_show(12.5)


def test_a_lead_is_playlist_time() -> None:
    stage = Stage(lead_ms=250)
    stage.open(10, 0.0, timeline=1, start=500.0)
    stage.runs.add(0, 10)
    stage.report(11.0, 0.0)
    assert stage.clock.frontier(0.0) == on_show(11.25)
    assert stage.clock.passes_at(at(12)) == 0.75
    # Across a discontinuity it goes on where the next timeline begins.
    stage.report(19.9, 1.0)
    assert stage.clock.frontier(1.0) == on_show(500.15, 1)


def test_never_beyond_what_was_served_in_one_run() -> None:
    stage = Stage()
    stage.runs.add(2, 3)
    stage.report(5.0, 0.0)
    assert stage.clock.frontier(0.0) == on_show(5)
    stage.report(7.9, 1.0, rate=16)
    assert stage.clock.frontier(2.0) == at(8)
    assert (stage.clock.passes_at(at(7.95)), stage.clock.passes_at(at(8))) == (1.0 + 0.05 / 16, None)
    stage.runs.add(6, 7)
    # Sought into what it has not got: nothing new; into what it has: at once.
    stage.report(9.0, 3.0)
    assert stage.clock.frontier(3.0) == at(8)
    stage.report(13.0, 4.0)
    assert stage.clock.frontier(4.0) == on_show(13)
    # Sought back: what was shown stays shown.
    stage.report(4.5, 5.0)
    assert stage.clock.frontier(5.0) == on_show(13)


def test_a_lie_is_worth_what_was_served_or_what_silence_would_be() -> None:
    stage = Stage()
    stage.report(1e9, 0.0)
    honest = on_show(14)
    assert (stage.clock.frontier(0.0), stage.honest.frontier(0.0)) == (honest, honest)
    assert stage.clock.passes_at(at(15)) == 1.0
    stage.report(1e9, 0.0, tl=7)
    assert stage.clock.frontier(0.0) == honest
    stage.runs.add(0, 7)
    assert stage.clock.frontier(0.0) == at(16)
    assert not stage.clock.waits_for_opening
    # A relay elsewhere may be ahead of what this hub has heard to be open.
    stage.runs.add(8, 12)
    assert stage.clock.frontier(0.0) == at(20)
    stage.path.lay(timing(10))
    assert stage.clock.frontier(0.0) == at(20)
    assert stage.clock.waits_for_opening


def test_without_anything_served_a_report_can_only_delay() -> None:
    stage = Stage()
    stage.report(9.0, 0.0)
    assert stage.clock.frontier(0.0) == on_show(9)
    assert stage.clock.waits_for_opening
    stage.report(13.9, 1.0)
    assert stage.clock.frontier(2.0) == on_show(14.9)
    # Before the first run that is known of: this hub came later than the video.
    stage.runs.add(9, 9)
    stage.report(15.0, 2.0)
    assert stage.clock.frontier(2.0) == on_show(15)
    stage.report(17.0, 2.5)
    assert stage.clock.frontier(2.5) == on_show(16.5)


def test_a_browser_knows_the_segment_and_the_counter() -> None:
    stage = Stage(segments=0)
    start = WRAP / TICKS_PER_S - 1
    stage.open(5, 0.0, timeline=2, start=start)
    stage.runs.add(5, 5)
    # One second and a half into it, behind the wrap.
    stage.playhead.take(Report(at(0.5).pts, 0.0, msn=5), 0.0)
    assert stage.clock.frontier(0.0) == on_show(start + 1.5, 2)
    stage.playhead.take(Report(0, 0.0, msn=6), 0.0)
    assert (stage.clock.position(0.0), stage.clock.passes_at(at(start + 1.9, 2))) == (None, None)
    assert stage.clock.frontier(0.0) == on_show(start + 1.5, 2)
    assert stage.clock.waits_for_opening
    stage.open(6, 0.0, marked=False)
    assert stage.clock.position(0.0) == stage.path.begin_x + 2 * TICKS_PER_S


def test_in_a_gap_the_next_picture_is_not_on_show() -> None:
    stage = Stage(segments=1)
    stage.open(1, 0.0, start=10.0)
    stage.runs.add(0, 1)
    stage.report(5.0, 0.0, rate=0.0)
    assert stage.clock.frontier(0.0) == at(2)
    assert stage.clock.passes_at(at(5)) is None
    stage.report(-5.0, 0.0)
    assert stage.clock.position(0.0) is None


def test_at_the_end_of_an_ended_stream_all_is_due() -> None:
    stage = Stage(lead_ms=1_000)
    stage.edge.state = state(ended=True, last=9)
    stage.runs.add(0, 9)
    stage.report(19.5, 0.0)
    assert stage.clock.frontier(0.0) == at(20)
    assert stage.clock.passes_at(at(999)) == 0.5
    assert stage.clock.frontier(0.5) == END
    # Not for who was never given the last segment.
    other = Stage()
    other.edge.state = state(ended=True, last=9)
    other.runs.add(0, 8)
    other.report(1e6, 0.0)
    assert (other.clock.frontier(9.0), other.clock.passes_at(at(999))) == (at(18), None)


def test_an_on_demand_viewer_has_its_own_honest_player() -> None:
    stage = Stage(live=False)
    stage.clock.honest = VodClock(stage.edge, stage.path, 0.0)
    stage.report(15.0, 3.0)
    assert stage.clock.frontier(3.0) == on_show(3)
    stage.runs.add(0, 9)
    assert stage.clock.frontier(3.0) == on_show(15)


claims = st.builds(
    Report,
    pts=st.integers(-(1 << 62), 1 << 62) | st.integers(0, 30 * TICKS_PER_S),
    rate=st.floats(0, MAX_RATE),
    stalled=st.booleans(),
    timeline=st.integers(0, 3),
) | st.builds(Report, pts=st.integers(0, WRAP), rate=st.floats(0, MAX_RATE), msn=st.integers(0, 15))
steps = st.lists(
    st.tuples(st.sampled_from(["open", "serve", "lost"]), st.integers(0, 14), st.floats(0, 3))
    | st.tuples(st.just("report"), claims, st.floats(0, 3)),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(steps, st.integers(0, 1_000))
def test_whatever_a_client_claims(script: list[tuple[str, object, float]], lead_ms: int) -> None:
    """I1: never beyond what is open; beyond what silence would give only within what was served; never back."""
    stage, now, msn, reached = Stage(segments=1, lead_ms=lead_ms), 0.0, 1, BEGINNING
    served, silent, limits = set[int](), BEGINNING, [BEGINNING]
    for what, argument, wait_s in script:
        now += wait_s
        if what in ("open", "lost"):
            stage.open(msn, now, marked=what == "open")
            msn += 1
        elif what == "serve":
            assert isinstance(argument, int)
            if argument < msn:
                stage.runs.add(argument, argument)
                served.add(argument)
        else:
            assert isinstance(argument, Report)
            stage.playhead.take(argument, now)
        for moment in (now, now + 0.4):
            silent = max(silent, stage.honest.frontier(moment))
            limits += [timing(one).upto for one in served]
            frontier = stage.clock.frontier(moment)
            assert reached <= frontier <= stage.edge.upto
            assert frontier <= max(silent, *limits)
            reached = frontier
            # A deadline that has come is a picture that has been passed.
            for due in (at(1), at(7.3), at(20)):
                instant = stage.clock.passes_at(due)
                if instant is not None and instant <= moment:
                    assert frontier > due
        now += 0.4
