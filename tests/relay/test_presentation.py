from __future__ import annotations

from kernel.marks import ReleaseMark
from kernel.multivariant import parse_multivariant
from kernel.showings import Showing
from kernel.timeline import SegmentKey
from relay.presentation import Presentation
from relay.splice import Place
from tests.relay.test_variants import TOP, resolve
from tests.support.playlists import BASE, playlist, refs, timing


def open_lead(presentation: Presentation, msn: int) -> None:
    presentation.window.on_mark(ReleaseMark("game", 0, msn, None, timing(msn, "x").upto, 0.0))
    presentation.window.handle_timer(now=0.0)
    presentation.open_companions()


def test_a_single_media_playlist_is_the_top_one() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    copy = playlist(["a.ts"])
    presentation.window.observe(copy, refs(copy), lambda uri: BASE + uri, now=0.0)
    assert presentation.text(None) is None
    open_lead(presentation, 0)
    assert "main/0-0.ts" in (presentation.text(None) or "")
    assert presentation.text("main") is None
    assert [presentation.knows(name) for name in (None, "main", "v0")] == [True, False, False]
    assert presentation.find("main", 0, 0) is not None
    assert presentation.find("v0", 0, 0) is None
    assert presentation.asset("main", "key-0000000000000000.bin") is None
    assert presentation.asset("data", "key-0000000000000000.bin") is None


def test_a_multivariant_one_has_all_renditions_behind_it() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    found = presentation.observe_top(parse_multivariant(TOP), resolve)
    assert len(found) == 6
    lead = playlist(["a.ts", "b.ts"])
    presentation.window.observe(lead, refs(lead), lambda uri: BASE + uri, now=0.0)
    audio = playlist(["a.aac", "b.aac"])
    presentation.observe("a0", audio, refs(audio), lambda uri: BASE + uri, now=0.0)
    # The top playlist comes when the lead is out: players take a missing media playlist for the end.
    assert presentation.text(None) is None
    open_lead(presentation, 0)
    assert "v0/index.m3u8" in (presentation.text(None) or "")
    assert (presentation.text("v0") or "").endswith("\n0-0.ts\n")
    assert (presentation.text("a0") or "").endswith("\n0-0.aac\n")
    assert presentation.text("v1") is None
    assert presentation.knows("v1")
    assert not presentation.knows("v9")
    assert presentation.is_behind("v1")
    assert not presentation.is_behind("a0")
    assert presentation.find("a0", 0, 0) is not None
    assert presentation.find("a0", 0, 1) is None
    assert presentation.asset("a0", "key-0000000000000000.bin") is None
    assert presentation.asset("v9", "key-0000000000000000.bin") is None


def test_only_what_carries_the_picture_shows_segments_of_the_lead() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    presentation.observe_top(parse_multivariant(TOP), resolve)
    lead = playlist(["a.ts", "b.ts"])
    presentation.window.observe(lead, refs(lead), lambda uri: BASE + uri, now=0.0)
    for name in ("a0", "v1"):
        presentation.observe(name, playlist(["a.x", "b.x"]), [BASE + "a.x", BASE + "b.x"], lambda uri: uri, now=0.0)
    open_lead(presentation, 0)
    key = SegmentKey(0, 0)
    assert [presentation.shown_in(name, key) for name in ("v0", "v1", "a0", "v9")] == [(0, 0), (0, 0), None, None]


def test_a_programme_without_pictures_is_what_its_lead_is() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    assert presentation.shown_in("main", SegmentKey(0, 4)) == (4, 4)


def test_while_it_is_held_all_of_it_says_what_it_said() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    presentation.observe_top(parse_multivariant(TOP), resolve)
    lead, audio = playlist(["a.ts", "b.ts"]), playlist(["a.aac", "b.aac"])
    presentation.window.observe(lead, refs(lead), lambda uri: BASE + uri, now=0.0)
    presentation.observe("a0", audio, refs(audio), lambda uri: BASE + uri, now=0.0)
    assert presentation.n_waiting == 2
    assert presentation.unseen("a0", playlist(["b.aac", "c.aac"], first=1)) == 1
    presentation.hold()
    open_lead(presentation, 0)
    assert [presentation.text(name) for name in (None, "v0", "a0")] == [None, None, None]
    presentation.release()
    assert None not in [presentation.text(name) for name in (None, "v0", "a0")]
    assert presentation.n_waiting == 1


def test_where_each_rendition_stood_is_told_though_the_origin_has_dropped_it() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    presentation.observe_top(parse_multivariant(TOP), resolve)
    names = [f"{n}.ts" for n in range(4)]
    date = ["#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:00Z"]
    lead, audio = (playlist(names, first=first, extra=date) for first in (20, 40))
    presentation.window.observe(lead, refs(lead), lambda uri: BASE + uri, now=0.0)
    presentation.observe("a0", audio, refs(audio), lambda uri: BASE + uri, now=0.0)
    assert presentation.place("v0", 17, up=True) is None
    open_lead(presentation, 22)
    assert presentation.place("v0", 17, up=True) == Place(17, 0, 0)
    assert presentation.place("a0", 17, up=True) == Place(37, 0, 0)


def test_it_is_told_where_each_rendition_stands_at_a_segment_of_the_leads() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    presentation.observe_top(parse_multivariant(TOP), resolve)
    names = [f"{n}.ts" for n in range(4)]
    lead = playlist(names, extra=["#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:30:00Z"])
    # Its segments begin a second before the lead's.
    audio = playlist(names, extra=["#EXT-X-PROGRAM-DATE-TIME:2026-03-27T19:29:59Z"])
    presentation.window.observe(lead, refs(lead), lambda uri: BASE + uri, now=0.0)
    presentation.observe("a0", audio, refs(audio), lambda uri: BASE + uri, now=0.0)
    assert presentation.place("v0", 0, up=False) is None
    open_lead(presentation, 2)
    assert presentation.place("v0", 1, up=False) == presentation.place("v0", 1, up=True) == Place(1, 0, 0)
    assert presentation.place("v0", 3, up=False) == Place(3, 0, None)
    assert presentation.place("v0", 9, up=False) is None
    # The one that spans the cut counts, or does not.
    assert presentation.place("a0", 1, up=False) == Place(1, 0, 0)
    assert presentation.place("a0", 1, up=True) == Place(2, 0, 0)
    assert presentation.place("a0", 9, up=True) is None
    assert presentation.place("v9", 1, up=True) is None
    assert presentation.place_of("v0", 1) == Place(1, 0, 0)
    assert presentation.place_of("v9", 1) is None
    assert presentation.renditions[:1] == ("v0",)
    assert [presentation.media_name(name) for name in (None, "v0", "a0", "v9")] == [None, "v0", "a0", None]
    assert not presentation.ended("a0")


def test_a_single_playlist_is_asked_for_as_the_top_one() -> None:
    presentation = Presentation(Showing("game", "http://origin.test/x.m3u8"))
    assert [presentation.media_name(name) for name in (None, "main", "v0")] == ["main", None, None]
