"""Ingest, two relays and two hubs over one Redis: one story, whatever is killed; judged by the invariants."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from kernel.io.system_time import wall
from tests.e2e.apart import ApartStage
from tests.e2e.stage import FIXTURES, PATIENCE_S, Command
from tests.e2e.test_delivery import wire_of
from tests.e2e.test_spine import Checker
from tests.e2e.vendor import Vendor, play
from tests.support import invariants

NAMES = ("ingest", "relay0", "relay1", "hub0", "hub1")
MAX_HOLD_S = 2.0
PLAY_EVERY_S = 0.2


class Client:
    """A subscriber whose frames are kept as they come."""

    def __init__(self, command: Command) -> None:
        self.frames: list[dict[str, Any]] = []
        self._grew = asyncio.Condition()
        self._task = asyncio.create_task(self._keep(command))

    @property
    def cues(self) -> list[dict[str, Any]]:
        """Return the cues so far."""
        return [frame for frame in self.frames if frame["op"] == "cue"]

    async def gets(self, wanted: Callable[[dict[str, Any]], bool], *, after: int = 0) -> None:
        """Wait for a frame beyond the first `after`."""
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(lambda: any(wanted(frame) for frame in self.frames[after:]))

    async def aclose(self) -> None:
        """Keep no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self, command: Command) -> None:
        async for frame in command.frames():
            async with self._grew:
                self.frames.append(frame)
                self._grew.notify_all()


class Theatre:
    """The processes by name, each on a port of its own, and a vendor that never gives up."""

    def __init__(self, stage: ApartStage, origin: str, config: Path) -> None:
        self.stage = stage
        self.houses: dict[str, Command] = {}
        self.ports = {name: stage.port() for name in NAMES}
        self.posted: list[str] = []
        self._origin = origin
        self._config = config
        self._playing: asyncio.Task[None] | None = None

    def url(self, name: str) -> str:
        """Return where a house answers."""
        return f"http://127.0.0.1:{self.ports[name]}"

    async def start(self, *names: str) -> None:
        """Start houses side by side."""

        async def one(name: str) -> None:
            self.houses[name] = await self.stage.house(
                name.rstrip("01"), self._origin, "--source", "desk=lockstep", "--config", str(self._config),
                port=self.ports[name],
            )  # fmt: skip
            if name.startswith("relay"):
                await self.houses[name].says("picture.out")

        await asyncio.gather(*(one(name) for name in names))

    async def kill(self, *names: str) -> None:
        """Kill houses in mid-flight."""
        for name in names:
            self.houses[name].kill()
        for name in names:
            await self.houses[name].exit_code()

    def begin(self) -> None:
        """Let something happen five times a second from now on."""
        self._playing = asyncio.create_task(self._play())

    async def end(self) -> None:
        """Let nothing more happen."""
        assert self._playing is not None
        self._playing.cancel()
        await asyncio.gather(self._playing, return_exceptions=True)

    async def _play(self) -> None:
        vendor = Vendor(self.url("ingest"), self.stage.data_dir)
        try:
            for number in range(100_000):
                self.posted.append(f"desk:p{number}")
                await self._post(vendor, f"m{number}", play(f"p{number}", wall()))
                await asyncio.sleep(PLAY_EVERY_S)  # the game's own pace
        finally:
            await vendor.aclose()

    async def _post(self, vendor: Vendor, message_id: str, message: dict[str, Any]) -> None:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if (await vendor.post(message_id, message)).status_code in (200, 202):
                    return
            await asyncio.sleep(PLAY_EVERY_S)  # vendors try again in their own time


@asynccontextmanager
async def theatre(folder: Path) -> AsyncIterator[tuple[Theatre, str, list[Client], list[Checker]]]:
    """Open with all houses, a subscriber at each hub and somebody who watches each relay."""
    config = folder / "lockstep.toml"
    await asyncio.to_thread(config.write_text, f"[showings.game]\norigin = 'x'\nmax_hold_s = {MAX_HOLD_S}\n", "utf-8")
    stage = ApartStage(folder)
    watching: list[asyncio.Task[None]] = []
    clients: list[Client] = []
    try:
        one = Theatre(stage, await stage.origin(FIXTURES / "plain", "--loop"), config)
        await one.start("ingest")
        await one.start("relay0", "relay1", "hub0", "hub1")
        token = await stage.token("watch,wager,server")
        checkers = [Checker(f"{one.url(name)}/hls/{token}/game/index.m3u8") for name in ("relay0", "relay1")]
        watching = [asyncio.create_task(_watch(checker)) for checker in checkers]
        for name in ("hub0", "hub1"):
            command = await stage.subscribe(one.url(name), token, "--mode", "edge", "--retry-for", "300")
            clients.append(Client(command))
        for client in clients:
            await client.gets(lambda frame: frame["op"] == "snap")
        one.begin()
        yield one, token, clients, checkers
        await one.end()
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for client in clients:
            await client.aclose()
        await stage.aclose()


