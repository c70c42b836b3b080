"""Every rendition but the lead: cut where the lead is, by the common axis.

Rules:
* A segment is listed if it ends no later than what is out of the lead, plus one audio frame; all of it once the lead
  has ended.
* A discontinuity stands where the origin marks one, where its numbers begin anew, and where one was put into the lead;
  the discontinuity sequence is the lead's (RFC 8216, 6.2.4: it matches across renditions). Of what lies between two of
  the lead's there may be no segment here: then both stand before the next one (6.2.1: each tag counts), or players
  would take its timestamps for those of another stretch, or wait for one that never comes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from kernel.follow import PlaylistFollower
from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey
from relay.axis import SLACK_S, Place, PlaylistAxis, find
from relay.listing import Listing
from relay.playlist import Resolve, listed
from relay.window import Window, loses_map


@dataclass(slots=True)
class Waiting:
    """A segment that is not out."""

    key: SegmentKey
    ref: str
    segment: PlaylistSegment
    resolve: Resolve
    place: Place


class Companion:
    """Hold the segments of one further rendition and keep its listing.

    Args:
        lead: the stream's lead rendition.
    """

    def __init__(self, lead: Window) -> None:
        self._lead = lead
        self._follower = PlaylistFollower()
        self._axis = PlaylistAxis()
        self._waiting: deque[Waiting] = deque()
        self._shift: float | None = None
        self._last_reach = 0.0
        self._spans: dict[SegmentKey, tuple[float, float]] = {}
        self.listing = Listing(lead.listing)

    @property
    def ended(self) -> bool:
        """Return whether everything is out and nothing will be added."""
        origin = self.listing.origin
        return origin is not None and origin.ended and not self._waiting and self.listing.last is not None

    @property
    def behind(self) -> bool:
        """Return whether the lead is out further than this rendition is known."""
        if self.ended or self._lead.listing.last is None:
            return False
        return not self._waiting or self._lead.ended

    @property
    def n_waiting(self) -> int:
        """Return how many segments are known and not out."""
        return len(self._waiting)

    def unseen(self, playlist: MediaPlaylist) -> int:
        """Return how many segments of a copy may be new to us."""
        return self._follower.unseen(playlist)

    def observe(self, playlist: MediaPlaylist, refs: list[str], resolve: Resolve, *, now: float) -> None:
        """Take in a copy of the origin's playlist; arguments as for `Window.observe`."""
        generation = self._follower.generation
        found = sorted(self._follower.observe(playlist, refs, now), key=lambda item: item.key)
        if found or self.listing.origin is None or playlist.ended:
            self.listing.take(playlist)
        for item in found:
            restarted = item.key.generation != generation
            if restarted:
                self._shift = None
            generation = item.key.generation
            place = self._axis.add(item.segment, restarted=restarted)
            self._waiting.append(Waiting(item.key, item.ref, item.segment, resolve, place))
        if self._shift is None and found:
            self._shift = self._aligned(playlist)
        self.open()

    def open(self) -> None:
        """List what the lead's progress allows."""
        if self._lead.listing.last is None:
            return
        limit = self._lead.opened_end + SLACK_S
        while self._waiting:
            waiting = self._waiting[0]
            at = find(self._lead.axis, waiting.place, self._shift or 0.0)
            if at + waiting.place.duration_s > limit and not self._lead.ended:
                break
            self._waiting.popleft()
            self._list(waiting, at)
        self.listing.trim()
        while self._spans and self.listing.find(oldest := next(iter(self._spans))) is None:
            del self._spans[oldest]

    def shown_in(self, key: SegmentKey) -> tuple[int, int] | None:
        """Return which of the lead's segments a listed segment shows, the first and the last number; None: none."""
        span = self._spans.get(key)
        return self._lead.shown_in(*span) if span is not None else None

    def number_at(self, begin: float, *, up: bool) -> int | None:
        """Return the number of the first segment behind a place on the lead's axis, None if that is not known.

        Args:
            begin: the place, in seconds.
            up: whether one that spans it does not count.
        """
        newest = True
        for key, (at, end) in reversed(self._spans.items()):
            if (at < begin - SLACK_S) if up else (end <= begin + SLACK_S):
                # Behind the newest there may come more that lies before it.
                return None if newest and end < begin - SLACK_S else key.msn + 1
            newest = False
        return None  # It lies before all that is kept.

    def text(self) -> str | None:
        """Return the playlist as it stands, None as long as nothing is out."""
        return self.listing.text(ended=self.ended and self._lead.ended)

    def hold(self) -> None:
        """Have `text` say what it says now until the listing is released."""
        self.listing.hold(ended=self.ended and self._lead.ended)

    def _aligned(self, playlist: MediaPlaylist) -> float:
        """Return the shift onto the lead's axis where neither dates nor discontinuities tell."""
        if playlist.ended or playlist.playlist_type is not None:
            return 0.0  # Whole lists begin together.
        for waiting in self._waiting:
            known = self._lead.axis.of_msn(waiting.segment.msn)
            if known is not None:
                return known - waiting.place.at
        return self._lead.axis.end - self._axis.end

    def _earlier(self) -> int:
        """Return how many discontinuities of ours follow, among what is known, that the lead's list began behind."""
        lead = self._lead
        marked = bool(lead.breaks) and lead.breaks[0][0] <= lead.first_at
        count = 0
        for one in self._waiting:
            at = find(lead.axis, one.place, self._shift or 0.0)
            # The one with which the lead's list begins, if it does, is nearest to its own segment here.
            before = (
                at + one.place.duration_s / 2 < lead.first_at - SLACK_S if marked else at <= lead.first_at + SLACK_S
            )
            if not before:
                break
            count += one.segment.discontinuity
        return count

    def _list(self, waiting: Waiting, at: float) -> None:
        before = self.listing.last
        marked, broken = waiting.segment.discontinuity, False
        # A discontinuity of the lead's belongs to the segment that begins nearest to it; where that is a toss-up, to
        # the one that the origin has marked.
        middle = at + waiting.place.duration_s / 2
        reach = middle + SLACK_S if marked else middle - SLACK_S
        passed = [sequence for start, sequence in self._lead.breaks if start <= reach]
        if before is None:
            discontinuities = int(marked)
            sequence = passed[-1] if passed else self._lead.first_sequence - self._earlier()
        else:
            broken = waiting.key.msn != before.key.msn + 1 or loses_map(before.segment, waiting.segment)
            inserted = any(self._last_reach < start <= reach for start, _ in self._lead.breaks)
            # What the origin has marked on the segment before is not marked again.
            inserted = inserted and passed[-1] > before.discontinuity_sequence
            fresh = waiting.key.generation != before.key.generation
            discontinuities = int(marked or broken or inserted or fresh)
            sequence = before.discontinuity_sequence + discontinuities
            if discontinuities and passed:
                sequence = max(sequence, passed[-1])
            if not broken:
                # Behind a hole the list begins anew, under whatever number.
                discontinuities = sequence - before.discontinuity_sequence
        self._last_reach = reach
        self._spans[waiting.key] = (at, at + waiting.place.duration_s)
        self.listing.append(
            listed(
                waiting.segment,
                waiting.key,
                waiting.ref,
                waiting.resolve,
                discontinuities=discontinuities,
                discontinuity_sequence=sequence,
                broken=broken,
                prefix="",
                wall=waiting.place.wall,
            )
        )
