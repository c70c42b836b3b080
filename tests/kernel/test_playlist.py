"""Media playlists: RFC 8216, and what origins make of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import PlaylistError
from kernel.playlist import (
    MAX_LINE_CHARS,
    MAX_SEGMENTS,
    MediaPlaylist,
    PlaylistSegment,
    parse_media_playlist,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
ONE = "#EXTINF:4,\na.ts\n"


def only(text: str) -> PlaylistSegment:
    (segment,) = parse_media_playlist(HEAD + text).segments
    return segment


def test_whole_playlist() -> None:
    text = (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXTINF:4.004,first\na.ts\n#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:3,\nb.ts\n#EXT-X-ENDLIST\n"
    )
    assert parse_media_playlist(text) == MediaPlaylist(
        version=6,
        target_duration_s=4,
        media_sequence=7,
        discontinuity_sequence=3,
        playlist_type="EVENT",
        ended=True,
        independent_segments=True,
        segments=(
            PlaylistSegment("a.ts", 4.004, 7, False, 3, None, ("#EXTINF:4.004,first", "a.ts")),
            PlaylistSegment("b.ts", 3.0, 8, True, 4, None, ("#EXT-X-GAP", "#EXTINF:3,", "b.ts"), gap=True),
        ),
    )


def test_defaults_of_the_standard() -> None:
    """RFC 8216, 4.3.1.2, 4.3.3.2 and 4.3.3.3."""
    playlist = parse_media_playlist(HEAD)
    assert (playlist.version, playlist.media_sequence, playlist.discontinuity_sequence) == (1, 0, 0)
    assert (playlist.playlist_type, playlist.ended, playlist.segments) == (None, False, ())


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEAD + ONE,
        (HEAD + ONE).replace("\n", "\r\n"),
        "\n" + HEAD + "\n## a comment\n\n" + ONE,
        HEAD + "#EXTINF:4\na.ts",
        HEAD + "#EXTINF: 4.000 ,title, with commas\na.ts\n\n",
        HEAD + "#EXTINF:99,\nlost-its-uri\n".replace("lost-its-uri\n", "") + ONE,
    ],
    ids=["bom", "crlf", "comments", "no comma, no final line break", "spaces", "a URI is lost"],
)
def test_tolerated(text: str) -> None:
    (segment,) = parse_media_playlist(text).segments
    assert (segment.uri, segment.duration_s) == ("a.ts", 4.0)
    assert [line for line in segment.lines if line.startswith("#EXTINF")] == [segment.lines[-2]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a playlist"),
        ("<!DOCTYPE html><html>", "<!DOCTYPE html>"),
        ("#EXTM3U8\n", "not a playlist"),
        ("#EXTM3U\n" + ONE, "no EXT-X-TARGETDURATION"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:3601\n", "1 to 3600"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:-4\n", "decimal integer"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:99999\n", "1 to 3600"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:" + "9" * 5000, "decimal integer"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:nan\n", "decimal integer"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:x\n", "decimal integer"),
        (HEAD + "#EXTINF:nan,\na.ts\n", "line 3"),
        (HEAD + "#EXTINF:inf,\na.ts\n", "line 3"),
        (HEAD + "#EXTINF:-1,\na.ts\n", "line 3"),
        (HEAD + "#EXTINF:1e3,\na.ts\n", "line 3"),
        (HEAD + "#EXTINF:3601,\na.ts\n", "line 3"),
        (HEAD + "a.ts\n", "without EXTINF"),
        (HEAD + "#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n", "multivariant"),
        (HEAD + '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="b"\n', "multivariant"),
        (HEAD + "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n" + ONE, "delta update"),
        (HEAD + "#EXTINF:4,\n{$base}/a.ts\n", "line 4: variable {.base} is not defined"),
        (HEAD + '#EXT-X-DATERANGE:ID="{$base}"\n' + ONE, "line 3: variable {.base} is not defined"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:9\n#EXT-X-BYTERANGE:7\n" + ONE, "line 6: the first byte range"),
        (HEAD + "".join(f'#EXT-X-KEY:METHOD=X,KEYFORMAT="{n}"\n' for n in range(99)) + ONE, "key formats at once"),
        (HEAD + "#EXT-X-BYTERANGE:x\n" + ONE, "byte range"),
        (HEAD + "#EXTINF:4,\n" + "a" * (MAX_LINE_CHARS + 1), "16384"),
        (HEAD + "#EXTINF:4,\na\0.ts\n", "NUL"),
        (HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="k\n' + ONE, "no attribute"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(PlaylistError, match=says):
        parse_media_playlist(text)


def test_segments_have_a_limit() -> None:
    assert len(parse_media_playlist(HEAD + ONE * MAX_SEGMENTS).segments) == MAX_SEGMENTS
    with pytest.raises(PlaylistError, match="100,000"):
        parse_media_playlist(HEAD + ONE * (MAX_SEGMENTS + 1))


def test_lines_and_tags_have_limits() -> None:
    for text, says in (
        ("\n" * 1_000_001, "more than 1,000,000 lines"),
        ("#EXT-X-START:TIME-OFFSET=1\n" * 1_001, "1,000 tags of the list itself"),
        ("#EXT-X-GAP\n" * 1_001, "line 1003: more than 1,000 tags of one segment"),
    ):
        with pytest.raises(PlaylistError, match=says):
            parse_media_playlist(HEAD + text)


def test_fractional_target_duration_is_rounded_up() -> None:
    assert parse_media_playlist("#EXTM3U\n#EXT-X-TARGETDURATION:2.002\n").target_duration_s == 3


def test_target_duration_may_stand_behind_segments() -> None:
    playlist = parse_media_playlist("#EXTM3U\n" + ONE + "#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n")
    assert playlist.target_duration_s == 4
    assert playlist.segments[0].msn == 5


def test_discontinuities_are_counted_from_the_first_tag_on() -> None:
    """RFC 8216, 6.2.1: the sequence plus the number of tags that precede the URI."""
    body = "#EXT-X-DISCONTINUITY\n" + ONE + ONE + "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY\n" + ONE
    playlist = parse_media_playlist("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-DISCONTINUITY-SEQUENCE:10\n" + body)
    assert [segment.discontinuity_sequence for segment in playlist.segments] == [11, 11, 13]
    assert [segment.discontinuity for segment in playlist.segments] == [True, False, True]


def test_date_stands_on_its_segment_wherever_among_its_tags() -> None:
    dated = "#EXTINF:4,\n#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:00Z\na.ts\n"
    first, second = parse_media_playlist(HEAD + dated + ONE).segments
    assert first.pdt == datetime(2026, 3, 27, 19, 30, tzinfo=UTC).timestamp()
    assert second.pdt is None


def test_unreadable_date_is_no_date_and_kept_as_a_line() -> None:
    segment = only("#EXT-X-PROGRAM-DATE-TIME:yesterday\n" + ONE)
    assert segment.pdt is None
    assert segment.lines[0] == "#EXT-X-PROGRAM-DATE-TIME:yesterday"


def test_unknown_tags_survive_and_parts_do_not() -> None:
    text = (
        "#EXTM3U\n#EXT-X-UNKNOWN-TOP:1\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n#EXT-X-START:TIME-OFFSET=-6\n"
        '#EXT-X-TARGETDURATION:4\n#EXT-OATCLS-SCTE35:/DA=\n#EXT-X-PART:DURATION=1,URI="p.ts"\n#EXTINF:4,caf\u00e9\u2028\n'
        'a.ts\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-DATERANGE:ID="x"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q.ts"\n'
    )
    playlist = parse_media_playlist(text)
    assert playlist.header == ("#EXT-X-UNKNOWN-TOP:1", "#EXT-X-START:TIME-OFFSET=-6", "#EXT-X-I-FRAMES-ONLY")
    assert playlist.segments[0].lines == ("#EXT-OATCLS-SCTE35:/DA=", "#EXTINF:4,caf\u00e9\u2028", "a.ts")
    assert playlist.trailer == ('#EXT-X-DATERANGE:ID="x"',)


def test_keys_are_state_by_key_format() -> None:
    """RFC 8216, 4.3.2.4."""
    identity = '#EXT-X-KEY:METHOD=AES-128,URI="1"'
    other = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="2",KEYFORMAT="com.example"'
    renewed = '#EXT-X-KEY:METHOD=AES-128,URI="3"'
    none = "#EXT-X-KEY:METHOD=NONE"
    lines = "\n".join(
        [identity, other, "#EXTINF:4,", "a.ts", renewed, "#EXTINF:4,", "b.ts", none, "#EXTINF:4,", "c.ts"]
    )
    segments = parse_media_playlist(HEAD + lines).segments
    assert [segment.keys for segment in segments] == [(identity, other), (renewed, other), ()]
    assert segments[0].lines == ("#EXTINF:4,", "a.ts")


def test_map_is_state() -> None:
    first, second = parse_media_playlist(HEAD + '#EXT-X-MAP:URI="init.mp4"\n' + ONE + ONE).segments
    assert first.map_line == second.map_line == '#EXT-X-MAP:URI="init.mp4"'


def test_byte_ranges_go_on_where_the_last_one_ended() -> None:
    """RFC 8216, 4.3.2.2."""
    text = "#EXT-X-BYTERANGE:10@5\n" + ONE + "#EXT-X-BYTERANGE:20\n" + ONE + "#EXT-X-BYTERANGE:7\n#EXTINF:4,\nb.ts\n"
    assert [s.byte_range for s in parse_media_playlist(HEAD + text).segments] == [(5, 10), (15, 20), (0, 7)]


def test_variables_are_substituted_and_gone() -> None:
    """RFC 8216bis, 4.3; what they hold may be the origin's address or the key to it, so no line defines them."""
    text = (
        '#EXT-X-DEFINE:NAME="host",VALUE="https://cdn.test"\n#EXT-X-DEFINE:IMPORT="path"\n'
        '#EXT-X-KEY:METHOD=AES-128,URI="{$host}/k"\n#EXT-X-MAP:URI="{$path}/init.mp4"\n'
        '#EXT-X-DATERANGE:ID="x",X-ASSET-LIST="{$host}/l"\n#EXT-X-NEW:{$host}\n#EXTINF:4,{$host}\n'
        '{$path}/a.ts?{$auth}\n#EXT-X-DEFINE:QUERYPARAM="auth"\n'
    )
    playlist = parse_media_playlist(HEAD + text, imported={"path": "a/b"}, query="auth=s%3Dx")
    (segment,) = playlist.segments
    assert segment.uri == "a/b/a.ts?s=x"
    assert segment.keys == ('#EXT-X-KEY:METHOD=AES-128,URI="https://cdn.test/k"',)
    assert segment.map_line == '#EXT-X-MAP:URI="a/b/init.mp4"'
    assert segment.lines == (
        '#EXT-X-DATERANGE:ID="x",X-ASSET-LIST="https://cdn.test/l"',
        "#EXT-X-NEW:{$host}",
        "#EXTINF:4,{$host}",
        "{$path}/a.ts?{$auth}",
    )
    assert playlist.header == playlist.trailer == ()


