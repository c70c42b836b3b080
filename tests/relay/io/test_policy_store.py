from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kernel.errors import JournalError
from kernel.policies import PolicyRecord
from relay.io import policy_store
from relay.io.policy_store import Outcome, PolicyStore, Written
from relay.paging import Listed, Page
from relay.policy_words import PolicyHead
from relay.preconditions import Condition

NOW = 1_000.0
ANY = Condition()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[PolicyStore]:
    store = await PolicyStore.open(folder / "policies.sqlite")
    try:
        yield store
    finally:
        await store.aclose()


async def put(store: PolicyStore, text: str, condition: Condition = ANY, *, name: str = "west") -> Written:
    return await store.put(name, text, condition, now=NOW, by="ops")


async def test_all_versions_are_kept_and_outlive_the_process(tmp_path: Path) -> None:
    one, two = (PolicyRecord("west", number, text, NOW, "ops") for number, text in ((1, "{}"), (2, '{"ö":1}')))
    async with opened(tmp_path) as store:
        assert await put(store, "{}") == (Outcome.CREATED, one)
        assert await put(store, '{"ö":1}') == (Outcome.CHANGED, two)
    async with opened(tmp_path) as store:
        gone = PolicyRecord("west", 3, None, 2_000.0, "eve")
        assert await store.delete("west", ANY, now=2_000, by="eve") == (Outcome.DELETED, gone)
        assert await store.delete("west", ANY, now=2_000, by="eve") == (Outcome.ABSENT, None)
        assert [await store.find("west", version) for version in (None, 1, 2, 3, 4)] == [gone, one, two, gone, None]
        assert await store.find("east") is None
        # It goes on counting, or two policies would have one name and version.
        again = PolicyRecord("west", 4, "{}", NOW, "ops")
        assert await put(store, "{}") == (Outcome.CREATED, again)
        assert await store.newest(-1, 10) == [(1, again)]
    assert (tmp_path / "policies.sqlite").stat().st_mode & 0o777 == 0o600


async def test_the_same_text_is_no_new_version(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first = await put(store, "{}")
        assert await put(store, "{}") == (Outcome.SAME, first.record)
        # Also under a condition that held when it was first sent.
        assert (await put(store, "{}", Condition(absent=True))).outcome is Outcome.SAME


async def test_conditions(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await put(store, "{}", Condition(exists=True)) == (Outcome.CONDITION_FAILED, None)
        first = (await put(store, "{}", Condition(absent=True))).record
        assert await put(store, "[1]", Condition(absent=True)) == (Outcome.CONDITION_FAILED, first)
        assert await put(store, "[1]", Condition(frozenset({2}))) == (Outcome.CONDITION_FAILED, first)
        assert (await put(store, "[1]", Condition(frozenset({1})))).outcome is Outcome.CHANGED
        kept = await store.delete("west", Condition(frozenset({1})), now=NOW, by="ops")
        assert kept.outcome is Outcome.CONDITION_FAILED
        assert kept.record is not None
        assert kept.record.version == 2


async def test_pages_leave_out_what_is_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for name in "abcd":
            await put(store, '"ö"', name=name)
        await store.delete("b", ANY, now=NOW, by="ops")
        first = await store.page(Page(0, 2))
        assert (first.entries, first.next_after) == ([PolicyHead(name, 1, NOW, "ops", 4) for name in "ac"], 3)
        assert await store.page(Page(3, 2)) == Listed([PolicyHead("d", 1, NOW, "ops", 4)], None)
        assert [record.text for _, record in await store.newest(1, 2)] == [None, '"ö"']


async def test_there_is_an_end_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_store, "MAX_POLICIES", 2)
    monkeypatch.setattr(policy_store, "MAX_NAMES", 3)
    async with opened(tmp_path) as store:
        for name in "ab":
            await put(store, "{}", name=name)
        assert await put(store, "{}", name="c") == (Outcome.FULL, None)
        assert (await put(store, "[]", name="a")).outcome is Outcome.CHANGED
        await store.delete("a", ANY, now=NOW, by="ops")
        assert (await put(store, "{}", name="c")).outcome is Outcome.CREATED
        await store.delete("b", ANY, now=NOW, by="ops")
        assert (await put(store, "{}", name="d")).outcome is Outcome.FULL
        assert (await put(store, "{}", name="b")).outcome is Outcome.CREATED


async def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "policies.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(JournalError, match="no SQLite file"):
        await PolicyStore.open(tmp_path / "policies.sqlite")


async def test_what_commits_is_there_to_be_looked_at(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await put(store, "{}")
        assert store.writes.commits.count >= 1
