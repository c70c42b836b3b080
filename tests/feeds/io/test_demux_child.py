from __future__ import annotations

import io
import json
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import pytest

from feeds.io import demux_child
from fixtures.encoding import BASE, Programme, encode
from kernel.pts import WRAP
from tests.support.recordings import RECORDINGS

CHILD = [sys.executable, "-I", demux_child.__file__]
GIBIBYTE = 1 << 30


@pytest.fixture
def made() -> Path:
    return RECORDINGS


def tracks(path: Path) -> dict[str, dict[str, Any]]:
    answer = demux_child.read_tracks(path.read_bytes())
    return {track["kind"]: track for track in answer["tracks"]}


def test_every_packet_of_video_and_audio_is_told(made: Path) -> None:
    found = tracks(made / "plain" / "plain-001.ts")
    video, audio = found["video"], found["audio"]
    assert (video["codec"], video["pid"], video["frame"]) == ("h264", 256, 3600)
    assert video["pts"] == list(range(BASE + 180_000, BASE + 360_000, 3600))
    assert (audio["codec"], audio["pid"], audio["frame"]) == ("aac", 257, 0)
    assert set(audio["durations"][1:]) == {1920}


def test_hevc_is_told(made: Path) -> None:
    video = tracks(made / "hevc" / "hevc-001.ts")["video"]
    assert video["codec"] == "hevc"
    assert sorted(video["pts"]) == list(range(BASE + 180_000, BASE + 360_000, 3600))


def test_sound_alone_is_told(made: Path) -> None:
    assert list(tracks(made / "audio_only" / "audio_only-000.ts")) == ["audio"]


def test_the_first_picture_counts_where_its_dts_is_missing(made: Path) -> None:
    """Trap 3: skipping packets without DTS would lose the key frame."""
    path = made / "first_dts_missing" / "first_dts_missing-000.ts"
    with av.open(str(path)) as container:
        assert next(iter(container.demux(video=0))).dts is None
    pts = tracks(path)["video"]["pts"]
    assert (pts[0], len(pts)) == (BASE, 50)


def test_ffmpeg_makes_times_shortly_before_the_wrap_negative(made: Path) -> None:
    """Trap 2: it is why callers reduce modulo 2**33 themselves. When this fails, the library has changed its mind."""
    pts = tracks(made / "wrap" / "wrap-000.ts")["video"]["pts"]
    assert pts[0] == -450_000
    assert pts[0] % WRAP == WRAP - 450_000


def test_no_video_decoder_is_opened(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every decoder forbidden the pictures are told all the same, so none is needed."""
    monkeypatch.setattr(demux_child, "DECODERS", "none")
    assert len(tracks(made / "plain" / "plain-000.ts")["video"]["pts"]) == 50


@pytest.mark.parametrize(
    "body", [b"", b"<!doctype html>" * 1000, b"\x47" + bytes(187), bytes(1 << 20), b"\x47\x40\x00\x10" * 5000]
)
def test_what_is_no_transport_stream_is_an_error_text(body: bytes) -> None:
    assert set(demux_child.read_tracks(body)) <= {"error", "tracks"}
    assert not demux_child.read_tracks(body).get("tracks")


@pytest.mark.parametrize("cut", range(100, 20_000, 1999))
def test_a_truncated_or_corrupt_segment_raises_nothing(made: Path, cut: int) -> None:
    body = (made / "plain" / "plain-000.ts").read_bytes()
    garbled = bytes(byte ^ 0xA5 if index % cut == 7 else byte for index, byte in enumerate(body))
    for broken in (body[:cut], body[cut:], garbled):
        assert len(demux_child.read_tracks(broken)) == 1


def test_too_many_packets_are_an_error_text(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demux_child, "MAX_PACKETS", 10)
    answer = demux_child.read_tracks((made / "plain" / "plain-000.ts").read_bytes())
    assert "more than 10 packets" in answer["error"]


def test_requests_are_answered_in_order_until_the_end(made: Path) -> None:
    bodies = [(made / "plain" / "plain-000.ts").read_bytes(), b"nothing"]
    requests = io.BytesIO(b"".join(demux_child.REQUEST.pack(len(body)) for body in bodies) + b"\x01")
    answers = io.BytesIO()
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(bodies[0])
        demux_child.answer(file.fileno(), requests, answers, timeout_s=60)
    first, second = map(json.loads, answers.getvalue().splitlines())
    assert len(first["tracks"]) == 2
    assert "error" in second
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_length_beyond_memory_is_an_error_text() -> None:
    answers = io.BytesIO()
    with tempfile.TemporaryFile(buffering=0) as file:
        demux_child.answer(file.fileno(), io.BytesIO(demux_child.REQUEST.pack(1 << 60)), answers, timeout_s=60)
    assert "memory" in json.loads(answers.getvalue())["error"]


def run(*arguments: str, requests: bytes = b"", file: Any = None) -> subprocess.CompletedProcess[bytes]:
    fds = () if file is None else (file.fileno(),)
    return subprocess.run([*CHILD, *arguments], input=requests, capture_output=True, pass_fds=fds, env={}, check=False)


def test_the_process_says_that_it_is_ready_and_ends_with_its_input() -> None:
    done = run("0", "2", str(GIBIBYTE))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {"ready": av.__version__}


def test_the_process_answers_about_the_shared_file(made: Path) -> None:
    body = (made / "wrap" / "wrap-002.ts").read_bytes()
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(body)
        done = run(str(file.fileno()), "2", str(GIBIBYTE), requests=demux_child.REQUEST.pack(len(body)), file=file)
    _, answer = done.stdout.splitlines()
    assert json.loads(answer) == demux_child.read_tracks(body)


def test_too_little_memory_is_said() -> None:
    done = run("0", "2", str(96 << 20))
    assert done.returncode == 1
    assert "PyAV does not load" in json.loads(done.stdout)["error"]


def test_the_process_limits_itself() -> None:
    """In a process of its own: a limit cannot be taken back."""
    program = (
        "import sys, resource as r; sys.path.insert(0, sys.argv[1]); from feeds.io import demux_child as d;"
        "d.limit_self(1 << 30); d.limit_self(1 << 31);"
        "print([r.getrlimit(l) for l in (r.RLIMIT_AS, r.RLIMIT_CORE, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE)])"
    )
    root = Path(demux_child.__file__).parents[2]
    done = subprocess.run([sys.executable, "-I", "-c", program, str(root)], capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"[({GIBIBYTE}, {GIBIBYTE}), (0, 0), (0, 0), (16, 16)]"
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != GIBIBYTE


def test_one_container_for_two_time_bases_would_be_wrong(tmp_path: Path) -> None:
    """Trap 2: over a backward reset FFmpeg adds 2**33, which is why each segment gets a fresh container."""
    after = encode(tmp_path, "after", Programme(1, base=BASE))[0].read_bytes()
    before = encode(tmp_path, "before", Programme(1, base=WRAP // 2 + BASE))[0].read_bytes()
    joined = demux_child.read_tracks(before + after)["tracks"][0]["pts"]
    assert joined[50] != BASE
    assert demux_child.read_tracks(after)["tracks"][0]["pts"][0] == BASE
