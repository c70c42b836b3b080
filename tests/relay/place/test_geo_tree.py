from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.mmdb import write_database
from relay.place.addresses import Address
from relay.place.geo_tree import SearchTree

REAL = sorted((Path(__file__).parents[4] / "shared" / "data" / "mmdb").glob("*.mmdb"))
Network = IPv4Network | IPv6Network

NETWORKS = st.lists(
    st.builds(
        lambda high, low, bits: IPv4Network((high << 24 | low, bits), strict=False),
        st.sampled_from([8, 9, 200]), st.integers(0, 2**24 - 1), st.integers(1, 32),
    )
    | st.builds(
        lambda high, low, bits: IPv6Network((high << 96 | low, bits), strict=False),
        st.sampled_from([0x26000000, 0x26000001, 0x2A001450]), st.integers(0, 2**96 - 1), st.integers(8, 128),
    ),
    max_size=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tree")


def address(at: IPv4Address | IPv6Address) -> Address:
    return Address(str(at), int(at), is_ipv4=at.version == 4, is_public=True)


def tree_of(path: Path) -> SearchTree:
    with maxminddb.open_database(path) as reader:
        metadata = reader.metadata()
    return SearchTree(
        path.read_bytes(), n_nodes=metadata.node_count, record_bits=metadata.record_size,
        holds_ipv6=metadata.ip_version == 6,
    )  # fmt: skip


@pytest.mark.parametrize("record_bits", [24, 28, 32])
@given(networks=NETWORKS, others=st.lists(st.ip_addresses(), max_size=4))
def test_it_finds_what_the_library_finds(
    folder: Path, record_bits: int, networks: list[Network], others: list[IPv4Address | IPv6Address]
) -> None:
    rows = [(str(network), {"network": str(network)}) for network in networks]
    path = write_database(folder / f"{record_bits}.mmdb", "Test", rows, record_bits=record_bits)
    tree = tree_of(path)
    records: dict[int, object] = {}
    with maxminddb.open_database(path) as reader:
        assert reader.metadata().record_size == record_bits
        for at in [*others, *(edge for network in networks for edge in (network[0], network[-1]))]:
            found, theirs = tree.record(address(at)), reader.get(at)
            assert (found is None) is (theirs is None)
            if found is not None:
                # One number stands for one record.
                assert records.setdefault(found, theirs) == theirs


@pytest.mark.skipif(not REAL, reason="MaxMind's test databases are not here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_it_finds_what_the_library_finds_in_real_databases(path: Path) -> None:
    tree = tree_of(path)
    records: dict[int, object] = {}
    numbers = [at * 0x9E3779B97F4A7C15 for at in range(4_000)]
    with maxminddb.open_database(path) as reader:
        asked = [IPv4Address(number >> 16 & 0xFFFF_FFFF) for number in numbers]
        asked6 = [IPv6Address(0x2A02 << 112 | (number & 0xFFFF_FFFF_FFFF) << 64) for number in numbers]
        known = [edge for network, _ in reader for edge in (network[0], network[-1])]
        assert known
        for at in [*known, *asked, *asked6]:
            found, theirs = tree.record(address(at)), reader.get(at)
            assert (found is None) is (theirs is None)
            if found is not None:
                assert records.setdefault(found, theirs) == theirs


def test_a_database_of_ipv4_alone() -> None:
    # One node: 0.0.0.0/1 is the first record, 128.0.0.0/1 has none.
    body = (1 + 16).to_bytes(3, "big") + (1).to_bytes(3, "big") + bytes(32)
    tree = SearchTree(body, n_nodes=1, record_bits=24, holds_ipv6=False)
    assert tree.record(address(IPv4Address("1.2.3.4"))) == 17
    assert tree.record(address(IPv4Address("200.2.3.4"))) is None
    assert tree.record(address(IPv6Address("::1"))) is None


@pytest.mark.parametrize("record_bits", [24, 28, 32])
def test_numbers_have_all_their_bits(record_bits: int) -> None:
    left, right = (0xA5C396E1 >> 32 - record_bits, 0xD2B4789F >> 32 - record_bits)
    # Of 28 bits: three bytes of each, and between them their upper four bits.
    shared = (left & 0xFFFFFF) << 32 | left >> 24 << 28 | right
    node = shared if record_bits == 28 else left << record_bits | right
    body = node.to_bytes(record_bits // 4, "big") + bytes(32)
    tree = SearchTree(body, n_nodes=1, record_bits=record_bits, holds_ipv6=False)
    assert tree.record(address(IPv4Address("1.2.3.4"))) == left
    assert tree.record(address(IPv4Address("200.2.3.4"))) == right


def test_what_is_no_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="records of 20 bits"):
        SearchTree(bytes(100), n_nodes=1, record_bits=20, holds_ipv6=True)
    with pytest.raises(ValueError, match="more than there is room for"):
        SearchTree(bytes(100), n_nodes=13, record_bits=28, holds_ipv6=True)


def test_a_tree_that_leads_in_circles_ends() -> None:
    body = bytes(6 * 4) + bytes(16)
    tree = SearchTree(body, n_nodes=4, record_bits=24, holds_ipv6=True)
    assert tree.record(address(IPv4Address("1.2.3.4"))) is None
    assert tree.record(address(IPv6Address("2600::1"))) is None


@given(body=st.binary(min_size=100, max_size=200), record_bits=st.sampled_from([24, 28, 32]), at=st.ip_addresses())
def test_no_tree_is_a_fault_of_another_kind(body: bytes, record_bits: int, at: IPv4Address | IPv6Address) -> None:
    n_nodes = (len(body) - 16) * 4 // record_bits
    try:
        tree = SearchTree(body, n_nodes=n_nodes, record_bits=record_bits, holds_ipv6=True)
        tree.record(address(at))
    except struct.error:
        pytest.fail("a node below their number lies within the body")


def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("relay.place.geo_tree.MAX_REMEMBERED", 8)
    tree = tree_of(write_database(tmp_path / "six.mmdb", "Test", [("2600::/32", {})]))
    for high in range(100):
        tree.record(address(IPv6Address(0x2600 << 112 | high << 96)))
    assert len(tree._quarters) <= 8
    assert tree.record(address(IPv6Address("2600::1"))) is not None
