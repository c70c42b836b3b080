"""Showings that are made, changed and ended by API while everything runs, in one process and apart."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from kernel.io.system_time import wall
from lockstep.keys import read_keys
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, PATIENCE_S, Command, Stage, is_cue
from tests.e2e.vendor import Vendor, play

PATH = "/api/v1/showings"


class Operator:
    """Ask the API with a key that may do everything."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx2.AsyncClient(base_url=url, trust_env=False, headers=headers, timeout=PATIENCE_S)

    async def ask(self, method: str, path: str = PATH, **more: Any) -> httpx2.Response:
        return await self.http.request(method, path, **more)

    async def until(self, path: str, status: int, **more: Any) -> httpx2.Response:
        """Ask again until the answer is what it is to be: other processes hear of a change a moment later."""
        async with asyncio.timeout(PATIENCE_S):
            for pause in repeat(0.05):
                # After a restart it may not be listening yet.
                with contextlib.suppress(httpx2.TransportError):
                    answer = await self.http.get(path, **more)
                    if answer.status_code == status:
                        return answer
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")


@asynccontextmanager
async def operating(stage: Stage, url: str) -> AsyncIterator[Operator]:
    operator = Operator(url, (await asyncio.to_thread(read_keys, stage.data_dir)).operator_key())
    try:
        yield operator
    finally:
        await operator.http.aclose()


def configured(stage: Stage, live: str) -> str:
    path = stage.folder / "lockstep.toml"
    host = urlsplit(live).netloc
    path.write_text(f'[showings_api]\norigin_dir = "{FIXTURES}"\norigin_hosts = ["{host}"]\n', "utf-8")
    return str(path)


