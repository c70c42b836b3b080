"""Time segments in a child process: the parent's side of `feeds.io.demux_child`.

One child, one request at a time. A segment's bytes go through an unlinked file that both hold open, in memory where
/dev/shm exists; only a length and the result go through the pipes. A child that dies, or takes longer than its limit,
is killed and replaced: the segment in question is a MediaError, the next one is timed as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from feeds.io.demux_child import REQUEST
from feeds.media import SegmentMedia, TrackKey
from feeds.psi import chosen, programmes
from feeds.ts import TIMESCALE, RawTrack, garbage, segment_media
from kernel.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger("media")

MAX_TRACKS = 256
"""ISO/IEC 13818-1 allows 8,192 PIDs; broadcast multiplexes carry some tens of streams."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the file has no name there: O_TMPFILE, or unlinked at once
_SLICE_BYTES = 1 << 20  # 0.2 ms of copying, then the loop may do something else
_PROGRAM = Path(__file__).with_name("demux_child.py")
_PROBLEM = "remedy: check it with ffprobe; segments must be MPEG-TS, fMP4 or packed audio (RFC 8216, 3)"


@dataclass(frozen=True, slots=True)
class DemuxLimits:
    """What one segment may cost.

    Args:
        max_segment_bytes: larger ones are refused unread. 64 MiB are ten seconds at 50 Mbit/s, the top of UHD ladders.
        timeout_s: a segment of that size takes 0.1 s; a reader that needs two is stuck or under attack.
        start_timeout_s: loading PyAV takes 0.2 s, on a machine under load some seconds.
        memory_bytes: the child's address space (RLIMIT_AS): 120 MiB of libraries, the segment twice, and room.
        max_answer_bytes: 200,000 packets at some 16 bytes each.
    """

    max_segment_bytes: int = 64 << 20
    timeout_s: float = 2.0
    start_timeout_s: float = 20.0
    memory_bytes: int = 1 << 30
    max_answer_bytes: int = 8 << 20


class _ChildDiedError(Exception):
    """The child ended without an answer."""


