from __future__ import annotations

import pytest

from feeds.media import MAX_SPAN_S, SegmentMedia, TrackKey, track_over
from kernel.errors import MediaError
from kernel.pts import WRAP

VIDEO = TrackKey("video", "h264", 1, 90_000)
AUDIO = TrackKey("audio", "aac", 2, 48_000)


def test_a_track_tells_its_span_modulo_the_wrap_and_its_times_unreduced() -> None:
    track = track_over(VIDEO, [WRAP - 10, WRAP + 10], WRAP + 30, frames=5)
    assert (track.start, track.end, track.duration, track.frames) == (WRAP - 10, 30, 40, 5)
    assert track.pts == (WRAP - 10, WRAP + 10)
    assert track.key == VIDEO
    assert track_over(VIDEO, [1, 2], 3).frames == 2


def test_no_segment_is_longer_than_an_hour() -> None:
    limit = MAX_SPAN_S * 90_000
    assert track_over(VIDEO, [0, limit], limit + 1).duration == limit + 1
    with pytest.raises(MediaError, match="track 1 jumps by 3600 s"):
        track_over(VIDEO, [0, limit + 1], limit + 2)


def test_the_lead_is_the_first_video_then_the_first_audio() -> None:
    video, audio = track_over(VIDEO, [0], 1), track_over(AUDIO, [0], 1)
    assert SegmentMedia("fmp4", (audio, video)).lead is video
    assert SegmentMedia("packed_audio", (audio,)).lead is audio
    with pytest.raises(MediaError, match="neither video nor audio"):
        _ = SegmentMedia("mpegts", ()).lead


def test_the_signature_holds_declared_tracks_even_without_packets() -> None:
    video, audio = track_over(VIDEO, [0], 1), track_over(AUDIO, [0], 1)
    silent = SegmentMedia("mpegts", (video,), (VIDEO, AUDIO))
    assert silent.signature == SegmentMedia("mpegts", (video, audio)).signature == tuple(sorted([VIDEO, AUDIO]))
