"""Cheats: at home inside of a blackout, they ask for segments that their own list does not name.

A name is no secret: a friend outside reads it out of the usual list, and whoever has seen two of them makes up the
next. What they must not get is judged where it is written, as with everybody inside (I11, `tests/sim/dark.py`). They
read their own list as well, as honest people do, and must find there what is out once nothing is dark any more (I15).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

from tests.sim.http_client import request
from tests.sim.loop import WHO
from tests.sim.viewers import listed_in
from tests.support.tokens import KEYRING, claims

if TYPE_CHECKING:
    from tests.sim.plan import Cheating
    from tests.sim.world import World

LIST_S = 1.6
PAUSE_S = (0.1, 0.9)
"""How long one waits between two attempts, at least and at most: some fall between a blackout and its answers."""


class Cheat:
    """Ask for what is dark: whole, in parts, or by its head only, before a blackout, through it and behind it."""

    def __init__(self, world: World, plan: Cheating) -> None:
        self._world = world
        self._plan = plan
        self._dice = random.Random(f"{world.seed}/{plan.name}")
        home = world.plan.home_of(plan.name)
        token = KEYRING.issue(
            claims(event_id=plan.event_id, jti=plan.name, account=plan.name, session=plan.name, home=home)
        )
        self._base = f"/hls/{token}/{plan.event_id}"
        self.attempts = 0
        self.event_id = plan.event_id
        self.name = plan.name
        self.newest = (-1, -1)
        """What its own list ended with when it was read last, of the showing itself."""

    async def run(self) -> None:
        """Try it again and again, until nothing is dark any more."""
        WHO.set(self._plan.name)
        self._world.net.weather(self._plan.name).bytes_per_s = self._plan.bytes_per_s
        await asyncio.sleep(self._plan.comes_at)
        while self._world.wall() < self._world.healed_at:
            with contextlib.suppress(OSError, TimeoutError):
                await (self._look() if self._dice.random() < 0.3 else self._try())
            await asyncio.sleep(self._dice.uniform(*PAUSE_S))
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                await self._look()
            await asyncio.sleep(LIST_S)

    async def _try(self) -> None:
        name = self._name()
        if name is not None:
            self.attempts += 1
            method = "HEAD" if self._dice.random() < 0.1 else "GET"
            fields = {"Range": "bytes=0-187"} if self._dice.random() < 0.2 else {}
            await request(method, f"{self._base}/main/{name}", headers=fields)

    async def _look(self) -> None:
        reply = await request("GET", f"{self._base}/index.m3u8")
        if reply.whole:
            listed = listed_in(reply.body) if reply.status == 200 else []
            self.newest = listed[-1] if listed else (-1, -1)

    def _name(self) -> str | None:
        """Return the name of a segment: as a friend reads it, or as it should be by the one that the list ends with."""
        listed = self._world.players[self._plan.event_id].listed
        if not listed:
            return None
        generation, msn = self._dice.choice(listed[-6:])
        if self._dice.random() < 0.4:
            generation, msn = listed[-1][0], max(0, listed[-1][1] + self._dice.randrange(-3, 3))
        return f"{generation}-{msn}.ts"
