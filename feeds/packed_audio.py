"""Read the times of packed audio segments (RFC 8216, 3.4): AAC in ADTS, MPEG audio, AC-3 and Enhanced AC-3.

Such a segment is frames and nothing else. When its first sample is heard stands in an ID3 tag before them, in a PRIV
frame, as the 33-bit counter of a transport stream; FFmpeg's readers of these formats do not look there. How long it
lasts follows from counting frames. HE-AAC needs no rule of its own: an ADTS header gives the rate of the AAC core, and
a core frame of 1,024 samples at that rate lasts as long as the 2,048 it is decoded to at twice the rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from feeds.media import MAX_SPAN_S, SegmentMedia, TrackKey, track_over
from kernel.errors import MediaError
from kernel.pts import TICKS_PER_S, WRAP, rescale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OWNER = b"com.apple.streaming.transportStreamTimestamp"

MAX_FRAMES = 200_000
"""An hour of AAC at 48 kHz has 168,750."""

MAX_TAGS, MAX_ID3_FRAMES = 64, 1_000
"""Before the first frame, and in one tag. Timed metadata has a handful of either, music collections some tens."""

MAX_TRAILING_BYTES = 8 << 10
"""What may stand behind the last frame: an ID3v1 tag, padding, a frame cut short; one of ADTS has up to 8,191 bytes."""

_ID3_HEAD_BYTES = 10
_ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
# ISO/IEC 11172-3, 2.4.2.3 and 13818-3: kbit/s by layer, for MPEG-1 and for the lower rates of MPEG-2 and 2.5.
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = (44_100, 48_000, 32_000)
_RATE_SHIFTS = {3: 0, 2: 1, 0: 2}  # by the version bits: MPEG-1, MPEG-2, MPEG-2.5
# ETSI TS 102 366, 4.4.1.4 (table 4.13): kbit/s by frmsizecod / 2.
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES = (48_000, 44_100, 32_000)
_AC3_BLOCK = 256  # samples in an audio block; AC-3 has six blocks a frame
_EAC3_BLOCKS = (1, 2, 3, 6)


class Frame(NamedTuple):
    """One frame's header; `samples` is 0 for a frame that adds channels to another and no time."""

    codec: str
    rate: int
    samples: int
    length: int


def read_packed_audio(body: bytes) -> SegmentMedia:
    """Time a segment.

    Raises:
        MediaError: it holds no frames, or its ID3 tag does not say when they are heard.
    """
    start, at = _leading_tags(body)
    frames = list(_frames(body, at))
    if not frames:
        raise MediaError("no frame of AAC, MPEG audio or AC-3 stands behind its ID3 tag")
    if start is None:
        raise MediaError(
            "packed audio whose ID3 tag has no PRIV frame "
            f"{OWNER.decode()}: the packager must write one (RFC 8216, 3.4)"
        )
    codec, rate = frames[0].codec, frames[0].rate
    pts, samples = [], 0
    for frame in frames:
        if (frame.codec, frame.rate) != (codec, rate):
            raise MediaError(f"its frames change from {codec} at {rate} Hz to {frame.codec} at {frame.rate} Hz")
        if frame.samples:
            pts.append(start + rescale(samples, rate))
            samples += frame.samples
    if not pts or samples > MAX_SPAN_S * rate:
        raise MediaError(f"its frames last {samples / rate:.0f} s: a segment has some, and at most an hour")
    # The unit is the timestamp's own (RFC 8216, 3.4), as in a transport stream, whatever the rate of samples.
    key = TrackKey("audio", codec, 0, TICKS_PER_S)
    return SegmentMedia("packed_audio", (track_over(key, pts, start + rescale(samples, rate)),))


def is_packed_audio(body: bytes) -> bool:
    """Tell whether a segment begins with an ID3 tag, or with two frames that follow each other."""
    if body.startswith(b"ID3"):
        return True
    first = frame_at(body, 0)
    return first is not None and frame_at(body, first.length) is not None


