"""Blackouts in one process: known in every one that admits, made where the disk is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.routing import Route

from kernel.bus import Bus, blackouts_topic
from kernel.io.origin import Fetcher
from kernel.io.system_time import monotonic, new_id, wall
from kernel.showings import Showing
from relay.blackouts import BlackoutIndex
from relay.io.blackout_desk import REFILL_STEP, BlackoutDesk, fits
from relay.io.blackout_store import BlackoutStore
from relay.io.blackout_watch import BlackoutWatch
from relay.io.cut_keeper import CutKeeper
from relay.io.cut_store import CutStore
from relay.io.fit_check import FitCheck
from relay.io.operator_door import OperatorDoor


class BlackoutFiles(NamedTuple):
    """What is on disk of blackouts: themselves, and where they open and close."""

    blackouts: BlackoutStore
    cuts: CutStore


class BlackoutHouse:
    """Know the blackouts by the bus; and make them, where the disk is.

    Args:
        bus: who tells everybody.
        index: those that there are.
        files: what is on disk, None where that is another process's; closed by us.
        door: lets operators in, None likewise.
        showings: those that there are, by event id.
        fetcher: the process's only one; by it origins are held side by side. None: they are not.
        wall: the time of day in Unix seconds.
        new_id: makes names, of as many random bytes as it is asked for.
    """

    def __init__(
        self, bus: Bus, index: BlackoutIndex, files: BlackoutFiles | None, door: OperatorDoor | None,
        showings: Mapping[str, Showing], fetcher: Fetcher | None = None, *,
        wall: Callable[[], float] = wall, new_id: Callable[..., str] = new_id,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._new_id = new_id
        self.watch = BlackoutWatch(bus, index)
        self._files = files
        self._keeper = CutKeeper(files.cuts, bus, showings, new_id=new_id) if files is not None else None
        self.desk: BlackoutDesk | None = None
        if files is not None and door is not None:
            self.desk = BlackoutDesk(
                files.blackouts, bus, door, showings=showings, wall=wall,
                unfit=fits if fetcher is None else FitCheck(fetcher, showings, now=monotonic),
                # Never with a hyphen in front: it is written on command lines.
                new_id=lambda: f"blk_{new_id(12)}",
                settle=self.watch.settle,
            )  # fmt: skip

    def routes(self) -> list[Route]:
        """Return the operators' routes, none where the disk is another process's."""
        return [*self.desk.routes()] if self.desk is not None else []

    async def refill(self) -> None:
        """Listen, and tell the bus all that is on disk, if it is here.

        Raises:
            JournalError: the file cannot be read.
        """
        self.watch.start()
        if self.desk is not None:
            # As with revocations: no record takes the offset of one from an earlier life, and is dropped.
            self._bus.begin(blackouts_topic(), self._new_id())
            await self.desk.refill()
        if self._keeper is not None and self._files is not None:
            # Before the log is told: relays know what was kept before they find any of it.
            await self._keeper.refill(await _ids(self._files.blackouts))

    def look_again(self) -> None:
        """Take note that showings have come or gone."""
        if self._keeper is not None:
            self._keeper.watch()

    async def aclose(self) -> None:
        """Listen no more; finish what was begun, then close the file."""
        self.watch.stop()
        if self.desk is not None:
            await self.desk.aclose()
        if self._keeper is not None:
            await self._keeper.aclose()


async def _ids(store: BlackoutStore) -> set[str]:
    """Return the ids of all blackouts that somebody may have to know, also of those that fade."""
    found: set[str] = set()
    after = -1
    while kept := await store.all(after, REFILL_STEP):
        found |= {one.record.blackout_id for one in kept if one.record.text is not None}
        after = kept[-1].number
    return found