def test_variables_cannot_make_a_list_too_large() -> None:
    text = HEAD + f'#EXT-X-DEFINE:NAME="a",VALUE="{"x" * 16_000}"\n' + "#EXTINF:4,\n{$a}\n" * 5_000
    with pytest.raises(PlaylistError, match="too large"):
        parse_media_playlist(text)


def test_what_stands_behind_the_last_uri_belongs_to_the_next_one() -> None:
    behind = '#EXT-X-DATERANGE:ID="x"\n#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:00Z\n'
    assert parse_media_playlist(HEAD + ONE + behind).trailer == tuple(behind.split("\n")[:2])
    complete = parse_media_playlist(HEAD + ONE + behind + ONE)
    assert complete.segments[1].lines[:2] == tuple(behind.split("\n")[:2])
    assert complete.segments[1].pdt is not None
    assert complete.trailer == ()
    # A copy that was cut off between EXTINF and its URI.
    assert parse_media_playlist(HEAD + ONE + behind + "#EXT-X-GAP\n#EXTINF:4,\n").trailer[2:] == ()


def test_a_low_latency_list_is_read_segment_by_segment() -> None:
    """RFC 8216bis, 4.4.4.9 and 4.4.5; a date before the parts is that of the segment they are to become."""
    text = (
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=12\n"
        "#EXT-X-PART-INF:PART-TARGET=1\n"
        '#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:00Z\n#EXT-X-PART:DURATION=1,URI="a0.mp4"\n'
        '#EXT-X-PART:DURATION=1,URI="a1.mp4",INDEPENDENT=YES\n'
        + ONE
        + "#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:04Z\n"
        '#EXT-X-PART:DURATION=1,URI="b0.mp4"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b1.mp4"\n'
        '#EXT-X-RENDITION-REPORT:URI="../x/live.m3u8",LAST-MSN=1\n'
    )
    playlist = parse_media_playlist(HEAD + text)
    (segment,) = playlist.segments
    assert segment.lines == ("#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:00Z", "#EXTINF:4,", "a.ts")
    assert playlist.header == ()
    assert playlist.trailer == ("#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:04Z",)


