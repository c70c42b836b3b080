from __future__ import annotations

import pytest

from kernel.timeline import SegmentKey
from relay.request import HlsRequest, parse_path

TOKEN = "eyJh.eyJq.c2ln"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/hls/game/index.m3u8", HlsRequest("game", None, "playlist")),
        (f"/hls/{TOKEN}/game/index.m3u8", HlsRequest("game", TOKEN, "playlist")),
        ("/hls/game/main/0-12.ts", HlsRequest("game", None, "segment", "main", SegmentKey(0, 12))),
        (f"/hls/{TOKEN}/game/main/3-0.m4s", HlsRequest("game", TOKEN, "segment", "main", SegmentKey(3, 0))),
        ("/hls/game/v0/index.m3u8", HlsRequest("game", None, "playlist", "v0")),
        ("/hls/game/a12/1-2.aac", HlsRequest("game", None, "segment", "a12", SegmentKey(1, 2))),
        (
            "/hls/game/main/key-0123456789abcdef.bin",
            HlsRequest("game", None, "asset", "main", name="key-0123456789abcdef.bin"),
        ),
        (
            "/hls/g-_9/main/init-0123456789abcdef.mp4",
            HlsRequest("g-_9", None, "asset", "main", name="init-0123456789abcdef.mp4"),
        ),
    ],
)
def test_what_a_path_names(path: str, expected: HlsRequest) -> None:
    assert parse_path(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/hls/",
        "/hls/game",
        "/hls/game/",
        "/hls/game/main/",
        "/hls/game/other.m3u8",
        "/hls/game/x0/index.m3u8",
        "/hls/ga me/index.m3u8",
        f"/hls/{TOKEN}/index.m3u8",
        "/hls/" + "a" * 65 + "/index.m3u8",
        # Traversal in every dress: nothing of ours needs a dot segment or an escape
        "/hls/game/main/../index.m3u8",
        "/hls/game/..%2findex.m3u8",
        "/hls/game/main/%2e%2e/0-1.ts",
        "/hls/game/main/0-1.ts%00",
        "/hls/game/main/..\\0-1.ts",
        "/hls/game//main/0-1.ts",
        "/hls/game/main/0-1.ts/",
        # Numbers have one spelling
        "/hls/game/main/00-1.ts",
        "/hls/game/main/0-01.ts",
        "/hls/game/main/-1-1.ts",
        "/hls/game/main/0-1.TS",
        "/hls/game/main/0-" + "9" * 19 + ".ts",
        "/hls/game/main/key-0123.bin",
        "/hls/" + "x" * 9000,
    ],
)
def test_what_is_not_ours(path: str) -> None:
    assert parse_path(path) is None


def test_a_segment_of_a_redirect_stream_has_a_tag() -> None:
    found = parse_path("/hls/game/v0/0123abcd-0-7.ts")
    assert found is not None
    assert (found.kind, found.tag, found.key) == ("segment", "0123abcd", SegmentKey(0, 7))
    plain = parse_path("/hls/game/v0/0-7.ts")
    assert plain is not None
    assert plain.tag is None
    for name in ("0123abc-0-7.ts", "0123ABCD-0-7.ts", "0123abcd-7.ts", "x-0-7.ts", "0123abcd-0-07.ts"):
        assert parse_path(f"/hls/game/v0/{name}") is None
