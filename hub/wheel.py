"""One timer wheel for all sockets: heartbeats, pings and time limits share it, so an idle socket owns no timer."""

from __future__ import annotations

from heapq import heappop, heappush
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.subscriber import Subscriber


class Wheel:
    """Hold every subscriber in one slot, the one of its next beat; a slot is `tick_s` seconds wide."""

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        # Dicts, not sets: the order must not differ from run to run.
        self._slots: dict[int, dict[int, Subscriber]] = {}
        self._order: list[int] = []

    def put(self, subscriber: Subscriber, at: float) -> float:
        """Let a subscriber beat at bus time `at`, up to one tick later, in place of the beat it had; return when."""
        self.remove(subscriber)
        number = ceil(at / self._tick_s)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            heappush(self._order, number)
        slot[subscriber.number] = subscriber
        subscriber.slot = number
        subscriber.beat_at = at
        return number * self._tick_s

    def remove(self, subscriber: Subscriber) -> None:
        """Take a subscriber out; one that is not in stays out."""
        slot = self._slots.get(subscriber.slot)
        if slot is not None:
            slot.pop(subscriber.number, None)
        subscriber.slot = -1

    def next(self) -> float | None:
        """Return the bus time of the earliest beat, None if there is none."""
        while self._order:
            if self._slots[self._order[0]]:
                return self._order[0] * self._tick_s
            del self._slots[heappop(self._order)]
        return None

    def take(self, now: float) -> list[Subscriber]:
        """Take out and return all who beat at `now` or earlier."""
        taken: list[Subscriber] = []
        while (at := self.next()) is not None and at <= now:
            slot = self._slots.pop(heappop(self._order))
            taken.extend(slot.values())
        for subscriber in taken:
            subscriber.slot = -1
        return taken
