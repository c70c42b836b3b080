"""Take turns on the loop: so many steps of bodies each time around, first come first served.

A reader that is as fast as we are never makes its body wait, and four hundred of them would keep every timer of the
process waiting (TRAPS 16d: p99 317 ms; with 64 at a time 3 ms). So is a crowd that waits for one and the same segment
woken in slices.
"""

from __future__ import annotations

import asyncio
from collections import deque

STEPS_A_TURN = 64
"""Steps of at most 256 KiB, or woken requests, each time around the loop: some 2 to 4 ms."""


class Turns:
    """Let waiting steps through, a bounded number each time around.

    Args:
        at_a_time: that number.
    """

    def __init__(self, at_a_time: int = STEPS_A_TURN) -> None:
        self._at_a_time = at_a_time
        self._left = at_a_time
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._armed = False

    async def next(self) -> None:
        """Return when it is this step's turn: at once while there are steps left this time around.

        Guaranteed: who waits is let through before who comes later.
        """
        loop = asyncio.get_running_loop()
        if not self._armed:
            self._armed = True
            loop.call_soon(self._around, loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _around(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._at_a_time
        while self._waiting and self._left:
            one = self._waiting.popleft()
            if not one.done():  # Not one whose request was cancelled meanwhile.
                one.set_result(None)
                self._left -= 1
        # Once more after any that were let through, so that the next time around they are counted no longer.
        self._armed = self._left < self._at_a_time
        if self._armed:
            loop.call_soon(self._around, loop)
