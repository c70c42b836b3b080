"""Follow an origin's media playlist: what is new in each copy, and under which number.

Rules:
* Each segment has a generation and our media sequence number. Ours is the origin's plus an offset, and
  never falls: when the origin rewinds, the generation rises and the offset with it. The numbers that count are
  those that feeds gives; the relay follows too, to go on without feeds, and takes over feeds' numbers.
* A copy whose segments are known ones under their own numbers is merely old (a cache in between answered with an
  older copy) and is passed over; so is, for a while after a rewind, one from before it. A copy that names other URIs
  under known or lower numbers is a rewind. A URI is the same if its path is, as the playlist writes it: hosts, tokens
  and folders change with every redirect.
* At start-up the newest segment that may go out at once comes first, so that everything before it opens with it. Then
  come those behind it, in order, then the older ones, newest first. After that segments come in the order of the list.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey, SegmentTiming

REMEMBERED_SEGMENTS = 10_000
"""Numbers whose URI is remembered, to tell an old copy from a rewind: five hours of 2 s segments."""

FORMER_S = 60.0
"""How long after a rewind a copy from before it may still come: caches keep a live list for some target durations, and
answer with what they have while its origin is restarted. After that, numbers and URIs may be used again."""

MAX_TOGETHER = 1_000
"""Segments first seen in one copy whose arrivals are told apart; of more it does not matter."""


@dataclass(frozen=True, slots=True)
class Found:
    """A segment that was not known before.

    `ref` is its absolute URI. `arrived` is the bus time at which it was first listed; for segments that were listed
    before we came, or are first seen together with newer ones, when they must have been: `seen` tells the one from the
    other. `older` says that it lies before those already known: start-up works backwards. `boundary` says that a
    discontinuity lies between it and its neighbour in the direction of work.
    """

    key: SegmentKey
    segment: PlaylistSegment
    ref: str
    arrived: float
    seen: bool
    older: bool
    boundary: bool


class PlaylistFollower:
    """Give each segment of one stream its number, once.

    Args:
        hold_s: the constant delay of the picture, in seconds: segments younger than that do not go out at once.
    """

    def __init__(self, *, hold_s: float = 0.0) -> None:
        self._hold_s = hold_s
        self.generation = 0
        self._offset = 0
        self._uris: dict[int, str] = {}
        self._numbers: deque[int] = deque()
        self._last: int | None = None
        # What was listed before the last rewind, by its number then: the numbers' offset, and until when it matters.
        self._former: dict[int, str] = {}
        self._former_offset = 0
        self._former_until: float | None = None

    @property
    def last(self) -> SegmentKey | None:
        """Return the newest segment's key, None before the first playlist."""
        return None if self._last is None else SegmentKey(self.generation, self._last)

    def origin_msn(self, msn: int) -> int:
        """Return the origin's media sequence number for ours, within the present generation."""
        return msn - self._offset

    def resume(self, timing: SegmentTiming, origin_msn: int) -> None:
        """Go on after a restart, from persisted timings given in the order of their keys.

        Args:
            timing: a segment that was timed before the restart; its `uri` absolute.
            origin_msn: the origin's number of that segment at the time.
        """
        if self._last is not None and timing.generation > self.generation:
            self._retire(until=None)
        self.generation = timing.generation
        self._offset = timing.msn - origin_msn
        self._remember(timing.msn, timing.uri)

    def observe(self, playlist: MediaPlaylist, refs: list[str], now: float) -> list[Found]:
        """Return the segments of a copy that were not known, in the order in which they are to be worked on.

        Args:
            playlist: a copy of the origin's playlist.
            refs: the absolute URI of each of its segments.
            now: bus time at which the copy arrived.
        """
        listed = playlist.segments
        if not listed:
            return []
        if self._last is None:
            return self._start(listed, refs, now, hold_s=0.0 if playlist.ended else self._hold_s)
        if self._former and self._is_former(listed, refs, now):
            return []
        if self._is_rewound(listed, refs):
            self._retire(until=now + FORMER_S)
            self.generation += 1
            self._offset = self._last + 1 - listed[0].msn
            forced = True
        else:
            forced = False
        found = []
        for index, (segment, ref) in enumerate(zip(listed, refs, strict=True)):
            msn = segment.msn + self._offset
            if msn <= self._last:
                continue
            self._remember(msn, ref)
            # What is first seen together came one after the other, each when the one after it began.
            behind = (
                sum(later.duration_s for later in listed[index + 1 :]) if len(listed) - index < MAX_TOGETHER else 0.0
            )
            found.append(
                Found(
                    SegmentKey(self.generation, msn),
                    segment,
                    ref,
                    now - behind,
                    seen=index == len(listed) - 1,
                    older=False,
                    boundary=segment.discontinuity or forced,
                )
            )
            forced = False
        return found

    def _start(self, listed: tuple[PlaylistSegment, ...], refs: list[str], now: float, *, hold_s: float) -> list[Found]:
        """Return the first copy's segments: the newest that may go out at once, those behind it, those before it."""
        behind = [0.0] * len(listed)
        for index in range(len(listed) - 2, -1, -1):
            behind[index] = behind[index + 1] + listed[index + 1].duration_s
        first = max((index for index in range(len(listed)) if behind[index] >= hold_s), default=0)
        found = []
        for index in (*range(first, len(listed)), *range(first - 1, -1, -1)):
            segment, older = listed[index], index < first
            # Working backwards, the boundary between this one and the next is the next one's tag.
            boundary = listed[index + 1].discontinuity if older else segment.discontinuity
            key, arrived = SegmentKey(0, segment.msn), now - behind[index]
            found.append(Found(key, segment, refs[index], arrived, seen=False, older=older, boundary=boundary))
        for segment, ref in zip(listed, refs, strict=True):
            self._remember(segment.msn, ref)
        return found

    def _is_rewound(self, listed: tuple[PlaylistSegment, ...], refs: list[str]) -> bool:
        overlap = False
        for segment, ref in zip(listed, refs, strict=True):
            known = self._uris.get(segment.msn + self._offset)
            if known is not None:
                overlap = True
                if not is_same_segment(known, ref, segment.uri):
                    return True
        # RFC 8216, 6.2.2: the media sequence number of a segment never decreases. A copy that lies wholly below what
        # we know, with URIs that we have never seen there, comes from an origin that began anew.
        assert self._last is not None
        return not overlap and listed[-1].msn + self._offset <= self._last

    def _retire(self, *, until: float | None) -> None:
        """Begin a generation; what was listed before is known as such until bus time `until`, None: yet to be said."""
        self._former, self._former_offset, self._former_until = self._uris, self._offset, until
        self._uris = {}
        self._numbers.clear()

    def _is_former(self, listed: tuple[PlaylistSegment, ...], refs: list[str], now: float) -> bool:
        """Return whether a copy is one from before the last rewind."""
        if self._former_until is None:
            self._former_until = now + FORMER_S
        if now > self._former_until:
            self._former = {}
            return False
        return all(
            (known := self._former.get(segment.msn + self._former_offset)) is not None
            and is_same_segment(known, ref, segment.uri)
            and segment.msn + self._offset not in self._uris
            for segment, ref in zip(listed, refs, strict=True)
        )

    def _remember(self, msn: int, uri: str) -> None:
        self._uris[msn] = uri
        self._numbers.append(msn)
        self._last = msn if self._last is None else max(self._last, msn)
        if len(self._numbers) > REMEMBERED_SEGMENTS:
            self._uris.pop(self._numbers.popleft(), None)


def is_same_segment(known_ref: str, ref: str, uri: str) -> bool:
    """Return whether a segment, listed as `uri` and now at `ref`, is the one that was at `known_ref`."""
    return known_ref == ref or urlsplit(known_ref).path.endswith("/" + urlsplit(uri).path.lstrip("/"))
