"""What a place database says of IPv4 as a table: where a record begins to hold, and which; a look-up is a bisection.

Following a tree bit by bit takes three microseconds, whatever else is done about it; a table of four million rows takes
half of one, 32 MB, and some seconds to make. Neighbouring networks with the same record are one row.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from kernel.errors import DecodeError
from relay.place.geo_tree import SearchTree

MAX_ROWS = 1 << 24
"""128 MB. MaxMind's Enterprise database has some six million networks of IPv4."""

MAX_STEPS = 1 << 26
"""Nodes that are looked at: a tree that leads in circles has no end."""

PACKED = "IIII"
"""Types of the arrays: first addresses, records, pages, the tree's numbers of the records."""

_PAGES = 1 << 16


class RecordTable:
    """Find records of IPv4 addresses. Never changes. Made by `table_of` or `unpack`.

    Args:
        starts: the first address of each row as a number, ascending; the first one is 0.
        records: which record each row has, counted from 1; 0 for none.
        pages: for each first half of an address, and behind the last, how many rows begin before it.
        numbers: by which number `SearchTree.record` knows each record; 0 for none.

    Raises:
        DecodeError: they do not belong together.
    """

    __slots__ = ("_numbers", "_pages", "_records", "_starts")

    def __init__(self, starts: array[int], records: array[int], pages: array[int], numbers: array[int]) -> None:
        codes = "".join(part.typecode for part in (starts, records, pages, numbers))
        if codes != PACKED or len(starts) != len(records) or len(pages) != _PAGES + 1 or not starts or starts[0]:
            raise DecodeError("a table of records: the parts do not belong together")
        if not numbers or numbers[0] or len(numbers) > len(starts) + 1:
            raise DecodeError("a table of records: its numbers do not belong there")
        self._starts = starts
        self._records = records
        self._pages = pages
        self._numbers = numbers

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._starts)

    @property
    def n_records(self) -> int:
        """Return how many records there are, with that which stands for none."""
        return len(self._numbers)

    def record(self, number: int) -> int:
        """Return what the tree has for the record of an address, given as a number of 32 bits; 0: it has none."""
        return self._numbers[self.place(number)]

    def place(self, number: int) -> int:
        """Return which record an address has, from 1 to below `n_records`; 0: it has none."""
        pages, page = self._pages, number >> 16
        # The row before them all began on an earlier page, and goes on.
        return self._records[bisect_right(self._starts, number, pages[page], pages[page + 1]) - 1]

    def pack(self) -> list[bytes]:
        """Return the contents of the arrays of which `unpack` makes the same again, on a machine of the same kind."""
        return [part.tobytes() for part in (self._starts, self._records, self._pages, self._numbers)]

    @classmethod
    def unpack(cls, parts: Sequence[array[int]]) -> RecordTable:
        """Return the table of which these are the arrays; they are kept, not copied.

        Raises:
            DecodeError: they do not belong together.
        """
        if len(parts) != len(PACKED):
            raise DecodeError("a table of records: a part is missing")
        return cls(*parts)


def table_of(tree: SearchTree) -> RecordTable:
    """Return the table that says the same of every IPv4 address as `tree`.

    Raises:
        DecodeError: it would have too many rows, or the tree leads in circles.
        struct.error: the tree is corrupt.
    """
    n_nodes, children = tree.n_nodes, tree.children
    starts, records, last = array("I"), array("I"), -1
    # Counted as they come: what is remembered of a record is found by its place then, and not by its number.
    numbers, places = array("I", [0]), {0: 0}
    steps = 0
    # What is to the right of the way down: node, its first address, how many bits are below it.
    waiting = [(tree.ipv4, 0, 32)]
    while waiting:
        node, start, bits = waiting.pop()
        while node < n_nodes and bits:
            node, right = children(node)
            bits -= 1
            waiting.append((right, start | 1 << bits, bits))
            steps += 1
        record = node if node > n_nodes else 0
        if record != last:
            place = places.get(record)
            if place is None:
                place = places[record] = len(numbers)
                numbers.append(record)
            starts.append(start)
            records.append(place)
            last = record
        if len(starts) > MAX_ROWS or steps > MAX_STEPS:
            raise DecodeError(f"its IPv4 networks are more than {MAX_ROWS}, or go in circles")
    # A bisection among the rows of a page is half as long as one among all.
    pages = array("I", [0])
    for page in range(1, _PAGES):
        pages.append(bisect_left(starts, page << 16, pages[-1]))
    pages.append(len(starts))
    return RecordTable(starts, records, pages, numbers)
