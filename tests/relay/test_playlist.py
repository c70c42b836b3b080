from __future__ import annotations

import pytest

from kernel.errors import OriginRefused
from kernel.playlist import parse_media_playlist
from kernel.timeline import SegmentKey
from relay.playlist import Asset, Listed, asset_name, compose, extension, fetchable, head_of, listed, segment_name
from tests.support.playlists import BASE

ORIGIN = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:3
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-KEY:METHOD=AES-128,URI="k1",FUTURE=1
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.040Z
#EXT-X-UNKNOWN:  Kept, as = "it stands"
#EXTINF:2.0,A title
deep/a.ts?x=1
#EXT-X-DATERANGE:ID="ad",START-DATE="2026-01-01T00:00:00Z",X-ASSET-LIST="ads.json",X-TRACKING="https://spy.test/x"
#EXTINF:2.5,
http://cdn.test/a.ts
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=NONE
#EXT-X-MAP:URI="all.mp4",BYTERANGE="100@8"
#EXT-X-BYTERANGE:500@108
#EXTINF:2.0,
all.mp4
"""
KEY = asset_name("key", Asset(BASE + "k1"))
INIT = asset_name("init", Asset(BASE + "all.mp4", (8, 100)))
ADS = asset_name("list", Asset(BASE + "ads.json", base=BASE))


def resolve(uri: str) -> str:
    if uri.startswith("skd:"):
        raise OriginRefused("not fetched")
    return uri if "://" in uri else BASE + uri


def items(text: str = ORIGIN, *, shift: int = 0, prefix: str = "main/") -> list[Listed]:
    out: list[Listed] = []
    sequence = 4
    for segment in parse_media_playlist(text).segments:
        sequence += segment.discontinuity
        out.append(
            listed(
                segment,
                SegmentKey(1, segment.msn + shift),
                resolve(segment.uri),
                resolve,
                discontinuities=int(segment.discontinuity),
                discontinuity_sequence=sequence,
                broken=False,
                prefix=prefix,
            )
        )
    return out


def written(text: str = ORIGIN, *, ended: bool = False, shift: int = 0, first: int = 0) -> str:
    head = head_of(parse_media_playlist(text))
    return compose(head, items(text, shift=shift)[first:], ended=ended, prefix="main/")


def test_it_writes_what_it_must_and_keeps_the_rest() -> None:
    assert written(ended=True) == (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:4\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        f'#EXT-X-KEY:METHOD=AES-128,URI="main/{KEY}",FUTURE=1\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.040Z\n"
        '#EXT-X-UNKNOWN:  Kept, as = "it stands"\n'
        "#EXTINF:2.0,A title\nmain/1-7.ts\n"
        f'#EXT-X-DATERANGE:ID="ad",START-DATE="2026-01-01T00:00:00Z",X-ASSET-LIST="main/{ADS}"\n'
        "#EXTINF:2.5,\nmain/1-8.ts\n"
        "#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n"
        f'#EXT-X-MAP:URI="main/{INIT}"\n'
        "#EXTINF:2.0,\nmain/1-9.mp4\n"
        "#EXT-X-ENDLIST\n"
    )


def test_names_lead_to_the_cut_piece_and_to_nothing_else() -> None:
    first, second, third = items()
    assert dict(first.assets) == {KEY: Asset(BASE + "k1", is_key=True)}
    assert dict(second.assets)[ADS] == Asset(BASE + "ads.json", base=BASE)
    # Of a file that holds everything, the init section's name gives the init section.
    assert dict(third.assets) == {INIT: Asset(BASE + "all.mp4", (8, 100))}
    assert third.segment.byte_range == (108, 500)


@pytest.mark.parametrize("form", ['URI="all.mp4",BYTERANGE="100"', 'BYTERANGE="100@0",URI="all.mp4"'])
def test_every_form_of_an_init_sections_range(form: str) -> None:
    text = ORIGIN.replace('URI="all.mp4",BYTERANGE="100@8"', form)
    (third,) = items(text)[2:]
    assert [asset.byte_range for _, asset in third.assets] == [(0, 100)]
    assert third.map_line is not None
    assert "BYTERANGE" not in third.map_line
    assert third.map_line.count(",") == 0


def test_a_list_that_begins_with_a_discontinuity_does_not_count_it_twice() -> None:
    text = written(first=2)
    # RFC 8216, 6.2.2: the tag still stands in the list.
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:4\n" in text
    assert "#EXT-X-DISCONTINUITY\n" in text
    assert "ENDLIST" not in text


def test_renumbered_segments_name_the_iv_that_their_number_was() -> None:
    text = written(shift=100)
    assert f"IV=0x{7:032x}" in text
    assert f"IV=0x{8:032x}" in text


def test_a_key_that_only_a_drm_understands_is_left_alone() -> None:
    line = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://asset",KEYFORMAT="com.apple.streamingkeydelivery"'
    text = ORIGIN.replace('#EXT-X-KEY:METHOD=AES-128,URI="k1",FUTURE=1', line)
    assert line in written(text)
    assert fetchable("skd://asset", resolve) is None


def test_a_key_format_that_ends_is_ended() -> None:
    drm = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://asset",KEYFORMAT="com.apple.streamingkeydelivery"'
    text = ORIGIN.replace("#EXTINF:2.5,", f"#EXT-X-KEY:METHOD=NONE\n{drm}\n#EXTINF:2.5,")
    # RFC 8216, 4.3.2.4: the first key would hold on beside the second, whose format is another.
    assert f"#EXT-X-KEY:METHOD=NONE\n{drm}\n" in written(text)


def test_dates_are_carried_on() -> None:
    (segment,) = parse_media_playlist("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n").segments
    item = listed(
        segment, SegmentKey(0, 0), BASE + "a.ts", resolve,
        discontinuities=0, discontinuity_sequence=0, broken=False, prefix="", wall=0.04,
    )  # fmt: skip
    assert item.lines == ("#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.040Z", "#EXTINF:2,")


def test_the_version_covers_what_may_come() -> None:
    assert head_of(parse_media_playlist(ORIGIN.replace("VERSION:6", "VERSION:3"))).version == 6
    assert head_of(parse_media_playlist(ORIGIN.replace("VERSION:6", "VERSION:7"))).version == 7


def test_names_tell_nothing_of_the_origin() -> None:
    assert segment_name(items()[1]) == "1-8.ts"
    assert extension("http://x/y.M4S?z=.exe") == ".m4s"
    assert extension("http://x/y.toolongending") == ".ts"
    assert extension("http://x/plain") == ".ts"
    assert asset_name("key", Asset("http://a/k")) != asset_name("key", Asset("http://b/k"))
    assert asset_name("init", Asset("http://a/k.mp4", (0, 9))) != asset_name("init", Asset("http://a/k.mp4", (9, 9)))
