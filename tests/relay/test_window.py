from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel.marks import Opened, ReleaseMark
from kernel.timeline import SegmentKey
from relay.window import Window
from tests.support.playlists import BASE, playlist, refs, timing


class Relay:
    """A window with short ways to say what happens to it."""

    def __init__(self, *, hold_s: float = 0.0, max_hold_s: float = 15.0) -> None:
        self.window = Window("game", hold_s=hold_s, max_hold_s=max_hold_s)
        self.window.listing.prefix = "main/"
        self.now = 0.0

    def copy(self, names: Sequence[str], first: int = 0, **more: Any) -> None:
        listed = playlist(names, first=first, **more)
        self.window.observe(listed, refs(listed), lambda uri: BASE + uri, now=self.now)

    def time(self, msn: int, name: str, *, generation: int = 0, timeline: int = 0) -> None:
        self.window.on_timing(timing(msn, name, generation=generation, timeline=timeline))

    def mark(self, msn: int, *, generation: int = 0, at: float | None = None) -> list[Opened]:
        upto = timing(msn, "x").upto
        self.window.on_mark(ReleaseMark("game", generation, msn, None, upto, self.now if at is None else at))
        return self.tick()

    def tick(self) -> list[Opened]:
        return self.window.handle_timer(now=self.now)

    def names(self) -> list[str]:
        return re.findall(r"^main/(.*)$", self.window.text() or "", re.MULTILINE)

    def header(self, tag: str) -> int:
        match = re.search(rf"#EXT-X-{tag}:(\d+)", self.window.text() or "")
        assert match
        return int(match[1])


def test_nothing_is_out_before_a_mark() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts"])
    assert relay.tick() == []
    assert relay.window.text() is None
    assert relay.window.listing.find(SegmentKey(0, 0)) is None


def test_a_mark_opens_its_segment_and_all_before_it() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts", "c.ts"], first=5)
    (opened,) = relay.mark(6)
    assert (opened.key, opened.upto, opened.at) == (SegmentKey(0, 6), timing(6, "x").upto, 0.0)
    assert relay.names() == ["0-5.ts", "0-6.ts"]
    assert relay.window.listing.find(SegmentKey(0, 7)) is None
    assert relay.header("MEDIA-SEQUENCE") == 5


def test_a_mark_waits_for_its_time() -> None:
    relay = Relay(hold_s=6.0)
    relay.copy(["a.ts"])
    assert relay.mark(0, at=6.0) == []
    assert relay.window.next_deadline() == 6.0
    relay.now = 6.0
    assert len(relay.tick()) == 1
    assert relay.window.next_deadline() is None


def test_a_mark_waits_for_a_copy_that_lists_its_segment() -> None:
    relay = Relay()
    relay.copy(["a.ts"])
    relay.time(1, "b.ts")
    assert relay.mark(1) == []
    assert relay.window.wants_playlist
    assert relay.window.next_deadline() == 15.0  # the fail-safe of a.ts alone
    relay.copy(["a.ts", "b.ts"])
    assert not relay.window.wants_playlist
    assert [opened.key.msn for opened in relay.tick()] == [1]
    assert relay.names() == ["0-0.ts", "0-1.ts"]


def test_what_nobody_marks_opens_unsynchronised() -> None:
    relay = Relay(hold_s=2.0, max_hold_s=15.0)
    relay.copy(["a.ts"])
    relay.now = 3.0
    relay.copy(["a.ts", "b.ts"])
    assert relay.window.next_deadline() == 17.0
    relay.now = 17.0
    assert [(item.key.msn, item.upto) for item in relay.tick()] == [(0, None)]
    assert relay.names() == ["0-0.ts"]
    assert relay.window.next_deadline() == 20.0
    assert (relay.window.opened, relay.window.unsynchronised) == (0, 1)
    # Feeds is back: its mark says that we are in lockstep again.
    assert [item.upto for item in relay.mark(1)] == [timing(1, "x").upto]
    assert (relay.window.opened, relay.window.unsynchronised) == (1, 1)


