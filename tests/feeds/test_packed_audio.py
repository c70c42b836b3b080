from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import packed_audio
from feeds.packed_audio import OWNER, Frame, frame_at, is_packed_audio, read_packed_audio
from fixtures.encoding import BASE
from fixtures.packed import (
    PACKETS,
    encode_frames,
    id3_frame,
    id3_tag,
)
from kernel.errors import MediaError
from kernel.pts import WRAP, rescale
from tests.support.recordings import RECORDINGS

PRIV = OWNER + b"\0" + (BASE).to_bytes(8, "big")


def adts(length: int = 20, *, rate: int = 3, blocks: int = 1) -> bytes:
    """Return a frame of AAC (ISO/IEC 13818-7, 6.2); rate 3 is 48 kHz."""
    head = [0xFF, 0xF1, 1 << 6 | rate << 2, 1 << 6 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5, blocks - 1]
    return bytes(head).ljust(length, b"\x21")


def mpeg(version: int, layer: int, kbits: int, rate: int) -> bytes:
    """Return a header of MPEG audio by the codes that stand in it."""
    return bytes([0xFF, 0xE1 | version << 3 | (4 - layer) << 1, kbits << 4 | rate << 2, 0]).ljust(8, b"\0")


def span(body: bytes) -> tuple[int, int, int]:
    (track,) = read_packed_audio(body).tracks
    return track.pts[0], track.duration, track.frames


def test_frames_are_counted_from_the_timestamp() -> None:
    media = read_packed_audio(id3_tag(BASE) + adts() * 3)
    assert (media.container, media.wraps) == ("packed_audio", True)
    assert media.lead.pts == (BASE, BASE + 1920, BASE + 3840)
    assert (media.lead.codec, media.lead.timescale, media.lead.end) == ("aac", 90_000, BASE + 5760)


def test_sums_are_rescaled_last() -> None:
    """1,024 samples at 44.1 kHz are 2089.8 ticks: rounding each would lose a frame in an hour."""
    media = read_packed_audio(id3_tag(0) + adts(rate=4) * 1000)
    assert media.lead.pts == tuple(rescale(1024 * n, 44_100) for n in range(1000))
    assert media.lead.duration == rescale(1_024_000, 44_100)


def test_a_frame_may_hold_several_blocks() -> None:
    assert span(id3_tag(0) + adts(blocks=4) * 2) == (0, 2 * 4 * 1920, 2)


def test_the_counter_may_wrap_inside() -> None:
    media = read_packed_audio(id3_tag(WRAP - 1920) + adts() * 2)
    assert (media.lead.start, media.lead.end, media.lead.pts[-1]) == (WRAP - 1920, 1920, WRAP)


@pytest.mark.parametrize(
    "tag",
    [
        id3_tag(BASE, id3_frame(b"TXXX", b"\0other"), id3_frame(b"PRIV", b"com.example\0" + bytes(8))),
        # Several tags; the first timestamp counts.
        id3_tag(BASE) + id3_tag(BASE + 5),
        b"ID3\4\0\0\0\0\0\0" + id3_tag(BASE),
        # Version 2.3: sizes of frames are plain numbers.
        b"ID3\3\0\0\0\0\0\x40" + b"PRIV" + len(PRIV).to_bytes(4, "big") + b"\0\0" + PRIV + bytes(64 - 10 - len(PRIV)),
        # An extended header, in 2.4 counting itself and in 2.3 not.
        b"ID3\4\0\x40\0\0\0\x45" + b"\0\0\0\6\1\0" + id3_frame(b"PRIV", PRIV),
        b"ID3\3\0\x40\0\0\0\x49" + b"\0\0\0\6" + bytes(6) + b"PRIV" + len(PRIV).to_bytes(4, "big") + b"\0\0" + PRIV,
        # A footer behind the frames (ID3v2.4.0 structure, 3.4).
        b"ID3\4\0\x10\0\0\0\x3f" + id3_frame(b"PRIV", PRIV) + b"3DI\4\0\x10\0\0\0\x3f",
    ],
    ids=["others before", "two tags", "an empty tag", "2.3", "extended 2.4", "extended 2.3", "footer"],
)
def test_tags_are_read_by_their_version(tag: bytes) -> None:
    assert span(tag + adts() * 2) == (BASE, 3840, 2)


