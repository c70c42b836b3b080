"""What one process has published, and what of it is still to be written to Redis, in order.

Redis is a cache of the log and may lose it; whoever published still has it here, encoded, until it is trimmed. So
writing goes on, after whatever happened, from what Redis says it has:

* A topic is one stream, each record under the id `{number}-{offset + 1}`: an XADD that is tried again is refused, so
  nothing is ever doubled. The number rises when a topic begins anew; the log it belongs to stands in every record.
* A signal is one short stream of its own with ids given by Redis, for several processes may tell it. The sender and its
  count stand in each record, so that listeners drop what was told twice.
* Everything is written in the order in which it was published, across topics and signals: an entry before the mark
  that lets its picture out. What Redis lost is written again in that same order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import merge
from typing import NamedTuple

import structlog

log = structlog.get_logger("bus")

MAX_RETAINED = 2_500_000
"""Records of one topic that are kept in memory at most: above two million revocations, which
are the most that are taken. The log is trimmed to 100,000 entries long before (PROTOCOL, promise 3)."""

MAX_WAITING_SIGNALS = 1_000
"""Signals that wait for a Redis that is away; of older ones only the last of each name still matters."""

MIN_TO_CLEAR = 10_000
"""How much waits at least before it is looked for what of it has been trimmed or forgotten: a second of prices."""

SIGNALS_KEPT = 256
"""Length of a signal's stream: minutes of the most frequent one, for listeners that were cut off as long."""

Command = tuple[bytes | str | int, ...]


class Top(NamedTuple):
    """What Redis has of a topic: the number it is under, its last offset, and which log that belongs to."""

    number: int
    offset: int
    lineage: str | None


@dataclass(slots=True)
class _Record:
    seq: int
    offset: int
    data: bytes
    more: bool
    gone: bool = False


@dataclass(slots=True)
class _Published:
    """One topic of ours. `number` is None as long as nobody has asked Redis what it has of it.

    Up to `tried` Redis may have it. Before it has `begun` nobody knows whose log it will hold, and so whether what
    Redis has of it is to stay.
    """

    key: str
    begun: bool = False
    lineage: str = ""
    number: int | None = None
    head: int = -1
    last: int = -1
    tried: int = -1
    top: Top | None = None
    offsets: list[int] = field(default_factory=list)
    records: list[_Record] = field(default_factory=list)

    def beyond(self, offset: int) -> list[_Record]:
        return self.records[bisect_right(self.offsets, offset) :]

    def trim(self, below: int) -> None:
        keep = bisect_right(self.offsets, below - 1)
        for record in self.records[:keep]:
            record.gone = True
        del self.offsets[:keep]
        del self.records[:keep]

    def forget(self, offsets: Collection[int]) -> None:
        gone = frozenset(offsets)
        # Old ones, as a rule: the long rest of the lists is moved, not looked at.
        first, end = bisect_left(self.offsets, min(gone)), bisect_right(self.offsets, max(gone))
        kept: list[_Record] = []
        before = self.records[first - 1] if first else None
        for record in self.records[first:end]:
            if record.offset not in gone:
                kept.append(record)
                before = record
                continue
            record.gone = True
            if before is not None and not record.more:
                # The end of a run: what is left of the run ends before it.
                before.more = False
        self.records[first:end] = kept
        self.offsets[first:end] = [record.offset for record in kept]


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """Something to be written: `make` gives the command when its turn has come, or None if it needs none any more."""

    seq: int
    make: Callable[[], Command | None]
    topic: _Published | None = None
    offset: int | None = None
    signal: str | None = None
    record: _Record | None = None


