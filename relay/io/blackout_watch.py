"""Keeps the index of blackouts by the bus, and compiles off the loop what is large.

A blackout of 64 KiB may take 20 ms to compile: that happens in a thread, one at a time. What is short is in force when
the bus has said it. Before anybody is admitted all of them are compiled (`settle`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from kernel.bus import blackouts_topic
from relay.blackouts import Blackout, compiled

if TYPE_CHECKING:
    from kernel.blackouts import BlackoutRecord
    from kernel.bus import Bus, Cancel
    from relay.blackouts import BlackoutIndex

log = structlog.get_logger("blackouts")

SHORT_CHARS = 4_096
"""What is no longer is compiled on the loop: it takes a millisecond or two."""


class BlackoutWatch:
    """Compile what the bus says into an index.

    Args:
        bus: where blackouts come from.
        index: what gates, playlists and sockets ask.
    """

    def __init__(self, bus: Bus, index: BlackoutIndex) -> None:
        self._bus = bus
        self._index = index
        self._cancel: Cancel | None = None
        self._wake = asyncio.Event()
        self._alone = asyncio.Lock()

    def start(self) -> None:
        """Listen to the bus."""
        self._cancel = self._bus.subscribe(blackouts_topic(), self._on_record)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    async def run(self) -> None:
        """Compile what comes, until cancelled."""
        while True:
            await self._wake.wait()
            await self.settle()

    async def settle(self) -> None:
        """Return when everything that was heard of is in force."""
        async with self._alone:
            self._wake.clear()
            while waiting := self._index.waiting():
                record = waiting[0]
                self._index.install(record, await asyncio.to_thread(_blackout_of, record))

    def _on_record(self, _: int, record: BlackoutRecord) -> None:
        if self._index.hear(record):
            if len(record.text or "") <= SHORT_CHARS:
                self._index.install(record, _blackout_of(record))
            else:
                self._wake.set()


def _blackout_of(record: BlackoutRecord) -> Blackout:
    try:
        blackout, why = compiled(record)
    except Exception as error:
        # Whatever it is: one blackout must not keep the others from being compiled.
        blackout, why = Blackout(record, None), repr(error)
    if why is not None:
        # From now on its showing is dark for everybody.
        log.error("blackout.not_understood", blackout_id=record.blackout_id, event_id=record.event_id, error=why)
    return blackout
