"""Drive the watch over one showing's sources: tell the bus how they are, and suspend for those that fell silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog

from feeds.io.journal import Journal
from feeds.io.log_writer import LogWriter
from feeds.journal_records import StreamRecord
from feeds.sequencer import Sequencer
from feeds.vendors.contract import ReceivedMessage
from feeds.watch import FeedWatch
from kernel.bus import Bus, feeds_signal, progress_signal
from kernel.errors import JournalError
from kernel.feed_state import FeedState
from kernel.showings import Showing

log = structlog.get_logger("feeds")


class SourceDesk:
    """Watch the sources of one showing.

    Args:
        showing: names them.
        sequencer: makes the suspends.
        writer: publishes them.
        journal: keeps what the sources promised.
        bus: where their states are told.
        wall: the time of day in Unix seconds.
    """

    def __init__(
        self, showing: Showing, sequencer: Sequencer, writer: LogWriter, *, journal: Journal, bus: Bus,
        wall: Callable[[], float],
    ) -> None:  # fmt: skip
        self._stream = showing.event_id
        self._sequencer = sequencer
        self._writer = writer
        self._journal = journal
        self._bus = bus
        self._wall = wall
        self._kick = asyncio.Event()
        self._told: tuple[FeedState, ...] | None = None
        self._kept: dict[str, Any] = {}
        self.watch = FeedWatch(showing, sequencer.skews, now=bus.now())

    def restore(self, record: StreamRecord) -> None:
        """Take up what the journal knows of the sources, and tell how they are."""
        self._kept = dict(record.state or {})
        falls = self._sequencer.markets.book.falls
        down = [name for name, fall in falls.items() if fall.lasts]
        self.watch.restore(self._kept, down=down, now=self._bus.now())
        self._look()

    def heard(self, message: ReceivedMessage) -> None:
        """Take in that a source spoke; what it said before a restart is no sign of life."""
        if message.again:
            return
        # A silence that this message ends has been one, though a busy loop may not have looked in time.
        self._look()
        before = self.watch.progress.get(message.source)
        self.watch.heard(message.source, message.adapted.alive, now=self._bus.now())
        progress = self.watch.progress.get(message.source)
        if progress is not None and progress != before:
            self._bus.signal(progress_signal(self._stream), progress)
        self._look()
        self._kick.set()

    async def run(self) -> None:
        """Look at the sources whenever one of them has been silent too long, until cancelled."""
        while True:
            self._look()
            await self._keep()
            deadline = self.watch.next_deadline()
            self._kick.clear()
            wait_s = None if deadline is None else max(0.0, deadline - self._bus.now())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._kick.wait()

    def _look(self) -> None:
        turn = self.watch.look(now=self._bus.now())
        for source in turn.fell:
            log.warning("feed.down", event_id=self._stream, source=source)
            self._writer.say(self._sequencer.fall(source, wall=self._wall()))
        for source in turn.rose:
            log.info("feed.recovering", event_id=self._stream, source=source)
            self._sequencer.markets.rise(source)
            self._writer.kick()
        for source, off_s in self._sequencer.skews.take_news():
            log.warning("feed.clock_absurd", event_id=self._stream, source=source, off_s=round(off_s))
        states = self.watch.states()
        if states != self._told:
            self._told = states
            self._bus.signal(feeds_signal(self._stream), states)

    async def _keep(self) -> None:
        kept = self.watch.kept()
        if kept != self._kept:
            try:
                await self._journal.save_state(self._stream, kept)
                self._kept = kept
            except JournalError as error:
                self._writer.failed(error)
