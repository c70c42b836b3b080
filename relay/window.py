"""What of a stream's lead rendition is out: segments open on feeds' marks.

Rules:
* A segment opens when a mark that covers it is due, never before; a mark covers all segments up to its own.
* A segment that nobody marked for `max_hold_s` beyond the hold opens all the same, unsynchronised.
* Numbers are those that feeds gives, found by the origin's URI. Until feeds has said any, they are our own, by the
  same rules, so that the two agree when it comes back.
* Numbers rise along the list. What waits before a segment that feeds names, with a number beyond that segment's, feeds
  has never counted: a copy from before a rewind, of which only feeds knew, or a life of the origin's that only we saw.
  It never opens.
* Where feeds gives a number that we have counted to another URI, we have begun with another life of the origin's than
  feeds: no mark is for any of ours from it, and what feeds names is the present one.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from urllib.parse import urlsplit

from kernel.follow import PlaylistFollower, is_same_segment, tail_of
from kernel.histogram import Histogram
from kernel.marks import Opened, ReleaseMark
from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey, SegmentTiming
from relay.axis import LeadAxis, Place
from relay.listing import Listing
from relay.playlist import Resolve, listed

MAX_REMEMBERED_TIMINGS = 100
"""Timings kept for segments that no copy of ours lists yet: a window's worth."""

MAX_REMEMBERED_BREAKS = 1_000
"""Discontinuities of ours that other renditions may still have to repeat."""

MAX_MIDDLES = 100_000
"""Listed segments whose place is remembered for other renditions: as many as the longest list has."""


LATE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0)
"""Two relays open a segment within 50 ms of each other; without a mark it opens after 15 s."""


@dataclass(slots=True)
class Block:
    """A segment of the origin's list that is not out.

    `own` is the number that our own following gives it; `tail` is how its path ends, by which feeds' timings find it.
    """

    own: SegmentKey
    ref: str
    tail: str
    segment: PlaylistSegment
    seen_at: float
    resolve: Resolve
    place: Place


