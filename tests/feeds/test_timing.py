from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.media import SegmentMedia, TrackKey, track_over
from feeds.timing import Placed, TimelineTracker, TrackerState
from feeds.ts import RawTrack, segment_media
from kernel.errors import MediaError
from kernel.pts import WRAP

SEGMENT = 180_000


def media(start: int, *, pid: int = 257, frames: int = 50) -> SegmentMedia:
    pts = tuple((start + index * 3600) % WRAP for index in range(frames))
    return segment_media([RawTrack(TrackKey("video", "h264", pid, 90_000), pts, (3600,) * frames)])


def fragmented(start: int, frames: int = 50) -> SegmentMedia:
    """Return a segment of fMP4, whose counter does not wrap."""
    pts = range(start, start + frames * 3600, 3600)
    track = track_over(TrackKey("video", "h264", 257, 90_000), pts, start + frames * 3600)
    return SegmentMedia("fmp4", (track,), wraps=False)


def place(tracker: TimelineTracker, start: int, *, discontinuity: bool = False, skipped_s: float = 0.0) -> Placed:
    return tracker.place(media(start), discontinuity=discontinuity, target_duration_s=2, skipped_s=skipped_s)


def before(tracker: TimelineTracker, start: int, *, discontinuity: bool = False, skipped_s: float = 0.0) -> Placed:
    return tracker.place_before(
        media(start), discontinuity_between=discontinuity, target_duration_s=2, skipped_s=skipped_s
    )


def spans(placed: list[Placed]) -> list[tuple[int, int, int]]:
    return [(one.timeline, one.start, one.end) for one in placed]


def test_the_first_segment_stands_where_its_counter_stands() -> None:
    placed = place(TimelineTracker(7), 900_000)
    assert placed[:3] == (7, 900_000, 1_080_000)
    assert placed.why_new == "first"
    assert placed.frames == tuple(range(900_000, 1_080_000, 3600))


def test_a_stream_goes_on_beyond_the_wrap_on_one_timeline() -> None:
    tracker, first = TimelineTracker(), WRAP - 270_000
    placed = [place(tracker, (first + n * SEGMENT) % WRAP) for n in range(4)]
    assert spans(placed) == [(0, first + n * SEGMENT, first + (n + 1) * SEGMENT) for n in range(4)]
    assert [one.why_new for one in placed] == ["first", None, None, None]
    assert placed[1].frames[-1] == first + 2 * SEGMENT - 3600


def test_a_discontinuity_begins_a_timeline_at_its_own_counter() -> None:
    tracker = TimelineTracker()
    place(tracker, 900_000)
    placed = place(tracker, 1_080_000, discontinuity=True)
    assert (placed.timeline, placed.start, placed.why_new) == (1, 1_080_000, "discontinuity")


def test_a_new_timeline_takes_no_number_that_may_be_known_already() -> None:
    tracker = TimelineTracker(5, first_free=1_000)
    place(tracker, 900_000)
    state = tracker.state()
    assert state is not None
    after = TimelineTracker.restore(state, first_free=1_000)
    assert place(after, 900_000 + SEGMENT).timeline == 5
    assert place(after, 0, discontinuity=True).timeline == 1_000
    assert place(after, 0, discontinuity=True).timeline == 1_001


def test_a_new_timeline_begins_below_the_wrap_whatever_the_former_had_reached() -> None:
    tracker = TimelineTracker()
    place(tracker, WRAP - SEGMENT)
    place(tracker, 0)
    placed = place(tracker, SEGMENT, discontinuity=True)
    assert (placed.start, placed.end) == (SEGMENT, 2 * SEGMENT)


def test_changed_tracks_begin_a_timeline() -> None:
    tracker = TimelineTracker()
    place(tracker, 0)
    placed = tracker.place(media(SEGMENT, pid=300), discontinuity=False, target_duration_s=2)
    assert (placed.timeline, placed.why_new) == (1, "tracks")


@pytest.mark.parametrize(
    ("target_s", "jump", "why"),
    [
        (2, 90_000, None),
        (2, 90_001, "jump"),
        (2, -90_000, None),
        (2, -90_001, "jump"),
        # Half a second at the least, however short the segments.
        (0.5, 45_000, None),
        (0.5, 45_001, "jump"),
    ],
)
def test_an_unmarked_jump_begins_a_timeline_beyond_half_the_target_duration(
    target_s: float, jump: int, why: str | None
) -> None:
    tracker = TimelineTracker()
    tracker.place(media(900_000), discontinuity=False, target_duration_s=target_s)
    placed = tracker.place(media(1_080_000 + jump), discontinuity=False, target_duration_s=target_s)
    assert placed.why_new == why
    assert placed.start == 1_080_000 + jump


def test_the_jump_is_measured_behind_what_was_skipped() -> None:
    tracker = TimelineTracker()
    place(tracker, 0)
    assert place(tracker, 3 * SEGMENT, skipped_s=4.0).why_new is None
    assert place(tracker, 6 * SEGMENT).why_new == "jump"


def test_start_up_walks_backwards_across_the_wrap() -> None:
    tracker = TimelineTracker(100)
    placed = [before(tracker, SEGMENT), before(tracker, 0), before(tracker, WRAP - SEGMENT)]
    assert spans(placed) == [(100, SEGMENT, 2 * SEGMENT), (100, 0, SEGMENT), (100, -SEGMENT, 0)]
    # What then comes at the other end goes on behind the newest.
    assert place(tracker, 2 * SEGMENT)[:3] == (100, 2 * SEGMENT, 3 * SEGMENT)


