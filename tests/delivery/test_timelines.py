"""Worked timelines: what each kind of subscriber gets when, told as a story, each also with a restart in its middle.

Segments last two seconds. An `edge` subscriber's frontier is the end of what is open; a `viewer` that has not reported
is an honest player three target durations (six seconds) behind.
"""

from __future__ import annotations

from typing import Any

import pytest

from kernel.cues import CueClass, CueType, Op
from kernel.timeline import BEGINNING
from tests.delivery.world import Viewer, World
from tests.hub.makers import at, state, timing
from tests.support import invariants

RESTARTS = pytest.mark.parametrize("restarts", [False, True], ids=["one life", "a restart"])


def shown(viewer: Viewer) -> list[int]:
    """Return the offsets that the application was shown."""
    return [frame["o"] for frame in viewer.wire.shown if frame["op"] == "cue"]


def ids(viewer: Viewer) -> list[tuple[str, int, str]]:
    return [(one["id"], one["rev"], one["kind"]) for one in viewer.wire.shown if one["op"] == "cue"]


def score(viewer: Viewer) -> Any:
    return viewer.session.state.visible().get("score", {}).get("home")


def middle(world: World, *, restarts: bool) -> None:
    """Restart the hub, if that is part of the story; everybody comes back."""
    if restarts:
        world.restart()
        for viewer in world.viewers:
            world.connect(viewer)
            assert viewer.wire.of("sub")[-1][2]["resumed"] is True


def judge(world: World) -> None:
    """Hold the invariants against everything that was recorded."""
    for viewer in world.viewers:
        wire = viewer.wire
        found = [
            *invariants.early(wire, world.log, world.opened_at),
            *invariants.repeated(wire),
            *invariants.disordered(viewer.flushes, world.log),
            *invariants.dishonest(wire),
            *invariants.below_floor(wire),
            *invariants.foreign(wire, event_id="game"),
        ]
        if viewer.reports:
            found += invariants.unserved(wire, world.log, world.allowed_to(viewer))
        if viewer.subscriber is not None and viewer.session.cur is not None:
            upto = world.frontier_of(viewer)
            found += invariants.lost(wire, world.log, lambda _: True, upto, based=viewer.based)
            world.beat(viewer)
            assert viewer.session.mismatches == 0
        assert found == []


def playing(segments: int = 6) -> World:
    """Return a live showing with some segments out at time 0."""
    world = World()
    for msn in range(segments):
        world.open(msn)
    return world


@RESTARTS
def test_live_without_reports(restarts: bool) -> None:
    world = playing()
    edge, viewer = world.viewer("edge"), world.viewer()
    world.seal(at(12.5))
    world.seal(at(6.5))
    world.wait(0.4)
    assert shown(edge) == [1]  # late for the edge, so at once
    assert shown(viewer) == []
    middle(world, restarts=restarts)
    world.wait(0.2)
    # After a restart the player is placed anew, three target durations behind what is out, and never earlier.
    assert shown(viewer) == ([] if restarts else [1])
    world.wait(0.4)
    assert shown(viewer) == [1]
    world.open(6)
    assert shown(edge) == [1, 0]
    for msn in range(7, 12):
        world.wait(2)
        world.open(msn)
    assert shown(viewer) == [1, 0]
    judge(world)


@RESTARTS
def test_a_vod_without_reports(restarts: bool) -> None:
    world = World(first_state=state(live=False, ended=True, last=3))
    for msn in range(4):
        world.open(msn)
    for second in (0.5, 1.5, 3, 9):
        world.seal(at(second))
    viewer = world.viewer()
    world.wait(1)
    assert shown(viewer) == [0]
    middle(world, restarts=restarts)
    # A player of a VOD begins at its first segment when it subscribes: after a restart once more.
    world.wait(1)
    assert shown(viewer) == ([0] if restarts else [0, 1])
    world.wait(7.1)
    assert shown(viewer) == [0, 1, 2, 3]
    judge(world)


@RESTARTS
@pytest.mark.parametrize("hold_s", [0, 6, "auto"])
def test_hold_is_a_later_opening_and_nothing_else(hold_s: Any, restarts: bool) -> None:
    world = World()
    edge = world.viewer("edge")
    for msn in range(4):
        # `auto` settles: the delay grows by at most 5 % of media time.
        delay = hold_s if hold_s != "auto" else min(6, 3 + msn * 0.1)
        arrival = msn * 2.0
        sealed_at = arrival + 2.5
        for step, what in sorted([(sealed_at, "fact"), (arrival + delay, "open")]):
            world.wait(max(0.0, step - world.now))
            if what == "open":
                world.open(msn)
            else:
                world.seal(at(msn * 2 + 1))
        if msn == 1:
            middle(world, restarts=restarts)
    assert shown(edge) == [0, 1, 2, 3]
    first = {cue["o"]: now for now, _, cue in reversed(edge.wire.of("cue"))}
    for o, now in first.items():
        fact = world.log[o]
        # The vendor is 2.5 s late: with no hold the cue comes when it is known, with enough of it when it is shown.
        assert now >= fact.at
        assert (now > fact.at) == (hold_s != 0)
    judge(world)


