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
