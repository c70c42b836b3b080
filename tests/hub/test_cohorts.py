from __future__ import annotations

from hub.backlog import Backlog
from hub.cohort import Cohort
from hub.cohorts import Cohorts
from hub.floors import Floors
from hub.frontier import Edge, VodClock
from hub.path import Path
from hub.settings import HubSettings
from hub.subscriber import Subscriber
from kernel.cues import Entry
from kernel.timeline import BEGINNING, MediaTime
from tests.hub.makers import at, entry, opened, state, timing


class Watched(VodClock):
    """The clock of somebody apart, which counts how often it is asked."""

    asked = 0

    def frontier(self, now: float) -> MediaTime:
        self.asked += 1
        return super().frontier(now)


class Stage:
    def __init__(self, *, live: bool = True) -> None:
        self.path = Path()
        self.edge = Edge(self.path)
        self.edge.state = state(live=live)
        self.backlog = Backlog(max_entries=1_000, max_age_s=1_000)
        self.cohorts = Cohorts(self.edge, self.path, self.backlog, Floors())

    def open(self, msn: int, now: float) -> None:
        self.path.lay(timing(msn))
        self.edge.open(opened(msn, now), now)
        self.cohorts.move(now)

    def seal(self, o: int, seconds: float, now: float) -> Entry:
        made = entry(o, at(seconds))
        self.backlog.append(made, now)
        self.cohorts.take([made], now)
        return made

    def apart(self, number: int, now: float) -> tuple[Cohort, Watched]:
        clock = Watched(self.edge, self.path, now)
        cohort = self.cohorts.found(clock, 0)
        cohort.add(Subscriber(number, "game", HubSettings(), now))
        self.cohorts.advance(cohort, now)
        return cohort, clock

    def sent(self) -> list[int]:
        return [each.o for delivery in self.cohorts.take_deliveries() for each in delivery.entries]


def test_a_rate_of_prices_is_shared_from_where_the_others_are() -> None:
    stage = Stage()
    stage.open(0, 0.0)
    edge = stage.cohorts.share("edge", 0)
    slow = stage.cohorts.share("edge", 250)
    assert stage.cohorts.share("edge", 250) is slow
    assert (slow.cursor.upto, slow.shared, stage.cohorts[edge.number]) == (at(2), True, edge)
    assert stage.cohorts.viewers() == [stage.cohorts.share("viewer", 0)]
    assert stage.cohorts.passed_by_all() == min(at(2), stage.cohorts.share("viewer", 0).cursor.upto)


def test_whom_an_entry_does_not_concern_is_not_asked() -> None:
    stage = Stage(live=False)
    for msn in range(10):
        stage.open(msn, 0.0)
    clocks = [stage.apart(number, 0.0)[1] for number in range(50)]
    stage.seal(0, 5, 0.0)
    asked = sum(clock.asked for clock in clocks)
    instants = stage.cohorts.next_deadline()
    for o in range(1, 100):
        stage.seal(o, 5 + o / 10, 0.0)
    assert (sum(clock.asked for clock in clocks), stage.cohorts.next_deadline()) == (asked, instants)
    assert stage.sent() == []
    stage.cohorts.timer(5.0)
    assert stage.sent() == [0] * 50
    stage.seal(100, 1, 5.0)
    assert stage.sent() == [100] * 50


def test_within_one_instant_it_is_looked_at_once_unless_something_has_changed() -> None:
    stage = Stage(live=False)
    stage.open(0, 0.0)
    cohort, clock = stage.apart(1, 0.0)
    asked = clock.asked
    stage.cohorts.advance(cohort, 0.0)
    assert clock.asked == asked
    stage.cohorts.look_again(cohort, 0.0)
    assert clock.asked == asked + 1
    assert stage.cohorts.move_shared(1.0)
    assert not stage.cohorts.move_shared(1.0)


def test_a_timer_that_fires_within_the_instant_is_not_lost() -> None:
    stage = Stage(live=False)
    stage.open(0, 0.0)
    cohort, _ = stage.apart(1, 0.0)
    stage.seal(0, 1, 0.0)
    assert stage.cohorts.next_deadline() == 1.0
    stage.cohorts.look_again(cohort, 1.0)
    stage.seal(1, 1.5, 1.0)
    stage.cohorts.timer(1.0)
    assert stage.cohorts.next_deadline() == 1.5
    assert stage.sent() == [0]


def test_who_has_gone_is_forgotten() -> None:
    stage = Stage(live=False)
    stage.open(0, 0.0)
    cohort, clock = stage.apart(1, 0.0)
    stage.seal(0, 1, 0.0)
    stage.cohorts.drop(cohort)
    asked = clock.asked
    stage.cohorts.move(1.0, whole=True)
    stage.cohorts.timer(9.0)
    assert (stage.cohorts.get(cohort.number), clock.asked, stage.cohorts.next_deadline()) == (None, asked, None)


def test_a_newcomer_has_been_told_of_all_safety_before_it() -> None:
    stage = Stage()
    stage.cohorts.count_safety(entry(7, None))
    clock = VodClock(stage.edge, stage.path, 0.0)
    assert stage.cohorts.found(clock, 0).cursor.o == 7
    assert stage.cohorts.share("edge", 0).cursor.o == 7
    stage.cohorts.begin_anew()
    assert stage.cohorts.found(clock, 0).cursor.o == -1


def test_a_state_is_built_on_one_that_has_not_come_further() -> None:
    stage = Stage()
    for msn in range(10):
        stage.open(msn, 0.0)
    stage.cohorts.move_shared(0.0)
    honest = stage.cohorts.share("viewer", 0)
    other, _ = stage.apart(1, 0.0)
    for upto, base in ((at(15), honest), (at(10), stage.cohorts._trail), (at(1), None), (BEGINNING, None)):
        other.cursor = other.cursor._replace(upto=upto)
        assert stage.cohorts.base_for(other, 0.0) is base
    assert stage.cohorts.base_for(honest, 0.0) is None


def test_a_delivery_knows_since_when_it_might_have_gone() -> None:
    stage = Stage()
    stage.open(0, 0.0)
    edge = stage.cohorts.share("edge", 0)
    edge.add(Subscriber(1, "game", HubSettings(), 0.0))
    stage.seal(0, 2.5, 0.5)

    # The relay opened the next segment at 2.0; here it is heard of at 2.1.
    stage.path.lay(timing(1))
    stage.edge.open(opened(1, 2.0), 2.1)
    stage.cohorts.move(2.1, since=2.0)
    assert [delivery.since for delivery in stage.cohorts.take_deliveries()] == [2.0]

    # What comes after its picture might go as soon as it is here.
    stage.seal(1, 0.5, 3.0)
    assert [delivery.since for delivery in stage.cohorts.take_deliveries()] == [3.0]


def test_a_timer_that_is_late_says_how_late() -> None:
    stage = Stage(live=False)
    stage.open(0, 0.0)
    cohort, _ = stage.apart(1, 0.0)
    stage.seal(0, 1.0, 0.0)
    due = stage.cohorts.next_deadline()
    assert due is not None
    stage.cohorts.timer(due + 0.25)
    assert [delivery.since for delivery in stage.cohorts.take_deliveries()] == [due]

    # Whatever else moves it: from then on it might have gone.
    stage.seal(1, 1.5, due + 0.3)
    due = stage.cohorts.next_deadline()
    assert due is not None
    stage.cohorts.look_again(cohort, due + 0.125)
    assert [delivery.since for delivery in stage.cohorts.take_deliveries()] == [due]
