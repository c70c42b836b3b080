"""Time the timing of a segment: `python -m bench.timing`.

A segment of 2 s and 6 Mbit/s (1080p25 with B-frames, AAC), timed by `Demuxer.measure` as the ingest does it. Beside it,
on the same bytes in the same run, ffprobe's list of packets: the yardstick, whose time includes starting the process,
which is how it would be used; and mux.js's inspector in a warm node, which must find the same first and last picture.
The pictures are noise: the most that a bit rate can hold.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
from array import array
from datetime import UTC, datetime
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from bench._packages import Absent
from bench._skips import skip
from feeds.io.demux import Demuxer
from kernel.io.system_time import monotonic, wall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import OutputContainer

    from feeds.media import SegmentMedia

OUT = Path(__file__).with_name("out")
WIDTH, HEIGHT, RATE, SECONDS, BIT_RATE = 1920, 1080, 25, 2, 6_000_000
SAMPLE_RATE, SAMPLES = 48_000, 1024
RUNS = 200
YARDSTICK_RUNS = 20
FIGURE_MS = 4.0


def segment() -> Path:
    """Make the segment, unless it is there, and return where it is."""
    path = OUT / "timing-2s-6mbit.ts"
    if not path.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with av.open(str(part), "w", format="mpegts") as container:
            encode(container)
        part.rename(path)
    return path


def encode(container: OutputContainer) -> None:
    """Write the pictures and the sound of the segment, in whatever container."""
    video = container.add_stream("libx264", rate=RATE)
    video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", BIT_RATE
    rate = {"maxrate": str(BIT_RATE), "minrate": str(BIT_RATE), "bufsize": str(BIT_RATE), "nal-hrd": "cbr"}
    video.options = {"preset": "superfast", "g": str(RATE * SECONDS), "bf": "2", **rate}
    sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
    packets = [
        *chain.from_iterable(map(video.encode, chain(_pictures(), [None]))),
        *chain.from_iterable(map(sound.encode, chain(_silence(), [None]))),
    ]
    for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
        container.mux(packet)


def _pictures() -> Iterator[av.VideoFrame]:
    state, noise = 1, array("I")
    for _ in range(WIDTH * HEIGHT // 4 + 2048):
        # Numerical Recipes' generator: the same noise on every machine.
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        noise.append(state)
    luma = noise.tobytes()
    for index in range(RATE * SECONDS):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        planes = frame.planes
        start = index * 37 % 4096
        planes[0].update(luma[start : start + planes[0].buffer_size].ljust(planes[0].buffer_size, b"\x10"))
        for plane in planes[1:]:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        yield frame


def _silence() -> Iterator[av.AudioFrame]:
    for first in range(0, SECONDS * SAMPLE_RATE, SAMPLES):
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=SAMPLES)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
        yield frame


async def _ours_ms(body: bytes) -> tuple[list[float], SegmentMedia]:
    demuxer = Demuxer()
    try:
        media = await demuxer.measure(body)  # starts the child
        times = []
        for _ in range(RUNS):
            begun = monotonic()
            await demuxer.measure(body)
            times.append(1000 * (monotonic() - begun))
        return times, media
    finally:
        await demuxer.aclose()


def _yardstick_ms(path: Path) -> tuple[list[float], int] | None:
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        return None
    asked = ["-show_entries", "packet=pts,duration", "-of", "csv=p=0"]
    command = [ffprobe, "-v", "error", "-f", "mpegts", *asked, str(path)]
    times, lines = [], 0
    for _ in range(YARDSTICK_RUNS):
        begun = monotonic()
        done = subprocess.run(command, check=True, capture_output=True)
        times.append(1000 * (monotonic() - begun))
        lines = sum(1 for line in done.stdout.splitlines() if line.strip())
    return times, lines


def _inspector(path: Path, media: SegmentMedia) -> dict[str, Any]:
    """Return what mux.js takes, nothing where it cannot be had."""
    # It takes the segments from here.
    from bench.readers import difference_ticks, job_of, theirs

    job = job_of("large", path)
    try:
        ((said,),) = theirs([job])
    except Absent as error:
        skip("timing, mux.js", str(error))
        return {}
    if difference_ticks(job, media, said["pts"]):
        raise RuntimeError(f"mux.js finds other pictures: {said['pts']}")
    return {"inspector": round(said["ms"], 3), "inspector_what": f"{said['reader']} {said['version']}"}


def run() -> dict[str, Any]:
    """Measure all, write `out/timing.json`, and return what stands in it."""
    path = segment()
    body = path.read_bytes()
    ours, media = asyncio.run(_ours_ms(body))
    packets = sum(track.frames for track in media.tracks)
    yardstick = _yardstick_ms(path)
    ours_ms = statistics.median(ours)
    inspector = _inspector(path, media)
    result: dict[str, Any] = {
        "what": f"timing a {SECONDS} s, {len(body) * 8 / SECONDS / 1e6:.1f} Mbit/s segment",
        "unit": "ms",
        "ours": round(ours_ms, 3),
        "ours_p99": round(statistics.quantiles(ours, n=100)[98], 3),
        "runs": len(ours),
        "packets": packets,
        "bytes": len(body),
        "figure": FIGURE_MS,
        "met": ours_ms <= FIGURE_MS,
        "yardstick": None,
        "ratio": None,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": datetime.fromtimestamp(wall(), UTC).isoformat(timespec="seconds"),
    }
    if yardstick is not None:
        times, lines = yardstick
        if lines != packets:
            raise RuntimeError(f"ffprobe finds {lines} packets where we find {packets}: not the same work")
        yardstick_ms = statistics.median(times)
        result |= {"yardstick": round(yardstick_ms, 3), "ratio": round(ours_ms / yardstick_ms, 4)}
    if inspector:
        result |= {**inspector, "inspector_ratio": round(ours_ms / inspector["inspector"], 4)}
    (OUT / "timing.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def main() -> None:
    """Run it and print the result."""
    result = run()
    print(f"{result['what']}: {result['ours']} ms median of {result['runs']}, p99 {result['ours_p99']} ms")
    if result["yardstick"] is None:
        skip("timing, ffprobe", "there is none: apt-get install ffmpeg")
    else:
        print(f"yardstick, ffprobe: {result['yardstick']} ms median; ratio {result['ratio']}")
    if "inspector" in result:
        beside = f"{result['inspector_what']}: {result['inspector']} ms median"
        print(f"yardstick, {beside}; ratio {result['inspector_ratio']}")
    print(f"figure: at most {result['figure']} ms: {'met' if result['met'] else 'MISSED'}")
    print(f"{result['machine']}; {result['date']}")


if __name__ == "__main__":
    main()
