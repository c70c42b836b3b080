"""The bus over Redis Streams: between processes, on one machine or several.

What holds beyond the contract of `kernel.bus`, and what does not:

* `publish` and `signal` return at once; others, and receivers of this process too, are told when Redis has it, within
  about a millisecond, and everybody in the same order. Nothing waits for a receiver.
* As long as Redis is away, what is published waits here, in order; when it is back, all that it lacks is written again:
  after a restart without data, a fail-over that lost the end, a wipe. Nothing acknowledged is lost, nothing doubled.
* What waits is what the topics retain anyway, encoded, at most `MAX_RETAINED` records of each; of signals the last
  thousand, then the last of each name.
* Of signals told while a listener was cut off, the last `SIGNALS_KEPT` reach it.

Three connections: one reads, waiting for whatever comes (XREAD BLOCK over all streams that somebody here wants), one
writes, one probes. The probe runs every second: it reads Redis' clock, and writes a canary to a stream of this
process that must come back through the reader. By its return, and by nothing else, the bus counts as fresh.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Final, TypeVar

import structlog

from kernel.bus import Cancel, Signal, Topic
from kernel.bus_clock import READY_BOUND_S, BusClock
from kernel.bus_codecs import codec_of
from kernel.errors import BusUnavailable, LogHeld
from kernel.io.redis_inbox import Inbox
from kernel.io.redis_link import RedisLink, address_of, is_refusal
from kernel.io.redis_outbox import Command, Outbox, Top, parse_top
from kernel.io.redis_tenure import Tenure

T = TypeVar("T")
log = structlog.get_logger("bus")

PROBE_S = 1.0
"""How often the data path is tried, Redis' clock read, and what it holds of our topics looked at."""

STALE_S = 3.0
"""Age of what is known beyond which a process is not ready: two probes may be lost."""

SILENCE_S = 2.5
"""A read that brought nothing for so long is dead, for canaries come every second."""

FIRST_RETRY_S, LAST_RETRY_S = 0.02, 0.2
"""Waits between attempts, doubled from one to the other: when Redis is back, we are within a second."""

READ_COUNT = 500
"""Entries of each stream taken in one read: some milliseconds of decoding."""

WRITE_COUNT = 500
"""Commands in one transaction: about 400 KB of entries, a few milliseconds of Redis."""

ARM_S = 0.1
"""How long a signal waits at most for a listener in this process to have found the place from which it hears."""

FIRST_PROBES = 5
"""Readings of the clock before the bus opens, so that one slow answer does not decide."""

CANARY_LIFE_MS = 60_000
MAX_CANARIES = 100

_SET_SHIFT = """
if (redis.call('GET', KEYS[1]) or '') == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return redis.status_reply('OK')
"""


