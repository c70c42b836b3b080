from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import DecodeError, MessageTooLarge
from relay.place import networks as module
from relay.place.addresses import Address, carried_ipv4, read_address
from relay.place.networks import PACKED, Networks, networks_of, parse_list, parse_network

# Few different upper bits, so that networks meet: overlapping, touching, one within another.
IPV4_NETWORKS = st.builds(
    lambda base, low, bits: IPv4Network((base << 24 | low, bits), strict=False),
    st.sampled_from([8, 9, 200]), st.integers(0, 2**24 - 1), st.integers(8, 32),
)  # fmt: skip
IPV6_NETWORKS = st.builds(
    lambda high, low, bits: IPv6Network((high << 64 | low, bits), strict=False),
    st.sampled_from([0x2600 << 48, (0x2600 << 48) + 1, 0x2A00 << 48]),
    st.sampled_from([0, 1, 2, 3, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1),
    st.integers(16, 128),
)


def address(text: str) -> Address:
    found = read_address(text)
    assert found is not None
    return found


def collapsed(nets: Sequence[IPv4Network | IPv6Network]) -> list[IPv4Network | IPv6Network]:
    return list(collapse_addresses(nets))  # type: ignore[type-var]


def unpacked(pieces: list[bytes]) -> Networks:
    return Networks.unpack([array(code, piece) for code, piece in zip(PACKED, pieces, strict=True)])


def edges(network: IPv4Network | IPv6Network) -> list[int]:
    """Return the addresses about which one may be wrong."""
    first, last, top = int(network[0]), int(network[-1]), 2**network.max_prefixlen - 1
    return [first, last, *([first - 1] if first else []), *([last + 1] if last < top else [])]


@given(st.lists(IPV4_NETWORKS, max_size=12), st.lists(st.integers(0, 2**32 - 1), max_size=4))
def test_ipv4_is_held_as_the_library_holds_it(nets: list[IPv4Network], others: list[int]) -> None:
    ours = networks_of(map(str, nets))
    for number in [*others, *(edge for net in nets for edge in edges(net))]:
        at = IPv4Address(number)
        assert ours.holds(address(str(at))) is any(at in net for net in nets)


@given(st.lists(IPV6_NETWORKS, max_size=12), st.lists(st.integers(0, 2**128 - 1), max_size=4))
def test_ipv6_is_held_as_the_library_holds_it(nets: list[IPv6Network], others: list[int]) -> None:
    ours = networks_of(map(str, nets))
    for number in [*others, *(edge for net in nets for edge in edges(net))]:
        if carried_ipv4(number) is None:
            at = IPv6Address(number)
            assert ours.holds(address(str(at))) is any(at in net for net in nets)


@given(st.lists(IPV4_NETWORKS, max_size=12), st.lists(IPV6_NETWORKS, max_size=12))
def test_intervals_are_sorted_apart_and_survive_a_journey(four: list[IPv4Network], six: list[IPv6Network]) -> None:
    ours = networks_of(map(str, [*four, *six]))
    found = list(ours.intervals())
    for is_ipv4, nets in ((True, four), (False, six)):
        mine = [(start, end) for kind, start, end in found if kind is is_ipv4]
        assert all(start <= end for start, end in mine)
        assert all(end + 1 < start for (_, end), (start, _) in pairwise(mine))
        whole = sum(net.num_addresses for net in collapsed(nets))
        assert sum(end - start + 1 for start, end in mine) == whole
    assert len(ours) == len(found)
    assert list(unpacked(ours.pack()).intervals()) == found


def test_one_network_within_another_hides_nothing() -> None:
    ours = networks_of(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2600::/32", "2600::1", "2600:0:0:5::/64"])
    assert len(ours) == 2
    for text in ("10.0.0.0", "10.200.0.1", "10.255.255.255", "2600::", "2600::2", "2600:0:0:6::1"):
        assert ours.holds(address(text))
    assert not ours.holds(address("11.0.0.0"))
    assert not ours.holds(address("2601::"))


def test_networks_in_one_upper_half() -> None:
    ours = networks_of(["2600::10/124", "2600::40/124", "2600:0:0:1::/64"])
    held = {text: ours.holds(address(text)) for text in ("2600::", "2600::f", "2600::10", "2600::1f", "2600::20",
            "2600::4f", "2600::50", "2600:0:0:1::", "2600:0:0:1:ffff::", "2600:0:0:2::")}  # fmt: skip
    assert [text for text, inside in held.items() if inside] == [
        "2600::10", "2600::1f", "2600::4f", "2600:0:0:1::", "2600:0:0:1:ffff::"
    ]  # fmt: skip


def test_nothing_holds_nobody() -> None:
    assert len(Networks()) == 0
    assert not Networks().holds(address("8.8.8.8"))
    assert not Networks().holds(address("2600::1"))


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("::ffff:8.8.8.0/120", "8.8.8.8"),
        ("8.8.8.0/24", "::ffff:8.8.8.8"),
        ("64:ff9b::8.8.8.8", "8.8.8.8"),
        ("2002:808::/32", "8.8.8.8"),
        ("2002:808:808::/48", "8.8.8.8"),
        ("2002:808:808:1::/64", "8.8.8.8"),
        ("8.8.8.8", "2002:808:808::1"),
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f0/124", "8.8.8.8"),
    ],
)
def test_what_is_written_in_ipv6_and_carries_ipv4_is_that(written: str, asked: str) -> None:
    assert networks_of([written]).holds(address(asked))
    assert not networks_of([written]).holds(address("9.9.9.9"))


