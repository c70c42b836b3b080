"""Deliveries and answers into the sockets: the hot loop, and the patient way for who is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hub.fanout import Frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hub.cohort import Delivery
    from hub.settings import HubSettings
    from hub.stream import Stream
    from hub.subscriber import Subscriber


class Sockets(Protocol):
    """What the outbox needs of those who own the sockets."""

    def buffered_bytes(self, subscriber: Subscriber) -> int:
        """Return how much waits in a subscriber's socket."""
        ...

    def cut(self, subscriber: Subscriber) -> None:
        """End a connection without a word."""
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
        self.cues_sent = 0
        self._streams = streams
        self._settings = settings
        self._sockets = sockets
        self._now = now
        self._soon = soon
        self._frames = {event_id: Frames() for event_id in streams}

    def flush(self, event_id: str) -> None:
        """Write what a stream delivers, each subscriber's in one go."""
        for delivery in self._streams[event_id].take_deliveries():
            self._deliver(event_id, delivery)

    def say(self, subscriber: Subscriber, data: bytes) -> None:
        """Write one frame, also to a paused socket."""
        subscriber.write(data)
        self._bound_buffer(subscriber, len(data))

    def catch_up_soon(self, subscriber: Subscriber) -> None:
        """Write what somebody who is behind is owed, once others have had their turn."""
        self._soon(lambda: self._catch_up(subscriber))

    def forget(self, event_id: str) -> None:
        """Forget the frames of a stream whose offsets begin anew."""
        self._frames[event_id].clear()

    def _deliver(self, event_id: str, delivery: Delivery) -> None:
        frames = self._frames[event_id]
        written = [made for entry in delivery.entries if (made := frames.of(entry))]
        data, count = b"".join(written), len(written)
        if len(data) > self._settings.burst_bytes and not delivery.safety:
            for subscriber in delivery.to:
                self._streams[event_id].fall_behind(subscriber, delivery.before)
                self.catch_up_soon(subscriber)
            return
        dead = []
        # The hot loop: whoever cannot be written to has left `to` before (TRAPS 11).
        for subscriber in delivery.to:
            subscriber.sent += count
            try:
                subscriber.write(data)
            except RuntimeError:  # uvloop, on a transport that died within this turn (TRAPS 16)
                dead.append(subscriber)
        self.cues_sent += count * len(delivery.to)
        if delivery.safety:
            for subscriber in delivery.to:
                self._bound_buffer(subscriber, len(data))
        for subscriber in dead:
            self._sockets.cut(subscriber)

    def _bound_buffer(self, subscriber: Subscriber, added_bytes: int) -> None:
        """Hold a paused socket to its limit; what we add ourselves is not taken for a lack of draining."""
        if subscriber.paused_at is None:
            return
        subscriber.buffer_mark += added_bytes
        if self._sockets.buffered_bytes(subscriber) > self._settings.max_buffer_bytes:
            self._sockets.cut(subscriber)

    def _catch_up(self, subscriber: Subscriber) -> None:
        """Write in pieces until nothing is owed any more, the socket is full, or others should have their turn."""
        written = 0
        while subscriber.behind is not None and subscriber.paused_at is None:
            if written >= self._settings.burst_bytes:
                self.catch_up_soon(subscriber)
                break
            piece = self._next_piece(subscriber)
            data = b"".join(piece)
            written += len(data)
            subscriber.sent += len(piece)
            self.cues_sent += len(piece)
            if data:
                subscriber.write(data)
        self._sockets.settle(subscriber.event_id)

    def _next_piece(self, subscriber: Subscriber) -> list[bytes]:
        stream, frames = self._streams[subscriber.event_id], self._frames[subscriber.event_id]
        piece: list[bytes] = []
        size = 0
        while size < self._settings.piece_bytes:
            entry = stream.next_owed(subscriber, self._now())
            if entry is None:
                break
            if made := frames.of(entry):
                piece.append(made)
                size += len(made)
        return piece
