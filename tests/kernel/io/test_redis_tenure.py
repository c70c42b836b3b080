"""Who may write, by the answers of a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kernel.errors import BusUnavailable
from kernel.io.redis_link import RedisLink
from kernel.io.redis_tenure import LEASE_S, SURE_S, Tenure
from tests.support.redis_server import RedisServer, redis_server

OWNER, LEASE = "p:ingest", "p:ingest:lease"
ADD = ("XADD", "s", "1-1", "f", "v")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as one:
        yield one


@pytest.fixture
async def link(server: RedisServer) -> AsyncIterator[RedisLink]:
    one = RedisLink(server.url)
    yield one
    await one.aclose()


async def begin(link: RedisLink, tenure: Tenure, now: float = 0.0) -> float | None:
    return await link.hold(tenure, begin=True, now=now)


async def keep(link: RedisLink, tenure: Tenure, now: float = 0.0) -> float | None:
    return await link.hold(tenure, begin=False, now=now)


async def test_another_journal_is_refused_as_long_as_the_lease_lasts(link: RedisLink) -> None:
    first, second = Tenure("p", "j1", "a"), Tenure("p", "j2", "b")
    assert await begin(link, first) is None
    left_s = await begin(link, second)
    assert left_s is not None
    assert 0 < left_s <= LEASE_S
    assert second.lost
    assert not first.lost
    assert "prefix p" in second.refusal("redis://r", left_s)
    # What was refused changed nothing.
    assert await keep(link, first) is None
    # It has run out: the first stood still.
    await link.call(("DEL", LEASE))
    third = Tenure("p", "j2", "c")
    assert await begin(link, third) is None
    assert await keep(link, first) is not None
    assert first.lost


async def test_a_holder_that_stood_still_goes_on_if_nobody_came(link: RedisLink) -> None:
    first = Tenure("p", "j1", "a")
    await begin(link, first)
    await link.call(("DEL", LEASE))
    await link.transact([ADD], tenure=first)
    assert await keep(link, first) is None
    assert await link.call(("EXISTS", LEASE), ("XLEN", "s")) == [1, 1]


async def test_one_whose_successor_has_ended_too_does_not_go_on(link: RedisLink) -> None:
    first, second = Tenure("p", "j1", "a"), Tenure("p", "j2", "b")
    await begin(link, first)
    await link.call(first.release())
    await begin(link, second)
    await link.call(second.release())
    assert await link.call(("EXISTS", LEASE)) == [0]
    assert await keep(link, first) is not None


async def test_the_same_journal_takes_over_at_once(link: RedisLink) -> None:
    first, again, longer = Tenure("p", "j1", "a"), Tenure("p", "j1", "b"), Tenure("p", "j11", "c")
    await begin(link, first)
    # A name that only begins alike is another's.
    assert await begin(link, longer) is not None
    assert await begin(link, again) is None
    assert await keep(link, first) is not None
    with pytest.raises(BusUnavailable, match="not the holder"):
        await link.transact([ADD], tenure=first)
    await link.transact([ADD], tenure=again)
    assert await link.call(("XLEN", "s")) == [1]
    # Whoever was taken over takes nobody's lease away.
    await link.call(first.release())
    assert await link.call(("EXISTS", LEASE)) == [1]


async def test_what_redis_forgot_is_taken_again(link: RedisLink) -> None:
    first, second = Tenure("p", "j1", "a"), Tenure("p", "j2", "b")
    await begin(link, first)
    await link.call(("DEL", LEASE))
    await begin(link, second)
    # A fail-over lost the end, and with it that the second took over.
    await link.call(("SET", OWNER, "j1 a"), ("SET", LEASE, "", "PX", 30_000))
    with pytest.raises(BusUnavailable, match="not the holder"):
        await link.transact([ADD], tenure=second)
    assert await keep(link, second) is None
    await link.transact([ADD], tenure=second)
    assert await keep(link, first) is not None
    # It lost everything.
    await link.call(("FLUSHALL",))
    with pytest.raises(BusUnavailable, match="not the holder"):
        await link.transact([ADD], tenure=second)
    assert await keep(link, second) is None
    assert await begin(link, Tenure("p", "j3", "c")) is not None


async def test_writing_ends_at_the_first_fault(link: RedisLink) -> None:
    tenure = Tenure("p", "j1", "a")
    await begin(link, tenure)
    many = [("XADD", "s", f"1-{number}", "+x", b"\0" * 100) for number in range(1, 501)]
    await link.transact(many, tenure=tenure)
    # What is tried again is there already; what follows is written.
    await link.transact([*many[-2:], ("XADD", "s", "1-501", "f", "v")], tenure=tenure)
    assert await link.call(("XLEN", "s")) == [501]
    await link.call(("SET", "text", "x"))
    with pytest.raises(BusUnavailable, match="WRONGTYPE"):
        await link.transact([("XADD", "text", "1-1", "f", "v"), ("XADD", "s", "1-502", "f", "v")], tenure=tenure)
    assert await link.call(("XLEN", "s")) == [501]
    # As many words as a command of ours has at most.
    await link.transact([("XDEL", "s", *(f"1-{number}" for number in range(2_000)))], tenure=tenure)
    assert await link.call(("XLEN", "s")) == [0]


async def test_it_is_sure_for_less_than_the_lease(link: RedisLink) -> None:
    tenure = Tenure("p", "j1", "a")
    assert not tenure.is_sure(0.0)
    await begin(link, tenure, now=100.0)
    assert tenure.is_sure(100.0 + SURE_S - 1)
    assert not tenure.is_sure(100.0 + SURE_S)
    await keep(link, tenure, now=200.0)
    assert tenure.is_sure(201.0)
    assert SURE_S < LEASE_S
    await begin(link, Tenure("p", "j1", "b"), now=202.0)
    await keep(link, tenure, now=203.0)
    assert not tenure.is_sure(203.0)


async def test_a_refusal_of_redis_is_none_of_the_tenure(link: RedisLink) -> None:
    tenure = Tenure("p", "j1", "a")
    await link.call(("LPUSH", OWNER, "x"))
    with pytest.raises(BusUnavailable, match="WRONGTYPE"):
        await begin(link, tenure)
    assert not tenure.lost
