"""What one who is behind is owed; whole stories with it are in `tests/delivery`."""

from __future__ import annotations

from typing import Any

import pytest

from hub.arrears import Arrears
from hub.backlog import Backlog
from hub.cohort import CHUNK, Cohort, Delivery
from hub.cursor import NOTHING_SENT, Cursor, cursor_text
from hub.floors import Floors
from hub.settings import HubSettings
from hub.snapshot import BATCH, Batch, Message
from hub.subscriber import Subscriber
from kernel.cues import CueType
from kernel.timeline import BEGINNING, END
from tests.hub.makers import at, entry
from tests.hub.test_cohort import Stairs


class Stage:
    def __init__(self, max_entries: int = 100_000) -> None:
        self.clock, self.floors = Stairs(), Floors()
        self.backlog = Backlog(max_entries=max_entries, max_age_s=1e9)
        self.cohort = Cohort(0, self.clock, self.backlog, self.floors)
        self.arrears = Arrears(self.backlog, self.floors, 8_192)
        self.arrears.epoch = "e"
        self.one = Subscriber(1, "game", HubSettings(), 0)
        self.one.wish = "w"

    def add(self, *entries: Any) -> None:
        for each in entries:
            self.backlog.append(each, 0)

    def go(self, seconds: float) -> None:
        self.clock.now = at(seconds)
        self.cohort.advance(0)

    def rest(self) -> list[Any]:
        out: list[Any] = []
        while (item := self.arrears.next(self.one, self.cohort, lambda: None)) is not None:
            out += [item.map["op"]] if isinstance(item, Message) else [each.o for each in item.entries]
        return out


def test_a_joiner_gets_a_snapshot_and_then_what_follows() -> None:
    stage = Stage()
    stage.add(entry(0, at(1)), entry(1, at(3)))
    stage.go(2)
    stage.arrears.tell_state(stage.one, stage.cohort)
    assert (stage.one.based, stage.one.behind, stage.one.told) == (False, Cursor(0, at(2), 1), Cursor(0, at(2), 1))
    stage.go(4)
    assert stage.rest() == ["snap", 1]
    assert (stage.one.based, stage.one.behind) == (True, Cursor(1, at(4), 1))


def test_a_resume_is_owed_safety_first_then_the_rest() -> None:
    stage = Stage()
    stage.add(entry(0, at(1)), entry(1, None, type=CueType.SUSPEND), entry(2, at(2)), entry(3, at(9)))
    stage.go(4)
    assert stage.arrears.resume(stage.one, cursor_text("e", Cursor(0, at(1.5), 0), "w"), at(6)) is None
    assert stage.one.ahead == at(6)
    assert stage.rest() == [1, 2]


def test_how_far_somebody_may_have_come_is_known_once_something_is_open() -> None:
    stage = Stage()
    assert stage.arrears.resume(stage.one, cursor_text("e", Cursor(0, at(3), 0), "w"), BEGINNING) is None
    stage.arrears.place([stage.one], BEGINNING)
    assert stage.one.ahead == END
    stage.arrears.place([stage.one], at(6))
    stage.arrears.place([stage.one], at(8))
    assert stage.one.ahead == at(6)


@pytest.mark.parametrize(
    ("cur", "why"),
    [
        ("", "epoch_changed"),
        (cursor_text("old", NOTHING_SENT, "w"), "epoch_changed"),
        (cursor_text("e", NOTHING_SENT, "x"), "filter_changed"),
        (cursor_text("e", NOTHING_SENT, "w"), "window_exceeded"),
    ],
)
def test_why_not(cur: str, why: str) -> None:
    stage = Stage(max_entries=10)
    stage.add(*(entry(o, at(o)) for o in range(30)))
    assert stage.arrears.resume(stage.one, cur, BEGINNING) == why
    assert stage.one.behind is None


def test_who_is_set_aside_has_this_delivery_first() -> None:
    stage = Stage()
    stage.cohort.add(stage.one)
    stage.add(entry(0, at(1)), entry(1, at(3)))
    stage.clock.now = at(2)
    (delivery,) = stage.cohort.advance(0)
    stage.arrears.set_aside(stage.one, stage.cohort, delivery)
    assert not stage.cohort
    stage.go(4)
    assert stage.rest() == [0, 1]


def test_a_delivery_that_is_too_long_is_handed_out_in_chunks() -> None:
    stage = Stage()
    count = CHUNK + 10
    stage.add(*(entry(o, at(o / 1_000)) for o in range(count)))
    stage.cohort.add(stage.one)
    stage.clock.now = at(99)
    (delivery,) = stage.cohort.advance(0)
    assert isinstance(delivery, Delivery)
    stage.arrears.set_aside(stage.one, stage.cohort, delivery)
    assert stage.one.owed is not None
    assert len(stage.one.owed) == 0
    first = stage.arrears.next(stage.one, stage.cohort, lambda: None)
    assert isinstance(first, Batch)
    assert len(stage.one.owed) <= CHUNK / BATCH
    assert stage.rest() == list(range(len(first.entries), count))


def test_the_floor_may_rise_while_something_is_owed() -> None:
    stage = Stage()
    stage.cohort.add(stage.one)
    price = entry(0, at(1), type=CueType.PRICE, body={"price": {"mid": "m", "ver": 3}})
    stage.add(price, entry(1, at(1)))
    stage.clock.now = at(2)
    (delivery,) = stage.cohort.advance(0)
    stage.arrears.set_aside(stage.one, stage.cohort, delivery)
    stage.floors.raise_by("suspend", {"ver": 4})
    assert stage.rest() == [1]


def test_who_cannot_be_given_all_is_recalled() -> None:
    stage = Stage(max_entries=10)
    stage.cohort.add(stage.one)
    stage.arrears.set_aside(stage.one, stage.cohort)
    stage.add(*(entry(o, at(o / 10)) for o in range(40)))
    stage.go(9)
    assert stage.rest() == ["resync", "snap"]
    assert stage.rest() == []
