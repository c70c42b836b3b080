"""Who was shown another stream during a blackout, and is back: cues are on the right frame again, and none was lost on
the other stream's.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims
from lockstep.keys import read_keys
from tests.e2e.browser import browser
from tests.e2e.stage import FIXTURES, Stage
from tests.e2e.test_blackout import Operator
from tests.e2e.test_right_frame import LEAST, SEGMENT_S, SEGMENTS, Reporter, judge, pages, until
from tests.e2e.test_splice import ZONE, iso
from tests.e2e.vendor import Vendor

RATE, EVERY = 25, 2
DARK_S = 7.3
"""Neither a multiple of a segment nor of what stands in for it."""


async def at_home(stage: Stage, home: str) -> str:
    """Issue a token that may bet to an account that is at home somewhere."""
    now = int(wall())
    claims = Claims(
        jti=new_id(), account="ann", event_id="game", not_before=now - 30, expires=now + 3_600,
        window=(now - 30, now + 3_600), session=new_id(), scopes=frozenset({"watch", "wager"}), home=home,
    )  # fmt: skip
    keys = await asyncio.to_thread(read_keys, stage.data_dir)
    return keys.keyring().issue(claims)


async def test_cues_are_on_their_frames_again_behind_a_blackout(stage: Stage, tmp_path: Path) -> None:
    game, local = [await stage.origin(FIXTURES / name, "--loop") for name in ("frames", "wrap")]
    config = stage.folder / "lockstep.toml"
    text = (
        f'[showings.game]\norigin = "{game}"\nsources.desk.vendor = "lockstep"\n[showings.local]\norigin = "{local}"\n'
    )
    await asyncio.to_thread(config.write_text, text, "utf-8")
    server = await stage.start(
        "serve", "--data-dir", str(stage.data_dir), "--port", str(stage.port()), "--config", str(config)
    )
    url = str((await server.says("server.listening"))["url"])
    await server.says_often("picture.out", 2)
    operator = await asyncio.to_thread(Operator, stage, url)
    vendor = Vendor(url, stage.data_dir)
    telling = asyncio.create_task(Reporter(vendor, game, RATE, EVERY).run())
    try:
        with pages(tmp_path) as page:
            async with operator.http, browser(page) as player:
                token = await at_home(stage, "US-90012")
                await player.page.evaluate("([url, token]) => start(url, token)", [url, token])
                await until(player, "fired.length > 30 && lockstep.mayWager")
                start = wall() + 3
                await operator.make(ZONE, start=iso(start), end=iso(start + DARK_S))
                await until(player, "lockstep.player.place?.away && !lockstep.mayWager")
                before = await player.page.evaluate("fired.length")
                await until(player, "!lockstep.player.place.away")
                await until(player, f"fired.length > {before} + 100 && lockstep.mayWager")
                fired, presented, byes = await player.page.evaluate("[fired, frames, byes]")
                await player.page.screenshot(path=str(stage.folder / "back_in_step.png"))
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await vendor.aclose()
    assert byes == []
    # Nothing of the dark was told, neither in it nor behind it.
    assert not [cue for cue in fired if start <= cue["wall"] / 1000 < start + DARK_S]
    judged = judge(fired[before:], presented, SEGMENTS * SEGMENT_S * RATE)
    print(judged)
    assert judged.early == 0
    assert judged.right >= LEAST * judged.cues
