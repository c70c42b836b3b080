"""Find out at which segment of the lead each blackout of a showing opens and closes.

Rules:
* A segment that overlaps the window at all is inside: the start rounds down, the end up. So is one whose time nothing
  tells (`kernel/blackouts.py`).
* An edge is set as soon as its segment is timed, which is before its mark: nobody has seen it then. There it stays.
* A window that is heard of when some of it is timed is in force from the next segment on, and is *late*: all before it
  is no longer given to who is inside. One that is over already has its edges where they should have been.
* One that is ended earlier than was said closes where its end is now, but not among what is out.
* A redirect stream enters with its first segment that is released no earlier than the one that is dark, and leaves
  before the first that is released no earlier than the one behind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from operator import attrgetter

from kernel.blackouts import Window
from kernel.marks import ReleaseMark
from kernel.pts import TICKS_PER_S
from kernel.timeline import SegmentKey, SegmentTiming
from relay.cuts import Cuts, Record
from relay.splice import Cut

MAX_TIMED = 10_800
"""Segments that a window may still turn out to begin with: as many as feeds retains, six hours of 2 s."""

MAX_MARKS = 1_024
"""Releases of a redirect stream that are remembered."""

AHEAD_S = 0.25
"""How long before a release it is settled where redirect streams stand: no mark is given later than 200 ms ahead."""

LATE_S = 8.0
"""How much of a redirect stream a list begins with that cannot go on: players want three target durations."""


_key = attrgetter("key")


class Cutter:
    """Set the edges of one showing's blackouts.

    Args:
        stream: the showing.
        cuts: what is known of them; it grows.
    """

    def __init__(self, stream: str, cuts: Cuts) -> None:
        self._stream = stream
        self._cuts = cuts
        self.streams: frozenset[str] = frozenset()
        """The redirect streams of all blackouts."""
        self.opened: SegmentKey | None = None
        """The newest segment of the lead that is out."""
        self._windows: Mapping[str, Window] = {}
        self._timed: list[SegmentTiming] = []
        self._marks: dict[str, list[ReleaseMark]] = {}

    def begin_epoch(self, stream: str) -> None:
        """Forget what feeds has said of a stream: its log begins anew, and with it media time."""
        self._marks.pop(stream, None)
        if stream == self._stream:
            self._timed.clear()

    def on_windows(self, windows: Mapping[str, Window], streams: frozenset[str]) -> list[Record]:
        """Take in when all blackouts of the showing are in force, and return what is new of the cuts.

        Args:
            windows: by the blackouts' ids.
            streams: the event ids of all their redirect streams.
        """
        fresh = [name for name in windows if name not in self._windows]
        changed = [name for name, window in windows.items() if self._windows.get(name, window) != window]
        self._windows, self.streams = dict(windows), streams
        out: list[Record] = []
        for name in changed:
            self._close(name, out)
        for name in fresh if self._timed else ():
            if self.opened is not None and self._hides(name, self.opened):
                # Our numbers go on without a hole, whatever generation comes next.
                after = SegmentKey(self.opened.generation, self.opened.msn + 1)
                edges = self._cuts.edges(name)
                if not (edges and edges[-1].opens):
                    self._set(after, name, out, opens=True, late=True)
            else:
                for timing in self._timed:
                    self._judge_past(name, timing, out)
        return out

    def _close(self, name: str, out: list[Record]) -> None:
        """Close a blackout whose end is another one now at the first segment behind it, if one is timed already."""
        edges, window = self._cuts.edges(name), self._windows[name]
        if not edges or not edges[-1].opens:
            return
        behind = (one.key for one in self._timed if one.key > edges[-1].key and not window.covers(one))
        if (key := next(behind, None)) is None:
            return
        if self.opened is not None and key <= self.opened:
            # What stands there in the lists stays.
            key = SegmentKey(self.opened.generation, self.opened.msn + 1)
        self._set(key, name, out, opens=False)

    def _hides(self, name: str, key: SegmentKey) -> bool:
        """Tell whether a segment that is out is dark; one that was never timed is as the one before it."""
        at = bisect_left(self._timed, SegmentKey(key.generation, key.msn + 1), key=_key) - 1
        window = self._windows[name]
        return window.covers(self._timed[at]) if at >= 0 else window.at_once

    def on_timing(self, timing: SegmentTiming) -> list[Record]:
        """Take in a timing of the lead, and return what is new of the cuts."""
        at = bisect_left(self._timed, timing.key, key=_key)
        if at < len(self._timed) and self._timed[at].key == timing.key:
            return []
        before = self._timed[at - 1] if at else None
        is_newest = at == len(self._timed)
        self._timed.insert(at, timing)
        if len(self._timed) > MAX_TIMED:
            del self._timed[0]
        out: list[Record] = []
        for name in self._windows:
            if is_newest:
                self._judge(name, before, timing, out)
            else:
                self._judge_past(name, timing, out)
        return out

    def _judge(self, name: str, before: SegmentTiming | None, timing: SegmentTiming, out: list[Record]) -> None:
        """Set the edge of a blackout that the newest segment shows."""
        window = self._windows[name]
        edges = self._cuts.edges(name)
        is_open = bool(edges) and edges[-1].opens
        inside = window.covers(timing)
        if inside and not is_open:
            late = window.at_once or before is None or window.covers(before)
            self._set(timing.key, name, out, opens=True, late=late)
        elif is_open and not inside:
            self._set(timing.key, name, out, opens=False)

    def _judge_past(self, name: str, timing: SegmentTiming, out: list[Record]) -> None:
        """Set the edges of a blackout where they should have been."""
        window = self._windows[name]
        if window.at_once:
            return
        if not window.covers(timing):
            if self._cuts.edges(name):
                self._set(timing.key, name, out, opens=False)
        elif self._set(timing.key, name, out, opens=True):
            behind = bisect_left(self._timed, timing.key, key=_key) + 1
            if behind < len(self._timed) and not window.covers(self._timed[behind]):
                self._set(self._timed[behind].key, name, out, opens=False)

    def _set(self, key: SegmentKey, name: str, out: list[Record], *, opens: bool, late: bool = False) -> bool:
        record: Record = ["edge", *key, name, opens, late]
        fresh = self._cuts.add(record)
        if fresh:
            out.append(record)
        return fresh

    def on_mark(self, stream: str, mark: ReleaseMark) -> None:
        """Take in a release mark of the showing or of a redirect stream; marks come in the order of their segments."""
        marks = self._marks.setdefault(stream, [])
        marks.append(mark)
        if len(marks) > MAX_MARKS:
            del marks[: MAX_MARKS // 4]

    def settle(self, *, now: float) -> list[Record]:
        """Settle where redirect streams stand at cuts that are about to be released, and return what is new."""
        out: list[Record] = []
        for cut, streams in self._unsettled():
            due = self._due(cut)
            if due is None or due - AHEAD_S > now:
                continue
            for stream in streams:
                number = self._number(stream, due, late=bool(cut.late))
                if number is not None:
                    record: Record = ["lead", *cut.key, stream, number]
                    if self._cuts.add(record):
                        out.append(record)
        return out

    def next_deadline(self) -> float | None:
        """Return the bus time at which `settle` has something to do, None as long as it has not."""
        times = [
            due - AHEAD_S
            for cut, streams in self._unsettled()
            if (due := self._due(cut)) is not None and any(self._marks.get(one) for one in streams)
        ]
        return min(times, default=None)

    def _due(self, cut: Cut) -> float | None:
        """Return the bus time that counts for where redirect streams stand at a cut, None if it is not known yet."""
        own = self._marks.get(self._stream, [])
        covering = bisect_left(own, cut.key, key=_key)
        if cut.late and covering:
            # It stands in for what is out: the streams are taken as they are then.
            return own[covering - 1].at
        return own[covering].at if covering < len(own) else None

    def _unsettled(self) -> list[tuple[Cut, list[str]]]:
        """Return the cuts at which it is not known where a redirect stream stands, and which those are."""
        out = []
        for cut in self._cuts.all() if self.streams else ():
            missing = [one for one in sorted(self.streams) if self._cuts.lead(cut.key, one) is None]
            if missing:
                out.append((cut, missing))
        return out

    def _number(self, stream: str, at: float, *, late: bool) -> int | None:
        """Return the first segment of a stream that is released no earlier than `at`, None if nothing tells.

        With `late` one with which a player may begin at once.
        """
        marks = self._marks.get(stream, [])
        if late:
            return self._shown_last(marks)
        later = next((index for index, mark in enumerate(marks) if mark.at >= at), len(marks))
        if later:
            # A mark covers all behind the one before it.
            return marks[later - 1].msn + 1
        return marks[0].msn if marks else None

    def _shown_last(self, marks: list[ReleaseMark]) -> int | None:
        """Return the segment with which the last `LATE_S` of a stream begin, None if nothing of it is out."""
        if not marks:
            return None
        newest = marks[-1].upto
        for before, mark in zip(reversed(marks[:-1]), reversed(marks), strict=False):
            enough = newest.pts - before.upto.pts >= LATE_S * TICKS_PER_S
            if enough or before.upto.timeline != newest.timeline:
                return mark.msn
        return marks[0].msn
