"""Addresses in one form: which one counts where IPv6 carries an IPv4, and whether it is of the Internet at all.

Rules:
* What IPv6 carries is what counts, for it is where the user is: IPv4-mapped (RFC 4291, 2.5.5.2), NAT64's well-known
  prefix (RFC 6052, 2.1), 6to4 (RFC 3056) and the client in Teredo (RFC 4380, 4).
* Zones are of the machine that wrote them, and go (RFC 4007, 11).
* An address is public where viewers can have one: IPv4 without IANA's special-purpose registry (RFC 6890), multicast
  (RFC 5771) and class E; of IPv6 global unicast alone (RFC 4291, 2.4), without the IETF's protocol assignments and what
  is for documentation. Everything else, NAT64 for local use (RFC 8215) among it, is nowhere.
* The text is RFC 5952's. An octet with a leading zero is no address: others read it as octal.

None of it is for deciding whom to trust: anybody may write 2002:a00:1:: for 10.0.0.1. Proxies are known by
`parse_address` alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from kernel.value import Value

MAX_CHARS = 64
"""The longest address has 45 characters (RFC 4291, 2.2, with an IPv4 in it); a zone, an interface's name, up to 15."""

_REMEMBERED = 16_384


class Address(Value, frozen=True):
    """An address in the form that counts.

    Args:
        text: canonical.
        number: the address as a number, 0 to 2**32 - 1 or 2**128 - 1.
        is_ipv4: which of the two it is.
        is_public: whether it is an address of the Internet that a viewer can have.
    """

    text: str
    number: int
    is_ipv4: bool
    is_public: bool


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its zone, IPv4-mapped ones as IPv4, or None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def read_address(text: str) -> Address | None:
    """Return the address that counts, or None if the text is none. Nothing is remembered."""
    if ":" not in text:
        number = ipv4_number(text)
        if number is not None:
            is_public = number >> 24 not in _APART or _is_public_ipv4(number)
            return Address(text, number, is_ipv4=True, is_public=is_public)
    elif text.startswith(_MAPPED_TEXT):
        # What a socket that listens on IPv6 says of its IPv4 clients.
        number = ipv4_number(text[len(_MAPPED_TEXT) :])
        if number is not None:
            return _ipv4(number)
    if len(text) > MAX_CHARS:
        return None
    groups = _ipv6_groups(text)
    if groups is None:
        # With an IPv4 in its end, with a zone, or no address: rare enough for the slow way.
        address = parse_address(text)
        if address is None:
            return None
        if isinstance(address, IPv4Address):
            return _ipv4(int(address))
        groups = [int(address) >> shift & 0xFFFF for shift in range(112, -1, -16)]
    number = 0
    for group in groups:
        number = number << 16 | group
    carried = carried_ipv4(number)
    if carried is not None:
        return _ipv4(carried)
    return Address(_ipv6_text(groups), number, is_ipv4=False, is_public=_is_public_ipv6(number))


def known_address(text: str) -> Address | None:
    """Return the same as `read_address`: a text that was seen lately costs a look-up."""
    return _known(text) if len(text) <= MAX_CHARS else None


_known = lru_cache(maxsize=_REMEMBERED)(read_address)


def ipv4_number(text: str) -> int | None:
    """Return a dotted IPv4 address as a number, or None if it is none: four numbers of 0 to 255, no leading zeros."""
    try:
        first, second, third, last = text.split(".", 4)
        return _FIRST[first] | _SECOND[second] | _THIRD[third] | _LAST[last]
    except (KeyError, ValueError):
        return None


def carried_ipv4(number: int) -> int | None:
    """Return the IPv4 address that an IPv6 address carries, both as numbers, or None."""
    first = number >> 112
    if first not in _CARRYING:
        return None
    if first == _6TO4:
        return number >> 80 & _IPV4
    if number >> 96 == _TEREDO:
        # RFC 4380, 4: the client's address, each bit turned over, so that no NAT rewrites it on its way.
        return ~number & _IPV4
    if number >> 32 in (_MAPPED, _NAT64):
        return number & _IPV4
    return None


