"""Whatever HLS an operator has: renditions, holds beyond the origin's window, dates that lie or are absent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kernel.io.system_time import wall
from tests.e2e.altered import Alter, altered
from tests.e2e.browser import browser, site
from tests.e2e.stage import FIXTURES, Command, Stage, is_cue
from tests.e2e.vendor import Vendor, play
from tests.e2e.watch import Watcher


async def configured(stage: Stage, origin: str, **settings: object) -> tuple[Command, str]:
    """Serve a showing with settings of its own; return the server and its URL once a picture is out."""
    lines = [f"{name} = {value}" for name, value in settings.items()]
    config = stage.folder / "lockstep.toml"
    config.write_text(
        f'data_dir = "data"\n[showings.game]\norigin = "{origin}"\n' + "\n".join(lines)
        + '\n[showings.game.sources.desk]\nvendor = "lockstep"\n',
        "utf-8",
    )  # fmt: skip
    server = await stage.start("serve", "--config", str(config), "--port", "0")
    url = str((await server.says("server.listening"))["url"])
    await server.says("picture.out")
    return server, url


async def cues_of_some_plays(stage: Stage, url: str, count: int, *, every_s: float = 1.0) -> list[dict[str, Any]]:
    """Post plays that happen now, one after the other, and return their cues as an edge subscriber gets them."""
    edge = await stage.subscribe(url, await stage.token("watch,wager,server"), "--mode", "edge")
    await edge.until(lambda frame: frame["op"] == "sub")
    vendor = Vendor(url, stage.data_dir)
    for number in range(count):
        assert (await vendor.post(f"m{number}", play(f"p{number}", wall()))).status_code == 202
        await asyncio.sleep(every_s)  # the game's own pace, not a wait for anything
    await vendor.aclose()
    seen: dict[str, dict[str, Any]] = {}
    async for frame in edge.frames():
        if is_cue(frame):
            seen[frame["id"]] = frame
        if len(seen) == count:
            break
    return list(seen.values())


async def test_all_renditions_slide_in_step(stage: Stage, tmp_path: Path) -> None:
    origin = await stage.origin(FIXTURES / "ladder", "--loop")
    server, url = await configured(stage, origin)
    top = f"{url}/hls/{await stage.token()}/game/index.m3u8"
    with site(tmp_path / "site") as page:
        async with Watcher(top) as watcher, browser(page) as player:
            await player.play(top)
            # Across the recording's end and its discontinuity.
            await player.has_played(14)
        assert set(watcher.copies) == {f"{name}/index.m3u8" for name in ("v0", "v1", "a0", "s0", "i0")}
        assert all(len(copies) >= 3 for copies in watcher.copies.values())
    assert await server.end() == 0
    assert "Traceback" not in server.log


async def test_a_hold_longer_than_the_origins_window_plays_on(stage: Stage, tmp_path: Path) -> None:
    origin = await stage.origin(FIXTURES / "plain", "--loop", "--window", "6")
    server, url = await configured(stage, origin, hold_s=20)
    top = f"{url}/hls/{await stage.token()}/game/index.m3u8"
    with site(tmp_path / "site") as page:
        async with Watcher(top), browser(page) as player:
            playing = asyncio.create_task(player.play(top))
            cues = await cues_of_some_plays(stage, url, 3)
            await playing
            await player.has_played(16)
    # Video waits for the data: nothing is late, and nothing came before its picture was 20 s old.
    assert all("late_ms" not in cue for cue in cues)
    assert all(cue["received"] - cue["wall"] >= 20_000 for cue in cues)
    assert await server.end() == 0


def drifting(begin: float) -> Alter:
    """Return dates that run fast by 50 parts in a million."""
    return lambda date: date + (date - begin) * 50e-6


def stepping(begin: float) -> Alter:
    """Return dates that step forward by 3 s eight seconds from now."""
    return lambda date: date if date < begin + 8 else date + 3


def absent(_: float) -> Alter:
    """Return no dates."""
    return lambda date: None


@pytest.mark.parametrize("dates", [drifting, stepping, absent])
async def test_dates_that_lie_or_are_absent(stage: Stage, dates: Any) -> None:
    origin = await stage.origin(FIXTURES / "wrap", "--loop")
    with altered(origin, dates(wall())) as url_of_it:
        server, url = await configured(stage, url_of_it)
        async with Watcher(f"{url}/hls/{await stage.token()}/game/index.m3u8"):
            cues = await cues_of_some_plays(stage, url, 14)
        ordered = sorted(cues, key=lambda cue: int(cue["id"].removeprefix("desk:p")))
        places = [(cue["tl"], cue["pts"]) for cue in ordered]
        assert places == sorted(places)
        # Real time between plays is real time between their pictures, but for what the dates may be off.
        assert all(abs(cue["received"] - cue["wall"]) < 10_000 for cue in ordered)
        assert await server.end() == 0
        assert "Traceback" not in server.log