def test_unsynchronisation_is_undone() -> None:
    """ID3v2.4.0 structure, 6.1: a zero stands behind each 0xFF; in 2.3 in the whole tag, in 2.4 in a frame."""
    value = 0x1FF00FFFF
    content = OWNER + b"\0" + value.to_bytes(8, "big")
    unsync = content.replace(b"\xff", b"\xff\0")
    frame = b"PRIV" + bytes([0, 0, 0, len(unsync)]) + b"\0\x02" + unsync
    assert span(b"ID3\4\0\x80\0\0\0" + bytes([len(frame)]) + frame + adts() * 2)[0] == value
    with_length = b"PRIV" + bytes([0, 0, 0, 4 + len(unsync)]) + b"\0\x43" + b"g" + bytes(4) + unsync
    with_length = with_length[:7] + bytes([5 + len(unsync)]) + with_length[8:]
    assert span(b"ID3\4\0\0\0\0\0" + bytes([len(with_length)]) + with_length + adts() * 2)[0] == value
    whole = (b"PRIV" + bytes([0, 0, 0, len(content)]) + b"\0\0" + content).replace(b"\xff", b"\xff\0")
    assert span(b"ID3\3\0\x80\0\0\0" + bytes([len(whole)]) + whole + adts() * 2)[0] == value
    grouped = b"PRIV" + bytes([0, 0, 0, 1 + len(content)]) + b"\0\x20" + b"g" + content
    assert span(b"ID3\3\0\0\0\0\0" + bytes([len(grouped)]) + grouped + adts() * 2)[0] == value


@pytest.mark.parametrize(
    "tag",
    [
        b"",
        b"ID3\4\0\0\0\0\0\0",
        b"ID3\2\0\0\0\0\0\x3f" + id3_frame(b"PRIV", PRIV),  # 2.2 has no PRIV
        b"ID3\4\0\0\0\0\0\x3f" + b"PRIV\0\0\0\x35\0\x0c" + PRIV,  # compressed and encrypted
        b"ID3\4\0\x40\0\0\0\2ab",
        id3_tag(0)[:-8].replace(b"\0\0\0\x3f", b"\0\0\0\x37"),  # a value cut short
    ],
)
def test_a_timestamp_that_is_missing_is_named(tag: bytes) -> None:
    with pytest.raises(MediaError, match=r"no PRIV frame com\.apple\.streaming\.transportStreamTimestamp"):
        read_packed_audio(tag + adts() * 3)


def test_a_timestamp_has_33_bits() -> None:
    with pytest.raises(MediaError, match="upper 31 bits must be 0"):
        read_packed_audio(id3_tag(WRAP) + adts() * 2)


def test_tags_may_stand_between_frames_and_rubbish_behind_them() -> None:
    timed = id3_tag(BASE, id3_frame(b"TXXX", b"goal"))
    assert span(timed + adts() * 2 + id3_tag(7) + adts() + b"TAG" + bytes(125)) == (BASE, 3 * 1920, 3)
    # A frame that is cut short is not heard.
    assert span(timed + adts() * 2 + adts(30)[:-1]) == (BASE, 2 * 1920, 2)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no frame of"),
        (id3_tag(0), "no frame of"),
        (id3_tag(0) + b"<html>", "no frame of"),
        (id3_tag(0) + adts() + bytes(9000), "it is corrupt there"),
        (id3_tag(0) + adts() + adts(rate=4), "change from aac at 48000 Hz to aac at 44100 Hz"),
        (id3_tag(0) + adts(rate=11, blocks=4) * 20_000, "last .* at most an hour"),
    ],
)
def test_what_cannot_be_timed_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        read_packed_audio(body)


def test_there_is_a_limit_to_frames_and_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_audio, "MAX_FRAMES", 10)
    assert span(id3_tag(0) + adts() * 9)[2] == 9
    with pytest.raises(MediaError, match="more than 10 frames"):
        read_packed_audio(id3_tag(0) + adts() * 11)
    with pytest.raises(MediaError):
        read_packed_audio(b"ID3\4\0\0\0\0\0\0" * 1000 + id3_tag(0) + adts() * 2)


