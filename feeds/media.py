"""What a segment says of time, whatever container it comes in: its tracks, and which of them leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from kernel.errors import MediaError
from kernel.pts import TICKS_PER_S, Pts33, Ticks, reduce33, s_of_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["video", "audio"]

Container = Literal["mpegts", "fmp4", "packed_audio"]
"""RFC 8216, 3.2 to 3.4: MPEG-2 transport stream, fragmented MPEG-4, packed audio."""

MAX_SPAN_S = 3600
"""No segment is longer than an hour (recorders cut at ten seconds): a wider one hides a jump of its counter."""

GUESSED_FRAME = Ticks(TICKS_PER_S // 25)
"""How long a lone frame lasts that nothing says more about; most frame rates lie within a factor of two of 25."""


class TrackKey(NamedTuple):
    """What must stay the same from segment to segment for timestamps to be comparable.

    `codec` is FFmpeg's name. `pid` is the PID, or the track's number in fMP4, or 0. `timescale` is units a second.
    """

    kind: Kind
    codec: str
    pid: int
    timescale: int


@dataclass(frozen=True, slots=True)
class TrackTiming:
    """The presentation times of one track of one segment.

    `frames` counts the packets, or samples. `pts` are the distinct presentation times in rising order, in ticks,
    unwrapped within the segment: they may exceed 2**33 or be negative. `start` and `end` (the highest plus that
    frame's duration) are the same modulo 2**33. `duration` is the span from start to end in ticks. `guessed` says that
    the track is one lone frame of unknown length.
    """

    kind: Kind
    codec: str
    pid: int
    timescale: int
    frames: int
    start: Pts33
    end: Pts33
    pts: tuple[int, ...]
    duration: Ticks
    guessed: bool = False

    @property
    def key(self) -> TrackKey:
        """Return what identifies this track from segment to segment."""
        return TrackKey(self.kind, self.codec, self.pid, self.timescale)


def track_over(
    key: TrackKey, pts: Sequence[int], end: int, *, frames: int | None = None, guessed: bool = False
) -> TrackTiming:
    """Build the timing of one track.

    Args:
        key: which one.
        pts: its presentation times in ticks, rising; at least one.
        end: where its last frame ends, in ticks.
        frames: how many it holds, where that is not the number of `pts`.
        guessed: the last frame's duration is a guess.

    Raises:
        MediaError: they lie further apart than any segment is long.
    """
    first, last = pts[0], pts[-1]
    if last - first > MAX_SPAN_S * TICKS_PER_S:
        raise MediaError(
            f"track {key.pid} jumps by {s_of_ticks(last - first):.0f} s inside the segment: "
            "cut segments where the timestamps are reset (RFC 8216, 4.3.2.3)"
        )
    return TrackTiming(
        kind=key.kind,
        codec=key.codec,
        pid=key.pid,
        timescale=key.timescale,
        frames=len(pts) if frames is None else frames,
        start=reduce33(first),
        end=reduce33(end),
        pts=tuple(pts),
        duration=Ticks(end - first),
        guessed=guessed,
    )


@dataclass(frozen=True, slots=True)
class SegmentMedia:
    """The tracks of one segment that hold media.

    `declared` are all tracks that the segment's programme map or init section names, also those without a packet in
    this segment; empty where the container has no such map. `wraps` says that the counter has 33 bits, so that times
    are known modulo 2**33 only; where it is False (fMP4) the `pts` of the tracks are the times themselves.
    """

    container: Container
    tracks: tuple[TrackTiming, ...]
    declared: tuple[TrackKey, ...] = ()
    wraps: bool = True

    @property
    def lead(self) -> TrackTiming:
        """Return the track that times the segment: the first with video, else the first with audio.

        Raises:
            MediaError: there is neither.
        """
        for kind in ("video", "audio"):
            for track in self.tracks:
                if track.kind == kind:
                    return track
        raise MediaError("the segment holds neither video nor audio: nothing in it can be timed")

    @property
    def signature(self) -> tuple[TrackKey, ...]:
        """Return the set of tracks in a fixed order: where it changes, a new timeline begins."""
        return tuple(sorted(set(self.declared or (track.key for track in self.tracks))))
