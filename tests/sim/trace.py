"""What happened, line by line: hashed as a whole, the last lines kept for whoever has to look at a failure."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LINES_KEPT = 40


class ViolationError(Exception):
    """An invariant did not hold: which one, and how."""


class Trace:
    """Write down what happens; `now` is virtual time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._hash = hashlib.blake2b(digest_size=16)
        self.tail: deque[str] = deque(maxlen=LINES_KEPT)
        self.lines = 0

    def __call__(self, text: str) -> None:
        """Write a line."""
        line = f"{self._now():.6f} {text}"
        self._hash.update(line.encode())
        self.tail.append(line)
        self.lines += 1

    def digest(self) -> str:
        """Return the hash of all lines so far."""
        return self._hash.hexdigest()
