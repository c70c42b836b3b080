"""Marks and openings address segments alike."""

from __future__ import annotations

from kernel.marks import Opened, ReleaseMark, Served
from kernel.pts import Ticks
from kernel.timeline import MediaTime, SegmentKey

UPTO = MediaTime(0, Ticks(180_000))


def test_a_mark_and_its_opening_have_one_address() -> None:
    mark = ReleaseMark("s", 1, 7, None, UPTO, 12.5)
    opened = Opened("s", 1, 7, None, UPTO, 12.6)
    assert mark.key == opened.key == SegmentKey(1, 7)


def test_an_opening_without_a_mark_says_so() -> None:
    assert Opened("s", 0, 1, None, None, 0.0).upto is None


def test_what_was_served_names_a_session_and_numbers_only() -> None:
    assert Served("s", "sid", 3, 5) == Served(stream="s", session="sid", first_msn=3, last_msn=5)
