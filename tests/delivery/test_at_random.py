"""Viewers that connect, drop, stall and change filters at random, while everything else happens at random too."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.settings import HubSettings
from kernel.cues import Op
from tests.delivery.world import Viewer, World
from tests.hub.makers import at
from tests.support import invariants
from tests.support.invariants import Fact

WISHES: list[dict[str, Any]] = [
    {"mode": "edge"},
    {"mode": "viewer"},
    {"mode": "edge", "types": ["score", "play"]},
    {"mode": "viewer", "markets": ["m1"]},
    {"mode": "edge", "conflate_ms": 250},
    {"mode": "viewer", "conflate_ms": 1_000},
]

STEPS = [
    *("seal", "seal", "score", "amend", "retract", "confirm", "price", "price", "market", "suspend", "suspend_one"),
    *("invalidate", "open", "open", "open", "lost", "wait", "wait", "join", "join", "drop", "back", "pause", "resume"),
    *("update", "rate", "restart", "beat", "serve", "serve", "serve", "report", "report", "report", "lead"),
]
STEP = st.tuples(st.sampled_from(STEPS), st.integers(0, 11))


def wanted_by(viewer: Viewer, fact: Fact) -> bool:
    wish = viewer.session.wish
    if fact.cls == "safety":
        return True
    if wish.get("types") is not None and fact.type not in wish["types"]:
        return False
    return wish.get("markets") is None or fact.mid is None or fact.mid in wish["markets"]


class Chaos:
    """Do what the steps say; every step is always possible."""

    def __init__(self, config: HubSettings) -> None:
        self.world = World(config)
        self.msn = -1
        self.ids: dict[str, tuple[int, bool]] = {}

    def run(self, steps: list[tuple[str, int]]) -> None:
        for what, number in steps:
            getattr(self, what)(number)
            self.check_wires()
        for viewer in self.world.viewers:
            viewer.paused = False
            if viewer.subscriber is None:
                self.world.connect(viewer)
            self.world.catch_up(viewer)
        # Whatever waits to be conflated has had its time.
        self.world.wait(1.1)
        self.check_wires()
        self.check_ends()

    def due(self, number: int) -> Any:
        return at(number * 1.3)

    def seal(self, number: int) -> None:
        self.world.seal(self.due(number))

    def score(self, number: int) -> None:
        id_ = f"nba:g{number % 4}-{len(self.world.entries)}"
        self.ids[id_] = (1, False)
        self.world.score(self.due(number), number, id_)

    def known(self, number: int) -> str | None:
        live = [id_ for id_, (_, gone) in self.ids.items() if not gone]
        return live[number % len(live)] if live else None

    def change(self, number: int, op: Op) -> None:
        id_ = self.known(number)
        if id_ is None:
            return
        rev = self.ids[id_][0] + 1
        self.ids[id_] = (rev, op is Op.RETRACT)
        original = next(one for one in self.world.entries if one.cue.id == id_)
        # A correction of data entry stands with its original, a reversal where the verdict is shown.
        due = original.due if number % 2 else max(original.due or at(0), self.due(number))
        if op is Op.CONFIRM:
            self.world.seal(due, id=id_, rev=rev, type=original.cue.type, op=op)
        else:
            assert due is not None
            self.world.score(due, 100 + number, id_, rev, op)

    def amend(self, number: int) -> None:
        self.change(number, Op.AMEND)

    def retract(self, number: int) -> None:
        self.change(number, Op.RETRACT)

    def confirm(self, number: int) -> None:
        self.change(number, Op.CONFIRM)

    def price(self, number: int) -> None:
        self.world.price(self.due(number), f"m{number % 3}", 1_000 + number)

    def market(self, number: int) -> None:
        st_ = ("open", "open", "suspended", "closed")[number % 4]
        self.world.market(self.due(number), f"m{number % 3}", st_, 1_500 if st_ == "open" else None)

    def suspend(self, _: int) -> None:
        self.world.suspend()

    def suspend_one(self, number: int) -> None:
        self.world.suspend(f"m{number % 3}")

    def invalidate(self, number: int) -> None:
        self.world.invalidate(f"m{number % 3}")

    def open(self, _: int) -> None:
        self.msn += 1
        self.world.open(self.msn)

    def lost(self, _: int) -> None:
        self.msn += 1
        self.world.open(self.msn, marked=False)

    def wait(self, number: int) -> None:
        self.world.wait(number / 8)

    def join(self, number: int) -> None:
        if len(self.world.viewers) < 6:
            self.world.viewer(**WISHES[number % len(WISHES)])

    def one(self, number: int) -> Viewer | None:
        viewers = self.world.viewers
        return viewers[number % len(viewers)] if viewers else None

    def drop(self, number: int) -> None:
        if (viewer := self.one(number)) is not None:
            self.world.drop(viewer)

    def back(self, number: int) -> None:
        viewer = self.one(number)
        if viewer is not None and viewer.subscriber is None:
            self.world.connect(viewer)

    def pause(self, number: int) -> None:
        if (viewer := self.one(number)) is not None:
            self.world.pause(viewer)

    def resume(self, number: int) -> None:
        if (viewer := self.one(number)) is not None:
            self.world.resume(viewer)

    def update(self, number: int) -> None:
        viewer = self.one(number)
        if viewer is not None and viewer.subscriber is not None:
            self.world.say(viewer, {"op": "update", "types": [["score"], ["price", "market"], None][number % 3]})

    def rate(self, number: int) -> None:
        viewer = self.one(number)
        if viewer is not None and viewer.subscriber is not None:
            self.world.say(viewer, {"op": "update", "conflate_ms": [0, 250, 1_000][number % 3]})

    def serve(self, number: int) -> None:
        viewer = self.one(number)
        timed = sorted(one.msn for one in self.world.timings)
        if viewer is not None and timed:
            # What it loads is out, one segment or two.
            self.world.serve(viewer, timed[number % len(timed)])

    def report(self, number: int) -> None:
        viewer = self.one(number)
        if viewer is None or viewer.subscriber is None or viewer.subscriber.mode != "viewer":
            return
        # Honest, paused, fast, stalled, or far ahead: whatever it says.
        seconds = (number * 1.7, number * 1.1, 500.0)[number % 3]
        rate = (1.0, 0.0, 1.5, 16.0)[number % 4]
        self.world.report(viewer, seconds, rate=rate, stalled=number == 5)

    def lead(self, number: int) -> None:
        viewer = self.one(number)
        if viewer is not None and viewer.subscriber is not None:
            self.world.say(viewer, {"op": "update", "lead_ms": [0, 250, 1_000][number % 3]})

    def restart(self, number: int) -> None:
        if number < 3:
            self.world.restart()

    def beat(self, number: int) -> None:
        viewer = self.one(number)
        if viewer is not None and viewer.subscriber is not None and not viewer.paused:
            self.world.beat(viewer)
            assert viewer.session.mismatches == 0

    def check_wires(self) -> None:
        for viewer in self.world.viewers:
            wire, log = viewer.wire, self.world.log
            assert invariants.early(wire, log, self.world.opened_at) == []
            if viewer.reports:
                assert invariants.unserved(wire, log, self.world.allowed_to(viewer)) == []
            assert invariants.repeated(wire) == []
            assert invariants.disordered(viewer.flushes, log) == []
            assert invariants.dishonest(wire) == []
            assert invariants.below_floor(wire) == []

    def check_ends(self) -> None:
        world = self.world
        for viewer in world.viewers:
            conflates = any(sub["conflate_ms"] for _, _, sub in viewer.wire.of("sub"))
            assert viewer.subscriber is not None
            cursor = world.stream.cursor_of(viewer.subscriber)
            assert cursor is not None
            # What waits to be conflated is not claimed to have been sent.
            upto = (cursor.upto.timeline, cursor.upto.pts)
            missing = invariants.lost(
                viewer.wire, world.log, lambda fact, who=viewer: wanted_by(who, fact), upto,  # type: ignore[misc]
                based=viewer.based, conflates=conflates,
            )  # fmt: skip
            assert missing == []
            world.beat(viewer)
            assert viewer.session.mismatches == 0
            # However its state is made, it is the same.
            cohort = world.stream._cohorts[viewer.subscriber.cohort]
            base = world.stream._cohorts.base_for(cohort, world.now)
            if base is not None:
                whole = cohort.state_of(viewer.subscriber.filter).visible()
                assert cohort.state_of(viewer.subscriber.filter, base).visible() == whole
            # Somebody who comes now, and knows nothing, ends in the same state.
            joiner = world.viewer(**viewer.session.wish)
            # One who resumed here may know more than those it stands with; its hash is not told then.
            if world.stream.hash_of(viewer.subscriber) is not None:
                assert joiner.session.state.hash() == viewer.session.state.hash()
            world.viewers.remove(joiner)
            world.drop(joiner)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 6), st.lists(STEP, max_size=60))
def test_whatever_happens(segments: int, steps: list[tuple[str, int]]) -> None:
    Chaos(HubSettings()).run([("open", 0)] * segments + steps)


@pytest.mark.parametrize("seed", range(40))
def test_long_games(seed: int) -> None:
    # Longer than hypothesis likes them, and with everything in every one; the seed is the whole story.
    dice = random.Random(seed)
    steps = [(dice.choice(STEPS), dice.randrange(12)) for _ in range(150)]
    Chaos(HubSettings()).run([("open", 0)] * dice.randrange(6) + steps)
