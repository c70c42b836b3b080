from __future__ import annotations

import io
import os
import sys
from array import array
from pathlib import Path

import pytest

from fixtures.places import make_city
from kernel.errors import DecodeError
from relay.io.geo_table_child import main
from relay.io.packed_child import child_of, packed
from relay.place.geo_table import PACKED, RecordTable, table_of
from tests.relay.place.test_geo_tree import tree_of

CHILD = child_of("relay.io.geo_table_child")


def command(copy: int, n_nodes: int, record_bits: int = 28) -> tuple[str, ...]:
    return (*CHILD, str(copy), str(n_nodes), str(record_bits), "1")


async def test_the_table_of_an_open_file_comes_over(tmp_path: Path) -> None:
    path = make_city(tmp_path)
    tree = tree_of(path)
    wanted = table_of(tree)
    copy = os.open(path, os.O_RDONLY)
    try:
        _, parts = await packed(command(copy, tree.n_nodes), PACKED, pass_fds=(copy,))
        again = RecordTable.unpack(parts)
        assert again.pack() == wanted.pack()
        with pytest.raises(DecodeError, match="more than there is room for"):
            await packed(command(copy, 1 << 30), PACKED, pass_fds=(copy,))
        with pytest.raises(DecodeError, match="records of 20 bits"):
            await packed(command(copy, 5, 20), PACKED, pass_fds=(copy,))
    finally:
        os.close(copy)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await packed(command(copy, tree.n_nodes), PACKED)


def test_it_writes_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_city(tmp_path)
    tree = tree_of(path)
    copy = os.open(path, os.O_RDONLY)
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "argv", ["child", str(copy), str(tree.n_nodes), "28", "1"])
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(os, "nice", lambda by: 0)
    main()
    os.close(copy)
    told = out.buffer.getvalue()
    _, _, rest = told.partition(b"\n")
    assert rest == b"".join(table_of(tree).pack())
    assert array("I", rest[:4])[0] == 0
