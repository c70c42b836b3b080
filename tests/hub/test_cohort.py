from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hub import group as groups
from hub.backlog import Backlog
from hub.cohort import Cohort, Delivery
from hub.cursor import NOTHING_SENT, Cursor
from hub.floors import Floors
from hub.settings import HubSettings
from hub.subscriber import EVERYTHING, Filter, Subscriber
from kernel.cues import CueType, Entry, Op
from kernel.timeline import END
from kernel.value import replace
from tests.hub.makers import at, entry

if TYPE_CHECKING:
    from kernel.timeline import MediaTime


class Stairs:
    """A clock that is set by hand; it passes a due time at as many seconds."""

    waits_for_opening = True

    def __init__(self) -> None:
        self.now = at(0)

    def moved(self, now: float) -> None:
        pass

    def frontier(self, now: float) -> MediaTime:
        return self.now

    def passes_at(self, due: MediaTime) -> float | None:
        return due.pts / 90_000


def cohort() -> tuple[Cohort, Stairs, Backlog]:
    clock, backlog = Stairs(), Backlog(max_entries=100, max_age_s=60)
    return Cohort(3, clock, backlog, Floors()), clock, backlog


def member(number: int, wanted: Filter = EVERYTHING) -> Subscriber:
    one = Subscriber(number, "game", HubSettings(), 0)
    one.filter = wanted
    return one


def test_one_delivery_for_each_filter() -> None:
    group, clock, backlog = cohort()
    scores = Filter(frozenset({CueType.SCORE}), frozenset())
    people = [member(0), member(1), member(2, scores), member(3, Filter(frozenset({CueType.STAT}), frozenset()))]
    for one in people:
        group.add(one)
    play, score = entry(0, at(1)), entry(1, at(1), type=CueType.SCORE)
    backlog.append(play, 0)
    backlog.append(score, 0)
    assert group.advance(0) == []
    clock.now = at(2)
    everything, some = group.advance(0)
    assert (everything.to, everything.entries) == ((people[0], people[1]), (play, score))
    assert (some.to, some.entries, some.safety) == ((people[2],), (score,), False)
    assert everything.before == Cursor(-1, at(0), 1)
    assert group.cursor == Cursor(1, at(2), 1)


def test_without_members_it_moves_but_waits_for_nothing() -> None:
    group, clock, backlog = cohort()
    assert not group
    backlog.append(entry(0, at(1)), 0)
    backlog.append(entry(1, at(3)), 0)
    clock.now = at(2)
    assert (group.advance(0), group.next_instant()) == ([], None)
    one = member(0)
    group.add(one)
    assert (bool(group), group.next_instant()) == (True, 3)
    group.remove(one)
    group.remove(one)
    assert not group


def test_what_one_who_is_behind_needs() -> None:
    group, clock, backlog = cohort()
    one = member(0)
    one.behind = NOTHING_SENT
    for o in range(3):
        backlog.append(entry(o, at(o), id="a", rev=o + 1), 0)
    clock.now = at(1.5)
    group.advance(0)
    assert group.cursor == Cursor(1, at(1.5), 2)
    (batch,) = group.chunk(one, group.cursor)
    assert [each.o for each in batch.entries] == [1]
    assert group.chunk(one, group.cursor) == []


def test_who_was_sent_more_elsewhere_is_with_the_others_once_they_have_it() -> None:
    group, clock, backlog = cohort()
    one, other, gone = member(0), member(1), member(2)
    one.known = gone.known = Cursor(1, at(3), 1)
    for each in (one, other, gone):
        group.add(each)
    group.remove(gone)
    for o, due in enumerate((1, 2, 3)):
        backlog.append(entry(o, at(due)), 0)

    def sent(deliveries: list[Delivery]) -> dict[tuple[Subscriber, ...], list[int]]:
        return {each.to: [what.o for what in each.entries] for each in deliveries}

    clock.now = at(1.5)
    assert sent(group.advance(0)) == {(other,): [0]}
    late = entry(3, at(1))
    backlog.append(late, 0)
    assert sent(group.take([late], 0)) == {(one,): [3], (other,): [3]}
    clock.now = at(3)
    assert sent(group.advance(0)) == {(other,): [1]}
    clock.now = at(4)
    assert sent(group.advance(0)) == {(other, one): [2]}
    group.remove(one)
    assert group.members() == [other]


def test_what_was_sent_elsewhere_says_nothing_of_another_log() -> None:
    group, clock, backlog = cohort()
    one = member(0)
    one.known = Cursor(9, at(9), 9)
    group.add(one)
    group.begin_anew()
    backlog.append(entry(0, at(1)), 0)
    clock.now = at(2)
    assert [each.to for each in group.advance(0)] == [(one,)]


