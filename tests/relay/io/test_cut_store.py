from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kernel.errors import DecodeError
from relay.io.cut_store import CutStore, KeptCuts

ONE, TWO = ["edge", 0, 10, "a", True, False], ["lead", 0, 10, "local", 5]


async def test_what_is_kept_is_there_again_in_order(tmp_path: Path) -> None:
    path = tmp_path / "cuts.sqlite"
    store = await CutStore.open(path)
    assert [await store.keep("game", "e1", [ONE]), await store.keep("other", "e9", [ONE, TWO])] == [1, 2]
    await store.aclose()
    store = await CutStore.open(path)
    kept = [KeptCuts(1, "game", "e1", [ONE]), KeptCuts(2, "other", "e9", [ONE, TWO])]
    assert await store.all() == kept
    await store.replace(kept[:1])
    assert await store.all() == kept[:1]
    # No number comes again: who has heard of it would take it for what it knows.
    assert await store.keep("game", "e1", [TWO]) == 3
    await store.aclose()


async def test_a_damaged_row_is_said(tmp_path: Path) -> None:
    path = tmp_path / "cuts.sqlite"
    store = await CutStore.open(path)
    await store.aclose()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO cuts (event_id, epoch, body) VALUES ('game', 'e', '[')")
    db.close()
    store = await CutStore.open(path)
    with pytest.raises(DecodeError, match="damaged"):
        await store.all()
    await store.aclose()
