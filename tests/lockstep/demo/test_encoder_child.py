"""The encoder as a process: what it writes is what feeds reads."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from kernel.io.system_time import wall
from kernel.playlist import MediaPlaylist, parse_media_playlist
from lockstep.demo.encoder_child import FELL_BEHIND, HISTORY_S, MAX_BEHIND_S, base_ticks, main
from lockstep.demo.live_list import PLAYLIST
from lockstep.demo.picture import PICTURE_WIDTH, read_number


def kickoff() -> int:
    return int(wall() * 1000) // 40 * 40 - HISTORY_S * 1000


def encode(folder: Path, kickoff_ms: int, run: int, wanted: Callable[[MediaPlaylist], bool]) -> MediaPlaylist:
    """Let it run until the list is as it is wanted."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep.demo.encoder_child", str(folder), str(kickoff_ms), "7", str(run)]
    )
    try:
        written = threading.Event()
        # Nothing tells of a new file; a tenth of a second is what a packager's reader polls by.
        while not written.wait(0.1):
            assert process.poll() is None
            path = folder / PLAYLIST
            listed = parse_media_playlist(path.read_text("utf-8")) if path.exists() else None
            if listed is not None and wanted(listed):
                return listed
    finally:
        process.kill()
        process.wait()
    raise AssertionError("it never came")


def pictures(path: Path) -> tuple[list[int], list[int]]:
    """Return the PTS of a segment's pictures, and the numbers that they show."""
    pts, numbers = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert isinstance(frame, av.VideoFrame)
            assert frame.pts is not None
            pts.append(frame.pts)
            number = read_number(bytes(frame.planes[0]), frame.planes[0].line_size)
            assert number is not None
            numbers.append(number)
            assert frame.width == PICTURE_WIDTH
    return pts, numbers


def test_each_picture_is_dated_numbered_and_sounds_and_a_restart_goes_on(tmp_path: Path) -> None:
    begun_ms = kickoff()
    first = encode(tmp_path, begun_ms, 0, lambda listed: True)
    assert 12 <= len(first.segments) <= 15
    second = encode(tmp_path, begun_ms, 1, lambda listed: any(segment.discontinuity for segment in listed.segments))
    breaks = [segment for segment in second.segments if segment.discontinuity]
    assert breaks == [second.segments[-1]]
    for run, segment in ((0, first.segments[-2]), (0, first.segments[-1]), (1, breaks[0])):
        pts, numbers = pictures(tmp_path / segment.uri)
        assert len(numbers) == 50
        assert all(other - one == 3_600 for one, other in itertools.pairwise(pts))
        assert numbers == list(range(numbers[0], numbers[0] + 50))
        # The date is when the numbered frame happened, and the counter goes with it.
        assert segment.pdt is not None
        assert round(segment.pdt * 1000) == begun_ms + numbers[0] * 40
        assert (pts[0] - base_ticks(run)) % 3_600 == 0
    with av.open(str(tmp_path / breaks[0].uri)) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
    assert second.segments[-2].uri == first.segments[-1].uri


def test_who_is_too_far_behind_begins_anew(tmp_path: Path) -> None:
    # Its clock leaps by an hour: the machine slept.
    assert MAX_BEHIND_S > HISTORY_S
    process = subprocess.run(
        [sys.executable, "-c", SLEPT, str(tmp_path), str(kickoff())], capture_output=True, text=True, check=False
    )
    assert process.returncode == FELL_BEHIND, process.stderr


SLEPT = """
import sys
from lockstep.demo import encoder_child
real = encoder_child.wall
calls = 0
def wall():
    global calls
    calls += 1
    return real() + (3600 if calls > 3 else 0)
encoder_child.wall = wall
sys.exit(encoder_child.main([sys.argv[1], sys.argv[2], "7", "0"]))
"""


def test_runs_begin_far_apart_and_before_the_wrap() -> None:
    bases = [base_ticks(run) for run in range(40)]
    assert len(set(bases)) == 40
    assert max(bases) < 1 << 33


def test_its_command_line_is_exact(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unpack"):
        main([str(tmp_path)])
