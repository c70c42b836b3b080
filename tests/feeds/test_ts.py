from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.media import GUESSED_FRAME, TrackKey, TrackTiming
from feeds.ts import MAX_GARBAGE_BYTES, RawTrack, garbage, segment_media, track_timing
from kernel.errors import MediaError
from kernel.pts import WRAP

VIDEO = TrackKey("video", "h264", 257, 90_000)
AUDIO = TrackKey("audio", "aac", 258, 90_000)


def raw(pts: list[int | None], durations: list[int] | None = None, key: TrackKey = VIDEO, frame: int = 0) -> RawTrack:
    return RawTrack(key, tuple(pts), tuple(durations or [0] * len(pts)), frame)


def test_a_track_is_timed_in_presentation_order() -> None:
    # B-frames: decoding order is not presentation order.
    assert track_timing(raw([0, 10_800, 3600, 7200])) == TrackTiming(
        kind="video",
        codec="h264",
        pid=257,
        timescale=90_000,
        frames=4,
        start=0,  # type: ignore[arg-type]
        end=14_400,  # type: ignore[arg-type]
        pts=(0, 3600, 7200, 10_800),
        duration=14_400,  # type: ignore[arg-type]
    )


def test_a_missing_duration_is_the_gap_to_the_predecessor_in_presentation_order() -> None:
    # The last packet of the file is not the last picture: the gap must not be taken in decoding order.
    assert track_timing(raw([0, 9000, 3000])).end == 15_000


def test_a_given_duration_counts_and_an_absurd_one_does_not() -> None:
    assert track_timing(raw([0, 3600], [3600, 1800])).end == 5400
    assert track_timing(raw([0, 3600], [3600, 1 << 40])).end == 7200
    assert track_timing(raw([0, 3600], [3600, -5])).end == 7200


def test_a_lone_frame_lasts_as_its_parameters_say_or_is_guessed() -> None:
    told = track_timing(raw([900], frame=1500))
    assert (told.end, told.guessed) == (2400, False)
    guessed = track_timing(raw([900]))
    assert (guessed.end, guessed.guessed) == (900 + GUESSED_FRAME, True)


def test_the_lowest_reduced_value_is_not_the_start_when_the_counter_wraps_inside() -> None:
    # Segment 28 of hls-ts-rollover: a picture stands at 0 modulo 2**33, in the middle of the segment.
    timing = track_timing(raw([WRAP - 7200, WRAP - 3600, 0, 3600]))
    assert (timing.start, timing.end) == (WRAP - 7200, 7200)
    assert timing.pts == (WRAP - 7200, WRAP - 3600, WRAP, WRAP + 3600)


def test_a_picture_before_the_first_packet_may_lie_before_the_wrap() -> None:
    timing = track_timing(raw([0, -3600 % WRAP]))
    assert timing.pts == (-3600, 0)
    assert (timing.start, timing.end) == (WRAP - 3600, 3600)


def test_tracks_of_a_segment_are_unwrapped_near_one_packet() -> None:
    media = segment_media([raw([100, 2020], key=AUDIO), raw([WRAP - 3600, 0])])
    assert [track.pts for track in media.tracks] == [(WRAP + 100, WRAP + 2020), (WRAP - 3600, WRAP)]


def test_packets_without_a_timestamp_count_as_frames_only() -> None:
    timing = track_timing(raw([0, None, 3600]))
    assert (timing.frames, timing.pts) == (3, (0, 3600))


def test_fields_that_share_a_time_are_one_picture_time() -> None:
    assert track_timing(raw([0, 0, 3600, 3600])).end == 7200


def test_a_reset_inside_a_segment_is_refused() -> None:
    with pytest.raises(MediaError, match=r"track 257 jumps by 10000 s inside the segment"):
        track_timing(raw([0, 10_000 * 90_000]))


def test_nothing_with_a_timestamp_is_refused() -> None:
    with pytest.raises(MediaError, match="no video or audio packet with a timestamp"):
        segment_media([raw([]), raw([None], key=AUDIO)])
    with pytest.raises(MediaError, match="track 257 has no timestamp"):
        track_timing(raw([None]))


def test_tracks_without_packets_are_declared() -> None:
    both = segment_media([raw([0]), raw([0], key=AUDIO)])
    silent = segment_media([raw([0]), raw([], key=AUDIO)])
    assert len(silent.tracks) == 1
    assert both.signature == silent.signature == tuple(sorted([VIDEO, AUDIO]))
    assert (both.container, both.wraps) == ("mpegts", True)


@pytest.mark.parametrize(
    ("body", "edges"),
    [
        (b"\x47" + bytes(187), (0, 0)),
        ((b"\x47" + bytes(187)) * 5 + b"end", (0, 3)),
        (b"G ho" + (b"\x47" + bytes(187)) * 3, (4, 0)),
        (b"\x47" + bytes(186), None),
        (b"<html>" * 100, None),
        (bytes(MAX_GARBAGE_BYTES) + (b"\x47" + bytes(187)) * 5, None),
        (b"", None),
    ],
)
def test_what_stands_around_the_packets_is_told(body: bytes, edges: tuple[int, int] | None) -> None:
    """ISO/IEC 13818-1, 2.4.3.2: packets of 188 bytes that begin with 0x47."""
    assert garbage(body) == edges


@given(
    start=st.integers(0, WRAP - 1),
    gaps=st.lists(st.integers(1, 9000), min_size=1, max_size=40),
    data=st.data(),
)
def test_the_span_does_not_depend_on_where_the_counter_stands(start: int, gaps: list[int], data: st.DataObject) -> None:
    """ISO/IEC 13818-1, 2.4.3.7: PTS are modulo 2**33; FFmpeg may add or take away whole wraps on its own terms."""
    shown = [0]
    for gap in gaps:
        shown.append(shown[-1] + gap)
    decoded = data.draw(st.permutations(shown))
    wraps = data.draw(st.lists(st.integers(-2, 2), min_size=len(decoded), max_size=len(decoded)))
    pts: list[int | None] = [(start + at) % WRAP + turn * WRAP for at, turn in zip(decoded, wraps, strict=True)]
    timing = track_timing(raw(pts))
    assert timing.start == start
    assert timing.end == (start + shown[-1] + gaps[-1]) % WRAP
    assert [at - timing.pts[0] for at in timing.pts] == shown
    assert timing.duration == shown[-1] + gaps[-1]
