"""What of a stream is out, and what stands in the list: the relay's state of one stream.

Rules:
* A segment opens when a mark that covers it is due, never before; a mark covers all segments up to its own.
* A segment that nobody marked for `max_hold_s` beyond the hold opens all the same, unsynchronised.
* Numbers are those that feeds gives, found by the origin's URI. Until feeds has said any, they are our own, by the
  same rules, so that the two agree when it comes back.
* What is listed never changes; numbers and discontinuity sequence never fall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernel.follow import PlaylistFollower
from kernel.marks import Opened, ReleaseMark
from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey, SegmentTiming
from relay.playlist import Listed, Resolve, assets, compose

MIN_WINDOW_TARGETS = 3
"""RFC 8216, 6.2.2: a live list holds at least three target durations."""


@dataclass(slots=True)
class Block:
    """A segment of the origin's list. `own` is the number that our own following gives it."""

    own: SegmentKey
    ref: str
    segment: PlaylistSegment
    seen_at: float
    resolve: Resolve


class Window:
    """Hold one stream's segments, open them on time, and write its playlist.

    Args:
        stream: the stream's id.
        hold_s: the constant delay of the picture, in seconds.
        max_hold_s: how long beyond it a segment waits for a mark, in seconds.
    """

    def __init__(self, stream: str, *, hold_s: float, max_hold_s: float) -> None:
        self._stream = stream
        self._patience_s = hold_s + max_hold_s
        self._follower = PlaylistFollower()
        self._origin: MediaPlaylist | None = None
        self._waiting: dict[SegmentKey, Block] = {}
        self._listed: list[Listed] = []
        self._by_key: dict[SegmentKey, Listed] = {}
        self._shifts: dict[int, tuple[int, int]] = {}
        self._timelines: dict[SegmentKey, int] = {}
        self._unmatched: list[SegmentTiming] = []
        self._marks: list[ReleaseMark] = []
        self._whole = False
        self._first_shown: SegmentKey | None = None
        self._text: str | None = None
        self._assets: dict[str, str] = {}

    @property
    def target_duration_s(self) -> int | None:
        """Return the origin's target duration in seconds, None before its first playlist."""
        return self._origin.target_duration_s if self._origin else None

    @property
    def ended(self) -> bool:
        """Return whether everything is out and nothing will be added."""
        return self._origin is not None and self._origin.ended and not self._waiting and bool(self._listed)

    @property
    def wants_playlist(self) -> bool:
        """Return whether feeds speaks of segments that no copy of the playlist has shown us yet."""
        return bool(self._unmatched)

    def observe(self, playlist: MediaPlaylist, refs: list[str], resolve: Callable[[str], str], *, now: float) -> None:
        """Take in a copy of the origin's playlist.

        Args:
            playlist: the copy.
            refs: the absolute URI of each of its segments.
            resolve: turns a URI of this copy into an absolute one.
            now: bus time at which it was fetched.
        """
        found = self._follower.observe(playlist, refs, now)
        if self._origin is None:
            # A list that was complete when we came, or promises to keep everything, is shown whole.
            self._whole = playlist.ended or playlist.playlist_type is not None
        if found or self._origin is None or playlist.ended:
            self._origin = playlist
            self._text = None
        for item in found:
            self._waiting[item.key] = Block(item.key, item.ref, item.segment, now, resolve)
        unmatched, self._unmatched = self._unmatched, []
        for timing in unmatched:
            self.on_timing(timing)

    def on_timing(self, timing: SegmentTiming) -> None:
        """Learn from feeds which number a segment has, and on which timeline it lies."""
        self._timelines[timing.key] = timing.timeline
        if timing.key in self._by_key:
            return
        newest: Block | None = None
        for block in self._waiting.values():
            if block.ref == timing.uri:
                if self._key_of(block) == timing.key:
                    return
                newest = block if newest is None or block.own > newest.own else newest
        if newest is not None:
            own = newest.own
            self._shifts[own.generation] = (timing.generation - own.generation, timing.msn - own.msn)
        elif not self._listed or timing.key > self._listed[-1].key:
            self._unmatched = [*self._unmatched[-99:], timing]

    def on_mark(self, mark: ReleaseMark) -> None:
        """Take in a release mark; marks come in the order of their segments."""
        self._marks.append(mark)

    def next_deadline(self) -> float | None:
        """Return the bus time at which `handle_timer` has something to do, None as long as it has not."""
        times = [mark.at for mark in self._marks if self._covers(mark)]
        unmarked = self._oldest_unmarked()
        if unmarked is not None:
            times.append(unmarked.seen_at + self._patience_s)
        return min(times, default=None)

    def handle_timer(self, *, now: float) -> list[Opened]:
        """Open what is due and return what to tell the hub, in order."""
        opened: list[Opened] = []
        while self._marks and self._marks[0].at <= now and self._covers(self._marks[0]):
            mark = self._marks.pop(0)
            self._open_through(mark.key)
            opened.append(Opened(self._stream, mark.generation, mark.msn, mark.part, mark.upto, now))
        unmarked = self._oldest_unmarked()
        while unmarked is not None and unmarked.seen_at + self._patience_s <= now:
            key = self._key_of(unmarked)
            self._open_through(key)
            opened.append(Opened(self._stream, key.generation, key.msn, None, None, now))
            unmarked = self._oldest_unmarked()
        if opened:
            self._text = None
            self._trim()
        return opened

    def text(self) -> str | None:
        """Return the playlist as it stands, None as long as nothing is out."""
        if self._text is None and self._listed and self._origin is not None:
            self._text = compose(self._origin, self._shown(), ended=self.ended)
        return self._text

    def find(self, key: SegmentKey) -> Listed | None:
        """Return a segment that is out and still kept, or None."""
        return self._by_key.get(key)

    def asset(self, name: str) -> str | None:
        """Return the absolute URI of a key or an init segment that some segment which is out needs, or None."""
        return self._assets.get(name)

    def _key_of(self, block: Block) -> SegmentKey:
        generation, msn = self._shifts.get(block.own.generation, (0, 0))
        return SegmentKey(block.own.generation + generation, block.own.msn + msn)

    def _covers(self, mark: ReleaseMark) -> bool:
        """Tell whether the segments of a mark are known here, or are out already."""
        if self._listed and mark.key <= self._listed[-1].key:
            return True
        return any(self._key_of(block) >= mark.key for block in self._waiting.values())

    def _oldest_unmarked(self) -> Block | None:
        if not self._waiting:
            return None
        block = self._waiting[min(self._waiting)]
        if any(mark.key >= self._key_of(block) and self._covers(mark) for mark in self._marks):
            return None
        return block

    def _open_through(self, key: SegmentKey) -> None:
        for own in sorted(self._waiting):
            block = self._waiting[own]
            real = self._key_of(block)
            if real > key:
                break
            del self._waiting[own]
            if self._listed and real <= self._listed[-1].key:
                continue  # Numbered by ourselves while feeds was gone, and listed since.
            self._list(block, real)

    def _list(self, block: Block, key: SegmentKey) -> None:
        discontinuity = block.segment.discontinuity
        sequence = block.segment.discontinuity_sequence
        broken = False
        if self._listed:
            before = self._listed[-1]
            broken = key.msn != before.key.msn + 1
            known, mine = self._timelines.get(before.key), self._timelines.get(key)
            jumped = known is not None and mine is not None and known != mine
            # 6.2.1: an unmarked reset of the timestamps or a new generation must be a discontinuity for players.
            discontinuity = discontinuity or broken or jumped or key.generation != before.key.generation
            sequence = before.discontinuity_sequence + discontinuity
        listed = Listed(key, block.ref, block.segment, discontinuity, sequence, broken, block.resolve)
        self._listed.append(listed)
        self._by_key[key] = listed
        self._assets.update(assets(listed))

    def _shown(self) -> list[Listed]:
        assert self._origin is not None
        wanted_s = max(
            MIN_WINDOW_TARGETS * self._origin.target_duration_s,
            sum(segment.duration_s for segment in self._origin.segments),
        )
        shown: list[Listed] = []
        length_s = 0.0
        for item in reversed(self._listed):
            enough = length_s >= wanted_s and not self._whole
            # 6.2.2: what was removed from a list never comes back, or its media sequence number would fall.
            if enough or (self._first_shown is not None and item.key < self._first_shown):
                break
            shown.append(item)
            length_s += item.segment.duration_s
            if item.broken:
                break
        shown.reverse()
        self._first_shown = shown[0].key
        return shown

    def _trim(self) -> None:
        # 6.2.2: a segment stays available, after it left the list, as long as the list is plus its own duration.
        keep = 2 * len(self._shown()) + 2
        for item in self._listed[:-keep]:
            del self._by_key[item.key]
            self._timelines.pop(item.key, None)
        if len(self._listed) > keep:
            del self._listed[:-keep]
            self._assets = dict(pair for item in self._listed for pair in assets(item))
