"""Playlist time: the segments of a stream laid end to end, across timelines, on one axis.

A position on the axis is an integer in ticks. The first segment that becomes known lies at 0; later ones are laid
behind it, earlier ones (a start-up times the newest first) before it, at negative positions, so what is known keeps its
place. A segment that went out untimed takes up a blank of its expected length.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from operator import attrgetter

from kernel.pts import Ticks
from kernel.timeline import BEGINNING, MediaTime, SegmentKey, SegmentTiming

_msn = attrgetter("msn")

MAX_SPANS = 50_000
"""More than a day of two-second segments; beyond it the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Span:
    """One segment on the axis: it begins at `x` and lasts `length` ticks; a blank's media times coincide."""

    key: SegmentKey
    x: int
    length: int
    begins: MediaTime
    ends: MediaTime

    @property
    def end_x(self) -> int:
        """Return where the next segment begins."""
        return self.x + self.length


class Path:
    """Map between media time and playlist time. Segments may become known in any order."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._keys: list[SegmentKey] = []
        self._xs: list[int] = []
        self._begins: list[MediaTime] = []
        self.version = 0
        """Rises whenever a segment is laid: what was found before may lie elsewhere now."""

    def __bool__(self) -> bool:
        return bool(self._spans)

    @property
    def begin_x(self) -> int:
        """Return where the first known segment begins; 0 if none is known."""
        return self._xs[0] if self._xs else 0

    def lay(self, timing: SegmentTiming) -> None:
        """Lay a timed segment in its place; its own blank is replaced, a segment known already stays."""
        length = max(0, timing.end - timing.start)
        self._lay(timing.key, length, timing.begins, timing.upto)

    def lay_blank(self, key: SegmentKey, length: int) -> None:
        """Lay a segment that went out untimed: players play it, but nothing is pinned to it."""
        index = bisect_left(self._keys, key)
        at = self._spans[index - 1].ends if index else BEGINNING
        if not (index < len(self._keys) and self._keys[index] == key):
            self._lay(key, length, at, at)

    def end_of(self, key: SegmentKey) -> Span | None:
        """Return the last span at or before `key`, or None if nothing that early is known."""
        index = bisect_right(self._keys, key)
        return self._spans[index - 1] if index else None

    def after(self, key: SegmentKey) -> Span | None:
        """Return the first span behind `key`, None if none is known."""
        index = bisect_right(self._keys, key)
        return self._spans[index] if index < len(self._spans) else None

    def find(self, msn: int) -> Span | None:
        """Return the segment with a media sequence number, None if it is not known."""
        span = self.last_before(msn)
        return span if span is not None and span.key.msn == msn else None

    def last_before(self, msn: int) -> Span | None:
        """Return the last segment with a number up to `msn`, None if nothing that early is known."""
        index = bisect_right(self._keys, msn, key=_msn)
        return self._spans[index - 1] if index else None

    def locate(self, when: MediaTime) -> tuple[int, Span] | None:
        """Return the position of a player that shows the picture at `when`, and the segment; None before all.

        In a gap it is at the end of what lies before: the next picture is not on show.
        """
        index = bisect_right(self._begins, when) - 1
        if index < 0:
            return None
        span = self._spans[index]
        inside = when.pts - span.begins.pts if when.timeline == span.begins.timeline else span.length
        last = span.length if index == len(self._spans) - 1 else max(0, span.length - 1)
        return span.x + min(inside, last), span

    def frontier_at(self, x: int) -> MediaTime:
        """Return the media time before which a playhead at `x` has shown all: the picture at `x` is on show."""
        index = bisect_right(self._xs, x) - 1
        if index < 0:
            return BEGINNING
        span = self._spans[index]
        if x >= span.end_x or span.begins == span.ends:
            return span.ends
        return MediaTime(span.begins.timeline, Ticks(span.begins.pts + (x - span.x) + 1))

    def reached_at(self, due: MediaTime) -> int:
        """Return the first position at which the picture at `due` is on show, or, in a gap, the next picture."""
        index = bisect_right(self._begins, due) - 1
        if index < 0:
            return self.begin_x
        span = self._spans[index]
        return span.x + (due.pts - span.begins.pts) if due < span.ends else span.end_x

    def _lay(self, key: SegmentKey, length: int, begins: MediaTime, ends: MediaTime) -> None:
        index = bisect_left(self._keys, key)
        if index < len(self._keys) and self._keys[index] == key:
            known = self._spans[index]
            if known.begins != known.ends:
                return
            self.version += 1
            self._put(index, Span(key, known.x, length, begins, ends))
            self._shift(index + 1, length - known.length)
            return
        self.version += 1
        x = (self._xs[0] - length if self._xs else 0) if index == 0 else self._spans[index - 1].end_x
        self._keys.insert(index, key)
        self._xs.insert(index, x)
        self._begins.insert(index, begins)
        self._spans.insert(index, Span(key, x, length, begins, ends))
        if index:
            self._shift(index + 1, length)
        self._trim()

    def _put(self, index: int, span: Span) -> None:
        self._spans[index], self._xs[index], self._begins[index] = span, span.x, span.begins

    def _shift(self, first: int, by: int) -> None:
        """Move all from `first` on: forwards, so that who plays there is later, never earlier."""
        for index in range(first, len(self._spans)):
            self._put(index, replace(self._spans[index], x=self._spans[index].x + by))

    def _trim(self) -> None:
        surplus = len(self._spans) - MAX_SPANS
        if surplus > MAX_SPANS // 10:
            for part in (self._spans, self._keys, self._xs, self._begins):
                del part[:surplus]
