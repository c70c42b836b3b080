"""Origins on this machine's disk: a folder that FFmpeg is writing, and local copies of what an origin lost."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.dates import parse_date
from kernel.io.system_time import wall
from tests.e2e.recorder import ffmpeg, hls
from tests.e2e.stage import FIXTURES, Stage
from tests.e2e.test_players import frames_of
from tests.e2e.test_spine import Checker
from tests.e2e.vendor import Vendor, play
from tests.support.canned_http import Answer, answer, canned_http, ok

SEGMENT_S = 2.0
FRAME_S = 0.05


async def _get(url: str) -> str:
    async with httpx2.AsyncClient(trust_env=False) as client:
        found = await client.get(url)
        assert found.status_code == 200, url
        return found.text


def _is_shown(cue: dict[str, Any], at: float, playlist: str) -> None:
    """Check that a cue names the segment that shows its moment, and the frame in it."""
    listed = re.findall(r"DATE-TIME:(\S+)\n(?:#.*\n)*main/0-(\d+)", playlist)
    begins = {int(msn): parse_date(date) for date, msn in listed}[cue["msn"]]
    assert -FRAME_S <= at - begins <= SEGMENT_S + FRAME_S
    assert abs(cue["off"] / 90_000 - (at - begins)) <= 2 * FRAME_S


@pytest.mark.parametrize(
    "flags",
    [
        "delete_segments+program_date_time+temp_file",
        # Everything is written in place: half a playlist and half a segment can be seen.
        "delete_segments+program_date_time-temp_file",
    ],
    ids=["renamed", "in place"],
)
async def test_a_folder_that_ffmpeg_is_writing(stage: Stage, tmp_path: Path, flags: str) -> None:
    folder = tmp_path / "live"
    await asyncio.to_thread(folder.mkdir)
    # All are there first: the stream waits for nobody. Three segments are listed, and no more than that are kept.
    origin = str(folder / "index.m3u8")
    server, url = await stage.serve(origin, "--source", "desk=lockstep", ready=False)
    playlist = f"{url}/hls/{await stage.token()}/game/index.m3u8"
    edge = await stage.subscribe(url, await stage.token("watch,wager,server"), "--mode", "edge")
    await edge.until(lambda frame: frame["op"] == "sub")
    encoder = await ffmpeg(
        *hls(SEGMENT_S, 16, live=True), "-hls_list_size", "3", "-hls_delete_threshold", "1", "-hls_flags", flags, origin
    )
    await server.says("picture.out")
    checker = Checker(playlist)
    polling = asyncio.create_task(checker.run())
    playing = asyncio.create_task(asyncio.to_thread(frames_of, playlist))
    vendor = Vendor(url, stage.data_dir)
    cues = []
    for number in range(2):
        at = wall()
        assert (await vendor.post(f"m{number}", play(f"p{number}", at))).status_code == 202
        cues.append((await edge.until(lambda frame: frame.get("op") == "cue"))[-1])
        _is_shown(cues[-1], at, await _get(playlist))
    await vendor.aclose()
    _, complaint = await encoder.communicate()
    assert encoder.returncode == 0, complaint.decode()
    frames = await playing
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)

    # From where the player began, at the earliest segment, to the end, without a hole.
    assert frames["video"] % 40 == 0
    assert frames["video"] >= 240
    assert frames["audio"] >= 450
    assert checker.early(cues) == []
    # What FFmpeg has deleted is still there for whoever is behind.
    names = re.findall(r"^main/\S+", await _get(playlist), re.MULTILINE)
    kept = len(await asyncio.to_thread(lambda: list(folder.glob("*.ts"))))
    assert kept < 8
    async with httpx2.AsyncClient(trust_env=False) as client:
        for name in names:
            assert (await client.get(playlist.replace("index.m3u8", name))).status_code == 200
    assert await server.end() == 0
    assert "Traceback" not in server.log
    assert "segment.unreadable" not in server.log


async def test_what_an_origin_lacks_is_found_locally(stage: Stage, tmp_path: Path) -> None:
    local = tmp_path / "copies"
    (local / "segments").mkdir(parents=True)
    text = (FIXTURES / "plain" / "index.m3u8").read_text("utf-8")
    names = re.findall(r"^[^#\n]+", text, re.MULTILINE)
    listed = re.sub(r"^(?=[^#\n])", "segments/", text, flags=re.MULTILINE)
    answers: dict[str, bytes | Answer] = {"/live/index.m3u8": ok(listed.encode())}
    for number, name in enumerate(names):
        body = (FIXTURES / "plain" / name).read_bytes()
        answers[f"/live/segments/{name}"] = answer(404, b"", "Content-Length: 0") if number % 2 else ok(body)
        if number % 2:
            (local / "segments" / name).write_bytes(body)
    async with canned_http(answers) as canned:
        origin = f"{canned.url}/live/index.m3u8"
        config = tmp_path / "lockstep.toml"
        config.write_text(f'[showings.game]\norigin = "{origin}"\nlocal_dir = "{local}"\n', "utf-8")
        server, url = await stage.serve(origin, "--config", str(config))
        token = await stage.token()
        frames = await asyncio.to_thread(frames_of, f"{url}/hls/{token}/game/index.m3u8")
        assert frames["video"] == 500
        # What is here is asked of nobody else.
        assert set(canned.paths) == {"/live/index.m3u8", *(f"/live/segments/{name}" for name in names[::2])}
        assert await server.end() == 0
    assert "segment.unreadable" not in server.log