def frame_at(body: bytes, at: int) -> Frame | None:
    """Return the header of the frame that begins at an offset, None where none does."""
    head = body[at : at + 8]
    if len(head) < 7:
        return None
    if head[0] == 0x0B and head[1] == 0x77:
        return _ac3(head)
    if head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # The two bits of the layer are 0 in ADTS (ISO/IEC 13818-7, 6.2) and never 0 in MPEG audio.
        return _mpeg(head) if head[1] & 0x06 else _adts(head)
    return None


def _frames(body: bytes, at: int) -> Iterator[Frame]:
    found = False
    for _ in range(MAX_FRAMES):
        frame = frame_at(body, at)
        if frame is None:
            tag_end = _tag_end(body, at)
            if tag_end is not None:
                # Timed metadata may stand between frames.
                at = tag_end
                continue
            if found and len(body) - at > MAX_TRAILING_BYTES:
                raise MediaError(f"its frames end at byte {at} of {len(body)}: it is corrupt there")
            return
        found = True
        at += frame.length
        if at > len(body):
            # Cut short: decoders drop it too.
            return
        yield frame
    raise MediaError(f"more than {MAX_FRAMES:,} frames in one segment: cut shorter ones")


def _adts(head: bytes) -> Frame | None:
    """Read ISO/IEC 13818-7, 6.2: adts_fixed_header and adts_variable_header."""
    if head[1] & 0xF6 != 0xF0:
        return None
    rate = head[2] >> 2 & 0xF
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    blocks = (head[6] & 3) + 1
    if rate >= len(_ADTS_RATES) or length < (7 if head[1] & 1 else 9):
        return None
    return Frame("aac", _ADTS_RATES[rate], 1024 * blocks, length)


