from __future__ import annotations

import pytest

from kernel.blackouts import BlackoutRecord, Veil, Window, veil_over
from kernel.pts import Ticks
from kernel.timeline import MediaTime, SegmentTiming


def segment(start_s: float, wall: float | None, *, timeline: int = 0, length_s: float = 2.0) -> SegmentTiming:
    start, end = Ticks(round(start_s * 90_000)), Ticks(round((start_s + length_s) * 90_000))
    return SegmentTiming("g", 0, 1, None, "x", timeline, start, end, wall, 0.0, None if wall is None else "pdt")


def at(seconds: float, timeline: int = 0) -> MediaTime:
    return MediaTime(timeline, Ticks(round(seconds * 90_000)))


def test_a_record_is_a_value() -> None:
    record = BlackoutRecord("blk_1", "game1", "{}", 1.5, "ops")
    assert record == BlackoutRecord("blk_1", "game1", "{}", 1.5, "ops")
    assert record != BlackoutRecord("blk_1", "game1", None, 1.5, "ops")
    with pytest.raises(AttributeError):
        record.text = None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wall", "dark"),
    [
        (97.9, False),
        # Its last picture is before the window.
        (98.0, False),
        # One picture of it is within: its start is rounded down.
        (98.001, True),
        (100.0, True),
        # The end is rounded up.
        (109.999, True),
        (110.0, False),
        # Nobody knows when its pictures were.
        (None, True),
    ],
)
def test_a_window_by_the_time_of_the_picture(wall: float | None, dark: bool) -> None:
    assert Window(100.0, 110.0).covers(segment(0, wall)) is dark


@pytest.mark.parametrize(
    ("start_s", "timeline", "dark"),
    [(8, 0, False), (9, 0, True), (10, 0, True), (50, 0, True), (3, 1, True), (4, 1, False), (0, 2, False)],
)
def test_a_window_by_media_time(start_s: float, timeline: int, dark: bool) -> None:
    window = Window(start_media=at(10), end_media=at(4, timeline=1))
    assert window.covers(segment(start_s, 5.0, timeline=timeline)) is dark


def test_without_a_beginning_it_is_dark_at_once_and_without_an_end_for_good() -> None:
    windows = (Window(), Window(end=9.0), Window(end_media=at(1)), Window(start=1.0), Window(start_media=at(1)))
    assert [window.at_once for window in windows] == [True, True, True, False, False]
    assert Window().covers(segment(0, 1.0))
    assert Window(end=9.0).covers(segment(0, 8.9))
    assert not Window(end=9.0).covers(segment(0, 9.0))
    assert Window(start=9.0).covers(segment(0, 1e9))


def test_of_several_that_cover_a_segment_the_first_counts() -> None:
    strong, weak = Veil("a", Window(100.0, 110.0), None, 1.0), Veil("b", Window(90.0, 120.0), "other", 2.0)
    assert veil_over((strong, weak), segment(0, 105.0)) is strong
    assert veil_over((strong, weak), segment(0, 95.0)) is weak
    assert veil_over((strong, weak), segment(0, 120.0)) is None
    assert veil_over((), segment(0, 105.0)) is None
