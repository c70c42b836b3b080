"""What a segment of an MPEG-2 transport stream says of time, from the packets that a demuxer found in it.

The order of work matters (ISO/IEC 13818-1, 2.4.3.7: the counter has 33 bits):

1. Reduce every packet's PTS modulo 2**33, because FFmpeg has already guessed at wraps on its own terms.
2. Unwrap inside the segment, all tracks near one and the same first packet.
3. Sort by presentation, take lowest and highest, add the last frame's duration.
4. Reduce modulo 2**33 last, and only what is reported. A segment may hold the wrap: the lowest *reduced* value is then
   a picture in its middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from kernel.errors import MediaError
from kernel.pts import TICKS_PER_S, WRAP, Pts33, Ticks, reduce33, s_of_ticks, unwrap

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["video", "audio"]

TIMESCALE = TICKS_PER_S
"""ISO/IEC 13818-1, 2.4.3.7: PTS are coded in units of the system clock frequency divided by 300."""

MAX_SPAN_S = 3600
"""No segment is longer than an hour (recorders cut at ten seconds): a wider one hides a jump of its counter."""

GUESSED_FRAME = Ticks(TIMESCALE // 25)
"""How long a lone frame lasts that nothing says more about; most frame rates lie within a factor of two of 25."""


class TrackKey(NamedTuple):
    """What must stay the same from segment to segment for timestamps to be comparable."""

    kind: Kind
    codec: str
    pid: int
    timescale: int


class RawTrack(NamedTuple):
    """What a demuxer found of one track, in the order of the file.

    `pts` are in ticks, as the demuxer gave them, None where a packet carries none; `durations` are 0 or less where
    unknown. `frame` is the duration of a frame by the track's own parameters, 0 where unknown.
    """

    key: TrackKey
    pts: tuple[int | None, ...]
    durations: tuple[int, ...]
    frame: int = 0


@dataclass(frozen=True, slots=True)
class TrackTiming:
    """The presentation times of one track of one segment.

    `frames` counts the packets. `pts` are the distinct presentation times in rising order, in ticks, unwrapped within
    the segment: they may exceed 2**33 or be negative. `start` and `end` (the highest plus that frame's duration) are
    the same modulo 2**33. `duration` is the span from start to end in ticks. `guessed` says that the track is one
    lone frame of unknown length.
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


@dataclass(frozen=True, slots=True)
class SegmentMedia:
    """The tracks of one segment that hold media.

    `declared` are all tracks that the segment's programme map names, also those without a packet in this segment;
    empty where the container has no such map.
    """

    container: str
    tracks: tuple[TrackTiming, ...]
    declared: tuple[TrackKey, ...] = ()

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


def segment_media(tracks: Sequence[RawTrack]) -> SegmentMedia:
    """Time a transport stream segment from what a demuxer found in it.

    Raises:
        MediaError: no track has a timestamp, or the counter jumps inside the segment.
    """
    ordered = sorted(tracks, key=lambda track: track.key.kind != "video")
    near = next((pts % WRAP for track in ordered for pts in track.pts if pts is not None), None)
    if near is None:
        raise MediaError("no video or audio packet with a timestamp: not a transport stream, empty, or encrypted")
    timed = [track_timing(track, near=near) for track in tracks if any(pts is not None for pts in track.pts)]
    return SegmentMedia("mpegts", tuple(timed), tuple(track.key for track in tracks))


def track_timing(track: RawTrack, *, near: int | None = None) -> TrackTiming:
    """Build the timing of one track.

    Args:
        track: at least one packet carries a PTS.
        near: the reference to unwrap against, 0 to 2**33 - 1; the track's own first PTS if None.

    Raises:
        MediaError: it has no timestamp, or they lie further apart than any segment is long.
    """
    known = [(pts % WRAP, length) for pts, length in zip(track.pts, track.durations, strict=True) if pts is not None]
    if not known:
        raise MediaError(f"track {track.key.pid} has no timestamp")
    reference = known[0][0] if near is None else near
    shown = sorted((unwrap(pts, reference), length) for pts, length in known)
    first, last = shown[0][0], shown[-1][0]
    if last - first > MAX_SPAN_S * TIMESCALE:
        raise MediaError(
            f"track {track.key.pid} jumps by {s_of_ticks(last - first):.0f} s inside the segment: "
            "cut segments where the timestamps are reset (RFC 8216, 4.3.2.3)"
        )
    pts = tuple(dict.fromkeys(pts for pts, _ in shown))
    length, guessed = _last_duration(pts, shown[-1][1], track.frame)
    end = last + length
    return TrackTiming(
        kind=track.key.kind,
        codec=track.key.codec,
        pid=track.key.pid,
        timescale=track.key.timescale,
        frames=len(track.pts),
        start=reduce33(first),
        end=reduce33(end),
        pts=pts,
        duration=Ticks(end - first),
        guessed=guessed,
    )


def _last_duration(pts: tuple[int, ...], given: int, frame: int) -> tuple[int, bool]:
    """Return how long the last frame lasts, and whether that is a guess."""
    limit = MAX_SPAN_S * TIMESCALE
    if 0 < given <= limit:
        return given, False
    # Many muxers give video no duration: the frame then lasts as long as the one before it in presentation order.
    if len(pts) > 1:
        return pts[-1] - pts[-2], False
    return (frame, False) if 0 < frame <= limit else (GUESSED_FRAME, True)
