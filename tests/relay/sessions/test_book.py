"""The contract, over every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from relay.io.embedded_book import EmbeddedBook
from relay.io.redis_book import RedisBook
from relay.sessions.book import SessionBook
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Evicted, Full, Life, Limit, Order, Seated, Sign, Wish
from tests.support.redis_server import PATIENCE_S, redis_server

START_S = 1_790_000_000.0
TWO = Limit("event:final", 2, Order.OLDEST_FIRST, grace_ms=30_000)


class Clock:
    """The time of the book."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s

    @property
    def ms(self) -> int:
        return int(self.now_s * 1_000)


MakeBook = Callable[[Clock], Awaitable[SessionBook]]


@pytest.fixture(params=["memory", "embedded", "redis"])
async def make_book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeBook]:
    async with AsyncExitStack() as running:

        async def make(clock: Clock) -> SessionBook:
            book: SessionBook
            match request.param:
                case "memory":
                    book = MemoryBook(wall=clock)
                case "embedded":
                    book = await EmbeddedBook.open(tmp_path / "sessions.sqlite", wall=clock)
                case _:
                    server = await running.enter_async_context(redis_server(tmp_path))
                    book = RedisBook(server.url, wall=clock, clock=clock, patience_s=PATIENCE_S)
            running.push_async_callback(book.aclose)
            return book

        yield make


def wish(session: str, *limits: Limit, account: str = "anna", **other: Any) -> Wish:
    until_ms = int(START_S * 1_000) + 3_600_000
    return Wish(account, session, "final", limits, until_ms, 30_000, {"device": "tv"}, **other)


async def test_the_oldest_goes(make_book: MakeBook) -> None:
    clock = Clock()
    book = await make_book(clock)
    for session in "ab":
        assert isinstance(await book.admit(wish(session, TWO)), Seated)
        clock.now_s += 1
    outcome = await book.admit(wish("c", TWO))
    assert isinstance(outcome, Seated)
    assert [(one.session, one.leaving and one.leaving.at_ms) for one in outcome.leaving] == [("a", clock.ms + 30_000)]
    assert [one.session for one in await book.of("anna")] == ["a", "b", "c"]
    clock.now_s += 20
    signs = [Sign("anna", session, clock.ms) for session in "abcx"] + [Sign("nobody", "a", clock.ms)]
    lives = [standing.life for standing in await book.saw(signs)]
    assert lives == [Life.LEAVING, Life.LIVE, Life.LIVE, Life.GONE, Life.GONE]
    clock.now_s += 10
    assert isinstance(await book.admit(wish("a", TWO)), Evicted)
    assert [one.session for one in await book.of("anna")] == ["b", "c"]


async def test_accounts_know_nothing_of_each_other(make_book: MakeBook) -> None:
    book = await make_book(Clock())
    only = TWO._replace(most=1, order=Order.REJECT)
    for account in ("cleo", "anna", "ben"):
        assert isinstance(await book.admit(wish("s", only, account=account)), Seated)
        assert isinstance(await book.admit(wish("t", only, account=account)), Full)
    assert await book.accounts("", 2) == ["anna", "ben"]
    assert await book.accounts("ben", 2) == ["cleo"]
    assert await book.release("anna", "s")
    assert not await book.release("anna", "s")
    assert await book.accounts("", 9) == ["ben", "cleo"]
    assert await book.of("anna") == []


async def test_sending_away(make_book: MakeBook) -> None:
    clock = Clock()
    book = await make_book(clock)
    await book.admit(wish("a"))
    assert await book.dismiss("anna", "b", code="kicked", by="op") is None
    dismissed = await book.dismiss("anna", "a", code="kicked", by="op")
    assert dismissed is not None
    assert dismissed.leaving is not None
    assert (dismissed.leaving.code, dismissed.leaving.by, dismissed.leaving.at_ms) == ("kicked", "op", clock.ms)
    assert isinstance(await book.admit(wish("a")), Evicted)


async def test_a_session_is_found_by_its_id(make_book: MakeBook) -> None:
    clock = Clock()
    book = await make_book(clock)
    for number in range(20):
        await book.admit(wish(f"s{number}", account=f"account-{number}"))
    assert await book.find("s7") == "account-7"
    assert await book.find("other") is None
    await book.dismiss("account-7", "s7", code="kicked", by="ops")
    assert await book.find("s7") is None
    clock.now_s += 31
    assert await book.find("s8") is None