def _mpeg(head: bytes) -> Frame | None:
    """Read ISO/IEC 11172-3, 2.4.1.3: the header of an MPEG audio frame."""
    shift, layer = _RATE_SHIFTS.get(head[1] >> 3 & 3), 4 - (head[1] >> 1 & 3)
    kbits, rate_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    # A bit rate of 0 is "free format": its frames do not say how long they are, and nobody streams it.
    if shift is None or not 0 < kbits < 15 or rate_index == 3:
        return None
    rate = _MPEG_RATES[rate_index] >> shift
    bits = 1000 * _KBITS[min(shift, 1) + 1, layer][kbits - 1]
    if layer == 1:
        return Frame("mp1", rate, 384, (12 * bits // rate + padding) * 4)
    samples = 576 if layer == 3 and shift else 1152
    return Frame(f"mp{layer}", rate, samples, samples // 8 * bits // rate + padding)


def _ac3(head: bytes) -> Frame | None:
    """Read ETSI TS 102 366, 4.3.1 and 4.3.2 (AC-3) or E.1.2 (Enhanced AC-3); bsid tells which."""
    bsid = head[5] >> 3
    if bsid <= 10:
        rate_index, size = head[4] >> 6, head[4] & 0x3F
        if rate_index == 3 or size >= 2 * len(_AC3_KBITS):
            return None
        rate = _AC3_RATES[rate_index]
        # Table 4.13: words of 16 bits; at 44.1 kHz the odd codes have one more.
        words = _AC3_KBITS[size >> 1] * 96_000 // rate + (size & 1 if rate_index == 1 else 0)
        return Frame("ac3", rate >> max(0, bsid - 8), 6 * _AC3_BLOCK, 2 * words)
    if bsid > 16:
        return None
    rate_index, blocks = head[4] >> 6, _EAC3_BLOCKS[head[4] >> 4 & 3]
    if rate_index == 3:
        # E.1.3.1.4: half rates, and always six blocks.
        half, blocks = head[4] >> 4 & 3, 6
        if half == 3:
            return None
        rate = _AC3_RATES[half] // 2
    else:
        rate = _AC3_RATES[rate_index]
    length = 2 * ((head[2] & 7) << 8 | head[3]) + 2
    # E.1.3.1.1: dependent streams, and others beside the first, are heard at the same time as the one they follow.
    alongside = head[2] >> 6 == 1 or head[2] >> 3 & 7 != 0
    return Frame("eac3", rate, 0 if alongside else blocks * _AC3_BLOCK, length) if length >= 8 else None


def _leading_tags(body: bytes) -> tuple[int | None, int]:
    """Return the timestamp in the tags at the start, None without one, and where they end."""
    start, at = None, 0
    for _ in range(MAX_TAGS):
        end = _tag_end(body, at)
        if end is None:
            break
        if start is None:
            start = _timestamp(body[at:end])
        at = end
    return start, at


def _tag_end(body: bytes, at: int) -> int | None:
    """Return where the ID3v2 tag that begins at an offset ends, None where none does."""
    head = body[at : at + _ID3_HEAD_BYTES]
    if len(head) < _ID3_HEAD_BYTES or head[:3] != b"ID3":
        return None
    if max(head[6:10]) > 0x7F or head[3] == 0xFF or head[4] == 0xFF:
        return None
    footer = _ID3_HEAD_BYTES if head[3] >= 4 and head[5] & 0x10 else 0
    return at + _ID3_HEAD_BYTES + _syncsafe(head[6:10]) + footer


def _syncsafe(four: bytes) -> int:
    """Read ID3v2.4.0 structure, 6.2: seven bits a byte."""
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]


def _timestamp(tag: bytes) -> int | None:
    """Return the timestamp in one tag.

    Raises:
        MediaError: there is one, and it has more than 33 bits.
    """
    for frame_id, content in _id3_frames(tag):
        owner, _, value = content.partition(b"\0")
        if frame_id == b"PRIV" and owner == OWNER and len(value) >= 8:
            start = int.from_bytes(value[:8], "big")
            if start >= WRAP:
                raise MediaError(f"its ID3 timestamp is {start}: the upper 31 bits must be 0 (RFC 8216, 3.4)")
            return start
    return None


def _id3_frames(tag: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the frames of an ID3v2.3 or 2.4 tag as identifier and content, unsynchronisation undone."""
    version, flags, data = tag[3], tag[5], tag[_ID3_HEAD_BYTES:]
    if version not in (3, 4):
        return
    size: Callable[[bytes], int] = _syncsafe if version == 4 else lambda four: int.from_bytes(four, "big")
    # In 2.3 the whole tag is unsynchronised (3.1); in 2.4 each frame says so for itself (4.1.2).
    if flags & 0x80 and version == 3:
        data = _synchronised(data)
    if flags & 0x40:
        # The extended header's size counts itself in 2.4 and not in 2.3.
        data = data[size(data[:4]) + (0 if version == 4 else 4) :] if len(data) >= 4 else b""
    at = 0
    for _ in range(MAX_ID3_FRAMES):
        head = data[at : at + _ID3_HEAD_BYTES]
        if len(head) < _ID3_HEAD_BYTES or not head[:4].isalnum():
            return
        at += _ID3_HEAD_BYTES
        content = data[at : at + size(head[4:8])]
        at += size(head[4:8])
        plain = _plain(content, head[9], version)
        if plain is not None:
            yield head[:4], plain


def _plain(content: bytes, flags: int, version: int) -> bytes | None:
    """Return a frame's content without what its flags add, None where it is compressed or encrypted."""
    if flags & (0x0C if version == 4 else 0xC0):
        return None
    if flags & (0x40 if version == 4 else 0x20):
        content = content[1:]  # the group it belongs to
    if version == 4 and flags & 0x01:
        content = content[4:]  # its length before unsynchronisation
    return _synchronised(content) if version == 4 and flags & 0x02 else content


def _synchronised(data: bytes) -> bytes:
    """Undo unsynchronisation (ID3v2.4.0 structure, 6.1): a zero was put behind each 0xFF."""
    return data.replace(b"\xff\x00", b"\xff")
