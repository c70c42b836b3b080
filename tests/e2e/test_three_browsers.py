"""Three browsers on an account that has two streams: the oldest sees a countdown and is cut; the others play on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2

from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims, Purpose
from lockstep.keys import read_keys
from tests.e2e.browser import Player, chromium, site
from tests.e2e.stage import FIXTURES, PATIENCE_S, Stage

GRACE_S = 6
PAGE = """<!doctype html><title>three</title><style>
body { font: 16px system-ui; background: #101418; color: #e8eef4; margin: 1rem; max-width: 40rem }
video { width: 100%; background: #000 } #told { font-size: 1.4rem; min-height: 2rem } #told.over { color: #ff8a80 }
</style><video muted playsinline></video><p id="told">playing</p><script src="hls.min.js"></script>
<script type="module">
import { Lockstep } from "./sdk/index.js";
const video = document.querySelector("video"), told = document.querySelector("#told");
window.errors = [];
window.countdown = [];
window.byes = [];
window.refused = [];
window.start = async (url, entitlement) => {
  // As a page of an operator's does: the entitlement begins a session, and player and socket have its token.
  const answer = await fetch(url + "/api/v1/playback/sessions", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: entitlement }),
  });
  window.begun = await answer.json();
  const hls = window.hls = new Hls();
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.response) window.refused.push(data.response.code); });
  const lockstep = window.lockstep = new Lockstep({ url, event: "game", token: window.begun.token, hls, video });
  lockstep.on("session", ({ state, ends, code }) => {
    const tick = () => {
      const left = Math.max(0, Math.ceil((ends - Date.now()) / 1000));
      if (window.countdown.at(-1) !== left) window.countdown.push(left);
      told.textContent = `Somebody else watches on this account (${code}): ${left} s left`;
      if (left > 0 && window.byes.length === 0) setTimeout(tick, 100);
    };
    tick();
  });
  lockstep.on("bye", (bye) => {
    window.byes.push([bye.code, bye.reason]);
    told.textContent = "Stopped: this account is being watched elsewhere";
    told.className = "over";
  });
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
  hls.loadSource(url + window.begun.playlist_url);
  hls.attachMedia(video);
};
window.ready = true;
</script>"""


async def entitlement(stage: Stage) -> str:
    """Return what ann has bought."""
    now = int(wall())
    claims = Claims(
        jti=new_id(), account="ann", event_id="game", not_before=now - 30, expires=now + 600,
        window=(now - 30, now + 7_200), session="", scopes=frozenset({"watch", "wager"}), purchase="p1",
    )  # fmt: skip
    keys = await asyncio.to_thread(read_keys, stage.data_dir)
    return keys.keyring().issue(claims, Purpose.ENTITLEMENT)


async def begin(player: Player, stage: Stage, url: str) -> None:
    """Begin to play, and wait for the picture and the socket."""
    await player.page.wait_for_function("window.ready")
    await player.page.evaluate("([url, token]) => window.start(url, token)", [url, await entitlement(stage)])
    await until(player, "document.querySelector('video').currentTime > 0 && window.lockstep.isSubscribed")


async def until(player: Player, what: str) -> None:
    await player.page.wait_for_function(what, timeout=1_000 * PATIENCE_S)


async def moved_on(player: Player) -> None:
    """Wait until the picture has moved on by two seconds, with the socket open."""
    at = await player.page.evaluate("document.querySelector('video').currentTime")
    await until(player, f"document.querySelector('video').currentTime > {at + 2}")
    assert await player.page.evaluate("window.byes.length === 0 && window.countdown.length === 0")


async def test_the_oldest_of_three_sees_the_countdown_and_is_cut(stage: Stage, tmp_path: Path) -> None:
    _, url = await stage.serve(await stage.origin(FIXTURES / "plain", "--loop"))
    policy: dict[str, Any] = {"max_concurrent": 2, "eviction": "oldest_first", "grace_period_sec": GRACE_S}
    keys = await asyncio.to_thread(read_keys, stage.data_dir)
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        bearer = {"Authorization": f"Bearer {keys.operator_key()}"}
        body = {"event_id": "game", "session_policy": policy}
        made = await http.post("/api/v1/ppv/session-policy", json=body, headers=bearer)
        assert made.status_code == 201
    with site(tmp_path / "site", PAGE) as page:
        async with (
            chromium() as running,
            running.page(page) as one,
            running.page(page) as two,
            running.page(page) as three,
        ):
            for player in (one, two, three):
                await begin(player, stage, url)
            await until(one, "window.countdown.length > 0")
            assert "left" in await one.page.inner_text("#told")
            await one.page.screenshot(path=tmp_path / "warned.png")
            await until(one, "window.byes.length > 0")
            await one.page.screenshot(path=tmp_path / "cut.png")
            countdown = await one.page.evaluate("window.countdown")
            # It counts down, second by second; a loaded machine may pass one over.
            assert countdown == sorted(countdown, reverse=True)
            assert GRACE_S >= countdown[0] > countdown[-1]
            assert await one.page.evaluate("window.byes") == [[4509, "session_limit"]]
            # The picture is over as well: whatever its player asks for is refused.
            await until(one, "window.refused.includes(403)")
            await moved_on(two)
            await moved_on(three)
