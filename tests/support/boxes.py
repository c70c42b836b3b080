"""Write boxes of ISO base media files by hand: small, and wrong where a test wants them wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

TFHD_DEFAULT_DURATION, TFHD_DURATION_IS_EMPTY, TFHD_BASE_IS_MOOF = 0x8, 0x10000, 0x20000
TRUN_DATA_OFFSET, TRUN_FIRST_FLAGS, TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_OFFSET = 1, 4, 0x100, 0x200, 0x400, 0x800


def box(kind: str, *payload: bytes) -> bytes:
    """Return a box."""
    body = b"".join(payload)
    return struct.pack(">I4s", 8 + len(body), kind.encode("latin-1")) + body


def large_box(kind: str, *payload: bytes) -> bytes:
    """Return a box whose size has 64 bits."""
    body = b"".join(payload)
    return struct.pack(">I4sQ", 1, kind.encode(), 16 + len(body)) + body


def full(kind: str, version: int, flags: int, *payload: bytes) -> bytes:
    """Return a box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def u32(*values: int) -> bytes:
    """Return numbers as 32 bits each, negative ones as their complement."""
    return b"".join(struct.pack(">I", value & 0xFFFFFFFF) for value in values)


def u64(*values: int) -> bytes:
    """Return numbers as 64 bits each, negative ones as their complement."""
    return b"".join(struct.pack(">Q", value & (1 << 64) - 1) for value in values)


def elst(*edits: tuple[int, int], version: int = 0) -> bytes:
    """Return an edit list box of (duration, media time)."""
    rows = ((u64 if version else u32)(*edit) + u32(0x10000) for edit in edits)
    return box("edts", full("elst", version, 0, u32(len(edits)), *rows))


def sound_entry(kind: str, *boxes: bytes, version: int = 0) -> bytes:
    """Return a sample entry of sound."""
    return box(kind, bytes(8), struct.pack(">H", version), bytes(18), *boxes)


def picture_entry(kind: str, *boxes: bytes) -> bytes:
    """Return a sample entry of pictures."""
    return box(kind, bytes(78), *boxes)


@dataclass
class Track:
    """A track of an init section; `version` is that of its mdhd and tkhd boxes."""

    id: int = 1
    handler: str = "vide"
    timescale: int = 90_000
    entry: bytes = field(default_factory=lambda: picture_entry("avc1"))
    edits: bytes = b""
    version: int = 0
    trex_duration: int = 0

    def trak(self) -> bytes:
        """Return its trak box."""
        times = bytes(16 if self.version else 8)
        return box(
            "trak",
            full("tkhd", self.version, 7, times, u32(self.id), bytes(60)),
            self.edits,
            box(
                "mdia",
                full("mdhd", self.version, 0, times, u32(self.timescale), bytes(12)),
                full("hdlr", 0, 0, bytes(4), self.handler.encode(), bytes(13)),
                box("minf", box("stbl", full("stsd", 0, 0, u32(1), self.entry))),
            ),
        )

    def trex(self) -> bytes:
        """Return its trex box."""
        return full("trex", 0, 0, u32(self.id, 1, self.trex_duration, 0, 0))


def init(*tracks: Track, movie_timescale: int = 1000, version: int = 0) -> bytes:
    """Return an init section."""
    tracks = tracks or (Track(),)
    mvhd = full("mvhd", version, 0, bytes(16 if version else 8), u32(movie_timescale), bytes(80))
    traks = [track.trak() for track in tracks]
    return box("ftyp", b"iso6", bytes(4)) + box("moov", mvhd, *traks, box("mvex", *(track.trex() for track in tracks)))


def tfdt(time: int, version: int = 1) -> bytes:
    """Return where a fragment decodes."""
    return full("tfdt", version, 0, u64(time) if version else u32(time))


def tfhd(track_id: int = 1, flags: int = TFHD_BASE_IS_MOOF, *fields: bytes) -> bytes:
    """Return a fragment's head."""
    return full("tfhd", 0, flags, u32(track_id), *fields)


def trun(*samples: tuple[int, int], version: int = 1) -> bytes:
    """Return samples of (duration, composition offset)."""
    rows = (u32(duration, offset) for duration, offset in samples)
    return full("trun", version, TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_OFFSET, u32(len(samples), 0), *rows)


def moof(*trafs: bytes) -> bytes:
    """Return a fragment of track fragments' contents."""
    return box("moof", full("mfhd", 0, 0, u32(1)), *(box("traf", traf) for traf in trafs))


def fragment(time: int, *samples: tuple[int, int], track_id: int = 1) -> bytes:
    """Return a fragment of one track, and its media."""
    return moof(tfhd(track_id) + tfdt(time) + trun(*samples)) + box("mdat", b"x")