class Demuxer:
    """Measure MPEG-TS segments without letting them near this process.

    Requests are answered in the order in which they came. Use it on one event loop; close it at the end.

    Args:
        limits: what one segment may cost.
        program: how to start the child, without its arguments; for tests.
    """

    def __init__(self, *, limits: DemuxLimits = DemuxLimits(), program: Sequence[str] | None = None) -> None:
        self._limits = limits
        # -I: no PYTHON* variables, no current folder on the path. By its path it needs no package to be found.
        self._program = tuple(program or (sys.executable, "-I", "-B", str(_PROGRAM)))
        self._lock = asyncio.Lock()
        self._file: FileIO | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._dying: list[asyncio.subprocess.Process] = []
        self._closed = False

    async def measure(self, body: bytes) -> SegmentMedia:
        """Return the timing of every track of a segment.

        Raises:
            MediaError: it is too large, unreadable, holds nothing to time, or took the child's time or life.
        """
        if len(body) > self._limits.max_segment_bytes:
            raise MediaError(
                f"the segment has {len(body)} bytes, {self._limits.max_segment_bytes} are read: cut shorter segments"
            )
        async with self._lock:
            try:
                answer = await self._ask(body)
            except _ChildDiedError:
                # It may have died while it was idle (the kernel's OOM killer takes whom it likes): once more with a
                # new one. If that dies too, it was this segment.
                log.warning("demux.child_died")
                try:
                    answer = await self._ask(body)
                except _ChildDiedError:
                    raise MediaError(f"the segment kills its reader; {_PROBLEM}") from None
        media = segment_media(_one_programme(body, _tracks(answer)))
        edges = garbage(body)
        if edges is not None and edges != (0, 0):
            log.debug("segment.trimmed", leading_bytes=edges[0], trailing_bytes=edges[1])
        return media

    async def aclose(self) -> None:
        """End the child and wait for it; measure raises MediaError from now on."""
        self._closed = True
        self._discard()
        async with self._lock:
            self._discard()
            await self._reap()
            if self._file is not None:
                self._file.close()

    async def _ask(self, body: bytes) -> dict[str, Any]:
        child = await self._ready_child()
        assert self._file is not None
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                await self._share(self._file, body)
                child.stdin.write(REQUEST.pack(len(body)))
                await child.stdin.drain()
                line = await child.stdout.readline()
        except TimeoutError:
            log.warning("demux.overrun", bytes=len(body), timeout_s=self._limits.timeout_s)
            self._discard()
            raise MediaError(f"reading the segment took longer than {self._limits.timeout_s} s; {_PROBLEM}") from None
        except ConnectionError:
            line = b""
        except ValueError:
            # StreamReader's word for a line beyond its limit.
            self._discard()
            raise MediaError(f"the segment has too many packets; {_PROBLEM}") from None
        except asyncio.CancelledError:
            # Its answer would be taken for the next segment's.
            self._discard()
            raise
        return self._decoded(line)

    def _decoded(self, line: bytes) -> dict[str, Any]:
        # What segments made of the child is not to be trusted; JSON that is none counts as its death.
        try:
            answer = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self._discard()
            raise _ChildDiedError
        return answer

    @staticmethod
    async def _share(file: FileIO, body: bytes) -> None:
        with memoryview(body) as view:
            for at in range(0, len(body), _SLICE_BYTES):
                if at:
                    await asyncio.sleep(0)
                piece = view[at : at + _SLICE_BYTES]
                while piece:
                    written = os.pwrite(file.fileno(), piece, at)
                    piece, at = piece[written:], at + written  # noqa: PLW2901

    async def _ready_child(self) -> asyncio.subprocess.Process:
        if self._closed:
            raise MediaError("the segment reader is closed")
        if self._child is not None:
            if self._child.returncode is None:
                return self._child
            self._discard()
        await self._reap()
        return await self._start()

    async def _open_file(self) -> None:
        opening = asyncio.create_task(asyncio.to_thread(_shared_file))
        try:
            self._file = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread makes it all the same: somebody has to close it.
            self._file = await opening
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        limits = self._limits
        if self._file is None:
            await self._open_file()
        assert self._file is not None
        fd = self._file.fileno()
        arguments = (str(fd), str(limits.timeout_s), str(limits.memory_bytes))
        try:
            async with asyncio.timeout(limits.start_timeout_s):
                child = self._child = await asyncio.create_subprocess_exec(
                    *self._program,
                    *arguments,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    pass_fds=(fd,),
                    env={},  # nothing secret is inherited
                    limit=limits.max_answer_bytes,
                )
                assert child.stdout is not None
                line = await child.stdout.readline()
        except (TimeoutError, OSError) as error:
            self._discard()
            raise MediaError(f"the segment reader does not start: {str(error) or 'it took too long'}") from None
        except asyncio.CancelledError:
            self._discard()
            raise
        try:
            answer = self._decoded(line)
        except _ChildDiedError:
            answer = {"error": f"it ended at once (address space {limits.memory_bytes} bytes: too little?)"}
        if "ready" not in answer:
            self._discard()
            raise MediaError(f"the segment reader does not start: {answer.get('error')}")
        if self._child is not child:
            # Closed while it started: it is killed already.
            raise MediaError("the segment reader is closed")
        log.info("demux.child_started", pid=child.pid, av=str(answer["ready"]))
        return child

    def _discard(self) -> None:
        """Kill the child, if there is one; `_reap` waits for its end."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            self._dying.append(self._child)
            self._child = None

    async def _reap(self) -> None:
        while self._dying:
            # communicate, not wait: a pipe that still holds an answer would keep the transport open.
            await self._dying[-1].communicate()
            self._dying.pop()


def _shared_file() -> FileIO:
    folder = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        return FileIO(os.dup(file.fileno()), "r+b")


def _tracks(answer: dict[str, Any]) -> list[RawTrack]:
    if "error" in answer:
        raise MediaError(f"the segment is unreadable: {str(answer['error'])[:300]}; {_PROBLEM}")
    rows = answer.get("tracks")
    if not isinstance(rows, list) or len(rows) > MAX_TRACKS:
        raise MediaError(f"the segment has more than {MAX_TRACKS} tracks, or its reader answers nonsense")
    try:
        return [_track(row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"the segment's reader answers nonsense: {type(error).__name__}") from None


def _one_programme(body: bytes, tracks: list[RawTrack]) -> list[RawTrack]:
    """Leave out the tracks of other programmes (ISO/IEC 13818-1, 2.4.4.3): their clocks are others too."""
    if len(tracks) < 2:
        return tracks
    found = programmes(body)
    if len(found) < 2:
        return tracks
    by_kind = {kind: {track.key.pid for track in tracks if track.key.kind == kind} for kind in ("video", "audio")}
    pids = chosen(found, by_kind["video"], by_kind["audio"])
    kept = [track for track in tracks if track.key.pid in pids] or tracks
    if len(kept) < len(tracks):
        left_out = sorted(track.key.pid for track in tracks if track not in kept)
        log.debug("segment.programme_chosen", programmes=[one.number for one in found], left_out_pids=left_out)
    return kept


def _track(row: dict[str, Any]) -> RawTrack:
    kind, codec, pts, durations = row["kind"], row["codec"], row["pts"], row["durations"]
    if kind not in ("video", "audio") or not isinstance(codec, str) or len(pts) != len(durations):
        raise ValueError(kind)
    if not all(value is None or type(value) is int for value in pts):
        raise TypeError("pts")
    if not all(type(value) is int for value in (*durations, row["pid"], row["frame"])):
        raise TypeError("durations")
    return RawTrack(TrackKey(kind, codec[:32], row["pid"], TIMESCALE), tuple(pts), tuple(durations), row["frame"])