@pytest.mark.parametrize(
    ("date", "unix_s"),
    [
        ("2026-03-27T19:30:00", 1774639800.0),
        ("2026-03-27T19:30:00Z", 1774639800.0),
        ("2026-03-27T21:30:00+02:00", 1774639800.0),
        ("2026-03-27T21:30:00.5+0200", 1774639800.5),
        ("2026-03-27T13:00:00-06:30", 1774639800.0),
        ("2026-03-27T19:30:00.123456789Z", 1774639800.123456),
        ("2016-12-31T23:59:60Z", 1483228800.0),
        ("2016-12-31T23:59:60.25Z", 1483228800.25),
    ],
)
def test_dates(date: str, unix_s: float) -> None:
    assert only(f"#EXTINF:4,\n#EXT-X-PROGRAM-DATE-TIME:{date}\na.ts\n").pdt == unix_s


def test_dates_that_go_backwards_are_told_as_they_are() -> None:
    dated = "#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:0{}Z\n" + ONE
    first, second = parse_media_playlist(HEAD + dated.format(9) + dated.format(2)).segments
    assert first.pdt is not None
    assert second.pdt == first.pdt - 7


def test_i_frames_gaps_bit_rates_and_changing_maps() -> None:
    """RFC 8216, 4.3.2.5 and 4.3.3.6; bis, 4.4.4.7 and 4.4.4.8."""
    text = (
        ('#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI="i",BYTERANGE="9@0"\n#EXT-X-BITRATE:800\n#EXT-X-BYTERANGE:10@9\n' + ONE)
        + '#EXT-X-MAP:URI="j"\n#EXT-X-GAP\n#EXT-X-BYTERANGE:20\n'
        + ONE
    )
    playlist = parse_media_playlist(HEAD + text)
    first, second = playlist.segments
    assert playlist.i_frames_only
    assert not parse_media_playlist(HEAD).i_frames_only
    assert (first.map_line, second.map_line) == ('#EXT-X-MAP:URI="i",BYTERANGE="9@0"', '#EXT-X-MAP:URI="j"')
    assert first.lines[0] == "#EXT-X-BITRATE:800"
    assert (first.gap, second.gap) == (False, True)
    assert (first.byte_range, second.byte_range) == ((9, 10), (19, 20))


def test_segments_under_the_same_keys_share_them() -> None:
    first, second = parse_media_playlist(HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="k"\n' + ONE + ONE).segments
    assert first.keys is second.keys


def test_real_recording() -> None:
    path = DATA / "hls-ts-rollover" / "playlist.m3u8"
    if not path.exists():
        pytest.skip("the shared recordings are not here")
    playlist = parse_media_playlist(path.read_text())
    assert [segment.duration_s for segment in playlist.segments] == [2.0] * 10
    assert [segment.pdt for segment in playlist.segments] == [1709593337.684 + 2 * n for n in range(10)]
    assert all(len(segment.lines) == 3 for segment in playlist.segments)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, HEAD + text, HEAD + "#EXT-X-KEY:" + text + "\n" + ONE):
        try:
            parse_media_playlist(candidate)
        except PlaylistError as error:
            assert str(error)  # noqa: PT017


def test_a_target_duration_of_nothing_is_a_second() -> None:
    # FFmpeg writes it for segments of less than half a second.
    assert parse_media_playlist("#EXTM3U\n#EXT-X-TARGETDURATION:0\n#EXTINF:0.4,\na.ts\n").target_duration_s == 1
