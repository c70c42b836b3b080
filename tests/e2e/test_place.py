"""Place on the real server: every gate of it by real clients, changed while they play, in a browser with a position."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import av
import httpx2
import pytest
from playwright.async_api import async_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from lockstep.keys import read_keys
from tests.e2e.browser import CHROMIUM, CHROMIUM_OPTIONS, PAGE, site
from tests.e2e.stage import FIXTURES, PATIENCE_S, Server, Stage

LOS_ANGELES, PASADENA, SAN_DIEGO, LONDON, NOWHERE = (
    "45.16.1.1", "45.16.2.1", "45.16.4.1", "45.16.19.1", "192.168.1.1",
)  # fmt: skip
WEST: dict[str, Any] = {
    "watch": {
        "default": "deny",
        "rules": [
            {"name": "dark", "effect": "deny", "where": {"dma": {"codes": ["803"], "radius_miles": 75}}},
            {"name": "home", "effect": "allow", "where": {"country": ["US"]}},
        ],
    },
    "wager": {"default": "deny", "rules": [{"name": "state", "effect": "allow", "where": {"region": ["US-NV"]}}]},
    "networks": {"vpn": "block", "tor": "block", "data_centre": "warn"},
}
"""The United States without Los Angeles, and bets in Nevada."""

EVERYWHERE: dict[str, Any] = {"watch": {"default": "allow", "rules": []}}


async def serve(stage: Stage, origin: str = str(FIXTURES / "plain")) -> tuple[Server, str]:
    """Serve a showing behind a proxy that says who asks."""
    places = FIXTURES / "place"
    config = stage.folder / "lockstep.toml"
    text = (
        'trusted_proxies = ["127.0.0.1"]\n[place]\n'
        f'city_database = "{places / "city.mmdb"}"\nanonymous_database = "{places / "anonymous.mmdb"}"\n'
    )
    await asyncio.to_thread(config.write_text, text, "utf-8")
    return await stage.serve(origin, "--config", str(config))


class Operator:
    """Whoever sets policies."""

    def __init__(self, stage: Stage, url: str) -> None:
        key = read_keys(stage.data_dir).operator_key()
        self._http = httpx2.AsyncClient(base_url=url, trust_env=False, headers={"Authorization": f"Bearer {key}"})

    async def put(self, name: str, policy: dict[str, Any]) -> None:
        answer = await self._http.put(f"/api/v1/policies/{name}", json={**policy, "policy_id": name})
        assert answer.status_code in (200, 201), answer.text

    async def delete(self, name: str) -> None:
        assert (await self._http.delete(f"/api/v1/policies/{name}")).status_code == 204

    async def aclose(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def operating(stage: Stage, url: str) -> AsyncIterator[Operator]:
    one = await asyncio.to_thread(Operator, stage, url)
    yield one
    await one.aclose()


def by(address: str, **more: str) -> dict[str, str]:
    return {"X-Forwarded-For": address, **more}


async def told(http: httpx2.AsyncClient, path: str, address: str) -> tuple[int, str | None]:
    """Return status and reason, or warning, of an answer to somebody at an address."""
    answer = await http.get(path, headers=by(address))
    reason = answer.json().get("reason") if answer.status_code >= 400 else answer.headers.get("lockstep-warning")
    return answer.status_code, reason


@asynccontextmanager
async def socket(url: str, token: str, address: str) -> AsyncIterator[ClientConnection]:
    where = url.replace("http:", "ws:") + "/api/v1/wagering/subscribe?event_id=game"
    headers = by(address, Authorization=f"Bearer {token}")
    async with connect(where, additional_headers=headers, compression=None, proxy=None) as client:
        yield client


async def hear(client: ClientConnection, op: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame: dict[str, Any] = json.loads(await client.recv())
            if frame["op"] == op:
                return frame


async def farewell(client: ClientConnection) -> tuple[str, int]:
    bye = await hear(client, "bye")
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(PATIENCE_S):
            await client.recv()
    assert closed.value.rcvd is not None
    return bye["reason"], closed.value.rcvd.code


async def test_where_somebody_is_decides_for_lists_segments_keys_and_sockets(stage: Stage) -> None:
    _, url = await serve(stage)
    token = await stage.token(geo="west")
    paths = [f"/hls/{token}/game/{name}" for name in ("index.m3u8", "main/0-0.ts")]
    async with operating(stage, url) as operator, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        # A policy that is not there lets nobody in.
        assert await told(http, paths[0], SAN_DIEGO) == (403, "policy_unknown")
        await operator.put("west", WEST)
        for address, expected in (
            (SAN_DIEGO, (200, None)),
            # Downtown, and Pasadena, are within 75 miles of Los Angeles; San Diego is not.
            (LOS_ANGELES, (403, "geo_blocked")),
            (PASADENA, (403, "geo_blocked")),
            (LONDON, (403, "outside_territory")),
            (NOWHERE, (403, "location_unknown")),
            ("45.16.1.11", (403, "vpn")),
            ("45.16.1.13", (403, "tor")),
            ("not an address", (403, "location_unknown")),
        ):
            for path in paths:
                assert await told(http, path, address) == expected, (path, address)
        # Who writes a header in front of the proxy's own is not believed.
        assert (await told(http, paths[0], f"{SAN_DIEGO}, {LONDON}"))[0] == 403
        # Strangers learn nothing of a place.
        assert (await http.get("/hls/a.b.c/game/index.m3u8", headers=by(LONDON))).json().get("reason") is None
        # Nobody's list is another's, whoever asked before on the same connection.
        for address, status in ((SAN_DIEGO, 200), (LONDON, 403), (SAN_DIEGO, 200)):
            answer = await http.get(paths[0], headers=by(address))
            assert (answer.status_code, "no-store" in answer.headers["cache-control"]) == (status, status == 403)
        async with socket(url, token, SAN_DIEGO) as client:
            await hear(client, "hello")
            await client.send('{"op": "sub"}')
            # Watching and no bets
            assert (await hear(client, "hb"))["may_wager"] is False
        async with socket(url, token, LONDON) as client:
            assert await farewell(client) == ("outside_territory", 4503)
        async with socket(url, token, "45.16.1.11") as client:
            assert await farewell(client) == ("vpn", 4512)


@pytest.mark.both_shapes
async def test_a_policy_that_changes_ends_what_runs_and_lets_in_again(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "plain", "--loop")
    _, url = await serve(stage, origin)
    token = await stage.token(geo="live")
    path = f"/hls/{token}/game/index.m3u8"
    async with operating(stage, url) as operator, httpx2.AsyncClient(base_url=url, trust_env=False) as http:

        async def until(status: int) -> httpx2.Response:
            async with asyncio.timeout(PATIENCE_S):
                # Over Redis it takes its milliseconds.
                while (answer := await http.get(path, headers=by(LONDON))).status_code != status:
                    pass
            return answer

        await operator.put("live", EVERYWHERE)
        await until(200)
        async with socket(url, token, LONDON) as client, socket(url, token, SAN_DIEGO) as other:
            for one in (client, other):
                await hear(one, "hello")
            await operator.put("live", WEST)
            assert await farewell(client) == ("outside_territory", 4503)
            assert (await until(403)).json()["reason"] == "outside_territory"
            await other.send('{"op": "ping", "t": 1}')
            await hear(other, "pong")
            await operator.put("live", EVERYWHERE)
            await until(200)
            await operator.delete("live")
            assert await farewell(other) == ("policy_unknown", 4503)
            assert (await until(403)).json()["reason"] == "policy_unknown"


async def test_a_vpn_switched_on_is_caught_at_the_next_request(stage: Stage) -> None:
    _, url = await serve(stage)
    token = await stage.token(geo="west")
    async with operating(stage, url) as operator, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        await operator.put("west", WEST)
        path = f"/hls/{token}/game/index.m3u8"
        assert await told(http, path, SAN_DIEGO) == (200, None)
        assert await told(http, path, "45.16.1.11") == (403, "vpn")
        assert await told(http, path, SAN_DIEGO) == (200, None)
        # Warned of, and let in
        await operator.put("west", {**EVERYWHERE, "networks": {"data_centre": "warn"}})
        assert await told(http, path, "45.16.1.14") == (200, "data_centre")


async def test_a_position_only_tightens(stage: Stage) -> None:
    _, url = await serve(stage)
    token = await stage.token(geo="gps")
    check = "/api/v1/ppv/geo-check/game"
    fence = {"circle": {"lon": -117.16, "lat": 32.72, "radius_m": 30_000}}
    policy = {
        "watch": {"default": "deny", "rules": [{"name": "fence", "effect": "allow", "where": fence}]},
        "gps": {"required": True, "tolerance_m": 100_000},
    }
    async with operating(stage, url) as operator, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        await operator.put("gps", policy)
        http.headers["Authorization"] = f"Bearer {token}"

        async def report(lat: float, lon: float, at: int, address: str = SAN_DIEGO) -> dict[str, Any]:
            body = {"lat": lat, "lon": lon, "accuracy_m": 20, "at": at}
            answer = await http.post(check, json=body, headers=by(address))
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        now = await _now(http)
        answer = (await http.get(check, headers=by(SAN_DIEGO))).json()
        assert (answer["status"], answer["watch"]["reason"]) == ("blocked", "gps_missing")
        inside = await report(32.72, -117.16, now - 120_000)
        assert (inside["status"], inside["watch"]) == ("allowed", {"allowed": True})
        # Two minutes old when it is judged, and good for five: asked for again before that.
        assert 0 < inside["recheck_s"] <= 180
        assert await told(http, "/hls/game/index.m3u8", SAN_DIEGO) == (200, None)
        # The address is elsewhere: a position inside helps nobody.
        assert (await http.get(check, headers=by(LONDON))).json()["watch"]["allowed"] is False
        # Over the fence by car, in a minute
        outside = await report(33.1, -117.16, now - 60_000)
        assert outside["watch"]["allowed"] is False
        # Across the Atlantic in a minute
        assert (await report(51.5, -0.12, now))["watch"]["reason"] == "gps_implausible"


async def _now(http: httpx2.AsyncClient) -> int:
    """Return the server's time in Unix ms, to the second: a fix from ahead is none."""
    return int(parsedate_to_datetime((await http.get("/livez")).headers["date"]).timestamp() * 1000)


