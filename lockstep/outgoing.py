"""Answers that go out at the end of the turn of the loop that made them, one connection after the other.

Writing to a socket wakes whoever reads it, on another core, which costs the writer more than the bytes do. Between two
answers that are written as they are made that reader has slept again; answers written back to back find it awake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Outgoing:
    """Call what is added at the end of the turn, in order; it must not raise."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def add(self, loop: asyncio.AbstractEventLoop, send: Callable[[], None]) -> None:
        """Call `send` once the loop has read what has come in."""
        if not self._waiting:
            loop.call_soon(self._turn)
        self._waiting.append(send)

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        for send in waiting:
            send()


_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Outgoing] = WeakKeyDictionary()


def outgoing_of(loop: asyncio.AbstractEventLoop) -> Outgoing:
    """Return that of a loop; all servers on it share its turns."""
    found = _BY_LOOP.get(loop)
    if found is None:
        found = _BY_LOOP[loop] = Outgoing()
    return found
