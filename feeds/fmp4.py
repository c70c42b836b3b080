"""Read the times of fragmented MPEG-4 and CMAF segments (RFC 8216, 3.3; ISO/IEC 14496-12, 8.8).

FFmpeg's reader is a frame late where composition offsets are negative, and a few kilobytes drive it to hundreds of
megabytes, so this one is ours. A sample is presented at

    decode time (tfdt, then the durations before it) + composition offset (trun) + shift (the init section's edit list)

in units of its track's timescale. All sums are made in those units, and rescaled to ticks last, each by itself: so
rounding never adds up. What an edit list cuts off at the start is shifted like the rest and not left out: decoders
need it.

The rest of a segment is passed over: styp, sidx, emsg, prft, free, mdat, boxes of encryption, boxes that nobody knows.
Encrypted samples are timed like others, because no time of theirs is encrypted (ISO/IEC 23001-7).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate, islice, repeat
from typing import TYPE_CHECKING

from feeds.boxes import Walk
from feeds.fmp4_init import init_of
from feeds.media import GUESSED_FRAME, MAX_SPAN_S, SegmentMedia, TrackTiming, track_over
from kernel.errors import MediaError
from kernel.pts import Ticks, rescale

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feeds.boxes import Box
    from feeds.fmp4_init import Fmp4Init, Fmp4Track

MAX_SAMPLES = 200_000
"""Of all tracks of one segment: an hour of 25 fps has 90,000; the reader of transport streams stops there too."""

MAX_MEDIA_TIME = 1 << 53
"""In ticks, 3,171 years: beyond it a decode time is no clock but noise, and JSON's numbers lose ticks (RFC 8259, 6)."""

# Flags of tfhd (8.8.7) and the lengths of the fields that they announce, in this order.
_BASE_DATA_OFFSET, _DESCRIPTION_INDEX, _DEFAULT_DURATION, _DURATION_IS_EMPTY = 0x1, 0x2, 0x8, 0x10000
# Flags of trun (8.8.8): two fields before the samples, then up to four for each sample.
_DATA_OFFSET, _FIRST_SAMPLE_FLAGS = 0x1, 0x4
_DURATION, _SIZE, _SAMPLE_FLAGS, _COMPOSITION_OFFSET = 0x100, 0x200, 0x400, 0x800


@dataclass(slots=True)
class _Run:
    """The samples of one track so far: presentation and duration, in units; `dts` is where the next one decodes."""

    dts: int | None = None
    samples: list[tuple[int, int]] = field(default_factory=list)


def read_segment(body: bytes, init: Fmp4Init | None = None) -> SegmentMedia:
    """Time a segment.

    Args:
        body: all of it.
        init: its init section, unless it holds a moov box itself.

    Raises:
        MediaError: it is no fMP4 segment, has no init section, is cut short, or breaks the standard where times are.
    """
    reader = _SegmentReader(body, init)
    for box in reader.walk.top():
        if box.kind == b"moof":
            reader.fragment(box)
        elif box.kind == b"moov":
            # A file that initialises itself: what stands with the media is nearer to it than what the playlist names.
            reader.init = init_of(reader.walk, box)
    return reader.media()


