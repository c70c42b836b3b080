"""Follow an origin's media playlist: what is new in each copy, and under which number.

Rules:
* Each segment has a generation and our media sequence number. Ours is the origin's plus an offset, and
  never falls: when the origin rewinds, the generation rises and the offset with it. The numbers that count are
  those that feeds gives; the relay follows too, to go on without feeds, and takes over feeds' numbers.
* A copy whose segments are known ones under their own numbers is merely old (a cache in between answered with an
  older copy) and is passed over. A copy that names other URIs under known or lower numbers is a rewind. A URI is the
  same if its path is, as the playlist writes it: hosts, tokens and folders change with every redirect.
* At start-up the newest segment comes first, so that everything before it can open at once; older ones follow,
  newest first. After that segments come in the order of the list.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey, SegmentTiming

REMEMBERED_SEGMENTS = 10_000
"""Numbers whose URI is remembered, to tell an old copy from a rewind: five hours of 2 s segments."""


@dataclass(frozen=True, slots=True)
class Found:
    """A segment that was not known before.

    `ref` is its absolute URI. `arrived` is the bus time at which it was first listed; for segments that were listed
    before we came, when they must have been. `older` says that it lies before those already known: start-up works
    backwards. `boundary` says that a discontinuity lies between it and its neighbour in the direction of work.
    """

    key: SegmentKey
    segment: PlaylistSegment
    ref: str
    arrived: float
    older: bool
    boundary: bool


class PlaylistFollower:
    """Give each segment of one stream its number, once."""

    def __init__(self) -> None:
        self.generation = 0
        self._offset = 0
        self._uris: dict[int, str] = {}
        self._numbers: deque[int] = deque()
        self._last: int | None = None

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
            return self._start(listed, refs, now)
        if self._is_rewound(listed, refs):
            self.generation += 1
            self._offset = self._last + 1 - listed[0].msn
            self._uris.clear()
            self._numbers.clear()
            forced = True
        else:
            forced = False
        found = []
        for segment, ref in zip(listed, refs, strict=True):
            msn = segment.msn + self._offset
            if msn <= self._last:
                continue
            self._remember(msn, ref)
            found.append(
                Found(
                    SegmentKey(self.generation, msn),
                    segment,
                    ref,
                    now,
                    older=False,
                    boundary=segment.discontinuity or forced,
                )
            )
            forced = False
        return found

    def _start(self, listed: tuple[PlaylistSegment, ...], refs: list[str], now: float) -> list[Found]:
        behind = 0.0
        found = []
        for index in range(len(listed) - 1, -1, -1):
            segment = listed[index]
            newest = index == len(listed) - 1
            # Working backwards, the boundary between this one and the next is the next one's tag.
            boundary = segment.discontinuity if newest else listed[index + 1].discontinuity
            found.append(
                Found(
                    SegmentKey(0, segment.msn), segment, refs[index], now - behind, older=not newest, boundary=boundary
                )
            )
            behind += segment.duration_s
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

    def _remember(self, msn: int, uri: str) -> None:
        self._uris[msn] = uri
        self._numbers.append(msn)
        self._last = msn if self._last is None else max(self._last, msn)
        if len(self._numbers) > REMEMBERED_SEGMENTS:
            self._uris.pop(self._numbers.popleft(), None)


def is_same_segment(known_ref: str, ref: str, uri: str) -> bool:
    """Return whether a segment, listed as `uri` and now at `ref`, is the one that was at `known_ref`."""
    return known_ref == ref or urlsplit(known_ref).path.endswith("/" + urlsplit(uri).path.lstrip("/"))
