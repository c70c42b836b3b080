"""Media time is ordered by timeline first."""

from __future__ import annotations

from itertools import pairwise

from kernel.pts import WRAP, Ticks
from kernel.timeline import BEGINNING, END, MediaTime, SegmentKey, SegmentTiming, StreamState


def test_media_time_is_ordered_by_timeline_first() -> None:
    ordered = [
        BEGINNING,
        MediaTime(-3, Ticks(9 * WRAP)),
        MediaTime(0, Ticks(-1)),
        MediaTime(0, Ticks(5)),
        MediaTime(1, Ticks(-9 * WRAP)),
        END,
    ]
    assert all(former < later for former, later in pairwise(ordered))


def test_segment_keys_are_ordered_by_generation_first() -> None:
    assert SegmentKey(0, 900) < SegmentKey(1, 3) < SegmentKey(1, 4)


def test_a_timing_covers_the_time_from_its_start_up_to_its_end() -> None:
    timing = SegmentTiming("s", 1, 7, None, "http://h/7.ts", 2, Ticks(100), Ticks(280), None, 0.0, None)
    assert timing.key == SegmentKey(1, 7)
    assert timing.begins == MediaTime(2, Ticks(100))
    assert timing.upto == MediaTime(2, Ticks(280))


def test_the_state_of_a_stream_is_a_value() -> None:
    assert StreamState("s", 2, True, False, True, None) == StreamState("s", 2, True, False, True, None)
