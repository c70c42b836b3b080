"""Real players play the gated stream: PyAV (FFmpeg) to its end, hls.js in Chromium."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av
import pytest
from playwright.async_api import Page, async_playwright

from tests.e2e.stage import FIXTURES, ROOT, Stage

HLS_JS = ROOT / "ui" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
PAGE = """<!doctype html><title>player</title><video muted></video><script src="hls.min.js"></script><script>
const video = document.querySelector("video");
window.errors = [];
window.play = (url, rate, bearer) => {
  const hls = new Hls({xhrSetup: (xhr) => bearer && xhr.setRequestHeader("Authorization", "Bearer " + bearer)});
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) window.errors.push(data.details); });
  hls.on(Hls.Events.MANIFEST_PARSED, () => { video.play().then(() => { video.playbackRate = rate; }); });
  hls.loadSource(url);
  hls.attachMedia(video);
};
</script>"""


def frames_of(url: str) -> tuple[int, int]:
    """Play a stream to its end and return how many video and audio frames it gave."""
    video = audio = 0
    with av.open(url, timeout=(10.0, 30.0)) as container:
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                video += 1
            else:
                audio += 1
    return video, audio


async def test_pyav_plays_a_vod_to_its_end(stage: Stage) -> None:
    _, url = await stage.serve(str(FIXTURES / "plain"))
    token = await stage.token()
    expected = await asyncio.to_thread(frames_of, str(FIXTURES / "plain" / "index.m3u8"))
    played = await asyncio.to_thread(frames_of, f"{url}/hls/{token}/game/index.m3u8")
    assert played == expected
    assert expected[0] == 500


async def test_pyav_plays_a_live_stream_to_its_end(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "bframes", "--speed", "4", "--window", "4")
    _, url = await stage.serve(origin)
    token = await stage.token()
    video, audio = await asyncio.to_thread(frames_of, f"{url}/hls/{token}/game/index.m3u8")
    assert video > 100
    assert audio > 100


@pytest.fixture
def page_url(tmp_path: Path) -> Iterator[str]:
    assert HLS_JS.exists(), "run `make test`: it brings hls.js"
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE, "utf-8")
    (site / "hls.min.js").write_bytes(HLS_JS.read_bytes())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()
        serving.join()


async def _errors(page: Page) -> list[str]:
    return list(await page.evaluate("window.errors"))


async def test_hls_js_plays_in_chromium(stage: Stage, page_url: str) -> None:
    origin = await stage.origin(FIXTURES / "wrap", "--loop")
    _, live = await stage.serve(origin)
    token = await stage.token()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = await browser.new_page()
        await page.goto(page_url)
        await page.evaluate("([url]) => window.play(url, 1)", [f"{live}/hls/{token}/game/index.m3u8"])
        # Across a loop of the recording: the wrap within it, and the discontinuity at its end.
        await page.wait_for_function(
            "video.played.length && video.played.end(0) - video.played.start(0) > 8", timeout=60_000
        )
        assert await _errors(page) == []
        await browser.close()


async def test_hls_js_plays_a_vod_to_its_end_with_a_bearer(stage: Stage, page_url: str) -> None:
    _, url = await stage.serve(str(FIXTURES / "discontinuity"))
    token = await stage.token()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = await browser.new_page()
        await page.goto(page_url)
        await page.evaluate("([url, bearer]) => window.play(url, 4, bearer)", [f"{url}/hls/game/index.m3u8", token])
        await page.wait_for_function("video.ended", timeout=60_000)
        assert await _errors(page) == []
        await browser.close()
