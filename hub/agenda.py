"""What will be due when: one queue, ordered by (instant, key).

Timers of an event loop with equal deadlines fire out of order; so there is one timer, and this beneath it. An instant
may be bus time, or a place in the stream.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T", float, int)


class Agenda(Generic[T]):
    """Keep at most one instant for each key; ties are taken in the order of the keys."""

    def __init__(self) -> None:
        self._instants: dict[int, T] = {}
        self._heap: list[tuple[T, int]] = []

    def put(self, key: int, instant: T | None) -> None:
        """Set the instant of a key, in place of the one it had; None takes it out."""
        if instant is None:
            self._instants.pop(key, None)
        elif self._instants.get(key) != instant:
            self._instants[key] = instant
            heappush(self._heap, (instant, key))
            if len(self._heap) > 64 + 4 * len(self._instants):
                self._heap = [(at, known) for known, at in self._instants.items()]
                heapify(self._heap)

    def next(self) -> T | None:
        """Return the earliest instant, None if there is none."""
        while self._heap:
            instant, key = self._heap[0]
            if self._instants.get(key) == instant:
                return self._instants[key]
            heappop(self._heap)
        return None

    def at(self, key: int) -> T | None:
        """Return the instant of a key, None if it has none."""
        return self._instants.get(key)

    def take(self, now: T) -> list[tuple[T, int]]:
        """Take out and return the instants that are `now` or earlier with their keys, in order."""
        taken = []
        while (instant := self.next()) is not None and instant <= now:
            key = heappop(self._heap)[1]
            del self._instants[key]
            taken.append((instant, key))
        return taken
