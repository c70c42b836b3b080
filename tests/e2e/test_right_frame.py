"""Cues on the very frame that carries them, in a real browser, with the SDK as it is shipped.

The picture says which frame it is. Whenever a cue fires, the page reads that number off the video and writes it down
beside the cue's own. Counted so: a cue is *right* if the frame on show is its own, or if the browser never presented
that one (a loaded machine drops frames) and this is the first that it presented behind it; *early* if the frame on
show lies before its own.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from fixtures.picture import COUNTER_BITS, SQUARE
from kernel.dates import parse_date
from tests.e2e.browser import Player, browser, site
from tests.e2e.stage import FIXTURES, PATIENCE_S, ROOT, Stage
from tests.e2e.vendor import Vendor, play

SEGMENT_S = 2
SEGMENTS = 7
PAGE = """<!doctype html><title>right frame</title><video muted playsinline></video><canvas width="320" height="180">
</canvas><script src="hls.min.js"></script><script type="module">
import { Lockstep } from "./sdk/index.js";
const video = document.querySelector("video");
const context = document.querySelector("canvas").getContext("2d", { willReadFrequently: true });
const { bits, square } = %s;
window.errors = [];
window.fired = [];
window.frames = [];
window.byes = [];
const counter = () => {
  context.drawImage(video, 0, 0, 320, 180);
  const row = context.getImageData(0, square / 2, 320, 1).data;
  let number = 0;
  for (let bit = 0; bit < bits; bit += 1) number = number * 2 + (row[(bit * square + square / 2) * 4] > 125 ? 1 : 0);
  return number;
};
const onFrame = () => {
  video.requestVideoFrameCallback(onFrame);
  window.frames.push(counter());
};
video.requestVideoFrameCallback(onFrame);
window.start = (url, token) => {
  const hls = new Hls();
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) window.errors.push(data.details); });
  // Comes back at once, where the time that clients wait is spread at random otherwise; and what comes a second early
  // lasts until it is back, however loaded the machine is.
  window.lockstep = new Lockstep({ url, event: "game", token, hls, video, leadMs: 1000, random: () => 0 });
  window.lockstep.on("cue", (cue) => window.fired.push({
    own: Number(cue.txt), shown: counter(), nth: window.frames.length, tl: cue.tl, pts: cue.pts, off: cue.off,
    wall: cue.wall,
  }));
  window.lockstep.on("bye", (bye) => window.byes.push(bye.code));
  hls.loadSource(`${url}/hls/${token}/game/index.m3u8`);
  hls.attachMedia(video);
  video.play();
};
</script>"""


@dataclass(frozen=True)
class Judged:
    """What came of some cues: how many frames each was off, and how many frames were never presented.

    `near` are those that are right or a frame late at most.
    """

    cues: int
    right: int
    near: int
    early: int
    off: Counter[int]
    dropped: int


def judge(fired: list[dict[str, Any]], presented: list[int], length: int) -> Judged:
    """Hold every cue against the frames that were presented; numbers begin anew after `length` frames."""

    def behind(number: int, other: int) -> int:
        return (number - other + length // 2) % length - length // 2

    off: Counter[int] = Counter()
    right = near = 0
    for cue in fired:
        distance = behind(cue["shown"], cue["own"])
        off[distance] += 1
        # The frames that were on show before this one; the page may have noted this one already, or not yet.
        before = [number for number in presented[: cue["nth"]] if number != cue["shown"]]
        is_right = distance == 0 or (distance > 0 and bool(before) and behind(before[-1], cue["own"]) < 0)
        right += is_right
        near += is_right or distance == 1
    steps = [behind(number, last) for last, number in itertools.pairwise(presented)]
    early = sum(count for by, count in off.items() if by < 0)
    return Judged(len(fired), right, near, early, off, sum(max(0, step - 1) for step in steps))


class Reporter:
    """A vendor that watches the game at the camera and tells of every nth frame, as soon as it is on the air."""

    def __init__(self, vendor: Vendor, origin: str, rate: int, every: int) -> None:
        self._vendor = vendor
        self._origin = origin
        self._rate = rate
        self._every = every

    async def run(self) -> None:
        told: set[str] = set()
        async with httpx2.AsyncClient(trust_env=False) as client:
            while True:
                text = (await client.get(self._origin)).text
                for date, uri in re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)\n#EXTINF.*\n(\S+)", text):
                    if uri not in told:
                        told.add(uri)
                        await self._tell(date, uri)
                await asyncio.sleep(0.2)

    async def _tell(self, date: str, uri: str) -> None:
        begins = parse_date(date)
        assert begins is not None
        match = re.fullmatch(r"\d+/\w+-(\d+)\.ts", uri)
        assert match
        first = int(match[1]) * SEGMENT_S * self._rate
        facts = [
            {**play(f"{uri}/{frame}", begins + frame / self._rate), "body": {"txt": str(first + frame)}}
            for frame in range(0, SEGMENT_S * self._rate, self._every)
        ]
        answer = await self._vendor.post(uri, facts)
        assert answer.status_code == 202, answer.text


@contextmanager
def pages(tmp_path: Path) -> Iterator[str]:
    values = f"{{ bits: {COUNTER_BITS}, square: {SQUARE} }}"
    with site(tmp_path / "site", PAGE % values) as page:
        yield page


async def until(player: Player, what: str) -> None:
    """Wait until something holds on the page."""
    await player.page.wait_for_function(f"({what}) || window.errors.length", timeout=PATIENCE_S * 1_000)
    assert await player.errors() == []


async def watch(stage: Stage, page: str, rate: int, every: int, cues: int, *, breaks: bool) -> Judged:
    """Let a browser watch until so many cues have fired; with `breaks` across a wrap, a discontinuity and a cut."""
    origin = await stage.origin(FIXTURES / ("frames" if rate == 25 else f"frames_{rate}"), "--loop")
    _, url = await stage.serve(origin, "--source", "desk=lockstep")
    vendor = Vendor(url, stage.data_dir)
    telling = asyncio.create_task(Reporter(vendor, origin, rate, every).run())
    try:
        async with browser(page) as player:
            await player.page.evaluate("([url, token]) => start(url, token)", [url, await stage.token()])
            if breaks:
                await until(player, f"fired.length > {cues // 3}")
                await player.page.evaluate("lockstep.socket.close(4000)")
            wanted = f"fired.length >= {cues}"
            timelines = "new Set(fired.map((cue) => cue.tl)).size"
            # On either side of a discontinuity, and of the wrap: the counter is above and below it.
            wraps = "fired.some((cue) => fired.some((other) => other.tl === cue.tl && other.pts - cue.pts > 2 * 90000))"
            await until(player, f"{wanted} && {timelines} >= 2 && {wraps}" if breaks else wanted)
            fired, presented, byes = await player.page.evaluate("[fired, frames, byes]")
            assert len(byes) == int(breaks)
            await player.page.screenshot(path=str(stage.folder / "right_frame.png"))
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await vendor.aclose()
    # The vendor's frame is the one that it was pinned to.
    assert {cue["off"] for cue in fired} <= {number * 90_000 // rate for number in range(SEGMENT_S * rate)}
    assert all(cue["off"] * rate // 90_000 == cue["own"] % (SEGMENT_S * rate) for cue in fired)
    judged = judge(fired, presented, SEGMENTS * SEGMENT_S * rate)
    print(judged)
    return judged


LEAST, LEAST_AT_FIFTY = 0.95, 0.85
"""How many must be right here, where others may keep the machine busy, and where a browser that draws without a
graphics card drops frames by the dozen at fifty a second. The figure is 0.99; what was reached is printed (`pytest -s`)
and stands in docs/performance.md. None is early, on any machine."""


async def test_cues_fire_on_their_own_frame(stage: Stage, tmp_path: Path) -> None:
    with pages(tmp_path) as page:
        judged = await watch(stage, page, rate=25, every=2, cues=200, breaks=True)
    assert judged.early == 0
    assert judged.right >= LEAST * judged.cues


async def test_within_one_frame_at_fifty_a_second(stage: Stage, tmp_path: Path) -> None:
    with pages(tmp_path) as page:
        judged = await watch(stage, page, rate=50, every=7, cues=60, breaks=False)
    assert judged.early == 0
    assert judged.near >= LEAST_AT_FIFTY * judged.cues


def example() -> str:
    """Return the page of the README."""
    found = re.search(r"```html\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


async def test_the_page_of_the_readme(stage: Stage, tmp_path: Path) -> None:
    assert len(example().splitlines()) == 10
    origin = await stage.origin(FIXTURES / "frames", "--loop")
    server, url = await stage.serve(origin, "--source", "desk=lockstep")
    page = example().replace("http://127.0.0.1:8080", url).replace("TOKEN", await stage.token())
    vendor = Vendor(url, stage.data_dir)
    telling = asyncio.create_task(Reporter(vendor, origin, 25, 25).run())
    try:
        with site(tmp_path / "site", page + "<script>window.errors = []</script>") as where:
            async with browser(where) as player:
                await until(player, "plays.textContent.length > 4 && !document.body.matches('.suspended')")
                await server.end()
                await until(player, "document.body.matches('.suspended')")
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await vendor.aclose()
