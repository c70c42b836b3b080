"""One timer for the whole hub: the streams' deadlines and the sockets' beats beneath it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hub.wheel import Wheel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from hub.stream import Stream
    from hub.subscriber import Subscriber

_SHORTEST_WAIT_S = 0.001
"""uvloop's clock ticks in ms: an instant that rounding puts a little ahead must not make the loop spin."""

BEATS_A_TURN = 50
"""How many heartbeats and pings are sent before others have their turn: 2 to 5 ms."""


class Pacemaker:
    """Call back when a stream or a subscriber is due.

    Args:
        streams: by event id; of equal deadlines the first named comes first.
        tick_s: to how many seconds beats are exact.
        now: bus time in seconds.
        settle: is called with the event id of a stream whose timer has run.
        beat: is called with a subscriber whose beat has come.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        tick_s: float,
        *,
        now: Callable[[], float],
        settle: Callable[[str], None],
        beat: Callable[[Subscriber], None],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._streams = streams
        self._wheel = Wheel(tick_s)
        self._now = now
        self._settle = settle
        self._beat = beat
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0
        self._beating: dict[int, Subscriber] = {}

    def put(self, subscriber: Subscriber, at: float) -> None:
        """Let a subscriber beat at bus time `at`, in place of the beat it had."""
        self.hurry(self._wheel.put(subscriber, at))

    def remove(self, subscriber: Subscriber) -> None:
        """Let a subscriber beat no more."""
        self._wheel.remove(subscriber)
        self._beating.pop(subscriber.number, None)

    def arm(self) -> None:
        """Have the one timer fire at the earliest deadline; nothing happens before the loop is known."""
        if self._beating:
            self.hurry(self._now())
            return
        instants = [self._wheel.next(), *(stream.next_deadline() for stream in self._streams.values())]
        self.hurry(min((instant for instant in instants if instant is not None), default=None))

    def hurry(self, at: float | None) -> None:
        """Have the timer fire at bus time `at` or earlier; None: never mind.

        A deadline that moves away leaves the timer where it is: it finds nothing to do then, and is armed anew. So
        whoever has moved one deadline need not look at all others.
        """
        if at is None or self.loop is None or (self._timer is not None and self._at <= at):
            return
        self.stop()
        self._at = at
        self._timer = self.loop.call_later(max(at - self._now(), _SHORTEST_WAIT_S), self._fire)

    def stop(self) -> None:
        """Let nothing fire until armed again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        now = self._now()
        due = [
            (at, number, event_id)
            for number, (event_id, stream) in enumerate(self._streams.items())
            if (at := stream.next_deadline()) is not None and at <= now
        ]
        for _, _, event_id in sorted(due):
            self._streams[event_id].timer(now)
            self._settle(event_id)
        self._beating.update((subscriber.number, subscriber) for subscriber in self._wheel.take(now))
        # Those who came together beat together for ever: two thousand of them at once would delay a suspend.
        for number in list(islice(self._beating, BEATS_A_TURN)):
            subscriber = self._beating.pop(number, None)
            if subscriber is not None:
                self._beat(subscriber)
        self.arm()
