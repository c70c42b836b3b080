"""Where a picture stands: (timeline, pts), and what is known of each segment's span of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from kernel.pts import Ticks

Method = Literal["tfdt", "pdt", "arrival"]
"""What a segment's UTC was taken from: epoch-locked tfdt, EXT-X-PROGRAM-DATE-TIME, or its arrival here."""


class MediaTime(NamedTuple):
    """A point of a stream: ordered by timeline first, then by unwrapped time within it."""

    timeline: int
    pts: Ticks


BEGINNING = MediaTime(-(1 << 62), Ticks(0))
"""Before every picture: the frontier of somebody who may see nothing."""

END = MediaTime(1 << 62, Ticks(0))
"""After every picture: the frontier at the end of an ended stream."""


class SegmentKey(NamedTuple):
    """How a segment is addressed: feeds alone gives generation and media sequence number, and neither ever falls."""

    generation: int
    msn: int


@dataclass(frozen=True, slots=True)
class SegmentTiming:
    """The measured span of one segment.

    `start` is its lowest video PTS (audio-only: lowest audio), `end` the highest plus that frame's duration, both
    unwrapped; `end` is exclusive. `wall` is the UTC of `start` in Unix seconds, None where nothing tells it;
    `sigma_ms` its uncertainty, one standard deviation in milliseconds. `uri` is the origin's, absolute.
    """

    stream: str
    generation: int
    msn: int
    part: int | None
    uri: str
    timeline: int
    start: Ticks
    end: Ticks
    wall: float | None
    sigma_ms: float
    method: Method | None

    @property
    def key(self) -> SegmentKey:
        """Return the address of this segment."""
        return SegmentKey(self.generation, self.msn)

    @property
    def begins(self) -> MediaTime:
        """Return the first picture's media time."""
        return MediaTime(self.timeline, self.start)

    @property
    def upto(self) -> MediaTime:
        """Return the media time before which all of this segment's pictures lie."""
        return MediaTime(self.timeline, self.end)


@dataclass(frozen=True, slots=True)
class StreamState:
    """What feeds says of a stream as a whole, retained on the bus.

    `target_duration_s` is the origin's (RFC 8216, 4.3.3.1). `live` is False where the list was complete when it was
    first seen. `ended` says that ENDLIST stands behind the segment `last`. `begun` says that nothing older than what
    is timed will be timed any more: the start of the stream is known.
    """

    stream: str
    target_duration_s: int
    live: bool
    ended: bool
    begun: bool
    last: SegmentKey | None
