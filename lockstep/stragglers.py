"""Connections whose time is up, let go of one by one, in turns of the loop.

Those who came together are overdue together: five thousand farewells at once would keep everybody else waiting.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

A_TURN = 1
"""How many are let go of in one turn of the loop: 0.1 ms."""


class Stragglers:
    """Call what is added, in order, `A_TURN` in each turn of one loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, loop: asyncio.AbstractEventLoop, let_go: Callable[[], None]) -> None:
        """Call `let_go` once all who were added before have had their turn; it must not raise."""
        self._waiting.append(let_go)
        if len(self._waiting) == 1:
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(min(A_TURN, len(self._waiting))):
            # Looked at first, taken out after: what is added meanwhile finds that a turn is coming.
            self._waiting[0]()
            self._waiting.popleft()
        if self._waiting:
            loop.call_soon(self._turn, loop)


_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Stragglers] = WeakKeyDictionary()


def stragglers_of(loop: asyncio.AbstractEventLoop) -> Stragglers:
    """Return those of a loop; all servers on it share its turns."""
    found = _BY_LOOP.get(loop)
    if found is None:
        found = _BY_LOOP[loop] = Stragglers()
    return found
