"""The init section of fragmented MPEG-4 (RFC 8216, 3.3): which tracks there are, and on which clock each runs.

Read are mdhd (units a second), hdlr (picture or sound), stsd (the codec, behind encryption too), elst (where on the
track presentation begins) and trex (how long a sample lasts by default); ISO/IEC 14496-12, 8.4 to 8.8. All else is
passed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from feeds.boxes import Walk
from feeds.media import TrackKey
from kernel.errors import MediaError

if TYPE_CHECKING:
    from feeds.boxes import Box

HandlerKind = Literal["video", "audio", "other"]

_HANDLERS: dict[bytes, HandlerKind] = {b"vide": "video", b"soun": "audio"}

# By sample entry (ISO/IEC 14496-15 and the registry of code points), FFmpeg's name.
_CODECS = {
    b"avc1": "h264", b"avc2": "h264", b"avc3": "h264", b"avc4": "h264", b"dva1": "h264", b"dvav": "h264",
    b"hvc1": "hevc", b"hev1": "hevc", b"dvh1": "hevc", b"dvhe": "hevc", b"vvc1": "vvc", b"vvi1": "vvc",
    b"av01": "av1", b"dav1": "av1", b"vp08": "vp8", b"vp09": "vp9", b"mp4v": "mpeg4",
    b"mp4a": "aac", b".mp3": "mp3", b"ac-3": "ac3", b"ec-3": "eac3", b"ac-4": "ac4",
    b"Opus": "opus", b"fLaC": "flac", b"alac": "alac", b"mhm1": "mpegh_3d_audio", b"mha1": "mpegh_3d_audio",
}  # fmt: skip
# By the objectTypeIndication of an esds box (ISO/IEC 14496-1, 7.2.6.6), where the sample entry is mp4a.
_OBJECT_TYPES = {0x69: "mp3", 0x6B: "mp3", 0xA5: "ac3", 0xA6: "eac3", 0xA9: "dts", 0xAD: "opus"}
_PROTECTED = (b"encv", b"enca")

_ENTRY_BYTES = {"video": 78, "audio": 28, "other": 8}  # ISO/IEC 14496-12, 12.1.3 and 12.2.3: fields before the boxes
_QUICKTIME_SOUND_BYTES = {1: 16, 2: 36}  # QuickTime's sound description, versions 1 and 2, has more

_EDITS = {0: struct.Struct(">Ii"), 1: struct.Struct(">Qq")}  # duration, media time; four bytes of rate follow
_RATE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Fmp4Track:
    """One track of an init section.

    Args:
        id: its number, by which fragments name it.
        kind: by its handler.
        codec: FFmpeg's name, or the sample entry's four characters where there is none.
        timescale: units a second of all that follows, 1 or more.
        shift: what the edit list adds to composition times, in units: empty edits less the media time of the first
            edit that is not empty.
        default_duration: of a sample, in units; 0 where trex gives none.
    """

    id: int
    kind: HandlerKind
    codec: str
    timescale: int
    shift: int = 0
    default_duration: int = 0

    @property
    def key(self) -> TrackKey:
        """Return what identifies the track from segment to segment.

        Raises:
            MediaError: it is neither video nor audio.
        """
        if self.kind == "other":
            raise MediaError(f"track {self.id} is neither video nor audio")
        return TrackKey(self.kind, self.codec, self.id, self.timescale)


@dataclass(frozen=True, slots=True)
class Fmp4Init:
    """What fragments need of their init section: its tracks, in its order."""

    tracks: tuple[Fmp4Track, ...]

    @property
    def declared(self) -> tuple[TrackKey, ...]:
        """Return the tracks with picture or sound."""
        return tuple(track.key for track in self.tracks if track.kind != "other")


def parse_init(data: bytes) -> Fmp4Init:
    """Read an init section.

    Raises:
        MediaError: it is none.
    """
    walk = Walk(data)
    for box in walk.top():
        if box.kind == b"moov":
            return init_of(walk, box)
    raise MediaError("the init section has no moov box: give the resource that EXT-X-MAP names (RFC 8216, 3.3)")


def init_of(walk: Walk, moov: Box) -> Fmp4Init:
    """Read a moov box.

    Raises:
        MediaError: it names no track, or one without a number or a clock.
    """
    movie_timescale = 0
    defaults: dict[int, int] = {}
    traks: list[Box] = []
    for box in walk.inside(moov):
        if box.kind == b"mvhd":
            movie_timescale = walk.u32(box, 20 if _version(walk, box) else 12)
        elif box.kind == b"trak":
            traks.append(box)
        elif box.kind == b"mvex":
            for trex in walk.inside(box):
                if trex.kind == b"trex":
                    defaults[walk.u32(trex, 4)] = walk.u32(trex, 12)
    tracks: dict[int, Fmp4Track] = {}
    for trak in traks:
        track = _track(walk, trak, movie_timescale, defaults)
        # 8.3.2.3: numbers are unique; a second track that bears one is not asked which is meant.
        tracks.setdefault(track.id, track)
    if not tracks:
        raise MediaError("the init section names no track")
    return Fmp4Init(tuple(tracks.values()))


def _version(walk: Walk, box: Box) -> int:
    return walk.data[walk.span(box, 0, 4)]


def _track(walk: Walk, trak: Box, movie_timescale: int, defaults: dict[int, int]) -> Fmp4Track:
    tkhd, mdia = walk.child(trak, b"tkhd"), walk.child(trak, b"mdia")
    mdhd = mdia and walk.child(mdia, b"mdhd")
    hdlr = mdia and walk.child(mdia, b"hdlr")
    if tkhd is None or mdia is None or mdhd is None or hdlr is None:
        raise MediaError("a track of the init section lacks its tkhd, mdhd or hdlr box (ISO/IEC 14496-12, 8.3, 8.4)")
    track_id = walk.u32(tkhd, 20 if _version(walk, tkhd) else 12)
    timescale = walk.u32(mdhd, 20 if _version(walk, mdhd) else 12)
    if timescale == 0:
        raise MediaError(f"track {track_id} has timescale 0: its times mean nothing")
    at = walk.span(hdlr, 8, 4)
    kind = _HANDLERS.get(walk.data[at : at + 4], "other")
    edits = walk.path(trak, b"edts", b"elst")
    return Fmp4Track(
        id=track_id,
        kind=kind,
        codec=_codec(walk, mdia, kind),
        timescale=timescale,
        shift=0 if edits is None else _shift(walk, edits, timescale, movie_timescale),
        default_duration=defaults.get(track_id, 0),
    )


def _shift(walk: Walk, elst: Box, timescale: int, movie_timescale: int) -> int:
    """Return what an edit list (8.6.6) adds to composition times; of its edits the first that is not empty counts.

    Fragments have one edit for all that follows: whoever edits further cuts the media itself.
    """
    version = _version(walk, elst)
    edit = _EDITS[1 if version else 0]
    empty, at = 0, 8
    for _ in range(walk.u32(elst, 4)):
        length, media_time = edit.unpack_from(walk.data, walk.span(elst, at, edit.size + _RATE_BYTES))
        if media_time >= 0:
            return _in_units(empty, timescale, movie_timescale) - int(media_time)
        # 8.6.6.3: media time -1 is an empty edit; its duration counts on the movie's clock, not on the track's.
        empty += length
        at += edit.size + _RATE_BYTES
    return _in_units(empty, timescale, movie_timescale)


def _in_units(value: int, timescale: int, movie_timescale: int) -> int:
    if value == 0:
        return 0
    if movie_timescale == 0:
        raise MediaError("an empty edit stands on the movie's clock, whose timescale is 0")
    return (2 * value * timescale + movie_timescale) // (2 * movie_timescale)


def _codec(walk: Walk, mdia: Box, kind: HandlerKind) -> str:
    stsd = walk.path(mdia, b"minf", b"stbl", b"stsd")
    entry = None if stsd is None else next(walk.inside(stsd, skip_bytes=8), None)
    if stsd is None or entry is None:
        return "unknown"
    four, skip_bytes = entry.kind, _ENTRY_BYTES[kind]
    if kind == "audio" and _version(walk, stsd) == 0:
        skip_bytes += _QUICKTIME_SOUND_BYTES.get(walk.u32(entry, 8) >> 16, 0)
    if four in _PROTECTED:
        # 8.12: the entry is renamed, the original name stands in sinf/frma.
        sinf = walk.child(entry, b"sinf", skip_bytes=skip_bytes)
        frma = sinf and walk.child(sinf, b"frma")
        if frma:
            at = walk.span(frma, 0, 4)
            four = walk.data[at : at + 4]
    if four == b"mp4a":
        esds = walk.child(entry, b"esds", skip_bytes=skip_bytes)
        return _CODECS[four] if esds is None else _OBJECT_TYPES.get(_object_type(walk, esds), "aac")
    fallback = "".join(character for character in four.decode("latin-1") if character.isascii() and character.isalnum())
    return _CODECS.get(four, fallback.lower() or "unknown")


def _object_type(walk: Walk, esds: Box) -> int:
    """Return the objectTypeIndication of an elementary stream descriptor (ISO/IEC 14496-1, 7.2.6.5), 0 without one."""
    data, at, end = walk.data, esds.start + 4, esds.end
    at = _behind_head(data, at, end, tag=3) + 3
    if at > end:
        return 0
    flags = data[at - 1]
    at += 2 * bool(flags & 0x80)
    if flags & 0x40 and at < end:
        at += 1 + data[at]
    at += 2 * bool(flags & 0x20)
    at = _behind_head(data, at, end, tag=4)
    return data[at] if at < end else 0


def _behind_head(data: bytes, at: int, end: int, *, tag: int) -> int:
    """Return where a descriptor's content begins, `end` if another one stands there; its length has up to 4 bytes."""
    if at >= end or data[at] != tag:
        return end
    for behind in range(at + 1, min(at + 5, end)):
        if not data[behind] & 0x80:
            return behind + 1
    return end
