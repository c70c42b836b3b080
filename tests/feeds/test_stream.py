from __future__ import annotations

from itertools import pairwise

from feeds.media import SegmentMedia, TrackKey, TrackTiming
from feeds.stream import StreamFeed, Timed
from kernel.follow import Found
from kernel.pts import WRAP, Ticks, reduce33
from kernel.showings import Showing
from tests.support.playlists import playlist, refs

T0 = 1_800_000_000.0
FRAME = 3600


def media(start: int, frames: int = 50) -> SegmentMedia:
    """Return a 25 fps video segment that begins at `start` of the counter."""
    pts = tuple(start + FRAME * index for index in range(frames))
    end = start + FRAME * frames
    track = TrackTiming(
        kind="video", codec="h264", pid=256, timescale=90_000, frames=frames, start=reduce33(start), end=reduce33(end),
        pts=pts, duration=Ticks(end - start),
    )  # fmt: skip
    return SegmentMedia("mpegts", (track,), (TrackKey("video", "h264", 256, 90_000),))


class Source:
    """An origin whose segment n begins at `base` plus n * 2 s."""

    def __init__(self, feed: StreamFeed, base: int = WRAP - 4 * 90_000) -> None:
        self.feed = feed
        self.base = base

    def list(self, first: int, count: int, *, now: float, ended: bool = False) -> list[Found]:
        dated = [f"{first + index}.ts" for index in range(count)]
        copy = playlist(dated, first=first, ended=ended)
        return self.feed.observe(copy, refs(copy), now=now)

    def time(self, found: Found, *, now: float) -> Timed:
        start = (self.base + found.segment.msn * 180_000) % WRAP
        return self.feed.timed(found, media(start), now=now, wall=T0 + now)


def test_it_starts_with_the_newest_and_works_backwards_on_one_timeline() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    found = source.list(0, 4, now=100.0)
    timed = [source.time(item, now=100.0) for item in found]
    # Segment 2 begins at the wrap: all four lie on one line nevertheless.
    assert [item.timing.timeline for item in timed] == [0, 0, 0, 0]
    ordered = sorted(timed, key=lambda item: item.timing.msn)
    assert all(before.timing.end == after.timing.start for before, after in pairwise(ordered))
    # One mark, of the newest, opens everything.
    marks = [source.feed.mark(item, told.timing, now=100.0) for item, told in zip(found, timed, strict=True)]
    assert [mark is not None for mark in marks] == [True, False, False, False]
    assert timed[0].why_new == "first"


def test_after_a_restart_a_timeline_goes_on_whose_newest_segment_could_not_be_read() -> None:
    showing = Showing("game", "http://origin.test/live.m3u8")
    source = Source(StreamFeed(showing))
    newest, *older = source.list(0, 3, now=100.0)
    source.feed.unreadable(newest)
    timed = [source.time(item, now=100.0) for item in older]
    again = Source(StreamFeed(showing))
    again.feed.first_timeline = 1_000
    for told in sorted(timed, key=lambda told: told.timing.key):
        again.feed.restore_timing(told.timing, told.state, generation=0)
    following = [again.time(item, now=104.0) for item in again.list(1, 4, now=104.0)]
    assert [told.timing.timeline for told in following] == [0, 0, 0]


def test_with_a_hold_a_start_up_opens_what_is_old_enough() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8", hold_s=3.0)))
    found = source.list(0, 5, now=100.0)
    timed = [source.time(item, now=100.0) for item in found]
    marks = [source.feed.mark(item, told.timing, now=100.0) for item, told in zip(found, timed, strict=True)]
    assert [(mark.msn, mark.at) for mark in marks if mark] == [(2, 100.0), (3, 101.0), (4, 103.0)]
    assert {told.timing.timeline for told in timed} == {0}
    starts = sorted(told.timing.start for told in timed)
    assert [later - earlier for earlier, later in pairwise(starts)] == [180_000] * 4


def test_a_recording_is_not_held() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8", hold_s=20.0)))
    (item,) = source.list(0, 1, now=100.0, ended=True)
    mark = source.feed.mark(item, source.time(item, now=100.0).timing, now=100.0)
    assert mark is not None
    assert mark.at == 100.0


def test_an_old_copy_with_an_end_ends_nothing() -> None:
    """The origin began anew before we came; a cache answers with the list that had its end."""
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    source.list(0, 3, now=100.0)
    assert source.list(700, 3, now=101.0, ended=True) == []
    state = source.feed.state()
    assert state is not None
    assert not state.ended
    assert len(source.list(1, 3, now=102.0, ended=True)) == 1
    state = source.feed.state()
    assert state is not None
    assert state.ended


def test_what_follows_goes_on_and_is_marked() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8", hold_s=6.0)))
    for item in source.list(0, 2, now=100.0):
        source.time(item, now=100.0)
    (item,) = source.list(1, 2, now=102.0)
    timed = source.time(item, now=102.1)
    mark = source.feed.mark(item, timed.timing, now=102.1)
    assert mark is not None
    assert mark.at == 108.0
    assert timed.timing.method == "arrival"


def test_an_unreadable_segment_does_not_break_the_timeline() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    for item in source.list(0, 1, now=0.0):
        source.time(item, now=0.0)
    bad, good = source.list(0, 3, now=4.0)
    source.feed.unreadable(bad)
    assert source.time(good, now=4.0).timing.timeline == 0


