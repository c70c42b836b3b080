from __future__ import annotations

import pytest

from feeds.fmp4_init import Fmp4Init, Fmp4Track, parse_init
from feeds.media import TrackKey
from kernel.errors import MediaError
from tests.support.boxes import Track, box, elst, full, init, picture_entry, sound_entry, u32


def one(track: Track, *, movie_timescale: int = 1000) -> Fmp4Track:
    (found,) = parse_init(init(track, movie_timescale=movie_timescale)).tracks
    return found


def sound(kind: str, *boxes: bytes, version: int = 0) -> Track:
    return Track(handler="soun", entry=sound_entry(kind, *boxes, version=version))


def esds(object_type: int, *, flags: int = 0, more: bytes = b"", long: bool = False) -> bytes:
    """Return ISO/IEC 14496-1, 7.2.6.5: an ES descriptor with a decoder configuration in it."""
    config = b"\x04" + (b"\x80\x80\x80\x0d" if long else b"\x0d") + bytes([object_type]) + bytes(12)
    return full("esds", 0, 0, b"\x03", bytes([3 + len(more) + len(config)]), b"\0\1", bytes([flags]), more, config)


def test_tracks_are_told_in_their_order() -> None:
    data = init(
        Track(3, timescale=25, trex_duration=1), Track(1, "soun", 48_000, sound_entry("Opus")), Track(9, "meta")
    )
    found = parse_init(data)
    assert found == Fmp4Init(
        (
            Fmp4Track(3, "video", "h264", 25, default_duration=1),
            Fmp4Track(1, "audio", "opus", 48_000),
            Fmp4Track(9, "other", "h264", 90_000),
        )
    )
    assert found.declared == (TrackKey("video", "h264", 3, 25), TrackKey("audio", "opus", 1, 48_000))
    with pytest.raises(MediaError, match="neither video nor audio"):
        _ = found.tracks[2].key


def test_heads_of_version_1_have_wider_times() -> None:
    """ISO/IEC 14496-12, 8.4.2: version 1 of mdhd, tkhd and mvhd has 64-bit times before what we want."""
    track = Track(7, timescale=12_800, version=1, edits=elst((3, -1), (0, 5), version=1))
    (found,) = parse_init(init(track, movie_timescale=1000, version=1)).tracks
    assert (found.id, found.timescale, found.shift) == (7, 12_800, 38 - 5)


@pytest.mark.parametrize(
    ("edits", "shift"),
    [
        (b"", 0),
        (elst(), 0),
        (elst((0, 0)), 0),
        (elst((0, 1024)), -1024),
        (elst((0, 1024), (0, 4000)), -1024),
        # Empty edits count on the movie's clock: 500/1000 s are 45,000/90,000.
        (elst((500, -1), (0, 3600)), 45_000 - 3600),
        (elst((500, -1), (500, -1), (2, 0), version=1), 90_000),
        (elst((500, -1)), 45_000),
    ],
)
def test_edit_lists_shift_the_track(edits: bytes, shift: int) -> None:
    assert one(Track(edits=edits)).shift == shift


def test_an_empty_edit_needs_the_movies_clock() -> None:
    with pytest.raises(MediaError, match="whose timescale is 0"):
        one(Track(edits=elst((5, -1))), movie_timescale=0)


def test_an_edit_list_that_claims_more_than_it_has_is_refused() -> None:
    with pytest.raises(MediaError, match="'elst' is cut short"):
        one(Track(edits=box("edts", full("elst", 0, 0, u32(0xFFFFFFFF)))))


@pytest.mark.parametrize(
    ("entry", "codec"),
    [
        ("avc3", "h264"), ("hvc1", "hevc"), ("hev1", "hevc"), ("dvh1", "hevc"), ("av01", "av1"), ("vp09", "vp9"),
        ("zzz1", "zzz1"), ("\x00\xff\x01\x02", "unknown"),
    ],
)  # fmt: skip
def test_pictures_bear_ffmpegs_names(entry: str, codec: str) -> None:
    assert one(Track(entry=box(entry, bytes(78)))).codec == codec


@pytest.mark.parametrize(
    ("track", "codec"),
    [
        (sound("mp4a"), "aac"),
        (sound("mp4a", esds(0x40)), "aac"),
        (sound("mp4a", esds(0x6B)), "mp3"),
        (sound("mp4a", esds(0x69, long=True)), "mp3"),
        (sound("mp4a", esds(0xA5, flags=0x80, more=b"\0\1")), "ac3"),
        (sound("mp4a", esds(0xA5, flags=0x40, more=b"\3abc")), "ac3"),
        (sound("mp4a", esds(0xA5, flags=0x20, more=b"\0\1")), "ac3"),
        (sound("mp4a", full("esds", 0, 0, b"\x03\x80\x80\x80\x80\x80")), "aac"),
        (sound("mp4a", full("esds", 0, 0, b"\x03\x04\0\1\0\x05")), "aac"),
        (sound("mp4a", full("esds", 0, 0)), "aac"),
        # QuickTime's sound description has more fields before the boxes.
        (sound("mp4a", bytes(16), esds(0x6B), version=1), "mp3"),
        (sound("ac-3"), "ac3"),
        (sound("ec-3"), "eac3"),
        (sound("fLaC"), "flac"),
    ],
)
def test_sound_bears_ffmpegs_names(track: Track, codec: str) -> None:
    assert one(track).codec == codec


def test_encrypted_tracks_bear_their_original_format() -> None:
    """ISO/IEC 14496-12, 8.12."""
    sinf = box("sinf", box("frma", b"hvc1"), full("schm", 0, 0, b"cbcs", u32(0x10000)))
    assert one(Track(entry=picture_entry("encv", sinf))).codec == "hevc"
    inner = box("sinf", box("frma", b"mp4a"))
    assert one(sound("enca", esds(0x6B), inner)).codec == "mp3"
    assert one(Track(entry=picture_entry("encv"))).codec == "encv"


def test_a_track_without_a_description_is_still_timed() -> None:
    assert one(Track(entry=b"")).codec == "unknown"


def test_of_two_tracks_with_one_number_the_first_counts() -> None:
    (found,) = parse_init(init(Track(1, timescale=25), Track(1, timescale=50))).tracks
    assert found.timescale == 25


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no moov box"),
        (box("ftyp") + box("mdat", bytes(50)), "no moov box"),
        (box("moov"), "names no track"),
        (box("moov", box("trak")), "lacks its tkhd, mdhd or hdlr"),
        (init(Track(timescale=0)), "track 1 has timescale 0"),
        (init()[:-30], "cut short"),
    ],
)
def test_what_is_no_init_section_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        parse_init(data)
