from __future__ import annotations

import asyncio
from typing import Any

from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Full, Limit, Order, Outcome, Seated, Sign, Wish
from relay.sessions.networks import IP_SHARING, NetworkBook, network_limit

START_S = 1_790_000_000.0
MANY = Limit("event:final", 10, Order.OLDEST_FIRST, grace_ms=30_000)
TWO = network_limit("event:final", 2)


class Slow(MemoryBook):
    """Answers a turn of the loop later: others come in between."""

    async def of(self, account: str) -> Any:
        found = await super().of(account)
        await asyncio.sleep(0)
        return found


def wish(session: str, network: str, *limits: Limit, began_ms: int | None = None) -> Wish:
    until_ms = int(START_S * 1_000) + 3_600_000
    about = {"network": network} if network else {}
    return Wish("anna", session, "final", limits or (MANY, TWO), until_ms, 30_000, about, began_ms)


def made() -> NetworkBook:
    return NetworkBook(MemoryBook(wall=lambda: START_S))


def is_full(outcome: Outcome) -> bool:
    return isinstance(outcome, Full) and outcome.limit.code == IP_SHARING


async def test_as_many_networks_as_may_be() -> None:
    book = made()
    for session, network in (("a", "192.0.2.0/24"), ("b", "198.51.100.0/24"), ("c", "192.0.2.0/24")):
        assert isinstance(await book.admit(wish(session, network)), Seated)
    outcome = await book.admit(wish("d", "203.0.113.0/24"))
    assert isinstance(outcome, Full)
    assert (outcome.limit.code, [one.session for one in outcome.conflicts]) == (IP_SHARING, ["a", "b", "c"])
    # Nothing has changed, and nobody had to go.
    assert [(one.session, one.leaving) for one in await book.of("anna")] == [("a", None), ("b", None), ("c", None)]
    # Books never see the limit.
    assert [one.keys for one in await book.of("anna")] == [("event:final",)] * 3
    # One that is there is not asked again.
    assert isinstance(await book.admit(wish("b", "198.51.100.0/24")), Seated)
    # Whoever has left makes room.
    assert await book.release("anna", "b")
    assert isinstance(await book.admit(wish("d", "203.0.113.0/24")), Seated)


async def test_who_is_leaving_and_who_is_counted_by_others_does_not_count() -> None:
    book = made()
    await book.admit(wish("a", "192.0.2.0/24"))
    await book.admit(wish("b", "198.51.100.0/24"))
    await book.admit(wish("x", "10.0.0.0/24", Limit("event:other", 5)))
    assert is_full(await book.admit(wish("c", "203.0.113.0/24")))
    await book.dismiss("anna", "a", code="kicked", by="ops", grace_ms=30_000)
    assert isinstance(await book.admit(wish("c", "203.0.113.0/24")), Seated)


async def test_of_several_that_come_at_once_no_more_get_in_than_may() -> None:
    book = NetworkBook(Slow(wall=lambda: START_S))
    await book.admit(wish("a", "192.0.2.0/24"))
    late_ms = int(START_S * 1_000)
    # Whichever is the first in the book's order, and whoever comes first.
    for first, second in (("b", "c"), ("e", "d")):
        outcomes = await asyncio.gather(
            book.admit(wish(first, "203.0.113.0/24", began_ms=late_ms)),
            book.admit(wish(second, "198.51.100.0/24", began_ms=late_ms)),
        )
        assert [is_full(one) for one in outcomes].count(False) <= 1
        there = [one.session for one in await book.of("anna")]
        assert len(there) <= 2
        for one in there[1:]:
            await book.release("anna", one)
    assert isinstance(await book.admit(wish("f", "203.0.113.0/24")), Seated)


class Crowded(MemoryBook):
    """Somebody else comes in while one is let in, and leaves when he finds that he is too many."""

    stays = False

    async def admit(self, wish: Wish) -> Outcome:
        outcome = await super().admit(wish)
        if self.others:
            await super().admit(self.others.pop()._replace(limits=(MANY,)))
        return outcome

    async def release(self, account: str, session: str) -> bool:
        if not self.stays:
            await super().release(account, "other")
        return await super().release(account, session)

    others: list[Wish]


async def test_the_first_tries_again() -> None:
    for stays, is_in in ((False, True), (True, False)):
        crowded = Crowded(wall=lambda: START_S)
        crowded.stays, crowded.others = stays, []
        book = NetworkBook(crowded)
        await book.admit(wish("a", "192.0.2.0/24"))
        crowded.others = [wish("other", "198.51.100.0/24")]
        outcome = await book.admit(wish("b", "203.0.113.0/24"))
        assert is_full(outcome) is not is_in
        there = {one.session for one in await book.of("anna")}
        assert there == ({"a", "b"} if is_in else {"a", "other"})


async def test_everything_else_is_the_books() -> None:
    book = made()
    await book.admit(wish("a", "192.0.2.0/24"))
    assert await book.find("a") == "anna"
    assert await book.accounts("", 5) == ["anna"]
    assert [one.life for one in await book.saw([Sign("anna", "a", 1)])] == ["live"]
    assert await book.dismiss("anna", "none", code="kicked", by="ops") is None
    await book.aclose()