class Window:
    """Hold the lead's segments, open them on time, and keep its listing.

    Args:
        stream: the stream's id.
        hold_s: the constant delay of the picture, in seconds.
        max_hold_s: how long beyond it a segment waits for a mark, in seconds.
    """

    def __init__(self, stream: str, *, hold_s: float, max_hold_s: float) -> None:
        self._stream = stream
        self.patience_s = hold_s + max_hold_s
        """How long a segment waits for a mark, in seconds."""
        self._follower = PlaylistFollower()
        self._waiting: dict[SegmentKey, Block] = {}
        self._shifts: dict[int, tuple[int, int]] = {}
        self._timelines: dict[SegmentKey, int] = {}
        self._named: dict[SegmentKey, str] = {}
        self._foreign: set[int] = set()
        self._unmatched: list[SegmentTiming] = []
        self._marks: list[ReleaseMark] = []
        self.late = Histogram(LATE_BOUNDS_S)
        """How long after its time each mark opened its segments, in seconds."""
        self.began_at = float("-inf")
        """Bus time at which we began: marks that were due before are not late by our fault."""
        self.opened = self.unsynchronised = 0
        """How many marks opened their segments, and how many segments opened without one."""
        self.listing = Listing()
        self.axis = LeadAxis()
        self.opened_end = 0.0
        """Where on the axis what is out ends."""
        self._middles: list[float] = []
        self._msns: list[int] = []
        self._begins: list[float] = []
        self.first_sequence = 0
        """The discontinuity sequence number before which the list began, the first segment's own tag not counted."""
        self.first_at = 0.0
        """Where on the axis the list began."""
        self.breaks: list[tuple[float, int]] = []
        """Where on the axis a listed segment with a discontinuity begins, and its discontinuity sequence number."""

    @property
    def target_duration_s(self) -> int | None:
        """Return the origin's target duration in seconds, None before its first playlist."""
        return self.listing.origin.target_duration_s if self.listing.origin else None

    @property
    def ended(self) -> bool:
        """Return whether everything is out and nothing will be added."""
        origin = self.listing.origin
        return origin is not None and origin.ended and not self._waiting and self.listing.last is not None

    @property
    def wants_playlist(self) -> bool:
        """Return whether feeds speaks of segments that no copy of the playlist has shown us yet."""
        return bool(self._unmatched)

    @property
    def n_waiting(self) -> int:
        """Return how many segments are known and not out."""
        return len(self._waiting)

    def unseen(self, playlist: MediaPlaylist) -> int:
        """Return how many segments of a copy may be new to us."""
        return self._follower.unseen(playlist)

    def observe(self, playlist: MediaPlaylist, refs: list[str], resolve: Resolve, *, now: float) -> None:
        """Take in a copy of the origin's playlist.

        Args:
            playlist: the copy.
            refs: the absolute URI of each of its segments.
            resolve: turns a URI of this copy into an absolute one.
            now: bus time at which it was fetched.
        """
        generation = self._follower.generation
        found = sorted(self._follower.observe(playlist, refs, now), key=lambda item: item.key)
        if found or self.listing.origin is None or (playlist.ended and not self._follower.passed_over):
            self.listing.take(playlist)
        for item in found:
            restarted = item.key.generation != generation
            generation = item.key.generation
            place = self.axis.add(item.segment, restarted=restarted)
            self._waiting[item.key] = Block(
                item.key, item.ref, tail_of(item.segment.uri), item.segment, now, resolve, place
            )  # fmt: skip
        unmatched, self._unmatched = self._unmatched, []
        for timing in unmatched:
            self.on_timing(timing)

    def begin_epoch(self) -> None:
        """Forget what feeds has said so far: its log begins anew, and with it media time and, perhaps, numbers."""
        self._marks.clear()
        self._unmatched.clear()
        self._timelines.clear()
        self._named.clear()
        self._foreign.clear()

    def on_timing(self, timing: SegmentTiming) -> None:
        """Learn from feeds which number a segment has, and on which timeline it lies."""
        self._timelines[timing.key] = timing.timeline
        self._named[timing.key] = timing.uri
        if len(self._named) > MAX_REMEMBERED_TIMINGS:
            del self._named[next(iter(self._named))]
        if self.listing.find(timing.key) is not None:
            return
        generation, msn = self._shifts.get(timing.generation, (0, 0))
        known = self._waiting.get(SegmentKey(timing.generation - generation, timing.msn - msn))
        if (
            known is not None
            and self._key_of(known) == timing.key
            and is_same_segment(timing.uri, known.ref, known.segment.uri)
        ):
            # As nearly always: where a hundred thousand wait, not all of them are looked at.
            self._drop_uncounted(known)
            return
        newest: Block | None = None
        path = urlsplit(timing.uri).path
        for block in self._waiting.values():
            # As `is_same_segment` has it, with nothing done anew for each.
            if timing.uri == block.ref or path.endswith(block.tail):
                if self._key_of(block) == timing.key:
                    self._drop_uncounted(block)
                    return
                newest = block if newest is None or block.own > newest.own else newest
        last = self.listing.last
        if newest is not None:
            own = newest.own
            self._foreign.discard(own.generation)
            self._shifts[own.generation] = (timing.generation - own.generation, timing.msn - own.msn)
            self._drop_uncounted(newest)
        elif last is None or timing.key > last.key:
            if known is not None and self._key_of(known) == timing.key:
                self._foreign.add(known.own.generation)
                self._follower.confirm(timing.uri)
            self._unmatched = [*self._unmatched[1 - MAX_REMEMBERED_TIMINGS :], timing]

    def on_mark(self, mark: ReleaseMark) -> None:
        """Take in a release mark; marks come in the order of their segments."""
        self._marks.append(mark)

    def next_deadline(self) -> float | None:
        """Return the bus time at which `handle_timer` has something to do, None as long as it has not."""
        times = [mark.at for mark in self._marks if self._covers(mark)]
        unmarked = self._oldest_unmarked()
        if unmarked is not None:
            times.append(unmarked.seen_at + self.patience_s)
        return min(times, default=None)

    def handle_timer(self, *, now: float) -> list[Opened]:
        """Open what is due and return what to tell the hub, in order; nothing opens behind an end."""
        opened: list[Opened] = []
        while self._marks and self._marks[0].at <= now and self._covers(self._marks[0]):
            mark = self._marks.pop(0)
            self._open_through(mark.key)
            self.opened += 1
            if mark.at >= self.began_at:
                self.late.add(now - mark.at)
            opened.append(Opened(self._stream, mark.generation, mark.msn, mark.part, mark.upto, now))
        unmarked = self._oldest_unmarked()
        while unmarked is not None and unmarked.seen_at + self.patience_s <= now:
            key = self._key_of(unmarked)
            self._open_through(key, whatever=True)
            self.unsynchronised += 1
            opened.append(Opened(self._stream, key.generation, key.msn, None, None, now))
            unmarked = self._oldest_unmarked()
        if opened:
            self.listing.trim()
        return opened

    def shown_in(self, at: float, end: float) -> tuple[int, int] | None:
        """Return the first and the last number of those segments whose middle lies between two places on the axis.

        A segment of another variant that lies there shows more than half of each; None if it shows none of them so.
        """
        first, stop = bisect_left(self._middles, at), bisect_left(self._middles, end)
        return (self._msns[first], self._msns[stop - 1]) if first < stop else None

    def begin_of(self, msn: int) -> float | None:
        """Return where on the axis a segment begins that is out or will be out next, None for any other."""
        last = self.listing.last
        if last is not None and msn == last.key.msn + 1:
            return self.opened_end
        at = bisect_left(self._msns, msn)
        return self._begins[at] if at < len(self._msns) and self._msns[at] == msn else None

    def text(self) -> str | None:
        """Return the playlist as it stands, None as long as nothing is out."""
        return self.listing.text(ended=self.ended)

    def _key_of(self, block: Block) -> SegmentKey:
        generation, msn = self._shifts.get(block.own.generation, (0, 0))
        return SegmentKey(block.own.generation + generation, block.own.msn + msn)

    def _drop_uncounted(self, named: Block) -> None:
        """Forget what waits before a segment that feeds has named, of a foreign life or with a number not below its."""
        if next(iter(self._waiting)).generation == named.own.generation:
            return  # Of one life of the origin's the numbers rise.
        key = self._key_of(named)
        for own in [
            own
            for own, block in self._waiting.items()
            if own < named.own and (own.generation in self._foreign or self._key_of(block) >= key)
        ]:
            del self._waiting[own]

    def _covers(self, mark: ReleaseMark) -> bool:
        """Tell whether the segments of a mark are known here, or are out already."""
        last = self.listing.last
        if last is not None and mark.key <= last.key:
            return True
        if not self._waiting:
            return False
        newest = next(reversed(self._waiting.values()))
        if newest.own.generation == next(iter(self._waiting)).generation:
            # Of one life of the origin's the numbers rise, feeds' as ours: not all of a hundred thousand are asked.
            return self._key_of(newest) >= mark.key
        return any(self._key_of(block) >= mark.key for block in reversed(self._waiting.values()))

    def _oldest_unmarked(self) -> Block | None:
        if not self._waiting:
            return None
        # They were added in the order of their keys.
        block = next(iter(self._waiting.values()))
        if any(mark.key >= self._key_of(block) and self._covers(mark) for mark in self._marks):
            return None
        return block

    def _open_through(self, key: SegmentKey, *, whatever: bool = False) -> None:
        for own in list(self._waiting):
            block = self._waiting[own]
            real = self._key_of(block)
            if real > key:
                break
            if self._is_another(block, real) and not whatever:
                continue  # Of what feeds means no copy has ever shown us anything: the mark is not for this one.
            del self._waiting[own]
            self.opened_end = block.place.end
            last = self.listing.last
            if last is not None and (real <= last.key or real.msn <= last.key.msn):
                continue  # Numbered by ourselves while feeds was gone, and listed since.
            self._list(block, real)

    def _is_another(self, block: Block, key: SegmentKey) -> bool:
        uri = self._named.get(key)
        if uri is None:
            return block.own.generation in self._foreign
        return not is_same_segment(uri, block.ref, block.segment.uri)

    def _list(self, block: Block, key: SegmentKey) -> None:
        discontinuity = block.segment.discontinuity
        sequence = block.segment.discontinuity_sequence
        broken = False
        before = self.listing.last
        if before is not None:
            # No tag ends a MAP (4.3.2.5): what follows without one cannot stand in the same list.
            broken = key.msn != before.key.msn + 1 or loses_map(before.segment, block.segment)
            known, mine = self._timelines.pop(before.key, None), self._timelines.get(key)
            jumped = known is not None and mine is not None and known != mine
            # 6.2.1: an unmarked reset of the timestamps or a new generation must be a discontinuity for players.
            discontinuity = discontinuity or broken or jumped or key.generation != before.key.generation
            sequence = before.discontinuity_sequence + discontinuity
        if before is None:
            self.first_sequence, self.first_at = sequence - discontinuity, block.place.at
        if discontinuity:
            self.breaks = [*self.breaks[1 - MAX_REMEMBERED_BREAKS :], (block.place.at, sequence)]
        if len(self._msns) >= MAX_MIDDLES:
            del self._middles[: MAX_MIDDLES // 10]
            del self._msns[: MAX_MIDDLES // 10]
            del self._begins[: MAX_MIDDLES // 10]
        self._middles.append(block.place.at + block.place.duration_s / 2)
        self._msns.append(key.msn)
        self._begins.append(block.place.at)
        self.listing.append(
            listed(
                block.segment,
                key,
                block.ref,
                block.resolve,
                discontinuities=int(discontinuity),
                discontinuity_sequence=sequence,
                broken=broken,
                prefix=self.listing.prefix,
                wall=block.place.wall,
            )
        )


def loses_map(before: PlaylistSegment, segment: PlaylistSegment) -> bool:
    """Tell whether an init section held for the one segment and holds no more for the next."""
    return before.map_line is not None and segment.map_line is None
