"""Sessions by API on the real server, as players and operators use it: begun, counted, stopped, ended."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims, Purpose
from lockstep.keys import read_keys
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, PATIENCE_S, Stage
from tests.e2e.test_tokens import hello

BEGIN, STOP = "/api/v1/playback/sessions", "/api/v1/playback/sessions/stop"
POLICY, SESSIONS = "/api/v1/ppv/session-policy", "/api/v1/ppv/sessions"
LAPTOP = {"browser": "Firefox 150", "os": "Linux", "screen": "1920x1080", "webgl_hash": "ab12"}


class Player:
    """A viewer with something bought, and an operator's key at hand."""

    def __init__(self, stage: Stage, url: str, http: httpx2.AsyncClient, key: str) -> None:
        self._stage = stage
        self.url, self.http, self._key = url, http, key

    async def entitlement(self, account: str = "ann", **changes: Any) -> str:
        """Return what a shop would give out now."""
        now = int(wall())
        claims = Claims(
            jti=new_id(), account=account, event_id="game", not_before=now - 30, expires=now + 600,
            window=(now - 30, now + 7_200), session="", scopes=frozenset({"watch", "wager"}), purchase="p1", **changes,
        )  # fmt: skip
        keys = await asyncio.to_thread(read_keys, self._stage.data_dir)
        return keys.keyring().issue(claims, Purpose.ENTITLEMENT)

    async def begin(self, token: str | None = None, **body: Any) -> httpx2.Response:
        return await self.http.post(BEGIN, json={"token": token or await self.entitlement(), **body})

    async def policy(self, **fields: Any) -> None:
        """Say how many may watch, and wait until the relay knows."""
        answer = await self.operate("POST", POLICY, json={"event_id": "game", "session_policy": fields})
        assert answer.status_code in (200, 201), answer.text

    async def operate(self, method: str, path: str, **more: Any) -> httpx2.Response:
        return await self.http.request(method, path, headers={"Authorization": f"Bearer {self._key}"}, **more)

    async def call(self, what: str, token: str, **body: Any) -> httpx2.Response:
        return await self.http.post(f"/api/playback/{what}", json={"token": token, **body})

    async def maybe(self, path: str) -> httpx2.Response | None:
        """Return the answer, None where the connection was cut."""
        try:
            return await self.http.get(path)
        except httpx2.TransportError:
            return None

    async def segment(self, begun: dict[str, Any]) -> str:
        """Return the URL of a segment that is out."""
        playlist = await self.http.get(begun["playlist_url"])
        assert playlist.status_code == 200, playlist.text
        name = next(line for line in playlist.text.splitlines() if line and not line.startswith("#"))
        return str(begun["playlist_url"]).removesuffix("index.m3u8") + name


@asynccontextmanager
async def playing(stage: Stage, *options: str) -> AsyncIterator[Player]:
    _, url = await stage.serve(str(FIXTURES / "plain"), *options)
    keys = await asyncio.to_thread(read_keys, stage.data_dir)
    async with httpx2.AsyncClient(base_url=url, trust_env=False, headers={"User-Agent": "VLC/3.0"}) as http:
        yield Player(stage, url, http, keys.operator_key())


@pytest.mark.both_shapes
async def test_a_session_from_its_beginning_to_its_end(stage: Stage) -> None:
    async with playing(stage) as player:
        answer = await player.begin(device=LAPTOP)
        assert answer.status_code == 201, answer.text
        begun = answer.json()
        secret = {key for key, value in begun.items() if isinstance(value, str) and begun["token"] in value}
        assert secret == {"token", "playlist_url"}
        segment = await player.segment(begun)
        assert (await player.http.get(segment)).status_code == 200
        assert await hello(player.url, begun["token"]) == "hello"
        assert (await player.call("heartbeat", begun["token"])).json() == {"ok": True}
        renewed = (await player.call("refresh", begun["token"])).json()
        assert (renewed["session_id"], renewed["expires_at"]) == (begun["session_id"], begun["session_ends"])
        assert (await player.http.get(renewed["playlist_url"])).status_code == 200
        status = await player.http.get("/api/events/game/status", headers={"Authorization": f"Bearer {begun['token']}"})
        assert status.json()["status"] in ("live", "ended")
        assert (await player.call("release", renewed["token"])).json() == {"ok": True}
        # Its token is good for nothing any more, whichever of the two, and its socket is refused.
        for one in (begun, renewed):
            refused = await player.http.get(one["playlist_url"])
            assert (refused.status_code, refused.json()["reason"]) == (403, "evicted")
        assert (await player.http.get(segment)).status_code == 403


