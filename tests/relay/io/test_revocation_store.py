from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kernel.errors import JournalError
from kernel.revocation import Reinstatement, Revocation, Subject, SubjectKind
from relay.io.revocation_store import EXPIRED_KEEP_S, UNDONE_KEEP_S, Made, RevocationStore
from relay.paging import Page
from relay.revocation_words import Wanted

NOW = 1_000.0
ALL = Page(0, 100)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[RevocationStore]:
    store = await RevocationStore.open(folder / "revocations.sqlite")
    try:
        yield store
    finally:
        await store.aclose()


def wanted(value: str = "ann", *, event_id: str | None = None, reason: str = "", expires: int | None = None) -> Wanted:
    return Wanted(Subject(SubjectKind.ACCOUNT, value, event_id), reason, expires)


async def revoke(store: RevocationStore, what: Wanted, *, id_: str, now: float = NOW) -> Made:
    return await store.revoke(what, id=id_, now=now, by="ops")


async def test_changes_are_numbered_and_outlive_the_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first = await revoke(store, wanted(), id_="a")
        here = await revoke(store, wanted(event_id="game", reason="x", expires=2_000), id_="b")
        assert (first.new, here.new) == (True, True)
        assert await store.undo("a", now=NOW) == (2, Reinstatement("a", wanted().subject))
    async with opened(tmp_path) as store:
        made = Revocation("b", wanted(event_id="game").subject, "x", NOW, 2_000, "ops")
        assert await store.changes(-1, 10) == [(1, made), (2, Reinstatement("a", wanted().subject))]
        assert await store.changes(1, 10) == [(2, Reinstatement("a", wanted().subject))]
        assert len(await store.changes(-1, 1)) == 1
        again = await revoke(store, wanted(), id_="c")
        assert again.numbered is not None
        assert (again.numbered.offset, again.revocation.id) == (3, "c")


async def test_the_same_twice_is_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first = await revoke(store, wanted(reason="x"), id_="a")
        second = await revoke(store, wanted(reason="x"), id_="b", now=NOW + 5)
        assert (second.new, second.numbered, second.revocation) == (False, None, first.revocation)
        # Another end or reason is the same revocation with the latest word on it.
        longer = await revoke(store, wanted(reason="y", expires=5_000), id_="c", now=NOW + 6)
        assert (longer.new, longer.revocation) == (
            False,
            Revocation("a", wanted().subject, "y", NOW, 5_000, "ops"),
        )
        assert [numbered.offset for numbered in await store.changes(-1, 10)] == [1]
        assert (await store.page(ALL, now=NOW)).entries == [longer.revocation]


async def test_what_has_expired_is_made_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await revoke(store, wanted(expires=1_060), id_="a")
        assert (await store.page(ALL, now=1_060)).entries == []
        again = await revoke(store, wanted(expires=1_120), id_="b", now=1_060)
        assert (again.new, again.revocation.id) == (True, "b")


async def test_what_is_not_there_cannot_be_undone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await store.undo("a", now=NOW) is None
        await revoke(store, wanted(), id_="a")
        assert await store.undo("a", now=NOW) is not None
        assert await store.undo("a", now=NOW) is None
        assert (await store.page(ALL, now=NOW)).entries == []


async def test_pages_are_in_the_order_of_making(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(5):
            await revoke(store, wanted(str(number)), id_=f"r{9 - number}")
        # A later word on the first does not move it.
        await revoke(store, wanted("0", reason="why"), id_="x")
        seen: list[str] = []
        after: int | None = 0
        while after is not None:
            page = await store.page(Page(after, 2), now=NOW)
            seen += [one.subject.value for one in page.entries]
            after = page.next_after
        assert seen == ["0", "1", "2", "3", "4"]


async def test_old_things_are_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await revoke(store, wanted("expires", expires=2_000), id_="a")
        await revoke(store, wanted("undone"), id_="b")
        await revoke(store, wanted("stays"), id_="c")
        await store.undo("b", now=NOW)
        await store.forget(now=2_000)
        assert len(await store.changes(-1, 10)) == 3
        await store.forget(now=2_001 + EXPIRED_KEEP_S)
        assert [numbered.change.id for numbered in await store.changes(-1, 10)] == ["c", "b"]
        await store.forget(now=NOW + UNDONE_KEEP_S + 1)
        assert [numbered.change.id for numbered in await store.changes(-1, 10)] == ["c"]


async def test_a_log_that_is_much_longer_than_what_it_says_is_renumbered(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await store.renumber(4) == ([], 0)
        await revoke(store, wanted("old"), id_="a")
        await revoke(store, wanted("older"), id_="b")
        assert await store.renumber(4) == ([], 0)
        for number in range(10):
            await revoke(store, wanted("old", reason=str(number)), id_="x")
        # 12 offsets were given for two revocations.
        moved, least = await store.renumber(4)
        assert [(numbered.offset, numbered.change.id) for numbered in moved] == [(12, "b"), (13, "a")]
        assert least == 12
        assert await store.changes(-1, 10) == moved
        assert await store.renumber(4) == ([], 12)


async def test_one_process_holds_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(JournalError, match="another process holds it"):
            await RevocationStore.open(tmp_path / "revocations.sqlite")