@pytest.mark.both_shapes
async def test_a_showing_comes_changes_and_goes_while_everything_runs(stage: Stage) -> None:
    live = await stage.origin(FIXTURES / "plain", "--loop")
    config = await asyncio.to_thread(configured, stage, live)
    server, url = await stage.serve(str(FIXTURES / "plain"), "--config", config)
    async with operating(stage, url) as operator:
        cup = {"event_id": "cup", "origin": live, "sources": {"cupdesk": {"vendor": "lockstep"}}}
        made = await operator.ask("POST", json=cup)
        assert (made.status_code, made.headers["location"]) == (201, f"{PATH}/cup"), made.text
        assert list(made.json()["secrets"]) == ["cupdesk"]
        keys = await asyncio.to_thread(read_keys, stage.data_dir)
        assert keys.webhook_secrets["cupdesk"] == made.json()["secrets"]["cupdesk"]
        listed = (await operator.ask("GET")).json()["showings"]
        assert [(one["event_id"], one["from"]) for one in listed] == [("game", "settings"), ("cup", "api")]

        token = await stage.token(event="cup")
        await operator.until(f"/hls/{token}/cup/index.m3u8", 200)
        subscriber = await subscribed(stage, url)
        desk = await asyncio.to_thread(Vendor, url, stage.data_dir, "cupdesk")
        assert (await desk.post("m1", play("first", wall()))).status_code == 202
        await subscriber.until(lambda frame: is_cue(frame) and frame["id"] == "cupdesk:first")

        # A policy that nobody knows would refuse everybody; this one refuses nobody.
        assert (await operator.ask("PUT", "/api/v1/policies/west", json={"policy_id": "west"})).status_code == 201
        # What can change live, changes live: who is in stays in, and no message is lost.
        change = {"sources": {"cupdesk": {"vendor": "lockstep"}, "other": {"vendor": "lockstep"}},
                  "allowed_origins": ["https://player.test"], "place_policy": "west"}  # fmt: skip
        changed = await operator.ask("PUT", f"{PATH}/cup", json=change, headers={"If-Match": '"1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"'), changed.text
        assert list(changed.json()["secrets"]) == ["other"]
        assert (await desk.post("m2", play("second", wall()))).status_code == 202
        await subscriber.until(lambda frame: is_cue(frame) and frame["id"] == "cupdesk:second")
        origins: dict[str, str | None] = {"https://player.test": "https://player.test", "https://evil.test": None}
        await allowed_for(operator, f"/hls/{token}/cup/index.m3u8", origins)

        fixed = await operator.ask("PUT", f"{PATH}/cup", json={"origin": "plain"})
        assert (fixed.status_code, fixed.json()["reason"]) == (409, "origin_fixed")

        # It is there again after a kill, with what was told of it.
        await subscriber.end()
        server.signal(signal.SIGKILL)
        await server.exit_code()
        server, _ = await stage.serve(str(FIXTURES / "plain"), "--config", config, "--port", str(urlsplit(url).port))
        await operator.until(f"/hls/{token}/cup/index.m3u8", 200)
        subscriber = await subscribed(stage, url)
        assert (await desk.post("m3", play("third", wall()))).status_code == 202
        await subscriber.until(lambda frame: is_cue(frame) and frame["id"] == "cupdesk:third")

        ended = await operator.ask("DELETE", f"{PATH}/cup")
        assert ended.status_code == 204
        frames = await subscriber.until(lambda frame: frame["op"] == "bye" and frame["code"] >= 4500)
        assert (frames[-1]["code"], frames[-1]["reason"]) == (4501, "showing_ended")
        await operator.until(f"/hls/{token}/cup/index.m3u8", 404)
        assert (await desk.post("m4", play("fourth", wall()))).status_code == 401
        assert "cupdesk" not in (await asyncio.to_thread(read_keys, stage.data_dir)).webhook_secrets
        assert (await operator.ask("GET", f"{PATH}/cup")).status_code == 404
        # The other one has gone on all the time.
        assert (await operator.ask("GET", f"/hls/{await stage.token()}/game/index.m3u8")).status_code == 200
        await desk.aclose()

        # Made again, it goes on where it was.
        assert (await operator.ask("POST", json=cup)).json()["version"] == 4
        await operator.until(f"/hls/{token}/cup/index.m3u8", 200)
        subscriber = await subscribed(stage, url)
    assert await server.end() == 0
    assert "part.failed" not in server.log
    assert "whsec_" not in server.log


async def subscribed(stage: Stage, url: str) -> Command:
    token = await stage.token("server", event="cup")
    subscriber = await stage.subscribe(url, token, "--mode", "edge", event="cup")
    await subscriber.until(lambda frame: frame["op"] == "snap" and frame["i"] == frame["n"])
    return subscriber


async def allowed_for(operator: Operator, path: str, origins: dict[str, str | None]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        for pause in repeat(0.05):
            answers = {
                origin: (await operator.http.get(path, headers={"Origin": origin})).headers.get(
                    "access-control-allow-origin"
                )
                for origin in origins
            }
            if answers == origins:
                return
            await asyncio.sleep(pause)


async def test_an_origin_is_held_to_what_the_settings_allow(stage: Stage, tmp_path: Path) -> None:
    assert not isinstance(stage, ApartStage)
    live = await stage.origin(FIXTURES / "plain", "--loop")
    _, url = await stage.serve(str(FIXTURES / "plain"))
    async with operating(stage, url) as operator:
        for origin in (live, live.replace("127.0.0.1", "localhost"), "http://[::1]:80/a.m3u8", "http://10.0.0.1/a.m3u8",
                       "http://169.254.169.254/latest", str(FIXTURES / "plain"), "plain", "../plain",
                       (FIXTURES / "plain" / "index.m3u8").as_uri()):  # fmt: skip
            answer = await operator.ask("POST", json={"event_id": "cup", "origin": origin})
            assert (answer.status_code, answer.json()["detail"][:7]) == (422, "origin:"), answer.text
            assert str(tmp_path) not in answer.text
        assert [one["event_id"] for one in (await operator.ask("GET")).json()["showings"]] == ["game"]