@pytest.mark.both_shapes
async def test_of_two_redemptions_at_once_one_wins(stage: Stage) -> None:
    async with playing(stage) as player:
        await player.policy(max_concurrent=1, eviction="reject")
        for number in range(5):
            bought = await player.entitlement(f"account-{number}")
            answers = await asyncio.gather(*(player.begin(bought) for _ in range(4)))
            assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
            assert all(one.json()["inUse"] for one in answers if one.status_code == 409)


async def test_the_oldest_is_warned_sees_the_countdown_and_is_cut(stage: Stage) -> None:
    async with playing(stage) as player:
        await player.policy(max_concurrent=2, grace_period_sec=1)
        first, second = [(await player.begin()).json() for _ in range(2)]
        segment = await player.segment(first)
        third = (await player.begin()).json()
        warned = (await player.call("heartbeat", first["token"])).json()
        assert warned["warning"]["code"] == "session_limit"
        assert warned["warning"]["left_s"] <= 1
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await player.maybe(segment)) is None or answer.status_code == 200:
                assert answer is None or answer.headers["lockstep-warning"] == "leaving"
        assert (answer.status_code, answer.json()["reason"]) == (403, "evicted")
        for one in (second, third):
            assert (await player.http.get(await player.segment(one))).status_code == 200


async def test_the_viewer_chooses_who_goes(stage: Stage) -> None:
    async with playing(stage) as player:
        await player.policy(max_concurrent=1, eviction="viewer_choice")
        first = (await player.begin()).json()
        refused = await player.begin()
        assert refused.status_code == 409
        (conflict,) = refused.json()["conflicts"]
        assert conflict["session_id"] == first["session_id"]
        assert (await player.http.post(STOP, json={"code": conflict["stop_code"]})).status_code == 200
        assert (await player.http.get(first["playlist_url"])).json()["reason"] == "evicted"
        assert (await player.begin()).status_code == 201


async def test_a_bare_entitlements_playlist_begins_one_as_well(stage: Stage) -> None:
    async with playing(stage) as player:
        await player.policy(max_concurrent=1, eviction="reject")
        bought = await player.entitlement()
        led = await player.http.get(f"/hls/{bought}/game/index.m3u8")
        assert led.status_code == 302
        assert (await player.http.get(led.headers["location"])).status_code == 200
        assert (await player.begin(bought)).status_code == 409
        again = await player.http.get((await player.http.get(f"/hls/{bought}/game/index.m3u8")).headers["location"])
        assert (again.status_code, again.json()["reason"]) == (403, "session_limit")


@pytest.mark.both_shapes
async def test_an_operator_ends_a_session_wherever_it_is_served(stage: Stage) -> None:
    async with playing(stage) as player:
        begun, other = (await player.begin()).json(), (await player.begin(await player.entitlement("bob"))).json()
        assert (await player.http.get(begun["playlist_url"])).status_code == 200
        listed = (await player.operate("GET", f"{SESSIONS}/ann")).json()["sessions"]
        assert [one["session_id"] for one in listed] == [begun["session_id"]]
        assert (await player.operate("DELETE", f"{SESSIONS}/{begun['session_id']}")).status_code == 204
        async with asyncio.timeout(PATIENCE_S):
            # Over Redis it takes its milliseconds.
            while (answer := await player.maybe(begun["playlist_url"])) is None or answer.status_code == 200:
                pass
        assert (answer.status_code, answer.json()["reason"]) == (403, "evicted")
        assert await hello(player.url, begun["token"]) == "bye"
        assert (await player.http.get(other["playlist_url"])).status_code == 200
        assert (await player.operate("DELETE", f"{SESSIONS}/nobody")).status_code == 404