class Outbox:
    """Keep and hand out what is to be written.

    Args:
        prefix: begins every key.
        sender: names this process, unlike any other.
        fresh_number: gives a number for a topic that begins anew, higher than any before it, even after a restart.
    """

    def __init__(self, prefix: str, sender: str, fresh_number: Callable[[], int]) -> None:
        self._prefix = prefix
        self._sender = sender
        self._fresh_number = fresh_number
        self._topics: dict[str, _Published] = {}
        self._last: dict[str, tuple[int, bytes]] = {}
        self._steps: deque[_Step] = deque()
        self._n_signals = 0
        self._seq = 0
        self._taken: list[_Step] = []
        self._too_many = MIN_TO_CLEAR

    def __len__(self) -> int:
        """Return how much is still to be written."""
        return len(self._steps)

    @property
    def waiting_signals(self) -> set[str]:
        """Return the names of the signals that are still to be written."""
        return {step.signal for step in self._steps if step.signal is not None} if self._n_signals else set()

    # What is published.

    def begin(self, name: str, lineage: str) -> None:
        """Say which log a topic belongs to; what was published of another one is forgotten."""
        topic = self._topic(name)
        if topic.lineage != lineage:
            self._steps = deque(step for step in self._steps if step.topic is not topic)
            self._topics[name] = topic = _Published(topic.key, lineage=lineage, top=topic.top)
        topic.begun = True
        if topic.top is not None:
            self._apply(name, topic.top)

    def head(self, name: str) -> int:
        """Return the last offset of a topic that Redis is known to have or that was published here; -1 without any."""
        topic = self._topics.get(name)
        return -1 if topic is None else max(topic.head, topic.last)

    def last(self, name: str) -> int:
        """Return the last offset of a topic that was published here; -1 without any."""
        topic = self._topics.get(name)
        return -1 if topic is None else topic.last

    def publish(self, name: str, offset: int, data: bytes, *, more: bool = False) -> bool:
        """Append a record; return False if its offset is not above all that were published here before.

        Args:
            name: the topic.
            offset: its place.
            data: the record, encoded.
            more: whether another one of the same run follows.
        """
        topic = self._topic(name)
        if offset <= topic.last:
            return False
        topic.begun = True
        record = _Record(self._next_seq(), offset, data, more)
        topic.last = offset
        topic.offsets.append(offset)
        topic.records.append(record)
        if len(topic.records) > MAX_RETAINED:
            log.warning("bus.topic_full", topic=name, kept=MAX_RETAINED)
            topic.trim(topic.offsets[MAX_RETAINED // 10])
        self._steps.append(_add(topic, record))
        if len(self._steps) > self._too_many:
            # Redis is away, or slow: what is wanted no more need not wait for it.
            self._steps = deque(step for step in self._steps if step.record is None or not step.record.gone)
            self._too_many = 2 * len(self._steps) + MIN_TO_CLEAR
        return True

    def signal(self, name: str, data: bytes) -> None:
        """Tell a signal."""
        self._last[name] = self._next_seq(), data
        self._n_signals += 1
        self._steps.append(self._tell(name, *self._last[name]))
        if self._n_signals > MAX_WAITING_SIGNALS:
            last = {seq for seq, _ in self._last.values()}
            self._steps = deque(step for step in self._steps if step.signal is None or step.seq in last)
            self._n_signals = sum(step.signal is not None for step in self._steps)

    def trim(self, name: str, below: int) -> None:
        """Forget the records of a topic below an offset, here and in Redis."""
        topic = self._topic(name)
        topic.trim(below)
        self._steps.append(
            _Step(self._next_seq(), lambda: ("XTRIM", topic.key, "MINID", f"{topic.number}-{max(0, below) + 1}"), topic)
        )

    def forget(self, name: str, offsets: Collection[int]) -> None:
        """Forget single records of a topic, here and in Redis."""
        if not offsets:
            return
        topic = self._topic(name)
        topic.forget(offsets)
        # What was never written will not be.
        written = max(topic.tried, topic.head)
        gone = tuple(offset for offset in offsets if topic.number is None or offset <= written)
        if not gone:
            return
        self._steps.append(
            _Step(self._next_seq(), lambda: ("XDEL", topic.key, *(f"{topic.number}-{o + 1}" for o in gone)), topic)
        )

    # What is written.

    def unknown(self) -> dict[str, str]:
        """Return the keys of the topics of which Redis must be asked what it has, by name."""
        return {name: topic.key for name, topic in self._topics.items() if topic.begun and topic.number is None}

    def keys(self) -> dict[str, str]:
        """Return the keys of all our topics, by name."""
        return {name: topic.key for name, topic in self._topics.items()}

    def expect(self, name: str, top: Top | None) -> None:
        """Take note of what Redis has of a topic that is about to be published."""
        topic = self._topic(name)
        topic.top = top
        self._apply(name, top)

    def has_lost(self, name: str, top: Top | None) -> bool:
        """Tell whether Redis has less of a topic than it has acknowledged."""
        topic = self._topics.get(name)
        if topic is None or topic.number is None or topic.head < 0:
            return False
        return top is None or (top.number, top.offset) < (topic.number, topic.head)

    def rewind(self, tops: Mapping[str, Top | None], *, wiped: bool = False) -> None:
        """Begin again from what Redis has of each of our topics; every last signal is told once more.

        Args:
            tops: what it has, by name.
            wiped: whether it once lost everything: what it has was written since, and lacks what was before.
        """
        waiting = [step for step in self._steps if step.offset is None]
        told = {step.seq for step in waiting}
        waiting += [self._tell(name, *last) for name, last in self._last.items() if last[0] not in told]
        waiting.sort(key=lambda step: step.seq)
        self._taken = []
        self._steps = deque()
        for name, top in tops.items():
            if wiped and top is not None:
                self._clear(self._topic(name))
            self._apply(name, None if wiped else top)
        records = [[_add(topic, record) for record in topic.beyond(topic.head)] for topic in self._topics.values()]
        self._steps.extend(merge(waiting, *records, key=lambda step: step.seq))
        self._n_signals = sum(step.signal is not None for step in waiting)

    def take(self, limit: int) -> list[Command]:
        """Return what comes next, at most so many commands; `done` says that they took effect."""
        commands: list[Command] = []
        self._taken = []
        for step in self._steps:
            if len(commands) == limit or (step.topic is not None and step.topic.number is None):
                break
            command = step.make()
            self._taken.append(step)
            if command is not None:
                commands.append(command)
        return commands

    def done(self) -> None:
        """Say that what was taken has taken effect."""
        gone = {id(step) for step in self._taken}
        for step in self._taken:
            if step.topic is not None and step.offset is not None and not (step.record and step.record.gone):
                step.topic.head = max(step.topic.head, step.offset)
        while self._steps and id(self._steps[0]) in gone:
            gone.discard(id(self._steps.popleft()))
        if gone:
            # Something has been put before them meanwhile.
            self._steps = deque(step for step in self._steps if id(step) not in gone)
        self._n_signals = max(0, self._n_signals - sum(step.signal is not None for step in self._taken))
        self._taken = []

    def _topic(self, name: str) -> _Published:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Published(f"{self._prefix}:t:{name}")
        return topic

    def _apply(self, name: str, top: Top | None) -> None:
        topic = self._topic(name)
        if not topic.begun:
            topic.top = top
        elif top is None:
            # Gone, or never there: its number stays, so that readers in the middle of it go on.
            topic.number, topic.head = topic.number or self._fresh_number(), -1
        elif top.number == topic.number or (top.lineage == topic.lineage and topic.number is None):
            topic.number, topic.head = top.number, top.offset
        else:
            topic.number, topic.head = max(top.number + 1, self._fresh_number()), -1
            number = topic.number
            # Another log's: whoever begins to read must not find any of it.
            self._steps.appendleft(_Step(0, lambda: ("XTRIM", topic.key, "MINID", f"{number}-0"), topic))

    def _clear(self, topic: _Published) -> None:
        self._steps.appendleft(_Step(0, lambda: ("DEL", topic.key), topic))

    def _tell(self, name: str, seq: int, data: bytes) -> _Step:
        key, mark = f"{self._prefix}:s:{name}", f"{self._sender} {seq}"
        command = ("XADD", key, "MAXLEN", SIGNALS_KEPT, "*", mark, data)
        return _Step(seq, lambda: command, signal=name)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq


def _add(topic: _Published, record: _Record) -> _Step:
    def make() -> Command | None:
        if record.gone or record.offset <= topic.head:
            return None
        topic.tried = max(topic.tried, record.offset)
        topic_id = f"{topic.number}-{record.offset + 1}"
        return ("XADD", topic.key, topic_id, ("+" if record.more else ".") + topic.lineage, record.data)

    return _Step(record.seq, make, topic, record.offset, record=record)


def parse_top(info: Iterable[tuple[bytes, object]]) -> Top | None:
    """Read the answer to XINFO STREAM; None for a stream that holds nothing and never did."""
    known = dict(info)
    last_id, last = known.get(b"last-generated-id"), known.get(b"last-entry")
    assert isinstance(last_id, bytes)
    number, _, count = last_id.partition(b"-")
    lineage = None
    if isinstance(last, list):
        mark = last[1][0]
        lineage = mark[1:].decode()
    return Top(int(number), int(count) - 1, lineage) if int(number) or int(count) else None
