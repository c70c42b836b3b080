from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.apart import Apart
from hub.backlog import Backlog
from hub.cohort import Cohort
from hub.cursor import Cursor
from hub.floors import Floors
from hub.frontier import RealtimeClock
from hub.settings import HubSettings
from hub.subscriber import Subscriber
from kernel.timeline import MediaTime
from tests.hub.makers import at, entry


class Crowd:
    """Cohorts of one on one log."""

    def __init__(self) -> None:
        self.apart = Apart()
        self.backlog = Backlog(max_entries=100, max_age_s=100)

    def add(self, number: int, upto: MediaTime, *, listens: bool = True, watchful: bool = False) -> Cohort:
        cohort = Cohort(number, RealtimeClock(), self.backlog, Floors(), shared=False)
        cohort.cursor = Cursor(-1, upto, -1)
        if listens:
            cohort.add(Subscriber(number, "game", HubSettings(), 0))
        cohort.next_instant()
        self.apart.put(cohort, waits_for_opening=watchful)
        return cohort

    def concerned(self, due: MediaTime) -> list[int]:
        found = self.apart.concerned(due)
        for cohort in found:
            self.apart.put(cohort, waits_for_opening=False)
        return [cohort.number for cohort in found]


def test_an_entry_concerns_who_has_passed_it_and_who_waits_for_nothing_sooner() -> None:
    crowd = Crowd()
    crowd.backlog.append(entry(0, at(10)), 0)
    crowd.add(0, at(5))
    crowd.add(1, at(20))
    assert crowd.concerned(at(12)) == [1]
    # Sooner than what they wait for, and later than what either has passed.
    assert crowd.concerned(at(30)) == [1]
    assert crowd.concerned(at(7)) == [0, 1]
    assert crowd.concerned(at(4)) == [0, 1]


def test_who_is_behind_has_nobody_to_be_served() -> None:
    crowd = Crowd()
    crowd.add(3, at(5), listens=False)
    assert crowd.concerned(at(9)) == []
    assert crowd.concerned(at(4)) == [3]


def test_an_opening_concerns_the_watchful() -> None:
    crowd = Crowd()
    crowd.add(2, at(5), watchful=True)
    one = crowd.add(1, at(5), watchful=True)
    crowd.add(0, at(5))
    assert [cohort.number for cohort in crowd.apart.watchful()] == [1, 2]
    crowd.apart.put(one, waits_for_opening=False)
    assert [cohort.number for cohort in crowd.apart.watchful()] == [2]
    crowd.apart.remove(2)
    assert crowd.apart.watchful() == []
    assert (len(crowd.apart), [cohort.number for cohort in crowd.apart]) == (2, [1, 0])
    crowd.apart.remove(9)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=12),
    st.lists(st.integers(0, 20), max_size=4),
    st.integers(0, 20),
)
def test_nobody_concerned_is_left_out(places: list[tuple[int, bool]], log: list[int], due: int) -> None:
    crowd = Crowd()
    for o, second in enumerate(log):
        crowd.backlog.append(entry(o, at(second)), 0)
    cohorts = [crowd.add(number, at(upto), listens=listens) for number, (upto, listens) in enumerate(places)]
    expected = [
        one.number
        for one in cohorts
        if at(due) < one.cursor.upto or (one.listens and (one.next_due is None or at(due) < one.next_due))
    ]
    assert crowd.concerned(at(due)) == expected
