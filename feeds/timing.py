"""From the 33-bit counter of each segment to its place on a timeline.

A timeline is a run of media with one continuous timestamp sequence. A new one begins

* where the playlist says EXT-X-DISCONTINUITY (RFC 8216, 4.3.2.3),
* where the set of tracks changes: PID, codec or timescale, or the kind of counter,
* where the counter jumps unmarked, by more than max(0.5 s, half the target duration) from where it was expected.

The wrap is tested first: the jump is the *signed* step to the nearest time congruent modulo 2**33, so a wrap is a step
like any other. A new timeline's first segment stands where its own counter stands, 0 to 2**33 - 1, and the timeline
goes on from there beyond 2**33 without wrapping. The decode time of fMP4 has 64 bits (ISO/IEC 14496-12, 8.8.12): it
does not wrap, and its times are taken as they stand, so that a step of exactly 2**33 is a jump there.

At start-up a list is timed newest first: `place_before` walks backwards by the same rules, to lower numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kernel.pts import Ticks, ticks_of_s, unwrap

if TYPE_CHECKING:
    from feeds.media import SegmentMedia

WhyNew = Literal["first", "discontinuity", "tracks", "jump"]
"""Why a segment does not share the timeline of its neighbour; `first`: it has none."""

MIN_JUMP_S = 0.5
"""Below it a step is an encoder's rounding, a dropped frame or an audio frame at a cut, not a new time base."""


class Placed(NamedTuple):
    """Where a segment stands: `frames` are the unwrapped presentation times of its leading track, rising."""

    timeline: int
    start: Ticks
    end: Ticks
    frames: tuple[Ticks, ...]
    why_new: WhyNew | None


@dataclass(frozen=True, slots=True)
class TrackerState:
    """What must be kept of the newest segment to go on after a restart; plain JSON values.

    `start` and `end` are unwrapped ticks, `tracks` are rows of (kind, codec, pid, timescale). `wraps` says that the
    counter has 33 bits.
    """

    timeline: int
    start: int
    end: int
    tracks: tuple[tuple[str, str, int, int], ...]
    wraps: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrackerState:
        """Read what `as_json` wrote; JSON has turned the rows into lists.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        rows = tuple((str(kind), str(codec), int(pid), int(scale)) for kind, codec, pid, scale in value["tracks"])
        return cls(int(value["timeline"]), int(value["start"]), int(value["end"]), rows, bool(value.get("wraps", True)))


class TimelineTracker:
    """Place the segments of one stream on timelines.

    Args:
        first_timeline: the number of the first segment's timeline. It must leave room below for the timelines that
            `place_before` may find in the list the start-up begins with.
        first_free: no new timeline has a lower number: those below may be known to somebody already.
    """

    def __init__(self, first_timeline: int = 0, *, first_free: int = 0) -> None:
        self._first_timeline = first_timeline
        self._first_free = first_free
        self._oldest: TrackerState | None = None
        self._newest: TrackerState | None = None

    @classmethod
    def restore(cls, state: TrackerState, *, first_free: int = 0) -> TimelineTracker:
        """Go on behind the segment that `state` tells of; `first_free` is as for a new one."""
        tracker = cls(state.timeline, first_free=first_free)
        tracker._oldest = tracker._newest = state
        return tracker

    def state(self) -> TrackerState | None:
        """Return what `restore` needs, or None before the first segment."""
        return self._newest

    def place(
        self, media: SegmentMedia, *, discontinuity: bool, target_duration_s: float, skipped_s: float = 0.0
    ) -> Placed:
        """Place the segment that follows the newest one in the playlist.

        Args:
            media: its tracks.
            discontinuity: EXT-X-DISCONTINUITY stands before it, or before one that was skipped.
            target_duration_s: the playlist's (RFC 8216, 4.3.3.1).
            skipped_s: the playlist duration of the segments between that could not be timed.

        Raises:
            MediaError: it holds neither video nor audio.
        """
        previous = self._newest
        if previous is None:
            why: WhyNew | None = "first"
            timeline, start = self._first_timeline, _own_start(media)
        else:
            expected = previous.end + ticks_of_s(skipped_s)
            timeline, start = previous.timeline, _start_near(media, expected)
            jump = start - expected
            why = _why_new(previous, media, jump, discontinuity=discontinuity, target_duration_s=target_duration_s)
            if why is not None:
                timeline, start = max(timeline + 1, self._first_free), _own_start(media)
        placed = _placed(media, timeline, start, why)
        self._newest = _edge(media, placed)
        self._oldest = self._oldest or self._newest
        return placed

    def place_before(
        self, media: SegmentMedia, *, discontinuity_between: bool, target_duration_s: float, skipped_s: float = 0.0
    ) -> Placed:
        """Place the segment that precedes the oldest one in the playlist; arguments as for `place`.

        `why_new` tells why the *newer* neighbour began a timeline.

        Raises:
            MediaError: it holds neither video nor audio.
        """
        following, lead = self._oldest, media.lead
        if following is None:
            return self.place(media, discontinuity=False, target_duration_s=target_duration_s)
        expected = following.start - ticks_of_s(skipped_s)
        timeline, start = following.timeline, _start_near(media, expected - lead.duration)
        jump = start + lead.duration - expected
        why = _why_new(following, media, jump, discontinuity=discontinuity_between, target_duration_s=target_duration_s)
        if why is not None:
            timeline, start = timeline - 1, _own_start(media)
        placed = _placed(media, timeline, start, why)
        self._oldest = _edge(media, placed)
        return placed


def _own_start(media: SegmentMedia) -> int:
    """Return where the segment's own counter stands, which begins a timeline."""
    lead = media.lead
    return int(lead.start) if media.wraps else lead.pts[0]


def _start_near(media: SegmentMedia, expected: int) -> int:
    """Return where the segment begins on the timeline that expects it at `expected`."""
    lead = media.lead
    return int(unwrap(lead.start, expected)) if media.wraps else lead.pts[0]


def _placed(media: SegmentMedia, timeline: int, start: int, why: WhyNew | None) -> Placed:
    lead = media.lead
    offset = start - lead.pts[0]
    frames = tuple(Ticks(pts + offset) for pts in lead.pts)
    return Placed(timeline, Ticks(start), Ticks(start + lead.duration), frames, why)


def _edge(media: SegmentMedia, placed: Placed) -> TrackerState:
    return TrackerState(placed.timeline, placed.start, placed.end, media.signature, media.wraps)


def _why_new(
    neighbour: TrackerState, media: SegmentMedia, jump: int, *, discontinuity: bool, target_duration_s: float
) -> WhyNew | None:
    if discontinuity:
        return "discontinuity"
    if neighbour.tracks != media.signature or neighbour.wraps != media.wraps:
        return "tracks"
    if abs(jump) > ticks_of_s(max(MIN_JUMP_S, target_duration_s / 2)):
        return "jump"
    return None
