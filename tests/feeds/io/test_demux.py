from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from feeds.io import demux
from feeds.io.demux import Demuxer, DemuxLimits
from feeds.timing import TimelineTracker
from feeds.utc import UtcModel
from fixtures.encoding import BASE
from kernel.errors import MediaError
from kernel.playlist import parse_media_playlist
from kernel.pts import WRAP
from tests.support.recordings import RECORDINGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from feeds.media import SegmentMedia

ROLLOVER = Path(__file__).parents[4] / "shared" / "data" / "hls-ts-rollover"


@pytest.fixture(scope="module")
def segments() -> list[bytes]:
    return [path.read_bytes() for path in sorted((RECORDINGS / "plain").glob("*.ts"))]


@pytest.fixture
async def demuxer() -> AsyncIterator[Demuxer]:
    demuxer = Demuxer()
    yield demuxer
    await demuxer.aclose()


def double(program: str, limits: DemuxLimits | None = None) -> contextlib.AbstractAsyncContextManager[Demuxer]:
    """Return a demuxer whose child is another program; it finds `say` and `request` to speak the protocol with."""
    head = (
        "import json, os, signal, sys\n"
        "def say(value): sys.stdout.write(json.dumps(value) + '\\n'); sys.stdout.flush()\n"
        "def request(): return sys.stdin.buffer.read(8)\n"
    )
    return closing(Demuxer(limits=limits or DemuxLimits(), program=(sys.executable, "-I", "-c", head + program)))


@contextlib.asynccontextmanager
async def closing(demuxer: Demuxer) -> AsyncIterator[Demuxer]:
    try:
        yield demuxer
    finally:
        await demuxer.aclose()


def child_pid(demuxer: Demuxer) -> int:
    assert demuxer._child is not None
    return demuxer._child.pid


async def until(reached: Callable[[], bool]) -> None:
    """Let the loop turn until the demuxer stands where the test wants to interrupt it."""
    while not reached():  # noqa: ASYNC110 - what it waits for is inside and tells nobody
        await asyncio.sleep(0)


async def test_a_segment_is_measured(demuxer: Demuxer, segments: list[bytes]) -> None:
    media = await demuxer.measure(segments[1])
    assert media.container == "mpegts"
    assert [(track.kind, track.codec, track.pid, track.timescale, track.frames) for track in media.tracks] == [
        ("video", "h264", 256, 90_000, 50),
        ("audio", "aac", 257, 90_000, 94),
    ]
    assert (media.lead.start, media.lead.end) == (BASE + 180_000, BASE + 360_000)


async def test_of_several_programmes_the_first_with_a_picture_is_timed(demuxer: Demuxer) -> None:
    body = (RECORDINGS / "programmes" / "programmes-001.ts").read_bytes()
    with capture_logs() as logs:
        media = await demuxer.measure(body)
    assert [(track.kind, track.pid) for track in media.tracks] == [("video", 272), ("audio", 273)]
    assert media.signature == tuple(sorted(track.key for track in media.tracks))
    assert media.lead.start == BASE + 180_000
    (told,) = (entry for entry in logs if entry["event"] == "segment.programme_chosen")
    assert (told["programmes"], told["left_out_pids"]) == ([1, 2], [256])


@pytest.mark.parametrize("name", ["bframes", "hevc", "late_tables", "wrap"])
async def test_every_picture_and_sound_stands_where_ffprobe_says(demuxer: Demuxer, name: str) -> None:
    for path in sorted((RECORDINGS / name).glob("*.ts")):
        _same_as_ffprobe(path, await demuxer.measure(path.read_bytes()))


async def test_tables_may_stand_in_the_middle(demuxer: Demuxer) -> None:
    for number in range(3):
        media = await demuxer.measure((RECORDINGS / "late_tables" / f"late_tables-00{number}.ts").read_bytes())
        assert (media.lead.start, media.lead.frames) == (BASE + number * 180_000, 50)


async def test_what_stands_around_the_packets_is_dropped_and_said(demuxer: Demuxer, segments: list[bytes]) -> None:
    whole = await demuxer.measure(segments[0])
    with capture_logs() as logs:
        assert await demuxer.measure(b"rubbish" + segments[0] + b"end") == whole
        assert await demuxer.measure(segments[0]) == whole
    assert [(entry["leading_bytes"], entry["trailing_bytes"]) for entry in logs] == [(7, 3)]


