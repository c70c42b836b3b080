"""The hub at work: bus in, sockets out, one timer.

Everything that happens ends the same way: the pure parts are told, what they deliver is written at once, the timer is
set anew. In one process the bus delivers synchronously, so the cues of an opened segment are in their sockets before
`signal()` returns to the relay that opened it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from hub.close_codes import Bye, CloseCode
from hub.dialogue import Dialogue, Reply, feed_map
from hub.io.dismissal import CUT, STEP, dismiss, hasten
from hub.io.intake import follow
from hub.io.outbox import Outbox
from hub.io.pacemaker import Pacemaker
from hub.io.socket import Socket
from hub.io.turnover import inside, misfits
from hub.messages import reply_frame
from hub.pulse import Beat, beat, next_beat
from hub.stream import Stream
from hub.subscriber import Phase, Subscriber
from kernel.io.cut import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hub.counts import HubCounts
    from hub.settings import HubSettings
    from hub.subscriber import Format
    from kernel.bus import Bus, Cancel
    from kernel.decisions import Admit, Judge
    from kernel.feed_state import FeedState
    from kernel.revocation import Subject
    from kernel.showings import Showing

log = structlog.get_logger("hub")

_DRAIN_STEP_S = 0.05
_REVIEW_STEP = 100
"""How many are asked about in one turn of the loop: a millisecond, if all places are new."""
_GOLDEN = 0.618034
"""Multiples of it, less their whole part, lie evenly between 0 and 1, however many there are."""


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
        self._told = dict.fromkeys(showings, (False, False))
        self.sockets: dict[int, Socket] = {}
        self._outbox = Outbox(self._streams, settings, self, now=bus.now, soon=self.soon)
        self._dialogue = Dialogue(self._streams, admit, settings, new_id(), is_full=self._is_full)
        self.grants = self._dialogue.grants
        self._pacemaker = Pacemaker(
            self._streams, settings.wheel_tick_s, now=bus.now, settle=self.settle, beat=self._beat
        )
        self._last_said: dict[tuple[str, Format], tuple[Mapping[str, Any], bytes]] = {}
        self._next_number = 0
        self._cancels: dict[str, list[Cancel]] = {}
        self._draining = False
        self._emptied = asyncio.Event()

    def start(self) -> None:
        """Subscribe to the bus; what it has retained is taken in before this returns."""
        self._loop = self._pacemaker.loop = self._loop or asyncio.get_running_loop()
        for event_id in list(self._streams):
            self._follow(event_id)
        self._pacemaker.arm()

    def _follow(self, event_id: str) -> None:
        self._cancels[event_id] = follow(self._bus, self._streams[event_id], self._outbox.guards[event_id], self)

    def _unfollow(self, event_id: str) -> None:
        for cancel in self._cancels.pop(event_id, ()):
            cancel()

    # Which showings there are.

    def add(self, showing: Showing) -> None:
        """Fan out one more showing; what the bus has retained of it is taken in before this returns."""
        event_id = showing.event_id
        self._streams[event_id] = Stream(showing, self.settings)
        self._told[event_id] = (False, False)
        self._outbox.add(event_id)
        self._follow(event_id)
        self._pacemaker.arm()

    def change(self, showing: Showing) -> None:
        """Take what a showing is from now on; who is in stays in, but for those who may see other sources now."""
        self._streams[showing.event_id].showing = showing
        moved = misfits(self.sockets, showing.event_id, self._dialogue.hidden_from)
        dismiss(self, moved, Bye(CloseCode.INSUFFICIENT_STATE, "sources_changed"))

    async def remove(self, event_id: str) -> None:
        """Say goodbye to everybody of a showing, and fan it out no more."""
        self._unfollow(event_id)
        while leaving := inside(self.sockets, event_id):
            for socket in leaving[:STEP]:
                self.close(socket, Bye(CloseCode.UNAUTHORIZED, "showing_ended"))
            if len(leaving) > STEP:
                await asyncio.sleep(0)
        del self._streams[event_id], self._told[event_id]
        self._outbox.remove(event_id)

    async def drain(self) -> None:
        """Say goodbye to everyone, at a pace; return when all have gone or their time is up. Stops the hub."""
        self._draining = True
        leaving = list(self.sockets.values())
        steps = max(1, int(self.settings.drain_s / _DRAIN_STEP_S))
        size = max(100, -(-len(leaving) // steps))
        for first in range(0, len(leaving), size):
            if first:
                await asyncio.sleep(_DRAIN_STEP_S)
            later_ms = self.settings.retry_spread_ms * first // max(1, len(leaving))
            for socket in leaving[first : first + size]:
                self.close(socket, Bye(CloseCode.GOING_AWAY), retry_ms=self.settings.retry_ms + later_ms)
        if self.sockets:
            self._emptied.clear()
            try:
                async with asyncio.timeout(self.settings.close_timeout_s + 1):
                    await self._emptied.wait()
            except TimeoutError:
                for socket in list(self.sockets.values()):
                    socket.transport.abort()
        for event_id in self._streams:
            self._unfollow(event_id)
        self._pacemaker.stop()
        self._pacemaker.loop = None

    def protocol_class(self) -> type[Socket]:
        """Return the class that serves this hub's sockets, for uvicorn's `ws` slot."""
        return type("HubSocket", (Socket,), {"__slots__": (), "desk": self})

    def logs_unknown(self) -> int:
        """Return of how many showings the bus has not yet said which log is theirs."""
        return sum(stream.epoch is None for stream in self._streams.values())

    def counts(self) -> Mapping[str, int]:
        """Return what there is to count, for metrics and readiness."""
        subscribed = sum(len(stream.subscribers) for stream in self._streams.values())
        behind = sum(one.behind is not None for stream in self._streams.values() for one in stream.subscribers.values())
        return {
            "sockets": len(self.sockets),
            "subscribed": subscribed,
            "behind": behind,
            "catching_up": self._outbox.catching_up,
            "cues_sent": self._outbox.cues_sent,
            "alarms": self._outbox.alarms,
        }

    @property
    def streams(self) -> Mapping[str, Stream]:
        """Return the streams by event id, to be looked at."""
        return self._streams

    @property
    def tallies(self) -> HubCounts:
        """Return what was done so far."""
        return self._outbox.counts

    def all_buffered_bytes(self) -> int:
        """Return how much waits in all sockets together."""
        return sum([socket.transport.get_write_buffer_size() for socket in self.sockets.values()])

    # What revocations say.

    def revoke(self, subject: Subject) -> None:
        """Say goodbye, now, to all whom a revocation concerns; who does not take it at once is cut."""
        dismiss(self, self.grants.find(subject), Bye(CloseCode.REVOKED))

    def end_all(self) -> None:
        """Send everybody away: it is not known any more who may stay. They may come back."""
        dismiss(self, self.grants.all(), Bye(CloseCode.OVERLOADED, "stale"))

    def review(self, judge: Judge) -> Iterator[None]:
        """Ask again about everybody who is here: who must go is told why, who may wager no more, or again, that.

        Pauses between slices, so that the others get their cues.
        """
        for count, number in enumerate(self.grants.all(), 1):
            # Gone since the review began.
            if (socket := self.sockets.get(number)) is not None:
                self._review(socket, judge)
            if count % _REVIEW_STEP == 0:
                yield

    def _review(self, socket: Socket, judge: Judge) -> None:
        subscriber = socket.subscriber
        if subscriber is None or subscriber.phase is Phase.CLOSING:
            return
        zones = subscriber.zones
        refusal = self._dialogue.review(subscriber, judge, self._bus.now())
        if refusal is not None:
            self.close(socket, refusal)
        elif subscriber.phase is Phase.SUBSCRIBED:
            # Ahead of its cues: it may mean that everything is suspended.
            self._tell_one(self._streams[subscriber.event_id], subscriber, ahead=True)
            if subscriber.zones is not zones:
                self.settle(subscriber.event_id)

    # What the bus says.

    def begin_epoch(self, event_id: str) -> None:
        """Send everybody of a stream away, and forget it: no cursor and no media time means anything now."""
        log.warning("epoch.changed", event_id=event_id)
        for socket in [one for one in self.sockets.values() if one.subscriber and one.subscriber.event_id == event_id]:
            self.close(socket, Bye(CloseCode.GOING_AWAY, "epoch_changed"))
        self._unfollow(event_id)
        self._streams[event_id] = Stream(self._streams[event_id].showing, self.settings)
        self._told[event_id] = (False, False)
        self._outbox.begin_anew(event_id)
        self._follow(event_id)

    def tell_feeds(self, event_id: str, changed: list[FeedState]) -> None:
        """Say how sources are, to all who may know of them."""
        for state in changed:
            log.info("feed.changed", event_id=event_id, source=state.source, state=state.state.value)
            frames: dict[Format, bytes] = {}
            for subscriber in list(self._streams[event_id].subscribers.values()):
                if state.source not in subscriber.filter.hidden:
                    form = subscriber.format
                    self._outbox.say(
                        subscriber, frames.get(form) or frames.setdefault(form, reply_frame(feed_map(state), form))
                    )

    def settle(self, event_id: str) -> None:
        """Write what has come out of a stream, say at once whether bets may be taken, and set the timer."""
        stream, told = self._streams[event_id], self._told[event_id]
        wagering, judged = stream.wagering, stream.take_judged()
        for subscriber in judged:
            if not stream.may_wager_of(subscriber):
                self._tell_one(stream, subscriber, ahead=True)
        if wagering < told:
            self._tell_may_wager(event_id, ahead=True)
        self._outbox.flush(event_id)
        dismiss(self, stream.take_blacked_out(), Bye(CloseCode.BLACKOUT))
        for subscriber in judged:
            if subscriber.phase is Phase.SUBSCRIBED:
                self._tell_one(stream, subscriber)
        if wagering != self._told[event_id]:
            # Bets open again only behind the cues that their picture has brought.
            self._tell_may_wager(event_id)
        self._pacemaker.hurry(stream.next_deadline())

    def _tell_may_wager(self, event_id: str, *, ahead: bool = False) -> None:
        stream = self._streams[event_id]
        self._told[event_id] = stream.wagering
        log.info("wagering.changed", event_id=event_id, may_wager=stream.may_wager, sync=stream.sync)
        for subscriber in list(stream.subscribers.values()):
            self._tell_one(stream, subscriber, ahead=ahead)

    def _tell_one(self, stream: Stream, subscriber: Subscriber, *, ahead: bool = False) -> None:
        if subscriber.told_may_wager is not stream.may_wager_of(subscriber):
            # To paused sockets too: it may mean that everything is suspended.
            self._outbox.say(subscriber, self._heartbeat(subscriber, ahead=ahead))

    def soon(self, call: Callable[[], None]) -> None:
        """Call something in the next turn of the loop."""
        assert self._loop is not None  # there are no sockets before `start`
        self._loop.call_soon(call)

    def _heartbeat(self, subscriber: Subscriber, *, ahead: bool = False) -> bytes:
        now = self._bus.now()
        hashed = now >= subscriber.hash_at and not ahead
        if hashed:
            subscriber.hash_at = now + self.settings.hash_interval_s
        message = self._dialogue.heartbeat(subscriber, now=now, wall=self._wall(), hashed=hashed, ahead=ahead)
        return self._frame(message, subscriber.format)

    def _frame(self, message: Mapping[str, Any], format_: Format) -> bytes:
        """Return a frame; those who stand together and are told something in one millisecond are told the same."""
        key = (message["op"], format_)
        said, framed = self._last_said.get(key, (None, b""))
        if said != message:
            framed = reply_frame(message, format_)
            self._last_said[key] = (message, framed)
        return framed

    def _is_full(self) -> bool:
        return self._outbox.catching_up >= self.settings.max_catching_up

    # What the sockets say.

    def arrive(self, socket: Socket, event_id: str, token: str | None, origin: str | None, format_: Format) -> None:
        """Greet an upgraded connection, or say why it cannot stay."""
        now, wall = self._bus.now(), self._wall()
        number, self._next_number = self._next_number, self._next_number + 1
        subscriber = Subscriber(number, event_id, self.settings, now)
        subscriber.format = format_
        subscriber.write, subscriber.address = socket.write, socket.address
        socket.subscriber = subscriber
        self.sockets[number] = socket
        self._outbox.counts.connections += 1
        if self._draining:
            self.close(socket, Bye(CloseCode.GOING_AWAY))
        elif len(self.sockets) > self.settings.max_subscribers:
            self.close(socket, Bye(CloseCode.OVERLOADED))
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
            self.close(socket, Bye(CloseCode.RATE))
            return False
        return True

    def message(self, socket: Socket, data: bytes) -> None:
        """Answer a message."""
        subscriber = socket.subscriber
        assert subscriber is not None  # messages come after the handshake
        phase = subscriber.phase
        replies = self._dialogue.receive(subscriber, data, now=self._bus.now(), wall=self._wall())
        self._answer(socket, replies)
        if subscriber.behind is not None and subscriber.paused_at is None:
            self._outbox.catch_up_soon(subscriber)
        if subscriber.phase is not phase or subscriber.phase is Phase.SUBSCRIBED:
            self._set_beat(subscriber)
        if subscriber.event_id in self._streams:
            self.settle(subscriber.event_id)

    def refuse(self, socket: Socket, code: CloseCode, reason: str) -> None:
        """Close a connection for what its socket has found out."""
        self.close(socket, Bye(code, reason))

    def paused(self, socket: Socket) -> None:
        """Take a socket out of the hot set; what is due meanwhile is owed to it."""
        subscriber = socket.subscriber
        assert subscriber is not None  # sockets tell of greeted connections only
        subscriber.paused_at = self._bus.now()
        subscriber.buffer_mark = socket.transport.get_write_buffer_size()
        stream = self._streams.get(subscriber.event_id)
        if stream is not None:
            stream.fall_behind(subscriber)
        self._set_beat(subscriber)

    def resumed(self, socket: Socket) -> None:
        """Go on with a socket that has drained."""
        subscriber = socket.subscriber
        assert subscriber is not None  # sockets tell of greeted connections only
        subscriber.paused_at = None
        if subscriber.behind is not None:
            self._outbox.catch_up_soon(subscriber)

    def lost(self, socket: Socket) -> None:
        """Forget a connection."""
        subscriber = socket.subscriber
        assert subscriber is not None  # sockets tell of greeted connections only
        self._leave(subscriber)
        self.grants.remove(subscriber.number)
        subscriber.phase = Phase.CLOSING
        self._pacemaker.remove(subscriber)
        self.sockets.pop(subscriber.number, None)
        if not self.sockets:
            self._emptied.set()

    def _answer(self, socket: Socket, replies: list[Reply]) -> None:
        subscriber = socket.subscriber
        assert subscriber is not None  # greeted before answered
        # All in one write: a system call is the dearest part of a short answer.
        frames = [self._frame(reply, subscriber.format) for reply in replies if not isinstance(reply, Bye)]
        if frames:
            self._outbox.say(subscriber, b"".join(frames))
        for reply in replies:
            if isinstance(reply, Bye):
                self.close(socket, reply)
                return

    def close(self, socket: Socket, bye: Bye, *, retry_ms: int | None = None) -> None:
        """Close a connection, and say why."""
        farewell = self.part(socket, bye, retry_ms=retry_ms)
        if farewell is not None:
            subscriber = socket.subscriber
            assert subscriber is not None  # closed by the hub means greeted by the hub
            reason = bye.reason or bye.code.text
            log.info("subscriber.closed", number=subscriber.number, code=int(bye.code), reason=reason)
            self.say_goodbye(socket, farewell, bye)

    def part(self, socket: Socket, bye: Bye, *, retry_ms: int | None = None) -> bytes | None:
        """Take a connection out of all that is sent; return its farewell, None if it has had it."""
        subscriber = socket.subscriber
        assert subscriber is not None  # closed by the hub means greeted by the hub
        if subscriber.phase is Phase.CLOSING:
            if bye.code in CUT:
                hasten(subscriber, by=self._bus.now() + self.settings.cut_after_s)
                self._set_beat(subscriber)
            return None
        if retry_ms is None and bye.code in (CloseCode.OVERLOADED, CloseCode.GOING_AWAY):
            # Spread: they would otherwise come back as they went, all at once.
            spread = self.settings.retry_spread_ms * (subscriber.number * _GOLDEN % 1)
            retry_ms = self.settings.retry_ms + round(spread)
        # Before it leaves: its cursor says what it was sent.
        message = self._dialogue.bye(subscriber, bye, retry_ms)
        self._leave(subscriber)
        subscriber.phase = Phase.CLOSING
        subscriber.revoked = bye.code in CUT
        self._outbox.counts.closed[bye.code] += 1
        return self._frame(message, subscriber.format)

    def say_goodbye(self, socket: Socket, farewell: bytes, bye: Bye) -> None:
        """Say it, and wait for the peer's own for so long."""
        subscriber = socket.subscriber
        assert subscriber is not None  # closed by the hub means greeted by the hub
        patience_s = self.settings.cut_after_s if subscriber.revoked else self.settings.close_timeout_s
        subscriber.close_by = self._bus.now() + patience_s
        self._set_beat(subscriber)
        try:
            socket.close(farewell, bye.code)
        except RuntimeError:  # uvloop, on a transport that died within this turn (TRAPS 16)
            socket.transport.abort()

    def fail(self, subscriber: Subscriber) -> None:
        """Close a connection because we were about to break a promise to it."""
        self.close(self.sockets[subscriber.number], Bye(CloseCode.INTERNAL))

    def buffered_bytes(self, subscriber: Subscriber) -> int:
        """Return how much waits in a subscriber's socket."""
        return self.sockets[subscriber.number].transport.get_write_buffer_size()

    def cut(self, subscriber: Subscriber) -> None:
        """End a connection without a word: nobody reads there any more."""
        self._outbox.counts.cut += 1
        log.info("subscriber.cut", number=subscriber.number)
        self._leave(subscriber)
        self.grants.remove(subscriber.number)
        self._pacemaker.remove(subscriber)
        subscriber.phase = Phase.CLOSING
        subscriber.hang_up()
        transport = self.sockets[subscriber.number].transport
        if subscriber.revoked:
            cut(transport)
        else:
            # What the kernel has may still reach a slow reader, the reason for our going included.
            transport.abort()

    def _leave(self, subscriber: Subscriber) -> None:
        self._outbox.drop(subscriber)
        stream = self._streams.get(subscriber.event_id)
        if stream is not None:
            stream.leave(subscriber)

    # Time.

    def _set_beat(self, subscriber: Subscriber) -> None:
        if subscriber.phase is Phase.CLOSING and subscriber.close_by is None:
            return  # cut: nothing is awaited any more
        at = next_beat(subscriber, self.settings, now=self._bus.now(), wall=self._wall())
        self._pacemaker.put(subscriber, at)

    def _beat(self, subscriber: Subscriber) -> None:
        socket = self.sockets[subscriber.number]
        buffered = self.buffered_bytes(subscriber)
        due = beat(subscriber, self.settings, now=self._bus.now(), wall=self._wall(), buffered_bytes=buffered)
        for what in due:
            if isinstance(what, Bye):
                self.close(socket, what)
                return
            if what is Beat.ABORT:
                self.cut(subscriber)
                return
            if what is Beat.PING:
                socket.ping()
            else:
                self._outbox.say(subscriber, self._heartbeat(subscriber))
        self._set_beat(subscriber)
