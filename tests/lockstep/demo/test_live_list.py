from __future__ import annotations

from kernel.playlist import parse_media_playlist
from lockstep.demo.live_list import WINDOW, LiveList

NOON_MS = 1_767_268_800_000


def listed(count: int, *, breaks: frozenset[int] = frozenset()) -> tuple[LiveList, list[str]]:
    live, gone = LiveList(), []
    for msn in range(count):
        gone += live.add(f"s{msn:06}.ts", NOON_MS + 2_000 * msn, discontinuity=msn in breaks)
    return live, gone


def test_the_list_is_a_playlist() -> None:
    live, gone = listed(3, breaks=frozenset({2}))
    parsed = parse_media_playlist(live.text())
    assert [segment.uri for segment in parsed.segments] == ["s000000.ts", "s000001.ts", "s000002.ts"]
    assert [segment.discontinuity for segment in parsed.segments] == [False, False, True]
    assert [segment.pdt for segment in parsed.segments] == [NOON_MS / 1000 + at for at in (0, 2, 4)]
    assert gone == []


def test_the_window_moves_and_counts_what_leaves_it() -> None:
    live, gone = listed(WINDOW + 4, breaks=frozenset({2, 5}))
    text = live.text()
    assert gone == [f"s{msn:06}.ts" for msn in range(4)]
    assert "#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in text
    assert text.count("#EXTINF") == WINDOW
    assert live.next_msn == WINDOW + 4


def test_another_encoder_goes_on_with_it() -> None:
    live, _ = listed(WINDOW + 4, breaks=frozenset({2, 5}))
    other = LiveList.read(live.text())
    assert other.text() == live.text()
    assert other.next_msn == live.next_msn


def test_what_is_no_list_of_ours_is_an_empty_one() -> None:
    for text in ("", "<html>", "#EXTM3U\n#EXTINF:4,\nx.ts\n"):
        assert LiveList.read(text).next_msn == 0
