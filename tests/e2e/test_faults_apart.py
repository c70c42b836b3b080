"""Ingest, a relay and two hubs, each with its own way to Redis, and what can befall Redis and those ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.e2e.apart import ApartStage
from tests.e2e.evening import Evening, Follower, evening, short_segments, through
from tests.e2e.stage import PATIENCE_S, Command
from tests.support.chaos import Chaos, chaos
from tests.support.redis_server import RedisServer

SEED = 20_261_127
NAMES = ("ingest", "relay", "hub0", "hub1")
MAX_STALE_RUNNING_S = 6


class Houses:
    """The processes by name, each on a port of its own, each with a proxy before its Redis."""

    def __init__(self, stage: ApartStage, origin: str, redis: RedisServer, ways: dict[str, Chaos]) -> None:
        self.redis = redis
        self.ways = ways
        self.running: dict[str, Command] = {}
        self._stage = stage
        self._origin = origin
        self._ports = {name: stage.port() for name in NAMES}

    def url(self, name: str) -> str:
        """Return where a house answers."""
        return f"http://127.0.0.1:{self._ports[name]}"

    async def start(self, *names: str) -> None:
        """Start houses side by side."""
        await asyncio.gather(*map(self._start, names))

    async def _start(self, name: str) -> None:
        self.running[name] = await self._stage.house(
            name.rstrip("01"), self._origin, "--source", "desk=lockstep",
            port=self._ports[name], bus=through(self.ways[name], self.redis.url),
        )  # fmt: skip

    async def kill(self, name: str) -> None:
        """Kill a house in mid-flight."""
        self.running[name].kill()
        await self.running[name].exit_code()


@asynccontextmanager
async def houses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Houses, Evening]]:
    """Open with all of them, somebody who follows at each hub, and a game under way."""
    for name, value in (
        ("HEARTBEAT_MS", "500"),
        ("MAX_STALE_RUNNING_S", str(MAX_STALE_RUNNING_S)),
        ("SHOWINGS__GAME__MAX_HOLD_S", "2"),
    ):
        monkeypatch.setenv(f"LOCKSTEP_{name}", value)
    stage = ApartStage(folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stage.aclose)
        recorded = await short_segments(folder)
        origin, redis = await asyncio.gather(
            stage.origin(recorded, "--loop", "--window", "12"), stage.start_redis(appendonly=False)
        )
        ways = {
            name: await stack.enter_async_context(chaos(redis.port, seed=SEED + number))
            for number, name in enumerate(NAMES)
        }
        one = Houses(stage, origin, redis, ways)
        await one.start("ingest")
        await one.start("relay", "hub0", "hub1")
        await one.running["relay"].says("picture.out")
        around = await stack.enter_async_context(evening(stage, one.url("ingest")))
        around.watch(one.url("relay"))
        await around.follow(one.url("hub0"), one.url("hub1"))
        around.play(one.url("ingest"), behind_s=0.3)
        await around.caught_up()
        yield one, around


async def _suspended(followers: list[Follower]) -> None:
    for follower, after in [(one, len(one.frames)) for one in followers]:
        await follower.gets(lambda frame: frame["op"] == "hb" and not frame["may_wager"], after=after)


async def test_redis_and_the_ways_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with houses(tmp_path, monkeypatch) as (one, around):
        await _a_bad_network(one, around)
        await _a_black_hole(one, around)
        await _redis_without_its_data(one, around)
        await _parted(one, around)
        await around.judge()
        for command in one.running.values():
            assert "Traceback" not in command.log


async def _heal(one: Houses) -> None:
    for way in one.ways.values():
        await way.heal()


async def _a_bad_network(one: Houses, around: Evening) -> None:
    """Late, in crumbs, with resets: nobody has to be told."""
    for way in one.ways.values():
        way.delay(0.0, 0.02)
        way.crumble(1_400)
        way.reset(within=200_000)
    await around.caught_up()
    await _heal(one)
    # What is asked arrives, the answers do not: what is written again must not be there twice.
    one.ways["ingest"].stall("back")
    await one.running["ingest"].says("bus.unavailable")
    await _heal(one)
    await around.caught_up()


async def _a_black_hole(one: Houses, around: Evening) -> None:
    """Have it swallow everything: no picture is out, so bets are closed and no cue comes."""
    for way in one.ways.values():
        way.stall()
    await _suspended(around.followers)
    await _heal(one)
    await around.caught_up()


async def _redis_without_its_data(one: Houses, around: Evening) -> None:
    """Kill Redis, kill ingest while it is away, have it back empty; then empty it while it runs."""
    await one.redis.kill()
    await around.desk.newest()
    await one.kill("ingest")
    await one.redis.start()
    await one.start("ingest")
    await around.caught_up()
    await one.redis.ask("FLUSHALL")
    await one.running["ingest"].says("bus.wiped")
    await around.caught_up()


async def _parted(one: Houses, around: Evening) -> None:
    """Part one hub from the bus, then the relay too, for longer than anybody may go on without it."""
    whole, parted = around.followers
    n_frames = len(whole.frames)
    one.ways["hub1"].part()
    await _suspended([parted])
    # The other hub has noticed nothing.
    await around.caught_up(whole)
    assert all(frame["may_wager"] for frame in whole.frames[n_frames:] if frame["op"] == "hb")
    # A relay without the bus lets the picture go on, unsynchronised; nobody tells the hub, which closes the markets.
    one.ways["relay"].part()
    await _suspended([whole])
    # Whoever runs is sent away when it is not known for too long what has been revoked,
    bye = await parted.gets(lambda frame: frame["op"] == "bye")
    assert (bye["code"], bye["reason"]) == (4413, "stale")
    assert await _refusal(one.url("relay"), around.token) == "stale"
    assert '"event": "segment.opened_unsynchronised"' in one.running["relay"].log
    # and nobody comes in, neither a stranger nor who was just sent away.
    stranger = Follower(one.url("hub1"), around.token)
    refused = await stranger.gets(lambda frame: frame["op"] == "bye")
    await stranger.aclose()
    assert refused["reason"] == "stale"
    await _heal(one)
    await around.caught_up()


async def _refusal(relay: str, token: str) -> str:
    """Ask for the video until it is refused; return the reason."""
    async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient(trust_env=False) as client:
        while True:
            answer = await client.get(f"{relay}/hls/{token}/game/index.m3u8")
            if answer.status_code == 503:
                return str(answer.json()["reason"])
            assert answer.status_code == 200
            await asyncio.sleep(0.1)  # as players do
