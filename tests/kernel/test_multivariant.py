"""Multivariant playlists: RFC 8216, 4.3.4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import PlaylistError
from kernel.multivariant import MAX_ITEMS, Item, is_multivariant, parse_multivariant

VARIANT = "#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n"


def only(text: str) -> Item:
    (item,) = [item for item in parse_multivariant("#EXTM3U\n" + text + VARIANT).items if item.lines[-1] != "low.m3u8"]
    return item


def test_whole_playlist() -> None:
    lines = [
        "#EXT-X-VERSION:8",
        '#EXT-X-DEFINE:NAME="p",VALUE="deep"',
        "## a comment",
        "",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",URI="{$p}/en.m3u8"',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Main"',
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",URI="sub.m3u8"',
        '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="CC",INSTREAM-ID="CC1"',
        '#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2",AUDIO="a"',
        "audio.m3u8",
        '#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="mp4a.40.2,avc1.4d401e",AUDIO="a",FUTURE=yes',
        "# between",
        "{$p}/mid.m3u8?x=1",
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000,URI="{$p}/if.m3u8"',
        '#EXT-X-SESSION-DATA:DATA-ID="com.example.title",VALUE="Final"',
        '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k"',
        "#EXT-X-UNKNOWN:  as = it, stands",
    ]
    playlist = parse_multivariant("#EXTM3U\n" + "\n".join(lines) + "\n")
    assert [(item.role, item.kind, item.uri) for item in playlist.items] == [
        ("other", None, None),
        ("rendition", "audio", "deep/en.m3u8"),
        ("rendition", "audio", None),
        ("rendition", "subtitles", "sub.m3u8"),
        ("rendition", "closed-captions", None),
        ("variant", "audio", "audio.m3u8"),
        ("variant", "video", "deep/mid.m3u8?x=1"),
        ("iframe", "iframe", "deep/if.m3u8"),
        ("session_data", None, None),
        ("session_key", None, "k"),
        ("other", None, None),
    ]
    kept = [line for item in playlist.items for line in item.lines]
    assert kept == [
        line.replace("{$p}", "deep") for line in lines if line and not line.startswith(("##", "# ", "#EXT-X-DEFINE"))
    ]
    assert playlist.items[1].attributes["URI"] == "deep/en.m3u8"
    assert playlist.variables == {"p": "deep"}
    assert playlist.lead is playlist.items[6]


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ("", "video"),
        (',CODECS="mp4a.40.2"', "audio"),
        (',CODECS="mp4a.40.2",RESOLUTION=640x360', "video"),
        (',CODECS="ac-3, HVC1.2.4.L123.B0"', "video"),
        (',CODECS="ec-3,stpp.ttml.im1t"', "audio"),
    ],
)
def test_what_a_variant_says_that_it_has(attributes: str, kind: str) -> None:
    variant, _ = parse_multivariant(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1{attributes}\na.m3u8\n" + VARIANT).items
    assert variant.kind == kind


def test_without_any_video_the_first_variant_leads() -> None:
    text = '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\n{}\n'
    assert parse_multivariant("#EXTM3U\n" + text.format("a") + text.format("b")).lead.uri == "a"


def test_a_rendition_of_a_kind_that_nobody_knows_is_kept_and_ignored() -> None:
    """RFC 8216, 6.3.1."""
    assert only('#EXT-X-MEDIA:TYPE=SMELL,GROUP-ID="g",NAME="n",URI="x"\n').role == "other"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<html>", "not a playlist"),
        ("#EXTM3U\n", "without a variant"),
        ('#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n"\n', "without a variant"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "at the end without a URI"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n" + VARIANT, "line 3: '#EXT-X-STREAM-INF"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:AUDIO=1\na\n", "line 3: #EXT-X-STREAM-INF without BANDWIDTH"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,\n,\n#EXT-X-STREAM-INF:x\nb\n", "line 5: 'x' is no attribute"),
        ("#EXTM3U\nstray.m3u8\n" + VARIANT, "line 2: 'stray.m3u8' stands without"),
        ('#EXTM3U\n#EXT-X-MEDIA:GROUP-ID="a",NAME="n"\n' + VARIANT, "line 2: #EXT-X-MEDIA without TYPE"),
        ('#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,NAME="n"\n' + VARIANT, "without GROUP-ID"),
        ('#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="a",NAME="n"\n' + VARIANT, "subtitles must have"),
        ('#EXTM3U\n#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="a",NAME="n",URI="x"\n' + VARIANT, "captions none"),
        ("#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1\n" + VARIANT, "without URI"),
        ("#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=AES-128\n" + VARIANT, "without URI"),
        ("#EXTM3U\n#EXTINF:4,\na.ts\n" + VARIANT, "line 2: #EXTINF in a multivariant playlist"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{$x}\n", "line 3: variable {.x} is not defined"),
        ('#EXTM3U\n#EXT-X-DEFINE:IMPORT="x"\n' + VARIANT, "no multivariant playlist defines x"),
        ("#EXTM3U\n" + VARIANT * (MAX_ITEMS + 1), "more than 1,000"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(PlaylistError, match=says):
        parse_multivariant(text)


def test_variables_may_come_from_the_url() -> None:
    text = '#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM="t"\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8?t={$t}\n'
    assert parse_multivariant(text, query="t=s%3D1").lead.uri == "a.m3u8?t=s=1"


def test_the_two_kinds_of_playlist_are_told_apart() -> None:
    assert is_multivariant("#EXTM3U\r\n" + VARIANT)
    assert is_multivariant('#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n"')
    assert not is_multivariant("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:3\n#EXTINF:4,\na.ts\n")
    assert not is_multivariant("<!-- #EXT-X-STREAM-INF: -->")


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, "#EXTM3U\n" + text, "#EXTM3U\n#EXT-X-MEDIA:" + text + "\n" + VARIANT):
        try:
            parse_multivariant(candidate)
        except PlaylistError as error:
            assert str(error)  # noqa: PT017
