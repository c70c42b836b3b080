"""One axis for all renditions of a stream: seconds on the lead rendition's playlist.

Only the lead is timed by feeds; the others are cut where the lead is. What says that a segment of another rendition
belongs to a place on the lead's axis, best first (RFC 8216, 6.2.4 asks origins for the first two):

1. EXT-X-PROGRAM-DATE-TIME on both, carried on over EXTINF where a segment has none;
2. the sum of EXTINF since a discontinuity that both have seen, by its discontinuity sequence number;
3. a common start (a list that was whole from the beginning), a common media sequence number, or, failing all, a common
   end at first sight.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import inf

from kernel.playlist import PlaylistSegment

SLACK_S = 0.05
"""How much later than the lead another rendition's segment may end: one frame of HE-AAC (2,048 samples at 44.1 kHz) is
46 ms, and EXTINF is rounded."""

MAX_PLACES = 20_000
"""Segments whose place is remembered: ten hours of 2 s segments, more than any list that slides."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment lies by its own playlist.

    `at` is in seconds on that playlist's own axis. `wall` is its date in Unix seconds, None where nothing tells it.
    `since` is the time since the discontinuity before it, None where that was never seen.
    """

    at: float
    duration_s: float
    wall: float | None
    region: int
    since: float | None

    @property
    def end(self) -> float:
        """Return where it ends on its own axis."""
        return self.at + self.duration_s


class PlaylistAxis:
    """Lay the segments of one playlist end to end, in the order in which they are listed."""

    def __init__(self) -> None:
        self.end = 0.0
        self._last: Place | None = None

    def add(self, segment: PlaylistSegment, *, restarted: bool) -> Place:
        """Lay the next segment; `restarted` says that its origin began anew with it."""
        last = self._last
        broken = segment.discontinuity or restarted
        wall, since = segment.pdt, 0.0 if broken else None
        if last is not None and not broken:
            if wall is None and last.wall is not None:
                wall = last.wall + last.duration_s
            if last.since is not None:
                since = last.since + last.duration_s
        self._last = Place(self.end, segment.duration_s, wall, segment.discontinuity_sequence, since)
        self.end += segment.duration_s
        return self._last


class LeadAxis:
    """The lead rendition's axis, and the ways to find a place of another rendition on it."""

    def __init__(self) -> None:
        self._axis = PlaylistAxis()
        self._places: list[Place] = []
        self._starts: list[float] = []
        # Dates rise, as a rule: then they are searched, not walked through.
        self._walls: list[float] = []
        self._rising = True
        self._regions: dict[int, float] = {}
        self._by_msn: dict[int, float] = {}

    @property
    def end(self) -> float:
        """Return where the newest segment that was seen ends."""
        return self._axis.end

    def add(self, segment: PlaylistSegment, *, restarted: bool) -> Place:
        """Lay the next segment of the lead."""
        if restarted:
            # Numbers of another life of the origin's mean nothing any more.
            self._regions.clear()
            self._by_msn.clear()
        place = self._axis.add(segment, restarted=restarted)
        self._places.append(place)
        self._starts.append(place.at)
        wall = place.wall
        self._rising = self._rising and wall is not None and wall >= (self._walls[-1] if self._walls else -inf)
        self._walls.append(-inf if wall is None else wall)
        self._by_msn[segment.msn] = place.at
        if place.since == 0.0:
            self._regions[place.region] = place.at
        if len(self._places) > 2 * MAX_PLACES:
            del self._places[:MAX_PLACES]
            del self._starts[:MAX_PLACES]
            del self._walls[:MAX_PLACES]
            self._by_msn = dict(list(self._by_msn.items())[-MAX_PLACES:])
        return place

    def of_wall(self, wall: float) -> float | None:
        """Return the position of a date, None if the lead has no dates.

        A date within a gap of the lead's stands at the end of what lies before it; one before all of the lead's, as far
        ahead of the first as it says.
        """
        if self._rising:
            index = bisect_right(self._walls, wall + SLACK_S) - 1
            if index < 0:
                return self._places[0].at - (self._walls[0] - wall) if self._places else None
            place, inside = self._places[index], wall - self._walls[index]
            return place.at + (inside if index == len(self._places) - 1 else min(inside, place.duration_s))
        newest, earliest = True, None
        for place in reversed(self._places):
            if place.wall is not None and place.wall <= wall + SLACK_S:
                inside = wall - place.wall
                return place.at + (inside if newest else min(inside, place.duration_s))
            newest = False
            earliest = place if place.wall is not None else earliest
        return None if earliest is None or earliest.wall is None else earliest.at - (earliest.wall - wall)

    def of_region(self, region: int, since: float) -> float | None:
        """Return the position `since` seconds behind a discontinuity, None if the lead has not seen that one."""
        start = self._regions.get(region)
        return None if start is None else start + since

    def of_msn(self, msn: int) -> float | None:
        """Return where the segment with the origin's number `msn` begins, None if it was not seen."""
        return self._by_msn.get(msn)

    def start_before(self, position: float) -> float | None:
        """Return the start of the segment at `position`, None if that lies before everything."""
        index = bisect_right(self._starts, position + SLACK_S) - 1
        return self._starts[index] if index >= 0 else None


def find(lead: LeadAxis, place: Place, shift: float) -> float:
    """Return where a place of another rendition begins on the lead's axis.

    Args:
        lead: the lead's axis.
        place: by the other rendition's own playlist.
        shift: what to add to its own axis where neither dates nor discontinuities tell.
    """
    if place.wall is not None:
        position = lead.of_wall(place.wall)
        if position is not None:
            return position
    if place.since is not None:
        position = lead.of_region(place.region, place.since)
        if position is not None:
            return position
    return place.at + shift
