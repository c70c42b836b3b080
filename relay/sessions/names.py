"""Names in their order, a hundred thousand of them: adding one moves some hundred others, not all."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

PART = 512
"""A part that has grown beyond twice as many names is cut in two."""


class Names:
    """A sorted set of names."""

    def __init__(self) -> None:
        self._parts: list[list[str]] = [[]]
        self._turn = ""

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(len(part) for part in self._parts)

    def add(self, name: str) -> None:
        """Add one that is not there."""
        at = self._part_of(name)
        part = self._parts[at]
        insort(part, name)
        if len(part) > 2 * PART:
            self._parts[at : at + 1] = [part[:PART], part[PART:]]

    def remove(self, name: str) -> None:
        """Remove one that is there."""
        at = self._part_of(name)
        part = self._parts[at]
        del part[bisect_left(part, name)]
        if not part and len(self._parts) > 1:
            del self._parts[at]

    def beyond(self, after: str, count: int) -> list[str]:
        """Return up to `count` names that come after one, in their order."""
        found: list[str] = []
        at = self._part_of(after)
        begin = bisect_right(self._parts[at], after)
        while len(found) < count and at < len(self._parts):
            found += self._parts[at][begin : begin + count - len(found)]
            at, begin = at + 1, 0
        return found

    def turn(self, count: int) -> list[str]:
        """Return the next `count` names, going round and round; fewer at the end of a round."""
        found = self.beyond(self._turn, count)
        self._turn = found[-1] if len(found) == count else ""
        return found

    def _part_of(self, name: str) -> int:
        """Return the last part that begins at the name or before it."""
        return max(0, bisect_right(self._parts, name, key=lambda part: part[0] if part else "") - 1)
