"""A recorded presentation as a live one: what slides together, and under which names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import PlaylistError
from kernel.playlist import MediaPlaylist, parse_media_playlist
from lockstep.ensemble import Ensemble, Programme

FOLDER = Path("/recorded")
START = 2_000_000_000.0

TOP = (
    "#EXTM3U\n#EXT-X-VERSION:6\n"
    '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k.key"\n'
    '#EXT-X-SESSION-DATA:DATA-ID="d",URI="data/d.json"\n'
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="audio/en.m3u8"\n'
    '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="en",URI="subs.m3u8"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2",AUDIO="a"\naudio/en.m3u8\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="a",SUBTITLES="s"\nvideo/v.m3u8\n'
)


def media(*durations: float, ending: str = "ts", date: str = "", head: str = "") -> str:
    dated = f"#EXT-X-PROGRAM-DATE-TIME:{date}\n" if date else ""
    listed = "".join(f"#EXTINF:{duration},\ns{n}.{ending}\n" for n, duration in enumerate(durations))
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n{head}{dated}{listed}#EXT-X-ENDLIST\n"


FILES = {
    "index.m3u8": TOP,
    "video/v.m3u8": media(2, 2, 2, 2, 2, date="2024-01-01T00:00:00.000Z"),
    "audio/en.m3u8": media(1.98, 2.02, 2, 1.99, 2.005, ending="aac", date="2024-01-01T00:00:00.010Z"),
    "subs.m3u8": media(10, ending="vtt"),
}


def programme(files: Mapping[str, str] = FILES, name: str = "index.m3u8") -> Programme:
    return Programme.read(FOLDER / name, lambda path: files[str(path.relative_to(FOLDER))])


def listed(ensemble: Ensemble, name: str, now: float) -> MediaPlaylist:
    text = ensemble.playlist(name, now)
    assert text is not None
    return parse_media_playlist(text)


def test_the_top_stays_but_for_keys_that_move() -> None:
    read = programme()
    assert read.top == TOP.replace('#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k.key"\n', "")
    # The variant with video leads, wherever it stands.
    assert list(read.recordings) == ["video/v.m3u8", "audio/en.m3u8", "subs.m3u8"]
    assert FOLDER / "data/d.json" in read.files
    assert FOLDER / "audio/s4.aac" in read.files


def test_a_media_playlist_alone_is_a_programme_too() -> None:
    read = programme({"only.m3u8": FILES["video/v.m3u8"]}, "only.m3u8")
    assert (read.entry, read.top) == ("index.m3u8", None)
    ensemble = Ensemble(read, START, loop=True, window=2)
    assert [segment.uri for segment in listed(ensemble, "index.m3u8", START).segments] == ["0/s0.ts", "0/s1.ts"]
    assert ensemble.playlist("only.m3u8", START) is None


def test_what_overlaps_the_leading_window_is_listed() -> None:
    ensemble = Ensemble(programme(), START, loop=True, window=2)
    # Subtitles in one piece: the head start lasts until it has happened.
    assert [segment.uri for segment in listed(ensemble, "subs.m3u8", START).segments] == ["0/s0.vtt"]
    for after_s, names in ((0.1, ["0/s3", "0/s4"]), (2.1, ["0/s4", "1/s0"]), (4.1, ["1/s0", "1/s1"])):
        for name, ending in (("video/v.m3u8", ".ts"), ("audio/en.m3u8", ".aac")):
            assert [s.uri for s in listed(ensemble, name, START + after_s).segments] == [n + ending for n in names]


@given(st.floats(0, 500), st.integers(1, 5), st.booleans())
def test_renditions_slide_in_step(elapsed_s: float, window: int, loop: bool) -> None:
    ensemble = Ensemble(programme(), START, loop=loop, window=window)
    now = START + elapsed_s
    video, audio, subs = (listed(ensemble, name, now) for name in ("video/v.m3u8", "audio/en.m3u8", "subs.m3u8"))
    assert abs(video.segments[-1].msn - audio.segments[-1].msn) <= 1
    assert abs(video.media_sequence - audio.media_sequence) <= 1
    assert subs.segments
    for playlist in (audio, subs):
        # Loops begin anew at the same moment: a discontinuity of one is a discontinuity of all.
        own = {s.discontinuity_sequence: s.pdt for s in playlist.segments if s.discontinuity}
        for segment in video.segments:
            pdt = own.get(segment.discontinuity_sequence)
            if segment.discontinuity and segment.pdt is not None and pdt is not None:
                assert abs(segment.pdt - pdt) <= 0.011


@given(st.floats(0, 200), st.floats(0, 60))
def test_two_polls_of_a_rendition_tell_the_same_story(first_s: float, later_s: float) -> None:
    """RFC 8216, 6.2.2."""
    ensemble = Ensemble(programme(), START, loop=True, window=3)
    for name in ("video/v.m3u8", "audio/en.m3u8", "subs.m3u8"):
        polls = [listed(ensemble, name, START + s) for s in (first_s, first_s + later_s)]
        known = [{segment.msn: segment for segment in poll.segments} for poll in polls]
        for msn in known[0].keys() & known[1].keys():
            assert known[0][msn] == known[1][msn]
        assert polls[1].media_sequence >= polls[0].media_sequence
        assert polls[1].discontinuity_sequence >= polls[0].discontinuity_sequence


def test_dates_keep_their_distance_between_renditions() -> None:
    ensemble = Ensemble(programme(), START, loop=True, window=5)
    firsts = [listed(ensemble, name, START).segments[0].pdt or 0.0 for name in FILES if name != "index.m3u8"]
    assert [round(first - firsts[0], 3) for first in firsts] == [0.0, 0.010, 0.0]


def test_files_lie_beside_their_playlist() -> None:
    ensemble = Ensemble(programme(), START, loop=True, window=5)
    assert ensemble.file("video/0/s0.ts", START) == FOLDER / "video/s0.ts"
    assert ensemble.file("audio/0/s0.aac", START) == FOLDER / "audio/s0.aac"
    assert ensemble.file("0/s0.vtt", START) == FOLDER / "s0.vtt"
    assert ensemble.file("data/d.json", START) == FOLDER / "data/d.json"
    for path in ("0/s0.ts", "video/0/s0.aac", "video/1/s0.ts", "video/s0.ts", "k.key", "../index.m3u8"):
        assert ensemble.file(path, START) is None


def test_the_end_ends_all() -> None:
    ensemble = Ensemble(programme(), START, loop=False, window=2)
    for name in ("video/v.m3u8", "audio/en.m3u8", "subs.m3u8"):
        assert listed(ensemble, name, START + 60).ended


def test_an_empty_rendition_is_named() -> None:
    with pytest.raises(PlaylistError, match="no segment"):
        programme({**FILES, "subs.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"})


@pytest.mark.parametrize("uri", ["http://h/a.m3u8", "/a.m3u8", "../a.m3u8", "a/%2e%2e/b.m3u8", "?x", "a%00"])
def test_playlists_that_lie_elsewhere(uri: str) -> None:
    with pytest.raises(PlaylistError, match=re.escape("recording's folder")):
        programme({"index.m3u8": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{uri}\n"})
