from __future__ import annotations

from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Life, Sign, Wish


async def test_nothing_is_kept_of_those_who_are_gone() -> None:
    now_s = 1_790_000_000.0
    book = MemoryBook(wall=lambda: now_s)
    for account in ("b", "a", "c"):
        await book.admit(Wish(account, "s", "final", (), int(now_s * 1_000) + 60_000, 30_000, {}))
    assert len(book) == 3
    assert await book.release("b", "s")
    assert not await book.release("nobody", "s")
    assert len(book) == 2
    now_s += 31
    assert await book.accounts("", 9) == []
    assert [one.life for one in await book.saw([Sign("a", "s", 0)])] == [Life.GONE]
    assert await book.of("c") == []
    assert len(book) == 0


async def test_accounts_at_which_nobody_looks_do_not_stay() -> None:
    now_s = 1_790_000_000.0
    book = MemoryBook(wall=lambda: now_s)

    async def come(name: str) -> None:
        await book.admit(Wish(name, "s", "final", (), int(now_s * 1_000) + 3_600_000, 30_000, {}))

    for n in range(100):
        await come(f"before {n}")
    now_s += 31
    for n in range(40):
        await come(f"after {n}")
    assert len(book) == 40
    now_s += 31
    for _ in range(2):
        await book.saw([])
    assert len(book) == 0


async def test_pages_pass_over_those_who_are_gone() -> None:
    now_s = 1_790_000_000.0
    book = MemoryBook(wall=lambda: now_s)
    for n in range(10):
        await book.admit(Wish(f"{n}", "s", "final", (), int(now_s * 1_000) + 3_600_000, 30_000, {}))
    now_s += 20
    await book.saw([Sign(name, "s", int(now_s * 1_000)) for name in "68"])
    now_s += 15
    assert await book.accounts("", 1) == ["6"]
    assert await book.accounts("6", 2) == ["8"]
    assert await book.dismiss("0", "s", code="kicked", by="op") is None