def test_start_up_gives_older_timelines_lower_numbers() -> None:
    tracker = TimelineTracker(100)
    place(tracker, 900_000)
    older = before(tracker, 90_000_000, discontinuity=True)
    assert (older.timeline, older.start, older.why_new) == (99, 90_000_000, "discontinuity")
    assert before(tracker, 90_000_000 - SEGMENT)[:2] == (99, 90_000_000 - SEGMENT)
    assert before(tracker, 5, skipped_s=2.0)[:2] == (98, 5)


def test_start_up_counts_what_was_skipped() -> None:
    tracker = TimelineTracker(100)
    place(tracker, 900_000)
    assert before(tracker, 900_000 - 3 * SEGMENT, skipped_s=4.0)[:2] == (100, 900_000 - 3 * SEGMENT)


def test_a_restart_goes_on_where_the_state_says() -> None:
    tracker = TimelineTracker(3)
    assert tracker.state() is None
    place(tracker, WRAP - SEGMENT)
    state = tracker.state()
    assert state is not None
    kept = TrackerState.from_json(json.loads(json.dumps(state.as_json())))
    assert kept == state
    again = TimelineTracker.restore(kept)
    assert again.state() == state
    assert place(again, 0)[:3] == (3, WRAP, WRAP + SEGMENT)
    assert place(TimelineTracker.restore(kept), 77, discontinuity=True).timeline == 4
    assert before(TimelineTracker.restore(kept), WRAP - 2 * SEGMENT)[:2] == (3, WRAP - 2 * SEGMENT)


def test_times_of_fmp4_are_taken_as_they_stand() -> None:
    """ISO/IEC 14496-12, 8.8.12: a decode time has 64 bits; an epoch-locked one is 12 wraps of the other counter on."""
    epoch = 1_700_000_000 * 90_000
    tracker = TimelineTracker(100)
    placed = [
        tracker.place(fragmented(epoch + n * SEGMENT), discontinuity=False, target_duration_s=2) for n in range(2)
    ]
    placed.append(tracker.place_before(fragmented(epoch - SEGMENT), discontinuity_between=False, target_duration_s=2))
    assert spans(placed) == [(100, epoch + n * SEGMENT, epoch + (n + 1) * SEGMENT) for n in (0, 1, -1)]
    assert placed[1].frames[-1] == epoch + 2 * SEGMENT - 3600
    again = tracker.place(fragmented(epoch), discontinuity=True, target_duration_s=2)
    assert (again.timeline, again.start) == (101, epoch)


def test_a_step_of_a_whole_wrap_is_a_jump_in_fmp4_and_none_in_a_transport_stream() -> None:
    for make, why in ((fragmented, "jump"), (media, None)):
        tracker = TimelineTracker()
        tracker.place(make(0), discontinuity=False, target_duration_s=2)
        assert tracker.place(make(SEGMENT + WRAP), discontinuity=False, target_duration_s=2).why_new == why


def test_fmp4_may_begin_before_its_zero() -> None:
    tracker = TimelineTracker()
    assert tracker.place(fragmented(-7200), discontinuity=False, target_duration_s=2)[:2] == (0, -7200)
    assert tracker.place(fragmented(SEGMENT - 7200), discontinuity=False, target_duration_s=2).why_new is None


def test_another_kind_of_counter_begins_a_timeline() -> None:
    tracker = TimelineTracker()
    tracker.place(media(0), discontinuity=False, target_duration_s=2)
    assert tracker.place(fragmented(SEGMENT), discontinuity=False, target_duration_s=2).why_new == "tracks"
    state = tracker.state()
    assert state is not None
    assert TrackerState.from_json(json.loads(json.dumps(state.as_json()))) == state
    # A state from before this was kept is that of a transport stream.
    old = {name: value for name, value in state.as_json().items() if name != "wraps"}
    assert TrackerState.from_json(old).wraps


def test_a_segment_without_media_changes_nothing() -> None:
    tracker = TimelineTracker()
    place(tracker, 0)
    state = tracker.state()
    with pytest.raises(MediaError):
        tracker.place(SegmentMedia("mpegts", ()), discontinuity=False, target_duration_s=2)
    assert tracker.state() == state


@given(first=st.integers(0, WRAP - 1), lengths=st.lists(st.integers(1, 150), min_size=2, max_size=30), data=st.data())
def test_forwards_and_backwards_agree(first: int, lengths: list[int], data: st.DataObject) -> None:
    """Wherever start-up begins in a list, the spans that follow from it are those of the whole list."""
    starts = [first]
    for length in lengths:
        starts.append(starts[-1] + length * 3600)
    segments = [media(start % WRAP, frames=length) for start, length in zip(starts, lengths, strict=False)]
    split = data.draw(st.integers(0, len(segments) - 1))
    tracker = TimelineTracker(50)
    placed = {}
    for index in range(split, -1, -1):
        placed[index] = tracker.place_before(segments[index], discontinuity_between=False, target_duration_s=2)
    for index in range(split + 1, len(segments)):
        placed[index] = tracker.place(segments[index], discontinuity=False, target_duration_s=2)
    assert {one.timeline for one in placed.values()} == {50}
    origin = placed[0].start
    assert origin % WRAP == first
    assert [placed[index].start - origin for index in range(len(segments))] == [start - first for start in starts[:-1]]