def test_how_late_marks_are_obeyed_is_measured() -> None:
    relay = Relay()
    relay.window.began_at = 100.0
    relay.now = 107.0
    relay.copy(["a.ts", "b.ts"])
    # It was due before we were there.
    relay.mark(0, at=99.0)
    assert relay.window.late.count == 0
    relay.mark(1, at=106.75)
    assert (relay.window.late.count, relay.window.late.total) == (1, 0.25)


def test_a_mark_for_what_is_out_already_is_told() -> None:
    relay = Relay()
    relay.copy(["a.ts"])
    relay.now = 15.0
    relay.tick()
    assert [item.upto for item in relay.mark(0)] == [timing(0, "x").upto]


def test_numbers_are_those_of_feeds() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts"], first=0)
    relay.time(41, "b.ts", generation=2)
    relay.mark(41, generation=2)
    assert relay.names() == ["2-40.ts", "2-41.ts"]
    relay.copy(["b.ts", "c.ts"], first=1)
    relay.mark(42, generation=2)
    assert relay.names()[-1] == "2-42.ts"


def test_a_window_slides_and_its_numbers_with_it() -> None:
    relay = Relay()
    for head in range(3, 20):
        relay.copy([f"{msn}.ts" for msn in range(head - 3, head)], first=head - 3)
        relay.mark(head - 1)
    assert relay.names() == ["0-16.ts", "0-17.ts", "0-18.ts"]
    assert relay.header("MEDIA-SEQUENCE") == 16
    # RFC 8216, 6.2.2: what left the list stays available for a while, then goes.
    assert relay.window.listing.find(SegmentKey(0, 13)) is not None
    assert relay.window.listing.find(SegmentKey(0, 3)) is None


def test_a_short_list_is_kept_longer_than_the_origins() -> None:
    relay = Relay()
    for head in range(1, 8):
        relay.copy([f"{head - 1}.ts"], first=head - 1)
        relay.mark(head - 1)
    assert len(relay.names()) == 3


def test_an_ended_stream_ends_the_list_without_bringing_anything_back() -> None:
    relay = Relay()
    for head in range(3, 9):
        relay.copy([f"{msn}.ts" for msn in range(head - 3, head)], first=head - 3, ended=head == 8)
        relay.mark(head - 1)
    assert relay.window.ended
    assert (relay.window.text() or "").endswith("#EXT-X-ENDLIST\n")
    assert relay.header("MEDIA-SEQUENCE") == 5


def test_a_held_end_is_not_the_end() -> None:
    relay = Relay(hold_s=5.0)
    relay.copy(["a.ts", "b.ts"], ended=True)
    relay.mark(0)
    relay.mark(1, at=5.0)
    assert "ENDLIST" not in (relay.window.text() or "")
    relay.now = 5.0
    relay.tick()
    assert "ENDLIST" in (relay.window.text() or "")


def test_an_event_is_shown_whole() -> None:
    relay = Relay()
    relay.copy([f"{msn}.ts" for msn in range(50)], kind="EVENT")
    relay.mark(49)
    assert len(relay.names()) == 50


def test_discontinuities_are_counted_as_they_leave() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts", "c.ts"], discontinuities=[1], discontinuity_sequence=9)
    relay.mark(2)
    assert relay.header("DISCONTINUITY-SEQUENCE") == 9
    relay.copy(["b.ts", "c.ts", "d.ts"], first=1, discontinuities=[0], discontinuity_sequence=9)
    relay.mark(3)
    assert relay.header("DISCONTINUITY-SEQUENCE") == 9
    relay.copy(["c.ts", "d.ts", "e.ts"], first=2, discontinuity_sequence=10)
    relay.mark(4)
    assert relay.header("DISCONTINUITY-SEQUENCE") == 10
    assert "#EXT-X-DISCONTINUITY\n" not in (relay.window.text() or "")


def test_an_unmarked_jump_becomes_a_discontinuity() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts"])
    relay.time(0, "a.ts", timeline=0)
    relay.mark(0)
    relay.time(1, "b.ts", timeline=1)
    relay.mark(1)
    assert "#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\nmain/0-1.ts" in (relay.window.text() or "")


