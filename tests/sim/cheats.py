"""Cheats: at home inside of a blackout, they ask for segments that their own list does not name.

A name is no secret: a friend outside reads it out of the usual list, and whoever has seen two of them makes up the
next. What they must not get is judged where it is written, as with everybody inside (I11, `tests/sim/dark.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

from tests.sim.http_client import request
from tests.sim.loop import WHO
from tests.support.tokens import KEYRING, claims

if TYPE_CHECKING:
    from tests.sim.plan import Cheating
    from tests.sim.world import World

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

    async def run(self) -> None:
        """Try it again and again, until nothing is dark any more."""
        WHO.set(self._plan.name)
        self._world.net.weather(self._plan.name).bytes_per_s = self._plan.bytes_per_s
        await asyncio.sleep(self._plan.comes_at)
        while self._world.wall() < self._world.healed_at:
            name = self._name()
            if name is not None:
                self.attempts += 1
                method = "HEAD" if self._dice.random() < 0.1 else "GET"
                fields = {"Range": "bytes=0-187"} if self._dice.random() < 0.2 else {}
                with contextlib.suppress(OSError, TimeoutError):
                    await request(method, f"{self._base}/main/{name}", headers=fields)
            await asyncio.sleep(self._dice.uniform(*PAUSE_S))

    def _name(self) -> str | None:
        """Return the name of a segment: as a friend reads it, or as it should be by the one that the list ends with."""
        listed = self._world.players[self._plan.event_id].listed
        if not listed:
            return None
        generation, msn = self._dice.choice(listed[-6:])
        if self._dice.random() < 0.4:
            generation, msn = listed[-1][0], max(0, listed[-1][1] + self._dice.randrange(-3, 3))
        return f"{generation}-{msn}.ts"
