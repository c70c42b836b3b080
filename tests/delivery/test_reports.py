"""Viewers whose players report: seeks, pauses, stalls, rates, lost reports, lies, and what was served to them.

Segments last two seconds; at time 0 the first ten are out, and each viewer has loaded what its story says.
"""

from __future__ import annotations

from typing import Any

import pytest

from hub.settings import HubSettings
from kernel.timeline import END
from tests.delivery.test_timelines import RESTARTS, judge, shown
from tests.delivery.world import Viewer, World
from tests.hub.makers import at, state, timing


def playing(segments: int = 10, settings: HubSettings | None = None, *, every_s: float = 0.5) -> World:
    """Return a live showing, its cues every half second sealed before anybody comes: cue n is due at n * every_s."""
    world = World(settings)
    for msn in range(segments):
        world.open(msn)
    for number in range(round(2 * segments / every_s)):
        world.seal(at(number * every_s))
    return world


def last(viewer: Viewer) -> float:
    """Return the due time of the last cue of a viewer, in seconds; what its snapshot told counts too."""
    cues = [cue["pts"] / 90_000 for _, _, cue in viewer.wire.of("cue")]
    # A snapshot tells of the last half second before its end.
    based = (viewer.based[0][1] - 1) // 45_000 / 2 if viewer.based is not None else 0.0
    return float(max([based, *cues]))


def watching(world: World, seconds: float, first: int = 0, until: int = 9, **wish: Any) -> Viewer:
    """Return a viewer whose player is `seconds` into the stream when it subscribes, with some segments loaded."""
    viewer = world.viewer(reports=seconds, served=(first, until), **wish)
    assert last(viewer) <= seconds + 0.001
    return viewer


def test_by_its_own_playhead_and_not_the_honest_players() -> None:
    world = playing()
    behind, honest, ahead = watching(world, 8.0), world.viewer(), watching(world, 18.2)
    world.wait(1.0)
    assert (last(behind), last(ahead)) == (9.0, 19.0)
    assert 14.9 < last(honest) <= 15.01
    judge(world)


def test_the_first_report_of_somebody_who_has_subscribed() -> None:
    world = playing()
    viewer = world.viewer()
    world.serve(viewer, 0, 9)
    world.wait(0.6)
    assert shown(viewer)[-1] == 29
    # It has been taken for honest and told what is due at 14.5 s; where it really is it waits for its picture.
    world.report(viewer, 13.0)
    world.wait(1.0)
    assert last(viewer) == 14.5
    world.report(viewer, 14.0)
    world.wait(1.0)
    assert last(viewer) == 15.0
    judge(world)


def test_a_seek_forward_into_what_was_served_and_into_what_was_not() -> None:
    world = playing()
    viewer = watching(world, 4.0, until=3)
    world.serve(viewer, 8)
    world.report(viewer, 10.0)
    world.wait(1.0)
    assert last(viewer) == 7.5
    world.report(viewer, 16.9)
    assert last(viewer) == 16.5
    world.wait(9.0)
    assert last(viewer) == 17.5
    # Loaded at last: the report that came before counts.
    world.report(viewer, 18.6, rate=0.0)
    world.serve(viewer, 9)
    assert last(viewer) == 18.5
    judge(world)


def test_a_seek_back_repeats_nothing_and_holds_what_is_new() -> None:
    world = playing()
    viewer = watching(world, 12.0)
    world.wait(0.6)
    assert last(viewer) == 12.5
    count = len(shown(viewer))
    world.report(viewer, 4.0)
    world.wait(3.0)
    assert len(shown(viewer)) == count
    for second in range(5, 13):
        world.report(viewer, float(second))
        world.wait(1.0)
    # Its own log has shown it what lay between; what follows comes with its picture.
    assert last(viewer) == 13.0
    judge(world)


