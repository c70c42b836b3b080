from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.place.addresses import MAX_CHARS, carried_ipv4, ipv4_number, known_address, parse_address, read_address

IPV4 = st.integers(0, 2**32 - 1)
IPV6 = st.integers(0, 2**128 - 1)
# Runs of zeros are what shortening is about.
SPARSE = st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8).map(
    lambda groups: sum(group << 16 * at for at, group in enumerate(groups))
)


@pytest.mark.parametrize(
    ("text", "expected", "is_public"),
    [
        # As they are
        ("8.8.8.8", "8.8.8.8", True),
        ("1.2.3.4", "1.2.3.4", True),
        ("2600:1700::5", "2600:1700::5", True),
        ("2600:1700:0:0:0:0:0:5", "2600:1700::5", True),
        ("2600:1700:0:0:1:0:0:5", "2600:1700::1:0:0:5", True),
        ("2600:1700:0:1:1:1:1:5", "2600:1700:0:1:1:1:1:5", True),
        ("2600:1700::ABCD", "2600:1700::abcd", True),
        ("2600:1700::0005", "2600:1700::5", True),
        ("2600:1700::8.8.8.8", "2600:1700::808:808", True),
        # An IPv4 in it counts
        ("::ffff:8.8.8.8", "8.8.8.8", True),
        ("::FFFF:808:808", "8.8.8.8", True),
        ("64:ff9b::8.8.8.8", "8.8.8.8", True),
        ("64:ff9b::808:808", "8.8.8.8", True),
        ("2002:808:808::1", "8.8.8.8", True),
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", "8.8.8.8", True),
        ("::ffff:10.0.0.1", "10.0.0.1", False),
        ("64:ff9b::10.0.0.1", "10.0.0.1", False),
        ("2002:a00:1::", "10.0.0.1", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", "10.0.0.1", False),
        # And where it does not: local NAT64 (RFC 8215), IPv4-compatible, translated (RFC 2765)
        ("64:ff9b:1::8.8.8.8", "64:ff9b:1::808:808", False),
        ("64:ff9b:1:2::808:808", "64:ff9b:1:2::808:808", False),
        ("64:ff9b::1:808:808", "64:ff9b::1:808:808", False),
        ("::8.8.8.8", "::808:808", False),
        ("::ffff:0:8.8.8.8", "::ffff:0:808:808", False),
        # Zones go
        ("fe80::1%eth0", "fe80::1", False),
        ("2600:1700::5%25eth0", "2600:1700::5", True),
        ("8.8.8.8%eth0", "8.8.8.8", True),
        # Not of the Internet
        ("0.0.0.0", "0.0.0.0", False),
        ("10.255.255.255", "10.255.255.255", False),
        ("11.0.0.0", "11.0.0.0", True),
        ("100.63.255.255", "100.63.255.255", True),
        ("100.64.0.0", "100.64.0.0", False),
        ("100.127.255.255", "100.127.255.255", False),
        ("100.128.0.0", "100.128.0.0", True),
        ("127.0.0.1", "127.0.0.1", False),
        ("169.254.169.254", "169.254.169.254", False),
        ("172.15.255.255", "172.15.255.255", True),
        ("172.16.0.0", "172.16.0.0", False),
        ("172.31.255.255", "172.31.255.255", False),
        ("172.32.0.0", "172.32.0.0", True),
        ("192.0.0.8", "192.0.0.8", False),
        ("192.0.1.0", "192.0.1.0", True),
        ("192.0.2.1", "192.0.2.1", False),
        ("192.88.99.1", "192.88.99.1", False),
        ("192.168.1.1", "192.168.1.1", False),
        ("198.17.255.255", "198.17.255.255", True),
        ("198.19.255.255", "198.19.255.255", False),
        ("198.51.100.1", "198.51.100.1", False),
        ("203.0.113.1", "203.0.113.1", False),
        ("223.255.255.255", "223.255.255.255", True),
        ("224.0.0.1", "224.0.0.1", False),
        ("240.0.0.1", "240.0.0.1", False),
        ("255.255.255.255", "255.255.255.255", False),
        ("::", "::", False),
        ("::1", "::1", False),
        ("fc00::1", "fc00::1", False),
        ("fd12:3456::1", "fd12:3456::1", False),
        ("fe80::1", "fe80::1", False),
        ("ff02::1", "ff02::1", False),
        ("2001:db8::1", "2001:db8::1", False),
        ("2001:2::1", "2001:2::1", False),
        ("2001:1ff::1", "2001:1ff::1", False),
        ("2001:200::1", "2001:200::1", True),
        ("3fff:fff::1", "3fff:fff::1", False),
        ("3fff:1000::1", "3fff:1000::1", True),
        ("4000::1", "4000::1", False),
        ("5f00::1", "5f00::1", False),
        ("100::1", "100::1", False),
    ],
)
def test_which_address_counts(text: str, expected: str, is_public: bool) -> None:
    address = read_address(text)
    assert address is not None
    assert (address.text, address.is_public) == (expected, is_public)
    assert address.number == int(ip_address(expected))
    assert address.is_ipv4 is ("." in expected)
    # Its own text says the same again.
    assert read_address(expected) == address
    assert known_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "unknown", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4",
        "1.2.3.04", "0x1.2.3.4", "1.2.3.4\n", "1.2.3.\u0664", "1.2.3.4/32", "1.2.3.4:80", "16909060", "1..2.3", ":",
        ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4::5:6:7:8", "::12345", "::g", "[::1]",
        "::1/128", "::1 ", "+1::", "::1_0", "::ffff:1.2.3.04", "\ud800", "1.2.3.\ud800", "\0", "::\0", "1.2.3.4\0",
        "%eth0", "%", "a" * 1_000_000, "." * 1_000_000, "1.2.3.4%" + "x" * MAX_CHARS, "::ffff:1.2.3", "\uff11.2.3.4",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    assert read_address(text) is None
    assert known_address(text) is None


@given(IPV4)
def test_every_ipv4_address_is_read_as_the_library_reads_it(number: int) -> None:
    text = str(IPv4Address(number))
    address = read_address(text)
    assert address is not None
    assert (address.text, address.number, address.is_ipv4) == (text, number, True)
    if not IPv4Address(number).is_global or IPv4Address(number).is_multicast:
        assert not address.is_public


@given(IPV6 | SPARSE)
def test_every_ipv6_address_is_read_as_the_library_reads_it(number: int) -> None:
    theirs = IPv6Address(number)
    carried = carried_ipv4(number)
    for text in (str(theirs), theirs.exploded, theirs.exploded.upper()):
        address = read_address(text)
        assert address is not None
        if carried is not None:
            assert (address.text, address.number) == (str(IPv4Address(carried)), carried)
            continue
        assert (address.text, address.number, address.is_ipv4) == (str(theirs), number, False)
        if not theirs.is_global or theirs.is_multicast:
            assert not address.is_public


@given(IPV6, IPV4)
def test_what_is_carried_is_what_the_library_finds(number: int, inside: int) -> None:
    """The library knows all but NAT64."""
    for prefix, shift in ((0xFFFF << 32, 0), (0x2002 << 112, 80), (0x64FF9B << 96, 0)):
        assert carried_ipv4(prefix | inside << shift) == inside
    for text in (number, 0x2001 << 112 | number >> 32, 0x2002 << 112 | number >> 16):
        theirs = IPv6Address(text)
        found = theirs.ipv4_mapped or theirs.sixtofour or (theirs.teredo[1] if theirs.teredo else None)
        if theirs not in IPv6Network("64:ff9b::/96"):
            assert carried_ipv4(text) == (None if found is None else int(found))


@given(st.text(alphabet="0123456789abcdefABCDEFxg:.%_+- ", max_size=48))
def test_nothing_is_an_address_that_the_library_does_not_take(text: str) -> None:
    theirs = parse_address(text)
    ours = read_address(text)
    assert (ours is None) is (theirs is None)
    if ours is not None and isinstance(theirs, IPv4Address):
        assert ours.number == int(theirs)


def test_numbers_of_ipv4() -> None:
    assert ipv4_number("255.0.1.2") == 0xFF000102
    assert ipv4_number("::1") is None


def test_a_text_is_read_once() -> None:
    assert known_address("8.8.4.4") is known_address("8.8.4.4")
