from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.backlog import Backlog, newest_revisions
from hub.cursor import NOTHING_SENT, Cursor
from kernel.timeline import BEGINNING, END
from tests.hub.makers import at, entry


def backlog(max_entries: int = 100, max_age_s: float = 60) -> Backlog:
    return Backlog(max_entries=max_entries, max_age_s=max_age_s)


def offsets(log: Backlog, since: Cursor, frontier: object = END) -> list[int]:
    return [one.o for one in log.owed(since, frontier)]  # type: ignore[arg-type]


def test_owed_in_the_order_of_due_then_offset() -> None:
    log = backlog()
    for o, due in enumerate([3, 1, 2, 1]):
        assert log.append(entry(o, at(due)), 0)
    assert offsets(log, NOTHING_SENT) == [1, 3, 2, 0]
    assert offsets(log, NOTHING_SENT, at(2)) == [1, 3]
    assert log.next_due(at(2)) == at(2)
    assert log.next_due(at(4)) is None


def test_a_known_offset_is_refused() -> None:
    log = backlog()
    log.append(entry(4, at(1)), 0)
    assert not log.append(entry(4, at(1)), 0)
    assert not log.append(entry(3, at(1)), 0)
    assert len(log) == 1


def test_late_entries_are_owed_beside_what_falls_due() -> None:
    log = backlog()
    log.append(entry(0, at(5)), 0)
    cursor = Cursor(-1, at(4), 0)
    log.append(entry(1, at(1)), 0)
    log.append(entry(2, None), 0)
    assert offsets(log, cursor, at(6)) == [1, 0]
    # A frontier that went back (a VOD whose first segment became known) owes nothing beyond it.
    assert offsets(log, cursor, at(0.5)) == []


def test_the_oldest_are_forgotten_by_number_and_by_age() -> None:
    log = backlog(max_entries=20, max_age_s=10)
    for o in range(30):
        log.append(entry(o, at(o)), 0)
    assert 20 <= len(log) <= 22
    assert offsets(log, NOTHING_SENT)[-1] == 29
    log.append(entry(30, at(1)), 11)
    assert offsets(log, NOTHING_SENT) == [30]


def test_cleared_it_takes_offsets_from_the_beginning() -> None:
    log = backlog()
    log.append(entry(9, at(1)), 0)
    log.clear()
    assert offsets(log, NOTHING_SENT) == []
    assert log.append(entry(0, at(1)), 0)


def test_only_the_newest_revision_of_an_id() -> None:
    entries = [entry(5, at(1), id="a", rev=3), entry(6, at(1), id="b"), entry(7, at(2), id="a", rev=2)]
    assert [one.o for one in newest_revisions(entries)] == [5, 6]
    assert newest_revisions([]) == []


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(0, 10), st.integers(0, 30), st.integers(0, 10))
def test_owed_is_what_the_cursor_says(dues: list[int], upto: int, seen: int, frontier: int) -> None:
    log = backlog(max_entries=1_000)
    for o, due in enumerate(dues):
        log.append(entry(o, at(due)), 0)
    since = Cursor(-1, at(upto) if upto else BEGINNING, seen)
    owed = [(due, o) for o, due in enumerate(dues) if (o > seen or at(due) >= since.upto) and due < frontier]
    assert offsets(log, since, at(frontier)) == [o for _, o in sorted(owed)]


def test_safety_overtakes_the_log_without_hiding_what_it_overtook() -> None:
    backlog = Backlog(max_entries=100, max_age_s=1e9)
    assert backlog.append(entry(0, at(0)), 0)
    # 1 and 2 wait for the disk; 3 is safety and does not.
    assert backlog.append(entry(3, None), 0)
    assert (backlog.head, backlog.through) == (0, 0)
    assert not backlog.append(entry(3, None), 0)
    assert backlog.append(entry(1, at(1)), 0)
    assert backlog.through == 1
    assert backlog.append(entry(2, at(2)), 0)
    # The log has come up to it.
    assert backlog.through == 3
    assert backlog.append(entry(4, at(3)), 0)
    assert backlog.through == 4
    # It follows on: nothing can be on its way below it.
    assert backlog.append(entry(5, None), 0)
    assert backlog.through == 5
    assert len(backlog) == 4