@pytest.mark.parametrize(
    ("head", "frame"),
    [
        # ISO/IEC 11172-3, 2.4.2.3: MPEG-1 layers I, II, III at 128 kbit/s and 44.1 kHz.
        (mpeg(3, 1, 4, 0), Frame("mp1", 44_100, 384, 136)),
        (mpeg(3, 2, 8, 0), Frame("mp2", 44_100, 1152, 417)),
        (mpeg(3, 3, 9, 0), Frame("mp3", 44_100, 1152, 417)),
        (mpeg(3, 3, 9, 1), Frame("mp3", 48_000, 1152, 384)),
        # ISO/IEC 13818-3 and the unofficial 2.5: half and quarter rates, layer III with half the samples.
        (mpeg(2, 3, 8, 1), Frame("mp3", 24_000, 576, 192)),
        (mpeg(2, 2, 8, 1), Frame("mp2", 24_000, 1152, 384)),
        (mpeg(0, 3, 8, 2), Frame("mp3", 8_000, 576, 576)),
        (mpeg(2, 1, 1, 0), Frame("mp1", 22_050, 384, 68)),
        # Reserved version, free format, bad bit rate, reserved rate.
        (mpeg(1, 3, 9, 0), None),
        (mpeg(3, 3, 0, 0), None),
        (mpeg(3, 3, 15, 0), None),
        (mpeg(3, 3, 9, 3), None),
        # ETSI TS 102 366: AC-3 at 48 and 44.1 kHz, odd frmsizecod, half rate by bsid, reserved rate, size beyond 37.
        (b"\x0b\x77\0\0\x14\x40\0\0", Frame("ac3", 48_000, 1536, 768)),
        (b"\x0b\x77\0\0\x54\x40\0\0", Frame("ac3", 44_100, 1536, 2 * 417)),
        (b"\x0b\x77\0\0\x55\x40\0\0", Frame("ac3", 44_100, 1536, 2 * 418)),
        (b"\x0b\x77\0\0\x14\x48\0\0", Frame("ac3", 24_000, 1536, 768)),
        (b"\x0b\x77\0\0\xd4\x40\0\0", None),
        (b"\x0b\x77\0\0\x3f\x40\0\0", None),
        # Enhanced AC-3: frmsiz 383 words, 6 or 2 blocks; half rates; a dependent stream; a second independent one.
        (b"\x0b\x77\x01\x7f\x34\x80\0\0", Frame("eac3", 48_000, 1536, 768)),
        (b"\x0b\x77\x01\x7f\x54\x80\0\0", Frame("eac3", 44_100, 512, 768)),
        (b"\x0b\x77\x01\x7f\xd4\x80\0\0", Frame("eac3", 22_050, 1536, 768)),
        (b"\x0b\x77\x01\x7f\xf4\x80\0\0", None),
        (b"\x0b\x77\x41\x7f\x34\x80\0\0", Frame("eac3", 48_000, 0, 768)),
        (b"\x0b\x77\x09\x7f\x34\x80\0\0", Frame("eac3", 48_000, 0, 768)),
        (b"\x0b\x77\0\0\x34\x80\0\0", None),
        (b"\x0b\x77\0\0\x34\x88\xff\0", None),
        # ADTS: reserved rate, a length below its header's, a header without room.
        (adts(rate=13), None),
        (adts(6).ljust(8, b"\0"), None),
        (adts()[:6], None),
        (b"\xff\xf9" + adts()[2:], Frame("aac", 48_000, 1024, 20)),
        (b"ABCDEFGH", None),
    ],
)  # fmt: skip
def test_headers_are_read_as_the_standards_say(head: bytes, frame: Frame | None) -> None:
    assert frame_at(head, 0) == frame


def test_dependent_streams_add_no_time() -> None:
    independent, dependent = b"\x0b\x77\0\x07\x34\x80".ljust(16, b"\0"), b"\x0b\x77\x40\x07\x34\x80".ljust(16, b"\0")
    assert span(id3_tag(0) + (independent + dependent) * 3) == (0, 3 * 2880, 3)
    with pytest.raises(MediaError, match="its frames last 0 s"):
        read_packed_audio(id3_tag(0) + dependent * 3)


def test_packed_audio_is_told_by_its_tag_or_by_two_frames() -> None:
    assert is_packed_audio(id3_tag(0))
    assert is_packed_audio(adts() * 2)
    assert not is_packed_audio(adts())
    assert not is_packed_audio(b"\xff\xf1" + bytes(100))


@pytest.mark.parametrize("codec", sorted(PACKETS))
def test_segments_follow_each_other_and_ffprobe_counts_the_same(codec: str) -> None:
    at = BASE
    for path in sorted((RECORDINGS / f"packed_{codec}").glob(f"*.{codec}")):
        start, duration, frames = span(path.read_bytes())
        assert (start, duration) == (at, 172_800)
        at += duration
        command = ["ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "json", str(path)]
        packets = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["packets"]
        assert frames == len(packets) == PACKETS[codec][1]


@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_real_frames_of_lower_rates_are_read(rate: int) -> None:
    for codec, samples in (("aac", 1024), ("mp3", 1152 if rate > 32_000 else 576)):
        body = id3_tag(0) + b"".join(encode_frames(codec, 10, rate))
        start, duration, frames = span(body)
        assert (start, duration) == (0, rescale(samples * frames, rate))


@given(st.binary(max_size=400), st.integers(0, WRAP - 1))
def test_any_bytes_are_sound_or_an_error(data: bytes, start: int) -> None:
    for body in (data, b"ID3" + data, id3_tag(start) + adts() + data):
        try:
            media = read_packed_audio(body)
        except MediaError:
            continue
        assert media.lead.frames > 0
