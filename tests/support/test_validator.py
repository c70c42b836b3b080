"""The validator finds each planted fault, and nothing in what is right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.reading import RULES, Violation
from tests.support.validator import check_media, check_multivariant, check_renditions, check_succession

HASH = "0123456789abcdef"
MEDIA = f"""#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-UNKNOWN:  as = it stands
#EXT-X-KEY:METHOD=AES-128,URI="main/key-{HASH}.bin",IV=0x{7:032x}
#EXT-X-MAP:URI="main/init-{HASH}.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:4.0,
main/0-7.mp4
#EXT-X-DATERANGE:ID="x",CLASS="a://b",X-ASSET-LIST="main/list-{HASH}.json"
#EXTINF:4.4,
main/0-8.mp4
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=NONE
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:20+00:00
#EXTINF:4,a title
main/0-9.mp4
#EXT-OWN-9
#EXTINF:3,
main/0-10.mp4
"""
NEXT = (
    MEDIA.replace("MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:8").replace(
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:4.0,\nmain/0-7.mp4\n", ""
    )
    + "#EXTINF:4,\nmain/0-11.mp4\n"
)
TOP = """#EXTM3U
#EXT-X-VERSION:4
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="a0/index.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="en",URI="s0/index.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="en",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a",SUBTITLES="s",CLOSED-CAPTIONS="c"
v0/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2,CLOSED-CAPTIONS=NONE
v1/index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i0/index.m3u8"
#EXT-X-SESSION-DATA:DATA-ID="t",VALUE="https://a text"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"
"""

Check = Callable[[str], list[Violation]]
END = "#EXT-X-ENDLIST\n"


def after(text: str) -> list[Violation]:
    return check_succession(MEDIA, text)


def beside(text: str) -> list[Violation]:
    return check_renditions(MEDIA, text)


def with_date(date: str) -> str:
    return MEDIA.replace("2026-01-01T00:00:00.000Z", date)


BREAKS: list[tuple[str, Check, str]] = [
    ("no-bom", check_media, "\ufeff" + MEDIA),
    ("no-control-characters", check_media, MEDIA.replace("a title", "a \x07title")),
    ("no-control-characters", check_media, MEDIA.replace("a title", "a \x85title")),
    ("first-line", check_media, "\n" + MEDIA),
    ("line-end", check_media, MEDIA.rstrip()),
    ("one-kind", check_media, MEDIA + '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="b"\n'),
    ("one-kind", check_multivariant, TOP + "#EXT-X-TARGETDURATION:4\n"),
    ("one-kind", check_multivariant, TOP + "#EXTINF:4,\n"),
    ("once", check_media, MEDIA + "#EXT-X-VERSION:6\n"),
    ("once", check_media, MEDIA + END + END),
    ("number", check_media, MEDIA.replace("SEQUENCE:7", "SEQUENCE:-7")),
    ("version", check_media, MEDIA.replace("VERSION:6", "VERSION:5")),
    ("version", check_media, MEDIA.replace("VERSION:6", "VERSION:2").replace("#EXT-X-MAP:", "#EXT-X-NO:")),
    ("version", check_media, '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-DEFINE:NAME="a",VALUE=""\n'),
    ("version", check_multivariant, TOP.replace('"CC1"', '"SERVICE1"')),
    ("target-duration", check_media, MEDIA.replace("#EXT-X-TARGETDURATION:4\n", "")),
    ("extinf-target", check_media, MEDIA.replace("4.4", "4.5")),
    ("extinf-syntax", check_media, MEDIA.replace("#EXTINF:3,", "#EXTINF:3")),
    ("extinf-uri", check_media, MEDIA.replace("#EXTINF:3,\n", "")),
    ("extinf-uri", check_media, MEDIA.replace("main/0-9.mp4\n", "")),
    ("extinf-uri", check_media, MEDIA + "#EXTINF:3,\n"),
    ("media-sequence-place", check_media, MEDIA.replace("#EXT-X-MEDIA-SEQUENCE:7\n", "") + "#EXT-X-MEDIA-SEQUENCE:7\n"),
    (
        "discontinuity-sequence-place",
        check_media,
        MEDIA.replace("#EXT-X-DISCONTINUITY-SEQUENCE:2\n", "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n"),
    ),
    ("attributes", check_media, MEDIA.replace('ID="x"', 'ID="x",ID="x"')),
    ("attributes", check_media, MEDIA.replace('ID="x"', 'ID="x" ')),
    ("key", check_media, MEDIA.replace(f"IV=0x{7:032x}", "IV=7")),
    ("key", check_media, MEDIA.replace("METHOD=NONE", 'METHOD=NONE,KEYFORMAT="identity"')),
    ("key", check_media, MEDIA.replace("METHOD=AES-128", "METHOD=ROT13")),
    ("key", check_media, MEDIA.replace("METHOD=NONE", "METHOD=AES-128")),
    ("map", check_media, MEDIA.replace('URI="main/init', 'UR="main/init')),
    ("map", check_media, MEDIA.replace('.mp4"\n', '.mp4",BYTERANGE="@9"\n')),
    ("date", check_media, with_date("yesterday")),
    ("date", check_media, with_date("2026-13-01T00:00:00Z")),
    ("daterange", check_media, MEDIA.replace('ID="x",', "")),
    ("daterange", check_media, MEDIA.replace("#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-NO")),
    ("byte-range", check_media, MEDIA.replace("#EXTINF:3,", "#EXT-X-BYTERANGE:10\n#EXTINF:3,")),
    ("playlist-type", check_media, MEDIA.replace("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-PLAYLIST-TYPE:VOD")),
    ("playlist-type", check_media, MEDIA.replace("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-PLAYLIST-TYPE:LIVE")),
    ("variables", check_media, MEDIA.replace("main/0-10.mp4", "{$base}/0-10.mp4")),
    ("variables", check_media, MEDIA.replace('ID="x"', 'ID="{$x}"')),
    ("own-names", check_media, MEDIA.replace("main/0-10.mp4", "main/../0-10.mp4")),
    ("own-names", check_media, MEDIA.replace("main/0-10.mp4", "main/0-9.mp4")),
    ("own-names", check_media, MEDIA.replace(f"main/key-{HASH}.bin", "k.bin")),
    ("own-names", check_multivariant, TOP.replace("v1/index", "https://origin.test/index")),
    ("own-names", check_multivariant, TOP.replace("a0/index", "audio/en")),
    ("foreign-uri", check_media, MEDIA.replace('ID="x"', 'ID="x",X-ASSET-URI="https://origin.test/a"')),
    ("foreign-uri", check_media, MEDIA.replace('ID="x"', 'ID="x",X-BEACON="//origin.test/a"')),
    ("foreign-uri", check_media, MEDIA.replace("#EXT-OWN-9", '#EXT-OWN-9:A="https://origin.test/a"')),
    ("foreign-uri", check_multivariant, TOP.replace('"i0/index.m3u8"', '"https://relay.test/i0/index.m3u8"')),
    ("low-latency", check_media, MEDIA + '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p.mp4"\n'),
    ("low-latency", check_media, MEDIA + "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"),
    ("stream-inf", check_multivariant, TOP.replace("BANDWIDTH=2,", "")),
    ("stream-inf", check_multivariant, TOP.replace("v1/index.m3u8\n", "")),
    ("stream-inf", check_multivariant, TOP + "v1/index.m3u8\n"),
    ("media", check_multivariant, TOP.replace(',URI="s0/index.m3u8"', "")),
    ("media", check_multivariant, TOP.replace(',INSTREAM-ID="CC1"', "")),
    ("media", check_multivariant, TOP.replace('GROUP-ID="a",', "")),
    ("group", check_multivariant, TOP.replace('AUDIO="a"', 'AUDIO="b"')),
    ("group", check_multivariant, TOP + '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en"\n'),
    ("group", check_multivariant, TOP + '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="fr",DEFAULT=YES\n'),
    ("i-frame", check_multivariant, TOP.replace("INF:BANDWIDTH=1,URI", "INF:AVERAGE=1,URI")),
    ("session", check_multivariant, TOP.replace('VALUE="https://a text"', "LANGUAGE=x")),
    ("session", check_multivariant, TOP.replace("METHOD=SAMPLE-AES", "METHOD=NONE")),
    ("ended-frozen", lambda text: check_succession(MEDIA + END, text), NEXT),
    ("header-changed", after, NEXT.replace("VERSION:6", "VERSION:7")),
    (
        "header-changed",
        lambda text: check_succession(text, text.replace("TYPE:EVENT", "TYPE:VOD") + END),
        MEDIA.replace("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-PLAYLIST-TYPE:EVENT"),
    ),
    ("target-duration-changed", after, NEXT.replace("DURATION:4", "DURATION:5")),
    ("order", after, NEXT.replace("0-9", "0-99")),
    ("order", after, NEXT.split("#EXT-OWN")[0]),
    ("order", after, MEDIA.replace("MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:17")),
    ("media-sequence", lambda text: check_succession(NEXT, text), MEDIA),
    (
        "discontinuity-sequence",
        after,
        NEXT.replace("Y-SEQUENCE:2", "Y-SEQUENCE:3"),
    ),
    (
        "discontinuity-sequence",
        after,
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:99\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        + "".join(f"#EXTINF:4,\nmain/0-{n}.ts\n" for n in range(99, 103)),
    ),
    ("segment-changed", after, NEXT.replace("a title", "another")),
    ("segment-changed", after, NEXT.replace("#EXT-OWN-9\n", "")),
    ("segment-changed", after, NEXT.replace("#EXT-X-KEY:METHOD=NONE\n", "")),
    (
        "removed-from-event",
        lambda text: check_succession(text, NEXT.replace("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-PLAYLIST-TYPE:EVENT")),
        MEDIA.replace("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-PLAYLIST-TYPE:EVENT"),
    ),
    ("window", after, NEXT.replace("#EXTINF:4,\nmain/0-11.mp4\n", "")),
    ("rendition-ended", beside, MEDIA + END),
    ("rendition-ahead", beside, MEDIA + "#EXTINF:0.1,\nmain/0-11.mp4\n"),
    (
        "rendition-ahead",
        lambda text: check_renditions(MEDIA.replace("#EXT-X-PROGRAM", "#EXT-X-NO"), text),
        NEXT.replace("#EXT-X-PROGRAM", "#EXT-X-NO"),
    ),
    (
        "rendition-discontinuity",
        beside,
        MEDIA.replace("Y-SEQUENCE:2", "Y-SEQUENCE:1"),
    ),
]


def test_what_is_right_is_found_right() -> None:
    for text in (MEDIA, NEXT, MEDIA + END, MEDIA.replace("\n", "\r\n"), with_date("2026-01-01T00:00:60.5+0100")):
        assert check_media(text) == []
    assert check_multivariant(TOP) == []
    assert check_succession(MEDIA, MEDIA) == check_succession(MEDIA, NEXT) == check_succession(MEDIA, NEXT + END) == []
    assert check_succession(MEDIA + END, MEDIA + END) == []
    # Nothing is known to be ahead where neither dates nor discontinuities tell.
    bare = MEDIA.replace("#EXT-X-PROGRAM", "#EXT-X-NO").replace("#EXT-X-DISCONTINUITY\n", "")
    for lead, other in ((MEDIA, MEDIA), (MEDIA, MEDIA[: MEDIA.index("#EXT-OWN")]), (bare, bare), (MEDIA + END, MEDIA)):
        assert check_renditions(lead, other) == []


def test_an_end_of_no_more_than_a_frame_is_not_ahead() -> None:
    assert check_renditions(MEDIA, MEDIA.replace("#EXTINF:3,", "#EXTINF:3.046,")) == []


@pytest.mark.parametrize(("rule", "check", "text"), BREAKS, ids=[f"{n}-{item[0]}" for n, item in enumerate(BREAKS)])
def test_a_planted_fault_is_found(rule: str, check: Check, text: str) -> None:
    found = check(text)
    assert rule in {violation.rule for violation in found}
    assert all(RULES[violation.rule] in str(violation) for violation in found)


def test_every_rule_has_been_broken_here() -> None:
    assert {rule for rule, _, _ in BREAKS} == RULES.keys()
