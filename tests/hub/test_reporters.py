from __future__ import annotations

from hub.frontier import Edge, LiveClock
from hub.path import Path
from hub.playhead import Playhead, Report, ReportedClock
from hub.reporters import Reporters
from hub.settings import HubSettings
from hub.subscriber import Subscriber
from kernel.marks import Served
from tests.hub.makers import STREAM, at, claims, on_show, opened, state, timing


class Stage:
    """A live stream with some of those who watch it."""

    def __init__(self, segments: int = 10) -> None:
        self.path = Path()
        self.edge = Edge(self.path)
        self.edge.state = state()
        self.reporters = Reporters(self.edge, self.path, 20.0)
        self.honest = LiveClock(self.edge, self.path)
        for msn in range(segments):
            self.open(msn)

    def open(self, msn: int) -> None:
        self.path.lay(timing(msn))
        self.edge.open(opened(msn, 0.0), 0.0)

    def viewer(self, number: int, seconds: float, *sessions: str) -> tuple[Subscriber, ReportedClock]:
        one = Subscriber(number, STREAM, HubSettings(), 0.0)
        for session in sessions:
            one.admit(claims(session=session), may_wager=True)
        one.playhead = Playhead()
        one.playhead.take(Report(at(seconds).pts, 0.0, timeline=0), 0.0)
        return one, self.reporters.clock(one, self.honest)


def test_what_is_served_reaches_those_of_the_session() -> None:
    stage = Stage()
    ann, clock = stage.viewer(1, 5.0, "a")
    bob, _ = stage.viewer(2, 5.0, "b")
    also_ann, _ = stage.viewer(3, 5.0, "a")
    assert stage.reporters.serve(Served(STREAM, "a", 0, 3), 0.0) == [ann, also_ann]
    assert clock.frontier(0.0) == on_show(5)
    stage.reporters.dismiss(ann)
    stage.reporters.dismiss(ann)
    assert stage.reporters.serve(Served(STREAM, "a", 4, 4), 0.0) == [also_ann]
    assert stage.reporters.serve(Served(STREAM, "b", 4, 4), 0.0) == [bob]
    assert stage.reporters.serve(Served(STREAM, "c", 4, 4), 0.0) == []
    assert len(stage.reporters) == 2


def test_a_clock_that_was_left_hands_over_how_far_it_had_come() -> None:
    stage = Stage()
    one, left = stage.viewer(1, 5.0, "a")
    stage.reporters.serve(Served(STREAM, "a", 0, 3), 0.0)
    assert left.frontier(0.0) == on_show(5)
    assert one.playhead is not None
    one.playhead.take(Report(at(1).pts, 0.0, timeline=0), 1.0)
    stage.reporters.dismiss(one)
    clock = stage.reporters.clock(one, left)
    assert clock.honest is stage.honest
    assert clock.frontier(1.0) == on_show(5)
    assert stage.reporters.clock(one, left, at(7)).frontier(1.0) == at(7)
    assert stage.reporters.clock(one, stage.honest).frontier(1.0) == on_show(1)


def test_video_may_come_before_the_socket_and_in_an_older_session() -> None:
    stage = Stage()
    stage.reporters.serve(Served(STREAM, "old", 0, 1), 0.0)
    one, clock = stage.viewer(1, 99.0, "old")
    assert clock.frontier(0.0) == at(4)
    one.admit(claims(session="new"), may_wager=True)
    stage.reporters.renew(one)
    stage.reporters.touch(one, 1.0)
    for session, msn in (("old", 2), ("new", 3)):
        assert stage.reporters.serve(Served(STREAM, session, msn, msn), 1.0) == [one]
    assert clock.frontier(1.0) == at(8)
    for number in range(9):
        one.admit(claims(session=f"t{number}"), may_wager=True)
        stage.reporters.renew(one)
    stage.reporters.dismiss(one)
    assert stage.reporters._by_session == {}


def test_who_is_too_far_behind_is_found_when_the_end_moves_on() -> None:
    stage = Stage()
    one, clock = stage.viewer(1, 1.0, "a")
    other, its_clock = stage.viewer(2, 15.0, "b")
    judge = stage.reporters.judge
    assert (judge(one, clock, 0.0), judge(other, its_clock, 0.0)) == (False, False)
    assert stage.reporters.left_behind() == []
    stage.open(10)
    assert stage.reporters.left_behind() == [one]
    assert judge(one, clock, 0.0)
    assert clock.lagging
    assert not judge(one, clock, 0.0)
    assert stage.reporters.left_behind() == []
    assert one.playhead is not None
    one.playhead.take(Report(at(20).pts, 0.0, timeline=0), 0.0)
    assert judge(one, clock, 0.0)
    assert not clock.lagging
    stage.reporters.dismiss(one)
    for msn in range(11, 30):
        stage.open(msn)
    assert stage.reporters.left_behind() == [other]


def test_nobody_lags_behind_what_is_not_live_or_not_there() -> None:
    stage = Stage(segments=0)
    one, clock = stage.viewer(1, 0.0, "a")
    assert not stage.reporters.judge(one, clock, 0.0)
    assert stage.reporters.left_behind() == []
    stage.edge.state = state(live=False)
    for msn in range(30):
        stage.open(msn)
    assert not stage.reporters.judge(one, clock, 0.0)
