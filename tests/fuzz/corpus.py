"""What the fuzz targets begin with, how they change it, and how they judge what came out."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from feeds.fmp4 import read_segment
from feeds.fmp4_init import Fmp4Init, parse_init
from feeds.packed_audio import read_packed_audio
from feeds.psi import programmes
from fixtures.encoding import BASE, Programme
from fixtures.fragmented import CENC, EDIT_LIST, NEGATIVE_OFFSETS, encode_fmp4
from fixtures.packed import encode_frames, id3_tag
from fixtures.packets import merged
from kernel.errors import MediaError
from tests.support import boxes

if TYPE_CHECKING:
    from feeds.media import SegmentMedia

MAX_TICKS = 1 << 60
"""Beyond what any reader may report: SQLite keeps 64 bits, and sums are made of these."""


@cache
def fmp4() -> list[tuple[bytes, bytes]]:
    """Return init sections, each with a segment."""
    programme = Programme(1, b_frames=2)
    made = [encode_fmp4(programme, flags) for flags in (NEGATIVE_OFFSETS, EDIT_LIST)]
    made.append(encode_fmp4(programme, EDIT_LIST, **CENC))
    return [(init, segments[0]) for init, segments in made]


@cache
def packed() -> list[bytes]:
    """Return segments of packed audio."""
    return [id3_tag(BASE) + b"".join(encode_frames(codec, 8)) for codec in ("aac", "mp3", "ac3")]


@cache
def transport() -> bytes:
    """Return a transport stream of two programmes."""
    import av

    from fixtures.encoding import packets

    streams = []
    for base in (BASE, 5 * BASE):
        file = io.BytesIO()
        with av.open(file, "w", format="mpegts") as container:
            for packet in sorted(packets(container, Programme(1, base=base)), key=lambda packet: packet.dts or 0):
                container.mux(packet)
        streams.append(file.getvalue())
    return merged(*streams)


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """Change bytes and words, cut, repeat and move pieces of real media."""
    out = bytearray(body)
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        match draw(st.sampled_from(("byte", "word", "word", "cut", "repeat", "end"))):
            case "byte":
                out[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "word":
                numbers = (0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(out))
                out[at : at + 4] = draw(st.sampled_from(numbers)).to_bytes(4, "big")
            case "cut":
                del out[at : at + draw(st.integers(1, 64))]
            case "repeat":
                out[at:at] = out[at : at + draw(st.integers(1, 64))]
            case _:
                del out[max(at, 1) :]
    return bytes(out)


def head_of(body: bytes) -> bytes:
    """Return what stands before the media of a segment, where all that a reader looks at is."""
    return body[: body.find(b"mdat") + 4]


def bombs() -> list[bytes]:
    """Return segments that promise far more than they hold."""
    everything = boxes.u32(0xFFFFFFFF)
    run = boxes.full("trun", 1, 0xF01, everything, boxes.u32(0))
    bare = boxes.full("trun", 1, 0, everything)
    start = boxes.tfhd() + boxes.tfdt(0)
    deep = b""
    for _ in range(5000):
        deep = boxes.box("moof", deep)
    entries = boxes.box("edts", boxes.full("elst", 0, 0, everything))
    return [
        boxes.moof(start + run),
        boxes.moof(start + bare),
        boxes.moof(start + boxes.full("trun", 1, 0, boxes.u32(200_000))),
        boxes.moof(*[start + boxes.full("trun", 1, 0, boxes.u32(20_000))] * 100),
        boxes.box("free") * 100_000,
        boxes.moof(*[b""] * 50_000),
        boxes.box("moof", *[boxes.box("free")] * 100_000),
        deep,
        boxes.init(boxes.Track(edits=entries)),
        boxes.init(*[boxes.Track(n) for n in range(5000)]),
        b"\0\0\0\1moof" + b"\xff" * 8,
        b"ID3\4\0\0\0\0\0\0" * 50_000,
        b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"PRIV\0\0\0\0\0\0" * 100_000,
        id3_tag(0) + b"\xff\xf1\x4c\x40\x00\xe0\x00" * 300_000,
    ]


def check_fmp4(body: bytes, init: Fmp4Init | None = None) -> None:
    """Read a segment; anything but times or a MediaError is a fault."""
    try:
        media = read_segment(body, init)
    except MediaError:
        return
    check(media)


def check_init(body: bytes, segment: bytes) -> None:
    """Read an init section, and a good segment by it."""
    try:
        init = parse_init(body)
    except MediaError:
        return
    check_fmp4(segment, init)


def check_packed(body: bytes) -> None:
    """Read packed audio."""
    try:
        media = read_packed_audio(body)
    except MediaError:
        return
    check(media)


def check_tables(body: bytes) -> None:
    """Read the tables of a transport stream, which raises nothing at all."""
    found = programmes(body)
    assert [one.number for one in found] == sorted({one.number for one in found})


def check(media: SegmentMedia) -> None:
    """Judge what a reader says of a segment, however wrong the segment is."""
    assert media.lead.frames > 0
    for track in media.tracks:
        assert list(track.pts) == sorted(set(track.pts))
        assert track.frames >= len(track.pts)
        assert -MAX_TICKS < track.pts[0] <= track.pts[-1] < track.pts[0] + track.duration < MAX_TICKS
        assert 0 <= track.start < 1 << 33
        assert 0 <= track.end < 1 << 33
