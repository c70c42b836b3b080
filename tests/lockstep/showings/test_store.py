from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kernel.errors import JournalError
from lockstep.showings.store import DELETED_KEEP_S, ShowingStore
from lockstep.showings.words import MadeShowing, ShowingFields

NOW = 1_000_000.0
ONE = MadeShowing(0, "cup", 1, "file:///x/i.m3u8", ShowingFields(hold_s="auto", place_policy="west"), NOW, NOW, "ops")


async def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "showings.sqlite"
    store = await ShowingStore.open(path)
    first = await store.save(ONE)
    second = await store.save(replace(ONE, event_id="final"))
    assert (first, second) == (replace(ONE, n=1), replace(ONE, n=2, event_id="final"))
    changed = await store.save(replace(first, version=2, fields=ShowingFields(), changed=NOW + 5, by="ann"))
    assert changed.n == 1
    await store.aclose()
    again = await ShowingStore.open(path)
    assert await again.load(now=NOW) == [changed, second]
    await again.aclose()
    assert path.stat().st_mode & 0o077 == 0


async def test_a_deleted_one_stays_for_a_week(tmp_path: Path) -> None:
    store = await ShowingStore.open(tmp_path / "showings.sqlite")
    gone = await store.save(replace(ONE, fields=None))
    assert await store.load(now=NOW + DELETED_KEEP_S) == [gone]
    assert await store.load(now=NOW + DELETED_KEEP_S + 1) == []
    await store.aclose()


async def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    path = tmp_path / "showings.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match="no SQLite file"):
        await ShowingStore.open(path)
