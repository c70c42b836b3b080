from __future__ import annotations

import pytest

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


def test_it_measures_how_far_ahead_of_its_picture_an_entry_is_sealed() -> None:
    schedule = ReleaseSchedule("game", hold_s=6.0)
    # Sealed before the mark of its segment, as a rule; then between the mark and its time; then too late.
    schedule.note_sealed(MediaTime(0, Ticks(90_000)), now=1.0)
    schedule.mark(timing(0, "a"), arrived=2.0, now=2.0)
    schedule.note_sealed(MediaTime(0, Ticks(90_000)), now=5.0)
    schedule.note_sealed(MediaTime(0, Ticks(90_000)), now=8.5)
    assert (schedule.leads.leads.count, schedule.leads.leads.total) == (2, 10.0)
    assert (schedule.leads.lates.count, schedule.leads.lates.total) == (1, 0.5)


def test_it_forgets_old_marks() -> None:
    schedule = ReleaseSchedule("game")
    for msn in range(3 * REMEMBERED_MARKS):
        schedule.mark(timing(msn, "x"), arrived=0.0, now=float(msn))
    assert len(schedule._ats) <= 2 * REMEMBERED_MARKS
    assert schedule.out_since(MediaTime(0, Ticks(0)), now=1e9) is not None


def test_a_learned_hold_changes_by_a_twentieth_of_media_time() -> None:
    schedule = ReleaseSchedule("game")
    schedule.aim(1.0)
    # Segments of two seconds that arrive every two seconds.
    marks = [schedule.mark(timing(n, "x", wall=None), arrived=2.0 * n, now=2.0 * n) for n in range(14)]
    holds = [mark.at - 2.0 * n for n, mark in enumerate(marks) if mark is not None]
    assert holds[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert holds[-4:] == pytest.approx([1.0] * 4)
    schedule.aim(0.0)
    mark = schedule.mark(timing(14, "x", wall=None), arrived=28.0, now=28.0)
    assert mark is not None
    assert mark.at == pytest.approx(28.9)


def test_a_segment_that_is_a_little_late_goes_out_in_step() -> None:
    schedule = ReleaseSchedule("game", hold_s=4.0)
    arrivals = [0.0, 2.0, 5.5, 6.0, 8.0]
    ats = []
    for n, arrived in enumerate(arrivals):
        mark = schedule.mark(timing(n, "x", wall=None), arrived=arrived, now=arrived)
        assert mark is not None
        ats.append(mark.at)
    # The third came 1.5 s late and costs a twentieth of its two seconds at most.
    assert ats == pytest.approx([4.0, 6.0, 8.1, 10.0, 12.0])


def test_one_that_is_late_by_more_begins_the_delay_anew() -> None:
    schedule = ReleaseSchedule("game", hold_s=2.0)
    schedule.mark(timing(0, "x", wall=None), arrived=0.0, now=0.0)
    late = schedule.mark(timing(1, "x", wall=None), arrived=12.0, now=12.0)
    following = schedule.mark(timing(2, "x", wall=None), arrived=14.0, now=14.0)
    assert late is not None
    assert following is not None
    assert (late.at, following.at) == (14.0, 16.0)


def test_without_a_hold_video_never_waits() -> None:
    schedule = ReleaseSchedule("game")
    for n, arrived in enumerate([0.0, 5.0, 5.1, 9.0]):
        mark = schedule.mark(timing(n, "x", wall=None), arrived=arrived, now=arrived + 0.2)
        assert mark is not None
        assert mark.at == arrived + 0.2


def test_it_tells_what_hold_a_fact_would_have_needed() -> None:
    schedule = ReleaseSchedule("game", hold_s=3.0)
    told = timing(0, "x", wall=None)
    assert schedule.needed_hold_s(told.begins, received=50.0) == 0.0
    schedule.mark(told, arrived=10.0, now=10.2)
    assert schedule.needed_hold_s(told.begins, received=12.5) == 2.5
    assert schedule.needed_hold_s(told.begins, received=9.0) == 0.0
    assert schedule.needed_hold_s(told.upto, received=50.0) == 0.0


def test_a_lead_is_kept_where_the_hold_does_not_give_it() -> None:
    schedule = ReleaseSchedule("game", lead_s=0.2)
    first = schedule.mark(timing(1, "a"), arrived=10.0, now=10.1)
    assert first is not None
    assert first.at == pytest.approx(10.3)
    held = ReleaseSchedule("game", hold_s=6.0, lead_s=0.2).mark(timing(1, "a"), arrived=10.0, now=10.1)
    assert held is not None
    assert held.at == 16.0