def played(url: str, address: str) -> int:
    """Play to the end and return how many pictures came."""
    options = {"headers": f"X-Forwarded-For: {address}\r\n"}
    with av.open(url, timeout=(10.0, 30.0), options=options) as container:
        return sum(1 for _ in container.decode(video=0))


async def test_pyav_plays_inside_and_gets_nothing_outside(stage: Stage) -> None:
    _, url = await serve(stage)
    playlist = f"{url}/hls/{await stage.token(geo='west')}/game/index.m3u8"
    async with operating(stage, url) as operator:
        await operator.put("west", WEST)
        assert await asyncio.to_thread(played, playlist, SAN_DIEGO) > 50
        with pytest.raises(av.error.HTTPForbiddenError):
            await asyncio.to_thread(played, playlist, PASADENA)


async def test_a_page_says_where_its_device_is_and_plays(stage: Stage, tmp_path: Path) -> None:
    origin = await stage.origin(FIXTURES / "wrap", "--loop")
    _, url = await serve(stage, origin)
    token = await stage.token(geo="gps")
    ask = """async ([url, token]) => {
      const at = await new Promise((done, failed) => navigator.geolocation.getCurrentPosition(done, failed));
      const body = {lat: at.coords.latitude, lon: at.coords.longitude, accuracy_m: at.coords.accuracy,
                    at: Math.round(at.timestamp)};
      const answer = await fetch(url + "/api/v1/ppv/geo-check/game", {
        method: "POST", body: JSON.stringify(body),
        headers: {"Authorization": "Bearer " + token, "Content-Type": "application/json"}});
      return await answer.json();
    }"""
    policy = {**EVERYWHERE, "gps": {"required": True, "tolerance_m": 50_000}}
    async with operating(stage, url) as operator, async_playwright() as driver:
        await operator.put("gps", policy)
        running = await driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        with site(tmp_path / "site", PAGE) as page_url:
            context = await running.new_context(
                geolocation={"latitude": 32.72, "longitude": -117.16, "accuracy": 30},
                permissions=["geolocation"],
            )

            async def behind_proxy(route: Any) -> None:
                await route.continue_(headers={**route.request.headers, "x-forwarded-for": SAN_DIEGO})

            # The proxy's part: to our server alone, and by no script of the page.
            await context.route(f"{url}/**", behind_proxy)
            page = await context.new_page()
            await page.goto(page_url)
            told = await page.evaluate(ask, [url, token])
            assert (told["status"], told["watch"]) == ("allowed", {"allowed": True})
            await page.evaluate("([url]) => window.play(url, 1)", [f"{url}/hls/{token}/game/index.m3u8"])
            await page.wait_for_function("window.played() > 4 || window.errors.length", timeout=90_000)
            assert await page.evaluate("window.errors") == []
            await context.close()
        await running.close()
