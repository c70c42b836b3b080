from __future__ import annotations

import re

from kernel.multivariant import parse_multivariant
from relay import variants as module
from relay.variants import Variants

BASE = "http://origin.test/live/"
TOP = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="audio/en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Stadium",URI="https://other.test/stadium.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="sub",NAME="English",URI="subs.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-SESSION-DATA:DATA-ID="com.example.title",VALUE="Final"
#EXT-X-SESSION-DATA:DATA-ID="com.example.more",URI="more.json"
#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k.bin"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://asset",KEYFORMAT="com.apple.streamingkeydelivery"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,URI="iframes.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2",AUDIO="aud"
audio/en.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=640x360,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="aud",FUTURE="kept"
low.m3u8?sig=1
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="aud"
high.m3u8
#EXT-X-FUTURE:some thing
"""


def resolve(uri: str) -> str:
    return uri if "://" in uri else BASE + uri


def observed(text: str = TOP) -> Variants:
    variants = Variants()
    variants.observe(parse_multivariant(text), resolve)
    return variants


def test_every_uri_has_a_name_of_ours() -> None:
    variants = observed()
    text = variants.text() or ""
    assert "origin.test" not in text
    assert "other.test" not in text
    assert re.findall(r"^(\w+/index\.m3u8)$", text, re.MULTILINE) == [
        "a0/index.m3u8", "v0/index.m3u8", "v1/index.m3u8",
    ]  # fmt: skip
    assert 'URI="a1/index.m3u8"' in text
    assert 'URI="s0/index.m3u8"' in text
    assert 'URI="i0/index.m3u8"' in text
    assert 'FUTURE="kept"' in text
    assert "#EXT-X-FUTURE:some thing\n" in text
    assert "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS" in text
    assert 'VALUE="Final"' in text
    assert 'URI="skd://asset"' in text


def test_the_lead_is_a_variant_with_video() -> None:
    found = {rendition.name: rendition for rendition in observed().renditions}
    assert [name for name, rendition in found.items() if rendition.lead] == ["v0"]
    assert found["v0"].ref == BASE + "low.m3u8?sig=1"
    assert found["a1"].ref == "https://other.test/stadium.m3u8"
    assert set(found) == {"a0", "a1", "s0", "i0", "v0", "v1"}


def test_data_and_keys_are_gated() -> None:
    variants = observed()
    names = re.findall(r'URI="data/([^"]+)"', variants.text() or "")
    assert len(names) == 2
    assert {asset.ref for name in names if (asset := variants.asset(name))} == {BASE + "more.json", BASE + "k.bin"}
    assert variants.asset("data-0000000000000000.bin") is None


def test_names_stay_when_the_list_changes() -> None:
    variants = observed()
    lines = TOP.splitlines()
    # The low variant goes, another comes first.
    other = [*lines[:14], "#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=1x1", "new.m3u8", *lines[16:]]
    variants.observe(parse_multivariant("\n".join(other) + "\n"), resolve)
    found = {rendition.ref: rendition.name for rendition in variants.renditions}
    assert found[BASE + "high.m3u8"] == "v1"
    assert found[BASE + "new.m3u8"] == "v2"


def test_there_is_a_limit(monkeypatch: object) -> None:
    many = "".join(f"#EXT-X-STREAM-INF:BANDWIDTH={index + 1},RESOLUTION=1x1\n{index}.m3u8\n" for index in range(300))
    variants = observed("#EXTM3U\n" + many)
    assert len(variants.renditions) == module.MAX_RENDITIONS
    assert (variants.text() or "").count("index.m3u8") == module.MAX_RENDITIONS