@RESTARTS
def test_a_late_fact_is_immediate(restarts: bool) -> None:
    world = playing()
    edge, viewer = world.viewer("edge"), world.viewer()
    world.seal(at(11))
    middle(world, restarts=restarts)
    world.seal(at(1))
    assert shown(edge) == [0, 1]
    assert shown(viewer) == [1]
    judge(world)


@RESTARTS
def test_an_amend_before_and_after_the_due(restarts: bool) -> None:
    world = playing()
    edge, viewer = world.viewer("edge"), world.viewer()
    world.score(at(11), 1, "nba:g")
    middle(world, restarts=restarts)
    world.score(at(11), 2, "nba:g", rev=2)
    # The edge has seen the first and is corrected; the viewer never learns that it was ever wrong.
    assert ids(edge) == [("nba:g", 1, "new"), ("nba:g", 2, "amend")]
    assert ids(viewer) == []
    for msn in range(6, 9):
        world.wait(2)
        world.open(msn)
    assert ids(viewer) == [("nba:g", 2, "amend")]
    assert (score(edge), score(viewer)) == (2, 2)
    judge(world)


@RESTARTS
def test_a_reversal_waits_for_its_own_picture(restarts: bool) -> None:
    world = playing()
    edge, viewer = world.viewer("edge"), world.viewer()
    world.score(at(6.5), 0, "nba:a")
    world.score(at(7), 1, "nba:g")
    world.score(at(11), 1, "nba:g", rev=2, op=Op.RETRACT)
    assert score(edge) == 0
    middle(world, restarts=restarts)
    world.wait(2)
    assert score(viewer) == 1
    for msn in range(6, 9):
        world.open(msn)
        world.wait(2)
    assert score(viewer) == 0
    judge(world)


@RESTARTS
def test_what_was_retracted_never_comes_back(restarts: bool) -> None:
    world = playing()
    viewer = world.viewer()
    world.score(at(6.2), 0, "nba:a")
    world.score(at(8), 1, "nba:g")
    world.score(at(8), 1, "nba:g", rev=2, op=Op.RETRACT)
    middle(world, restarts=restarts)
    world.wait(3)
    late = world.viewer()
    assert (score(viewer), score(late)) == (0, 0)
    assert ids(viewer)[-1] == ("nba:g", 2, "retract")
    judge(world)


@RESTARTS
def test_suspend_reopen_suspend_with_a_delayed_viewer(restarts: bool) -> None:
    world = playing()
    world.market(at(1), milli=1_900)
    edge, viewer = world.viewer("edge"), world.viewer()
    assert edge.session.state.markets()["m1"]["st"] == "open"
    world.suspend()
    for one in (edge, viewer):
        assert one.session.state.markets()["m1"]["st"] == "suspended"
    # Reopened with the picture at 11 s: out for the edge, not yet for the viewer ...
    world.market(at(11), milli=2_100)
    assert edge.session.state.markets()["m1"]["st"] == "open"
    middle(world, restarts=restarts)
    # ... and suspended again before the viewer gets there: it must never see the market open.
    world.suspend()
    world.price(at(11.5))
    for msn in range(6, 10):
        world.wait(2)
        world.open(msn)
    assert {one.session.state.markets()["m1"]["st"] for one in (edge, viewer)} == {"suspended"}
    assert [frame["type"] for _, _, frame in viewer.wire.of("cue") if frame["cls"] == "reopen"] == []
    world.market(at(13), milli=2_000)
    world.wait(4)
    joiner = world.viewer("edge")
    for one in (edge, viewer, joiner):
        assert one.session.state.markets()["m1"]["st"] == "open"
        assert one.session.state.visible()["prices"]["m1"]["out"][0]["milli"] == 2_000
    judge(world)


@RESTARTS
def test_one_market_alone_and_a_price_that_kills_slips(restarts: bool) -> None:
    world = playing()
    world.market(at(1), "m1", milli=1_900)
    world.market(at(1), "m2", milli=3_000)
    edge = world.viewer("edge")
    world.suspend("m1")
    standing = edge.session.state.markets()
    assert (standing["m1"]["st"], standing["m2"]["st"]) == ("suspended", "open")
    world.invalidate("m2")
    middle(world, restarts=restarts)
    assert "m2" not in edge.session.state.visible()["prices"]
    world.price(at(12.5), "m2", 3_300)
    assert "m2" not in edge.session.state.visible()["prices"]
    world.open(6)
    assert edge.session.state.visible()["prices"]["m2"]["out"][0]["milli"] == 3_300
    judge(world)


