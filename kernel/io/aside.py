"""Work that would hold the loop for long, done in a thread: others have the interpreter every few milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

MANY: Final = 1_000
"""How many segments are worked through on the loop: 15 to 30 ms."""


async def aside(work: Callable[[], T]) -> T:
    """Return what `work` returns, having done it in a thread; it is done to its end also if this is cancelled.

    Args:
        work: what it changes must be left alone meanwhile.
    """
    working = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        # Whoever comes after us must not find it half done.
        await asyncio.wait([working])
        if not working.cancelled():
            working.exception()
        raise
