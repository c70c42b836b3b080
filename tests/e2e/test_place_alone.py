"""Ten thousand segments to people in known places, with the database's file deleted and Redis gone: nobody is asked."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import httpx2
from starlette.types import Receive, Scope, Send

from fixtures.places import SPOTS, make_city
from kernel.io.system_time import wall
from kernel.showings import Showing
from kernel.tokens import Claims
from kernel.value import replace
from lockstep.compose import Deployment
from lockstep.keys import ensure_keys
from lockstep.settings import PlaceSettings, Settings
from tests.e2e.stage import FIXTURES, PATIENCE_S
from tests.support.redis_server import RedisServer

REQUESTS = 10_000
POLICY = {
    "policy_id": "states",
    "watch": {"default": "deny", "rules": [{"name": "home", "effect": "allow", "where": {"country": ["US"]}}]},
}


class Connects:
    """Keep where this process connects to, while it is told to; an audit hook cannot be taken off again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[Any] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
            self.seen.append((event, arguments[-1] if event == "socket.connect" else arguments[0]))


async def test_neither_the_databases_file_nor_the_bus_is_needed_to_serve(tmp_path: Path) -> None:
    connects = Connects()
    city = await asyncio.to_thread(make_city, tmp_path)
    settings = Settings(
        data_dir=tmp_path / "data", place=PlaceSettings(city_database=city, reload_s=0.05), max_stale_running_s=86_400
    )
    keys = await asyncio.to_thread(ensure_keys, settings.data_dir, [])
    now = int(wall())
    claims = Claims("j", "ann", "game", now - 60, now + 3_600, (now - 60, now + 3_600), "s", frozenset({"watch"}))
    tokens = [keys.keyring().issue(replace(claims, jti=f"j{n}", session=f"s{n}")) for n in range(100)]
    showing = Showing("game", (FIXTURES / "plain" / "index.m3u8").as_uri(), place_policy="states")
    addresses = [
        spot.network.rpartition("/")[0].rpartition(".")[0] + f".{host}"
        for spot in SPOTS
        if spot.country == "US" and ":" not in spot.network
        for host in range(1, 254)
    ]
    redis = await RedisServer(tmp_path).start()
    deployment = await Deployment.start(settings, {"game": showing}, keys, bus_url=redis.url)
    try:
        address = "127.0.0.1"

        async def from_somewhere(scope: Scope, receive: Receive, send: Send) -> None:
            await deployment.app({**scope, "client": (address, 1)}, receive, send)

        transport = httpx2.ASGITransport(app=from_somewhere)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x.test") as client:
            key = {"Authorization": f"Bearer {keys.operator_key()}"}
            put = await client.put("/api/v1/policies/states", content=json.dumps(POLICY), headers=key)
            assert put.status_code == 201
            address = addresses[0]
            async with asyncio.timeout(PATIENCE_S):
                while (await client.get(f"/hls/{tokens[0]}/game/main/0-0.ts")).status_code != 200:
                    await asyncio.to_thread(int)
            for token in tokens:
                assert (await client.get(f"/hls/{token}/game/main/0-0.ts")).status_code == 200
            await asyncio.to_thread(city.unlink)
            await redis.kill()
            connects.on = True
            refused = 0
            for number in range(REQUESTS):
                address = addresses[number * 31 % len(addresses)]
                answer = await client.get(f"/hls/{tokens[number % 100]}/game/main/0-0.ts")
                refused += answer.status_code != 200
                if not number % 20:
                    # Out of memory everything is answered at once: the loop has other things to do, too.
                    await asyncio.sleep(0)
            assert refused == 0
            # The rules still hold.
            address = "45.16.19.1"
            answer = await client.get(f"/hls/{tokens[0]}/game/main/0-0.ts")
            assert (answer.status_code, answer.json()["reason"]) == (403, "outside_territory")
        connects.on = False
        # That it looks for its bus is no look-up.
        others = [one for one in connects.seen if one != ("socket.connect", ("127.0.0.1", redis.port))]
        assert others == []
    finally:
        connects.on = False
        await deployment.drain()
        await deployment.stop()
        await redis.aclose()


def test_the_hook_hears_what_it_should() -> None:
    connects = Connects()
    connects.on = True
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    connects.on = False
    assert [event for event, _ in connects.seen].count("socket.connect") == 1