def test_a_rewound_origin_goes_on_under_new_numbers() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts", "c.ts"], first=90)
    relay.time(92, "c.ts")
    relay.mark(92)
    relay.copy(["x.ts", "y.ts", "z.ts"], first=0)
    relay.time(93, "x.ts", generation=1)
    relay.mark(93, generation=1)
    assert relay.names()[-2:] == ["0-92.ts", "1-93.ts"]
    assert "#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\nmain/1-93.ts" in (relay.window.text() or "")


def test_a_mark_opens_nothing_that_feeds_calls_otherwise() -> None:
    """The origin began anew twice between two of our copies: the numbers we give ourselves are those of the first."""
    relay = Relay(max_hold_s=15.0)
    relay.copy(["a.ts"], first=50)
    relay.time(50, "a.ts")
    relay.mark(50)
    relay.time(51, "b.ts", generation=1)
    relay.time(52, "c.ts", generation=1)
    relay.copy(["d.ts"], first=0)
    assert relay.mark(51, generation=1)[0].key == SegmentKey(1, 51)
    assert relay.names() == ["0-50.ts"]
    relay.time(53, "d.ts", generation=2)
    relay.mark(53, generation=2)
    assert relay.names() == ["2-53.ts"]


def test_who_began_with_another_life_than_feeds_shows_that_of_feeds() -> None:
    """Both count from the same number: a cache answered us, and nobody else, with what was listed before a restart."""
    relay = Relay(max_hold_s=15.0)
    relay.copy(["a.ts", "b.ts"])
    relay.time(1, "y.ts")
    relay.mark(1)
    assert relay.names() == []
    assert relay.window.wants_playlist
    relay.copy(["x.ts", "y.ts", "z.ts"])
    relay.time(0, "x.ts")
    relay.time(2, "z.ts")
    relay.mark(2)
    assert relay.names() == ["0-0.ts", "0-1.ts", "0-2.ts"]
    segment = relay.window.listing.find(SegmentKey(0, 0))
    assert segment is not None
    assert segment.ref == f"{BASE}x.ts"
    assert relay.window.n_waiting == 0


def test_what_feeds_never_counted_does_not_open() -> None:
    """Two lives of the origin's: feeds knows only the second, and gives it the numbers that we gave the first."""
    relay = Relay(max_hold_s=15.0)
    relay.copy(["a.ts"], first=99)
    relay.time(99, "a.ts")
    relay.mark(99)
    relay.copy(["x.ts", "y.ts"], first=50)
    relay.copy(["b.ts", "c.ts"], first=0)
    assert relay.window.n_waiting == 4
    relay.time(100, "b.ts", generation=1)
    assert relay.window.n_waiting == 2
    assert [opened.key for opened in relay.mark(100, generation=1)] == [SegmentKey(1, 100)]
    assert relay.names() == ["0-99.ts", "1-100.ts"]
    relay.time(101, "c.ts", generation=1)
    relay.mark(101, generation=1)
    assert relay.names() == ["0-99.ts", "1-100.ts", "1-101.ts"]
    assert relay.window.next_deadline() is None


def test_an_old_copy_taken_for_what_comes_next_does_not_hold_up_what_does() -> None:
    """Begun after a rewind: feeds knows what a cache answers with, we take it for what follows a hole."""
    relay = Relay(max_hold_s=15.0)
    relay.copy(["a.ts"], first=0)
    relay.time(51, "a.ts", generation=1)
    relay.mark(51, generation=1)
    relay.copy(["f.ts", "g.ts"], first=9)
    relay.now = 14.0
    relay.copy(["b.ts", "c.ts"], first=1)
    relay.time(52, "b.ts", generation=1)
    relay.mark(52, generation=1)
    assert relay.names() == ["1-51.ts", "1-52.ts"]
    relay.time(53, "c.ts", generation=1)
    relay.now = 15.0
    relay.mark(53, generation=1)
    assert relay.names() == ["1-51.ts", "1-52.ts", "1-53.ts"]
    assert relay.window.unsynchronised == 0


