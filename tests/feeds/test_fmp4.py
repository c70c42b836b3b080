from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.fmp4 import MAX_SAMPLES, read_segment
from feeds.fmp4_init import parse_init
from feeds.media import GUESSED_FRAME, SegmentMedia
from fixtures.encoding import BASE
from kernel.errors import MediaError
from kernel.pts import WRAP
from tests.support.boxes import (
    TFHD_DEFAULT_DURATION,
    TFHD_DURATION_IS_EMPTY,
    TRUN_DATA_OFFSET,
    TRUN_DURATION,
    TRUN_FIRST_FLAGS,
    TRUN_FLAGS,
    TRUN_OFFSET,
    TRUN_SIZE,
    Track,
    box,
    elst,
    fragment,
    full,
    init,
    moof,
    sound_entry,
    tfdt,
    tfhd,
    trun,
    u32,
    u64,
)
from tests.support.recordings import RECORDINGS

SOUND = Track(2, "soun", 48_000, sound_entry("mp4a"))


def read(body: bytes, *tracks: Track) -> SegmentMedia:
    return read_segment(body, parse_init(init(*tracks)))


def lead(body: bytes, *tracks: Track) -> tuple[int, ...]:
    media = read(body, *tracks)
    return (*media.lead.pts, media.lead.pts[0] + media.lead.duration)


def test_samples_are_decode_time_and_durations_and_offsets() -> None:
    media = read(fragment(900_000, (3600, 0), (3600, 7200), (3600, -3600), (3600, -3600)))
    assert (media.container, media.wraps) == ("fmp4", False)
    (track,) = media.tracks
    assert track.pts == (900_000, 903_600, 907_200, 910_800)
    assert (track.start, track.end, track.frames, track.duration) == (900_000, 914_400, 4, 14_400)
    assert media.signature == (track.key,)


def test_offsets_are_signed_in_either_version() -> None:
    for version in (0, 1):
        body = moof(tfhd() + tfdt(90_000) + trun((3600, -3600), (3600, 3600), version=version))
        assert lead(body) == (86_400, 97_200, 100_800)


def test_decode_times_have_32_or_64_bits() -> None:
    """ISO/IEC 14496-12, 8.8.12; an epoch-locked clock needs 64, and is not wrapped."""
    for version, time in ((0, 0xFFFFFFFF), (1, 1_700_000_000 * 90_000)):
        media = read(moof(tfhd() + tfdt(time, version) + trun((3600, 0))))
        assert media.lead.pts == (time,)
        assert media.lead.start == time % WRAP


def test_a_decode_time_below_zero_is_read_as_ffmpeg_writes_it() -> None:
    assert lead(fragment((1 << 64) - 1024, (1024, 0), (1024, 0))) == (-1024, 0, 1024)


def test_durations_come_from_the_run_else_the_fragment_else_the_init_section() -> None:
    """ISO/IEC 14496-12, 8.8.8.1, 8.8.7.1 and 8.8.3.1."""
    bare = full("trun", 0, 0, u32(3))
    track = Track(trex_duration=100)
    assert lead(moof(tfhd() + tfdt(0) + bare), track) == (0, 100, 200, 300)
    default = tfhd(1, TFHD_DEFAULT_DURATION, u32(200))
    assert lead(moof(default + tfdt(0) + bare), track) == (0, 200, 400, 600)
    assert lead(moof(default + tfdt(0) + trun((300, 0), (300, 0))), track) == (0, 300, 600)


def test_fields_before_the_default_duration_are_passed_over() -> None:
    head = tfhd(1, 0x1 | 0x2 | 0x8 | 0x10 | 0x20, u64(99), u32(1, 700, 5, 6))
    assert lead(moof(head + tfdt(0) + full("trun", 0, 0, u32(2)))) == (0, 700, 1400)


def test_every_field_of_a_run_is_told_apart() -> None:
    flags = TRUN_DATA_OFFSET | TRUN_FIRST_FLAGS | TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_OFFSET
    rows = u32(10, 999, 0x1010000, 5) + u32(20, 999, 0, 6)
    body = moof(tfhd() + tfdt(0) + full("trun", 1, flags, u32(2), u32(8, 0x2000000), rows))
    assert lead(body) == (5, 16, 36)
    only_offsets = full("trun", 1, TRUN_OFFSET | TRUN_SIZE, u32(2), u32(1, 50), u32(1, -50))
    assert lead(moof(tfhd(1, 8, u32(100)) + tfdt(0) + only_offsets)) == (50, 150)


def test_a_run_without_samples_needs_no_time() -> None:
    assert lead(moof(tfhd() + trun()) + fragment(5, (1, 0))) == (5, 6)


def test_several_runs_and_fragments_go_on_where_the_former_ended() -> None:
    runs = moof(tfhd() + tfdt(0) + trun((10, 0), (10, 0)) + trun((20, 0)))
    on = moof(tfhd() + trun((30, 0)))
    assert lead(runs + on + fragment(1000, (5, 0))) == (0, 10, 20, 40, 1000, 1005)


