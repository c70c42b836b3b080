"""The Python client against a real hub on loopback: it loses connections and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from hub.io.client import Client, GaveUp, Refused
from kernel.cues import CueType
from tests.hub.io.test_driver import Rig, running
from tests.hub.makers import at


def client(rig: Rig, token: str = "server", **more: Any) -> Client:
    return Client(rig.url(), lambda: token, {"mode": "edge"}, lambda: 0.01, **more)


async def until(frames: Any, op: str) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = await asyncio.wait_for(anext(frames), 5)
        if frame["op"] == op:
            return frame


@pytest.mark.parametrize("how", ["json", "msgpack"])
async def test_it_loses_connections_and_nothing_else(how: Any) -> None:
    async with running() as rig:
        one = client(rig, format_=how)
        async with contextlib.aclosing(one.frames()) as frames:
            await until(frames, "snap")
            rig.segment(0)
            for o in range(20):
                rig.publish(o, at(1), body={"txt": "é"})
                if o % 5 == 4:
                    for socket in list(rig.hub.sockets.values()):
                        socket.transport.abort()
                assert (await until(frames, "cue"))["o"] == o
        assert one.session.repeats >= 0
        assert one.session.mismatches == 0


async def test_it_is_iterated_until_it_is_refused() -> None:
    async with running() as rig:
        frames = aiter(client(rig, token="nobody's"))
        assert (await anext(frames))["op"] == "bye"
        with pytest.raises(Refused, match="unauthorized"):
            await anext(frames)


async def test_state_is_verified_over_the_wire() -> None:
    from hub.settings import HubSettings

    settings = HubSettings(min_heartbeat_ms=20, heartbeat_ms=20, hash_interval_s=0.01, drain_s=0.05)
    async with running(settings) as rig:
        one = client(rig)
        async with contextlib.aclosing(one.frames()) as frames:
            await until(frames, "snap")
            rig.segment(0)
            body = {"market": {"mid": "m", "st": "open", "ver": 1}, "score": {"home": 1, "away": 0}}
            rig.publish(0, at(1), type=CueType.MARKET, body=body)
            while "hash" not in (beat := await until(frames, "hb")) or not one.session.markets(0):
                pass
            assert beat["hash"] == one.session.state.hash()
            # A state that differs, for whatever reason, is mended by a snapshot.
            one.session.state.floors.raise_by("suspend", {"ver": 9})
            assert (await until(frames, "sub"))["resumed"] is False
            await until(frames, "snap")
            assert one.session.state.markets()["m"]["st"] == "open"


async def test_a_refusal_ends_it() -> None:
    async with running() as rig:
        with pytest.raises(Refused, match=r"unauthorized \(4501\)"):
            async for _ in client(rig, "forged").frames():
                pass


async def test_a_wrong_address_is_a_refusal_too() -> None:
    async with running() as rig:
        one = Client(rig.url("a.b"), lambda: "server", {}, lambda: 0.0)
        with pytest.raises(Refused, match="400"):
            await anext(one.frames())


async def test_it_gives_up_in_time() -> None:
    async with running() as rig:
        one = client(rig, retry_for_s=0.3)
        frames = one.frames()
        await until(frames, "snap")
        await rig.hub.drain()
        assert (await until(frames, "bye"))["code"] == 4412
        with pytest.raises(GaveUp):
            await asyncio.wait_for(anext(frames), 5)
    with pytest.raises(GaveUp, match="no connection"):
        await anext(client(rig, retry_for_s=5).frames())


async def test_a_server_whose_hashes_are_never_right_is_left() -> None:
    """Three times it asks for a snapshot, then it comes back on another connection."""
    connections = 0

    async def lie(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        async for _ in socket:
            await socket.send('{"op":"sub","resumed":false,"epoch":"e"}')
            await socket.send('{"op":"snap","i":1,"n":1,"state":{},"hash":"x","cur":"c"}')

    async with serve(lie, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = Client(f"ws://127.0.0.1:{port}/", lambda: "t", {}, lambda: 0.01)
        async with contextlib.aclosing(one.frames()) as frames:
            while connections < 2:
                await asyncio.wait_for(anext(frames), 5)


class Line:
    """A connection on which one frame will come."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.frame: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def send(self, data: str) -> None:
        pass

    async def recv(self) -> str:
        self.waits.set()
        return await self.frame


async def test_leaving_counts_though_a_frame_comes_at_the_same_moment() -> None:
    line: Any = Line()
    one = Client("ws://127.0.0.1:9/", lambda: "t", {}, lambda: 0.0)

    async def follow() -> None:
        async for _ in one._listen(line):
            line.frame = asyncio.get_running_loop().create_future()

    following = asyncio.create_task(follow())
    await line.waits.wait()
    line.frame.set_result('{"op":"pong","now":1}')
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(following, 5)