_IPV4 = (1 << 32) - 1
_MAPPED = 0xFFFF  # ::ffff:0:0/96
_MAPPED_TEXT = "::ffff:"
_NAT64 = 0x64FF9B << 64  # 64:ff9b::/96
_6TO4 = 0x2002  # 2002::/16
_TEREDO = 0x2001_0000  # 2001::/32
_CARRYING = frozenset({_MAPPED >> 80, _NAT64 >> 80, _6TO4, _TEREDO >> 16})
"""First groups of addresses that may carry one."""
_FIRST, _SECOND, _THIRD, _LAST = ({str(octet): octet << shift for octet in range(256)} for shift in (24, 16, 8, 0))

_NOT_PUBLIC_IPV4 = tuple(
    (int(network.network_address), int(network.broadcast_address))
    for network in map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network (RFC 791)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # behind a carrier's NAT (RFC 6598)
            "127.0.0.0/8",  # loopback (RFC 1122)
            "169.254.0.0/16",  # link-local (RFC 3927)
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # relays of 6to4, given up (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast (RFC 5771)
            "240.0.0.0/4",  # reserved (RFC 1112)
        ),
    )
)
_GLOBAL_UNICAST = 0b001  # 2000::/3
_NOT_PUBLIC_IPV6 = tuple(
    (int(network.network_address), int(network.broadcast_address))
    for network in map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments (RFC 2928): Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation (RFC 3849)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)


def _octets_apart() -> frozenset[int]:
    return frozenset(octet for start, end in _NOT_PUBLIC_IPV4 for octet in range(start >> 24, (end >> 24) + 1))


_APART = _octets_apart()
"""First octets for which the table must be asked: one in five."""


def _is_public_ipv4(number: int) -> bool:
    for start, end in _NOT_PUBLIC_IPV4:  # noqa: SIM110 - a generator costs twice as much
        if start <= number <= end:
            return False
    return True


def _is_public_ipv6(number: int) -> bool:
    if number >> 125 != _GLOBAL_UNICAST:
        return False
    for start, end in _NOT_PUBLIC_IPV6:  # noqa: SIM110 - a generator costs twice as much
        if start <= number <= end:
            return False
    return True


def _ipv4(number: int) -> Address:
    text = f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Address(text, number, is_ipv4=True, is_public=_is_public_ipv4(number))


# RFC 4291, 2.2: eight groups, or fewer around one "::". Anything else goes the slow way, which knows what is none.
_GROUPS = re.compile(r"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){7}")
_SHORTENED = re.compile(
    r"(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?::(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?"
)


def _ipv6_groups(text: str) -> list[int] | None:
    """Return the eight groups of an IPv6 address. None: it is none, or is not written in groups alone."""
    if _GROUPS.fullmatch(text):
        return [int(group, 16) for group in text.split(":")]
    if not _SHORTENED.fullmatch(text):
        return None
    head, _, tail = text.partition("::")
    left = [int(group, 16) for group in head.split(":")] if head else []
    right = [int(group, 16) for group in tail.split(":")] if tail else []
    missing = 8 - len(left) - len(right)
    return [*left, *[0] * missing, *right] if missing > 0 else None


_ZEROS = tuple(":" + "0:" * run for run in range(8, 1, -1))


def _ipv6_text(groups: list[int]) -> str:
    """Write it as RFC 5952, 4 has it: lower case, no leading zeros, the first of the longest runs of zeros as "::"."""
    text = ":{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:".format(*groups)
    if ":0:0:" in text:
        for zeros in _ZEROS:
            before, found, after = text.partition(zeros)
            if found:
                return f"{before[1:]}::{after[:-1]}"
    return text[1:-1]
