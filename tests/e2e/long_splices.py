"""Real players through both splices, again and again: `python -m tests.e2e.long_splices [RUNS [PRESENTATION ...]]`.

In each run hls.js in Chromium and PyAV play a showing, are led to another stream for eight seconds, and come back; each
presentation (`ts`, `fmp4`, `apart`) has its own tally. A run counts if neither had an error, both were shown the other
stream and then the showing again, and nothing that they asked for was refused. Both streams are recordings of sixteen
seconds that begin anew: each run has its edges at another place of these, so that eight runs have been everywhere.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

from kernel.io.system_time import wall
from tests.e2e.browser import Browser, chromium, site
from tests.e2e.stage import FIXTURES, Command, Stage
from tests.e2e.test_blackout import Operator
from tests.e2e.test_splice import TAG, ZONE, iso, pictures, token_of

PRESENTATIONS = {"ts": ("plain", "wrap"), "fmp4": ("fmp4", "fmp4"), "apart": ("ladder", "ladder")}
"""The showing and what stands in for it. `apart` is a ladder's best rung with its sound in a list of its own."""

APART = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Stadium",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="stadium/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=320x180,CODECS="avc1.64000c,mp4a.40.2",AUDIO="aud"
high/index.m3u8
"""

FOR_PYAV = frozenset({"ts", "fmp4"})
"""FFmpeg's demuxer knows no EXT-X-DISCONTINUITY: of lists that belong together it always returns the packet with the
lowest timestamp. Where those go back, as where a recording begins anew, it reads nothing but the list that came there
first until that has caught up with the others, which behind the next such place it never does; from a plain file
server and without any blackout too. So `apart` is for hls.js alone."""

RUNS = 20
STEP_S = 2.0
STEPS = 8
"""By how much the edges lie later in each run, until they are where they were: a loop of the recordings."""
PLAYED_S = 26.0
LEAST_PICTURES = 300
"""Twelve seconds of them: PyAV begins late, and knows no hurry."""


async def serve(stage: Stage, presentation: str) -> tuple[Command, str]:
    """Serve a presentation, and the one in its place."""
    folders = [FIXTURES / name for name in PRESENTATIONS[presentation]]
    if presentation == "apart":
        folders = [await asyncio.to_thread(_apart, stage.folder / name) for name in ("game", "local")]
    game, local = [await stage.origin(folder, "--loop") for folder in folders]
    config = stage.folder / "lockstep.toml"
    text = f'[showings.game]\norigin = "{game}"\n[showings.local]\norigin = "{local}"\n'
    await asyncio.to_thread(config.write_text, text, "utf-8")
    server = await stage.start(
        "serve", "--data-dir", str(stage.data_dir), "--port", str(stage.port()), "--config", str(config)
    )
    url = str((await server.says("server.listening"))["url"])
    await server.says_often("picture.out", 2)
    return server, url


def _apart(folder: Path) -> Path:
    shutil.copytree(FIXTURES / "ladder", folder)
    (folder / "index.m3u8").write_text(APART, "utf-8")
    return folder


async def run(presentation: str, page: str, browser: Browser, folder: Path, *, later_s: float) -> str | None:
    """Let both players play through both splices; return what went wrong, None if nothing did."""
    played_s = PLAYED_S + later_s
    stage = Stage(folder)
    try:
        server, url = await serve(stage, presentation)
        urls = [f"{url}/hls/{await token_of(stage, 'US-90012')}/game/index.m3u8" for _ in range(2)]
        operator = await asyncio.to_thread(Operator, stage, url)
        async with operator.http, browser.page(page) as player:
            await player.play(urls[0])
            decoding = asyncio.create_task(decoded(urls[1], played_s) if presentation in FOR_PYAV else enough())
            await player.has_played(2)
            now = wall()
            await operator.make(ZONE, start=iso(now + 3 + later_s), end=iso(now + 11 + later_s))
            await player.has_played(played_s)
            count = await decoding
            if errors := await player.errors():
                return f"hls.js: {errors}"
            if count < LEAST_PICTURES:
                return f"PyAV: {count} pictures"
        return judge(server.log)
    except AssertionError as error:
        return str(error)
    except Exception as error:
        return repr(error)
    finally:
        await stage.aclose()


async def decoded(url: str, played_s: float) -> int:
    """Return how many pictures PyAV shows."""
    return await asyncio.to_thread(pictures, url, played_s)


async def enough() -> int:
    """Return what counts as enough where PyAV does not play."""
    return LEAST_PICTURES


def judge(log: str) -> str | None:
    """Return what of the players' requests went wrong, None if nothing did."""
    asked = [line for line in map(json.loads, log.splitlines()) if line["event"] == "http.answered"]
    asked = [line for line in asked if line["path"].startswith("/hls/")]
    if refused := [(line["path"], line["status"]) for line in asked if line["status"] not in (200, 206)]:
        return f"refused: {refused[:3]}"
    media = [line["path"] for line in asked if not line["path"].endswith(".m3u8")]
    for viewer in {path.split("/")[2] for path in media}:
        shown = [TAG in path for path in media if path.split("/")[2] == viewer]
        if True not in shown or shown[-1]:
            return f"{viewer} was not shown the other stream, or not the showing again"
    return None


async def tally(presentation: str, runs: int) -> bool:
    """Run as often, and print what came of it; return whether nothing went wrong."""
    good = 0
    with tempfile.TemporaryDirectory() as folder, site(Path(folder) / "site") as page:
        async with chromium() as browser:
            for number in range(1, runs + 1):
                stage = Path(folder) / f"{number}"
                await asyncio.to_thread(stage.mkdir)
                wrong = await run(presentation, page, browser, stage, later_s=number % STEPS * STEP_S)
                good += wrong is None
                print(f"{presentation} {number}/{runs}: {wrong or 'played on'}", flush=True)
    print(f"{presentation}: {good} of {runs} runs without an error", flush=True)
    return good == runs


async def main(runs: int, presentations: list[str]) -> int:
    """Run all that is asked for; return the exit code."""
    return 0 if all([await tally(one, runs) for one in presentations or PRESENTATIONS]) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS, sys.argv[2:])))
