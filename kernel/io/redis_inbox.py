"""Who receives what from Redis, and up to where each stream has been read.

Each subscriber has its own place in its topic, and a stream is read once for all of them. The place is an offset of the
log, not an id of Redis: whatever is read again, after a wipe or because somebody came later, reaches nobody twice. A
record of another log than the one before means that the topic begins anew: its subscribers get it from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from kernel.bus import Cancel, Signal, Topic
from kernel.bus_codecs import codec_of
from kernel.errors import DecodeError

T = TypeVar("T")
log = structlog.get_logger("bus")

BEGIN = b"0-0"

MAX_SENDERS = 1_000
"""Processes whose count is remembered for each signal, the last heard of: restarts over months."""

Item = tuple[bytes, Sequence[bytes]]
"""An entry of a stream: its id, its fields and values in turn."""


@dataclass(eq=False, slots=True)
class _Subscriber:
    receive: Callable[[int, Any], None]
    at: int
    settled: Callable[[], None] | None
    given: bool = False


@dataclass(slots=True)
class _Feed:
    """A topic that somebody here is subscribed to."""

    name: str
    cursor: bytes = BEGIN
    lineage: bytes | None = None
    subscribers: dict[_Subscriber, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Ear:
    """A signal that somebody here listens to. Before `cursor` is set it is to begin with the last one told."""

    name: str
    cursor: bytes | None = None
    last: tuple[Any] | None = None
    counts: dict[bytes, int] = field(default_factory=dict)
    listeners: dict[object, Callable[[Any], None]] = field(default_factory=dict)


class Inbox:
    """Keep the receivers of one process, and hand them what the reader brings.

    Args:
        prefix: begins every key.
        wake: is called when what is to be read has changed.
    """

    def __init__(self, prefix: str, wake: Callable[[], None]) -> None:
        self._prefix = prefix
        self._wake = wake
        self._feeds: dict[bytes, _Feed] = {}
        self._ears: dict[bytes, _Ear] = {}
        self._order: dict[bytes, None] = {}
        self.changes = 0
        """How often what is to be read has changed."""

    def subscribe(
        self, topic: Topic[T], receive: Callable[[int, T], None], after: int, settled: Callable[[], None] | None = None
    ) -> Cancel:
        """Give `receive` every record beyond `after`, soon."""
        key = f"{self._prefix}:t:{topic.name}".encode()
        feed = self._feeds.setdefault(key, _Feed(topic.name))
        subscriber = _Subscriber(receive, after, settled)
        feed.subscribers[subscriber] = None
        feed.cursor = BEGIN
        self._changed(key)

        def cancel() -> None:
            feed.subscribers.pop(subscriber, None)
            if not feed.subscribers and self._feeds.get(key) is feed:
                del self._feeds[key]
                self._order.pop(key, None)

        return cancel

    def listen(self, signal: Signal[T], receive: Callable[[T], None]) -> Cancel:
        """Give `receive` the last record of a signal, if there was one, and every later one, soon."""
        key = f"{self._prefix}:s:{signal.name}".encode()
        ear = self._ears.setdefault(key, _Ear(signal.name))
        token = object()
        ear.listeners[token] = receive
        if ear.last is not None:
            _give(ear.name, receive, *ear.last)
        self._changed(key)

        def cancel() -> None:
            ear.listeners.pop(token, None)
            if not ear.listeners and self._ears.get(key) is ear:
                del self._ears[key]
                self._order.pop(key, None)

        return cancel

    def _changed(self, key: bytes) -> None:
        self._order[key] = None
        self.changes += 1
        self._wake()

    def new_signals(self) -> list[bytes]:
        """Return the keys of the signals of which the last one told is still to be read."""
        return [key for key, ear in self._ears.items() if ear.cursor is None]

    def is_new(self, names: set[str]) -> bool:
        """Tell whether somebody listens to one of these signals and has not been given the last one told."""
        return any(ear.cursor is None and ear.name in names for ear in self._ears.values())

    def begin_signal(self, key: bytes, newest: Sequence[Item]) -> None:
        """Take in the last one told, if there was one; what follows is read from there."""
        ear = self._ears.get(key)
        if ear is not None and ear.cursor is None:
            ear.cursor = BEGIN
            self._hear(ear, newest)

    def forget_signal_ids(self) -> None:
        """Read signals from their beginning: Redis lost them, and what is told again may have any id."""
        for ear in self._ears.values():
            if ear.cursor is not None:
                ear.cursor = BEGIN

    def cursors(self) -> dict[bytes, bytes]:
        """Return up to where each stream was read, in the order in which somebody first asked for it."""
        feeds = {key: feed.cursor for key, feed in self._feeds.items()}
        told = {key: ear.cursor for key, ear in self._ears.items() if ear.cursor is not None}
        known = {**feeds, **told}
        return {key: known[key] for key in self._order if key in known}

    def take(self, asked: Mapping[bytes, bytes], answer: Mapping[bytes, Sequence[Item]]) -> None:
        """Give the receivers what was read.

        Args:
            asked: the cursors that it was read from; where one has changed meanwhile, the answer is left unread.
            answer: the entries of each stream beyond its cursor.
        """
        for key, items in answer.items():
            feed, ear = self._feeds.get(key), self._ears.get(key)
            if feed is not None and feed.cursor == asked.get(key):
                self._read(feed, items)
            elif ear is not None and ear.cursor == asked.get(key):
                self._hear(ear, items)

    def _read(self, feed: _Feed, items: Sequence[Item]) -> None:
        decode = codec_of(feed.name).decode
        feed.cursor = items[-1][0]
        # Who comes while we are at it begins with another reading.
        present = list(feed.subscribers)
        for id_, (mark, data) in items:
            offset, lineage = int(id_.partition(b"-")[2]) - 1, mark[1:]
            if lineage != feed.lineage:
                for subscriber in present:
                    subscriber.at = subscriber.at if feed.lineage is None else -1
                feed.lineage = lineage
            waiting = [one for one in present if one.at < offset and one in feed.subscribers]
            if waiting:
                self._hand_out(feed, waiting, offset, data, decode)
            if mark[:1] != b"+":
                self._settle(feed)

    def _hand_out(
        self, feed: _Feed, waiting: list[_Subscriber], offset: int, data: bytes, decode: Callable[[bytes], Any]
    ) -> None:
        try:
            record = decode(data)
        except DecodeError as error:
            log.error("bus.unreadable", topic=feed.name, offset=offset, error=str(error))
            return
        for subscriber in waiting:
            if subscriber in feed.subscribers:
                subscriber.at, subscriber.given = offset, True
                _give(feed.name, subscriber.receive, offset, record)

    def _settle(self, feed: _Feed) -> None:
        for subscriber in list(feed.subscribers):
            if subscriber.given:
                subscriber.given = False
                if subscriber.settled is not None:
                    _give(feed.name, subscriber.settled)

    def _hear(self, ear: _Ear, items: Sequence[Item]) -> None:
        for id_, (mark, data) in items:
            ear.cursor = id_
            sender, _, count = mark.partition(b" ")
            if int(count) <= ear.counts.get(sender, -1):
                continue
            # The last heard of stands last.
            ear.counts.pop(sender, None)
            ear.counts[sender] = int(count)
            if len(ear.counts) > MAX_SENDERS:
                del ear.counts[next(iter(ear.counts))]
            try:
                record = codec_of(ear.name).decode(data)
            except DecodeError as error:
                log.error("bus.unreadable", topic=ear.name, error=str(error))
                continue
            ear.last = (record,)
            for token, receive in list(ear.listeners.items()):
                if token in ear.listeners:
                    _give(ear.name, receive, record)


def _give(name: str, receive: Callable[..., None], *arguments: Any) -> None:
    try:
        receive(*arguments)
    except Exception:
        # One house's fault must not keep the record from the others.
        log.exception("bus.receiver_failed", topic=name)
