"""Which showings there are in this process: those of the settings, and those that the bus tells of.

The bus says what is wanted; one task makes it so, showing by showing, in the houses that run here. What fails (a disk,
a file of keys) is tried again. A name that the settings have is theirs: what the bus says of it changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from kernel.bus import Bus, Cancel
from kernel.errors import DecodeError, LockstepError
from kernel.showings import Showing
from lockstep.houses import House
from lockstep.showings.words import SHOWINGS, showing_of

log = structlog.get_logger("showings")

RETRY_S = 1.0
"""How long what failed is left alone."""


class Lineup:
    """Keep the houses to what the bus says.

    Args:
        bus: what it says.
        showings: all that there are, by event id: at first those of the settings. It is kept up to date in place.
        houses: those that run here, in the order in which a showing is added to them.
    """

    def __init__(self, bus: Bus, showings: dict[str, Showing], houses: Sequence[House]) -> None:
        self._bus = bus
        self.showings = showings
        self.fixed = frozenset(showings)
        """The event ids of the settings."""
        self._houses = houses
        self._wanted: dict[str, Showing | None] = {}
        self._told: dict[str, int] = {}
        self._poke = asyncio.Event()
        self._made_so = asyncio.Event()
        self._made_so.set()
        self._working = asyncio.Lock()
        self._cancel: Cancel | None = None
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a showing is not what it was. It must not raise."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Listen to the bus; `settle` or `run` does what it says."""
        self._cancel = self._bus.subscribe(SHOWINGS, self._on_record)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    async def run(self) -> None:
        """Do what the bus says, until cancelled."""
        while True:
            await self._poke.wait()
            self._poke.clear()
            await self.settle()
            if self._wanted:
                await asyncio.sleep(RETRY_S)
                self._poke.set()

    async def settle(self) -> None:
        """Do all that was said so far; what fails is left for later."""
        async with self._working:
            for event_id in list(self._wanted):
                wanted = self._wanted[event_id]
                try:
                    await self._make_so(event_id, wanted)
                except LockstepError as error:
                    log.error("showing.failed", event_id=event_id, error=str(error))
                    continue
                if self._wanted.get(event_id) is wanted:
                    del self._wanted[event_id]
            if not self._wanted:
                self._made_so.set()

    async def made_so(self, timeout_s: float) -> bool:
        """Wait until all that was said is done here; return False if that takes longer than `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._made_so.wait()
        return self._made_so.is_set()

    def tell(self, record: Mapping[str, Any]) -> None:
        """Hear of a record at once: whoever publishes it here need not wait for its way over the bus."""
        self._told[record["event_id"]] = record["version"]
        self._hear(record)

    def _on_record(self, _: int, record: Mapping[str, Any]) -> None:
        if record.get("version", 0) >= self._told.get(record.get("event_id", ""), 0):
            self._hear(record)

    def _hear(self, record: Mapping[str, Any]) -> None:
        try:
            event_id, wanted = showing_of(record)
        except DecodeError as error:
            log.error("showing.not_understood", error=str(error))
            return
        if event_id in self.fixed:
            log.warning("showing.of_the_settings", event_id=event_id)
            return
        present = self.showings.get(event_id)
        if wanted is not None and present is not None and wanted.origin == present.origin:
            for house in self._houses:
                house.hear(wanted)
        # Told last counts: it stands behind what is still to be done.
        self._wanted.pop(event_id, None)
        self._wanted[event_id] = wanted
        self._made_so.clear()
        self._poke.set()

    async def _make_so(self, event_id: str, wanted: Showing | None) -> None:
        present = self.showings.get(event_id)
        if wanted is None or (present is not None and present.origin != wanted.origin):
            await self._remove(event_id)
            present = None
        if wanted is None or wanted == present:
            return
        for house in self._houses:
            if present is None:
                await house.add(wanted)
            else:
                await house.change(wanted)
        self.showings[event_id] = wanted
        for listener in self._listeners:
            listener()
        log.info("showing.added" if present is None else "showing.changed", event_id=event_id)

    async def _remove(self, event_id: str) -> None:
        known = self.showings.pop(event_id, None) is not None
        # Those who show it end first: nobody waits for what will not come.
        for house in self._houses:
            await house.remove(event_id)
        if known:
            log.info("showing.removed", event_id=event_id)