async def test_one_child_answers_everybody_in_order(demuxer: Demuxer, segments: list[bytes]) -> None:
    with capture_logs() as logs:
        # Shorter after longer: what the file still holds of the one before must not show.
        found = await asyncio.gather(*(demuxer.measure(body) for body in [*segments, segments[0][:18_800]]))
    assert [media.lead.start for media in found] == [*(BASE + n * 180_000 for n in range(10)), BASE]
    assert found[-1].lead.frames < 50
    assert [entry["event"] for entry in logs] == ["demux.child_started"]


async def test_an_unreadable_segment_is_an_error_and_the_next_one_is_measured(
    demuxer: Demuxer, segments: list[bytes]
) -> None:
    with pytest.raises(MediaError, match=r"unreadable: FFmpeg finds no transport stream.*ffprobe"):
        await demuxer.measure(b"<html>not found</html>")
    pid = child_pid(demuxer)
    assert (await demuxer.measure(segments[0])).lead.frames == 50
    assert child_pid(demuxer) == pid


async def test_a_segment_that_is_too_large_is_refused_unread(segments: list[bytes]) -> None:
    async with closing(Demuxer(limits=DemuxLimits(max_segment_bytes=1000))) as demuxer:
        with pytest.raises(MediaError, match=r"has \d+ bytes, 1000 are read: cut shorter"):
            await demuxer.measure(segments[0])
        assert demuxer._child is None


async def test_a_segment_of_several_slices_arrives_whole(demuxer: Demuxer, segments: list[bytes]) -> None:
    media = await demuxer.measure(b"".join(segments[:1] * 60))
    assert media.lead.frames == 60 * 50


async def test_a_child_that_was_killed_is_replaced_unnoticed(demuxer: Demuxer, segments: list[bytes]) -> None:
    await demuxer.measure(segments[0])
    pid = child_pid(demuxer)
    os.kill(pid, signal.SIGKILL)
    assert (await demuxer.measure(segments[1])).lead.frames == 50
    assert child_pid(demuxer) != pid


async def test_a_child_whose_end_was_seen_is_replaced(demuxer: Demuxer, segments: list[bytes]) -> None:
    await demuxer.measure(segments[0])
    child = demuxer._child
    assert child is not None
    child.kill()
    await child.wait()
    assert (await demuxer.measure(segments[1])).lead.frames == 50


async def test_a_segment_that_kills_its_reader_twice_is_an_error() -> None:
    async with double("say({'ready': 'x'}); request(); os.kill(os.getpid(), signal.SIGSEGV)") as demuxer:
        with capture_logs() as logs, pytest.raises(MediaError, match="kills its reader"):
            await demuxer.measure(b"x")
    assert [entry["event"] for entry in logs].count("demux.child_started") == 2


async def test_a_child_that_takes_too_long_is_killed() -> None:
    async with double("say({'ready': 'x'}); request(); signal.pause()", DemuxLimits(timeout_s=0.05)) as demuxer:
        with pytest.raises(MediaError, match=r"took longer than 0.05 s"):
            await demuxer.measure(b"x")
        assert demuxer._child is None


async def test_a_cancelled_measure_does_not_answer_for_the_next_one(demuxer: Demuxer, segments: list[bytes]) -> None:
    await demuxer.measure(segments[0])
    task = asyncio.create_task(demuxer.measure(segments[1]))
    await until(demuxer._lock.locked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await demuxer.measure(segments[2])).lead.start == BASE + 360_000


async def test_a_cancelled_start_leaves_nothing_behind(demuxer: Demuxer, segments: list[bytes]) -> None:
    task = asyncio.create_task(demuxer.measure(segments[1]))
    await until(lambda: demuxer._child is not None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await demuxer.measure(segments[2])).lead.start == BASE + 360_000


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("say({'error': 'PyAV does not load: no'})", "does not start: PyAV does not load: no"),
        ("pass", "does not start: it ended at once"),
        ("sys.stdout.write('nonsense\\n')", "does not start: it ended at once"),
        ("signal.pause()", "does not start: it took too long"),
    ],
)
async def test_a_child_that_does_not_start_is_an_error(program: str, why: str) -> None:
    async with double(program, DemuxLimits(start_timeout_s=0.5)) as demuxer:
        with pytest.raises(MediaError, match=why):
            await demuxer.measure(b"x")


async def test_a_program_that_is_not_there_is_an_error() -> None:
    async with closing(Demuxer(program=("/nonexistent/python",))) as demuxer:
        with pytest.raises(MediaError, match=r"does not start.*No such file"):
            await demuxer.measure(b"x")


GOOD: dict[str, Any] = {"kind": "video", "codec": "h264", "pid": 1, "frame": 0, "pts": [1], "durations": [1]}


