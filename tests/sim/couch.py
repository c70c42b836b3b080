"""A viewer with a player: one token for picture and data, and reports of where the picture is, true or not."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from kernel.pts import TICKS_PER_S, WRAP
from tests.sim import sights
from tests.sim.http_client import request
from tests.sim.loop import WHO
from tests.sim.net import SimTransport
from tests.sim.origin import FRAME_TICKS, head_of
from tests.sim.sights import PONG, Told
from tests.sim.viewers import Viewer

if TYPE_CHECKING:
    from hub.subscriber import Format
    from tests.sim.world import World

AHEAD = 3
"""How many segments a player has ahead of the one it shows."""

STEP_S = 0.3
LIST_S = 1.2
MANNERS = ("plays", "plays", "wanders", "lies")
"""Plays on; pauses, seeks and changes its rate as well; claims to be where it is not."""

_LISTED = re.compile(r"^main/([0-9]+)-([0-9]+)\.ts$", re.MULTILINE)


class Couch(Viewer):
    """Play, and say where the picture is."""

    def __init__(
        self, world: World, name: str, event_id: str, wish: dict[str, Any], format_: Format, *, manner: str
    ) -> None:
        super().__init__(world, name, event_id, wish, format_, healthy=False)
        self.manner = manner
        self.reports = 0
        self._base = f"/hls/{self.token}/{event_id}"
        self._listed: list[tuple[int, int]] = []
        self._have: dict[int, tuple[int, int]] = {}
        """By number, the 33-bit time of the first picture and the length in ticks of what was loaded."""
        self._lost: dict[int, int] = {}
        self._msn: int | None = None
        self._offset = 0.0
        self._at = 0.0
        self._rate = 1.0
        self._stalled = False
        self._list_at = self._report_at = 0.0
        self._number = 0

    async def run(self) -> None:
        """Watch and read for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._play())

    def behave(self) -> None:
        """Play as everybody does from now on: at the live edge, at rate 1, and what this process has served."""
        self.manner, self._rate, self._msn = "plays", 1.0, None
        self._have.clear()
        self._lost.clear()

    def try_again(self) -> None:
        """Load what it had given up."""
        self._lost.clear()

    async def _play(self) -> None:
        WHO.set(self.name)
        loop, dice = self._world.loop, self._world.dice
        while True:
            self._advance(loop.time())
            with contextlib.suppress(OSError, TimeoutError):
                await self._load()
            self._advance(loop.time())
            if self.manner == "wanders" and dice.random() < 0.08:
                self._wander()
            if loop.time() >= self._report_at:
                self._report_at = loop.time() + dice.uniform(1.0, 3.0)
                await self._report()
            await asyncio.sleep(STEP_S)

    # The player.

    def _advance(self, now: float) -> None:
        """Move the picture, as far as there is something to show."""
        passed_s, self._at = now - self._at, now
        if self._msn is None or self._msn not in self._have or not passed_s:
            return
        was, self._stalled = self._stalled, False
        self._offset += passed_s * self._rate * TICKS_PER_S
        while self._offset >= (length := self._have[self._msn][1]):
            following = self._next(self._msn)
            if following is None or following not in self._have:
                # The last frame stays on show.
                self._offset, self._stalled = length - 1.0, True
                break
            self._msn, self._offset = following, self._offset - length
        if was is not self._stalled:
            self._report_at = now

    def _next(self, msn: int) -> int | None:
        return next((one for _, one in self._listed if one > msn and self._lost.get(one, 0) < 2), None)

    async def _load(self) -> None:
        now = self._world.loop.time()
        if now >= self._list_at:
            self._list_at = now + LIST_S
            reply = await request("GET", f"{self._base}/index.m3u8")
            if reply.status == 200 and reply.whole:
                self._listed = [(int(one[0]), int(one[1])) for one in _LISTED.findall(reply.body.decode())]
        if not self._listed:
            return
        numbers = [msn for _, msn in self._listed]
        if self._msn is None or self._msn < numbers[0] or self._msn not in {*numbers, *self._have}:
            # As RFC 8216, 6.3.3 wants it; a recording from its beginning.
            is_live = self._world.plan.encoders[self.seen.event_id].is_live
            self._msn, self._offset = numbers[max(0, len(numbers) - 3)] if is_live else numbers[0], 0.0
        wanted: int | None = self._msn
        for _ in range(AHEAD):
            if wanted is not None and wanted not in self._have:
                await self._fetch(next(key for key in self._listed if key[1] == wanted))
            wanted = self._next(wanted) if wanted is not None else None

    async def _fetch(self, key: tuple[int, int]) -> None:
        path = f"{self._base}/main/{key[0]}-{key[1]}.ts"
        if self._world.dice.random() < 0.2:
            # The first third by itself, which is not enough to have it.
            await request("GET", path, headers={"Range": f"bytes=0-{self._world.origin.smallest_bytes // 3}"})
        reply = await request("GET", path)
        first, frames = head_of(reply.body) if reply.status == 200 and reply.whole else (0, 0)
        if frames:
            self._have[key[1]] = first, frames * FRAME_TICKS
        elif reply.status != 403:
            # Who is refused for a while has it afterwards; what is missing is passed over.
            self._lost[key[1]] = self._lost.get(key[1], 0) + 1
            if self._msn == key[1] and self._lost[key[1]] >= 2:
                self._msn = self._next(key[1])

    def _wander(self) -> None:
        dice = self._world.dice
        match dice.randrange(3):
            case 0 if self._have:
                self._msn, self._offset = dice.choice(list(self._have)), 0.0
            case 1:
                self._rate = dice.choice([0.0, 0.5, 2.0])
            case _:
                self._rate = 1.0
        self._report_at = 0.0

    # The reports.

    async def _report(self) -> None:
        socket = self.client.socket
        if socket is None or not self.session.is_subscribed or self._msn not in self._have:
            return
        # Of a list that has nothing but another showing's segments nothing can be made up.
        lies = self.manner == "lies" and self._world.dice.random() < 0.7 and bool(self._listed)
        place = self._lie() if lies else self._truth()
        self._number += 1
        lead_ms = self.session.wish.get("lead_ms", 0)
        told = Told(
            self._number, self._world.loop.time(), place["pts"], 0.0 if place["stalled"] else place["rate"],
            place.get("msn"), place.get("tl"), lead_ms,
        )  # fmt: skip
        transport = socket.transport
        assert isinstance(transport, SimTransport)  # all are
        conn = self._world.judge.conns.get(transport.link.number)
        if conn is None:
            return
        sights.reported(conn, told)
        self.reports += 1
        with contextlib.suppress(ConnectionClosed):
            await self.client.say({"op": "pos", **place})
            await self.client.say({"op": "ping", "t": f"{PONG}{self._number}"})

    def _truth(self) -> dict[str, Any]:
        assert self._msn is not None  # there is something to be seen
        first, _ = self._have[self._msn]
        pts = (first + int(self._offset)) % WRAP
        return {"msn": self._msn, "pts": pts, "rate": self._rate, "stalled": self._stalled}

    def _lie(self) -> dict[str, Any]:
        dice = self._world.dice
        rate = dice.choice([1.0, 1.0, 16.0])
        msn = self._listed[-1][1] + dice.randrange(-1, 3)
        match dice.randrange(3):
            case 0:
                return {"msn": msn, "pts": dice.randrange(WRAP), "rate": rate, "stalled": False}
            case 1:
                return {"tl": dice.randrange(3), "pts": dice.randrange(2 * WRAP), "rate": rate, "stalled": False}
            case _:
                first, length = self._have.get(msn, (0, 0))
                return {"msn": msn, "pts": (first + length) % WRAP, "rate": rate, "stalled": False}