def test_tracks_of_one_fragment_have_their_own_clocks() -> None:
    body = moof(
        tfhd(2) + tfdt(48_000) + trun((1024, 0), (1024, 0)),
        tfhd(1) + tfdt(90_000) + trun((3600, 0)),
    )
    media = read(body, Track(), SOUND)
    assert [(track.kind, track.timescale, track.start, track.end) for track in media.tracks] == [
        ("video", 90_000, 90_000, 93_600),
        ("audio", 48_000, 90_000, 93_840),
    ]


def test_rounding_never_adds_up() -> None:
    """Frames of 1001/30000 s on a clock of 29,970 a second: each is rescaled by itself, from the sum."""
    media = read(fragment(0, *[(1001, 0)] * 3000), Track(timescale=30_000))
    assert media.lead.pts[1:4] == (3003, 6006, 9009)
    odd = read(fragment(0, *[(1, 0)] * 1000), Track(timescale=7))
    assert odd.lead.pts == tuple((2 * n * 90_000 + 7) // 14 for n in range(1000))


def test_an_edit_list_that_takes_off_the_first_offset_starts_at_the_decode_time() -> None:
    body = fragment(900_000, (3600, 7200), (3600, 14_400), (3600, 3600))
    assert lead(body, Track(edits=elst((0, 7200)))) == (900_000, 903_600, 910_800, 914_400)
    assert lead(body, Track(edits=elst((1000, -1), (0, 7200))))[0] == 990_000


def test_an_empty_duration_moves_the_clock_on() -> None:
    """ISO/IEC 14496-12, 8.8.7.1: duration-is-empty, no samples for the default duration."""
    empty = moof(tfhd(1, TFHD_DURATION_IS_EMPTY | TFHD_DEFAULT_DURATION, u32(500)) + tfdt(1000))
    assert lead(empty + moof(tfhd() + trun((10, 0)))) == (1500, 1510)
    with pytest.raises(MediaError, match="no sample of a track"):
        read(empty)


def test_what_is_no_fragment_is_passed_over() -> None:
    other = box("styp", b"msdh") + box("sidx", bytes(40)) + box("emsg", bytes(60)) + box("prft", bytes(24))
    strange = box("uuid", bytes(16)) + box("\xa9xyz") + box("free", bytes(3))
    traf = tfhd() + box("saiz", bytes(9)) + box("senc", bytes(9)) + tfdt(7) + box("sgpd") + trun((1, 0))
    body = other + box("moof", strange, box("mfhd", bytes(8)), box("traf", traf)) + box("mdat") + strange
    assert lead(body) == (7, 8)


def test_other_tracks_are_passed_over_and_their_samples_not_looked_at() -> None:
    captions = tfhd(9) + full("trun", 0, TRUN_DURATION, u32(0xFFFFFFFF))
    media = read(moof(captions, tfhd(1) + tfdt(0) + trun((1, 0))), Track(), Track(9, "text"))
    assert [track.pid for track in media.tracks] == [1]


def test_a_declared_track_without_samples_is_part_of_the_signature() -> None:
    both = read(fragment(0, (1, 0)) + fragment(0, (1, 0), track_id=2), Track(), SOUND)
    silent = read(fragment(0, (1, 0)), Track(), SOUND)
    assert len(silent.tracks) == 1
    assert silent.signature == both.signature


def test_a_file_may_initialise_itself() -> None:
    own = init(Track(timescale=25)) + fragment(25, (1, 0))
    assert read_segment(own).lead.pts == (90_000,)
    # What stands with the media is nearer to it than what the playlist names.
    assert read_segment(own, parse_init(init(Track(timescale=50)))).lead.pts == (90_000,)


def test_a_missing_duration_is_the_gap_to_the_predecessor_and_a_lone_one_a_guess() -> None:
    assert lead(moof(tfhd() + tfdt(0) + trun((3600, 0), (0, 0)))) == (0, 3600, 7200)
    assert lead(moof(tfhd() + tfdt(0) + trun((3600, 0), (0xFFFFFFFF, 0)))) == (0, 3600, 7200)
    for absurd in (0, 0xFFFFFFFF):
        (track,) = read(moof(tfhd() + tfdt(90) + trun((absurd, 0)))).tracks
        assert (track.duration, track.guessed) == (GUESSED_FRAME, True)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no moof box"),
        (init(), "no moof box"),
        (box("moof", box("traf")), "no tfhd box"),
        (moof(tfhd() + trun((1, 0))), "track 1 says nowhere when it decodes"),
        (fragment(0, (1, 0), track_id=5), "is it another's"),
        (moof(tfhd() + tfdt(0) + full("trun", 0, TRUN_DURATION, u32(1000), u32(1))), "'trun' is cut short"),
        (moof(tfhd() + tfdt(0) + full("trun", 0, 0, u32(MAX_SAMPLES + 1))), "more than 200,000 samples"),
        (moof(tfhd() + tfdt(0) + full("trun", 0, 0, u32(150_000)) * 2), "more than 200,000 samples"),
        (fragment(1 << 63, (1, 0)), "no decode time is that large"),
        (fragment(0, (1, 0)) + fragment(90_000 * 4000, (1, 0)), "jumps by 4000 s"),
        (fragment(0, (1, 0))[:40], "cut short"),
    ],
)
def test_what_cannot_be_timed_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        read(body)