@pytest.mark.parametrize(
    "tracks",
    [
        None,
        [{}] * 257,
        [{}],
        [[]],
        [GOOD | {"kind": "data"}],
        [GOOD | {"codec": 5}],
        [GOOD | {"pts": [1, 2]}],
        [GOOD | {"pts": [True]}],
        [GOOD | {"pts": ["1"]}],
        [GOOD | {"durations": [0.5]}],
        [GOOD | {"pid": None}],
    ],
)
async def test_nonsense_from_the_child_is_an_error(tracks: object) -> None:
    """A segment may have taken the child over: what it says is checked like anything from outside."""
    async with double(f"say({{'ready': 'x'}}); request(); say({{'tracks': {tracks!r}}})") as demuxer:
        with pytest.raises(MediaError, match="nonsense"):
            await demuxer.measure(b"x")


async def test_an_endless_answer_is_an_error() -> None:
    limits = DemuxLimits(max_answer_bytes=10_000)
    async with double("say({'ready': 'x'}); request(); say('x' * 1_000_000)", limits) as demuxer:
        with pytest.raises(MediaError, match="too many packets"):
            await demuxer.measure(b"x")


async def test_the_child_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_SIGNING_KEY", "very secret")
    async with double("say({'ready': 'x'}); request(); say({'error': 'seen ' + str(dict(os.environ))})") as demuxer:
        with pytest.raises(MediaError, match="seen ") as caught:
            await demuxer.measure(b"x")
    assert "secret" not in str(caught.value)


async def test_closed_is_closed(segments: list[bytes]) -> None:
    demuxer = Demuxer()
    await demuxer.measure(segments[0])
    pid = child_pid(demuxer)
    await demuxer.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(MediaError, match="closed"):
        await demuxer.measure(segments[0])
    await demuxer.aclose()


async def test_closing_ends_a_measure_under_way() -> None:
    async with double("say({'ready': 'x'}); request(); signal.pause()") as demuxer:
        task = asyncio.create_task(demuxer.measure(b"x"))
        await until(lambda: demuxer._child is not None)
        await demuxer.aclose()
        with pytest.raises(MediaError):
            await task


async def test_without_shared_memory_a_temporary_file_will_do(
    monkeypatch: pytest.MonkeyPatch, segments: list[bytes], demuxer: Demuxer
) -> None:
    monkeypatch.setattr(demux, "_SHARED_MEMORY", Path("/nonexistent"))
    assert (await demuxer.measure(segments[0])).lead.frames == 50


@pytest.mark.skipif(not ROLLOVER.is_dir(), reason="the shared data is not here")
async def test_a_real_stream_over_the_wrap_is_one_timeline(demuxer: Demuxer) -> None:
    playlist = parse_media_playlist((ROLLOVER / "playlist.m3u8").read_text())
    tracker, utc, placed = TimelineTracker(), UtcModel(), []
    for segment in playlist.segments:
        media = await demuxer.measure((ROLLOVER / segment.uri).read_bytes())
        _same_as_ffprobe(ROLLOVER / segment.uri, media)
        one = tracker.place(media, discontinuity=segment.discontinuity, target_duration_s=playlist.target_duration_s)
        utc.observe(one.timeline, one.start, one.end, pdt=segment.pdt, arrival=None)
        placed.append(one)
    assert {one.timeline for one in placed} == {0}
    assert placed[-1].end - placed[0].start == 1_800_000
    assert placed[4].start < WRAP < placed[4].end
    first = playlist.segments[0].pdt
    assert first is not None
    for one, segment in zip(placed, playlist.segments, strict=True):
        found = utc.wall_at(0, one.start)
        assert found is not None
        assert found[1:] == (0.289, "pdt")
        assert found.wall == segment.pdt
        # The residual of the dates against the counter itself: 0.000 ms.
        assert round(1000 * (found.wall - first - (one.start - placed[0].start) / 90_000), 3) == 0


def _same_as_ffprobe(path: Path, media: SegmentMedia) -> None:
    command = ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts", "-of", "json", str(path)]
    packets = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["packets"]
    for track in media.tracks:
        pts = sorted(packet["pts"] for packet in packets if packet["codec_type"] == track.kind)
        assert track.frames == len(pts)
        assert track.start == pts[0] % WRAP
        assert [at - track.pts[0] for at in track.pts] == [at - pts[0] for at in pts]


async def test_a_caller_who_gives_up_at_once_leaves_nothing_open() -> None:
    demuxer = Demuxer()
    asking = asyncio.create_task(demuxer.measure(b"\x47" * 188))
    await asyncio.sleep(0)
    # The file is being made, in a thread.
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    file = demuxer._file
    await demuxer.aclose()
    assert file is not None
    assert file.closed
