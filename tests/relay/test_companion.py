from __future__ import annotations

import re

from kernel.marks import ReleaseMark
from kernel.playlist import MediaPlaylist, parse_media_playlist
from kernel.timeline import SegmentKey
from relay.companion import Companion
from relay.window import Window
from tests.support.playlists import BASE, refs, timing


def copy_of(
    durations: list[float], *, first: int = 0, start_s: float | None = None, breaks: dict[int, int] | None = None,
    sequence: int = 0, ended: bool = False, kind: str = "",
) -> MediaPlaylist:  # fmt: skip
    """Return a list of segments; `start_s` dates the first, `breaks` put a discontinuity before an index."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:6", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += [f"#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}", *([f"#EXT-X-PLAYLIST-TYPE:{kind}"] if kind else [])]
    for index, duration_s in enumerate(durations):
        if breaks and index in breaks:
            lines.append("#EXT-X-DISCONTINUITY")
        if start_s is not None and index == 0:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{start_s:06.3f}Z")
        lines += [f"#EXTINF:{duration_s},", f"{first + index}.ts"]
    return parse_media_playlist("\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else [])]) + "\n")


class Pair:
    """A lead and a companion."""

    def __init__(self) -> None:
        self.lead = Window("game", hold_s=0.0, max_hold_s=15.0)
        self.other = Companion(self.lead)

    def show(self, copy: MediaPlaylist) -> None:
        self.lead.observe(copy, refs(copy), lambda uri: BASE + uri, now=0.0)

    def accompany(self, copy: MediaPlaylist) -> None:
        self.other.observe(copy, refs(copy), lambda uri: BASE + uri, now=0.0)

    def open(self, msn: int, *, generation: int = 0) -> None:
        self.lead.on_mark(ReleaseMark("game", generation, msn, None, timing(msn, "x").upto, 0.0))
        self.lead.handle_timer(now=0.0)
        self.other.open()

    def numbers(self) -> list[int]:
        return [int(match) for match in re.findall(r"^\d+-(\d+)\.ts", self.other.text() or "", re.MULTILINE)]

    def header(self, tag: str) -> int:
        match = re.search(rf"#EXT-X-{tag}:(\d+)", self.other.text() or "")
        assert match
        return int(match[1])


def test_nothing_is_out_before_the_lead() -> None:
    pair = Pair()
    pair.accompany(copy_of([2, 2], start_s=10))
    assert pair.other.text() is None
    assert not pair.other.behind


def test_it_is_cut_where_the_lead_is_by_dates() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2, 2], first=50, start_s=10))
    # Audio: other numbers, other durations, begun 20 ms later.
    pair.accompany(copy_of([1.98, 2.02, 1.98, 2.02], first=7, start_s=10.02))
    pair.open(51)
    assert pair.numbers() == [7, 8]
    pair.open(52)
    assert pair.numbers() == [7, 8, 9]


def test_a_segment_that_ends_a_frame_later_is_listed_and_one_that_ends_later_is_not() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2], start_s=10))
    pair.accompany(copy_of([2.04, 2], start_s=10))
    pair.open(0)
    assert pair.numbers() == [0]
    late = Pair()
    late.show(copy_of([2, 2], start_s=10))
    late.accompany(copy_of([2.2, 2], start_s=10))
    late.open(0)
    assert late.numbers() == []


def test_without_dates_it_is_cut_by_the_sum_since_a_discontinuity() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2, 2], first=30, breaks={1: 1}))
    pair.accompany(copy_of([3, 2, 2, 2], first=90, breaks={1: 1}))
    pair.open(31)
    assert pair.numbers() == [90, 91]


def test_without_either_a_common_number_is_a_common_time() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2], first=30))
    pair.accompany(copy_of([2, 2, 2, 2], first=29))
    pair.open(31)
    assert pair.numbers() == [29, 30, 31]


def test_failing_all_both_end_together() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2], first=30))
    pair.accompany(copy_of([4, 4], first=900))
    pair.open(31)
    assert pair.numbers() == [900]


def test_whole_lists_begin_together() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2], kind="EVENT"))
    pair.accompany(copy_of([6, 6], first=5, kind="EVENT"))
    pair.open(1)
    assert pair.numbers() == []
    pair.open(2)
    assert pair.numbers() == [5]


def test_at_the_end_everything_is_out() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2], ended=True))
    pair.accompany(copy_of([2, 9], ended=True))
    pair.open(0)
    assert pair.numbers() == [0]
    assert "ENDLIST" not in (pair.other.text() or "")
    pair.open(1)
    assert pair.numbers() == [0, 1]
    assert (pair.other.text() or "").endswith("#EXT-X-ENDLIST\n")
    assert not pair.other.behind


def test_it_knows_when_it_lags() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2], start_s=10))
    pair.accompany(copy_of([2], start_s=10))
    pair.open(1)
    assert pair.numbers() == [0]
    assert pair.other.behind
    pair.accompany(copy_of([2, 2, 2], start_s=10))
    assert pair.numbers() == [0, 1]
    assert not pair.other.behind


def test_discontinuities_of_ours_stand_in_it_too() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2], start_s=10, sequence=4))
    pair.accompany(copy_of([2, 2, 2], start_s=10, sequence=9))
    # Feeds found that the timestamps were reset before the third segment.
    for msn, timeline in ((0, 0), (1, 0), (2, 1)):
        told = timing(msn, f"{msn}.ts", timeline=timeline)
        pair.lead.on_timing(told)
    pair.open(1)
    pair.open(2)
    lines = (pair.other.text() or "").splitlines()
    assert lines.index("0-1.ts") + 1 == lines.index("#EXT-X-DISCONTINUITY") == lines.index("0-2.ts") - 3
    # RFC 8216, 6.2.4: the sequence is the lead's.
    assert pair.header("DISCONTINUITY-SEQUENCE") == 4


def test_two_of_the_leads_discontinuities_within_one_segment_both_stand_before_the_next() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2, 2, 2], breaks={2: 1, 3: 1}, sequence=4))
    # The origin cannot cut its sound there, and marks it once.
    pair.accompany(copy_of([4, 4, 2], breaks={1: 1}, sequence=4))
    pair.open(4)
    lines = (pair.other.text() or "").splitlines()
    assert lines.index("0-1.ts") - lines.index("#EXT-X-DISCONTINUITY") == 3
    assert lines.count("#EXT-X-DISCONTINUITY") == 2
    assert [item.discontinuity_sequence for item in pair.other.listing.items] == [4, 6, 6]


def test_behind_a_hole_it_begins_under_the_leads_number() -> None:
    pair = Pair()
    pair.show(copy_of([2] * 8, start_s=10, sequence=4))
    pair.accompany(copy_of([2, 2], start_s=10, sequence=4))
    for msn, timeline in enumerate((0, 0, 1, 2, 3, 3, 3, 3)):
        pair.lead.on_timing(timing(msn, f"{msn}.ts", timeline=timeline))
    pair.open(1)
    pair.accompany(copy_of([2, 2], first=5, start_s=20, sequence=7))
    pair.open(7)
    assert pair.numbers() == [5, 6]
    assert pair.header("DISCONTINUITY-SEQUENCE") == 6
    assert (pair.other.text() or "").splitlines().count("#EXT-X-DISCONTINUITY") == 1
    assert pair.other.listing.items[-1].discontinuity_sequence == 7


def test_where_the_lead_begins_is_no_discontinuity_of_one_that_began_before() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2, 2], first=7, start_s=12, sequence=4))
    # Its segments are longer: the window's first begins before the lead's.
    pair.accompany(copy_of([4, 4, 4], start_s=9, sequence=4))
    pair.open(10)
    assert pair.numbers() == [0, 1]
    assert "#EXT-X-DISCONTINUITY\n" not in (pair.other.text() or "")
    assert pair.header("DISCONTINUITY-SEQUENCE") == 4


def test_an_origin_that_began_anew_goes_on_under_new_numbers() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2], first=80, start_s=10))
    pair.accompany(copy_of([2, 2], first=80, start_s=10))
    pair.open(81)
    pair.show(copy_of([2, 2], first=0, start_s=20))
    pair.accompany(copy_of([2, 2], first=0, start_s=20))
    pair.open(83, generation=1)
    text = pair.other.text() or ""
    assert "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME" in text
    assert "1-83.ts" in text


def test_what_of_the_lead_its_segments_show() -> None:
    pair = Pair()
    pair.show(copy_of([2, 2, 2, 2, 2, 2], start_s=10))
    # Cut elsewhere than the lead, and longer.
    pair.accompany(copy_of([3, 5, 4], start_s=10))
    for msn in range(6):
        pair.open(msn)
    assert [pair.other.shown_in(SegmentKey(0, msn)) for msn in range(3)] == [(0, 0), (1, 3), (4, 5)]
    assert pair.other.shown_in(SegmentKey(0, 9)) is None


def test_what_has_left_the_list_for_long_shows_nothing() -> None:
    pair = Pair()
    for first in range(0, 60, 3):
        pair.show(copy_of([2, 2, 2], first=first, start_s=float(first % 50)))
        pair.accompany(copy_of([2, 2, 2], first=first, start_s=float(first % 50)))
        pair.open(first + 2)
    assert pair.other.shown_in(SegmentKey(0, 0)) is None
    assert pair.other.shown_in(SegmentKey(0, 59)) is not None


def test_one_that_begins_before_a_discontinuity_counts_it_as_those_do_that_saw_it_come() -> None:
    saw, tag_left, tag_stands = Pair(), Pair(), Pair()
    saw.show(copy_of([2, 2, 2, 2], start_s=10, breaks={2: 1}, sequence=4))
    saw.accompany(copy_of([2, 2, 2, 2], start_s=10, breaks={2: 1}, sequence=4))
    # Relays that begin later: the lead's list begins behind the discontinuity, or with it, the sound's before it.
    tag_left.show(copy_of([2], first=3, start_s=16, sequence=5))
    tag_stands.show(copy_of([2, 2], first=2, start_s=14, breaks={0: 1}, sequence=4))
    for late in (tag_left, tag_stands):
        late.accompany(copy_of([2, 2, 2], first=1, start_s=12, breaks={1: 1}, sequence=4))
    counts = []
    for pair in (saw, tag_left, tag_stands):
        pair.open(3)
        listed = {item.key.msn: item.discontinuity_sequence for item in pair.other.listing.items}
        counts.append([listed[msn] for msn in (1, 2, 3)])
    assert counts == [[4, 5, 5]] * 3