async def _watch(checker: Checker) -> None:
    """Let a checker poll on across its relay's restarts."""
    while True:
        try:
            await checker.run()
        except httpx2.TransportError:
            await asyncio.sleep(0.05)  # as players do


def _early(cues: list[dict[str, Any]], checkers: list[Checker]) -> list[dict[str, Any]]:
    """Return the cues that came before any relay listed their picture: the first that opens counts."""
    return [cue for cue in cues if all(checker.early([cue]) for checker in checkers)]


def _is_of(number: str) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: frame.get("id") == number


async def _told_anew(one: Theatre, clients: list[Client]) -> None:
    """Wait until something that happens from now on has reached everybody, and bets are open again."""
    newest = f"desk:p{len(one.posted)}"
    for client in clients:
        await client.gets(_is_of(newest))
    for client in clients:
        await client.gets(lambda frame: frame["op"] == "hb" and frame["may_wager"], after=len(client.frames) - 1)


async def _readiness(url: str) -> tuple[int, dict[str, Any]]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/readyz")
        return answer.status_code, answer.json()


def _judge(clients: list[Client], checkers: list[Checker]) -> None:
    for client in clients:
        wire = wire_of(client.frames)
        assert invariants.repeated(wire) == []
        assert invariants.dishonest(wire) == []
        assert invariants.below_floor(wire) == []
        assert invariants.foreign(wire, event_id="game") == []
        assert _early(client.cues, checkers) == []
    first, second = ({cue["o"]: (cue["id"], cue["tl"], cue["pts"]) for cue in client.cues} for client in clients)
    assert len(first.keys() & second.keys()) > 20
    assert all(first[o] == second[o] for o in first.keys() & second.keys())


async def test_every_process_is_killed_and_comes_back(tmp_path: Path) -> None:
    async with theatre(tmp_path) as (one, token, clients, checkers):
        await _told_anew(one, clients)
        for name in NAMES:
            assert await _readiness(one.url(name)) == (200, {**(await _readiness(one.url(name)))[1], "status": "ready"})
        for name in ("hub0", "relay0"):
            await one.kill(name)
            await one.start(name)
            await _told_anew(one, clients)
        # Losing feeds never stops the video; that nobody knows what it shows closes the markets.
        seen = [len(client.frames) for client in clients]
        await one.kill("ingest")
        for name in ("relay0", "relay1"):
            await one.houses[name].says("segment.opened_unsynchronised")
        for client, after in zip(clients, seen, strict=True):
            await client.gets(lambda frame: frame["op"] == "hb" and not frame["may_wager"], after=after)
        await one.start("ingest")
        await _told_anew(one, clients)
        texts = await _playlists(one, token)
        await one.end()
        _judge(clients, checkers)
        # What was out at both relays has the same name and says the same.
        assert len(texts[0].items() & texts[1].items()) >= 2
        assert all(texts[0][key] == texts[1][key] for key in texts[0].keys() & texts[1].keys())
        # Everything that anybody was told of, everybody was, but for what one had as part of a snapshot.
        told = set(one.posted[: len(one.posted) - 30])
        assert told <= {cue["id"] for client in clients for cue in client.cues}


async def test_redis_is_killed_and_wiped(tmp_path: Path) -> None:
    async with theatre(tmp_path) as (one, _, clients, checkers):
        redis = one.stage.redis
        assert redis is not None
        await _told_anew(one, clients)
        await redis.kill()
        for name in ("relay0", "hub0", "ingest"):
            await one.houses[name].says("bus.unavailable")
        await redis.start()
        await _told_anew(one, clients)
        await redis.ask("FLUSHALL")
        await one.houses["ingest"].says("bus.wiped")
        await _told_anew(one, clients)
        # Losing the relays leaks nothing: their pictures are not out.
        await one.kill("relay0", "relay1")
        quiet = [len(client.cues) for client in clients]
        await clients[0].gets(
            lambda frame: frame["op"] == "hb" and not frame["may_wager"], after=len(clients[0].frames)
        )
        assert [len(client.cues) for client in clients] == quiet
        await one.start("relay0", "relay1")
        await _told_anew(one, clients)
        await one.end()
        _judge(clients, checkers)
        for client in clients:
            ids = [cue["id"] for cue in client.cues]
            told = [number for number in one.posted if number in set(ids)]
            # From the first it was told, not one is missing: the same client all along.
            assert set(one.posted[one.posted.index(told[0]) : one.posted.index(told[-1])]) <= set(ids)


async def _playlists(one: Theatre, token: str) -> list[dict[str, str]]:
    """Return the segments that each relay lists, each with the tags that belong to it."""
    texts = []
    async with httpx2.AsyncClient(trust_env=False) as client:
        for name in ("relay0", "relay1"):
            answer = await client.get(f"{one.url(name)}/hls/{token}/game/index.m3u8")
            body = answer.text.partition("#EXTINF")[2]
            pieces = re.findall(r"(.*?)\n(main/\S+)", "#EXTINF" + body, re.DOTALL)
            texts.append({uri: tags.strip() for tags, uri in pieces[1:]})
    return texts
