from __future__ import annotations

from feeds.release import REMEMBERED_MARKS, ReleaseSchedule
from kernel.marks import ReleaseMark
from kernel.pts import Ticks
from kernel.timeline import MediaTime
from tests.support.playlists import timing


def test_without_hold_a_segment_goes_out_at_once() -> None:
    schedule = ReleaseSchedule("game")
    mark = schedule.mark(timing(3, "c"), arrived=99.9, now=100.0)
    assert mark == ReleaseMark("game", 0, 3, None, MediaTime(0, Ticks(720_000)), 100.0)


def test_hold_counts_from_the_arrival() -> None:
    schedule = ReleaseSchedule("game", hold_s=6.0)
    marks = [schedule.mark(timing(msn, "x"), arrived=2.0 * msn, now=2.0 * msn + 0.1) for msn in range(3)]
    assert [mark.at for mark in marks if mark] == [6.0, 8.0, 10.0]


def test_a_segment_never_overtakes_its_predecessor() -> None:
    schedule = ReleaseSchedule("game", hold_s=6.0)
    first = schedule.mark(timing(1, "a"), arrived=10.0, now=10.0)
    second = schedule.mark(timing(2, "b"), arrived=3.0, now=10.0)
    assert first is not None
    assert second is not None
    assert second.at == first.at


def test_older_segments_are_covered_already() -> None:
    schedule = ReleaseSchedule("game")
    schedule.mark(timing(5, "e"), arrived=0.0, now=0.0)
    assert schedule.mark(timing(4, "d"), arrived=0.0, now=0.0) is None


def test_a_mark_from_disk_is_due_now() -> None:
    schedule = ReleaseSchedule("game")
    mark = ReleaseMark("game", 0, 5, None, MediaTime(0, Ticks(90)), 1e9)
    assert schedule.restore(mark, now=4.0).at == 4.0
    assert schedule.mark(timing(5, "e"), arrived=0.0, now=5.0) is None
    assert schedule.mark(timing(6, "f"), arrived=0.0, now=5.0) is not None


def test_it_tells_since_when_a_picture_is_out() -> None:
    schedule = ReleaseSchedule("game", hold_s=1.0)
    for msn in range(4):
        schedule.mark(timing(msn, "x"), arrived=2.0 * msn, now=2.0 * msn)
    assert schedule.out_since(MediaTime(0, Ticks(0)), now=10.0) == 1.0
    # A segment's end belongs to the next one.
    assert schedule.out_since(MediaTime(0, Ticks(180_000)), now=10.0) == 3.0
    assert schedule.out_since(MediaTime(0, Ticks(720_000 - 1)), now=6.9) is None
    assert schedule.out_since(MediaTime(0, Ticks(720_000)), now=10.0) is None


def test_it_forgets_old_marks() -> None:
    schedule = ReleaseSchedule("game")
    for msn in range(3 * REMEMBERED_MARKS):
        schedule.mark(timing(msn, "x"), arrived=0.0, now=float(msn))
    assert len(schedule._ats) <= 2 * REMEMBERED_MARKS
    assert schedule.out_since(MediaTime(0, Ticks(0)), now=1e9) is not None