class RedisBus:
    """Implement `kernel.bus.Bus` for processes that share one Redis. Call `open` before anything else.

    Args:
        url: where it is; never logged with its password.
        monotonic: our own steady clock, in seconds.
        new_id: gives an unguessable name for this process.
        prefix: begins every key; deployments that share a database need one each.

    Raises:
        SettingsError: the URL is none of a Redis.
    """

    def __init__(
        self, url: str, *, monotonic: Callable[[], float], new_id: Callable[[], str], prefix: str = "lockstep"
    ) -> None:
        self.address: Final = address_of(url)
        self._monotonic = monotonic
        self._new_id = new_id
        self._name = new_id()
        self._prefix = prefix
        self._clock = BusClock()
        self._reader, self._writer, self._prober = RedisLink(url), RedisLink(url), RedisLink(url)
        self._wake = asyncio.Event()
        self._unsent = asyncio.Event()
        self._armed = asyncio.Event()
        self._tenure: Tenure | None = None
        self.superseded: Final = asyncio.Event()
        """Set once another process has taken over the log that we wrote: nothing that is published here is heard."""
        self._emptied = asyncio.Event()
        self._inbox = Inbox(prefix, self._wake.set)
        self._outbox = Outbox(prefix, self._name, self._fresh_number)
        self._must_rewind = True
        self._marker_key = f"{prefix}:marker"
        self._marker: bytes | None = None
        self._written: bytes | None = None
        self._shift: bytes | None = None
        self._canary = f"{prefix}:canary:{self._name}".encode()
        self._n_canaries = 0
        self._canary_read = 0
        self._sent_at: dict[int, float] = {}
        self._fresh = (0, float("-inf"))
        self._freshened: set[asyncio.Future[None]] = set()
        self.failures = self.refills = 0
        """How often a connection was lost, and how often Redis had lost what it held."""
        self._down: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # Life.

    async def open(self, owned: Sequence[Topic[Any]] = (), *, journal: str | None = None) -> None:
        """Make contact, however long that takes, and begin.

        Args:
            owned: the topics that this process will publish: `head` then knows what Redis has of them.
            journal: names the journal of the log that this process writes, alone; None: it writes none.

        Raises:
            LogHeld: another process writes the log, and may be alive.
        """
        wait_s = FIRST_RETRY_S
        if journal is not None:
            self._tenure = Tenure(self._prefix, journal, self._name)
        while not self._clock.is_set:
            try:
                # First of all: who is refused is to leave no trace.
                await self._hold(self._prober, begin=True)
                for _ in range(FIRST_PROBES):
                    await self._probe()
                for name, top in (await self._tops({topic.name: self._key_of(topic) for topic in owned})).items():
                    self._outbox.expect(name, top)
            except BusUnavailable as error:
                self._lost("bus", error)
                await asyncio.sleep(wait_s)
                wait_s = min(LAST_RETRY_S, 2 * wait_s)
        self._found("bus")
        log.info("bus.open", address=self.address, bound_ms=round(self.bound_s() * 1000, 3))
        loops = {"probe": self._probe_on, "write": self._write_on, "read": self._read_on}
        self._tasks = [asyncio.create_task(self._keep(what, run), name=f"bus {what}") for what, run in loops.items()]

    async def aclose(self) -> None:
        """Write what still waits, if that goes at once, and end. Closing again does nothing."""
        if self._tasks and not self._down:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._drained()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._tenure is not None and not self._tenure.lost and not self._down:
            with contextlib.suppress(BusUnavailable):
                await self._prober.call(self._tenure.release())
        for link in (self._reader, self._writer, self._prober):
            await link.aclose()

    # The contract.

    def now(self) -> float:
        """Return bus time in seconds."""
        return self._clock.now(self._monotonic())

    def lag_s(self) -> float:
        """Return how long ago the canary was sent that came back last, in seconds."""
        return self.now() - self.fresh_at()

    def fresh_at(self) -> float:
        """Return the bus time up to which what was published elsewhere is known here."""
        return self._fresh[1]

    def begin(self, topic: Topic[T], lineage: str) -> None:
        """Say which log the offsets of a topic count in."""
        self._outbox.begin(topic.name, lineage)
        self._unsent.set()

    def head(self, topic: Topic[T]) -> int:
        """Return the last offset of a topic of ours, -1 without any."""
        return self._outbox.head(topic.name)

    def publish(self, topic: Topic[T], offset: int, record: T) -> None:
        """Append a record, soon."""
        if self._outbox.publish(topic.name, offset, codec_of(topic.name).encode(record)):
            self._unsent.set()

    def publish_all(self, topic: Topic[T], records: Sequence[tuple[int, T]]) -> None:
        """Append records as one run, soon."""
        encode, last = codec_of(topic.name).encode, self._outbox.last(topic.name)
        rising: list[tuple[int, T]] = []
        for offset, record in records:
            if offset > last:
                rising.append((offset, record))
                last = offset
        for number, (offset, record) in enumerate(rising, 1):
            self._outbox.publish(topic.name, offset, encode(record), more=number < len(rising))
        self._unsent.set()

    def subscribe(
        self,
        topic: Topic[T],
        receive: Callable[[int, T], None],
        *,
        after: int = -1,
        settled: Callable[[], None] | None = None,
    ) -> Cancel:
        """Give `receive` every record beyond `after`, the retained ones soon."""
        return self._inbox.subscribe(topic, receive, after, settled)

    def trim(self, topic: Topic[T], below: int) -> None:
        """Forget the records below an offset, here and in Redis."""
        self._outbox.trim(topic.name, below)
        self._unsent.set()

    def forget(self, topic: Topic[T], offsets: Collection[int]) -> None:
        """Forget single records, here and in Redis."""
        self._outbox.forget(topic.name, offsets)
        self._unsent.set()

    def signal(self, signal: Signal[T], record: T) -> None:
        """Tell a signal, soon."""
        self._outbox.signal(signal.name, codec_of(signal.name).encode(record))
        self._unsent.set()

    def listen(self, signal: Signal[T], receive: Callable[[T], None]) -> Cancel:
        """Give `receive` the last record of a signal, soon, and every later one."""
        self._armed.clear()
        return self._inbox.listen(signal, receive)

    # How it is.

    def bound_s(self) -> float:
        """Return by how many seconds bus time may be wrong here."""
        return self._clock.bound(self._monotonic())

    def unsent(self) -> int:
        """Return how many records and signals wait to be written."""
        return len(self._outbox)

    def holds_log(self) -> bool:
        """Tell whether no other process can be writing the log that we were given to write."""
        return self._tenure is not None and self._tenure.is_sure(self._monotonic())

    def trouble(self) -> str | None:
        """Return why this process is not to be relied upon, None if it is."""
        if self.superseded.is_set():
            return "superseded"
        if self.lag_s() > STALE_S:
            return "unreachable"
        return "time_uncertain" if self.bound_s() > READY_BOUND_S else None

    async def caught_up(self) -> None:
        """Wait until all that is on the bus by now has been given to the receivers here."""
        wanted = self._n_canaries
        self._wake.set()
        while self._fresh[0] <= wanted:
            freshened = asyncio.get_running_loop().create_future()
            self._freshened.add(freshened)
            await freshened

    async def settled(self) -> None:
        """Wait until all that was published here is on the bus and delivered, what receivers publish over it too."""
        while True:
            await self._drained()
            await self.caught_up()
            if not len(self._outbox):
                return

    async def _drained(self) -> None:
        while len(self._outbox):
            self._emptied.clear()
            self._unsent.set()
            await self._emptied.wait()

    # At work.

    async def _keep(self, what: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Go on for ever; wait a little longer after each failure."""
        wait_s = FIRST_RETRY_S
        while True:
            try:
                await run()
            except BusUnavailable as error:
                self._lost(what, error)
            except Exception:
                # A fault of ours; the next round begins with what it left.
                log.exception("bus.part_failed", part=what)
            else:
                self._found(what)
                wait_s = FIRST_RETRY_S
                continue
            # The reader is the first to see that Redis went: who has nothing to write must not find out later.
            self._must_rewind = self._must_rewind or what != "probe"
            self._unsent.set()
            self._wake.set()
            await asyncio.sleep(wait_s)
            wait_s = min(LAST_RETRY_S, 2 * wait_s)

    async def _probe_on(self) -> None:
        # Before, not after: who wants a canary while one is on its way wants another.
        self._wake.clear()
        await self._hold(self._prober)
        await self._probe()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROBE_S):
                await self._wake.wait()

    async def _probe(self) -> None:
        """Read Redis' clock, see whether it is still the same Redis, and write a canary."""
        marker, shift = self._marker_key, f"{self._prefix}:shift"
        self._n_canaries += 1
        # Noted first: the reader may have it before the answer is here.
        self._sent_at[self._n_canaries] = self.now() if self._clock.is_set else 0.0
        if len(self._sent_at) > MAX_CANARIES:
            del self._sent_at[next(iter(self._sent_at))]
        sent = self._monotonic()
        time_, shift_, _, marker_, *_ = answers = await self._prober.call(
            ("TIME",), ("GET", shift), ("SET", marker, self._new_id(), "NX"), ("GET", marker),
            ("XADD", self._canary, "MAXLEN", 1, f"{self._n_canaries}-1", "", ""),
            ("PEXPIRE", self._canary, CANARY_LIFE_MS),
        )  # fmt: skip
        received = self._monotonic()
        for answer in answers:
            if is_refusal(answer):
                raise BusUnavailable(f"Redis refuses: {answer}")
        await self._read_clock(shift, sent, received, int(time_[0]) + int(time_[1]) / 1e6, shift_)
        if self._marker not in (None, marker_):
            self._must_rewind = True
            self._inbox.forget_signal_ids()
            self._unsent.set()
            self._wake.set()
        self._marker = marker_

    async def _hold(self, link: RedisLink, *, begin: bool = False) -> None:
        """Ask for the right to write the log, or renew it; say so if another process has it.

        Raises:
            LogHeld: at the beginning only.
        """
        tenure = self._tenure
        if tenure is None or tenure.lost:
            return
        left_s = await link.hold(tenure, begin=begin, now=self._monotonic())
        if left_s is None:
            return
        if begin:
            raise LogHeld(tenure.refusal(self.address, left_s))
        log.error("bus.superseded", address=self.address, remedy="another ingest has taken over: end this one")
        # What waits is of a log that is over.
        self._outbox = Outbox(self._prefix, self._name, self._fresh_number)
        self.superseded.set()
        self._unsent.set()
        self._emptied.set()

    async def _read_clock(self, key: str, sent: float, received: float, theirs: float, shift: bytes | None) -> None:
        """Take in a reading, or correct all nodes' clock if Redis' has jumped."""
        if shift is None and self._shift is not None:
            # Redis was wiped: bus time must not go back to the time of its day.
            await self._prober.call(("SET", key, self._shift, "NX"))
            return
        offset = float(shift or 0)
        jump = self._clock.step(sent, received, theirs + offset)
        if jump is not None and shift == self._shift:
            log.warning("bus.clock_jumped", address=self.address, by_s=round(jump, 3))
            await self._prober.call(("EVAL", _SET_SHIFT, 1, key, shift or b"", repr(offset - jump)))
            return
        self._shift = shift
        self._clock.observe(sent, received, theirs + offset)

    async def _write_on(self) -> None:
        """Write what comes next, or see, once a second, whether Redis still has what it acknowledged."""
        if self.superseded.is_set():
            await asyncio.Event().wait()
        if self._must_rewind:
            self._must_rewind = False
            await self._rewind()
        if unknown := self._outbox.unknown():
            for name, top in (await self._tops(unknown)).items():
                self._outbox.expect(name, top)
        if len(self._outbox):
            await self._arm()
            commands = self._outbox.take(WRITE_COUNT)
            if commands:
                await self._writer.transact(commands, tenure=self._tenure)
            self._outbox.done()
        if not len(self._outbox):
            self._emptied.set()
            self._unsent.clear()
            try:
                async with asyncio.timeout(PROBE_S):
                    await self._unsent.wait()
            except TimeoutError:
                tops = await self._tops(self._outbox.keys())
                if any(self._outbox.has_lost(name, top) for name, top in tops.items()):
                    log.warning("bus.lost_its_end", address=self.address)
                    self.refills += 1
                    self._must_rewind = True

    async def _rewind(self) -> None:
        """See what Redis has, and begin again from there."""
        await self._hold(self._writer)
        _, marker = await self._writer.call(("SET", self._marker_key, self._new_id(), "NX"), ("GET", self._marker_key))
        if is_refusal(marker):
            raise BusUnavailable(f"Redis refuses: {marker}")
        wiped = self._written not in (None, marker)
        if wiped:
            log.warning("bus.wiped", address=self.address)
            self.refills += 1
        tops = await self._tops(self._outbox.keys())
        self._outbox.rewind(tops, wiped=wiped)
        self._written = marker

    async def _arm(self) -> None:
        """See that who listens here to a signal that is about to be told has found the place before it."""
        if self._inbox.is_new(self._outbox.waiting_signals):
            self._wake.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ARM_S):
                    await self._armed.wait()

    async def _tops(self, keys: dict[str, str]) -> dict[str, Top | None]:
        if not keys:
            return {}
        answers = await self._writer.call(*(("XINFO", "STREAM", key) for key in keys.values()))
        tops: dict[str, Top | None] = {}
        for name, answer in zip(keys, answers, strict=True):
            if is_refusal(answer) and "no such key" not in str(answer):
                await self._writer.aclose()
                raise BusUnavailable(f"Redis refuses: {answer}")
            tops[name] = None if is_refusal(answer) else parse_top(answer.items())
        return tops

    async def _read_on(self) -> None:
        """Read once, and hand out what came."""
        await self._begin_signals()
        asked, changes = self._inbox.cursors(), self._inbox.changes
        keys = {**asked, self._canary: f"{self._canary_read}-1".encode()}
        command: Command = (
            "XREAD", "COUNT", READ_COUNT, "BLOCK", round(SILENCE_S * 1000), "STREAMS", *keys, *keys.values()
        )  # fmt: skip
        (answer,) = await self._reader.call(command, timeout_s=SILENCE_S)
        if is_refusal(answer):
            await self._reader.aclose()
            raise BusUnavailable(f"Redis refuses: {answer}")
        answer = answer or {}
        canaries = answer.pop(self._canary, None)
        self._inbox.take(asked, answer)
        if canaries:
            self._canary_read = int(canaries[-1][0].partition(b"-")[0])
            cut = any(len(items) == READ_COUNT for items in answer.values())
            if cut or changes != self._inbox.changes:
                # There is more than this canary vouches for.
                self._wake.set()
            else:
                self._freshen(self._canary_read)
        await asyncio.sleep(0)

    async def _begin_signals(self) -> None:
        if new := self._inbox.new_signals():
            newest = await self._reader.call(*(("XREVRANGE", key, "+", "-", "COUNT", 1) for key in new))
            for key, items in zip(new, newest, strict=True):
                if is_refusal(items):
                    raise BusUnavailable(f"Redis refuses: {items}")
                self._inbox.begin_signal(key, items)
        self._armed.set()

    def _freshen(self, number: int) -> None:
        self._fresh = number, self._sent_at.get(number, self._fresh[1])
        for old in [one for one in self._sent_at if one <= number]:
            del self._sent_at[old]
        freshened, self._freshened = self._freshened, set()
        for one in freshened:
            if not one.done():
                one.set_result(None)

    def _key_of(self, topic: Topic[Any]) -> str:
        return f"{self._prefix}:t:{topic.name}"

    def _fresh_number(self) -> int:
        return int(self.now() * 1000)

    def _lost(self, what: str, error: BusUnavailable) -> None:
        if what not in self._down:
            self._down[what] = self._monotonic()
            self.failures += 1
            log.warning("bus.unavailable", part=what, address=self.address, error=str(error))

    def _found(self, what: str) -> None:
        since = self._down.pop(what, None)
        if since is not None:
            log.info("bus.available", part=what, after_s=round(self._monotonic() - since, 3))
