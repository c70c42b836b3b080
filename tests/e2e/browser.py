"""Chromium with hls.js on a page of our own, for end-to-end tests."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playwright.async_api import Browser as RunningBrowser
from playwright.async_api import Page, async_playwright
from playwright.async_api import TimeoutError as PlaywrightTimeout

from tests.e2e.player_state import ASK, HEARD, told
from tests.e2e.stage import ROOT

HLS_JS = ROOT / "ui" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
SDK = ROOT / "ui" / "sdk"
CHROMIUM = "/usr/bin/chromium"
STALLED_MS = 90_000
"""How long something may not come: the longest that a test plays is a third of it."""
CHROMIUM_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
PAGE = f"""<!doctype html><title>player</title><video muted></video><script src="hls.min.js"></script><script>
{HEARD}</script>"""
PAGE += """<script>
const video = document.querySelector("video");
window.errors = [];
window.play = (url, rate, bearer) => {
  window.errors = [];
  if (window.hls) window.hls.destroy();
  const hls = window.hls = new Hls({
    xhrSetup: (xhr) => bearer && xhr.setRequestHeader("Authorization", "Bearer " + bearer),
  });
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) window.errors.push(data.details); });
  window.hear(hls);
  hls.on(Hls.Events.MANIFEST_PARSED, () => { video.play().then(() => { video.playbackRate = rate; }); });
  hls.loadSource(url);
  hls.attachMedia(video);
};
window.played = () => {
  let sum = 0;
  for (let i = 0; i < video.played.length; i++) sum += video.played.end(i) - video.played.start(i);
  return sum;
};
</script>"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve files without a word."""

    # Modules are refused under any other type, whatever the machine's own table says.
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def site(folder: Path, page: str = PAGE) -> Iterator[str]:
    """Serve a page, hls.js and our own modules (`sdk/`) from a folder; yield the page's URL."""
    assert HLS_JS.exists(), "run `make test`: it brings hls.js"
    folder.mkdir()
    (folder / "index.html").write_text(page, "utf-8")
    (folder / "hls.min.js").write_bytes(HLS_JS.read_bytes())
    shutil.copytree(SDK, folder / "sdk")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
        finally:
            server.shutdown()
            serving.join()


class Player:
    """A page that plays."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.patience_ms = STALLED_MS

    async def play(self, url: str, *, rate: float = 1.0, bearer: str | None = None) -> None:
        """Begin to play."""
        await self.page.evaluate("([url, rate, bearer]) => window.play(url, rate, bearer)", [url, rate, bearer])

    async def ended(self) -> None:
        """Wait for the end."""
        await self._until("video.ended")

    async def has_played(self, seconds: float) -> None:
        """Wait until so much was played."""
        await self._until(f"window.played() > {seconds}")

    async def errors(self) -> list[Any]:
        """Return the fatal errors of hls.js."""
        return list(await self.page.evaluate("window.errors"))

    async def state(self) -> str:
        """Return what hls.js has, loads and waits for, as a text."""
        return told(await self.page.evaluate(ASK))

    async def _until(self, what: str) -> None:
        try:
            await self.page.wait_for_function(f"({what}) || window.errors.length", timeout=self.patience_ms)
        except PlaywrightTimeout:
            raise AssertionError(f"not in {self.patience_ms:,} ms: {what}\n{await self.state()}") from None
        if errors := await self.errors():
            raise AssertionError(f"{errors}\n{await self.state()}")


class Browser:
    """Headless Chromium."""

    def __init__(self, running: RunningBrowser) -> None:
        self._running = running

    @asynccontextmanager
    async def page(self, url: str) -> AsyncIterator[Player]:
        """Open a page that shares nothing with others."""
        page = await self._running.new_page()
        await page.goto(url)
        yield Player(page)
        await page.close()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start headless Chromium."""
    async with async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield Browser(running)
        await running.close()


@asynccontextmanager
async def browser(url: str) -> AsyncIterator[Player]:
    """Open a page in a headless Chromium of its own."""
    async with chromium() as running, running.page(url) as player:
        yield player