def test_a_price_that_waits_here_and_was_sent_elsewhere_is_not_owed() -> None:
    clock, backlog = Stairs(), Backlog(max_entries=100, max_age_s=60)
    group = Cohort(3, clock, backlog, Floors(), conflate_ms=250)
    one, other = member(0), member(1)
    one.known = Cursor(1, at(3), 1)
    group.add(one)
    group.add(other)
    clock.now = at(5)
    group.advance(0)
    assert group.told.upto == at(5)
    for what in (price(0, 1, 1), price(1, 2, 2)):
        backlog.append(what, 0)
        group.take([what], 0)
    assert ([each.o for each in group.waiting(other)], group.waiting(one)) == ([1], [])


def test_safety_raises_the_offset_alone() -> None:
    group, _, _ = cohort()
    group.count_safety(entry(5, None))
    assert group.cursor == NOTHING_SENT._replace(o=5)


def price(o: int, due: float, ver: int, mid: str = "m", **more: Any) -> Entry:
    return entry(o, at(due), type=CueType.PRICE, body={"price": {"mid": mid, "ver": ver}}, **more)


def test_entries_that_come_together_become_due_together() -> None:
    group, clock, backlog = cohort()
    group.add(member(0))
    clock.now = at(5)
    group.advance(0)
    run = [entry(0, at(2), id="a"), entry(1, at(1)), entry(2, at(7)), entry(3, at(2), id="a", rev=2)]
    for each in run:
        backlog.append(each, 0)
    (delivery,) = group.take(run, 0)
    assert [one.o for one in delivery.entries] == [1, 3]
    assert group.cursor == Cursor(3, at(5), 3)
    assert group.is_due_sooner
    clock.now = at(8)
    (delivery,) = group.advance(0)
    assert [one.o for one in delivery.entries] == [2]


def test_what_came_before_its_time_is_owed_once_the_frontier_passes_it() -> None:
    group, clock, backlog = cohort()
    group.add(member(0))
    for o, due in enumerate((3, 1, 2)):
        backlog.append(entry(o, at(due)), 0)
        assert group.take([backlog.before(END)[-1] if due == 3 else entry(o, at(due))], 0) == []
    clock.now = at(4)
    (delivery,) = group.advance(0)
    assert [one.o for one in delivery.entries] == [1, 2, 0]


def test_a_price_that_is_taken_back_while_it_waits_never_goes_out() -> None:
    clock, backlog = Stairs(), Backlog(max_entries=100, max_age_s=60)
    group = Cohort(3, clock, backlog, Floors(), conflate_ms=250)
    group.add(member(0))
    clock.now = at(5)
    group.advance(0)
    first = price(0, 1, 1, "x")
    backlog.append(first, 0)
    assert [one.o for each in group.take([first], 0) for one in each.entries] == [0]
    told = price(1, 2, 2, id="odds:p")
    backlog.append(told, 0.1)
    assert group.take([told], 0.1) == []
    gone = entry(2, at(2), type=CueType.PRICE, id="odds:p", rev=2)
    gone = replace(gone, cue=replace(gone.cue, op=Op.RETRACT))
    backlog.append(gone, 0.1)
    assert [one.o for each in group.take([gone], 0.1) for one in each.entries] == [2]
    assert group.advance(1) == []
    assert not group.holds_prices


def test_conflated_prices_go_out_to_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SOCKETS_AT_ONCE", 1)
    clock, backlog = Stairs(), Backlog(max_entries=100, max_age_s=60)
    group = Cohort(3, clock, backlog, Floors(), conflate_ms=250)
    for number in range(3):
        group.add(member(number, EVERYTHING._replace(markets=frozenset({f"m{number}"}))))
    for o in range(4):
        backlog.append(price(o, o, o + 1, f"m{o % 3}"), 0)
    clock.now = at(9)

    def sent(deliveries: list[Delivery]) -> list[tuple[int, int]]:
        return [(each.to[0].number, one.o) for each in deliveries for one in each.entries]

    assert sent(group.advance(0)) == [(0, 3)]
    # What waits is no part of what a cursor tells, and it waits for nothing but the loop.
    assert (group.told.upto, group.next_instant()) == (at(0), 0)
    assert sent(group.advance(0)) == [(1, 1)]
    assert sent(group.advance(0.01)) == [(2, 2)]
    assert (group.told.upto, group.next_instant()) == (at(9), None)
