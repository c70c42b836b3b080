"""Real players play every kind of gated stream: PyAV and ffprobe (FFmpeg), hls.js in Chromium."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from itertools import zip_longest
from pathlib import Path

import av
import pytest

from tests.e2e.browser import Browser, browser, chromium, site
from tests.e2e.stage import FIXTURES, Stage

KINDS = (
    "plain", "bframes", "wrap", "discontinuity", "first_dts_missing", "audio_only", "aes128", "fmp4", "fmp4_edit_list",
    "fmp4_ranges", "packed_aac", "packed_mp3", "ladder",
)  # fmt: skip
NO_BROWSER = frozenset({"packed_mp3"})
"""What Debian's Chromium cannot decode in media source extensions."""
AT_ONCE = 4
"""How many pages play at a time."""


def frames_of(url: str) -> dict[str, int]:
    """Play a stream to its end and return how many frames of each kind it gave."""
    counts: dict[str, int] = {}
    # FFmpeg reads keys from local files only if told so; over HTTP it needs no option.
    options = {} if url.startswith("http") else {"allowed_extensions": "ALL"}
    with av.open(url, timeout=(10.0, 30.0), options=options) as container:
        wanted = [*container.streams.video[:1], *container.streams.audio[:1]]
        for frame in container.decode(wanted):
            kind = "video" if isinstance(frame, av.VideoFrame) else "audio"
            counts[kind] = counts.get(kind, 0) + 1
    return counts


async def packets_of(url: str) -> int:
    """Return how many packets ffprobe finds in a stream's first track."""
    process = await asyncio.create_subprocess_exec(
        "ffprobe", "-v", "error", "-count_packets", "-select_streams", "0", "-of", "json",
        "-show_entries", "stream=nb_read_packets", url, stdin=DEVNULL, stdout=PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return int(json.loads(out)["streams"][0]["nb_read_packets"])


async def serve_all(stage: Stage) -> str:
    """Serve every kind as a showing of its own and return the server's URL."""
    config = stage.folder / "all.toml"
    showings = "".join(f'[showings.{kind}]\norigin = "{FIXTURES / kind}"\n' for kind in KINDS)
    config.write_text(f'data_dir = "data"\n{showings}', "utf-8")
    server = await stage.start("serve", "--config", str(config), "--port", "0")
    url = str((await server.says("server.listening"))["url"])
    await server.says_often("picture.out", len(KINDS))
    return url


async def test_every_kind_plays_in_ffmpeg(stage: Stage) -> None:
    url = await serve_all(stage)
    for kind in KINDS:
        token = await stage.token(event=kind)
        gated = f"{url}/hls/{token}/{kind}/index.m3u8"
        expected = await asyncio.to_thread(frames_of, str(FIXTURES / kind / "index.m3u8"))
        played = await asyncio.to_thread(frames_of, gated)
        if kind == "ladder":
            # Which of two sounds FFmpeg finds first is a matter of luck.
            assert played["video"] == expected["video"]
        else:
            assert played == expected, kind
        assert sum(expected.values()) > 50, kind
        assert await packets_of(gated) > 50, kind


async def test_every_kind_plays_in_chromium(stage: Stage, tmp_path: Path) -> None:
    url = await serve_all(stage)

    async def play(running: Browser, page: str, kind: str) -> None:
        token = await stage.token(event=kind)
        # A bearer for every other one: both ways must hold for playlists, segments, keys and maps.
        bearer = token if len(kind) % 2 else None
        path = f"/hls/{kind}" if bearer else f"/hls/{token}/{kind}"
        async with running.page(page) as player:
            await player.play(f"{url}{path}/index.m3u8", rate=4, bearer=bearer)
            await player.ended()

    kinds = [kind for kind in KINDS if kind not in NO_BROWSER]
    with site(tmp_path / "site") as page:
        async with chromium() as running:
            # A few at a time: a player that cannot keep up waits, and none is hurt.
            for some in zip_longest(*[iter(kinds)] * AT_ONCE):
                await asyncio.gather(*(play(running, page, kind) for kind in some if kind is not None))


@pytest.mark.both_shapes
async def test_pyav_plays_a_live_stream_to_its_end(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "bframes", "--speed", "4", "--window", "4")
    _, url = await stage.serve(origin)
    token = await stage.token()
    counts = await asyncio.to_thread(frames_of, f"{url}/hls/{token}/game/index.m3u8")
    assert counts["video"] > 100
    assert counts["audio"] > 100


async def test_hls_js_plays_a_live_stream_across_its_loop(stage: Stage, tmp_path: Path) -> None:
    origin = await stage.origin(FIXTURES / "wrap", "--loop")
    _, url = await stage.serve(origin)
    token = await stage.token()
    with site(tmp_path / "site") as page:
        async with browser(page) as player:
            await player.play(f"{url}/hls/{token}/game/index.m3u8")
            # The wrap lies within the recording, a discontinuity at its end.
            await player.has_played(10)
