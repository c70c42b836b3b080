"""Keeps for all relays where blackouts open and close: first said counts, on disk first, then on the bus.

One process does it, the one with the log. Relays do not wait for it (`relay/cut_ledger.py`): while it is away they go
on by what they find, and say it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from kernel.bus import Bus, Cancel, epoch_signal
from kernel.errors import DecodeError, JournalError
from relay.cut_ledger import cut_found_signal, cuts_topic
from relay.cuts import Cuts, Record
from relay.io.cut_store import KeptCuts

if TYPE_CHECKING:
    from kernel.showings import Showing
    from relay.io.cut_store import CutStore

log = structlog.get_logger("cuts")

TOGETHER = 500
"""Records that are told in one piece at the start: some 30 KB."""


@dataclass(slots=True)
class _Line:
    """One showing: the epoch of its log, what is kept in it, and what is kept in this one and in others."""

    cancels: list[Cancel] = field(default_factory=list)
    epoch: str | None = None
    cuts: Cuts = field(default_factory=Cuts)


class CutKeeper:
    """Keep what relays find, and tell all of them.

    Args:
        store: what is on disk; closed by us.
        bus: who tells everybody.
        showings: those that there are, by event id; kept up to date by whoever calls `watch`.
        new_id: names a log that nothing belongs to.
    """

    def __init__(
        self, store: CutStore, bus: Bus, showings: Mapping[str, Showing], *, new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._bus = bus
        self._showings = showings
        self._new_id = new_id
        self._lines: dict[str, _Line] = {}
        self._kept: dict[tuple[str, str], list[KeptCuts]] = {}
        # What was said first is to be kept first.
        self._order = asyncio.Lock()
        self._writes: set[asyncio.Task[None]] = set()

    async def refill(self, blackouts: Collection[str]) -> None:
        """Read what is on disk, and forget of it what concerns no blackout that there still is; then listen.

        Args:
            blackouts: the ids of those that there are.

        Raises:
            JournalError: the file cannot be read.
        """
        try:
            found = await self._store.all()
        except DecodeError as error:
            # Relays find nearly all of it anew: that is better than no relay at all.
            log.error("cuts.not_understood", error=str(error))
            found = []
        kept = condensed(found, blackouts)
        if kept != found:
            await self._store.replace(kept)
        for one in kept:
            self._kept.setdefault((one.event_id, one.epoch), []).append(one)
        self.watch()

    def watch(self) -> None:
        """Listen to all showings that there are, and to no others."""
        for event_id in self._lines.keys() - self._showings.keys():
            for cancel in self._lines.pop(event_id).cancels:
                cancel()
            # As with the log: what the bus holds of it is forgotten; it is on disk, should the showing come back.
            self._bus.begin(cuts_topic(event_id), self._new_id())
        for event_id in self._showings.keys() - self._lines.keys():
            self._lines[event_id] = line = _Line()
            line.cancels.append(self._bus.listen(epoch_signal(event_id), partial(self._on_epoch, event_id, line)))
            line.cancels.append(self._bus.listen(cut_found_signal(event_id), partial(self._on_found, event_id, line)))

    async def aclose(self) -> None:
        """Listen no more, finish what was begun, and close the file."""
        for line in self._lines.values():
            for cancel in line.cancels:
                cancel()
        self._lines.clear()
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.aclose()

    def _on_epoch(self, event_id: str, line: _Line, epoch: str) -> None:
        if epoch != line.epoch:
            line.epoch = epoch
            self._bus.begin(cuts_topic(event_id), epoch)
            self._add_up(event_id, line)
            for one in self._kept.get((event_id, epoch), ()):
                self._bus.publish(cuts_topic(event_id), one.number, one.records)

    def _on_found(self, event_id: str, line: _Line, said: list[Any]) -> None:
        try:
            epoch, records = said
            fresh = [record for record in records if epoch == line.epoch and line.cuts.add(record)]
        except (TypeError, ValueError, DecodeError) as error:
            log.error("cuts.not_understood", event_id=event_id, error=str(error))
            return
        if fresh:
            task = asyncio.create_task(self._keep(event_id, line, epoch, fresh))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _keep(self, event_id: str, line: _Line, epoch: str, records: list[Record]) -> None:
        async with self._order:
            try:
                number = await self._store.keep(event_id, epoch, records)
            except JournalError as error:
                # Relays say it again.
                log.error("cuts.not_kept", event_id=event_id, error=str(error))
                self._add_up(event_id, line)
                return
            self._kept.setdefault((event_id, epoch), []).append(KeptCuts(number, event_id, epoch, records))
            if line.epoch == epoch:
                self._bus.publish(cuts_topic(event_id), number, records)

    def _add_up(self, event_id: str, line: _Line) -> None:
        line.cuts = Cuts()
        for one in self._kept.get((event_id, line.epoch or ""), ()):
            for record in one.records:
                line.cuts.add(record)


def condensed(found: list[KeptCuts], blackouts: Collection[str]) -> list[KeptCuts]:
    """Return what is to be kept of what was: of each showing its last log, and of that what concerns a blackout.

    What was kept one after the other comes in pieces of some `TOGETHER` records, each under the number of its last.
    """
    epochs = {one.event_id: one.epoch for one in found}
    out: list[KeptCuts] = []
    for event_id, epoch in epochs.items():
        own = [one for one in found if (one.event_id, one.epoch) == (event_id, epoch)]
        edges = {tuple(record[1:3]) for one in own for record in one.records if is_edge_of(record, blackouts)}
        piece: list[Record] = []
        for one in own:
            piece += [
                record
                for record in one.records
                if is_edge_of(record, blackouts) or (record[0] != "edge" and tuple(record[1:3]) in edges)
            ]
            if piece and (len(piece) >= TOGETHER or one is own[-1]):
                out.append(KeptCuts(one.number, event_id, epoch, piece))
                piece = []
    return sorted(out, key=lambda one: one.number)


def is_edge_of(record: Record, blackouts: Collection[str]) -> bool:
    """Tell whether one of these blackouts opens or closes there."""
    return record[0] == "edge" and record[3] in blackouts
