"""Blackouts on the real server, live: lists, bodies and sockets of who is inside, and of who is not."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import time
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection

from lockstep.keys import read_keys
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, PATIENCE_S, Server, Stage
from tests.e2e.test_place import LOS_ANGELES, PASADENA, SAN_DIEGO, by, farewell, hear, socket, told

PATH = "/api/v1/ppv/blackout"
ZONE: dict[str, Any] = {"type": "dma", "code": "803", "name": "Los Angeles", "radius_miles": 75, "action": "block"}


async def serve(stage: Stage, origin: str = str(FIXTURES / "plain")) -> tuple[Server, str]:
    """Serve a showing behind a proxy that says who asks; more can be made of the fixtures' folders."""
    text = (
        'trusted_proxies = ["127.0.0.1"]\n[place]\n'
        f'city_database = "{FIXTURES / "place" / "city.mmdb"}"\n[showings_api]\norigin_dir = "{FIXTURES}"\n'
    )
    config = stage.folder / "lockstep.toml"
    await asyncio.to_thread(config.write_text, text, "utf-8")
    return await stage.serve(origin, "--config", str(config))


class Operator:
    """Whoever blacks out."""

    def __init__(self, stage: Stage, url: str) -> None:
        key = read_keys(stage.data_dir).operator_key()
        self.http = httpx2.AsyncClient(base_url=url, trust_env=False, headers={"Authorization": f"Bearer {key}"})

    async def make(self, *zones: dict[str, Any], **more: Any) -> str:
        answer = await self.http.post(PATH, json={"event_id": "game", "blackout_zones": list(zones or [ZONE]), **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["blackout_id"])

    async def end(self, name: str) -> None:
        assert (await self.http.delete(f"{PATH}/{name}")).status_code == 204


@pytest.mark.both_shapes
async def test_made_now_it_ends_what_runs_inside_and_nobody_outside_notices(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "plain", "--loop")
    _, url = await serve(stage, origin)
    token = await stage.token()
    path = f"/hls/{token}/game/index.m3u8"
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http, httpx2.AsyncClient(base_url=url, trust_env=False) as http:

        async def until(expected: tuple[int, str | None]) -> None:
            async with asyncio.timeout(PATIENCE_S):
                # Over Redis it takes its milliseconds.
                while await told(http, path, PASADENA) != expected:
                    pass

        async with socket(url, token, PASADENA) as inside, socket(url, token, SAN_DIEGO) as outside:
            for one in (inside, outside):
                await hear(one, "hello")
            name = await operator.make()
            assert await farewell(inside) == ("blackout", 4504)
            await until((403, "blackout"))
            assert await told(http, path, LOS_ANGELES) == (403, "blackout")
            assert await told(http, path, SAN_DIEGO) == (200, None)
            async with socket(url, token, LOS_ANGELES) as late:
                assert await farewell(late) == ("blackout", 4504)
            check = await http.get("/api/v1/ppv/geo-check/game", headers=by(PASADENA, Authorization=f"Bearer {token}"))
            assert check.json()["status"] == "blackout"
            assert check.json()["watch"] == {"allowed": False, "reason": "blackout"}
            await operator.end(name)
            await until((200, None))
            async with socket(url, token, PASADENA) as back:
                await hear(back, "hello")
            await outside.send('{"op": "ping", "t": 1}')
            await hear(outside, "pong")


@pytest.mark.both_shapes
async def test_redirected_the_socket_stays_and_is_silent_and_goes_on_with_a_snapshot(stage: Stage) -> None:
    origin = await stage.origin(FIXTURES / "plain", "--loop")
    _, url = await serve(stage, origin)
    token = await stage.token()
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http:
        made = await operator.http.post("/api/v1/showings", json={"event_id": "local", "origin": origin})
        assert made.status_code == 201, made.text
        await operator.http.post("/api/v1/showings", json={"event_id": "other", "origin": "fmp4"})
        zone = {**ZONE, "action": "redirect", "redirect_stream": "other"}
        refused = await operator.http.post(PATH, json={"event_id": "game", "blackout_zones": [zone]})
        assert (refused.status_code, refused.json()["reason"]) == (409, "redirect_unfit"), refused.text
        async with socket(url, token, PASADENA) as inside:
            await hear(inside, "hello")
            await inside.send('{"op": "sub"}')
            await _until_bets(inside, expected=True)
            name = await operator.make({**ZONE, "action": "redirect", "redirect_stream": "local"})
            await _until_bets(inside, expected=False)
            await operator.end(name)
            assert (await hear(inside, "resync"))["why"] == "blackout"
            await hear(inside, "snap")
            await _until_bets(inside, expected=True)


async def _until_bets(client: ClientConnection, *, expected: bool) -> None:
    while (await hear(client, "hb"))["may_wager"] is not expected:
        pass


@pytest.mark.both_shapes
async def test_the_last_byte_at_a_slow_client(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """What comes after the call is what the kernel had: print when the last of it came."""
    _, url = await serve(stage)
    token = await stage.token()
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http:
        # Where houses are apart, without the proxy of the test, which would keep some of it.
        port = stage.ports["relay"] if isinstance(stage, ApartStage) else urlsplit(url).port
        assert port is not None
        slow = await asyncio.to_thread(Slow, port, token)
        await asyncio.to_thread(slow.sip, 4)
        called = time.monotonic()
        await operator.make()
        # Until its connection is gone.
        await asyncio.to_thread(slow.sip, None)
        slow.line.close()
    with capsys.disabled():
        print(f"\nlast byte {(slow.last - called) * 1000:.0f} ms after the call, {slow.n_bytes} bytes in all")
    assert slow.was_cut


class Slow:
    """A viewer inside, on a slow line, who asks for segments without end."""

    def __init__(self, port: int, token: str) -> None:
        self.line = sockets.socket()
        self.line.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
        self.line.settimeout(PATIENCE_S)
        self.line.connect(("127.0.0.1", port))
        asked = f"GET /hls/{token}/game/main/0-0.ts HTTP/1.1\r\nHost: game\r\nX-Forwarded-For: {PASADENA}\r\n\r\n"
        self.line.sendall(asked.encode() * 20)
        self.n_bytes = 0
        self.last = 0.0
        self.was_cut = False

    def sip(self, times: int | None) -> None:
        """Read so many times, or until the connection ends."""
        while times is None or times > 0:
            try:
                got = self.line.recv(2_048)
            except ConnectionResetError:
                self.was_cut = True
                return
            if not got:
                return
            self.n_bytes += len(got)
            self.last = time.monotonic()
            if times is not None:
                times -= 1
            time.sleep(0.002)


@pytest.mark.both_shapes
async def test_it_is_there_after_a_restart_and_on_record(stage: Stage) -> None:
    server, url = await serve(stage)
    token = await stage.token()
    path = f"/hls/{token}/game/index.m3u8"
    operator = await asyncio.to_thread(Operator, stage, url)
    async with operator.http:
        name = await operator.make()
    server.kill()
    await server.exit_code()
    server, url = await serve(stage)
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        assert await told(http, path, LOS_ANGELES) == (403, "blackout")
        assert await told(http, path, SAN_DIEGO) == (200, None)
    # What is gathered of the record is on disk when it has ended.
    await server.end()
    shown = await stage.start("audit", "show", "--event", "game", "--data-dir", str(stage.data_dir), "--json")
    lines = [json.loads(line) async for line in shown.lines()]
    dark = [line for line in lines if line.get("reason") == "blackout"]
    assert [line["blackouts"] for line in dark] == [[name]]