class _SegmentReader:
    def __init__(self, body: bytes, init: Fmp4Init | None) -> None:
        self.walk = Walk(body)
        self.init = init
        self._runs: defaultdict[int, _Run] = defaultdict(_Run)
        self._left = MAX_SAMPLES
        self._fragments = 0

    def fragment(self, moof: Box) -> None:
        if self.init is None:
            raise MediaError(
                "an fMP4 segment without its init section: its playlist must name one (EXT-X-MAP; RFC 8216, 3.3), "
                "and probe of a file wants it by --init"
            )
        self._fragments += 1
        tracks = {track.id: track for track in self.init.tracks if track.kind != "other"}
        for box in self.walk.inside(moof):
            if box.kind == b"traf":
                self._track_fragment(box, tracks)

    def _track_fragment(self, traf: Box, tracks: dict[int, Fmp4Track]) -> None:
        boxes = list(self.walk.inside(traf))
        tfhd = next((box for box in boxes if box.kind == b"tfhd"), None)
        if tfhd is None:
            raise MediaError("a track fragment has no tfhd box (ISO/IEC 14496-12, 8.8.7)")
        track = tracks.get(self.walk.u32(tfhd, 4))
        if track is None:
            return
        run = self._runs[track.id]
        default = self._default_duration(tfhd, track)
        for box in boxes:
            if box.kind == b"tfdt":
                run.dts = self._decode_time(box)
        for box in boxes:
            if box.kind == b"trun":
                self._samples(box, track, run, default)
        if self.walk.u32(tfhd, 0) & _DURATION_IS_EMPTY and run.dts is not None:
            # 8.8.7.1: there are no samples for as long as the default duration says.
            run.dts += default

    def _default_duration(self, tfhd: Box, track: Fmp4Track) -> int:
        flags = self.walk.u32(tfhd, 0)
        if not flags & _DEFAULT_DURATION:
            return track.default_duration
        return self.walk.u32(tfhd, 8 + 8 * bool(flags & _BASE_DATA_OFFSET) + 4 * bool(flags & _DESCRIPTION_INDEX))

    def _decode_time(self, tfdt: Box) -> int:
        # 8.8.12: 64 bits in version 1, 32 in version 0.
        if self.walk.u32(tfdt, 0) >> 24 == 0:
            return self.walk.u32(tfdt, 4)
        # They are unsigned; but sound that begins before its first picture stands below 0 at the start of a recording,
        # and FFmpeg writes the complement. No clock comes near the upper half.
        time = self.walk.u64(tfdt, 4)
        return time - (1 << 64) if time >> 63 else time

    def _samples(self, trun: Box, track: Fmp4Track, run: _Run, default: int) -> None:
        flags, count = self.walk.u32(trun, 0), self.walk.u32(trun, 4)
        if count > self._left:
            raise MediaError(f"more than {MAX_SAMPLES:,} samples in one segment: cut shorter ones")
        self._left -= count
        if count == 0:
            return
        if run.dts is None:
            raise MediaError(f"track {track.id} says nowhere when it decodes: tfdt must be there (RFC 8216, 3.3)")
        at = 8 + 4 * bool(flags & _DATA_OFFSET) + 4 * bool(flags & _FIRST_SAMPLE_FLAGS)
        fields = [flag for flag in (_DURATION, _SIZE, _SAMPLE_FLAGS, _COMPOSITION_OFFSET) if flags & flag]
        # The count is believed only as far as the box has bytes for it.
        start = self.walk.span(trun, at, 4 * len(fields) * count)
        # Offsets are signed in version 1 (8.8.8.1). In version 0 they are not, but there too writers have put negative
        # ones, and one that needs its highest bit would be hours long.
        values = struct.unpack_from(f">{len(fields) * count}i", self.walk.data, start)
        durations: Iterable[int] = repeat(default, count)
        if flags & _DURATION:
            durations = [value & 0xFFFFFFFF for value in values[:: len(fields)]]
        offsets: Iterable[int] = repeat(0, count)
        if flags & _COMPOSITION_OFFSET:
            offsets = values[len(fields) - 1 :: len(fields)]
        ends = list(accumulate(durations, initial=run.dts))
        run.dts = ends[-1]
        first = zip(ends, islice(ends, 1, None), offsets, strict=False)
        run.samples += [(dts + offset, next_dts - dts) for dts, next_dts, offset in first]

    def media(self) -> SegmentMedia:
        if self.init is None or not self._fragments:
            raise MediaError("no moof box: not a fragmented MPEG-4 segment (RFC 8216, 3.3)")
        timed = [
            _timing(track, self._runs[track.id].samples)
            for track in self.init.tracks
            if track.id in self._runs and self._runs[track.id].samples
        ]
        if not timed:
            raise MediaError("no sample of a track that the init section names as video or audio: is it another's?")
        return SegmentMedia("fmp4", tuple(timed), self.init.declared, wraps=False)


def _timing(track: Fmp4Track, samples: list[tuple[int, int]]) -> TrackTiming:
    samples.sort()
    times = list(dict.fromkeys(pts + track.shift for pts, _ in samples))
    ticks = list(dict.fromkeys(rescale(pts, track.timescale) for pts in times))
    if max(-ticks[0], ticks[-1]) >= MAX_MEDIA_TIME:
        raise MediaError(f"track {track.id} stands at {times[-1] // track.timescale} s: no decode time is that large")
    length, guessed = samples[-1][1], False
    if not 0 < length <= MAX_SPAN_S * track.timescale:
        length = times[-1] - times[-2] if len(times) > 1 else 0
    end = rescale(times[-1] + length, track.timescale)
    if end <= ticks[-1]:
        end, guessed = Ticks(ticks[-1] + GUESSED_FRAME), True
    return track_over(track.key, ticks, end, frames=len(samples), guessed=guessed)
