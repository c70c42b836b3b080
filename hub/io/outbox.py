"""Deliveries and answers into the sockets: the fan-out, and the patient way for who is behind."""

from __future__ import annotations

from operator import length_hint
from typing import TYPE_CHECKING, Protocol, get_args

import structlog

from hub.counts import HubCounts
from hub.fanout import Frames
from hub.group import Group
from hub.guard import Guard
from hub.io.straight import write_straight
from hub.snapshot import Message
from hub.subscriber import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hub.cohort import Delivery
    from hub.settings import HubSettings
    from hub.snapshot import Batch
    from hub.stream import Stream
    from hub.subscriber import Subscriber

log = structlog.get_logger("hub")

_FORMATS: tuple[Format, ...] = get_args(Format)


class Sockets(Protocol):
    """What the outbox needs of those who own the sockets."""

    def buffered_bytes(self, subscriber: Subscriber) -> int:
        """Return how much waits in a subscriber's socket."""
        ...

    def cut(self, subscriber: Subscriber) -> None:
        """End a connection without a word."""
        ...

    def fail(self, subscriber: Subscriber) -> None:
        """Close a connection because we are about to break a promise to it."""
        ...

    def settle(self, event_id: str) -> None:
        """Write what has come out of a stream, and set the timer."""
        ...