def test_an_unreadable_segment_at_start_up_does_not_break_it_either() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    newest, bad, oldest = source.list(0, 3, now=4.0)
    last = source.time(newest, now=4.0)
    source.feed.unreadable(bad)
    first = source.time(oldest, now=4.0)
    assert first.timing.timeline == last.timing.timeline
    assert last.timing.start - first.timing.end == 180_000


def test_nor_does_one_with_which_a_start_up_begins() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8", hold_s=3.0)))
    bad, *newer, oldest = source.list(0, 4, now=4.0)
    assert (bad.key.msn, oldest.key.msn, oldest.older) == (1, 0, True)
    source.feed.unreadable(bad)
    second, _ = (source.time(item, now=4.0) for item in newer)
    first = source.time(oldest, now=4.0)
    assert first.timing.timeline == second.timing.timeline
    assert second.timing.start - first.timing.end == 180_000


def test_nor_do_several_with_which_a_start_up_begins() -> None:
    """The newest that can be read is an older one: all that could not stands between it and what follows."""
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    newest, bad, oldest = source.list(0, 3, now=4.0)
    source.feed.unreadable(newest)
    source.feed.unreadable(bad)
    first = source.time(oldest, now=4.0)
    (item,) = source.list(3, 1, now=6.0)
    last = source.time(item, now=6.0)
    assert last.timing.timeline == first.timing.timeline
    assert last.timing.start - first.timing.end == 2 * 180_000


def test_a_hole_in_the_list_does_not_break_it() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    for item in source.list(0, 1, now=0.0):
        source.time(item, now=0.0)
    (item,) = source.list(5, 1, now=10.0)
    assert source.time(item, now=10.0).timing.timeline == 0


def test_nor_does_a_hole_behind_which_a_segment_is_unreadable() -> None:
    source = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    for item in source.list(0, 1, now=0.0):
        source.time(item, now=0.0)
    bad, good = source.list(5, 2, now=12.0)
    source.feed.unreadable(bad)
    assert source.time(good, now=12.0).timing.timeline == 0
    (bad,) = source.list(7, 1, now=14.0)
    source.feed.unreadable(bad)
    (good,) = source.list(11, 1, now=22.0)
    assert source.time(good, now=22.0).timing.timeline == 0


def test_it_tells_the_state_of_the_stream() -> None:
    feed = StreamFeed(Showing("game", "http://origin.test/live.m3u8"))
    assert feed.state() is None
    Source(feed).list(3, 2, now=0.0)
    state = feed.state()
    assert state is not None
    assert (state.live, state.ended, state.last, state.target_duration_s) == (True, False, (0, 4), 2)
    assert not state.begun
    feed.caught_up(older=True, newer=True)
    assert (feed.map.complete_below, feed.map.ended) == (True, False)
    later = feed.state()
    assert later is not None
    assert later.begun


def test_a_complete_list_is_no_live_stream() -> None:
    feed = StreamFeed(Showing("game", "http://origin.test/live.m3u8"))
    Source(feed).list(0, 2, now=0.0, ended=True)
    state = feed.state()
    assert state is not None
    assert (state.live, state.ended) == (False, True)
    feed.caught_up(older=True, newer=True)
    assert feed.map.ended


def test_it_goes_on_after_a_restart_across_the_wrap() -> None:
    first = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    kept = [first.time(item, now=0.0) for item in first.list(0, 2, now=0.0)]
    second = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    for timed in sorted(kept, key=lambda item: item.timing.msn):
        second.feed.restore_timing(timed.timing, timed.state, generation=0)
    found = second.list(1, 3, now=8.0)
    assert [item.key.msn for item in found] == [2, 3]
    timings = [second.time(item, now=8.0).timing for item in found]
    assert timings[0].start == max(item.timing.end for item in kept) == WRAP
    assert timings[1].timeline == kept[0].timing.timeline


def test_a_timing_whose_mark_was_lost_is_marked_after_a_restart() -> None:
    first = Source(StreamFeed(Showing("game", "http://origin.test/live.m3u8")))
    (item,) = first.list(0, 1, now=0.0)
    timed = first.time(item, now=0.0)
    feed = StreamFeed(Showing("game", "http://origin.test/live.m3u8", hold_s=4.0))
    assert feed.unmarked(now=7.0) is None
    feed.restore_timing(timed.timing, timed.state, generation=0)
    mark = feed.unmarked(now=7.0)
    assert mark is not None
    assert mark.at == 11.0
    assert feed.unmarked(now=8.0) is None


def test_a_learned_hold_follows_the_vendors() -> None:
    feed = StreamFeed(Showing("game", "http://origin.test/live.m3u8", hold_s=1.5, auto_hold=True))
    source = Source(feed)
    for item in source.list(0, 1, now=0.0):
        source.time(item, now=0.0)
    for _ in range(10):
        feed.sequencer.lag.add(4.0)
    holds = []
    for msn in range(1, 30):
        now = 2.0 * msn
        (item,) = source.list(msn, 1, now=now)
        mark = feed.mark(item, source.time(item, now=now).timing, now=now)
        assert mark is not None
        holds.append(round(mark.at - now, 6))
    # A twentieth of media time at a time, up to the showing's limit.
    assert holds[:3] == [0.1, 0.2, 0.3]
    assert holds[-1] == 1.5
    assert sorted(holds) == holds
