"""The child process that alone touches PyAV: `python -m feeds.io.demux_child FD TIMEOUT_S MEMORY_BYTES`.

What comes from outside goes through FFmpeg's C code here, where it can crash, hang or eat memory without harm: the
process has no secrets (its parent starts it with an empty environment), limits on itself, and no other file than the
three pipes and FD, a file shared with its parent that holds the segment in question.

On stdin: the length of the segment in FD, eight bytes little-endian, for each request. On stdout: a line of JSON for
each, and one when it is ready. EOF on stdin ends it: so its parent's death does.

Nothing is imported but the standard library and PyAV, so it starts quickly and runs by its path as well.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.codec import CodecContext
    from av.container import InputContainer
    from av.stream import Stream

REQUEST = struct.Struct("<Q")

MAX_PACKETS = 200_000
"""An hour of 25 fps with AAC beside it has 260,000; a segment of ten seconds has 1,000."""

DECODERS = "aac,aac_latm,ac3,eac3,mp2float,mp3float"
"""The only decoders that may open. To open a stream FFmpeg decodes pictures, which we have no use for: that takes 30 ms
for a detailed 1080p one, against 1.5 ms without it, and hostile bytes like video decoders best. Those of sound say how
long a packet lasts; for pictures the parser says so, or the gap to the predecessor does."""

ALARM_MARGIN_S = 1
"""The parent kills at the time limit; this is the second guard, for when the parent is gone or stopped."""


def limit_self(memory_bytes: int) -> None:
    """Bound what this process may take, for good: both the soft and the hard limit."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (value, value))


def read_tracks(body: bytes) -> dict[str, Any]:
    """Demux a transport stream segment, without decoding, and return its tracks or {"error": why}.

    Guaranteed: raises nothing that the segment could cause. PyAV raises more than its own errors (UnicodeDecodeError,
    IndexError, MemoryError), so everything is caught.
    """
    import av

    try:
        # A fresh container each time: within one, FFmpeg carries its guess about wraps on (TS over a backward reset
        # gets 2**33 too much). The format is named, so no other of FFmpeg's demuxers can be reached.
        options = {"codec_whitelist": DECODERS}
        with av.open(io.BytesIO(body), "r", format="mpegts", options=options, metadata_errors="replace") as container:
            return {"tracks": list(_tracks(container))}
    except av.error.FFmpegError as error:
        return {"error": f"FFmpeg finds no transport stream in it ({error.strerror})"}
    except MemoryError:
        return {"error": "it needs more memory than the reader may take"}
    except Exception as error:
        return {"error": f"FFmpeg fails on it ({_one_line(error)})"}


def _tracks(container: InputContainer) -> Iterator[dict[str, Any]]:
    streams = [stream for stream in container.streams if stream.type in ("video", "audio")]
    pts: dict[int, list[int | None]] = {stream.index: [] for stream in streams}
    durations: dict[int, list[int]] = {stream.index: [] for stream in streams}
    count = 0
    for packet in container.demux():
        # The last packet of each stream is empty and marks its end. `dts is None` must not be the test: the first
        # picture of a segment whose first PES carries PTS only has no DTS either.
        if packet.size == 0 or packet.stream_index not in pts:
            continue
        count += 1
        if count > MAX_PACKETS:
            raise ValueError(f"more than {MAX_PACKETS} packets")
        pts[packet.stream_index].append(packet.pts)
        durations[packet.stream_index].append(packet.duration or 0)
    for stream in streams:
        yield {
            "kind": stream.type,
            "codec": _codec(stream),
            "pid": stream.id,
            "frame": _frame_ticks(stream),
            "pts": pts[stream.index],
            "durations": durations[stream.index],
        }


def _codec(stream: Stream) -> str:
    # A stream type that this FFmpeg cannot decode has no codec context; it still has timestamps.
    context: CodecContext | None = stream.codec_context
    return "unknown" if context is None else context.codec.canonical_name


def _frame_ticks(stream: Stream) -> int:
    rate = stream.guessed_rate if stream.type == "video" else None
    return round(90_000 / rate) if rate else 0


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def answer(fd: int, requests: BinaryIO, answers: BinaryIO, timeout_s: float) -> None:
    """Answer requests about the segment in `fd` until `requests` ends."""
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        # The default action of SIGALRM ends the process, inside C code too.
        signal.setitimer(signal.ITIMER_REAL, timeout_s + ALARM_MARGIN_S)
        (length,) = REQUEST.unpack(head)
        _say(answers, _one(fd, length))
        signal.setitimer(signal.ITIMER_REAL, 0)


def _one(fd: int, length: int) -> dict[str, Any]:
    try:
        body = os.pread(fd, length, 0)
    except MemoryError:
        return {"error": "it is larger than the reader's memory"}
    return read_tracks(body)


def _say(answers: BinaryIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
    answers.flush()


def main(arguments: list[str]) -> int:
    """Run until stdin ends."""
    fd, timeout_s, memory_bytes = int(arguments[0]), float(arguments[1]), int(arguments[2])
    # Ctrl-C goes to the whole process group; the parent ends us when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_self(memory_bytes)
    try:
        import av
    except Exception as error:
        _say(sys.stdout.buffer, {"error": f"PyAV does not load: {_one_line(error)}"})
        return 1
    _say(sys.stdout.buffer, {"ready": av.__version__})
    answer(fd, sys.stdin.buffer, sys.stdout.buffer, timeout_s)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