@pytest.mark.parametrize("how", [{"rate": 0.0}, {"stalled": True}])
def test_paused_or_stalled_nothing_moves(how: dict[str, float]) -> None:
    world = playing()
    viewer = watching(world, 12.0)
    world.report(viewer, 12.2, **how)  # type: ignore[arg-type]
    world.wait(60.0)
    assert last(viewer) == 12.0
    world.report(viewer, 12.2)
    world.wait(0.3)
    assert last(viewer) == 12.5
    judge(world)


def test_at_one_and_a_half_times_the_rate() -> None:
    world = playing()
    viewer = watching(world, 10.0)
    world.report(viewer, 10.0, rate=1.5)
    world.wait(0.99)
    assert last(viewer) == 11.0
    world.wait(0.02)
    assert last(viewer) == 11.5
    judge(world)


def test_lost_reports_freeze_it_after_one_and_a_half_intervals() -> None:
    world = playing()
    viewer = watching(world, 2.0)
    for second in (4.0, 6.0):
        world.wait(2.0)
        world.report(viewer, second)
    world.wait(30.0)
    # An interval of two seconds was measured, so it is played on for three.
    assert last(viewer) == 9.0
    world.report(viewer, 16.0)
    assert last(viewer) == 16.0
    judge(world)


@RESTARTS
def test_a_lie_is_worth_no_more_than_silence(restarts: bool) -> None:
    world = playing()
    liar = world.viewer()
    honest = world.viewer()
    world.report(liar, 1e6)
    assert last(liar) == last(honest) == 14.0
    world.serve(liar, 0, 5)
    world.report(liar, 19.9, rate=16.0)
    world.wait(1.2)
    # What was served to it is less than what silence had given it by then.
    assert last(liar) == 14.0
    if restarts:
        # Nobody knows any more what was served: a report can only delay.
        world.restart()
        for viewer in world.viewers:
            world.connect(viewer)
        world.report(liar, 1e6)
        world.wait(0.6)
        assert 14.0 < last(liar) <= last(honest)
    else:
        world.serve(liar, 6, 8)
        assert last(liar) == 17.5
    judge(world)


def test_video_that_is_served_elsewhere_can_only_delay() -> None:
    world = playing()
    viewer, honest = world.viewer(), world.viewer()
    world.report(viewer, 11.0)
    world.wait(0.6)
    # Told already as a silent one; from then on by its own playhead, and never ahead of the silent.
    for second in (12.0, 13.0, 14.0, 18.0):
        world.report(viewer, second)
        world.wait(1.0)
    assert last(viewer) == last(honest)
    judge(world)


def test_a_session_that_is_served_piece_by_piece() -> None:
    world = playing()
    viewer = watching(world, 0.0, until=0)
    for msn in range(1, 10):
        world.report(viewer, msn * 2.0 + 0.7, rate=0.0)
        before = last(viewer)
        world.serve(viewer, msn)
        assert (before, last(viewer)) == (msn * 2.0 - 0.5, msn * 2.0 + 0.5)
    judge(world)


def test_a_lead_lets_it_come_early_by_so_much() -> None:
    world = playing()
    viewer = watching(world, 9.6, lead_ms=250)
    world.wait(0.14)
    assert last(viewer) < 10.0
    world.wait(0.02)
    assert last(viewer) == 10.0
    world.say(viewer, {"op": "update", "lead_ms": 1_000})
    assert last(viewer) == 10.5
    world.say(viewer, {"op": "update", "lead_ms": 0})
    world.report(viewer, 10.9)
    world.wait(0.05)
    assert last(viewer) == 10.5
    judge(world)


def test_at_the_end_of_the_stream() -> None:
    world = playing()
    world.seal(at(99))
    late, unserved = watching(world, 18.0), watching(world, 18.0, until=8)
    world.end(9)
    for viewer in (late, unserved):
        world.report(viewer, 19.0)
    world.wait(0.99)
    assert world.log[shown(late)[-1]].due == (0, at(19.5).pts)
    world.wait(0.02)
    assert world.log[shown(late)[-1]].due == (0, at(99).pts)
    assert world.frontier_of(late) == tuple(END)
    assert last(unserved) == 17.5
    judge(world)


