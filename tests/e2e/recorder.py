"""FFmpeg as a packager, for end-to-end tests that need an encoder of somebody else's."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path


async def ffmpeg(*arguments: str) -> Process:
    """Start FFmpeg with a picture that counts frames and a tone, 20 frames a second."""
    return await asyncio.create_subprocess_exec(
        "ffmpeg", "-hide_banner", "-loglevel", "error", *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )  # fmt: skip


def hls(segment_s: float, duration_s: float, *, live: bool = False) -> list[str]:
    """Return the arguments for segments of that length, with dates."""
    realtime = ["-re"] if live else []
    return [
        *realtime, "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=20",
        *realtime, "-f", "lavfi", "-i", "sine=sample_rate=48000",
        "-t", str(duration_s), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0",
        "-g", str(round(segment_s * 20)), "-keyint_min", str(round(segment_s * 20)), "-sc_threshold", "0",
        "-c:a", "aac", "-b:a", "48k", "-f", "hls", "-hls_time", str(segment_s),
    ]  # fmt: skip


async def record(folder: Path, *, segment_s: float, duration_s: float) -> None:
    """Record a stream into a folder, its playlist `index.m3u8`."""
    await asyncio.to_thread(folder.mkdir)
    process = await ffmpeg(
        *hls(segment_s, duration_s), "-hls_list_size", "0", "-hls_playlist_type", "vod",
        "-hls_flags", "program_date_time", str(folder / "index.m3u8"),
    )  # fmt: skip
    _, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