async def test_an_operator_sees_and_ends_a_session_with_what_is_on_its_way(stage: Stage) -> None:
    async with playing(stage) as player:
        begun = (await player.begin(device=LAPTOP)).json()
        segment = await player.segment(begun)
        listed = (await player.operate("GET", f"{SESSIONS}/ann")).json()
        (one,) = listed["sessions"]
        assert (one["session_id"], one["device"], one["network"], one["eviction_order"]) == (
            begun["session_id"], "app", "127.0.0.0/24", 1,
        )  # fmt: skip
        with socket.create_connection(("127.0.0.1", int(player.url.rpartition(":")[2])), PATIENCE_S) as slow:
            slow.sendall(f"GET {segment} HTTP/1.1\r\nHost: x\r\nUser-Agent: VLC/3.0\r\n\r\n".encode())
            await asyncio.to_thread(slow.recv, 1)
            assert (await player.operate("DELETE", f"{SESSIONS}/{begun['session_id']}")).status_code == 204

            def rest() -> None:
                try:
                    while slow.recv(1 << 16):
                        pass
                except ConnectionError:
                    pass

            await asyncio.to_thread(rest)
        assert (await player.http.get(begun["playlist_url"])).json()["reason"] == "evicted"
        assert (await player.operate("GET", f"{SESSIONS}/ann")).json()["sessions"] == []


async def test_an_account_holder_sees_and_ends_its_own(stage: Stage) -> None:
    async with playing(stage) as player:
        own, other = (await player.begin()).json(), (await player.begin(await player.entitlement("bob"))).json()
        shown = {"Authorization": f"Bearer {own['token']}"}
        assert (await player.http.get(f"{SESSIONS}/bob", headers=shown)).status_code == 403
        assert (await player.http.delete(f"{SESSIONS}/{other['session_id']}", headers=shown)).status_code == 404
        listed = await player.http.get(f"{SESSIONS}/ann", headers=shown)
        assert [one["session_id"] for one in listed.json()["sessions"]] == [own["session_id"]]
        assert (await player.http.delete(f"{SESSIONS}/{own['session_id']}", headers=shown)).status_code == 204
        assert (await player.http.get(f"{SESSIONS}/ann", headers=shown)).status_code in (200, 403)
        assert (await player.http.get(other["playlist_url"])).status_code == 200


async def test_who_cannot_know_lets_nobody_in_and_nobody_go_on(tmp_path: Path) -> None:
    stage = ApartStage(tmp_path)
    config = stage.folder / "lockstep.toml"
    await asyncio.to_thread(config.write_text, "max_stale_running_s = 6\n", "utf-8")
    async with playing(stage, "--config", str(config)) as player:
        begun = (await player.begin()).json()
        assert (await player.http.get(begun["playlist_url"])).status_code == 200
        assert stage.redis is not None
        await stage.redis.kill()
        answer = await player.begin()
        assert (answer.status_code, answer.json()["reason"]) == (503, "stale")
        refused = await player.call("heartbeat", begun["token"])
        assert (refused.status_code, refused.json()["reason"]) == (503, "stale")
        # Who has a seat goes on for a while, not for ever.
        async with asyncio.timeout(PATIENCE_S):
            while (last := await player.maybe(begun["playlist_url"])) is None or last.status_code == 200:
                pass
        assert (last.status_code, last.json()["reason"]) == (503, "stale")
    await stage.aclose()


async def test_a_policy_outlives_a_restart(stage: Stage) -> None:
    server, url = await stage.serve(str(FIXTURES / "plain"))
    key = (await asyncio.to_thread(read_keys, stage.data_dir)).operator_key()
    body = {
        "event_id": "game",
        "session_policy": {
            "max_concurrent": 2, "eviction": "oldest_first", "grace_period_sec": 30, "device_fingerprint": True,
            "geo_mismatch_action": "block", "ip_sharing_threshold": 3,
        },
    }  # fmt: skip
    shown = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, trust_env=False, headers=shown) as http:
        assert (await http.post(POLICY, content=json.dumps(body))).status_code == 201
    server.kill()
    await server.exit_code()
    _, url = await stage.serve(str(FIXTURES / "plain"))
    async with httpx2.AsyncClient(base_url=url, trust_env=False, headers=shown) as http:
        read = (await http.get(f"{POLICY}/event/game")).json()
        assert {name: read[name] for name in body} == body
