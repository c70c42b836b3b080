"""The bus within one process: plain lists, delivered before `publish` returns.

Each receiver has a place of its own, in the topic or in what was signalled. A receiver that publishes, or whose
record makes another one publish, therefore upsets nobody's order: whoever is in the middle of a record gets the next
when done with it, everybody else at once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from kernel.bus import Cancel, Signal, Topic

T = TypeVar("T")
log = structlog.get_logger("bus")


class MemoryBus:
    """Implement `kernel.bus.Bus` for houses that share one event loop.

    Args:
        now: the bus time in seconds; in production the loop's own `time`.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._topics: dict[str, _Log] = {}
        self._last: dict[str, Any] = {}
        # Dicts, not sets: the order of delivery must not differ from run to run.
        self._subscribers: dict[str, dict[_Subscriber, None]] = {}
        self._listeners: dict[str, dict[_Listener, None]] = {}

    def lag_s(self) -> float:
        """Return 0: what is published has come before `publish` returns."""
        return 0.0

    def begin(self, topic: Topic[T], lineage: str) -> None:
        """Name the log of a topic; if it had another one, the topic begins anew."""
        log_ = self._topics.setdefault(topic.name, _Log())
        if log_.lineage not in (None, lineage):
            log_.clear()
            for subscriber in self._subscribers.get(topic.name, ()):
                subscriber.begin_anew()
        log_.lineage = lineage

    def head(self, topic: Topic[T]) -> int:
        """Return the last offset of a topic, -1 without any."""
        return self._topics[topic.name].head if topic.name in self._topics else -1

    def publish(self, topic: Topic[T], offset: int, record: T) -> None:
        """Append a record and deliver it; one at or below the topic's last offset is dropped."""
        if self._topics.setdefault(topic.name, _Log()).append(offset, record):
            self._drain(topic.name)

    def publish_all(self, topic: Topic[T], records: Sequence[tuple[int, T]]) -> None:
        """Append records and deliver them as one run."""
        log_ = self._topics.setdefault(topic.name, _Log())
        appended = [log_.append(offset, record) for offset, record in records]
        if any(appended):
            self._drain(topic.name)

    def subscribe(
        self,
        topic: Topic[T],
        receive: Callable[[int, T], None],
        *,
        after: int = -1,
        settled: Callable[[], None] | None = None,
    ) -> Cancel:
        """Deliver what is retained beyond `after`, then whatever comes."""
        log_ = self._topics.setdefault(topic.name, _Log())
        subscriber = _Subscriber(topic.name, receive, log_, after, settled)
        return _register(self._subscribers.setdefault(topic.name, {}), subscriber)

    def trim(self, topic: Topic[T], below: int) -> None:
        """Forget the records below an offset; the head stays, so no offset can be used again."""
        if topic.name in self._topics:
            self._topics[topic.name].trim(below)

    def forget(self, topic: Topic[T], offsets: Collection[int]) -> None:
        """Forget single records; a reader in the middle of the topic goes on behind them."""
        if topic.name in self._topics:
            self._topics[topic.name].forget(frozenset(offsets))

    def signal(self, signal: Signal[T], record: T) -> None:
        """Retain and deliver a signal."""
        self._last[signal.name] = record
        listeners = list(self._listeners.get(signal.name, ()))
        for listener in listeners:
            listener.waiting.append(record)
        for listener in listeners:
            listener.drain()

    def listen(self, signal: Signal[T], receive: Callable[[T], None]) -> Cancel:
        """Deliver the last signal, if any, then whatever comes."""
        listener = _Listener(signal.name, receive)
        if signal.name in self._last:
            listener.waiting.append(self._last[signal.name])
        return _register(self._listeners.setdefault(signal.name, {}), listener)

    def _drain(self, name: str) -> None:
        for subscriber in list(self._subscribers.get(name, ())):
            subscriber.drain()


class _Log:
    """The retained records of one topic."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.records: list[Any] = []
        self.head = -1
        self.lineage: str | None = None
        self.moves = 0
        """How often records have changed their places in the lists."""

    def append(self, offset: int, record: object) -> bool:
        if offset <= self.head:
            return False
        self.head = offset
        self.offsets.append(offset)
        self.records.append(record)
        return True

    def clear(self) -> None:
        self.moves += 1
        self.offsets.clear()
        self.records.clear()
        self.head = -1

    def trim(self, below: int) -> None:
        self.moves += 1
        keep = bisect_right(self.offsets, below - 1)
        del self.offsets[:keep]
        del self.records[:keep]

    def forget(self, offsets: frozenset[int]) -> None:
        if not offsets:
            return
        self.moves += 1
        # Old ones, as a rule: the long rest of the lists is moved, not looked at.
        first, end = bisect_left(self.offsets, min(offsets)), bisect_right(self.offsets, max(offsets))
        kept = [index for index in range(first, end) if self.offsets[index] not in offsets]
        self.records[first:end] = [self.records[index] for index in kept]
        self.offsets[first:end] = [self.offsets[index] for index in kept]


class _Receiver:
    """Somebody who is given one record after the other, never one within the other."""

    def __init__(self, name: str, receive: Callable[..., None], settled: Callable[[], None] | None = None) -> None:
        self._name = name
        self._receive = receive
        self._settled = settled
        self._busy = False
        self.cancelled = False

    def drain(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            # What comes while a run is settled is another run.
            while self._run() and self._settled is not None and not self.cancelled:
                self._call(self._settled)
        finally:
            self._busy = False

    def _run(self) -> bool:
        """Hand out what there is; return whether there was any."""
        any_ = False
        while not self.cancelled and (arguments := self._next()) is not None:
            any_ = True
            self._call(self._receive, *arguments)
        return any_

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception:
            # One house's fault must not keep the record from the others.
            log.exception("bus.receiver_failed", topic=self._name)

    def _next(self) -> tuple[Any, ...] | None:
        raise NotImplementedError


class _Subscriber(_Receiver):
    def __init__(
        self, name: str, receive: Callable[..., None], topic: _Log, after: int, settled: Callable[[], None] | None
    ) -> None:
        super().__init__(name, receive, settled)
        self._topic = topic
        self._at = after
        self._index = 0
        self._moves = -1

    def begin_anew(self) -> None:
        self._at = -1

    def _next(self) -> tuple[Any, ...] | None:
        topic = self._topic
        if self._moves != topic.moves:
            self._index, self._moves = bisect_right(topic.offsets, self._at), topic.moves
        offsets, index = topic.offsets, self._index
        # Whoever asked for what lies beyond the topic's end is given nothing up to there.
        while index < len(offsets) and offsets[index] <= self._at:
            index += 1
        self._index = index
        if index == len(offsets):
            return None
        self._at, self._index = offsets[index], index + 1
        return self._at, topic.records[index]


class _Listener(_Receiver):
    def __init__(self, name: str, receive: Callable[..., None]) -> None:
        super().__init__(name, receive)
        self.waiting: deque[Any] = deque()

    def _next(self) -> tuple[Any, ...] | None:
        return (self.waiting.popleft(),) if self.waiting else None


R = TypeVar("R", bound=_Receiver)


def _register(receivers: dict[R, None], receiver: R) -> Cancel:
    receivers[receiver] = None
    receiver.drain()

    def cancel() -> None:
        receiver.cancelled = True
        receivers.pop(receiver, None)

    return cancel
