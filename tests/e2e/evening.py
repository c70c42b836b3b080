"""An evening when things go wrong: a vendor that never gives up, followers whose every frame is kept, and judges."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from hub.io.client import Client
from kernel.decisions import Scope
from kernel.io.system_time import new_id, wall
from kernel.tokens import Claims
from lockstep.commands.subscribe import socket_url
from lockstep.keys import read_keys
from tests.e2e.recorder import record
from tests.e2e.stage import PATIENCE_S, Stage
from tests.e2e.test_spine import Checker
from tests.e2e.vendor import Vendor, play
from tests.support import invariants
from tests.support.chaos import Chaos, chaos
from tests.support.invariants import Fact, Place, Wire

Frame = dict[str, Any]
PLAY_EVERY_S = 0.1
SEGMENT_S = 0.5
WATCH_EVERY_S = 0.02
"""A fraction of a segment is enough to catch a cue that came a segment early."""

BEYOND: Place = (1 << 62, 0)


def port_of(url: str) -> int:
    """Return the port of a URL."""
    port = urlsplit(url).port
    assert port is not None
    return port


def through(proxy: Chaos, url: str) -> str:
    """Return a URL by way of a proxy."""
    return url.replace(f":{port_of(url)}", f":{proxy.port}", 1)


@asynccontextmanager
async def before(url: str, *, seed: int) -> AsyncIterator[tuple[Chaos, str]]:
    """Stand before the server of a URL; yield the proxy and the URL by way of it."""
    async with chaos(port_of(url), seed=seed) as proxy:
        yield proxy, through(proxy, url)


class Follower:
    """The Python client in edge mode, whose frames are kept with the time at which each came."""

    def __init__(self, url: str, token: str, *, event: str = "game") -> None:
        self.client = Client(socket_url(url, event), lambda: token, {"mode": "edge"}, lambda: 0.05)
        self.wire = Wire()
        self.frames: list[Frame] = []
        self._event = event
        self._grew = asyncio.Condition()
        self._over = False
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        try:
            await self._keep()
        finally:
            self._over = True
            async with self._grew:
                self._grew.notify_all()

    async def _keep(self) -> None:
        connection = 0
        async with contextlib.aclosing(self.client.frames()) as frames:
            async for frame in frames:
                connection += frame["op"] == "hello"
                kept = {**frame, "received": wall() * 1000}
                self.wire.frames.append((kept["received"], connection, kept))
                self.wire.shown.append(kept)
                async with self._grew:
                    self.frames.append(kept)
                    self._grew.notify_all()

    @property
    def cues(self) -> list[Frame]:
        """Return the cues so far."""
        return [frame for frame in self.frames if frame["op"] == "cue"]

    @property
    def connections(self) -> int:
        """Return how often it has been connected."""
        return len(self.wire.of("hello"))

    @property
    def may_wager(self) -> bool:
        """Return what the client tells its application at this moment."""
        return self.client.session.may_wager(asyncio.get_running_loop().time())

    async def gets(self, wanted: Callable[[Frame], bool], *, after: int = 0) -> Frame:
        """Wait for a frame beyond the first `after`, and return it."""
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(lambda: self._over or any(map(wanted, self.frames[after:])))
        if self._over:
            await self._task
        return next(frame for frame in self.frames[after:] if wanted(frame))

    async def gets_all(self, ids: set[str]) -> None:
        """Wait until it has been told of all of these."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._grew:
                await self._grew.wait_for(lambda: self._over or ids <= {cue["id"] for cue in self.cues})
        except TimeoutError:
            missing = ids - {cue["id"] for cue in self.cues}
            raise AssertionError(f"never told of {sorted(missing)}; the last frames: {self.frames[-3:]}") from None
        if self._over:
            await self._task

    async def aclose(self) -> None:
        """Leave."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def judge(self, owed: set[str], checkers: Sequence[Checker], log: dict[int, Fact]) -> None:
        """Hold what came against what was owed, and against what was out when it came."""
        wire = self.wire
        early = [
            cue for cue in self.cues if "msn" in cue and checkers and all(checker.early([cue]) for checker in checkers)
        ]
        assert early == []
        assert invariants.lost(wire, log, lambda _: True, BEYOND) == []
        assert owed <= {cue["id"] for cue in self.cues}
        assert invariants.repeated(wire) == []
        told = [(cue["id"], cue["rev"]) for cue in self.cues if cue["cls"] != "safety"]
        assert len(told) == len(set(told))
        assert invariants.dishonest(wire) == []
        assert invariants.below_floor(wire) == []
        assert invariants.foreign(wire, event_id=self._event) == []
        # Whole each time: nobody had to begin anew.
        resumed = [frame["resumed"] for _, _, frame in wire.of("sub")]
        assert resumed == [False] + [True] * (len(resumed) - 1)
        assert self.client.session.mismatches == 0


class Desk:
    """A vendor that tells of a play ten times a second, each until somebody acknowledges it.

    Args:
        vendor: whose messages these are; closed by us.
        behind_s: how long before it is told a play has happened; negative: what is still to come.
    """

    def __init__(self, vendor: Vendor, *, behind_s: float = 0.0) -> None:
        self.vendor = vendor
        self.behind_s = behind_s
        self.acknowledged: list[str] = []
        self.answers: list[int] = []
        """What each attempt was answered, 0 if it was not."""
        self._grew = asyncio.Condition()
        self._over = False
        self._task = asyncio.create_task(self._play())

    async def _play(self) -> None:
        try:
            await self._tell_on()
        finally:
            self._over = True
            async with self._grew:
                self._grew.notify_all()

    async def _tell_on(self) -> None:
        number = 0
        while True:
            await self._tell(f"m{number}", self._happens(number))
            async with self._grew:
                self.acknowledged.append(f"desk:p{number}")
                self._grew.notify_all()
            number += 1
            await asyncio.sleep(PLAY_EVERY_S)  # the game's own pace

    def _happens(self, number: int) -> Frame:
        at = wall() - self.behind_s
        return play(f"p{number}", at, told=round(at * 1000))

    async def _tell(self, message_id: str, message: Frame) -> None:
        while True:
            status = 0
            with contextlib.suppress(httpx2.TransportError):
                status = (await self.vendor.post(message_id, message)).status_code
            async with self._grew:
                self.answers.append(status)
                self._grew.notify_all()
            if status in (200, 202):
                return
            # 401: its clock and the server's are just being set.
            assert status in (0, 401, 503), status
            await asyncio.sleep(PLAY_EVERY_S)  # vendors try again in their own time

    async def promise(self, interval_s: float) -> None:
        """Promise to speak at least so often."""
        await self._tell("alive", {"type": "alive", "interval_s": interval_s})

    async def answered(self, *statuses: int, after: int = 0, count: int = 1) -> None:
        """Wait until so many attempts beyond the first `after` have been answered like this."""
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(
                lambda: self._over or sum(one in statuses for one in self.answers[after:]) >= count
            )
        if self._over:
            await self._task

    async def newest(self) -> str:
        """Return the id of something that is acknowledged from now on."""
        n_known = len(self.acknowledged)
        async with asyncio.timeout(PATIENCE_S), self._grew:
            await self._grew.wait_for(lambda: self._over or len(self.acknowledged) > n_known + 1)
        if self._over:
            await self._task
        return self.acknowledged[-1]

    async def aclose(self) -> set[str]:
        """Tell no more; return what was acknowledged."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.vendor.aclose()
        return set(self.acknowledged)


