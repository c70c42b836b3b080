"""What a segment of an MPEG-2 transport stream says of time, from the packets that a demuxer found in it.

The order of work matters (ISO/IEC 13818-1, 2.4.3.7: the counter has 33 bits):

1. Reduce every packet's PTS modulo 2**33, because FFmpeg has already guessed at wraps on its own terms.
2. Unwrap inside the segment, all tracks near one and the same first packet.
3. Sort by presentation, take lowest and highest, add the last frame's duration.
4. Reduce modulo 2**33 last, and only what is reported. A segment may hold the wrap: the lowest *reduced* value is then
   a picture in its middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from feeds.media import GUESSED_FRAME, MAX_SPAN_S, SegmentMedia, TrackKey, TrackTiming, track_over
from kernel.errors import MediaError
from kernel.pts import TICKS_PER_S, WRAP, unwrap

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMESCALE = TICKS_PER_S
"""ISO/IEC 13818-1, 2.4.3.7: PTS are coded in units of the system clock frequency divided by 300."""

PACKET_BYTES = 188
SYNC = 0x47
"""ISO/IEC 13818-1, 2.4.3.2: a transport packet has 188 bytes and begins with this one."""

MAX_GARBAGE_BYTES = 64 << 10
"""How much may stand before the first packet: as far as FFmpeg looks for the next sync byte."""


class RawTrack(NamedTuple):
    """What a demuxer found of one track, in the order of the file.

    `pts` are in ticks, as the demuxer gave them, None where a packet carries none; `durations` are 0 or less where
    unknown. `frame` is the duration of a frame by the track's own parameters, 0 where unknown.
    """

    key: TrackKey
    pts: tuple[int | None, ...]
    durations: tuple[int, ...]
    frame: int = 0


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
    pts = tuple(dict.fromkeys(pts for pts, _ in shown))
    length, guessed = _last_duration(pts, shown[-1][1], track.frame)
    return track_over(track.key, pts, pts[-1] + length, frames=len(track.pts), guessed=guessed)


def garbage(body: bytes) -> tuple[int, int] | None:
    """Return how many bytes stand before the first packet and behind the last whole one, None without a packet.

    FFmpeg leaves them out, and so do players; whoever looks for a lost picture wants to know.
    """
    for leading in range(min(len(body) - PACKET_BYTES + 1, MAX_GARBAGE_BYTES)):
        if body[leading] == SYNC and all(
            body[at] == SYNC for at in range(leading, min(len(body), leading + 4 * PACKET_BYTES), PACKET_BYTES)
        ):
            return leading, (len(body) - leading) % PACKET_BYTES
    return None


def _last_duration(pts: tuple[int, ...], given: int, frame: int) -> tuple[int, bool]:
    """Return how long the last frame lasts, and whether that is a guess."""
    limit = MAX_SPAN_S * TIMESCALE
    if 0 < given <= limit:
        return given, False
    # Many muxers give video no duration: the frame then lasts as long as the one before it in presentation order.
    if len(pts) > 1:
        return pts[-1] - pts[-2], False
    return (frame, False) if 0 < frame <= limit else (GUESSED_FRAME, True)
