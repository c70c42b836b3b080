"""A recording as a live stream: what is listed when, and under which names and numbers."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.dates import parse_date
from kernel.errors import PlaylistError, SettingsError
from kernel.playlist import parse_media_playlist
from lockstep.rehearsal import Recording, Rehearsal

FOLDER = Path("/recorded")
START = 2_000_000_000.0


def recording(body: str, head: str = "") -> Recording:
    return Recording.read(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{head}{body}#EXT-X-ENDLIST\n", FOLDER)


def plain(n: int, *, dated: bool = True) -> Recording:
    date = "#EXT-X-PROGRAM-DATE-TIME:2024-03-04T23:02:17.684Z\n" if dated else ""
    return recording(date + "".join(f"#EXTINF:2,\ns{i}.ts\n" for i in range(n)))


def test_a_whole_window_is_there_at_the_start() -> None:
    text = Rehearsal(plain(5), START, loop=True, window=3).playlist(START)
    assert text == (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
        "#EXT-X-PROGRAM-DATE-TIME:2033-05-18T03:33:14.000Z\n#EXTINF:2,\n0/s0.ts\n"
        "#EXT-X-PROGRAM-DATE-TIME:2033-05-18T03:33:16.000Z\n#EXTINF:2,\n0/s1.ts\n"
        "#EXT-X-PROGRAM-DATE-TIME:2033-05-18T03:33:18.000Z\n#EXTINF:2,\n0/s2.ts\n"
    )


def test_the_clock_before_the_start_changes_nothing() -> None:
    rehearsal = Rehearsal(plain(5), START, loop=True, window=3)
    assert rehearsal.playlist(START - 3600) == rehearsal.playlist(START)


@given(st.floats(0, 1000), st.booleans(), st.integers(1, 12))
def test_a_segment_is_listed_when_its_last_picture_happens(elapsed_s: float, loop: bool, window: int) -> None:
    now = START + elapsed_s
    playlist = parse_media_playlist(Rehearsal(plain(5), START, loop=loop, window=window).playlist(now))
    last = playlist.segments[-1]
    assert last.pdt is not None
    happened = last.pdt + last.duration_s
    assert happened <= now + 0.001
    assert playlist.ended or happened + 2 > now - 0.001
    assert len(playlist.segments) == (window if loop else min(window, 5))


@given(st.integers(0, 400), st.integers(0, 20), st.integers(1, 12))
def test_two_polls_tell_the_same_story(first_s: int, later_s: int, window: int) -> None:
    """RFC 8216, 6.2.1 and 6.2.2: numbers, dates, names and discontinuities of a segment never change."""
    source = recording("#EXTINF:2,\na.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:1.5,\nb.ts\n#EXTINF:2,\nc.ts\n")
    rehearsal = Rehearsal(source, START, loop=True, window=window)
    polls = [parse_media_playlist(rehearsal.playlist(START + s)) for s in (first_s, first_s + later_s)]
    known = [{segment.msn: segment for segment in poll.segments} for poll in polls]
    for msn in known[0].keys() & known[1].keys():
        assert known[0][msn] == known[1][msn]
    assert polls[1].media_sequence >= polls[0].media_sequence


def test_loops_have_names_of_their_own_and_a_discontinuity() -> None:
    text = Rehearsal(plain(3), START, loop=True, window=4).playlist(START + 4.5)
    playlist = parse_media_playlist(text)
    assert [segment.uri for segment in playlist.segments] == ["0/s2.ts", "1/s0.ts", "1/s1.ts", "1/s2.ts"]
    assert [segment.discontinuity for segment in playlist.segments] == [False, True, False, False]
    assert [segment.msn for segment in playlist.segments] == [2, 3, 4, 5]
    assert [segment.discontinuity_sequence for segment in playlist.segments] == [0, 1, 1, 1]
    dates = [segment.pdt or 0.0 for segment in playlist.segments]
    assert [later - former for former, later in pairwise(dates)] == [2.0] * 3


def test_discontinuities_that_left_the_window_are_counted() -> None:
    """RFC 8216, 6.2.2: the sequence is raised when a tag is removed."""
    rehearsal = Rehearsal(plain(2), START, loop=True, window=2)
    for loops in range(5):
        playlist = parse_media_playlist(rehearsal.playlist(START + 4.0 * loops + 2))
        assert playlist.media_sequence == 2 * loops + 1
        assert playlist.discontinuity_sequence == loops
        assert [segment.discontinuity_sequence for segment in playlist.segments] == [loops, loops + 1]


def test_recorded_discontinuities_are_kept() -> None:
    source = recording("#EXT-X-DISCONTINUITY\n#EXTINF:2,\na.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nb.ts\n")
    rehearsal = Rehearsal(source, START, loop=True, window=2)
    for slid in range(6):
        playlist = parse_media_playlist(rehearsal.playlist(START + 2 * slid))
        assert [s.discontinuity_sequence for s in playlist.segments] == [slid + 1, slid + 2]


def test_without_loop_it_ends() -> None:
    rehearsal = Rehearsal(plain(5), START, window=3)
    assert "#EXT-X-ENDLIST" not in rehearsal.playlist(START + 3.999)
    ended = parse_media_playlist(rehearsal.playlist(START + 4))
    assert ended.ended
    assert [segment.uri for segment in ended.segments] == ["0/s2.ts", "0/s3.ts", "0/s4.ts"]
    assert rehearsal.playlist(START + 10_000) == rehearsal.playlist(START + 4)


def test_a_short_recording_without_loop_is_there_at_once() -> None:
    playlist = parse_media_playlist(Rehearsal(plain(2), START).playlist(START))
    assert playlist.ended
    assert [segment.pdt for segment in playlist.segments] == [START - 4, START - 2]


def test_at_other_speeds_the_recorded_dates_stand() -> None:
    rehearsal = Rehearsal(plain(3), START, loop=True, window=3, speed=2.0)
    first = parse_media_playlist(rehearsal.playlist(START)).segments[0]
    assert first.pdt == parse_date("2024-03-04T23:02:17.684Z")
    after_a_loop = parse_media_playlist(rehearsal.playlist(START + 3)).segments[0]
    assert after_a_loop.uri == "1/s0.ts"
    assert after_a_loop.pdt == pytest.approx(first.pdt + 6)


def test_a_recording_without_dates_gets_some() -> None:
    for speed in (1.0, 2.0):
        text = Rehearsal(plain(3, dated=False), START, window=2, speed=speed).playlist(START)
        assert [segment.pdt for segment in parse_media_playlist(text).segments] == [START - 4, START - 2]


def test_dates_count_back_from_the_first_one_and_follow_a_gap() -> None:
    date = "#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:{}Z\n"
    source = recording(
        "#EXTINF:2,\na.ts\n" + date.format("10") + "#EXTINF:2,\nb.ts\n" + date.format("20") + "#EXTINF:2,\nc.ts\n"
    )
    assert source.first_date == parse_date("2024-01-01T00:00:08Z")
    rehearsal = Rehearsal(source, START, loop=True, window=2)
    assert rehearsal.playlist(START + 9.99).count("EXTINF") == 2
    assert "0/c.ts" not in rehearsal.playlist(START + 9.99)
    assert "0/c.ts" in rehearsal.playlist(START + 10)


def test_lines_are_kept_and_ranges_completed() -> None:
    source = recording(
        '#EXT-X-CUSTOM:"a"\n#EXT-X-BYTERANGE:10@0\n#EXTINF:2,title\nall.ts\n#EXT-X-BYTERANGE:20\n#EXTINF:2,\nall.ts\n',
        "#EXT-X-VERSION:4\n#EXT-X-TOP:1\n#EXT-X-START:TIME-OFFSET=0\n#EXT-X-INDEPENDENT-SEGMENTS\n",
    )
    lines = Rehearsal(source, START).playlist(START).splitlines()
    assert "#EXT-X-VERSION:4" in lines
    assert "#EXT-X-TOP:1" in lines
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    assert not [line for line in lines if line.startswith("#EXT-X-START")]
    assert '#EXT-X-CUSTOM:"a"' in lines
    assert "#EXTINF:2,title" in lines
    assert "#EXT-X-BYTERANGE:20@10" in lines


def test_keys_and_maps_move_with_their_loop() -> None:
    source = recording(
        '#EXT-X-MAP:URI="init.mp4"\n#EXT-X-KEY:METHOD=AES-128,URI="k/1.key"\n#EXTINF:2,\na.m4s\n'
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://far",KEYFORMAT="x"\n#EXTINF:2,\nb.m4s\n'
        "#EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\nc.m4s\n"
    )
    assert set(source.names) == {"init.mp4", "k/1.key", "a.m4s", "b.m4s", "c.m4s"}
    text = Rehearsal(source, START, loop=True, window=4).playlist(START + 2)
    first, second, third, fourth = parse_media_playlist(text).segments
    assert first.uri == "0/b.m4s"
    assert first.map_line == '#EXT-X-MAP:URI="0/init.mp4"'
    # RFC 8216, 5.2: the IV is the number the segment had when it was recorded.
    assert first.keys == (
        f'#EXT-X-KEY:METHOD=AES-128,URI="0/k/1.key",IV=0x{1:032x}',
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://far",KEYFORMAT="x"',
    )
    assert second.keys == ()
    assert third.keys == (f'#EXT-X-KEY:METHOD=AES-128,URI="1/k/1.key",IV=0x{0:032x}',)
    assert third.map_line == '#EXT-X-MAP:URI="1/init.mp4"'
    assert len(fourth.keys) == 2


def test_date_ranges_move_with_their_segment() -> None:
    """RFC 8216, 4.3.2.7: one ID, one START-DATE."""
    source = recording(
        "#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00Z\n"
        '#EXT-X-DATERANGE:ID="ad",START-DATE="2024-01-01T00:00:01Z",DURATION=1,END-DATE="2024-01-01T00:00:02Z"\n'
        "#EXTINF:2,\na.ts\n"
    )
    text = Rehearsal(source, START, loop=True, window=2).playlist(START)
    assert re.findall(r'ID="([^"]+)",START-DATE="[^"]+T([^"]+)"', text) == [
        ("ad", "03:33:17.000Z"),
        ("ad-1", "03:33:19.000Z"),
    ]
    assert 'DURATION=1,END-DATE="2033-05-18T03:33:18.000Z"' in text


def test_files_are_looked_up_and_only_once_they_are_out() -> None:
    source = recording('#EXT-X-MAP:URI="init.mp4"\n#EXTINF:2,\na%20b.ts?v=1\n#EXTINF:2,\nsub/c.ts\n')
    rehearsal = Rehearsal(source, START, loop=True, window=1)
    assert "0/a%20b.ts\n" in rehearsal.playlist(START)
    assert rehearsal.file("0/a b.ts", START) == FOLDER / "a b.ts"
    assert rehearsal.file("0/init.mp4", START) == FOLDER / "init.mp4"
    assert rehearsal.file("0/sub/c.ts", START) is None
    assert rehearsal.file("0/sub/c.ts", START + 2) == FOLDER / "sub/c.ts"
    assert rehearsal.file("1/init.mp4", START + 3.9) is None
    assert rehearsal.file("1/init.mp4", START + 4) == FOLDER / "init.mp4"


@pytest.mark.parametrize(
    "path",
    ["", "0", "0/", "a.ts", "00/s0.ts", "+0/s0.ts", "-1/s0.ts", "\u0660/s0.ts", "0/../s0.ts", "0//s0.ts", "0/s9.ts"],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    assert Rehearsal(plain(3), START).file(path, START) is None


def test_a_target_duration_that_is_too_low_is_raised() -> None:
    """RFC 8216, 4.3.3.1."""
    assert recording("#EXTINF:3.5,\na.ts\n").target_duration_s == 4
    assert recording("#EXTINF:1.2,\na.ts\n").target_duration_s == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "no segment"),
        ("#EXTINF:0,\na.ts\n", "no time"),
        ("#EXTINF:2,\nhttp://h/a.ts\n", "recording's folder"),
        ("#EXTINF:2,\n//h/a.ts\n", "recording's folder"),
        ("#EXTINF:2,\n/a.ts\n", "recording's folder"),
        ("#EXTINF:2,\n../a.ts\n", "recording's folder"),
        ("#EXTINF:2,\nb/%2e%2e/a.ts\n", "recording's folder"),
        ("#EXTINF:2,\n%00\n", "recording's folder"),
        ("#EXT-X-MAP:BYTERANGE=1\n#EXTINF:2,\na.ts\n", "no URI"),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n", "multivariant"),
    ],
)
def test_recordings_that_cannot_be_played(body: str, says: str) -> None:
    with pytest.raises(PlaylistError, match=says):
        recording(body)


@pytest.mark.parametrize(("window", "speed"), [(0, 1.0), (6, 0.0), (6, -1.0), (6, float("nan")), (6, 1001.0)])
def test_settings_that_make_no_stream(window: int, speed: float) -> None:
    with pytest.raises(SettingsError):
        Rehearsal(plain(3), START, window=window, speed=speed)


def test_a_loop_may_last_longer_than_the_recording() -> None:
    """Another rendition is longer: this one waits for it."""
    rehearsal = Rehearsal(plain(2), START, loop=True, window=1, period_us=5_000_000, head_start_us=4_000_000)
    uris = [parse_media_playlist(rehearsal.playlist(START + s)).segments[-1].uri for s in (0, 2.9, 3, 5)]
    assert uris == ["0/s1.ts", "0/s1.ts", "1/s0.ts", "1/s1.ts"]


def test_a_window_may_be_somebody_elses() -> None:
    rehearsal = Rehearsal(plain(5), START, loop=True, window=2)
    assert rehearsal.window_start_us(START) == 0
    assert rehearsal.window_start_us(START + 8) == 8_000_000
    for since_us, first in ((0, "0/s0.ts"), (1_995_000, "0/s1.ts"), (2_000_000, "0/s1.ts"), (99_000_000, "0/s2.ts")):
        text = rehearsal.playlist(START + 2, since_us=since_us)
        assert parse_media_playlist(text).segments[0].uri == first


def test_a_recording_counts_from_the_leading_one() -> None:
    lead, other = plain(2), recording("#EXT-X-PROGRAM-DATE-TIME:2024-03-04T23:02:17.704Z\n#EXTINF:2,\ns.ts\n")
    assert other.beside(lead).dates_us == (20_000,)
    assert other.beside(lead).ends_us == (2_020_000,)
    assert other.beside(lead).first_date == lead.first_date
    assert other.beside(plain(2, dated=False)).dates_us == (0,)
    assert plain(1, dated=False).beside(lead).dates_us == (0,)
