"""Hostile playlists: what is read is sane, everything else is a PlaylistError, and either comes soon."""

from __future__ import annotations

import gc
import math
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.errors import PlaylistError
from kernel.multivariant import is_multivariant, parse_multivariant
from kernel.playlist import MAX_DURATION_S, MAX_SEGMENTS, parse_media_playlist
from relay.rewriting import rewrite_uris

DATA = Path(__file__).parents[2].parent / "shared" / "data"
QUICK = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
BOMB_BYTES = 1 << 20
"""An eighth of what is fetched."""

LIVE = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-DEFINE:NAME="base",VALUE="https://origin.test/live"
#EXT-X-DEFINE:IMPORT="auth"
#EXT-X-DEFINE:QUERYPARAM="token"
#EXT-X-START:TIME-OFFSET=-12.0
#EXT-X-MAP:URI="{$base}/init.mp4",BYTERANGE="720@0"
#EXT-X-KEY:METHOD=AES-128,URI="{$base}/key?{$auth}",IV=0x0123456789abcdef0123456789abcdef
#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://a",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"
#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:36.106Z
#EXT-X-BYTERANGE:4096@720
#EXTINF:4.00008,
all.mp4?{$token}
#EXT-X-DATERANGE:ID="ad",CLASS="com.apple.hls.interstitial",START-DATE="2019-02-14T02:13:40Z",X-ASSET-LIST="{$base}/l"
#EXT-X-BYTERANGE:4096
#EXTINF:4.00008,a title
all.mp4?{$token}
#EXT-X-DISCONTINUITY
#EXT-X-GAP
#EXTINF:3,
https://other.test/b.mp4
#EXT-X-KEY:METHOD=NONE
#EXT-X-PROGRAM-DATE-TIME:2016-12-31T23:59:60.123456789+02:00
#EXT-X-PART:DURATION=0.33334,URI="p.0.mp4"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p.1.mp4"
#EXT-X-RENDITION-REPORT:URI="../1M/live.m3u8",LAST-MSN=273,LAST-PART=2
"""
TOP = """#EXTM3U
#EXT-X-VERSION:11
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-DEFINE:NAME="auth",VALUE="a=b"
#EXT-X-DEFINE:QUERYPARAM="token"
#EXT-X-CONTENT-STEERING:SERVER-URI="/steering?video=0",PATHWAY-ID="a"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",DEFAULT=YES,LANGUAGE="en",URI="a/en.m3u8?{$auth}"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",URI="s/en.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS="mp4a.40.2",AUDIO="aac"
audio.m3u8?{$token}
#EXT-X-STREAM-INF:BANDWIDTH=2560000,AVERAGE-BANDWIDTH=2000000,CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360
mid/video.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI="low/iframe.m3u8"
#EXT-X-SESSION-DATA:DATA-ID="com.example.lyrics",URI="lyrics.json"
#EXT-X-SESSION-KEY:METHOD=AES-128,URI="https://keys.test/1"
"""
PIECES = [
    *dict.fromkeys(line for line in (LIVE + TOP).split("\n") if line),
    "", "#", "\0", "\u2028", '"', ",", "=", "{$", "{$base}", "{$x}", "://", "nan", "inf", "-1", "1e9", "9" * 30,
    "\r", "\n", "\ufeff",
    "#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-SKIP:SKIPPED-SEGMENTS=3", "#EXT-X-I-FRAMES-ONLY", "<html>",
    "#EXTINF:4", "#EXTINF:nan,", "#EXT-X-BYTERANGE:1", "#EXT-X-BYTERANGE:@1", '#EXT-X-DEFINE:NAME="x",VALUE="{$x}"',
]  # fmt: skip


def seeds() -> list[str]:
    recorded = [path.read_text() for path in sorted(DATA.glob("hls-*/*.m3u8"))]
    return [LIVE, TOP, *recorded]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a playlist with lines lost, doubled, moved, put in and spoiled."""
    lines = draw(st.sampled_from(seeds())).split("\n")
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["lose", "double", "move", "insert", "spoil", "spoil", "cut"])):
            case "lose" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "move":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "insert":
                lines.insert(at, draw(st.sampled_from(PIECES)))
            case "spoil":
                start, length = draw(st.integers(0, len(lines[at]))), draw(st.integers(0, 6))
                piece = draw(st.sampled_from(PIECES) | st.text(max_size=4))
                lines[at] = lines[at][:start] + piece + lines[at][start + length :]
            case _:
                lines = [*lines[:at], lines[at][: len(lines[at]) // 2]]
    return "\n".join(lines)


@QUICK
@given(mutated(), st.sampled_from(["", "token=t%20x", "token=%22%0A"]))
def test_media_playlists(text: str, query: str) -> None:
    try:
        playlist = parse_media_playlist(text, imported={"auth": "a=b"}, query=query)
    except PlaylistError as error:
        assert str(error)  # noqa: PT017
        return
    assert [segment.msn for segment in playlist.segments] == [
        playlist.media_sequence + index for index in range(len(playlist.segments))
    ]
    for segment in playlist.segments:
        assert 0 <= segment.duration_s <= MAX_DURATION_S
        assert segment.pdt is None or math.isfinite(segment.pdt)
        assert segment.uri.strip(" \t\r")
        assert not any("\n" in line or "\r\n" in line for line in segment.lines)
    own = [line for segment in playlist.segments for line in segment.lines[:-1]]
    for line in (*playlist.header, *playlist.trailer, *own):
        assert not line.startswith(("#EXT-X-DEFINE:", "#EXT-X-PART:", "#EXT-X-PRELOAD-HINT:"))
        gated = rewrite_uris(line, lambda *_: "gated")
        if line.startswith("#EXT-X-DATERANGE:") and gated is not None:
            assert "X-ASSET-LIST" not in gated or '"gated"' in gated


@QUICK
@given(mutated(), st.sampled_from(["", "token=t%20x", "token=%22%0A"]))
def test_multivariant_playlists(text: str, query: str) -> None:
    is_multivariant(text)
    try:
        playlist = parse_multivariant(text, query=query)
    except PlaylistError as error:
        assert str(error)  # noqa: PT017
        return
    assert playlist.lead.uri
    for item in playlist.items:
        assert len(item.lines) == (2 if item.role == "variant" else 1)
        assert (item.role in ("variant", "iframe")) <= bool(item.uri)


def bombs(size: int) -> dict[str, str]:
    """Return playlists of that size made to cost much, some with more in them than they look like."""
    n_segments = MAX_SEGMENTS // 8 * size // BOMB_BYTES
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
    one = "#EXTINF:4,\na.ts\n"

    def filled(line: str) -> str:
        return head + line * ((size - len(head)) // len(line))

    keys = "".join(f'#EXT-X-KEY:METHOD=X,KEYFORMAT="{n}"\n#EXTINF:4,\na\n' for n in range(n_segments))
    variable = f'#EXT-X-DEFINE:NAME="a",VALUE="{"x" * 16_000}"\n'
    return {
        "segments": head + one * n_segments,
        "too many segments": head + one * ((MAX_SEGMENTS + 1) * size // BOMB_BYTES),
        "dates": filled("#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:00.123456789+02:00\n#EXTINF:4.004,\nabcdefg.ts\n"),
        "bad dates": filled("#EXT-X-PROGRAM-DATE-TIME:2026-99-27T19:30:00\n"),
        "tags without a segment": filled("#EXT-X-GAP\n"),
        "extinf without a segment": filled("#EXTINF:4,\n"),
        "gaps and lost segments": filled("#EXT-X-GAP\n#EXTINF:4,\n"),
        "blank lines": filled("\n"),
        "comments": filled("#\n"),
        "keys": filled('#EXT-X-KEY:METHOD=AES-128,URI="a"\n'),
        "key formats": keys[:size],
        "attributes": head + "#EXT-X-KEY:" + ",".join(f"A{n}=1" for n in range(2_000)) + "\n" + one,
        "quotes": filled("#EXT-X-KEY:" + 'A="",' * 2_000 + "\n"),
        "open quotes": filled("#EXT-X-KEY:" + 'A="' * 4_000 + "\n"),
        "one line": head + "a" * size,
        "header": filled("#EXT-X-START:TIME-OFFSET=1\n"),
        "version": filled("#EXT-X-VERSION:3\n"),
        "definitions": filled('#EXT-X-DEFINE:NAME="a",VALUE="b"\n'),
        "long variables": head + variable + "#EXTINF:4,\n{$a}\n" * n_segments,
        "many variables": head + variable + "#EXTINF:4,\n" + "{$a}" * 4_000 + "\n",
        "open references": filled("#EXTINF:4,\n" + "{$" * 8_000 + "\n"),
        "variants": "#EXTM3U\n" + "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n" * (size // 32),
        "white space": " " * size,
    }


def cost_s(text: str) -> float:
    """Return the processor time that reading takes: the least of three, without the collector, which looks at all."""
    gc.disable()
    try:
        return min(_cost_s(text) for _ in range(3))
    finally:
        gc.enable()


def _cost_s(text: str) -> float:
    begun = time.thread_time()
    for read in (is_multivariant, parse_media_playlist, parse_multivariant):
        try:
            read(text)
        except PlaylistError:
            continue
    return time.thread_time() - begun


@pytest.mark.parametrize("name", bombs(0))
def test_what_is_made_to_cost_much_does_not(name: str) -> None:
    """A thread computes meanwhile, so what costs here costs every viewer (TRAPS 16d)."""
    whole_s, quarter_s = (cost_s(bombs(size)[name]) for size in (BOMB_BYTES, BOMB_BYTES // 4))
    # Four times as much costs four times as much, not sixteen times; whatever the machine, and what else it does.
    assert whole_s < 8 * quarter_s + 0.1