@RESTARTS
def test_across_a_discontinuity(restarts: bool) -> None:
    world = playing()
    edge, viewer = world.viewer("edge"), world.viewer()
    world.seal(at(0.5, 1))
    world.seal(at(11))
    middle(world, restarts=restarts)
    world.wait(2)
    # The encoder starts anew: a new timeline, and times that begin at 0.
    world.open(6, one=timing(6, timeline=1, start=0))
    assert shown(edge) == [1, 0]
    for msn in range(7, 11):
        world.wait(2)
        world.open(msn, one=timing(msn, timeline=1, start=(msn - 6) * 2))
    assert shown(viewer) == [1, 0]
    places = [(cue["tl"], cue["pts"]) for _, _, cue in viewer.wire.of("cue")]
    assert places == sorted(places)
    judge(world)


@RESTARTS
def test_what_is_left_at_the_end_is_due_then(restarts: bool) -> None:
    world = playing()
    edge, viewer = world.viewer("edge"), world.viewer()
    world.seal(at(99))
    middle(world, restarts=restarts)
    world.end(5)
    assert shown(edge) == [0]
    world.wait(6.5)
    assert shown(viewer) == [0]
    judge(world)


@RESTARTS
def test_a_batch_after_silence(restarts: bool) -> None:
    world = playing()
    edge, viewer = world.viewer("edge"), world.viewer()
    world.wait(3)
    for step in range(10):
        world.score(at(6 + step / 2), step)
    middle(world, restarts=restarts)
    for msn in range(6, 10):
        world.open(msn)
        world.wait(2)
    assert shown(edge) == list(range(10))
    assert (score(edge), score(viewer)) == (9, 9)
    judge(world)


@RESTARTS
def test_a_lost_sync_suspends_and_loses_nothing(restarts: bool) -> None:
    world = playing()
    edge = world.viewer("edge")
    world.seal(at(13))
    world.open(6, marked=False)
    assert not world.stream.may_wager
    assert shown(edge) == []
    middle(world, restarts=restarts)
    world.open(7)
    assert world.stream.may_wager
    assert shown(edge) == [0]
    judge(world)


def test_a_trading_desk_sees_everything_at_once() -> None:
    world = playing()
    desk = world.viewer("realtime")
    world.seal(at(99))
    world.seal(at(3))
    assert shown(desk) == [0, 1]
    world.drop(desk)
    world.seal(at(50))
    world.connect(desk)
    assert shown(desk) == [0, 1, 2]
    assert invariants.repeated(desk.wire) == []


def test_prices_are_conflated_and_nothing_else_is() -> None:
    world = playing()
    slow, fast = world.viewer("edge", conflate_ms=250), world.viewer("edge")
    for milli in range(1_000, 1_010):
        world.price(at(1), milli=milli)
        world.price(at(1), "m2", milli=milli)
    world.score(at(1), 1)
    assert len(shown(fast)) == 21
    # The first price of a market goes at once, then one every interval; the score does not wait.
    assert shown(slow) == [0, 20]
    cursor = world.beat(slow)["cur"]
    world.drop(slow)
    world.wait(0.25)
    slow.session.cur = cursor
    world.connect(slow)
    assert shown(slow)[2:] == [18, 19]
    world.wait(0.25)
    assert slow.session.state.visible()["prices"] == fast.session.state.visible()["prices"]
    world.say(slow, {"op": "update", "conflate_ms": 0})
    world.price(at(1), milli=5)
    world.price(at(1), milli=6)
    assert shown(slow)[-2:] == [21, 22]
    world.say(slow, {"op": "update", "conflate_ms": 250})
    world.price(at(1), milli=7)
    world.price(at(1), milli=8)
    world.wait(0.25)
    assert slow.session.state.visible()["prices"]["m1"]["out"][0]["milli"] == 8
    assert invariants.repeated(slow.wire) == []