class Evening:
    """One server under test, with everybody around it.

    Args:
        stage: of its processes.
        url: where the server answers.
        token: of scope `server`.
    """

    def __init__(self, stage: Stage, url: str, token: str) -> None:
        self.stage = stage
        self.url = url
        self.token = token
        self.followers: list[Follower] = []
        self.checkers: list[Checker] = []
        self.desk: Desk
        self._watching: list[asyncio.Task[None]] = []

    def watch(self, url: str) -> Checker:
        """Poll a relay's playlist from now on."""
        checker = Checker(f"{url}/hls/{self.token}/game/index.m3u8", WATCH_EVERY_S)
        self.checkers.append(checker)
        self._watching.append(asyncio.create_task(_poll(checker)))
        return checker

    async def follow(self, *urls: str) -> list[Follower]:
        """Have somebody follow at each of these servers; return when all have their snapshot."""
        followers = [Follower(url, self.token) for url in urls]
        self.followers += followers
        for one in followers:
            await one.gets(lambda frame: frame["op"] == "snap" and frame["i"] == frame["n"])
        return followers

    def play(self, url: str, *, behind_s: float = 0.0, clock: Callable[[], float] = wall) -> Desk:
        """Let the game begin; its vendor signs at `clock`."""
        self.desk = Desk(Vendor(url, self.stage.data_dir, clock=clock), behind_s=behind_s)
        return self.desk

    async def caught_up(self, *followers: Follower) -> None:
        """Wait until what happens from now on has reached them (or all), and bets are open."""
        newest = await self.desk.newest()
        for one in followers or self.followers:
            await one.gets(lambda frame: frame.get("id") == newest)
            await one.gets(lambda frame: frame["op"] == "hb" and frame["may_wager"], after=len(one.frames))

    async def judge(self) -> None:
        """End the game, wait until everybody has all of it, and judge."""
        owed = await self.desk.aclose()
        assert len(owed) > 3
        for one in self.followers:
            await one.gets_all(owed)
        # What one has been told of, all are: they have the same filter, and were there from the beginning. More than is
        # owed, for what the desk was never told of may have been taken all the same; then not all have it at once.
        log = {cue["o"]: _fact(cue) for one in self.followers for cue in one.cues}
        for one in self.followers:
            await one.gets_all({fact.id for fact in log.values()})
        for one in self.followers:
            one.judge(owed, self.checkers, log)

    async def aclose(self) -> None:
        """Send everybody home."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for one in self.followers:
            await one.aclose()
        if hasattr(self, "desk"):
            await self.desk.aclose()


@asynccontextmanager
async def evening(stage: Stage, url: str) -> AsyncIterator[Evening]:
    """Gather everybody around a server that listens."""
    one = Evening(stage, url, await asyncio.to_thread(server_token, stage.data_dir))
    try:
        yield one
    finally:
        await one.aclose()


async def short_segments(folder: Path) -> Path:
    """Return a recording of short segments, made once for all tests whose folders lie beside this one."""
    recording = folder.parent / "short-segments"
    if not await asyncio.to_thread(recording.exists):
        draft = folder / "short-segments"
        await record(draft, segment_s=SEGMENT_S, duration_s=10)
        await asyncio.to_thread(draft.rename, recording)
    return recording


async def picture_goes_on(url: str, count: int) -> None:
    """Wait until a live playlist has moved on by so many segments."""
    first: int | None = None
    async with asyncio.timeout(PATIENCE_S + count), httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        while True:
            text = (await client.get(url)).text
            found = re.search(r"^#EXT-X-MEDIA-SEQUENCE:(\d+)", text, re.MULTILINE)
            if found:
                last = int(found[1]) + text.count("#EXTINF")
                first = last if first is None else first
                if last >= first + count:
                    return
            await asyncio.sleep(0.05)  # as players do


async def _poll(checker: Checker) -> None:
    """Let a checker poll on, whatever becomes of its connection."""
    while True:
        try:
            await checker.run()
        except httpx2.TransportError:
            await asyncio.sleep(0.05)  # as players do


def server_token(data_dir: Path, *, ttl_s: int = 36_000) -> str:
    """Issue what `lockstep token --scope watch,wager,server` would, but for the past too, without a process of its own.

    One that is valid for hours is valid from hours ago.
    """
    now = int(wall())
    scopes = frozenset((Scope.WATCH, Scope.WAGER, Scope.SERVER))
    claims = Claims(
        jti=new_id(), account="ann", event_id="game", not_before=now - ttl_s, expires=now + ttl_s,
        window=(now - ttl_s, now + ttl_s), session=new_id(), scopes=scopes,
    )  # fmt: skip
    return read_keys(data_dir).keyring().issue(claims)


def _fact(cue: Frame) -> Fact:
    held = cue["cls"] != "safety"
    body = cue.get("market") or cue.get("price") or {}
    return Fact(
        o=cue["o"], id=cue["id"], rev=cue["rev"], due=(cue["tl"], cue["pts"]) if held else None, at=0.0,
        type=cue["type"], cls=cue["cls"], kind=cue.get("kind", "new"), mid=body.get("mid"),
        ver=body.get("ver") or cue.get("ver", 0),
    )  # fmt: skip
