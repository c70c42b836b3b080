"""The search tree of a place database: which of its records is for an address, without reading the record.

A record of a city database holds a hundred names in eight languages, and making Python values of them takes five times
as long as finding it. Many networks share one. So a record's place in the file is found here, and what was made of it
is remembered under that; who decodes records is maxminddb, as ever.

MaxMind DB File Format Specification 2.0, "Binary Search Tree Section": a node is two numbers of 24, 28 or 32 bits, one
for each value of the address' next bit. Below the number of nodes it is a node, equal to it nothing, above it a record.
IPv4 lies below ::/96.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from relay.place.addresses import Address

MAX_REMEMBERED = 65_536
"""First halves of IPv4 addresses: all of them. Of IPv6's first 32 bits, those that were asked for lately."""

_WORD = struct.Struct(">Q").unpack_from
_Body = bytes | memoryview
_Walk = Callable[[int, int, int, int], int]


class SearchTree:
    """Find records.

    Args:
        body: the database; the tree is its beginning.
        n_nodes: how many nodes it has.
        record_bits: 24, 28 or 32.
        holds_ipv6: whether addresses have 128 bits there, or 32.

    Raises:
        ValueError: the records have another size, or the tree is larger than the body.
    """

    def __init__(self, body: _Body, *, n_nodes: int, record_bits: int, holds_ipv6: bool) -> None:
        if record_bits not in _WALKS:
            raise ValueError(f"records of {record_bits} bits: 24, 28 or 32 are known")
        # A node is read as eight bytes; behind the last one are sixteen that separate it from the data.
        if n_nodes * record_bits // 4 + 16 > len(body):
            raise ValueError(f"{n_nodes} nodes are more than there is room for")
        self._walk = _WALKS[record_bits](body, n_nodes)
        self._holds_ipv6 = holds_ipv6
        self.n_nodes = n_nodes
        self.ipv4 = self._walk(0, 0, 96, 96) if holds_ipv6 else 0
        """The node below which IPv4 is, or what is there instead."""
        self._halves: dict[int, int] = {}
        self._quarters: dict[int, int] = {}

    def record(self, address: Address) -> int | None:
        """Return a number that stands for the record of an address, the same for all that share it; None: it has none.

        Raises:
            struct.error: the tree is corrupt there.
        """
        number = address.number
        if address.is_ipv4:
            node = self._halves.get(number >> 16)
            if node is None:
                node = self._halves[number >> 16] = self._walk(self.ipv4, number, 32, 16)
            found = self._walk(node, number, 16, 16)
        elif self._holds_ipv6:
            node = self._quarters.get(number >> 96)
            if node is None:
                node = self._walk(0, number, 128, 32)
                if len(self._quarters) >= MAX_REMEMBERED:
                    self._quarters.clear()
                self._quarters[number >> 96] = node
            found = self._walk(node, number, 96, 96)
        else:
            return None
        return found if found > self.n_nodes else None

    def children(self, node: int) -> tuple[int, int]:
        """Return what follows a node for a bit that is 0, and for one that is 1.

        Raises:
            struct.error: the tree is corrupt there.
        """
        return self._walk(node, 0, 1, 1), self._walk(node, 1, 1, 1)


def _walk_28(body: _Body, n_nodes: int) -> _Walk:
    def walk(node: int, number: int, width: int, bits: int) -> int:
        """Follow `bits` bits of a number of `width` bits that count, from a node on; stop at what is none."""
        for shift in range(width - 1, width - bits - 1, -1):
            if node >= n_nodes:
                break
            word = _WORD(body, 7 * node)[0] >> 8
            node = word & 0xFFF_FFFF if number >> shift & 1 else word >> 32 | (word >> 28 & 15) << 24
        return node

    return walk


def _walk_24(body: _Body, n_nodes: int) -> _Walk:
    def walk(node: int, number: int, width: int, bits: int) -> int:
        for shift in range(width - 1, width - bits - 1, -1):
            if node >= n_nodes:
                break
            word = _WORD(body, 6 * node)[0] >> 16
            node = word & 0xFF_FFFF if number >> shift & 1 else word >> 24
        return node

    return walk


def _walk_32(body: _Body, n_nodes: int) -> _Walk:
    def walk(node: int, number: int, width: int, bits: int) -> int:
        for shift in range(width - 1, width - bits - 1, -1):
            if node >= n_nodes:
                break
            word = _WORD(body, 8 * node)[0]
            node = word & 0xFFFF_FFFF if number >> shift & 1 else word >> 32
        return node

    return walk


_WALKS: dict[int, Callable[[_Body, int], _Walk]] = {24: _walk_24, 28: _walk_28, 32: _walk_32}
