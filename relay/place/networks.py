"""Sets of networks: intervals of numbers, sorted and merged, in arrays; a look-up is a bisection.

Two million networks of IPv4 take 16 MB, of IPv6 64 MB. A network written in IPv6 that carries IPv4 (see `addresses`) is
the IPv4 one: addresses are asked for in the form that counts.

A list, as most who publish one do it: a network (CIDR) or an address a line, what follows it after blanks, a comma or
a semicolon is remarks, `#` and `;` begin a comment. A list is taken whole or not at all, for half of one would let
through what the other half names; so an empty one is refused unless it says by a comment that it is meant to be.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network

from kernel.errors import DecodeError, MessageTooLarge
from relay.place.addresses import Address, carried_ipv4, ipv4_number

MAX_LINES = 2_000_000
"""The largest lists published have some hundred thousand."""

MAX_LINE_CHARS = 512
"""A network has 43 characters at most; remarks are short."""

MAX_LIST_BYTES = 128 << 20
"""Two million lines of 64."""

PACKED = "IIQQQQ"
"""Types of the arrays: first and last addresses of IPv4; of IPv6, in halves, the first ones and the last ones."""

Interval = tuple[int, int]
"""First and last address, as numbers."""

_EVERYBODY = ((1 << 128) - 1, (1 << 32) - 1)
_FULL_64 = (1 << 64) - 1
_6TO4 = 0x2002
_6TO4_BITS = 24
"""All of 2002::/16 would be all of IPv4, which who writes it can hardly mean: from /24 on, an IPv4 /8."""
_CARRYING_BITS = 96
_QUOTED_CHARS = 60
_HOST_MASKS = {str(bits): (1 << 32 - bits) - 1 for bits in range(33)}
_REMARK = re.compile(r"[\s,;]")


class Networks:
    """Hold networks, and say of an address whether it is in one of them. Never changes.

    Args:
        ipv4: intervals of IPv4 addresses, in any order, overlapping or not.
        ipv6: the same of IPv6.
    """

    __slots__ = ("_ends", "_high_ends", "_high_starts", "_low_ends", "_low_starts", "_starts")

    def __init__(self, ipv4: Iterable[Interval] = (), ipv6: Iterable[Interval] = ()) -> None:
        self._starts, self._ends = array("I"), array("I")
        for start, end in _merged(ipv4):
            self._starts.append(start)
            self._ends.append(end)
        # No array holds 128 bits: upper and lower half lie apart.
        self._high_starts, self._low_starts = array("Q"), array("Q")
        self._high_ends, self._low_ends = array("Q"), array("Q")
        for start, end in _merged(ipv6):
            self._high_starts.append(start >> 64)
            self._low_starts.append(start & _FULL_64)
            self._high_ends.append(end >> 64)
            self._low_ends.append(end & _FULL_64)

    def __len__(self) -> int:
        """Return how many intervals there are: neighbouring networks are one."""
        return len(self._starts) + len(self._high_starts)

    def holds(self, address: Address) -> bool:
        """Return whether `address` lies in one of the networks."""
        number = address.number
        if address.is_ipv4:
            at = bisect_right(self._starts, number) - 1
            return at >= 0 and number <= self._ends[at]
        high, low = number >> 64, number & _FULL_64
        starts = self._high_starts
        first = bisect_left(starts, high)
        behind = bisect_right(starts, high, first)
        # Of those that begin in the same upper half, the last that begins no later; else the one before them all.
        at = bisect_right(self._low_starts, low, first, behind) - 1
        return at >= 0 and (self._high_ends[at], self._low_ends[at]) >= (high, low)

    def intervals(self) -> Iterator[tuple[bool, int, int]]:
        """Return whether it is of IPv4, first and last address of each interval, in order."""
        for start, end in zip(self._starts, self._ends, strict=True):
            yield True, start, end
        for at, high in enumerate(self._high_starts):
            yield False, high << 64 | self._low_starts[at], self._high_ends[at] << 64 | self._low_ends[at]

    def pack(self) -> list[bytes]:
        """Return the contents of the arrays of which `unpack` makes the same again, on a machine of the same kind."""
        return [part.tobytes() for part in self._parts()]

    @classmethod
    def unpack(cls, parts: Sequence[array[int]]) -> Networks:
        """Return the networks of which these are the arrays, of the types in PACKED; they are kept, not copied.

        Raises:
            DecodeError: they do not belong together.
        """
        lengths = [len(part) for part in parts]
        if [part.typecode for part in parts] != list(PACKED) or len(set(lengths[:2])) > 1 or len(set(lengths[2:])) > 1:
            raise DecodeError("packed networks: the parts do not belong together")
        made = cls()
        made._starts, made._ends, made._high_starts, made._low_starts, made._high_ends, made._low_ends = parts
        return made

    def _parts(self) -> tuple[array[int], ...]:
        return self._starts, self._ends, self._high_starts, self._low_starts, self._high_ends, self._low_ends


def networks_of(texts: Iterable[str]) -> Networks:
    """Return the networks that are written in `texts`, each as CIDR or as a single address.

    Raises:
        DecodeError: one of them is none.
    """
    ipv4: list[Interval] = []
    ipv6: list[Interval] = []
    for text in texts:
        is_ipv4, start, end = parse_network(text)
        (ipv4 if is_ipv4 else ipv6).append((start, end))
    return Networks(ipv4, ipv6)


def parse_network(text: str) -> tuple[bool, int, int]:
    """Return whether a network, written as CIDR or as a single address, is of IPv4, its first and its last address.

    Raises:
        DecodeError: it is none, or has bits set beyond its prefix.
    """
    head, slash, bits = text.partition("/")
    number = ipv4_number(head)
    if number is not None:
        rest = _HOST_MASKS.get(bits) if slash else 0
        if rest is None or number & rest:
            raise DecodeError(_why_not(text))
        return True, number, number | rest
    if len(text) > MAX_LINE_CHARS:
        raise DecodeError(f"{_quoted(text)} is no network: write one such as 198.51.100.0/24, or an address")
    try:
        network = ip_network(text)
    except ValueError:
        raise DecodeError(_why_not(text)) from None
    if isinstance(network, IPv4Network):
        # The library takes netmasks, too, and nobody else's parser does.
        raise DecodeError(_why_not(text))
    return _in_its_form(network)


def parse_list(body: bytes, name: str) -> Networks:
    """Return the networks of a list, see above.

    Args:
        body: the list as it lies in a file, UTF-8.
        name: of the list, for errors.

    Raises:
        DecodeError: a line is no network, or there is none; the message names the line.
        MessageTooLarge: it is longer than limits say.
    """
    if len(body) > MAX_LIST_BYTES:
        raise MessageTooLarge(f"{name} has {len(body)} bytes: {MAX_LIST_BYTES} are read; split it")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = body.count(b"\n", 0, error.start) + 1
        raise DecodeError(f"{name}, line {at}: no UTF-8: is it a list?") from None
    del body
    ipv4: list[Interval] = []
    ipv6: list[Interval] = []
    told = 0
    for at, line in enumerate(_lines(text, name), 1):
        words = line.lstrip()
        if not words or words[0] in "#;":
            told += bool(words)
            continue
        try:
            is_ipv4, start, end = parse_network(_REMARK.split(words.partition("#")[0], maxsplit=1)[0])
            if end - start == _EVERYBODY[is_ipv4]:
                raise DecodeError("this is everybody: is it a list?")
        except DecodeError as error:
            raise DecodeError(f"{name}, line {at}: {error}") from None
        (ipv4 if is_ipv4 else ipv6).append((start, end))
    if not ipv4 and not ipv6 and not told:
        raise DecodeError(f"{name} is empty: a list that is meant to be says so in a comment (# ...)")
    return Networks(ipv4, ipv6)


def _lines(text: str, name: str) -> Iterator[str]:
    """Return the lines one after another, without a list of two million."""
    at, number = 0, 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        number += 1
        if number > MAX_LINES:
            raise MessageTooLarge(f"{name} has more than {MAX_LINES} lines: split it, or write larger networks")
        if end - at > MAX_LINE_CHARS:
            raise MessageTooLarge(f"{name}, line {number}: {end - at} characters, {MAX_LINE_CHARS} are read")
        yield text[at:end]
        at = end + 1


def _in_its_form(network: IPv6Network) -> tuple[bool, int, int]:
    start, end = int(network.network_address), int(network.broadcast_address)
    first, last = carried_ipv4(start), carried_ipv4(end)
    is_6to4 = start >> 112 == _6TO4 and network.prefixlen >= _6TO4_BITS
    if first is None or last is None or not (is_6to4 or network.prefixlen >= _CARRYING_BITS):
        return False, start, end
    # Teredo turns the bits over, and so the order.
    return True, min(first, last), max(first, last)


def _merged(intervals: Iterable[Interval]) -> Iterator[Interval]:
    ordered = iter(sorted(intervals))
    current = next(ordered, None)
    if current is None:
        return
    start, end = current
    for next_start, next_end in ordered:
        if next_start <= end + 1:
            end = max(end, next_end)
        else:
            yield start, end
            start, end = next_start, next_end
    yield start, end


def _why_not(text: str) -> str:
    wanted = "write one such as 198.51.100.0/24, or an address"
    if text.partition("/")[2].isdecimal():
        with suppress(ValueError):
            wanted = f"it has bits set beyond its prefix: write {ip_network(text, strict=False)}, or the address alone"
    return f"{_quoted(text)} is no network: {wanted}"


def _quoted(text: str) -> str:
    # What stands in a file may be anything, and the message goes to a terminal.
    return ascii(text if len(text) <= _QUOTED_CHARS else text[:_QUOTED_CHARS] + "...")
