"""The hub at work: bus in, sockets out, one timer.

Everything that happens ends the same way: the pure parts are told, what they deliver is written at once, the timer is
set anew. In one process the bus delivers synchronously, so the cues of an opened segment are in their sockets before
`signal()` returns to the relay that opened it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from hub.close_codes import CloseCode
from hub.dialogue import Bye, Dialogue, Reply
from hub.fanout import Frames
from hub.io.socket import Socket
from hub.messages import frame
from hub.pulse import Beat, beat, next_beat
from hub.stream import Stream
from hub.subscriber import Phase, Subscriber
from hub.wheel import Wheel
from kernel.bus import Bus, Cancel, entries_topic, epoch_signal, opened_signal, state_signal, timings_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hub.cohort import Delivery
    from hub.settings import HubSettings
    from kernel.decisions import Admit
    from kernel.showings import Showing

log = structlog.get_logger("hub")

_SHORTEST_WAIT_S = 0.001
"""uvloop's clock ticks in ms: an instant that rounding puts a little ahead must not make the loop spin."""

_DRAIN_STEP_S = 0.05
_RETRY_SPREAD_MS = 5_000
"""Over how long the clients of a drained hub come back, in ms: DESIGN 11 wants 10,000 back within 6 s."""


class Hub:
    """Fan out the cues of all showings.

    Args:
        bus: where entries, timings, states and openings come from; its time is the hub's.
        showings: by event id.
        admit: decides on tokens.
        settings: limits and intervals.
        wall: Unix time in seconds.
        new_id: makes the name by which this hub goes on the wire.
        loop: the loop that the sockets are on; by default the one that runs when `start` is called.
    """

    def __init__(
        self,
        bus: Bus,
        showings: Mapping[str, Showing],
        admit: Admit,
        settings: HubSettings,
        *,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.settings = settings
        self._bus = bus
        self._wall = wall
        self._loop = loop
        self._streams = {event_id: Stream(showing, settings) for event_id, showing in showings.items()}
        self._frames = {event_id: Frames() for event_id in showings}
        self._told = dict.fromkeys(showings, False)
        self._dialogue = Dialogue(self._streams, admit, settings, new_id())
        self._sockets: dict[int, Socket] = {}
        self._wheel = Wheel(settings.wheel_tick_s)
        self._next_number = 0
        self._cues_sent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._cancels: list[Cancel] = []
        self._draining = False
        self._emptied = asyncio.Event()

    def start(self) -> None:
        """Subscribe to the bus; what it has retained is taken in before this returns."""
        self._loop = self._loop or asyncio.get_running_loop()
        for event_id in self._streams:
            self._follow(event_id)
        self._arm()

    async def drain(self) -> None:
        """Say goodbye to everyone, at a pace; return when all have gone or their time is up. Stops the hub."""
        self._draining = True
        leaving = list(self._sockets.values())
        steps = max(1, int(self.settings.drain_s / _DRAIN_STEP_S))
        size = max(100, -(-len(leaving) // steps))
        for first in range(0, len(leaving), size):
            if first:
                await asyncio.sleep(_DRAIN_STEP_S)
            later_ms = _RETRY_SPREAD_MS * first // max(1, len(leaving))
            for socket in leaving[first : first + size]:
                self._close(socket, Bye(CloseCode.GOING_AWAY), retry_ms=self.settings.retry_ms + later_ms)
        if self._sockets:
            self._emptied.clear()
            try:
                await asyncio.wait_for(self._emptied.wait(), self.settings.close_timeout_s + 1)
            except TimeoutError:
                for socket in list(self._sockets.values()):
                    socket.transport.abort()
        for cancel in self._cancels:
            cancel()
        self._cancels.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def protocol_class(self) -> type[asyncio.Protocol]:
        """Return the class that serves this hub's sockets, for uvicorn's `ws` slot."""
        return type("HubSocket", (Socket,), {"__slots__": (), "desk": self})

    def counts(self) -> Mapping[str, int]:
        """Return what there is to count, for metrics and readiness."""
        subscribed = sum(len(stream.subscribers) for stream in self._streams.values())
        behind = sum(one.behind is not None for stream in self._streams.values() for one in stream.subscribers.values())
        return {
            "sockets": len(self._sockets),
            "subscribed": subscribed,
            "behind": behind,
            "cues_sent": self._cues_sent,
        }

    # What the bus says.

    def _follow(self, event_id: str) -> None:
        bus, stream = self._bus, self._streams[event_id]

        def told(change: Callable[[float], object]) -> None:
            change(bus.now())
            self._settle(event_id)

        self._cancels += [
            bus.listen(epoch_signal(event_id), lambda epoch: self._begin_epoch(event_id, epoch)),
            bus.listen(state_signal(event_id), lambda state: told(lambda now: stream.set_state(state, now))),
            bus.subscribe(timings_topic(event_id), lambda _, timing: told(lambda now: stream.add_timing(timing, now))),
            bus.subscribe(entries_topic(event_id), lambda _, entry: told(lambda now: stream.add_entry(entry, now))),
            bus.listen(opened_signal(event_id), lambda opened: told(lambda now: stream.open(opened, now))),
        ]

    def _begin_epoch(self, event_id: str, epoch: str) -> None:
        stream = self._streams[event_id]
        if not stream.set_epoch(epoch):
            return
        # No cursor of theirs means anything any more: they come back and begin anew.
        log.warning("epoch.changed", event_id=event_id)
        self._frames[event_id].clear()
        for socket in [one for one in self._sockets.values() if one.subscriber and one.subscriber.event_id == event_id]:
            self._close(socket, Bye(CloseCode.GOING_AWAY, "epoch_changed"))

    def _settle(self, event_id: str) -> None:
        """Write what has come out of a stream, say at once whether bets may be taken, and set the timer."""
        stream = self._streams[event_id]
        if self._told[event_id] and not stream.may_wager:
            self._tell_may_wager(event_id)
        self._flush(event_id)
        if stream.may_wager is not self._told[event_id]:
            # Bets open again only behind the cues that their picture has brought.
            self._tell_may_wager(event_id)
        self._arm()

    def _tell_may_wager(self, event_id: str) -> None:
        stream = self._streams[event_id]
        self._told[event_id] = stream.may_wager
        log.info("wagering.changed", event_id=event_id, may_wager=stream.may_wager, sync=stream.sync)
        for subscriber in list(stream.subscribers.values()):
            if subscriber.told_may_wager is not (stream.may_wager and subscriber.may_wager):
                # To paused sockets too: it may mean that everything is suspended.
                self._say(subscriber, self._heartbeat(subscriber))

    # Writing.

    def _flush(self, event_id: str) -> None:
        for delivery in self._streams[event_id].take_deliveries():
            self._deliver(event_id, delivery)

    def _deliver(self, event_id: str, delivery: Delivery) -> None:
        frames = self._frames[event_id]
        written = [made for entry in delivery.entries if (made := frames.of(entry))]
        data, count = b"".join(written), len(written)
        if len(data) > self.settings.burst_bytes and not delivery.safety:
            for subscriber in delivery.to:
                self._streams[event_id].fall_behind(subscriber, delivery.before)
                self._catch_up_soon(subscriber)
            return
        dead = []
        # The hot loop: whoever cannot be written to has left `to` before (TRAPS 11).
        for subscriber in delivery.to:
            subscriber.sent += count
            try:
                subscriber.write(data)
            except RuntimeError:  # uvloop, on a transport that died within this turn (TRAPS 16)
                dead.append(subscriber)
        self._cues_sent += count * len(delivery.to)
        if delivery.safety:
            for subscriber in delivery.to:
                self._bound_buffer(subscriber, len(data))
        for subscriber in dead:
            self._cut(subscriber)

    def _say(self, subscriber: Subscriber, data: bytes) -> None:
        subscriber.write(data)
        self._bound_buffer(subscriber, len(data))

    def _bound_buffer(self, subscriber: Subscriber, added_bytes: int) -> None:
        """Hold a paused socket to its limit; what we add ourselves is not taken for a lack of draining."""
        if subscriber.paused_at is None:
            return
        subscriber.buffer_mark += added_bytes
        socket = self._sockets.get(subscriber.number)
        if socket is not None and socket.transport.get_write_buffer_size() > self.settings.max_buffer_bytes:
            self._cut(subscriber)

    def _heartbeat(self, subscriber: Subscriber) -> bytes:
        return frame(self._dialogue.heartbeat(subscriber, now=self._bus.now(), wall=self._wall()))

    def _catch_up_soon(self, subscriber: Subscriber) -> None:
        assert self._loop is not None  # there are no sockets before `start`
        self._loop.call_soon(self._catch_up, subscriber)

    def _catch_up(self, subscriber: Subscriber) -> None:
        """Write what somebody who is behind is owed, in pieces, until it has it all or its socket is full."""
        stream, frames = self._streams[subscriber.event_id], self._frames[subscriber.event_id]
        written = 0
        while subscriber.behind is not None and subscriber.paused_at is None:
            if written >= self.settings.burst_bytes:
                # Others have their turn first.
                self._catch_up_soon(subscriber)
                break
            piece: list[bytes] = []
            size = 0
            while size < self.settings.piece_bytes:
                entry = stream.next_owed(subscriber, self._bus.now())
                if entry is None:
                    break
                if made := frames.of(entry):
                    piece.append(made)
                    size += len(made)
            written += size
            subscriber.sent += len(piece)
            self._cues_sent += len(piece)
            if piece:
                subscriber.write(b"".join(piece))
        self._settle(subscriber.event_id)

    # What the sockets say.

    def arrive(self, socket: Socket, event_id: str, token: str | None, origin: str | None) -> None:
        """Greet an upgraded connection, or say why it cannot stay."""
        now, wall = self._bus.now(), self._wall()
        number, self._next_number = self._next_number, self._next_number + 1
        subscriber = Subscriber(number, event_id, self.settings, now)
        subscriber.write = socket.transport.write
        socket.subscriber = subscriber
        self._sockets[number] = socket
        if self._draining:
            self._close(socket, Bye(CloseCode.GOING_AWAY))
        elif len(self._sockets) > self.settings.max_subscribers:
            self._close(socket, Bye(CloseCode.OVERLOADED))
        else:
            self._answer(socket, self._dialogue.greet(subscriber, token, origin, wall=wall))
        self._set_beat(subscriber)

    def heard(self, socket: Socket) -> bool:
        """Count a frame; return False when nothing of this client is answered any more."""
        subscriber = socket.subscriber
        if subscriber is None or subscriber.phase is Phase.CLOSING:
            return False
        subscriber.missed_pings = 0
        if not subscriber.allows_frame(self.settings, self._bus.now()):
            self._close(socket, Bye(CloseCode.RATE))
            return False
        return True

    def message(self, socket: Socket, data: bytes) -> None:
        """Answer a text message."""
        subscriber = socket.subscriber
        assert subscriber is not None  # messages come after the handshake
        phase = subscriber.phase
        replies = self._dialogue.receive(subscriber, data, now=self._bus.now(), wall=self._wall())
        self._answer(socket, replies)
        if subscriber.phase is not phase:
            self._set_beat(subscriber)
        if subscriber.event_id in self._streams:
            self._settle(subscriber.event_id)

    def refuse(self, socket: Socket, code: CloseCode, reason: str) -> None:
        """Close a connection for what its socket has found out."""
        self._close(socket, Bye(code, reason))

    def paused(self, socket: Socket) -> None:
        """Take a socket out of the hot set; what is due meanwhile is owed to it."""
        subscriber = socket.subscriber
        if subscriber is None or subscriber.paused_at is not None:
            return
        subscriber.paused_at = self._bus.now()
        subscriber.buffer_mark = socket.transport.get_write_buffer_size()
        stream = self._streams.get(subscriber.event_id)
        if stream is not None:
            stream.fall_behind(subscriber)
        self._set_beat(subscriber)

    def resumed(self, socket: Socket) -> None:
        """Go on with a socket that has drained."""
        subscriber = socket.subscriber
        if subscriber is None:
            return
        subscriber.paused_at = None
        if subscriber.behind is not None:
            self._catch_up_soon(subscriber)

    def lost(self, socket: Socket) -> None:
        """Forget a connection."""
        subscriber = socket.subscriber
        if subscriber is None:
            return
        self._leave(subscriber)
        subscriber.phase = Phase.CLOSING
        self._wheel.remove(subscriber)
        self._sockets.pop(subscriber.number, None)
        if not self._sockets:
            self._emptied.set()

    def _answer(self, socket: Socket, replies: list[Reply]) -> None:
        assert socket.subscriber is not None  # greeted before answered
        for reply in replies:
            if isinstance(reply, Bye):
                self._close(socket, reply)
                return
            self._say(socket.subscriber, frame(reply))

    def _close(self, socket: Socket, bye: Bye, *, retry_ms: int | None = None) -> None:
        subscriber = socket.subscriber
        assert subscriber is not None  # closed by the hub means greeted by the hub
        if subscriber.phase is Phase.CLOSING:
            return
        message = self._dialogue.bye(subscriber, bye, retry_ms)
        self._leave(subscriber)
        subscriber.phase = Phase.CLOSING
        subscriber.close_by = self._bus.now() + self.settings.close_timeout_s
        self._set_beat(subscriber)
        log.info("subscriber.closed", number=subscriber.number, code=int(bye.code), reason=message["reason"])
        socket.close(frame(message), bye.code)

    def _cut(self, subscriber: Subscriber) -> None:
        """End a connection without a word: nobody reads there any more."""
        log.info("subscriber.cut", number=subscriber.number)
        self._leave(subscriber)
        subscriber.phase = Phase.CLOSING
        subscriber.hang_up()
        self._sockets[subscriber.number].transport.abort()

    def _leave(self, subscriber: Subscriber) -> None:
        stream = self._streams.get(subscriber.event_id)
        if stream is not None:
            stream.leave(subscriber)

    # Time.

    def _set_beat(self, subscriber: Subscriber) -> None:
        at = next_beat(subscriber, self.settings, now=self._bus.now(), wall=self._wall())
        self._wheel.put(subscriber, at)
        self._arm()

    def _beat(self, subscriber: Subscriber) -> None:
        socket = self._sockets[subscriber.number]
        buffered = socket.transport.get_write_buffer_size()
        due = beat(subscriber, self.settings, now=self._bus.now(), wall=self._wall(), buffered_bytes=buffered)
        for what in due:
            if isinstance(what, Bye):
                self._close(socket, what)
                return
            if what is Beat.ABORT:
                self._cut(subscriber)
                return
            if what is Beat.PING:
                socket.ping()
            else:
                subscriber.write(self._heartbeat(subscriber))
        self._set_beat(subscriber)

    def _arm(self) -> None:
        """Have the one timer fire at the earliest deadline."""
        instants = [self._wheel.next(), *(stream.next_deadline() for stream in self._streams.values())]
        at = min((instant for instant in instants if instant is not None), default=None)
        if self._timer is not None:
            if at == self._timer_at:
                return
            self._timer.cancel()
            self._timer = None
        if at is None or self._loop is None:
            return
        self._timer_at = at
        self._timer = self._loop.call_later(max(at - self._bus.now(), _SHORTEST_WAIT_S), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._bus.now()
        due = [
            (at, number, event_id)
            for number, (event_id, stream) in enumerate(self._streams.items())
            if (at := stream.next_deadline()) is not None and at <= now
        ]
        for _, _, event_id in sorted(due):
            self._streams[event_id].timer(now)
            self._settle(event_id)
        for subscriber in self._wheel.take(now):
            if subscriber.number in self._sockets:
                self._beat(subscriber)
        self._arm()