def test_across_a_discontinuity() -> None:
    world = playing()
    world.open(10, one=timing(10, timeline=1, start=0))
    world.seal(at(0.5, 1))
    viewer = watching(world, 19.5, until=10, lead_ms=0)
    world.wait(0.99)
    assert [cue["tl"] for _, _, cue in viewer.wire.of("cue")] == []
    world.wait(0.02)
    assert [cue["tl"] for _, _, cue in viewer.wire.of("cue")] == [1]
    judge(world)


def test_on_demand_it_may_go_anywhere_that_was_served() -> None:
    world = World(first_state=state(live=False, ended=True, last=9))
    for msn in range(10):
        world.open(msn)
    for second in range(20):
        world.seal(at(second))
    viewer = world.viewer()
    world.report(viewer, 15.0)
    assert last(viewer) == 0.0
    world.serve(viewer, 7)
    assert last(viewer) == 15.0
    world.wait(1.2)
    assert last(viewer) == 15.0
    world.serve(viewer, 8, 9)
    assert last(viewer) == 16.0


def test_who_came_before_the_stream_was_known() -> None:
    world = World(first_state=state())
    viewer = world.viewer()
    world.report(viewer, 1.0)
    for msn in range(10):
        world.open(msn)
    world.seal(at(1.5))
    world.serve(viewer, 0, 9)
    world.report(viewer, 1.0)
    world.wait(0.5)
    assert shown(viewer) == [0]
    judge(world)


def test_who_is_too_far_behind_may_not_bet_alone() -> None:
    world = playing(settings=HubSettings(max_wager_lag_s=8))
    near, far = watching(world, 17.0), watching(world, 12.5)
    assert [world.beat(one)["may_wager"] for one in (near, far)] == [True, True]
    world.report(far, 11.0, rate=0.0)
    assert [one.number for one in world.stream.take_judged()] == [far.subscriber.number]  # type: ignore[union-attr]
    assert [world.beat(one)["may_wager"] for one in (near, far)] == [True, False]
    assert world.beat(far)["behind_ms"] == 9_000
    world.report(far, 14.0)
    assert [frame["why"] for _, _, frame in far.wire.of("resync")] == ["lag"]
    assert world.beat(far)["may_wager"] is True
    # Standing still while the picture goes on.
    world.report(far, 14.0, rate=0.0)
    world.open(10)
    world.open(11)
    assert world.beat(far)["may_wager"] is False
    judge(world)


@RESTARTS
def test_it_resumes_where_it_was(restarts: bool) -> None:
    world = playing()
    viewer = watching(world, 10.0)
    world.wait(0.6)
    world.beat(viewer)
    if restarts:
        world.restart()
    else:
        world.drop(viewer)
    world.wait(1.0)
    viewer.reported = 11.6
    world.connect(viewer)
    assert viewer.wire.of("sub")[-1][2]["resumed"] is True
    assert last(viewer) == 11.5
    judge(world)


def test_another_rate_of_prices_loses_nothing() -> None:
    world = playing()
    viewer = watching(world, 10.0)
    for milli in range(1_000, 1_004):
        world.price(at(10.2), milli=milli)
    world.say(viewer, {"op": "update", "conflate_ms": 250})
    world.report(viewer, 10.3)
    world.wait(0.3)
    assert viewer.session.state.visible()["prices"]["m1"]["out"][0]["milli"] == 1_003
    assert last(viewer) == 10.5


def test_late_entries_and_safety_reach_those_apart() -> None:
    world = playing()
    viewers = [watching(world, float(second)) for second in (4, 8, 12)]
    world.seal(at(5.1))
    world.suspend()
    latest = [[world.log[o].due for o in shown(viewer)[-2:]] for viewer in viewers]
    assert [places[-1] for places in latest] == [None, None, None]
    assert [(0, at(5.1).pts) in places for places in latest] == [False, True, True]
    world.wait(1.3)
    assert len({len(shown(viewer)) for viewer in viewers}) >= 1
    assert world.log[shown(viewers[0])[-1]].due == (0, at(5.1).pts)
    judge(world)