@pytest.mark.parametrize("text", ["2002::/16", "2001::/32", "::/64", "64:ff9b::/64"])
def test_a_network_that_is_wider_than_what_carries_is_nobody_s_ipv4(text: str) -> None:
    assert not networks_of([text]).holds(address("8.8.8.8"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no network"),
        ("example.com", "is no network"),
        ("1.2.3.4/33", "is no network"),
        ("1.2.3.4/", "is no network"),
        ("1.2.3.4/-1", "is no network"),
        ("1.2.3.4/08", "is no network"),
        ("1.2.3.4/255.255.255.0", "is no network"),
        ("1.2.3.0/0.0.0.255", "is no network"),
        ("01.2.3.4", "is no network"),
        ("1.2.3.4/24", "write 1.2.3.0/24"),
        ("2600::1/64", "write 2600::/64"),
        ("2600::/129", "is no network"),
        ("[2600::1]", "is no network"),
        ("a" * 10_000, "is no network"),
        ("\x1b[31m", r"'\\x1b\[31m'"),
    ],
)
def test_what_is_no_network(text: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why) as raised:
        parse_network(text)
    assert len(str(raised.value)) < 300


LIST = """\ufeff# VPN exits, 2026-11-27
; another way to comment

203.0.114.0/24
198.51.101.7   exit-7
  192.0.3.0/24\t# indented
1.10.16.0/20 ; SBL256894
172.224.224.0/31,GB,GB-EN,London,
2a02:26f7::/64\r
2600::1#said at once
"""


def test_a_list_as_it_is_published() -> None:
    found = parse_list(LIST.encode(), "vpn.txt")
    for text in (
        "203.0.114.9",
        "198.51.101.7",
        "192.0.3.255",
        "1.10.31.255",
        "172.224.224.1",
        "2a02:26f7::9",
        "2600::1",
    ):
        assert found.holds(address(text))
    assert len(found) == 7
    assert not found.holds(address("198.51.101.8"))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"1.2.3.4\n<!DOCTYPE html>\n", "the list, line 2: '<!DOCTYPE' is no network"),
        (b"1.2.3.4\n\n1.2.3\n", "the list, line 3: '1.2.3' is no network"),
        (b"1.2.3.4/8", "the list, line 1: .*write 1.0.0.0/8"),
        (b"0.0.0.0/0", "the list, line 1: this is everybody"),
        (b"::/0", "the list, line 1: this is everybody"),
        (b"1.2.3.4\n\xff\xfe\n", "the list, line 2: no UTF-8"),
        (b"1.2.3.4\x00", "the list, line 1"),
        (b"\x1f\x8b\x08\x00", "the list, line 1: no UTF-8"),
        (b"", "is empty"),
        (b"\n \n\t\n", "is empty"),
        (b"1.2.3.4 " + b"x" * module.MAX_LINE_CHARS, "the list, line 1: .* characters"),
        (b"# fine\n" + b"x" * 10_000, "the list, line 2: .* characters"),
    ],
)
def test_a_list_is_taken_whole_or_not_at_all(body: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        parse_list(body, "the list")


def test_a_list_may_say_that_it_is_empty() -> None:
    assert len(parse_list(b"# nobody yet\n", "own.txt")) == 0


def test_a_list_has_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINES", 3)
    assert len(parse_list(b"1.1.1.1\n3.3.3.3\n5.5.5.5\n", "l")) == 3
    with pytest.raises(MessageTooLarge, match="more than 3 lines"):
        parse_list(b"\n\n\n\n", "l")
    monkeypatch.setattr(module, "MAX_LIST_BYTES", 3)
    with pytest.raises(MessageTooLarge, match="7 bytes"):
        parse_list(b"1.1.1.1", "l")


@given(st.binary(max_size=80))
def test_no_list_is_a_fault_of_ours(body: bytes) -> None:
    with suppress(DecodeError):
        assert len(parse_list(body, "l")) <= body.count(b"\n") + 1


@pytest.mark.parametrize(
    ("codes", "lengths"),
    [("", ()), ("IIQQQ", (0, 0, 0, 0, 0)), ("IIQQQQ", (1, 0, 0, 0, 0, 0)), ("IIQQQQ", (0, 0, 1, 1, 1, 0)),
     ("QQQQQQ", (0, 0, 0, 0, 0, 0))],
)  # fmt: skip
def test_what_is_not_packed_networks(codes: str, lengths: tuple[int, ...]) -> None:
    with pytest.raises(DecodeError, match="packed networks"):
        Networks.unpack([array(code, [0] * length) for code, length in zip(codes, lengths, strict=True)])


def test_they_are_compact() -> None:
    """Eight bytes for a network of IPv4, 32 for one of IPv6: it is what two million of them take."""
    four = Networks([(2 * n, 2 * n) for n in range(1_000)])
    six = Networks([], [(2 * n, 2 * n) for n in range(1_000)])
    assert sum(map(len, four.pack())) == 8_000
    assert sum(map(len, six.pack())) == 32_000
    assert isinstance(ip_network(str(ip_address(0))), IPv4Network)
