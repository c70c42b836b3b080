"""Tokens on the real server: keys that rotate while clients come in, and places where no token may stand."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kernel.io.system_time import wall
from lockstep.keys import read_keys
from tests.e2e.stage import FIXTURES, Stage
from tests.support.tokens import claims

CLIENTS = 3


def issued(stage: Stage) -> str:
    """Issue a token as `lockstep token` does, with whatever key signs at this moment."""
    now = int(wall())
    return (
        read_keys(stage.data_dir)
        .keyring()
        .issue(claims(not_before=now - 30, expires=now + 600, window=(now - 30, now + 600)))
    )


async def hello(url: str, token: str) -> str:
    """Open a socket and return the first word of the server."""
    address = f"{url.replace('http', 'ws', 1)}/api/v1/wagering/subscribe?event_id=game"
    async with connect(address, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as socket:
        return str(json.loads(await socket.recv())["op"])


async def test_keys_rotate_twice_while_clients_come_in(stage: Stage) -> None:
    server, url = await stage.serve(str(FIXTURES / "plain"))
    seen: Counter[object] = Counter()
    done = asyncio.Event()

    async def client(http: httpx2.AsyncClient, number: int) -> None:
        while not done.is_set():
            token = await asyncio.to_thread(issued, stage)
            if number == 0:
                seen[await hello(url, token)] += 1
            for _ in range(3):
                seen[(await http.get(f"/hls/{token}/game/index.m3u8")).status_code] += 1

    async def rotate() -> None:
        command = await stage.start("token", "rotate", "--data-dir", str(stage.data_dir))
        assert await command.exit_code() == 0, command.log

    first = await asyncio.to_thread(issued, stage)
    kids = [next(iter((await asyncio.to_thread(read_keys, stage.data_dir)).signing))]
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http, asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(client(http, number))
        for _ in range(2):
            # It is one of the signals that end a process, if nobody heeds it.
            server.signal(signal.SIGHUP)
            await rotate()
            kids.append(next(iter((await asyncio.to_thread(read_keys, stage.data_dir)).signing)))
            # What the key before signed is good for as long as that key is; and with the second rotation it goes.
            status = (await http.get(f"/hls/{first}/game/index.m3u8")).status_code
            assert status == (200 if len(kids) == 2 else 401)
        done.set()
    assert len(set(kids)) == 3
    # Not one was refused, of all who came meanwhile.
    assert seen.keys() == {200, "hello"}, seen
    assert seen[200] > 10 * CLIENTS
    assert seen["hello"] > 2
    # Taken up without a restart: announced, then signing, twice.
    await server.says_often("keys.accepted", 1 + 4)
    assert await hello(url, first) == "bye"


async def test_no_token_in_a_query(stage: Stage) -> None:
    """A URL is written down in many places; the path's first segment is the one that we keep out of ours."""
    server, url = await stage.serve(str(FIXTURES / "plain"))
    token = await stage.token()
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        for name in ("token", "access_token", "lockstep_token", "jwt", "authorization"):
            answer = await http.get(f"/hls/game/index.m3u8?{name}={token}")
            assert answer.status_code == 401
        assert (await http.get(f"/hls/game/index.m3u8?{token}")).status_code == 401
        cookie = {"Cookie": f"lockstep_token={token}"}
        assert (await http.get("/hls/game/index.m3u8", headers=cookie)).status_code == 200
    for query in (f"token={token}", f"access_token={token}"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"{url.replace('http', 'ws', 1)}/api/v1/wagering/subscribe?event_id=game&{query}", proxy=None
            ).__aenter__()
        assert refused.value.response.status_code == 400
    for part in token.split(".")[1:]:
        assert part not in server.log
