"""Follow an origin's media playlist: what is new in each copy, and under which number.

Rules:
* Each segment has a generation and our media sequence number. Ours is the origin's plus an offset, and
  never falls: when the origin rewinds, the generation rises and the offset with it. The numbers that count are
  those that feeds gives; the relay follows too, to go on without feeds, and takes over feeds' numbers.
* A copy whose segments are known ones under their own numbers is merely old (a cache in between answered with an
  older copy) and is passed over; so is, for a while after a rewind, one from before it. A copy that names other URIs
  under known numbers is a rewind; so is one of lower numbers that we never saw, if it lies further back than caches may
  be old. A URI is the same if its path is, as the playlist writes it: hosts, tokens and folders change with every
  redirect.
* Who began after a rewind knows nothing of what was before. A copy that runs ahead of the last one by more than can
  have been made since is from there, too, and is passed over until it alone comes. So is, for a while after we came,
  one that names other URIs only under known numbers: both lives may have begun from the same. Where that cannot be
  told, the origin shows it: it is back at what we took for old when nothing else comes and that grows.
* At start-up the newest segment that may go out at once comes first, so that everything before it opens with it. Then
  come those behind it, in order, then the older ones, newest first. After that segments come in the order of the list.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import accumulate, islice
from urllib.parse import urlsplit

from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey, SegmentTiming

REMEMBERED_SEGMENTS = 10_000
"""Numbers whose URI is remembered, to tell an old copy from a rewind: five hours of 2 s segments."""

FORMER_S = 60.0
"""How long after a rewind a copy from before it may still come: caches keep a live list for some target durations, and
answer with what they have while its origin is restarted. After that, numbers and URIs may be used again."""

PRESENT_TARGET_DURATIONS = 3
"""How long after its last copy a generation counts as the present one, beside copies from before it that name segments
we never saw. A live list grows at least every one and a half target durations (RFC 8216, 6.2.2)."""


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
        max_older: how many segments are found at most of those that lie before the first; None: all.
    """

    def __init__(self, *, hold_s: float = 0.0, max_older: int | None = None) -> None:
        self._hold_s = hold_s
        self._max_older = max_older
        self.generation = 0
        self._offset = 0
        self._uris: dict[int, str] = {}
        self._numbers: deque[int] = deque()
        self._last: int | None = None
        # What was listed before the last rewind, by its number then: the numbers' offset, and until when it matters.
        self._former: dict[int, str] = {}
        self._former_offset = 0
        self._former_until: float | None = None
        self._began_at = self._present_at = self._newest_at = float("-inf")
        self._confirmed = ""
        self.passed_over = False
        """Whether the last copy was from another life of the origin's: what it says of the whole list is void."""

    @property
    def last(self) -> SegmentKey | None:
        """Return the newest segment's key, None before the first playlist."""
        return None if self._last is None else SegmentKey(self.generation, self._last)

    def unseen(self, playlist: MediaPlaylist) -> int:
        """Return how many segments of a copy `observe` may find new, at most: what it will cost."""
        listed = playlist.segments
        if not listed or self._last is None:
            return len(listed)
        ahead = listed[-1].msn + self._offset - self._last
        return len(listed) if ahead < 0 else min(ahead, len(listed))

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

    def confirm(self, uri: str) -> None:
        """Learn from who follows the same origin, and is to be believed, that its present life has a segment there."""
        self._confirmed = uri

    def observe(self, playlist: MediaPlaylist, refs: list[str], now: float) -> list[Found]:
        """Return the segments of a copy that were not known, in the order in which they are to be worked on.

        Args:
            playlist: a copy of the origin's playlist.
            refs: the absolute URI of each of its segments.
            now: bus time at which the copy arrived.
        """
        listed = playlist.segments
        self.passed_over = False
        if not listed:
            return []
        if self._last is None:
            self._began_at = self._present_at = self._newest_at = now
            return self._start(listed, refs, now, hold_s=0.0 if playlist.ended else self._hold_s)
        is_old = (bool(self._former) and self._is_former(playlist, refs, now)) or self._leaps(playlist, now)
        is_rewound = not is_old and self._is_rewound(listed, refs)
        self.passed_over = is_old or (is_rewound and self._may_precede_us(playlist, refs, now))
        if self.passed_over:
            return []
        self._present_at = now
        if self._newest_at == float("-inf"):
            self._newest_at = now  # what is known comes from before a restart
        if is_rewound or self._is_back(playlist, now):
            self._retire(until=now + FORMER_S)
            self.generation += 1
            self._offset = self._last + 1 - listed[0].msn
            forced = True
        else:
            forced = False
        # Numbers in a list are consecutive (6.2.2): what is new is its end.
        first = max(0, self._last + 1 - self._offset - listed[0].msn)
        if listed[-1].msn + self._offset >= self._last:
            self._newest_at = now
        behind = _behind(listed, first)
        found = []
        for index in range(first, len(listed)):
            segment = listed[index]
            key, arrived = SegmentKey(self.generation, segment.msn + self._offset), now - behind[index - first]
            boundary, seen = segment.discontinuity or forced, index == len(listed) - 1
            # What is first seen together came one after the other, each when the one after it began.
            found.append(Found(key, segment, refs[index], arrived, seen=seen, older=False, boundary=boundary))
            forced = False
        self._remember_all(listed, refs, first)
        return found

    def _start(self, listed: tuple[PlaylistSegment, ...], refs: list[str], now: float, *, hold_s: float) -> list[Found]:
        """Return the first copy's segments: the newest that may go out at once, those behind it, those before it."""
        behind = _behind(listed, 0)
        # What lies behind grows towards the start: the last one that has enough of it is found from the end.
        first = next((index for index in range(len(listed) - 1, -1, -1) if behind[index] >= hold_s), 0)
        oldest = 0 if self._max_older is None else max(0, first - self._max_older)
        found = []
        for index in (*range(first, len(listed)), *range(first - 1, oldest - 1, -1)):
            segment, older = listed[index], index < first
            # Working backwards, the boundary between this one and the next is the next one's tag.
            boundary = listed[index + 1].discontinuity if older else segment.discontinuity
            key, arrived = SegmentKey(0, segment.msn), now - behind[index]
            found.append(Found(key, segment, refs[index], arrived, seen=False, older=older, boundary=boundary))
        self._remember_all(listed, refs, 0)
        return found

    def _is_rewound(self, listed: tuple[PlaylistSegment, ...], refs: list[str]) -> bool:
        overlap = False
        # Only those are looked at that may be remembered: of a long list the end.
        start = max(0, self._numbers[0] - self._offset - listed[0].msn) if self._numbers else 0
        for segment, ref in islice(zip(listed, refs, strict=True), start, None):
            known = self._uris.get(segment.msn + self._offset)
            if known is not None:
                overlap = True
                if not is_same_segment(known, ref, segment.uri):
                    return True
        # RFC 8216, 6.2.2: the media sequence number of a segment never decreases. A copy that lies wholly below what
        # we know, with URIs that we have never seen there, comes from an origin that began anew; unless it may be from
        # a time before we came, or that we missed. Then it has to come alone for a while, and to grow.
        assert self._last is not None
        below_s = (self._last - listed[-1].msn - self._offset) * sum(one.duration_s for one in listed) / len(listed)
        return not overlap and below_s > FORMER_S

    def _leaps(self, playlist: MediaPlaylist, now: float) -> bool:
        """Return whether a copy runs ahead by more than can have been made since the last one, which is the present."""
        listed, elapsed_s = playlist.segments, now - self._present_at
        assert self._last is not None
        missed = listed[0].msn + self._offset - self._last - 1
        if missed <= 0 or elapsed_s > PRESENT_TARGET_DURATIONS * playlist.target_duration_s:
            return False
        # The last copy may have been as old as caches give.
        return missed * sum(segment.duration_s for segment in listed) / len(listed) > elapsed_s + FORMER_S

    def _may_precede_us(self, playlist: MediaPlaylist, refs: list[str], now: float) -> bool:
        """Return whether a copy may be from a life before the one that we began with, while that is the present one."""
        is_present = now - self._present_at <= PRESENT_TARGET_DURATIONS * playlist.target_duration_s
        if now - self._began_at > FORMER_S or not is_present:
            return False
        has_others = False
        for segment, ref in zip(playlist.segments, refs, strict=True):
            if is_same_segment(self._confirmed, ref, segment.uri):
                return False
            known = self._uris.get(segment.msn + self._offset)
            if known is not None:
                if is_same_segment(known, ref, segment.uri):
                    return False
                has_others = True
        return has_others

    def _is_back(self, playlist: MediaPlaylist, now: float) -> bool:
        """Return whether a copy grows among what was never listed to us, before the newest, of which no more comes."""
        assert self._last is not None
        end = playlist.segments[-1].msn + self._offset
        is_silent = now - self._newest_at > PRESENT_TARGET_DURATIONS * playlist.target_duration_s
        return end < self._last and end not in self._uris and is_silent

    def _retire(self, *, until: float | None) -> None:
        """Begin a generation; what was listed before is known as such until bus time `until`, None: yet to be said."""
        self._former, self._former_offset, self._former_until = self._uris, self._offset, until
        self._uris = {}
        self._numbers.clear()

    def _is_former(self, playlist: MediaPlaylist, refs: list[str], now: float) -> bool:
        """Return whether a copy is one from before the last rewind."""
        if self._former_until is None:
            self._former_until = now + FORMER_S
        if now > self._former_until:
            self._former = {}
            return False
        n_known = 0
        for segment, ref in zip(playlist.segments, refs, strict=True):
            known = self._former.get(segment.msn + self._former_offset)
            present = self._uris.get(segment.msn + self._offset)
            # Both lives may count from the same number: then the URI tells which one it is.
            if present is not None and is_same_segment(present, ref, segment.uri):
                return False
            if known is not None and not is_same_segment(known, ref, segment.uri):
                return False
            n_known += known is not None
        if n_known == len(playlist.segments):
            return True
        # Of what else is in it we may have missed the time; unless it alone comes, then the origin is back there.
        return n_known > 0 and now - self._present_at <= PRESENT_TARGET_DURATIONS * playlist.target_duration_s

    def _remember_all(self, listed: tuple[PlaylistSegment, ...], refs: list[str], first: int) -> None:
        """Remember the segments of a copy from index `first` on, of many the newest."""
        for index in range(max(first, len(listed) - REMEMBERED_SEGMENTS), len(listed)):
            self._remember(listed[index].msn + self._offset, refs[index])

    def _remember(self, msn: int, uri: str) -> None:
        self._uris[msn] = uri
        self._numbers.append(msn)
        self._last = msn if self._last is None else max(self._last, msn)
        if len(self._numbers) > REMEMBERED_SEGMENTS:
            self._uris.pop(self._numbers.popleft(), None)


def _behind(listed: tuple[PlaylistSegment, ...], first: int) -> list[float]:
    """Return for each segment from index `first` on how long all that follow it last, in seconds."""
    later = (listed[index].duration_s for index in range(len(listed) - 1, first, -1))
    behind = list(accumulate(later, initial=0.0))
    behind.reverse()
    return behind


def is_same_segment(known_ref: str, ref: str, uri: str) -> bool:
    """Return whether a segment, listed as `uri` and now at `ref`, is the one that was at `known_ref`."""
    return known_ref == ref or urlsplit(known_ref).path.endswith(tail_of(uri))


def tail_of(uri: str) -> str:
    """Return how the path of a segment ends that is listed as `uri`, wherever it is."""
    return "/" + urlsplit(uri).path.lstrip("/")
