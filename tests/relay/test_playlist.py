from __future__ import annotations

import pytest

from kernel.errors import OriginRefused
from kernel.playlist import parse_media_playlist
from kernel.timeline import SegmentKey
from relay.playlist import Listed, asset_name, assets, compose, extension, segment_name
from tests.support.playlists import BASE

ORIGIN = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-KEY:METHOD=AES-128,URI="k1",FUTURE=1
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.040Z
#EXT-X-UNKNOWN:  Kept, as = "it stands"
#EXTINF:2.0,A title
deep/a.ts?x=1
#EXTINF:2.5,
http://cdn.test/a.ts
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=NONE
#EXT-X-MAP:URI="init.mp4",BYTERANGE="100@0"
#EXT-X-BYTERANGE:500@100
#EXTINF:2.0,
c.mp4
"""


def resolve(uri: str) -> str:
    if uri.startswith("skd:"):
        raise OriginRefused("not fetched")
    return uri if "://" in uri else BASE + uri


def listed(text: str = ORIGIN, *, shift: int = 0, first_sequence: int = 4) -> list[Listed]:
    out: list[Listed] = []
    sequence = first_sequence
    for segment in parse_media_playlist(text).segments:
        sequence += segment.discontinuity
        key = SegmentKey(1, segment.msn + shift)
        out.append(
            Listed(key, resolve(segment.uri), segment, segment.discontinuity, sequence, broken=False, resolve=resolve)
        )
    return out


def test_it_writes_what_it_must_and_keeps_the_rest() -> None:
    items = listed()
    text = compose(parse_media_playlist(ORIGIN), items, ended=True)
    key, init = asset_name("key", BASE + "k1"), asset_name("init", BASE + "init.mp4")
    assert text == (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:4\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        f'#EXT-X-KEY:METHOD=AES-128,URI="main/{key}",FUTURE=1\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.040Z\n"
        '#EXT-X-UNKNOWN:  Kept, as = "it stands"\n'
        "#EXTINF:2.0,A title\nmain/1-7.ts\n"
        "#EXTINF:2.5,\nmain/1-8.ts\n"
        "#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n"
        f'#EXT-X-MAP:URI="main/{init}",BYTERANGE="100@0"\n'
        "#EXTINF:2.0,\nmain/1-9.mp4\n"
        "#EXT-X-ENDLIST\n"
    )


def test_a_list_that_begins_with_a_discontinuity_does_not_count_it_twice() -> None:
    text = compose(parse_media_playlist(ORIGIN), listed()[2:], ended=False)
    # RFC 8216, 6.2.2: the tag still stands in the list.
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:4\n" in text
    assert "#EXT-X-DISCONTINUITY\n" in text
    assert "ENDLIST" not in text


def test_renumbered_segments_name_the_iv_that_their_number_was() -> None:
    text = compose(parse_media_playlist(ORIGIN), listed(shift=100)[:2], ended=False)
    assert f"IV=0x{7:032x}" in text
    assert f"IV=0x{8:032x}" in text


def test_a_key_that_only_a_drm_understands_is_left_alone() -> None:
    line = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://asset",KEYFORMAT="com.apple.streamingkeydelivery"'
    text = ORIGIN.replace('#EXT-X-KEY:METHOD=AES-128,URI="k1",FUTURE=1', line)
    items = listed(text)
    assert line in compose(parse_media_playlist(text), items, ended=False)
    assert list(assets(items[0])) == []


@pytest.mark.parametrize(("ended", "kind"), [(True, "VOD"), (False, "EVENT")])
def test_a_vod_that_is_not_all_out_only_grows(ended: bool, kind: str) -> None:
    origin = parse_media_playlist(ORIGIN.replace("#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-PLAYLIST-TYPE:VOD"))
    assert f"#EXT-X-PLAYLIST-TYPE:{kind}\n" in compose(origin, listed(), ended=ended)


def test_an_event_stays_one() -> None:
    origin = parse_media_playlist(ORIGIN.replace("#EXT-X-VERSION:6", "#EXT-X-PLAYLIST-TYPE:EVENT"))
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in compose(origin, listed(), ended=False)


def test_names_tell_nothing_of_the_origin() -> None:
    item = listed()[1]
    assert segment_name(item) == "1-8.ts"
    assert extension("http://x/y.M4S?z=.exe") == ".m4s"
    assert extension("http://x/y.toolongending") == ".ts"
    assert extension("http://x/plain") == ".ts"
    assert asset_name("key", "http://a/k") != asset_name("key", "http://b/k")


def test_the_assets_of_a_segment() -> None:
    first, _, last = listed()
    assert list(assets(first)) == [(asset_name("key", BASE + "k1"), BASE + "k1")]
    assert list(assets(last)) == [(asset_name("init", BASE + "init.mp4"), BASE + "init.mp4")]