def test_a_segment_alone_asks_for_its_init_section() -> None:
    with pytest.raises(MediaError, match=r"without its init section.*EXT-X-MAP"):
        read_segment(fragment(0, (1, 0)))


@given(
    time=st.integers(0, 1 << 49),
    timescale=st.integers(1, 1 << 24),
    samples=st.lists(st.tuples(st.integers(1, 5000), st.integers(-10_000, 10_000)), min_size=1, max_size=50),
    media_time=st.integers(0, 10_000),
)
def test_times_are_what_the_standard_adds_up(
    time: int, timescale: int, samples: list[tuple[int, int]], media_time: int
) -> None:
    timescale += 10_000
    dts, shown = time, []
    for duration, offset in samples:
        shown.append((dts + offset - media_time, duration))
        dts += duration
    (track,) = read(fragment(time, *samples), Track(timescale=timescale, edits=elst((0, media_time)))).tracks
    ticks = [round_half_up(pts, timescale) for pts, _ in sorted(shown)]
    assert track.pts == tuple(dict.fromkeys(ticks))
    last, length = max(shown)
    assert track.pts[0] + track.duration == max(round_half_up(last + length, timescale), ticks[-1] + 1) or track.guessed


def round_half_up(value: int, timescale: int) -> int:
    whole, rest = divmod(value * 90_000, timescale)
    return whole + (2 * rest >= timescale)


@pytest.fixture
def made() -> Path:
    return RECORDINGS


@pytest.mark.parametrize("name", ["fmp4", "fmp4_edit_list", "fmp4_cenc"])
def test_pictures_stand_where_the_encoder_put_them(made: Path, name: str) -> None:
    """The truth is known: picture n was given to the encoder for `BASE` + n frames, whatever the muxer made of it."""
    head = parse_init((made / name / "init.mp4").read_bytes())
    for number, path in enumerate(sorted((made / name).glob("*.m4s"))):
        media = read_segment(path.read_bytes(), head)
        first = BASE + number * 180_000
        assert [track.codec for track in media.tracks] == ["h264", "aac"]
        assert media.lead.pts == tuple(range(first, first + 180_000, 3600))
        assert media.lead.pts[0] + media.lead.duration == first + 180_000


@pytest.mark.parametrize(("name", "late"), [("fmp4_edit_list", 0), ("fmp4", 3600)])
def test_ffprobe_agrees_to_the_tick_but_for_its_own_fault(made: Path, name: str, late: int, tmp_path: Path) -> None:
    """TRAPS 1: where offsets are negative FFmpeg adds the lowest of them; here one frame."""
    head = (made / name / "init.mp4").read_bytes()
    for path in sorted((made / name).glob("*.m4s")):
        whole = tmp_path / "whole.mp4"
        whole.write_bytes(head + path.read_bytes())
        command = ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts,duration:stream=time_base"]
        answer = json.loads(
            subprocess.run([*command, "-of", "json", str(whole)], capture_output=True, check=True).stdout
        )
        for track, stream in zip(
            read_segment(path.read_bytes(), parse_init(head)).tracks, answer["streams"], strict=True
        ):
            scale = int(stream["time_base"].partition("/")[2])
            rows = [row for row in answer["packets"] if row["codec_type"] == track.kind]
            theirs = sorted((2 * row["pts"] * 90_000 + scale) // (2 * scale) for row in rows)
            shift = late if track.kind == "video" else 0
            assert [pts + shift for pts in track.pts] == theirs
            assert track.frames == len(rows)


@pytest.mark.parametrize("name", ["fmp4", "fmp4_edit_list"])
def test_an_independent_reading_agrees_to_the_tick(made: Path, name: str) -> None:
    """Another reading of the same bytes: no walk, boxes found by their names, one sample after the other."""
    head = (made / name / "init.mp4").read_bytes()
    shift = 0
    if b"elst" in head:
        shift = struct.unpack_from(">i", head, head.index(b"elst") + 16)[0]
    scale = struct.unpack_from(">I", head, head.index(b"mdhd") + 16)[0]
    for path in sorted((made / name).glob("*.m4s")):
        body = path.read_bytes()
        ours = read_segment(body, parse_init(head)).lead.pts
        assert ours == tuple(sorted(-((shift - pts) * 90_000 // scale) for pts in _first_run(body)))


def _first_run(body: bytes) -> Iterator[int]:
    dts = struct.unpack_from(">Q", body, body.index(b"tfdt") + 8)[0]
    at = body.index(b"trun") + 4
    flags, count = struct.unpack_from(">II", body, at)
    default = struct.unpack_from(">I", body, body.index(b"tfhd") + 12)[0]
    at += 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    for _ in range(count):
        duration, offset = default, 0
        for flag in (0x100, 0x200, 0x400, 0x800):
            if flags & flag:
                (value,) = struct.unpack_from(">i", body, at)
                duration, offset = (value, offset) if flag == 0x100 else (duration, value if flag == 0x800 else offset)
                at += 4
        yield dts + offset
        dts += duration
