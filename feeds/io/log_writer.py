"""Write one stream's log: facts in, entries on disk, then on the bus.

* An entry is on disk before it is on the bus. Safety waits for nothing, except for numbers that are promised away on
  disk: every thousandth or so, in a burst.
* What belongs together is one transaction: the entries, what they change in the state of markets, and that the messages
  they came from are settled. Killed at any point, the next process goes on with all of it or none of it.
* While the disk fails, entries wait; they come late, but come.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from feeds.io.journal import Journal
from feeds.journal_records import SealedRow, StreamRecord
from feeds.market_bodies import is_urgent, price_market_of
from feeds.market_book import Kept
from feeds.price_window import PriceWindow
from feeds.sequencer import Sealed, Sequencer
from kernel.bus import Bus, entries_topic, epoch_signal, safety_topic
from kernel.cues import Entry, Fact
from kernel.errors import JournalError

log = structlog.get_logger("ingest")

NUMBERS_A_BLOCK = 1_000
"""Offsets and `ver` promised away at a time, so that no number is used twice, whatever was lost in a crash."""

RETRY_S = 1.0
"""How long a disk that failed is left alone."""

MAX_RETAINED_ENTRIES = 100_000
"""How far back a subscriber may resume (PROTOCOL, promise 3), prices not counted."""


SLICE = 400
"""How many entries are sealed in one go: some milliseconds of the loop's time, and a small part of a suspend's."""

FORGET_AT_ONCE = 2_000
"""How many replaced prices are forgotten at a time: a block or two of the journal is written anew for it."""


@dataclass(slots=True)
class _Piece:
    """Facts of one message that are taken in together; `is_last` is None where they are all of it."""

    facts: Sequence[Fact]
    message_seq: int
    received: float
    live: bool
    is_last: bool | None = None


LOG_TOPICS = (entries_topic, safety_topic)


class LogWriter:
    """Seal what the sequencer has ready, and publish it.

    Args:
        stream: its id.
        sequencer: numbers the facts.
        journal: what is on disk.
        bus: what relay and hub share with us.
        wall: the time of day in Unix seconds.
        new_id: gives an unguessable name for a new epoch.
    """

    def __init__(
        self, stream: str, sequencer: Sequencer, *, journal: Journal, bus: Bus, wall: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:  # fmt: skip
        self._stream = stream
        self._sequencer = sequencer
        self._journal = journal
        self._bus = bus
        self._wall = wall
        self._new_id = new_id
        self._lost = False
        self._reserved = 0
        self._reserved_ver = 0
        self._sealing = asyncio.Lock()
        self._unsealed: list[Sealed] = []
        self._held_back: list[Sealed] = []
        self._loose: list[Kept] = []
        self._settled: list[int] = []
        self._kick = asyncio.Event()
        self._prices = PriceWindow()
        self._facts: list[int] = []
        self._pieces: deque[_Piece] = deque()
        self._turn: asyncio.Handle | None = None
        self.faults = 0
        """How often the disk failed."""

    async def begin(self, record: StreamRecord) -> str:
        """Find out which epoch the log is in, tell it, and return it; call before `restore`.

        Raises:
            JournalError: the journal cannot be written.
        """
        epoch, self._lost = record.epoch, record.lost
        if epoch is not None and not self._lost:
            self._begin_topics(epoch)
            # Nothing beyond what is promised away was ever published: the bus has seen a journal that is gone.
            self._lost = max(self._bus.head(topic(self._stream)) for topic in LOG_TOPICS) >= record.reserved_o
        if epoch is None or self._lost:
            if self._lost:
                log.error("log.end_lost", event_id=self._stream, remedy="the journal is older than what was published")
            epoch = self._new_id()
            await self._journal.begin_epoch(self._stream, epoch)
            self._begin_topics(epoch)
        self._bus.signal(epoch_signal(self._stream), epoch)
        return epoch

    def _begin_topics(self, epoch: str) -> None:
        for topic in LOG_TOPICS:
            self._bus.begin(topic(self._stream), epoch)

    async def restore(self, record: StreamRecord) -> None:
        """Take up the log where the journal left it, and refill the bus.

        Raises:
            JournalError: the journal cannot be written.
        """
        book = self._sequencer.markets.book
        book.restore(list(record.kept))
        book.next_ver = max(book.next_ver, record.reserved_ver, 1)
        self._sequencer.next_offset = self._reserved = record.reserved_o
        self._reserved_ver = record.reserved_ver
        await self._reserve()
        for row in record.entries:
            if row.source is not None and row.fact_id is not None:
                self._sequencer.restore(row.entry, row.source, row.fact_id, row.note or {})
        self._publish([row.entry for row in record.entries])
        if self._lost:
            self.say(self._sequencer.distrust(wall=self._wall()))

    def deliver(self, facts: Sequence[Fact], *, message_seq: int, received: float, live: bool) -> None:
        """Take in the facts of a journaled message; what needs a picture is sealed when it has one.

        Args:
            facts: what the adapter read.
            message_seq: the message's number in the journal.
            received: when it came, in Unix seconds.
            live: whether the stream is live.
        """
        if not facts:
            return  # it was settled when it was journaled
        piece = _Piece(tuple(facts), message_seq, received, live)
        if not self._pieces and len(facts) <= SLICE:
            self._offer(piece)
            return
        if any(map(is_urgent, facts)):
            # It overtakes what is still being read: that came earlier, and counts as overtaken.
            self._offer(piece)
            return
        self._sequencer.hold(message_seq)
        starts = range(0, len(facts), SLICE)
        self._pieces += [replace(piece, facts=facts[at : at + SLICE], is_last=at == starts[-1]) for at in starts]
        self._soon()

    def _offer(self, piece: _Piece) -> None:
        offer = self._sequencer.offer(
            list(piece.facts), message_seq=piece.message_seq, received=piece.received, live=piece.live,
            now=self._bus.now(),
        )  # fmt: skip
        if (piece.is_last is None and offer.settled) or (piece.is_last and self._sequencer.release(piece.message_seq)):
            self._settled.append(piece.message_seq)
        self.say(offer.safety)

    def _soon(self) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._take_piece)

    def _take_piece(self) -> None:
        """Take in a piece of a large message; others have their turn before the next."""
        self._turn = None
        if self._pieces:
            self._offer(self._pieces.popleft())
        if self._pieces:
            self._soon()

    def say(self, safety: Sequence[Sealed]) -> None:
        """Publish safety at once, and put it on disk in its own time."""
        for sealed in safety:
            promised = sealed.entry.o < self._reserved and sealed.ver < self._reserved_ver
            if promised and not self._held_back:
                self._bus.publish(safety_topic(self._stream), sealed.entry.o, sealed.entry)
            else:
                self._held_back.append(sealed)
        self._unsealed.extend(safety)
        self._kick.set()

    def kick(self) -> None:
        """Say that something may have become ready."""
        self._kick.set()

    async def run(self) -> None:
        """Seal whenever something may be ready, until cancelled."""
        while True:
            await self._kick.wait()
            self._kick.clear()
            try:
                await self.seal()
            except JournalError as error:
                self.failed(error)
                # The disk may have room again in a while; what waits is kept meanwhile.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await asyncio.Event().wait()

    def failed(self, error: JournalError) -> None:
        """Note that the disk failed; what was not sealed is tried again."""
        self.faults += 1
        log.error("journal.failed", event_id=self._stream, error=str(error))
        self._kick.set()

    async def seal(self) -> None:
        """Seal what has its picture: on disk first, then on the bus, in the order of offsets.

        Raises:
            JournalError: the disk failed; nothing was published, and nothing is lost.
        """
        # A caller that is cancelled half-way must not leave entries on disk that count as unsealed.
        task = asyncio.create_task(self._seal())
        task.add_done_callback(_seen)
        await asyncio.shield(task)

    async def end(self) -> None:
        """Finish what is being sealed and take in nothing more: another writer goes on from what is on disk.

        What was journaled and not sealed is handed out again to that one. Call it when `run` has ended.
        """
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._pieces.clear()
        with contextlib.suppress(JournalError):
            # Safety that is out already, but not on disk yet.
            await self.seal()
        # Not in the middle of what an earlier caller began.
        async with self._sealing:
            self._unsealed.clear()

    async def _seal(self) -> None:
        """Seal all that is ready by now, a slice at a time: safety and the sockets have their turn in between."""
        async with self._sealing:
            # What was journaled before a picture is out belongs before it, however long it takes to read.
            while self._pieces:
                self._take_piece()
                await asyncio.sleep(0)
            while await self._seal_slice():
                # It has given others their turn; without anything to be tried there is nothing left to do.
                pass

    async def _seal_slice(self) -> bool:
        """Seal up to a slice, and let others have their turn; return whether there may be more."""
        sealed, settled = self._sequencer.seal(now=self._bus.now(), limit=SLICE)
        # What an earlier failure of the disk left over goes first: its offsets are lower.
        self._unsealed.extend(sealed)
        self._settled.extend(settled)
        self._loose.extend(self._sequencer.markets.take_loose())
        rows, done, loose = list(self._unsealed), list(self._settled), list(self._loose)
        if rows or loose:
            await self._reserve()
            self._let_out()
            kept = _newest([*loose, *(piece for item in rows for piece in item.kept)])
            await self._journal.seal(self._stream, [_row(item) for item in rows], kept=kept, settled=done)
            del self._unsealed[: len(rows)]
            del self._loose[: len(loose)]
            self._publish([item.entry for item in rows if item.entry.due is not None])
        elif done:
            await self._journal.settle(done)
        del self._settled[: len(done)]
        await self._forget_prices()
        await asyncio.sleep(0)
        return self._sequencer.has_untried

    def _publish(self, entries: Sequence[Entry]) -> None:
        """Put entries on the bus that are on disk, in the order of their offsets."""
        run: list[tuple[int, Entry]] = []
        for entry in entries:
            if entry.due is None:
                self._bus.publish(safety_topic(self._stream), entry.o, entry)
                continue
            run.append((entry.o, entry))
            market = price_market_of(entry.cue)
            if market is not None:
                self._prices.add(entry.o, market)
            else:
                self._facts.append(entry.o)
        if run:
            self._bus.publish_all(entries_topic(self._stream), run)

    async def _forget_prices(self) -> None:
        """Forget on the bus and on disk which prices newer ones have replaced: at ten thousand a second, at once."""
        replaced = self._prices.take_replaced(FORGET_AT_ONCE)
        if replaced:
            self._bus.forget(entries_topic(self._stream), replaced)
            await self._journal.forget_prices(self._stream, replaced)

    def trim(self) -> None:
        """Forget on the bus what nobody may ask for any more."""
        surplus = len(self._facts) - MAX_RETAINED_ENTRIES
        if surplus <= 0:
            return
        for topic in LOG_TOPICS:
            self._bus.trim(topic(self._stream), self._facts[surplus])
        del self._facts[:surplus]

    async def _reserve(self) -> None:
        next_o, next_ver = self._sequencer.next_offset, self._sequencer.markets.book.next_ver
        half = NUMBERS_A_BLOCK // 2
        if next_o > self._reserved - half or next_ver > self._reserved_ver - half:
            upto, ver = next_o + NUMBERS_A_BLOCK, next_ver + NUMBERS_A_BLOCK
            await self._journal.reserve(self._stream, upto, ver=ver)
            self._reserved, self._reserved_ver = upto, ver

    def _let_out(self) -> None:
        for sealed in self._held_back:
            self._bus.publish(safety_topic(self._stream), sealed.entry.o, sealed.entry)
        self._held_back.clear()


def _seen(task: asyncio.Task[None]) -> None:
    """Look at the outcome of a task whose caller may be gone."""
    if not task.cancelled():
        task.exception()


def _newest(pieces: Sequence[Kept]) -> list[Kept]:
    """Return of pieces with one key only the last of the highest `ver`: what is put on disk in one go."""
    newest: dict[str, Kept] = {}
    for piece in pieces:
        known = newest.get(piece.key)
        if known is None or piece.ver >= known.ver:
            newest[piece.key] = piece
    return list(newest.values())


def _row(sealed: Sealed) -> SealedRow:
    return SealedRow(
        entry=sealed.entry,
        source=sealed.source,
        fact_id=sealed.fact_id,
        rev=sealed.entry.cue.rev,
        message_seq=sealed.message_seq,
        note=sealed.note,
    )