class Outbox:
    """Write to subscribers.

    Args:
        streams: by event id.
        settings: pieces and limits.
        sockets: owns the connections.
        now: bus time in seconds.
        soon: calls a function once others have had their turn.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        settings: HubSettings,
        sockets: Sockets,
        *,
        now: Callable[[], float],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.counts = HubCounts(streams)
        self.cues_sent = 0
        self.alarms = 0
        """How often the guard had to step in: anything but 0 is a fault of ours."""
        self.guards = {event_id: Guard() for event_id in streams}
        self._streams = streams
        self._settings = settings
        self._sockets = sockets
        self._now = now
        self._soon = soon
        self._frames = {(event_id, format_): Frames(format_) for event_id in streams for format_ in _FORMATS}
        self._queue: dict[int, Subscriber] = {}
        self._turn_is_due = False

    @property
    def catching_up(self) -> int:
        """Return how many wait for their turn to be written what they are owed."""
        return len(self._queue)

    def flush(self, event_id: str) -> None:
        """Write what a stream delivers, each subscriber's in one go."""
        stream = self._streams[event_id]
        set_aside: dict[int, Subscriber] = {}
        for delivery in stream.take_deliveries():
            self._deliver(stream, delivery, set_aside)
        for subscriber in stream.take_recalled():
            self.catch_up_soon(subscriber)

    def say(self, subscriber: Subscriber, data: bytes) -> None:
        """Write one frame, also to a paused socket."""
        try:
            subscriber.write(data)
        except RuntimeError:  # see `_write`
            self._sockets.cut(subscriber)
            return
        self._bound_buffer(subscriber, len(data))

    def catch_up_soon(self, subscriber: Subscriber) -> None:
        """Write what somebody who is behind is owed, when those who wait already have had their turn."""
        self._queue[subscriber.number] = subscriber
        self._call_turn()

    def drop(self, subscriber: Subscriber) -> None:
        """Forget somebody who has gone."""
        self._queue.pop(subscriber.number, None)

    def add(self, event_id: str) -> None:
        """Make room for a stream that is new."""
        self.counts.add(event_id)
        self.guards[event_id] = Guard()
        for format_ in _FORMATS:
            self._frames[event_id, format_] = Frames(format_)

    def remove(self, event_id: str) -> None:
        """Forget a stream that is gone, with all who were on it."""
        self.counts.remove(event_id)
        del self.guards[event_id]
        for format_ in _FORMATS:
            del self._frames[event_id, format_]

    def begin_anew(self, event_id: str) -> None:
        """Forget the frames of a stream whose offsets begin anew, and what was out of it."""
        self.guards[event_id] = Guard()
        for format_ in _FORMATS:
            self._frames[event_id, format_].clear()

    def _deliver(self, stream: Stream, delivery: Delivery, set_aside: dict[int, Subscriber]) -> None:
        event_id = stream.showing.event_id
        fault = self.guards[event_id].fault_in(
            delivery.entries, delivery.frontier, trading=delivery.trading, safety=delivery.safety
        )
        if fault is not None:
            self._alarm(event_id, fault, delivery.to)
            return
        frames = self._frames[event_id, delivery.format]
        written = [made for entry in delivery.entries if (made := frames.of(entry))]
        data, count = b"".join(written), len(written)
        to = delivery.to
        if not delivery.safety and (set_aside or len(data) > self._settings.burst_bytes):
            to = self._spare(stream, delivery, len(data), set_aside)
        self._write(data, count, to, delivery.group)
        self.counts.delivered[event_id].flushed(delivery, len(to), self._now())
        if delivery.safety:
            for subscriber in to:
                self._bound_buffer(subscriber, len(data))

    def _write(self, data: bytes, cues: int, to: tuple[Subscriber, ...], group: Group | None) -> None:
        """Write the same bytes to many. Whoever cannot be written to has left `to` before (TRAPS 11)."""
        ways = (group or Group()).count(to, cues)
        self.cues_sent += cues * len(to)
        dead = []
        for subscriber, rest in write_straight(ways, data):
            try:
                subscriber.write(rest)
            except RuntimeError:  # uvloop, on a transport that died within this turn (TRAPS 16)
                dead.append(subscriber)
        left = iter(ways.writes)
        while True:
            try:
                for write in left:
                    write(data)
                break
            except RuntimeError:
                dead.append(ways.others[-length_hint(left) - 1])
        for subscriber in dead:
            self._sockets.cut(subscriber)

    def _spare(
        self, stream: Stream, delivery: Delivery, size: int, set_aside: dict[int, Subscriber]
    ) -> tuple[Subscriber, ...]:
        """Set aside those for whom this flush is too much at once; return the others."""
        if size > self._settings.burst_bytes:
            for subscriber in delivery.to:
                if subscriber.behind is None:
                    stream.fall_behind(subscriber, delivery)
                    set_aside[subscriber.number] = subscriber
                    self.catch_up_soon(subscriber)
                elif subscriber.number in set_aside:
                    stream.owe(subscriber, delivery)
            # Paused in the middle of this flush: what it stands behind includes this delivery, so it is written.
            return tuple(one for one in delivery.to if one.number not in set_aside)
        for subscriber in delivery.to:
            if subscriber.number in set_aside:
                stream.owe(subscriber, delivery)
        return tuple(one for one in delivery.to if one.number not in set_aside)

    def _alarm(self, event_id: str, fault: str, to: tuple[Subscriber, ...]) -> None:
        self.alarms += 1
        log.critical("guard.stopped", event_id=event_id, fault=fault, subscribers=len(to))
        for subscriber in to:
            self._sockets.fail(subscriber)

    def _bound_buffer(self, subscriber: Subscriber, added_bytes: int) -> None:
        """Hold a paused socket to its limit; what we add ourselves is not taken for a lack of draining."""
        if subscriber.paused_at is None:
            return
        subscriber.buffer_mark += added_bytes
        if self._sockets.buffered_bytes(subscriber) > self._settings.max_buffer_bytes:
            self._sockets.cut(subscriber)

    def _call_turn(self) -> None:
        if not self._turn_is_due and self._queue:
            self._turn_is_due = True
            self._soon(self._take_turn)

    def _take_turn(self) -> None:
        """Write to those who are behind, in the order in which they came, until others should have their turn."""
        self._turn_is_due = False
        left = self._settings.turn_bytes
        touched: dict[str, None] = {}
        # Each of those who wait now has one burst at most; who needs more stands at the end again.
        for number in list(self._queue):
            if left <= 0:
                break
            subscriber = self._queue.pop(number, None)
            if subscriber is not None:
                left -= self._catch_up(subscriber)
                touched[subscriber.event_id] = None
        for event_id in touched:
            self._sockets.settle(event_id)
        self._call_turn()

    def _catch_up(self, subscriber: Subscriber) -> int:
        """Write in pieces until nothing is owed any more, the socket is full, or it has had its burst."""
        written = 0
        while subscriber.behind is not None and subscriber.paused_at is None:
            if written >= self._settings.burst_bytes:
                self._queue[subscriber.number] = subscriber
                break
            data, cues, fault = self._gather(subscriber, self._settings.burst_bytes - written)
            written += len(data)
            subscriber.sent += cues
            self.cues_sent += cues
            self.counts.delivered[subscriber.event_id].caught_up += cues
            try:
                if data:
                    subscriber.write(data)
            except RuntimeError:  # see `_deliver`
                self._sockets.cut(subscriber)
                break
            if fault is not None:
                self._alarm(subscriber.event_id, fault, (subscriber,))
                break
        # Even one who turned out to be owed nothing has cost something.
        return max(written, 512)

    def _gather(self, subscriber: Subscriber, room: int) -> tuple[bytes, int, str | None]:
        """Return the next pieces for somebody who is behind, how many cues are in them, and why no more may follow.

        As many as fill `room` bytes or the socket's buffer: a short replay costs little but its system calls.
        """
        event_id = subscriber.event_id
        stream, frames = self._streams[event_id], self._frames[event_id, subscriber.format]
        pieces: list[bytes] = []
        cues, left, since = 0, min(room, self._settings.send_buffer_bytes), subscriber.behind
        while left > 0 and (item := stream.next_owed(subscriber, self._now())) is not None:
            if pieces and subscriber.behind is not since:
                # All that was due together is in. What fell due later goes by itself: it may have come late, with its
                # place before what is written here, or replace some of it.
                subscriber.put_back(item)
                break
            since = subscriber.behind
            if isinstance(item, Message):
                piece = frames.of_message(item)
            elif (fault := self._fault_in(item, subscriber, stream)) is not None:
                return b"".join(pieces), cues, fault
            else:
                piece, count = frames.of_batch(item)
                cues += count
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), cues, None

    def _fault_in(self, batch: Batch, subscriber: Subscriber, stream: Stream) -> str | None:
        """Return what the guard has against some cues for somebody who is behind."""
        frontier = stream.frontier_of(subscriber)
        if batch.passed is not None and frontier >= batch.passed:
            return None
        trading, safety = subscriber.mode == "realtime", batch.entries[0].due is None
        guard = self.guards[subscriber.event_id]
        fault = guard.fault_in(batch.entries, frontier, trading=trading, safety=safety)
        if fault is None:
            batch.passed = frontier
        return fault