def test_an_update_of_the_filter_begins_from_a_snapshot() -> None:
    world = playing()
    world.score(at(1), 3)
    world.market(at(1))
    one = world.viewer("edge", types=["market"])
    assert score(one) is None
    world.say(one, {"op": "update", "types": ["score"]})
    answer = one.wire.of("sub")[-1][2]
    assert (answer["resumed"], answer["why"], answer["types"]) == (False, "filter_changed", ["score"])
    assert score(one) == 3
    assert one.session.state.markets() == {}
    judge_one = invariants.dishonest(one.wire)
    assert judge_one == []


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        ("epoch", "epoch_changed"),
        ("filter", "filter_changed"),
        ("window", "window_exceeded"),
        ("nonsense", "epoch_changed"),
    ],
)
def test_what_cannot_be_resumed_is_said_and_begun_anew(break_it: str, why: str) -> None:
    from hub.settings import HubSettings

    world = World(HubSettings(backlog_entries=10))
    for msn in range(6):
        world.open(msn)
    one = world.viewer("edge")
    world.score(at(1), 1)
    world.beat(one)
    world.drop(one)
    if break_it == "epoch":
        world.epoch = "e2"
        world.restart()
    elif break_it == "filter":
        one.session.wish["types"] = ["score"]
    elif break_it == "window":
        for home in range(2, 40):
            world.score(at(1 + home / 10), home)
    else:
        one.session.cur = "bm90IG91cnM"
    world.connect(one)
    answer = one.wire.of("sub")[-1][2]
    assert (answer["resumed"], answer["why"]) == (False, why)
    assert score(one) == (39 if break_it == "window" else 1)
    assert invariants.dishonest(one.wire) == []


def test_a_suspend_that_was_missed_is_owed_first() -> None:
    world = playing()
    world.market(at(1))
    one = world.viewer("edge")
    world.beat(one)
    world.drop(one)
    ver = world.suspend()
    world.score(at(1), 1)
    world.connect(one)
    assert [cue["type"] for _, _, cue in one.wire.of("cue")] == ["suspend", "score"]
    assert one.session.state.floors.everywhere == ver
    judge(world)


def test_who_is_too_far_behind_may_not_bet_and_begins_anew_when_back() -> None:
    from hub.settings import HubSettings

    world = World(HubSettings(max_wager_lag_s=8))
    for msn in range(6):
        world.open(msn)
    viewer, edge = world.viewer(), world.viewer("edge")
    assert world.beat(viewer)["may_wager"] is True
    world.wait(3)
    for msn in range(6, 9):
        world.open(msn)
    assert (world.beat(viewer)["may_wager"], world.beat(edge)["may_wager"]) == (False, True)
    world.score(at(6.5), 1)
    world.wait(3.5)
    # It has caught up by playing on while nothing new came.
    world.open(8)
    assert world.beat(viewer)["may_wager"] is True
    assert [frame["why"] for _, _, frame in viewer.wire.of("resync")] == ["lag"]
    assert score(viewer) == 1
    judge(world)


def test_a_feed_that_is_down_closes_every_market() -> None:
    from kernel.feed_state import FeedState, Health

    world = playing()
    edge = world.viewer("edge")
    for health, may_wager in ((Health.DOWN, False), (Health.RECOVERING, True), (Health.DOWN, False)):
        changed = world.stream.set_feeds((FeedState("nba", health, "", 0.0),), world.now)
        assert [one.state for one in changed] == [health]
        assert world.beat(edge)["may_wager"] is may_wager
        assert world.beat(edge)["feeds"]["nba"] == health.value
    assert world.stream.set_feeds((FeedState("nba", Health.DOWN, "", 0.0),), world.now) == []


def test_a_reader_who_cannot_be_given_all_that_it_missed_is_recalled() -> None:
    from hub.settings import HubSettings

    world = World(HubSettings(backlog_entries=10))
    for msn in range(6):
        world.open(msn)
    one = world.viewer("edge")
    world.pause(one)
    for home in range(60):
        world.score(at(1 + home / 10), home)
    world.resume(one)
    assert [frame["why"] for _, _, frame in one.wire.of("resync")] == ["slow"]
    assert score(one) == 59
    assert invariants.dishonest(one.wire) == []


def test_nothing_is_told_before_the_first_picture() -> None:
    world = World()
    edge = world.viewer("edge")
    snap = edge.wire.of("snap")[-1][2]
    assert (snap["as_of"], world.stream.cursor_of(edge.subscriber)) == (None, (-1, BEGINNING, -1))  # type: ignore[arg-type]


def test_a_reopen_at_its_floor_stays_unsent_for_who_is_behind() -> None:
    world = playing()
    one = world.viewer("edge")
    world.pause(one)
    world.market(at(1), milli=1_900)
    world.seal(
        at(1), type=CueType.MARKET, cls=CueClass.LOCKED, body={"market": {"mid": "m1", "st": "closed", "ver": 9}}
    )
    world.suspend()
    world.resume(one)
    # The suspend overtook; what it voided was owed, and is owed no more. That the market closed is told.
    assert [cue["cls"] for _, _, cue in one.wire.of("cue")] == ["safety", "locked"]
    assert invariants.below_floor(one.wire) == []
