"""Who takes everything at once, in two qualities, is found on the real server; players are not."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx2
import pytest

from tests.e2e.browser import browser, site
from tests.e2e.stage import FIXTURES, Stage
from tests.e2e.test_players import frames_of

SEGMENT_S = 2.0


async def take_all(http: httpx2.AsyncClient, token: str, *, times: float) -> list[httpx2.Response]:
    """Fetch both qualities of a presentation side by side, so many times faster than it is watched."""
    lists = [await http.get(f"/hls/{token}/game/{name}/index.m3u8") for name in ("v0", "v1")]
    names = [re.findall(r"^[^#\n]+$", answer.text, re.MULTILINE) for answer in lists]
    answers = []
    for pair in zip(*names, strict=True):
        began = asyncio.get_running_loop().time()
        answers += [await http.get(f"/hls/{token}/game/v{level}/{name}") for level, name in enumerate(pair)]
        # As fast as that, and no faster: this is what is tried, nothing is waited for.
        await asyncio.sleep(max(0.0, SEGMENT_S / times - (asyncio.get_running_loop().time() - began)))
    return answers


async def test_who_takes_two_qualities_at_five_times_the_speed_is_found_and_warned(stage: Stage) -> None:
    server, url = await stage.serve(str(FIXTURES / "ladder"))
    token = await stage.token()
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        answers = await take_all(http, token, times=5)
        said = await server.says("session.suspected")
        assert said["action"] == "warn"
        assert "renditions" in said["signals"]
        assert {answer.status_code for answer in answers} == {200}
        assert "Lockstep-Warning" not in answers[0].headers
        again = await http.get(f"/hls/{token}/game/v0/0-0.ts")
        assert again.headers["Lockstep-Warning"] == "leak_suspected"
        metrics = (await http.get("/metrics")).text
        assert 'lockstep_leak_suspects{action="warn"} 1' in metrics
        # Another session of the same account is nobody.
        other = await http.get(f"/hls/{await stage.token()}/game/v0/0-0.ts")
        assert "Lockstep-Warning" not in other.headers


@pytest.mark.both_shapes
async def test_who_is_found_is_revoked_where_that_is_wanted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_LEAKS__MOST", "revoke")
    monkeypatch.setenv("LOCKSTEP_LEAKS__THROTTLE_AT", "0.6")
    monkeypatch.setenv("LOCKSTEP_LEAKS__REVOKE_AT", "0.6")
    server, url = await stage.serve(str(FIXTURES / "ladder"))
    token = await stage.token()
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        await asyncio.gather(take_all(http, token, times=50), return_exceptions=True)
        made = await server.says("revocation.made")
        assert (made["kind"], made["by"]) == ("session", "leak-detector")
        refused = await http.get(f"/hls/{token}/game/v0/index.m3u8")
        assert (refused.status_code, refused.json()["reason"]) == (403, "revoked")


async def test_players_are_not_found(stage: Stage, tmp_path: Path) -> None:
    server, url = await stage.serve(str(FIXTURES / "plain"))
    played = await asyncio.to_thread(frames_of, f"{url}/hls/{await stage.token()}/game/index.m3u8")
    assert played["video"] > 100
    other = Stage(tmp_path / "ladder")
    try:
        ladder, ladder_url = await other.serve(str(FIXTURES / "ladder"))
        with site(tmp_path / "site") as page:
            async with browser(page) as player:
                await player.play(f"{ladder_url}/hls/{await other.token()}/game/index.m3u8", rate=4)
                await player.ended()
    finally:
        await other.aclose()
    for one in (server, ladder):
        assert "session.suspected" not in one.log
