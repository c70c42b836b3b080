from __future__ import annotations

import random
from array import array
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.mmdb import write_database
from kernel.errors import DecodeError
from relay.place import geo_table as module
from relay.place.geo_table import PACKED, RecordTable, table_of
from relay.place.geo_tree import SearchTree
from tests.relay.place.test_geo_tree import NETWORKS, REAL, address, tree_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table")


def agree(tree: SearchTree, table: RecordTable, number: int) -> bool:
    return table.record(number) == (tree.record(address(IPv4Address(number))) or 0)


@pytest.mark.parametrize("record_bits", [24, 28, 32])
@given(networks=NETWORKS, others=st.lists(st.integers(0, 2**32 - 1), max_size=8))
def test_it_finds_what_the_tree_finds(
    folder: Path, record_bits: int, networks: list[IPv4Network | IPv6Network], others: list[int]
) -> None:
    rows = [(str(network), {"network": str(network)}) for network in networks]
    tree = tree_of(write_database(folder / f"{record_bits}.mmdb", "Test", rows, record_bits=record_bits))
    table = table_of(tree)
    for network in networks:
        if isinstance(network, IPv4Network):
            first, last = int(network[0]), int(network[-1])
            others += [first, last, max(0, first - 1), min(2**32 - 1, last + 1)]
    for number in (0, 2**32 - 1, *others):
        assert agree(tree, table, number)


@pytest.mark.skipif(not REAL, reason="MaxMind's test databases are not here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_it_finds_what_the_tree_finds_in_real_databases(path: Path) -> None:
    tree, draw = tree_of(path), random.Random(4)
    table = table_of(tree)
    for start in [*table._starts, *(draw.randrange(2**32) for _ in range(4_000))]:
        for number in (start, max(0, start - 1)):
            assert agree(tree, table, number)


def test_neighbours_with_one_record_are_one_row(tmp_path: Path) -> None:
    record = {"it": "is the same"}
    rows = [("9.0.0.0/9", record), ("9.128.0.0/9", record), ("9.1.2.3/32", {"it": "is another"})]
    table = table_of(tree_of(write_database(tmp_path / "one.mmdb", "Test", rows)))
    # Nothing, the one, another, the one, nothing.
    assert len(table) == 5


def test_a_database_of_ipv4_alone_and_one_without() -> None:
    body = (1 + 16).to_bytes(3, "big") + (1).to_bytes(3, "big") + bytes(32)
    table = table_of(SearchTree(body, n_nodes=1, record_bits=24, holds_ipv6=False))
    assert [table.record(number) for number in (0, 2**31 - 1, 2**31, 2**32 - 1)] == [17, 17, 0, 0]
    # ::/1 has no record: IPv4 ends there.
    body = (1).to_bytes(3, "big") + (1 + 16).to_bytes(3, "big") + bytes(32)
    table = table_of(SearchTree(body, n_nodes=1, record_bits=24, holds_ipv6=True))
    assert (len(table), table.record(7)) == (1, 0)


def test_it_goes_over_as_its_arrays(tmp_path: Path) -> None:
    tree = tree_of(write_database(tmp_path / "few.mmdb", "Test", [("9.1.0.0/16", {}), ("200.0.0.0/8", {})]))
    table = table_of(tree)
    parts = [array(code, piece) for code, piece in zip(PACKED, table.pack(), strict=True)]
    again = RecordTable.unpack(parts)
    assert all(again.record(at << 16 | 5) == table.record(at << 16 | 5) for at in range(0, 65_536, 3))
    starts, records, pages, numbers = parts
    assert (again.n_records, again.place(200 << 24), again.place(1)) == (2, 1, 0)
    for wrong in (
        [], [starts, records, pages], [starts, records[1:], pages, numbers], [starts, records, pages[1:], numbers],
        [array("I"), array("I"), pages, numbers], [array("I", [1]), array("I", [0]), pages, numbers],
        [starts, array("Q", records), pages, numbers], [starts, records, pages, numbers[1:]],
        [starts, records, pages, array("I")], [starts, records, pages, array("I", [0] * 99)],
    ):  # fmt: skip
        with pytest.raises(DecodeError, match=r"do not belong|a part is missing"):
            RecordTable.unpack(wrong)


def test_a_tree_that_leads_in_circles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STEPS", 1_000)
    tree = SearchTree(bytes(6 * 4) + bytes(16), n_nodes=4, record_bits=24, holds_ipv6=True)
    with pytest.raises(DecodeError, match="in circles"):
        table_of(tree)


def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"9.{n}.0.0/17", {"n": n}) for n in range(20)]
    tree = tree_of(write_database(tmp_path / "many.mmdb", "Test", rows))
    assert len(table_of(tree)) == 41
    monkeypatch.setattr(module, "MAX_ROWS", 40)
    with pytest.raises(DecodeError, match="more than 40"):
        table_of(tree)


@given(body=st.binary(min_size=100, max_size=200), record_bits=st.sampled_from([24, 28, 32]))
def test_no_tree_is_a_fault_of_another_kind(body: bytes, record_bits: int) -> None:
    tree = SearchTree(body, n_nodes=(len(body) - 16) * 4 // record_bits, record_bits=record_bits, holds_ipv6=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_STEPS", 5_000)
        try:
            table = table_of(tree)
        except DecodeError:
            return
    for number in (0, 2**31, 2**32 - 1):
        assert agree(tree, table, number)