def test_an_old_copy_with_an_end_does_not_end_the_list() -> None:
    relay = Relay()
    relay.copy(["x.ts", "y.ts"], first=0)
    relay.mark(1)
    relay.copy(["e.ts", "f.ts"], first=700, ended=True)
    assert not relay.window.ended
    assert "#EXT-X-ENDLIST" not in (relay.window.text() or "")
    relay.copy(["x.ts", "y.ts"], first=0, ended=True)
    assert relay.window.ended


def test_a_list_does_not_span_what_was_never_seen() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts"], first=0)
    relay.mark(1)
    relay.copy(["k.ts", "l.ts"], first=10)
    relay.mark(11)
    assert relay.names() == ["0-10.ts", "0-11.ts"]
    assert relay.header("MEDIA-SEQUENCE") == 10


def test_repeated_uris_are_told_apart_by_their_numbers() -> None:
    relay = Relay()
    relay.copy(["ad.ts", "ad.ts", "a.ts", "ad.ts"])
    for msn, name in ((3, "ad.ts"), (2, "a.ts"), (1, "ad.ts"), (0, "ad.ts")):
        relay.time(msn, name)
    relay.mark(3)
    assert relay.names() == ["0-0.ts", "0-1.ts", "0-2.ts", "0-3.ts"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["advance", "open", "rewind", "wait"]), st.integers(1, 4)), min_size=1, max_size=40
    )
)
def test_over_time_a_list_only_grows_at_its_end_and_shrinks_at_its_start(moves: list[tuple[str, int]]) -> None:
    relay = Relay(max_hold_s=3.0)
    life, head, last, generation, offset, ours = 0, 0, -1, 0, 0, -1
    former: list[str] = []
    former_sequence = -1
    for move, n in moves:
        if move == "advance":
            head += n
            first = max(0, head - 4)
            relay.copy([f"{life}-{msn}.ts" for msn in range(first, head)], first=first)
            last = head - 1 + offset
            relay.time(last, f"{life}-{head - 1}.ts", generation=generation)
        elif move == "open" and last > ours:
            ours = last
            relay.mark(last, generation=generation)
        elif move == "rewind" and head > 0:
            life, generation, offset, head = life + 1, generation + 1, last + 1, 0
        elif move == "wait":
            relay.now += n
        relay.tick()
        names = relay.names()
        if names:
            keys = [tuple(map(int, name.removesuffix(".ts").split("-"))) for name in names]
            assert keys == sorted(set(keys))
            assert [key[1] for key in keys] == list(range(keys[0][1], keys[0][1] + len(keys)))
            assert keys[0][1] == relay.header("MEDIA-SEQUENCE")
            if former:
                common = [name for name in names if name in former]
                assert common == former[len(former) - len(common) :]
            sequence = relay.header("DISCONTINUITY-SEQUENCE")
            assert sequence >= former_sequence
            former, former_sequence = names, sequence


def test_which_segments_another_rendition_shows() -> None:
    window = Window("game", hold_s=0.0, max_hold_s=15.0)
    copy = playlist(["a.ts", "b.ts", "c.ts"])
    window.observe(copy, refs(copy), lambda uri: BASE + uri, now=0.0)
    assert window.shown_in(0.0, 100.0) is None
    window.on_mark(ReleaseMark("game", 0, 1, None, timing(1, "x").upto, 0.0))
    window.handle_timer(now=0.0)
    length_s = copy.segments[0].duration_s
    assert window.shown_in(0.0, length_s) == (0, 0)
    # Its middle decides: of two that share a segment one shows more of it.
    assert window.shown_in(0.4 * length_s, 1.4 * length_s) == (0, 0)
    assert window.shown_in(0.6 * length_s, 1.4 * length_s) is None
    assert window.shown_in(0.0, 100.0) == (0, 1)


def test_a_new_epoch_forgets_what_feeds_said() -> None:
    relay = Relay()
    relay.copy(["a.ts", "b.ts"])
    relay.time(5, "unknown.ts")
    assert relay.mark(1, at=9.0) == []
    relay.window.begin_epoch()
    relay.now = 10.0
    assert relay.tick() == []
    assert not relay.window.wants_playlist
    assert len(relay.mark(0)) == 1
